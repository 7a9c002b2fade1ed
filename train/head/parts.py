"""What every part of the head is made of, and small mesh builders."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Part:
    """Geometry of one part at rest; metres."""

    region: str
    vertices: np.ndarray
    faces: np.ndarray
    deltas: dict[str, np.ndarray] = field(default_factory=dict)
    """How shapes move it, (n, 3) at weight 1."""

    def moved(self, transform: Placement, deltas: dict[str, np.ndarray] | None = None) -> Part:
        return Part(self.region, transform(self.vertices), self.faces, self.deltas if deltas is None else deltas)


@dataclass(frozen=True)
class Placement:
    """Scale along the axes and translation that carry head 0's mouth to another head's."""

    scale: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return points * self.scale + self.shift

    @staticmethod
    def fit(source: np.ndarray, target: np.ndarray) -> Placement:
        """Least squares, axis by axis."""
        a, b = source - source.mean(0), target - target.mean(0)
        scale = (a * b).sum(0) / (a * a).sum(0)
        return Placement(scale, target.mean(0) - scale * source.mean(0))


@dataclass(frozen=True)
class RigidMotion:
    """p -> rotation p + translation."""

    rotation: np.ndarray
    translation: np.ndarray

    def delta(self, points: np.ndarray) -> np.ndarray:
        return points @ self.rotation.T + self.translation - points

    @staticmethod
    def fit(source: np.ndarray, target: np.ndarray) -> RigidMotion:
        """Kabsch's least squares."""
        a, b = source - source.mean(0), target - target.mean(0)
        u, _, vt = np.linalg.svd(a.T @ b)
        flip = np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))])
        rotation = vt.T @ flip @ u.T
        return RigidMotion(rotation, target.mean(0) - rotation @ source.mean(0))


def grid_faces(rows: int, columns: int, *, wrap: bool = False) -> np.ndarray:
    """Triangles of a (rows, columns) grid of vertices; ``wrap`` joins the last column to the first."""
    index = np.arange(rows * columns).reshape(rows, columns)
    if wrap:
        index = np.concatenate([index, index[:, :1]], axis=1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    return np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)


def joined(region: str, pieces: list[tuple[np.ndarray, np.ndarray]]) -> Part:
    """One part from (vertices, faces) pieces."""
    starts = np.cumsum([0] + [len(v) for v, _ in pieces[:-1]])
    faces = np.concatenate([f + start for (_, f), start in zip(pieces, starts)])
    return Part(region, np.concatenate([v for v, _ in pieces]), faces)


def frame_coordinates(skin: np.ndarray, triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, 3) coordinates of points in the frames (edge, edge, unit normal) of skin triangles (n, 3)."""
    a, b, c = (skin[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    frames = np.stack([b - a, c - a, normal], axis=2)
    return np.linalg.solve(frames, (points - a)[..., None])[..., 0]
