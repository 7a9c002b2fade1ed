"""Writes the table of formats in docs/export.md from what the code can write: ``python -m train.tools.format_table``."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

from emoface.export import FORMATS, READERS
from emoface.files import write_text

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BEGIN, END = "<!-- formats: python -m train.tools.format_table -->\n", "<!-- end of formats -->\n"
_NO_OPTIONS = {"animation", "animations", "path", "progress", "cancel", "backend"}


def table() -> str:
    """Markdown: the end of the file's name, what it is for, the options of its writer, and whether EmoFace opens it again."""
    lines = ["| suffix | what it is | options | opens again |", "|---|---|---|---|"]
    for suffix, (module, name, purpose) in FORMATS.items():
        options = [
            option for option in inspect.signature(getattr(import_module(f"emoface.export.{module}"), name)).parameters if option not in _NO_OPTIONS
        ]
        lines.append(f"| `{suffix}` | {purpose} | {' '.join(f'`{option}`' for option in options)} | {'yes' if suffix in READERS else ''} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with its table as it is now."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    write_text(PAGE, with_table(PAGE.read_text("utf-8")))
