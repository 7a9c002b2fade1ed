"""Rauch-Tung-Striebel smoothing of many noisy tracks at once, and resampling to the mesh clock."""

from __future__ import annotations

import numpy as np

from emoface.clock import interpolate

_F = np.array([[1.0, 1.0], [0.0, 1.0]])
_Q = np.array([[0.25, 0.5], [0.5, 1.0]])


def rts_smooth(tracks: np.ndarray, ratio: float) -> np.ndarray:
    """Kalman-smooth (T, ...) tracks with a constant-velocity model; no lag.

    ``ratio`` is process over measurement noise: 10 keeps bilabial closures, 3 suits brows. The covariances do not
    depend on the data, so they are shared by all tracks.
    """
    shape, z = tracks.shape, np.asarray(tracks, np.float64).reshape(len(tracks), -1)
    count = len(z)
    if count == 0:
        return np.array(tracks, np.float64)
    state = np.zeros((count, 2, z.shape[1]))
    predicted = np.zeros_like(state)
    cov, cov_predicted = np.zeros((count, 2, 2)), np.zeros((count, 2, 2))
    x, p = np.stack([z[0], np.zeros(z.shape[1])]), 10.0 * np.eye(2)
    for t in range(count):
        if t:
            x, p = _F @ x, _F @ p @ _F.T + ratio * _Q
        predicted[t], cov_predicted[t] = x, p
        gain = p[:, :1] / (p[0, 0] + 1.0)
        x, p = x + gain * (z[t] - x[0]), p - gain @ p[:1]
        state[t], cov[t] = x, p
    for t in range(count - 2, -1, -1):
        back = cov[t] @ _F.T @ np.linalg.inv(cov_predicted[t + 1])
        state[t] += back @ (state[t + 1] - predicted[t + 1])
    return state[:, 0].reshape(shape)


def fill_gaps(tracks: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Replace the frames of (T, C) where ``valid`` (T,) is false by linear interpolation; needs one valid frame."""
    if valid.all():
        return tracks
    t = np.arange(len(tracks))
    return interpolate(t, t[valid], tracks[valid])
