"""Brows of single hairs with a direction, over a soft shade: they ride on the skin and carry much of an expression."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from .people import PEOPLE, Style
from .shown import SIDES, Heads, Piece, blend, rows_of, smoothstep

# Middle line of the left brow on the average head (x, y) and its half thickness, mm, from the nose outwards
LINE = np.array([[11.5, 37.3], [17, 38.7], [26, 40.6], [35, 41.6], [43, 40.2], [52.0, 35.0]])
HALF = np.array([1.7, 2.6, 2.7, 2.3, 1.6, 0.7])
HAIRS, LENGTH, WIDTH = 260, 7.0, 0.30
LIFT = (0.06, 0.40)
"""Height of root and middle of a hair above the skin, mm."""
FADE = (0.9, 0.9, 1.0, 1.0, 0.45)
"""Share of its own colour at the corners of a hair: its tip is lost in the skin."""


class Front:
    """The average head's refined skin seen from the front: triangle and shares under any (x, y)."""

    def __init__(self, heads: Heads):
        skin = heads.skin(heads.average)
        names = heads.names[np.asarray(heads.refined.matrix.argmax(1)).ravel()]
        self.all_faces = faces = heads.refined.faces
        a, b, c = (skin[faces[:, k]] for k in range(3))
        ahead = np.cross(b - a, c - a)[:, 2] > 0
        seen = ~np.isin(names[faces], ("mouth_cavity", "eye_socket_left", "eye_socket_right")).any(1)
        self.faces = faces[ahead & seen]
        self.skin = skin
        self.tree = cKDTree(skin[self.faces].mean(1)[:, :2])

    def hit(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) fine vertices of the triangles under points (n, 2), metres, and the shares (n, 3) of their corners."""
        _, near = self.tree.query(points, k=24)
        a, b, c = (self.skin[self.faces[near, k]] for k in range(3))
        p = points[:, None]
        area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        u = ((p[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (p[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])) / area
        v = ((b[..., 0] - a[..., 0]) * (p[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (p[..., 0] - a[..., 0])) / area
        outside = np.maximum(np.maximum(-u, -v), u + v - 1) > 1e-9
        height = a[..., 2] + u * (b[..., 2] - a[..., 2]) + v * (c[..., 2] - a[..., 2])
        best = (np.where(outside, -1e3, 0) + height).argmax(1)  # the foremost triangle that holds the point
        row = np.arange(len(points))
        u, v = u[row, best], v[row, best]
        return self.faces[near[row, best]], np.column_stack([1 - u - v, u, v])


def _middle(style: Style):
    knots = np.r_[0, np.cumsum(np.linalg.norm(np.diff(LINE, axis=0), axis=1))]
    knots /= knots[-1]
    x, y, half = (np.polynomial.Polynomial.fit(knots, values, 4) for values in (LINE[:, 0], LINE[:, 1], HALF))
    rise = lambda s: style.arch * np.sin(np.pi * np.clip((s - 0.25) / 0.75, 0, 1))
    return lambda s: np.column_stack([x(s), y(s) + rise(s)]), lambda s: style.brow * np.maximum(half(s), 0.7)


def hairs(style: Style) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 3, 2) roots, middles and tips of the left brow's hairs (x, y) in mm, (n,) their width and (n,) how strong each is, 0..1:
    a brow begins and ends with thin, pale hairs."""
    rng = np.random.default_rng(5)  # the same hairs for everybody: only the line and its thickness differ
    s = np.sort(rng.beta(1.05, 1.1, HAIRS))
    across = rng.uniform(-1, 1, HAIRS)
    middle, half = _middle(style)
    ahead = middle(s + 0.01) - middle(s - 0.01)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    up = np.column_stack([-ahead[:, 1], ahead[:, 0]])
    root = middle(s) + (across * half(s) * (0.72 + 0.28 * smoothstep(s, 0, 0.2)))[:, None] * up
    # hairs at the nose stand up; further out they lie down along the brow, the upper ones pointing down, the lower ones up
    rise = np.radians(
        18 * (1 - smoothstep(s, 0, 0.30)) + 16 - 36 * smoothstep(across, -0.5, 1.0) * smoothstep(s, 0.08, 0.35) + rng.normal(0, 6, HAIRS)
    )
    grow = np.cos(rise)[:, None] * ahead + np.sin(rise)[:, None] * up
    reach = LENGTH * (0.42 + 0.58 * smoothstep(s, 0, 0.3)) * rng.uniform(0.75, 1.1, HAIRS) * (0.72 + 0.28 * style.brow)
    bend = np.radians(-14) * smoothstep(s, 0, 0.3)
    later = np.stack([np.cos(bend) * grow.T[0] - np.sin(bend) * grow.T[1], np.sin(bend) * grow.T[0] + np.cos(bend) * grow.T[1]], 1)
    center = root + 0.5 * reach[:, None] * grow
    tip = center + 0.5 * reach[:, None] * later
    strength = smoothstep(s, -0.08, 0.30) * (1 - 0.45 * smoothstep(s, 0.8, 1.0)) * (1 - 0.5 * smoothstep(np.abs(across), 0.4, 1.0))
    return np.stack([root, center, tip], 1), WIDTH * rng.uniform(0.8, 1.2, HAIRS) * (0.7 + 0.3 * strength), strength


def _blades(style: Style) -> tuple[np.ndarray, np.ndarray]:
    """(5 n, 2) corners of the hairs in mm and (5 n,) their height above the skin."""
    path, width, _ = hairs(style)
    side = path[:, 2] - path[:, 0]
    side = np.column_stack([-side[:, 1], side[:, 0]]) / np.linalg.norm(side, axis=1, keepdims=True)
    wide = (width / 2)[:, None] * side
    corners = np.stack([path[:, 0] - 0.8 * wide, path[:, 0] + 0.8 * wide, path[:, 1] - wide, path[:, 1] + wide, path[:, 2]], 1)
    return corners.reshape(-1, 2), np.tile([LIFT[0], LIFT[0], LIFT[1], LIFT[1], LIFT[0]], len(path))


def brows(heads: Heads, front: Front) -> list[Piece]:
    return [_brow(heads, front, side) for side in SIDES]


def _brow(heads: Heads, front: Front, side: str) -> Piece:
    sign = 1 if side == "left" else -1
    blade = np.array([[0, 2, 3], [0, 3, 1], [2, 4, 3]])
    faces = np.concatenate([blade + 5 * n for n in range(HAIRS)])
    places, colors, rows = [], [], None
    rng = np.random.default_rng(11)
    shade = np.repeat(rng.uniform(0.60, 1.38, HAIRS), 5) * np.tile([0.92, 0.92, 1.0, 1.0, 1.1], HAIRS)
    for head, style in zip(heads.all, PEOPLE):
        corners, height = _blades(style)
        on, shares = front.hit(corners * [sign * 1e-3, 1e-3])
        if rows is None:
            rows = _heaviest(rows_of(on, shares, len(front.skin)) @ heads.refined.matrix)
            rows.resize(rows.shape[0], len(heads.average.template))
        skin = heads.skin(head)
        normals = _normals(skin, heads.refined.faces)
        mix = lambda values: (values[on] * shares[..., None]).sum(1)
        away = mix(normals)
        places.append(mix(skin) + height[:, None] * 1e-3 * away / np.linalg.norm(away, axis=1, keepdims=True))
        tone = np.median(head.colors[: head.skin_count][heads.names == "forehead"], axis=0)
        strength = np.repeat(hairs(style)[2], 5) * np.tile(FADE, HAIRS)
        colors.append(blend(style.brows * shade[:, None], tone, 0.85 * (1 - strength)))
    p = places[0]
    if np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]])[:, 2].sum() < 0:
        faces = faces[:, ::-1]
    return Piece(np.full(len(p), f"brow_hair_{side}"), rows.tocsr(), faces, colors, places)


def _heaviest(rows: csr_matrix, count: int = 8) -> csr_matrix:
    """The ``count`` largest weights of every row, for the same sum, in steps of 1/1024: what a hair rides on is felt no further and no finer."""
    indices, weights = [], []
    for row in rows.tocsr():
        keep = np.argsort(-row.data, kind="stable")[:count]
        indices.append(np.resize(row.indices[keep], count))
        share = np.rint(row.data[keep] / row.data[keep].sum() * 1024) / 1024
        share[0] += 1 - share.sum()
        weights.append(np.pad(share, (0, count - len(keep))))
    return rows_of(np.array(indices), np.array(weights), rows.shape[1])


def brow_shade(points: np.ndarray, style: Style) -> np.ndarray:
    """(n,) share of hair colour on skin points (n, 3), mm on the average head: the shade between the hairs."""
    share = np.zeros(len(points))
    near = np.flatnonzero((points[:, 2] > 15) & (np.abs(points[:, 1] - 40) < 14))
    middle, half = _middle(style)
    s = np.linspace(0.02, 0.97, 120)
    away = np.column_stack([np.abs(points[near, 0]), points[near, 1]])
    distance, nearest = cKDTree(middle(s)).query(away)
    thick = distance / half(s)[nearest]
    ends = 0.30 + 0.70 * smoothstep(s, 0.0, 0.28)[nearest]
    share[near] = 0.52 * ends * (1 - smoothstep(thick, 0.35, 1.7))
    return share


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    from emoface.export.shading import vertex_normals

    return vertex_normals(vertices, faces)
