"""Decoded motion and the recognised emotion of a recording or a piece of it, and blends of several motions on one speech.

T frames, S vertices of the skin, E emotions of the configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from .curve import EmotionCurve


def to_numpy(values: Tensor) -> np.ndarray:
    """float32 on the CPU."""
    return values.float().cpu().numpy()


@dataclass(frozen=True)
class Recognised:
    """The classifier's answers."""

    probabilities: Tensor
    """(E,) of the whole recording."""
    track: Tensor
    """(T, E) frame by frame."""


@dataclass
class Motion:
    """Decoded frames of one face."""

    offsets: np.ndarray
    """(T, S, 3) metres from the template."""
    weight: np.ndarray
    """(T, S) ``w_e``."""
    effect: np.ndarray
    """(T, S) mm by which the emotion branch moves each vertex."""

    @classmethod
    def empty(cls, frames: int, vertices: int) -> Motion:
        return cls(*(np.empty(shape, np.float32) for shape in ((frames, vertices, 3), (frames, vertices), (frames, vertices))))

    @classmethod
    def of_tensors(cls, offsets: Tensor, weight: Tensor, effect: Tensor) -> Motion:
        return cls(*map(to_numpy, (offsets, weight, effect)))

    def after(self, before: Motion, frames: int) -> Motion:
        """The first ``frames`` of another motion, then this one."""
        pairs = ((before.offsets, self.offsets), (before.weight, self.weight), (before.effect, self.effect))
        return Motion(*(np.concatenate([a[:frames], b]) for a, b in pairs))


def at_intensity(expressive: Motion, neutral: Motion, intensity: float) -> Motion:
    """The line from the same words without an emotion (0) through the expression (1), vertex by vertex: every part of an expression grows
    evenly, and lips that are shut on both ends stay shut."""
    share = np.float32(intensity)
    return replace(expressive, offsets=neutral.offsets + share * (expressive.offsets - neutral.offsets), effect=share * expressive.effect)


def blend(expressions: Sequence[Motion], neutral: Motion, weights: np.ndarray) -> Motion:
    """The same sum as :func:`at_intensity` over N expressions, with (T, N) weights that change from frame to frame."""
    weights = weights.astype(np.float32)[:, :, None]
    total = weights.sum(1)
    offsets = (1 - total)[..., None] * neutral.offsets
    effect, attention = np.zeros_like(neutral.effect), 1e-6 * neutral.weight
    for i, part in enumerate(expressions):
        offsets += weights[:, i, :, None] * part.offsets
        effect += weights[:, i] * part.effect
        attention += weights[:, i] * part.weight
    return Motion(offsets, attention / (total + 1e-6), effect)


def combined(motions: Sequence[Motion], emotions: Sequence, *, intensity: float, fps: float) -> list[Motion]:
    """One motion per answer, from all that were decoded for it.

    Args:
        motions: for every answer its expressions and, for a curve or another intensity than 1, the neutral face after them.
        emotions: one per answer; only :class:`EmotionCurve` is looked at.
        intensity: 1 for the expressions as they are.
        fps: frames per second.
    """
    parts, answers = iter(motions), []
    for emotion in emotions:
        expressions = [next(parts) for _ in range(len(emotion.names) if isinstance(emotion, EmotionCurve) else 1)]
        if isinstance(emotion, EmotionCurve):
            times = np.arange(len(expressions[0].offsets)) / fps
            answers.append(blend(expressions, next(parts), intensity * emotion.at(times)))
        else:
            answers.append(expressions[0] if intensity == 1.0 else at_intensity(expressions[0], next(parts), intensity))
    return answers
