"""Animated binary glTF 2.0: one mesh, its shapes as sparse morph targets with normals, and their curves.

Written by hand because no maintained Python library writes sparse morph animation correctly. Skin, eyes, teeth, hair ...
are primitives with vertices of their own; ``_VERTEX`` is a vertex' number in the animation. Specification: Khronos glTF 2.0.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..animation import Animation
from ..errors import Cancelled, EmoFaceError
from ..files import atomic_path
from ..head_motion import angles_of, quaternions
from ..reading import check_bytes, one_sentence, read_bytes
from . import materials
from .basis import Basis, find_basis, rebuild
from .importing import animation_from_vertices
from .shading import to_linear, to_srgb, unit, vertex_normals
from .topology import find_head, find_look, find_neck, part_names, texture_coordinates

_COMPONENT = {"float32": 5126, "uint32": 5125, "uint16": 5123}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_VERTEX_DATA, _INDEX_DATA = 34962, 34963
_ROUGHNESS = {"skin": 0.55, "eyes": 0.12, "teeth": 0.3, "tongue": 0.35, "hair": 0.6, "shirt": 0.95, "other": 0.6}
_SMALLEST_MOVE = 1e-6
"""Metres; deltas below a micrometre are left out of the file, and normals that turn by less than 0.1 degrees."""
_SMALLEST_TURN = 2e-3


class _Buffer:
    """The binary chunk and the views and accessors that describe it."""

    def __init__(self):
        self.data, self.views, self.accessors = bytearray(), [], []

    def view(self, array: np.ndarray, target: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        self.views.append(view if target is None else {**view, "target": target})
        self.data += np.ascontiguousarray(array).tobytes()
        return len(self.views) - 1

    def accessor(self, array: np.ndarray, target: int | None = None, *, bounds: bool = False, normalized: bool = False) -> int:
        return self._add(array, {"bufferView": self.view(array, target)}, bounds, normalized)

    def sparse(self, array: np.ndarray, entries: np.ndarray, index_view: int | None, *, bounds: bool = False) -> int:
        """(V, 3) array that is zero except at ``entries``; without entries it needs no data at all."""
        content = {}
        if len(entries):
            content["sparse"] = {
                "count": len(entries),
                "indices": {"bufferView": index_view, "componentType": _COMPONENT[entries.dtype.name]},
                "values": {"bufferView": self.view(array[entries])},
            }
        return self._add(array, content, bounds, False)

    def _add(self, array, content, bounds, normalized):
        accessor = {
            **content,
            "componentType": _COMPONENT[array.dtype.name],
            "count": len(array),
            "type": _TYPES[1 if array.ndim == 1 else array.shape[1]],
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor["min"], accessor["max"] = (np.atleast_1d(edge).tolist() for edge in (array.min(0), array.max(0)))
        self.accessors.append(accessor)
        return len(self.accessors) - 1


@dataclass(frozen=True)
class _Mesh:
    """What is written: the animation's own mesh, or the look of its head."""

    template: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None
    regions: np.ndarray
    skin_count: int
    deltas: Callable[[int], np.ndarray]
    """Number of a shape -> (D, 3)."""
    relief: Callable[[int], np.ndarray] | None = None
    """Number of a shape -> (D, 3) what its folds add to the normals."""


def save_glb(
    animation: Animation,
    path: str | os.PathLike,
    *,
    basis: str | Basis = "auto",
    detail: str = "coarse",
    progress: Callable[[str, float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Path:
    """Writes an animated GLB in metres, y up, +z forward; see ``find_basis`` for ``basis``.

    ``detail``: "coarse" writes the network's own vertices, "fine" the look of an embedded head (hair, finer skin), which
    is about five times as large. How far the file's motion is from the mesh stands in the mesh's
    ``extras.emoface.error_mm``. Where the animation has head angles, the node ``neck`` above the mesh turns it as one piece, shoulders included. Sound has no place in glTF; save it beside the file. Raises EmoFaceError if it cannot be
    written and Cancelled on request.
    """

    def step(stage: str, fraction: float) -> None:
        if cancel is not None and cancel():
            raise Cancelled("Stopped as asked; nothing was written.")
        if progress is not None:
            progress(stage, fraction)

    path = Path(path)
    if animation.frame_count == 0:
        raise EmoFaceError("There is no motion to write; animate some speech first.")
    if not np.isfinite(animation.vertices).all():
        raise EmoFaceError("The animation has vertices that are not finite numbers, so it cannot be written as GLB.")
    step("Finding shapes", 0.0)
    shapes = find_basis(animation, basis)
    mesh, buffer = _mesh(animation, shapes, detail), _Buffer()
    normals = vertex_normals(mesh.template, mesh.faces)
    normals[~normals.any(axis=1)] = (0, 0, 1)  # vertices of no triangle: glTF requires unit length even there
    parts = part_names(mesh.regions, mesh.skin_count)
    owned = {part: np.flatnonzero(parts == part) for part in _ROUGHNESS if (parts[mesh.faces[:, 0]] == part).any()}
    targets = {part: [] for part in owned}
    for number in range(len(shapes.deltas)):
        step("Writing shapes", 0.1 + 0.8 * number / len(shapes.deltas))
        delta = mesh.deltas(number).astype(np.float32)
        turned = vertex_normals(mesh.template + delta, mesh.faces)
        if mesh.relief is not None:
            turned = unit(turned + mesh.relief(number))
        turned = np.where(turned.any(axis=1, keepdims=True), turned - normals, 0).astype(np.float32)
        for part, mine in owned.items():
            targets[part].append(_target(buffer, delta[mine], turned[mine]))
    document = _document(animation, shapes, mesh, buffer, normals, owned, targets)
    step("Writing the file", 0.95)
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack_glb(document, buffer.data))
    if progress is not None:
        progress(f"{len(shapes.names)} shapes, {shapes.mean_error_mm:.2f} mm from the mesh on average", 1.0)
    return path


def _mesh(animation: Animation, shapes: Basis, detail: str) -> _Mesh:
    look = find_look(animation, detail)
    if look is None:
        template = np.asarray(animation.template, np.float32)
        return _Mesh(
            template,
            materials.outward(template, np.asarray(animation.faces, np.int32)),
            animation.colors,
            np.asarray(animation.regions),
            animation.skin_count,
            lambda number: shapes.deltas[number],
        )
    resting = look.folded(animation.template)[1]
    return _Mesh(
        look.vertices(animation.template),
        look.faces,
        look.colors,
        look.regions,
        look.skin_count,
        lambda number: look.deltas(shapes.deltas[number]),
        lambda number: look.folded(animation.template + shapes.deltas[number])[1] - resting,
    )


def _target(buffer: _Buffer, delta: np.ndarray, turned: np.ndarray) -> dict[str, int]:
    """POSITION and NORMAL deltas of one morph target of one primitive; both list the same vertices."""
    entries = np.flatnonzero((np.abs(delta).max(1) > _SMALLEST_MOVE) | (np.abs(turned).max(1) > _SMALLEST_TURN))
    keep = np.zeros((len(delta), 1), np.float32)
    keep[entries] = 1
    delta, turned = delta * keep, turned * keep
    index = entries.astype(np.uint16 if len(delta) <= 65535 else np.uint32)
    if len(index) * (12 + index.itemsize / 2) > len(delta) * 12:  # mostly moving: plain arrays are smaller
        return {"POSITION": buffer.accessor(delta, _VERTEX_DATA, bounds=True), "NORMAL": buffer.accessor(turned, _VERTEX_DATA)}
    view = buffer.view(index) if len(index) else None
    return {"POSITION": buffer.sparse(delta, index, view, bounds=True), "NORMAL": buffer.sparse(turned, index, view)}


def _attributes(mesh: _Mesh, buffer: _Buffer, normals, mine: np.ndarray, region: np.ndarray, coordinates: np.ndarray) -> dict[str, int]:
    out = {
        "POSITION": buffer.accessor(mesh.template[mine], _VERTEX_DATA, bounds=True),
        "NORMAL": buffer.accessor(normals[mine].astype(np.float32), _VERTEX_DATA),
        "TEXCOORD_0": buffer.accessor(coordinates[mine], _VERTEX_DATA),
    }
    if mesh.colors is not None:
        # glTF vertex colours are linear; 16 bits, because 8 show bands in the darks.
        linear = np.round(65535 * to_linear(mesh.colors[mine] / np.float32(255)))
        color = np.concatenate([linear, np.full((len(mine), 1), 65535)], 1).astype(np.uint16)
        out["COLOR_0"] = buffer.accessor(color, _VERTEX_DATA, normalized=True)
    out["_REGION"] = buffer.accessor(region[mine].astype(np.float32), _VERTEX_DATA)
    out["_VERTEX"] = buffer.accessor(mine.astype(np.float32), _VERTEX_DATA)
    return out


def _document(animation: Animation, shapes: Basis, mesh: _Mesh, buffer: _Buffer, normals, owned, targets) -> dict:
    names, region = np.unique(mesh.regions, return_inverse=True)
    parts = part_names(mesh.regions, mesh.skin_count)
    coordinates, open_faces = texture_coordinates(mesh.template, parts), materials.two_sided(len(mesh.template), mesh.faces)
    base = [1, 1, 1, 1] if mesh.colors is not None else [*to_linear(np.array(materials.CLAY, np.float32) / 255).tolist(), 1]
    primitives, surfaces = [], []
    for part, mine in owned.items():
        local, faces = np.zeros(len(mesh.template), np.uint32), parts[mesh.faces[:, 0]] == part
        local[mine] = np.arange(len(mine))
        index = local[mesh.faces[faces]].ravel().astype(np.uint16 if len(mine) <= 65535 else np.uint32)
        primitives.append(
            {
                "attributes": _attributes(mesh, buffer, normals, mine, region, coordinates),
                "indices": buffer.accessor(index, _INDEX_DATA),
                "material": len(surfaces),
                "targets": targets[part],
            }
        )
        surfaces.append(
            {
                "name": part,
                "doubleSided": bool(open_faces[faces].any()),
                "pbrMetallicRoughness": {"baseColorFactor": base, "metallicFactor": 0, "roughnessFactor": _ROUGHNESS[part]},
            }
        )
    times = (np.arange(animation.frame_count) / animation.fps).astype(np.float32)
    sampler = {
        "input": buffer.accessor(times, bounds=True),
        "interpolation": "LINEAR",
        "output": buffer.accessor(np.ascontiguousarray(shapes.weights, np.float32).ravel()),
    }
    about = {
        "fps": float(animation.fps),
        "skin_count": int(mesh.skin_count),
        "vertices": len(mesh.template),
        "regions": names.tolist(),
        "error_mm": {"mean": round(shapes.mean_error_mm, 4), "max": round(shapes.max_error_mm, 4)},
        "settings": animation.settings,
    }
    # Blender takes a slider's lower end from these and clamps curves below it; ARKit's are 0, the head at rest.
    lowest = np.minimum(shapes.weights.min(0), 0)
    shown = {"name": "head", "primitives": primitives, "weights": lowest.tolist(), "extras": {"targetNames": list(shapes.names), "emoface": about}}
    nodes: list[dict] = [{"name": "head", "mesh": 0}]
    samplers, channels, top = [sampler], [{"sampler": 0, "target": {"node": 0, "path": "weights"}}], 0
    neck = find_neck(animation)
    if neck is not None:
        pivot = np.array(neck.pivot)
        nodes = [{**nodes[0], "translation": (-pivot).tolist()}, {"name": "neck", "translation": pivot.tolist(), "children": [0]}]
        samplers.append({"input": sampler["input"], "interpolation": "LINEAR", "output": buffer.accessor(quaternions(animation.head_angles))})
        channels.append({"sampler": 1, "target": {"node": 1, "path": "rotation"}})
        top = 1
    return {
        "asset": {"version": "2.0", "generator": "EmoFace"},
        "scene": 0,
        "scenes": [{"nodes": [top]}],
        "nodes": nodes,
        "meshes": [shown],
        "materials": surfaces,
        "animations": [{"name": "speech", "samplers": samplers, "channels": channels}],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }


def pack_glb(document: dict, data: bytes | bytearray) -> bytes:
    """The content of a GLB file: the glTF document and the data of its one buffer."""
    data = bytes(data) + b"\0" * (-len(data) % 4)
    document["buffers"][0]["byteLength"] = len(data)
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return (
        struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(data))
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(data), b"BIN\0")
        + data
    )


_MAX_DOCUMENT_BYTES = 16_000_000
_MAX_PRIMITIVES, _MAX_NAMES, _MAX_NAME = 64, 1000, 100


def load_glb(path: str | os.PathLike) -> Animation:
    """The animation in a GLB that ``save_glb`` wrote (without sound and emotion maps). EmoFaceError for any other."""
    name = Path(path).name
    with one_sentence(name, "a GLB written by EmoFace"):
        return _animation(*unpack_glb(read_bytes(path)), name)


def _animation(document: dict, data: bytes, name: str) -> Animation:
    """What the document describes. Whatever is missing or of another kind in it is raised as it is."""
    mesh = document["meshes"][0]
    about, primitives = mesh["extras"]["emoface"], mesh["primitives"]
    names, regions = tuple(mesh["extras"]["targetNames"]), about["regions"]
    if len(primitives) > _MAX_PRIMITIVES or not all(
        len(texts) <= _MAX_NAMES and all(len(text) <= _MAX_NAME for text in texts) for texts in (names, regions)
    ):
        raise ValueError("more than any face has")
    read = lambda number, count=None: _read(document, data, number, count)
    points, indices = (
        [read(number) for number in numbers] for numbers in zip(*((each["attributes"]["POSITION"], each["indices"]) for each in primitives))
    )
    if sum(array.nbytes for array in [*points, *indices]) > len(data):
        raise ValueError("primitives that share their vertices")
    owned = [read(primitive["attributes"]["_VERTEX"], len(mine)).astype(np.int64) for primitive, mine in zip(primitives, points)]
    count = sum(map(len, points))
    if sorted(np.concatenate(owned)) != list(range(count)):
        raise ValueError("vertices without a primitive")
    sampler = document["animations"][0]["samplers"][0]
    weights = read(sampler["output"]).reshape(len(read(sampler["input"])), len(names))
    check_bytes(12 * count * (len(names) + len(weights)), name)
    template, deltas = np.zeros((count, 3), np.float32), np.zeros((len(names), count, 3), np.float32)
    region_names = np.array(regions, np.str_)
    region_of, faces = np.zeros(count, int), []
    colors = np.zeros((count, 3), np.uint8) if "COLOR_0" in primitives[0]["attributes"] else None
    for primitive, mine, positions, corners in zip(primitives, owned, points, indices):
        template[mine] = positions
        faces.append(mine[corners].reshape(-1, 3))
        for delta, target in zip(deltas, primitive["targets"], strict=True):
            delta[mine] = read(target["POSITION"], len(mine))
        region_of[mine] = read(primitive["attributes"]["_REGION"], len(mine))
        if colors is not None:
            colors[mine] = np.round(255 * to_srgb(read(primitive["attributes"]["COLOR_0"], len(mine))[:, :3] / 65535))
    faces = _in_order(template, np.concatenate(faces).astype(np.int32))
    vertices = rebuild(template, Basis(names, deltas, weights, 0, 0))
    arkit = len(names) == 52 and "jawOpen" in names
    turned = [read(sampler["output"], len(weights)) for sampler in document["animations"][0]["samplers"][1:2]]
    animation = animation_from_vertices(
        vertices,
        template,
        faces,
        fps=about["fps"],
        skin_count=about["skin_count"],
        regions=region_names[region_of],
        colors=colors,
        blendshapes=weights if arkit else None,
        blendshape_names=names if arkit else (),
        settings=about["settings"],
    )
    return replace(animation, head_angles=angles_of(turned[0])) if turned else animation


def _in_order(template: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces; those of an embedded head in its own order, so that it is known as that head again."""
    head = find_head(template)
    if head is None or not np.array_equal(np.sort(head.faces.astype(np.int32), 0), np.sort(faces, 0)):
        return faces
    return head.faces


def unpack_glb(content: bytes, *, most: int = _MAX_DOCUMENT_BYTES) -> tuple[Any, bytes]:
    """The document, of ``most`` bytes, and the binary chunk of a .glb. Raises ValueError for other files."""
    magic, version, length = struct.unpack_from("<4sII", content)
    if magic != b"glTF" or version != 2 or length != len(content):
        raise ValueError("not a binary glTF 2.0")
    size, _ = struct.unpack_from("<I4s", content, 12)
    if size > most:
        raise ValueError("a document that is no face's")
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def _read(document: dict, data: bytes, number: int, count: int | None = None) -> np.ndarray:
    """Values of an accessor. One without a view costs no bytes of the file, so it may have at most ``count`` of them, the number of the points."""
    accessor = document["accessors"][number]
    if not isinstance(accessor["count"], int) or (
        accessor["count"] != count if "bufferView" not in accessor or count is not None else accessor["count"] < 0
    ):
        raise ValueError("a count that its points do not have")
    kind = {code: name for name, code in _COMPONENT.items()}
    width = {name: size for size, name in _TYPES.items()}[accessor["type"]]

    def values(view: int, component: int, count: int) -> np.ndarray:
        return np.frombuffer(data, kind[component], count, document["bufferViews"][view]["byteOffset"])

    shape = (accessor["count"],) if width == 1 else (accessor["count"], width)
    if "bufferView" in accessor:
        array = values(accessor["bufferView"], accessor["componentType"], accessor["count"] * width).reshape(shape)
    else:
        array = np.zeros(shape, kind[accessor["componentType"]])
    if "sparse" in accessor:
        sparse = accessor["sparse"]
        entries = values(sparse["indices"]["bufferView"], sparse["indices"]["componentType"], sparse["count"])
        array[entries] = values(sparse["values"]["bufferView"], accessor["componentType"], sparse["count"] * width).reshape(-1, *shape[1:])
    return array
