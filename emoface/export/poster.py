"""One picture that stands for an animation: on a page before it plays, beside a link, as the cover of a film."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import atomic_path
from .camera import Camera
from .render import Renderer

EXPRESSIVE = 0.9
"""Share of its largest movement by emotion at which a face counts as expressive."""


def expressive_frame(animation: Animation) -> int:
    """The first frame whose movement by emotion, mean over the skin, reaches 90 % of the clip's largest; without maps, of the distance to rest."""
    moved = animation.emotion_effect_mm.mean(axis=1) if animation.emotion_effect_mm.size else np.zeros(animation.frame_count)
    if moved.max(initial=0) <= 0:
        moved = np.linalg.norm(animation.vertices - animation.template, axis=2).mean(axis=1)
    return int(np.argmax(moved >= EXPRESSIVE * moved.max()))


def save_poster(
    animation: Animation,
    path: str | os.PathLike,
    *,
    size: int | tuple[int, int] = 1080,
    camera: Camera | str = "front",
    background: str | tuple[int, int, int] = "light",
    detail: str = "fine",
) -> Path:
    """Writes the expressive frame as PNG, or as WebP where the path ends so; "transparent" is a background, too. Raises EmoFaceError where nothing can be drawn."""
    from PIL import Image

    if animation.frame_count == 0:
        raise EmoFaceError("There is no motion to picture; animate some speech first.")
    renderer = Renderer.of(animation, detail=detail, size=size, camera=camera, background=background)
    picture = Image.fromarray(np.ascontiguousarray(renderer.render(animation.vertices[expressive_frame(animation)])))
    with atomic_path(path) as temporary:
        picture.save(temporary, "webp" if Path(path).suffix.lower() == ".webp" else "png")
    return Path(path)
