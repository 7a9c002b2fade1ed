"""Hair as strands: narrow tapered ribbons that grow from the scalp along a combing direction and lie in layers.

Everything is made on the average head, in millimetres, and then carried to each head by how its skull differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from .complexion import hair_cover
from .shown import Heads, noise, smoothstep

CENTER = np.array([0.0, 42.0, -32.0])
UP = np.array([0.0, 1.0, 0.0])
LAMP = np.array([-0.24, 0.50, 0.83])
"""Halfway between the key light and a viewer in front of the head."""
SHEEN = 0.30
"""How much brighter strands are where they mirror it; baked, for colours of vertices have no direction of view."""
VARIETY = 0.15
"""Standard deviation of the brightness of single strands: without it hair is one piece of plastic."""
ROLL = 0.16
"""Standard deviation of how far a strand is turned about its own line, radians: each takes the light a little differently."""
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
    fade: np.ndarray
    """(n,) share of the scalp's colour: strands begin in the colour of what they grow from, which along the hairline is skin."""


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


def grow(
    skull: Skull,
    roots: np.ndarray,
    length: np.ndarray,
    height: Callable[[float], np.ndarray],
    comb,
    *,
    steps: int,
    hang: float = -1e9,
    ears: bool = False,
    floor: float = -1e9,
) -> np.ndarray:
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
    far = np.linalg.norm(paths - CENTER, axis=2)
    for _ in range(3):  # hair bends, it does not break; smoothed apart from its height, it does not sink into the skull
        for values in (paths, far):
            values[:, 1:-1] = 0.5 * values[:, 1:-1] + 0.25 * (values[:, :-2] + values[:, 2:])
    return CENTER + unit(paths - CENTER) * far[..., None]


def _over(skull: Skull, points: np.ndarray, height, ears: bool) -> np.ndarray:
    return CENTER + unit(points - CENTER) * (skull.radius(points, ears) + height)[:, None]


def ribbons(
    paths: np.ndarray, roots: np.ndarray, width: np.ndarray, rng: np.random.Generator, *, start: float = 0.30, tip: float = 0.06, roll: float = ROLL
) -> Locks:
    """Strands along paths (n, k, 3), two vertices across; flat on the head, so that the hair as a whole is shaded and no single strand."""
    n, k, _ = paths.shape
    ahead = unit(np.gradient(paths, axis=1))
    out = unit(paths - CENTER)
    side = unit(np.cross(ahead, out))
    out = unit(np.cross(side, ahead))
    turn = rng.normal(0, roll, n)[:, None, None]
    side = np.cos(turn) * side + np.sin(turn) * out
    s = np.linspace(0, 1, k)
    shape = (start + (1 - start) * smoothstep(s, 0, 0.35)) * (tip + (1 - tip) * (1 - smoothstep(s, 0.5, 1.0)))
    wide = (width[:, None] * shape[None])[..., None] / 2
    vertices = np.stack([paths - wide * side, paths + wide * side], 2).reshape(-1, 3)
    index = np.arange(2 * n * k).reshape(n, k, 2)
    p, q, r, t = index[:, :-1, 0], index[:, :-1, 1], index[:, 1:, 1], index[:, 1:, 0]
    faces = np.concatenate([np.stack([p, q, r], -1).reshape(-1, 3), np.stack([p, r, t], -1).reshape(-1, 3)])
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if (np.cross(b - a, c - a) * unit(a - CENTER)).sum() < 0:
        faces = faces[:, ::-1]
    along = 0.74 + 0.26 * smoothstep(s, 0, 0.5) + 0.10 * smoothstep(s, 0.6, 1.0)
    strand = np.exp(VARIETY * rng.normal(0, 1, n))[:, None] * along
    strand = strand * (1 + SHEEN * _anisotropic(ahead, out))
    edge = rng.normal(1, 0.05, (n, 1, 2))  # the two sides of a strand differ a little
    shade = 0.96 * strand[..., None] * edge * (1 + 0.07 * noise(vertices, 7.0, 21).reshape(n, k, 2))
    walked = np.cumsum(np.linalg.norm(np.diff(paths, axis=1, prepend=paths[:, :1]), axis=2), axis=1)
    fade = np.maximum(0.9 * (1 - smoothstep(walked, 0, 6)), (1 - hair_cover(roots, 10))[:, None] * (1 - smoothstep(walked, 1, 11)))
    return Locks(vertices, faces, np.repeat(roots, 2 * k, 0), shade.reshape(-1), np.repeat(fade.reshape(-1), 2))


def softened(skull: Skull, hair: Locks) -> Locks:
    """The same with strands that take the colour of the skin where they lie beyond the hairline."""
    height = np.linalg.norm(hair.vertices - CENTER, axis=1) - skull.radius(hair.vertices)
    beyond = 0.85 * (1 - hair_cover(hair.vertices, 9)) * (1 - smoothstep(height, 1.5, 4.5))
    return replace(hair, fade=np.maximum(hair.fade, beyond))


def _anisotropic(ahead: np.ndarray, out: np.ndarray) -> np.ndarray:
    """0..1 where a strand of this direction mirrors the lamp (Kajiya & Kay 1989), by its unit tangent and the way out of the head."""
    across = 1 - (ahead @ LAMP) ** 2
    return np.maximum(across, 0) ** 9 * np.clip(out @ LAMP + 0.15, 0, 1)


def joined(parts: list[Locks]) -> Locks:
    starts = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    return Locks(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + at for p, at in zip(parts, starts)]),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("roots", "shade", "fade")),
    )


def _across(points: np.ndarray) -> np.ndarray:
    """(n,) 1 on top of the head, 0 at its sides and back."""
    return smoothstep(points[:, 1], 62, 104)


def _sides(skull: Skull, comb, seed: int, *, length: float = 17.0, spacing: float = 3.9) -> Locks:
    """Cropped hair close to the skin: many thin strands on the sides and the back."""
    rng = np.random.default_rng(seed)
    roots = skull.roots(lambda p: spacing + 0 * p[:, 0], seed)
    burns = (roots[:, 2] > -30) & (roots[:, 1] < 0)
    roots = roots[(_across(roots) < rng.uniform(0.45, 0.95, len(roots))) & (roots[:, 1] > -46) & ~burns]
    jitter = rng.normal(0, 0.13, roots.shape)
    rise = rng.uniform(0.5, 1.0, len(roots))
    thin = smoothstep(roots[:, 1], -48, 20)
    height = lambda s: (0.5 + 2.3 * thin) * s * rise
    paths = grow(skull, roots, length * (0.22 + 0.78 * thin) * rng.uniform(0.8, 1.2, len(roots)), height, lambda p: comb(p) + jitter, steps=2)
    free = ~skull.touches_ear(paths)
    paths, roots = paths[free], roots[free]
    return ribbons(paths, roots, 3.6 * rng.uniform(0.7, 1.2, len(roots)), rng, start=0.35)


def short(skull: Skull) -> Locks:
    """Cropped sides, longer on top, brushed forward and to one side with a lifted front."""
    rng = np.random.default_rng(1)
    roots = skull.roots(lambda p: 3.6 + 0 * p[:, 0], 1)
    roots = roots[_across(roots) > rng.uniform(0.05, 0.40, len(roots))]
    top = _across(roots)
    front = smoothstep(roots[:, 2], -10, 45) * top

    def comb(p):
        t = _across(p)[:, None]
        crown = unit(p - np.array([8, 120, -85]))
        lift = smoothstep(p[:, 2], 20, 50)[:, None]
        forward = unit(np.array([0.75, 0.1, 0.7]) * (1 - lift) + np.array([1.0, 0.7, -0.15]) * lift + 0.5 * crown * (1 - lift))
        down = unit(np.column_stack([0.0 * p[:, 0], -np.ones(len(p)), -0.45 * np.ones(len(p))]))
        return unit(t * forward + (1 - t) * (0.8 * down + 0.3 * crown))

    jitter = rng.normal(0, 0.11, roots.shape)
    temple = smoothstep(roots[:, 2], 5, 35) * (1 - smoothstep(roots[:, 1], 78, 95))
    length = (15 + 20 * top) * (1 - 0.5 * temple) * rng.uniform(0.75, 1.2, len(roots))
    rise = rng.uniform(0.55, 1.05, len(roots))
    height = lambda s: -0.1 + ((1.4 + 6.5 * top + 5.5 * front) * s**0.8) * rise * (1 - 0.25 * s * s)
    paths = grow(skull, roots, length, height, lambda p: comb(p) + jitter, steps=4)
    upper = ribbons(paths, roots, (3.2 + 1.0 * top) * rng.uniform(0.6, 1.2, len(roots)), rng)
    return softened(skull, joined([upper, _sides(skull, comb, 11)]))


def _parted(p: np.ndarray, at: float, back: float, down: float) -> np.ndarray:
    """Combed to both sides of a part at x = ``at``, which ends at the crown; behind it hair falls from a whorl."""
    side = np.tanh((p[:, 0] - at) / 7)
    low = smoothstep(-p[:, 1], -95, -30)
    behind = smoothstep(-p[:, 2], 35, 85)
    parted = unit(np.column_stack([side * (1 - 0.5 * low), -down * (0.25 + low), -back * (1 - 0.9 * behind * low) * (0.6 + 0.4 * low)]))
    whorl = unit(p - np.array([0.35 * at, 118.0, -62.0])) - 0.35 * UP
    share = smoothstep(-p[:, 2], 40, 78)[:, None]
    return unit(parted * (1 - share) + whorl * share)


def side_part(skull: Skull) -> Locks:
    """A gentleman's cut: parted on the left, top swept across, sides combed back."""
    rng = np.random.default_rng(2)
    roots = skull.roots(lambda p: 4.0 + 0 * p[:, 0], 2)
    roots = roots[_across(roots) > rng.uniform(0.05, 0.40, len(roots))]
    top, jitter = _across(roots), rng.normal(0, 0.07, roots.shape)
    over = top * smoothstep(34 - roots[:, 0], 0, 22)
    comb = lambda p: _parted(p, 34, 0.55, 0.35)
    length = (22 + 34 * top) * rng.uniform(0.8, 1.15, len(roots))
    rise = rng.uniform(0.65, 1.05, len(roots))
    height = lambda s: (
        0.1
        + 0.5 * min(4 * s, 1)
        + (1.4 + 3.0 * top + 7.5 * over * np.sin(np.pi * min(s + 0.15, 1.0)) ** 0.7) * rise * (0.2 * min(4 * s, 1) + 0.8 * s**0.5)
    )
    paths = grow(skull, roots, length, height, lambda p: comb(p) + jitter, steps=5)
    upper = ribbons(paths, roots, (3.6 + 1.6 * top) * rng.uniform(0.6, 1.2, len(roots)), rng)
    return softened(skull, joined([upper, _sides(skull, comb, 12, length=22)]))


def bun(skull: Skull) -> Locks:
    """Everything combed back into a bun high on the back of the head."""
    rng = np.random.default_rng(3)
    roots = skull.roots(lambda p: 4.7 + 1.2 * _across(p), 3)
    middle = np.array([0, 98.0, -112.0])
    tie = CENTER + unit(middle - CENTER) * (skull.radius(middle[None])[0] + 3)
    away = np.linalg.norm(roots - tie, axis=1)
    roots, away = roots[away > 18], away[away > 18]
    rise = rng.uniform(0.6, 1.1, len(roots))
    height = lambda s: 0.3 + 0.5 * min(5 * s, 1) + 3.0 * np.sin(np.pi * min(0.9 * s, 1)) ** 0.6 * rise
    jitter = rng.normal(0, 0.03, roots.shape)
    paths = grow(skull, roots, np.minimum(away * 1.06, 95), height, lambda p: unit(tie - p) + jitter, steps=6)
    free = ~skull.touches_ear(paths)
    paths, roots = paths[free], roots[free]
    combed = ribbons(paths, roots, 6.2 * rng.uniform(0.6, 1.2, len(roots)), rng, start=0.35, tip=0.40, roll=0.08)
    # the bun: strands wound round a ball
    axis = unit(tie - CENTER)
    first = unit(np.cross(axis, [1.0, 0, 0]))
    second = np.cross(axis, first)
    wound, ball = [], tie + axis * 13
    for turn in np.linspace(0, 2 * np.pi, 54, endpoint=False):
        s = np.linspace(0, 1, 11)
        polar, round_ = np.pi * (0.88 - 0.86 * s), turn + 2.6 * s
        swell = rng.uniform(0.95, 1.04)
        wound.append(
            ball
            + 24
            * swell
            * (
                np.sin(polar)[:, None] * (np.cos(round_)[:, None] * first + np.sin(round_)[:, None] * second) * 1.05
                + np.cos(polar)[:, None] * axis * 0.84
            )
        )
    wound = np.array(wound)
    return joined([combed, _wound(wound, ball, tie, rng)])


def _wound(paths: np.ndarray, ball: np.ndarray, tie: np.ndarray, rng: np.random.Generator) -> Locks:
    """Strands (n, k, 3) that lie on a ball round ``ball`` and belong to the point ``tie`` of the scalp."""
    moved = ribbons(paths - ball + CENTER, np.tile(tie, (len(paths), 1)), np.full(len(paths), 6.4), rng, start=0.5, tip=0.25, roll=0.05)
    return Locks(moved.vertices + ball - CENTER, moved.faces, moved.roots, moved.shade, 0 * moved.fade)


def _hanging(skull: Skull, *, floor: float, seed: int, part: float, spacing: float, wave: float) -> Locks:
    rng = np.random.default_rng(seed)
    roots = skull.roots(lambda p: spacing + 0 * p[:, 0], seed)
    roots = roots[(roots[:, 1] > -25) & (hair_cover(roots) > 0.55)]  # of those of the nape only strays would be seen
    top, jitter = _across(roots), rng.normal(0, 0.04, roots.shape)
    length = (roots[:, 1] - floor) * 1.12 + 26 * top + rng.uniform(-6, 10, len(roots))
    rise = rng.uniform(0.6, 1.0, len(roots))
    phase = rng.uniform(0, 6.3, len(roots))
    height = lambda s: (
        0.6 + 1.0 * min(9 * s, 1) + (0.5 * min(9 * s, 1) + 6.5 * smoothstep(np.array(3.0 * s)) + 1.0 * s) * rise + wave * np.sin(phase + 11 * s) * s
    )
    floors = floor + rng.uniform(-7, 4, len(roots)) + 5 * smoothstep(roots[:, 2], -40, 30)
    paths = grow(skull, roots, length, height, lambda p: _parted(p, part, 0.42, 0.55) + jitter, steps=10, hang=28.0, ears=True)
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
    bent = (steps[:, 1:] * steps[:, :-1]).sum(2).min(1)
    flung = (steps[:, -4:] * unit((cut - CENTER) * [1, 0, 1])[:, -4:]).sum(2).max(1)
    over = (np.linalg.norm(cut - CENTER, axis=2) - skull.radius(cut.reshape(-1, 3)).reshape(cut.shape[:2])) * (cut[..., 1] > 98)
    straight = (bent > 0.72) & (flung < 0.25) & (over.max(1) < 5.0)  # the others would stick out of the rest
    cut, roots = cut[straight], roots[straight]
    curl = smoothstep(np.linspace(0, 1, cut.shape[1]), 0.7, 1.0)[None, :, None]
    inward = unit((CENTER - cut) * [1, 0, 1])
    cut = cut + 9.0 * curl * inward * (1 if wave < 2 else 0)
    return ribbons(cut, roots, 8.0 * rng.uniform(0.6, 1.2, len(roots)), rng, start=0.12, tip=0.28, roll=0.10)


def bob(skull: Skull) -> Locks:
    """Chin length, parted near the middle, ends turned in."""
    return _hanging(skull, floor=-72, seed=4, part=8, spacing=5.9, wave=0.0)


def long(skull: Skull) -> Locks:
    """Falls to the shoulders in soft waves, parted on the right."""
    return _hanging(skull, floor=-114, seed=6, part=-22, spacing=5.9, wave=2.4)


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
    return Locks(points[used], faces.reshape(-1, 3), ground[used], shade(points[used]), 1 - smoothstep(cover[used], 0.1, 0.8))


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
    roots = roots[~skull.touches_ear(roots[:, None], 7.0) & (hair_cover(roots) > 0.5) & (roots[:, 1] > -44)]
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
    inside = (hair_cover(paths.reshape(-1, 3)).reshape(paths.shape[:2]) > 0.3) | (paths[..., 2] < 0)
    keep = inside.all(1)  # none lies on the forehead
    paths, roots = paths[keep], roots[keep]
    flat = paths.reshape(-1, 3)
    far = np.linalg.norm(flat - CENTER, axis=1)
    paths = (CENTER + unit(flat - CENTER) * np.maximum(far, skull.radius(flat) + 1.0)[:, None]).reshape(paths.shape)
    hairs = ribbons(paths, roots, width * rng.uniform(0.7, 1.2, len(roots)), rng, start=0.6, tip=0.15, roll=0.5)
    depth = smoothstep(np.linalg.norm(hairs.vertices - CENTER, axis=1) - skull.radius(hairs.vertices), 0.1 * volume, 0.8 * volume)
    return Locks(hairs.vertices, hairs.faces, hairs.roots, hairs.shade * (0.54 + 0.36 * depth), hairs.fade)


def curly(skull: Skull) -> Locks:
    """A full head of ringlets."""
    rise = lambda p: 15 * (0.40 + 0.60 * smoothstep(p[:, 1], -20, 100)) * (0.62 + 0.62 * _bumps(p, 13, 3))
    base = cap(skull, rise, count=4600, shade=lambda p: 0.60 + 0.34 * _bumps(p, 7, 4))
    return joined([base, _curls(skull, seed=7, spacing=7.0, volume=27, radius=4.2, turns=1.25, width=5.4, steps=7)])


def coils(skull: Skull) -> Locks:
    """Short dense coils: a bumpy cap."""
    rise = lambda p: (5 + 6 * smoothstep(p[:, 1], -10, 95)) * (0.45 + 0.75 * _bumps(p, 6.5, 5))
    return cap(skull, rise, count=11000, shade=lambda p: 0.62 + 0.55 * _bumps(p, 5.0, 6) + 0.08 * noise(p, 3, 5))


def none(skull: Skull) -> Locks:
    return Locks(np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros((0, 3)), np.zeros(0), np.zeros(0))


STYLES: dict[str, Callable[[Skull], Locks]] = {
    "bald": none,
    "buzz": none,
    "short": short,
    "side_part": side_part,
    "bun": bun,
    "bob": bob,
    "long": long,
    "curly": curly,
    "coils": coils,
}
"""Bald and buzz are painted on the skin."""
