"""Where the skin folds: lines of forehead, brows, nose, eyes and mouth as height fields over the refined skin.

The source mesh has no room for lines (a vertex of the forehead every 7 mm), and its shapes do not fold. So each line is drawn
by what a fold does to the light: ``emoface/creases.py`` says when, this file where and how deep. Millimetres on the average head.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from emoface.creases import SHADE_STEP, TILT_STEP
from emoface.head import Head

from . import look_eyes, look_teeth
from .look_brows import LINE, Front
from .shown import SIDES, Heads, Piece, smoothstep

SHADE_PER_MM = 0.46
"""Share of the light that a groove of one millimetre takes."""
ROOM, GRAIN = 3.2, 2.2
"""The skin is refined once more where it is nearer than ROOM to a line, mm in front view, and its quads are longer than GRAIN."""


@dataclass(frozen=True)
class Line:
    """A groove of the left half of the face."""

    path: tuple[tuple[float, float], ...]
    """(x, y) from the front."""
    depth: tuple[float, ...]
    """mm at the points of the path."""
    width: float = 1.3
    """Standard deviation of its profile, mm."""
    bulge: float = 0.0
    """Height of the swelling beside it, as a share of the depth."""
    step: bool = False
    """Whether the skin swells on the outer side only, as a cheek does over its fold."""
    only: int = 0
    """1: of the left half alone, -1: of the right one; 0: of both."""


@dataclass(frozen=True)
class Fold:
    lines: tuple[Line, ...]
    pairs: tuple[tuple[tuple[float, float], tuple[float, float], float], ...]
    """Points (x, y) on the skin, and the weight of their distance as a share of that at rest (below 0: it folds when they come together)."""
    low: float
    high: float
    old: float = 0.0
    """How much of it stays at rest on a face of fifty and more."""
    sided: bool = False
    """Whether each half of the face folds on its own."""


FOLDS: dict[str, Fold] = {
    "forehead_middle": Fold(
        (
            Line(((0, 53), (8, 53.6), (16, 55), (23, 56)), (0.42, 0.46, 0.34, 0.0)),
            Line(((0, 63), (8, 63.4), (16, 64.4), (24, 65)), (0.48, 0.50, 0.34, 0.0)),
            Line(((0, 73.5), (8, 73.7), (16, 74), (23, 73.6)), (0.28, 0.30, 0.20, 0.0)),
        ),
        (((13, 39), (12, 88), -0.5), ((-13, 39), (-12, 88), -0.5)),
        0.02,
        0.14,
        old=0.22,
    ),
    "forehead_side": Fold(
        (
            Line(((9, 53.7), (18, 55.3), (28, 56.2), (38, 54.5), (45, 51)), (0.0, 0.41, 0.48, 0.34, 0.0)),
            Line(((9, 63.5), (18, 64.6), (28, 64.6), (38, 61.5), (45, 57.5)), (0.0, 0.45, 0.50, 0.34, 0.0)),
            Line(((9, 73.7), (18, 74), (28, 72.4), (38, 68)), (0.0, 0.27, 0.27, 0.0)),
        ),
        (((28, 42), (28, 86), -0.6), ((46, 39), (46, 70), -0.4)),
        0.06,
        0.22,
        old=0.22,
        sided=True,
    ),
    "frown": Fold(
        (
            Line(((7.2, 30.5), (5.8, 36), (5.3, 42), (5.8, 47), (7.4, 54)), (0.0, 0.46, 0.60, 0.38, 0.0), 1.75, 0.30, only=1),
            Line(((5.6, 33), (5.4, 37), (6.4, 41), (8.6, 46)), (0.0, 0.34, 0.38, 0.0), 1.9, 0.25, only=-1),
            Line(((13.0, 41), (11.4, 46), (12.2, 52)), (0.0, 0.16, 0.0), 1.9, only=1),
            Line(((11.5, 38), (10.8, 42), (12.6, 47)), (0.0, 0.20, 0.0), 1.8, only=-1),
        ),
        (((13, 39), (-13, 39), -1.4), ((13, 39), (12, 88), -0.3), ((-13, 39), (-12, 88), -0.3)),
        0.04,
        0.36,
        old=0.15,
    ),
    "nose_root": Fold(
        (Line(((0, 26.5), (4, 27), (9.5, 29)), (0.42, 0.36, 0.0), 1.5, 0.2), Line(((0, 21), (4, 21.4), (8, 22.5)), (0.24, 0.20, 0.0), 1.3)),
        (((0, 20), (0, 5), -1),),
        0.05,
        0.16,
        old=0.05,
    ),
    "nose_side": Fold(
        (
            Line(((3.5, 17), (7, 14.2), (11.5, 9.5)), (0.0, 0.28, 0.0), 1.3),
            Line(((3.5, 11.5), (7.5, 8.6), (12.5, 3.5)), (0.0, 0.28, 0.0), 1.3),
            Line(((4.5, 5.5), (8.5, 3.2), (12.5, -1)), (0.0, 0.16, 0.0), 1.3),
        ),
        (((17, -8), (0, 20), -1),),
        0.09,
        0.27,
        sided=True,
    ),
    "crow": Fold(
        (
            Line(((45.5, 25.3), (49, 27.6), (53, 30)), (0.08, 0.24, 0.0), 1.2),
            Line(((46.5, 22), (52, 22.8), (58, 23.5)), (0.12, 0.27, 0.0), 1.3),
            Line(((45.5, 18.5), (50.5, 16.2), (56.5, 12.5)), (0.10, 0.27, 0.0), 1.3),
        ),
        (((44, 22), (40, -10), -1),),
        0.09,
        0.32,
        old=0.28,
        sided=True,
    ),
    "under_eye": Fold(
        (Line(((16.5, 15.5), (21, 12.2), (28, 10.6), (35, 11), (42, 14.2)), (0.0, 0.30, 0.34, 0.30, 0.0), 1.5, 0.3),),
        (((31, 16), (33, 2), -1),),
        0.08,
        0.36,
        old=0.30,
        sided=True,
    ),
    "nasolabial": Fold(
        (
            Line(
                ((16.8, -4), (19.4, -9), (22.8, -17), (27, -27), (31, -37), (33.5, -46), (33.5, -54)),
                (0.10, 0.40, 0.54, 0.50, 0.34, 0.14, 0.0),
                2.5,
                0.42,
                step=True,
            ),
        ),
        (((40, -10), (31, 16), -1),),
        0.04,
        0.20,
        old=0.36,
        sided=True,
    ),
    "marionette": Fold(
        (Line(((24.5, -43.5), (26.6, -48), (28.4, -54), (28.8, -62)), (0.20, 0.30, 0.20, 0.0), 2.0, 0.2),),
        (((25, -42), (40, -60), -1), ((25, -42), (17, -8), 0.6)),
        0.12,
        0.34,
        old=0.25,
        sided=True,
    ),
}
SHADES: dict[str, tuple[float, float, dict[str, float]]] = {
    "mouth_shut": (9.0, 0.5, {"teeth": 0.24, "tongue": 0.50, "mouth_cavity": 0.60}),
    "mouth_ajar": (3.5, 0.5, {"teeth": 0.50, "tongue": 0.30, "mouth_cavity": 0.28}),
}
"""By group: the gaps of the lips, mm, between which they take light from what is behind them, and the share that they take
by the beginning of the region. The second is the shade of lips that hardly part: lit teeth would be a bright thread between them."""
UNDER_LIDS, WIDE = 0.34, 0.85
"""Share of its light that the ball loses between lids that shut, and share that its upper half gains where they open wide."""
LIFTED, UNDER_LIP = 7.0, 0.52
"""Upper teeth lie in the shade of the lip above them, the more the higher; it is gone when the lip has risen by LIFTED mm. Share of the light it takes."""


BROW = Line(tuple(map(tuple, LINE)), (0.0,) * len(LINE))
"""Has no fold, but a shade whose edge needs room."""


def room(corners: np.ndarray) -> np.ndarray:
    """(n,) whether quads (n, 4, 3), metres, are too coarse for a line beside them."""
    mm = corners.mean(1) * 1e3
    size = np.linalg.norm(np.roll(corners, 1, axis=1) - corners, axis=2).max(1) * 1e3
    samples = np.concatenate([_sampled(line)[0] for fold in FOLDS.values() for line in fold.lines] + [_sampled(BROW)[0]])
    away = cKDTree(samples).query(np.column_stack([np.abs(mm[:, 0]), mm[:, 1]]))[0]
    return (away < ROOM) & (size > GRAIN) & (mm[:, 2] > 15)


ASYMMETRY = {1: (1.0, 0.0, 0.0), -1: (0.80, 0.9, -1.6)}
"""By side of the face (1: its left): share of a line's depth, and how far it lies outwards and up, mm. No face folds alike on both sides."""


def _sampled(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """(200, 2) points along a line and (200,) its depth there."""
    path = np.array(line.path, float)
    s = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    at = np.linspace(0, s[-1], 200)
    return PchipInterpolator(s, path)(at), PchipInterpolator(s, line.depth)(at)


def heights(front: Front, fold: Fold, side: str | None) -> np.ndarray:
    """(D,) mm that the refined skin rises (or, below 0, falls) when the fold is whole; ``side`` None: both halves."""
    skin = front.skin * 1e3
    out = np.zeros(len(skin))
    for sign in (1, -1) if side is None else (1 if side == "left" else -1,):
        share, outwards, up = ASYMMETRY[sign]
        deepest, highest = np.zeros(len(skin)), np.zeros(len(skin))
        for line in (each for each in fold.lines if each.only in (0, sign)):
            points, depth = _sampled(line)
            moved = points + np.outer(smoothstep(points[:, 0], 0.5, 4), [outwards, up])  # lines that cross the middle stay whole
            on, shares = front.hit(moved * [sign * 1e-3, 1e-3])
            path = (front.skin[on] * shares[..., None]).sum(1) * 1e3
            distance, near = cKDTree(path).query(skin)
            depth = depth * (1 + (share - 1) * smoothstep(points[:, 0], 0.5, 4))
            deepest = np.maximum(deepest, depth[near] * np.exp(-0.5 * (distance / line.width) ** 2))
            beside = np.exp(-0.5 * ((distance - 2.6 * line.width) / (1.1 * line.width)) ** 2)
            if line.step:
                beside *= smoothstep(sign * (skin[:, 0] - path[near, 0]), 0, 2 * line.width)
            highest = np.maximum(highest, line.bulge * depth[near] * beside)
        out = np.where(np.abs(deepest) + np.abs(highest) > np.abs(out), highest - deepest, out)
    return out


def gradient(vertices: np.ndarray, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(D, 3) gradient of values (D,) along the surface, the mean over each vertex' triangles by their area."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = np.maximum(np.linalg.norm(normal, axis=1), 1e-12)[:, None]
    slope = sum(values[faces[:, k]][:, None] * np.cross(normal / twice, corners[:, (k + 2) % 3] - corners[:, (k + 1) % 3]) for k in range(3))
    total, area = np.zeros_like(vertices), np.zeros(len(vertices))
    for k in range(3):
        np.add.at(total, faces[:, k], slope)  # the slope times twice the area
        np.add.at(area, faces[:, k], twice[:, 0])
    return total / np.maximum(area, 1e-12)[:, None]


def arrays(heads: Heads, front: Front, pieces: list[Piece]) -> tuple[dict[str, np.ndarray], dict]:
    """What ``emoface.creases`` needs of all heads: arrays and a header. ``pieces`` of the shown mesh, the skin first."""
    groups = [(name if side is None else f"{name}_{side}", fold, side) for name, fold in FOLDS.items() for side in (SIDES if fold.sided else (None,))]
    parts = [_fold_vertices(front, fold, side) for _, fold, side in groups]
    regions = np.concatenate([piece.regions for piece in pieces])
    shadows = [
        *(_mouth(regions, shares) for _, _, shares in SHADES.values()),
        _under_lip(pieces),
        *(_ball(pieces, side, share) for share in (_shut, _wide) for side in SIDES),
    ]
    pairs = [_fold_pairs(heads, fold, side) for _, fold, side in groups] + [
        *[_lip_pairs(heads)] * len(SHADES),
        _lift_pairs(heads),
        *(_lid_pairs(heads, n, sign) for sign in (-1.0, 1.0) for n in range(2)),
    ]
    names = [name for name, _, _ in groups] + [*SHADES, "upper_lip", *(f"{name}_{side}" for name in ("lids", "wide") for side in SIDES)]
    number = lambda lists: np.repeat(np.arange(len(lists)), [len(each[0]) for each in lists]).astype(np.uint8)
    everything = parts + shadows
    shade, tilt = (np.concatenate([each[k] for each in everything]) for k in (1, 2))
    assert np.abs(shade).max() < 1 and np.abs(tilt).max() < 127 * TILT_STEP
    out = {
        "crease_vertices": np.concatenate([each[0] for each in everything]).astype(np.uint16),
        "crease_groups": number(everything),
        "crease_shade": np.rint(shade / SHADE_STEP).astype(np.int8),
        "crease_tilt": np.rint(tilt / TILT_STEP).astype(np.int8),
        "crease_pairs": np.concatenate([each[0] for each in pairs]).astype(np.uint16),
        "crease_pair_groups": number(pairs),
        "crease_pair_weights": np.concatenate([each[1] for each in pairs]).astype(np.float32),
    }
    limits = [(fold.low, fold.high) for _, fold, _ in groups] + [
        *((-wide, -shut) for wide, shut, _ in SHADES.values()),
        (-LIFTED, 0.0),
        *[(0.05, 0.75)] * 2,
        *[(0.08, 0.5)] * 2,
    ]
    return out, {"names": names, "low": [low for low, _ in limits], "high": [high for _, high in limits]}


def of_person(head: Head, pairs: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """A head's distances at rest, and how deep its age folds every group: never and at most."""
    old = [next((fold.old for name, fold in FOLDS.items() if group.startswith(name)), None) for group in names]
    rest = np.linalg.norm(head.template[pairs[:, 0].astype(int)] - head.template[pairs[:, 1].astype(int)], axis=1)
    years = age(head)
    floor = [0.0 if share is None else share * float(np.clip((years - 30) / 20, 0, 1)) for share in old]
    strength = [1.0 if share is None else float(np.clip(0.66 + 0.024 * (years - 20), 0.66, 1.3)) for share in old]
    return {"crease_rest": rest.astype(np.float32), "crease_floor": np.array(floor, np.float32), "crease_strength": np.array(strength, np.float32)}


def age(head: Head) -> int:
    """Years, which are part of the name; 30 for the average head."""
    found = re.search(r"\d+", head.name)
    return int(found.group()) if found else 30


def _fold_vertices(front: Front, fold: Fold, side: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height = heights(front, fold, side)
    tilt = -gradient(front.skin * 1e3, front.all_faces, height)
    touched = np.flatnonzero((np.abs(height) > 0.02) | (np.linalg.norm(tilt, axis=1) > 0.01))
    shade = SHADE_PER_MM * (np.maximum(-height, 0) - 0.5 * np.maximum(height, 0))
    return touched, shade[touched], tilt[touched]


def _mouth(regions: np.ndarray, shares: dict[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    share = np.zeros(len(regions))
    for start, value in shares.items():
        share[np.char.startswith(regions.astype(str), start)] = value
    return _shadow(share)


def _shadow(share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shade without tilt where ``share`` (n,) of all vertices is not 0."""
    touched = np.flatnonzero(share)
    return touched, share[touched], np.zeros((len(touched), 3))


def _under_lip(pieces: list[Piece]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The upper row from its edge to the gum, and the gum."""
    share = [np.zeros(len(piece.regions)) for piece in pieces]
    for piece, values in zip(pieces, share):
        values[piece.regions == "teeth_upper"] = UNDER_LIP
        if (piece.regions == "teeth_upper").all():
            values *= 1 - 0.85 * smoothstep(look_teeth.heights("teeth_upper"), 0.55, 1.0)
    return _shadow(np.concatenate(share))


def _lift_pairs(heads: Heads) -> tuple[np.ndarray, np.ndarray]:
    """The upper lip's edge against the teeth, which stand still; mm."""
    head = heads.average
    upper = head.lip_pairs[:, 0].astype(int)
    teeth = np.flatnonzero(head.regions == "teeth_upper")
    above = head.template[upper] + [0, 14e-3, 0]
    pairs = np.column_stack([upper, teeth[cKDTree(head.template[teeth]).query(above)[1]]])
    return pairs, np.full(len(pairs), 1e3 / len(pairs))


def _ball(pieces: list[Piece], side: str, share: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The front half of an eye; ``share`` of its unit directions (n, 3)."""
    value = [np.zeros(len(piece.regions)) for piece in pieces]
    points = look_eyes.ball()[0]
    for piece, values in zip(pieces, value):
        if len(piece.regions) and (piece.regions == f"eye_{side}").all():
            values[:] = share(points) * (points[:, 2] > 0.2)
    return _shadow(np.concatenate(value))


def _shut(points: np.ndarray) -> np.ndarray:
    return np.full(len(points), UNDER_LIDS)


def _wide(points: np.ndarray) -> np.ndarray:
    return -WIDE * smoothstep(points[:, 1], 0.02, 0.26)


def _weights(heads: Heads, pairs: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shares of the distance at rest -> per metre."""
    p = heads.average.template
    return shares / np.linalg.norm(p[pairs[:, 0]] - p[pairs[:, 1]], axis=1)


def _fold_pairs(heads: Heads, fold: Fold, side: str | None) -> tuple[np.ndarray, np.ndarray]:
    sign = -1 if side == "right" else 1
    pairs = np.array([[_vertex(heads, sign * x, y) for x, y in pair[:2]] for pair in fold.pairs])
    return pairs, _weights(heads, pairs, np.array([share for _, _, share in fold.pairs]))


def _lip_pairs(heads: Heads) -> tuple[np.ndarray, np.ndarray]:
    pairs = heads.average.lip_pairs.astype(int)
    return pairs, np.full(len(pairs), -1e3 / len(pairs))


def _lid_pairs(heads: Heads, number: int, sign: float) -> tuple[np.ndarray, np.ndarray]:
    pairs = heads.average.lid_pairs[number].astype(int)
    middle = pairs[len(pairs) // 2][None]
    return middle, _weights(heads, middle, np.array([sign]))


def _vertex(heads: Heads, x: float, y: float) -> int:
    """The foremost visible skin vertex near (x, y) in front view, mm."""
    head = heads.average
    mm = head.skin_template * 1e3
    seen = np.flatnonzero(head.mask("visible_skin")[: head.skin_count] & (mm[:, 2] > 0))
    away = np.hypot(mm[seen, 0] - x, mm[seen, 1] - y)
    near = seen[away < away.min() + 1.0]
    return int(near[mm[near, 2].argmax()])
