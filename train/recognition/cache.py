"""Encoder features of recordings and of their altered copies, each computed once.

A *view* is a copy's number (0: the recording as it is). Its features lie one after the other in ``FOLDER/VIEW.f16``, (frames, L, C)
float16 on the mesh's 30 fps; ``FOLDER/VIEW.jsonl`` says whose they are, a line each. A second call goes on where the first one stopped.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from emoface.encoders import SpeechEncoder
from emoface.errors import EmoFaceError

from .copies import altered
from .recordings import Recording


class Features:
    """Cached features of some views, by recording: ``features[view, identity]`` is (T, L, C) float16."""

    def __init__(self, folder: Path, views: int, *, layers: int, width: int):
        self._rows: dict[tuple[int, str], np.ndarray] = {}
        for view in range(views):
            entries, frames = _entries(folder / f"{view}.jsonl")
            if not entries:
                continue
            stored = np.memmap(folder / f"{view}.f16", np.float16, "r", shape=(frames, layers, width))
            stop = 0
            for identity, count in entries:
                self._rows[view, identity] = stored[stop : stop + count]
                stop += count

    def __getitem__(self, key: tuple[int, str]) -> np.ndarray:
        if key not in self._rows:
            raise EmoFaceError(f"There are no features of {key[1]} (copy {key[0]}): run python -m train.recognition cache.")
        return self._rows[key]

    def __contains__(self, key: tuple[int, str]) -> bool:
        return key in self._rows

    def views(self, identity: str) -> list[int]:
        return [view for view, name in self._rows if name == identity]


def _entries(path: Path) -> tuple[list[tuple[str, int]], int]:
    """Identity and frames of every stored recording, and all frames."""
    lines = path.read_text().splitlines() if path.exists() else []
    entries = [(str(identity), int(frames)) for identity, frames in map(json.loads, lines)]
    return entries, sum(frames for _, frames in entries)


def cache(recordings: list[Recording], folder: Path, view: int, *, encoder: SpeechEncoder, layers: int, voices: list[Recording]) -> None:
    """Encode what is not there yet of one view."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, frames = _entries(folder / f"{view}.jsonl")
    there = {identity for identity, _ in entries}
    path = folder / f"{view}.f16"
    path.touch()
    with path.open("r+b") as data, (folder / f"{view}.jsonl").open("a") as index:
        data.truncate(frames * layers * encoder.width * 2)  # what was written without its line
        data.seek(0, 2)
        missing = [r for r in recordings if r.identity not in there]
        for recording in tqdm(missing, desc=f"copy {view}", unit="clip", mininterval=10):
            samples = altered(recording, view, voices) if view else recording.samples()
            # Half of the training clips stand somewhere in the encoder's position table, as train.features places them.
            rng = np.random.default_rng([view, zlib.crc32(recording.identity.encode())])
            position = int(rng.integers(0, 1000)) if recording.split == "train" and rng.random() < 0.5 else 0
            with torch.inference_mode():
                states = encoder.frame_features(torch.from_numpy(samples), position=position, layers=layers)
            rows = states.transpose(0, 1).half().contiguous().numpy()
            data.write(rows.tobytes())
            data.flush()
            index.write(json.dumps([recording.identity, len(rows)]) + "\n")
            index.flush()
