"""VOCASET -> training folder: ``python -m train.prepare vocaset --source DIR --out DIR``.

Reads the official files (``data_verts.npy``, ``raw_audio_fixed.pkl``, ``templates.pkl``, ``subj_seq_to_idx.pkl``) or
FaceFormer's layout (``vertices_npy/``, ``wav/``, ``templates.pkl``). Both are 60 fps; every second frame is kept.
Speakers are split 8/2/2 as in VOCA, sentences as in FaceFormer (all 40 to train on, 21-40 to validate and test).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emoface.clock import frame_count
from emoface.errors import EmoFaceError
from emoface.flame import VERTEX_COUNT, load_pickle
from train.corpus.clip import read_audio

from .vertices import stored_clip, to_16k, write_clip, write_index

TRAIN = (
    "FaceTalk_170728_03272_TA FaceTalk_170904_00128_TA FaceTalk_170725_00137_TA FaceTalk_170915_00223_TA "
    "FaceTalk_170811_03274_TA FaceTalk_170913_03279_TA FaceTalk_170904_03276_TA FaceTalk_170912_03278_TA"
).split()
VAL = ("FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA")
TEST = ("FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA")
SPLIT = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(VAL, "val"), **dict.fromkeys(TEST, "test")}
FIRST_HELD_OUT_SENTENCE = 21
SOURCE_FPS, STEP = 60, 2

OFFICIAL = ("data_verts.npy", "raw_audio_fixed.pkl", "templates.pkl", "subj_seq_to_idx.pkl")
WHERE = (
    "Register at https://voca.is.tue.mpg.de, accept the licence and download 'Training Data (8GB)': it holds "
    "data_verts.npy, raw_audio_fixed.pkl, templates.pkl and subj_seq_to_idx.pkl. FaceFormer's layout (vertices_npy/, "
    "wav/, templates.pkl) works too"
)

Sequence = tuple[str, int, Callable[[], np.ndarray], Callable[[], tuple[np.ndarray, int]]]
"""Subject, sentence number, and functions that read its vertices (T, V, 3) at 30 fps and its sound."""


def prepare(source: Path, out: Path) -> dict:
    """Write the training folder; returns its report. Sequences done by an earlier run are kept."""
    templates = _templates(source)
    rejected: list[str] = []
    entries = []
    for subject, sentence, read_vertices, read_sound in tqdm(list(_sequences(source, rejected)), unit="clip"):
        identity, split = f"{subject}_sentence{sentence:02d}", SPLIT.get(subject, "train")
        if split != "train" and sentence < FIRST_HELD_OUT_SENTENCE:
            continue
        entry = stored_clip(out, identity)
        if entry is None:
            vertices = read_vertices()
            if not np.isfinite(vertices).all():
                rejected.append(f"{identity}: vertices are not finite")
                continue
            fields = dict(
                id=identity,
                split=split,
                speaker=subject,
                style=subject,
                emotion="neutral",
                level=0,
                text=f"sentence {sentence}",
                motion="real",
                source="vocaset",
            )
            samples = to_16k(*read_sound())
            frames = min(len(vertices), frame_count(len(samples), 30))
            entry = write_clip(out, fields, vertices[:frames], samples)
        entries.append(entry)
    if not entries:
        raise EmoFaceError(f"No usable sequence was found in {source}. {WHERE}.")
    return write_index(out, entries, templates, rejected)


def _templates(source: Path) -> dict[str, np.ndarray]:
    path = source / "templates.pkl"
    if not path.exists():
        raise EmoFaceError(f"{source} has no templates.pkl. {WHERE}.")
    templates = load_pickle(path)
    wrong = [name for name, t in templates.items() if np.shape(t)[-1:] != (3,)]
    if wrong:
        raise EmoFaceError(f"templates.pkl holds no (V, 3) vertices for {wrong[0]}; use VOCASET's own file.")
    return {str(name): np.asarray(t) for name, t in templates.items()}


def _sequences(source: Path, rejected: list[str]) -> Iterator[Sequence]:
    if (source / "vertices_npy").is_dir():
        return _faceformer_sequences(source, rejected)
    missing = [name for name in OFFICIAL if not (source / name).exists()]
    if missing:
        raise EmoFaceError(f"{source} lacks {', '.join(missing)}. {WHERE}.")
    return _official_sequences(source, rejected)


def _official_sequences(source: Path, rejected: list[str]) -> Iterator[Sequence]:
    vertices = np.load(source / "data_verts.npy", mmap_mode="r", allow_pickle=False)
    index, sound = load_pickle(source / "subj_seq_to_idx.pkl"), load_pickle(source / "raw_audio_fixed.pkl")
    for subject in sorted(index):
        for name in sorted(index[subject]):
            if name not in sound.get(subject, {}):
                rejected.append(f"{subject}_{name}: no audio")
                continue
            frames = index[subject][name]
            rows = np.array([frames[k] for k in sorted(frames)])[::STEP]
            record = sound[subject][name]
            yield (
                str(subject),
                _sentence(name),
                lambda rows=rows: np.asarray(vertices[rows]),
                lambda record=record: (np.asarray(record["audio"]), int(record["sample_rate"])),
            )


def _faceformer_sequences(source: Path, rejected: list[str]) -> Iterator[Sequence]:
    for path in sorted((source / "vertices_npy").glob("*.npy")):
        wav = source / "wav" / f"{path.stem}.wav"
        if not wav.exists():
            rejected.append(f"{path.stem}: no audio")
            continue
        subject, sentence = path.stem.rsplit("_", 1)
        yield (
            subject,
            _sentence(sentence),
            lambda path=path: np.load(path, allow_pickle=False).reshape(-1, _vertex_count(path), 3)[::STEP],
            lambda wav=wav: read_audio(wav),
        )


def _vertex_count(path: Path) -> int:
    size = int(np.prod(np.load(path, mmap_mode="r", allow_pickle=False).shape[1:]))
    if size % 3:
        raise EmoFaceError(f"{path.name} does not hold x, y, z of every vertex; FLAME has {VERTEX_COUNT} vertices.")
    return size // 3


def _sentence(name: str) -> int:
    return int(re.search(r"(\d+)$", str(name)).group(1))
