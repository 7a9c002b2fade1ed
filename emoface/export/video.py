"""An animation, or several side by side, as MP4, WebM, GIF or WebP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import atomic_path
from ..head_motion import rotations
from .between import poses_at
from .camera import Camera
from .checks import FILM_FPS, check_rate
from .encode import CONTAINERS, read_sound, write_preview, write_video
from .heatmap import Heatmap, effect_scale, heatmap
from .render import BACKGROUNDS, Renderer

PREVIEWS = {".gif": 70, ".webp": 67}
"""Milliseconds per picture; GIF counts in hundredths of a second. Frames are picked by time, so nothing drifts."""


def save_video(
    animations: Animation | Sequence[Animation],
    path: str | os.PathLike,
    *,
    captions: str | Sequence[str] | None = None,
    size: int | tuple[int, int] | None = None,
    camera: Camera | str = "front",
    background: str | tuple[int, int, int] = "light",
    heat: str | Sequence[str | None] | None = None,
    columns: int | None = None,
    sound: int | None = None,
    codec: str | None = None,
    fps: float | None = None,
    sound_file: str | os.PathLike | None = None,
    backend: str = "auto",
    detail: str = "fine",
    progress: Callable[[str, float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Path:
    """Draws animations and writes one film; the format follows the suffix (.mp4 .webm .gif .webp).

    Several animations play side by side on one clock, the first one's; shorter ones hold their last frame. ``captions``
    has one line per animation; ``heat`` is "importance", "effect" or None, for all or one each. ``size`` is the side of
    each picture in pixels, 512 by default and 320 for previews, or (width, height) of the whole film with captions in it. ``background``
    "transparent" is kept by .mov (ProRes 4444) and VP9. ``fps`` other than the animation's own draws the poses in between. ``sound_file``
    is the recording itself, in its own quality instead of the 16 kHz mono that the face was made from
    (unless the two differ in length). ``sound`` is the number of the animation
    whose sound is used (the first that has one); GIF and WebP are silent. ``codec``: "vp9" (default) or "av1" in .webm. ``detail``: "fine" draws the
    look of an embedded head (hair, finer skin), "coarse" its own vertices.

    ``progress(stage, fraction)`` is called after each picture; when ``cancel()`` turns true, Cancelled is raised. The
    file appears complete or not at all. Raises EmoFaceError for anything that cannot be drawn or written.
    """
    path, animations = Path(path), [animations] if isinstance(animations, Animation) else list(animations)
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS and suffix not in PREVIEWS:
        raise EmoFaceError(f"Films are written as {' '.join([*CONTAINERS, *PREVIEWS])}, not {path.name}.")
    if not animations or any(animation.frame_count == 0 for animation in animations):
        raise EmoFaceError("There is no motion to film; animate some speech first.")
    captions = _one_each(captions, len(animations), "captions")
    heat = _one_each(heat, len(animations), "heat maps")
    size = size or (512 if suffix in CONTAINERS else 320)
    columns = max(1, min(columns or (len(animations) if len(animations) <= 3 else ceil(len(animations) ** 0.5)), len(animations)))
    outer = None
    if isinstance(size, int):
        size = (size + size % 2, size + size % 2)
    else:
        outer = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        size = _inside(outer, columns, -(-len(animations) // columns), captions=any(captions), bars=any(heat))
    own_rate = fps is None or fps == animations[0].fps
    fps = check_rate(animations[0].fps if fps is None else fps, "of a film", low=FILM_FPS[0], high=FILM_FPS[1])
    frame_count = max(ceil(animation.duration * fps - 1e-6) for animation in animations)
    painted = [animation for animation, layer in zip(animations, heat) if layer == "effect"]
    scale = max(map(effect_scale, painted), default=None)  # one scale, so that colours can be compared
    panels = [
        _Panel(
            animation,
            layer and heatmap(animation, layer, scale_mm=scale),
            size=size,
            camera=camera,
            background=background,
            backend=backend,
            detail=detail,
            in_between=not own_rate,
        )
        for animation, layer in zip(animations, heat)
    ]
    page = _Page(panels, captions, columns, background, outer)
    times = np.arange(frame_count) / fps
    if suffix in PREVIEWS:
        step = PREVIEWS[suffix] / 1000
        times = np.arange(max(1, ceil(frame_count / fps / step - 1e-6))) * step
    with atomic_path(path) as temporary:
        pictures = page.pictures(times, progress, cancel)
        if suffix in PREVIEWS:
            write_preview(temporary, pictures, [PREVIEWS[suffix]] * len(times))
        else:
            speaking = _speaking(animations, sound)
            samples, rate = (speaking.audio, speaking.sample_rate) if speaking else (None, 16000)
            if sound_file is not None:
                original, original_rate = read_sound(sound_file)
                # Where the two differ in length (damage, an encoder's delay), only what the face was made from is in step with it.
                if samples is None or abs(len(original) / original_rate - len(samples) / rate) < 0.03:
                    samples, rate = original, original_rate
            write_video(temporary, pictures, fps=fps, frame_count=frame_count, codec=codec, audio=samples, sample_rate=rate)
    return path


def _line(height: int) -> int:
    """Height of a caption over a picture of this height."""
    return 2 * round(max(20, height * 0.085) / 2)


def _text(height: int) -> int:
    return max(10, round(height * 0.028))


def _inside(outer: tuple[int, int], columns: int, rows: int, *, captions: bool, bars: bool) -> tuple[int, int]:
    """(width, height) of each picture in a film of the size ``outer``, so that captions and colour bars fit in."""
    width, cell = outer[0] // columns, outer[1] // rows
    height = next((height for height in range(cell, 0, -1) if height + captions * _line(height) + 4 * bars * _text(height) <= cell), 0)
    width, height = width - width % 2, height - height % 2
    if min(width, height) < 16:
        raise EmoFaceError(f"A film of {outer[0]}x{outer[1]} has no room for {columns * rows} pictures with their captions; make it larger.")
    return width, height


def _one_each(value, count: int, name: str) -> list:
    values = [value] * count if value is None or isinstance(value, str) else list(value)
    if len(values) != count:
        raise EmoFaceError(f"There are {count} animations but {len(values)} {name}; give one for each.")
    return values


def _speaking(animations: list[Animation], number: int | None) -> Animation | None:
    if number is not None:
        if not 0 <= number < len(animations):
            raise EmoFaceError(f"There is no animation number {number} to take the sound from.")
        return animations[number] if animations[number].audio is not None else None
    return next((animation for animation in animations if animation.audio is not None), None)


class _Panel:
    """One animation and the renderer that draws it."""

    def __init__(self, animation: Animation, heat: Heatmap | None, *, detail: str, in_between: bool = False, **options):
        self.animation, self.heat, self.in_between = animation, heat, in_between
        self.renderer = Renderer.of(animation, detail=detail, **options)
        self.size = self.renderer.size

    def pictures(self, times: np.ndarray, cancel) -> Iterator[np.ndarray]:
        frames = np.minimum(np.floor(times * self.animation.fps + 1e-4).astype(int), self.animation.frame_count - 1)
        colors = None if self.heat is None else self.heat.colors
        angles = self.animation.head_angles
        if self.in_between:
            poses, turns = poses_at(self.animation, times)
            return self.renderer.frames(
                poses, None if colors is None else colors[frames] if colors.ndim == 3 else colors, rotations=turns, cancel=cancel
            )
        turns = None if angles is None else rotations(angles)
        return self.renderer.frames(self.animation.vertices, colors, rotations=turns, order=frames, cancel=cancel)


class _Page:
    """Panels in a grid, each with an optional caption above and a colour bar below."""

    def __init__(self, panels: list[_Panel], captions: list[str | None], columns: int, background, outer=None):
        self.panels, self.columns, self.outer = panels, columns, outer
        self.width, self.height = panels[0].size
        self.line = _line(self.height) if any(captions) else 0
        self.clear = background == "transparent"
        self.rows = -(-len(panels) // self.columns)
        dark = background == "dark" or (not isinstance(background, str) and sum(background) < 384)
        paper = (1, 1, 1) if self.clear else BACKGROUNDS[background][0] if isinstance(background, str) else np.asarray(background) / 255
        self.paper = tuple(int(round(255 * value)) for value in paper)
        self.ink = (235, 236, 240) if dark else (38, 40, 48)
        self.bands = [self._band(caption) for caption in captions] if self.line else []
        self.text = _text(self.height)
        self.foot = 4 * self.text if any(panel.heat is not None for panel in panels) else 0
        self.bars = [None if panel.heat is None else self._bar(panel.heat) for panel in panels]

    def pictures(self, times, progress, cancel) -> Iterator[np.ndarray]:
        streams = [panel.pictures(times, cancel) for panel in self.panels]
        top, bottom = self.line, self.line + self.height
        cell = bottom + self.foot
        for index in range(len(times)):
            width, height = self.outer or (self.columns * self.width, self.rows * cell)
            page = np.empty((height, width, 4 if self.clear else 3), np.uint8)
            page[:] = (*self.paper, 0) if self.clear else self.paper
            for number, stream in enumerate(streams):
                row, column = divmod(number, self.columns)
                area = page[row * cell : (row + 1) * cell, column * self.width : (column + 1) * self.width]
                area[top:bottom] = next(stream)
                if self.line:
                    area[:top, :, :3], area[:top, :, 3:] = self.bands[number], 255
                if self.bars[number] is not None:
                    area[bottom:, :, :3], area[bottom:, :, 3:] = self.bars[number], 255
            yield page
            if progress is not None:
                progress("Drawing frames", (index + 1) / len(times))

    def _band(self, caption: str | None) -> np.ndarray:
        from PIL import Image, ImageDraw, ImageFont

        band = Image.new("RGB", (self.width, self.line), self.paper)
        text, size = caption or "", round(self.line * 0.5)
        font = ImageFont.load_default(size=size)
        while size > 7 and font.getlength(text) > self.width * 0.94:  # long captions shrink rather than being cut
            size -= 1
            font = ImageFont.load_default(size=size)
        ImageDraw.Draw(band).text((self.width / 2, self.line * 0.56), text, fill=self.ink, font=font, anchor="mm")
        return np.asarray(band)

    def _bar(self, heat: Heatmap) -> np.ndarray:
        """(foot, W, 3) colour bar with its ends and its meaning."""
        from PIL import Image, ImageDraw, ImageFont

        size, width = self.text, self.width
        font, page = ImageFont.load_default(size=size), Image.new("RGB", (width, self.foot), self.paper)
        left, right = round(width * 0.25), round(width * 0.75)
        bar = Image.fromarray(heat.bar[None]).resize((right - left, round(size * 0.7)), Image.Resampling.BILINEAR)
        page.paste(bar, (left, round(size * 0.85)))
        draw, middle = ImageDraw.Draw(page), round(size * 1.2)
        draw.text((left - size // 2, middle), heat.low, fill=self.ink, font=font, anchor="rm")
        draw.text((right + size // 2, middle), heat.high, fill=self.ink, font=font, anchor="lm")
        draw.text((width / 2, size * 2.7), heat.label, fill=self.ink, font=font, anchor="mm")
        return np.asarray(page)
