"""Build the corpus: ``python -m train.corpus.build --data ../shared/data --out data/corpus``.

Writes ``clips.json`` (one entry per clip and augmented copy), ``motion.npz`` (all frames one after the other, rows of
clip i are ``offset[i]:offset[i+1]``), ``emotion.npz`` (``target`` (N, 52)), ``audio/ID.wav`` and ``report.json``.
A second call continues where a first one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .augment import augmented
from .clip import Clip, split_of
from .grid import grid_clips
from .lips import average_head_lips
from .speech import RAVDESS_TRAIN_ACTORS, ljspeech_clips, ravdess_clips
from .store import merge, write_part
from .tts import tts_clips

COPIES = dict(grid=2, ravdess=1, ljspeech=2, tts=1)
BATCH = 32


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m train.corpus.build", description="Build the training corpus.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("data/corpus"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sources", nargs="+", default=list(COPIES), choices=list(COPIES))
    parser.add_argument("--limit", type=int, help="only so many clips per source (for a quick look)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        parser.error(f"There is no data folder {options.data}; give it with --data (see docs/training.md).")
    build(
        options.data,
        options.out,
        sources=options.sources,
        processes=options.processes,
        limit=options.limit,
        seed=options.seed,
    )


def build(data: Path, out: Path, *, sources=tuple(COPIES), processes: int = 2, limit: int | None = None, seed: int = 0):
    """Make or continue the corpus in ``out``; returns the report."""
    parts = out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    (out / "audio").mkdir(exist_ok=True)
    _check_same_recipe(parts / "recipe.txt", seed)
    rejected: list[str] = []
    voices = babble_voices(data)
    clips = chain.from_iterable(islice(g, limit) for g in _generators(data, out, sources, rejected))
    done: list[str] = []
    with ProcessPoolExecutor(processes) as pool, tqdm(unit="clip", desc="clips") as bar:
        while batch := list(islice(clips, BATCH)):
            for identities in pool.map(_write_clip, batch, [out] * len(batch), [seed] * len(batch), [voices] * len(batch)):
                done += identities
                bar.update()
    return merge(out, done, rejected)


def _generators(data: Path, out: Path, sources, rejected: list[str]) -> list[Iterator[Clip]]:
    lips = average_head_lips()
    made = dict(
        grid=lambda: grid_clips(data, lips, rejected),
        ravdess=lambda: ravdess_clips(data, lips, rejected),
        ljspeech=lambda: ljspeech_clips(data, lips, out / "alignments", rejected),
        tts=lambda: tts_clips(data, lips, rejected),
    )
    return [made[source]() for source in sources]


def _check_same_recipe(path: Path, seed: int) -> None:
    """Parts made by other code must not be mixed into this corpus."""
    digest = hashlib.sha256(str(seed).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    # The head's own response is part of the targets.
    digest.update(np.round(average_head_lips().per_unit_mm, 6).tobytes())
    if path.exists() and path.read_text() != digest.hexdigest():
        raise SystemExit(f"{path.parent} was made by another version of train/corpus; delete it or change --out.")
    path.write_text(digest.hexdigest())


def babble_voices(data: Path, count: int = 96) -> list[Path]:
    """Recordings that speak in the background of augmented copies: training speakers only, evenly chosen by name."""
    files = [p for p in sorted((data / "ravdess_audio").glob("*.ogg")) if int(p.stem[-2:]) in RAVDESS_TRAIN_ACTORS]
    files += [p for i, p in enumerate(sorted((data / "ljspeech_audio").glob("*.ogg"))) if split_of(i) == "train"]
    return files[:: max(len(files) // count, 1)][:count]


def _write_clip(clip: Clip, out: Path, seed: int, voices: list[Path]) -> list[str]:
    """Store a clip and its copies; returns their identities."""
    copies = COPIES[clip.source] if clip.split == "train" else 0
    identities = [clip.identity] + [f"{clip.identity}.a{i}" for i in range(1, copies + 1)]
    for i, identity in enumerate(identities):
        if not (out / "parts" / f"{identity}.npz").exists():
            write_part(augmented(clip, i, seed=seed, voices=voices) if i else clip, out)
    return identities


if __name__ == "__main__":
    main()
