"""Writing over what is there already."""

import os
import stat
import time

import pytest

from emoface.cli.common import check_output
from emoface.errors import EmoFaceError
from emoface.files import atomic_path


def write(path):
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.npz", tmp_path / "b.npz"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link)
    assert link.is_symlink() and target.read_bytes() == b"new" and [path.name for path in tmp_path.rglob("*.npz")] == ["b.npz", "a.npz"]


def test_pipes_and_protected_files_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "mine.npz").write_bytes(b"old")
    (tmp_path / "mine.npz").chmod(0o444)
    for name, words in (("pipe.npz", "no ordinary file"), ("mine.npz", "write-protected")):
        for attempt in (write, check_output):
            with pytest.raises(EmoFaceError, match=words):
                attempt(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe.npz").stat().st_mode) and (tmp_path / "mine.npz").read_bytes() == b"old"


def test_the_input_is_not_the_output(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"a recording")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "x.mp4")
    for name in ("x.mp4", "link.mp4"):
        with pytest.raises(EmoFaceError, match="also what is read"):
            check_output(tmp_path / name, None, "speech", tmp_path / "x.mp4")
    check_output(tmp_path / "y.mp4", tmp_path / "x.mp4")


def test_leftovers_of_killed_runs_go_and_those_being_written_stay(tmp_path):
    old, young, other = tmp_path / ".emoface-1.npz", tmp_path / ".emoface-2.npz", tmp_path / "emoface-3.npz"
    for path in (old, young, other):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    os.utime(other, (0, 0))
    write(tmp_path / "a.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".emoface-2.npz", "a.npz", "emoface-3.npz"]


def test_a_full_device_is_told(tmp_path):
    import subprocess
    import sys

    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "emoface", "study", "power", "--difference", "1.5"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1 and done.stderr == "emoface: the disk is full: make room, then run it again.\n"
