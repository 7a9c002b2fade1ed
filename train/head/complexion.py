"""Colours of the refined skin: tone, blood under it, grain, freckles, lips, lids, the shadow of beard and hair."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from emoface.export.shading import vertex_normals

from .colors import _spot
from .look_brows import brow_shade
from .people import PEOPLE
from .shown import SIDES, Heads, blend, noise, smoothstep

_HAIRLINE = np.array(
    [  # (degrees from the front, height in mm) on the average head
        (0, 96),
        (14, 96),
        (26, 95),
        (38, 88),
        (48, 72),
        (55, 52),
        (63, 34),
        (72, 8),
        (80, -6),
        (90, 2),
        (102, 6),
        (118, -12),
        (135, -42),
        (155, -58),
        (180, -62),
    ]
)


def hair_cover(points: np.ndarray, softness: float = 7.0) -> np.ndarray:
    """(n,) 0..1: how much of the scalp under points (n, 3), mm on the average head, bears hair."""
    angle = np.degrees(np.arctan2(np.abs(points[:, 0]), points[:, 2] + 20))
    line = np.interp(angle, *_HAIRLINE.T) + 2.5 * noise(points, 9, 3)
    return smoothstep(points[:, 1] - line, -softness, softness)


def hollows(heads: Heads) -> np.ndarray:
    """(D,) how hollow the refined skin is at each vertex, about -1 (ridge) to 1 (groove)."""
    skin, faces = heads.skin(heads.average), heads.refined.faces
    normals = vertex_normals(skin.astype(np.float32), faces)
    count = np.bincount(faces.ravel(), minlength=len(skin))
    around = np.stack([np.bincount(faces.ravel(), np.repeat(skin[faces].mean(1)[:, k], 3), len(skin)) for k in range(3)], 1)
    away = around / np.maximum(count, 1)[:, None] - skin
    return np.clip((away * normals).sum(1) * 1e3 / 0.25, -1, 1)


UNDER_HAIR = np.array([0.66, 0.60, 0.54])
"""Brightness of the scalp under strands, as a share of the hair's colour: what is seen between them lies in their shade.
Combed surfaces have no gaps; the scalp beside them is the hair's own colour."""
DEEP = np.array([0.62, 0.74, 0.74])
"""Exponents of the colour of the mouth's lining: red, not black, as far as light comes."""
WING = np.array([(15.2, -2.5), (16.7, -5.5), (17.3, -9.5), (16.8, -13.5), (14.2, -16.5)])
"""Where the wing of the nose meets the cheek, (x, y) from the front, mm."""


def nose_shade(heads: Heads, mm: np.ndarray) -> np.ndarray:
    """(D,) 0..1: the crease round the wings of the nose, and what looks down into the nostrils."""
    knots = np.r_[0, np.cumsum(np.linalg.norm(np.diff(WING, axis=0), axis=1))]
    line = np.column_stack([np.interp(np.linspace(0, knots[-1], 60), knots, WING[:, k]) for k in range(2)])
    distance, near = cKDTree(line).query(np.column_stack([np.abs(mm[:, 0]), mm[:, 1]]))
    crease = 0.36 * np.exp(-0.5 * (distance / 1.1) ** 2) * np.sin(np.pi * (near + 8) / 76)
    down = smoothstep(-vertex_normals(mm.astype(np.float32), heads.refined.faces)[:, 1], 0.25, 0.85)
    below = down * np.exp(-(((np.abs(mm[:, 0]) - 8.5) / 4.0) ** 2)) * (np.abs(mm[:, 1] + 14) < 9)
    return np.clip((crease + 0.85 * below) * (mm[:, 2] > 40), 0, 1)


def skin_colors(heads: Heads) -> list[np.ndarray]:
    """Per head (D, 3) sRGB 0..255; every head is painted in the places of the average one."""
    mm = heads.skin(heads.average) * 1e3
    matrix = heads.refined.matrix
    names = heads.names[np.asarray(matrix.argmax(1)).ravel()]
    part = lambda *regions: np.asarray(matrix @ np.isin(heads.names, regions).astype(float))
    ears, cavity = part("ear_left", "ear_right"), part("mouth_cavity")
    socket = part("eye_socket_left", "eye_socket_right")
    hollow = hollows(heads)
    lips = _ring_fade(heads, [r.tolist() for r in heads.average.lip_rings], (1.0, 1.0, 1.0, 0.97, 0.86, 0.48, 0.10))
    lid_rings = [heads.lid_rings(side) for side in SIDES]
    rims = sum(_ring_fade(heads, rings, (1.0, 0.9, 0.35, 0.1)) for rings in lid_rings)
    upper = sum(_lines(heads, side, True, (1.0, 1.0, 1.0, 0.30)) for side in SIDES)
    lower = sum(_lines(heads, side, False, (0.55, 0.50, 0.18)) for side in SIDES)
    grain = 0.55 * noise(mm, 9.0, 1) + 0.45 * noise(mm, 4.0, 2)
    fine = noise(mm, 2.1, 4)
    burns = (1 - smoothstep(mm[:, 1], 2, 26)) * smoothstep(mm[:, 2], -46, -30)
    wings = nose_shade(heads, mm)
    out = []
    for head, style in zip(heads.all, PEOPLE):
        coarse = head.colors[: head.skin_count].astype(float)
        tone = np.median(coarse[heads.names == "neck"], axis=0)
        light = np.clip((tone.mean() - 70) / 120, 0, 1)  # blood shows through light skin
        colors = np.tile(tone, (len(mm), 1)) * np.array([1.02, 1.0, 0.985])
        flush = np.array([1.03, 0.80, 0.76]) if light > 0.4 else np.array([1.05, 0.84, 0.80])
        red = 0.42 * _spot(mm, (38, -6, 45), (20, 19, 32)) + 0.55 * _spot(mm, (0, -4, 85), (15, 14, 22))
        red += 0.50 * ears + 0.22 * _spot(mm, (0, -73, 65), (17, 12, 22)) + 0.30 * _spot(mm, (21, -22, 62), (8, 12, 14))
        red += 0.10 * grain
        colors *= 1 - np.clip(red, 0, 1)[:, None] * (1 - flush)
        shade = 0.42 * _spot(mm, (29, 12, 50), (16, 6.5, 14)) + 0.22 * _spot(mm, (12, 20, 58), (6, 10, 14))
        colors *= 1 - np.clip(shade, 0, 1)[:, None] * (1 - np.array([0.80, 0.74, 0.78]))
        colors *= 1 + 0.045 * (_spot(mm, (0, 66, 62), (42, 22, 32)) + 0.7 * _spot(mm, (0, 15, 75), (7, 26, 30)))[:, None]
        colors *= (1 + 0.020 * grain + 0.018 * fine)[:, None]
        if style.freckles:
            where = _spot(mm, (26, 0, 55), (34, 17, 34)) + 0.5 * _spot(mm, (0, 4, 75), (15, 14, 30))
            spots = smoothstep(noise(mm, 4.6, 7) + 0.25 * fine, 0.05, 0.75) * np.clip(where, 0, 1)  # finer ones than a triangle would be scratches
            colors = blend(colors, tone * [0.90, 0.73, 0.60], 0.40 * style.freckles * spots)
        colors *= 1 - 0.20 * np.clip(hollow, 0, 1)[:, None] * (1 - np.array([0.85, 0.62, 0.58])) * 2
        colors *= 1 - wings[:, None] * (1 - np.array([0.60, 0.44, 0.42]))
        if style.beard:
            beard = _spot(mm, (18, -68, 52), (34, 22, 45)) + _spot(mm, (11, -30, 72), (17, 8, 16)) + 0.7 * _spot(mm, (52, -52, 15), (18, 26, 30))
            beard = np.clip(beard * 1.15, 0, 1) * (1 - smoothstep(mm[:, 1], -24, -16)) * (1 - lips)
            colors = blend(colors, tone * [0.50, 0.50, 0.52] + np.array([6, 8, 10]), 0.62 * style.beard * beard * (1 + 0.25 * fine))
        colors = blend(colors, style.brows, brow_shade(mm, style))

        red_lip = np.array([190, 78, 80.0]) * np.clip(tone.mean() / 165, 0.60, 1.0)
        lip = tone * [0.90, 0.68, 0.66] * (1 - 0.55 * style.lips) + red_lip * 0.55 * style.lips
        lip = lip * (1 + 0.05 * noise(mm * [1, 0.25, 0.25], 1.4, 9) - 0.10 * np.clip(hollow, -0.3, 1))[:, None]
        colors = colors * (1 - 0.94 * lips[:, None]) + lip * 0.94 * lips[:, None]
        contact = _ring_fade(heads, [heads.average.lip_rings[0].tolist()], (1.0,))
        colors = blend(colors, lip.mean(0) * [0.50, 0.42, 0.42], 0.75 * contact)

        colors = blend(colors, tone * [0.98, 0.76, 0.72], 0.55 * rims)
        lash = np.minimum(style.brows, 60) * 0.6
        colors = blend(colors, lash, np.clip(0.95 * upper + 0.5 * lower * 0.8, 0, 1))
        colors = blend(colors, tone * [0.72, 0.50, 0.46], socket * (1 - rims))
        inside = 255 * (np.asarray(matrix @ coarse) / 255) ** DEEP
        colors = colors * (1 - cavity[:, None]) + inside * cavity[:, None]

        if style.hair == "bald":
            cover = 0.14 * hair_cover(mm, 20) * (1 - smoothstep(mm[:, 1], 30, 95))
        elif style.hair == "buzz":
            cover = 0.84 * hair_cover(mm, 6) * (1 + 0.10 * fine + 0.10 * grain)
        else:
            cover = 0.93 * hair_cover(mm, 8)
        cover = np.clip(cover * (1 - ears), 0, 1)  # the ear itself bears no hair
        if style.hair == "bun":  # combed back: nothing hangs in front of the ears
            cover = cover * (1 - burns)
        depth = 0.9 if style.hair in ("bald", "buzz", "bob", "long") else UNDER_HAIR
        colors = blend(colors, np.array(style.hair_color, float) * depth, cover)
        out.append(np.clip(colors, 0, 255))
    assert len(names) == len(mm)
    return out


def _ring_fade(heads: Heads, rings: list[list[int]], fades) -> np.ndarray:
    """(D,) a value that is ``fades[k]`` on ring k of the coarse skin and 0 elsewhere."""
    value = np.zeros(heads.average.skin_count)
    for ring, fade in zip(rings, fades):
        value[list(ring)] = fade
    return np.asarray(heads.refined.matrix @ value)


def _lines(heads: Heads, side: str, is_upper: bool, fades) -> np.ndarray:
    return _ring_fade(heads, [heads.lid_line(side, k, is_upper)[2:-1].tolist() for k in range(len(fades))], fades)
