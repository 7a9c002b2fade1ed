"""Teeth as they are shown: each row is one smooth surface, for separate crowns are a row of dots where lips hardly part.

The head's own crowns (``teeth.py``) stay what contact and penetration are measured by; these lie within them, and ride on four of
their vertices, so that they move exactly as those do.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from . import teeth
from .parts import grid_faces
from .shown import Heads, Piece, affine, blend, rows_of, smoothstep

ACROSS = (-1.0, -0.88, -0.5, 0.0, 0.5, 0.88)
"""Stations over a tooth; its last one is the first of the next."""
PROFILE = np.array(
    [  # (height: 0 gum, 1 edge; mm outwards; share of the depth backwards), from the gum over the edge to the other side
        (0.00, 0.05, 0.0),
        (0.40, 0.55, 0.0),
        (0.70, 0.60, 0.0),
        (0.90, 0.42, 0.0),
        (1.00, 0.02, 0.12),
        (0.99, 0.0, 0.75),
        (0.55, 0.0, 1.0),
        (0.00, 0.0, 1.0),
    ]
)
CORNER, GROOVE, PAPILLA = 0.42, 0.26, 0.5
"""How far an edge rises between two teeth, the surface sinks there, and how much more beside the gum, which stands out between two teeth; mm."""
POINT = 0.45
"""Share of a canine's point that is shown: a row is even."""
ENAMEL, NECK, BETWEEN = np.array([250.0, 244, 230]), np.array([238.0, 222, 196]), np.array([0.76, 0.67, 0.60])
"""Colours, sRGB, and the share of them in the line between two teeth."""
FAR = {"teeth_upper": np.array([0.62, 0.46, 0.42]), "teeth_lower": np.array([0.36, 0.21, 0.19])}
"""Share of light that the last tooth keeps: what is dark in a mouth is red."""
INNER = {"teeth_upper": np.array([0.74, 0.60, 0.56]), "teeth_lower": np.array([0.58, 0.40, 0.36])}
"""Share on the side of the tongue."""
UNDER_LIP = np.array([0.80, 0.73, 0.68])
"""Share that the lower row keeps in the shade of lip and upper teeth: as bright as the upper one it is a patch of white."""


def rows(heads: Heads) -> list[Piece]:
    """Upper and lower row."""
    return [_row(heads, "teeth_upper", teeth.UPPER, np.ones(3)), _row(heads, "teeth_lower", teeth.LOWER, UNDER_LIP)]


def crowns(region: str) -> np.ndarray:
    """(n,) of a region's own vertices, whether each belongs to a crown and not to the gum."""
    return teeth.dental_arch(region, _arch(region))[1] > 0


def heights(region: str) -> np.ndarray:
    """(n,) of the row's vertices: 0 at the gum, 1 at the edge."""
    return _surface(_arch(region))[2]


def _arch(region: str) -> teeth.Arch:
    return teeth.UPPER if region == "teeth_upper" else teeth.LOWER


def _row(heads: Heads, region: str, arch: teeth.Arch, light: np.ndarray) -> Piece:
    places, faces, level, between, back = _surface(arch)
    inner = np.r_[np.tile(PROFILE[:, 2] > 0.5, len(places) // len(PROFILE)), True, True]
    own = np.flatnonzero(heads.average.regions == region)
    built = teeth.dental_arch(region, arch)[0].vertices
    four = [built[:, 0].argmin(), built[:, 0].argmax(), built[:, 2].argmax(), np.abs(built[:, 1] - arch.edge * 1e-3).argmax()]
    weights = affine(built[four], places * 1e-3)
    colors = blend(np.tile(ENAMEL, (len(places), 1)), NECK, 0.8 * (1 - smoothstep(level, 0.1, 0.7)))
    colors = colors * (1 - between[:, None] * (1 - BETWEEN)) * (1 - back[:, None] * (1 - FAR[region])) * light
    colors[inner] *= INNER[region]
    indices = np.tile(own[four], (len(places), 1))
    return Piece(np.full(len(places), region), rows_of(indices, weights, len(heads.average.template)), faces, [colors] * len(heads.all))


def _surface(arch: teeth.Arch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(n, 3) mm and triangles of a closed ridge; (n,) height, 0..1 between two teeth, and 0..1 towards the last tooth."""
    line = teeth.arch_line(arch.front)
    widths = np.array([tooth.width for tooth in arch.teeth])
    ends = np.r_[0, np.cumsum(widths)]
    middles = (ends[:-1] + ends[1:]) / 2
    along = lambda values: PchipInterpolator(np.r_[0, middles, ends[-1]], np.r_[values[0], values, values[-1]])
    height, short, depth, thin = (along([getattr(tooth, name) for tooth in arch.teeth]) for name in ("height", "short", "depth", "edge"))
    half = []
    for number, tooth in enumerate(arch.teeth):
        half += [(middles[number] + u * tooth.width / 2, abs(u), tooth.point) for u in ACROSS]
    half.append((ends[-1], 1.0, 0.0))
    rings, level, between, back = [], [], [], []
    for side, stations in ((-1, half[:0:-1]), (1, half)):
        for length, u, point in stations:
            at, tangent = teeth._at(line, length)
            top = height(length) + short(length)
            edge = height(length) - CORNER * u**4 + POINT * point * (0.5 - u * u)
            back_of = PROFILE[:, 2] * depth(length) * np.where(PROFILE[:, 0] > 0.9, thin(length), 0.9)
            sunk = GROOVE + PAPILLA * (1 - smoothstep(PROFILE[:, 0], 0.2, 0.65))
            out = PROFILE[:, 1] - sunk * u**6 * (PROFILE[:, 2] == 0) - back_of
            local = np.column_stack([np.zeros(len(PROFILE)), PROFILE[:, 0] * edge, out])
            rings.append(teeth._placed(local, arch, at, tangent, side, top))
            level.append(PROFILE[:, 0])
            between.append(np.full(len(PROFILE), u**16))
            back.append(np.full(len(PROFILE), smoothstep(length, 10, 34)))
    ridge = np.concatenate(rings)
    count, around = len(rings), len(PROFILE)
    ring = np.arange(around)
    fan = lambda first, tip: np.stack([first + ring, first + (ring + 1) % around, np.full(around, tip)], 1)
    faces = np.concatenate([grid_faces(count, around, wrap=True), fan(0, len(ridge))[:, ::-1], fan((count - 1) * around, len(ridge) + 1)])
    places = np.concatenate([ridge, [rings[0].mean(0), rings[-1].mean(0)]])
    pad = lambda values, last: np.r_[np.concatenate(values), last, last]
    return places, teeth._oriented(places, faces), pad(level, 0.5), pad(between, 0.0), pad(back, 1.0)
