"""Light and colour of the CPU renderer, shared by its numba and its numpy rasteriser.

The set is a portrait studio that travels with the camera: a large warm key light up on the left, a cool fill on the
right, a sky/ground ambient and a rim from behind. Everything is linear light; only the last step goes to sRGB.
"""

from __future__ import annotations

import numpy as np

# Camera space: x to the right of the picture, y up, z toward the viewer.
KEY_DIRECTION = np.array([-0.47, 0.52, 0.71], np.float32)
KEY_COLOR = np.array([0.735, 0.700, 0.660], np.float32)
FILL_DIRECTION = np.array([0.80, 0.06, 0.60], np.float32)
FILL_COLOR = np.array([0.190, 0.200, 0.215], np.float32)
SKY_COLOR = np.array([0.285, 0.295, 0.310], np.float32)
GROUND_COLOR = np.array([0.160, 0.142, 0.132], np.float32)
RIM_DIRECTION = np.array([0.62, 0.50, -0.60], np.float32)
RIM_COLOR = np.array([0.42, 0.44, 0.48], np.float32)
# Light that bleeds round the terminator, most in red: the cheap look of skin that scatters light.
WRAP = np.array([0.52, 0.38, 0.31], np.float32)
HIGHLIGHT_COLOR = 0.9
# Halfway between the key light and the viewer (Blinn-Phong).
HALF_DIRECTION = KEY_DIRECTION / np.linalg.norm(KEY_DIRECTION) + np.array([0, 0, 1], np.float32)

# Where wet eyes mirror the lamp: lower than on skin, or the upper lid would hide it.
SPARK_DIRECTION = np.array([-0.19, 0.13, 0.97], np.float32)
FLAT = (0.58, 0.42)
"""Even and directed share of the white light on painted heat maps (gloss below 0): only form is shaded, hues stay."""
SPARKLING = 0.7
"""Gloss from which on a surface is wet."""

for _direction in (KEY_DIRECTION, FILL_DIRECTION, RIM_DIRECTION, HALF_DIRECTION, SPARK_DIRECTION):
    _direction /= np.linalg.norm(_direction)

LIGHTS = np.stack(
    [
        KEY_DIRECTION,
        KEY_COLOR,
        FILL_DIRECTION,
        FILL_COLOR,
        RIM_DIRECTION,
        RIM_COLOR,
        HALF_DIRECTION,
        SKY_COLOR,
        GROUND_COLOR,
        WRAP,
        np.full(3, HIGHLIGHT_COLOR, np.float32),
        SPARK_DIRECTION,
    ]
)
"""(12, 3) all of the above, passed to the compiled kernel: its constants would stay frozen in numba's cache."""

SAMPLES = np.array([[0.375, 0.125], [0.875, 0.375], [0.125, 0.625], [0.625, 0.875]], np.float32)
"""(4, 2) sample positions in a pixel: the rotated grid of 4x multisampling."""

FAR = np.float32(-1e30)
"""Depth of an empty pixel; finite, because the compiled kernels assume finite numbers."""


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1), float32."""
    srgb = np.asarray(srgb, np.float32)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to sRGB in [0, 1], float32."""
    linear = np.clip(np.asarray(linear, np.float32), 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


SRGB_TABLE = np.round(255 * to_srgb(np.arange(4096, dtype=np.float32) / 4095)).astype(np.uint8)
"""(4096,) uint8: sRGB byte of each linear level; looked up instead of a power per pixel."""


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, each the area-weighted mean over the triangles of the vertex."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    weighted = np.cross(b - a, c - a)
    normals = np.empty_like(vertices)
    for axis in range(3):
        normals[:, axis] = np.bincount(faces.ravel(), np.repeat(weighted[:, axis], 3), len(vertices))
    return unit(normals)


def unit(vectors: np.ndarray) -> np.ndarray:
    """(n, 3) of length one; zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)


def shade(normals: np.ndarray, albedo: np.ndarray, gloss: np.ndarray, ambient_visibility: np.ndarray) -> np.ndarray:
    """Linear colour of surface points. normals, albedo (n, 3); gloss, ambient_visibility (n,) in [0, 1] -> (n, 3).

    ``ambient_visibility`` is 1 - ambient occlusion. ``raster_numba._shade`` is the same sum for one point.
    """
    key = (normals @ KEY_DIRECTION)[:, None]
    fill = (normals @ FILL_DIRECTION)[:, None]
    direct = np.minimum(1.6 * ambient_visibility, 1)[:, None]
    light = np.maximum((key + WRAP) / (1 + WRAP), 0) * KEY_COLOR
    light += np.maximum((fill + WRAP) / (1 + WRAP), 0) * FILL_COLOR
    light *= direct
    up = (0.5 + 0.5 * normals[:, 1])[:, None]
    light += (GROUND_COLOR + up * (SKY_COLOR - GROUND_COLOR)) * ambient_visibility[:, None]
    edge = np.clip(1 - normals[:, 2], 0, 1) ** 2 * np.maximum(normals @ RIM_DIRECTION + 0.25, 0) * ambient_visibility
    light += edge[:, None] * RIM_COLOR
    half = np.where(gloss > SPARKLING, normals @ SPARK_DIRECTION, normals @ HALF_DIRECTION)
    exponent = 12 + 320 * gloss * gloss
    strength = (np.minimum(0.5 * gloss, 0.05) + 0.85 * gloss * gloss) * direct[:, 0]
    highlight = HIGHLIGHT_COLOR * strength * np.maximum(half, 0) ** exponent
    color = albedo * light + highlight[:, None]
    # A soft shoulder above 0.75, so that bright skin rolls off instead of burning out.
    color = np.where(color > 0.75, 0.75 + 0.25 * (1 - np.exp((0.75 - color) / 0.25)), color)
    flat = albedo * (FLAT[0] + FLAT[1] * np.maximum((key + 0.5) / 1.5, 0))
    return np.where((gloss < 0)[:, None], flat, color).astype(np.float32)
