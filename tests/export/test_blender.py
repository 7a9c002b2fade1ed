"""The add-on, run by Blender itself (PyPI's ``bpy``), which wants an older numpy than the tests and so a Python of its own."""

import ast
import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emoface.export import save
from emoface.export.arkit import ARKIT_NAMES, CSV_NAMES, HEADER, load_csv, timecode
from emoface.export.basis import find_basis, rebuild
from emoface.resources import ASSETS

ADDON = ASSETS / "blender" / "emoface-blender.py"
_START = """
import bpy, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("emoface_blender", sys.argv[1])
addon = importlib.util.module_from_spec(spec)
spec.loader.exec_module(addon)
bpy.ops.wm.read_factory_settings(use_empty=True)
addon.register()
folder, scene = sys.argv[2], bpy.context.scene
def keys(thing, name):
    curve = next(c for c in addon.fcurves_of(thing.data.shape_keys.animation_data.action) if f'["{name}"]' in c.data_path)
    return [list(point.co) for point in curve.keyframe_points]
def strips():
    editor = scene.sequence_editor
    return [] if editor is None else [(s.name, s.frame_start) for s in (editor.strips if hasattr(editor, "strips") else editor.sequences)]
def refused(operator, **options):
    try:
        operator(**options)
    except RuntimeError as error:
        return str(error)
"""


def blender(code: str, folder: Path) -> dict:
    """What the code prints as JSON in its last line."""
    python = os.environ.get("EMOFACE_BLENDER_PYTHON") or (sys.executable if find_spec("bpy") else None)
    if python is None:
        pytest.skip("needs Blender as a module (300 MB): a Python with `pip install bpy`, named by EMOFACE_BLENDER_PYTHON")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", _START + code, str(ADDON), str(folder)], capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))


@pytest.fixture(scope="module")
def folder(talking, tmp_path_factory):
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("blender")
    slow = replace(talking, fps=25.0)
    for name in ("a.glb", "a.json", "a.a2f.json"):
        save(slow, folder / name)
    save(slow, folder / "a.csv", fps=25)
    soundfile.write(folder / "a.wav", slow.audio, 16000)
    (folder / "b.glb").write_bytes(b"glTF no")
    return folder


def take(path: Path, frames: list[int], fps: float) -> Path:
    """A Live Link Face CSV with these frames alone; every curve says its own frame."""
    rows = [f"{timecode(frame, fps)},61," + ",".join(f"{(frame % 97) / 97 + column / 1e4:.6f}" for column in range(61)) for frame in frames]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


DAY = 24 * 3600 * 60


@pytest.mark.parametrize(
    "frames, fps",
    [
        (list(range(40)), 60),
        (list(range(90)), 30),
        (list(range(300)), 60),
        ([frame for frame in range(1000, 1300) if frame % 7 and not 1100 < frame < 1110], 60),
        ([frame for frame in range(250) if frame % 60 not in (57, 58)], 60),
        ([(DAY - 70 + step) % DAY for step in range(150) if step != 80], 60),
        ([0, 1, 2, 30000, 30001], 60),
        ([0, 1, 1, 2, 2, 70, 71, 140], 60),
    ],
    ids=["short", "30", "60", "dropped", "each second", "midnight", "away for long", "doubled"],
)
def test_the_add_on_reads_takes_as_the_library_does(frames, fps, tmp_path):
    """One file without imports of ours has its own reader; the two must not drift apart."""
    functions = [node for node in ast.parse(ADDON.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    readers = {node.name: node for node in functions if node.name in ("rate_of", "csv_curves", "without_gaps")}
    own = {"csv": csv}
    exec(compile(ast.Module(list(readers.values()), []), str(ADDON), "exec"), own)
    path = take(tmp_path / "take.csv", frames, fps)
    names, rows, rate = own["csv_curves"](path)
    weights, expected, _ = load_csv(path)
    assert rate == expected and list(names[: len(CSV_NAMES)]) == list(CSV_NAMES)
    columns = [names.index(name[0].upper() + name[1:]) for name in ARKIT_NAMES]
    np.testing.assert_allclose(np.array(rows)[:, columns], weights, atol=1e-6)


def test_a_glb_comes_in_at_its_rate_with_its_sound(folder, talking):
    told = blender(
        """
bpy.ops.import_scene.emoface(filepath=folder + "/a.glb")
head = next(o for o in bpy.data.objects if o.type == "MESH")
scene.frame_set(scene.frame_start + 7)
shown = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
points = [list(shown.matrix_world @ v.co) for v in shown.data.vertices]
ids = [d.value for d in head.data.attributes["_VERTEX"].data]
print(json.dumps({"fps": scene.render.fps / scene.render.fps_base, "frames": [scene.frame_start, scene.frame_end], "keys": keys(head, "jawOpen"), "strips": strips(),
                  "sync": scene.sync_mode, "points": points, "ids": ids, "refused": refused(bpy.ops.import_scene.emoface, filepath=folder + "/b.glb")}))
""",
        folder,
    )
    jaw = talking.blendshapes[:, talking.blendshape_names.index("jawOpen")]
    first = told["frames"][0]
    assert told["fps"] == 25 and told["frames"] == [first, first + 11] and told["sync"] == "AUDIO_SYNC"
    assert np.allclose(told["keys"], np.stack([first + np.arange(12), jaw], 1), atol=1e-4), "keys lie on whole frames"
    assert told["strips"] == [["a.wav", first]]
    assert "no GLB that EmoFace wrote" in told["refused"]
    expected = rebuild(talking.template, find_basis(talking))[7]
    x, y, z = np.array(told["points"]).T
    shown = np.stack([x, z, -y], 1)  # Blender's z is up
    assert np.abs(shown - expected[np.array(told["ids"], int)]).max() < 1e-5, "a hundredth of a millimetre"


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.glb", "a.a2f.json"])
def test_curves_go_onto_a_rig_of_ones_own(folder, talking, name):
    told = blender(
        f"""
scene.render.fps = 50
mesh = bpy.data.meshes.new("own")
mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
own = bpy.data.objects.new("own", mesh)
scene.collection.objects.link(own)
for key in ("Basis", "JawOpen", "eyeBlink_R", "smile"):
    own.shape_key_add(name=key)
bpy.context.view_layer.objects.active = own
without = refused(bpy.ops.object.emoface_curves, filepath=folder + "/{name}")
own.select_set(True)
bpy.ops.object.emoface_curves(filepath=folder + "/{name}")
own.data.shape_keys.key_blocks["JawOpen"].value
print(json.dumps({{"jaw": keys(own, "JawOpen"), "blink": keys(own, "eyeBlink_R"), "curves": len(addon.fcurves_of(own.data.shape_keys.animation_data.action)),
                  "start": scene.frame_start, "strips": strips(), "without": without}}))
""",
        folder,
    )
    at = told["start"] + 2 * np.arange(12)  # 25 a second in a scene of 50
    for key, shape in (("jaw", "jawOpen"), ("blink", "eyeBlinkRight")):
        expected = np.stack([at, talking.blendshapes[:, talking.blendshape_names.index(shape)]], 1)
        if name == "a.csv":  # a take of less than a second does not say its rate
            expected[:, 0] = told["start"] + 50 / 60 * np.arange(12)
        assert np.allclose(told[key], expected, atol=1e-3)
    assert told["curves"] == 2 and "select the head" in told["without"]
    assert told["strips"] == ([["a.wav", told["start"]]] if name != "a.a2f.json" else [])
