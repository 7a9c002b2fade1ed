"""A Matroska or WebM file without its damaged places.

ffmpeg drops the rest of a cluster, up to half a minute of a browser's recording, when the size of a block in it is damaged. Here the blocks are found
again: one is believed where another element follows right behind it. Every block has a time of its own, so what is left out leaves a gap, not a shift.
"""

from __future__ import annotations

import re
from collections import Counter

_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_UNKNOWN_SIZE = b"\x01" + 7 * b"\xff"
_IN_SEGMENT = (
    _CLUSTER,
    b"\x10\x43\xa7\x70",
    b"\x1c\x53\xbb\x6b",
    b"\x11\x4d\x9b\x74",
    b"\x15\x49\xa9\x66",
    b"\x16\x54\xae\x6b",
    b"\x12\x54\xc3\x67",
    b"\x19\x41\xa4\x69",
)
_IN_CLUSTER = (b"\xe7", b"\xa3", b"\xa0", b"\xab", b"\xa7", b"\xec", b"\xbf")
_SIMPLE_BLOCK, _GROUP = b"\xa3", b"\xa0"
_BLOCKS = (_SIMPLE_BLOCK, _GROUP)
_BEGINNING = re.compile(rb"[\xa3\xa0]|\x1f\x43\xb6\x75")
# Two minutes of film have some ten thousand.
_MOST_ELEMENTS = 50_000
# A track has at least so small a share of the blocks of the busiest one; a damaged header is one of a kind.
_RAREST = 50
_LARGEST_BLOCK = 1 << 20


def mended(data: bytes) -> bytes | None:
    """The file without the bytes that are no elements; None where nothing is wrong or it is no such file."""
    start, segment = data.find(_CLUSTER), data.find(_SEGMENT)
    if not 0 <= segment < start:
        return None
    width = _width(data, segment + 4)
    if not width:
        return None
    unknown = bytes([(1 << (9 - width)) - 1]) + (width - 1) * b"\xff"  # of the same width: nothing else moves
    kept = [data[: segment + 4], unknown, data[segment + 4 + width : start]]
    elements, lost = _elements(data, start)
    headers = Counter(_header(data, place) for place, _ in elements if data[place : place + 1] == _SIMPLE_BLOCK)
    for place, end in elements:
        if data.startswith(_CLUSTER, place):
            kept.append(_CLUSTER + _UNKNOWN_SIZE)  # what is left of it need not be as long as it was
        elif _whole(data, place, end, headers):
            kept.append(data[place:end])
        else:
            lost = True
    return b"".join(kept) if lost else None


def _elements(data: bytes, place: int) -> tuple[list[tuple[int, int]], bool]:
    """Begin and end of the elements from ``place`` on, and whether there was anything else; none at all where it is made to take for ever."""
    found: list[tuple[int, int]] = []
    last: tuple[int, int] | None = None  # the one right before what is damaged: nothing follows it, but it may be whole
    lost, tries = False, 0
    while place < len(data):
        end = _end(data, place)
        tries += 1
        if end is not None:
            if last is not None and last[1] <= place:
                found.append(last)
            last = None
            found.append((place, end))
            place = end
        else:
            if last is None and (alone := _end(data, place, followed=False)) is not None:
                last = place, alone
            lost, candidate = True, _BEGINNING.search(data, place + 1)
            place = candidate.start() if candidate else len(data)
        if tries > _MOST_ELEMENTS:
            return [], False
    return found, lost


def _header(data: bytes, place: int) -> tuple[bytes, int]:
    """A simple block's track, and how several frames share it; ffmpeg drops the rest of a cluster when the latter is damaged."""
    begin = place + 1 + _width(data, place + 1)
    return data[begin : begin + 1], data[begin + 3] & 6


def _whole(data: bytes, place: int, end: int, headers: Counter) -> bool:
    """Whether what stands in an element is not damaged so that ffmpeg would stop at it: headers of blocks repeat, groups hold elements."""
    if data[place : place + 1] == _SIMPLE_BLOCK:
        return headers[_header(data, place)] >= max(headers.values()) / _RAREST
    if data[place : place + 1] != _GROUP:
        return True
    place += 1 + _width(data, place + 1)
    while place < end:
        place += 1 if data[place] & 0x80 else 2  # names of one or two letters
        width = _width(data, place)
        if not width:
            return False
        place += width + _length(data, place, width)
    return place == end


def _end(data: bytes, place: int, *, followed: bool = True) -> int | None:
    """Where the element at ``place`` ends (a cluster: where its content begins); None where there is none that can be believed."""
    head = next((name for name in _IN_SEGMENT if data.startswith(name, place)), data[place : place + 1])
    if head not in _IN_SEGMENT and head not in _IN_CLUSTER:
        return None
    place += len(head)
    width = _width(data, place)
    if not width:
        return None
    length, begin = _length(data, place, width), place + width
    if head == _CLUSTER:
        end = begin
    elif head in _BLOCKS and not 4 < length < _LARGEST_BLOCK:
        return None
    else:
        end = begin + length
    if end > len(data):
        return len(data) if head in _BLOCKS and not followed else None
    return end if end == len(data) or not followed or _end(data, end, followed=False) is not None else None


def _length(data: bytes, place: int, width: int) -> int:
    return int.from_bytes(data[place : place + width], "big") & ((1 << (7 * width)) - 1)


def _width(data: bytes, place: int) -> int:
    """Bytes of the number at ``place``, 1 ... 8; 0 where there is none."""
    first = data[place] if place < len(data) else 0
    return 9 - first.bit_length() if first else 0
