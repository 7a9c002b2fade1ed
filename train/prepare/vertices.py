"""The folder that all ``prepare`` commands for vertex data write, and training reads.

``clips.json`` (id, split, speaker, style, emotion, level, text, motion, frames, audio, vertices; ``phones`` where the
text is known and could be aligned), ``audio/ID.wav`` (16 kHz), ``vertices/ID.npy`` (T, V, 3) float32 metres at 30 fps,
``templates.npz`` (one (V, 3) per speaker), ``report.json``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from emoface.errors import EmoFaceError
from emoface.files import atomic_path
from train.corpus.coarticulation import Phone
from train.corpus.phones import Aligner, align_cached

SAMPLE_RATE = 16000
LOUDEST_FLOAT = 8.0
"""Floats that reach farther are 16-bit numbers: sound that is clipped a little, or resampled, stays below."""


def in_unit_range(samples: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] from whole numbers of any type, or from floats that hold the values of 16-bit ones.

    Raises:
        EmoFaceError: floats beyond both ranges.
    """
    samples = np.asarray(samples)
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    samples = samples.astype(np.float32)
    peak = float(np.abs(samples).max(initial=0))
    if peak > 2**15 or not np.isfinite(peak):
        raise EmoFaceError(f"The sound's values reach {peak:g}: give floats between -1 and 1, or 16-bit numbers.")
    return samples / 2**15 if peak > LOUDEST_FLOAT else samples


def to_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mono float32 at 16 kHz, in [-1, 1] (see :func:`in_unit_range`)."""
    samples = in_unit_range(samples)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    return samples if rate == SAMPLE_RATE else resample_poly(samples, SAMPLE_RATE, rate).astype(np.float32)


def aligned(samples: np.ndarray, text: str, cache: Path) -> list[Phone]:
    """Phones of 16 kHz ``samples`` that say ``text``, remembered in ``cache``; empty where there is no text or no match."""
    return (align_cached(samples, text, cache, _aligner()) or []) if text else []


_aligner = lru_cache(maxsize=1)(Aligner)  # its dictionary takes a second to load: one per process


def write_clip(out: Path, entry: dict, vertices: np.ndarray, samples: np.ndarray) -> dict:
    """Store one clip; returns its completed entry. The entry file comes last: where it exists, the clip is whole."""
    identity = entry["id"]
    for folder in ("audio", "vertices", "entries"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "audio" / f"{identity}.wav") as path:
        soundfile.write(path, np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")
    with atomic_path(out / "vertices" / f"{identity}.npy") as path:
        np.save(path, np.asarray(vertices, np.float32))
    entry = dict(
        entry,
        frames=len(vertices),
        audio=f"audio/{identity}.wav",
        vertices=f"vertices/{identity}.npy",
        seconds=round(len(samples) / SAMPLE_RATE, 4),
    )
    with atomic_path(out / "entries" / f"{identity}.json") as path:
        path.write_text(json.dumps(entry))
    return entry


def stored_clip(out: Path, identity: str) -> dict | None:
    """The entry of a clip that an earlier run finished."""
    path = out / "entries" / f"{identity}.json"
    return json.loads(path.read_text()) if path.exists() else None


def write_index(out: Path, entries: list[dict], templates: dict[str, np.ndarray], rejected: list[str]) -> dict:
    """``clips.json``, ``templates.npz`` and ``report.json``; returns the report."""
    rows: dict[str, dict] = {}
    for entry in entries:
        row = rows.setdefault(entry["split"], dict(clips=0, minutes=0.0))
        row["clips"] += 1
        row["minutes"] = round(row["minutes"] + entry["seconds"] / 60, 4)
    report = dict(splits=rows, rejected=rejected)
    with atomic_path(out / "templates.npz") as path:
        np.savez(path, **{name: np.asarray(t, np.float32) for name, t in templates.items()})
    for name, content in (("report.json", report), ("clips.json", entries)):
        with atomic_path(out / name) as path:
            path.write_text(json.dumps(content, indent=1))
    return report
