"""Cross-reconstruction pairs: the motion of one recording on the clock of another that says the same words.

The paper's pairs are recordings of one actor with the same sentence and different emotions. Their timing differs, so
the motion of B is read at the times that A's frames have in B: piecewise linear between aligned phones where both are
aligned, else by dynamic time warping of features (``train.meshes`` gives MFCCs). In the silence around the speech time is
shifted, never stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import savgol_filter

from emoface.clock import interpolate
from train.corpus.channels import FPS
from train.corpus.coarticulation import Phone
from train.corpus.compose import seal
from train.corpus.lips import average_head_lips

FEATURE_RATE = 50.0


@dataclass(frozen=True)
class TimeMap:
    """Piecewise linear times of B for times of A; outside the knots time runs at unit speed."""

    a: np.ndarray
    b: np.ndarray

    def __call__(self, times: np.ndarray) -> np.ndarray:
        inside = np.interp(times, self.a, self.b)
        before, after = self.b[0] + times - self.a[0], self.b[-1] + times - self.a[-1]
        return np.where(times < self.a[0], before, np.where(times > self.a[-1], after, inside))


def phone_map(a: Sequence[Phone], b: Sequence[Phone]) -> TimeMap | None:
    """From the starts of the phones, or of the words where a pronunciation differs; None if the words differ too."""
    for knots_of in (_phone_knots, _word_knots):
        (names_a, times_a), (names_b, times_b) = knots_of(a), knots_of(b)
        if names_a == names_b and len(names_a) > 1:
            keep = np.concatenate([[True], (np.diff(times_a) > 1e-6) & (np.diff(times_b) > 1e-6)])
            return TimeMap(np.asarray(times_a)[keep], np.asarray(times_b)[keep])
    return None


def _phone_knots(phones: Sequence[Phone]) -> tuple[list[str], list[float]]:
    spoken = [p for p in phones if p.name != "SIL"]
    return [p.name for p in spoken] + ["end"], [p.start for p in spoken] + [spoken[-1].end]


def _word_knots(phones: Sequence[Phone]) -> tuple[list[str], list[float]]:
    names, times = [], []
    spoken = [p for p in phones if p.name != "SIL"]
    for previous, phone in zip([None, *spoken[:-1]], spoken):
        word = phone.word.split("(")[0]  # the aligner marks second pronunciations: are(2)
        if previous is None or previous.word != phone.word:
            names.append(word)
            times.append(phone.start)
    return names + ["end"], times + [spoken[-1].end]


def feature_map(
    a: np.ndarray,
    b: np.ndarray,
    speech_a: tuple[float, float],
    speech_b: tuple[float, float],
    *,
    rate: float = FEATURE_RATE,
) -> TimeMap:
    """By dynamic time warping of encoder features (T, C) inside the speech; the cosine distance of mean-free features.

    Whisper tiny.en's third block gives 21 ms mean boundary error on RAVDESS, a linear stretch 88 ms.
    """
    import librosa

    cut_a, cut_b = _cut(a, speech_a, rate), _cut(b, speech_b, rate)
    if min(len(cut_a), len(cut_b)) < 2:
        raise ValueError("A recording is too short to be warped: its speech has under two feature frames.")
    _, path = librosa.sequence.dtw((cut_a - cut_a.mean(0)).T, (cut_b - cut_b.mean(0)).T, metric="cosine")
    path = path[::-1]
    sums = np.bincount(path[:, 0], weights=path[:, 1], minlength=len(cut_a))
    frames_b = sums / np.bincount(path[:, 0], minlength=len(cut_a))
    smooth = _smooth_path(frames_b)
    first_a, first_b = round(speech_a[0] * rate), round(speech_b[0] * rate)
    return TimeMap((np.arange(len(smooth)) + first_a) / rate, (smooth + first_b) / rate)


def _cut(features: np.ndarray, speech: tuple[float, float], rate: float) -> np.ndarray:
    return np.asarray(features, np.float64)[round(speech[0] * rate) : round(speech[1] * rate) + 1]


def _smooth_path(path: np.ndarray, window: int = 7) -> np.ndarray:
    """Steps of the warping path would jitter the face: smooth them, and never run backwards."""
    if len(path) > window:
        padded = np.pad(path, window - 1, mode="reflect", reflect_type="odd")
        path = savgol_filter(padded, window, 1)[window - 1 : -(window - 1)]
    return np.maximum.accumulate(path)


def warp(tracks: np.ndarray, time_map: TimeMap, count: int, *, fps: float = FPS) -> np.ndarray:
    """(count, ...) motion of B on A's clock; ``tracks`` (T, ...) is B's motion, e.g. weights or vertices."""
    flat = np.asarray(tracks).reshape(len(tracks), -1)
    times = np.clip(time_map(np.arange(count) / fps), 0, (len(flat) - 1) / fps)
    return interpolate(times, np.arange(len(flat)) / fps, flat).reshape(count, *np.shape(tracks)[1:])


def warp_weights(weights: np.ndarray, closure: np.ndarray, time_map: TimeMap, *, lips=None) -> np.ndarray:
    """ARKit weights (T_b, 52) of B on A's clock, with the lips sealed at A's own P, B and M: ``closure`` (T_a,).

    Interpolation between two frames may miss a closure that lasts one frame, and warping by features may be late: what
    is seen at A's bilabials must be a closure whatever the warp says.
    """
    out = warp(weights, time_map, len(closure))
    seal(out, closure, lips or average_head_lips())
    return np.clip(out, 0, 1)


def same_sentence_pairs(clips: Sequence[dict]) -> list[tuple[int, int]]:
    """Ordered pairs (content, emotion) of one speaker and one text with different emotion or level, copies left out."""
    groups: dict[tuple, list[int]] = {}
    for i, clip in enumerate(clips):
        if clip.get("text") and not clip.get("copy_of"):
            groups.setdefault((clip["speaker"], clip["text"], clip["split"]), []).append(i)
    key = [(clip["emotion"], clip["level"]) for clip in clips]
    return [(i, j) for group in groups.values() for i in group for j in group if key[i] != key[j]]
