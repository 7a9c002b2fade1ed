"""An animation on somebody else's head: by the names of its ARKit shapes, or, where it has none, by carrying ours over."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import atomic_path
from ..reading import MAX_TEXT_BYTES, one_sentence, read_bytes, read_json
from .arkit import ARKIT_NAMES
from .basis import Basis, rebuild
from .engines import NAMES
from .glb import pack_glb, save_glb, unpack_glb
from .importing import animation_from_vertices, read_mesh
from .registration import LANDMARKS, carry_shapes
from .topology import arkit_weights
from .units import in_metres

FEWEST = 10
"""ARKit names among a mesh's shapes, from which it counts as an ARKit rig."""


@dataclass(frozen=True)
class Retargeted:
    """What was done: ``shapes`` that move, ``missing`` ARKit names, and for carried shapes how far our face lies from the mesh."""

    shapes: int
    missing: tuple[str, ...]
    mean_mm: float | None = None
    p95_mm: float | None = None


def retarget(animation: Animation, mesh: str | os.PathLike, out: str | os.PathLike, *, landmarks: str | os.PathLike | None = None) -> Retargeted:
    """Writes a GLB of the head in ``mesh`` (.glb, .obj or .ply) that moves as the animation does.

    A GLB with ARKit shapes keeps everything it has (skeleton, materials, textures) and gets their curves. Any other mesh gets our 52 shapes, carried over by
    registration (:mod:`.registration`), and needs ``landmarks``: a JSON file of ten names, each with a vertex number (as the file counts, from 0) or a place ``[x, y, z]``. Raises EmoFaceError for other files, and for meshes in which no face is found.
    """
    path = Path(mesh)
    if not path.is_file():
        raise EmoFaceError(f"There is no mesh {path}; give a .glb, .obj or .ply of a head.")
    kind = path.suffix.lower()
    if kind not in (".glb", ".obj", ".ply"):
        raise EmoFaceError(f"{path.name} is no mesh that can be moved; give a .glb, .obj or .ply of a head.")
    if Path(out).suffix.lower() != ".glb":
        raise EmoFaceError(f"The head is written as .glb, not {Path(out).name}.")
    weights = arkit_weights(animation)
    with one_sentence(path.name, "a mesh"):
        content = read_bytes(path, MAX_TEXT_BYTES)
        if kind == ".glb":
            document, data = _whole(content)
            if any(_known(shapes) for shapes in map(_shape_names, document.get("meshes", []))):
                return _by_name(document, data, weights, animation.fps, out)
        vertices, faces = read_mesh(content, kind[1:], path.name)
    if landmarks is None:
        raise EmoFaceError(
            f"{path.name} has no ARKit shapes, so ours are carried over, which needs landmarks: give --landmarks FILE.json with a vertex number for each of "
            f"{', '.join(LANDMARKS)}."
        )
    return _by_registration(vertices, faces, _places(landmarks, vertices), weights, animation, out)


def _places(path: str | os.PathLike, vertices: np.ndarray) -> dict[str, np.ndarray]:
    with one_sentence(Path(path).name, "a table of landmarks"):
        given = {name: np.asarray(value, float) for name, value in read_json(path).items()}
        places = {name: np.asarray(vertices, float)[int(value)] if value.ndim == 0 else value for name, value in given.items()}
        if not all(place.shape == (3,) and np.isfinite(place).all() for place in places.values()):
            raise ValueError("places that are none")
        return places


def plain(name: str) -> str:
    """A shape's name without what rigs write differently: ``Face.eyeBlink_L``, ``EyeBlinkLeft`` and ``eyeblinkleft`` are one."""
    for end, side in (("_L", "left"), ("_R", "right"), (".L", "left"), (".R", "right")):
        if name.endswith(end):
            name = name[: -len(end)] + side
    return name.rsplit(".", 1)[-1].lower().replace("_", "").replace(" ", "")


_ARKIT = {plain(name): name for name in ARKIT_NAMES}


def _whole(content: bytes) -> tuple[dict, bytes]:
    """A .glb that needs no other file; whole scenes may have long documents."""
    document, data = unpack_glb(content, most=MAX_TEXT_BYTES)
    if not isinstance(document, dict) or len(document.get("buffers", [])) > 1 or any("uri" in buffer for buffer in document.get("buffers", [])):
        raise ValueError("it names other files")
    return document, data


def _shape_names(mesh: Mapping) -> list[str]:
    """Names of a mesh's morph targets; exporters keep them in either of two places."""
    names = mesh.get("extras", {}).get("targetNames") or mesh["primitives"][0].get("extras", {}).get("targetNames") or []
    return [str(name) for name in names]


def _known(shapes: list[str]) -> bool:
    return sum(plain(name) in _ARKIT for name in shapes) >= FEWEST


def _by_name(document: dict, data: bytes, weights: np.ndarray, fps: float, out: str | os.PathLike) -> Retargeted:
    times = (np.arange(len(weights)) / fps).astype("<f4")
    blob = bytearray(data[: document["buffers"][0]["byteLength"]])
    views, accessors = document["bufferViews"], document["accessors"]

    def add(array: np.ndarray, **more) -> int:
        blob.extend(bytes(-len(blob) % 4))
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": array.nbytes})
        blob.extend(array.tobytes())
        accessors.append({"bufferView": len(views) - 1, "componentType": 5126, "count": array.size, "type": "SCALAR", **more})
        return len(accessors) - 1

    seconds, samplers, channels, found = add(times, min=[0.0], max=[float(times[-1])]), [], [], set()
    for number, node in enumerate(document["nodes"]):
        if "mesh" not in node:
            continue
        mesh = document["meshes"][node["mesh"]]
        shapes = _shape_names(mesh)
        moved = {at: _ARKIT[plain(name)] for at, name in enumerate(shapes) if plain(name) in _ARKIT}
        if not moved:
            continue
        curves = np.tile(np.asarray(mesh.get("weights", [0.0] * len(shapes)), "<f4"), (len(weights), 1))
        for at, name in moved.items():
            curves[:, at] = weights[:, NAMES.index(name)]
        found |= set(moved.values())
        samplers.append({"input": seconds, "output": add(curves), "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": number, "path": "weights"}})
    if not channels:
        raise ValueError("shapes that no object of the scene shows")
    nodes = {channel["target"]["node"] for channel in channels}
    others = [
        one
        for one in document.get("animations", [])
        if not any(c["target"].get("path") == "weights" and c["target"].get("node") in nodes for c in one["channels"])
    ]
    document["animations"] = [{"name": "speech", "samplers": samplers, "channels": channels}, *others]
    with atomic_path(out) as temporary:
        temporary.write_bytes(pack_glb(document, blob))
    return Retargeted(len(found), tuple(name for name in ARKIT_NAMES if name not in found))


def _by_registration(
    vertices: np.ndarray, faces: np.ndarray, landmarks: Mapping, weights: np.ndarray, animation: Animation, out: str | os.PathLike
) -> Retargeted:
    carried = carry_shapes(vertices, faces, landmarks)
    template = in_metres(vertices[None], vertices)[1]
    deltas = carried.deltas * np.float32(np.ptp(template, axis=0).max() / np.ptp(vertices, axis=0).max())
    shapes = Basis(NAMES, deltas, weights, 0.0, 0.0)
    moving = animation_from_vertices(
        rebuild(template, shapes), template, faces, fps=animation.fps, settings={**animation.settings, "fit_mm": carried.mean_mm}
    )
    save_glb(moving, out, basis=shapes)
    missing = tuple(name for name, delta in zip(NAMES, deltas) if not delta.any())
    return Retargeted(len(NAMES) - len(missing), missing, carried.mean_mm, carried.p95_mm)
