"""Loudness, pitch and accents: what a stream can know, independent of gain."""

import numpy as np
import pytest

from emoface.audio import load_audio
from emoface.prosody import HOP, PROSODY, RATE, ProsodyStream, prosody

ACCENT, ENERGY, PITCH = (PROSODY.index(name) for name in ("accent", "energy", "pitch"))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio("assets/examples/narrator.wav").samples


@pytest.mark.parametrize("piece", [100, 777, 16000])
def test_a_stream_gives_the_same_numbers(speech, piece):
    stream, parts = ProsodyStream(), []
    for start in range(0, len(speech), piece):
        parts.append(stream.feed(speech[start : start + piece], last=start + piece >= len(speech)))
    whole = prosody(speech)
    assert len(whole) == -(-len(speech) // HOP)
    assert np.allclose(np.concatenate(parts), whole, atol=1e-5)


def test_gain_and_offset_change_nothing(speech):
    assert np.allclose(prosody(0.03 * speech + 0.2), prosody(speech), atol=1e-3)


def test_silence_and_noise_have_no_accent():
    noise = 1e-3 * np.random.default_rng(0).standard_normal(3 * RATE)
    assert prosody(np.zeros(RATE))[:, ACCENT].max() == 0
    assert prosody(noise)[:, ACCENT].mean() < 0.05


def test_a_raised_and_louder_syllable_is_an_accent():
    t = np.arange(3 * RATE) / RATE
    raised = (t > 1.4) & (t < 1.7)
    frequency = np.where(raised, 190.0, 150.0)
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 8)) * np.where(raised, 0.3, 0.1)
    track = prosody(voice)
    at = lambda seconds: track[round(seconds * 50)]
    assert at(1.6)[ACCENT] > 0.8 and at(1.6)[PITCH] > 0.4 and at(1.6)[ENERGY] > 0.9
    assert at(1.2)[ACCENT] < at(1.6)[ACCENT] - 0.2 and at(2.6)[ACCENT] < at(1.6)[ACCENT] - 0.2


def test_accents_move_within_real_speech(speech):
    accent = prosody(speech)[:, ACCENT]
    assert np.percentile(accent, 95) - np.percentile(accent, 5) > 0.5
