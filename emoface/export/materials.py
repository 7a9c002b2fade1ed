"""What each vertex is made of: gloss, how open to the light it is, and which triangles are seen from both sides."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .shading import vertex_normals

CLAY = (205, 180, 165)
"""sRGB of heads without colours."""
GLOSS = {
    "eye": 1.0,
    "teeth": 0.55,
    "tongue": 0.45,
    "lips": 0.35,
    "nose": 0.16,
    "forehead": 0.13,
    "eyelid": 0.12,
    "eye_socket": 0.1,
    "mouth_cavity": 0.0,
    "brow_hair": 0.02,
    "lashes": 0.02,
    "hair": 0.02,
    "scalp": 0.03,
    "tears": 0.8,
    "shirt": 0.0,
}
"""By the beginning of the region's name, the longest that fits; all other skin has 0.1."""
OPEN_AT_LEAST = {"eye_socket": 0.25, "eye": 0.62, "teeth": 0.5, "tongue": 0.4, "lips": 0.6, "mouth_cavity": 0.10, "brow_hair": 0.7, "lashes": 0.5}
"""Occlusion is computed once, on the closed mouth and the open eyes: what motion uncovers must not stay black."""


def _lookup(regions: np.ndarray, table: dict[str, float], default: float) -> np.ndarray:
    names, index = np.unique(regions, return_inverse=True)

    def value(name):
        matches = [key for key in table if str(name).startswith(key)]
        return table[max(matches, key=len)] if matches else default

    return np.array([value(name) for name in names], np.float32)[index]


def gloss(count: int, regions: np.ndarray | None) -> np.ndarray:
    """(V,) in [0, 1]: 0 is matt, 1 a wet eye."""
    if regions is None:
        return np.full(count, 0.12, np.float32)
    return _lookup(regions, GLOSS, 0.1)


def components(count: int, faces: np.ndarray) -> np.ndarray:
    """(V,) number of the connected piece of each vertex."""
    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    return connected_components(coo_matrix((np.ones(len(edges), bool), edges.T), shape=(count, count)), directed=False)[1]


def outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces, turned round if the mesh as a whole is inside out (negative volume)."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) - vertices.mean(0) for k in range(3))
    return faces if np.einsum("fk,fk->", a, np.cross(b, c)) >= 0 else np.ascontiguousarray(faces[:, ::-1])


def two_sided(count: int, faces: np.ndarray) -> np.ndarray:
    """(F,) bool: triangles of open pieces, such as a strip of teeth; the largest piece, the skin, is one-sided."""
    label = components(count, faces)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, uses = np.unique(edges[:, 0] * np.int64(count) + edges[:, 1], return_counts=True)
    is_open = np.isin(label, label[unique[uses == 1] // count])
    names, sizes = np.unique(label, return_counts=True)
    return (is_open & (label != names[sizes.argmax()]))[faces[:, 0]]


def ambient_visibility(
    vertices: np.ndarray, faces: np.ndarray, regions: np.ndarray | None, raster, *, directions: int = 64, size: int = 160
) -> np.ndarray:
    """(V,) in [0, 1]: 1 - ambient occlusion of the head at rest.

    Each direction draws a depth map of the head and asks which vertices it reaches; the answer is the cosine-weighted
    mean. ``raster`` is the module with ``depth``.
    """
    vertices = np.ascontiguousarray(vertices - vertices.mean(0), np.float32)
    radius = float(np.linalg.norm(vertices, axis=1).max())
    vertices /= radius
    normals = vertex_normals(vertices, faces)
    seen, total = np.zeros(len(vertices), np.float32), np.full(len(vertices), 1e-6, np.float32)
    k = np.arange(directions) + 0.5
    polar, turn = np.arccos(1 - 2 * k / directions), np.pi * (1 + 5**0.5) * k
    for z in np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1):
        x = np.cross(z, [1, 0, 0] if abs(z[0]) < 0.9 else [0, 1, 0])
        x /= np.linalg.norm(x)
        axes = np.stack([x, np.cross(z, x), z]).astype(np.float32)
        turned = vertices @ axes.T
        turned[:, :2] = (turned[:, :2] + 1) * (size / 2)
        depth = raster.depth(np.ascontiguousarray(turned, np.float32), faces, size, size)
        column, row = np.clip(turned[:, :2].astype(np.int64), 0, size - 1).T
        weight = np.maximum(normals @ z.astype(np.float32), 0)
        seen += weight * (turned[:, 2] >= depth[row, column] - 0.03)
        total += weight
    result = seen / total
    result = _smooth(result, faces)
    least = 0.25
    if regions is not None:
        least = _lookup(regions, OPEN_AT_LEAST, 0.25)
    else:
        label = components(len(vertices), faces)
        names, sizes = np.unique(label, return_counts=True)
        least = np.where(label == names[sizes.argmax()], 0.25, 0.62)
    return np.maximum(result, least).astype(np.float32)


def _smooth(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Each vertex's mean with its neighbours: hides the grain of a few dozen directions."""
    count = np.bincount(faces.ravel(), minlength=len(values)) + 1
    mean = values[faces].mean(1)
    return (values + np.bincount(faces.ravel(), np.repeat(mean, 3), len(values))) / count
