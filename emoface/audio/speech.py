"""Is it speech? A measure without a model, for a hint to the person and for the choice between channels.

What sets speech apart from tones, hum, noise and most music is that the *shape* of its spectrum changes from one moment
to the next, by 4 to 7 dB per band within 60 ms (RAVDESS, EmoDB, nEMO, GRID, LJSpeech: every recording above 3.7; tones,
chords, drums, noise below 2.5), and that its level goes up and down (by 8 dB and more; chords and drums 3).
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from ..conditioning import BLOCK, condition
from .timeline import SAMPLE_RATE

_BANDS = np.geomspace(200, 4000, 13)
_FLOOR_DB, _ACTIVE_DB = -40.0, -25.0
_LAG = 3  # blocks of 20 ms
_LEAST_CHANGE_DB = 3.0
_LEAST_SWING_DB = 5.0
_LEAST_SHARE = 0.25


def _band_levels(samples: np.ndarray) -> np.ndarray:
    """(n,) -> (12, blocks) dB, relative to the loud blocks' whole power, at least the floor."""
    conditioned = np.pad(condition(samples), BLOCK)
    frequencies, _, spectrum = signal.stft(conditioned, SAMPLE_RATE, nperseg=2 * BLOCK, noverlap=BLOCK, boundary=None, padded=False)
    power = np.square(np.abs(spectrum))
    bands = np.stack([power[(frequencies >= low) & (frequencies < high)].sum(0) for low, high in zip(_BANDS, _BANDS[1:])])
    whole = bands.sum(0)
    rank = min(len(whole) // 20, 25)
    loud = max(float(np.sort(whole)[len(whole) - 1 - rank]), 1e-30)
    return 10 * np.log10(np.maximum(bands / loud, 10 ** (_FLOOR_DB / 10)))


def speech_seconds(samples: np.ndarray) -> float:
    """How many seconds of (n,) samples at 16 kHz sound like speech: loud enough, and of changing spectrum."""
    levels = _band_levels(samples)
    active, changing = _active(levels), _changing(levels)
    return float((active & changing).sum()) * BLOCK / SAMPLE_RATE


def speech_signs(samples: np.ndarray) -> tuple[bool, bool]:
    """Whether (n,) samples at 16 kHz change like speech in a quarter of what is loud at least, and go up and down like speech.

    Both: speech. The first alone: speech in noise (below 10 dB), or dense music. Neither: tones, hum, noise, chords.
    """
    levels = _band_levels(samples)
    active = _active(levels)
    swing = 10 * np.log10((10 ** (levels / 10)).sum(0)).std()
    return bool(active.any() and (active & _changing(levels)).sum() > _LEAST_SHARE * active.sum()), bool(swing > _LEAST_SWING_DB)


def _active(levels: np.ndarray) -> np.ndarray:
    return 10 * np.log10((10 ** (levels / 10)).sum(0)) > _ACTIVE_DB


def _changing(levels: np.ndarray) -> np.ndarray:
    """(blocks,) whether the spectrum's shape changes as in speech, within half a second around each block."""
    shape = levels - levels.mean(0)
    active = _active(levels)
    if shape.shape[1] <= _LAG:
        return np.zeros(shape.shape[1], bool)
    change = np.abs(shape[:, _LAG:] - shape[:, :-_LAG]).mean(0)
    both = (active[_LAG:] & active[:-_LAG]).astype(float)
    window = np.ones(25)
    around = np.convolve(change * both, window, "same")[: len(both)] / np.maximum(np.convolve(both, window, "same")[: len(both)], 1)
    return np.pad(around > _LEAST_CHANGE_DB, (_LAG // 2, _LAG - _LAG // 2))
