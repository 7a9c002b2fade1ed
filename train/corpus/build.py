"""Build the corpus: ``python -m train.corpus.build --data ../shared/data --out data/corpus``.

Writes ``clips.json`` (one entry per clip and augmented copy), ``motion.npz`` (all frames one after the other, rows of
clip i are ``offset[i]:offset[i+1]``), ``emotion.npz`` (``target`` (N, 52)), ``audio/ID.wav`` and ``report.json``.
A second call continues where a first one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Iterator

import numpy as np
import soundfile
from tqdm import tqdm

from emoface.files import atomic_path

from .augment import augmented
from .channels import FPS, NAMES
from .clip import TRACKS, Clip
from .grid import grid_clips
from .lips import average_head_lips
from .speech import ljspeech_clips, ravdess_clips
from .tts import tts_clips

COPIES = dict(grid=2, ravdess=1, ljspeech=1, tts=1)
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
        parser.error(f"There is no data folder {options.data}; give it with --data (see train/README.md).")
    build(
        options.data, options.out, sources=options.sources, processes=options.processes, limit=options.limit,
        seed=options.seed,
    )


def build(data: Path, out: Path, *, sources=tuple(COPIES), processes: int = 2, limit: int | None = None, seed: int = 0):
    """Make or continue the corpus in ``out``; returns the report."""
    parts = out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    (out / "audio").mkdir(exist_ok=True)
    _check_same_recipe(parts / "recipe.txt", seed)
    rejected: list[str] = []
    clips = chain.from_iterable(islice(g, limit) for g in _generators(data, out, sources, rejected))
    done: list[str] = []
    with ProcessPoolExecutor(processes) as pool, tqdm(unit="clip", desc="clips") as bar:
        while batch := list(islice(clips, BATCH)):
            for identities in pool.map(_write_clip, batch, [out] * len(batch), [seed] * len(batch)):
                done += identities
                bar.update()
    return _merge(out, done, rejected)


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
        raise SystemExit(f"{path.parent} was made by another version of train/corpus; delete it or choose another --out.")
    path.write_text(digest.hexdigest())


def _write_clip(clip: Clip, out: Path, seed: int) -> list[str]:
    """Store a clip and its copies; returns their identities."""
    copies = COPIES[clip.source] if clip.split == "train" else 0
    identities = [clip.identity] + [f"{clip.identity}.a{i}" for i in range(1, copies + 1)]
    for i, identity in enumerate(identities):
        if not (out / "parts" / f"{identity}.npz").exists():
            _write_part(augmented(clip, i, seed=seed) if i else clip, out)
    return identities


def _write_part(clip: Clip, out: Path) -> None:
    count, missing = len(clip.content), np.full(len(clip.content), np.nan)
    tracks = {name: getattr(clip, name) if getattr(clip, name) is not None else missing for name in TRACKS}
    if any(len(track) != count for track in tracks.values()) or count != int(np.ceil(round(FPS * len(clip.samples) / clip.sample_rate, 6))):
        raise RuntimeError(f"{clip.identity}: tracks, audio and motion differ in length.")
    with atomic_path(out / "audio" / f"{clip.identity}.wav") as path:
        soundfile.write(path, np.clip(clip.samples, -1, 1), clip.sample_rate, subtype="PCM_16")
    entry = dict(
        id=clip.identity, source=clip.source, split=clip.split, speaker=clip.speaker, style=clip.style,
        motion=clip.motion, emotion=clip.emotion, level=clip.level, audio=f"audio/{clip.identity}.wav",
        emotion_audio=clip.identity, frames=count, seconds=round(len(clip.samples) / clip.sample_rate, 4),
        copy_of=clip.copy_of, text=clip.text, speech=[round(x, 4) for x in clip.speech], changes=clip.changes,
    )
    times = dict(
        words=[[round(s, 3), round(e, 3), w] for s, e, w in clip.words],
        phones=[[p.name, round(p.start, 3), round(p.end, 3), p.word] for p in clip.phones],
    )
    with atomic_path(out / "parts" / f"{clip.identity}.npz") as path:
        np.savez(
            path, entry=json.dumps(entry), times=json.dumps(times), target=clip.target.astype(np.float32),
            content=clip.content.astype(np.float16), **{k: v.astype(np.float32) for k, v in tracks.items()},
        )


def _merge(out: Path, identities: list[str], rejected: list[str]) -> dict:
    entries, times, targets, arrays = [], {}, [], {name: [] for name in ("content", *TRACKS)}
    for identity in tqdm(identities, desc="merging", unit="clip"):
        with np.load(out / "parts" / f"{identity}.npz", allow_pickle=False) as part:
            entries.append(json.loads(str(part["entry"])))
            times[identity] = json.loads(str(part["times"]))
            targets.append(part["target"])
            for name, rows in arrays.items():
                rows.append(part[name])
    offset = np.concatenate([[0], np.cumsum([e["frames"] for e in entries])])
    joined = {name: np.concatenate(rows) for name, rows in arrays.items()}
    joined["measured_aperture"] = joined.pop("measured")
    joined["measured_aperture_raw"] = joined.pop("measured_raw")
    with atomic_path(out / "motion.npz") as path:
        np.savez(path, offset=offset, names=np.array(NAMES), **joined)
    with atomic_path(out / "emotion.npz") as path:
        np.savez(path, target=np.stack(targets), names=np.array(NAMES))
    report = _report(entries, rejected)
    for name, content in (("phones.json", times), ("report.json", report), ("clips.json", entries)):
        with atomic_path(out / name) as path:
            path.write_text(json.dumps(content, indent=1 if name == "report.json" else None))
    print(json.dumps(report, indent=1))
    return report


def _report(entries: list[dict], rejected: list[str]) -> dict:
    """Minutes by source and split, and the share of real motion; copies counted apart."""
    rows: dict = {}
    for entry in entries:
        key = f"{entry['source']} ({entry['motion']} motion) {entry['split']}{' copies' if entry['copy_of'] else ''}"
        row = rows.setdefault(key, dict(clips=0, minutes=0.0))
        row["clips"] += 1
        row["minutes"] += entry["seconds"] / 60
    train = [e for e in entries if e["split"] == "train"]
    real = sum(e["seconds"] for e in train if e["motion"] == "real") / max(sum(e["seconds"] for e in train), 1e-9)
    originals = [e for e in train if not e["copy_of"]]
    real_originals = sum(e["seconds"] for e in originals if e["motion"] == "real") / max(sum(e["seconds"] for e in originals), 1e-9)
    return dict(
        sources={k: dict(clips=r["clips"], minutes=round(r["minutes"], 2)) for k, r in sorted(rows.items())},
        real_share_of_training=round(real, 4), real_share_without_copies=round(real_originals, 4), rejected=rejected,
    )


if __name__ == "__main__":
    main()
