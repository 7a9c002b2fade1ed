"""Registers the average head to the neutral face of ICT-FaceKit Light, so that its scanned expressions can be carried over.

Landmark curves (lips, lids, brows, nose, chin) place the head roughly; then every visible vertex is drawn to the nearest point of
the scan while the displacement stays smooth over the mesh (non-rigid ICP with a Laplacian, stiffness falling step by step).
Needed only when ``expressions.npz`` is fitted anew; the head itself is built from that file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.interpolate import RBFInterpolator
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import factorized
from scipy.spatial import cKDTree

from .hair import BROW_LINE, front_hits
from .lips import Opening

FACE_VERTICES = 9409  # ICT vertices of the face proper
LANDMARKS = np.array(
    [
        int(i)
        for i in (
            "1225 1888 1052 367 1719 1722 2199 1447 966 3661 4390 3927 3924 2608 3272 4088 3443 268 493 1914 2044 1401 3615 4240 4114 2734 2509 "
            "978 4527 4942 4857 1140 2075 1147 4269 3360 1507 1542 1537 1528 1518 1511 3742 3751 3756 3721 3725 3732 5708 5695 2081 0 4275 6200 "
            "6213 6346 6461 5518 5957 5841 5702 5711 5533 6216 6207 6470 5517 5966"
        ).split()
    ]
)
"""ICT vertices of the 68 Multi-PIE landmarks (its README)."""
STIFFNESS = (30.0, 10.0, 3.0, 1.0, 0.5)


@dataclass(frozen=True)
class Scan:
    """ICT's neutral face and expressions; centimetres."""

    neutral: np.ndarray
    faces: np.ndarray
    """Triangles of the face proper."""
    expressions: dict[str, np.ndarray]

    @staticmethod
    def load(path) -> Scan:
        with np.load(path, allow_pickle=False) as file:
            quads, step = file["quads"], float(file["step_cm"])
            quads = quads[(quads < FACE_VERTICES).all(axis=1)]
            moves = dict(zip(file["expression_names"].tolist(), file["expressions"][:, :FACE_VERTICES]))
            faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
            return Scan(file["neutral_cm"][:FACE_VERTICES].astype(float), faces, {n: d * step for n, d in moves.items()})

    def curve(self, landmarks: list[int]) -> np.ndarray:
        """(n, 3) points of the shortest walk over mesh edges through landmarks in turn."""
        edges = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        length = np.linalg.norm(self.neutral[edges[:, 0]] - self.neutral[edges[:, 1]], axis=1)
        graph = sp.csr_matrix((length, edges.T), shape=(len(self.neutral),) * 2)
        graph = graph.maximum(graph.T)
        path = [LANDMARKS[landmarks[0]]]
        for goal in LANDMARKS[landmarks[1:]]:
            _, before = dijkstra(graph, indices=path[-1], return_predecessors=True)
            walk = [goal]
            while walk[-1] != path[-1]:
                walk.append(before[walk[-1]])
            path += walk[::-1][1:]
        return self.neutral[path]


def along(curve: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n, 3) points at shares 0..1 of a curve's length."""
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    return np.stack([np.interp(share * walked[-1], walked, curve[:, k]) for k in range(3)], axis=1)


def shares(line: np.ndarray) -> np.ndarray:
    """0..1 length walked at every point of a line (n, 3)."""
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    return walked / walked[-1]


def landmark_pairs(scan: Scan, skin: np.ndarray, faces: np.ndarray, mouth: Opening, lids: dict[str, Opening]):
    """Skin vertices (n,) and the scan's points (n, 3) that mean the same place."""
    vertices, points = [], []

    def pair(line: np.ndarray, curve: np.ndarray) -> None:
        vertices.extend(line)
        points.extend(along(curve, shares(skin[line])))

    def sorted_side(ring: np.ndarray, side: np.ndarray) -> np.ndarray:
        line = ring[side]
        return line[np.argsort(skin[line, 0])]  # the person's right first, as in Multi-PIE

    for ring, upper, lower in (
        (mouth.outer[0], [60, 61, 62, 63, 64], [60, 67, 66, 65, 64]),
        (mouth.outer[5], range(48, 55), [48, 59, 58, 57, 56, 55, 54]),
    ):
        pair(sorted_side(ring, mouth.upper), scan.curve(list(upper)))
        ends = sorted_side(ring, mouth.upper)[[0, -1]]
        line = np.r_[ends[0], sorted_side(ring, mouth.lower[1:-1]), ends[1]]
        inner = scan.curve(lower)
        vertices.extend(line[1:-1])
        points.extend(along(inner, shares(skin[line]))[1:-1])
    for lid, upper, lower in ((lids["right"], [36, 37, 38, 39], [36, 41, 40, 39]), (lids["left"], [42, 43, 44, 45], [42, 47, 46, 45])):
        pair(sorted_side(lid.outer[0], lid.upper), scan.curve(upper))
        line = sorted_side(lid.outer[0], lid.lower)
        vertices.extend(line[1:-1])
        points.extend(along(scan.curve(lower), shares(skin[line]))[1:-1])
    for sign, chosen in ((-1, range(17, 22)), (1, range(26, 21, -1))):  # outer end first
        hit, _ = front_hits(BROW_LINE[::-1] * [sign * 1e-3, 1e-3], skin, faces)
        line = BROW_LINE[::-1] * [sign, 1] * 1e-3
        near = [f[np.linalg.norm(skin[f][:, :2] - p, axis=1).argmin()] for f, p in zip(faces[hit], line)]
        pair(np.array(near), scan.curve(list(chosen)))
    middle = np.flatnonzero((np.abs(skin[:, 0]) < 1e-5) & (skin[:, 2] > 0.03))
    tip = middle[(skin[middle, 1] > -0.03) & (skin[middle, 1] < 0.02)]
    tip = tip[skin[tip, 2].argmax()]
    vertices.append(tip)
    points.append(scan.neutral[LANDMARKS[30]])
    return np.array(vertices), np.array(points)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift of Umeyama's least squares: target = scale * source @ rotation.T + shift."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, singular, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ flip @ vt
    scale = float((singular * np.diag(flip)).sum() / (a * a).sum())
    return scale, rotation, target.mean(0) - scale * source.mean(0) @ rotation.T


def laplacian(faces: np.ndarray, count: int) -> sp.csr_matrix:
    """Uniform graph Laplacian (count, count) of triangles."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = sp.csr_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    graph = ((graph + graph.T) > 0).astype(float)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    return sp.diags(1.0 / np.maximum(degree, 1)) @ (sp.diags(degree) - graph)


def closest_points(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, near: int = 24):
    """Triangle (n,), barycentric coordinates (n, 3) and position (n, 3) of the nearest points of a surface."""
    tree = cKDTree(vertices[faces].mean(axis=1))
    _, candidates = tree.query(points, k=near)
    a, b, c = (vertices[faces[candidates][..., k]] for k in range(3))
    weights = _barycentric(points[:, None], a, b, c)
    at = weights[..., :1] * a + weights[..., 1:2] * b + weights[..., 2:] * c
    best = np.linalg.norm(at - points[:, None], axis=2).argmin(1)
    rows = np.arange(len(points))
    return candidates[rows, best], weights[rows, best], at[rows, best]


def _barycentric(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Barycentric coordinates of the point of triangle abc that is nearest to p (all (..., 3))."""
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = ((u * v).sum(-1) for u, v in ((ab, ab), (ab, ac), (ac, ac)))
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = np.stack([1 - v - w, v, w], -1)
    options, corners = [inside], (a, b, c)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        edge = corners[j] - corners[i]
        t = np.clip(((p - corners[i]) * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-18), 0, 1)
        option = np.zeros(inside.shape)
        option[..., i], option[..., j] = 1 - t, t
        options.append(option)
    distance = [np.linalg.norm(o[..., :1] * a + o[..., 1:2] * b + o[..., 2:] * c - p, axis=-1) for o in options]
    distance[0] = np.where((inside >= 0).all(-1), distance[0], np.inf)
    best = np.argmin(distance, axis=0)
    return np.take_along_axis(np.stack(options), best[None, ..., None], 0)[0]


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit vertex normals."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    out = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(out, faces[:, k], np.cross(b - a, c - a))
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Registration:
    """Where each vertex of the head lies on the scan, and the smooth map from the scan back to the head."""

    triangle: np.ndarray
    weights: np.ndarray
    position: np.ndarray
    """(S, 3) in the scan's centimetres."""
    distance: np.ndarray
    """(S,) centimetres between the fitted head and the scan."""
    turn: np.ndarray
    """(3, 3) from the scan's offsets in centimetres to the head's in metres: rotation and scale."""


def register(scan: Scan, skin: np.ndarray, faces: np.ndarray, visible: np.ndarray, mouth: Opening, lids: dict[str, Opening]) -> Registration:
    """Fit head 0's skin (S, 3) to the scan; ``visible`` (S,) bool are the vertices that the scan has too."""
    vertices, points = landmark_pairs(scan, skin, faces, mouth, lids)
    scale, rotation, shift = similarity(skin[vertices], points)
    at = scale * skin @ rotation.T + shift
    warp = RBFInterpolator(at[vertices], points - at[vertices], kernel="linear", smoothing=0.05, degree=1)
    at = at + warp(at) * np.clip(1.5 - np.linalg.norm(at - points.mean(0), axis=1) / 12, 0, 1)[:, None]
    smooth = laplacian(faces, len(skin))
    smooth = smooth.T @ smooth
    scan_normals = normals(scan.neutral, scan.faces)
    pull_landmarks = np.zeros(len(skin))
    pull_landmarks[vertices] = 1.0
    goal_landmarks = np.zeros_like(skin)
    goal_landmarks[vertices] = points
    for stiffness in STIFFNESS:
        for _ in range(4):
            triangle, weights, near = closest_points(at, scan.neutral, scan.faces)
            facing = (normals(at, faces) * (weights[..., None] * scan_normals[scan.faces[triangle]]).sum(1)).sum(1)
            pull = visible * (facing > 0.5) * (np.linalg.norm(near - at, axis=1) < 1.0)
            pull = np.where(pull_landmarks > 0, 0, pull).astype(float)
            solve = factorized((stiffness * smooth + sp.diags(pull + pull_landmarks + 1e-4)).tocsc())
            goal = pull[:, None] * (near - at) + pull_landmarks[:, None] * (goal_landmarks - at)
            at = at + np.stack([solve(goal[:, k]) for k in range(3)], axis=1)
    triangle, weights, near = closest_points(at, scan.neutral, scan.faces)
    return Registration(triangle, weights, near, np.linalg.norm(near - at, axis=1), rotation / scale)


def carried(registration: Registration, scan: Scan, expression: np.ndarray) -> np.ndarray:
    """(S, 3) offsets in metres of a scanned expression (FACE_VERTICES, 3) at the head's vertices."""
    corners = scan.faces[registration.triangle]
    return (registration.weights[..., None] * expression[corners]).sum(axis=1) @ registration.turn


def smoothed(offsets: np.ndarray, where: np.ndarray, faces: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Offsets (S, 3), those of the vertices ``where`` half way to the mean of their neighbours, ``rounds`` times."""
    rough = laplacian(faces, len(offsets))
    out = offsets.copy()
    for _ in range(rounds):
        out[where] -= (rough @ out)[where] / 2
    return out


def extended(offsets: np.ndarray, known: np.ndarray, faces: np.ndarray, reach: float = 4.0) -> np.ndarray:
    """Offsets (S, 3) of the ``known`` (S,) vertices continued into the others, where they fade over about ``reach`` edges."""
    smooth = laplacian(faces, len(offsets)) + sp.identity(len(offsets)) / reach**2
    rest = np.flatnonzero(~known)
    solve = factorized(smooth[rest][:, rest].tocsc())
    flow = smooth[rest][:, np.flatnonzero(known)] @ offsets[known]
    out = offsets.copy()
    out[rest] = np.stack([solve(-flow[:, k]) for k in range(3)], axis=1)
    return out
