"""Synthetic voices with exact phone times (flite), for sounds and words that the recordings lack."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emoface.errors import EmoFaceError

from .clip import Clip, read_audio, split_of
from .coarticulation import Phone
from .lips import LipResponse
from .phones import arpabet
from .sentences import SENTENCES, unspoken_ljspeech
from .speech import animate

VOICES = ("slt", "rms", "awb", "kal16")
STRETCHES = (0.9, 1.0, 1.1, 1.25)
CLIPS_PER_VOICE = 84


def tts_clips(data: Path, lips: LipResponse, rejected: list[str]) -> Iterator[Clip]:
    """``CLIPS_PER_VOICE`` sentences by each voice at different speeds; split by :func:`split_of`."""
    if shutil.which("flite") is None:
        raise EmoFaceError("The program flite is missing: apt-get install flite, or leave 'tts' out of --sources.")
    texts = [*SENTENCES, *unspoken_ljspeech(data)]
    for v, voice in enumerate(VOICES):
        for i in range(CLIPS_PER_VOICE):
            text = texts[(v * 31 + i) % len(texts)]
            samples, rate, phones = synthesise(text, voice, stretch=STRETCHES[i % len(STRETCHES)])
            identity = f"tts_{voice}_{i:03d}"
            if not any(p.name != "SIL" for p in phones):
                rejected.append(f"{identity}: no phones")
                continue
            yield Clip(
                identity=identity,
                source="tts",
                split=split_of(i),
                speaker=f"tts_{voice}",
                style=f"tts_{voice}",
                text=text,
                **animate(samples, rate, phones, lips),
            )


def synthesise(text: str, voice: str, *, stretch: float = 1.0) -> tuple[np.ndarray, int, list[Phone]]:
    """Speech of one sentence with flite's own phone times; ``stretch`` > 1 is slower."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "-psdur", "--setf", f"duration_stretch={stretch}", "-t", text]
        command += ["-o", str(wav)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        samples, rate = read_audio(wav)
    return samples, rate, parse_durations(printed, len(samples) / rate)


def parse_durations(printed: str, seconds: float) -> list[Phone]:
    """flite's ``phone:end phone:end ...`` as phones; times never pass the end of the sound."""
    phones, start = [], 0.0
    for token in printed.split():
        name, end_text = token.rsplit(":", 1)
        end = min(float(end_text), seconds)
        if end > start:
            phones.append(Phone(arpabet(name), start, end, ""))
            start = end
    return phones
