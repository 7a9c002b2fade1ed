"""Motion made elsewhere as an ``Animation``, so that it can be shown, compared and exported like our own."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from ..animation import EMOTIONS, Animation
from ..errors import EmoFaceError
from ..reading import MAX_TEXT_BYTES, one_sentence, read_bytes
from .checks import check_rate
from .topology import find_head
from .units import in_metres

_MAX_LINES = 2_000_000
"""Of a mesh as text: its parser makes an array of each line."""


def animation_from_vertices(
    vertices,
    template,
    faces,
    *,
    fps: float = 30.0,
    skin_count: int | None = None,
    regions=None,
    colors=None,
    blendshapes=None,
    blendshape_names: tuple[str, ...] = (),
    settings: dict | None = None,
) -> Animation:
    """Vertices (T, V, 3) or (T, V*3) over a template (V, 3) and faces (F, 3) as an Animation.

    Lengths in other units are brought to metres, each by the size of a head, with a note in ``settings["notes"]``. Regions, colours and ARKit weights are filled in if the template is one of the embedded heads. There are no emotion
    maps: these arrays are (T, 0), and all emotions are equally probable. Raises EmoFaceError if shapes do not fit.
    """
    template, faces = np.asarray(template, np.float32), np.ascontiguousarray(faces, np.int32)
    vertices = np.asarray(vertices, np.float32)
    if vertices.ndim == 2 and vertices.shape[1] == 3 * len(template):
        vertices = vertices.reshape(len(vertices), -1, 3)
    if vertices.ndim != 3 or vertices.shape[1:] != template.shape:
        raise EmoFaceError(
            f"The motion has shape {np.shape(vertices)}, but the template has {len(template)} vertices; give the template the motion was made with."
        )
    if not len(vertices) or not np.isfinite(vertices).all():
        raise EmoFaceError("The motion is empty or has positions that are not finite numbers.")
    check_rate(fps, "of an animation")
    vertices, template, notes = in_metres(vertices, template)
    settings = dict(settings or {})
    if notes:
        settings["notes"] = [*settings.get("notes", []), *notes]
    frames, head = len(vertices), find_head(template, faces)
    if head is not None:
        skin_count = skin_count or head.skin_count
        regions = head.regions if regions is None else regions
        colors = head.colors if colors is None else colors
        if blendshapes is None:
            from ..head import fit_blendshapes

            blendshapes = fit_blendshapes(vertices[:, : head.skin_count] - head.skin_template, head=head)
            blendshape_names = head.blendshape_names
    blendshapes = np.zeros((frames, 0), np.float32) if blendshapes is None else blendshapes
    chance = np.full((frames, len(EMOTIONS)), 1 / len(EMOTIONS), np.float32)
    return Animation(
        vertices=vertices,
        template=template,
        faces=faces,
        fps=float(fps),
        skin_count=len(template) if skin_count is None else int(skin_count),
        regions=np.full(len(template), "skin") if regions is None else regions,
        blendshapes=np.asarray(blendshapes, np.float32),
        blendshape_names=tuple(blendshape_names),
        emotion_importance=np.zeros((frames, 0), np.float32),
        emotion_effect_mm=np.zeros((frames, 0), np.float32),
        emotion_probabilities=chance[0],
        emotion_track=chance,
        colors=colors,
        settings=settings,
    )


def load_template(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) vertices and (F, 3) triangles of an OBJ or PLY, in the file's order. Raises EmoFaceError."""
    path = Path(path)
    if not path.is_file():
        raise EmoFaceError(f"There is no template {path}; give an OBJ or PLY file.")
    if path.suffix.lower() not in (".obj", ".ply"):
        raise EmoFaceError(f"A template is an OBJ or PLY file, not {path.name}.")
    with one_sentence(path.name, "a mesh"):
        return read_mesh(read_bytes(path, MAX_TEXT_BYTES), path.suffix.lower()[1:], path.name)


def read_mesh(content: bytes, kind: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) float32 vertices and (F, 3) int32 triangles of an OBJ or PLY. Whatever trimesh's parsers meet is raised as it is.

    Only the content is read: materials and textures that it names are other files, which a stranger could point anywhere.
    """
    import trimesh

    if content.count(b"\n") > _MAX_LINES:
        raise ValueError("too many lines")
    mesh = trimesh.load(io.BytesIO(content), file_type=kind, process=False, maintain_order=True, force="mesh", skip_materials=True)
    faces = np.asarray(getattr(mesh, "faces", np.zeros((0, 3))))
    if not len(faces):
        raise EmoFaceError(f"{name} has no triangles; give a template with faces.")
    if faces.min() < 0 or faces.max() >= len(mesh.vertices):
        raise ValueError("triangles of vertices that are not there")
    return np.asarray(mesh.vertices, np.float32), faces.astype(np.int32)
