"""Lips: aperture, vertex errors, closures, silence, jitter; beside the speaker's own and beside simpler answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from emoface import metrics
from emoface.metrics import Estimate, bootstrap
from train.corpus.channels import FPS

from .clips import EvalClip
from .measures import Row
from .reading import Reading

Readings = list[tuple[EvalClip, Reading]]

NOISE_SECONDS, NOISE_RMS = 2.0, 1e-3
MARGIN_S = 0.3


def aperture_rows(who: str, readings: Readings) -> list[Row]:
    """Correlation, error and amplitude of the lip aperture against the measured (or modelled) one."""
    true = [true_aperture(clip) for clip, _ in readings]
    pairs = [(reading.aperture_mm, aperture) for (_, reading), aperture in zip(readings, true)]
    by_measure = {
        "aperture_r": metrics.pearson,
        "aperture_r_shifted": shifted_pearson,
        "aperture_mae": metrics.mean_absolute_error,
        "aperture_ratio": metrics.amplitude_ratio,
    }
    return [row(key, readings, who, bootstrap([measure(*pair) for pair in pairs])) for key, measure in by_measure.items()]


def shifted_pearson(predicted: np.ndarray, true: np.ndarray, *, most: int = 2) -> float:
    """Highest correlation of two (T,) tracks over shifts of up to ``most`` frames, on the frames that every shift has."""
    count = min(len(predicted), len(true))
    inside = true[most : count - most]
    return max(metrics.pearson(predicted[most + k : count - most + k], inside) for k in range(-most, most + 1))


def true_aperture(clip: EvalClip) -> np.ndarray:
    """(T,) measured in the video where there is one, else that of the target mesh."""
    return clip.measured_mm if clip.measured_mm is not None else clip.target_aperture_mm


def error_rows(who: str, readings: Readings, *, emotional: bool) -> list[Row]:
    """LVE, FDD, MVE, LVD, and EVE where the clips are ``emotional``."""
    clip = readings[0][0]
    errors, frames = [reading.errors for _, reading in readings], [len(clip.weights) for clip, _ in readings]
    return vertex_rows(clip.data, clip.motion, who, errors, frames, emotional=emotional)


def vertex_rows(data: str, motion: str, who: str, errors: list[dict[str, float]], frames: list[int], *, emotional: bool) -> list[Row]:
    """Rows of the clips' ``errors`` (as of ``Face.errors``); ``frames`` weigh what is pooled over frames."""

    def values(key: str) -> np.ndarray:
        return np.array([error[key] for error in errors])

    def add(key: str, estimate: Estimate, counted: str) -> None:
        rows.append(Row(key, data, motion, who, estimate, counted))

    rows: list[Row] = []
    for key in ("lve", "eve") if emotional else ("lve",):
        squared = bootstrap(values(key), frames)
        add(key, squared.scaled(1e5), "frames")
        add(f"{key}_mm", _root_mm(squared), "frames")
    add("fdd", bootstrap(values("fdd")).scaled(1e5), "clips")
    add("fdd_absolute", bootstrap(np.abs(values("fdd"))).scaled(1e5), "clips")
    for key in ("mve", "lvd"):
        add(key, bootstrap(values(key), frames).scaled(1e3), "frames")
    return rows


def reduction_row(who: str, readings: Readings, static: Readings) -> Row:
    """How far the LVE, as a length, lies below that of the static template, in %; interval over clips."""
    frames = np.array([len(clip.weights) for clip, _ in readings], float)
    squared = np.array([[reading.errors["lve"] * n for (_, reading), n in zip(of, frames)] for of in (readings, static)])

    def reduction(chosen) -> np.ndarray:
        model, still = np.sqrt(squared[:, chosen].sum(axis=-1))
        return 100 * (1 - model / still)

    everything = np.arange(len(frames))
    draws = np.random.default_rng(0).integers(0, len(frames), (2000, len(frames)))
    low, high = np.quantile(reduction(draws), [0.025, 0.975]) if len(frames) > 1 else (np.nan, np.nan)
    estimate = Estimate(float(reduction(everything)), float(low), float(high), len(frames), float(frames.sum()))
    return row("lve_reduction", readings, who, estimate, "frames")


def measured(readings: Readings) -> Readings:
    """The same clips with the aperture that the video shows, for closures and silence of the real speaker."""
    return [(clip, Reading(clip.measured_mm, np.zeros(0), (0.0, 0.0))) for clip, _ in readings]


def closure_rows(who: str, readings: Readings) -> list[Row]:
    """Share of P, B, M that close, and of vowels that close wrongly."""
    caught = [metrics.closures_caught(reading.aperture_mm, clip.closures) for clip, reading in readings]
    false = [metrics.closures_false(reading.aperture_mm, clip.vowels) for clip, reading in readings]
    return [
        row("closures_caught", readings, who, share(caught), "closures"),
        row("closures_false", readings, who, share(false), "vowels"),
    ]


def open_vowels(readings: Readings) -> Readings:
    """The same with only the vowels in which the video shows an open mouth (not 1 mm or less for two frames).

    In the others the speaker's lips were shut, or the aligned vowel reaches into a closure: closing there is not false.
    """
    kept = []
    for clip, reading in readings:
        fair = [vowel for vowel in clip.vowels if not metrics.closures_false(clip.measured_mm, [vowel], threshold_mm=1).any()]
        kept.append((replace(clip, vowels=np.array(fair).reshape(-1, 2)), reading))
    return kept


def silence_row(who: str, readings: Readings) -> Row:
    """Share of the silent frames in which the mouth is closed."""
    closed = [
        reading.aperture_mm[metrics.silent_frames(clip.samples, clip.rate, len(reading.aperture_mm), margin=MARGIN_S)] <= 1
        for clip, reading in readings
    ]
    return row("silence_closed", readings, who, share(closed), "frames")


def noise_row(who: str, clips: Iterable[EvalClip], animate: Callable[[EvalClip], Reading]) -> Row:
    """The same in 2 s of faint noise before and after each clip."""
    rng = np.random.default_rng(0)
    readings, closed = [], []
    count = int((NOISE_SECONDS - MARGIN_S) * FPS)
    for clip in clips:
        reading = animate(with_noise(clip, rng))
        tail = len(reading.aperture_mm) - count
        readings.append((clip, reading))
        closed.append(np.concatenate([reading.aperture_mm[:count], reading.aperture_mm[tail:]]) <= 1)
    return row("noise_closed", readings, who, share(closed), "frames")


def with_noise(clip: EvalClip, rng: np.random.Generator) -> EvalClip:
    """The clip between two stretches of faint white noise; the noise runs through, so that there is no seam."""
    count = int(NOISE_SECONDS * clip.rate)
    samples = np.pad(clip.samples, count) + rng.standard_normal(len(clip.samples) + 2 * count) * NOISE_RMS
    return EvalClip(
        clip.identity,
        clip.data,
        clip.motion,
        samples.astype(np.float32),
        clip.rate,
        emotion=clip.emotion,
        level=clip.level,
    )


def jitter_rows(who: str, readings: Readings) -> list[Row]:
    values = np.array([reading.jitter_mm for _, reading in readings])
    keys = ("jitter_acceleration", "jitter_jerk")
    return [row(key, readings, who, bootstrap(values[:, i])) for i, key in enumerate(keys)]


def share(events: list[np.ndarray]) -> Estimate:
    """Share in % of true events, pooled over all events; interval over clips."""
    return pooled(events).scaled(100)


def pooled(values: list[np.ndarray]) -> Estimate:
    """Mean over the values of all clips; interval over clips."""
    means = [of.mean() if len(of) else np.nan for of in values]
    return bootstrap(means, [len(of) for of in values])


def row(measure: str, readings: Readings, who: str, estimate: Estimate, counted: str = "clips") -> Row:
    clip = readings[0][0]
    return Row(measure, clip.data, clip.motion, who, estimate, counted)


def _root_mm(squared: Estimate) -> Estimate:
    value, low, high = (metrics.root_mm(x) for x in (squared.value, squared.low, squared.high))
    return Estimate(value, low, high, squared.n, squared.total)
