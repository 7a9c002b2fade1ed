"""Reading files that strangers made: what a header claims is compared with the file before anything gets memory.

A header of a hundred bytes can promise a terabyte, and a zip of a megabyte can unpack to a gigabyte. So every reader here bounds what it allocates by
the size of the file, and in all by ``MAX_BYTES``. What is damaged ends in an EmoFaceError of one sentence.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from .errors import EmoFaceError

MAX_BYTES = 2_000_000_000
"""Of all arrays of one animation in memory: eleven minutes of an embedded head at 30 frames per second."""
MAX_TEXT_BYTES = 64_000_000
"""Of a file or a member of a zip that is parsed as text: in memory it takes up to 25 times as much."""
_MAX_MEMBERS = 1000
_UNPACKED_FREELY, _MOST_PACKING = 64_000_000, 100
"""A zip unpacks to at most 64 MB and a hundred times its size; motion packs to half or a third."""


@contextmanager
def one_sentence(name: str, what: str) -> Iterator[None]:
    """Whatever numpy, zipfile, json and others raise for a file becomes an EmoFaceError that says it is damaged or not ``what``."""
    try:
        yield
    except EmoFaceError:
        raise
    except OSError as error:
        raise EmoFaceError(f"{name} cannot be read: {error.strerror or error}.") from None
    except MemoryError:
        raise EmoFaceError(f"{name} needs more memory than there is: cut it into shorter pieces.") from None
    except Exception as error:
        raise EmoFaceError(f"{name} is damaged or is not {what} ({type(error).__name__}): export it again.") from None


def check_bytes(wanted: int, name: str) -> None:
    """Raises EmoFaceError if arrays of ``wanted`` bytes are more than one animation may take."""
    if wanted > MAX_BYTES:
        raise EmoFaceError(f"{name} would take more than {MAX_BYTES / 1e9:g} GB in memory: cut it into shorter pieces.")


def read_bytes(path: str | os.PathLike, most: int = MAX_BYTES) -> bytes:
    """The file's content. EmoFaceError where it is larger than ``most`` bytes; OSError where it cannot be read."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise EmoFaceError(f"{Path(path).name} is larger than {most / 1e6:,.0f} MB: cut it into shorter pieces.")
        return file.read(size)


def read_json(path: str | os.PathLike) -> Any:
    """Parsed JSON of at most ``MAX_TEXT_BYTES``. Raises EmoFaceError, OSError; ValueError or RecursionError for what is no JSON."""
    return json.loads(read_bytes(path, MAX_TEXT_BYTES).decode("utf-8"))


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of an npy of numbers or text, as large as its file says and has. Raises EmoFaceError; no pickles."""
    path = Path(path)
    with one_sentence(path.name, "an .npy of plain numbers"):
        with path.open("rb") as file:
            check_bytes(_promised(file, path.stat().st_size), path.name)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Every array of an npz, by name. Raises EmoFaceError; no pickles, no members that unpack to far more than their size."""
    path = Path(path)
    with one_sentence(path.name, "an .npz of plain arrays"), zipfile.ZipFile(path) as archive:
        members = checked_members(archive, path)
        check_bytes(sum(member.file_size for member in members), path.name)
        if sum(member.file_size for member in members) > _UNPACKED_FREELY + _MOST_PACKING * path.stat().st_size or len(members) > _MAX_MEMBERS:
            raise ValueError("unpacks to far more than it is")
        for member in members:
            with archive.open(member) as file:
                _promised(file, member.file_size)
        arrays = {}
        for member in members:
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
        return arrays


def checked_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The entries of a zip. ValueError where they overlap, or are packed with a method whose ratio has no bound."""
    members = archive.infolist()
    if sum(member.compress_size for member in members) > path.stat().st_size:
        raise ValueError("members overlap")
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError("packed in an unusual way")
    return members


def _promised(file: IO[bytes], size: int) -> int:
    """Bytes of the array that the header at the start of ``file`` promises. ValueError if ``size``, the whole of it, has not as many."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read(file)
    entries = math.prod(shape)
    # Entries without bytes (text of length 0) are many for nothing, and lengths beside a 0 count for nothing: both are bounded as well.
    if dtype.hasobject or any(not 0 <= length <= size for length in shape) or entries * max(dtype.itemsize, 1) > size:
        raise ValueError("more promised than there is")
    return entries * dtype.itemsize
