"""Any recording a person may bring -> 16 kHz mono samples, or one sentence that says what is wrong with it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AudioError, EmoFaceError
from .apart import Readers
from .decode import to_float
from .recording import Audio, finished, read_file
from .timeline import SAMPLE_RATE, Timeline, check_format, check_length

__all__ = ["MAX_SECONDS", "SAMPLE_RATE", "Audio", "decode_apart", "load_audio", "longest_seconds"]

MAX_SECONDS = 120.0

_readers: Readers | None = None


def decode_apart() -> None:
    """From now on this program decodes files in processes of their own (:mod:`emoface.audio.apart`): for servers, which strangers send files to."""
    global _readers
    _readers = _readers or Readers()


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
        path = Path(source)
        return _readers.read(path, max_seconds) if _readers is not None and path.is_file() else read_file(path, max_seconds)
    return finished(_read_array(source, max_seconds), "The audio")


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
