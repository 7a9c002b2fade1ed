"""Pictures of a head on a bare CPU: no OpenGL, no display.

    >>> images = Renderer(head.faces, head.colors, regions=head.regions, camera="three_quarter").render(vertices)

``vertices`` (V, 3) gives one picture (H, W, 3) uint8 sRGB, (T, V, 3) gives (T, H, W, 3).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Lock

import numpy as np

from ..animation import Animation
from ..creases import shaded
from ..errors import Cancelled, EmoFaceError
from ..head_motion import Neck
from ..look import Look
from . import materials
from .camera import CAMERAS, Camera, find_camera
from .shading import to_linear, to_srgb, unit
from .topology import find_look, find_neck

__all__ = ["BACKGROUNDS", "CAMERAS", "Camera", "Renderer", "as_colors"]

BACKGROUNDS = {"light": ((0.955, 0.958, 0.965), (0.800, 0.812, 0.835)), "dark": ((0.215, 0.225, 0.250), (0.075, 0.080, 0.095))}
"""sRGB in the middle and at the corners of the picture."""


class Renderer:
    """Draws the vertices of one topology with smooth normals, studio light and 4x multisampling.

    faces (F, 3) triangles; colors (V, 3) uint8 sRGB or None (clay); regions (V,) names make eyes, lips and teeth shine.
    size is (width, height) or one number; camera a ``Camera`` or one of ``CAMERAS``; background "light", "dark", one (r, g, b)
    in 0..255, or "transparent": pictures then have a fourth channel, alpha. template (V, 3) is the head that is framed and whose shadows are computed, by default the first
    frame drawn. backend is "numba", "numpy" or "auto" (numba if installed). One renderer may be used by many threads.

    ``neck`` (of the head with this template) turns it by the ``rotations`` that ``frames`` is given.

    With a ``look`` (``emoface.look``) the vertices given are the head's own and the look is drawn: its faces, colours and
    regions replace the arguments, and colours given for a frame are painted on its skin.
    """

    def __init__(
        self,
        faces,
        colors=None,
        *,
        size: int | tuple[int, int] = (512, 512),
        camera: Camera | str = "front",
        background: str | tuple[int, int, int] = "light",
        regions=None,
        template=None,
        backend: str = "auto",
        look: Look | None = None,
        neck: Neck | None = None,
    ):
        self._neck = neck
        self._look, self._own_regions = look, None if regions is None else np.asarray(regions)
        if look is not None:
            faces, colors, regions = look.faces, look.colors, look.regions
        self.faces = np.ascontiguousarray(faces, np.int32)
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or not len(self.faces):
            raise EmoFaceError(f"Faces must be triangles of shape (F, 3), not {self.faces.shape}.")
        self.size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if not all(16 <= side <= 8192 for side in self.size):
            raise EmoFaceError(f"The picture size must be 16 to 8192 pixels a side, not {self.size}.")
        self.camera = find_camera(camera)
        self.backend, self._raster = _load_raster(backend)
        self._clear = isinstance(background, str) and background == "transparent"
        self._background = _background((0, 0, 0) if self._clear else background, *self.size)
        self._regions = None if regions is None else np.asarray(regions)
        self._colors = None if colors is None else as_colors(colors)
        self._lock, self._ready = Lock(), False
        if template is not None:
            self._prepare(np.asarray(template, np.float32))

    @classmethod
    def of(cls, animation: Animation, *, detail: str = "fine", **options) -> Renderer:
        """Draws an animation's mesh: its own colours, look and neck, framed at rest. ``options``: size, camera, background, backend."""
        return cls(
            animation.faces,
            animation.colors,
            regions=animation.regions,
            template=animation.template,
            look=find_look(animation, detail),
            neck=find_neck(animation),
            **options,
        )

    def render(self, vertices, colors=None) -> np.ndarray:
        """(V, 3) -> (H, W, 3) uint8, or (T, V, 3) -> (T, H, W, 3); colors (V, 3) or (T, V, 3) replace the head's."""
        vertices = np.asarray(vertices)
        if vertices.ndim == 2:
            return self._draw(vertices, None if colors is None else as_colors(colors))
        return np.stack(list(self.frames(vertices, colors)))

    def frames(
        self,
        vertices,
        colors=None,
        *,
        rotations=None,
        order=None,
        threads: int | None = None,
        progress: Callable[[str, float], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields the picture of each frame of (T, V, 3) in turn; only a few are in memory at a time.

        ``rotations`` (T, 3, 3) turn the head of each frame. ``order`` lists the frames to draw, by default all. ``progress(stage, fraction)`` is called after each picture,
        ``cancel()`` before; if true, ``Cancelled`` is raised.
        """
        vertices = np.asarray(vertices)
        if vertices.ndim != 3 or not len(vertices):
            raise EmoFaceError(f"Vertices must have the shape (frames, V, 3), not {vertices.shape}.")
        colors = None if colors is None else as_colors(colors)
        moving = colors is not None and colors.ndim == 3
        if moving and len(colors) != len(vertices):
            raise EmoFaceError(f"There are {len(vertices)} frames but colours for {len(colors)}.")
        order = range(len(vertices)) if order is None else [int(frame) for frame in order]
        self._prepare(vertices[0])
        threads = threads or min(4, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads) as pool:
            waiting, following = deque(), iter(order)
            try:
                for done in range(len(order)):
                    if cancel is not None and cancel():
                        raise Cancelled("Stopped as asked; nothing was written.")
                    for frame in islice(following, 2 * threads - len(waiting)):
                        waiting.append(
                            pool.submit(
                                self._draw, vertices[frame], colors[frame] if moving else colors, None if rotations is None else rotations[frame]
                            )
                        )
                    yield waiting.popleft().result()
                    if progress is not None:
                        progress("Drawing frames", (done + 1) / len(order))
            finally:
                for job in waiting:
                    job.cancel()

    def _prepare(self, template: np.ndarray) -> None:
        """Framing, material and shadows: once, on the head at rest."""
        with self._lock:
            if self._ready:
                return
            template = np.ascontiguousarray(template, np.float32)
            self.camera = self.camera.framed(template, aspect=self.size[0] / self.size[1], regions=self._own_regions, dressed=self._look is not None)
            if self._look is not None:
                template = self._look.vertices(template)
            count = len(template)
            if self._neck is not None:
                self._shares = self._neck.shares(template)
            _check(template, self.faces)
            if self._regions is not None and len(self._regions) != count:
                raise EmoFaceError(f"There are {count} vertices but {len(self._regions)} region names.")
            self.faces = materials.outward(template, self.faces)
            self._two_sided = materials.two_sided(count, self.faces)
            if self._look is None:
                self._gloss = materials.gloss(count, self._regions)
                self._ambient_visibility = materials.ambient_visibility(template, self.faces, self._regions, self._raster)
            else:  # occlusion is in the look's colours
                self._gloss, self._ambient_visibility = self._look.gloss, np.ones(count, np.float32)
            if self._colors is None:
                self._colors = np.tile(np.array(materials.CLAY, np.uint8), (count, 1))
            self._albedo = to_linear(self._colors / np.float32(255))
            self._ready = True

    def _draw(self, vertices: np.ndarray, colors: np.ndarray | None, rotation: np.ndarray | None = None) -> np.ndarray:
        vertices = np.ascontiguousarray(vertices, np.float32)
        self._prepare(vertices)
        folded = None
        if self._look is not None:
            painted, vertices = colors is not None, self._look.settled(vertices)
            folded = None if painted else self._look.folded(vertices)  # colours that stand for numbers are not shaded
            vertices = self._look.vertices(vertices)
            colors = self._look.paint(colors) if painted else None
            gloss = np.where(painted & (np.arange(len(vertices)) < self._look.skin_count), np.float32(-1), self._gloss)
        else:
            gloss = self._gloss
        if rotation is not None and self._neck is not None:
            vertices = np.ascontiguousarray(self._neck.turned(vertices, self._shares, rotation), np.float32)
        if len(vertices) != len(self._ambient_visibility):
            raise EmoFaceError(f"This renderer draws {len(self._ambient_visibility)} vertices, but got {len(vertices)}.")
        _check(vertices, self.faces)
        albedo = self._albedo if colors is None else to_linear(colors / np.float32(255))
        if albedo.shape != vertices.shape:
            raise EmoFaceError(f"There are {len(vertices)} vertices but {len(albedo)} colours.")
        seen, screen = self.camera.project(vertices, *self.size)
        normals = self._raster.vertex_normals(seen, self.faces)
        if folded is not None:
            taken, tilt = folded
            turn = self.camera.rotation() if rotation is None else self.camera.rotation() @ rotation
            normals, albedo = unit(normals + tilt @ turn.T.astype(np.float32)), shaded(albedo, taken)
        attributes = np.concatenate([normals, albedo, gloss[:, None], self._ambient_visibility[:, None]], 1)
        attributes = np.ascontiguousarray(attributes, np.float32)
        over = [self._background, np.ones_like(self._background)] if self._clear else [self._background]
        pictures = [self._raster.draw(screen, attributes, self.faces, self._two_sided, paper) for paper in over]
        return _uncovered(*pictures) if self._clear else pictures[0]


def _uncovered(black: np.ndarray, white: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 sRGB with alpha, not multiplied in, from one picture over black and one over white: what the paper adds is clear."""
    black, white = to_linear(black / np.float32(255)), to_linear(white / np.float32(255))
    alpha = np.clip(1 - (white - black).mean(2, keepdims=True), 0, 1)
    color = to_srgb(np.divide(black, alpha, out=np.zeros_like(black), where=alpha > 1e-3))
    return np.round(255 * np.concatenate([color, alpha], 2)).astype(np.uint8)


def as_colors(colors) -> np.ndarray:
    """Colours as uint8 sRGB; floats are taken as 0..1."""
    colors = np.asarray(colors)
    if colors.shape[-1:] != (3,):
        raise EmoFaceError(f"Colours must have the shape (V, 3) or (frames, V, 3), not {colors.shape}.")
    if colors.dtype == np.uint8:
        return colors
    if np.issubdtype(colors.dtype, np.floating):
        return np.round(255 * np.clip(colors, 0, 1)).astype(np.uint8)
    return np.clip(colors, 0, 255).astype(np.uint8)


def _check(vertices: np.ndarray, faces: np.ndarray) -> None:
    if vertices.ndim != 2 or vertices.shape[1] != 3 or len(vertices) <= faces.max():
        raise EmoFaceError(f"Vertices {vertices.shape} do not fit the faces, which need {faces.max() + 1} of them.")
    if not np.isfinite(vertices).all():
        raise EmoFaceError("The animation has vertices that are not finite numbers, so it cannot be drawn.")


def _background(background, width: int, height: int) -> np.ndarray:
    """(H, W, 3) float32 linear: a soft pool of light behind the head, or one flat colour."""
    if isinstance(background, str):
        if background not in BACKGROUNDS:
            raise EmoFaceError(f"There is no background {background!r}; choose {', '.join(BACKGROUNDS)}, transparent or a colour.")
        middle, corner = BACKGROUNDS[background]
    else:
        middle = corner = tuple(np.asarray(background, np.float32) / 255)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.45) / 0.75
    blend = np.clip(radius, 0, 1)[..., None] ** 2
    srgb = np.asarray(middle, np.float32) * (1 - blend) + np.asarray(corner, np.float32) * blend
    return np.ascontiguousarray(to_linear(srgb), np.float32)


def _load_raster(backend: str):
    if backend not in ("auto", "numba", "numpy"):
        raise EmoFaceError(f"There is no render backend {backend!r}; choose auto, numba or numpy.")
    if backend != "numpy":
        try:
            from . import raster_numba

            return "numba", raster_numba
        except ImportError:
            if backend == "numba":
                raise EmoFaceError("The numba renderer needs the package numba: pip install numba.") from None
    from . import raster_numpy

    return "numpy", raster_numpy
