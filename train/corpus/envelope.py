"""Loudness, speech activity and the emotion's course over a clip, on the mesh clock."""

from __future__ import annotations

import numpy as np

from emoface.prosody import HOP, PROSODY, RATE, prosody

from .channels import FPS


def energy_db(samples: np.ndarray, sample_rate: int, count: int, fps: float = FPS) -> np.ndarray:
    """(T,) mean power in dB of the 1/30 s around each frame's time t/30."""
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centre = np.arange(count) / fps * sample_rate
    low = np.clip(np.round(centre - sample_rate / fps / 2), 0, len(samples)).astype(int)
    high = np.clip(np.round(centre + sample_rate / fps / 2), 0, len(samples)).astype(int)
    return 10 * np.log10((power[high] - power[low]) / np.maximum(high - low, 1) + 1e-10)


def speech_interval(samples: np.ndarray, sample_rate: int) -> tuple[float, float]:
    """Start and end of speech in seconds by energy: 12 dB over the noise floor and at most 26 dB under the peak.

    Pauses under 250 ms are closed, and segments with less than 6 % of the strongest one's energy (breaths, clicks) are
    dropped.
    """
    count = max(int(len(samples) / sample_rate * 100), 1)
    db = energy_db(samples, sample_rate, count, fps=100.0)
    loud = np.flatnonzero(db > max(np.percentile(db, 5) + 12, db.max() - 26))
    if len(loud) == 0:
        return 0.0, len(samples) / sample_rate
    segments = np.split(loud, np.flatnonzero(np.diff(loud) > 25) + 1)
    energy = np.array([np.sum(10 ** (db[s] / 10)) for s in segments])
    kept = [s for s, e in zip(segments, energy) if e >= 0.06 * energy.max()]
    return float(kept[0][0] / 100), float((kept[-1][-1] + 1) / 100)


def speech_activity(count: int, speech: tuple[float, float], margin: float = 0.1, ramp: float = 0.3) -> np.ndarray:
    """(T,) 1 from ``margin`` s before the speech to ``margin`` s after it, with smooth ramps of ``ramp`` s outside."""
    t = np.arange(count) / FPS
    before = np.clip((t - (speech[0] - margin - ramp)) / ramp, 0, 1)
    after = np.clip(((speech[1] + margin + ramp) - t) / ramp, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(before, after))


def loudness_track(samples: np.ndarray, sample_rate: int, count: int, speech: tuple[float, float]) -> np.ndarray:
    """(T,) loudness in [0, 1] relative to the clip: attack 120 ms, release 450 ms, 80 ms ahead of the voice."""
    t = np.arange(count) / FPS
    inside = (t >= speech[0]) & (t <= speech[1])
    db = energy_db(samples, sample_rate, count)
    low, high = np.percentile(db[inside], [20, 95]) if inside.any() else (db.min(), db.max())
    raw = np.clip((db - low) / max(high - low, 6.0), 0, 1) * inside
    attack, release = 1 - np.exp(-1 / (FPS * 0.12)), 1 - np.exp(-1 / (FPS * 0.45))
    out = np.zeros(count)
    for i in range(1, count):
        out[i] = out[i - 1] + (attack if raw[i] > out[i - 1] else release) * (raw[i] - out[i - 1])
    ahead = int(round(0.08 * FPS))
    out = np.concatenate([out[ahead:], np.repeat(out[-1:], min(ahead, count))])[:count]
    return out / max(out.max(), 1e-6)


def accent_track(samples: np.ndarray, sample_rate: int, count: int) -> np.ndarray:
    """(T,) stress of the voice in [0, 1], see ``emoface.prosody``."""
    if sample_rate != RATE:
        raise ValueError(f"The corpus is at {RATE} Hz, not {sample_rate}.")
    track = prosody(samples)[:, PROSODY.index("accent")]
    return np.interp(np.arange(count) / FPS, np.arange(len(track)) * HOP / RATE, track)


def emotion_envelope(loudness: np.ndarray, speech: tuple[float, float]) -> np.ndarray:
    """(T,) how much of the emotion shows: .55 in silence (actors carry it already), full in speech, a little by loudness."""
    t = np.arange(len(loudness)) / FPS
    onset = 0.5 - 0.5 * np.cos(np.pi * np.clip((t - (speech[0] - 0.40)) / 0.40, 0, 1))
    offset = 0.5 + 0.5 * np.cos(np.pi * np.clip((t - (speech[1] + 0.10)) / 0.60, 0, 1))
    return (0.55 + 0.45 * onset * offset) * (0.90 + 0.10 * loudness)
