"""One entry of the corpus: audio, speech motion without emotion, and what is known about both."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from .channels import COUNT
from .coarticulation import Phone

TRACKS = ("loudness", "accent", "envelope", "activity", "closure", "measured", "measured_raw", "width", "width_raw")


@dataclass(frozen=True)
class Clip:
    """``T = ceil(30 * seconds)`` frames; frame t shows time t/30."""

    identity: str
    source: str
    """``grid``, ``ravdess``, ``ljspeech`` or ``tts``."""
    split: str
    """``train``; ``val`` (to choose by); ``test`` and ``test_others`` (to report on)."""
    speaker: str
    style: str
    motion: str
    """``real`` or ``modelled``: never mix the two in one number."""
    samples: np.ndarray
    """(n,) float32 mono."""
    sample_rate: int
    content: np.ndarray
    """(T, 52) ARKit weights of the speech alone."""
    loudness: np.ndarray
    accent: np.ndarray
    """(T,) stress of the voice in [0, 1], see ``emoface.prosody``; the modelled upper face follows it."""
    envelope: np.ndarray
    activity: np.ndarray
    closure: np.ndarray
    speech: tuple[float, float]
    measured: np.ndarray | None = None
    """(T,) measured aperture in mm, smoothed; None where motion is modelled."""
    measured_raw: np.ndarray | None = None
    width: np.ndarray | None = None
    """(T,) measured change of the mouth's width in mm of our head, smoothed; None where motion is modelled."""
    width_raw: np.ndarray | None = None
    target: np.ndarray = field(default_factory=lambda: np.zeros(COUNT))
    """(52,) expression of this clip."""
    emotion: str = "neutral"
    level: int = 0
    text: str = ""
    words: list[tuple[float, float, str]] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    copy_of: str | None = None
    changes: dict = field(default_factory=dict)
    """What augmentation did, for the record."""


def split_of(i: int) -> str:
    """Of ten clips in a row one is for choosing (``val``) and one for reporting (``test``)."""
    return {0: "test", 5: "val"}.get(i % 10, "train")


def read_audio(path: Path) -> tuple[np.ndarray, int]:
    """Mono float32 samples and their rate."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate
