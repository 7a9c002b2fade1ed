"""A view of a file in which ffmpeg finds no tags and no packed headers: those unpack a thousandfold, before any sound is read.

ID3 tags (at the start of mp3 and aac, in chunks of wav and aiff, in attributes of wma) may hold frames packed with zlib, of any size; QuickTime's
``cmov`` is a packed ``moov``. Neither has sound in it, and nobody has written the latter for twenty years.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import BinaryIO

from ..errors import AudioError

_TAG = re.compile(rb"ID3[^\xff][^\xff].[\x00-\x7f]{4}", re.DOTALL)
_PACKED = re.compile(rb"ID3[\x02-\x04][^\xff].[\x00-\x7f]{4}|cmov.{4}dcom", re.DOTALL)
_LONGEST_MARK = 12
_BLOCK = 1 << 20
# More than any file has, joined ones included.
_MOST_MARKS = 10_000


class PlainFile:
    """``file`` as PyAV reads it, from behind the tags at its start; marks further on lose their first letter.

    Raises:
        AudioError: more marks than any recording has.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._start = _behind_tags(file)
        self._marks = _marks(file, self._start)
        if len(self._marks) > _MOST_MARKS:
            raise AudioError(f"{name} holds thousands of tags: export it again.")
        self.seek(0)

    def read(self, size: int = -1) -> bytes:
        place = self._file.tell()
        block = self._file.read(size)
        first = bisect_right(self._marks, place - 1)
        if first == len(self._marks) or self._marks[first] >= place + len(block):
            return block
        changed = bytearray(block)
        for mark in self._marks[first : bisect_right(self._marks, place + len(block) - 1)]:
            changed[mark - place] = ord("x")
        return bytes(changed)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset + self._start if whence == 0 else offset, whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def _behind_tags(file: BinaryIO) -> int:
    """Where the ID3 tags at the start of a file end; 0 where they claim more than there is."""
    size, place = file.seek(0, 2), 0
    for _ in range(_MOST_MARKS):
        file.seek(place)
        header = file.read(10)
        if not _TAG.fullmatch(header):
            break
        place += 10 + sum(byte << shift for byte, shift in zip(header[6:], (21, 14, 7, 0))) + (10 if header[5] & 0x10 else 0)
    return place if place < size else 0


def _marks(file: BinaryIO, start: int) -> list[int]:
    """Places of everything packed behind ``start``, in order; one more than the most where there are more."""
    found: list[int] = []
    kept, place = b"", start  # of the first byte in hand
    file.seek(start)
    while len(found) <= _MOST_MARKS and (block := file.read(_BLOCK)):
        text = kept + block
        found += [place + match.start() for match in _PACKED.finditer(text)]
        kept = text[1 - _LONGEST_MARK :]
        place += len(text) - len(kept)
    return sorted(set(found))
