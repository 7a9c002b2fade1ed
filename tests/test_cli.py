"""The command line as a person meets it: what it writes, what it says, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
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
    assert captured.err.splitlines()[:2] == ["Reading the recording", "Loading the model"]
    with np.load(out, allow_pickle=False) as saved:
        assert saved["vertices"].shape[0] == 30 and saved["vertices"].dtype == np.float32
        assert saved["emotion_importance"].shape == (30, int(saved["skin_count"]))


def test_films_live_and_other_files_hold_the_speech_alone(model, speech, tmp_path, monkeypatch):
    from emoface.pipeline import EmoFacePipeline

    asked, call = [], EmoFacePipeline.__call__

    def listen(self, *arguments, **options):
        asked.append((options["idle"], options["head_motion"]))
        return call(self, *arguments, **{**options, "idle": False})

    monkeypatch.setattr(EmoFacePipeline, "__call__", listen)
    film = (speech, "-o", tmp_path / "a.gif", "--size", "32", "--model", model, "--quiet")
    for arguments in (
        film,
        (*film, "--no-idle", "--head-motion", "0.5"),
        (speech, "-o", tmp_path / "a.npz", "--model", model, "--quiet"),
        (speech, "-o", tmp_path / "a.csv", "--model", model, "--quiet", "--idle", "--head-motion", "1"),
    ):
        assert run("animate", *arguments) == 0
    assert asked == [(True, 1.0), (False, 0.5), (False, 0.0), (True, 1.0)]
    assert run("animate", *film, "--head-motion", "9") == 2 and len(asked) == 4


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
    assert "limit of 0.5 s" in complaint(capsys, "animate", speech, "--max-seconds", 0.5, *common)
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
        [str(c) for c in command],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    lines = []
    for line in process.stderr:
        lines.append(line.strip())
        if line.strip() == "Moving the face":
            process.send_signal(signal.SIGINT)
            break
    rest, output = process.stderr.read(), process.stdout.read()
    assert process.wait(timeout=300) == 130, rest
    assert "Stopped." in rest and "Traceback" not in rest and output == ""
    assert list(out.parent.iterdir()) == []


def test_damage_and_little_speech_are_said(model, speech, tmp_path, capsys):
    from emoface.export import load

    soundfile.write(tmp_path / "hurt.flac", *soundfile.read(speech))
    data = bytearray((tmp_path / "hurt.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60] = bytes(60)
    (tmp_path / "hurt.flac").write_bytes(data)
    assert run("animate", tmp_path / "hurt.flac", "-o", tmp_path / "face.npz", "--model", model, "--quiet") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "s of hurt.flac was damaged" in lines[0] and "hardly any speech" in lines[1]
    settings = load(tmp_path / "face.npz").settings
    assert settings["notes"] == lines and 0 < settings["damaged_seconds"] < 0.5


@pytest.mark.skipif(os.name == "nt", reason="names are not bytes there")
def test_names_that_are_not_text(model, speech, tmp_path):
    """Names that are not UTF-8, read and written by a terminal that shows only ASCII; and the longest name that a disk takes."""
    odd = os.fsencode(tmp_path) + b"/caf\xe9 \xff.wav"
    os.rename(speech, odd)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}
    command = [sys.executable, "-m", "emoface", "animate", odd, "-o", os.fsencode(tmp_path) + b"/\xe9\xff.npz", "--model", str(model), "--quiet"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"30 frames" in done.stdout and b"Traceback" not in done.stderr
    assert sorted(os.listdir(os.fsencode(tmp_path))) == [b"caf\xe9 \xff.wav", b"\xe9\xff.npz"]
    longest = tmp_path / ("n" * 251 + ".npz")
    assert run("animate", os.fsdecode(odd), "-o", longest, "--model", model, "--quiet") == 0
    assert longest.stat().st_size > 1000


def test_outputs_are_checked_before_the_work(speech, tmp_path, capsys, monkeypatch):
    from emoface.cli import common

    def animate(out, *more):
        return complaint(capsys, "animate", speech, "-o", out, "--model", tmp_path / "no model is loaded", *more)

    assert "too long" in animate(tmp_path / ("n" * 252 + ".npz"))
    assert "hold no sound" in animate(tmp_path / "face.glb", "--with-audio")
    assert "UTF-8" in animate(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    with monkeypatch.context() as patch:
        patch.setattr(common, "find_spec", lambda name: None)
        assert "usd-core" in animate(tmp_path / "face.usd")
    monkeypatch.setattr(common.tempfile, "TemporaryFile", lambda **_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert "Permission denied" in animate(tmp_path / "face.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["speech.wav"]


@pytest.mark.parametrize("value", ["2min", "nan", "-1", "inf", "0"])
def test_longest_recording_is_a_number_of_seconds(speech, tmp_path, capsys, monkeypatch, value):
    common = ("animate", speech, "-o", tmp_path / "face.npz", "--model", tmp_path)
    if value != "2min":  # argparse itself refuses that
        assert "number of seconds" in complaint(capsys, *common, f"--max-seconds={value}")
    monkeypatch.setenv("EMOFACE_MAX_SECONDS", value)
    message = complaint(capsys, *common)
    assert "EMOFACE_MAX_SECONDS" in message and value in message and "number of seconds" in message


def test_sound_in_the_npz_if_asked_for(model, speech, tmp_path):
    for more, expected in (((), False), (("--with-audio",), True)):
        assert run("animate", speech, "-o", tmp_path / "face.npz", "--model", model, "--quiet", *more) == 0
        with np.load(tmp_path / "face.npz", allow_pickle=False) as saved:
            assert ("audio" in saved) == expected


def test_quiet_silences_c_libraries_and_not_python(capfd):
    from emoface.cli.common import only_python_complains

    with only_python_complains():
        os.write(2, b"[mp3 @ 0x1] Header missing\n")
        print("a sentence", file=sys.stderr)
    os.write(2, b"and again\n")
    err = capfd.readouterr().err
    assert "Header missing" not in err and "and again" in err
    code = "import os, sys; from emoface.cli.common import only_python_complains as quiet\nwith quiet():\n os.write(2, b'noise'); print('said', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == "said\n"


def test_a_curve_directs_the_emotion_and_stays_in_the_file(model, speech, tmp_path, capsys):
    curve = tmp_path / "curve.json"
    curve.write_text(json.dumps([[0, {"neutral": 1}], [0.8, {"happy": 0.7}]]))
    assert run("animate", speech, "-o", tmp_path / "directed.npz", "--model", model, "--emotion-curve", curve, "--quiet") == 0
    with np.load(tmp_path / "directed.npz", allow_pickle=False) as saved:
        assert json.loads(str(saved["settings"]))["emotion"] == [[0, {"neutral": 1, "happy": 0}], [0.8, {"neutral": 0, "happy": 0.7}]]
    capsys.readouterr()
    assert "either --emotion or --emotion-curve" in complaint(
        capsys, "animate", speech, "-o", tmp_path / "a.npz", "--model", model, "--emotion", "happy", "--emotion-curve", curve
    )
