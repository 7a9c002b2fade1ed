"""What a recording is, and how one file becomes one, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..conditioning import HighPass, block_levels, speech_level
from ..errors import AudioError
from .decode import decode
from .mix import to_mono
from .source import opened, printable
from .speech import speech_seconds
from .timeline import SAMPLE_RATE, Timeline

MIN_SECONDS = 0.1
# -80 dBFS: below what any microphone picks up in a quiet room, above the dither of 16-bit files.
_SILENCE = 1e-4
# Speech peaks at less than ten times the RMS of its loud 20 ms blocks.
_CREST = 10.0
_LITTLE_SPEECH = 0.3
_ADVICE = "use a sound file (wav, mp3, flac, ogg, opus, m4a) or a video with sound (mp4, mov, mkv, webm)"


@dataclass(frozen=True)
class Audio:
    """Speech, as it is played back and stored. (:mod:`emoface.conditioning` is what the encoder makes of it.)"""

    samples: np.ndarray
    """(n,) float32 mono in [-1, 1]."""
    sample_rate: int = SAMPLE_RATE
    name: str = "audio"
    """The file's name, for messages and titles."""
    damaged_seconds: float = 0.0
    """So much of the recording was damaged or missing, and is silent here."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def notes(self) -> list[str]:
        """Sentences about the recording that its owner should read."""
        notes = []
        if self.damaged_seconds:
            notes.append(f"{max(self.damaged_seconds, 0.01):.2f} s of {self.name} was damaged or missing and is silent.")
        if speech_seconds(self.samples) < _LITTLE_SPEECH:
            notes.append(f"{self.name} holds hardly any speech: the face will show little.")
        return notes


def read_file(path: Path, max_seconds: float) -> Audio:
    """As :func:`emoface.audio.load_audio` for a path."""
    name = printable(path)
    problem: AudioError | None = None
    with opened(path) as file:
        for timeline in decode(file, name, max_seconds=max_seconds):
            if timeline.damaged > 0.5 * timeline.seconds:
                continue  # not sound, but noise that looks like a packet here and there
            try:
                return finished(timeline, name)
            except _Silent as error:
                problem = problem or error
    raise problem or AudioError(f"{name} is not audio that can be read, or is damaged: {_ADVICE}.")


class _Silent(AudioError):
    """Nothing can be heard; another track may have sound."""


def finished(timeline: Timeline, name: str) -> Audio:
    """Mix, check and bring into [-1, 1]."""
    if not timeline.segments:
        raise _Silent(f"{name} has no sound in it: record or export it again.")
    samples = np.concatenate([to_mono(segment) for segment in timeline.segments])
    if len(samples) < MIN_SECONDS * SAMPLE_RATE:
        raise AudioError(f"{name} is only {len(samples) / SAMPLE_RATE:.2f} s long: record or choose at least {MIN_SECONDS} s.")
    filtered = HighPass().feed(samples)
    if float(np.abs(filtered).max()) < _SILENCE:
        raise _Silent(f"{name} is silent: check the microphone or choose another recording.")
    return Audio(_in_range(samples, speech_level(block_levels(filtered))), SAMPLE_RATE, name, timeline.damaged)


def _in_range(samples: np.ndarray, level: float) -> np.ndarray:
    """Scale what exceeds [-1, 1] down to peak 1; single absurd samples are limited before, or nothing else were left."""
    peak = float(np.abs(samples).max())
    if peak <= 1:
        return samples
    if level > 0:
        samples = samples.clip(-_CREST * level, _CREST * level)
        peak = max(float(np.abs(samples).max()), 1.0)
    return samples / np.float32(peak)
