"""What the page computes for every frame of a look is what films compute."""

import numpy as np

from emoface.export.shading import unit, vertex_normals
from emoface.head import load_head
from emoface.look import FOLDER, load_look, read_arrays
from emoface.ui.player import HERE

RUN = """([base, own, inverse, coarse, normals, radius]) => {
    const typed = { int8: Int8Array, uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
    for (const file of [base, own]) for (const name in file) if (file[name].kind) file[name] = typed[file[name].kind].from(file[name].values);
    const look = { anchors: base.about.anchors, inverse, radius, ...movingParts(base, own, radius) };
    const vertices = Float32Array.from(coarse), relief = Float32Array.from(normals), taken = new Float32Array(normals.length / 3), frame = skullFrame(look, vertices);
    settle(look, vertices, frame);
    crease(look, vertices, frame, relief, taken);
    return { settled: Array.from(vertices), taken: Array.from(taken), normals: Array.from(relief) };
}"""


def plain(name: str) -> dict:
    """Arrays of a file of the look that the page's script reads, for JSON."""
    arrays = read_arrays(FOLDER / f"{name}.efl")
    wanted = {key: value for key, value in arrays.items() if key.startswith(("crease", "lid", "eye", "ball"))}
    return {"about": arrays["about"], **{key: {"kind": value.dtype.name, "values": value.ravel().tolist()} for key, value in wanted.items()}}


def test_lids_and_lines_are_those_of_the_films(chromium):
    """A squeezed, frowning, turned face: lids overlap, the mouth is ajar, several lines are drawn."""
    head, look, radius = load_head(9), load_look(9), 0.15
    weights = np.zeros((1, 52), np.float32)
    for name in ("browDown", "eyeBlink", "mouthSmile", "cheekSquint", "eyeSquint", "noseSneer"):
        weights[0, [head.blendshape_names.index(name + side) for side in ("Left", "Right")]] = 0.9
    weights[0, head.blendshape_names.index("jawOpen")] = 0.12
    turn = np.array([[np.cos(0.4), 0, np.sin(0.4)], [0, 1, 0], [-np.sin(0.4), 0, np.cos(0.4)]], np.float32)
    vertices = (head.pose(weights)[0] @ turn.T).astype(np.float32)
    settled = look.settled(vertices)
    taken, tilt = look.folded(settled)
    assert np.abs(settled - vertices).max() > 1e-3 and taken.max() > 0.3 and np.linalg.norm(tilt, axis=1).max() > 0.15
    normals = vertex_normals(look.vertices(settled), look.faces)
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.add_script_tag(content=(HERE / "face_look.js").read_text("utf-8"))
        found = page.evaluate(
            RUN, [plain("base"), plain("head_09"), look.inverse.tolist(), (vertices.T / radius).ravel().tolist(), normals.ravel().tolist(), radius]
        )
    finally:
        context.close()
    assert np.abs(np.reshape(found["settled"], (3, -1)).T * radius - settled).max() < 1e-6
    assert np.abs(np.array(found["taken"]) - taken).max() < 1e-4
    touched = np.unique(look.creases.vertices)
    assert np.abs(np.reshape(found["normals"], (-1, 3))[touched] - unit(normals + tilt)[touched]).max() < 1e-4
