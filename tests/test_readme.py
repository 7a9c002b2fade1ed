"""Every example of the README runs, from the repository's root, as written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines() if line.startswith("python -m emoface")]


def run(arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scratch folder that sees the assets, so that examples write nothing into the repository."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "assets").symlink_to(ROOT / "assets")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("code", [c for c in PYTHON if "gradio_client" not in c], ids=lambda c: c.splitlines()[-1][:40])
def test_python_examples(code, folder):
    assert run([sys.executable, "-c", code], folder).strip()


@pytest.mark.slow
def test_commands_in_order(folder):
    for line in COMMANDS:
        run([sys.executable, *shlex.split(line)[1:]], folder)
        if "-o" in line.split():
            assert (folder / line.split()[line.split().index("-o") + 1]).stat().st_size > 1000, line


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
