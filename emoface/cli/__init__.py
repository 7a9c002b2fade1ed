"""The command line: ``python -m emoface animate|batch|live|serve|formats|info|view|render|retarget|study ...``.

A command lives in a module with ``add_parser(subparsers)``, which adds a parser of the command's name and
``set_defaults(run=function)``; ``function(arguments)`` returns the exit code (None is 0). Only the module of the command
that was asked for is imported.

Exit codes: 0 done, 1 some recordings of a batch failed, 2 something the person can fix (one line on stderr says what), 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

from .. import __version__
from ..errors import Cancelled, EmoFaceError
from .common import only_python_complains

COMMANDS = {
    "animate": ("emoface.cli.animate", "speech to a moving head: npz, glb, mp4, csv, ..."),
    "batch": ("emoface.cli.batch", "a folder or list of recordings, over several processes"),
    "live": ("emoface.cli.live", "speak, and a face in Unreal, a VRM avatar or any program speaks with you"),
    "serve": ("emoface.cli.serve", "open the app in the browser"),
    "formats": ("emoface.cli.formats", "every format that is written, in one table"),
    "info": ("emoface.cli.info", "the model's name, styles, emotions, sizes and device"),
    "view": ("emoface.cli.files", "show an animation file in the browser"),
    "render": ("emoface.cli.files", "films and other formats from an animation file"),
    "retarget": ("emoface.cli.retarget", "an animation on a head of your own"),
    "study": ("emoface.cli.study", "plan, serve and analyse a user study"),
}
"""Command -> (module, what it does)."""


class _Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line and not the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help shows how to use it)\n")


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser; complete for ``command``, the others only by name."""
    formats = ""
    if command is None:  # the whole program's --help
        from ..export import format_table

        formats = "formats of OUT, by the end of its name:\n" + format_table()
    parser = _Parser(
        prog="emoface",
        description="Speech-driven 3D talking faces with the emotion of your choice.",
        epilog=formats,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"emoface {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = COMMANDS[command][0] if command in COMMANDS and _exists(COMMANDS[command][0]) else None
    if chosen:
        import_module(chosen).add_parser(subparsers)
    for name, (module, purpose) in COMMANDS.items():
        if module != chosen and _exists(module):
            subparsers.add_parser(name, help=purpose)
    return parser


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # names that this terminal cannot show are no reason to stop
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    command = argv[0] if argv and not argv[0].startswith("-") else None
    try:
        arguments = build_parser(command).parse_args(argv)
        with only_python_complains() if getattr(arguments, "quiet", False) else nullcontext():
            code = int(arguments.run(arguments) or 0)
            sys.stdout.flush()
            return code
    except Cancelled as stopped:
        return _complain(str(stopped), 130)
    except EmoFaceError as error:
        return _complain(f"emoface: {error}", 2)
    except KeyboardInterrupt:
        return _complain("\nStopped.", 130)
    except BrokenPipeError:  # the reader of our output has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            if not error.filename or error.errno is None:
                raise
            return _complain(f"emoface: {error.filename} cannot be read or written ({error.strerror}): check the path and its permissions.", 2)
        with suppress(OSError):  # what could not be written must not be tried again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _complain("emoface: the disk is full: make room, then run it again.", 1)


def _complain(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code
