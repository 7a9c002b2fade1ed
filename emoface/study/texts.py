"""Words of the rating form, one YAML file per language in ``emoface/study/texts``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml

from ..errors import EmoFaceError

FOLDER = Path(__file__).with_name("texts")


@lru_cache
def load_texts(language: str) -> dict:
    """All texts of a language; a language is added by copying ``en.yaml`` and translating it."""
    path = FOLDER / f"{language}.yaml"
    if not language.isalpha() or not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise EmoFaceError(f"There are no study texts for the language '{language}'; use {known} or add a file.")
    return yaml.safe_load(path.read_text(encoding="utf-8"))
