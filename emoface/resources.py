"""Where the package lies, and the files that it brings along: the head, the model, the encoder, the examples."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
ASSETS = _PACKAGE / "assets" if (_PACKAGE / "assets").is_dir() else _PACKAGE.parent / "assets"
"""A wheel holds the folder inside the package; in a checkout, and on a Space, it lies beside it. Nothing else in the package looks outside."""
IMPORTED_FROM = _PACKAGE.parent
"""What another Python needs on its path to import this package."""
