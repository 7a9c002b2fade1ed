"""What the player shows for one animation, for the cross-reconstruction grid and for region importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..export.heatmap import effect_scale
from ..export.pack import Layer, Panel, Track, View, write_pack
from ..export.topology import find_neck, look_of
from .plots import MOVING_MM

WEIGHT, EFFECT = "weight", "effect"


def layers(animations: Sequence[Animation]) -> list[Layer]:
    """Colour scales that hold for all faces shown together. The weight's is always 0 to 1; that of movement is the films', with a note on values above its end."""
    most = max(float(a.emotion_effect_mm.max(initial=0)) for a in animations)
    high = max(map(effect_scale, animations))
    still = f"grey: moved less than {MOVING_MM} mm"
    clipped = f"brightest: {high:.1f} mm and more, at most {most:.1f} mm · " if most > high else ""
    return [Layer(WEIGHT, "Attention weight of emotion", "", 0.0, 1.0, still), Layer(EFFECT, "Movement by emotion", "mm", 0.0, high, clipped + still)]


def heat(animation: Animation) -> dict[str, np.ndarray]:
    """Layer -> (T, S) values of the skin: attention weight in [0, 1] and movement in mm; NaN where the emotion moves less than ``MOVING_MM``."""
    moved = animation.emotion_effect_mm >= MOVING_MM
    return {WEIGHT: np.where(moved, animation.emotion_importance, np.nan), EFFECT: np.where(moved, animation.emotion_effect_mm, np.nan)}


def write(path: Path, animations: Sequence[Animation], views: Sequence[View], *, painted: Sequence[int]) -> Path:
    """Heads of one topology into one file; those whose index is in ``painted`` carry the two colour layers."""
    shown = [Track(a.vertices, heat(a) if i in painted else {}, a.head_angles) for i, a in enumerate(animations)]
    first = animations[0]
    return write_pack(
        path,
        shown,
        views,
        faces=first.faces,
        fps=first.fps,
        layers=layers([animations[i] for i in painted]) if painted else [],
        colors=first.colors,
        template=first.template,
        look=look_of(first),
        neck=next(filter(None, map(find_neck, animations)), None),
    )


def single(path: Path, animation: Animation, *, caption: str = "") -> Path:
    """One face; the visitor may paint it with either layer."""
    return write(path, [animation], [View("Face", [Panel(0, caption)])], painted=[0])


def grid(path: Path, rows: Sequence[Sequence[Animation]]) -> Path:
    """Content (rows) x emotion (columns) on one clock; the shorter row waits in its last frame."""
    longest = max(row[0].frame_count for row in rows)
    wait = [_hold(animation, longest) for row in rows for animation in row]
    panels = [Panel(2 * i + j, f"Says {c}, feels {e}", sound=i) for i, c in enumerate("AB") for j, e in enumerate("AB")]
    return write(path, wait, [View("Grid", panels)], painted=[])


def pair(path: Path, animations: Sequence[Animation], captions: Sequence[str]) -> Path:
    """Any animations of one head side by side, each with its own sound."""
    longest = max(animation.frame_count for animation in animations)
    return write(
        path,
        [_hold(animation, longest) for animation in animations],
        [View("Side by side", [Panel(i, caption, sound=i) for i, caption in enumerate(captions)])],
        painted=[],
    )


def branches(path: Path, *, content: Animation, emotion: Animation, fused: Animation) -> Path:
    """The two heat maps of one moving head, and its content / emotion / fused trio."""
    maps = View("Heat maps", [Panel(2, "How much the model listens to emotion", WEIGHT), Panel(2, "How far emotion moves the face", EFFECT)])
    trio = View("Branches", [Panel(0, "Content only"), Panel(1, "Emotion only"), Panel(2, "Fused")])
    return write(path, [content, emotion, fused], [maps, trio], painted=[2])


def directed(path: Path, runs: Mapping[str, Animation]) -> Path:
    """The same words with every emotion in one file, for a player that blends them."""
    return write(path, list(runs.values()), [View("Directed", [Panel(0)])], painted=[])


def _hold(animation: Animation, frames: int) -> Animation:
    missing = frames - animation.frame_count
    last = lambda values: None if values is None else np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return replace(animation, vertices=last(animation.vertices), head_angles=last(animation.head_angles))
