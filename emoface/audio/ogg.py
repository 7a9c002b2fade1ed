"""An Ogg file whose damaged pages count.

A page is up to a second of sound, and ffmpeg drops the whole of it for one wrong bit. With its checksum made to fit, only the packets that are damaged
fail or sound wrong. Pages whose very frame is damaged are not mended.
"""

from __future__ import annotations

import zlib

_MARK, _HEAD = b"OggS", 27
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def mended(content: bytes) -> bytes | None:
    """The file with right checksums; None where all are right or it is no Ogg file."""
    data, place, changed, size = bytearray(content), 0, False, len(content)
    while place < size:
        end = _end(data, place)
        if end is None or not (end == size or data.startswith(_MARK, end)):  # its frame is damaged: on to the next one
            place = data.find(_MARK, place + 1)
            if place < 0:
                break
            continue
        right = checksum(data[place:end])
        if data[place + 22 : place + 26] != right:
            data[place + 22 : place + 26] = right
            changed = True
        place = end
    return bytes(data) if changed else None


def _end(data: bytearray, place: int) -> int | None:
    """Where the page at ``place`` ends; None where there is no whole one."""
    if not data.startswith(_MARK, place) or place + _HEAD > len(data):
        return None
    body = place + _HEAD + data[place + 26]
    end = body + sum(data[place + _HEAD : body])
    return end if end <= len(data) else None


def checksum(page: bytes | bytearray) -> bytes:
    """Of a page, as it stands in its header: CRC-32 with bits the other way round than zlib's, started with 0, over the page without it."""
    blank = bytes(page[:22]) + bytes(4) + bytes(page[26:])
    mirrored = zlib.crc32(blank.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2).to_bytes(4, "little")
