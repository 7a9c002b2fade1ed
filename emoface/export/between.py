"""Poses between an animation's frames, for films and pictures at another rate."""

from __future__ import annotations

import numpy as np

from ..animation import Animation
from ..head_motion import rotations


def poses_at(animation: Animation, times: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(n,) seconds -> (n, V, 3) vertices and (n, 3, 3) rotations of the head, or None; straight lines between frames, the last one is held."""
    position = np.minimum(times * animation.fps, animation.frame_count - 1)
    before = position.astype(int)
    after, share = np.minimum(before + 1, animation.frame_count - 1), (position - before)[:, None, None].astype(np.float32)
    poses = animation.vertices[before] * (1 - share) + animation.vertices[after] * share
    angles = animation.head_angles
    return poses, None if angles is None else rotations(angles[before] * (1 - share[:, 0]) + angles[after] * share[:, 0])


def picture_times(duration: float, fps: float) -> np.ndarray:
    """(n,) seconds of the pictures of so many seconds at ``fps``."""
    return np.arange(int(np.ceil(duration * fps - 1e-6))) / fps
