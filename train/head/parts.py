"""Eyes, teeth and tongue: geometry at rest and how they follow the blendshapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EYE_ANGLES_DEGREES = {"Down": 11.0, "Up": 9.7, "In": 14.8, "Out": 14.3}  # measured on the helper eyes of the shapes
IRIS, PUPIL = 23.0, 9.0  # half angles in degrees; rings lie on both borders, so they are sharp
EYE_POLAR = np.radians([5, PUPIL - 0.3, PUPIL + 0.3, 13.5, 18, IRIS - 0.9, IRIS + 0.9, 30, 38, 47, 57, 68, 80, 92, 106, 122, 140, 160])
EYE_SECTORS = 32


@dataclass(frozen=True)
class Part:
    region: str
    vertices: np.ndarray
    faces: np.ndarray
    deltas: dict[str, np.ndarray]
    """How shapes move it, (n, 3) metres at weight 1."""


def unit_sphere(polar: np.ndarray, sectors: int) -> tuple[np.ndarray, np.ndarray]:
    """A sphere whose pole is +z: vertices and outward triangles, with rings at the angles ``polar`` (radians)."""
    around = np.linspace(0, 2 * np.pi, sectors, endpoint=False)
    rings = np.stack(
        [np.outer(np.sin(polar), np.cos(around)), np.outer(np.sin(polar), np.sin(around)),
         np.repeat(np.cos(polar)[:, None], sectors, 1)], axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([[[0, 0, 1]], rings, [[0, 0, -1]]])
    here, after = np.arange(sectors), (np.arange(sectors) + 1) % sectors
    faces = [np.stack([np.zeros_like(here), 1 + here, 1 + after], 1)]
    for ring in range(len(polar) - 1):
        a, b = 1 + ring * sectors + here, 1 + ring * sectors + after
        faces += [np.stack([a, a + sectors, b + sectors], 1), np.stack([a, b + sectors, b], 1)]
    last = 1 + (len(polar) - 1) * sectors
    faces.append(np.stack([np.full_like(here, len(vertices) - 1), last + after, last + here], 1))
    return vertices, np.concatenate(faces)


def eye(region: str, helper: np.ndarray) -> tuple[Part, np.ndarray]:
    """A round eyeball in place of the helper's coarse one; returns it and its centre."""
    center = helper.mean(axis=0)
    radius = np.linalg.norm(helper - center, axis=1).mean()
    vertices, faces = unit_sphere(EYE_POLAR, EYE_SECTORS)
    return Part(region, center + radius * vertices, faces, {}), center
