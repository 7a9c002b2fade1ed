"""Emotion recognition of voices that nothing was trained or chosen on, and its stability when only the recording changes.

Recordings alone: no motion, no corpus build. The voices are those of ``train.recognition.recordings``' test split.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from emoface.animation import EMOTIONS
from emoface.errors import EmoFaceError
from emoface.metrics import Estimate, bootstrap
from train import sound
from train.recognition.recordings import POSSIBLE, Recording, all_recordings
from train.recognition.references import references_of
from train.recognition.scores import answers, calibration_error, mean_recall, recall_interval, reliability

from .measures import Row

NAMES = {"ravdess": "RAVDESS, actors 21-22", "nemo": "nEMO, speaker left out", "emodb": "EmoDB", "read": "plain reading"}


class Recogniser(Protocol):
    """``emoface.EmoFacePipeline``, as far as it recognises emotions."""

    def recognise(self, sound, *, reference=None) -> np.ndarray: ...


def _pair(recording: Recording) -> tuple[np.ndarray, int]:
    return recording.samples(), sound.RATE


Change = Callable[[np.ndarray, list[np.ndarray], np.random.Generator], np.ndarray]


def _stored(samples: np.ndarray) -> np.ndarray:
    """As a file of 16 bits holds them."""
    return np.round(np.clip(samples, -1, 1) * 32767) / 32767


def _babble(snr_db: float) -> Change:
    return lambda x, voices, rng: sound.mixed(x, sound.babble(voices, len(x), rng), snr_db)


CHANGES: dict[str, Change] = {
    "level -30 dB": lambda x, voices, rng: _stored(x * 10 ** (-30 / 20)),
    "offset +.1": lambda x, voices, rng: _stored(0.8 * x / np.abs(x).max() + 0.1),
    "babble 20 dB": _babble(20),
    "babble 10 dB": _babble(10),
    "babble 0 dB": _babble(0),
    "music 10 dB": lambda x, voices, rng: sound.mixed(x, sound.music(len(x), rng), 10),
    "pink noise 10 dB": lambda x, voices, rng: sound.mixed(x, sound.noise(len(x), 1, rng), 10),
    "room, T60 .6 s": lambda x, voices, rng: sound.reverberant(x, decay_s=0.6, wet=0.5, rng=rng),
    "telephone band": lambda x, voices, rng: sound.band(x, 300, 3400),
    "8 kHz": lambda x, voices, rng: sound.at_rate(x, 8000),
    "opus, 12 kbit/s": lambda x, voices, rng: sound.coded(x, "opus", 12000),
    "mp3, 16 kbit/s": lambda x, voices, rng: sound.coded(x, "mp3", 16000),
}


def unseen(data: Path) -> dict[str, list[Recording]]:
    """Recordings of unseen voices by the name of their set; sets that ``data`` does not hold are left out."""
    sets: dict[str, list[Recording]] = {}
    for r in sorted(all_recordings(data), key=lambda r: (r.speaker, r.emotion)):
        if r.split == "test":
            sets.setdefault(NAMES[r.corpus], []).append(r)
    return sets


def recall_rows(recogniser: Recogniser, name: str, recordings: list[Recording], *, neutral: list[Recording] | None) -> tuple[list[Row], dict]:
    """Recall and calibration, and with ``neutral`` recordings of each voice (one of them, another than the clip) also beside it."""
    labels, speakers = np.array([r.label for r in recordings]), np.array([r.speaker for r in recordings])
    possible = POSSIBLE[recordings[0].corpus]
    bar = dict(unit="clip", mininterval=10)
    answers_of = {"model": np.stack([recogniser.recognise(_pair(r)) for r in tqdm(recordings, desc=f"recognition, {name}", **bar)])}
    if neutral is not None:
        beside = references_of(recordings, among=neutral)
        if None in beside:
            raise EmoFaceError(f"{name}: the voice of {recordings[beside.index(None)].identity} has no other neutral recording to be its reference.")
        answers_of["model, with a reference"] = np.stack(
            [
                recogniser.recognise(_pair(r), reference=_pair(n))
                for r, n in zip(tqdm(recordings, desc=f"recognition, {name}, with a reference", **bar), beside)
            ]
        )
    rows = []
    for who, probabilities in answers_of.items():
        for measure, allowed in (("emotion_recall", EMOTIONS), ("emotion_recall_own", possible)):
            chosen = answers(probabilities, allowed)
            low, high = recall_interval(labels, chosen, speakers)
            estimate = Estimate(mean_recall(labels, chosen), low, high, len(labels), float(len(np.unique(speakers))))
            rows.append(Row(measure, name, "none", who, estimate.scaled(100), "speakers"))
        error = calibration_error(labels, probabilities)
        rows.append(Row("emotion_calibration", name, "none", who, Estimate(error, np.nan, np.nan, len(labels), float(len(labels))).scaled(100)))
    for measure, allowed in (("emotion_recall", EMOTIONS), ("emotion_recall_own", possible)):
        rows.append(Row(measure, name, "none", "chance", Estimate(1 / len(allowed), np.nan, np.nan, len(labels), float(len(labels))).scaled(100)))
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), int)
    np.add.at(confusion, (labels, answers(answers_of["model"])), 1)
    return rows, {"reliability": reliability(labels, answers_of["model"]), "label x answer": confusion.tolist()}


def robustness_rows(recogniser: Recogniser, name: str, recordings: list[Recording], *, seed: int = 0) -> list[Row]:
    """Labels that change under each of :data:`CHANGES`."""
    clips = [r.samples() for r in recordings]
    clean = answers(np.stack([recogniser.recognise((x, sound.RATE)) for x in clips]))
    rows = []
    for change, alter in tqdm(CHANGES.items(), desc=f"{name}, changed", unit="change"):
        changed = []
        for i, x in enumerate(clips):
            rng = np.random.default_rng([seed, i])
            others = rng.permutation([j for j in range(len(clips)) if j != i])[:6]
            altered = alter(x.astype(np.float64), [clips[j] for j in others], rng)
            changed.append(recogniser.recognise((altered.astype(np.float32), sound.RATE)))
        estimate = bootstrap(answers(np.stack(changed)) != clean).scaled(100)
        rows.append(Row("emotion_changed", name, "none", change, estimate))
    return rows


def recognition_rows(recogniser: Recogniser, data: Path, *, references: bool, quick: bool = False) -> tuple[list[Row], dict]:
    """Everything in this module, for the sets that ``data`` holds."""
    rows: list[Row] = []
    extra: dict = {}
    for name, of in unseen(data).items():
        recordings = of[:: 5 if quick else 1]
        found, details = recall_rows(recogniser, name, recordings, neutral=of if references and recordings[0].corpus != "read" else None)
        rows += found
        extra[f"heard, {name}"] = details
        rows += robustness_rows(recogniser, name, recordings[:: max(len(recordings) // (20 if quick else 60), 1)])
    return rows, extra
