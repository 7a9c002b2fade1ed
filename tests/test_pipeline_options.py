"""Every option of a call reaches what it names. On a small random model: each number below follows from the option alone."""

import numpy as np
import pytest
import soundfile

from emoface import EmoFacePipeline
from emoface.errors import Cancelled
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("options")


@pytest.fixture(scope="module")
def pipe(folder):
    return EmoFacePipeline.from_pretrained(save_tiny_model(folder / "model"), device="cpu")


@pytest.fixture(scope="module")
def speech(folder):
    seconds = np.arange(16000) / 16000
    soundfile.write(folder / "speech.wav", 0.3 * np.sin(2 * np.pi * 150 * seconds) * np.sin(2 * np.pi * 3 * seconds) ** 2, 16000)
    return folder / "speech.wav"


@pytest.fixture(scope="module")
def other(folder):
    soundfile.write(folder / "other.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    return folder / "other.wav"


def moved_mm(a, b) -> float:
    return 1e3 * float(np.abs(a.vertices - b.vertices).max())


def test_level_reaches_the_decoder_and_the_named_emotion(pipe, speech):
    own = [pipe(speech, level=level) for level in ("normal", "strong")]
    assert moved_mm(*own) > 0.01, "the decoder's condition"
    assert np.array_equal(own[0].emotion_track, own[1].emotion_track)
    named = [pipe(speech, emotion="angry", level=level) for level in ("normal", "strong")]
    assert np.abs(named[0].emotion_probabilities - named[1].emotion_probabilities).max() > 1e-3, "the stored features"


def test_neutral_has_one_level(pipe, speech):
    """Also as the face that intensity and curves start from, and at the end of a mix; at the mix's start is the strong voice."""
    neutral, own = pipe(speech, emotion="neutral"), pipe(speech, level="strong")
    strong = lambda **options: pipe(speech, **{"emotion": "neutral", "level": "strong", **options})
    assert np.array_equal(strong().vertices, neutral.vertices)
    assert moved_mm(own, neutral) > 0.01
    assert np.array_equal(strong(mix=0.0).vertices, own.vertices)
    assert moved_mm(strong(mix=0.5), own) > 1e-3 and moved_mm(strong(mix=0.5), neutral) > 1e-3
    assert moved_mm(strong(emotion="angry", intensity=0.0), neutral) < 1e-3
    assert moved_mm(strong(emotion=[(0, {"angry": 0.0})]), neutral) < 1e-3


def test_style_reaches_the_decoder(pipe, speech):
    default, named, other = pipe(speech), pipe(speech, style="s1"), pipe(speech, style="actor01")
    assert np.array_equal(default.vertices, named.vertices) and moved_mm(named, other) > 0.01


def test_initial_offset_reaches_both_branches(pipe, speech):
    offset = np.random.default_rng(1).normal(0, 0.01, (pipe.model.config.vertex_count, 3)).astype(np.float32)
    for output in ("content", "emotion"):  # a clip that starts from rest is decoded in another way where the offset is not given
        rest, start = (pipe(speech, output=output, initial_offset=share * offset) for share in (np.float32(0), np.float32(1)))
        assert moved_mm(rest, start) > 1e-3, output


@pytest.mark.parametrize("source", ["angry", "recording"])
def test_mix_is_linear_in_the_features_of_the_emotion_branch(pipe, speech, other, source):
    """The classifier is linear, so its logits, of the clip and of every frame, lie on a line between both ends."""
    shares = (0.0, 0.25, 1.0)
    own, quarter, chosen = (pipe(speech, emotion=other if source == "recording" else source, mix=share) for share in shares)
    for name in ("emotion_probabilities", "emotion_track"):
        logits = [np.log(getattr(a, name).astype(np.float64)) for a in (own, quarter, chosen)]
        logits = [values - values.mean(-1, keepdims=True) for values in logits]
        assert np.abs(logits[2] - logits[0]).max() > 0.01, "both ends differ"
        np.testing.assert_allclose(logits[1], 0.75 * logits[0] + 0.25 * logits[2], atol=1e-4)
    assert moved_mm(own, pipe(speech)) < 1e-3 and moved_mm(quarter, own) > 1e-3 and moved_mm(quarter, chosen) > 1e-3


def test_cancel_reaches_the_decoding(pipe, speech):
    """Asked from the moment that the features are there until the first frames are: only decoding asks in between."""
    stages = []
    with pytest.raises(Cancelled):
        pipe(speech, progress=lambda stage, fraction: stages.append(stage), cancel=lambda: bool(stages) and stages[-1] == "Feeling")
    assert stages[-1] == "Feeling"


def test_effect_is_in_millimetres_also_where_branches_are_added(folder, speech, as_decoded):
    pipe = EmoFacePipeline.from_pretrained(save_tiny_model(folder / "added", fusion="add"), device="cpu")
    fused, emotion, content = (pipe(speech, output=output) for output in ("fused", "emotion", "content"))
    skin = fused.skin_count
    offsets = [(a.vertices - a.template)[:, :skin] for a in (fused, emotion, content)]
    np.testing.assert_allclose(offsets[0], offsets[1] + offsets[2], atol=1e-6)
    np.testing.assert_allclose(fused.emotion_effect_mm, 1e3 * np.linalg.norm(offsets[1], axis=-1), atol=1e-3)
    assert fused.emotion_effect_mm.max() > 0.1


@pytest.fixture
def encoded(pipe, monkeypatch):
    """Names of the recordings that were encoded."""
    names, encode = [], pipe.encode
    monkeypatch.setattr(pipe, "encode", lambda audio, *lead: names.append(audio.name) or encode(audio, *lead))
    return names


def test_equal_recordings_of_a_batch_are_encoded_once(pipe, speech, other, encoded):
    """Also as paths, written as text or as Path, and as speech of one job and emotion of another."""
    together = pipe.batch([(speech, "angry"), (str(speech), "sad"), (speech, other), (other, speech)])
    assert sorted(encoded) == ["other.wav", "speech.wav"]
    for job, animation in zip([(speech, "angry"), (speech, "sad"), (speech, other), (other, speech)], together):
        np.testing.assert_allclose(animation.vertices, pipe(job[0], emotion=job[1]).vertices, atol=1e-6)


def test_branches_are_the_three_outputs_of_one_pass(pipe, speech, encoded):
    branches = pipe.branches(speech, emotion="angry", level="strong", head=2)
    assert encoded == ["speech.wav"] and set(branches) == {"fused", "content", "emotion"}
    for output, animation in branches.items():
        alone = pipe(speech, emotion="angry", level="strong", head=2, output=output)
        assert np.array_equal(animation.vertices, alone.vertices) and animation.settings == alone.settings
        assert np.array_equal(animation.emotion_effect_mm, alone.emotion_effect_mm)
