"""Clips as the study shows them: same size, codec and quality for every method, no trace of where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..audio import SAMPLE_RATE, load_audio
from ..errors import AudioError, EmoFaceError
from ..files import atomic_path
from .fonts import load_font

CARD_SECONDS = 3.0
_CHECK_FPS = 30
_INK, _PAPER = (25, 25, 30), (245, 245, 245)


@dataclass(frozen=True)
class Film:
    """Pictures and sound of one clip."""

    pictures: Iterator[np.ndarray]
    """(H, W, 3) uint8 sRGB, one per frame; can be read once."""
    frame_count: int
    fps: float
    audio: np.ndarray
    """(n,) float32 at 16 kHz."""

    @property
    def seconds(self) -> float:
        """Length of the pictures."""
        return self.frame_count / self.fps


def film_animation(animation: Animation, *, size: int, speech: str | Path) -> Film:
    """Draw an animation from the front with its own sound, or ``speech`` if it has none."""
    from ..export.render import Renderer

    renderer = Renderer.of(animation, size=size)
    own = animation.audio is not None and len(animation.audio)
    audio = load_audio((animation.audio, animation.sample_rate) if own else speech)
    return Film(renderer.frames(animation.vertices), animation.frame_count, float(animation.fps), audio.samples)


def film_video(path: str | Path, *, size: int, speech: str | Path) -> Film:
    """Read a video, fitted into a square on light grey, with its own sound, or ``speech`` if it is silent."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate)
            frame_count = sum(1 for _ in container.decode(stream))
    except (OSError, IndexError, TypeError, av.error.FFmpegError) as error:
        raise EmoFaceError(f"The video {path} cannot be read; give an MP4 or WebM file with pictures.") from error
    if not frame_count:
        raise EmoFaceError(f"The video {path} has no pictures; make it again.")
    try:
        audio = load_audio(path)
    except AudioError:
        audio = load_audio(speech)
    return Film(_pictures(path, size), frame_count, fps, audio.samples)


def freeze(film: Film) -> Film:
    """The first picture throughout: a face that does not move."""
    first = next(film.pictures)
    return replace(film, pictures=repeat(first, film.frame_count))


def delay_sound(film: Film, seconds: float) -> Film:
    """The sound later than the picture; what no longer fits is cut."""
    return replace(film, audio=shift(film.audio, seconds))


def shift(samples: np.ndarray, seconds: float) -> np.ndarray:
    """(n,) samples at 16 kHz, later by ``seconds``, as long as before."""
    return np.concatenate([np.zeros(round(seconds * SAMPLE_RATE), np.float32), samples])[: len(samples)]


def add_card(film: Film, lines: list[str], *, size: int) -> Film:
    """A written card after the film, in silence."""
    count = round(CARD_SECONDS * film.fps)
    card = draw_card(lines, size=size)
    length = round(film.seconds * SAMPLE_RATE)
    audio = np.concatenate(
        [film.audio[:length], np.zeros(max(0, length - len(film.audio)), np.float32), np.zeros(round(CARD_SECONDS * SAMPLE_RATE), np.float32)]
    )
    return replace(film, pictures=chain(film.pictures, repeat(card, count)), frame_count=film.frame_count + count, audio=audio)


def check_film(*, beeps: int, number: int, size: int) -> Film:
    """The playback check: some beeps, and a number that only shows in a moving picture."""
    seconds = 4.0
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros_like(times)
    for start in 0.5 + np.arange(beeps) * 0.6:
        inside = np.clip(np.minimum(times - start, start + 0.25 - times) / 0.01, 0, 1)  # 10 ms fades: no clicks
        sound += 0.25 * inside * np.sin(2 * np.pi * 880 * times)
    number_card, dots = draw_card([str(number)], size=size, text_size=size // 3), draw_card(["..."], size=size)
    count = round(seconds * _CHECK_FPS)
    pictures = (number_card if 1.0 <= frame / _CHECK_FPS < 3.0 else dots for frame in range(count))
    return Film(pictures, count, float(_CHECK_FPS), sound.astype(np.float32))


def write_film(film: Film, path: str | Path) -> None:
    """Write an MP4; every clip of a study goes through here, so nothing in the files distinguishes the methods."""
    from ..export.encode import write_video

    with atomic_path(path) as temporary:
        write_video(temporary, film.pictures, fps=film.fps, frame_count=film.frame_count, audio=film.audio, sample_rate=SAMPLE_RATE)


def write_scene(animation: Animation, path: str | Path) -> list[Path]:
    """Write an animation with sound for the 3D player: ``path`` with the suffixes .efp and .wav; returns both."""
    import soundfile

    from ..export.pack import Panel, Track, View, write_pack
    from ..export.topology import look_of

    scene, sound = Path(path).with_suffix(".efp"), Path(path).with_suffix(".wav")
    write_pack(
        scene,
        [Track(animation.vertices)],
        [View("", [Panel(0)])],
        faces=animation.faces,
        fps=animation.fps,
        colors=animation.colors,
        template=animation.template,
        look=look_of(animation),
    )
    with atomic_path(sound) as temporary:
        soundfile.write(temporary, animation.audio, animation.sample_rate)
    return [scene, sound]


def draw_card(lines: list[str], *, size: int, text_size: int | None = None) -> np.ndarray:
    """(size, size, 3) uint8: lines of text, wrapped and centred."""
    from PIL import Image, ImageDraw

    font = load_font("".join(lines), text_size or max(14, size // 18))
    page = Image.new("RGB", (size, size), _PAPER)
    text = "\n\n".join(_wrap(line, font, size * 0.88) for line in lines)
    ImageDraw.Draw(page).multiline_text((size / 2, size / 2), text, fill=_INK, font=font, anchor="mm", align="center", spacing=size // 64)
    return np.asarray(page)


def _wrap(text: str, font, width: float) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def _pictures(path: str | Path, size: int) -> Iterator[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            scale = size / max(frame.width, frame.height)
            width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
            page = np.full((size, size, 3), _PAPER, np.uint8)
            top, left = (size - height) // 2, (size - width) // 2
            page[top : top + height, left : left + width] = frame.to_ndarray(format="rgb24", width=width, height=height)
            yield page
