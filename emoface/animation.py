"""The answer of the pipeline: a moving head, with everything needed to show, export or study it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
LEVELS = ("normal", "strong")


@dataclass(frozen=True)
class Animation:
    """A head that moves for ``T`` frames; frame ``t`` shows time ``t / fps``.

    Shapes use ``T`` frames, ``V`` vertices (skin first, then eyes, teeth and tongue), ``S = skin_count`` skin
    vertices, ``F`` triangles. Lengths are metres, y up, +z forward, unless a name says ``mm``.
    """

    vertices: np.ndarray
    """(T, V, 3) float32, metres."""
    template: np.ndarray
    """(V, 3) float32, the head at rest, metres."""
    faces: np.ndarray
    """(F, 3) int32, triangles over all V vertices, counter-clockwise from outside."""
    fps: float
    skin_count: int
    regions: np.ndarray
    """(V,) region name of every vertex, e.g. ``lips_upper``, ``brow_left``, ``teeth_lower``."""
    blendshapes: np.ndarray
    """(T, 52) ARKit weights read back from the mesh, in [0, 1]; (T, 0) for topologies without ARKit shapes."""
    blendshape_names: tuple[str, ...]
    emotion_importance: np.ndarray
    """(T, S) attention weight ``w_e`` of the emotion branch, in (0, 1)."""
    emotion_effect_mm: np.ndarray
    """(T, S) ``|w_e (dM_e - dM_c)|``: how far the emotion branch moves each vertex, millimetres."""
    emotion_probabilities: np.ndarray
    """(8,) probabilities of the emotions, recognised in the emotion source, in the order of ``emotion_names``."""
    emotion_track: np.ndarray
    """(T, 8) the same over time."""
    emotion_names: tuple[str, ...] = EMOTIONS
    colors: np.ndarray | None = None
    """(V, 3) uint8 sRGB vertex colours, or None."""
    audio: np.ndarray | None = None
    """(n,) float32 mono speech in [-1, 1], or None."""
    sample_rate: int = 16000
    head_angles: np.ndarray | None = None
    """(T, 3) radians by which the head is turned where it is shown (:mod:`emoface.head_motion`), or None. ``vertices`` hold the head at rest."""
    settings: dict = field(default_factory=dict)
    """The call's settings, JSON-serialisable: model, emotion, mix, level, style, head, output, idle."""

    @property
    def frame_count(self) -> int:
        return len(self.vertices)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frame_count / self.fps

    @property
    def emotion(self) -> str:
        """Name of the most probable emotion."""
        return self.emotion_names[int(np.argmax(self.emotion_probabilities))]

    def with_audio(self, audio: np.ndarray, sample_rate: int) -> Animation:
        return replace(self, audio=np.asarray(audio, np.float32), sample_rate=int(sample_rate))

    def save(self, path: str | os.PathLike, **options) -> Path:
        """Writes this animation in the format of the path's suffix; see ``emoface.export.save``."""
        return _file_formats["save"](self, path, **options)

    @staticmethod
    def load(path: str | os.PathLike, template: str | os.PathLike | None = None) -> Animation:
        """Reads .npz, .glb or .npy (with an OBJ or PLY template); see ``emoface.export.load``."""
        return _file_formats["load"](path, template)


_file_formats: dict[str, Callable] = {}


def use_file_formats(*, save: Callable[..., Path], load: Callable[..., Animation]) -> None:
    """What :meth:`Animation.save` and :meth:`Animation.load` do. ``emoface.export`` calls this; this module knows no format."""
    _file_formats.update(save=save, load=load)
