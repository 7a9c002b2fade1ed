"""Vertex errors on recorded motion of ``train.prepare`` (VOCASET, 3D-RAVDESS, videos), for a model of its topology."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import soundfile
from tqdm import tqdm

from emoface.animation import LEVELS
from emoface.errors import EmoFaceError
from emoface.metrics.files import clip_measures
from train.meshes import MeshFolder

from .lips import vertex_rows
from .measures import Row
from .reading import Pipeline

Errors = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""Predicted and true offsets (T, V, 3) in metres -> LVE, EVE, FDD (m2), MVE, LVD (m)."""


def masked_errors(lips: np.ndarray, upper: np.ndarray) -> Errors:
    """The errors under two masks, vertex indices; MVE over all vertices."""
    return lambda offsets, true: clip_measures(offsets, true, np.zeros(true.shape[1:]), lips, upper)


def dense_rows(
    pipeline: Pipeline,
    data: MeshFolder,
    errors_of: Errors,
    *,
    split: str = "test",
    styles: list[str] | None = None,
    every: int = 1,
) -> list[Row]:
    """Rows of the model, of the static template and of the mean motion of the training clips.

    Motion is compared as offsets from each speaker's own template, so any template will do for the prediction. A model
    does not know the speakers of the test set: with several ``styles`` each clip is predicted under every one of them
    and its errors are averaged (FaceFormer's protocol); None asks for the model's default.

    Raises:
        EmoFaceError: when the folder has no clips of ``split``, or none to train on.
    """
    chosen = [i for i, entry in enumerate(data.clips) if entry["split"] == split][::every]
    if not chosen:
        raise EmoFaceError(f"{data.folder} has no clips of the split {split!r}; prepare it again or choose another --split.")
    mean = _mean_offset(data.offsets(i) for i, entry in enumerate(data.clips) if entry["split"] == "train")
    errors: dict[str, list[dict]] = {"model": [], "static template": [], "mean motion": []}
    for clip in tqdm(chosen, desc=data.folder.name, unit="clip"):
        entry, true = data.clips[clip], data.offsets(clip)
        speech = soundfile.read(data.folder / entry["audio"], dtype="float32")
        per_style = [errors_of(_offsets(pipeline, speech, entry, style), true) for style in styles or [None]]
        errors["model"].append({key: float(np.mean([e[key] for e in per_style])) for key in per_style[0]})
        errors["static template"].append(errors_of(np.zeros_like(true), true))
        errors["mean motion"].append(errors_of(np.broadcast_to(mean, true.shape), true))
    frames, first = [data.clips[clip]["frames"] for clip in chosen], data.clips[chosen[0]]
    return [row for who, of in errors.items() for row in vertex_rows(f"{first['source']}, {split}", first["motion"], who, of, frames, emotional=True)]


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
