"""The moving vertices themselves: npz (everything), npy (as FaceFormer's tools read), a zip of OBJ or PLY frames."""

from __future__ import annotations

import json
import os
import stat
import time
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import Cancelled, EmoFaceError
from ..files import atomic_path
from ..reading import MAX_TEXT_BYTES, check_bytes, checked_members, one_sentence, read_npy, read_npz

_TEXT = {"settings"}
_NAMES = {"blendshape_names", "emotion_names"}
_SOUND = {"audio", "sample_rate"}
FORMAT_VERSION = 1
"""Of our npz. Files without one are from before it was written, and are read as 1. Raise it when an old reader would misread a new file."""


def save_npz(animation: Animation, path: str | os.PathLike, *, audio: bool = False) -> Path:
    """Writes every field of the animation under its own name; the sound only if ``audio`` is true. No pickles."""
    arrays = {"format_version": np.asarray(FORMAT_VERSION)}
    for field in fields(Animation):
        value = getattr(animation, field.name)
        if value is None or (field.name in _SOUND and not audio):
            continue
        if field.name in _TEXT:
            value = json.dumps(value)
        elif field.name in _NAMES:
            value = np.array(value, dtype=np.str_) if value else np.zeros(0, "<U1")
        arrays[field.name] = np.asarray(value)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # motion hardly compresses: a quarter smaller for most of the pipeline's own time
    return Path(path)


def load_npz(path: str | os.PathLike) -> Animation:
    """The animation of an npz written by ``save_npz``. EmoFaceError for other files."""
    path = Path(path)
    values = read_npz(path)
    known = {field.name: field for field in fields(Animation)}
    needed = {"vertices", "template", "faces", "fps", "skin_count"}
    if missing := sorted(needed - set(values)):
        raise EmoFaceError(f"{path.name} is not an animation saved by EmoFace: it lacks {', '.join(missing)}.")
    version = values.get("format_version", np.asarray(1))
    if version.shape != () or version.dtype.kind not in "iu" or int(version) > FORMAT_VERSION:
        raise EmoFaceError(f"{path.name} has format version {version}, this EmoFace reads up to {FORMAT_VERSION}: update EmoFace.")
    values = {name: value for name, value in values.items() if name in known}
    with one_sentence(path.name, "an animation saved by EmoFace"):
        for name in _NAMES & set(values):
            values[name] = tuple(str(item) for item in values[name])
        for name in _TEXT & set(values):
            values[name] = json.loads(str(values[name]))
        for name, kind in (("fps", float), ("skin_count", int), ("sample_rate", int)):
            if name in values:
                values[name] = kind(values[name])
        return Animation(**values)


def save_npy(animation: Animation, path: str | os.PathLike) -> Path:
    """Writes (T, V*3) float32 metres, the array FaceFormer, CodeTalker and their renderers exchange."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.asarray(animation.vertices, np.float32).reshape(animation.frame_count, -1))
    return Path(path)


def load_npy(path: str | os.PathLike, template: str | os.PathLike | None, *, fps: float = 30.0) -> Animation:
    """(T, V*3) or (T, V, 3) vertices with an OBJ or PLY of their topology; without one, embedded head 0 is assumed.

    Raises EmoFaceError if that does not fit, or the file is no plain array.
    """
    from ..head import load_head
    from .importing import animation_from_vertices, load_template

    path = Path(path)
    vertices = read_npy(path)
    if not vertices.size or vertices.dtype.kind not in "iuf":
        raise EmoFaceError(f"{path.name} does not hold an array of vertices.")
    check_bytes(4 * vertices.size, path.name)
    if template is not None:
        points, faces = load_template(template)
        return animation_from_vertices(vertices, points, faces, fps=fps)
    head = load_head(0)
    if vertices.ndim not in (2, 3) or vertices[0].size != head.template.size:
        raise EmoFaceError(f"{path.name} holds only vertices; give the OBJ or PLY of its topology with --template.")
    return animation_from_vertices(vertices, head.template, head.faces, fps=fps)


def save_zip(
    animation: Animation,
    path: str | os.PathLike,
    *,
    mesh: str = "obj",
    detail: str = "coarse",
    progress: Callable[[str, float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Path:
    """Writes ``template.obj``, ``frames/000000.obj`` ... and ``clip.json`` (fps, frames). ``mesh``: "obj" or "ply".

    ``detail``: "coarse" writes the network's own vertices, "fine" the look of an embedded head (hair, finer skin).
    """
    import trimesh

    from .topology import find_look

    if mesh not in ("obj", "ply"):
        raise EmoFaceError(f"There is no frame format {mesh!r}; choose obj, ply or png.")

    look = find_look(animation, detail)
    faces, colors = (animation.faces, animation.colors) if look is None else (look.faces, look.colors)

    def content(vertices: np.ndarray) -> str | bytes:
        shown = vertices if look is None else look.vertices(look.settled(vertices))  # lids meet, as in films and in the player
        model = trimesh.Trimesh(shown, faces, process=False, vertex_colors=colors)
        options = {"digits": 7, "header": None} if mesh == "obj" else {}
        return model.export(file_type=mesh, **options)

    total = animation.frame_count
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as file:
        about = {
            "fps": animation.fps,
            "frames": total,
            "units": "metres",
            "axes": "y up, z forward, x to the head's left",
            "settings": animation.settings,
        }
        file.writestr(zip_entry("clip.json"), json.dumps(about))
        file.writestr(zip_entry(f"template.{mesh}"), content(animation.template))
        for frame, vertices in enumerate(animation.vertices):
            if cancel is not None and cancel():
                raise Cancelled("Stopped as asked; nothing was written.")
            file.writestr(zip_entry(f"frames/{frame:06d}.{mesh}"), content(vertices))
            if progress is not None:
                progress("Writing meshes", (frame + 1) / total)
    return Path(path)


def zip_entry(name: str) -> zipfile.ZipInfo:
    """An entry that everybody may read when it is unpacked (zipfile's own names make files private)."""
    entry = zipfile.ZipInfo(name, time.localtime()[:6])
    entry.external_attr, entry.compress_type = (stat.S_IFREG | 0o644) << 16, zipfile.ZIP_DEFLATED
    return entry


def load_zip(path: str | os.PathLike) -> Animation:
    """The animation in a zip that ``save_zip`` wrote (without sound and emotion maps). EmoFaceError for any other."""
    from .importing import animation_from_vertices, read_mesh

    path = Path(path)

    def content(file: zipfile.ZipFile, name: str) -> bytes:
        if file.getinfo(name).file_size > MAX_TEXT_BYTES:
            raise ValueError("a member is too large")
        return file.read(name)

    def vertices(file: zipfile.ZipFile, name: str) -> np.ndarray:
        if name.endswith(".obj"):  # only the lines of vertices: reading 14,000 triangles a frame takes ten times as long
            lines = [line.split()[1:4] for line in content(file, name).splitlines() if line.startswith(b"v ")]
            return np.array(lines, np.float64).astype(np.float32)
        return read_mesh(content(file, name), "ply", name)[0]

    with one_sentence(path.name, "a zip of meshes written by EmoFace"), zipfile.ZipFile(path) as file:
        checked_members(file, path)
        about = json.loads(content(file, "clip.json"))
        kind = "obj" if "template.obj" in file.namelist() else "ply"
        template, faces = vertices(file, f"template.{kind}"), read_mesh(content(file, f"template.{kind}"), kind, path.name)[1]
        frames = int(about["frames"])
        if not 0 < frames < len(file.namelist()):
            raise ValueError("fewer frames than it says")
        check_bytes(frames * template.nbytes, path.name)
        motion = np.empty((frames, *template.shape), np.float32)
        for frame, shown in enumerate(motion):
            shown[:] = vertices(file, f"frames/{frame:06d}.{kind}").reshape(template.shape)
        return animation_from_vertices(motion, template, faces, fps=about["fps"], settings=about.get("settings"))
