"""Round eyeballs with rings exactly on the borders of iris and pupil, so both are sharp."""

from __future__ import annotations

import numpy as np

from .parts import Part

HELPERS = {"left": "helper-l-eye", "right": "helper-r-eye"}
LOOK_DEGREES = {"Down": 11.0, "Up": 9.7, "In": 14.8, "Out": 14.3}  # what the shapes do to MakeHuman's own eyes
IRIS, PUPIL = 22.5, 8.6  # half angles, degrees
POLAR = np.radians([4.5, PUPIL - 0.4, PUPIL + 0.4, 12, 15.5, 19, IRIS - 0.6, IRIS + 0.9, 29, 36, 45, 56, 70, 90, 120, 150])
SECTORS = 28


def unit_sphere() -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere with its pole at +z: vertices and outward triangles."""
    around = np.linspace(0, 2 * np.pi, SECTORS, endpoint=False)
    circle = np.stack([np.cos(around), np.sin(around)], axis=1)
    rings = [np.column_stack([np.sin(p) * circle, np.full(SECTORS, np.cos(p))]) for p in POLAR]
    vertices = np.concatenate([[[0, 0, 1]], *rings, [[0, 0, -1]]])
    here, after = np.arange(SECTORS), (np.arange(SECTORS) + 1) % SECTORS
    faces = [np.stack([np.zeros_like(here), 1 + here, 1 + after], 1)]
    for ring in range(len(POLAR) - 1):
        a, b = 1 + ring * SECTORS + here, 1 + ring * SECTORS + after
        faces += [np.stack([a, a + SECTORS, b + SECTORS], 1), np.stack([a, b + SECTORS, b], 1)]
    last = 1 + (len(POLAR) - 1) * SECTORS
    faces.append(np.stack([np.full_like(here, len(vertices) - 1), last + after, last + here], 1))
    return vertices, np.concatenate(faces)


def eyeball(side: str, helper: np.ndarray) -> tuple[Part, np.ndarray]:
    """The eyeball in place of the helper's coarse one (n, 3), and its centre."""
    center = helper.mean(axis=0)
    radius = np.linalg.norm(helper - center, axis=1).mean()
    vertices, faces = unit_sphere()
    return Part(f"eye_{side}", center + radius * vertices, faces), center


def look_angles(names: list[str]) -> np.ndarray:
    """(52, 2, 2) radians: pitch down and yaw towards +x of the left and the right eye at weight 1."""
    angles = np.zeros((len(names), 2, 2))
    for i, (side, outward) in enumerate((("Left", 1), ("Right", -1))):
        for direction, degrees in LOOK_DEGREES.items():
            axis, sign = {"Down": (0, 1), "Up": (0, -1), "Out": (1, outward), "In": (1, -outward)}[direction]
            angles[names.index(f"eyeLook{direction}{side}"), i, axis] = sign * np.radians(degrees)
    return angles
