"""Showing: is an expression as strong as it should be, does the upper face live, is the skin whole, is the mouth as wide as the speaker's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emoface import metrics
from emoface.animation import EMOTIONS, LEVELS
from emoface.metrics import Estimate, bootstrap
from emoface.neighbours import neighbour_mean
from train.corpus.channels import columns, vector
from train.corpus.compose import compose
from train.corpus.emotion import INTENSITY, PROTOTYPES
from train.corpus.reader import Corpus

from .clips import EvalClip
from .face import Face
from .measures import Row

TORN_MM = 1.0
GROUPS = {
    "inner brows": columns("browInnerUp"),
    "outer brows": columns("browOuterUp"),
    "brows down": columns("browDown"),
    "eyes wide": columns("eyeWide"),
    "squint": columns("eyeSquint", "cheekSquint"),
    "nose": columns("noseSneer"),
    "smile": columns("mouthSmile"),
    "frown": columns("mouthFrown"),
    "stretch": columns("mouthStretch"),
    "upper lip": columns("mouthUpperUp"),
}
"""Channels that people read a feeling from; the jaw and the rounding of the lips belong to the words."""
_LEAST = 0.05  # a group whose target is weaker on average is not part of that expression


@dataclass(frozen=True)
class Shown:
    """What an animation (or a target) shows, frame by frame."""

    weights: np.ndarray
    """(T, 52) read back from the mesh."""
    torn_mm: np.ndarray
    """(T,)"""
    width_mm: np.ndarray
    """(T,) change of the mouth's width."""
    brow_mm: np.ndarray
    """(T,) mean height of the brows above rest."""
    upper: np.ndarray
    """(S', 3) mean offset of the vertices above the mouth, mm."""


class ShownFace:
    """Reads :class:`Shown` from skin offsets (T, S, 3) in metres."""

    def __init__(self, face: Face):
        self.face, head = face, face.head
        self._mean = neighbour_mean(head.skin_faces, head.skin_count)
        self._brows = np.flatnonzero(head.mask("brows")[: head.skin_count])
        visible = head.mask("visible_skin")[: head.skin_count]
        mouth = head.skin_template[head.lip_rings[0], 1].max()
        self._upper = np.flatnonzero(
            visible
            & (head.skin_template[:, 1] > mouth + 0.01)
            & ~np.isin(head.regions[: head.skin_count], ("scalp", "ear_left", "ear_right", "neck"))
        )

    @cached_property
    def _shapes(self) -> np.ndarray:
        return self.face.head.blendshapes.reshape(52, -1)

    def of_offsets(self, offsets: np.ndarray) -> Shown:
        weights = self.face.read_back(offsets)
        left = 1e3 * (offsets - (weights @ self._shapes).reshape(offsets.shape))
        by_vertex = left.transpose(1, 0, 2)
        mean = (self._mean @ by_vertex.reshape(len(by_vertex), -1)).reshape(by_vertex.shape)
        torn = np.linalg.norm(by_vertex - mean, axis=-1).max(0)
        right, left_corner = self.face.head.lip_corners
        return Shown(
            weights,
            torn,
            1e3 * (offsets[:, left_corner, 0] - offsets[:, right, 0]),
            1e3 * offsets[:, self._brows, 1].mean(1),
            1e3 * offsets[:, self._upper].mean(0),
        )

    def readable(self, weights: np.ndarray) -> np.ndarray:
        """(T, 52) what can be read of target weights from an animation that shows them perfectly.

        An animation parts lips and teeth (:class:`emoface.contact.MouthContact`), and what presses them apart is read as other shapes: of a
        frown of .15 between wide lips .06 are left. A model must not be blamed for that.
        """
        head = self.face.head
        shown = head.assemble(self.face.offsets(weights), weights)
        return self.face.read_back(shown[:, : head.skin_count] - head.skin_template)

    def of_weights(self, weights: np.ndarray) -> Shown:
        return self.of_offsets(self.face.offsets(weights))


def named_target(corpus: Corpus, clip: EvalClip, emotion: str, level: int) -> np.ndarray:
    """(T, 52) a clip's words with the full prototype of an emotion: what a named emotion is meant to be."""
    i = corpus.index[clip.identity]
    return compose(
        corpus.track(i, "content"),
        corpus.track(i, "envelope"),
        corpus.track(i, "closure"),
        vector(PROTOTYPES[emotion]) * INTENSITY[level],
        emotion,
        level,
        activity=corpus.track(i, "activity"),
        accent=corpus.track(i, "accent"),
    )


def gain(shown: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Projection of what is shown on what should be, per group that the target has: ``<shown, target> / <target, target>``; 1 is right."""
    out = {}
    for name, group in GROUPS.items():
        if target[:, group].mean() >= _LEAST:
            out[name] = float((shown[:, group] * target[:, group]).sum() / (target[:, group] ** 2).sum())
    return out


def torn_rows(data: str, motion: str, who: str, shown: list[Shown]) -> list[Row]:
    """Share of the frames whose skin is torn by more than a millimetre, and the worst of them."""
    return [
        Row("torn_share", data, motion, who, bootstrap([100 * (s.torn_mm > TORN_MM).mean() for s in shown])),
        Row("torn_worst", data, motion, who, _worst([s.torn_mm.max() for s in shown])),
    ]


def _worst(values: list[float]) -> Estimate:
    return Estimate(float(np.max(values)), float("nan"), float("nan"), len(values), float(len(values)))


def width_row(data: str, who: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> Row:
    """r of the mouth's width with the video's."""
    return Row("width_r", data, "real", who, bootstrap([metrics.pearson(a, b) for a, b in pairs]))


def gain_rows(who: str, motion: str, of: dict[tuple[str, int], list[tuple[Shown, np.ndarray]]]) -> list[Row]:
    """Gains per emotion and level (mean over groups, then clips), and the weakest group of each; ``of`` holds what is shown and its target."""
    rows = []
    for (emotion, level), pairs in of.items():
        gains = [gain(shown.weights, target) for shown, target in pairs]
        means = [np.mean(list(g.values())) for g in gains if g]
        if not means:
            continue
        data = f"{emotion}, {LEVELS[level]}"
        rows.append(Row("gain", data, motion, who, bootstrap(means)))
        by_group = {name: np.mean([g[name] for g in gains if name in g]) for name in GROUPS if any(name in g for g in gains)}
        for kind, pick in (("weakest", min), ("strongest", max)):
            name = pick(by_group, key=by_group.get)
            rows.append(Row("gain_group", f"{data}: {name}", motion, f"{who}, {kind}", _worst([by_group[name]])))
    return rows


def level_rows(who: str, of: dict[tuple[str, int], list[Shown]]) -> list[Row]:
    """How much farther the face above the mouth moves at strong than at normal, and how far the closest two strong emotions are apart."""

    def moved(shown: Iterable[Shown]) -> list[float]:
        return [float(np.linalg.norm(s.upper, axis=1).mean()) for s in shown]

    rows = []
    for emotion in EMOTIONS:
        if (emotion, 0) in of and (emotion, 1) in of and emotion != "neutral":
            normal, strong = (np.array(moved(of[emotion, level])) for level in (0, 1))
            ratio = np.divide(strong, normal, out=np.full(len(strong), np.nan), where=normal > 0)  # a still face has no ratio
            rows.append(Row("level_ratio", emotion, "none", who, bootstrap(ratio)))
    strong = [e for e in EMOTIONS if (e, 1) in of and e not in ("neutral", "calm")]
    faces = {e: np.mean([s.upper for s in of[e, 1]], axis=0) for e in strong}
    distances = {(a, b): float(np.linalg.norm(faces[a] - faces[b], axis=1).mean()) for i, a in enumerate(strong) for b in strong[i + 1 :]}
    if distances:
        a, b = min(distances, key=distances.get)
        rows.append(Row("closest_pair", f"{a} and {b}", "none", who, _worst([distances[a, b]])))
    return rows


def life_rows(data: str, motion: str, who: str, shown: list[Shown], speech: list[np.ndarray], accents: list[np.ndarray]) -> list[Row]:
    """Range of the brows' height within speech, and its r with the voice's accents, right way round and reversed in time."""
    inside = [(s.brow_mm[mask], a[mask]) for s, mask, a in zip(shown, speech, accents) if mask.sum() > 10]
    spans = [float(np.subtract(*np.percentile(brow, [95, 5]))) for brow, _ in inside]
    rows = [Row("brow_range", data, motion, who, bootstrap(spans))]
    for name, turn in (("", 1), (", reversed in time", -1)):
        rows.append(Row("brow_accent_r", data, motion, who + name, bootstrap([metrics.pearson(brow[::turn], a) for brow, a in inside])))
    return rows
