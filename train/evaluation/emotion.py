"""Emotion: is it recognised, does the face follow the speaker, does it follow another emotion source, does it go with any words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emoface import metrics
from emoface.animation import EMOTIONS, LEVELS
from emoface.metrics import Estimate, bootstrap
from train.corpus.channels import FPS, NAMES
from train.corpus.reader import Corpus

from .clips import EvalClip, emotion_index
from .lips import Readings, pooled, row, share
from .measures import Row
from .reading import Observer, Reading

# --------------------------------------------------------------------------------------------------------- heard


def accuracy_rows(readings: Readings, who: str = "model") -> tuple[list[Row], np.ndarray]:
    """Accuracy beside that of always giving the set's most frequent label, and the counts (8, 8), label x answer."""
    labels = np.array([emotion_index(clip.emotion) for clip, _ in readings])
    answers = np.array([int(np.argmax(reading.probabilities)) for _, reading in readings])
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), int)
    np.add.at(confusion, (labels, answers), 1)
    common = np.bincount(labels).argmax()
    rows = [
        row("emotion_accuracy", readings, who, bootstrap(labels == answers).scaled(100)),
        row("emotion_accuracy", readings, f"always {EMOTIONS[common]}", bootstrap(labels == common).scaled(100)),
    ]
    return rows, confusion


# --------------------------------------------------------------------------------------------------------- shown


def expression_row(who: str, readings: Readings, units: np.ndarray) -> Row:
    """Correlation over clips of the action units shown, ``units`` (clips, 14), with the measured ones."""
    measured = np.stack([clip.action_units for clip, _ in readings])
    draws = np.random.default_rng(0).integers(0, len(units), (500, len(units)))
    low, high = np.quantile([metrics.expression_r(units[draw], measured[draw]).mean() for draw in draws], [0.025, 0.975])
    value = float(metrics.expression_r(units, measured).mean())
    return row("expression_r", readings, who, Estimate(value, float(low), float(high), len(units), float(len(units))))


def shown_units(readings: Readings) -> np.ndarray:
    """(clips, 14)"""
    return np.stack([reading.units(NAMES) for _, reading in readings])


@dataclass(frozen=True)
class Centroids:
    """Mean expression of training targets per emotion and level, in the 14 action units read back from the mesh."""

    emotions: np.ndarray
    means: np.ndarray

    def emotion(self, reading: Reading) -> str:
        return str(metrics.nearest_centroid(reading.units(NAMES)[None], self.emotions, self.means)[0])


def centroids(corpus: Corpus, observer: Observer, *, source: str, per_class: int, seed: int = 0) -> Centroids:
    """Over words of ``source``: ``ravdess`` its own clips, ``grid`` RAVDESS's emotions laid over GRID's lips."""
    rng = np.random.default_rng(seed)
    emotional = [i for i in corpus.select(source="ravdess", split="train") if not corpus.clips[i]["copy_of"]]
    content = [i for i in corpus.select(source=source, split="train") if not corpus.clips[i]["copy_of"]]
    features, labels = [], []
    for emotion in EMOTIONS:
        for level in range(len(LEVELS)):
            fitting = [i for i in emotional if (corpus.clips[i]["emotion"], corpus.clips[i]["level"]) == (emotion, level)]
            for i in rng.permutation(fitting)[:per_class]:
                words = i if source == "ravdess" else int(rng.choice(content))
                features.append(observer.of_weights(corpus.weights(words, int(i))).units(NAMES))
                labels.append(f"{emotion}/{level}")
    classes, means = metrics.class_centroids(np.stack(features), np.array(labels))
    return Centroids(np.array([name.split("/")[0] for name in classes]), means)


# ---------------------------------------------------------------------------------------------------------- swap


def swap_rows(
    who: str,
    animate: Callable[[EvalClip, EvalClip], Reading],
    content: Readings,
    sources: Readings,
    own_words: Centroids,
    content_words: Centroids,
    *,
    per_class: int,
    seed: int = 0,
) -> list[Row]:
    """Cross-reconstruction with ``per_class`` sources of each emotion and level on randomly drawn ``content``.

    ``animate(words, source)`` gives the swapped result; ``content`` and ``sources`` come with their own (unswapped)
    readings. The expression is named by centroids of targets over the same kind of words: ``own_words`` for the
    sources' animations, ``content_words`` for the swapped ones. The draw does not depend on ``who``.
    """
    rng = np.random.default_rng(seed)
    timing, foreign, foreign_zero, same_class, label = [], [], [], [], []
    for clip, own in _balanced(sources, per_class, rng):
        words, unswapped = content[rng.integers(len(content))]
        swapped = animate(words, clip)
        timing.append(metrics.pearson(swapped.aperture_mm, unswapped.aperture_mm))
        lips = metrics.stretch(own.aperture_mm, len(swapped.aperture_mm))
        foreign.append(metrics.pearson(swapped.aperture_mm, lips))
        foreign_zero.append(metrics.pearson(unswapped.aperture_mm, lips))
        shown = content_words.emotion(swapped)
        same_class.append(shown == own_words.emotion(own))
        label.append(shown == clip.emotion)
    foreign, foreign_zero = np.array(foreign), np.array(foreign_zero)
    return [
        row("swap_timing", content, who, bootstrap(timing)),
        row("swap_emotion", content, who, bootstrap(same_class).scaled(100)),
        row("swap_label", content, who, bootstrap(label).scaled(100)),
        row("swap_foreign", content, who, bootstrap(foreign)),
        row("swap_foreign", content, f"{who}, unswapped", bootstrap(foreign_zero)),
        row("swap_foreign", content, f"{who}, difference", bootstrap(foreign - foreign_zero)),
    ]


def _balanced(readings: Readings, per_class: int, rng: np.random.Generator) -> Readings:
    chosen: Readings = []
    for emotion in EMOTIONS:
        for level in range(len(LEVELS)):
            fitting = [item for item in readings if (item[0].emotion, item[0].level) == (emotion, level)]
            chosen += [fitting[i] for i in rng.permutation(len(fitting))[:per_class]]
    return chosen


# -------------------------------------------------------------------------------------------------- combinations


def combination_rows(who: str, animate: Callable[[EvalClip, str, int], Reading], clips: list[EvalClip], shapes: Centroids) -> list[Row]:
    """Every emotion and level over the same speech: ``animate(clip, emotion, level)``; the pair stands in the row."""
    rows = []
    for emotion in EMOTIONS:
        for level, level_name in enumerate(LEVELS):
            readings = [(clip, animate(clip, emotion, level)) for clip in clips]
            r = [metrics.pearson(reading.aperture_mm, clip.measured_mm) for clip, reading in readings]
            caught = [metrics.closures_caught(reading.aperture_mm, clip.closures) for clip, reading in readings]
            slits = [sealed_slits(clip, reading) for clip, reading in readings]
            shown = [shapes.emotion(reading) == emotion for _, reading in readings]
            for measure, estimate, counted in (
                ("combination_r", bootstrap(r), "clips"),
                ("combination_closures", share(caught), "closures"),
                ("combination_slit", pooled(slits), "frames"),
                ("combination_label", bootstrap(shown).scaled(100), "clips"),
            ):
                rows.append(Row(measure, f"{emotion}, {level_name}", clips[0].motion, who, estimate, counted))
    return rows


def sealed_slits(clip: EvalClip, reading: Reading) -> np.ndarray:
    """Largest opening along the lips, mm, in the frames of a P, B or M whose middle is shut (aperture of 0.3 mm or less)."""
    frames = np.arange(len(reading.aperture_mm)) / FPS
    inside = ((frames[:, None] >= clip.closures[:, 0]) & (frames[:, None] <= clip.closures[:, 1])).any(1)
    return reading.slit_mm[inside & (reading.aperture_mm <= 0.3)]


# ---------------------------------------------------------------------------------------------------- importance


def importance_rows(readings: Readings, who: str = "model") -> list[Row]:
    """Attention weight and effect per region, strongest effect first; the region stands where the data set does."""
    regions = sorted(readings[0][1].effect_mm, key=lambda name: -np.mean([r.effect_mm[name] for _, r in readings]))
    rows = []
    for measure, of in (("importance", "importance"), ("effect", "effect_mm")):
        for region in regions:
            estimate = bootstrap([getattr(reading, of)[region] for _, reading in readings])
            rows.append(Row(measure, region, readings[0][0].motion, who, estimate))
    return rows
