"""Timing and dynamics of the lips and the upper face against values known beforehand."""

import numpy as np
import pytest

from emoface.metrics.timing import _warped, dynamics_ratio, loudness_coherence, temporal_misalignment

T = np.arange(90) / 30
LIPS = 4 + 3 * np.sin(2 * np.pi * 1.7 * T) + np.sin(2 * np.pi * 0.5 * T)


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_a_delay_is_measured_and_amplitude_does_not_matter(frames):
    late = np.concatenate([np.full(frames, LIPS[0]), LIPS])[:90]
    milliseconds, found = temporal_misalignment(late, LIPS)
    assert found > 0.85 and milliseconds == pytest.approx(1000 / 30 * frames, abs=8)
    assert temporal_misalignment(0.4 * late + 3, LIPS) == (milliseconds, found)


def test_a_still_or_slow_face_finds_nothing():
    milliseconds, found = temporal_misalignment(np.full(90, 2.0), LIPS)
    assert np.isnan(milliseconds) and found == 0
    assert temporal_misalignment(T, LIPS)[1] == 0  # a ramp never turns
    milliseconds, found = temporal_misalignment(LIPS, np.full(90, 2.0))
    assert np.isnan(milliseconds) and np.isnan(found)  # nothing is asked


def test_a_missing_syllable_lowers_the_share_alone():
    cut = LIPS.copy()
    cut[40:65] = np.linspace(cut[40], cut[65], 25)
    milliseconds, found = temporal_misalignment(cut, LIPS)
    assert found < 0.95 and milliseconds < 25


def test_warping_is_the_cheapest_path():
    a, b = np.array([0.0, 1, 0, 0, 0, 0]), np.array([0.0, 0, 0, 1, 0, 0])
    assert _warped(a, b)[3] == 1
    assert np.array_equal(_warped(a, a), np.arange(6))


def test_coherence_finds_the_lead_of_the_mouth():
    loudness = np.roll(LIPS, 2)  # the mouth is ahead
    assert loudness_coherence(LIPS, loudness) == pytest.approx(1, abs=1e-6)
    assert loudness_coherence(LIPS, np.roll(LIPS, 9)) < 0.5
    assert loudness_coherence(np.zeros(90), loudness) == 0


def test_dynamics_are_a_ratio_of_spreads():
    motion = np.random.default_rng(0).normal(size=(50, 4, 3))
    assert dynamics_ratio(motion, motion) == pytest.approx(1)
    assert dynamics_ratio(0.3 * motion + 5, motion) == pytest.approx(0.3)
    assert dynamics_ratio(0 * motion, motion) == 0 and np.isnan(dynamics_ratio(motion, 0 * motion))
