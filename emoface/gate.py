"""Whether somebody is speaking right now, from the level alone: a stream's face rests while nobody is."""

from __future__ import annotations

import numpy as np

from .conditioning import BLOCK, HighPass, block_levels

_RATE = 16000
_QUIETEST_DB = -50.0  # RMS of a 20 ms block below full scale that counts as speech in a silent room
_ABOVE_DB = 12.0  # speech is louder than the room by this much
_RISE_DB = 3.0 * BLOCK / _RATE  # the room's level is the lowest so far, which rises by 3 dB a second
_HOLD = 0.3  # seconds that are no pause yet, between two words


class SpeechGate:
    """Samples at 16 kHz in, per mesh frame whether somebody speaks (or did so 0.3 s ago) out; any cut gives the same."""

    def __init__(self, fps: int):
        self._fps, self._high_pass = fps, HighPass()
        self._samples = np.zeros(0)
        self._room, self._silent = _QUIETEST_DB, np.inf
        self._open = np.zeros(0, bool)  # of the 20 ms blocks from ``_first`` on
        self._first, self._taken = 0, 0

    def feed(self, samples: np.ndarray) -> None:
        self._samples = np.concatenate([self._samples, self._high_pass.feed(samples)])
        whole = len(self._samples) // BLOCK * BLOCK
        if not whole:
            return
        levels = 20 * np.log10(block_levels(self._samples[:whole]) + 1e-9)
        self._samples = self._samples[whole:]
        self._open = np.concatenate([self._open, [self._speaks(level) for level in levels]])

    def _speaks(self, level: float) -> bool:
        self._room = min(self._room + _RISE_DB, level)
        loud = level > max(self._room + _ABOVE_DB, _QUIETEST_DB)
        self._silent = 0.0 if loud else self._silent + BLOCK / _RATE
        return self._silent < _HOLD

    def take(self, count: int) -> np.ndarray:
        """(count,) bool of the next mesh frames; where a recording ends within a block, that of the block before."""
        if not len(self._open):
            self._taken += count
            return np.zeros(count, bool)
        blocks = (self._taken + np.arange(count)) * (_RATE // BLOCK) // self._fps
        taken = self._open[np.minimum(blocks - self._first, len(self._open) - 1)]
        self._taken += count
        gone = min(max(self._taken * (_RATE // BLOCK) // self._fps - 1 - self._first, 0), len(self._open) - 1)
        self._open, self._first = self._open[gone:], self._first + gone
        return taken
