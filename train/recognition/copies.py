"""Altered copies of a labelled recording: another voice of sorts, other company, another room, microphone and line. The label stays."""

from __future__ import annotations

import zlib

import numpy as np

from train import sound

from .recordings import Recording

PITCHES, TEMPOS = (0.85, 1.2), (0.88, 1.14)


def cropped(samples: np.ndarray, before: float, after: float) -> np.ndarray:
    """With at most so many seconds of quiet before and after the voice (half of RAVDESS is silence)."""
    loud = np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())
    first = max(loud[0] - int(before * sound.RATE), 0)
    return samples[first : loud[-1] + int(after * sound.RATE)]


def altered(recording: Recording, copy: int, voices: list[Recording]) -> np.ndarray:
    """Copy number ``copy`` (1, 2, ...) of a recording, always the same; ``voices`` lend their speech for babble."""
    rng = np.random.default_rng([copy, zlib.crc32(recording.identity.encode())])
    samples = cropped(recording.samples(), *rng.uniform(0.1, 0.8, 2))
    if rng.random() < 0.6:
        samples = sound.revoiced(samples, pitch=float(np.exp(rng.uniform(*np.log(PITCHES)))), tempo=float(np.exp(rng.uniform(*np.log(TEMPOS)))))
    samples = np.asarray(samples, np.float64)
    if rng.random() < 0.5:
        samples = sound.tilted(samples, rng.uniform(-4, 4))
    if rng.random() < 0.4:
        samples = sound.reverberant(samples, decay_s=rng.uniform(0.15, 0.8), wet=rng.uniform(0.1, 0.8), rng=rng)
    samples = _in_company(samples, voices, rng)
    if rng.random() < 0.15:
        samples = sound.mixed(samples, sound.hum(len(samples), rng), rng.uniform(0, 30))
    return _on_the_line(samples, rng).astype(np.float32)


def _in_company(samples: np.ndarray, voices: list[Recording], rng: np.random.Generator) -> np.ndarray:
    """Babble, music, noise, or nothing."""
    kind = rng.choice(["babble", "music", "noise", "quiet"], p=[0.3, 0.12, 0.38, 0.2])
    if kind == "babble":
        others = [voices[i].samples() for i in rng.integers(len(voices), size=int(rng.integers(3, 8)))]
        return sound.mixed(samples, sound.babble(others, len(samples), rng), rng.uniform(3, 28))
    if kind == "music":
        return sound.mixed(samples, sound.music(len(samples), rng), rng.uniform(3, 28))
    if kind == "noise":
        return sound.mixed(samples, sound.noise(len(samples), rng.uniform(0, 2), rng), rng.uniform(3, 45))
    return samples


def _on_the_line(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A telephone, a codec at a low rate, and the level and offset at which it was stored in 16 bits."""
    kind = rng.choice(["phone", "mp3", "opus", "none"], p=[0.15, 0.1, 0.1, 0.65])
    if kind == "phone":
        samples = sound.band(samples, 300, 3400)
    if kind in ("mp3", "opus"):
        samples = sound.coded(samples, kind, int(rng.choice([12000, 16000, 24000, 32000])))
    peak = 10 ** (rng.uniform(-40, -1) / 20)
    samples = samples * (peak / max(np.abs(samples).max(), 1e-9))
    offset = rng.uniform(-0.1, 0.1) if rng.random() < 0.2 else 0.0
    return np.round(np.clip(samples + offset, -1, 1) * 32767) / 32767
