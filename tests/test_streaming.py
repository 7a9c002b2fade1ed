"""A stream gives the same frames however it is cut, and those of the pipeline on the same encoder windows."""

import numpy as np
import pytest
import torch

from emoface import EmoFacePipeline
from emoface.errors import AudioError, EmoFaceError
from emoface.front_end import EncoderStream, MeshClock, Windows
from emoface.head import load_head
from emoface.modeling import Generation
from emoface.streaming import EmoFaceStreamer

from .test_encoders import speechlike
from .tiny import tiny_model
from .tiny_model import save_tiny_model, tiny_encoder

WINDOWS = Windows(past=1.0, hop=0.2, ahead=0.1)
FIELDS = ("vertices", "blendshapes", "emotion_importance", "emotion_effect_mm", "emotion_track", "audio")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory) -> EmoFacePipeline:
    return EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")), device="cpu")


def stream(pipe, samples, cuts=None, **options) -> dict[str, np.ndarray]:
    """Feed the samples in pieces of the given lengths (repeated); the joined fields."""
    streamer = EmoFaceStreamer(pipe, **{"windows": WINDOWS, **options})
    pieces, start = [], 0
    while start < len(samples):
        length = len(samples) if cuts is None else cuts[len(pieces) % len(cuts)]
        pieces.append(streamer.feed(samples[start : start + length]))
        start += length
    pieces.append(streamer.finish())
    pieces = [piece for piece in pieces if piece is not None]
    starts = [piece.settings["start"] for piece in pieces]
    assert starts == list(np.cumsum([0] + [piece.frame_count for piece in pieces[:-1]])), "pieces must follow each other"
    return {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in FIELDS}


@pytest.mark.parametrize("cuts", [[320], [777, 1, 5003], [16000]])
def test_the_cut_does_not_matter(pipe, cuts):
    samples = speechlike(2.0)[:23456].numpy()
    whole, pieces = stream(pipe, samples), stream(pipe, samples, cuts)
    assert len(whole["vertices"]) == -(-23456 * 30 // 16000)
    for name in FIELDS:
        np.testing.assert_array_equal(whole[name], pieces[name], err_msg=name)
    np.testing.assert_array_equal(whole["audio"], samples)


def windowed(pipe, monkeypatch, windows=WINDOWS) -> None:
    """Make the pipeline's encoder hear what a stream hears."""
    encoder = pipe.content_encoder
    original = encoder.hidden_states

    def hidden_states(samples, layers=0, **options):
        if "reference" in options:  # called by the stream itself
            return original(samples, **options)
        return torch.cat(list(EncoderStream(encoder, windows).feed(samples, last=True)), dim=1)[-layers:]

    monkeypatch.setattr(encoder, "hidden_states", hidden_states)
    monkeypatch.setattr("emoface.encoders.condition", lambda samples: samples)  # the stream does that


@pytest.mark.parametrize("seconds", [0.11, 0.5, 2.0, 4.37])
def test_equals_the_pipeline_on_the_same_windows(pipe, monkeypatch, seconds):
    samples = speechlike(5.0)[: int(seconds * 16000)].numpy()
    streamed = stream(pipe, samples, [4000], emotion="angry", level="strong", style="actor01", head=2)
    windowed(pipe, monkeypatch)
    expected = pipe((samples, 16000), emotion="angry", level="strong", style="actor01", head=2)
    dry = np.setdiff1d(np.arange(expected.skin_count), load_head(2).contact.touching)
    np.testing.assert_allclose(
        streamed["vertices"][:, dry], expected.vertices[:, dry], atol=2e-6
    )  # the bound on torn skin follows the fit, which sees other pieces
    np.testing.assert_allclose(streamed["emotion_importance"], expected.emotion_importance, atol=1e-5)
    np.testing.assert_allclose(streamed["emotion_effect_mm"], expected.emotion_effect_mm, atol=1e-4)
    # The jaw's parts, and the lips that touch its teeth, follow a fit over the piece instead of the clip.
    np.testing.assert_allclose(streamed["vertices"], expected.vertices, atol=2e-4)


def test_neutral_has_one_level(pipe):
    normal, strong = (stream(pipe, speechlike(1.0).numpy(), emotion="neutral", level=level) for level in ("normal", "strong"))
    for name in FIELDS:
        np.testing.assert_array_equal(normal[name], strong[name], err_msg=name)


def test_short_clips_equal_the_one_shot_answer(pipe):
    """Within the first window nothing is cut but the loudness reference, and this clip is loud enough for it."""
    samples = speechlike(0.3).numpy()
    samples = samples / np.abs(samples).max()
    streamed = stream(pipe, samples, emotion="sad", windows=Windows(hop=0.4))
    expected = pipe((samples, 16000), emotion="sad")
    assert len(streamed["vertices"]) == expected.frame_count
    skin = expected.skin_count
    np.testing.assert_allclose(streamed["vertices"][:, :skin], expected.vertices[:, :skin], atol=1e-6)


def test_stated_delay_and_look_ahead_hold(pipe):
    samples = speechlike(3.0).numpy()
    streamer = EmoFaceStreamer(pipe, emotion="happy", windows=WINDOWS)
    shown = 0
    for i in range(0, len(samples), 800):
        piece = streamer.feed(samples[i : i + 800])
        shown += 0 if piece is None else piece.frame_count
        heard = min(i + 800, len(samples)) / 16000
        assert shown / 30 >= heard - streamer.delay - 1 / 30
    # Other speech after the look-ahead of frame 45 cannot change it.
    changed = samples.copy()
    changed[int((45 / 30 + streamer.look_ahead + WINDOWS.hop) * 16000) :] = 0.2
    a, b = stream(pipe, samples, emotion="happy"), stream(pipe, changed, emotion="happy")
    np.testing.assert_array_equal(a["vertices"][:46], b["vertices"][:46])
    assert np.abs(a["vertices"][80:] - b["vertices"][80:]).max() > 1e-6


def test_own_emotion_is_heard_from_the_past_only(pipe):
    samples = speechlike(3.0).numpy()
    changed = samples.copy()
    changed[32000:] = 0.3 * np.sin(np.arange(16000))
    a, b = stream(pipe, samples), stream(pipe, changed)
    early = int((2.0 - 0.1 - 0.2 - 5 / 30) * 30)
    np.testing.assert_array_equal(a["emotion_track"][:early], b["emotion_track"][:early])
    assert np.abs(a["emotion_track"][-1] - b["emotion_track"][-1]).max() > 1e-4


def test_emotion_from_a_name_a_recording_and_a_mix(pipe):
    samples, other = speechlike(1.0).numpy(), (speechlike(2.0, seed=4).numpy(), 16000)
    own, named = stream(pipe, samples), stream(pipe, samples, emotion="fearful")
    assert np.ptp(named["emotion_track"], axis=0).max() == 0, "a named emotion does not change over time"
    recorded = stream(pipe, samples, emotion=other)
    windowless = pipe((samples, 16000), emotion=other)
    np.testing.assert_allclose(recorded["emotion_track"][0], windowless.emotion_track[0], atol=1e-5)
    half = stream(pipe, samples, emotion="fearful", mix=0.5)
    assert not np.allclose(half["vertices"], named["vertices"]) and not np.allclose(half["vertices"], own["vertices"])
    zero = stream(pipe, samples, emotion="fearful", mix=0.0)
    np.testing.assert_allclose(zero["vertices"], own["vertices"], atol=1e-6)


def test_two_encoders(pipe):
    """The paper's arrangement: one encoder per branch."""
    both = EmoFacePipeline(pipe.model, pipe.content_encoder, tiny_encoder())
    samples = speechlike(1.5).numpy()
    whole, pieces = stream(both, samples), stream(both, samples, [333])
    for name in FIELDS:
        np.testing.assert_array_equal(whole[name], pieces[name], err_msg=name)
    assert not np.allclose(whole["vertices"], stream(pipe, samples)["vertices"])


def test_other_sample_rates(pipe):
    import soxr

    samples = speechlike(2.0).numpy()
    high = soxr.resample(samples, 16000, 48000)
    a = stream(pipe, samples, emotion="calm")
    b = stream(pipe, high, [1000], emotion="calm", sample_rate=48000)
    assert len(a["vertices"]) == len(b["vertices"])
    assert np.abs(a["vertices"] - b["vertices"]).mean() < 0.2 * np.abs(a["vertices"] - a["vertices"].mean(0)).mean()


def test_wrong_use_is_one_sentence(pipe):
    streamer = EmoFaceStreamer(pipe)
    for bad in (np.zeros((10, 2), np.float32), np.zeros(10, np.int16), np.array([0.0, np.nan])):
        with pytest.raises(AudioError):
            streamer.feed(bad)
    assert streamer.feed(np.zeros(0, np.float32)) is None
    assert streamer.finish() is None
    with pytest.raises(EmoFaceError, match="finished"):
        streamer.feed(np.zeros(10, np.float32))
    with pytest.raises(EmoFaceError, match="finished"):
        streamer.finish()
    with pytest.raises(EmoFaceError, match="0.02"):
        Windows(hop=0.03)
    with pytest.raises(EmoFaceError, match="bored"):
        EmoFaceStreamer(pipe, emotion="bored")


@pytest.mark.parametrize("fps", [25, 30])
def test_mesh_clock_equals_resampling_at_once(fps):
    from emoface.encoders import resample_frames

    states = torch.randn(2, 217, 3)
    frames = -(-217 * fps // 50)
    clock = MeshClock(fps)
    parts = [clock.feed(part) for part in states.split(7, dim=1)] + [clock.feed(None, frames=frames)]
    joined = torch.cat([part for part in parts if part is not None], dim=1)
    torch.testing.assert_close(joined, resample_frames(states, frames, fps))


@pytest.mark.parametrize("second_layer", ["pointwise", "spiral"])
@torch.no_grad()
def test_generation_in_pieces_equals_all_at_once(second_layer):
    model = tiny_model(second_layer=second_layer)
    torch.manual_seed(1)
    content, emotion = torch.randn(2, 60, 48), torch.randn(2, 60, 48)
    options = {"style": torch.eye(2), "level": torch.eye(2)}
    [whole] = model.generate(content, emotion, chunk=60, **options)
    generation = Generation(model, **options)
    parts = [generation.feed(*pair) for pair in zip(content.split([1, 2, 30, 27], 1), emotion.split([1, 2, 30, 27], 1))]
    assert [part.start for part in parts] == [0, 1, 3, 33]
    for name in ("fused_offsets", "content_offsets", "emotion_offsets", "weight"):
        joined = torch.cat([getattr(part, name) for part in parts], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-5, rtol=1e-5)
