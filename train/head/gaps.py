"""Gaps that must close: along the contact line of the lips, and between the lid margins."""

from __future__ import annotations

import numpy as np

from emoface.head import Head


def lip_gaps_mm(head: Head, skin: np.ndarray) -> np.ndarray:
    """Vertical gaps of skin (S, 3) along the lips' contact line, by columns from corner to corner."""
    ring = head.lip_rings[0]
    lower, x = head.regions[ring] == "lips_lower", skin[ring, 0]
    columns = np.linspace(x.min(), x.max(), 43)[2:-2]

    def height(chosen: np.ndarray) -> np.ndarray:
        line = skin[ring[chosen]][np.argsort(x[chosen])]
        return np.interp(columns, line[:, 0], line[:, 1])

    return 1e3 * (height(~lower) - height(lower))


def lid_gaps_mm(head: Head, skin: np.ndarray) -> np.ndarray:
    """Vertical gaps of both pairs of lid margins."""
    return np.concatenate([1e3 * (skin[pairs[:, 0], 1] - skin[pairs[:, 1], 1]) for pairs in head.lid_pairs])
