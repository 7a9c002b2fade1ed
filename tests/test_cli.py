"""The command line as a person meets it: what it writes, what it says, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emoface import cli
from tests.tiny_model import save_tiny_model

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def speech(tmp_path) -> Path:
    time = np.arange(16000) / 16000
    soundfile.write(tmp_path / "speech.wav", 0.3 * np.sin(2 * np.pi * 150 * time) * np.sin(2 * np.pi * 3 * time) ** 2, 16000)
    return tmp_path / "speech.wav"


def run(*arguments) -> int:
    """Exit code of the command, in this process."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        return int(stop.code or 0)


def complaint(capsys, *arguments) -> str:
    """The one line on stderr of a command that must fail with exit code 2."""
    assert run(*arguments, *(["--quiet"] if arguments and arguments[0] == "animate" else [])) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def test_animate_writes_an_animation(model, speech, tmp_path, capsys):
    out = tmp_path / "face.npz"
    assert run("animate", speech, "-o", out, "--model", model, "--emotion", "happy", "--level", "strong", "--head", 3) == 0
    captured = capsys.readouterr()
    assert "30 frames" in captured.out and "1.00 s" in captured.out
    assert [line for line in captured.err.splitlines()][:2] == ["Reading the recording", "Loading the model"]
    with np.load(out, allow_pickle=False) as saved:
        assert saved["vertices"].shape[0] == 30 and saved["vertices"].dtype == np.float32
        assert saved["emotion_importance"].shape == (30, int(saved["skin_count"]))


def test_other_recording_as_emotion_and_other_formats(model, speech, tmp_path):
    for name in ("face.csv", "face.glb"):
        assert run("animate", speech, "-o", tmp_path / name, "--emotion", speech, "--model", model, "--quiet") == 0
        assert (tmp_path / name).stat().st_size > 1000


def test_python_and_command_line_agree(model, speech, tmp_path):
    from emoface import EmoFacePipeline

    assert run("animate", speech, "-o", tmp_path / "a.npz", "--model", model, "--style", "actor01", "--mix", "0.5", "--emotion",
               "sad", "--quiet") == 0  # fmt: skip
    expected = EmoFacePipeline.from_pretrained(model, device="cpu")(speech, emotion="sad", mix=0.5, style="actor01")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as saved:
        np.testing.assert_allclose(saved["vertices"], expected.vertices, atol=1e-6)


def test_bad_input_is_one_line_and_leaves_no_file(model, speech, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("not speech " * 20)
    (tmp_path / "zero.wav").write_bytes(b"")
    out = tmp_path / "out" / "face.npz"
    out.parent.mkdir()
    common = ("-o", out, "--model", model)
    assert "no file" in complaint(capsys, "animate", tmp_path / "missing.wav", *common)
    assert "not audio" in complaint(capsys, "animate", tmp_path / "notes.txt", *common)
    assert "0 bytes" in complaint(capsys, "animate", tmp_path / "zero.wav", *common)
    assert "0 bytes" in complaint(capsys, "animate", speech, "--emotion", tmp_path / "zero.wav", *common)
    assert "limit is 0.5 s" in complaint(capsys, "animate", speech, "--max-seconds", 0.5, *common)
    assert "bored" in complaint(capsys, "animate", speech, "--emotion", "bored", *common)
    assert "no file" in complaint(capsys, "animate", speech, "--reference", tmp_path / "missing.wav", *common)
    assert "neutral reference" in complaint(capsys, "animate", speech, "--reference", speech, *common)  # a model that was trained without
    assert "nobody" in complaint(capsys, "animate", speech, "--style", "nobody", *common)
    assert "mix" in complaint(capsys, "animate", speech, "--mix", 2, *common)
    assert complaint(capsys, "animate", speech, "--head", 24, *common)
    assert complaint(capsys, "animate", speech, "--level", "loud", *common)
    assert "config.json" in complaint(capsys, "animate", speech, "-o", out, "--model", tmp_path)
    assert list(out.parent.iterdir()) == []


def test_wrong_use_is_one_line(capsys, speech, tmp_path):
    assert "COMMAND" in complaint(capsys)
    assert "bogus" in complaint(capsys, "bogus")
    assert "required" in complaint(capsys, "animate")
    assert ".npz" in complaint(capsys, "animate", speech, "-o", tmp_path / "face.doc")
    assert "suffix" in complaint(capsys, "animate", speech, "-o", tmp_path / "face")
    assert "folder" in complaint(capsys, "animate", speech, "-o", tmp_path / "none" / "face.npz")


def test_failing_to_write_leaves_nothing(model, speech, tmp_path, capsys, monkeypatch):
    def disk_full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    out = tmp_path / "out" / "face.npz"
    out.parent.mkdir()
    assert "No space" in complaint(capsys, "animate", speech, "-o", out, "--model", model)
    assert list(out.parent.iterdir()) == []


def test_info_describes_the_model(model, capsys):
    assert run("info", "--model", model, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == "emoface-tiny" and facts["styles"] == ["s1", "actor01"] and ".npz" in facts["formats"]
    assert run("info", "--model", model) == 0
    assert "emoface-tiny" in capsys.readouterr().out


def test_environment_names_the_model(model, capsys, monkeypatch):
    monkeypatch.setenv("EMOFACE_MODEL", str(model))
    assert run("info", "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"] == "emoface-tiny"


def test_a_missing_part_breaks_only_its_own_command(capsys, monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "study", ("emoface.nowhere.cli", "gone"))
    assert run("--help") == 0
    listed = capsys.readouterr().out
    assert "animate" in listed and "study" not in listed
    assert "study" in complaint(capsys, "study")


def test_help_and_version_need_no_torch():
    code = "import sys; from emoface.cli import main\ntry: main(['animate', '--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'gradio', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_interrupt_is_clean(model, tmp_path):
    """Ctrl-C while the face is being moved: exit code 130, one line, nothing written."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "long.wav", 0.1 * rng.standard_normal(115 * 16000), 16000)
    out = tmp_path / "out" / "face.npz"
    out.parent.mkdir()
    command = [sys.executable, "-m", "emoface", "animate", tmp_path / "long.wav", "-o", out, "--model", model]
    # A shell's background jobs inherit an ignored SIGINT; a person's Ctrl-C meets a process that does not ignore it.
    process = subprocess.Popen(
        [str(c) for c in command], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    lines = []
    for line in process.stderr:
        lines.append(line.strip())
        if line.strip() == "Listening":
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            break
    rest, output = process.stderr.read(), process.stdout.read()
    assert process.wait(timeout=60) == 130, rest
    assert "Stopped." in rest and "Traceback" not in rest and output == ""
    assert list(out.parent.iterdir()) == []
