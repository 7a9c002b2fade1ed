"""The GLB: clean for the Khronos validator, readable by trimesh, played by three.js in a browser, read back by us."""

import json
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from emoface.errors import EmoFaceError
from emoface.export.basis import find_basis, rebuild
from emoface.export.glb import _read, load_glb, save_glb, unpack_glb
from emoface.export.shading import vertex_normals
from emoface.head import load_head
from emoface.look import load_look
from tests.conftest import missing


def node_package(name: str) -> Path:
    """Folder of an npm package in EMOFACE_NODE_MODULES or on NODE_PATH; where it is not installed the test is skipped, in CI it fails."""
    places = os.environ.get("EMOFACE_NODE_MODULES", "") + os.pathsep + os.environ.get("NODE_PATH", "")
    folders = [Path(place) / name for place in places.split(os.pathsep) if place]
    found = next((folder for folder in folders if folder.is_dir()), None)
    if found is None or shutil.which("node") is None:
        missing(f"needs node, `npm install {name}` and EMOFACE_NODE_MODULES=.../node_modules")
    return found


@pytest.fixture(scope="module")
def glb(talking, tmp_path_factory):
    return save_glb(talking, tmp_path_factory.mktemp("glb") / "talking.glb")


@pytest.fixture(scope="module")
def flame_glb(flame, tmp_path_factory):
    return save_glb(flame, tmp_path_factory.mktemp("glb") / "flame.glb")


def header(path) -> dict:
    content = path.read_bytes()
    return json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])


@pytest.fixture(scope="module")
def fine_glb(talking, tmp_path_factory):
    return save_glb(talking, tmp_path_factory.mktemp("glb") / "fine.glb", detail="fine")


def test_khronos_validator_finds_nothing(glb, flame_glb, fine_glb, talking, tmp_path):
    package = node_package("gltf-validator")
    still = save_glb(replace(talking, vertices=talking.vertices[:1], blendshapes=talking.blendshapes[:1], colors=None), tmp_path / "one_frame.glb")
    code = (
        "const validator = require(process.argv[1]), fs = require('fs');"
        "Promise.all(process.argv.slice(2).map(file =>"
        "validator.validateBytes(new Uint8Array(fs.readFileSync(file))))).then("
        "reports => console.log(JSON.stringify(reports.map(report => report.issues))))"
    )
    done = subprocess.run(
        ["node", "-e", code, str(package), str(glb), str(flame_glb), str(still), str(fine_glb)], capture_output=True, text=True, timeout=900
    )
    reports = json.loads(done.stdout)
    assert len(reports) == 4
    for issues in reports:
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_contents(glb, talking):
    document = header(glb)
    mesh = document["meshes"][0]
    assert tuple(mesh["extras"]["targetNames"]) == talking.blendshape_names and len(talking.blendshape_names) == 52
    parts = [document["materials"][part["material"]]["name"] for part in mesh["primitives"]]
    assert parts[:4] == ["skin", "eyes", "teeth", "tongue"] and "other" not in parts
    for part in mesh["primitives"]:
        assert len(part["targets"]) == 52 and all(set(target) == {"POSITION", "NORMAL"} for target in part["targets"])
        assert {"POSITION", "NORMAL", "COLOR_0"} <= set(part["attributes"])
    assert sum("sparse" in accessor for accessor in document["accessors"]) > 80
    sampler = document["animations"][0]["samplers"][0]
    assert document["accessors"][sampler["output"]]["count"] == 12 * 52
    assert document["accessors"][sampler["input"]]["max"] == [pytest.approx(11 / 30)]
    assert glb.stat().st_size < 3_000_000


def test_primitives_own_only_their_vertices(glb, fine_glb, talking):
    look = load_look(0)
    for path, count in ((glb, len(talking.template)), (fine_glb, len(look.regions))):
        document = header(path)
        owned = [document["accessors"][part["attributes"]["POSITION"]]["count"] for part in document["meshes"][0]["primitives"]]
        assert len(owned) >= 5 and max(owned) < count and sum(owned) == count
        for part, own in zip(document["meshes"][0]["primitives"], owned):
            assert document["accessors"][part["attributes"]["TEXCOORD_0"]]["count"] == own
            assert all(document["accessors"][number]["count"] == own for target in part["targets"] for number in target.values())


def test_the_look_is_written_and_read_back(fine_glb, talking):
    look, back = load_look(0), load_glb(fine_glb)
    shown = look.vertices(talking.vertices)
    assert 1000 * np.abs(back.vertices - shown)[:, : look.skin_count].max() < 0.05
    assert np.array_equal(back.regions, look.regions) and np.array_equal(back.colors, look.colors)
    assert back.skin_count == look.skin_count and back.blendshapes.shape == talking.blendshapes.shape
    names = [material["name"] for material in header(fine_glb)["materials"]]
    assert {"skin", "eyes", "teeth", "tongue", "hair", "shirt"} == set(names)
    assert fine_glb.stat().st_size < 20_000_000


def test_normals_of_a_shape_lean_where_it_folds_the_skin(fine_glb, talking):
    """Colours cannot morph everywhere, so a GLB shows lines by its normals alone."""
    document, data = unpack_glb(fine_glb.read_bytes())
    part = document["meshes"][0]["primitives"][0]
    mine = _read(document, data, part["attributes"]["_VERTEX"], None).astype(int)
    target = part["targets"][document["meshes"][0]["extras"]["targetNames"].index("browInnerUp")]
    turned = np.zeros((len(load_look(0).regions), 3))
    turned[mine] = _read(document, data, target["NORMAL"], len(mine))
    head, look = load_head(0), load_look(0)
    raised = head.pose(np.eye(52, dtype=np.float32)[[head.blendshape_names.index("browInnerUp")]])[0]
    tilt = look.folded(raised)[1]
    lines = np.linalg.norm(tilt, axis=1) > 0.1
    plain = vertex_normals(look.vertices(raised), look.faces) - vertex_normals(look.vertices(head.template), look.faces)
    assert lines.sum() > 30
    assert np.abs(turned - plain - tilt)[lines].max() < 0.05


def test_read_back(glb, talking):
    back = load_glb(glb)
    skin = talking.skin_count
    assert np.abs(back.vertices - talking.vertices)[:, :skin].max() < 2e-5, "the skin was made of the 52 shapes"
    assert 1000 * np.linalg.norm(back.vertices - talking.vertices, axis=2).max() < 1.5, "eyes turn along chords"
    assert np.array_equal(np.sort(back.faces, 0), np.sort(talking.faces, 0))
    assert np.array_equal(back.regions, talking.regions) and back.skin_count == skin and back.fps == 30
    assert np.array_equal(back.colors, talking.colors), "vertex colours survive the way to linear light and back"
    assert np.abs(back.blendshapes - talking.blendshapes).max() < 1e-6
    assert back.settings == talking.settings


def test_principal_components_and_stated_error(flame, flame_glb):
    basis = find_basis(flame)
    away = 1000 * np.linalg.norm(rebuild(flame.template, basis) - flame.vertices, axis=2)
    assert basis.names[0] == "component01" and len(basis.names) <= 4, "the motion has two degrees of freedom"
    assert basis.max_error_mm == pytest.approx(away.max(), abs=1e-4) and away.max() < 0.01
    assert np.abs(basis.weights).max() <= 1.001
    assert header(flame_glb)["meshes"][0]["extras"]["emoface"]["error_mm"]["max"] < 0.01
    back = load_glb(flame_glb)
    assert np.abs(back.vertices - flame.vertices).max() < 1e-5 and back.blendshapes.shape == (len(flame.vertices), 0)


def test_no_curve_is_below_the_weights_of_the_mesh(flame, flame_glb, glb):
    """Blender clamps curves at the weight that the mesh states (up to 14.7 mm away from a peer's motion)."""
    weights = find_basis(flame).weights
    assert weights.min() < -0.1, "principal components go both ways"
    assert np.all(np.array(header(flame_glb)["meshes"][0]["weights"]) <= weights.min(0) + 1e-6)
    assert not any(header(glb)["meshes"][0]["weights"]), "a head with ARKit shapes rests at rest"


def test_error_is_stated_where_shapes_do_not_suffice(talking, tmp_path):
    push = np.zeros_like(talking.vertices)
    push[:, : talking.skin_count, 0] = 0.0005
    path = save_glb(replace(talking, vertices=talking.vertices + push), tmp_path / "a.glb")
    error = header(path)["meshes"][0]["extras"]["emoface"]["error_mm"]
    assert error["mean"] == pytest.approx(0.5, abs=0.01) and error["max"] == pytest.approx(0.5, abs=0.03)
    closer = find_basis(replace(talking, vertices=talking.vertices + push), "pca")
    assert closer.max_error_mm < 0.2


def test_foreign_and_damaged_files_are_refused(tmp_path, glb):
    content = glb.read_bytes()
    for number, data in enumerate((b"", b"glTF", content[:2000], b"x" * 100)):
        path = tmp_path / f"{number}.glb"
        path.write_bytes(data)
        with pytest.raises(EmoFaceError, match="not a GLB written by EmoFace"):
            load_glb(path)
    with pytest.raises(EmoFaceError, match="no basis"):
        find_basis(None, "wavelets")


def test_trimesh_opens_it(glb, talking):
    trimesh = pytest.importorskip("trimesh")
    scene = trimesh.load(glb, process=False)
    assert len(scene.geometry) == len(header(glb)["meshes"][0]["primitives"])
    assert sum(len(part.faces) for part in scene.geometry.values()) == len(talking.faces)
    assert np.abs(scene.bounds - [talking.template.min(0), talking.template.max(0)]).max() < 1e-6


PAGE = """<script type="importmap">{"imports": {"three": "/three/build/three.module.js"}}</script><body>
<script type="module">
import * as THREE from 'three';
import { GLTFLoader } from '/three/examples/jsm/loaders/GLTFLoader.js';
const gltf = await new GLTFLoader().loadAsync('/talking.glb');
const scene = new THREE.Scene().add(gltf.scene, new THREE.HemisphereLight(0xffffff, 0x887766, 3));
scene.background = new THREE.Color(0xffffff);
const camera = new THREE.PerspectiveCamera(25, 1, 0.01, 5); camera.position.set(0, 0, 0.75);
const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true }); renderer.setSize(240, 240);
document.body.append(renderer.domElement);
const meshes = []; gltf.scene.traverse(node => node.isMesh && meshes.push(node));
const mixer = new THREE.AnimationMixer(gltf.scene); mixer.clipAction(gltf.animations[0]).play();
window.at = (time, vertices) => {
  mixer.setTime(time); renderer.render(scene, camera);
  return { positions: vertices.map(i => meshes[0].getVertexPosition(i, new THREE.Vector3()).toArray()),
           influences: meshes.map(mesh => Array.from(mesh.morphTargetInfluences)) };
};
window.about = { clip: gltf.animations[0].name, duration: gltf.animations[0].duration, names: meshes.map(mesh =>
  Object.entries(mesh.morphTargetDictionary).sort((a, b) => a[1] - b[1]).map(entry => entry[0])) };
</script>"""


def test_three_js_plays_it(glb, talking, tmp_path, chromium):
    three = node_package("three")
    (tmp_path / "three").symlink_to(three)
    (tmp_path / "talking.glb").symlink_to(glb)
    (tmp_path / "index.html").write_text(PAGE)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    some = list(range(0, talking.skin_count, 97))
    try:
        page = chromium.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("() => window.about || false", timeout=300000)
        about = page.evaluate("window.about")
        frames = {frame: page.evaluate(f"at({frame / 30}, {some})") for frame in (0, 7, 11)}
        page.evaluate("at(0, [])")
        first = page.locator("canvas").screenshot()
        page.evaluate(f"at({7 / 30}, [])")
        second = page.locator("canvas").screenshot()
        page.close()
    finally:
        server.shutdown()
    assert not problems
    assert about["clip"] == "speech" and about["duration"] == pytest.approx(11 / 30, abs=1e-5)
    assert all(tuple(names) == talking.blendshape_names for names in about["names"])
    assert len(about["names"]) >= 4, "skin, eyes, teeth, tongue"
    for frame, seen in frames.items():
        assert all(np.abs(np.array(part) - talking.blendshapes[frame]).max() < 1e-3 for part in seen["influences"])
        away = np.linalg.norm(np.array(seen["positions"]) - talking.vertices[frame, some], axis=1)
        assert 1000 * away.max() < 0.05, f"three.js has frame {frame} where the mesh is"
    assert first != second, "the picture moves"
