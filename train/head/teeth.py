"""A procedural dental arch: twelve crowns and a gum ridge above and below.

All measures are millimetres on the average head; the tooth sizes are textbook means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoface.contact import EXPONENT

from .parts import Part, Placement, grid_faces, joined


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
    short: float = 0.0
    """How far the edge stays behind the middle incisor's."""


@dataclass(frozen=True)
class Arch:
    """One jaw: front of the middle (z), height of the biting edges (y), direction of the roots, half of the teeth."""

    front: float
    edge: float
    roots: int
    teeth: tuple[Tooth, ...]


UPPER = Arch(
    60.2,
    -44.5,
    1,
    (
        Tooth(8.5, 10.3, 6.3, 0.30),
        Tooth(6.7, 9.0, 5.8, 0.30, 0.2, 0.7),
        Tooth(7.6, 9.9, 7.2, 0.36, 1.3, 0.9),
        Tooth(7.0, 8.2, 8.6, 0.62, 0.9, 1.4),
        Tooth(6.8, 7.4, 8.6, 0.66, 0.7, 1.9),
        Tooth(10.0, 6.6, 10.0, 0.78, 0.2, 2.6),
    ),
)
LOWER = Arch(
    57.3,
    -44.7,
    -1,
    (
        Tooth(5.4, 8.8, 5.4, 0.30),
        Tooth(5.9, 9.0, 5.6, 0.30, 0.1, 0.1),
        Tooth(6.9, 9.6, 7.0, 0.36, 0.9, 0.5),
        Tooth(7.0, 8.0, 7.8, 0.60, 0.8, 0.7),
        Tooth(7.1, 7.4, 8.2, 0.64, 0.5, 0.6),
        Tooth(10.8, 6.8, 9.6, 0.78, 0.2, 0.5),
    ),
)
CURVE = 0.0175  # of the arch's line, millimetres
SECTORS = 10
LEVELS = np.array([0.0, 0.3, 0.62, 0.86, 0.97])  # gum to edge; a cap closes the crown
NARROW = np.array([0.74, 0.88, 0.99, 0.97, 0.80])  # of the crown's width: a neck, contact with the neighbours, rounded corners
GUM_STEPS = 4  # stations of the gum's edge per tooth
PAPILLA, COVER = 3.6, 1.1  # millimetres of crown under the gum between two teeth and in the middle of one


def arch_line(front: float, count: int = 400) -> np.ndarray:
    """(count, 2) points (x, z) of the outer face of one half, from the middle backwards."""
    x = np.linspace(0, 36, count)
    return np.stack([x, front - CURVE * x**EXPONENT], axis=1)


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
    for level, narrow in zip(LEVELS, NARROW):
        width = tooth.width * narrow / 2
        depth = tooth.depth * (1 + (tooth.edge - 1) * level**0.8) / 2
        if level == LEVELS[-1]:
            depth = depth * 0.75
        bulge = 0.7 * np.sin(np.pi * min(level + 0.12, 1.0))
        point = tooth.point * (1 - across**2 - 0.5) * level**2
        rings.append(np.stack([width * across, tooth.height * level + point, depth * (along - 1) + bulge], 1))
    cap = rings[-1].mean(0) + [0, tooth.height * (1 - LEVELS[-1]) + tooth.point * 0.3, 0]
    faces = grid_faces(len(LEVELS), SECTORS, wrap=True)[:, ::-1]
    last = (len(LEVELS) - 1) * SECTORS
    here = np.arange(SECTORS)
    fan = np.stack([last + (here + 1) % SECTORS, last + here, np.full(SECTORS, len(LEVELS) * SECTORS)], 1)
    return np.concatenate([*rings, [cap]]), np.concatenate([faces, fan])


def _placed(local: np.ndarray, arch: Arch, point, tangent, side: int, top: float) -> np.ndarray:
    """From a tooth's frame to the head (millimetres), its gum ``top`` above the arch's edge; side -1 is the right half."""
    outward = np.array([-tangent[1], tangent[0]])  # (x, z), away from the tongue
    xz = point + local[:, :1] * tangent + local[:, 2:] * outward
    y = arch.edge + arch.roots * (top - local[:, 1])
    return np.stack([side * xz[:, 0], y, xz[:, 1]], axis=1)


def _oriented(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces turned so that the closed piece has a positive volume."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(0) for k in range(3))
    return faces if np.einsum("ij,ij->", a, np.cross(b, c)) > 0 else faces[:, ::-1]


def _gum(arch: Arch, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ridge whose edge scallops round the crowns, with a papilla between every two."""
    ends = np.r_[0, np.cumsum([tooth.width for tooth in arch.teeth])]
    middles = (ends[:-1] + ends[1:]) / 2
    lengths = np.concatenate([a + (b - a) * np.arange(GUM_STEPS) / GUM_STEPS for a, b in zip(ends[:-1], ends[1:])] + [ends[-1:]])
    rings = []
    for length in lengths:
        point, tangent = _at(line, length)
        tooth = min(np.searchsorted(ends, length, side="right") - 1, len(arch.teeth) - 1)
        between = 0.5 + 0.5 * np.cos(2 * np.pi * (length - ends[tooth]) / (ends[tooth + 1] - ends[tooth]))
        between = between if length > 0 else 1.0
        top, deep = (
            np.interp(length, middles, [getattr(t, k) + extra(t) for t in arch.teeth])
            for k, extra in (("height", lambda t: t.short), ("depth", lambda t: 0.0))
        )
        low = COVER + (PAPILLA - COVER) * between**2
        profile = np.array(
            [  # y from the gum line towards the edge, z outwards
                [low, 0.25 - 1.5 * between],
                [low - 1.0, 0.75 - 0.5 * between],
                [-1.5, 0.8],
                [-4.5, -0.3],
                [-7.5, -3.2],
                [-7.5, -deep - 1.0],
                [low * 0.4, -deep - 0.6],
                [low, -deep + 0.1 + 1.5 * between],
            ]
        )
        local = np.column_stack([np.zeros(len(profile)), profile])
        rings.append(_placed(local, arch, point, tangent, 1, top))
    half = np.array(rings)
    ring = np.concatenate([half[:0:-1] * [-1, 1, 1], half])
    vertices = ring.reshape(-1, 3)
    return vertices, _oriented(vertices, grid_faces(len(ring), ring.shape[1], wrap=True))


def dental_arch(region: str, arch: Arch) -> tuple[Part, np.ndarray, np.ndarray]:
    """The part in metres; per vertex the tooth (0 = gum, 1..6 from the middle) and its height (gum 0 .. edge 1)."""
    line = arch_line(arch.front)
    pieces, number, level = [], [], []
    for side in (1, -1):
        walked = 0.0
        for index, tooth in enumerate(arch.teeth, 1):
            local, faces = _crown(tooth)
            point, tangent = _at(line, walked + tooth.width / 2)
            vertices = _placed(local, arch, point, tangent, side, tooth.height + tooth.short)
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


def outer_side(arch: Arch, place: Placement, back: float) -> np.ndarray:
    """(4,) middle x, front z, curve and edge y in metres of an arch on another head (see ``emoface.contact.DentalArch``)."""
    middle, edge, front = place(np.array([0, arch.edge, arch.front]) * 1e-3) + [0, 0, back]
    curve = CURVE * 1e-3 * 1e3**EXPONENT * place.scale[2] / place.scale[0] ** EXPONENT
    return np.array([middle, front, curve, edge])


def interproximal(part: Part, number: np.ndarray) -> np.ndarray:
    """(n,) 0 in the middle of a crown's face, 1 at its contact with the neighbours (from the crown's own grid)."""
    turn = np.linspace(0, 2 * np.pi, SECTORS, endpoint=False) + np.pi / SECTORS
    ring = np.abs(np.cos(turn)) ** 0.6
    crown = np.r_[np.tile(ring, len(LEVELS)), 0.0]
    crowns = int((number > 0).sum()) // len(crown)
    return np.r_[np.tile(crown, crowns), np.zeros((number == 0).sum())]
