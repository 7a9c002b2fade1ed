"""A procedural dental arch: twelve crowns and a gum ridge above and below.

All measures are millimetres on the average head; the tooth sizes are textbook means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .parts import Part, grid_faces, joined


@dataclass(frozen=True)
class Tooth:
    width: float
    height: float
    depth: float
    """Front to back at the gum."""
    edge: float
    """Depth at the biting edge, as a share of ``depth``."""
    point: float = 0.0
    """How far the middle of the edge stands out."""


@dataclass(frozen=True)
class Arch:
    """One jaw: front of the middle (z), height of the biting edges (y), direction of the roots, half of the teeth."""

    front: float
    edge: float
    roots: int
    teeth: tuple[Tooth, ...]


UPPER = Arch(61.2, -44.4, 1, (
    Tooth(8.5, 10.2, 6.5, 0.30), Tooth(6.7, 9.0, 6.0, 0.30), Tooth(7.6, 10.0, 7.5, 0.32, 0.9),
    Tooth(7.0, 8.4, 8.6, 0.72, 0.4), Tooth(6.8, 7.8, 8.6, 0.75, 0.3), Tooth(10.0, 7.2, 10.0, 0.85),
))
LOWER = Arch(58.4, -43.6, -1, (
    Tooth(5.4, 8.8, 5.6, 0.30), Tooth(5.9, 9.0, 5.8, 0.30), Tooth(6.9, 9.8, 7.2, 0.34, 0.8),
    Tooth(7.0, 8.4, 7.8, 0.70, 0.4), Tooth(7.1, 8.0, 8.2, 0.75, 0.2), Tooth(10.8, 7.4, 9.6, 0.85),
))
SECTORS = 10
LEVELS = np.array([0.0, 0.35, 0.72, 0.94])  # gum to edge; a cap closes the crown


def arch_line(front: float, count: int = 400) -> np.ndarray:
    """(count, 2) points (x, z) of the outer face of one half, from the middle backwards."""
    x = np.linspace(0, 36, count)
    return np.stack([x, front - 0.0175 * x**2.2], axis=1)


def _at(line: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Point (x, z) and unit tangent at an arc length."""
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    point = np.array([np.interp(length, walked, line[:, k]) for k in (0, 1)])
    ahead = np.array([np.interp(length + 0.5, walked, line[:, k]) for k in (0, 1)])
    behind = np.array([np.interp(max(length - 0.5, 0), walked, line[:, k]) for k in (0, 1)])
    tangent = ahead - behind if length > 0 else np.array([1.0, 0])
    return point, tangent / np.linalg.norm(tangent)


def _crown(tooth: Tooth) -> tuple[np.ndarray, np.ndarray]:
    """A crown in its own frame: x along the arch, y from gum (0) to edge (height), z outwards; front face at z ~ 0."""
    turn = np.linspace(0, 2 * np.pi, SECTORS, endpoint=False) + np.pi / SECTORS
    across = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.6
    along = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.7
    rings = []
    for level in LEVELS:
        width = tooth.width * (0.80 + 0.20 * np.sin(np.pi * min(level / 1.3 + 0.12, 0.5))) / 2 * 0.985
        depth = tooth.depth * (1 + (tooth.edge - 1) * level**0.8) / 2
        if level == LEVELS[-1]:
            width, depth = width * 0.94, depth * 0.8
        bulge = 0.5 * np.sin(np.pi * level)
        edge = tooth.point * (1 - np.abs(across)) * level
        rings.append(np.stack([width * across, tooth.height * level + edge, depth * (along - 1) + bulge], 1))
    cap = rings[-1].mean(0) + [0, tooth.height * (1 - LEVELS[-1]) * 0.8, 0]
    faces = grid_faces(len(LEVELS), SECTORS, wrap=True)[:, ::-1]
    last = (len(LEVELS) - 1) * SECTORS
    here = np.arange(SECTORS)
    fan = np.stack([last + (here + 1) % SECTORS, last + here, np.full(SECTORS, len(LEVELS) * SECTORS)], 1)
    return np.concatenate([*rings, [cap]]), np.concatenate([faces, fan])


def _placed(local: np.ndarray, arch: Arch, point, tangent, side: int, height: float) -> np.ndarray:
    """From a tooth's frame to the head (millimetres); side -1 is the right half."""
    outward = np.array([-tangent[1], tangent[0]])  # (x, z), away from the tongue
    xz = point + local[:, :1] * tangent + local[:, 2:] * outward
    y = arch.edge + arch.roots * (height - local[:, 1])
    return np.stack([side * xz[:, 0], y, xz[:, 1]], axis=1)


def _oriented(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces turned so that the closed piece has a positive volume."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(0) for k in range(3))
    return faces if np.einsum("ij,ij->", a, np.cross(b, c)) > 0 else faces[:, ::-1]


def _gum(arch: Arch, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ridge whose edge scallops round the crowns."""
    stations = [(0.0, arch.teeth[0], True)]
    walked = 0.0
    for tooth in arch.teeth:
        stations += [(walked + tooth.width / 2, tooth, False), (walked + tooth.width, tooth, True)]
        walked += tooth.width
    rings = []
    for length, tooth, between in stations:
        point, tangent = _at(line, length)
        low = 2.9 if between else 1.3  # how far the gum covers the crowns
        deep = tooth.depth
        profile = np.array([  # y from the gum line towards the edge, z outwards
            [low, -1.3 if between else 0.1], [low * 0.35, 0.45], [-2.6, -0.4], [-5.5, -3.0],
            [-5.5, -deep - 0.5], [low * 0.4, -deep - 0.6], [low, -deep + (1.6 if between else 0.1)],
        ])
        local = np.column_stack([np.zeros(len(profile)), profile])
        rings.append(_placed(local, arch, point, tangent, 1, tooth.height))
    half = np.array(rings)
    mirrored = half[:0:-1] * [-1, 1, 1]
    ring = np.concatenate([mirrored, half])
    faces = grid_faces(len(ring), ring.shape[1], wrap=True)
    vertices = ring.reshape(-1, 3)
    return vertices, _oriented(vertices, faces)


def dental_arch(region: str, arch: Arch) -> tuple[Part, np.ndarray, np.ndarray]:
    """The part in metres; per vertex the tooth (0 = gum, 1..6 from the middle) and its height (gum 0 .. edge 1)."""
    line = arch_line(arch.front)
    pieces, number, level = [], [], []
    for side in (1, -1):
        walked = 0.0
        for index, tooth in enumerate(arch.teeth, 1):
            local, faces = _crown(tooth)
            point, tangent = _at(line, walked + tooth.width / 2)
            vertices = _placed(local, arch, point, tangent, side, tooth.height)
            pieces.append((vertices, _oriented(vertices, faces)))
            number.append(np.full(len(vertices), index))
            level.append(np.clip(local[:, 1] / tooth.height, 0, 1))
            walked += tooth.width
    gum = _gum(arch, line)
    pieces.append(gum)
    number.append(np.zeros(len(gum[0]), int))
    level.append(np.zeros(len(gum[0])))
    part = joined(region, [(v * 1e-3, f) for v, f in pieces])
    return part, np.concatenate(number), np.concatenate(level)


def interproximal(part: Part, number: np.ndarray) -> np.ndarray:
    """(n,) 0 in the middle of a crown's face, 1 at its contact with the neighbours (from the crown's own grid)."""
    turn = np.linspace(0, 2 * np.pi, SECTORS, endpoint=False) + np.pi / SECTORS
    ring = np.abs(np.cos(turn)) ** 0.6
    crown = np.r_[np.tile(ring, len(LEVELS)), 0.0]
    crowns = int((number > 0).sum()) // len(crown)
    return np.r_[np.tile(crown, crowns), np.zeros((number == 0).sum())]
