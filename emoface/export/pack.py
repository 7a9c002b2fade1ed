"""Animations as one small binary file for the browser.

Layout, little endian, then gzip as a whole::

    "EFP1" | uint32 n | n bytes of JSON header, padded with spaces so that 8 + n is a multiple of 4
    triangles   3 * triangles   uint16 (uint32 when there are more than 65,535 vertices)
    colours     3 * vertices    uint8, sRGB
    for each track
        positions   frames * 3 * vertices int16 in units of ``step`` metres around ``centre``, planar (x, y, z per frame),
                    as differences to the frame before; all low bytes first, then all high bytes
        for each of its layers
            heat    frames * skin uint8 differences to the frame before, modulo 256; 0 = not shown (grey),
                    1..255 = ``low``..``high`` of the layer

Every section starts at a multiple of four bytes. A step of 0.02 mm is far below what can be seen, keeps differences
small, and lets still vertices compress to nothing.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import EmoFaceError
from ..files import atomic_path
from ..head_motion import Neck, rotations
from ..look import load_look

MAGIC = b"EFP1"
STEP = 2e-5
GREY = (188, 188, 192)
"""Colour of vertices without a natural colour."""


@dataclass(frozen=True)
class Layer:
    """One quantity that can be painted on the head. ``low`` and ``high`` are the ends of its colour bar."""

    id: str
    label: str
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Track:
    """One moving head: ``vertices`` (T, V, 3) metres and, per layer id, ``heat`` (T, S) with NaN where it is not shown."""

    vertices: np.ndarray
    heat: Mapping[str, np.ndarray] = field(default_factory=dict)
    head_angles: np.ndarray | None = None
    """(T, 3) of :mod:`emoface.head_motion`; the browser turns the head."""


@dataclass(frozen=True)
class Panel:
    """One picture on the page: a track, its caption, the layer painted on it (None: the visitor chooses) and which of the
    player's sounds it speaks."""

    track: int
    caption: str = ""
    layer: str | None = None
    sound: int = 0


@dataclass(frozen=True)
class View:
    """Panels shown together, side by side (four: two by two)."""

    label: str
    panels: Sequence[Panel]


def pack(
    tracks: Sequence[Track],
    views: Sequence[View],
    *,
    faces: np.ndarray,
    fps: float,
    layers: Sequence[Layer] = (),
    colors: np.ndarray | None = None,
    template: np.ndarray | None = None,
    look: int | None = None,
    neck: Neck | None = None,
    level: int = 4,
) -> bytes:
    """Heads of one topology and one clock -> gzip bytes in the layout above.

    tracks of unequal length are cut to the shortest. colors: (V, 3) uint8. template (V, 3) sets the framing, so that it
    does not depend on the clip; the first frame serves where it is missing. look is the embedded head whose finer look is
    shown instead of the vertices themselves; the browser makes it, so the file stays as small. neck is where the head of tracks with angles turns. Raises EmoFaceError for empty input,
    tracks of different topology, views that name a missing track or layer, and positions that are not finite.
    """
    if not tracks or min(len(track.vertices) for track in tracks) == 0:
        raise EmoFaceError("There is no animation to show; animate some speech first.")
    count = tracks[0].vertices.shape[1]
    if any(track.vertices.shape[1] != count for track in tracks):
        raise EmoFaceError("Heads of different topologies cannot be shown together; animate them with the same head.")
    known = {layer.id: layer for layer in layers}
    _check_views(views, tracks, known)
    frames = min(len(track.vertices) for track in tracks)
    faces = np.asarray(faces)
    frame_of_reference = np.asarray(tracks[0].vertices[0] if template is None else template, np.float64)
    low, high = frame_of_reference.min(axis=0), frame_of_reference.max(axis=0)
    centre, radius = (low + high) / 2, float((high - low).max()) / 2
    reach = max(float(np.abs(track.vertices[:frames] - centre).max()) for track in tracks)
    if not np.isfinite(reach):
        raise EmoFaceError("The animation contains positions that are not numbers and cannot be shown; please report the recording that led to it.")
    step = max(STEP, reach / 32000)
    wide = count > 65535
    header = {
        "vertices": count,
        "triangles": len(faces),
        "frames": frames,
        "fps": float(fps),
        "step": step,
        "centre": centre.tolist(),
        "radius": radius,
        "index_bytes": 4 if wide else 2,
        "topology": zlib.crc32(np.ascontiguousarray(faces, "<u4").tobytes()),
        "layers": [vars(layer) for layer in layers],
        "tracks": [
            {"layers": {name: int(values.shape[1]) for name, values in track.heat.items()}, "turns": _turns(track, frames)} for track in tracks
        ],
        "neck": None if neck is None else vars(neck),
        "look": None if look is None else _look(look),
        "views": [{"label": view.label, "panels": [vars(panel) for panel in view.panels]} for view in views],
    }
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 4)
    sections = [
        MAGIC + struct.pack("<I", len(text)) + text,
        faces.astype("<u4" if wide else "<u2").tobytes(),
        (np.full((count, 3), GREY) if colors is None else np.asarray(colors)).astype(np.uint8).tobytes(),
    ]
    for track in tracks:
        sections.append(_positions(track.vertices[:frames], centre, step))
        sections += [_heat(values[:frames], known[name]) for name, values in track.heat.items()]
    return gzip.compress(b"".join(part + bytes(-len(part) % 4) for part in sections), level, mtime=0)


def write_pack(path: str | os.PathLike, *args, **kwargs) -> Path:
    """``pack`` to a file, all of it or nothing."""
    path = Path(path)
    data = pack(*args, **kwargs)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return path


def _turns(track: Track, frames: int) -> list[list[float]] | None:
    """The nine numbers of each frame's rotation, row by row; five places, of doubles, because those of floats become seventeen in JSON."""
    return None if track.head_angles is None else rotations(track.head_angles[:frames].astype(float)).reshape(-1, 9).round(5).tolist()


def _look(index: int) -> dict:
    look = load_look(index)
    return {"head": index, "hair": look.hair, "inverse": look.inverse.astype(float).tolist()}


def _check_views(views: Sequence[View], tracks: Sequence[Track], known: Mapping[str, Layer]) -> None:
    names = {name for track in tracks for name in track.heat}
    for panel in (panel for view in views for panel in view.panels):
        if not 0 <= panel.track < len(tracks):
            raise EmoFaceError(f"A view asks for head {panel.track + 1}, but there are {len(tracks)}.")
        if panel.layer is not None and panel.layer not in tracks[panel.track].heat:
            names = names | {panel.layer}
    if names - set(known):
        raise EmoFaceError(f"No colour layer is called {sorted(names - set(known))[0]}.")


def _positions(vertices: np.ndarray, centre: np.ndarray, step: float) -> bytes:
    steps = np.rint((np.asarray(vertices, np.float32) - centre.astype(np.float32)) / np.float32(step)).astype(np.int16)
    planar = steps.transpose(0, 2, 1)
    differences = np.concatenate([planar[:1], np.diff(planar, axis=0)]).astype("<i2")  # wraps, and unwraps when summed
    split = np.ascontiguousarray(differences).reshape(-1).view(np.uint8).reshape(-1, 2)
    return split[:, 0].tobytes() + split[:, 1].tobytes()


def _heat(values: np.ndarray, layer: Layer) -> bytes:
    values = np.asarray(values, np.float32)
    share = (values - layer.low) / max(layer.high - layer.low, 1e-12)
    shown = np.isfinite(values)
    codes = np.where(shown, 1 + np.rint(254 * np.clip(np.where(shown, share, 0), 0, 1)), 0).astype(np.uint8)
    return np.concatenate([codes[:1], np.diff(codes, axis=0)]).tobytes()
