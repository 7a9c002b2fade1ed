"""The rasteriser for places without numba: the same pictures in plain numpy, about ten times slower."""

from __future__ import annotations

import numpy as np

from .shading import FAR, SAMPLES, SRGB_TABLE, shade, vertex_normals

__all__ = ["depth", "draw", "vertex_normals"]

_BLOCK = 1 << 21  # tests (triangle, pixel) held in memory at a time


class _Triangles:
    """Screen triangles as affine functions: weights of corners b and c, and depth, at any point of the picture."""

    def __init__(self, screen: np.ndarray, faces: np.ndarray, keep: np.ndarray):
        self.index = np.flatnonzero(keep)
        a, b, c = (screen[faces[self.index, k]] for k in range(3))
        self.a, self.ab, self.ac = a, b - a, c - a
        inverse = 1 / (self.ab[:, 0] * self.ac[:, 1] - self.ab[:, 1] * self.ac[:, 0])
        self.wb = np.stack([self.ac[:, 1], -self.ac[:, 0]], 1) * inverse[:, None]
        self.wc = np.stack([-self.ab[:, 1], self.ab[:, 0]], 1) * inverse[:, None]
        corners = np.stack([a, b, c])[:, :, :2]
        self.low, self.high = np.floor(corners.min(0)).astype(np.int64), np.ceil(corners.max(0)).astype(np.int64)


def _signed_area(screen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (screen[faces[:, k]] for k in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _hits(triangles: _Triangles, width: int, height: int, offset: np.ndarray):
    """Yields (triangle, pixel, z) arrays of the samples at ``offset`` in each pixel that lie in a triangle.

    Triangles are grouped by the size of their box, so that each group is one array operation.
    """
    low = np.maximum(triangles.low, 0)
    size = np.minimum(triangles.high, [width, height]) - low
    visible = (size > 0).all(1)
    rounded = np.where(size <= 8, size, (size + 7) // 8 * 8)
    group = np.where(visible, rounded[:, 0] * (1 << 20) + rounded[:, 1], -1)
    order = np.argsort(group, kind="stable")
    names, starts = np.unique(group[order], return_index=True)
    for name, members in zip(names, np.split(order, starts[1:])):
        if name < 0:
            continue
        columns, rows = np.arange(name >> 20), np.arange(name & ((1 << 20) - 1))
        step = max(1, _BLOCK // (len(columns) * len(rows)))
        for part in (members[i : i + step] for i in range(0, len(members), step)):
            origin = (low[part] + offset - triangles.a[part, :2]).astype(np.float32)
            dx, dy = origin[:, 0, None] + columns.astype(np.float32), origin[:, 1, None] + rows.astype(np.float32)
            wb = (triangles.wb[part, 0, None] * dx)[:, None] + (triangles.wb[part, 1, None] * dy)[:, :, None]
            wc = (triangles.wc[part, 0, None] * dx)[:, None] + (triangles.wc[part, 1, None] * dy)[:, :, None]
            inside = (wb >= 0) & (wc >= 0) & (wb + wc <= 1)
            which, row, column = np.nonzero(inside)
            x, y = low[part[which], 0] + column, low[part[which], 1] + row
            on = (x < width) & (y < height)
            which, wb, wc, pixel = part[which[on]], wb[inside][on], wc[inside][on], (y * width + x)[on]
            yield which, pixel, triangles.a[which, 2] + wb * triangles.ab[which, 2] + wc * triangles.ac[which, 2]


def depth(screen: np.ndarray, faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width) largest z of any triangle at each pixel centre, FAR where there is none."""
    nearest = np.full(height * width, FAR, np.float32)
    triangles = _Triangles(screen, faces, np.abs(_signed_area(screen, faces)) >= 1e-6)
    for _, pixel, z in _hits(triangles, width, height, np.array([0.5, 0.5])):
        np.maximum.at(nearest, pixel, z.astype(np.float32))
    return nearest.reshape(height, width)


def draw(screen: np.ndarray, attributes: np.ndarray, faces: np.ndarray, two_sided: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Picture of a mesh; the arguments and the result are those of ``raster_numba.draw``."""
    height, width = background.shape[:2]
    area = _signed_area(screen, faces)
    triangles = _Triangles(screen, faces, (np.abs(area) >= 1e-6) & ((area < 0) | two_sided))
    owner = np.full((len(SAMPLES), height * width), -1, np.int64)
    scale = 2.0**30 / max(float(screen[:, 2].max()), 1e-30)
    for sample, offset in enumerate(SAMPLES):
        # One integer holds depth (high bits) and triangle (low bits), so that a maximum is the depth test.
        best = np.zeros(height * width, np.uint64)
        for which, pixel, z in _hits(triangles, width, height, offset):
            code = (np.maximum(z, 0) * scale).astype(np.uint64) << np.uint64(32) | which.astype(np.uint64)
            np.maximum.at(best, pixel, code + np.uint64(1))
        hit = best > 0
        owner[sample, hit] = ((best[hit] - np.uint64(1)) & np.uint64(0xFFFFFFFF)).astype(np.int64)
    covered = np.flatnonzero((owner >= 0).any(0))
    owner[:, covered] = _merge(owner[:, covered], faces[triangles.index])
    colors = np.tile(background.reshape(1, -1, 3), (len(SAMPLES), 1, 1))
    pair = np.where(owner[:, covered] >= 0, covered * (len(faces) + 1) + owner[:, covered], -1)
    unique, back = np.unique(pair, return_inverse=True)
    back = back.reshape(pair.shape)
    shaded = np.zeros((len(unique), 3), np.float32)
    real = unique >= 0
    shaded[real] = _shade_pairs(screen, attributes, faces, triangles, width, *np.divmod(unique[real], len(faces) + 1))
    colors[:, covered] = np.where((pair >= 0)[..., None], shaded[back], colors[:, covered])
    return SRGB_TABLE[(colors.mean(0) * 4095 + 0.5).astype(np.int64)].reshape(height, width, 3)


def _merge(owner: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(4, n) triangle of each sample; one that shares a vertex with an earlier sample's is replaced by it.

    Neighbours blend into each other without a seam, so one of them is shaded for both.
    """
    mixed = np.flatnonzero((owner != owner[0]).any(0))
    part = owner[:, mixed]
    free = np.ones(part.shape, bool)
    for sample in range(len(part)):
        for other in range(sample + 1, len(part)):
            where = np.flatnonzero(free[sample] & free[other] & (part[sample] >= 0) & (part[other] >= 0))
            a, b = corners[part[sample, where]], corners[part[other, where]]
            where = where[(a[:, :, None] == b[:, None, :]).any((1, 2))]
            part[other, where], free[other, where] = part[sample, where], False
    owner[:, mixed] = part
    return owner


def _shade_pairs(screen, attributes, faces, triangles, width, pixel, which):
    """(n, 3) linear colours of triangles ``which`` seen at the centres of ``pixel``."""
    dx = (pixel % width) + np.float32(0.5) - triangles.a[which, 0]
    dy = (pixel // width) + np.float32(0.5) - triangles.a[which, 1]
    wb = np.clip(triangles.wb[which, 0] * dx + triangles.wb[which, 1] * dy, 0, 1)
    wc = np.clip(triangles.wc[which, 0] * dx + triangles.wc[which, 1] * dy, 0, 1 - wb)
    corners = faces[triangles.index[which]]
    weights = np.stack([1 - wb - wc, wb, wc], 1) * screen[corners, 2]
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    mixed = np.einsum("nk,nkd->nd", weights, attributes[corners])
    normals = mixed[:, :3] / np.sqrt((mixed[:, :3] ** 2).sum(1, keepdims=True) + 1e-12)
    back = triangles.ab[which, 0] * triangles.ac[which, 1] - triangles.ab[which, 1] * triangles.ac[which, 0] > 0
    return shade(np.where(back[:, None], -normals, normals), mixed[:, 3:6], mixed[:, 6], mixed[:, 7])
