"""Shoulders in a T-shirt below the neck, so that the head is a bust and not a cut shell."""

from __future__ import annotations

import numpy as np

from .people import PEOPLE
from .shown import Heads, Piece, rows_of, smoothstep

SECTORS = 84
# Rings below the neck as shares of the way out to the shoulder; beyond 1 they go straight down (mm / 100).
LEVELS = np.array([0, 0.05, 0.11, 0.17, 0.20, 0.215, 0.235, 0.30, 0.40, 0.50, 0.60, 0.70, 0.78, 0.85, 0.91, 0.96, 0.99, 1.0, 1.4, 2.0])
HALF_WIDTH, HALF_DEPTH, MIDDLE = 205.0, 104.0, -50.0
COLLAR = 0.205


def bust(heads: Heads) -> Piece:
    """Rings from the open edge of the neck to a flat cut at the chest; the first ring is the edge itself."""
    head = heads.average
    loop = head.boundary
    n = len(loop)
    mm = head.template[loop] * 1e3
    turn = np.arctan2(mm[:, 0], mm[:, 2] - mm[:, 2].mean())
    order = np.argsort(turn)
    loop, turn, mm = loop[order], turn[order], mm[order]
    around = np.linspace(-np.pi, np.pi, SECTORS, endpoint=False)
    at = np.searchsorted(turn, around) % n
    before = (at - 1) % n
    span = (turn[at] - turn[before]) % (2 * np.pi)
    share = np.clip(((around - turn[before] + 1e-6) % (2 * np.pi)) / np.maximum(span, 1e-9), 0, 1)
    rows0 = rows_of(np.column_stack([loop[before], loop[at]]), np.column_stack([1 - share, share]), len(head.template))
    rings, rest = len(LEVELS), np.asarray(rows0 @ head.template) * 1e3
    out = np.column_stack([np.sin(around), np.cos(around)])  # x, z
    places = []
    for one in heads.all:
        edge = np.asarray(rows0 @ one.template) * 1e3
        places.append(_rings(edge, out) * 1e-3)
    # the first rings ride on the neck, the others stand still with the skull
    indices = np.tile(np.column_stack([loop[before], loop[at]]), (rings, 1))
    weights = np.tile(np.column_stack([1 - share, share]), (rings, 1))
    rows = rows_of(indices, weights, len(head.template))
    bottom = places[0].reshape(rings, SECTORS, 3)
    index = np.arange(rings * SECTORS).reshape(rings, SECTORS)
    index = np.concatenate([index, index[:, :1]], 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([a, c, b, a, d, c], -1).reshape(-1, 3)
    p = bottom.reshape(-1, 3)
    outside = p - p.mean(0)
    if (np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]]) * outside[faces[:, 0]] * [1, 0, 1]).sum() < 0:
        faces = faces[:, ::-1]
    assert rest.shape == (SECTORS, 3)
    cloth = np.repeat(LEVELS, SECTORS) > COLLAR
    colors = []
    for one, style in zip(heads.all, PEOPLE):
        tone = np.median(one.colors[: one.skin_count][heads.names == "neck"], axis=0).astype(float) * [1.02, 1.0, 0.985]
        shirt = np.array(style.shirt, float)
        colors.append(np.where(cloth[:, None], shirt, tone))
    regions = np.where(cloth, "shirt", "bust")
    return Piece(regions, rows, faces, colors, places)


def _rings(edge: np.ndarray, out: np.ndarray) -> np.ndarray:
    """(rings * SECTORS, 3) mm: from the neck over trapezius and chest to round shoulders."""
    wide = np.sign(out) * np.abs(out) ** 0.80
    goal = np.column_stack([HALF_WIDTH * wide[:, 0] + edge[:, 0].mean(), edge[:, 1], HALF_DEPTH * wide[:, 1] + MIDDLE])
    side = np.abs(out[:, 0]) ** 1.6
    ahead = np.clip(out[:, 1], 0, 1) ** 2
    level_y = edge[:, 1].mean() - 4
    rings = []
    for level in LEVELS:
        u = min(level, 1.0)
        ring = edge + (goal - edge) * u * (u + 0.004) / (u + 0.07) * 1.066  # leaves the neck the way the neck comes down
        round_ = 1 - np.sqrt(max(0.0, 1 - max(0.0, (u - 0.62) / 0.38) ** 2))
        slope = 46 * u**0.62 + 78 * round_
        chest = 74 * u**0.9 + 46 * round_
        back = 40 * u**0.8 + 78 * round_
        drop = side * slope + (1 - side) * (ahead * chest + (1 - ahead) * back)
        ring[:, 1] = edge[:, 1] + (level_y - edge[:, 1]) * smoothstep(u, 0, 0.7) - drop
        if level > 1:
            ring[:, 1] -= (level - 1) * 100
        bump = 2.2 * np.exp(-(((level - 0.225) / 0.012) ** 2))  # the hem of the collar
        ring += bump * np.column_stack([out[:, 0] * 0.4, np.full(len(out), 0.9), out[:, 1] * 0.4])
        rings.append(ring)
    return np.concatenate(rings)
