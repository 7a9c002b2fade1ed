"""One pipeline for the whole page: loaded once, used by one job at a time, stopped when its visitor asks."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator

import gradio as gr

from ..errors import Cancelled, EmoFaceError

try:  # on a Space with ZeroGPU this lends a GPU for the length of a call; anywhere else it does nothing
    import spaces

    gpu = spaces.GPU(duration=120)
except ImportError:
    def gpu(function: Callable) -> Callable:
        return function

MAX_SECONDS = float(os.environ.get("EMOFACE_MAX_SECONDS", 120))
CROSS_SECONDS = min(MAX_SECONDS, 30.0)
"""Longest recording of the tabs that show several faces: the browser holds all of their frames."""


class Engine:
    """Lazily built pipeline. ``build()`` makes it; ``describe`` works without it."""

    def __init__(self, build: Callable[[], Any]):
        self._build, self._pipeline, self._lock = build, None, threading.Lock()

    @property
    def pipeline(self) -> Any:
        with self._lock:
            if self._pipeline is None:
                self._pipeline = self._build()
            return self._pipeline


class Stages:
    """Named stages with elapsed time, shown by Gradio's progress display, and the way to stop between them."""

    def __init__(self, progress: gr.Progress | None, stopped: threading.Event):
        self._progress, self._stopped, self._start = progress, stopped, time.monotonic()

    def __call__(self, stage: str, fraction: float) -> None:
        if self._progress is not None:
            self._progress(min(max(fraction, 0.0), 1.0), desc=f"{stage} · {self.elapsed:.1f} s")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def part(self, start: float, end: float) -> Callable[[str, float], None]:
        """The same display for one of several jobs, squeezed into its share of the bar."""
        return lambda stage, fraction: self(stage, start + (end - start) * fraction)

    def cancelled(self) -> bool:
        return self._stopped.is_set()


@contextmanager
def plain_errors() -> Iterator[None]:
    """What the visitor can mend becomes a message on the page; everything else stays an error of the server's log."""
    try:
        yield
    except Cancelled as error:
        raise gr.Error(str(error), title="Stopped", duration=4, print_exception=False) from None
    except EmoFaceError as error:
        raise gr.Error(str(error), title="That did not work", duration=None, print_exception=False) from None


def short_enough(path: str | None, *, limit: float = MAX_SECONDS) -> None:
    """Refuse recordings that are too long or unreadable before the wait, from the header where it tells.

    Raises:
        AudioError: with what to do.
    """
    from ..audio import load_audio

    if path is not None:
        load_audio(path, max_seconds=limit)
