"""A made-up corpus whose recordings carry their own motion, in the layout of ``train.corpus.build``.

Loudness is the jaw and pitch is the emotion, so every target can be recomputed from any recording.
"""

import json

import numpy as np
import soundfile

from emoface.animation import EMOTIONS
from train.corpus.channels import COUNT, INDEX, vector
from train.corpus.compose import compose
from train.corpus.emotion import INTENSITY, PROTOTYPES
from train.corpus.lips import average_head_lips
from train.corpus.reader import FRAME_TRACKS, Corpus

RATE = 16000
SYLLABLES = 4  # per second; the mouth is shut between them


def sound(seconds: float, *, emotion: int, seed: int) -> np.ndarray:
    """A tone in syllables of different loudness, silent at both ends, closed at every quarter of a second."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    knots = np.arange(0, seconds + 1, 1 / SYLLABLES)
    loudness = np.interp(time, knots, rng.uniform(0.4, 1.0, len(knots)))
    inside = (time > 0.5) & (time < seconds - 0.5)
    return 0.3 * inside * loudness * np.sin(np.pi * SYLLABLES * time) ** 2 * np.sin(2 * np.pi * (200 + 100 * emotion) * time)


def tracks(samples: np.ndarray) -> dict[str, np.ndarray]:
    """What a corpus holds for these samples, from their loudness alone."""
    count = int(np.ceil(round(30 * len(samples) / RATE, 6)))
    half = RATE // 60
    padded = np.pad(samples.astype(float), half)
    starts = np.round(np.arange(count) / 30 * RATE).astype(int)
    level = np.array([np.sqrt(2 * np.mean(padded[s : s + 2 * half] ** 2)) for s in starts])
    content = np.zeros((count, COUNT))
    content[:, INDEX["jawOpen"]] = np.maximum(level - 0.02, 0)
    voiced = level > 0.02
    activity = np.array([voiced[max(t - 8, 0) : t + 9].any() for t in range(count)], float)
    return {
        "content": content,
        "loudness": level,
        "accent": np.zeros(count),
        "envelope": np.ones(count),
        "activity": activity,
        "closure": np.zeros(count),
    }


def pitch_emotion(samples: np.ndarray) -> int:
    loud = samples[np.abs(samples) > 0.01]
    spectrum = np.abs(np.fft.rfft(samples - samples.mean()))
    assert len(loud)
    return int(np.clip(round((np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()] - 200) / 100), 0, 7))


def expression(emotion: int, level: int) -> np.ndarray:
    return vector(PROTOTYPES[EMOTIONS[emotion]]) * INTENSITY[level]


def write_corpus(folder) -> Corpus:
    """A few clips of every source."""
    (folder / "audio").mkdir(parents=True)
    wanted = [("grid", split, 0, 0, 3.0) for split in ("train", "train", "val", "val", "test", "test", "test_others")]
    wanted += [("ljspeech", split, 0, 0, 2.0) for split in ("train", "val", "test")]
    for split in ("train", "val", "test"):
        labels = [(e, level) for e in range(8) for level in range(2) if (e, level) != (0, 1)]
        wanted += [("ravdess", split, e, level, 1.7 + 0.1 * level) for e, level in labels]
    entries, times, targets, frames = [], {}, [], {name: [] for name in FRAME_TRACKS}
    for i, (source, split, emotion, level, seconds) in enumerate(wanted):
        name = f"{source}_{i:02d}"
        samples = sound(seconds, emotion=emotion, seed=i)
        soundfile.write(folder / "audio" / f"{name}.wav", samples, RATE, subtype="FLOAT")
        samples, _ = soundfile.read(folder / "audio" / f"{name}.wav", dtype="float32")
        found = tracks(samples)
        target = expression(emotion, level)
        weights = compose(
            *(found[k] for k in ("content", "envelope", "closure")), target, emotion, level, activity=found["activity"], accent=found["accent"]
        )
        aperture = average_head_lips().aperture(weights)
        real = source == "grid"
        found["measured_aperture"] = found["measured_aperture_raw"] = aperture if real else np.full(len(aperture), np.nan)
        width = average_head_lips().width_change(weights)
        found["measured_width"] = found["measured_width_raw"] = width if real else np.full(len(width), np.nan)
        for key in FRAME_TRACKS:
            frames[key].append(found[key])
        targets.append(target)
        shut = np.arange(0.75, seconds - 0.74, 0.5)  # sin(4 pi t) is zero at every quarter
        vowels = [["AA", s + 0.065, s + 0.185, "a"] for s in shut[:-1]]
        times[name] = {
            "words": [[s, s + 0.2, "bin"] for s in shut] if real else [],
            "phones": vowels if real else vowels + [["B", s - 0.01, s + 0.01, "b"] for s in shut],
        }
        entries.append(
            dict(
                id=name,
                source=source,
                split=split,
                emotion=EMOTIONS[emotion],
                level=level,
                copy_of=None,
                motion="real" if real else "modelled",
                audio=f"audio/{name}.wav",
                frames=len(aperture),
                speaker="x",
                style="x",
            )
        )
    offset = np.concatenate([[0], np.cumsum([entry["frames"] for entry in entries])])
    np.savez(folder / "motion.npz", offset=offset, **{key: np.concatenate(rows) for key, rows in frames.items()})
    np.savez(folder / "emotion.npz", target=np.stack(targets))
    (folder / "clips.json").write_text(json.dumps(entries))
    (folder / "phones.json").write_text(json.dumps(times))
    return Corpus(folder)
