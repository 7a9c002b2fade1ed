"""Timing and dynamics: do the lips turn when the speaker's do, do they follow the voice, does the upper face live?"""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

from . import pearson

BAND = 10
"""Frames by which derivative time warping may bend time."""
REACH = 3
"""Frames around the warped place within which a turning point must lie to be the same one."""


def temporal_misalignment(predicted_mm: np.ndarray, true_mm: np.ndarray, *, fps: float = 30.0, prominence_mm: float = 1.0) -> tuple[float, float]:
    """How far in time the turning points of two lip apertures (T,) lie apart: (mean of the absolute differences in ms, share found).

    After "mean temporal misalignment" (Lee et al., CVPR 2025, arXiv 2503.20308), with our choices: the two tracks are aligned by derivative
    dynamic time warping (Keogh and Pazzani, 2001; derivatives over their standard deviation, at most :data:`BAND` frames apart). Each
    maximum and minimum of the truth that stands out by ``prominence_mm`` is looked for within :data:`REACH` frames of the place that the
    warping gives it, among the prediction's turning points of the same kind (a quarter of that prominence is enough: an amplitude that is
    too small is not a fault in time). Those that are not found have no difference: read the share beside it. Nothing found: nan.
    """
    count = min(len(predicted_mm), len(true_mm))
    predicted, true = np.asarray(predicted_mm, float)[:count], np.asarray(true_mm, float)[:count]
    wanted = [(t, sign) for sign in (1, -1) for t in find_peaks(sign * true, prominence=prominence_mm)[0]]
    if not wanted or count < 3 or predicted.std() < 1e-9:
        return float("nan"), 0.0 if wanted else float("nan")
    places = _warped(_derivative(predicted), _derivative(true))
    turns = {sign: find_peaks(sign * predicted, prominence=prominence_mm / 4)[0] for sign in (1, -1)}
    found = []
    for t, sign in wanted:
        near = [turn for turn in turns[sign] if abs(turn - places[t]) <= REACH]
        if near:
            found.append(abs(min(near, key=lambda turn: abs(turn - places[t])) - t))
    return (1000 / fps * float(np.mean(found)) if found else float("nan")), len(found) / len(wanted)


def _derivative(track: np.ndarray) -> np.ndarray:
    """Keogh and Pazzani's estimate, over its standard deviation."""
    slope = np.gradient(track)
    slope[1:-1] = ((track[1:-1] - track[:-2]) + (track[2:] - track[:-2]) / 2) / 2
    return slope / max(slope.std(), 1e-9)


def _warped(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """For each frame of ``b`` the mean of the frames of ``a`` that dynamic time warping lays on it."""
    count = len(b)
    cost = np.full((count + 1, count + 1), np.inf)
    cost[0, 0] = 0
    for i in range(1, count + 1):
        low, high = max(1, i - BAND), min(count, i + BAND)
        local = (a[i - 1] - b[low - 1 : high]) ** 2
        for j in range(low, high + 1):
            cost[i, j] = local[j - low] + min(cost[i - 1, j - 1], cost[i - 1, j], cost[i, j - 1])
    total, hits = np.zeros(count), np.zeros(count)
    i = j = count
    while i > 0:
        total[j - 1] += i - 1
        hits[j - 1] += 1
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda at: cost[at])
    return total / hits


def loudness_coherence(aperture_mm: np.ndarray, loudness: np.ndarray, *, most: int = 3) -> float:
    """Highest Pearson r of the lip aperture (T,) and the loudness of the voice (T,) over shifts of up to ``most`` frames.

    Needs no trained network, unlike SyncNet's confidence: in natural speech the mouth's opening follows the sound's envelope (Chandrasekaran
    et al., PLoS Computational Biology 2009; r about .5, and the mouth is ahead by some 100 ms). Read it beside the speaker's own value: more is
    not better. A face that does not move scores 0.
    """
    count = min(len(aperture_mm), len(loudness))
    inside = np.asarray(loudness, float)[most : count - most]
    return max(pearson(np.asarray(aperture_mm, float)[most + k : count - most + k], inside) for k in range(-most, most + 1))


def dynamics_ratio(predicted: np.ndarray, truth: np.ndarray) -> float:
    """How much a region moves against how much it should: offsets (T, N, 3) each, mean over vertices of the standard deviation in time, as a ratio.

    1 is right. Unlike the FDD it has no unit, does not cancel, and tells a still face (0) from a shaking one (above 1). nan: the truth is still.
    """
    spread = [np.sqrt(np.var(motion, axis=0).sum(-1)).mean() for motion in (predicted, truth)]
    return float(spread[0] / spread[1]) if spread[1] > 1e-9 else float("nan")
