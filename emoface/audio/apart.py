"""Files that strangers send are decoded in processes of their own, with a limit on memory and time.

A decoder can be made to take gigabytes or minutes by a file of kilobytes (a count in a header that nothing follows), or to crash. Here that costs
the file, in a sentence, and nobody else anything. The process is kept for the next file; what it answers are numbers and JSON, no pickles.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import AudioError, TooLong
from ..resources import IMPORTED_FROM
from .recording import Audio, read_file
from .source import printable

try:
    import resource
except ImportError:  # Windows: there is only the limit on time
    resource = None  # type: ignore[assignment]

MEMORY_MB = 300
"""On top of what the program itself needs (Linux; elsewhere the system does not count it)."""
CPU_SECONDS, SECONDS = 20, 120.0
"""Of processor time (a long recording of 16 channels takes 4), and in all, where the machine is busy."""
AT_ONCE = 3
"""Files: those of two visitors who send something, and that of the job that runs."""


class Readers:
    """Thread-safe."""

    def __init__(self, count: int = AT_ONCE) -> None:
        self._count = count
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)  # two processes that talk to one reader would mix their recordings

    def _forget(self) -> None:
        self._free: queue.LifoQueue[_Reader] = queue.LifoQueue()
        for _ in range(self._count):
            self._free.put(_Reader())

    def read(self, path: Path, max_seconds: float) -> Audio:
        """As :func:`emoface.audio.load_audio`, waiting for a reader that is free."""
        reader = self._free.get()
        try:
            return reader.read(path, max_seconds)
        finally:
            self._free.put(reader)


class _Reader:
    """One process, started with its first file, and again after one that broke it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None

    def read(self, path: Path, max_seconds: float) -> Audio:
        if self.process is None or self.process.poll() is not None:
            self.process = _start()
        process = self.process
        watch = threading.Timer(SECONDS, process.kill)
        watch.start()
        try:
            return _ask(process, path, max_seconds)
        except (OSError, ValueError) as error:  # it was stopped, or died: no answer, or half of one
            if isinstance(error, AudioError):
                raise
            process.kill()
            process.wait()
            raise AudioError(f"{printable(path)} takes too much memory or time to read, or is damaged: export it as wav or mp3.") from None
        finally:
            watch.cancel()


def _ask(process: subprocess.Popen, path: Path, max_seconds: float) -> Audio:
    """Raises AudioError as it was answered, OSError or ValueError where there is no answer."""
    assert process.stdin is not None and process.stdout is not None  # pipes, both
    process.stdin.write(json.dumps([os.fspath(path.absolute()), max_seconds, CPU_SECONDS]).encode() + b"\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if "refused" in answer:
        raise (TooLong if answer["too_long"] else AudioError)(answer["refused"])
    content = process.stdout.read(4 * answer["samples"])
    if len(content) < 4 * answer["samples"]:
        raise ValueError("half an answer")
    return Audio(np.frombuffer(content, "<f4").astype(np.float32), answer["rate"], answer["name"], answer["damaged"])


def _start() -> subprocess.Popen:
    paths = os.pathsep.join([str(IMPORTED_FROM), *filter(None, [os.environ.get("PYTHONPATH")])])
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # a thread's stack counts as memory
    return subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **one_thread, "PYTHONSAFEPATH": "1", "PYTHONPATH": paths},
    )


# ---- in the other process ---------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer one file after the other, until the asker is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the asker's, who then is gone
    os.dup2(2, 1)  # whatever a library prints is no answer
    _limit_memory()
    for line in sys.stdin.buffer:
        path, max_seconds, cpu_seconds = json.loads(line)
        _limit_time(cpu_seconds)
        _answer(answers, Path(path), max_seconds)


def _answer(answers: BinaryIO, path: Path, max_seconds: float) -> None:
    try:
        audio = read_file(path, max_seconds)
    except AudioError as error:
        answers.write(json.dumps({"refused": str(error), "too_long": isinstance(error, TooLong)}).encode() + b"\n")
    else:
        about = {"samples": len(audio.samples), "rate": audio.sample_rate, "name": audio.name, "damaged": audio.damaged_seconds}
        answers.write(json.dumps(about).encode() + b"\n" + audio.samples.astype("<f4").tobytes())
    answers.flush()


def _limit_memory() -> None:
    if resource is None or not Path("/proc/self/status").exists():
        return
    own = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, ((own << 10) + (MEMORY_MB << 20),) * 2)


def _limit_time(cpu_seconds: int) -> None:
    """From now on; the system ends a process that takes longer."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = round(used.ru_utime + used.ru_stime) + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
