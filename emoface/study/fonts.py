"""A font that has every letter of a text."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import EmoFaceError


def load_font(text: str, size: int) -> Any:
    """A Pillow font for ``text``: matplotlib's DejaVu Sans if that package is installed, else Pillow's own.

    Pillow's own font only has English letters. Errors: `EmoFaceError` if a letter is missing, instead of boxes that
    nobody can read.
    """
    from PIL import ImageFont

    spec = find_spec("matplotlib")
    if spec is not None:
        folder = Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
        font = ImageFont.truetype(str(folder / "DejaVuSans.ttf"), size)
    else:
        font = ImageFont.load_default(size=size)
    missing = [letter for letter in text if not letter.isspace() and _is_missing(font, letter)]
    if missing:
        advice = "word the text differently" if spec is not None else "install matplotlib, whose font has more letters"
        raise EmoFaceError(f"The font for written cards has no letter '{missing[0]}'; {advice}.")
    return font


def _is_missing(font: Any, letter: str) -> bool:
    return bytes(font.getmask(letter)) == bytes(font.getmask("\uffff"))
