"""The shipped model as one ONNX file: ONNX Runtime gives the pipeline's face."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emoface import EmoFacePipeline
from emoface.audio import Audio, load_audio
from emoface.errors import EmoFaceError
from emoface.head import load_head
from emoface.motion import Motion, Recognised

onnx = pytest.importorskip("onnx", reason="needs the packages onnx and onnxruntime")
pytest.importorskip("onnxruntime", reason="needs the packages onnx and onnxruntime")

EXAMPLE = Path(__file__).resolve().parents[3] / "assets" / "examples" / "happy.wav"
CLOSE = 5e-5
"""Metres."""


@pytest.fixture(scope="module")
def pipe():
    return EmoFacePipeline.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def exported(pipe, tmp_path_factory):
    from train.tools.export_onnx import export

    path = tmp_path_factory.mktemp("onnx") / "emoface.onnx"
    return path, export(pipe, path)


@pytest.mark.parametrize("emotion, seconds", [("happy", None), ("sad", 1.01)])
def test_the_file_gives_the_pipelines_face(pipe, exported, emotion, seconds):
    from train.tools.export_onnx import inputs_of, session

    path, names = exported
    audio, head = load_audio(EXAMPLE), load_head(0)
    stop = None if seconds is None else round(seconds * audio.sample_rate)
    audio = Audio(audio.samples[pipe.lead(audio).samples :][:stop], audio.sample_rate, "from the first sound")
    offsets = session(path, threads=1).run(None, {**inputs_of(audio), "emotion": np.array(names.index(emotion))})[0]
    wanted = pipe(audio, emotion=emotion)
    assert offsets.shape == (wanted.frame_count, head.skin_count, 3)
    still = np.zeros(offsets.shape[:2], np.float32)
    recognised = Recognised(torch.zeros(8), torch.zeros(len(offsets), 8))
    found = pipe.assemble(audio, Motion(offsets.copy(), still, still), recognised, head, settings={})
    assert np.abs(found.vertices - wanted.vertices).max() < CLOSE
    assert np.abs(offsets).max() > 20 * CLOSE


def test_the_file_is_small_and_says_what_it_knows(pipe, exported):
    path, names = exported
    assert path.stat().st_size < 40e6
    told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(told["emotions"]) == names == list(pipe.model.named_emotions(0)) and told["fps"] == "30"


def test_a_recording_too_long_for_one_pass_is_refused():
    from train.tools.export_onnx import inputs_of

    with pytest.raises(EmoFaceError, match="28 s"):
        inputs_of(Audio(np.zeros(29 * 16000, np.float32), 16000, "long"))


def test_silence_before_the_first_sound_changes_no_input():
    from train.tools.export_onnx import inputs_of

    samples = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    plain, late = (inputs_of(Audio(np.concatenate([np.zeros(n, np.float32), samples]), 16000, "noise")) for n in (0, 5000))
    assert all(np.array_equal(plain[name], late[name]) for name in ("samples", "prosody"))
