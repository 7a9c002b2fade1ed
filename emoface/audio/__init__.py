"""Any recording a person may bring -> 16 kHz mono samples, or one sentence that says what is wrong with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..conditioning import HighPass, block_levels, speech_level
from ..errors import AudioError, EmoFaceError
from .decode import decode, to_float
from .mix import to_mono
from .source import opened, printable
from .speech import speech_seconds
from .timeline import SAMPLE_RATE, Timeline, check_format, check_length

__all__ = ["MAX_SECONDS", "MIN_SECONDS", "SAMPLE_RATE", "Audio", "load_audio", "longest_seconds"]

MAX_SECONDS = 120.0
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


def load_audio(source: Any, *, max_seconds: float = MAX_SECONDS) -> Audio:
    """Read to the end, check, mix to mono and resample to 16 kHz.

    Args:
        source: a path (wav, mp3, flac, ogg, opus, m4a, webm, the sound of a video, ...), also of a pipe; or
            ``(samples, rate)`` with (n,), (n, channels) or (channels, n) samples of any integer type (full scale) or
            float type (in [-1, 1]); or an :class:`Audio`, which is checked again.
        max_seconds: longer recordings are refused as soon as that much is decoded; headers are not believed.

    Returns:
        Audio at 16 kHz: of several tracks the one marked as default, or else the first with sound; of several channels
        the sum (:mod:`emoface.audio.mix`). Damaged parts are silent and counted. Float recordings that exceed [-1, 1]
        are scaled down to peak 1, single absurd samples limited before.

    Raises:
        AudioError: one sentence on what is wrong and what to do.
    """
    if isinstance(source, Audio):
        again = load_audio((source.samples, source.sample_rate), max_seconds=max_seconds)
        return replace(again, name=source.name, damaged_seconds=source.damaged_seconds)
    if isinstance(source, (str, os.PathLike)):
        return _load_file(Path(source), max_seconds)
    return _finished(_read_array(source, max_seconds), "The audio")


def longest_seconds(value: float | None = None) -> float:
    """The longest recording accepted: ``value``, or the environment's ``EMOFACE_MAX_SECONDS``, or 120 s.

    Raises:
        EmoFaceError: not a positive number.
    """
    stated = value if value is not None else os.environ.get("EMOFACE_MAX_SECONDS") or MAX_SECONDS
    try:
        seconds = float(stated)
    except (TypeError, ValueError):
        seconds = float("nan")
    if not 0 < seconds < float("inf"):
        what = "EMOFACE_MAX_SECONDS" if value is None else "The longest recording"
        raise EmoFaceError(f"{what} is {stated!r}: give a number of seconds, for example 120.")
    return seconds


def _load_file(path: Path, max_seconds: float) -> Audio:
    name = printable(path)
    problem: AudioError | None = None
    with opened(path) as file:
        for timeline in decode(file, name, max_seconds=max_seconds):
            if timeline.damaged > 0.5 * timeline.seconds:
                continue  # not sound, but noise that looks like a packet here and there
            try:
                return _finished(timeline, name)
            except _Silent as error:
                problem = problem or error
    raise problem or AudioError(f"{name} is not audio that can be read, or is damaged: {_ADVICE}.")


class _Silent(AudioError):
    """Nothing can be heard; another track may have sound."""


def _finished(timeline: Timeline, name: str) -> Audio:
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


def _read_array(source: Any, max_seconds: float) -> Timeline:
    """(samples, rate) -> its channels at 16 kHz."""
    name = "The audio"
    try:
        samples, rate = source
        rate = float(rate)
        samples = np.asarray(samples)
    except (TypeError, ValueError) as error:
        raise AudioError("Give the audio as a file path or as a pair (samples, sample rate).") from error
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf":
        raise AudioError(
            f"The audio has shape {samples.shape} and type {samples.dtype}: give one or two dimensions of integers or "
            "floats, and the pair as (samples, sample rate)."
        )
    if samples.size == 0:
        raise AudioError("The audio is empty: record or choose something to say.")
    if samples.ndim == 1:
        samples = samples[:, None]
    elif samples.shape[0] < samples.shape[1]:
        samples = samples.T
    check_format(rate, samples.shape[1], name)
    check_length(len(samples) / rate, max_seconds, name)
    timeline = Timeline(name, max_seconds=max_seconds)
    for start in range(0, len(samples), 1 << 16):  # so that a long recording needs no second copy in floats
        timeline.add(to_float(samples[start : start + (1 << 16)]), rate)
    timeline.close()
    return timeline
