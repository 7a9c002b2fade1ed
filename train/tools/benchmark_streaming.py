"""How fast a stream is, and how close it comes to the one-shot answer.

    python -m train.tools.benchmark_streaming [SPEECH ...] [--model PATH_OR_ID] [--past 4] [--hop 0.2] [--ahead 0.3] [--held 0]
        [--fresh 0] [--tail 1] [--before 0] [--threads 2]

Without recordings the example speech of ``assets/examples`` is used. Feeds 20 ms blocks, as a microphone does. Printed:
what a frame waits for, the computation per hop, the real-time factor, and the distance to the pipeline's one-shot
answer: correlation of the lip aperture, mean error of the lips, and how far the lips move at all (for scale). ``--before``: so many seconds of the other
recordings are heard before each one, as in a talk that goes on; only the recording itself is compared.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from emoface import EmoFacePipeline
from emoface.animation import Animation
from emoface.audio import Audio, load_audio
from emoface.errors import EmoFaceError
from emoface.front_end import Windows
from emoface.head import lip_aperture_mm, load_head
from emoface.streaming import EmoFaceStreamer

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"
BLOCK = 320


def feed_blocks(streamer: EmoFaceStreamer, samples: np.ndarray) -> tuple[list[Animation], np.ndarray]:
    """Pieces, and for each call that gave frames its seconds by the clock and of this process's CPU time, (n, 2)."""
    pieces, seconds = [], []
    for call in [*(samples[i : i + BLOCK] for i in range(0, len(samples), BLOCK)), None]:
        clock, processor = time.perf_counter(), time.process_time()
        piece = streamer.finish() if call is None else streamer.feed(call)
        if piece is not None:
            pieces.append(piece)
            seconds.append((time.perf_counter() - clock, time.process_time() - processor))
    return pieces, np.array(seconds)


def compare(streamed: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    """Distance of two (T, S, 3) skins: aperture correlation, its mean error, mean lip error and lip motion, mm."""
    head = load_head(0)
    lips = head.mask("lips")[: head.skin_count]
    a, b = lip_aperture_mm(streamed, head), lip_aperture_mm(whole, head)
    error = np.linalg.norm(streamed[:, lips] - whole[:, lips], axis=-1)
    motion = np.linalg.norm(whole[:, lips] - head.template[: head.skin_count][lips], axis=-1)
    return {
        "aperture r": float(np.corrcoef(a, b)[0, 1]),
        "aperture error mm": float(np.abs(a - b).mean()),
        "lip error mm": 1e3 * float(error.mean()),
        "lip motion mm": 1e3 * float(motion.mean()),
    }


def after_others(sounds: list[Audio], seconds: float) -> list[Audio]:
    """Every recording behind so many seconds of those that follow it in the list."""
    out = []
    for number, audio in enumerate(sounds):
        others = np.concatenate([one.samples for one in [*sounds[number + 1 :], *sounds[:number], audio]])
        before = np.resize(others, round(seconds * audio.sample_rate))
        out.append(replace(audio, samples=np.concatenate([before, audio.samples])))
    return out


def measure(pipe: EmoFacePipeline, sounds: list[Audio], wholes: list[np.ndarray], windows: Windows, emotion: str, *, before: float = 0.0) -> dict:
    """Means over the recordings, of which the first seconds ``before`` are not compared; ``wholes`` are the one-shot skins."""
    skipped = round(before * pipe.model.config.fps)
    rows = []
    for audio, whole in zip(sounds, wholes):
        streamer = EmoFaceStreamer(pipe, emotion=emotion, windows=windows)
        pieces, seconds = feed_blocks(streamer, audio.samples)
        streamed = np.concatenate([piece.vertices[:, : piece.skin_count] for piece in pieces])
        rows.append(
            {
                "look-ahead s": streamer.look_ahead,
                "delay s": streamer.delay,
                "ms per hop": 1e3 * seconds[:, 0].mean(),
                "p95 ms": 1e3 * np.quantile(seconds[:, 0], 0.95),
                "CPU ms": 1e3 * seconds[:, 1].mean(),
                "real-time factor": seconds[:, 0].sum() / audio.seconds,
                "CPU s/s": seconds[:, 1].sum() / audio.seconds,
                **compare(streamed[skipped:], whole[skipped:]),
            }
        )
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", nargs="*", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--emotion", default="neutral", help="neutral by default; speech: heard in the stream itself")
    parser.add_argument("--past", type=float, nargs="+", default=[Windows.past])
    parser.add_argument("--hop", type=float, nargs="+", default=[Windows.hop])
    parser.add_argument("--ahead", type=float, nargs="+", default=[Windows.ahead])
    parser.add_argument("--held", type=int, nargs="+", default=[Windows.held], help="frames of the convolutions' future that are not waited for")
    parser.add_argument("--fresh", type=float, nargs="+", default=[0.0], help="seconds of the past that Whisper computes anew; 0: all of it")
    parser.add_argument("--tail", type=float, nargs="+", default=[Windows.tail], help="seconds of silence that Whisper hears after a window")
    parser.add_argument("--before", type=float, default=0.0, help="seconds of other speech before each recording")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        files = options.speech or sorted(p for p in EXAMPLES.iterdir() if p.suffix in (".flac", ".wav", ".ogg"))
        pipe = EmoFacePipeline.from_pretrained(options.model, device=options.device)
        print(f"{pipe.name} on {pipe.device}, {options.threads} threads, emotion {options.emotion}, {len(files)} recordings")
        sounds = [load_audio(file, max_seconds=pipe.max_seconds) for file in files]
        sounds = after_others(sounds, options.before) if options.before else sounds
        answers = [pipe(audio, emotion=options.emotion) for audio in sounds]
        wholes = [answer.vertices[:, : answer.skin_count] for answer in answers]
        header = None
        choices = itertools.product(options.past, options.hop, options.ahead, options.held, options.fresh, options.tail)
        for windows in (Windows(past, hop, ahead, held, fresh or None, tail) for past, hop, ahead, held, fresh, tail in choices):
            row = {
                "past": windows.past,
                "hop": windows.hop,
                "ahead": windows.ahead,
                "held": windows.held,
                "fresh": windows.fresh or 0.0,
                "tail": windows.tail,
            }
            row |= measure(pipe, sounds, wholes, windows, options.emotion, before=options.before)
            if header is None:
                header = list(row)
                print("  ".join(header))
            print("  ".join(f"{value:{len(key)}.3g}" for key, value in row.items()), flush=True)
    except EmoFaceError as error:
        print(f"benchmark_streaming: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
