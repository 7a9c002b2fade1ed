"""A path as an open binary file that can be read from any place, whatever stands at the path."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import AudioError

# Two minutes of eight channels at 192 kHz in 32 bits; a pipe that gives more will not end.
_MAX_PIPED_BYTES = 1 << 30


def printable(path: str | os.PathLike) -> str:
    """The file's name for messages and titles: bytes that are not UTF-8 and control characters become question marks."""
    name = os.fsencode(Path(path).name).decode("utf-8", "replace")
    return "".join(character if character.isprintable() and character != "\ufffd" else "?" for character in name)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file at ``path``; what comes through a pipe (``/dev/stdin``, a fifo) is kept in a temporary file meanwhile.

    Raises:
        AudioError: nothing there, a folder, no permission, empty, or a pipe that does not end.
    """
    name = printable(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
            raise AudioError(f"{name} is a {'folder' if stat.S_ISDIR(mode) else 'disk'}: choose an audio file in it.")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise AudioError(f"There is no file {str(path.parent / name)!r}: check the path.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        reason = getattr(error, "strerror", None) or "invalid path"
        raise AudioError(f"{name} cannot be opened ({reason}): check the path and its permissions.") from error
    with file:
        if stat.S_ISREG(mode):
            if os.fstat(file.fileno()).st_size == 0:
                raise AudioError(f"{name} is empty (0 bytes): record or export it again.")
            yield file
            return
        with tempfile.TemporaryFile(prefix="emoface-") as kept:
            _keep(file, kept, name)
            yield kept


def _keep(pipe: BinaryIO, kept: BinaryIO, name: str) -> None:
    """Copy what the pipe gives until it ends."""
    size = 0
    while block := pipe.read(1 << 20):
        size += len(block)
        if size > _MAX_PIPED_BYTES:
            raise AudioError(f"{name} gave more than {_MAX_PIPED_BYTES >> 30} GB and goes on: give a recording that ends.")
        kept.write(block)
    if size == 0:
        raise AudioError(f"{name} is empty (0 bytes): record or export it again.")
    kept.seek(0)
