"""The labelled recordings that emotion recognition is trained, chosen and measured on, and who is in which split.

==========  ==========================================  ======================  =====================
corpus      train                                       validate                test
==========  ==========================================  ======================  =====================
``ravdess`` actors 1-18                                 actors 19-20            actors 21-22
``nemo``    the other speakers                          one speaker             one speaker
``emodb``   never (its licence forbids training on it)  never                   all speakers
``read``    GRID's s1 and LJSpeech's reader             other clips of theirs   others, and five more GRID speakers
==========  ==========================================  ======================  =====================

``read`` is plain reading, taken as neutral: without it a sober voice in an ordinary room is taken for *calm*, and the face smiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoface.animation import EMOTIONS
from emoface.audio import load_audio
from train.corpus.clip import split_of
from train.corpus.emotion import parse_ravdess_name
from train.evaluation.clips import EMODB_EMOTIONS

NEMO_EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprised",
    "neutral": "neutral",
}
NEMO_VALIDATES, NEMO_TESTS = ("KD0",), ("SM0",)
"""nEMO's speakers kept out of training."""


@dataclass(frozen=True)
class Recording:
    identity: str
    path: Path
    corpus: str
    """``ravdess``, ``nemo``, ``emodb`` or ``read``."""
    speaker: str
    emotion: str
    level: int
    """0 normal, 1 strong (only RAVDESS says so)."""
    split: str
    """``train``, ``validate`` or ``test``."""

    @property
    def label(self) -> int:
        return EMOTIONS.index(self.emotion)

    def samples(self) -> np.ndarray:
        """(n,) float32 at 16 kHz."""
        return load_audio(self.path).samples


POSSIBLE = {
    "ravdess": EMOTIONS,
    "nemo": tuple(e for e in EMOTIONS if e in NEMO_EMOTIONS.values()),
    "emodb": tuple(e for e in EMOTIONS if e in EMODB_EMOTIONS.values()),
    "read": EMOTIONS,
}
"""The emotions that each corpus' actors acted; readers acted none, and may be confused with all."""


def ravdess(data: Path) -> list[Recording]:
    out = []
    for path in sorted((data / "ravdess_audio").glob("03-01-*.ogg")):
        name = parse_ravdess_name(path.stem)
        split = "train" if name["actor"] <= 18 else "validate" if name["actor"] <= 20 else "test"
        out.append(Recording(f"ravdess_{path.stem}", path, "ravdess", f"R{name['actor']:02d}", name["emotion"], name["level"], split))
    return out


def nemo(data: Path) -> list[Recording]:
    out = []
    for path in sorted((data / "nemo_audio").glob("*.ogg")):
        speaker, emotion, _ = path.stem.split("_")
        split = "validate" if speaker in NEMO_VALIDATES else "test" if speaker in NEMO_TESTS else "train"
        out.append(Recording(f"nemo_{path.stem}", path, "nemo", speaker, NEMO_EMOTIONS[emotion], 0, split))
    return out


def emodb(data: Path) -> list[Recording]:
    """Boredom is left out: no other corpus has it."""
    return [
        Recording(f"emodb_{path.stem}", path, "emodb", f"E{path.stem[:2]}", EMODB_EMOTIONS[path.stem[5]], 0, "test")
        for path in sorted((data / "emodb_audio").glob("*.ogg"))
        if path.stem[5] in EMODB_EMOTIONS
    ]


def read(data: Path) -> list[Recording]:
    """Plain reading. Of GRID's s1, who has a thousand alike, ten clips in forty. Splits are those of the corpus build."""
    out = []
    for folder, speaker in (("grid_s1_audio", "s1"), ("ljspeech_audio", "LJ")):
        for i, path in enumerate(sorted((data / folder).glob("*.ogg"))):
            if speaker == "LJ" or i // 10 % 4 == 0:
                split = {"val": "validate"}.get(split_of(i), split_of(i))
                out.append(Recording(f"read_{path.stem}", path, "read", speaker, "neutral", 0, split))
    for path in sorted((data / "grid_others_audio").glob("*.ogg")):
        out.append(Recording(f"read_other_{path.stem}", path, "read", f"other {path.stem}", "neutral", 0, "test"))
    return out


def all_recordings(data: Path) -> list[Recording]:
    return ravdess(data) + nemo(data) + emodb(data) + read(data)


def some(recordings: list[Recording], per_cell: int) -> list[Recording]:
    """At most ``per_cell`` recordings of every speaker and emotion, evenly over the list."""
    cells: dict[tuple, list[Recording]] = {}
    for r in recordings:
        cells.setdefault((r.speaker, r.emotion), []).append(r)
    return [cell[int(i)] for cell in cells.values() for i in np.unique(np.linspace(0, len(cell) - 1, min(per_cell, len(cell))).round())]
