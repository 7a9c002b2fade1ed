"""The clips that are measured: none of them was trained on, and the examples of the app are not among them.

========================  ===========================================  =============================================
name                      clips                                        motion
========================  ===========================================  =============================================
GRID, unseen clips        every tenth of speaker s1                    real (video)
GRID, other speakers      five speakers, one clip each                 real (video)
RAVDESS, unseen actors    actors 21-22                                 modelled (aligned phones + measured expression)
LJSpeech, unseen clips    every tenth                                  modelled (aligned phones)
synthetic voices          held-out sentences of the corpus' TTS        modelled (exact phones)
EmoDB                     acted German emotions, hand-labelled phones  none: audio and labels only
========================  ===========================================  =============================================
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from emoface.animation import EMOTIONS
from emoface.metrics import ACTION_UNITS
from train.corpus.coarticulation import Phone
from train.corpus.grid import BILABIAL_WORDS, SILENCE_WORDS
from train.corpus.lips import average_head_lips
from train.corpus.phones import Aligner, align_cached
from train.corpus.reader import Corpus

GRID, GRID_OTHERS = "GRID, unseen clips", "GRID, other speakers"
RAVDESS, LJSPEECH = "RAVDESS, unseen actors", "LJSpeech, unseen clips"
TTS, EMODB = "synthetic voices", "EmoDB"

BILABIALS = {"P", "B", "M"}
VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}

# EmoDB's own labels (SAMPA; "_" marks a stop after a pause; "!" its burst, when the lips are already opening).
EMODB_BILABIALS = {"p", "b", "m", "_p", "_b"}
EMODB_VOWELS = set("I a i e @ U E o O 6 Y 9 y u aI aU OY".split())
EMODB_EMOTIONS = {"W": "angry", "E": "disgust", "A": "fearful", "F": "happy", "T": "sad", "N": "neutral"}

ONSET_S = 0.08


@dataclass(frozen=True)
class EvalClip:
    identity: str
    data: str
    """Name of the set, as in the module's table."""
    motion: str
    """``real``, ``modelled`` or ``none`` (only a recording): never mixed in a number."""
    samples: np.ndarray
    rate: int
    emotion: str = "neutral"
    level: int = 0
    weights: np.ndarray | None = None
    """(T, 52) ARKit weights of the true motion."""
    target_aperture_mm: np.ndarray | None = None
    """(T,) lip aperture of that motion on the head."""
    measured_width_mm: np.ndarray | None = None
    """(T,) change of the mouth's width in the video, unsmoothed, in mm of our head."""
    measured_mm: np.ndarray | None = None
    """(T,) lip aperture measured in the video, unsmoothed; None where motion is modelled."""
    closures: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    """(N, 2) seconds of every P, B, M."""
    vowels: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    action_units: np.ndarray | None = None
    """(14,) clip means of OpenFace's intensities (0-5) in the recording's own video."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def corpus_clips(corpus: Corpus, action_units: dict[str, np.ndarray], *, every: int = 1) -> dict[str, list[EvalClip]]:
    """The measured clips of a corpus (or every n-th of them) by the name of their set; empty sets are left out."""
    chosen = {
        GRID: corpus.select(source="grid", split="test"),
        GRID_OTHERS: corpus.select(source="grid", split="test_others"),
        RAVDESS: corpus.select(source="ravdess", split="test"),
        LJSPEECH: corpus.select(source="ljspeech", split="test"),
        TTS: corpus.select(source="tts", split="test"),
    }
    aligner = Aligner()
    return {
        data: [
            _corpus_clip(corpus, i, data, action_units, aligner)
            for i in (rows if data == GRID_OTHERS else rows[::every])  # the five other speakers are few enough
        ]
        for data, rows in chosen.items()
        if rows
    }


def _corpus_clip(corpus: Corpus, i: int, data: str, action_units: dict, aligner: Aligner) -> EvalClip:
    entry, times = corpus.clips[i], corpus.times(i)
    samples, rate = soundfile.read(corpus.audio_path(i), dtype="float32")
    measured = corpus.track(i, "measured_aperture_raw")
    width = corpus.track(i, "measured_width_raw")
    weights = corpus.weights(i)
    phones = [Phone(*row) for row in times["phones"]]
    if data == GRID:
        closures = word_closures(times["words"], len(samples) / rate)
        phones = phones or aligned_words(corpus, i, samples, times["words"], aligner)
    else:
        closures = phone_times(phones, BILABIALS)
    return EvalClip(
        identity=entry["id"],
        data=data,
        motion=entry["motion"],
        samples=samples,
        rate=rate,
        emotion=entry["emotion"],
        level=entry["level"],
        weights=weights,
        target_aperture_mm=average_head_lips().aperture(weights),
        measured_mm=None if np.isnan(measured).any() else measured,
        measured_width_mm=None if np.isnan(width).any() else width,
        closures=closures,
        vowels=phone_times(phones, VOWELS),
        action_units=action_units.get(entry["id"].removeprefix("ravdess_")),
    )


def word_closures(words: list, seconds: float) -> np.ndarray:
    """80 ms around the bilabial of GRID's words: the onset, but the end of the letter "m" (said "em")."""
    times = [end if word == "m" else start for start, end, word in words if word in BILABIAL_WORDS]
    return np.array([[t - ONSET_S, t + ONSET_S] for t in times if 0 < t < seconds]).reshape(-1, 2)


def aligned_words(corpus: Corpus, i: int, samples: np.ndarray, words: list, aligner: Aligner) -> list[Phone]:
    """Phones of a GRID clip by forced alignment of its words; remembered beside the corpus. Empty if it fails."""
    text = " ".join(word for _, _, word in words if word not in SILENCE_WORDS)
    cache = corpus.folder / "alignments" / "evaluation" / f"{corpus.clips[i]['id']}.json"
    return align_cached(samples, text, cache, aligner) or []


def phone_times(phones: list[Phone], names: set[str]) -> np.ndarray:
    return np.array([[phone.start, phone.end] for phone in phones if phone.name in names]).reshape(-1, 2)


def emodb_clips(data: Path) -> list[EvalClip]:
    """EmoDB's clips of the six emotions it shares with RAVDESS (boredom is left out), with hand-labelled phones."""
    rows: dict[str, list[tuple[float, float, str]]] = {}
    with open(data / "emodb_phones.tsv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            rows.setdefault(row["clip"], []).append((float(row["start_s"]), float(row["end_s"]), row["label"]))
    clips = []
    for path in sorted((data / "emodb_audio").glob("*.ogg")):
        if path.stem[5] not in EMODB_EMOTIONS:
            continue
        samples, rate = soundfile.read(path, dtype="float32")
        labels = [row for row in rows.get(path.stem, []) if row[1] <= len(samples) / rate]
        clips.append(
            EvalClip(
                identity=f"emodb_{path.stem}",
                data=EMODB,
                motion="none",
                samples=samples,
                rate=rate,
                emotion=EMODB_EMOTIONS[path.stem[5]],
                closures=_label_times(labels, EMODB_BILABIALS),
                vowels=_label_times(labels, EMODB_VOWELS),
            )
        )
    return clips


def _label_times(labels: list, names: set[str]) -> np.ndarray:
    return np.array([[start, end] for start, end, name in labels if name in names]).reshape(-1, 2)


def read_action_units(data: Path) -> dict[str, np.ndarray]:
    """(14,) measured intensities, in the order of ``metrics.ACTION_UNITS``, by RAVDESS audio clip name."""
    with open(data / "ravdess_clip_mean_au.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {"03" + row["clip"][2:]: np.array([float(row[f"AU{unit:02d}_r"]) for unit in ACTION_UNITS]) for row in rows}


def emotion_index(name: str) -> int:
    return EMOTIONS.index(name)
