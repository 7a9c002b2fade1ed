"""Colours for numbers on a head: where and how much the emotion branch acts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError

# "plasma": ordered by lightness and far from skin and grey; the player paints with the same stops.
PLASMA = np.array(
    [[13, 8, 135], [84, 2, 163], [139, 10, 165], [185, 50, 137], [219, 92, 104], [244, 136, 73], [254, 188, 43], [240, 249, 33]], np.float32
)
GREY = np.array([188, 188, 192], np.float32)
"""Colour of skin that emotion does not move."""
FADE_MM = (0.1, 0.6)
"""The weight is grey where the emotion branch moves the skin less than the first, in full colour from the second on:
where both branches agree, or nothing moves, the weight between them means nothing."""
RISE = 0.15
"""Share of the scale of "effect" over which its colours rise out of the grey."""


@dataclass(frozen=True)
class Heatmap:
    """Vertex colours (T, V, 3) uint8 sRGB and what the ends of their scale stand for."""

    colors: np.ndarray
    label: str
    low: str
    high: str
    bar: np.ndarray
    """(n, 3) uint8 sRGB from one end of the scale to the other."""


def colormap(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of any shape -> (..., 3) float32 sRGB in 0..255."""
    position = np.clip(np.nan_to_num(values), 0, 1).astype(np.float32) * (len(PLASMA) - 1)
    stops = np.arange(len(PLASMA))
    return np.stack([np.interp(position, stops, PLASMA[:, k]) for k in range(3)], -1).astype(np.float32)


def effect_scale(animation: Animation) -> float:
    """Millimetres at the top of the scale of "effect", in films and on the page: its 99.8th percentile, rounded up to a tenth, at least 0.5."""
    effect = animation.emotion_effect_mm
    return max(0.5, math.ceil(10 * float(np.percentile(effect, 99.8)) - 1e-6) / 10) if effect.size else 0.5


def heatmap(animation: Animation, layer: str, *, scale_mm: float | None = None) -> Heatmap:
    """Paints "importance" (attention weight of the emotion branch, 0 to 1) or "effect" (mm it moves each vertex).

    ``scale_mm`` is the top of the scale of "effect", by default ``effect_scale``; animations that are compared need
    the same. Eyes, teeth, tongue and hair keep their colours.
    """
    if layer not in ("importance", "effect"):
        raise EmoFaceError(f"There is no heat map {layer!r}; choose importance or effect.")
    frames, skin, effect = animation.frame_count, animation.skin_count, animation.emotion_effect_mm
    if np.shape(effect) != (frames, skin) or np.shape(animation.emotion_importance) != (frames, skin):
        raise EmoFaceError("This animation carries no emotion maps; make it with an EmoFace model to see them.")
    colors = np.empty((frames, animation.vertices.shape[1], 3), np.uint8)
    colors[:] = GREY.astype(np.uint8) if animation.colors is None else animation.colors
    scale = np.linspace(0, 1, 256)
    if layer == "importance":
        for frame, weights in enumerate(animation.emotion_importance):
            share = np.clip((effect[frame] - FADE_MM[0]) / (FADE_MM[1] - FADE_MM[0]), 0, 1)[:, None]
            colors[frame, :skin] = np.round(GREY + share * (colormap(weights) - GREY))
        return Heatmap(colors, "weight of the emotion branch", "0", "1", colormap(scale).astype(np.uint8))
    high = scale_mm or effect_scale(animation)
    for frame in range(frames):
        colors[frame, :skin] = _out_of_grey(effect[frame] / high)
    return Heatmap(colors, "moved by the emotion branch", "0 mm", f"{high:.1f} mm", _out_of_grey(scale))


def _out_of_grey(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] -> (..., 3) uint8: grey for 0, the colour map from ``RISE`` on."""
    share = np.clip(values / RISE, 0, 1)[..., None]
    return np.round(GREY + share * (colormap(values) - GREY)).astype(np.uint8)
