"""Writes each format with the shipped model, opens it with somebody else's program, and puts what was measured into docs/export.md: ``python -m train.tools.clients``.

Clients are packages of PyPI and npm (``EMOFACE_NODE_MODULES``; Blender in a Python of its own, ``EMOFACE_BLENDER_PYTHON``). One that is not installed is *not run here*, which is no pass.
Positions and curves are compared with what the file was written from: the 52 shapes with their weights for GLB and USD (how far these lie from the network's own vertices is another
table), the vertices for the others.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from emoface import EmoFacePipeline
from emoface.animation import Animation
from emoface.export import save
from emoface.export.basis import find_basis, rebuild
from emoface.files import write_text
from emoface.resources import ASSETS

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BEGIN, END = "<!-- clients: python -m train.tools.clients -->\n", "<!-- end of clients -->\n"
SPEECH = ASSETS / "examples" / "happy.wav"
NOT_RUN = "not run here"


class Missing(Exception):
    """A client that is not installed."""


@dataclass(frozen=True)
class Clip:
    """What is written, and what a client has to find."""

    animation: Animation
    shapes: np.ndarray
    """(T, V, 3) of the 52 shapes with their weights, metres."""
    folder: Path

    def file(self, suffix: str, **options) -> Path:
        return save(self.animation, self.folder / f"clip{suffix}", **options)

    def curve(self, name: str) -> np.ndarray:
        return self.animation.blendshapes[:, self.animation.blendshape_names.index(name)]


# ---- how clients are reached ------------------------------------------------------------------------------------------


def python_package(name: str) -> str:
    """Its version. Raises Missing."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        raise Missing(name) from None


def node_package(name: str) -> tuple[Path, str]:
    """Its folder and version. Raises Missing."""
    folder = Path(os.environ.get("EMOFACE_NODE_MODULES", "")) / name
    if shutil.which("node") is None or not (folder / "package.json").is_file():
        raise Missing(name)
    return folder, f"{name.rpartition('/')[2]} {json.loads((folder / 'package.json').read_text())['version']}"


def in_node(script: str, *arguments: Path | int, folder: Path) -> dict:
    """What a module prints as JSON."""
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(os.environ["EMOFACE_NODE_MODULES"])
    (folder / "read.mjs").write_text(script)
    return json.loads(_output(["node", str(folder / "read.mjs"), *map(str, arguments)]))


def in_blender(script: str, path: Path) -> dict:
    """What a script prints as JSON in its last line."""
    python = os.environ.get("EMOFACE_BLENDER_PYTHON") or (sys.executable if find_spec("bpy") else None)
    if python is None:
        raise Missing("bpy")
    return json.loads(next(line for line in reversed(_output([python, "-c", script, str(path)]).splitlines()) if line.startswith("{")))


def _output(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def millimetres(found: np.ndarray, wanted: np.ndarray) -> str:
    away = 1000 * np.linalg.norm(np.asarray(found, float) - wanted, axis=-1)
    return f"positions {away.max():.4f} mm at most"


def clock(fps: float, duration: float, animation: Animation) -> str:
    """Rate and length as found, and how far the length is from the animation's."""
    return f"{fps:g} fps, {duration:.3f} s ({1000 * (duration - animation.duration):+.0f} ms)"


# ---- clients ----------------------------------------------------------------------------------------------------------

_VALIDATE = """
import { readFileSync } from 'node:fs'; import { createRequire } from 'node:module';
const v = createRequire(import.meta.url)('gltf-validator');
const report = await v.validateBytes(new Uint8Array(readFileSync(process.argv[2])));
console.log(JSON.stringify(report.issues));
"""
_THREE = """
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { readFileSync } from 'node:fs';
globalThis.self = globalThis;
const bytes = readFileSync(process.argv[2]), frame = Number(process.argv[3]);
const gltf = await new GLTFLoader().parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), '');
const clip = gltf.animations[0], track = clip.tracks.find(t => t.name.endsWith('morphTargetInfluences'));
const count = track.getValueSize(), weights = Array.from(track.values);
const ids = [], points = [];
gltf.scene.updateMatrixWorld(true);
gltf.scene.traverse(mesh => {
  if (!mesh.isMesh) return;
  const at = mesh.geometry.attributes, morphs = mesh.geometry.morphAttributes.position, v = mesh.position.clone();
  for (let i = 0; i < at.position.count; i++) {
    v.fromBufferAttribute(at.position, i);
    const sum = [v.x, v.y, v.z];
    for (let k = 0; k < count; k++) { const w = weights[frame * count + k]; sum[0] += w * morphs[k].getX(i); sum[1] += w * morphs[k].getY(i); sum[2] += w * morphs[k].getZ(i); }
    v.set(...sum).applyMatrix4(mesh.matrixWorld);
    points.push([v.x, v.y, v.z]); ids.push(at._vertex.getX(i));
  }
});
console.log(JSON.stringify({ duration: clip.duration, times: Array.from(track.times), ids, points }));
"""
_VRMA = """
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { VRMAnimationLoaderPlugin } from '@pixiv/three-vrm-animation';
import { readFileSync } from 'node:fs';
globalThis.self = globalThis;
const loader = new GLTFLoader(); loader.register(parser => new VRMAnimationLoaderPlugin(parser));
const bytes = readFileSync(process.argv[2]);
const gltf = await loader.parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), '');
const [{ duration, expressionTracks }] = gltf.userData.vrmAnimations;
console.log(JSON.stringify({ duration, custom: Object.fromEntries([...expressionTracks.custom].map(([name, track]) => [name, Array.from(track.values)])) }));
"""
_BLENDER = """
import bpy, json, sys
bpy.ops.wm.read_factory_settings(use_empty=True)
scene, path = bpy.context.scene, sys.argv[1]
scene.render.fps = 30
bpy.ops.import_scene.gltf(filepath=path) if path.endswith(".glb") else bpy.ops.wm.usd_import(filepath=path)
head = next(o for o in bpy.data.objects if o.type == "MESH")
def curves(action):
    return list(action.fcurves) if hasattr(action, "fcurves") else [c for l in action.layers for s in l.strips for b in s.channelbags for c in b.fcurves]
owner = head.data.shape_keys.animation_data or next(o.animation_data for o in bpy.data.objects if o.type == "ARMATURE" and o.animation_data)
times = sorted({point.co[0] for curve in curves(owner.action) for point in curve.keyframe_points})
scene.frame_set(round(times[0]) + 7)
shown = head.evaluated_get(bpy.context.evaluated_depsgraph_get())
ids = [d.value for d in head.data.attributes["_VERTEX"].data] if "_VERTEX" in head.data.attributes else list(range(len(head.data.vertices)))
print()
print(json.dumps({"version": bpy.app.version_string, "fps": scene.render.fps / scene.render.fps_base, "duration": (times[-1] - times[0] + 1) / scene.render.fps, "ids": ids,
                  "points": [list(shown.matrix_world @ v.co) for v in shown.data.vertices]}))
"""


def khronos(clip: Clip, suffix: str) -> tuple[str, str]:
    _, name = node_package("gltf-validator")
    issues = in_node(_VALIDATE, clip.file(suffix), folder=clip.folder)
    return name, f"{issues['numErrors']} errors, {issues['numWarnings']} warnings"


def three(clip: Clip) -> tuple[str, str]:
    _, name = node_package("three")
    told = in_node(_THREE, clip.file(".glb", basis="arkit"), 7, folder=clip.folder)
    steps = np.diff(told["times"])
    return (
        name,
        f"{millimetres(told['points'], clip.shapes[7][np.array(told['ids'], int)])}; {clock(round(1 / steps.mean(), 3), told['duration'] + steps[-1], clip.animation)}",
    )


def trimesh(clip: Clip) -> tuple[str, str]:
    import trimesh

    scene = trimesh.load(clip.file(".glb", basis="arkit"), process=False)
    ends = np.abs(scene.bounds - [clip.animation.template.min(0), clip.animation.template.max(0)]).max()
    return python_package(
        "trimesh"
    ), f"at rest: bounds {1000 * ends:.4f} mm, {sum(len(part.faces) for part in scene.geometry.values()) - len(clip.animation.faces):+d} triangles"


def blender(clip: Clip, suffix: str) -> tuple[str, str]:
    told = in_blender(_BLENDER, clip.file(suffix, basis="arkit"))
    x, y, z = np.array(told["points"]).T  # Blender's z is up
    wanted = clip.shapes[7][np.array(told["ids"], int)]
    return (
        f"Blender {told['version']} (bpy)",
        f"{millimetres(np.stack([x, z, -y], 1), wanted)}; {clock(told['fps'], told['duration'], clip.animation)}",
    )


def usd(clip: Clip, suffix: str) -> tuple[str, str]:
    try:
        from pxr import Usd, UsdGeom, UsdSkel
    except ImportError:
        raise Missing("usd-core") from None
    stage = Usd.Stage.Open(str(clip.file(suffix, basis="arkit")))
    UsdSkel.BakeSkinning(stage.Traverse())
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Mesh"))
    fps = stage.GetTimeCodesPerSecond()
    name = f"usd-core {'.'.join(map(str, Usd.GetVersion()))}"
    return name, f"{millimetres(mesh.GetPointsAttr().Get(7), clip.shapes[7])}; {clock(fps, (stage.GetEndTimeCode() + 1) / fps, clip.animation)}"


def three_vrm(clip: Clip) -> tuple[str, str]:
    _, name = node_package("@pixiv/three-vrm-animation")
    told = in_node(_VRMA, clip.file(".vrma", shapes="arkit"), folder=clip.folder)
    off = max(np.abs(np.array(values) - clip.curve(shape)).max() for shape, values in told["custom"].items())
    fps = (clip.animation.frame_count - 1) / told["duration"]
    return name, f"{len(told['custom'])} curves, {off:.6f} at most; {clock(round(fps, 3), told['duration'] + 1 / fps, clip.animation)}"


def unity(clip: Clip) -> tuple[str, str]:
    name = python_package("unityparser")
    from unityparser import UnityDocument

    found = UnityDocument.load_yaml(str(clip.file(".anim"))).get(class_name="AnimationClip")
    off, last = 0.0, 0.0
    for curve in found.m_FloatCurves:
        keys = curve["curve"]["m_Curve"]
        times, values = (np.array([float(key[what]) for key in keys]) for what in ("time", "value"))
        wanted = np.interp(times, np.arange(clip.animation.frame_count) / clip.animation.fps, clip.curve(curve["attribute"].partition(".")[2]))
        off, last = max(off, np.abs(values / 100 - wanted).max()), max(last, times[-1])
    fps = float(found.m_SampleRate)
    return name, f"{len(found.m_FloatCurves)} curves, {off:.6f} at most; {clock(fps, last + 1 / fps, clip.animation)}"


def godot(clip: Clip) -> tuple[str, str]:
    name = python_package("godot-parser")
    import godot_parser

    resource = next(iter(godot_parser.load(str(clip.file(".tres"))).get_sections("resource")))
    off, count = 0.0, 0
    for key, value in resource.properties.items():
        if value == "blend_shape":
            shape = resource[key.replace("type", "path")].args[0].rpartition(":")[2]
            keys = np.array(resource[key.replace("type", "keys")].args, float).reshape(-1, 3)
            wanted = np.interp(keys[:, 0], np.arange(clip.animation.frame_count) / clip.animation.fps, clip.curve(shape))
            off, count = max(off, np.abs(keys[:, 2] - wanted).max()), count + 1
    return name, f"{count} curves, {off:.6f} at most; {clock(round(1 / resource['step'], 3), resource['length'], clip.animation)}"


def live_link(clip: Clip) -> tuple[str, str]:
    name = python_package("pylivelinkface")
    from pylivelinkface import FaceBlendShape, PyLiveLinkFace

    from emoface.export.engines import NAMES, LiveLinkFace

    order = [clip.animation.blendshape_names.index(name) for name in NAMES]
    sender, off = LiveLinkFace("127.0.0.1", 1), 0.0
    for frame, row in enumerate(clip.animation.blendshapes[:, order]):
        _, face = PyLiveLinkFace.decode(sender.packet(row, frame / clip.animation.fps))
        found = {shape.name[0].lower() + shape.name[1:]: face.get_blendshape(shape) for shape in FaceBlendShape}
        off = max(off, *(abs(found[shape] - value) for shape, value in zip(NAMES, row)))
    return name, f"52 curves, {off:.6f} at most"


def csv(clip: Clip) -> tuple[str, str]:
    name = python_package("pandas")
    import pandas

    table = pandas.read_csv(clip.file(".csv"))
    times = np.arange(len(table)) / 60
    off = max(
        np.abs(
            table[shape[0].upper() + shape[1:]] - np.interp(times, np.arange(clip.animation.frame_count) / clip.animation.fps, clip.curve(shape))
        ).max()
        for shape in clip.animation.blendshape_names
    )
    return name, f"{table.shape[1]} columns, curves {off:.6f} at most; {clock(60, times[-1] + 1 / clip.animation.fps, clip.animation)}"


def film(clip: Clip, suffix: str) -> tuple[str, str]:
    import av

    with av.open(str(clip.file(suffix, size=96))) as container:
        video, times = container.streams.video[0], []
        sound = sum(frame.samples / frame.sample_rate for frame in container.decode(container.streams.audio[0]))
        container.seek(0)
        times = [frame.time for frame in container.decode(video)]
        codec = video.codec_context.name
    fps = round((len(times) - 1) / (times[-1] - times[0]), 3)
    return (
        python_package("av"),
        f"{codec}: {clock(fps, times[-1] + 1 / fps, clip.animation)}, sound {1000 * (sound - len(clip.animation.audio) / clip.animation.sample_rate):+.0f} ms",
    )


def pillow(clip: Clip, suffix: str) -> tuple[str, str]:
    from PIL import Image

    with Image.open(clip.file(suffix, size=96)) as image:
        total = 0
        for frame in range(image.n_frames):
            image.seek(frame)
            image.load()
            total += image.info["duration"]
        return python_package("pillow"), clock(round(1000 * image.n_frames / total, 2), total / 1000, clip.animation)


def subtitles(clip: Clip) -> tuple[str, str]:
    name = python_package("srt")
    import srt

    cues = list(srt.parse(clip.file(".srt").read_text()))
    return name, f"{len(cues)} cues, the last ends at {cues[-1].end.total_seconds():.2f} s of {clip.animation.duration:.2f} s"


def obj_frames(clip: Clip) -> tuple[str, str]:
    import trimesh

    with zipfile.ZipFile(clip.file(".zip")) as file:
        mesh = trimesh.load(io.BytesIO(file.read("frames/000007.obj")), file_type="obj", process=False, maintain_order=True)
        count = sum(name.startswith("frames/") for name in file.namelist())
    return python_package("trimesh"), f"{millimetres(mesh.vertices, clip.animation.vertices[7])}; {count - clip.animation.frame_count:+d} frames"


CHECKS: list[tuple[str, str, Callable[[Clip], tuple[str, str]]]] = [
    (".glb", "gltf-validator", lambda clip: khronos(clip, ".glb")),
    (".glb", "three", three),
    (".glb", "trimesh", trimesh),
    (".glb", "bpy", lambda clip: blender(clip, ".glb")),
    (".usdc", "usd-core", lambda clip: usd(clip, ".usdc")),
    (".usda", "usd-core", lambda clip: usd(clip, ".usda")),
    (".usdc", "bpy", lambda clip: blender(clip, ".usdc")),
    (".vrma", "gltf-validator", lambda clip: khronos(clip, ".vrma")),
    (".vrma", "three-vrm-animation", three_vrm),
    (".anim", "unityparser", unity),
    (".tres", "godot-parser", godot),
    (".csv", "pandas", csv),
    ("livelink://", "pylivelinkface", live_link),
    (".srt", "srt", subtitles),
    (".zip", "trimesh", obj_frames),
    *[(suffix, "av", lambda clip, suffix=suffix: film(clip, suffix)) for suffix in (".mp4", ".webm", ".mov")],
    *[(suffix, "pillow", lambda clip, suffix=suffix: pillow(clip, suffix)) for suffix in (".gif", ".webp")],
]
"""Format, client, and what opens the one with the other: the client with its version, and what was measured."""
NOT_HERE = {
    ".glb": "Unity, Godot, Maya",
    ".csv": "Unreal's Live Link Face Importer",
    ".anim": "Unity",
    ".tres": "Godot",
    ".a2f.json": "Audio2Face",
    ".visemes.json": "Oculus Lipsync",
    ".rhubarb.json": "Rhubarb Lip Sync",
}
"""Programs that the formats are for and that are on neither PyPI nor npm."""


def table(animation: Animation) -> str:
    """Markdown."""
    lines = ["| format | client | what it found |", "|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="emoface-clients-") as folder:
        clip = Clip(animation, rebuild(animation.template, find_basis(animation, "arkit")), Path(folder))
        for suffix, client, check in CHECKS:
            try:
                name, found = check(clip)
            except Missing:
                name, found = client, NOT_RUN
            except Exception as error:  # the table says so, and the others go on; the message may name this machine's folders
                name, found = client, f"**failed**: {type(error).__name__}"
                print(error, file=sys.stderr)
            print(f"{suffix:12} {name:32} {found}", flush=True)
            lines.append(f"| `{suffix}` | {name} | {found} |")
    lines += [f"| `{suffix}` | {program} | {NOT_RUN}: on neither PyPI nor npm |" for suffix, program in NOT_HERE.items()]
    return "\n".join(lines) + "\n"


def with_table(page: str, text: str) -> str:
    """The page with this table in its place."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + text + END + rest.split(END)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--only-print", action="store_true", help="leave docs/export.md as it is")
    options = parser.parse_args()
    text = table(EmoFacePipeline.from_pretrained()(options.speech, emotion="happy", level="strong"))
    if not options.only_print:
        write_text(PAGE, with_table(PAGE.read_text("utf-8"), text))


if __name__ == "__main__":
    main()
