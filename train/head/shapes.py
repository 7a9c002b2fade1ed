"""ARKit shapes of the average head: made symmetric, free of noise, with lips that seal and lids that meet."""

from __future__ import annotations

import numpy as np

NOISE = 1e-5  # metres; smaller movements are rounding of the source files
PP = {  # the bilabial closure used to check lateral slits
    "mouthPressLeft": 0.35,
    "mouthPressRight": 0.35,
    "mouthRollLower": 0.22,
    "mouthRollUpper": 0.15,
    "jawOpen": 0.02,
    "mouthClose": 0.02,
}


def other_side(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    return name[:-5] + "Left" if name.endswith("Right") else name


def mirrored(offsets: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Reflect offsets or positions (S, 3) at x = 0."""
    return offsets[mirror] * [-1, 1, 1]


def symmetric_shapes(deltas: dict[str, np.ndarray], mirror: np.ndarray) -> dict[str, np.ndarray]:
    """Average every shape with the reflection of its partner and drop noise."""
    out = {n: (d + mirrored(deltas[other_side(n)], mirror)) / 2 for n, d in deltas.items()}
    return {n: np.where(np.linalg.norm(d, axis=1, keepdims=True) < NOISE, 0, d) for n, d in out.items()}


def combine(deltas: dict[str, np.ndarray], weights: dict[str, float]) -> np.ndarray:
    return sum(w * deltas[n] for n, w in weights.items())


def fade_above(offsets: np.ndarray, height: np.ndarray, *, start: float, end: float) -> np.ndarray:
    """Offsets (S, 3) that end between ``start`` and ``end`` metres of ``height`` (S,). MakeHuman's frown has a second, separate
    millimetre of movement under the hair line, where no muscle pulls."""
    share = np.clip((end - height) / (end - start), 0, 1)
    return offsets * (share * share * (3 - 2 * share))[:, None]
