"""From clips to numbers: means in which every speaker counts alike, and intervals over speakers."""

from __future__ import annotations

import numpy as np

from emoface.metrics import Estimate, pearson

from ..baselines import METHODS
from .measures import MEASURES


def by_speaker(runs: list[dict], data: str, key: str) -> dict[str, float]:
    """Mean over seeds and a speaker's clips; squared errors weigh frames alike, and so do not those that are nan."""
    speakers: dict[str, list[list[dict]]] = {}
    for run in runs:
        rows: dict[str, list[dict]] = {}
        for row in run["clips"][data]:
            rows.setdefault(row["speaker"], []).append(row)
        for speaker, of in rows.items():
            speakers.setdefault(speaker, []).append(of)
    values = {speaker: [_value(rows, key) for rows in seeds] for speaker, seeds in speakers.items()}
    return {speaker: float(np.nanmean(of)) for speaker, of in values.items() if not np.isnan(of).all()}


def _value(rows: list[dict], key: str) -> float:
    if key == "slcc":
        return pearson(np.array([row["lips_mm"] for row in rows]), np.array([row["loudness_db"] for row in rows]))
    known = [row for row in rows if row.get(key) is not None]
    if not known:
        return float("nan")
    weights = [row["frames"] for row in known] if key in ("lve", "eve") else None
    return float(np.average([row[key] for row in known], weights=weights))


def over_speakers(values: dict[str, float], *, samples: int = 2000) -> Estimate:
    """Mean in which every speaker counts alike, and its 95 % interval: speakers are redrawn with replacement (seeded). One speaker: none."""
    of = np.array(list(values.values()))
    if not len(of):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0.0)
    low = high = float("nan")
    if len(of) > 1:
        draws = np.random.default_rng(0).integers(0, len(of), (samples, len(of)))
        low, high = np.quantile(of[draws].mean(1), [0.025, 0.975])
    return Estimate(float(of.mean()), float(low), float(high), len(of), float(len(of)))


def verdicts(runs: dict[str, list[dict]], against: str = "emoface") -> dict[str, dict[str, str]]:
    """For every other method and measure of an error or an r: whether ours is ``better``, ``worse``, or the interval of the difference holds 0."""
    found: dict[str, dict[str, str]] = {}
    for name in METHODS:
        if name == against or name not in runs or against not in runs:
            continue
        for key, more in (("lve", False), ("eve", False), ("aperture_r", True), ("width_r", True)):
            for data in [data for data in MEASURES[key].sets if data in runs[name][0]["clips"]]:
                ours, theirs = by_speaker(runs[against], data, key), by_speaker(runs[name], data, key)
                gap = over_speakers({speaker: ours[speaker] - theirs[speaker] for speaker in ours if speaker in theirs})
                word = "open" if np.isnan(gap.low) or gap.low <= 0 <= gap.high else "better" if (gap.value > 0) == more else "worse"
                found.setdefault(name, {})[f"{data} {key}"] = word
    return found
