"""What the encoder hears does not depend on a microphone's gain, its offset or a click."""

import numpy as np
import pytest

from emoface.conditioning import BLOCK, TARGET, HighPass, StreamLevel, block_levels, condition, speech_level
from emoface.encoders import SAMPLE_RATE, SpeechEncoder
from emoface.pipeline import EmoFacePipeline
from emoface.ui.context import SPEECH_EXAMPLES

from .test_encoders import speechlike


def decibels(ratio: float) -> float:
    return 20 * np.log10(ratio)


@pytest.mark.parametrize("gain", [1e-3, 0.03162, 0.7, 25.0])
@pytest.mark.parametrize("offset", [0.0, 0.1, -3.0])
def test_gain_and_offset_leave_no_trace(gain, offset):
    speech = speechlike(2.0).numpy().astype(np.float64)
    np.testing.assert_allclose(condition(gain * speech + offset), condition(speech), atol=2e-6)


def test_features_are_those_of_any_gain_and_offset():
    encoder = SpeechEncoder.from_pretrained().freeze()
    speech = speechlike(2.0)
    plain = encoder.frame_features(speech)
    for changed in (0.02 * speech, 0.9 * speech + 0.1):
        features = encoder.frame_features(changed)
        assert (features - plain).abs().mean() < 2e-3 * plain.abs().mean()
    untouched = encoder.hidden_states(speech), encoder.hidden_states(0.02 * speech)
    assert (untouched[0] - untouched[1]).abs().mean() > 0.05 * untouched[0].abs().mean(), "the encoder itself hears the gain"


def test_low_frequencies_go_and_voices_stay():
    seconds = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    for hertz, least, most in ((5, -120, -60), (50, -14, -6), (90, -1, 0), (300, -0.1, 0.1)):
        tone = np.sin(2 * np.pi * hertz * seconds)
        change = decibels(np.std(HighPass().feed(tone)[SAMPLE_RATE:]) / np.std(tone))
        assert least < change <= most + 1e-6, f"{hertz} Hz: {change:.1f} dB"


def test_blocks_of_a_stream_are_filtered_as_the_whole():
    speech = speechlike(1.0).numpy()
    filter_ = HighPass()
    pieces = [filter_.feed(speech[a:b]) for a, b in ((0, 1), (1, 1), (1, 5003), (5003, len(speech)))]
    np.testing.assert_array_equal(np.concatenate(pieces), HighPass().feed(speech))


def test_level_is_that_of_the_loud_blocks():
    speech = np.full(SAMPLE_RATE, 0.3)
    assert speech_level(block_levels(speech)) == pytest.approx(0.3)
    heard = condition(speechlike(3.0).numpy())
    assert heard.dtype == np.float32
    assert speech_level(block_levels(heard.astype(np.float64))) == pytest.approx(TARGET, rel=1e-5)


def test_pauses_and_bangs_do_not_set_the_level():
    speech = speechlike(3.0).numpy()
    alone = condition(speech)
    with_pause = condition(np.concatenate([speech, np.zeros(60 * SAMPLE_RATE, np.float32)]))[: len(speech)]
    assert abs(decibels(np.std(with_pause) / np.std(alone))) < 2
    one_sample = speech.copy()
    one_sample[20000] = 3e4
    heard = condition(one_sample)
    assert np.abs(heard).max() <= 10 * TARGET
    away = np.abs(np.arange(len(speech)) - 20000) > 0.1 * SAMPLE_RATE
    assert np.corrcoef(heard[away], alone[away])[0, 1] > 0.999
    assert abs(decibels(np.std(heard[away]) / np.std(alone[away]))) < 1


def test_silence_stays_silent():
    assert not condition(np.zeros(1000)).any()
    assert not condition(np.full(1000, 0.25)).any()
    assert len(condition(np.ones(1))) == 1


def test_level_of_a_stream():
    speech = HighPass().feed(speechlike(4.0).numpy())
    level = StreamLevel()
    for start in range(0, len(speech), 10 * BLOCK):
        so_far = level.feed(speech[start : start + 10 * BLOCK])
    assert so_far == pytest.approx(speech_level(block_levels(speech)))
    assert StreamLevel().feed(np.full(SAMPLE_RATE, 1e-5)) == pytest.approx(TARGET * 10**-1.5)
    level.feed(np.full(SAMPLE_RATE, 0.9))
    assert level.feed(0.01 * np.ones(31 * SAMPLE_RATE)) == pytest.approx(0.01), "a shout is forgotten after half a minute"


def test_the_examples_of_the_page_are_heard_as_what_they_are_called():
    pipe = EmoFacePipeline.from_pretrained()
    called = {"Narrator": "neutral", "Angry": "angry", "Disgusted": "disgust", "Sad": "sad", "Fearful": "fearful"}
    heard = {example.label: pipe.recognise(example.path) for example in SPEECH_EXAMPLES}
    assert {label: pipe.model.config.emotion_names[p.argmax()] for label, p in heard.items()} == called
    assert min(p.max() for p in heard.values()) > 0.55
