"""One pipeline for the whole page: loaded once, used by one job at a time, stopped when its visitor asks."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ..audio import longest_seconds
from ..errors import Cancelled, EmoFaceError

MAX_SECONDS = longest_seconds()
CROSS_SECONDS = min(MAX_SECONDS, 30.0)
"""Longest recording of the tabs that show several faces: the browser holds all of their frames."""


class Engine:
    """Lazily built pipeline. ``build()`` makes it, once."""

    def __init__(self, build: Callable[[], Any]):
        self._build, self._pipeline, self._lock = build, None, threading.Lock()
        self._on_zero_gpu = _borrow_gpu(self._call)

    @property
    def pipeline(self) -> Any:
        """Loaded at the first use; errors of loading are raised each time."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = self._build()
            return self._pipeline

    def warm_up(self, speech: str) -> None:
        """Load the pipeline and make one face, thrown away: the first visitor's takes three times as long as the second's else.

        Where a Space has ZeroGPU there is nothing to keep warm.
        """
        pipeline = self.pipeline
        if not self.zero_gpu:
            pipeline(speech, idle=True)

    @property
    def zero_gpu(self) -> bool:
        """Whether a GPU is assigned per call (a Space with ZeroGPU)."""
        return self._on_zero_gpu is not None

    def run(self, method: str, *arguments: Any, stages: Stages, part: tuple[float, float] = (0.1, 0.85), **options: Any) -> Any:
        """``pipeline.METHOD(*arguments, **options)``, with its stages shown in ``part`` of the bar, until it is done or stopped.

        Where a Space has ZeroGPU, the work happens in another process, which can neither report stages nor be stopped half way.
        """
        stages("Loading the model", part[0])
        pipeline = self.pipeline
        if self._on_zero_gpu is not None:
            stages("Working on a borrowed GPU", part[0])
            return self._on_zero_gpu(method, arguments, options)
        return getattr(pipeline, method)(*arguments, progress=stages.part(*part), cancel=stages.cancelled, **options)

    def _call(self, method: str, arguments: tuple, options: dict) -> Any:
        return getattr(self.pipeline, method)(*arguments, **options)


def _borrow_gpu(function: Callable) -> Callable | None:
    """``function`` on a GPU assigned for the length of the call (ZeroGPU), or None anywhere else."""
    if not os.environ.get("SPACES_ZERO_GPU"):
        return None
    import spaces

    return spaces.GPU(duration=120)(function)


class Stages:
    """Named stages, shown by Gradio's progress display, which has the clock, and the way to stop between them."""

    def __init__(self, progress: gr.Progress | None, stopped: threading.Event):
        self._progress, self._stopped, self._start = progress, stopped, time.monotonic()

    def __call__(self, stage: str, fraction: float) -> None:
        if self._progress is not None:
            self._progress(min(max(fraction, 0.0), 1.0), desc=stage)

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._start

    def part(self, start: float, end: float) -> Callable[[str, float], None]:
        """The same display for one of several jobs, squeezed into its share of the bar."""
        return lambda stage, fraction: self(stage, start + (end - start) * fraction)

    def cancelled(self) -> bool:
        """Whether the visitor pressed *Stop* or left."""
        return self._stopped.is_set()


@contextmanager
def plain_errors() -> Iterator[None]:
    """What the visitor can mend becomes a message on the page; everything else stays an error of the server's log."""
    try:
        yield
    except Cancelled as error:
        raise gr.Error(str(error), title="Stopped", duration=4, print_exception=False) from None
    except EmoFaceError as error:
        raise gr.Error(without_folders(str(error)), title="That did not work", duration=None, print_exception=False) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise gr.Error("The server's disk is full: try again later, or tell its owner.", title="That did not work", duration=None) from error


def without_folders(sentence: str) -> str:
    """A visitor's folder has a secret name; files in it are called by their own."""
    return re.sub(re.escape(get_upload_folder()) + r"(?:/[^/\s'\"]+)*/", "", sentence)


def short_enough(path: str | None, *, limit: float = MAX_SECONDS) -> None:
    """Refuse recordings that are too long or unreadable before the wait.

    Raises:
        AudioError: with what to do.
    """
    from ..audio import load_audio

    if path is not None:
        load_audio(path, max_seconds=limit)
