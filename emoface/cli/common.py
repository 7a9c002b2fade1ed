"""What several commands share: options of the model, a check of the output path, progress on stderr."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from ..errors import EmoFaceError

COMMANDS = {
    "animate": ("emoface.cli.animate", "speech to a moving head: npz, glb, mp4, csv, ..."),
    "serve": ("emoface.cli.serve", "open the app in the browser"),
    "info": ("emoface.cli.info", "the model's name, styles, emotions, sizes and device"),
    "view": ("emoface.cli.files", "show an animation file in the browser"),
    "render": ("emoface.cli.files", "films and other formats from an animation file"),
    "study": ("emoface.cli.study", "plan, serve and analyse a user study"),
}
"""Command -> (module, what it does)."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model``, ``--revision`` and ``--device``, the same in every command that loads a model."""
    parser.add_argument("--model", metavar="PATH_OR_ID", help="model folder or Hugging Face id (default: embedded)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face model")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: auto")


def check_output(path: Path) -> None:
    """Refuse a path that cannot be written before any work is done.

    Raises:
        EmoFaceError: unknown suffix, missing folder, or a folder where the file should be.
    """
    from ..export import FORMATS

    if path.suffix.lower() not in FORMATS:
        raise EmoFaceError(f"{path.name!r} has no suffix that can be written: use one of {' '.join(FORMATS)}.")
    if path.is_dir():
        raise EmoFaceError(f"{path} is a folder: give the name of a file in it.")
    if not path.absolute().parent.is_dir():
        raise EmoFaceError(f"The folder {path.parent} does not exist: create it first.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise EmoFaceError(f"Nothing can be written in {path.parent}: choose another folder.")


class Progress:
    """Stages on stderr: one line that is rewritten on a terminal, one line per stage elsewhere (logs)."""

    def __init__(self, *, quiet: bool = False):
        self._quiet, self._terminal = quiet, sys.stderr.isatty()
        self._stage, self._begin = "", time.monotonic()

    def __call__(self, stage: str, fraction: float) -> None:
        if self._quiet:
            return
        if self._terminal:
            print(f"\r\x1b[K{fraction:4.0%} {stage} ({time.monotonic() - self._begin:.1f} s)", end="", file=sys.stderr)
        elif stage != self._stage:
            print(stage, file=sys.stderr)
        self._stage = stage

    def close(self) -> None:
        """Clear the terminal's line."""
        if self._terminal and not self._quiet:
            print("\r\x1b[K", end="", file=sys.stderr)
