"""Damaged blocks of Matroska and WebM (what browsers record) cost themselves, not the rest of their cluster."""

import numpy as np
import pytest

from emoface.audio import load_audio
from emoface.audio.matroska import mended

from .recordings import KINDS, MORE_KINDS, lag_seconds, narrator, recorded

OF_MATROSKA = [kind for kind in (*KINDS, *MORE_KINDS) if kind.container in ("matroska", "webm")]
HEAD = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + 7 * b"\xff" + b"\x1f\x43\xb6\x75\x01" + 7 * b"\xff"


@pytest.mark.parametrize("kind", OF_MATROSKA, ids=lambda kind: f"{kind.container}-{kind.codec}")
def test_what_follows_a_damaged_block_is_heard(kind, tmp_path):
    whole, clean, rng = recorded(kind, kind.rates[-1], 1), narrator(), np.random.default_rng(0)
    for _ in range(6):
        data, at, size = bytearray(whole), int(rng.uniform(0.3, 0.8) * len(whole)), int(rng.integers(20, 200))
        data[at : at + size] = rng.bytes(size)
        (tmp_path / "recording.mkv").write_bytes(data)
        audio = load_audio(tmp_path / "recording.mkv")
        assert audio.seconds == pytest.approx(len(clean) / 16000, abs=0.1)
        tail = int(2.6 * 16000)
        assert abs(lag_seconds(audio.samples[tail:], clean[tail:])) < 0.05
        assert audio.damaged_seconds < 0.3


@pytest.mark.parametrize("kind", OF_MATROSKA, ids=lambda kind: f"{kind.container}-{kind.codec}")
def test_a_sound_file_is_left_as_it_is(kind):
    assert mended(recorded(kind, kind.rates[0], 1)) is None


def test_other_files_are_not_touched():
    assert mended(b"RIFF" + bytes(100)) is None
    assert mended(HEAD[:5]) is None


@pytest.mark.parametrize("body", [b"\xec\x80", b"\xa3\x01", b"\xa3\x85\x81\0\0\x80x", b"\xa0\x81"], ids=["voids", "starts", "blocks", "groups"])
def test_no_file_is_searched_for_ever(body):
    """Millions of elements, or of what looks like one: it is given up, and ffmpeg's own answer counts."""
    assert mended(HEAD + body * 60_000) is None


def test_damage_is_left_out_block_by_block():
    """Two blocks with bytes between them that are none; the cluster no longer tells a length."""
    blocks = [b"\xa3\x86\x81\0" + bytes([time]) + b"\x80xy" for time in range(3)]
    file = mended(HEAD + blocks[0] + b"\x17" * 9 + blocks[1] + blocks[2])
    assert file == HEAD + b"".join(blocks)
