"""Files that take decoders gigabytes, minutes or a crash, read in a process that may take so much and no more."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from emoface.audio import apart, load_audio
from emoface.errors import AudioError, TooLong

from . import bombs
from .recordings import NARRATOR as SPEECH

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts the memory of a process")


@pytest.fixture
def readers():
    made = apart.Readers(1)
    yield made
    process = process_of(made)
    if process is not None:
        process.kill()
        process.wait()


def process_of(readers: apart.Readers):
    return readers._free.queue[0].process


@pytest.fixture
def promising(tmp_path):
    return bombs.promising(tmp_path / "promising.mp4")


@pytest.fixture
def commented(tmp_path):
    return bombs.commented(tmp_path / "commented.flac")


def test_the_answer_is_the_same(readers, tmp_path):
    here, there = load_audio(SPEECH), readers.read(Path(SPEECH), 120.0)
    np.testing.assert_array_equal(here.samples, there.samples)
    assert (here.name, here.sample_rate, here.damaged_seconds) == (there.name, there.sample_rate, there.damaged_seconds)
    for path, limit, kind in ((SPEECH, 0.5, TooLong), (tmp_path / "none.wav", 120.0, AudioError), (__file__, 120.0, AudioError)):
        with pytest.raises(AudioError) as expected:
            load_audio(path, max_seconds=limit)
        with pytest.raises(AudioError) as error:
            readers.read(Path(path), limit)
        assert type(error.value) is kind and str(error.value) == str(expected.value)


@linux
def test_a_file_that_wants_gigabytes_gets_none(readers, promising):
    readers.read(Path(SPEECH), 120.0)
    process = process_of(readers)
    with pytest.raises(AudioError, match="promising.mp4"):
        readers.read(promising, 120.0)
    peak = next(int(line.split()[1]) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert peak / 1024 < 2 * apart.MEMORY_MB
    assert readers.read(Path(SPEECH), 120.0).seconds > 1


def test_a_file_that_wants_minutes_gets_none(readers, commented, monkeypatch):
    monkeypatch.setattr(apart, "CPU_SECONDS", 1)
    with pytest.raises(AudioError, match="commented.flac takes too much memory or time"):
        readers.read(commented, 120.0)
    assert process_of(readers).returncode == -signal.SIGXCPU
    monkeypatch.undo()
    assert readers.read(Path(SPEECH), 120.0).seconds > 1


def test_a_reader_that_hangs_is_ended(readers, monkeypatch):
    readers.read(Path(SPEECH), 120.0)
    os.kill(process_of(readers).pid, signal.SIGSTOP)
    monkeypatch.setattr(apart, "SECONDS", 0.2)
    with pytest.raises(AudioError, match="too much memory or time"):
        readers.read(Path(SPEECH), 120.0)
    monkeypatch.undo()
    assert readers.read(Path(SPEECH), 120.0).seconds > 1


def test_a_reader_that_crashed_is_replaced(readers):
    readers.read(Path(SPEECH), 120.0)
    process_of(readers).kill()
    process_of(readers).wait()
    assert readers.read(Path(SPEECH), 120.0).seconds > 1


def _reader_in_a_fork(readers, sender):
    sender.send(process_of(readers) is None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_has_readers_of_its_own(readers):
    readers.read(Path(SPEECH), 120.0)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_reader_in_a_fork, args=(readers, sender))
    process.start()
    assert receiver.poll(60) and receiver.recv()
    process.join()
    assert process_of(readers) is not None


def test_readers_end_with_who_asked(readers):
    readers.read(Path(SPEECH), 120.0)
    process = process_of(readers)
    process.stdin.close()
    assert process.wait(60) == 0
