"""The fast rasteriser: serial numba kernels that release the GIL, so threads work on frames side by side."""

from __future__ import annotations

from math import ceil, exp, floor, sqrt

import numba
import numpy as np

from .shading import FAR, FLAT, LIGHTS, SAMPLES, SPARKLING, SRGB_TABLE

F32 = np.float32
_NOT_COVERED, _COUNTED = -1, -2
# Rows of shading.LIGHTS; the colour of a light follows its direction.
_KEY, _FILL, _RIM, _HALF, _SKY, _GROUND, _WRAP, _HIGHLIGHT, _SPARK = 0, 2, 4, 6, 7, 8, 9, 10, 11


def _jit(function):
    """Compile once and keep the result on disk; where no folder can be written, compile once per process."""
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba: "no locator available": package and user cache are both read-only
        return numba.njit(**options)(function)


@_jit
def vertex_normals(vertices, faces):
    """vertices (V, 3) float32, faces (F, 3) int32 -> unit normals (V, 3) float32; zero for a vertex of no triangle."""
    normals = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in range(3):
            v = faces[f, k]
            normals[v, 0] += x
            normals[v, 1] += y
            normals[v, 2] += z
    for v in range(normals.shape[0]):
        length = sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            for k in range(3):
                normals[v, k] /= F32(length)
    return normals


@_jit
def _lambert(cosine, wrap):
    return max((cosine + wrap) / (F32(1) + wrap), F32(0))


@_jit
def _shoulder(value):
    if value > F32(0.75):
        value = F32(0.75) + F32(0.25) * (F32(1) - exp((F32(0.75) - value) * F32(4)))
    return value


@_jit
def _light(channel, lights, key, fill, up, direct, ambient_visibility, edge):
    """Light of one colour channel on a point; the rows of ``lights`` are those of ``shading.LIGHTS``."""
    wrap = lights[_WRAP, channel]
    studio = _lambert(key, wrap) * lights[_KEY + 1, channel] + _lambert(fill, wrap) * lights[_FILL + 1, channel]
    ground = lights[_GROUND, channel]
    around = ground + up * (lights[_SKY, channel] - ground)
    return direct * studio + ambient_visibility * around + edge * lights[_RIM + 1, channel]


@_jit
def _toward(lights, row, x, y, z):
    return x * lights[row, 0] + y * lights[row, 1] + z * lights[row, 2]


@_jit
def _shade(x, y, z, r, g, b, gloss, ambient_visibility, lights):
    """``shading.shade`` for one point with unit normal (x, y, z)."""
    key, fill = _toward(lights, _KEY, x, y, z), _toward(lights, _FILL, x, y, z)
    if gloss < F32(0):
        white = F32(FLAT[0]) + F32(FLAT[1]) * max((key + F32(0.5)) / F32(1.5), F32(0))
        return r * white, g * white, b * white
    direct = min(F32(1.6) * ambient_visibility, F32(1))
    up = F32(0.5) + F32(0.5) * y
    rim = max(_toward(lights, _RIM, x, y, z) + F32(0.25), F32(0))
    facing = min(max(F32(1) - z, F32(0)), F32(1))
    edge = facing * facing * rim * ambient_visibility
    half = _toward(lights, _SPARK if gloss > SPARKLING else _HALF, x, y, z)
    highlight = F32(0)
    if half > F32(0.5):  # below, even the widest highlight is under a thousandth
        strength = lights[_HIGHLIGHT, 0] * (min(F32(0.5) * gloss, F32(0.05)) + F32(0.85) * gloss * gloss) * direct
        highlight = strength * half ** (F32(12) + F32(320) * gloss * gloss)
    r *= _light(0, lights, key, fill, up, direct, ambient_visibility, edge)
    g *= _light(1, lights, key, fill, up, direct, ambient_visibility, edge)
    b *= _light(2, lights, key, fill, up, direct, ambient_visibility, edge)
    return _shoulder(r + highlight), _shoulder(g + highlight), _shoulder(b + highlight)


@_jit
def _span(start, slope, first, last):
    """Narrows pixels [first, last) to those x where ``start + slope * x >= 0``."""
    if slope > F32(1e-9):
        first = max(first, int(ceil(min(max(-start / slope, F32(-1)), F32(1e6)))))
    elif slope < F32(-1e-9):
        last = min(last, int(floor(min(max(-start / slope, F32(-2)), F32(1e6)))) + 1)
    elif start < 0:
        last = first
    return first, last


@_jit
def _touch(faces, first, second):
    """Whether two triangles share a vertex; ``second`` may also be one of the negative marks."""
    if second < 0:
        return False
    for i in range(3):
        for j in range(3):
            if faces[first, i] == faces[second, j]:
                return True
    return False


@_jit
def depth(screen, faces, width, height):
    """(height, width) largest z of any triangle at each pixel centre, FAR where there is none; see ``draw``."""
    nearest = np.full((height, width), FAR, np.float32)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < F32(1e-6):
            continue
        inverse = F32(1) / area
        ubx, uby, ucx, ucy = (cy - ay) * inverse, -(cx - ax) * inverse, -(by - ay) * inverse, (bx - ax) * inverse
        for y in range(max(0, int(floor(min(ay, by, cy)))), min(height, int(ceil(max(ay, by, cy))))):
            for x in range(max(0, int(floor(min(ax, bx, cx)))), min(width, int(ceil(max(ax, bx, cx))))):
                dx, dy = F32(x) + F32(0.5) - ax, F32(y) + F32(0.5) - ay
                wb, wc = ubx * dx + uby * dy, ucx * dx + ucy * dy
                if wb < 0 or wc < 0 or wb + wc > 1:
                    continue
                z = screen[a, 2] + wb * (screen[b, 2] - screen[a, 2]) + wc * (screen[c, 2] - screen[a, 2])
                nearest[y, x] = max(nearest[y, x], z)
    return nearest


def draw(screen, attributes, faces, two_sided, background):
    """Picture of a mesh, 4 depth samples and at most 4 shaded triangles per pixel.

    screen (V, 3) float32: x, y in pixels, 1 / distance; attributes (V, 8) float32: unit normal, linear albedo,
    gloss, ambient_visibility; faces (F, 3) int32; two_sided (F,) bool; background (H, W, 3) float32 linear -> (H, W, 3) uint8.
    """
    return _draw(screen, attributes, faces, two_sided, background, LIGHTS)


@_jit
def _draw(screen, attributes, faces, two_sided, background, lights):
    height, width = background.shape[:2]
    samples = SAMPLES.shape[0]
    nearest = np.zeros((height, width, samples), np.float32)
    owner = np.full((height, width, samples), _NOT_COVERED, np.int32)
    step = np.empty((samples, 3), np.float32)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # y runs down the picture, so a counter-clockwise triangle that faces the viewer has a negative area.
        if abs(area) < F32(1e-6) or (area > 0 and not two_sided[f]):
            continue
        inverse = F32(1) / area
        ubx, uby, ucx, ucy = (cy - ay) * inverse, -(cx - ax) * inverse, -(by - ay) * inverse, (bx - ax) * inverse
        az = screen[a, 2]
        zb, zc = screen[b, 2] - az, screen[c, 2] - az
        for s in range(samples):  # from the centre of a pixel to its samples
            ox, oy = SAMPLES[s, 0] - F32(0.5), SAMPLES[s, 1] - F32(0.5)
            step[s, 0], step[s, 1] = ubx * ox + uby * oy, ucx * ox + ucy * oy
            step[s, 2] = step[s, 0] * zb + step[s, 1] * zc
        reach_b, reach_c = F32(0.375) * (abs(ubx) + abs(uby)), F32(0.375) * (abs(ucx) + abs(ucy))
        reach_a = F32(0.375) * (abs(ubx + ucx) + abs(uby + ucy))
        left, right = max(0, int(floor(min(ax, bx, cx)))), min(width, int(ceil(max(ax, bx, cx))))
        for y in range(max(0, int(floor(min(ay, by, cy)))), min(height, int(ceil(max(ay, by, cy))))):
            # Weights at the centre of the row's pixel ``left``; each changes by a constant from pixel to pixel.
            dx, dy = F32(left) + F32(0.5) - ax, F32(y) + F32(0.5) - ay
            wb0, wc0 = ubx * dx + uby * dy, ucx * dx + ucy * dy
            first, last = _span(wb0 + reach_b, ubx, 0, right - left)
            first, last = _span(wc0 + reach_c, ucx, first, last)
            first, last = _span(F32(1) + reach_a - wb0 - wc0, -ubx - ucx, first, last)
            for x in range(left + first, left + last):
                wb, wc = wb0 + F32(x - left) * ubx, wc0 + F32(x - left) * ucx
                z = az + wb * zb + wc * zc
                for s in range(samples):
                    sb, sc = wb + step[s, 0], wc + step[s, 1]
                    if sb >= 0 and sc >= 0 and sb + sc <= 1 and z + step[s, 2] > nearest[y, x, s]:
                        nearest[y, x, s] = z + step[s, 2]
                        owner[y, x, s] = f
    image = np.empty((height, width, 3), np.uint8)
    scale = F32(4095) / F32(samples)
    for y in range(height):
        for x in range(width):
            red, green, blue = F32(0), F32(0), F32(0)
            for s in range(samples):
                f = owner[y, x, s]
                if f == _COUNTED:
                    continue
                count = F32(1)
                for other in range(s + 1, samples):
                    # Shaded once per pixel, not once per sample; neighbours blend into each other without a seam.
                    if owner[y, x, other] == f or (f >= 0 and _touch(faces, f, owner[y, x, other])):
                        count += F32(1)
                        owner[y, x, other] = _COUNTED
                if f == _NOT_COVERED:
                    red += count * background[y, x, 0]
                    green += count * background[y, x, 1]
                    blue += count * background[y, x, 2]
                    continue
                a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                ax, ay = screen[a, 0], screen[a, 1]
                bx, by, cx, cy = screen[b, 0] - ax, screen[b, 1] - ay, screen[c, 0] - ax, screen[c, 1] - ay
                area = bx * cy - by * cx
                dx, dy = F32(x) + F32(0.5) - ax, F32(y) + F32(0.5) - ay
                # The centre of an edge pixel may lie outside its triangle: clamp instead of extrapolating.
                wb = min(max((dx * cy - dy * cx) / area, F32(0)), F32(1))
                wc = min(max((bx * dy - by * dx) / area, F32(0)), F32(1) - wb)
                wa = (F32(1) - wb - wc) * screen[a, 2]
                wb *= screen[b, 2]
                wc *= screen[c, 2]
                total = F32(1) / (wa + wb + wc)
                wa *= total
                wb *= total
                wc *= total
                nx = wa * attributes[a, 0] + wb * attributes[b, 0] + wc * attributes[c, 0]
                ny = wa * attributes[a, 1] + wb * attributes[b, 1] + wc * attributes[c, 1]
                nz = wa * attributes[a, 2] + wb * attributes[b, 2] + wc * attributes[c, 2]
                length = F32(1) / F32(sqrt(nx * nx + ny * ny + nz * nz + F32(1e-12)))
                if area > 0:  # the back of a two-sided triangle
                    length = -length
                r, g, b_ = _shade(
                    nx * length,
                    ny * length,
                    nz * length,
                    wa * attributes[a, 3] + wb * attributes[b, 3] + wc * attributes[c, 3],
                    wa * attributes[a, 4] + wb * attributes[b, 4] + wc * attributes[c, 4],
                    wa * attributes[a, 5] + wb * attributes[b, 5] + wc * attributes[c, 5],
                    wa * attributes[a, 6] + wb * attributes[b, 6] + wc * attributes[c, 6],
                    wa * attributes[a, 7] + wb * attributes[b, 7] + wc * attributes[c, 7],
                    lights,
                )
                red += count * r
                green += count * g
                blue += count * b_
            image[y, x, 0] = SRGB_TABLE[int(red * scale + F32(0.5))]
            image[y, x, 1] = SRGB_TABLE[int(green * scale + F32(0.5))]
            image[y, x, 2] = SRGB_TABLE[int(blue * scale + F32(0.5))]
    return image
