"""Does the face stay the same when only the recording differs? ``python -m train.evaluation.invariance SOUND ... [--out docs/invariance.md]``

Every recording is animated as it is and again with one thing changed: gain, offset (DC), silence around it, sample rate, channel
layout, codec, noise, people in the background, room. Reported per change: in how many recordings the emotion heard keeps its label, the mean correlation
of the jaw's opening with that of the unchanged recording, and the mean lag. The recordings need no labels: nothing is
measured against a truth, only against the answer to the same recording unchanged. Changes are made by ``train.sound`` and
pass through ``load_audio`` like any file.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soxr
from tqdm import tqdm

from emoface import EmoFacePipeline
from emoface.animation import Animation
from emoface.audio import SAMPLE_RATE, Audio, load_audio
from train import sound

Change = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, int]]
"""(n,) samples at 16 kHz, and where chance comes from -> what is brought instead: samples and their rate."""
LATER = {"0.5 s of silence before": 0.5, "0.387 s of silence before": 0.387}
"""By how many seconds a change moves the speech; its face is compared at the times of the words."""


def changes(voices: Sequence[np.ndarray]) -> dict[str, Change]:
    """What is measured, by name; ``voices`` talk in the background."""

    def same_rate(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
        return lambda x, rng: (change(x, rng), SAMPLE_RATE)

    def babble(snr: float) -> Change:
        return same_rate(lambda x, rng: sound.mixed(x, sound.babble(list(voices), len(x), rng), snr))

    def noise(snr: float) -> Change:
        return same_rate(lambda x, rng: sound.mixed(x, sound.noise(len(x), 1.0, rng), snr))

    return {
        "gain -30 dB": same_rate(lambda x, rng: x * 10**-1.5),
        "gain +20 dB (floats above 1)": same_rate(lambda x, rng: x * 10.0),
        "offset (DC) +0.1": same_rate(lambda x, rng: x + 0.1),
        "one absurd sample (3e4)": same_rate(_with_click),
        **{name: same_rate(lambda x, rng, seconds=seconds: np.pad(x, (round(seconds * SAMPLE_RATE), 0))) for name, seconds in LATER.items()},
        "0.5 s of silence after": same_rate(lambda x, rng: np.pad(x, (0, SAMPLE_RATE // 2))),
        "44.1 kHz": lambda x, rng: (soxr.resample(x, SAMPLE_RATE, 44100), 44100),
        "8 kHz": lambda x, rng: (soxr.resample(x, SAMPLE_RATE, 8000), 8000),
        "telephone band (300-3400 Hz)": same_rate(lambda x, rng: sound.band(x, 300, 3400)),
        "stereo": same_rate(lambda x, rng: np.stack([x, x], 1)),
        "stereo, one side flipped": same_rate(lambda x, rng: np.stack([x, -0.9 * x], 1)),
        "channel 4 of 6": same_rate(lambda x, rng: np.stack([x if c == 3 else 0 * x for c in range(6)], 1)),
        "music on the other side, same level": same_rate(_beside_music),
        "mp3 32 kbit/s": same_rate(lambda x, rng: sound.coded(x, "mp3", 32000)),
        "opus 16 kbit/s": same_rate(lambda x, rng: sound.coded(x, "opus", 16000)),
        "pink noise 20 dB": noise(20),
        "pink noise 10 dB": noise(10),
        "babble 20 dB": babble(20),
        "babble 10 dB": babble(10),
        "room, T60 0.3 s": same_rate(lambda x, rng: sound.reverberant(x, decay_s=0.3, wet=0.5, rng=rng)),
        "room, T60 0.6 s": same_rate(lambda x, rng: sound.reverberant(x, decay_s=0.6, wet=0.5, rng=rng)),
    }


def _with_click(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = samples.copy()
    out[int(rng.integers(len(out)))] = 3e4
    return out


def _beside_music(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    music = sound.music(len(samples), rng) * np.sqrt(sound.active_power(samples))
    return np.stack([samples, music], 1)


def jaw(animation: Animation, *, later: float = 0.0) -> np.ndarray:
    """(T,) how far the jaw is open in every frame from ``later`` seconds on."""
    track = animation.blendshapes[:, animation.blendshape_names.index("jawOpen")]
    times = np.arange(len(track)) / animation.fps
    return np.interp(np.arange(len(track) - round(later * animation.fps)) / animation.fps + later, times, track)


def lag_frames(track: np.ndarray, reference: np.ndarray, *, most: int = 6) -> int:
    """By how many frames ``track`` is later than ``reference``, at the best match within ``most`` frames."""
    count = min(len(track), len(reference))
    a, b = track[:count] - track[:count].mean(), reference[:count] - reference[:count].mean()
    lags = range(-most, most + 1)
    return max(lags, key=lambda lag: float(np.dot(a[max(lag, 0) : count + min(lag, 0)], b[max(-lag, 0) : count - max(lag, 0)])))


def measure(pipe: EmoFacePipeline, sounds: Sequence[Audio], voices: Sequence[np.ndarray]) -> list[tuple[str, int, float, float]]:
    """For every change: name, recordings whose label stays, mean r of the jaw, mean absolute lag in ms."""
    plain = [pipe(audio) for audio in sounds]
    rows = []
    for name, change in tqdm(changes(voices).items(), "changes", disable=None):
        same, r, lag = 0, [], []
        for audio, answer in zip(sounds, plain):
            changed = pipe(change(audio.samples, np.random.default_rng(zlib.crc32(f"{name}/{audio.name}".encode()))))
            track, wanted = jaw(changed, later=LATER.get(name, 0.0)), jaw(answer)
            count = min(len(track), len(wanted))
            same += changed.emotion == answer.emotion
            r.append(np.corrcoef(track[:count], wanted[:count])[0, 1])
            lag.append(abs(lag_frames(track, wanted)) / answer.fps * 1e3)
        rows.append((name, same, float(np.mean(r)), float(np.mean(lag))))
    return rows


def table(rows: list[tuple[str, int, float, float]], count: int) -> str:
    """Markdown."""
    lines = [f"| only this differs | same label, of {count} | jaw, r | lag, ms |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {same} | {r:.3f} | {lag:.0f} |" for name, same, r, lag in rows]) + "\n"


def beginning(audio: Audio, seconds: float) -> Audio:
    return replace(audio, samples=audio.samples[: round(seconds * audio.sample_rate)])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", nargs="+", type=Path, metavar="SOUND", help="recordings, each of one person")
    parser.add_argument("--count", type=int, metavar="N", help="take only N of the recordings, spread evenly over the list")
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="take only the first S seconds of each (default: 4)")
    parser.add_argument("--voices", nargs="+", type=Path, metavar="SOUND", help="who talks in the background (default: the recordings)")
    parser.add_argument("--model", metavar="PATH_OR_ID", help="default: embedded")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="also write the table here")
    arguments = parser.parse_args(argv)
    pipe = EmoFacePipeline.from_pretrained(arguments.model)
    if (arguments.count is not None and arguments.count < 1) or not arguments.seconds > 0.5:
        parser.error("--count is at least 1, --seconds more than 0.5")
    paths = arguments.sounds[:: max(1, len(arguments.sounds) // (arguments.count or len(arguments.sounds)))][: arguments.count]
    sounds = [beginning(load_audio(path), arguments.seconds) for path in paths]
    voices = [load_audio(path).samples for path in arguments.voices or paths]
    text = table(measure(pipe, sounds, voices), len(sounds))
    print(text)
    if arguments.out:
        arguments.out.write_text(
            "# Does the face stay the same when only the recording differs?\n\n"
            f"`python -m train.evaluation.invariance SOUND ... --count {len(sounds)} --seconds {arguments.seconds:g} --out docs/invariance.md`, model {pipe.name}:\n"
            "each recording animated as it is and with one thing changed. *Same label*: the emotion heard stays. *jaw, r* and *lag*: against the\n"
            "answer to the unchanged recording. Levels of noise and background are below the voice's own. Recordings: "
            + ", ".join(f"`{path.name}`" for path in paths)
            + ".\n\n"
            + text
        )


if __name__ == "__main__":
    main()
