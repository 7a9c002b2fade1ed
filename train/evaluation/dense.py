"""Vertex errors on a data set of meshes (VOCASET, 3D-RAVDESS) of ``train.prepare``, for a model of its topology."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterable

import numpy as np
import soundfile
from tqdm import tqdm

from emoface.animation import LEVELS
from emoface.errors import EmoFaceError
from emoface.metrics_cli import clip_measures

from .lips import vertex_rows
from .measures import Row
from .reading import Pipeline


def dense_rows(
    pipeline: Pipeline,
    folder: Path,
    lips: np.ndarray,
    upper: np.ndarray,
    *,
    split: str = "test",
    styles: list[str] | None = None,
    every: int = 1,
) -> list[Row]:
    """Rows of the model, of the static template and of the mean motion of the training clips.

    Motion is compared as offsets from each speaker's own template, so any template will do for the prediction. A model
    does not know the speakers of the test set: with several ``styles`` each clip is predicted under every one of them
    and its errors are averaged (FaceFormer's protocol); None asks for the model's default.
    """
    entries = json.loads((folder / "clips.json").read_text())
    with np.load(folder / "templates.npz", allow_pickle=False) as file:
        templates = {name: file[name] for name in file.files}
    chosen = [entry for entry in entries if entry["split"] == split][::every]
    if not chosen:
        raise EmoFaceError(f"{folder} has no clips of the split {split!r}; prepare it again or choose another --split.")

    def truth(entry: dict) -> np.ndarray:
        return np.load(folder / entry["vertices"], allow_pickle=False) - templates[entry["speaker"]]

    mean = _mean_offset(truth(entry) for entry in entries if entry["split"] == "train")
    frames, errors = [], {"model": [], "static template": [], "mean motion": []}
    for entry in tqdm(chosen, desc=folder.name, unit="clip"):
        true = truth(entry)
        rest = np.zeros(true.shape[1:])
        speech = soundfile.read(folder / entry["audio"], dtype="float32")
        under = [_offsets(pipeline, speech, entry, style) for style in styles or [None]]
        per_style = [clip_measures(offsets, true, rest, lips, upper) for offsets in under]
        errors["model"].append({key: float(np.mean([e[key] for e in per_style])) for key in per_style[0]})
        errors["static template"].append(clip_measures(np.zeros_like(true), true, rest, lips, upper))
        errors["mean motion"].append(clip_measures(np.broadcast_to(mean, true.shape), true, rest, lips, upper))
        frames.append(errors["model"][-1]["frames"])
    data, motion = f"{chosen[0]['source']}, {split}", chosen[0]["motion"]
    return [row for who, of in errors.items() for row in vertex_rows(data, motion, who, of, frames, emotional=True)]


def _offsets(pipeline: Pipeline, speech: tuple, entry: dict, style: str | None) -> np.ndarray:
    animation = pipeline(speech, emotion="speech", level=LEVELS[entry["level"]], style=style)
    skin = animation.skin_count
    return animation.vertices[:, :skin] - animation.template[:skin]


def _mean_offset(clips: Iterable[np.ndarray]) -> np.ndarray:
    """(V, 3), over all frames; one clip in memory at a time."""
    total, frames = 0.0, 0
    for clip in clips:
        total, frames = total + clip.sum(axis=0, dtype=float), frames + len(clip)
    if not frames:
        raise EmoFaceError("The data set has no training clips: the mean-motion row needs them.")
    return total / frames
