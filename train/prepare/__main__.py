"""``python -m train.prepare {vocaset,flame,ravdess3d,video} ...``: other people's data -> training folders."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emoface.errors import EmoFaceError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m train.prepare", description="Other people's data as training data")
    commands = top.add_subparsers(dest="command", required=True)

    vocaset = commands.add_parser("vocaset", help="VOCASET's official files, or FaceFormer's layout of them")
    _folders(vocaset)

    flame = commands.add_parser("flame", help="FLAME's generic_model.pkl -> npz, needed by ravdess3d")
    flame.add_argument("--source", type=Path, required=True, help="generic_model.pkl of FLAME 2020")
    flame.add_argument("--out", type=Path, required=True, help="the npz to write")

    ravdess = commands.add_parser("ravdess3d", help="EMOCA's or inferno's codes per frame + FLAME -> vertices")
    _folders(ravdess)
    ravdess.add_argument("--flame", type=Path, required=True, help="the npz written by: python -m train.prepare flame")
    ravdess.add_argument("--audio", type=Path, required=True, help="folder with the videos or their sound, same names")
    ravdess.add_argument("--fix", choices=("global", "jaw", "none"), default="global", help="pose that is set to zero")
    ravdess.add_argument("--fps", type=float, default=30.0, help="frame rate of the codes")
    ravdess.add_argument("--processes", type=int, default=2)

    video = commands.add_parser("video", help="any talking-face videos, through MediaPipe, on the embedded head")
    _folders(video)
    video.add_argument("--landmarker", type=Path, help="face_landmarker.task; downloaded if left out")
    video.add_argument("--processes", type=int, default=2)
    return top


def _folders(command: argparse.ArgumentParser) -> None:
    command.add_argument("--source", type=Path, required=True, help="folder to read")
    command.add_argument("--out", type=Path, required=True, help="folder to write; a second call continues")


def _where(command: str) -> str:
    """Where to get what a command reads; nothing for files that are the user's own."""
    from . import flame_model, vocaset

    known = {"vocaset": vocaset.WHERE, "flame": flame_model.WHERE}
    return f"{known[command]}." if command in known else ""


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        if not options.source.exists():
            raise EmoFaceError(f"There is no {options.source}. {_where(options.command)}".strip())
        report = _run(options)
    except EmoFaceError as error:
        print(error, file=sys.stderr)
        return 2
    if report:
        print(json.dumps(report, indent=1))
    return 0


def _run(options: argparse.Namespace) -> dict | None:
    if options.command == "vocaset":
        from .vocaset import prepare

        return prepare(options.source, options.out)
    if options.command == "flame":
        from .flame_model import convert

        return convert(options.source, options.out)
    if options.command == "ravdess3d":
        from .ravdess3d import prepare

        return prepare(
            options.source,
            options.out,
            flame=options.flame,
            audio=options.audio,
            fix=options.fix,
            fps=options.fps,
            processes=options.processes,
        )
    from .video import prepare

    prepare(options.source, options.out, landmarker=options.landmarker, processes=options.processes)
    return None  # it has printed its report


if __name__ == "__main__":
    sys.exit(main())
