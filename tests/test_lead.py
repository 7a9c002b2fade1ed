"""Silence before the first sound changes nothing but when the face begins."""

import numpy as np
import pytest
import torch

from emoface import EmoFacePipeline
from emoface.lead import Lead, approaching

from .test_encoders import speechlike
from .tiny_model import save_tiny_model


def test_the_first_sound_is_found_and_frames_keep_their_times():
    samples = speechlike(1.0).numpy()
    for before in (0, 1, 1600, 8000, 8123):
        for gain, offset in ((1.0, 0.0), (0.01, 0.1)):
            lead = Lead.of(gain * np.concatenate([np.zeros(before), samples]) + offset, fps=30, rate=16000)
            assert abs(lead.samples - before) < 3
            assert lead.frames == round(lead.samples * 30 / 16000)
            assert lead.late == pytest.approx(lead.frames / 30 - lead.samples / 16000) and abs(lead.late) <= 1 / 60
    assert Lead.of(np.zeros(1000), fps=30, rate=16000) == Lead(), "nothing but silence"
    click = np.append(np.zeros(15999), 1.0)
    assert Lead.of(click, fps=30, rate=16000).frames == 29, "a frame is left for what is heard"


def test_silence_goes_over_into_speech_without_a_step():
    whole = approaching(torch.zeros(1, 20, 2), torch.ones(1, 9, 2))[0]
    assert whole.shape == (26, 2) and not whole[:14].any() and (whole[20:] == 1).all()
    assert np.diff(whole[:, 0]).min() >= 0 and np.diff(whole[:, 0]).max() < 0.25
    assert approaching(torch.zeros(1, 1, 2), torch.ones(1, 3, 2)).shape == (1, 4, 2)


@pytest.fixture(scope="module")
def pipe(tmp_path_factory) -> EmoFacePipeline:
    return EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")), device="cpu")


CURVE = [[0.6, {"happy": 0.0}], [1.0, {"happy": 1.0}]]


@pytest.mark.parametrize("options", [{}, {"emotion": "happy", "intensity": 1.3}, {"emotion": CURVE}], ids=["speech", "intensity", "curve"])
def test_frames_are_those_of_the_recording_without_the_silence(pipe, options):
    samples = speechlike(1.5).numpy()
    later = np.concatenate([np.zeros(8000, np.float32), samples])
    early = dict(options)
    if options.get("emotion") is CURVE:
        early["emotion"] = [[time - 0.5, felt] for time, felt in CURVE]
    clean, shifted = pipe((samples, 16000), **early), pipe((later, 16000), **options)
    assert shifted.frame_count == clean.frame_count + 15 and len(shifted.audio) == len(later)
    np.testing.assert_allclose(shifted.vertices[15:], clean.vertices, atol=1e-6)
    np.testing.assert_allclose(shifted.emotion_track[15:], clean.emotion_track, atol=1e-5)
    np.testing.assert_allclose(shifted.emotion_probabilities, clean.emotion_probabilities, atol=1e-5)
    np.testing.assert_allclose(pipe.recognise((later, 16000)), pipe.recognise((samples, 16000)), atol=1e-5)


def test_a_shift_by_any_time_is_the_same_features_at_other_moments(pipe):
    samples = speechlike(1.5).numpy()
    audio = [pipe.load((np.concatenate([np.zeros(before, np.float32), samples]), 16000)) for before in (0, 8000 + 250)]
    (clean, _), (shifted, _) = (pipe.encode(each) for each in audio)
    late = pipe.lead(audio[1]).late - pipe.lead(audio[0]).late
    assert -0.02 < late < -0.01
    between = torch.lerp(clean[:, 1:], clean[:, :-1], -late * 30)
    shifted = shifted[:, 1:]
    # Both lie on straight lines between the encoder's frames, but not between the same ones.
    assert (shifted[:, : between.shape[1]] - between).abs().mean() < 0.2 * (clean[:, 1:] - clean[:, :-1]).abs().mean()


def test_a_clip_that_does_not_start_at_rest_starts_where_it_starts(pipe):
    later = np.concatenate([np.zeros(8000, np.float32), speechlike(1.0).numpy()])
    offset = np.zeros((pipe.model.config.vertex_count, 3))
    begun, plain = pipe((later, 16000), initial_offset=offset), pipe((later, 16000))
    assert begun.frame_count == plain.frame_count and np.abs(begun.vertices - plain.vertices).max() > 1e-6
