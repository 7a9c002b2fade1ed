"""``emoface formats``: every format that is written, in one table."""

from __future__ import annotations

import argparse


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser("formats", description="Every format that is written: the end of the file's name decides.")
    parser.set_defaults(run=_formats)


def _formats(arguments: argparse.Namespace) -> None:
    from ..export import format_table

    print(format_table())
