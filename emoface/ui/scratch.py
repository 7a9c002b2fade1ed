"""One folder for all that visitors send and get, which goes with the program, however that ends.

It is held by a lock of the operating system, which dies with the process: the next start finds the folders of killed runs by it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: folders of killed runs stay until somebody deletes them
    fcntl = None

PREFIX = "emoface-page-"
_LOCK = ".lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make the folder and give it to Gradio, unless GRADIO_TEMP_DIR already names one. To be called before Gradio is imported."""
    if os.environ.get("GRADIO_TEMP_DIR"):
        yield Path(os.environ["GRADIO_TEMP_DIR"])
        return
    clear_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # readable by this user alone
    lock = _locked(folder)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        yield folder
    finally:
        del os.environ["GRADIO_TEMP_DIR"]
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def is_private(folder: Path) -> bool:
    """Whether a folder was made here, so that nothing but visitors' files is in it."""
    return folder.name.startswith(PREFIX)


def clear_leftovers() -> None:
    """Delete the folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir() or time.time() - folder.stat().st_mtime < 10:  # another start may be about to lock it
            continue
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A lock on the folder, or None where another process holds it or it is not ours."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
