"""Damage in Ogg costs packets, not pages of a second; and what follows a lost page keeps its time."""

import numpy as np
import pytest

from emoface.audio import load_audio, ogg

from .recordings import KINDS, narrator, recorded

OF_OGG = [kind for kind in KINDS if kind.container == "ogg"]


def pages(data: bytes) -> list[int]:
    places, place = [], data.find(b"OggS")
    while place >= 0:
        places.append(place)
        place = data.find(b"OggS", place + 4)
    return places


def damaged(kind, folder, change) -> tuple:
    data = bytearray(recorded(kind, kind.rates[0], 1))
    change(data)
    (folder / "recording.ogg").write_bytes(data)
    return load_audio(folder / "recording.ogg"), narrator()


@pytest.mark.parametrize("kind", OF_OGG, ids=lambda kind: kind.codec)
def test_a_wrong_byte_does_not_cost_a_page(kind, tmp_path):
    def change(data):
        data[pages(data)[-1] + 600] ^= 0xFF  # in the last page, behind which nothing would tell that it was lost

    audio, clean = damaged(kind, tmp_path, change)
    assert audio.seconds == pytest.approx(len(clean) / 16000, abs=0.15)
    assert audio.damaged_seconds < 0.2
    loud = lambda samples: np.sqrt(np.mean(samples[-16000:] ** 2))
    assert loud(audio.samples) == pytest.approx(loud(clean), rel=0.3)


def test_what_follows_a_lost_page_of_flac_keeps_its_time(tmp_path):
    """Pages tell only where they end: the frames behind a lost one tell their own number."""
    kind = next(kind for kind in OF_OGG if kind.codec == "flac")

    def change(data):
        place = pages(data)[-2]
        data[place : place + 4] = b"lost"

    audio, clean = damaged(kind, tmp_path, change)
    assert audio.seconds == pytest.approx(len(clean) / 16000, abs=0.01) and 0.5 < audio.damaged_seconds < 1.5
    end = slice(len(clean) - 3000, len(clean) - 200)
    np.testing.assert_allclose(audio.samples[end], clean[end], atol=0.02)


@pytest.mark.parametrize("kind", OF_OGG, ids=lambda kind: kind.codec)
def test_checksums_are_those_that_others_write(kind):
    data = recorded(kind, kind.rates[0], 1)
    first, second = pages(data)[:2]
    assert ogg.checksum(data[first:second]) == data[first + 22 : first + 26]
    assert ogg.mended(data) is None
    wrong = bytearray(data)
    wrong[pages(data)[-1] + 22] ^= 1
    assert ogg.mended(wrong) == data


def test_other_files_are_not_touched():
    for content in (b"RIFF" + bytes(50), b"OggS", b"OggS" + 60 * b"\xff"):
        assert ogg.mended(content) is None
