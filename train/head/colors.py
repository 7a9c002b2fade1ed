"""Vertex colours of a person: skin, lips, hair, eyes, mouth. sRGB 0..255 throughout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import eyes, hair, teeth
from .identities import Person
from .lips import Opening
from .topology import QuadMesh

_SKIN = {
    "average": [(216, 172, 146)],
    "caucasian": [(231, 190, 168), (224, 180, 154), (236, 200, 180)],
    "african": [(122, 80, 60), (98, 64, 49), (146, 98, 72)],
    "asian": [(230, 190, 156), (222, 180, 144), (214, 168, 132)],
    "mixed": [(190, 140, 110), (204, 158, 126), (168, 118, 90)],
}
_HAIR = {
    "average": [(70, 48, 36)],
    "caucasian": [(92, 64, 44), (126, 94, 62), (58, 42, 34), (112, 66, 42)],
    "african": [(30, 24, 22)],
    "asian": [(34, 28, 27)],
    "mixed": [(52, 37, 30), (38, 29, 26)],
}
_IRIS = {
    "average": [(92, 66, 44)],
    "caucasian": [(92, 124, 150), (98, 112, 82), (112, 84, 52), (120, 138, 146)],
    "african": [(66, 44, 30)],
    "asian": [(72, 48, 32)],
    "mixed": [(88, 62, 38), (70, 48, 32)],
}
_GREY = (128, 122, 116)
LIP_FADE = np.array([1.0, 1.0, 1.0, 0.97, 0.88, 0.55, 0.14])  # of lip colour over the lip rings, from the contact line


@dataclass(frozen=True)
class Palette:
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    brow_thickness: float
    beard: float
    """Shadow of a shaved beard, 0..1."""
    scalp: float
    """Closeness of the cropped hair, 0..1."""


def palette(person: Person, rng: np.random.Generator) -> Palette:
    def pick(table):
        choices = table[person.look]
        return np.array(choices[rng.integers(len(choices))], float)

    skin, hair_color, iris = pick(_SKIN), pick(_HAIR), pick(_IRIS)
    grey = np.clip((person.years - 42) / 30, 0, 0.6) * rng.uniform(0.5, 1)
    average = person.look == "average"
    man = person.gender > 0.5 and not average
    red = np.array([178, 66, 70]) if person.gender <= 0.5 else np.array([164, 76, 72])
    return Palette(
        skin=skin,
        hair=hair_color * (1 - grey) + np.array(_GREY) * grey,
        iris=iris,
        lips=skin * 0.40 + red * np.clip(skin.mean() / 175, 0.62, 1) * 0.60,
        brow_thickness=0.92 if average else float(rng.uniform(0.95, 1.12) if man else rng.uniform(0.72, 0.9)),
        beard=float(man * rng.uniform(0.25, 0.8)),
        scalp=float(rng.uniform(0.5, 0.75)),
    )


def _blend(colors: np.ndarray, color, amount) -> np.ndarray:
    amount = np.broadcast_to(np.asarray(amount, float), (len(colors),))[:, None]
    return colors * (1 - amount) + np.asarray(color, float) * amount


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _spot(skin: np.ndarray, center, radii) -> np.ndarray:
    """A soft spot on both sides, 1 in its middle; millimetres."""
    away = (np.abs(skin[:, 0]) - center[0], skin[:, 1] - center[1], skin[:, 2] - center[2])
    return np.exp(-sum((a / r) ** 2 for a, r in zip(away, radii)))


_HAIRLINE = np.array(
    [  # (degrees from the front, height in mm)
        (0, 92),
        (20, 92),
        (36, 86),
        (46, 70),
        (55, 50),
        (63, 34),
        (72, 10),
        (80, -4),
        (90, 2),
        (102, 8),
        (118, -12),
        (135, -40),
        (155, -54),
        (180, -58),
    ]
)


def hair_cover(skin: np.ndarray) -> np.ndarray:
    """(S,) share of cropped hair on the average head (mm)."""
    angle = np.degrees(np.arctan2(np.abs(skin[:, 0]), skin[:, 2] + 20))
    line = np.interp(angle, *_HAIRLINE.T)
    return _smoothstep((skin[:, 1] - line + 7) / 14)


def skin_colors(skin: np.ndarray, regions: np.ndarray, mesh: QuadMesh, mouth: Opening, lids: dict[str, Opening], tones: Palette) -> np.ndarray:
    """(S, 3) floats; ``skin`` is the average head in metres, so that every head is painted alike."""
    mm = skin * 1e3
    colors = np.tile(tones.skin, (len(skin), 1))
    flush = colors * [1.02, 0.86, 0.83]
    red = 0.45 * _spot(mm, (36, -8, 45), (19, 17, 30)) + 0.6 * _spot(mm, (0, 0, 85), (15, 12, 18))
    red += 0.5 * np.char.startswith(regions, "ear") + 0.25 * _spot(mm, (0, -75, 65), (16, 11, 20))
    red = np.clip(red, 0, 1)[:, None]
    colors = colors * (1 - red) + flush * red
    colors = _blend(colors, colors.mean(0) * [0.80, 0.74, 0.74], 0.45 * _spot(mm, (29, 21, 46), (17, 9, 14)))
    colors *= (1 + 0.03 * _spot(mm, (0, 65, 60), (40, 20, 30)))[:, None]
    beard = _spot(mm, (20, -66, 50), (34, 24, 45)) + _spot(mm, (12, -32, 70), (16, 8, 14))
    colors = _blend(colors, tones.skin * [0.70, 0.72, 0.74], 0.42 * tones.beard * np.clip(beard, 0, 1))
    ears = np.char.startswith(regions, "ear")
    colors = _blend(colors, tones.hair, tones.scalp * hair_cover(mm) * ~ears)

    for fade, ring in zip(LIP_FADE[::-1], mouth.outer[::-1]):
        colors[ring] = _blend(colors[ring], tones.lips, fade)
    lining, deep = tones.lips * 0.9, np.array([44, 14, 14])
    steps = mesh.ring_distance(mouth.outer[0].tolist(), 30)
    for vertex in mouth.hidden:
        share = np.clip((steps.get(int(vertex), 30) - 2) / 5, 0, 1)  # the first rings line the lips
        colors[vertex] = lining * (1 - share) + deep * share
    contact = mouth.outer[0]
    colors[contact] = _blend(colors[contact], tones.lips * 0.62, 0.6)

    lash = np.minimum(tones.hair, 60) * 0.7
    for lid in lids.values():
        colors[lid.hidden] = tones.skin * [0.72, 0.52, 0.48]
        upper, lower = lid.upper[2:-1], lid.lower[2:-2]
        for ring, dark_up, dark_low in zip(lid.outer, (0.95, 0.95, 0.7, 0.12), (0.30, 0.35, 0.25, 0.0)):
            colors[ring[upper]] = _blend(colors[ring[upper]], lash, dark_up)
            colors[ring[lower]] = _blend(colors[ring[lower]], lash, dark_low)
        pink = lid.outer[0][lid.lower]
        colors[pink] = _blend(colors[pink], tones.skin * [0.98, 0.72, 0.68], 0.6)
    return colors


def eye_colors(tones: Palette) -> np.ndarray:
    """(n, 3) of one eyeball: sclera, iris with a dark border and a lighter lower half, pupil, catch-light."""
    points, _ = eyes.unit_sphere()
    angle = np.degrees(np.arccos(np.clip(points[:, 2], -1, 1)))
    turn = np.arctan2(points[:, 1], points[:, 0])
    colors = np.tile(np.array([242.0, 239, 234]), (len(points), 1))
    colors = _blend(colors, (214, 172, 160), 0.75 * _smoothstep((angle - 38) / 30))
    colors *= (1 - 0.22 * _smoothstep((points[:, 1] - 0.10) / 0.35))[:, None]  # shade of the upper lid
    iris = angle < eyes.IRIS
    inside = (angle - eyes.PUPIL) / (eyes.IRIS - eyes.PUPIL)
    light = 1.0 - 0.24 * np.sin(turn) - 0.08 * inside + 0.10 * np.cos(9 * turn) * (inside < 0.8)
    ring = 1 - 0.55 * _smoothstep((inside - 0.62) / 0.38)
    colors[iris] = np.clip(tones.iris * (light * ring)[:, None], 0, 255)[iris]
    colors[angle < eyes.PUPIL] = (12, 10, 10)
    light = np.radians([118, 11.5])  # turn and angle of the catch-light, up on the viewer's left
    center = [np.cos(light[0]) * np.sin(light[1]), np.sin(light[0]) * np.sin(light[1]), np.cos(light[1])]
    away = np.degrees(np.arccos(np.clip(points @ center, -1, 1)))
    return _blend(colors, (255, 255, 255), 0.95 * (away < 3.4))


def tooth_colors(part, number: np.ndarray, level: np.ndarray) -> np.ndarray:
    gum, neck, edge = np.array([188, 104, 102.0]), np.array([240, 228, 206.0]), np.array([255, 253, 247.0])
    colors = neck + (edge - neck) * _smoothstep(level / 0.7)[:, None]
    colors *= (1 - 0.02 * np.clip(number - 2, 0, 4))[:, None]
    side = teeth.interproximal(part, number)
    colors *= (1 - 0.30 * _smoothstep((side - 0.75) / 0.25))[:, None]
    back = part.vertices[:, 2] * 1e3
    depth = _smoothstep((57 - back) / 27)[:, None]  # the mouth is dark further in
    colors = np.where((number == 0)[:, None], gum, colors)
    return colors * (1 - 0.75 * depth)


def tongue_colors(vertices: np.ndarray) -> np.ndarray:
    z = vertices[:, 2] * 1e3
    colors = np.tile(np.array([186.0, 96, 94]), (len(z), 1))
    colors *= (1 - 0.10 * np.exp(-((vertices[:, 0] * 1e3 / 3) ** 2)))[:, None]
    return colors * (1 - 0.85 * _smoothstep((50 - z) / 36))[:, None]  # the mouth is dark further in


def brow_colors(skin_at: np.ndarray, tones: Palette) -> np.ndarray:
    """(n, 3) of one brow grid: streaks of hair over the skin's colour (n, 3), soft at the border."""
    _, s, across = hair.brow_grid()
    row = np.tile(np.arange(hair.BROW_ROWS), hair.BROW_STATIONS)
    station = np.repeat(np.arange(hair.BROW_STATIONS), hair.BROW_ROWS)
    thick = np.abs(across) / tones.brow_thickness
    ends = _smoothstep((s + 0.01) / 0.10) * _smoothstep((1.01 - s) / 0.12)
    streak = 0.5 + 0.5 * np.sin(2.4 * station + 1.9 * row * (1 - s))
    cover = (1 - _smoothstep((thick - 0.45) / 0.6)) * ends * (0.84 + 0.1 * streak)
    return _blend(skin_at, tones.hair, cover)


def lash_colors(count: int, tones: Palette) -> np.ndarray:
    return np.tile(np.minimum(tones.hair, 70) * 0.75, (count, 1))
