"""Decoded blocks on one clock: each is brought to 16 kHz by its own rate, and time that was lost stays as silence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import soxr

from ..errors import AudioError, TooLong

SAMPLE_RATE = 16000
# Speech needs the band up to 2 kHz at the least.
MIN_RATE, MAX_RATE = 4000, 768_000
MAX_CHANNELS = 16
"""All channels are held until it is known which of them speak: 123 MB for two minutes of so many."""
# More samples per second than any recorder of speech writes; decoding them would take longer than the work itself.
MAX_SAMPLES_PER_SECOND = 6_200_000
_LONG_REST = 0.5


def check_format(rate: float, channels: int, name: str) -> None:
    """Refuse rates and channel counts that no recording of speech has."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name} has a sample rate of {rate:g} Hz: export it with 8,000 to 192,000 Hz.")
    if channels > MAX_CHANNELS or channels * rate > MAX_SAMPLES_PER_SECOND:
        raise AudioError(f"{name} has {channels} channels at {rate:g} Hz: export it as mono or stereo.")


def check_length(seconds: float, max_seconds: float, name: str) -> None:
    """Refuse more than the limit, as soon as that much is decoded; what a header says of the length is not asked."""
    # A hair of tolerance: resampling and codecs' padding may add a few milliseconds to a clip of just the limit.
    if seconds > max_seconds + 0.1:
        raise TooLong(f"{name} is longer than the limit of {max_seconds:g} s: cut it into shorter pieces.")


@dataclass
class Segment:
    """Consecutive sound of one rate and one set of channels."""

    rate: float
    channels: int
    layout: str
    blocks: list[np.ndarray] = field(default_factory=list)
    """(n, channels) float32 at 16 kHz."""

    def __post_init__(self) -> None:
        self._resampler = self._new_resampler()

    def _new_resampler(self) -> soxr.ResampleStream | None:
        return None if self.rate == SAMPLE_RATE else soxr.ResampleStream(self.rate, SAMPLE_RATE, self.channels, dtype="float32")

    def add(self, block: np.ndarray, *, last: bool = False) -> None:
        """(n, channels) float32 at the segment's rate."""
        block = np.ascontiguousarray(block, dtype=np.float32)
        if self._resampler is not None:
            block = self._resampler.resample_chunk(block, last=last)
        if len(block):
            self.blocks.append(block)

    def rest(self, seconds: float) -> None:
        """Silence. A long one is not resampled: half a minute of many channels at a high rate would be gigabytes."""
        if seconds < _LONG_REST:
            return self.add(np.zeros((round(seconds * self.rate), self.channels), np.float32))
        self.close()
        self._resampler = self._new_resampler()
        self.blocks.append(np.zeros((round(seconds * SAMPLE_RATE), self.channels), np.float32))

    def close(self) -> None:
        """Fetch what the resampler still holds."""
        self.add(np.zeros((0, self.channels), np.float32), last=True)
        self._resampler = None


class Timeline:
    """What was decoded of one recording.

    Attributes:
        segments: the sound; a new one begins wherever rate, channels or layout change.
        seconds: decoded and silent time together. damaged: how many of them were lost.
    """

    def __init__(self, name: str, *, max_seconds: float):
        self.name, self._max_seconds = name, max_seconds
        self.segments: list[Segment] = []
        self.seconds = self.damaged = 0.0

    def add(self, block: np.ndarray, rate: float, *, layout: str = "") -> None:
        """(n, channels) float32 samples at ``rate``, right after what came before.

        Raises:
            TooLong: in total. AudioError: not numbers.
        """
        if not len(block):
            return
        if not np.isfinite(block).all():
            raise AudioError(f"{self.name} contains values that are not numbers (NaN or infinite): export it again.")
        channels = block.shape[1]
        if not self._fits(rate, channels, layout):
            check_format(rate, channels, self.name)
            self.close()
            self.segments.append(Segment(rate, channels, layout))
        self.segments[-1].add(block)
        self._pass(len(block) / rate)

    def _fits(self, rate: float, channels: int, layout: str) -> bool:
        return bool(self.segments) and (self.segments[-1].rate, self.segments[-1].channels, self.segments[-1].layout) == (rate, channels, layout)

    def lose(self, seconds: float) -> None:
        """``seconds`` are damaged or missing here: they are silent, so that what follows keeps its time."""
        if not self.segments or seconds <= 0:
            return  # nothing before it could get out of step with what follows
        self.damaged += seconds
        self._pass(seconds)
        self.segments[-1].rest(seconds)

    def close(self) -> None:
        """Fetch what the last resampler still holds."""
        if self.segments:
            self.segments[-1].close()

    def check_room(self, seconds: float) -> None:
        """Raises TooLong if so much more is too long."""
        check_length(self.seconds + seconds, self._max_seconds, self.name)

    def _pass(self, seconds: float) -> None:
        self.check_room(seconds)
        self.seconds += seconds
