"""Does a long recording end as well as it begins?"""

from __future__ import annotations

import numpy as np

from emoface import metrics
from emoface.metrics import Estimate
from train.corpus.channels import FPS

from .clips import EvalClip
from .measures import Row
from .reading import Observer

BLOCK = 3  # frames: a whole number of samples at 16 kHz (0.1 s), so that joined clips stay in step


def long_clip(clips: list[EvalClip], *, seconds: float = 120.0) -> tuple[EvalClip, int]:
    """Clips joined to about ``seconds``; the last quarter repeats the recordings of the first.

    Returns the clip, with its measured aperture and closures, and the number of frames of that quarter.
    """
    blocks = [_whole_blocks(clip) for clip in clips]
    quarter = _until(blocks, seconds / 4)
    middle = _until(blocks[len(quarter) :] + blocks, seconds / 2)
    parts = quarter + middle + quarter
    closures, start = [], 0.0
    for part in parts:
        closures.append(part.closures + start)
        start += part.seconds
    joined = EvalClip(
        identity="joined",
        data=clips[0].data,
        motion=clips[0].motion,
        samples=np.concatenate([part.samples for part in parts]),
        rate=clips[0].rate,
        measured_mm=np.concatenate([part.measured_mm for part in parts]),
        closures=np.concatenate(closures),
    )
    return joined, sum(len(part.measured_mm) for part in quarter)


def _until(clips: list[EvalClip], seconds: float) -> list[EvalClip]:
    """The first clips (again and again if there are few) that together last at most ``seconds``, but at least one."""
    chosen, total = [clips[0]], clips[0].seconds
    while total + (clip := clips[len(chosen) % len(clips)]).seconds <= seconds:
        chosen.append(clip)
        total += clip.seconds
    return chosen


def _whole_blocks(clip: EvalClip) -> EvalClip:
    frames = int(clip.seconds * FPS) // BLOCK * BLOCK
    end = frames / FPS
    return EvalClip(
        clip.identity,
        clip.data,
        clip.motion,
        clip.samples[: round(end * clip.rate)],
        clip.rate,
        measured_mm=clip.measured_mm[:frames],
        closures=clip.closures[clip.closures[:, 1] < end],
    )


def drift_rows(observer: Observer, clips: list[EvalClip], *, seconds: float = 120.0) -> tuple[list[Row], dict]:
    """Measures of the first and of the last quarter, and for each how much the last differs from the first (share)."""
    clip, quarter = long_clip(clips, seconds=seconds)
    animation = observer.pipeline((clip.samples, clip.rate), emotion="speech", level="normal")
    skin = animation.skin_count
    offsets = animation.vertices[:, :skin] - animation.template[:skin]
    frames = len(clip.measured_mm)
    silent = metrics.silent_frames(clip.samples, clip.rate, frames)
    aperture = observer.face.aperture_mm(offsets)[:frames]
    rows, change, values = [], {}, {}
    for who, part in (("first", slice(0, quarter)), ("last", slice(frames - quarter, frames))):
        start, end = part.start / FPS, part.stop / FPS
        inside = clip.closures[(clip.closures[:, 0] >= start) & (clip.closures[:, 1] < end)]
        values[who] = {
            "aperture r": metrics.pearson(aperture[part], clip.measured_mm[part]),
            "closures caught": _mean(metrics.closures_caught(aperture, inside)),
            "closed in silence": metrics.closed_share(aperture[part], silent[part]),
            "jitter (acceleration)": metrics.jitter_mm(offsets[part], observer.face.lips)[0],
        }
        for name, value in values[who].items():
            nan = float("nan")
            rows.append(Row("drift", name, clip.motion, who, Estimate(value, nan, nan, 1, quarter / FPS), "seconds"))
    for name, first in values["first"].items():
        change[name] = (values["last"][name] - first) / first if first else float("nan")
    return rows, change


def _mean(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
