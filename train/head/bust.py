"""Shoulders in a T-shirt below the neck, so that the head is a bust and not a cut shell."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.sparse import vstack

from .people import PEOPLE
from .shown import Heads, Piece, smoothstep

# Rings below the neck as shares of the way out to the shoulder; beyond 1 they go straight down (mm / 100).
LEVELS = np.array([0, 0.05, 0.11, 0.17, 0.20, 0.215, 0.235, 0.30, 0.40, 0.50, 0.60, 0.70, 0.78, 0.85, 0.91, 0.96, 0.99, 1.0, 1.4, 2.0])
HALF_WIDTH, HALF_DEPTH, MIDDLE = 205.0, 104.0, -50.0
COLLAR = 0.205


def bust(heads: Heads) -> Piece:
    """Rings from the open edge of the neck to a flat cut at the chest. The first ring is the refined skin's own edge: no seam, in shape or in light."""
    edge = _edge(heads)
    rows = heads.refined.matrix.tocsr()[edge]
    rows.resize(len(edge), len(heads.average.template))
    mm = np.asarray(rows @ heads.average.template) * 1e3
    around = np.arctan2(mm[:, 0], mm[:, 2] - mm[:, 2].mean())
    out = np.column_stack([np.sin(around), np.cos(around)])  # x, z
    places = [_rings(np.asarray(rows @ one.template) * 1e3, out)[len(edge) :] * 1e-3 for one in heads.all]
    count, rings = len(edge), len(LEVELS) - 1
    index = np.concatenate([~edge[None], np.arange(rings * count).reshape(rings, count)])
    index = np.concatenate([index, index[:, :1]], 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([a, c, b, a, d, c], -1).reshape(-1, 3)
    p, own = places[0], faces[(faces >= 0).all(1)]
    outside = p - p.mean(0)
    if (np.cross(p[own[:, 1]] - p[own[:, 0]], p[own[:, 2]] - p[own[:, 0]]) * outside[own[:, 0]] * [1, 0, 1]).sum() < 0:
        faces = faces[:, ::-1]
    cloth = np.repeat(LEVELS[1:], count) > COLLAR
    colors = []
    for one, style in zip(heads.all, PEOPLE):
        tone = np.median(one.colors[: one.skin_count][heads.names == "neck"], axis=0).astype(float) * [1.02, 1.0, 0.985]
        shirt = np.array(style.shirt, float)
        colors.append(np.where(cloth[:, None], shirt, tone))
    return Piece(np.where(cloth, "shirt", "bust"), vstack([rows] * rings).tocsr(), faces, colors, places)


def _edge(heads: Heads) -> np.ndarray:
    """Vertices of the refined skin along the open edge of the neck, in order."""
    edges = heads.refined.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    pairs, uses = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    beside: dict[int, list[int]] = defaultdict(list)
    for a, b in pairs[uses == 1].tolist():
        beside[a].append(b)
        beside[b].append(a)
    loop = [min(beside)]
    while len(loop) < len(beside):
        loop.append(next(v for v in beside[loop[-1]] if v not in loop))
    return np.array(loop)


def _rings(edge: np.ndarray, out: np.ndarray) -> np.ndarray:
    """(rings * len(edge), 3) mm: from the neck over trapezius and chest to round shoulders."""
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
