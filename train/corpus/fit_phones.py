"""Mouth shapes of the phones, fitted to real motion: ``python -m train.corpus.fit_phones --data ../shared/data``.

The hand-made visemes follow the measured lips of GRID with r = .61 per clip; the same dominance model with shapes from
ridge regression on real frames (training clips only) reaches .78 on other clips. Writes
``phone_shapes.json`` beside this file; phones that GRID's 51 words lack stay near their viseme.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emoface.clock import frame_count
from emoface.files import atomic_path

from .channels import FPS, INDEX, NAMES, columns
from .clip import read_audio, split_of
from .coarticulation import (
    LIP_SHAPE,
    NEUTRAL_AMPLITUDE,
    PHONE_SHAPES_FILE,
    PHONES,
    VISEME_OF_PHONE,
    VISEME_SHAPES,
    dominance,
)
from .drive import drive, resting_face
from .grid import SILENCE_WORDS, read_captures, silent_frames, speech_of_words
from .lips import average_head_lips
from .phones import Aligner, align_cached, read_word_table

PRIOR_FRAMES = 15.0  # how many real frames outweigh the hand-made shape
OTHER_ACCENT = ("AO", "AA", "OY")  # British "four" and "are" say little about American "talking" and "dogs"
OTHER_ACCENT_FRAMES = 400.0
REGRESSION_SHRINKS = 1.12  # restores the 95th percentile of the real openings
LOWER_LIP_AT_F = 0.5  # MediaPipe does not see the lip rolled under the teeth


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m train.corpus.fit_phones", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("data/alignments/grid"))
    parser.add_argument("--clips", type=int, default=400, help="training clips to fit to")
    options = parser.parse_args(arguments)
    shapes = fit(*training_frames(options.data, options.cache, options.clips))
    table = {phone: {n: round(float(w), 4) for n, w in zip(NAMES, row) if w > 5e-4} for phone, row in shapes.items()}
    with atomic_path(PHONE_SHAPES_FILE) as path:
        path.write_text(json.dumps(table, indent=1) + "\n")
    print(f"Wrote {PHONE_SHAPES_FILE.name}: {len(table)} phones")


def training_frames(data: Path, cache: Path, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Dominances (F, P, 2) and real weights (F, 52) of GRID training clips, silences after the speech included."""
    captures, words = read_captures(data / "grid_s1_motion.npz"), read_word_table(data / "grid_s1_words.tsv")
    names, lips, aligner = sorted(captures), average_head_lips(), Aligner()
    silent = [silent_frames(captures[n], speech_of_words(words[n])) for n in names]
    rest = resting_face([captures[n] for n in names], silent)
    training = [n for i, n in enumerate(names) if split_of(i) == "train"]
    dominances, weights = [], []
    for name in tqdm(training[:: max(len(training) // limit, 1)][:limit], unit="clip"):
        samples, rate = read_audio(data / "grid_s1_audio" / f"{name}.ogg")
        text = " ".join(w for _, _, w in words[name] if w not in SILENCE_WORDS)
        phones = align_cached(samples, text, cache / f"{name}.json", aligner)
        if phones:
            count = frame_count(len(samples), 30, sample_rate=rate)
            dominances.append(dominance(phones, count))
            weights.append(drive(captures[name], rest, np.arange(count) / FPS, lips).weights)
    return np.concatenate(dominances), np.concatenate(weights)


def fit(dominances: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """(52,) mouth shape of every phone: ridge regression towards its viseme, non-negative, both sides equal."""
    prior = np.stack([VISEME_SHAPES[VISEME_OF_PHONE[p]] for p in PHONES]) * NEUTRAL_AMPLITUDE
    shapes = np.zeros_like(prior)
    trust = np.array([OTHER_ACCENT_FRAMES if p in OTHER_ACCENT else PRIOR_FRAMES for p in PHONES])
    groups = np.isin(np.arange(len(NAMES)), LIP_SHAPE).astype(int)
    for group in (0, 1):
        design, chosen = dominances[:, :, group], groups == group
        normal = design.T @ design + np.diag(trust)
        wanted = design.T @ (REGRESSION_SHRINKS * weights[:, chosen]) + trust[:, None] * prior[:, chosen]
        shapes[:, chosen] = np.linalg.solve(normal, wanted)
    shapes = np.clip(shapes, 0, 1)
    for name in NAMES:
        if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
            pair = columns(name[:-4])
            shapes[:, pair] = shapes[:, pair].mean(axis=1, keepdims=True)
    speech = [n.startswith(("jawOpen", "mouth")) and n not in ("mouthLeft", "mouthRight") for n in NAMES]
    shapes[:, ~np.array(speech)] = 0
    out = dict(zip(PHONES, shapes))
    for phone in ("F", "V"):
        _roll_lower_lip(out[phone])
    out["SIL"][:] = 0
    return out


def _roll_lower_lip(shape: np.ndarray) -> None:
    """Show the lower lip under the upper teeth at the fitted aperture."""
    lips, roll = average_head_lips(), INDEX["mouthRollLower"]
    before = lips.aperture(shape[None])[0]
    shape[roll] = max(shape[roll], LOWER_LIP_AT_F)
    shape[INDEX["jawOpen"]] += max(before - lips.aperture(shape[None])[0], 0) / lips.jaw_mm


if __name__ == "__main__":
    main()
