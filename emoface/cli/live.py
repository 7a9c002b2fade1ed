"""``emoface live``: speech, as it is spoken, to a face in a running engine."""

from __future__ import annotations

import argparse
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np

from ..curve import check_shares
from ..errors import EmoFaceError
from ..head_motion import MOST, check_amount
from .common import Progress, add_model_options

BLOCK_SECONDS = 0.02
_BEHIND_SECONDS = 1.0
_MARGIN_SECONDS = 0.05
"""For the computation of a hop: frames wait so long that they come evenly."""


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "live",
        description="Speak, and a face in your engine speaks with you.",
        epilog="Unreal on this machine:  python -m emoface live --microphone --to livelink://127.0.0.1:11111 --emotion happy --mix 0.5",
    )
    add = parser.add_argument
    add("speech", nargs="?", metavar="SPEECH", help="a recording instead of the microphone, at the pace of real time")
    add("--microphone", nargs="?", const="", metavar="DEVICE", help="the microphone, or the one whose name holds DEVICE")
    add(
        "--to",
        action="append",
        required=True,
        metavar="ADDRESS",
        help="livelink://HOST:11111, osc://HOST:39539 (VMC; ?shapes=arkit for Perfect Sync) or ws://HOST:PORT/PATH; may be repeated",
    )
    add("--emotion", default="speech", metavar="speech|NAME", help="the voice's own (default), or a name")
    add("--mix", type=float, default=1.0, help="0: the voice's own emotion ... 1: the chosen one (default)")
    add("--intensity", type=float, default=1.0, help="how much of the expression is shown: 0 none, 1 all (default), up to 1.5")
    add("--level", default="normal", choices=("normal", "strong"))
    add("--style", metavar="NAME", help="speaking style; the info command lists them")
    add("--reference", metavar="FILE", help="a neutral recording of the person who speaks: their own rest")
    add("--no-idle", action="store_true", help="no blinks and no gaze")
    add(
        "--head-motion",
        type=float,
        default=0.0,
        metavar="AMOUNT",
        help=f"how much the head turns and nods, for livelink and ws: 0 not at all (default), 1 as people do, up to {MOST:g}",
    )
    add("--seconds", type=float, metavar="S", help="stop after so long (default: Ctrl-C, or the end of the recording)")
    add("--quiet", action="store_true", help="no progress on stderr")
    add_model_options(parser)
    parser.set_defaults(run=_live)


def feeling(emotion: str, *, mix: float = 1.0, intensity: float = 1.0) -> dict[str, float]:
    """The weights of a live session for what a person chose. Raises EmoFaceError for numbers out of range."""
    check_shares(mix=mix, intensity=intensity)
    if emotion == "speech":
        return {"speech": intensity}
    return {"speech": (1 - mix) * intensity, emotion: mix * intensity}


def _live(arguments: argparse.Namespace) -> None:
    if (arguments.speech is None) == (arguments.microphone is None):
        raise EmoFaceError("Give either a recording or --microphone.")
    if arguments.seconds is not None and not arguments.seconds > 0:
        raise EmoFaceError(f"--seconds is {arguments.seconds:g}: give a number above 0.")
    check_amount(arguments.head_motion)
    weights = feeling(arguments.emotion, mix=arguments.mix, intensity=arguments.intensity)
    from ..export.engines import sender  # imports the head, which --help need not wait for

    report = Progress(quiet=arguments.quiet)
    with ExitStack() as opened:
        source = _recording(arguments.speech) if arguments.speech is not None else opened.enter_context(_microphone(arguments.microphone))
        senders = []
        for address in arguments.to:
            senders.append(sender(address))
            opened.callback(senders[-1].close)
        report("Loading the model", 0.0)
        import torch

        from ..device import on_one_core
        from ..live import LiveSession
        from ..pipeline import EmoFacePipeline

        pipe = EmoFacePipeline.from_pretrained(arguments.model, revision=arguments.revision, device=arguments.device)
        opened.callback(torch.set_num_threads, on_one_core())
        rate, blocks = source
        session = LiveSession(
            pipe,
            sample_rate=rate,
            feeling=weights,
            level=arguments.level,
            style=arguments.style,
            reference=arguments.reference,
            idle=not arguments.no_idle,
            head_motion=arguments.head_motion,
            keep=False,
        )
        if pipe.model.config.head != "embedded":
            raise EmoFaceError("This model moves a head without ARKit shapes, so there is nothing to send: choose another model.")
        report("Speak" if arguments.speech is None else "Speaking", 0.0)
        frames = _play(session, blocks, senders, seconds=arguments.seconds, fps=pipe.model.config.fps)
        report.close()
    print(f"{frames} frames sent to {' and '.join(arguments.to)}.")


class Frame(NamedTuple):
    """As senders take it."""

    weights: np.ndarray
    emotions: dict[str, float]
    seconds: float
    angles: Sequence[float]


def _play(session, blocks: Iterator[np.ndarray], senders: list, *, seconds: float | None, fps: int) -> int:
    """Send every frame when its turn comes; returns how many."""
    from ..export.engines import STILL

    begin, warned = None, False
    with Pacer(senders) as pacer:

        def send(piece) -> None:
            turns = [STILL] * piece.frame_count if piece.head_angles is None else piece.head_angles
            for number, (weights, angles) in enumerate(zip(piece.blendshapes, turns), piece.settings["start"]):
                pacer.put(begin + session.delay + _MARGIN_SECONDS + number / fps, Frame(weights, session.shown, number / fps, angles))

        for block in blocks:
            piece = session.feed(block, hurry=True)
            now = time.monotonic()
            begin = now - session.seconds if begin is None else begin
            if piece is not None:
                send(piece)
            if now - begin - session.seconds > _BEHIND_SECONDS and not warned:
                print(f"This machine is too slow: the face is more than {_BEHIND_SECONDS:g} s behind the voice.", file=sys.stderr)
                warned = True
            if seconds is not None and session.seconds >= seconds:
                break
        if (piece := session.finish()) is not None:
            send(piece)
    return pacer.sent


class Pacer:
    """A thread that sends frames evenly: they come several at a time, and an engine shows each when it arrives."""

    def __init__(self, senders: list):
        self.sent = 0
        self._senders, self._frames, self._failed = senders, queue.Queue(), None
        self._thread = threading.Thread(target=self._work, name="emoface-live", daemon=True)

    def put(self, due: float, frame: Frame) -> None:
        """A frame for the time ``due`` (``time.monotonic``). Raises what stopped the sending."""
        if self._failed is not None:
            raise self._failed
        self._frames.put((due, frame))

    def _work(self) -> None:
        try:
            while (waiting := self._frames.get()) is not None:
                due, frame = waiting
                time.sleep(max(due - time.monotonic(), 0.0))
                for one in self._senders:
                    one.send(frame.weights, frame.emotions, seconds=frame.seconds, angles=frame.angles)
                self.sent += 1
        except Exception as error:
            self._failed = error

    def __enter__(self) -> Pacer:
        self._thread.start()
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:  # what is known is still shown; Ctrl-C stops at once
            self._frames.put(None)
            self._thread.join()
            if self._failed is not None:
                raise self._failed


def _recording(path: str) -> tuple[int, Iterator[np.ndarray]]:
    """Its rate, and its blocks when they would have been spoken."""
    from ..audio import load_audio, longest_seconds
    from ..front_end import HURRY_SECONDS

    audio = load_audio(path, max_seconds=longest_seconds())
    size = round(BLOCK_SECONDS * audio.sample_rate)

    def blocks() -> Iterator[np.ndarray]:
        begin, start = time.monotonic(), 0
        while start < len(audio.samples):
            time.sleep(max(begin + (start + size) / audio.sample_rate - time.monotonic(), 0.0))
            spoken = int((time.monotonic() - begin) * audio.sample_rate)  # more than a block where the computation is slow
            stop = min(max(spoken, start + size), start + round(HURRY_SECONDS * audio.sample_rate))
            yield audio.samples[start:stop]
            start = stop

    return audio.sample_rate, blocks()


def _all_that_came(heard: queue.Queue, *, most: int) -> Iterator[np.ndarray]:
    """Endless: the blocks that wait, ``most`` of them at a time, as one."""
    while True:
        blocks = [heard.get()]
        while len(blocks) < most and not heard.empty():
            blocks.append(heard.get())
        yield np.concatenate(blocks)


@contextmanager
def _microphone(device: str) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
    """The rate and the endless blocks of a microphone. Raises EmoFaceError where there is none."""
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise EmoFaceError('The microphone needs the package sounddevice: pip install "emoface[live]".') from None
    except OSError:  # it is there, the system's PortAudio is not
        raise EmoFaceError("The microphone needs the system's PortAudio: install libportaudio2 (Debian), portaudio (brew, dnf).") from None
    from ..front_end import HURRY_SECONDS

    heard: queue.Queue[np.ndarray] = queue.Queue()
    try:
        chosen = sounddevice.query_devices(device or None, "input")
        rate = int(chosen["default_samplerate"])
        stream = sounddevice.InputStream(
            device=chosen["index"],
            samplerate=rate,
            channels=1,
            dtype="float32",
            blocksize=round(BLOCK_SECONDS * rate),
            callback=lambda samples, *_: heard.put(samples[:, 0].copy()),
        )
        with stream:
            yield rate, _all_that_came(heard, most=round(HURRY_SECONDS / BLOCK_SECONDS))
    except (sounddevice.PortAudioError, ValueError) as error:
        raise EmoFaceError(f"The microphone cannot be used ({error}): connect or allow one, or name another with --microphone DEVICE.") from None
