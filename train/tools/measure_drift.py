"""Whether a live session could go on for ever: one recording again and again, without a page, faster than real time or at its pace.

    python -m train.tools.measure_drift [--sound assets/examples/narrator.wav] [--minutes 10] [--piece 0.4] [--pace]

Printed once a minute: the process's memory; frames that came out against the seconds heard; and how the recording's last repetition moves the lips
against its second one, the same words minutes before: correlation of the aperture, and its mean difference. ``--pace``: blocks of 20 ms come when they would
have been spoken, and what waits is heard together, as on the page; how late the newest frame of a hop was over the last minute is printed, too (median and p95 of
the time from its sound to it).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emoface import EmoFacePipeline, LiveSession
from emoface.audio import load_audio
from emoface.device import on_one_core
from emoface.front_end import HURRY_SECONDS
from emoface.head import lip_aperture_mm, load_head
from train.tools.benchmark import memory_mb

RATE = 16000


def spoken(total: int, *, block: float = 0.02) -> Iterator[int]:
    """Samples after which a turn begins: whatever was said until then, at least a block more, at most what one window hears."""
    begin, heard, size = time.monotonic(), 0, round(block * RATE)
    while heard < total:
        time.sleep(max(begin + (heard + size) / RATE - time.monotonic(), 0.0))
        now = int((time.monotonic() - begin) * RATE)
        heard = min(max(now, heard + size), heard + round(HURRY_SECONDS * RATE))
        yield heard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sound", type=Path, default=Path("assets/examples/narrator.wav"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--piece", type=float, default=0.4, help="seconds that are heard in one window; 0: every hop on its own")
    parser.add_argument("--pace", action="store_true", help="as fast as it is spoken, on one core, as the page does it")
    options = parser.parse_args()
    head, samples = load_head(0), load_audio(options.sound).samples
    samples = samples[: len(samples) // RATE * RATE]  # whole seconds: the frames of every repetition lie at the same words
    pipe = EmoFacePipeline.from_pretrained()
    if options.pace:
        on_one_core()
    rehearsal = LiveSession(pipe)  # what is loaded with the first words
    rehearsal.feed(np.zeros(RATE, np.float32))
    session, apertures, late = LiveSession(pipe, idle=False, keep=False), [], []
    size, again = round((options.piece or 0.02) * RATE), 30 * len(samples) // RATE
    total, told, start = round(options.minutes * 60 * RATE), 0, 0
    begin = time.monotonic()
    for stop in spoken(total) if options.pace else range(size, total + size, size):
        block = np.take(samples, np.arange(start, stop), mode="wrap")
        piece, start = session.feed(block, hurry=options.pace or options.piece > 0), stop
        if piece is not None:
            apertures += list(lip_aperture_mm(piece.vertices[:, : piece.skin_count], head))
            late.append(time.monotonic() - begin - len(apertures) / 30)
        if session.seconds // 60 > told:
            told = int(session.seconds // 60)
            last = len(apertures) // again * again
            before, now = np.array(apertures[again : 2 * again]), np.array(apertures[last - again : last])
            pace = f"frames {np.median(late):.2f} s (p95 {np.quantile(late, 0.95):.2f} s) after their sound; " if options.pace else ""
            print(
                f"{told} min: {memory_mb('VmRSS'):.0f} MB; {session.seconds - len(apertures) / 30:.2f} s not out yet; {pace}aperture r "
                f"{np.corrcoef(before, now)[0, 1]:.3f}, difference {np.abs(before - now).mean():.2f} mm of {before.mean():.2f} mm",
                flush=True,
            )
            late.clear()


if __name__ == "__main__":
    main()
