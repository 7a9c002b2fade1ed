"""Many recordings: what is made, what is skipped, what fails, and what the exit code says."""

import json

import numpy as np
import pytest
import soundfile

from emoface import EmoFacePipeline, batch
from emoface.cli import main
from emoface.errors import EmoFaceError
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("one.wav", "two.wav", "deep/one.wav")):
        soundfile.write(folder / name, 0.1 * np.random.default_rng(number).standard_normal(8000), 16000)
    (folder / "notes.txt").write_text("no recording")
    return folder


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_a_folder_becomes_a_folder_and_a_second_run_makes_nothing_anew(model, recordings, tmp_path, capsys):
    (recordings / "broken.wav").write_bytes(b"RIFF and nothing else")
    command = ("batch", recordings, "-o", tmp_path / "out", "--format", "npz", "--model", model, "--emotion", "sad", "--quiet")
    assert run(*command) == 1
    said = capsys.readouterr()
    assert "3 made, 0 there already, 1 failed" in said.out and said.err.count("\n") == 1 and "broken.wav" in said.err
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.npz"))
    assert made == ["deep/one.npz", "one.npz", "two.npz"]
    expected = EmoFacePipeline.from_pretrained(model, device="cpu")(recordings / "two.wav", emotion="sad")
    with np.load(tmp_path / "out" / "two.npz") as saved:
        np.testing.assert_allclose(saved["vertices"], expected.vertices, atol=1e-6)

    (recordings / "broken.wav").unlink()
    (tmp_path / "out" / "one.npz").unlink()
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in ("two.npz", "deep/one.npz")}
    assert run(*command) == 0
    assert "1 made, 2 there already, 0 failed" in capsys.readouterr().out
    assert times == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in times} and (tmp_path / "out" / "one.npz").exists()


def test_a_folder_of_other_settings_is_not_added_to(model, recordings, tmp_path, capsys):
    command = ("batch", recordings, "-o", tmp_path / "out", "--format", "csv", "--model", model, "--quiet")
    assert run(*command) == 0
    for changed in (("--emotion", "happy"), ("--head-motion", "1")):
        assert run(*command, *changed) == 2
        assert "other settings" in capsys.readouterr().err


def test_a_folder_that_an_earlier_version_began_goes_on(tmp_path):
    """It had no head motion, and does not say so."""
    (tmp_path / batch.SETTINGS).write_text(json.dumps({"emotion": "sad", "model": None}))
    with pytest.raises(EmoFaceError, match="other settings"):
        batch.keep_settings(tmp_path, {"emotion": "sad", "model": None, "head_motion": 1.0})
    now = {"emotion": "sad", "model": None, "head_motion": 0.0}
    batch.keep_settings(tmp_path, now)
    assert json.loads((tmp_path / batch.SETTINGS).read_text()) == now
    for text in ("{", "[1]"):
        (tmp_path / batch.SETTINGS).write_text(text)
        with pytest.raises(EmoFaceError, match="batch.json is damaged"):
            batch.keep_settings(tmp_path, now)


def test_heads_turn_where_they_are_asked_to(model, recordings, tmp_path, capsys):
    command = ("batch", recordings, "-o", tmp_path / "out", "--format", "npz", "--model", model, "--quiet", "--head-motion")
    assert run(*command, "2") == 2 and "head motion" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert run(*command, "0.5") == 0
    expected = EmoFacePipeline.from_pretrained(model, device="cpu")(recordings / "two.wav", head_motion=0.5)
    with np.load(tmp_path / "out" / "two.npz") as saved:
        np.testing.assert_allclose(saved["head_angles"], expected.head_angles, atol=1e-6)


def test_a_list_names_files_beside_it_and_names_must_differ(model, recordings, tmp_path, capsys):
    names = recordings / "list.txt"
    names.write_text("# two of them\none.wav\n\ntwo.wav\n")
    assert [job.target.name for job in batch.find_jobs(names, tmp_path, ".glb")] == ["one.glb", "two.glb"]
    names.write_text("one.wav\ndeep/one.wav\n")
    assert run("batch", names, "-o", tmp_path / "out", "--model", model) == 2
    assert "would both become" in capsys.readouterr().err
    names.write_text("# nothing\n")
    for source, words in (
        (tmp_path / "nowhere", "no folder or list"),
        (names, "no recordings"),
        (recordings / "one.wav", "neither a folder nor a list"),
    ):
        assert run("batch", source, "-o", tmp_path / "out", "--model", model) == 2 and words in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_make_the_same_files(model, recordings, tmp_path):
    for workers in (1, 2):
        assert run("batch", recordings, "-o", tmp_path / str(workers), "--format", "npz", "--model", model, "--workers", workers, "--quiet") == 0
    for path in (tmp_path / "1").rglob("*.npz"):
        with np.load(path) as one, np.load(tmp_path / "2" / path.relative_to(tmp_path / "1")) as two:
            np.testing.assert_allclose(one["vertices"], two["vertices"], atol=1e-6)
