"""Conditioning of a recording for the speech encoders: without offset and rumble, at one loudness.

Microphones differ in gain and in the constant voltage (DC) they add; neither depends on words or emotions, but
both reach the encoder's features. :func:`condition` takes them out before the encoder, for training features and for
inference alike (:meth:`SpeechEncoder.frame_features` calls it); :class:`StreamLevel` is the part of it that a stream can compute.
What is played back or stored is never changed here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import signal

_RATE = 16000
# A fourth-order Butterworth high-pass: -0.3 dB at 85 Hz, the deepest voices; -12 dB at 50 Hz, the mains' hum below.
_CUTOFF = 60.0
# Blocks of 20 ms, in which the level is measured, and the level that speech is brought to (RMS of its loud blocks).
BLOCK = 320
TARGET = 0.1
# A 20 ms block of speech peaks at 4 times its RMS; what exceeds the loud blocks' RMS tenfold is a click.
_LIMIT = 10.0 * TARGET
# A stream cannot tell a quiet voice from the noise before the first word: it makes nothing louder than by 30 dB more than
# speech at the target needs, and takes the level over the last half minute.
_LEAST_STREAM_LEVEL = TARGET * 10 ** (-30 / 20)
_STREAM_BLOCKS = 30 * _RATE // BLOCK


@lru_cache(maxsize=1)
def _high_pass() -> tuple[np.ndarray, np.ndarray]:
    """Second-order sections, and their state after a constant 1."""
    sections = signal.butter(4, _CUTOFF, "highpass", fs=_RATE, output="sos")
    return sections, signal.sosfilt_zi(sections)


class HighPass:
    """The high-pass over blocks of a signal. It starts as if the first sample had been there forever: a constant
    offset then leaves no trace at all, not even at the beginning."""

    def __init__(self) -> None:
        self._state: np.ndarray | None = None

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float samples at 16 kHz -> (n,) float64."""
        if not len(samples):
            return np.zeros(0)
        sections, state = _high_pass()
        if self._state is None:
            self._state = state * float(samples[0])
        filtered, self._state = signal.sosfilt(sections, np.asarray(samples, np.float64), zi=self._state)
        return filtered


def block_levels(samples: np.ndarray) -> np.ndarray:
    """(n,) samples -> RMS of every 20 ms, (ceil(n / 320),); the last block may be shorter."""
    starts = np.arange(0, len(samples), BLOCK)
    lengths = np.minimum(BLOCK, len(samples) - starts)
    return np.sqrt(np.add.reduceat(np.square(samples), starts) / lengths)


def speech_level(levels: np.ndarray) -> float:
    """The RMS that the loudest twentieth of the 20 ms blocks exceeds, but at most half a second of them.

    A percentile, so that a click or a slammed door does not count; limited in seconds, so that two words in minutes of
    silence do. 0 for silence. Scales exactly with the signal.
    """
    rank = min(len(levels) // 20, 25)
    return float(np.partition(levels, len(levels) - 1 - rank)[len(levels) - 1 - rank])


def at_level(samples: np.ndarray, level: float) -> np.ndarray:
    """Bring speech of :func:`speech_level` ``level`` to the level of the encoders' input; clicks are limited. float32."""
    if level <= 0:
        return np.zeros(len(samples), np.float32)
    return np.clip(samples * (TARGET / level), -_LIMIT, _LIMIT).astype(np.float32)


def condition(samples: np.ndarray) -> np.ndarray:
    """The encoder's input for a whole recording: (n,) float samples at 16 kHz, n > 0 -> (n,) float32.

    Frequencies below 60 Hz are gone, loud blocks of speech have an RMS of 0.1, clicks are limited to ten times that.
    ``condition(a * samples + b)`` equals ``condition(samples)`` for every gain a > 0 and offset b, up to rounding.
    """
    filtered = HighPass().feed(samples)
    level = speech_level(block_levels(filtered))
    if level < 1e-10 * np.abs(samples).max():  # a constant: what is left of it are rounding errors
        level = 0.0
    return at_level(filtered, level)


class StreamLevel:
    """:func:`speech_level` of the last half minute of a stream, for :func:`at_level`."""

    def __init__(self) -> None:
        self._levels = np.zeros(0)

    def feed(self, samples: np.ndarray) -> float:
        """Take the next samples (whole 20 ms blocks, but for the last piece); returns the level so far."""
        self._levels = np.concatenate([self._levels, block_levels(samples)])[-_STREAM_BLOCKS:]
        return max(speech_level(self._levels), _LEAST_STREAM_LEVEL)
