"""The mesh that is drawn live where a processor draws is part of the finer one, whole, and looks like it."""

import json

import numpy as np
from scipy.spatial import cKDTree

from emoface.head import load_head
from emoface.look import load_look
from emoface.ui.player import HERE

RUN = """text => {
    const [mesh, shown, look] = JSON.parse(text);
    const typed = (Type, values) => Type.from(values);
    const full = { count: mesh.count, skin: mesh.skin, faces: typed(Uint32Array, mesh.faces), colors: typed(Uint8Array, mesh.colors), gloss: typed(Float32Array, mesh.gloss), look: {
        counts: typed(Uint8Array, look.counts), indices: typed(Uint16Array, look.indices), weights: typed(Float32Array, look.weights), offset: typed(Float32Array, look.offset),
        creases: { vertices: typed(Uint16Array, look.vertices), groups: typed(Uint8Array, look.groups), shade: typed(Float32Array, look.shade), tilt: typed(Float32Array, look.tilt) } } };
    const found = coarser(full, typed(Float32Array, shown)), list = object => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, ArrayBuffer.isView(value) ? Array.from(value) : value]));
    return JSON.stringify({ ...list(found), look: { ...list(found.look), creases: list(found.look.creases) } });
}"""


def edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges and how many triangles have each."""
    return np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0, return_counts=True)


def test_a_coarser_mesh_is_part_of_the_finer_one(chromium):
    head, look = load_head(0), load_look(0)
    matrix, creases = look.matrix.tocsr(), look.creases
    fine = look.vertices(head.template)
    arrays = dict(
        counts=np.diff(matrix.indptr),
        indices=matrix.indices,
        weights=matrix.data,
        offset=look.offset.ravel(),
        vertices=creases.vertices,
        groups=creases.groups,
        shade=creases.shade,
        tilt=creases.tilt.ravel(),
    )
    mesh = dict(
        count=len(fine), skin=look.skin_count, faces=look.faces.ravel().tolist(), colors=look.colors.ravel().tolist(), gloss=look.gloss.tolist()
    )
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.add_script_tag(content=(HERE / "coarser.js").read_text("utf-8"))
        text = json.dumps([mesh, fine.T.ravel().tolist(), {name: array.tolist() for name, array in arrays.items()}])
        found = json.loads(page.evaluate(RUN, text))
    finally:
        context.close()
    faces, counts = np.reshape(found["faces"], (-1, 3)), np.array(found["look"]["counts"])
    assert len(faces) < 0.65 * len(look.faces)
    assert faces.max() + 1 == found["count"] == len(counts) and len(np.unique(faces)) == found["count"]
    rows = np.repeat(np.arange(found["count"]), counts)
    shown = np.reshape(found["look"]["offset"], (-1, 3)).astype(np.float64)
    np.add.at(shown, rows, np.array(found["look"]["weights"])[:, None] * head.template[found["look"]["indices"]])
    distance, same = cKDTree(fine).query(shown)
    assert distance.max() < 1e-6, "every vertex is one of the finer mesh"
    assert (
        np.abs(np.reshape(found["colors"], (-1, 3)).astype(int) - look.colors[same]).mean() < 1
        and abs(found["skin"] - (same < look.skin_count).sum()) < 50
    )
    (_, full), (_, thin) = edges(look.faces), edges(faces)
    assert (thin == 1).sum() == (full == 1).sum() and (thin > 2).sum() <= (full > 2).sum(), "no new hole, and nothing is glued together"
    assert cKDTree(shown).query(fine[: look.skin_count])[0].max() < 0.03, "nothing is missing"
    folded = np.array(found["look"]["creases"]["vertices"])
    assert len(found["look"]["creases"]["tilt"]) == 3 * len(folded)
    assert cKDTree(fine[creases.vertices]).query(shown[folded])[0].max() < 1e-6, "lines stay on their vertices"
    deep = np.intersect1d(creases.vertices[creases.shade > 0.06], look.faces)
    assert len(deep) and np.isin(deep, same).all(), "and all of them are there"
