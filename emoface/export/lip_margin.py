"""Where the lips of an unknown mesh meet, seen from the front: the deepest line between both corners, or the two edges of an open mouth."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

_STEP = 0.00025
"""Metres in a pixel."""
_REACH = 0.006
"""Metres above and below the straight way from corner to corner over the middle of the lips."""
_DEGREE = 6
"""Of the curve that a margin is taken for: a cupid's bow and two corners."""
_JUMP = 0.0015
"""Metres in depth from one pixel to the next, from which there is a hole."""


def lip_margin(
    vertices: np.ndarray, faces: np.ndarray, *, right: np.ndarray, left: np.ndarray, upper: np.ndarray, lower: np.ndarray, shares: np.ndarray
):
    """(n, 3) of the upper and (n, 3) of the lower lip's margin.

    Args:
        vertices: of a head that looks along z with y up, metres.
        faces: its triangles.
        right: the right corner of the mouth.
        left: the left one.
        upper: the upper lip in the middle, where the lips meet.
        lower: the lower one.
        shares: (n,) in (0, 1), of the way from corner to corner along x.
    """
    x = right[0] + shares * (left[0] - right[0])
    middles = [np.interp(x, [right[0], place[0], left[0]], [right[1], place[1], left[1]]) for place in (upper, lower)]
    low, high = min(right[1], left[1], upper[1], lower[1]) - 1.5 * _REACH, max(right[1], left[1], upper[1], lower[1]) + 1.5 * _REACH
    depth = front_depth(vertices, faces, (right[0] - 0.002, low), (left[0] + 0.002, high))
    rows = low + (np.arange(len(depth)) + 0.5) * _STEP
    columns = np.clip(((x - right[0] + 0.002) / _STEP).astype(int), 0, depth.shape[1] - 1)
    found = np.array([_column(depth[:, column], rows, top, bottom) for column, top, bottom in zip(columns, *middles)])  # (n, 2, 2)
    return tuple(np.stack([x, *_smooth(2 * shares - 1, found[:, side]).T], axis=1) for side in (0, 1))


def _smooth(x: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(n, 2) y and z along x in (-1, 1), without what a pixel or a single triangle did: a polynomial, fitted twice, the second time without the worst fifth."""
    kept = np.ones(len(x), bool)
    for _ in range(2):
        fit = np.polynomial.polynomial.polyfit(x[kept], line[kept], min(_DEGREE, kept.sum() - 1))
        smooth = np.polynomial.polynomial.polyval(x, fit).T
        off = np.linalg.norm(smooth - line, axis=1)
        kept = off <= np.quantile(off, 0.8)
    return smooth


def front_depth(vertices: np.ndarray, faces: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """(rows, columns) z of the frontmost surface over a rectangle, metres; row 0 is the lowest."""
    if find_spec("numba") is None:
        from . import raster_numpy as raster
    else:
        from . import raster_numba as raster
    width, height = (round((b - a) / _STEP) for a, b in zip(low, high))
    screen = np.array(vertices, np.float64)
    screen[:, :2] = (screen[:, :2] - low) / _STEP
    screen[:, 2] -= screen[:, 2].min() - 1.0
    corners = screen[faces]
    near = (corners[..., :2].min(1) < (width, height)).all(1) & (corners[..., :2].max(1) > 0).all(1)
    front = raster.depth(np.ascontiguousarray(screen, np.float32), np.ascontiguousarray(faces[near], np.int32), width, height)
    return front.astype(float) - 1.0 + np.asarray(vertices)[:, 2].min()


def _column(depth: np.ndarray, rows: np.ndarray, top: float, bottom: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """(y, z) of the upper lip's margin and of the lower one's in one column of the picture."""
    near = np.flatnonzero((rows > bottom - _REACH) & (rows < top + _REACH))
    z = depth[near]
    jumps = np.diff(z)  # upwards; into a hole z falls, and out of it it rises
    down, up = np.flatnonzero(jumps < -_JUMP), np.flatnonzero(jumps > _JUMP)
    if len(down) and len(up) and down[0] < up[-1]:
        lower, upper = near[down[0]], near[up[-1] + 1]
    else:
        # The deepest place that is no slope: between two lips that are in front of it.
        rise = np.minimum(np.maximum.accumulate(z), np.maximum.accumulate(z[::-1])[::-1]) - z
        middle = (top + bottom) / 2
        score = rise - 0.05 * np.abs(rows[near] - middle)
        lower = upper = near[score.argmax()]
    return (rows[upper], depth[upper]), (rows[lower], depth[lower])
