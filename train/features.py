"""Encode every recording of a corpus once: ``python -m train.features --corpus data/corpus``, or of a folder that ``train.prepare`` wrote.

Writes ``features.npy`` (frames of all clips x L x C, float16, on the mesh's 30 fps) and ``prosody.npy`` beside ``clips.json``. Stopping and starting again
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from emoface.encoders import SpeechEncoder
from emoface.files import atomic_path
from emoface.prosody import on_mesh_clock, prosody


def cache_features(corpus: Path, *, layers: int = 4, encoder: SpeechEncoder | None = None) -> Path:
    """Encoder features of all clips; returns the path of the array."""
    clips = json.loads((corpus / "clips.json").read_text())
    offset = np.cumsum([0] + [clip["frames"] for clip in clips])
    encoder = (encoder or SpeechEncoder.from_pretrained()).freeze()
    path, progress = corpus / "features.npy", corpus / "features.done.npy"
    shape = (int(offset[-1]), layers, encoder.width)
    fresh = not path.exists() or np.load(path, mmap_mode="r").shape != shape
    features = np.lib.format.open_memmap(path, mode="w+" if fresh else "r+", dtype=np.float16, shape=shape)
    done = np.zeros(len(clips), bool) if fresh or not progress.exists() else np.load(progress)
    for i in tqdm(np.flatnonzero(~done), desc="encoder", unit="clip"):
        samples, rate = soundfile.read(corpus / clips[i]["audio"], dtype="float32")
        if rate != 16000:
            raise ValueError(f"{clips[i]['audio']} has {rate} Hz; the corpus must be 16 kHz.")
        frames = int(offset[i + 1] - offset[i])
        # Clips are short but must stand for any moment of a long recording: half of them are placed somewhere in the encoder's
        # position table instead of at its start (see SpeechEncoder.hidden_states).
        rng = np.random.default_rng(i)
        position = int(rng.integers(0, 1000)) if clips[i]["split"] == "train" and rng.random() < 0.5 else 0
        with torch.inference_mode():
            hidden = encoder.frame_features(torch.from_numpy(samples), frames, position=position)[-layers:]
        features[offset[i] : offset[i + 1]] = hidden.transpose(0, 1).half().numpy()
        done[i] = True
        if i % 100 == 0:
            features.flush()
            np.save(progress, done)
    features.flush()
    np.save(progress, done)
    return path


def cache_prosody(corpus: Path) -> Path:
    """Prosody of all clips, (frames of all clips, 3) float16 on the mesh's clock; returns the path of the array."""
    clips = json.loads((corpus / "clips.json").read_text())
    rows = []
    for clip in tqdm(clips, desc="prosody", unit="clip"):
        samples, _ = soundfile.read(corpus / clip["audio"], dtype="float32")
        rows.append(on_mesh_clock(prosody(samples), clip["frames"]))
    with atomic_path(corpus / "prosody.npy") as path:
        np.save(path, np.concatenate(rows).astype(np.float16))
    return corpus / "prosody.npy"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--layers", type=int, default=4, help="how many of the encoder's last blocks to keep")
    args = parser.parse_args()
    print(cache_prosody(args.corpus))
    print(cache_features(args.corpus, layers=args.layers))


if __name__ == "__main__":
    main()
