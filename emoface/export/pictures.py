"""Frames as PNG in a zip, transparent if wanted: for compositing, and for editors that read picture sequences."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..files import atomic_path
from .between import picture_times, poses_at
from .camera import Camera
from .checks import FILM_FPS, check_rate
from .meshes import zip_entry
from .render import Renderer


def save_pictures(
    animation: Animation,
    path: str | os.PathLike,
    *,
    mesh: str = "png",
    size: int | tuple[int, int] = 512,
    camera: Camera | str = "front",
    background: str | tuple[int, int, int] = "transparent",
    detail: str = "fine",
    fps: float | None = None,
    progress: Callable[[str, float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Path:
    """Writes ``frames/000000.png`` ... and ``clip.json`` (fps, frames) into a zip; ``mesh`` is "png".

    Pictures are 8 bit sRGB; with the background "transparent" alpha is a fourth channel that colours are not multiplied with. Raises
    EmoFaceError for what cannot be drawn and Cancelled on request. ``fps`` other than the animation's own draws the poses in between.
    """
    from PIL import Image

    fps = float(fps or animation.fps)
    check_rate(fps, "of pictures", low=FILM_FPS[0], high=FILM_FPS[1])

    renderer = Renderer.of(animation, detail=detail, size=size, camera=camera, background=background)
    poses, turns = poses_at(animation, picture_times(animation.duration, fps))
    about = {"fps": fps, "frames": len(poses), "alpha": "straight" if background == "transparent" else None}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
        file.writestr(zip_entry("clip.json"), json.dumps(about))
        for frame, picture in enumerate(renderer.frames(poses, rotations=turns, progress=progress, cancel=cancel)):
            content = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(picture)).save(content, "png")
            file.writestr(zip_entry(f"frames/{frame:06d}.png"), content.getvalue())
    return Path(path)
