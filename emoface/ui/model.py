"""Which model the page runs: the one that was asked for, or the embedded one with a sentence about what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ModelError
from ..hub import EMBEDDED_MODEL, resolve_model
from ..pipeline import EmoFacePipeline


def choose_model(name: str | Path | None, *, device: str) -> tuple[Path, Callable[[], EmoFacePipeline], str | None]:
    """A page must start, whatever model it is given.

    Returns: the model's folder, what gives its pipeline, and a sentence for people where the embedded model stands in for another.
        The embedded model loads with the first call. Any other is loaded here, to find out whether it can be used, and is not loaded again.
    """
    folder, notice = EMBEDDED_MODEL, None
    try:
        folder = resolve_model(name)
        if not folder.samefile(EMBEDDED_MODEL):
            pipeline = EmoFacePipeline.from_pretrained(folder, device=device)
            return folder, lambda: pipeline, None
    except ModelError as error:
        folder, notice = EMBEDDED_MODEL, f"{error} Until then the embedded model is used."
    return folder, lambda: EmoFacePipeline.from_pretrained(folder, device=device), notice
