"""Round eyes, lashes and the wet line along the lower lid, as they are shown."""

from __future__ import annotations

import numpy as np

from emoface.head import Head

from .people import PEOPLE, Style
from .shown import SIDES, Heads, Piece, affine, blend, noise, rounded, rows_of, smoothstep

IRIS, PUPIL = 22.5, 8.6  # half angles in degrees
POLAR = (2.5, 5, 7.4, 8.9, 11, 13.5, 16, 18.5, 20.5, 21.9, 23.2, 25, 28, 32, 37, 43, 50, 60, 74, 92, 125)
SECTORS = 48
BULGE = 0.004
"""How far the cornea stands out, as a share of the ball's radius."""


def ball() -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (n, 3) from the middle of the ball, pole at +z, and triangles."""
    turn = np.linspace(0, 2 * np.pi, SECTORS, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    rings = [np.column_stack([np.sin(p) * circle, np.full(SECTORS, np.cos(p))]) for p in np.radians(POLAR)]
    points = np.concatenate([[[0, 0, 1.0]], *rings, [[0, 0, -1.0]]])
    here, after = np.arange(SECTORS), (np.arange(SECTORS) + 1) % SECTORS
    faces = [np.stack([0 * here, 1 + here, 1 + after], 1)]
    for ring in range(len(POLAR) - 1):
        a, b = 1 + ring * SECTORS + here, 1 + ring * SECTORS + after
        faces += [np.stack([a, a + SECTORS, b + SECTORS], 1), np.stack([a, b + SECTORS, b], 1)]
    last = 1 + (len(POLAR) - 1) * SECTORS
    faces.append(np.stack([np.full(SECTORS, len(points) - 1), last + after, last + here], 1))
    return points, np.concatenate(faces)


def eyeballs(heads: Heads) -> list[Piece]:
    """Each rides on four vertices of the head's own coarse ball, so it turns exactly as that does."""
    points, faces = ball()
    angle = np.degrees(np.arccos(np.clip(points[:, 2], -1, 1)))
    radius = 1 + BULGE * smoothstep(IRIS + 3 - angle, 0, IRIS)
    pieces = []
    for side, center in zip(SIDES, heads.average.eye_centers):
        own = np.flatnonzero(heads.average.regions == f"eye_{side}")
        rest = heads.average.template[own] - center
        four = own[[rest[:, 2].argmax(), rest[:, 2].argmin(), rest[:, 0].argmax(), rest[:, 1].argmax()]]
        size = np.linalg.norm(rest, axis=1).mean()
        weights = affine(heads.average.template[four], center + size * points * radius[:, None])
        rows = rows_of(np.tile(four, (len(points), 1)), weights, len(heads.average.template))
        pieces.append(
            Piece(
                np.full(len(points), f"eye_{side}"),
                rows,
                faces,
                [
                    _colors(points, angle, style, seed) * _lid_shade(heads, head, side, points)
                    for seed, (head, style) in enumerate(zip(heads.all, PEOPLE))
                ],
            )
        )
    return pieces


SCLERA = np.array([223.0, 216, 210])
"""sRGB; a white that is brighter than the skin beside it stares."""
LID_SHADE, LID_REACH, BEHIND = 0.40, 1.9, 0.24
"""Share of the paint that the ball loses right under the upper lid and its lashes, how far down that is felt, mm, and what it loses behind the
lid at rest: eyes that open wide show it, and get some of it back (``folds.WIDE``)."""


def _lid_shade(heads: Heads, head: Head, side: str, points: np.ndarray) -> np.ndarray:
    """(n, 1) share of its light that each point of a head's ball keeps beneath the upper lid, and beside the lower one."""
    own = head.template[head.regions == f"eye_{side}"]
    middle = (own[own[:, 2].argmax()] + own[own[:, 2].argmin()]) / 2
    at = points * np.linalg.norm(own - middle, axis=1).mean() * 1e3
    gaps = []
    for upper in (True, False):
        line = (head.template[heads.lid_line(side, 0, upper)] - middle) * 1e3
        line = line[line[:, 0].argsort()]
        gaps.append(np.interp(at[:, 0], line[:, 0], line[:, 1]) - at[:, 1])
    above = np.where(
        gaps[0] > 0, LID_SHADE * np.exp(-np.maximum(gaps[0], 0) / LID_REACH), LID_SHADE + (BEHIND - LID_SHADE) * smoothstep(-gaps[0], 0, 2)
    )
    below = 0.16 * np.exp(-np.maximum(-gaps[1], 0) / 0.9)
    return (1 - above[:, None] * [0.94, 1.0, 1.0]) * (1 - below)[:, None]


def _colors(points: np.ndarray, angle: np.ndarray, style: Style, seed: int) -> np.ndarray:
    """(n, 3): veined sclera, a dark soft limbal ring, fibres round a lighter collar, pupil."""
    turn = np.arctan2(points[:, 1], points[:, 0])
    inside = (angle - PUPIL) / (IRIS - PUPIL)
    iris = np.array(style.iris, float)
    iris = 0.78 * iris + 0.22 * iris.mean()  # no iris is as even in colour as paint
    colors = np.tile(SCLERA, (len(points), 1))
    colors = blend(colors, (196, 148, 136), 0.80 * smoothstep(angle, 30, 62))
    colors = blend(colors, (206, 150, 140), 0.18 * np.clip(noise(points, 0.09, seed), 0, 1) * smoothstep(angle, 26, 40))
    circle = np.column_stack([np.cos(turn), np.sin(turn), 0 * turn])
    fibres = 0.5 * noise(circle, 0.16, seed) + 0.5 * noise(circle, 0.07, seed + 50)
    light = 1.0 + 0.34 * fibres - 0.30 * np.sin(turn) * smoothstep(inside, 0, 0.7)  # light gathers opposite to the lamp
    collar = np.exp(-(((inside - 0.30) / 0.16) ** 2))
    tint = iris * (light + 0.25 * collar)[:, None] * (1 - 0.42 * smoothstep(inside, 0.55, 0.95))[:, None]
    tint = blend(tint, iris * 0.5 + np.array([60, 42, 20]), 0.35 * collar)
    colors = blend(colors, np.clip(tint * 1.12, 0, 255), smoothstep(IRIS + 0.8 - angle, -1.0, 1.0))
    ring = np.exp(-(((angle - IRIS + 0.6) / 1.7) ** 2))
    colors = blend(colors, iris * 0.24, 0.75 * ring)
    return blend(colors, (8, 7, 8), smoothstep(PUPIL - angle, -0.4, 0.4))


def lashes(heads: Heads) -> list[Piece]:
    """Thin wedges over a dark line that they grow from; the lower lid has only the line: single short lashes would be a row of dots."""
    return [piece for side in SIDES for piece in (_lash_line(heads, side, True), _lash_row(heads, side), _lash_line(heads, side, False))]


LASHES, LENGTH, WIDE = 58, 4.6, 0.52
"""Number of the upper lashes, their length in mm and the width of their roots as a share of the distance: hairs, not the teeth of a comb."""
TIP = 0.58
"""Share of skin in the colour of a lash's tip: a tip is too thin to be dark."""
PALE = {True: 0.10, False: 0.70}
"""Share of skin in the colour of the upper (True) and the lower lashes."""
FOLLOW = 1.6
"""How much of a lash turns with its lid round the eye, in lengths: a shut lid points it forward and down, not up."""


def _lash_colors(heads: Heads, upper: bool, share: np.ndarray) -> list[np.ndarray]:
    """By head (n, 3) dark brown mixed with as much of the lids' skin as ``share`` (n,) says, and more on the lower lid."""
    colors = []
    for head, person in zip(heads.all, PEOPLE):
        tone = np.median(head.colors[: head.skin_count][np.char.startswith(heads.names.astype(str), "eyelid")], axis=0).astype(float)
        pale = PALE[upper]
        colors.append(blend(np.tile(np.minimum(person.brows, 70) * 0.55, (len(share), 1)), tone * 0.8, pale + (1 - pale) * share))
    return colors


def _lash_line(heads: Heads, side: str, upper: bool) -> Piece:
    """A narrow strip along the front edge of the lid: from afar the roots of lashes are one line, single wedges would be dots."""
    rings = [heads.lid_line(side, ring, upper) for ring in (1, 2, 3)]
    n = len(rings[0])
    reach = np.sin(np.pi * np.clip((np.arange(n) + (0.2 if upper else -2)) / (n - (0.8 if upper else 3)), 0, 1)) ** 0.6  # narrow at its ends
    low, high = (0.30, 0.80) if upper else (0.10, 0.16)
    shares = [np.column_stack([low * reach, 1 - low * reach, 0 * reach]), np.column_stack([0 * reach, 1 - high * reach, high * reach])]
    rows = rows_of(np.tile(np.column_stack(rings), (2, 1)), np.concatenate(shares), len(heads.average.template))
    away = np.outer(np.tile(reach, 2), [0, 0.05, 0.28] if upper else [0, 0.02, 0.10]) * 1e-3
    a = np.arange(n - 1)
    faces = np.concatenate([np.stack([a, a + 1, a + n + 1], 1), np.stack([a, a + n + 1, a + n], 1)])
    faces = np.concatenate([faces, faces[:, ::-1]])
    colors = _lash_colors(heads, upper, np.repeat([0.0, 0.62], n) if upper else np.repeat([0.35, 0.75], n))
    return Piece(np.full(2 * n, f"lashes_{side}"), rows, faces, colors, [np.asarray(rows @ h.template) + away for h in heads.all])


def _lash_row(heads: Heads, side: str) -> Piece:
    head, sign, eye = heads.average, 1 if side == "left" else -1, SIDES.index(side)
    line, edge = heads.lid_line(side, 2, True), heads.lid_line(side, 1, True)
    own = np.flatnonzero(head.regions == f"eye_{side}")
    ends = [own[head.template[own, 2].argmax()], own[head.template[own, 2].argmin()]]  # their middle is that of the eye
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(head.template[line], axis=0), axis=1))]
    walked /= walked[-1]
    stations = np.linspace(0.10, 0.99, LASHES)
    half = (stations[1] - stations[0]) / 2 * WIDE
    indices, weights, roots, grown, faces, along = [], [], [], [], [], []
    rng = np.random.default_rng(13)
    for number, s in enumerate(stations):
        fan = 0.95 * (s - 0.40) + 0.16 * (1 - number % 3) + rng.normal(0, 0.16)  # tips of three lean together
        grow = np.array([sign * fan, 0.08, 0.95])
        grow /= np.linalg.norm(grow)
        curl = np.array([sign * 0.12 * fan, 0.44, -0.10])
        reach = LENGTH * (0.30 + 0.70 * np.sin(np.pi * min(s, 0.999) ** 1.25)) * rng.uniform(0.45, 1.05)
        for at, out in ((s - half, 0.0), (s + half, 0.0), (s - half * 0.55, 0.5), (s + half * 0.55, 0.5), (s, 1.0)):
            k = int(np.clip(np.searchsorted(walked, at) - 1, 0, len(line) - 2))
            share = np.clip((at - walked[k]) / (walked[k + 1] - walked[k]), 0, 1)
            root = np.outer([0.6, 0.4], [1 - share, share]).ravel()
            here = root @ head.template[[*line[k : k + 2], *edge[k : k + 2]]] - head.eye_centers[eye]
            turned = FOLLOW * reach * 1e-3 * out / np.linalg.norm(here)
            indices.append([*line[k : k + 2], *edge[k : k + 2], *ends])
            weights.append([*(root * (1 + turned)), -turned / 2, -turned / 2])
            roots.append([*root, 0, 0])
            grown.append(reach * 1e-3 * (out * grow + out**2 * curl))
            along.append(out)
        blade = np.array([[0, 1, 3], [0, 3, 2], [2, 3, 4]]) + 5 * number
        faces += [blade, blade[:, ::-1]]
    rows, lid = (rows_of(np.array(indices), np.array(each), len(head.template)) for each in (rounded(np.array(weights)), roots))
    along, grown = np.array(along), np.array(grown)
    places = [lid @ h.template + [0, 0, 0.15e-3] + grown * (1.0 if h.index % 2 else 0.68) for h in heads.all]  # women have odd numbers
    colors = _lash_colors(heads, True, TIP * along)
    return Piece(np.full(len(along), f"lashes_{side}"), rows, np.concatenate(faces), colors, places)


def tear_lines(heads: Heads) -> list[Piece]:
    """A thin wet bead where the lower lid meets the ball."""
    pieces = []
    for side in SIDES:
        line = heads.lid_line(side, 0, upper=False)[1:-1]
        inner = heads.lid_line(side, 1, upper=False)[1:-1]
        n = len(line)
        # across: on the lid's edge, on the bead, on the ball
        indices = np.concatenate([np.column_stack([line, inner])] * 3)
        share = np.repeat([0.55, 0.15, 0.0], n)
        weights = np.column_stack([1 - share, share])
        rows = rows_of(indices, weights, len(heads.average.template))
        ends = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 0.5
        out = np.concatenate([np.outer(ends, v) for v in ([0, 0.05, 0.10], [0, 0.30, 0.22], [0, 0.55, -0.25])]) * 1e-3
        places = [np.asarray(rows @ h.template) + out for h in heads.all]
        a = np.arange(n - 1)
        faces = np.concatenate(
            [np.stack([a + n * k, a + n * k + 1, a + n * k + n + 1, a + n * k, a + n * k + n + 1, a + n * k + n], 1).reshape(-1, 3) for k in range(2)]
        )
        p = places[0]
        if np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]])[:, 2].mean() < 0:
            faces = faces[:, ::-1]
        colors = []
        for h in heads.all:
            tone = np.median(h.colors[: h.skin_count][heads.names == "neck"], axis=0).astype(float)
            colors.append(np.tile(tone * [0.98, 0.80, 0.77], (3 * n, 1)))
        pieces.append(Piece(np.full(3 * n, "tears"), rows, faces, colors, places))
    return pieces
