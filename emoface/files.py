"""Writing files so that a crash, a full disk or Ctrl-C never leaves half of one behind."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import EmoFaceError

_PREFIX = ".emoface-"
_LEFTOVER_SECONDS = 3600.0


def replaceable(path: str | os.PathLike) -> Path:
    """Where a file for ``path`` is really written.

    Raises:
        EmoFaceError: as for :func:`atomic_path`.
    """
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    try:
        mode = path.stat().st_mode
    except OSError:  # not there yet; whatever else is wrong, writing will say
        return path
    if not stat.S_ISREG(mode):
        raise EmoFaceError(f"{path} is no ordinary file: give the name of a file to write.")
    if not mode & 0o222 or not os.access(path, os.W_OK):
        raise EmoFaceError(f"{path} is write-protected: choose another name, or allow writing.")
    return path


def _clear_leftovers(folder: Path) -> None:
    """What killed runs left half-written here, untouched for an hour."""
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            if stat.S_ISREG(path.lstat().st_mode) and time.time() - path.lstat().st_mtime > _LEFTOVER_SECONDS:
                path.unlink()
        except OSError:
            continue


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` only if the block succeeds.

    The temporary name keeps the suffix, because many writers choose the format by it. A link stays, and its target is replaced.

    Raises:
        EmoFaceError: a pipe, a device or a write-protected file stands there.
    """
    path = replaceable(path)
    _clear_leftovers(path.parent)
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        # mkstemp makes files private (0600); give the result the permissions any new file would have.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a text as UTF-8 with newlines as they are, completely or not at all; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_json(path: str | os.PathLike, content: object) -> Path:
    """:func:`write_text` of compact JSON."""
    return write_text(path, json.dumps(content, separators=(",", ":")))
