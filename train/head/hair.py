"""Brows and upper lashes: thin meshes that ride on skin triangles, so that they follow every motion of the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .lips import Opening
from .parts import Part, frame_coordinates, grid_faces

# Middle line of the left brow on the average head (x, y) and its half thickness, mm, from the nose outwards
BROW_LINE = np.array([[8.5, 37.2], [15, 39.0], [24, 40.9], [33, 41.6], [41, 40.0], [49.5, 35.2]])
BROW_HALF = np.array([2.3, 3.1, 3.0, 2.6, 1.9, 0.8])
BROW_STATIONS, BROW_ROWS = 34, 7
BROW_HEIGHT = 0.45  # mm above the skin in the middle
LASH_COUNT, LASH_LENGTH = 24, 3.8


@dataclass(frozen=True)
class Riding:
    """A part on the skin: triangle (n, 3) and frame coordinates (n, 3) of every vertex."""

    part: Part
    triangles: np.ndarray
    coordinates: np.ndarray


def _ride(region: str, vertices, faces, triangles, skin) -> Riding:
    return Riding(Part(region, vertices, faces), triangles, frame_coordinates(skin, triangles, vertices))


def front_hits(points: np.ndarray, skin: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skin triangle (n,) and point (n, 3) first met from the front at (x, y)."""
    a, b, c = (skin[faces[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    hits, where = [], []
    for x, y in points:
        u = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
        v = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / area
        inside = (area > 1e-12) & (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9)
        z = np.where(inside, a[:, 2] + u * (b[:, 2] - a[:, 2]) + v * (c[:, 2] - a[:, 2]), -np.inf)
        hits.append(int(z.argmax()))
        where.append([x, y, z.max()])
    return np.array(hits), np.array(where)


def brow_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 2) left-brow points in metres, (n,) share of the length and (n,) -1..1 from lower to upper border."""
    s = np.linspace(0, 1, BROW_STATIONS)
    knots = np.r_[0, np.cumsum(np.linalg.norm(np.diff(BROW_LINE, axis=0), axis=1))]
    knots /= knots[-1]
    # a smooth polynomial through the knots: the brow must not show corners
    x, y = (np.polynomial.Polynomial.fit(knots, BROW_LINE[:, k], 4) for k in (0, 1))
    half = np.polynomial.Polynomial.fit(knots, BROW_HALF, 4)
    tangent = np.stack([x.deriv()(s), y.deriv()(s)], 1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    across = np.linspace(-1, 1, BROW_ROWS)
    center = np.stack([x(s), y(s)], 1)
    points = center[:, None] + across[None, :, None] * (1.3 * np.maximum(half(s), 0.5))[:, None, None] * normal[:, None]
    return points.reshape(-1, 2) * 1e-3, np.repeat(s, BROW_ROWS), np.tile(across, BROW_STATIONS)


def brow(side: str, skin: np.ndarray, faces: np.ndarray) -> Riding:
    """A soft cushion of hair; its border lies just under the skin, so it has no visible edge."""
    points, s, across = brow_grid()
    sign = 1 if side == "left" else -1
    hit, where = front_hits(points * [sign, 1], skin, faces)
    a, b, c = (skin[faces[hit, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    ends = np.clip(np.minimum(s, 1 - s) / 0.06, 0, 1)
    height = 1e-3 * ((BROW_HEIGHT + 0.35) * (1 - np.abs(across) ** 1.5) * ends - 0.35)
    grid = grid_faces(BROW_STATIONS, BROW_ROWS)
    vertices = where + height[:, None] * normal
    first = vertices[grid[:, 1]] - vertices[grid[:, 0]]
    second = vertices[grid[:, 2]] - vertices[grid[:, 0]]
    if np.cross(first, second)[:, 2].mean() < 0:
        grid = grid[:, ::-1]
    return _ride(f"brow_hair_{side}", vertices, grid, faces[hit], skin)


def lashes(side: str, skin: np.ndarray, faces: np.ndarray, lid: Opening) -> Riding:
    """Upper lashes: tapered blades along the front edge of the lid, longest towards the outer corner, fanning out."""
    margin, outer = lid.outer[2][lid.upper], lid.outer[3][lid.upper]
    line = skin[margin]
    order = np.argsort(np.abs(line[:, 0]))  # from the nose outwards
    margin, outer, line = margin[order], outer[order], line[order]
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    walked /= walked[-1]
    sign = 1 if side == "left" else -1
    vertices, used = [], []
    ring = set(margin) | set(outer)
    near = faces[[len(ring & set(f)) == 3 for f in faces.tolist()]]
    centers = skin[near].mean(axis=1)
    for s in np.linspace(0.10, 0.97, LASH_COUNT):

        def root(at: float) -> np.ndarray:
            return np.array([np.interp(at, walked, line[:, k]) for k in range(3)])

        width = 0.011
        fan = sign * (s - 0.42) * 1.0
        direction = np.array([fan, 0.42, 0.9])
        direction /= np.linalg.norm(direction)
        length = 1e-3 * LASH_LENGTH * (0.55 + 0.45 * np.sin(np.pi * s**1.3))
        middle = root(s) + 0.5 * length * direction * [1, 0.75, 1]
        tip = root(s) + length * (direction + [0, 0.25, -0.1])
        blade = [root(s - width), root(s + width), middle, tip]
        triangle = near[np.linalg.norm(centers - root(s), axis=1).argmin()]
        vertices += blade
        used += [triangle] * 4
    start = 4 * np.arange(LASH_COUNT)[:, None]
    blades = np.stack([start + [0, 1, 2], start + [0, 2, 3], start + [2, 1, 3]], 1).reshape(-1, 3)
    return _ride(f"lashes_{side}", np.array(vertices), blades, np.array(used), skin)
