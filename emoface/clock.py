"""The mesh's clock: how many frames a recording has, and tracks brought from one clock to another."""

from __future__ import annotations

import numpy as np


def frame_count(samples: int, rate: int, *, sample_rate: int = 16000) -> int:
    """Frames at ``rate`` per second that cover ``samples`` samples: ``ceil(rate * seconds)``, in exact integers."""
    return -(-samples * rate // sample_rate)


def interpolate(times: np.ndarray, known: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """Tracks (K,) or (K, C) with values at the increasing times ``known`` (K,), linearly at ``times`` (T,); the ends are held."""
    if tracks.ndim == 1:
        return np.interp(times, known, tracks)
    position = np.interp(times, known, np.arange(len(known)))
    left = position.astype(int)
    share = (position - left)[:, None]
    return tracks[left] * (1 - share) + tracks[np.minimum(left + 1, len(tracks) - 1)] * share
