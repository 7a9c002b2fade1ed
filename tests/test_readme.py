"""Every example of the README runs, from the repository's root, as written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from emoface.cli import main

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines() if line.startswith("python -m emoface")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scratch folder that sees the assets, so that examples write nothing into the repository."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "assets").symlink_to(ROOT / "assets")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("code", [c for c in PYTHON if "gradio_client" not in c], ids=lambda c: c.splitlines()[-1][:40])
def test_python_examples(code, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
def test_commands_in_order(folder, monkeypatch):
    """In this process, which has loaded what each would load; the last one, which loads no model, as it is written."""
    monkeypatch.chdir(folder)
    for line in COMMANDS:
        command = shlex.split(line)
        assert command[:3] == ["python", "-m", "emoface"]
        assert main(command[3:]) == 0, line
        if "-o" in command:
            assert (folder / command[command.index("-o") + 1]).stat().st_size > 1000, line
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_two_commands_are_there():
    text = (ROOT / "README.md").read_text()
    assert "pip install -r requirements.txt && python app.py" in text
    assert "pip install -r requirements.txt -r tests/requirements.txt && pytest -n 2" in text
    assert "2408.11518" in text and "2407.12501" in text


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_ci_runs_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "requirements.txt -r tests/requirements.txt" in script and re.search(r"^pytest -n 2$", script, flags=re.M)
