"""Colours for numbers on a head: where and how much the emotion branch acts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError

# "plasma": ordered by lightness and far from skin and grey; the player paints with the same stops.
PLASMA = np.array([[13, 8, 135], [84, 2, 163], [139, 10, 165], [185, 50, 137], [219, 92, 104], [244, 136, 73],
                   [254, 188, 43], [240, 249, 33]], np.float32)
GREY = np.array([188, 188, 192], np.float32)
"""Colour of skin that does not move."""
STILL_MM = 0.2
"""Below this distance from rest a vertex fades to grey: a weight without motion means nothing."""


@dataclass(frozen=True)
class Heatmap:
    """Vertex colours (T, V, 3) uint8 sRGB and what the ends of their scale stand for."""

    colors: np.ndarray
    label: str
    low: str
    high: str


def colormap(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of any shape -> (..., 3) float32 sRGB in 0..255."""
    position = np.clip(np.nan_to_num(values), 0, 1).astype(np.float32) * (len(PLASMA) - 1)
    stops = np.arange(len(PLASMA))
    return np.stack([np.interp(position, stops, PLASMA[:, k]) for k in range(3)], -1).astype(np.float32)


def heatmap(animation: Animation, layer: str) -> Heatmap:
    """Paints "importance" (attention weight of the emotion branch, 0 to 1) or "effect" (mm it moves each vertex)."""
    if layer not in ("importance", "effect"):
        raise EmoFaceError(f"There is no heat map {layer!r}; choose importance or effect.")
    values = animation.emotion_importance if layer == "importance" else animation.emotion_effect_mm
    frames, skin = animation.frame_count, animation.skin_count
    if np.shape(values) != (frames, skin):
        raise EmoFaceError("This animation carries no emotion maps; make it with an EmoFace model to see them.")
    if layer == "importance":
        high, label, ends = 1.0, "weight of the emotion branch", ("0", "1")
    else:
        high = max(0.5, float(np.percentile(values, 99.8)))
        label, ends = "moved by the emotion branch", ("0 mm", f"{high:.1f} mm")
    colors = np.empty((frames, animation.vertices.shape[1], 3), np.uint8)
    colors[:] = GREY.astype(np.uint8) if animation.colors is None else animation.colors
    rest = animation.template[:skin]
    for frame in range(frames):
        moved = 1000 * np.linalg.norm(animation.vertices[frame, :skin] - rest, axis=1)
        share = np.clip((moved - STILL_MM / 2) / STILL_MM, 0, 1)[:, None]
        colors[frame, :skin] = np.round(GREY + share * (colormap(values[frame] / high) - GREY))
    return Heatmap(colors, label, *ends)
