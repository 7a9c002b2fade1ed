"""The command line: ``python -m emoface animate|serve|info|view|render|study ...``.

A command lives in a module with ``add_parser(subparsers)``, which adds a parser of the command's name and
``set_defaults(run=function)``; ``function(arguments)`` returns the exit code (None is 0). Only the module of the command
that was asked for is imported.

Exit codes: 0 done, 2 something the person can fix (one line on stderr says what), 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, Sequence

from . import __version__
from .errors import Cancelled, EmoFaceError

COMMANDS = {
    "animate": ("emoface.cli", "speech to a moving head: npz, glb, mp4, csv, ..."),
    "serve": ("emoface.cli", "open the app in the browser"),
    "info": ("emoface.cli", "the model's name, styles, emotions, sizes and device"),
    "view": ("emoface.export.cli", "show an animation file in the browser"),
    "render": ("emoface.export.cli", "films and other formats from an animation file"),
    "study": ("emoface.study.cli", "plan, serve and analyse a user study"),
}
"""Command -> (module, what it does)."""

APP = Path(__file__).resolve().parent.parent / "app.py"


class _Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line and not the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help shows how to use it)\n")


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser; complete for ``command``, the others only by name."""
    parser = _Parser(prog="python -m emoface", description="Speech-driven 3D talking faces with the emotion of your choice.")
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
    command = next((word for word in argv if not word.startswith("-")), None)
    try:
        arguments = build_parser(command).parse_args(argv)
        return int(arguments.run(arguments) or 0)
    except Cancelled as stopped:
        return _complain(str(stopped), 130)
    except EmoFaceError as error:
        return _complain(f"emoface: {error}", 2)
    except KeyboardInterrupt:
        return _complain("\nStopped.", 130)
    except BrokenPipeError:  # the reader of our output has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _complain(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


def add_parser(subparsers) -> None:
    """animate, serve and info."""
    _add_animate(subparsers)
    _add_serve(subparsers)
    _add_info(subparsers)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model``, ``--revision`` and ``--device``, the same in every command that loads a model."""
    parser.add_argument("--model", metavar="PATH_OR_ID", help="model folder or Hugging Face id (default: embedded)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hugging Face model")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: auto")


# ---- animate --------------------------------------------------------------------------------------------------------


def _add_animate(subparsers) -> None:
    parser = subparsers.add_parser(
        "animate",
        help=COMMANDS["animate"][1],
        description="Animate a head from a recording.",
        epilog="The emotion of happy.wav on the words of speech.wav:  "
        "python -m emoface animate speech.wav -o face.mp4 --emotion happy.wav",
    )
    add = parser.add_argument
    add("speech", metavar="SPEECH", help="recording: wav, mp3, flac, ogg, opus, m4a, webm, ...")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="its suffix decides the format")
    add("--emotion", default="speech", metavar="speech|NAME|FILE", help="the voice's own, a name, or another recording")
    add("--mix", type=float, default=1.0, help="0: the speech's own emotion ... 1: the chosen one (default)")
    add("--level", default="normal", choices=("normal", "strong"))
    add("--style", metavar="NAME", help="speaking style; the info command lists them")
    add("--head", type=int, default=0, metavar="N", help="0 (average) to 23")
    add("--branch", default="fused", choices=("fused", "content", "emotion"), help="show one branch alone")
    add("--idle", action="store_true", help="add blinks and small eye movements")
    add("--max-seconds", type=float, metavar="S", help="longest recording accepted (default 120)")
    add("--quiet", action="store_true", help="no progress on stderr")
    add_model_options(parser)
    parser.set_defaults(run=_animate)


def _animate(arguments: argparse.Namespace) -> None:
    check_output(arguments.output)
    report = Progress(quiet=arguments.quiet)
    report("Reading the recording", 0.0)
    # All that can be wrong with the input is found before the seconds that loading a model takes.
    speech, emotion = read_sounds(arguments.speech, arguments.emotion, max_seconds=arguments.max_seconds)

    report("Loading the model", 0.0)
    from .pipeline import EmoFacePipeline

    pipe = EmoFacePipeline.from_pretrained(
        arguments.model, revision=arguments.revision, device=arguments.device, max_seconds=arguments.max_seconds
    )
    animation = pipe(
        speech,
        emotion=emotion,
        mix=arguments.mix,
        level=arguments.level,
        style=arguments.style,
        head=arguments.head,
        output=arguments.branch,
        idle=arguments.idle,
        progress=report,
    )
    report(f"Writing {arguments.output.name}", 0.0)
    animation.save(arguments.output)
    report.close()
    heard = f"{animation.emotion} ({animation.emotion_probabilities.max():.0%})"
    print(f"{arguments.output}: {animation.frame_count} frames, {animation.duration:.2f} s, sounds {heard}")


def check_output(path: Path) -> None:
    """Refuse a path that cannot be written before any work is done.

    Raises:
        EmoFaceError: unknown suffix, missing folder, or a folder where the file should be.
    """
    from .export import FORMATS

    if path.suffix.lower() not in FORMATS:
        raise EmoFaceError(f"{path.name!r} has no suffix that can be written: use one of {' '.join(FORMATS)}.")
    if path.is_dir():
        raise EmoFaceError(f"{path} is a folder: give the name of a file in it.")
    if not path.absolute().parent.is_dir():
        raise EmoFaceError(f"The folder {path.parent} does not exist: create it first.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise EmoFaceError(f"Nothing can be written in {path.parent}: choose another folder.")


def read_sounds(speech: str, emotion: str, *, max_seconds: float | None):
    """The speech as Audio, and the emotion as Audio, or as given if it is a name.

    A file called like an emotion is reached by its path: ``./happy``.
    """
    from .audio import MAX_SECONDS, load_audio

    limit = max_seconds or float(os.environ.get("EMOFACE_MAX_SECONDS", MAX_SECONDS))
    audio = load_audio(speech, max_seconds=limit)
    is_file = os.sep in emotion or Path(emotion).suffix
    return audio, load_audio(emotion, max_seconds=limit) if is_file else emotion


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


# ---- serve ----------------------------------------------------------------------------------------------------------


def _add_serve(subparsers) -> None:
    parser = subparsers.add_parser("serve", help=COMMANDS["serve"][1], description="Run the app until Ctrl-C.")
    parser.add_argument("--host", help="0.0.0.0 to be reachable from other machines (default: this one only)")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860")
    parser.add_argument("--model", metavar="PATH_OR_ID", help="model folder or Hugging Face id (default: embedded)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: auto")
    parser.add_argument("--study", metavar="DIR", help="folder of a user study: adds its tab")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> None:
    """app.py is configured by environment variables, as on a Space; options only set them."""
    import runpy

    if not APP.exists():
        raise EmoFaceError("The app is not part of this installation: run it from a checkout of the repository.")
    settings = {
        "GRADIO_SERVER_NAME": arguments.host,
        "GRADIO_SERVER_PORT": arguments.port,
        "EMOFACE_MODEL": arguments.model,
        "EMOFACE_DEVICE": arguments.device,
        "EMOFACE_STUDY": arguments.study,
    }
    os.environ.update({key: str(value) for key, value in settings.items() if value is not None})
    sys.path.insert(0, str(APP.parent))
    sys.argv = [str(APP)]
    runpy.run_path(str(APP), run_name="__main__")


# ---- info -----------------------------------------------------------------------------------------------------------


def _add_info(subparsers) -> None:
    parser = subparsers.add_parser("info", help=COMMANDS["info"][1], description=COMMANDS["info"][1].capitalize() + ".")
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> None:
    import torch

    from .export import FORMATS
    from .head import HEAD_COUNT
    from .pipeline import EmoFacePipeline

    pipe = EmoFacePipeline.from_pretrained(arguments.model, revision=arguments.revision, device=arguments.device)
    config = pipe.model.config
    encoders = [pipe.content_encoder, pipe.emotion_encoder or pipe.content_encoder]
    facts = {
        "emoface": __version__,
        "model": pipe.name,
        "parameters": sum(p.numel() for p in pipe.model.parameters()),
        "content encoder": f"{encoders[0].kind}, {encoders[0].depth} blocks of {encoders[0].width}",
        "emotion encoder": "the same" if encoders[0] is encoders[1] else f"{encoders[1].kind}, {encoders[1].depth} blocks",
        "vertices": config.vertex_count,
        "frames per second": config.fps,
        "emotions": pipe.emotions,
        "levels": list(config.level_names),
        "styles": pipe.styles,
        "default style": config.default_style,
        "heads": HEAD_COUNT if config.head == "embedded" else 1,
        "longest recording (s)": pipe.max_seconds,
        "formats": list(FORMATS),
        "device": str(pipe.device),
        "threads": torch.get_num_threads(),
    }
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        print(f"{key:22} {' '.join(value) if isinstance(value, list) else value}")
