"""Lines that come and go with an expression: how far the skin is folded, and what a fold does to shade and normals.

A group of folds (forehead, frown, smile ...) follows distances between vertices of the head's own skin, so everything that
moves vertices folds it: network, curves, files of others. For its pairs p of vertices::

    x = sum of weight_p * (distance_p - rest_p)         amount = floor + (strength - floor) * smoothstep(x; low, high)

``floor`` and ``strength`` are the person's age. The shadow of lids on the eyes and of lips in the mouth are groups, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHADE_STEP, TILT_STEP = 1 / 127, 1 / 160
"""Units of the stored shades and tilts."""
TINT = np.array([0.78, 1.0, 1.0], np.float32)
"""How much of a shade each channel takes: light in a fold of skin comes back redder."""


@dataclass(frozen=True, eq=False)
class Creases:
    """K groups over the D vertices of a look."""

    names: tuple[str, ...]
    vertices: np.ndarray
    """(N,) shown vertices; one that lies in two groups comes twice."""
    groups: np.ndarray
    """(N,) group of each."""
    shade: np.ndarray
    """(N,) share of the light that the fold takes when it is whole; below 0 it gives some."""
    tilt: np.ndarray
    """(N, 3) what the fold adds to the unit normal, in the frame of the skull at rest."""
    pairs: np.ndarray
    """(P, 2) vertices of the head's own skin."""
    pair_groups: np.ndarray
    pair_weights: np.ndarray
    """(P,) per metre."""
    rest: np.ndarray
    """(P,) metres."""
    low: np.ndarray
    high: np.ndarray
    floor: np.ndarray
    strength: np.ndarray

    def amounts(self, vertices: np.ndarray) -> np.ndarray:
        """(K,) how much every group is folded in the head's own vertices (V, 3), metres."""
        away = np.linalg.norm(vertices[self.pairs[:, 0]] - vertices[self.pairs[:, 1]], axis=1) - self.rest
        x = np.bincount(self.pair_groups, self.pair_weights * away, len(self.names))
        share = np.clip((x - self.low) / (self.high - self.low), 0, 1)
        return self.floor + (self.strength - self.floor) * share * share * (3 - 2 * share)

    def folded(self, vertices: np.ndarray, count: int, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(count,) share of the light that is taken and (count, 3) what is added to the normals of a look of ``count`` vertices,
        for the head's own (V, 3) and the motion of the skull ``turn`` (3, 3)."""
        amount = self.amounts(vertices)[self.groups]
        taken = np.bincount(self.vertices, amount * self.shade, count)
        tilt = amount[:, None] * self.tilt
        added = np.stack([np.bincount(self.vertices, tilt[:, k], count) for k in range(3)], 1) @ turn.T
        return taken.astype(np.float32), added.astype(np.float32)


def shaded(albedo: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Linear colours (n, 3) with the light that folds take (n,) taken from them."""
    return albedo * np.clip(1 - taken[:, None] * TINT, 0, 2)
