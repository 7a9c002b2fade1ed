"""Of several channels everybody who speaks is heard, and nothing else wins."""

import numpy as np
import pytest

from emoface.audio import load_audio
from emoface.audio.speech import speech_seconds, speech_signs

from .recordings import narrator

RATE = 16000


def mixed(*channels) -> np.ndarray:
    return load_audio((np.stack(channels, 1), RATE)).samples


def match(heard: np.ndarray, clean: np.ndarray) -> float:
    return float(np.corrcoef(heard[: len(clean)], clean)[0, 1])


def chords() -> np.ndarray:
    t = np.arange(len(narrator())) / RATE
    roots = np.array([110, 131, 165, 147])[(t * 2).astype(int) % 4]
    return 0.1 * sum(np.sin(2 * np.pi * np.cumsum(roots * k) / RATE) / k for k in (1, 2, 3, 4))


def test_both_people_of_a_call():
    """One person per channel, one after the other, 20 dB apart: the softer one is not weakened further, but raised."""
    speech, rest = 0.5 * narrator(), np.zeros(len(narrator()))
    heard = mixed(np.concatenate([speech, rest]), 0.1 * np.concatenate([rest, speech]))
    first, second = heard[: len(speech)], heard[len(speech) :]
    assert match(first, speech) > 0.99 and match(second, speech) > 0.99
    assert 20 * np.log10(np.std(first) / np.std(second)) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("decibels", [-10, 0, 20])
def test_music_or_noise_on_one_side_does_not_win(decibels):
    speech = 0.1 * narrator()
    for other in (chords(), np.random.default_rng(0).standard_normal(len(speech))):
        other = other / np.std(other) * np.std(speech) * 10 ** (decibels / 20)
        assert match(mixed(other, speech), speech) > 0.99


@pytest.mark.parametrize("channel", range(6))
def test_a_voice_on_any_of_six(channel):
    channels = 1e-4 * np.random.default_rng(0).standard_normal((6, len(narrator())))
    channels[channel] += 0.5 * narrator()
    heard = mixed(*channels)
    assert match(heard, narrator()) > 0.99 and np.std(heard) == pytest.approx(0.5 * np.std(narrator()), rel=0.05)


def test_flipped_channels_and_offsets_do_not_cancel():
    speech = 0.5 * narrator()
    for other in (-speech, 0.2 - 0.6 * speech, 0 * speech):
        heard = mixed(speech, other)
        assert abs(match(heard, speech)) > 0.99 and np.std(heard) == pytest.approx(np.std(speech), rel=0.05)


def test_one_absurd_sample_does_not_kill_the_voice():
    speech = narrator().copy()
    speech[20000] = 3e4
    heard = load_audio((speech, RATE)).samples
    assert np.abs(heard).max() <= 1
    others = np.arange(len(speech)) != 20000
    assert np.std(heard[others]) > 0.05 and np.corrcoef(heard[others], narrator()[others])[0, 1] > 0.999


def test_hardly_any_speech_is_said():
    t = np.arange(3 * RATE) / RATE
    rng = np.random.default_rng(0)
    beeps = np.sin(2 * np.pi * 440 * t) * (np.sin(2 * np.pi * 2 * t) > 0)
    for sound in (np.sin(2 * np.pi * 440 * t), beeps, rng.standard_normal(len(t)), chords(), narrator()[8000:11200]):
        assert load_audio((0.1 * sound, RATE)).notes == ["The audio holds hardly any speech: the face will show little."]
        assert not all(speech_signs(sound))
    assert not load_audio((narrator(), RATE)).notes
    noisy = narrator() + rng.standard_normal(len(narrator())) * np.std(narrator()) * 10**-0.5
    assert speech_seconds(noisy) > 0.8, "speech in noise of -10 dB is speech"
