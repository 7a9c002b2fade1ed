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
VARIETY = 0.13
"""Standard deviation of the brightness of single strands: without it hair is one piece of plastic."""
STREAK = 0.15
"""How much one edge of a strand is darker and the other brighter than its middle: one ribbon is seen as several hairs."""
ROLL = 0.12
"""Standard deviation of how far a strand is turned about its own line, radians: each takes the light a little differently."""
SEEDS = 14000
"""Random points of the scalp among which roots are chosen."""
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
        pick = rng.choice(len(area), SEEDS, p=area / area.sum())
        u, v = rng.random(SEEDS), rng.random(SEEDS)
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
    edges = np.stack([paths - wide * side, paths + wide * side], 2)
    along = 0.74 + 0.26 * smoothstep(s, 0, 0.5) + 0.10 * smoothstep(s, 0.6, 1.0)
    strand = np.exp(VARIETY * rng.normal(0, 1, n))[:, None] * along
    strand = strand * (1 + SHEEN * _anisotropic(ahead, out))
    streak = STREAK * rng.choice([-1, 1], n)[:, None, None] * np.array([-1, 1]) * smoothstep(s, 0.0, 0.3)[None, :, None]
    shade = 0.96 * strand[..., None] * (1 + streak) * (1 + 0.07 * noise(edges.reshape(-1, 3), 7.0, 21).reshape(n, k, 2))
    walked = np.cumsum(np.linalg.norm(np.diff(paths, axis=1, prepend=paths[:, :1]), axis=2), axis=1)
    fade = np.maximum(0.9 * (1 - smoothstep(walked, 0, 6)), (1 - hair_cover(roots, 10))[:, None] * (1 - smoothstep(walked, 1, 11)))
    # the two corners at the tip are one
    pointed = lambda values: np.concatenate([values[:, :-1].reshape(n, 2 * k - 2, -1), values[:, -1].mean(1).reshape(n, 1, -1)], 1)
    vertices = pointed(edges).reshape(-1, 3)
    corner = 2 * np.arange(k - 2)
    quads = np.concatenate([np.stack([corner, corner + 1, corner + 3], 1), np.stack([corner, corner + 3, corner + 2], 1)])
    blade = np.concatenate([quads, [[2 * k - 4, 2 * k - 3, 2 * k - 2]]])
    faces = (blade[None] + (2 * k - 1) * np.arange(n)[:, None, None]).reshape(-1, 3)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if (np.cross(b - a, c - a) * unit(a - CENTER)).sum() < 0:
        faces = faces[:, ::-1]
    both = np.repeat(fade[..., None], 2, 2)
    return Locks(vertices, faces, np.repeat(roots, 2 * k - 1, 0), pointed(shade).reshape(-1), pointed(both).reshape(-1))


def sheet(paths: np.ndarray, roots: np.ndarray, fade: np.ndarray, rng: np.random.Generator, *, closed: bool, middle: np.ndarray = CENTER) -> Locks:
    """Neighbouring paths (n, k, 3) sewn to one smooth surface, each with a brightness of its own: combed hair without a gap. ``closed``: the last
    is the first one's neighbour."""
    n, k, _ = paths.shape
    ahead, out = unit(np.gradient(paths, axis=1)), unit(paths - middle)
    here = np.arange(n if closed else n - 1)
    a, b = here[:, None] * k + np.arange(k - 1), (here + 1)[:, None] % n * k + np.arange(k - 1)
    faces = np.concatenate([np.stack([a, b, b + 1], -1).reshape(-1, 3), np.stack([a, b + 1, a + 1], -1).reshape(-1, 3)])
    flat = paths.reshape(-1, 3)
    p, q, r = (flat[faces[:, i]] for i in range(3))
    if (np.cross(q - p, r - p) * unit(p - middle)).sum() < 0:
        faces = faces[:, ::-1]
    strand = np.exp(VARIETY * (1.1 * rng.normal(0, 1, n) + 0.6 * _wavy(rng, n, 7)))[:, None] * (1 + 0.5 * SHEEN * _anisotropic(ahead, out))
    strand = strand * (1 + 0.10 * noise(flat * [1, 0.4, 1], 9.0, 22).reshape(n, k))
    return Locks(flat, faces, np.repeat(roots, k, 0), 0.90 * strand.reshape(-1), fade.reshape(-1))


def _wavy(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """(count,) random values with standard deviation 1 that change over ``width`` of them, the last next to the first."""
    kernel = np.exp(-0.5 * ((np.arange(count) - count // 2) / width) ** 2)
    values = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, count)) * np.abs(np.fft.rfft(kernel)), count)
    return values / values.std()


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


def _behind(points: np.ndarray) -> np.ndarray:
    """(n,) 1 on the back of the head, which few look at: fewer and wider strands will do."""
    return smoothstep(-points[:, 2], 45, 95)


def _sides(skull: Skull, comb, seed: int, *, length: float = 20.0, spacing: float = 3.1, width: float = 2.1) -> Locks:
    """Cropped hair close to the skin: many thin strands on the sides and the back."""
    rng = np.random.default_rng(seed)
    roots = skull.roots(lambda p: spacing * (1 + 0.4 * _behind(p)), seed)
    burns = (roots[:, 2] > -30) & (roots[:, 1] < 0)
    roots = roots[(_across(roots) < rng.uniform(0.45, 0.95, len(roots))) & (roots[:, 1] > -46) & ~burns]
    jitter = rng.normal(0, 0.10, roots.shape)
    rise = rng.uniform(0.5, 1.0, len(roots))
    thin = smoothstep(roots[:, 1], -48, 20)
    height = lambda s: (0.4 + 1.9 * thin) * s * rise
    paths = grow(skull, roots, length * (0.30 + 0.70 * thin) * rng.uniform(0.8, 1.2, len(roots)), height, lambda p: comb(p) + jitter, steps=2)
    paths, kept = _trimmed(paths)
    free = ~skull.touches_ear(paths) & (hair_cover(roots) > 0.75)
    paths, roots, kept = paths[free], roots[free], kept[free]
    wide = width * kept**0.5 * (1 + 0.5 * _behind(roots)) * rng.uniform(0.7, 1.2, len(roots))
    return ribbons(paths, roots, wide, rng, start=0.45)


def _trimmed(paths: np.ndarray, least: float = 0.35) -> tuple[np.ndarray, np.ndarray]:
    """Paths (n, k, 3) that end where the hairy scalp does, but keep ``least`` of their length, and (n,) the share that they keep:
    no spikes on cheek and temple."""
    inside = hair_cover(paths.reshape(-1, 3), 4).reshape(paths.shape[:2])
    share = np.clip(inside.min(1), least, 1)[:, None]
    s = np.linspace(0, 1, paths.shape[1])
    at = s[None] * share * (paths.shape[1] - 1)
    low = np.minimum(at.astype(int), paths.shape[1] - 2)
    rest = (at - low)[..., None]
    row = np.arange(len(paths))[:, None]
    return paths[row, low] * (1 - rest) + paths[row, low + 1] * rest, share[:, 0]


WHORL = np.array([-10.0, 122.0, -72.0])
"""Where cropped hair grows to all sides."""


def short(skull: Skull) -> Locks:
    """Cropped sides, longer on top, grown from a whorl and brushed to one side at the front."""
    rng = np.random.default_rng(1)
    roots = skull.roots(lambda p: 3.2 + 1.0 * _behind(p), 1)
    roots = roots[_across(roots) > rng.uniform(0.05, 0.40, len(roots))]
    top = _across(roots)
    front = smoothstep(roots[:, 2], -10, 45) * top

    def comb(p):
        t = _across(p)[:, None]
        whorl = unit(p - WHORL)
        brushed = smoothstep(p[:, 2], -5, 45)[:, None]
        forward = unit(whorl * (1 - 0.75 * brushed) + np.array([0.85, 0.25, 0.30]) * brushed)
        down = unit(0.55 * whorl - UP)
        return unit(t * forward + (1 - t) * down)

    jitter = rng.normal(0, 0.12, roots.shape)
    temple = smoothstep(roots[:, 2], 5, 35) * (1 - smoothstep(roots[:, 1], 78, 95))
    length = (18 + 20 * top) * (1 - 0.5 * temple) * rng.uniform(0.75, 1.2, len(roots))
    flat = 1 - 0.8 * np.exp(-(((roots - WHORL) ** 2).sum(1)) / 30**2)  # where hair parts to all sides it lies flat
    rise = rng.uniform(0.55, 1.05, len(roots)) * flat
    height = lambda s: -0.1 + ((1.4 + 5.5 * top + 5.0 * front) * s**0.8) * rise * (1 - 0.25 * s * s)
    paths, kept = _trimmed(grow(skull, roots, length, height, lambda p: comb(p) + jitter, steps=4), least=0.6)
    upper = ribbons(paths, roots, kept * (2.0 + 0.5 * top + 0.8 * _behind(roots)) * rng.uniform(0.6, 1.3, len(roots)), rng, start=0.45)
    return softened(skull, joined([upper, _sides(skull, comb, 11)]))


def _parted(p: np.ndarray, at: float, back: float, down: float, crown: float, side: np.ndarray | None = None) -> np.ndarray:
    """Combed to both sides of a part at x = ``at``, which ends at the crown; behind it hair falls from a whorl at x = ``crown``.
    ``side`` (n,): the sign of the side that hair is kept on, 0: it goes where it lies."""
    where = np.tanh((p[:, 0] - at) / 7)
    side = where if side is None else np.where(side == 0, where, side * np.maximum(side * where, 0.45))
    low = smoothstep(-p[:, 1], -95, -30)
    behind = smoothstep(-p[:, 2], 35, 85)
    parted = unit(np.column_stack([side * (1 - 0.5 * low), -down * (0.25 + low), -back * (1 - 0.9 * behind * low) * (0.6 + 0.4 * low)]))
    whorl = unit((p - np.array([crown, 0, -62.0])) * [1, 0, 1]) - 0.35 * UP
    share = smoothstep(-p[:, 2], 40, 78)[:, None]
    return unit(parted * (1 - share) + whorl * share)


def side_part(skull: Skull) -> Locks:
    """A gentleman's cut: parted on the left, top swept across, sides combed back."""
    rng = np.random.default_rng(2)
    roots = skull.roots(lambda p: 3.5 + 0.9 * _behind(p), 2)
    roots = roots[_across(roots) > rng.uniform(0.05, 0.40, len(roots))]
    top, jitter = _across(roots), rng.normal(0, 0.07, roots.shape)
    over = top * smoothstep(34 - roots[:, 0], 0, 22)
    comb = lambda p: _parted(p, 34, 0.55, 0.35, 12)
    length = (22 + 34 * top) * rng.uniform(0.8, 1.15, len(roots))
    rise = rng.uniform(0.65, 1.05, len(roots))
    height = lambda s: (
        0.1
        + 0.5 * min(4 * s, 1)
        + (1.4 + 3.0 * top + 7.5 * over * np.sin(np.pi * min(s + 0.15, 1.0)) ** 0.7) * rise * (0.2 * min(4 * s, 1) + 0.8 * s**0.5)
    )
    paths, kept = _trimmed(grow(skull, roots, length, height, lambda p: comb(p) + jitter, steps=5), least=0.6)
    upper = ribbons(paths, roots, kept * (2.4 + 0.8 * top + 0.8 * _behind(roots)) * rng.uniform(0.6, 1.3, len(roots)), rng, start=0.45)
    return softened(skull, joined([upper, _sides(skull, comb, 12, length=22)]))


def bun(skull: Skull) -> Locks:
    """Everything combed back into a bun high on the back of the head."""
    rng = np.random.default_rng(3)
    middle = np.array([0, 98.0, -112.0])
    tie = CENTER + unit(middle - CENTER) * (skull.radius(middle[None])[0] + 3)
    lines, roots = _to_point(skull, tie, 236, np.r_[0, 0.02, 0.05, 0.09, 0.14, 0.21, 0.30, 0.42, 0.56, 0.72, 0.88, 1])
    relief = 0.30 * rng.normal(0, 1, len(lines)) + 0.5 * _wavy(rng, len(lines), 4)
    s = np.linspace(0, 1, lines.shape[1])
    walked = np.cumsum(np.linalg.norm(np.diff(lines, axis=1, prepend=lines[:, :1]), axis=2), axis=1)
    over = 0.45 + 1.15 * smoothstep(walked, 0, 7) + (2.2 + relief[:, None]) * smoothstep(walked, 3, 34)
    combed = lines + unit(lines - CENTER) * over[..., None]
    late = 1.5 + 1.1 * rng.normal(0, 1, (len(lines), 1)).clip(-1.4, 1.4)  # no hair begins exactly where its neighbour does
    slick = sheet(combed, roots, 1 - smoothstep(walked - late, -3.0, 8.0), rng, closed=True)
    # loose strands over it
    pick = np.sort(rng.choice(len(lines), 640))
    start, reach = rng.uniform(0, 0.6, len(pick)), rng.uniform(0.35, 0.8, len(pick))
    at = np.clip(start[:, None] + reach[:, None] * np.linspace(0, 1, 6), 0, 0.97)
    shared = np.stack([[np.interp(t, s, combed[i, :, c]) for c in range(3)] for i, t in zip(pick, at)]).transpose(0, 2, 1)
    loose = shared + unit(shared - CENTER) * (0.30 + 0.45 * np.sin(np.pi * np.linspace(0, 1, 6)))[None, :, None] * rng.uniform(
        0.4, 1.2, (len(pick), 1, 1)
    )
    loose = loose + rng.normal(0, 0.5, (len(pick), 1, 3))
    single = ribbons(loose, roots[pick], rng.uniform(0.9, 2.0, len(pick)), rng, start=0.2, tip=0.2)
    single = replace(single, fade=np.where(np.repeat(start < 0.05, 11), single.fade, 0))
    return joined([slick, single, _ball(tie, roots, rng)])


def _to_point(skull: Skull, tie: np.ndarray, count: int, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Straight lines (count, k, 3) on the skull from the whole hairline to a point, evenly apart where they begin, and their beginnings."""
    axis = unit(tie - CENTER)
    first = unit(np.cross(axis, [1.0, 0, 0]))
    second = np.cross(axis, first)
    turn = np.linspace(0, 2 * np.pi, 1440, endpoint=False)
    way = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    bend = np.radians(np.arange(12, 170, 1.0))
    ways = np.cos(bend)[None, :, None] * axis + np.sin(bend)[None, :, None] * way[:, None]
    ground = CENTER + ways * skull.radius((CENTER + ways).reshape(-1, 3)).reshape(ways.shape[:2])[..., None]
    bare = (hair_cover(ground.reshape(-1, 3)).reshape(ground.shape[:2]) < 0.25) | (ground[..., 1] < -56)
    bare |= skull.touches_ear(ground.reshape(-1, 1, 3), 2.5).reshape(bare.shape)
    ends = bend[np.where(bare.any(1), bare.argmax(1), -1)]
    # no step where the hairline turns back behind the ear
    kernel = np.exp(-0.5 * ((np.arange(1440) - 720) / 11) ** 2)
    ends = np.fft.irfft(np.fft.rfft(ends) * np.abs(np.fft.rfft(kernel / kernel.sum())), 1440)
    edge = np.cos(ends)[:, None] * axis + np.sin(ends)[:, None] * way
    ring = 100 * np.r_[edge, edge[:1]]
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))]
    at = np.interp(np.linspace(0, walked[-1], count, endpoint=False), walked, np.r_[turn, 2 * np.pi])
    end = np.interp(at, np.r_[turn, 2 * np.pi], np.r_[ends, ends[0]])
    way = np.cos(at)[:, None] * first + np.sin(at)[:, None] * second
    bend = end[:, None] * (1 - steps)[None] + np.radians(6) * steps[None]
    ways = np.cos(bend)[..., None] * axis + np.sin(bend)[..., None] * way[:, None]
    lines = CENTER + ways * skull.radius((CENTER + ways).reshape(-1, 3)).reshape(ways.shape[:2])[..., None]
    return lines, lines[:, 0]


def _ball(tie: np.ndarray, roots: np.ndarray, rng: np.random.Generator) -> Locks:
    """Hair wound to a ball behind ``tie``, where it belongs."""
    axis = unit(tie - CENTER)
    first = unit(np.cross(axis, [1.0, 0, 0]))
    second, ball, count = np.cross(axis, first), tie + axis * 13, 84
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    s = np.linspace(0, 1, 11)[None]
    polar, round_ = np.pi * (0.88 - 0.86 * s), turn + 2.6 * s
    swell = 24 * (1 + 0.012 * rng.normal(0, 1, count) + 0.02 * _wavy(rng, count, 3))[:, None, None]
    circle = np.cos(round_)[..., None] * first + np.sin(round_)[..., None] * second
    paths = ball + swell * (1.05 * np.sin(polar)[..., None] * circle + 0.84 * np.cos(polar)[..., None] * axis)
    return sheet(paths, np.tile(tie, (count, 1)), np.zeros((count, 11)), rng, closed=True, middle=ball)


def _hanging(skull: Skull, *, floor: float, seed: int, part: float, wave: float) -> Locks:
    """Long hair: a smooth surface combed from the part to one line below, and loose strands over it."""
    rng = np.random.default_rng(seed)
    comb = lambda p, side=None: _parted(p, part, 0.42, 0.55, part, side)
    kept = lambda roots: lambda p: comb(p, np.sign(roots[:, 0] - part) * (roots[:, 2] > -52))
    grown = lambda roots, long: grow(skull, roots, long, lambda s: _volume(s, 0.8), kept(roots), steps=30, hang=28.0, ears=True)
    start = _along_part(skull, part)
    lines, start = _spread(grown, start, (start[:, 1] - floor) * 1.12 + 30)
    paths = _cut(lines, np.full(len(lines), floor) + 5 * smoothstep(start[:, 2], -40, 30), 18)
    relief = 0.35 * rng.normal(0, 1, len(paths)) + 0.6 * _wavy(rng, len(paths), 3)
    s = np.linspace(0, 1, paths.shape[1])
    ripple = wave * np.sin(_wavy(rng, len(paths), 12)[:, None] * 0.9 + 11 * s) * s
    paths = paths + unit((paths - CENTER) * [1, 0.4, 1]) * (relief[:, None] * smoothstep(s, 0.05, 0.3) + ripple)[..., None]
    paths = _turned_in(_over_ears(skull, paths), 9.0 if wave < 2 else 3.0)
    paths[:, -1, 1] += rng.uniform(-6, 5, len(paths))
    paths, rim = _laid(skull, paths)
    fade = np.maximum(0.5 * np.tile(1 - smoothstep(s, 0.0, 0.05), (len(paths), 1)), rim)
    smooth = sheet(paths, start, fade, rng, closed=False)
    return joined([smooth, _loose(skull, comb, rng, floor=floor, wave=wave)])


RIM = 7
"""Outermost paths on either side of a surface over which it comes down to the skin and takes its colour: hair begins without a step."""


def _laid(skull: Skull, paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paths (n, k, 3), smooth where they lie on the head and flat beside the forehead, and (n, k) their share of the skin's colour there."""
    far = np.linalg.norm(paths - CENTER, axis=2)
    even = far.copy()
    for _ in range(6):
        even[:, 1:-1] = 0.5 * even[:, 1:-1] + 0.25 * (even[:, :-2] + even[:, 2:])
        even[1:-1] = 0.5 * even[1:-1] + 0.25 * (even[:-2] + even[2:])
    upper = smoothstep(paths[..., 1], 40, 75)
    far = far + (np.maximum(even, far - 0.5) - far) * upper
    number = np.minimum(np.arange(len(paths)), np.arange(len(paths))[::-1])
    rim = 0.88 * (1 - smoothstep(number, 0, RIM))[:, None] * upper
    low = skull.radius(paths.reshape(-1, 3)).reshape(far.shape) + 0.4
    return CENTER + unit(paths - CENTER) * (far + (np.minimum(low, far) - far) * rim)[..., None], rim


def _volume(share: float, rise: float | np.ndarray) -> float | np.ndarray:
    """Height of hanging hair over the skin, mm."""
    return 0.6 + min(9 * share, 1) + (0.5 * min(9 * share, 1) + 6.5 * smoothstep(np.array(3.0 * share)) + share) * rise


def _along_part(skull: Skull, part: float, count: int = 1200) -> np.ndarray:
    """Points (count, 3) beside the part, from the forehead to the whorl, round it, and back to the forehead on the other side."""
    turn = np.linspace(0, np.pi, 24)
    around = np.column_stack([part + 7 * np.cos(turn), -62 - 7 * np.sin(turn)])
    line = np.concatenate([[[part + 0.7, 46.0], [part + 0.7, -42.0]], around, [[part - 0.7, -42.0], [part - 0.7, 46.0]]])
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    x, z = (np.interp(np.linspace(0, walked[-1], count), walked, line[:, k]) for k in range(2))
    points = np.column_stack([x, np.full(count, 118.0), z])
    for _ in range(4):  # on the skull, right above (x, z)
        points[:, 1] = _over(skull, points, 0.0, False)[:, 1]
    return points


def _spread(grown, start: np.ndarray, reach: np.ndarray, count: int = 236) -> tuple[np.ndarray, np.ndarray]:
    """Of many neighbouring paths ``count`` that are evenly apart half way down, and where they begin."""
    paths = grown(start, reach)
    middle = paths[:, paths.shape[1] // 2]
    apart = np.linalg.norm(np.diff(middle, axis=0), axis=1) + 0.4 * np.linalg.norm(np.diff(start, axis=0), axis=1)
    walked = np.r_[0, np.cumsum(np.minimum(apart, 12.0))]
    at = np.interp(np.linspace(0, walked[-1], count), walked, np.arange(len(start)))
    low = np.minimum(at.astype(int), len(start) - 2)
    rest = (at - low)[:, None]
    start = start[low] * (1 - rest) + start[low + 1] * rest
    return grown(start, reach[low]), start


def _cut(paths: np.ndarray, floors: np.ndarray, steps: int) -> np.ndarray:
    """(n, steps, 3): paths that end at the height of ``floors`` (n,), denser where they begin."""
    out = np.empty((len(paths), steps, 3))
    for i, (way, end) in enumerate(zip(paths, floors)):
        walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))]
        under = np.flatnonzero(way[:, 1] < end)
        stop = walked[-1]
        if len(under) and under[0] > 0:
            k = under[0]
            stop = walked[k - 1] + (way[k - 1, 1] - end) / max(way[k - 1, 1] - way[k, 1], 1e-6) * (walked[k] - walked[k - 1])
        at = stop * np.linspace(0, 1, steps) ** 1.6
        out[i] = np.column_stack([np.interp(at, walked, way[:, c]) for c in range(3)])
    return out


def _turned_in(paths: np.ndarray, by: float) -> np.ndarray:
    """Paths whose ends bend ``by`` mm towards the neck."""
    curl = smoothstep(np.linspace(0, 1, paths.shape[1]), 0.7, 1.0)[None, :, None]
    return paths + by * curl * unit((CENTER - paths) * [1, 0, 1])


def _over_ears(skull: Skull, paths: np.ndarray, gap: float = 5.5) -> np.ndarray:
    """Paths (n, k, 3) that keep ``gap`` mm from head and ears where these are; a surface between them has no strand to spare."""
    beside = paths[..., 1] > -32
    wanted = skull.radius(paths.reshape(-1, 3), ears=True).reshape(paths.shape[:2]) + gap * smoothstep(-paths[..., 1], -75, -45)
    far = np.linalg.norm(paths - CENTER, axis=2)
    return CENTER + unit(paths - CENTER) * np.where(beside, np.maximum(far, wanted), far)[..., None]


def _loose(skull: Skull, comb, rng: np.random.Generator, *, floor: float, wave: float) -> Locks:
    """Strands over hanging hair: they break its outline, and cover the hairline beside the face."""
    roots = skull.roots(lambda p: 8.0 - 4.0 * smoothstep(p[:, 2], -10, 20), 4)
    roots = roots[(roots[:, 1] > -20) & (hair_cover(roots) > 0.55) & ((roots[:, 2] < 18) | (roots[:, 1] < 78))]
    jitter, rise, phase = rng.normal(0, 0.035, roots.shape), rng.uniform(0.98, 1.14, len(roots)), rng.uniform(0, 6.3, len(roots))
    length = (roots[:, 1] - floor) * 1.12 + 26 * _across(roots)
    height = lambda s: _volume(s, rise) + wave * np.sin(phase + 11 * s) * s
    paths = grow(skull, roots, length, height, lambda p: comb(p) + jitter, steps=12, hang=28.0, ears=True)
    floors = floor + rng.uniform(-7, 4, len(roots)) + 5 * smoothstep(roots[:, 2], -40, 30)
    paths = _cut(paths, floors, 8)
    steps = unit(np.diff(paths, axis=1))
    bent = (steps[:, 1:] * steps[:, :-1]).sum(2).min(1)
    flung = (steps[:, -4:] * unit((paths - CENTER) * [1, 0, 1])[:, -4:]).sum(2).max(1)
    over = (np.linalg.norm(paths - CENTER, axis=2) - skull.radius(paths.reshape(-1, 3)).reshape(paths.shape[:2])) * (paths[..., 1] > 98)
    straight = (bent > 0.72) & (flung < 0.25) & (over.max(1) < 4.0)  # the others would stick out of the rest
    paths, roots = _turned_in(paths[straight], 9.0 if wave < 2 else 3.0), roots[straight]
    return ribbons(paths, roots, rng.uniform(1.4, 3.8, len(roots)), rng, start=0.25, tip=0.25, roll=0.10)


def bob(skull: Skull) -> Locks:
    """Chin length, parted near the middle, ends turned in."""
    return _hanging(skull, floor=-72, seed=4, part=8, wave=0.0)


def long(skull: Skull) -> Locks:
    """Falls to the shoulders in soft waves, parted on the right."""
    return _hanging(skull, floor=-114, seed=6, part=-22, wave=2.4)


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


def _swirls(points: np.ndarray, size: float, seed: int) -> np.ndarray:
    """(n,) -1..1: curls about ``size`` mm wide, each a spiral of strands about its own middle."""
    rng = np.random.default_rng(seed)
    low, high = points.min(0) - size, points.max(0) + size
    seeds = rng.uniform(low, high, (int(np.prod((high - low) / size) * 1.3), 3))
    ways, turns = rng.uniform(0, 2 * np.pi, len(seeds)), rng.choice([-1, 1], len(seeds))
    distance, near = cKDTree(seeds).query(points)
    out = unit(points - CENTER)
    first = unit(np.cross(out, UP + 0.01))
    away = points - seeds[near]
    around = np.arctan2((away * np.cross(out, first)).sum(1), (away * first).sum(1))
    return np.sin(turns[near] * around + ways[near] + 2 * np.pi * distance / (0.55 * size))


def curly(skull: Skull) -> Locks:
    """A full head of curls: a cap of locks, each wound about its own middle."""
    full = lambda p: 0.40 + 0.60 * smoothstep(p[:, 1], -20, 100)
    rise = lambda p: 16 * full(p) * (0.55 + 0.62 * _bumps(p, 14, 3)) + 1.1 * _swirls(p, 11, 7)
    shade = lambda p: (0.66 + 0.30 * _bumps(p, 9, 4)) * (1 + 0.30 * _swirls(p, 11, 7)) * (1 + 0.10 * noise(p, 4, 8))
    return cap(skull, rise, count=17000, shade=shade)


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
