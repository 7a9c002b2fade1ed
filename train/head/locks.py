"""Hair as locks: tapered ribs that grow from the scalp along a combing direction and lie in layers.

Everything is made on the average head, in millimetres, and then carried to each head by how its skull differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from .complexion import hair_cover
from .shown import Heads, noise, smoothstep

CENTER = np.array([0.0, 42.0, -32.0])
UP = np.array([0.0, 1.0, 0.0])
LAMP = np.array([-0.24, 0.50, 0.83])
"""Halfway between the key light and a viewer in front of the head."""
CONTRAST = 0.10
"""Edges of a lock are darker and its ridge is lighter by about this share."""
SHEEN = 0.55
"""How much brighter strands are where they mirror it; baked, for colours of vertices have no direction of view."""
EARS = ("ear_left", "ear_right")
SKULL = ("scalp", "forehead", "neck", "ear_left", "ear_right", "cheek_left", "cheek_right", "jaw")


@dataclass(frozen=True)
class Locks:
    """Hair of one style on the average head; ``vertices`` in millimetres."""

    vertices: np.ndarray
    faces: np.ndarray
    roots: np.ndarray
    """(n, 3) where each vertex' lock grows."""
    shade: np.ndarray
    """(n,) brightness of each vertex relative to the hair's colour: strands, roots, tips."""


class Skull:
    """The average head as a distance from ``CENTER`` in every direction, and its hairy scalp."""

    def __init__(self, heads: Heads):
        skin = heads.skin(heads.average) * 1e3
        names = heads.names[np.asarray(heads.refined.matrix.argmax(1)).ravel()]
        away = skin - CENTER
        far = np.linalg.norm(away, axis=1)
        use = np.isin(names, SKULL)
        self._all = cKDTree(away[use] / far[use, None]), far[use]
        self._ears = cKDTree(skin[np.isin(names, EARS)])
        use &= ~np.isin(names, EARS)
        self._bare = cKDTree(away[use] / far[use, None]), far[use]
        faces = heads.refined.faces
        middle = skin[faces].mean(1)
        hairy = (hair_cover(middle) > 0.35) & np.isin(names[faces], ("scalp", "forehead", "neck", "cheek_left", "cheek_right")).all(1)
        self.triangles = skin[faces[hairy]]

    def radius(self, points: np.ndarray, ears: bool = False) -> np.ndarray:
        tree, far = self._all if ears else self._bare
        away = points - CENTER
        distance, near = tree.query(away / np.linalg.norm(away, axis=1, keepdims=True), k=8)
        weight = 1 / (distance + 0.02) ** 2
        mean = (far[near] * weight).sum(1) / weight.sum(1)
        return np.maximum(mean, far[near[:, :4]].max(1) - 1.5) if ears else mean

    def touches_ear(self, paths: np.ndarray, gap: float = 3.5) -> np.ndarray:
        """(n,) whether a path (n, k, 3) comes within ``gap`` mm of an ear."""
        return self._ears.query(paths.reshape(-1, 3))[0].reshape(paths.shape[:2]).min(1) < gap

    def roots(self, spacing: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
        """Random points of the hairy scalp that keep ``spacing(points)`` mm apart."""
        rng = np.random.default_rng(seed)
        a, b, c = self.triangles[:, 0], self.triangles[:, 1], self.triangles[:, 2]
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        pick = rng.choice(len(area), 9000, p=area / area.sum())
        u, v = rng.random(9000), rng.random(9000)
        u, v = np.where(u + v > 1, 1 - u, u)[:, None], np.where(u + v > 1, 1 - v, v)[:, None]
        points = a[pick] + u * (b - a)[pick] + v * (c - a)[pick]
        points = points[(rng.random(len(points)) < hair_cover(points)) & (points[:, 1] > -60)]
        apart, free, tree = spacing(points), np.ones(len(points), bool), cKDTree(points)
        for i in range(len(points)):
            if free[i]:
                free[[j for j in tree.query_ball_point(points[i], apart[i]) if j > i]] = False
        return points[free]


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def grow(skull: Skull, roots: np.ndarray, length: np.ndarray, height: Callable[[float], np.ndarray], comb, *, steps: int,
         hang: float = -1e9, ears: bool = False, floor: float = -1e9) -> np.ndarray:
    """Paths (n, steps + 1, 3) that lie ``height(share)`` mm over the skin; below y = ``hang`` they fall freely but
    never into the head, and they end at y = ``floor``. ``comb(points)`` is the direction at points."""
    points = roots.copy()
    path = [_over(skull, points, height(0.0), ears)]
    for step in range(1, steps + 1):
        here = path[-1]
        out = unit(here - CENTER)
        along = comb(here)
        along = unit(along - (along * out).sum(1, keepdims=True) * out * (here[:, 1:2] > hang))
        fall = smoothstep(-here[:, 1], -hang - 45, -hang + 10)[:, None]
        along = unit(along * (1 - fall) - UP * fall)
        new = here + along * (length / steps)[:, None]
        new[:, 1] = np.maximum(new[:, 1], np.minimum(floor, here[:, 1]))
        lying = _over(skull, new, height(step / steps), ears)
        outside = np.linalg.norm(new - CENTER, axis=1) > np.linalg.norm(lying - CENTER, axis=1)
        free = (new[:, 1] < hang) & outside
        if hang > -1e8:
            pushed = new.copy()
            shift = np.linalg.norm(lying - CENTER, axis=1) - np.linalg.norm(new - CENTER, axis=1)
            flat = unit((new - CENTER) * [1, 0, 1])
            pushed = new + np.maximum(shift, 0)[:, None] * flat * 1.1
            lying = np.where((new[:, 1] < hang)[:, None], pushed, lying)
        path.append(np.where(free[:, None], new, lying))
    paths = np.stack(path, 1)
    for _ in range(2):  # hair bends, it does not break
        paths[:, 1:-1] = 0.5 * paths[:, 1:-1] + 0.25 * (paths[:, :-2] + paths[:, 2:])
    return paths


def _over(skull: Skull, points: np.ndarray, height, ears: bool) -> np.ndarray:
    return CENTER + unit(points - CENTER) * (skull.radius(points, ears) + height)[:, None]


def ribs(paths: np.ndarray, roots: np.ndarray, width: np.ndarray, thick: np.ndarray, rng: np.random.Generator, *,
         start: float = 0.06, tip: float = 0.04) -> Locks:
    """Locks along paths (n, k, 3): three vertices across (edge, ridge, edge), wide in the middle, thin at root and tip."""
    n, k, _ = paths.shape
    ahead = unit(np.gradient(paths, axis=1))
    out = unit(paths - CENTER)
    side = unit(np.cross(ahead, out))
    out = unit(np.cross(side, ahead))
    s = np.linspace(0, 1, k)
    shape = np.minimum(start + (1 - start) * smoothstep(s, 0, 0.35), 1) * (tip + (1 - tip) * (1 - smoothstep(s, 0.55, 1.0)))
    wide = (width[:, None] * shape[None])[..., None] / 2
    lift = (thick[:, None] * np.sqrt(shape)[None])[..., None]
    rows = np.stack([paths - wide * side - 0.35 * lift * out, paths + lift * out * 0.65, paths + wide * side - 0.35 * lift * out], 2)
    index = np.arange(n * k * 3).reshape(n, k, 3)
    faces = []
    for a, b in ((0, 1), (1, 2)):
        p, q, r, t = index[:, :-1, a], index[:, :-1, b], index[:, 1:, b], index[:, 1:, a]
        faces += [np.stack([p, q, r], -1).reshape(-1, 3), np.stack([p, r, t], -1).reshape(-1, 3)]
    lock = rng.normal(1, 0.06, n)[:, None, None]
    across = np.array([1 - CONTRAST, 1 + 0.6 * CONTRAST, 1 - CONTRAST])[None, None]
    along = (0.72 + 0.28 * smoothstep(s, 0, 0.45) + 0.12 * smoothstep(s, 0.6, 1.0))[None, :, None]
    strand = 1 + 0.07 * noise(rows.reshape(-1, 3), 5.0, 21).reshape(n, k, 3)
    sheen = 1 + SHEEN * _anisotropic(ahead, out)[..., None] * rng.uniform(0.5, 1.2, n)[:, None, None] * np.array([0.6, 1.0, 0.6])
    faces = np.concatenate(faces)
    vertices = rows.reshape(-1, 3)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if (np.cross(b - a, c - a) * (a - np.repeat(paths[:, :, None], 3, 2).reshape(-1, 3)[faces[:, 0]])).sum() < 0:
        faces = faces[:, ::-1]
    return Locks(vertices, faces, np.repeat(roots, 3 * k, 0), (0.93 * lock * across * along * strand * sheen).reshape(-1))


def _anisotropic(ahead: np.ndarray, out: np.ndarray) -> np.ndarray:
    """0..1 where a strand of this direction mirrors the lamp (Kajiya & Kay 1989), by its unit tangent and the way out of the head."""
    across = 1 - (ahead @ LAMP) ** 2
    return np.maximum(across, 0) ** 9 * np.clip(out @ LAMP + 0.15, 0, 1)


def joined(parts: list[Locks]) -> Locks:
    starts = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    return Locks(np.concatenate([p.vertices for p in parts]), np.concatenate([p.faces + at for p, at in zip(parts, starts)]),
                 np.concatenate([p.roots for p in parts]), np.concatenate([p.shade for p in parts]))


def _across(points: np.ndarray) -> np.ndarray:
    """(n,) 1 on top of the head, 0 at its sides and back."""
    return smoothstep(points[:, 1], 62, 104)


def _sides(skull: Skull, comb, seed: int, *, length: float = 17.0, spacing: float = 5.0) -> Locks:
    """Cropped hair close to the skin: many thin locks on the sides and the back."""
    rng = np.random.default_rng(seed)
    roots = skull.roots(lambda p: spacing + 0 * p[:, 0], seed)
    burns = (roots[:, 2] > -30) & (roots[:, 1] < 6)
    roots = roots[(_across(roots) < 0.75) & (roots[:, 1] > -52) & ~burns]
    jitter = rng.normal(0, 0.16, roots.shape)
    rise = rng.uniform(0.3, 1.2, len(roots))
    thin = smoothstep(roots[:, 1], -48, 20)
    height = lambda s: -0.2 + (0.7 + 2.4 * thin) * s * rise
    paths = grow(skull, roots, length * (0.28 + 0.72 * thin) * rng.uniform(0.8, 1.2, len(roots)), height, lambda p: comb(p) + jitter, steps=2)
    free = ~skull.touches_ear(paths)
    paths, roots = paths[free], roots[free]
    return ribs(paths, roots, 4.6 * rng.uniform(0.8, 1.2, len(roots)), np.full(len(roots), 0.45), rng, start=0.25)


def short(skull: Skull) -> Locks:
    """Cropped sides, longer on top, brushed forward and to one side with a lifted front."""
    rng = np.random.default_rng(1)
    roots = skull.roots(lambda p: 6.2 + 0 * p[:, 0], 1)
    roots = roots[_across(roots) > 0.25]
    top = _across(roots)
    front = smoothstep(roots[:, 2], -10, 45) * top

    def comb(p):
        t = _across(p)[:, None]
        crown = unit(p - np.array([8, 120, -85]))
        lift = smoothstep(p[:, 2], 20, 50)[:, None]
        forward = unit(np.array([0.75, 0.1, 0.7]) * (1 - lift) + np.array([1.0, 0.7, -0.15]) * lift + 0.5 * crown * (1 - lift))
        down = unit(np.column_stack([0.0 * p[:, 0], -np.ones(len(p)), -0.45 * np.ones(len(p))]))
        return unit(t * forward + (1 - t) * (0.8 * down + 0.3 * crown))

    jitter = rng.normal(0, 0.17, roots.shape)
    temple = smoothstep(roots[:, 2], 5, 35) * (1 - smoothstep(roots[:, 1], 78, 95))
    length = (16 + 26 * top) * (1 - 0.5 * temple) * rng.uniform(0.8, 1.15, len(roots))
    rise = rng.uniform(0.5, 1.1, len(roots))
    height = lambda s: -0.4 + ((1.6 + 8.0 * top + 8.0 * front) * s**0.7) * rise * (1 - 0.25 * s * s)
    paths = grow(skull, roots, length, height, lambda p: comb(p) + jitter, steps=4)
    upper = ribs(paths, roots, (5.0 + 2.2 * top) * rng.uniform(0.75, 1.25, len(roots)), 0.8 + 0.9 * top, rng)
    return joined([upper, _sides(skull, comb, 11)])


def _parted(p: np.ndarray, at: float, back: float, down: float) -> np.ndarray:
    """Combed to both sides of a part at x = ``at``."""
    side = np.tanh((p[:, 0] - at) / 7)
    low = smoothstep(-p[:, 1], -95, -30)
    behind = smoothstep(-p[:, 2], 35, 85)
    back = back * (1 - 0.9 * behind * low)[:]
    return unit(np.column_stack([side * (1 - 0.5 * low), -down * (0.25 + low), -back * (0.6 + 0.4 * low)]))


def side_part(skull: Skull) -> Locks:
    """A gentleman's cut: parted on the left, top swept across, sides combed back."""
    rng = np.random.default_rng(2)
    roots = skull.roots(lambda p: 7.4 + 0 * p[:, 0], 2)
    roots = roots[_across(roots) > 0.2]
    top, jitter = _across(roots), rng.normal(0, 0.08, roots.shape)
    over = top * smoothstep(34 - roots[:, 0], 0, 22)
    comb = lambda p: _parted(p, 34, 0.55, 0.35)
    length = (24 + 40 * top) * rng.uniform(0.85, 1.15, len(roots))
    rise = rng.uniform(0.6, 1.1, len(roots))
    height = lambda s: -0.4 + 1.2 * min(4 * s, 1) + (1.6 + 4.0 * top + 9.0 * over * np.sin(np.pi * min(s + 0.15, 1.0)) ** 0.7) * rise * (0.2 * min(4 * s, 1) + 0.8 * s**0.5)
    paths = grow(skull, roots, length, height, lambda p: comb(p) + jitter, steps=5)
    upper = ribs(paths, roots, (6 + 3.4 * top) * rng.uniform(0.75, 1.25, len(roots)), 0.8 + 0.9 * top, rng)
    return joined([upper, _sides(skull, comb, 12, length=22)])


def bun(skull: Skull) -> Locks:
    """Everything combed back into a bun high on the back of the head."""
    rng = np.random.default_rng(3)
    roots = skull.roots(lambda p: 8.5 + 0 * p[:, 0], 3)
    middle = np.array([0, 98.0, -112.0])
    tie = CENTER + unit(middle - CENTER) * (skull.radius(middle[None])[0] + 3)
    away = np.linalg.norm(roots - tie, axis=1)
    roots, away = roots[away > 18], away[away > 18]
    rise = rng.uniform(0.5, 1.2, len(roots))
    height = lambda s: -0.5 + 1.1 * min(5 * s, 1) + 3.2 * np.sin(np.pi * min(0.9 * s, 1)) ** 0.6 * rise
    jitter = rng.normal(0, 0.05, roots.shape)
    paths = grow(skull, roots, np.minimum(away * 1.08, 105), height, lambda p: unit(tie - p) + jitter, steps=6)
    free = ~skull.touches_ear(paths)
    paths, roots = paths[free], roots[free]
    combed = ribs(paths, roots, 10.5 * rng.uniform(0.8, 1.2, len(roots)), np.full(len(roots), 1.3), rng, start=0.35, tip=0.45)
    # the bun: locks wound round a ball
    axis = unit(tie - CENTER)
    first = unit(np.cross(axis, [1.0, 0, 0]))
    second = np.cross(axis, first)
    wound, ball = [], tie + axis * 15
    for turn in np.linspace(0, 2 * np.pi, 26, endpoint=False):
        s = np.linspace(0, 1, 9)
        polar, round_ = np.pi * (0.62 - 0.60 * s), turn + 1.9 * s
        swell = rng.uniform(0.94, 1.05)
        wound.append(ball + 25 * swell * (np.sin(polar)[:, None] * (np.cos(round_)[:, None] * first + np.sin(round_)[:, None] * second) * 1.08
                                          + np.cos(polar)[:, None] * axis * 0.86))
    wound = np.array(wound)
    flat = ribs(wound, np.tile(tie, (len(wound), 1)), np.full(len(wound), 10.0), np.full(len(wound), 2.0), rng, start=0.9, tip=0.25)
    under = cap(skull, lambda p: 0.15 + 0 * p[:, 0], count=4200, shade=lambda p: 0.74 + 0.08 * noise(p, 2.5, 8))
    return joined([under, combed, flat])


def _hanging(skull: Skull, *, floor: float, seed: int, part: float, spacing: float, wave: float) -> Locks:
    rng = np.random.default_rng(seed)
    roots = skull.roots(lambda p: spacing + 0 * p[:, 0], seed)
    top, jitter = _across(roots), rng.normal(0, 0.05, roots.shape)
    length = (roots[:, 1] - floor) * 1.12 + 26 * top + rng.uniform(-6, 10, len(roots))
    rise = rng.uniform(0.35, 1.15, len(roots))
    phase = rng.uniform(0, 6.3, len(roots))
    height = lambda s: 0.1 + 2.4 * min(9 * s, 1) + (0.5 * min(9 * s, 1) + 6.5 * smoothstep(np.array(3.0 * s)) + 1.0 * s) * rise + wave * np.sin(phase + 11 * s) * s
    floors = floor + rng.uniform(-3, 2, len(roots)) + 5 * smoothstep(roots[:, 2], -40, 30)
    paths = grow(skull, roots, length, height, lambda p: _parted(p, part, 0.42, 0.55) + jitter, steps=9, hang=28.0, ears=True)
    # cut to one line: what would hang lower is drawn up along the path
    cut = paths.copy()
    for i, (way, end) in enumerate(zip(paths, floors)):
        walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))]
        under = np.flatnonzero(way[:, 1] < end)
        if len(under) and under[0] > 0:
            k = under[0]
            share = (way[k - 1, 1] - end) / max(way[k - 1, 1] - way[k, 1], 1e-6)
            stop = walked[k - 1] + share * (walked[k] - walked[k - 1])
            at = np.linspace(0, stop, len(way))
            cut[i] = np.column_stack([np.interp(at, walked, way[:, c]) for c in range(3)])
    steps = unit(np.diff(cut, axis=1))
    straight = (steps[:, 1:] * steps[:, :-1]).sum(2).min(1) > 0.2
    cut, roots = cut[straight], roots[straight]
    curl = smoothstep(np.linspace(0, 1, cut.shape[1]), 0.7, 1.0)[None, :, None]
    inward = unit((CENTER - cut) * [1, 0, 1])
    cut = cut + 9.0 * curl * inward * (1 if wave < 2 else 0)
    under = cap(skull, lambda p: 0.3 + 0 * p[:, 0], count=4200, shade=lambda p: 0.70 + 0.10 * noise(p, 2.5, 8), lowest=-36)
    return joined([under, ribs(cut, roots, 11.5 * rng.uniform(0.75, 1.2, len(roots)), np.full(len(roots), 1.5), rng, start=0.10, tip=0.10)])


def bob(skull: Skull) -> Locks:
    """Chin length, parted near the middle, ends turned in."""
    return _hanging(skull, floor=-72, seed=4, part=8, spacing=8.8, wave=0.0)


def long(skull: Skull) -> Locks:
    """Falls to the shoulders in soft waves, parted on the right."""
    return _hanging(skull, floor=-114, seed=6, part=-22, spacing=8.8, wave=2.4)


def cap(skull: Skull, thickness, *, count: int, shade, lowest: float = -54.0) -> Locks:
    """A closed-looking shell over the hairy scalp, ``thickness(points)`` mm thick; its border dips under the skin."""
    k = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    ways = np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1)
    faces = ConvexHull(ways).simplices
    ground = CENTER + ways * skull.radius(CENTER + ways)[:, None]
    cover = hair_cover(ground, 5) * (ground[:, 1] > lowest) * (skull.touches_ear(ground[:, None], 5.0) == 0)
    points = CENTER + ways * (np.linalg.norm(ground - CENTER, axis=1) - 1.5 + cover * (1.5 + thickness(ground)))[:, None]
    faces = faces[(cover[faces] > 0.02).any(1)]
    inward = (np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]]) * ways[faces[:, 0]]).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    used, faces = np.unique(faces, return_inverse=True)
    return Locks(points[used], faces.reshape(-1, 3), ground[used], shade(points[used]))


def _bumps(points: np.ndarray, size: float, seed: int) -> np.ndarray:
    """(n,) 0..1: round bumps about ``size`` mm apart (distance to the nearest of many random points)."""
    rng = np.random.default_rng(seed)
    low, high = points.min(0) - size, points.max(0) + size
    seeds = rng.uniform(low, high, (int(np.prod((high - low) / size) * 1.3), 3))
    return np.clip(1 - cKDTree(seeds).query(points)[0] / size, 0, 1)


def _curls(skull: Skull, *, seed: int, spacing: float, volume: float, radius: float, turns: float, width: float, steps: int) -> Locks:
    """Ringlets that stand out of a bumpy cap."""
    rng = np.random.default_rng(seed)
    roots = skull.roots(lambda p: spacing * (0.8 + 0.2 * _across(p)), seed)
    roots = roots[~skull.touches_ear(roots[:, None], 7.0)]
    top = 0.40 + 0.60 * smoothstep(roots[:, 1], -20, 100)
    out = unit(roots - CENTER)
    fall = unit(out + np.array([0, -0.45, -0.20]) + rng.normal(0, 0.28, roots.shape))
    first = unit(np.cross(fall, rng.normal(0, 1, roots.shape)))
    second = np.cross(fall, first)
    s = np.linspace(0, 1, steps + 1)
    reach = volume * top * rng.uniform(0.7, 1.1, len(roots))
    turn = rng.uniform(0, 6.3, len(roots))[:, None] + 2 * np.pi * turns * s[None]
    wide = (radius * smoothstep(s, -0.2, 0.4))[None] * (0.6 + 0.4 * top[:, None])
    paths = roots[:, None] + (reach[:, None] * (0.25 + 0.75 * s[None]))[..., None] * fall[:, None]
    paths = paths + (wide * np.cos(turn))[..., None] * first[:, None] + (wide * np.sin(turn))[..., None] * second[:, None]
    flat = paths.reshape(-1, 3)
    far = np.linalg.norm(flat - CENTER, axis=1)
    paths = (CENTER + unit(flat - CENTER) * np.maximum(far, skull.radius(flat) + 1.0)[:, None]).reshape(paths.shape)
    hairs = ribs(paths, roots, np.full(len(roots), width) * rng.uniform(0.8, 1.2, len(roots)), np.full(len(roots), 0.3 * width), rng,
                 start=0.5, tip=0.06)
    depth = smoothstep(np.linalg.norm(hairs.vertices - CENTER, axis=1) - skull.radius(hairs.vertices), 0.1 * volume, 0.8 * volume)
    return Locks(hairs.vertices, hairs.faces, hairs.roots, hairs.shade * (0.62 + 0.50 * depth))


def curly(skull: Skull) -> Locks:
    """A full head of ringlets."""
    rise = lambda p: 21 * (0.40 + 0.60 * smoothstep(p[:, 1], -20, 100)) * (0.62 + 0.62 * _bumps(p, 13, 3))
    base = cap(skull, rise, count=4600, shade=lambda p: 0.52 + 0.42 * _bumps(p, 8, 4))
    return joined([base, _curls(skull, seed=7, spacing=9.4, volume=30, radius=4.8, turns=1.0, width=7.5, steps=7)])


def coils(skull: Skull) -> Locks:
    """Short dense coils: a bumpy cap."""
    rise = lambda p: (5 + 6 * smoothstep(p[:, 1], -10, 95)) * (0.45 + 0.75 * _bumps(p, 6.5, 5))
    return cap(skull, rise, count=11000, shade=lambda p: 0.62 + 0.55 * _bumps(p, 5.0, 6) + 0.08 * noise(p, 3, 5))


def none(skull: Skull) -> Locks:
    return Locks(np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros((0, 3)), np.zeros(0))


STYLES: dict[str, Callable[[Skull], Locks]] = {
    "bald": none, "buzz": none, "short": short, "side_part": side_part, "bun": bun, "bob": bob, "long": long, "curly": curly,
    "coils": coils,
}
"""Bald and buzz are painted on the skin."""
