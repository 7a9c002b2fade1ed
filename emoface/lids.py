"""Lids that meet at one line and lie on the eye.

Shapes add up: a smile lifts the lower lid, a blink lowers the upper one, and both together overlap by up to 6 mm, while a
squeezed lid sinks into the eyeball. A broad smile alone would shut the eye to a line, for cheek and lid rise as one. What is *shown* is
settled first, on the head's own vertices, so that lashes and all that rides on the lids come along; network, curves and metrics
keep the shapes as they add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UP = np.array([0.0, 1.0, 0.0], np.float32)
LOWER_GIVE = 0.4
"""Share of an overlap that the margin of the lower lid gives way to."""
YIELD = 0.75
"""Share that the lower lid gives back of what it rises above ``Lids.most``."""


@dataclass(frozen=True, eq=False)
class Lids:
    pairs: np.ndarray
    """(2, Q, 2) upper and lower vertices of the margins: stations along the slit, left eye then right."""
    vertices: np.ndarray
    """(N,) vertices round the slits."""
    station: np.ndarray
    """(N,) of both eyes' 2 Q stations, the one before each vertex."""
    share: np.ndarray
    """(N,) in [0, 1] of the station after it."""
    give: np.ndarray
    """(N,) how much of an overlap a vertex gives way to: above 0 upward (the upper lid), below 0 downward."""
    most: np.ndarray
    """(2 Q,) height over the middle of the eye up to which the margin of the lower lid rises freely, metres."""
    ends: np.ndarray
    """(2, 2) foremost and hindmost vertex of each eyeball."""
    resting: np.ndarray
    """(M,) visible vertices near an eyeball."""
    side: np.ndarray
    """(M,) 0 left, 1 right."""
    least: np.ndarray
    """(M,) smallest distance from the middle of the eye, metres."""

    def settled(self, vertices: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """The head's own vertices (V, 3) with lids that meet; ``turn`` (3, 3) is the motion of the skull."""
        out = vertices.copy()
        up = turn @ UP
        middle = vertices[self.ends].mean(1)
        pairs = self.pairs.reshape(-1, 2)
        upper, lower = vertices[pairs[:, 0]], vertices[pairs[:, 1]]
        count = self.pairs.shape[1]
        sunken = YIELD * np.maximum((lower - middle.repeat(count, 0)) @ up - self.most, 0)
        overlap = np.maximum((lower - upper) @ up - sunken, 0)
        at = lambda values: values[self.station] * (1 - self.share) + values[self.station + 1] * self.share
        by = at(overlap) * self.give + at(sunken) * np.minimum(self.give, 0) / LOWER_GIVE
        here = middle[self.station // count]
        away = vertices[self.vertices] - here
        moved = away + by[:, None] * up
        moved *= (np.linalg.norm(away, axis=1) / np.linalg.norm(moved, axis=1))[:, None]  # round the eye, not through it
        out[self.vertices] = np.where(by[:, None] != 0, here + moved, vertices[self.vertices])
        away = out[self.resting] - middle[self.side]
        far = np.linalg.norm(away, axis=1)
        sunk = far < self.least
        out[self.resting[sunk]] += away[sunk] * (self.least[sunk] / far[sunk] - 1)[:, None]
        return out
