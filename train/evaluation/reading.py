"""What is kept of an animation: a few numbers per frame, so that hundreds of animations fit in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from emoface import metrics
from emoface.animation import LEVELS, Animation

from .clips import EvalClip
from .face import Face
from .showing import Shown, ShownFace


class Pipeline(Protocol):
    """The public call of ``emoface.EmoFacePipeline``; any model with this call can be evaluated."""

    def __call__(self, speech, *, emotion="speech", level="normal") -> Animation: ...


@dataclass(frozen=True)
class Reading:
    aperture_mm: np.ndarray
    """(T,)"""
    weights: np.ndarray
    """(52,) mean over the clip of the ARKit weights read from the mesh."""
    jitter_mm: tuple[float, float]
    """Acceleration and jerk of the lips."""
    errors: dict[str, float] = field(default_factory=dict)
    """LVE, EVE, FDD, MVE, LVD where the true motion is known."""
    probabilities: np.ndarray | None = None
    """(8,) probabilities of the emotions."""
    slit_mm: np.ndarray | None = None
    """(T,) largest opening along the lips; None for a face that holds one expression."""
    importance: dict[str, float] = field(default_factory=dict)
    """Attention weight of the emotion branch per region."""
    effect_mm: dict[str, float] = field(default_factory=dict)
    shown: Shown | None = None
    """Frame by frame, where that was asked for."""

    def units(self, names) -> np.ndarray:
        """(14,) action units shown."""
        return metrics.action_units(self.weights, names)


class Observer:
    """Runs a pipeline and reads its animations; also reads plain motion, for the rows beside the model."""

    def __init__(self, face: Face, pipeline: Pipeline | None = None):
        self.face, self.pipeline = face, pipeline
        self.shown_face = ShownFace(face)

    def run(self, clip: EvalClip, *, emotion="speech", level: int | None = None, regions: bool = False, shown: bool = False) -> Reading:
        """Animate a clip. ``level`` None: the clip's own. ``emotion`` may be another clip."""
        if isinstance(emotion, EvalClip):
            emotion = (emotion.samples, emotion.rate)
        level = clip.level if level is None else level
        animation = self.pipeline((clip.samples, clip.rate), emotion=emotion, level=LEVELS[level])
        skin = animation.skin_count
        offsets = animation.vertices[:, :skin] - animation.template[:skin]
        face = self.face
        return Reading(
            aperture_mm=face.aperture_mm(offsets),
            weights=animation.blendshapes.mean(axis=0),
            jitter_mm=metrics.jitter_mm(offsets, face.lips),
            errors=self._errors(offsets, clip),
            probabilities=np.asarray(animation.emotion_probabilities),
            slit_mm=face.slit_mm(offsets),
            importance=face.region_means(animation.emotion_importance) if regions else {},
            effect_mm=face.region_means(animation.emotion_effect_mm) if regions else {},
            shown=self.shown_face.of_offsets(offsets) if shown else None,
        )

    def of_weights(self, weights: np.ndarray, clip: EvalClip | None = None) -> Reading:
        """Read a motion given as ARKit weights (T, 52)."""
        offsets = self.face.offsets(weights)
        return Reading(
            aperture_mm=self.face.aperture_mm(offsets),
            weights=self.face.read_back(offsets).mean(axis=0),
            jitter_mm=metrics.jitter_mm(offsets, self.face.lips),
            errors=self._errors(offsets, clip) if clip is not None else {},
            slit_mm=self.face.slit_mm(offsets),
        )

    def of_pose(self, pose: np.ndarray, clip: EvalClip) -> Reading:
        """Read a face that holds one expression (52,) for the whole clip."""
        offsets = np.repeat(self.face.offsets(pose[None]), len(clip.weights), axis=0)
        return Reading(self.face.aperture_mm(offsets), pose, (0.0, 0.0), self._errors(offsets, clip))

    def _errors(self, offsets: np.ndarray, clip: EvalClip) -> dict[str, float]:
        return {} if clip.weights is None else self.face.errors(offsets, self.face.offsets(clip.weights))
