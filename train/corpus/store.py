"""Writing a corpus: one file per clip while it is made, a few large ones at the end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from emoface.clock import frame_count
from emoface.files import atomic_path

from .channels import NAMES
from .clip import TRACKS, Clip


def write_part(clip: Clip, out: Path) -> None:
    """Store one clip: its sound, and everything else in ``parts/ID.npz``, written last."""
    count, missing = len(clip.content), np.full(len(clip.content), np.nan)
    tracks = {name: getattr(clip, name) if getattr(clip, name) is not None else missing for name in TRACKS}
    expected = frame_count(len(clip.samples), 30, sample_rate=clip.sample_rate)
    if count != expected or any(len(track) != count for track in tracks.values()):
        raise RuntimeError(f"{clip.identity}: tracks, audio and motion differ in length.")
    with atomic_path(out / "audio" / f"{clip.identity}.wav") as path:
        soundfile.write(path, np.clip(clip.samples, -1, 1), clip.sample_rate, subtype="PCM_16")
    entry = dict(
        id=clip.identity,
        source=clip.source,
        split=clip.split,
        speaker=clip.speaker,
        style=clip.style,
        motion=clip.motion,
        emotion=clip.emotion,
        level=clip.level,
        audio=f"audio/{clip.identity}.wav",
        emotion_audio=clip.identity,
        frames=count,
        seconds=round(len(clip.samples) / clip.sample_rate, 4),
        copy_of=clip.copy_of,
        text=clip.text,
        speech=[round(x, 4) for x in clip.speech],
        changes=clip.changes,
    )
    times = dict(
        words=[[round(s, 3), round(e, 3), w] for s, e, w in clip.words],
        phones=[[p.name, round(p.start, 3), round(p.end, 3), p.word] for p in clip.phones],
    )
    with atomic_path(out / "parts" / f"{clip.identity}.npz") as path:
        np.savez(
            path,
            entry=json.dumps(entry),
            times=json.dumps(times),
            target=clip.target.astype(np.float32),
            content=clip.content.astype(np.float16),
            **{k: v.astype(np.float32) for k, v in tracks.items()},
        )


def merge(out: Path, identities: list[str], rejected: list[str]) -> dict:
    """Join the parts to the files that ``reader.Corpus`` reads; prints and returns the report."""
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
    joined["measured_width"] = joined.pop("width")
    joined["measured_width_raw"] = joined.pop("width_raw")
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
    originals = [e for e in train if not e["copy_of"]]
    return dict(
        sources={k: dict(clips=r["clips"], minutes=round(r["minutes"], 2)) for k, r in sorted(rows.items())},
        real_share_of_training=_real_share(train),
        real_share_without_copies=_real_share(originals),
        rejected=rejected,
    )


def _real_share(entries: list[dict]) -> float:
    total = sum(e["seconds"] for e in entries)
    return round(sum(e["seconds"] for e in entries if e["motion"] == "real") / total, 4) if total else 0.0
