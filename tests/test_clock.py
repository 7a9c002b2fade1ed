"""The mesh's clock: frames that cover a recording, and tracks on another clock."""

import numpy as np
import pytest

from emoface.clock import frame_count, interpolate


@pytest.mark.parametrize(
    "samples, rate, frames",
    [(0, 16000, 0), (1, 16000, 1), (16000, 16000, 30), (16001, 16000, 31), (44100 * 7, 44100, 210), (44100 * 7 + 1, 44100, 211)],
)
def test_frames_cover_the_recording(samples, rate, frames):
    assert frame_count(samples, 30, sample_rate=rate) == frames


def test_tracks_are_read_between_their_times():
    known, tracks = np.array([0.0, 1.0, 1.0, 3.0]), np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0], [8.0, 5.0]])
    times = np.array([-1.0, 0.5, 1.0, 2.0, 9.0])
    expected = [0, 1, 4, 6, 8]  # ends are held, and at a jump the later value holds
    assert interpolate(times, known, tracks) == pytest.approx(np.stack([expected, np.full(5, 5.0)], 1))
    assert interpolate(times, known, tracks[:, 0]) == pytest.approx(expected)
