"""What several commands share: options of the model, a check of the output path, progress on stderr."""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ..errors import EmoFaceError
from ..files import replaceable


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model``, ``--revision`` and ``--device``, the same in every command that loads a model."""
    parser.add_argument("--model", metavar="PATH_OR_ID", help="model folder or Hugging Face id (default: embedded)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face model")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: auto")


def check_output(path: Path, *inputs: str | os.PathLike | None) -> None:
    """Refuse a path that cannot be written before any work is done.

    Raises:
        EmoFaceError: unknown suffix, missing folder or package, a name that the disk does not take, no permission, a folder, pipe,
            device or write-protected file where the file should be, or one of the ``inputs``.
    """
    from ..export import FORMATS, suffix_of

    if suffix_of(path) not in FORMATS:
        raise EmoFaceError(f"{path.name!r} has no suffix that can be written: use one of {' '.join(FORMATS)} (`emoface formats` explains them).")
    if not path.absolute().parent.is_dir():
        raise EmoFaceError(f"The folder {path.parent} does not exist: create it first.")
    writer = FORMATS[suffix_of(path)][1]
    if writer == "save_usd" and find_spec("pxr") is None:
        raise EmoFaceError("USD files need the package usd-core: pip install usd-core.")
    if writer in ("save_usd", "save_video") and not _is_utf8(path.absolute()):
        raise EmoFaceError(f"{path.suffix} files need a path that is UTF-8, which {path.absolute()} is not: choose another name or folder.")
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)  # the disk itself judges the name, also where it is too long
    except FileNotFoundError:
        is_folder = False
    except (OSError, ValueError) as error:
        raise EmoFaceError(f"{path} cannot be written ({getattr(error, 'strerror', None) or error}): choose another name.") from None
    if is_folder:
        raise EmoFaceError(f"{path} is a folder: give the name of a file in it.")
    target = replaceable(path)
    if target.exists() and any(given and os.path.exists(given) and target.samefile(given) for given in inputs):
        raise EmoFaceError(f"{path} is also what is read: give another name for the output.")
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise EmoFaceError(f"Nothing can be written in {path.parent} ({error.strerror}): choose another folder.") from None


def _is_utf8(path: Path) -> bool:
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def plays_sound(path: Path) -> bool:
    """Whether a file of this name is a film with sound."""
    return path.suffix.lower() in (".mp4", ".webm", ".mov")


def add_film_options(parser: argparse.ArgumentParser) -> None:
    """What a film looks like, the same in every command that makes one."""
    add = parser.add_argument
    add("--size", type=_size, metavar="N or WxH", help="side of each picture (default: 512; previews 320), or size of the film, captions included")
    add("--camera", choices=("front", "three_quarter", "profile", "mouth"))
    add("--background", type=_background, metavar="light|dark|transparent|R,G,B", help="transparent: in .mov, .webm (vp9) and .zip of png")
    add("--heat", choices=("importance", "effect"), help="paint what the emotion branch does, where the file has it")
    add("--caption", action="append", metavar="TEXT", help="once per FILE (default with several: the file names)")
    add("--codec", choices=("h264", "vp9", "av1", "prores"))
    add("--mesh", choices=("obj", "ply", "png"), help="frames in a .zip: meshes, or pictures with the film's options")


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    """What clips for engines are made for, the same in every command that writes them."""
    add = parser.add_argument
    add("--target", metavar="PATH", help="of .anim and .tres: the object with the shapes, as the scene calls it (default: head)")
    add(
        "--bone",
        metavar="PATH",
        help="of .anim and .tres: what turns the head, if it does (default: the muscles of a humanoid in .anim, neck in .tres)",
    )
    add("--shapes", choices=("vrm", "arkit"), help="of .vrma: the expressions of every avatar (default), or the 52 ARKit shapes")


def _size(text: str) -> int | tuple[int, int]:
    parts = [int(part) for part in text.lower().split("x")]
    if len(parts) > 2:
        raise ValueError(text)
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _background(text: str) -> str | tuple[int, ...]:
    if text in ("light", "dark", "transparent"):
        return text
    color = tuple(int(part) for part in text.split(","))
    if len(color) != 3 or not all(0 <= part <= 255 for part in color):
        raise ValueError(text)
    return color


@contextmanager
def only_python_complains() -> Iterator[None]:
    """C libraries write to file descriptor 2 whatever Python does with ``sys.stderr``; here it leads nowhere for them."""
    try:
        plain = sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # not a file at all, as in a test
        plain = False
    stderr, kept = sys.stderr, os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)
    if plain:
        sys.stderr = os.fdopen(os.dup(kept), "w", encoding=stderr.encoding, errors="backslashreplace", buffering=1)
    try:
        yield
    finally:
        if plain:
            sys.stderr.close()
        sys.stderr = stderr
        os.dup2(kept, 2)
        os.close(kept)


class Progress:
    """Stages on stderr: one line that is rewritten on a terminal, one line per stage elsewhere (logs)."""

    def __init__(self, *, quiet: bool = False):
        self._quiet, self._terminal = quiet, sys.stderr.isatty()
        self._stage, self._begin = "", time.monotonic()

    def __call__(self, stage: str, fraction: float) -> None:
        if self._quiet:
            return
        if self._terminal:
            print(f"\r\x1b[K{fraction:4.0%} {stage} ({time.monotonic() - self._begin:.1f} s)", end="", file=sys.stderr)
        elif stage != self._stage:
            print(stage, file=sys.stderr)
        self._stage = stage

    def close(self) -> None:
        """Clear the terminal's line."""
        if self._terminal and not self._quiet:
            print("\r\x1b[K", end="", file=sys.stderr)
