"""Whether a live session could go on for ever: one recording again and again, faster than real time, without a page.

    python -m train.tools.measure_drift [--sound assets/examples/narrator.wav] [--minutes 10] [--piece 0.4]

Printed once a minute: the process's memory; frames that came out against the seconds heard; and how the recording's last repetition moves the lips
against its second one, the same words minutes before: correlation of the aperture, and its mean difference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from emoface import EmoFacePipeline, LiveSession
from emoface.audio import load_audio
from emoface.head import lip_aperture_mm, load_head
from train.tools.benchmark import memory_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sound", type=Path, default=Path("assets/examples/narrator.wav"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--piece", type=float, default=0.4, help="seconds that are heard in one window; 0: every hop on its own")
    options = parser.parse_args()
    head, samples = load_head(0), load_audio(options.sound).samples
    samples = samples[: len(samples) // 16000 * 16000]  # whole seconds: the frames of every repetition lie at the same words
    session, apertures = LiveSession(EmoFacePipeline.from_pretrained(), idle=False, keep=False), []
    size, again = round((options.piece or 0.02) * 16000), 30 * len(samples) // 16000
    told = 0
    for start in range(0, round(options.minutes * 60 * 16000), size):
        piece = session.feed(np.take(samples, np.arange(start, start + size), mode="wrap"), hurry=options.piece > 0)
        if piece is not None:
            apertures += list(lip_aperture_mm(piece.vertices[:, : piece.skin_count], head))
        if session.seconds // 60 > told:
            told = int(session.seconds // 60)
            last = len(apertures) // again * again
            before, now = np.array(apertures[again : 2 * again]), np.array(apertures[last - again : last])
            print(
                f"{told} min: {memory_mb('VmRSS'):.0f} MB; {session.seconds - len(apertures) / 30:.2f} s not out yet; aperture r {np.corrcoef(before, now)[0, 1]:.3f}, "
                f"difference {np.abs(before - now).mean():.2f} mm of {before.mean():.2f} mm",
                flush=True,
            )


if __name__ == "__main__":
    main()
