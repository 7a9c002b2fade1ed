"""Where the files lie that the package brings along: the head, the model, the encoder, the examples."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
ASSETS = _PACKAGE / "assets" if (_PACKAGE / "assets").is_dir() else _PACKAGE.parent / "assets"
"""A wheel holds the folder inside the package; in a checkout, and on a Space, it lies beside it. Nothing else in the package looks outside."""
