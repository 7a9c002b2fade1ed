"""ARKit curves as a moving head: our CSV and JSON, and takes that an iPhone recorded with Live Link Face."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..animation import EMOTIONS, Animation
from ..errors import EmoFaceError
from ..head import load_head
from ..reading import check_bytes
from .arkit import ARKIT_NAMES, load_csv, load_json


def load_curves(path: str | os.PathLike, *, head: int = 0, fps: float | None = None) -> Animation:
    """The embedded head ``head`` moved by the curves of a Live Link Face CSV or of a JSON of ``save_json``.

    ``fps`` None takes the file's own rate. There are no emotion maps: these arrays are (T, 0). Raises EmoFaceError for other files.
    """
    if Path(path).suffix.lower() == ".csv":
        weights, rate, angles = load_csv(path, fps=fps)
    else:
        angles = None
        weights, rate = load_json(path)
        rate = rate if fps is None else fps
    if weights.ndim != 2 or not np.isfinite(weights).all() or not np.isfinite(0.0 if angles is None else angles).all():
        raise EmoFaceError(f"{Path(path).name} has curves that are not finite numbers: export it again.")
    check_bytes(len(weights) * load_head(head).template.nbytes, Path(path).name)
    return replace(animation_from_weights(np.clip(weights, 0, 1), fps=rate, head=head), head_angles=angles)


def animation_from_weights(weights: np.ndarray, *, fps: float, head: int = 0) -> Animation:
    """Weights (T, 52) in [0, 1], in the order of ``ARKIT_NAMES``, as an Animation of an embedded head."""
    face = load_head(head)
    weights = weights[:, [ARKIT_NAMES.index(name) for name in face.blendshape_names]]
    frames = len(weights)
    chance = np.full((frames, len(EMOTIONS)), 1 / len(EMOTIONS), np.float32)
    return Animation(
        vertices=face.pose(weights),
        template=face.template,
        faces=face.faces,
        fps=float(fps),
        skin_count=face.skin_count,
        regions=face.regions,
        blendshapes=weights,
        blendshape_names=face.blendshape_names,
        emotion_importance=np.zeros((frames, 0), np.float32),
        emotion_effect_mm=np.zeros((frames, 0), np.float32),
        emotion_probabilities=chance[0],
        emotion_track=chance,
        colors=face.colors,
    )
