"""How good is a talking face? One definition of every measure, in numpy only, usable with any model's output.

>>> from emoface.metrics import lve
>>> lve(prediction, truth, lips)          # (T, V, 3) or (T, V*3) arrays in metres, or lists of them (one per clip)

The definitions follow the code of CodeTalker (`main/cal_metric.py`), the one most papers use. Conventions shared by
all functions, so that a number can be compared with somebody else's:

* **Units**: vertices in metres (as VOCASET and FLAME). Squared measures are m2: print them with :func:`times_1e5` and,
  as something a person can picture, with :func:`root_mm`. Apertures and jitter are millimetres and say so in the name.
* **Mask**: the vertices looked at, as indices (duplicates allowed; they change no maximum, and are removed before a
  mean) or as a boolean array over the vertices. LVE is a maximum, so a larger mask gives a larger number: never
  compare numbers of different masks. FLAME: ``lips`` has 250 unique vertices, ``eye_region`` and ``forehead`` 827.
* **Truncation**: if two motions of a clip differ in length, both are cut to the shorter one (CodeTalker's rule).
* **Pooling**: stated in each function. *Over frames*: every frame weighs the same, so long clips weigh more;
  *over clips*: every clip weighs the same.
* **Frame rate**: both motions must be at the same one; nothing is resampled.

On the command line, for ``.npy`` files or folders of any model (see ``--help``):
``python -m emoface.metrics PREDICTIONS TRUTHS --mask FLAME_masks.pkl --templates templates.pkl``
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import EmoFaceError

Clips = np.ndarray | Sequence[np.ndarray]

FLAME_LIP_MIDDLE = (3546, 3504)
"""Vertices of FLAME in the middle of the upper and of the lower lip."""

ACTION_UNITS: dict[int, tuple[str, ...]] = {
    1: ("browInnerUp",),
    2: ("browOuterUpLeft", "browOuterUpRight"),
    4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"),
    6: ("cheekSquintLeft", "cheekSquintRight"),
    7: ("eyeSquintLeft", "eyeSquintRight"),
    9: ("noseSneerLeft", "noseSneerRight"),
    10: ("mouthUpperUpLeft", "mouthUpperUpRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"),
    14: ("mouthDimpleLeft", "mouthDimpleRight"),
    15: ("mouthFrownLeft", "mouthFrownRight"),
    17: ("mouthShrugLower",),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    23: ("mouthPressLeft", "mouthPressRight"),
}
"""The 14 facial action units (FACS) that the 52 ARKit shapes can show, and the shapes that show each."""


# ---------------------------------------------------------------------------------------------------- vertex errors


def lve(prediction: Clips, truth: Clips, lips: np.ndarray) -> float:
    """Lip vertex error, **squared**, m2: ``mean_t max_{i in lips} |p[t,i] - v[t,i]|^2`` over all frames of all clips.

    CodeTalker's formula (FaceFormer's text describes the same). An unmoving face scores close to trained models, so
    print the value of the static template beside it. ARTalk prints the root of this in mm; see :func:`root_mm`.
    """
    return _pooled(frame_maximum(prediction, truth, lips))


def eve(prediction: Clips, truth: Clips, eyes: np.ndarray) -> float:
    """Emotional (upper-face) vertex error, **squared**, m2: :func:`lve` over the vertices of eyes and forehead.

    No public code exists; EmoTalk's author (issue 19 there) names CodeTalker's formula over "the vertices of eye and
    forehead": ``eye_region`` and ``forehead`` of FLAME's masks. On data without emotion it measures blinks.
    """
    return _pooled(frame_maximum(prediction, truth, eyes))


def lvd(prediction: Clips, truth: Clips, lips: np.ndarray) -> float:
    """Lip vertex distance, **not squared**, m: ``mean_t max_{i in lips} |p[t,i] - v[t,i]|`` over frames (UniTalker)."""
    return _pooled([np.sqrt(maximum) for maximum in frame_maximum(prediction, truth, lips)])


def mve(prediction: Clips, truth: Clips, mask: np.ndarray | None = None) -> float:
    """Mean vertex error, **not squared**, m: ``mean_{t,i} |p[t,i] - v[t,i]|`` over all frames of all clips and the
    vertices of ``mask`` (None: all of them), as in FaceDiffuser and ScanTalk."""
    return _pooled(frame_mean(prediction, truth, mask))


def fdd(prediction: Clips, truth: Clips, template: Clips, mask: np.ndarray, *, absolute: bool = False) -> float:
    """Upper-face dynamics deviation, m2: ``mean_{i in mask} ( std_t |v[t,i]-n[i]|^2 - std_t |p[t,i]-n[i]|^2 )``.

    A mean over clips. The standard deviation (of *squared* distances from the template ``n``, over the frames of a
    clip, divisor T) of the truth minus that of the prediction: **signed**, positive when the prediction moves too
    little. Signs cancel between clips; ``absolute=True`` takes ``|.|`` of each clip first ("ABS FDD" in FaceDiffuser).

    ``template``: (V, 3), or one per clip. A static prediction scores the truth's own deviation, not zero.
    """
    return float(np.mean(clip_fdd(prediction, truth, template, mask, absolute=absolute)))


def frame_maximum(prediction: Clips, truth: Clips, mask: np.ndarray) -> list[np.ndarray]:
    """For each clip (T,): the largest squared error over the vertices of ``mask`` in each frame, m2."""
    return [error.max(axis=1) for error in _squared_errors(prediction, truth, mask)]


def frame_mean(prediction: Clips, truth: Clips, mask: np.ndarray | None = None) -> list[np.ndarray]:
    """For each clip (T,): the mean distance (not squared) over the vertices of ``mask`` in each frame, m."""
    return [np.sqrt(error).mean(axis=1) for error in _squared_errors(prediction, truth, mask)]


def clip_fdd(prediction: Clips, truth: Clips, template: Clips, mask: np.ndarray, *, absolute: bool = False) -> np.ndarray:
    """(clips,) the :func:`fdd` of each clip, m2."""
    pairs = list(_pairs(prediction, truth))
    templates = [np.asarray(item, float).reshape(-1, 3) for item in _as_list(template, one_dimension=2)]
    if len(templates) == 1:
        templates = templates * len(pairs)
    if len(templates) != len(pairs):
        raise EmoFaceError(f"There are {len(templates)} templates for {len(pairs)} clips; give one, or one per clip.")
    values = []
    for (p, v), n in zip(pairs, templates):
        vertices = _indices(mask, v.shape[1])
        spread = [_squared_norm(motion[:, vertices] - n[vertices]).std(axis=0).mean() for motion in (v, p)]
        values.append(spread[0] - spread[1])
    return np.abs(values) if absolute else np.array(values)


def times_1e5(square_metres: float) -> float:
    """m2 in the unit of the papers' tables, 1e-5 m2."""
    return square_metres * 1e5


def root_mm(square_metres: float) -> float:
    """The length in mm whose square is ``square_metres``: the root mean square over frames of the worst vertex."""
    return float(np.sqrt(square_metres)) * 1e3


# ------------------------------------------------------------------------------------------------------------- lips


def lip_distance(vertices: np.ndarray, pair: tuple[int, int] = FLAME_LIP_MIDDLE) -> np.ndarray:
    """(T,) Euclidean distance in metres of an upper and a lower lip vertex (default: the middle of FLAME's lips)."""
    motion = as_motion(vertices)
    return np.sqrt(_squared_norm(motion[:, pair[0]] - motion[:, pair[1]]))


def lip_aperture_mm(vertices: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(T,) mean vertical gap (y up) of the ``(P, 2)`` upper/lower vertex pairs, mm; negative where the lips overlap."""
    motion, pairs = as_motion(vertices), np.asarray(pairs)
    return (motion[:, pairs[:, 0], 1] - motion[:, pairs[:, 1], 1]).mean(axis=1) * 1e3


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of a prediction ``a`` with the truth ``b``, both (T,), cut to the shorter.

    A prediction that does not move explains nothing: 0. A truth that does not move cannot be followed: nan (such a clip
    is left out of a mean, see :func:`bootstrap`). "Does not move" is a standard deviation below 1e-9.
    """
    a, b = _cut(np.asarray(a, float), np.asarray(b, float))
    if b.std() < 1e-9:
        return float("nan")
    if a.std() < 1e-9:
        return 0.0
    return float(np.mean((a - a.mean()) * (b - b.mean())) / (a.std() * b.std()))


def mean_absolute_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of ``|a - b|`` over the frames of a clip, in the unit of the inputs; both (T,), cut to the shorter."""
    a, b = _cut(np.asarray(a, float), np.asarray(b, float))
    return float(np.abs(a - b).mean())


def amplitude_ratio(prediction: np.ndarray, truth: np.ndarray) -> float:
    """95th percentile of the predicted aperture over that of the true one, of a clip: 1 is right, below 1 is mumbling.

    nan where the truth's percentile is not positive (the mouth never opened), which has no amplitude to reach.
    """
    prediction, truth = _cut(np.asarray(prediction, float), np.asarray(truth, float))
    reference = np.percentile(truth, 95)
    return float(np.percentile(prediction, 95) / reference) if reference > 0 else float("nan")


def closures_caught(aperture_mm: np.ndarray, intervals: np.ndarray, *, fps: float = 30.0, threshold_mm: float = 1.0) -> np.ndarray:
    """(N,) bool: does the mouth close for each P, B or M? ``intervals`` (N, 2) in seconds.

    Caught: the aperture is at most ``threshold_mm`` in some frame (frame t shows time t/fps) of the interval widened by
    one frame on either side. An interval that lies outside the clip is an error, not a miss.
    """
    return np.array([bool((frames <= threshold_mm).any()) for frames in _slices(aperture_mm, intervals, fps, widen=1 / fps)], bool)


def closures_false(
    aperture_mm: np.ndarray,
    vowels: np.ndarray,
    *,
    fps: float = 30.0,
    threshold_mm: float = 0.3,
    frames: int = 2,
) -> np.ndarray:
    """(M,) bool: is the mouth shut inside a vowel? ``vowels`` (N, 2) in seconds.

    False closure: the aperture is at most ``threshold_mm`` in ``frames`` or more *successive* frames inside the vowel.
    A vowel that holds fewer frames cannot fail, so it is not counted: M <= N.
    """
    inside = [part for part in _slices(aperture_mm, vowels, fps, widen=0.0) if len(part) >= frames]
    return np.array([_longest_run(part <= threshold_mm) >= frames for part in inside], bool)


def jitter_mm(vertices: np.ndarray, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Mean length of the acceleration (mm/frame2) and of the jerk (mm/frame3) over frames and the vertices of ``mask``.

    Second and third differences of successive frames, so the values hold for one frame rate only. A clip of fewer than
    three (four) frames has no acceleration (jerk): nan.
    """
    motion = as_motion(vertices)
    motion = motion[:, _indices(mask, motion.shape[1])] * 1e3
    acceleration, jerk = (np.sqrt(_squared_norm(np.diff(motion, order, axis=0))) for order in (2, 3))
    return _mean_or_nan(acceleration), _mean_or_nan(jerk)


# ---------------------------------------------------------------------------------------------------------- silence


def voice_activity(samples: np.ndarray, sample_rate: int, *, hop: float = 0.01, window: float = 0.025) -> np.ndarray:
    """(n, 2) start and end in seconds of the voiced stretches of mono ``samples``, by energy.

    A window is voice if its level is above both the noise floor (10th percentile) + 12 dB and the peak - 26 dB. Gaps
    under 250 ms are closed, then stretches with under 6 % of the strongest one's energy (breaths, clicks) are dropped.
    Digital silence has no voice: (0, 2).
    """
    samples = np.asarray(samples, float)
    size, step = max(1, round(window * sample_rate)), max(1, round(hop * sample_rate))
    if len(samples) < size or not samples.any():
        return np.zeros((0, 2))
    total = np.concatenate([[0.0], np.cumsum(samples**2)])
    starts = np.arange(0, len(samples) - size + 1, step)
    energy = (total[starts + size] - total[starts]) / size
    level = 10 * np.log10(np.maximum(energy, 1e-10))
    voiced = level > max(np.percentile(level, 10) + 12, level.max() - 26)
    centre = (starts + size / 2) / sample_rate
    runs = [[centre[first] - hop / 2, centre[last] + hop / 2, first, last] for first, last in _runs(voiced)]
    merged: list[list[float]] = []
    for run in runs:
        if merged and run[0] - merged[-1][1] < 0.25:
            merged[-1][1], merged[-1][3] = run[1], run[3]
        else:
            merged.append(run)
    strength = [energy[int(first) : int(last) + 1].sum() for _, _, first, last in merged]
    kept = [run[:2] for run, power in zip(merged, strength) if power >= 0.06 * max(strength)]
    return np.array(kept, float).reshape(-1, 2)


def silent_frames(samples: np.ndarray, sample_rate: int, frame_count: int, *, fps: float = 30.0, margin: float = 0.3) -> np.ndarray:
    """(T,) bool: frames whose time t/fps is ``margin`` seconds or more away from any voice (:func:`voice_activity`)."""
    time = np.arange(frame_count) / fps
    silent = np.ones(frame_count, bool)
    for start, end in voice_activity(samples, sample_rate):
        silent &= (time <= start - margin) | (time >= end + margin)
    return silent


def closed_share(aperture_mm: np.ndarray, silent: np.ndarray, *, threshold_mm: float = 1.0) -> float:
    """Share of the silent frames in which the aperture is at most ``threshold_mm``; nan if there are none."""
    aperture_mm, silent = _cut(np.asarray(aperture_mm, float), np.asarray(silent, bool))
    return float((aperture_mm[silent] <= threshold_mm).mean()) if silent.any() else float("nan")


# ------------------------------------------------------------------------------------------------------- expression


def action_units(weights: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """ARKit weights ``(..., 52)`` to the 14 units of :data:`ACTION_UNITS` ``(..., 14)``: mean of a unit's shapes."""
    weights, names = np.asarray(weights, float), list(names)
    missing = sorted({shape for shapes in ACTION_UNITS.values() for shape in shapes} - set(names))
    if missing:
        raise EmoFaceError(f"These ARKit shapes are missing from the names: {', '.join(missing)}.")
    columns = [[names.index(shape) for shape in shapes] for shapes in ACTION_UNITS.values()]
    return np.stack([weights[..., column].mean(axis=-1) for column in columns], axis=-1)


def expression_r(read: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """(14,) correlation over clips, for each action unit, of what the face shows with what was measured.

    Both (clips, 14): clip means, ``read`` from the mesh (:func:`action_units`), ``measured`` from video. The number to
    quote is the mean over units. A unit that is never shown, or never measured, has r = 0: nothing was followed.
    """
    read, measured = (np.asarray(x, float) - np.mean(x, axis=0) for x in (read, measured))
    spread = np.sqrt((read**2).mean(axis=0) * (measured**2).mean(axis=0))
    return (read * measured).mean(axis=0) * (spread > 1e-9) / np.maximum(spread, 1e-9)


def class_centroids(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the ``features`` (N, D) of each class: (classes in sorted order (C,), centroids (C, D))."""
    features, labels = np.asarray(features, float), np.asarray(labels)
    classes = np.unique(labels)
    return classes, np.stack([features[labels == name].mean(axis=0) for name in classes])


def nearest_centroid(features: np.ndarray, classes: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(N,) class of the nearest centroid (Euclidean) of each row of ``features`` (N, D)."""
    distance = _squared_norm(np.asarray(features, float)[:, None] - np.asarray(centroids, float)[None])
    return np.asarray(classes)[distance.argmin(axis=1)]


def stretch(series: np.ndarray, length: int) -> np.ndarray:
    """``series`` (T, ...) resampled linearly to ``length`` frames, first on first and last on last."""
    series = np.asarray(series, float)
    position = np.linspace(0, len(series) - 1, length)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(series) - 1)
    part = (position - low).reshape(-1, *[1] * (series.ndim - 1))
    return series[low] * (1 - part) + series[high] * part


# ------------------------------------------------------------------------------------------------------ uncertainty


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval over clips. ``n`` clips counted, ``total`` their summed weight (frames, events)."""

    value: float
    low: float
    high: float
    n: int
    total: float

    def scaled(self, factor: float) -> Estimate:
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.n, self.total)


def bootstrap(values: np.ndarray, weights: np.ndarray | None = None, *, level: float = 0.95, samples: int = 2000, seed: int = 0) -> Estimate:
    """Weighted mean of one value per clip with its percentile bootstrap interval over clips (seeded, so repeatable).

    ``weights``: frames or events of each clip, for measures pooled over frames or events (the clips are redrawn, since
    frames of one clip are not independent); None weighs clips alike. Clips whose value is nan or whose weight is 0 are
    left out. No clip: nan. One clip: no interval (nan).
    """
    values = np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    kept = ~np.isnan(values) & (weights > 0)
    values, weights = values[kept], weights[kept]
    n, total = len(values), float(weights.sum())
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0.0)
    value = float((values * weights).sum() / total)
    if n == 1:
        return Estimate(value, float("nan"), float("nan"), 1, total)
    draws = np.random.default_rng(seed).integers(0, n, (samples, n))
    means = (values[draws] * weights[draws]).sum(axis=1) / weights[draws].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), n, total)


# ---------------------------------------------------------------------------------------------------------- helpers


def as_motion(vertices: np.ndarray) -> np.ndarray:
    """(T, V, 3) from (T, V, 3) or the flat (T, V*3) that FaceFormer and its heirs write."""
    vertices = np.asarray(vertices)
    if vertices.ndim == 2 and vertices.shape[1] % 3 == 0:
        vertices = vertices.reshape(len(vertices), -1, 3)
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise EmoFaceError(f"Vertices must be (frames, vertices, 3) or (frames, vertices*3), not {vertices.shape}.")
    if len(vertices) == 0:
        raise EmoFaceError("The motion has no frames.")
    return vertices


def _mean_or_nan(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _as_list(clips: Clips, *, one_dimension: int = 0) -> list[np.ndarray]:
    """A single array becomes a list of one clip; more dimensions than ``one_dimension`` mean one item per clip."""
    if isinstance(clips, np.ndarray):
        return list(clips) if one_dimension and clips.ndim > one_dimension else [clips]
    return list(clips)


def _pairs(prediction: Clips, truth: Clips):
    """Predicted and true motion of each clip, checked and cut to the shorter."""
    predictions, truths = _as_list(prediction), _as_list(truth)
    if len(predictions) != len(truths) or not truths:
        raise EmoFaceError(f"There are {len(predictions)} predicted and {len(truths)} true clips; they must match.")
    for p, v in zip(predictions, truths):
        p, v = as_motion(p), as_motion(v)
        if p.shape[1] != v.shape[1]:
            raise EmoFaceError(f"The prediction has {p.shape[1]} vertices, the truth {v.shape[1]}: not the same mesh.")
        yield _cut(p, v)


def _squared_errors(prediction: Clips, truth: Clips, mask: np.ndarray | None):
    """(T, masked vertices) squared distances of each clip, m2, in float64."""
    for p, v in _pairs(prediction, truth):
        vertices = _indices(mask, v.shape[1])
        yield _squared_norm(p[:, vertices].astype(float) - v[:, vertices])


def _indices(mask: np.ndarray | None, vertex_count: int) -> np.ndarray:
    """Unique vertex indices from indices, booleans or None (all)."""
    if mask is None:
        return np.arange(vertex_count)
    mask = np.asarray(mask)
    if mask.dtype == bool:
        if mask.shape != (vertex_count,):
            raise EmoFaceError(f"The mask is for {mask.size} vertices, the mesh has {vertex_count}.")
        mask = np.flatnonzero(mask)
    mask = np.unique(mask.astype(int))
    if not len(mask):
        raise EmoFaceError("The mask is empty.")
    if mask[0] < 0 or mask[-1] >= vertex_count:
        raise EmoFaceError(f"The mask names vertex {mask[-1]}, the mesh has {vertex_count} vertices.")
    return mask


def _squared_norm(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", vectors, vectors)


def _pooled(clips: list[np.ndarray]) -> float:
    return float(np.concatenate(clips).mean())


def _cut(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = min(len(a), len(b))
    return a[:length], b[:length]


def _slices(series: np.ndarray, intervals: np.ndarray, fps: float, *, widen: float):
    """The values of ``series`` at frames t with ``start - widen <= t / fps <= end + widen``."""
    series = np.asarray(series, float)
    for start, end in np.asarray(intervals, float).reshape(-1, 2):
        if end < start or start * fps > len(series) or end < 0:
            length = len(series) / fps
            raise EmoFaceError(f"The interval {start:.2f}-{end:.2f} s lies outside the clip of {length:.2f} s.")
        tolerance = 1e-6  # so that an interval that ends exactly on a frame holds it in floating point too
        first = max(0, int(np.ceil((start - widen) * fps - tolerance)))
        last = int(np.floor((end + widen) * fps + tolerance))
        yield series[first : last + 1]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, np.int8), [0]])))
    return [(int(first), int(last) - 1) for first, last in zip(edges[::2], edges[1::2])]


def _longest_run(flags: np.ndarray) -> int:
    return max((last - first + 1 for first, last in _runs(flags)), default=0)
