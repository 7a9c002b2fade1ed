"""Which vertices settle when lids meet (``emoface/lids.py``)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from emoface.head import Head
from emoface.lids import LOWER_GIVE

from .shown import SIDES, Heads, smoothstep

REACH = {True: 11.0, False: 9.0}
"""mm from the margin over which the skin of the upper (True) and the lower lid gives way."""
GIVE = {True: 1 - LOWER_GIVE, False: -LOWER_GIVE}
"""Share of an overlap that each takes."""
RISE = 0.25
"""Share of the open slit that the lower lid may rise before it gives way; where the slit is narrow, of half its widest."""
NEAR, CLEAR = 7.0, 0.9
"""Skin that rests within NEAR mm of the eyeball keeps CLEAR mm away from it, or what it has at rest."""


def arrays(heads: Heads) -> dict[str, np.ndarray]:
    head = heads.average
    pairs = np.stack([_along(head, pairs.astype(int)) for pairs in head.lid_pairs])
    count = pairs.shape[1]
    vertices, station, share, give, resting, side_of = [], [], [], [], [], []
    for number, side in enumerate(SIDES):
        upper, lower = (np.array(heads.lid_line(side, 0, is_upper)) for is_upper in (True, False))
        margin = np.concatenate([upper, lower])
        distance, near = cKDTree(head.skin_template[margin]).query(head.skin_template)
        is_upper = near < len(upper)
        mine = np.flatnonzero(
            (distance * 1e3 < np.where(is_upper, REACH[True], REACH[False])) & ~np.isin(head.regions[: head.skin_count], (f"brow_{side}",))
        )
        reach = np.where(is_upper, REACH[True], REACH[False])[mine]
        x = np.abs(head.template[pairs[number, :, 0], 0])
        at = np.clip(np.interp(np.abs(head.skin_template[mine, 0]), x, np.arange(count)), 0, count - 1.001)
        corner = smoothstep(np.minimum(np.abs(head.skin_template[mine, 0]) - x[0], x[-1] - np.abs(head.skin_template[mine, 0])) * 1e3, -6, 1)
        vertices.append(mine)
        station.append(number * count + np.floor(at))
        share.append(at - np.floor(at))
        give.append(np.where(is_upper[mine], GIVE[True], GIVE[False]) * corner * (1 - smoothstep(distance[mine] * 1e3, 0.8, reach)))
        seen = np.flatnonzero(head.mask("visible_skin")[: head.skin_count] & (head.skin_template[:, 2] > head.eye_centers[number, 2]))
        away = np.linalg.norm(head.skin_template[seen] - head.eye_centers[number], axis=1) - _radius(head, number)
        resting.append(seen[away * 1e3 < NEAR])
        side_of.append(np.full(len(resting[-1]), number))
    join = lambda parts, kind: np.concatenate(parts).astype(kind)
    return {
        "lid_pairs": pairs.reshape(-1, 2).astype(np.uint16),
        "lid_vertices": join(vertices, np.uint16),
        "lid_station": join(station, np.uint8),
        "lid_share": join(share, np.float32),
        "lid_give": join(give, np.float32),
        "eye_ends": np.array([_ends(head, n) for n in range(2)], np.uint16),
        "ball_vertices": join(resting, np.uint16),
        "ball_side": join(side_of, np.uint8),
    }


def of_person(head: Head, base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """How near the skin of a head may come to its eyes, and how high its lower lids rise freely."""
    middle = head.template[base["eye_ends"].astype(int)].mean(1)[base["ball_side"]]
    rest = np.linalg.norm(head.template[base["ball_vertices"]] - middle, axis=1)
    clear = np.array([_radius(head, n) for n in range(2)])[base["ball_side"]] + CLEAR * 1e-3
    upper, lower = head.template[base["lid_pairs"].astype(int)].reshape(2, -1, 2, 3)[..., 1].transpose(2, 0, 1)  # heights, (2, Q) each
    open_ = np.maximum(upper - lower, 0.5 * (upper - lower).max(1, keepdims=True))
    most = lower - head.template[base["eye_ends"].astype(int)].mean(1)[:, None, 1] + RISE * open_
    return {"ball_least": np.minimum(rest - 2e-5, clear).astype(np.float32), "lid_most": most.ravel().astype(np.float32)}


def _along(head: Head, pairs: np.ndarray) -> np.ndarray:
    """Pairs from the nose outwards."""
    return pairs[np.abs(head.template[pairs[:, 0], 0]).argsort()]


def _ball(head: Head, number: int) -> np.ndarray:
    return np.flatnonzero(head.regions == f"eye_{SIDES[number]}")


def _ends(head: Head, number: int) -> list[int]:
    own = _ball(head, number)
    z = head.template[own, 2]
    return [int(own[z.argmax()]), int(own[z.argmin()])]


def _radius(head: Head, number: int) -> float:
    return float(np.linalg.norm(head.template[_ball(head, number)] - head.eye_centers[number], axis=1).mean())
