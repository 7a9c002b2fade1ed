"""What is shown of an embedded head: a finer skin, round eyes, brows, lashes, hair and shoulders.

The network and every metric use the head's own vertices (``Head.template``). What films, exports and the player *show*
is a finer mesh that is linear in them, so nothing has to be animated twice::

    shown = matrix @ vertices + frame(vertices) @ offset

``matrix`` is sparse; ``frame`` is the 3x3 motion of four vertices of the skull, which carries what has no skin under
it (hair, shoulders). Built from ``head.npz`` by ``python -m train.head.look``; the player reads the same files.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, vstack

from .creases import SHADE_STEP, TILT_STEP, Creases
from .errors import EmoFaceError
from .head import HEAD_COUNT, load_head
from .lids import Lids
from .resources import ASSETS

FOLDER = ASSETS / "head" / "look"
MAGIC = b"EFL1"
OFFSET_STEP = 1e-5
"""Metres per unit of the stored offsets."""
BUILD = "build it with `python -m train.head.look`"


@dataclass(frozen=True, eq=False)
class Look:
    """The shown mesh of one head, D vertices; the refined skin comes first."""

    faces: np.ndarray
    """(F, 3) int32, counter-clockwise from outside."""
    colors: np.ndarray
    """(D, 3) uint8 sRGB; ambient occlusion is in them."""
    regions: np.ndarray
    """(D,) region of every vertex: those of the head, and ``hair``, ``bust``, ``shirt``, ``tears``."""
    gloss: np.ndarray
    """(D,) float32 in [0, 1], see ``export.materials``."""
    skin_count: int
    matrix: csr_matrix = field(repr=False)
    """(D, V) float32."""
    offset: np.ndarray = field(repr=False)
    """(D, 3) float32 metres, in the frame of the skull at rest."""
    anchors: np.ndarray = field(repr=False)
    """(4,) vertices of the skull."""
    inverse: np.ndarray = field(repr=False)
    """(3, 3) inverse of the edges between the anchors at rest."""
    creases: Creases = field(repr=False)
    """Lines that come with an expression."""
    lids: Lids = field(repr=False)
    hair: str = "bald"

    def vertices(self, vertices: np.ndarray) -> np.ndarray:
        """Shown vertices (..., D, 3) float32 of the head's own (..., V, 3)."""
        vertices = np.asarray(vertices, np.float32)
        if vertices.shape[-2:] != (self.matrix.shape[1], 3):
            raise EmoFaceError(f"Vertices have shape {vertices.shape}; this look needs (..., {self.matrix.shape[1]}, 3).")
        flat = vertices.reshape(-1, *vertices.shape[-2:])
        out = np.empty((len(flat), self.matrix.shape[0], 3), np.float32)
        for frame, shown in zip(flat, out):
            shown[:] = self.matrix @ frame + self.offset @ self._frame(frame).T
        return out.reshape(*vertices.shape[:-2], -1, 3)

    def deltas(self, deltas: np.ndarray) -> np.ndarray:
        """Shown deltas (..., D, 3) of deltas (..., V, 3) of the head's vertices: the same, because it is linear."""
        return self.vertices(deltas)

    def settled(self, vertices: np.ndarray) -> np.ndarray:
        """The head's own vertices (V, 3) as they are shown: lids that would overlap or sink into the eye meet and lie on it."""
        return self.lids.settled(vertices, self._frame(vertices))

    def folded(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D,) share of the light that folds take and (D, 3) what they add to the shown normals, for the head's own vertices (V, 3)."""
        return self.creases.folded(vertices, self.matrix.shape[0], self._frame(vertices))

    def paint(self, colors: np.ndarray) -> np.ndarray:
        """Skin painted with colours (S or V, 3) uint8 of the head's own vertices; everything else keeps its own."""
        skin = self.matrix[: self.skin_count, : len(colors)]
        out = self.colors.copy()
        out[: self.skin_count] = np.round(skin @ np.asarray(colors, np.float32))
        return out

    def _frame(self, vertices: np.ndarray) -> np.ndarray:
        """(3, 3) motion of the skull since rest."""
        corners = vertices[self.anchors]
        return (corners[1:] - corners[0]).T @ self.inverse


def read_arrays(path: Path) -> dict[str, np.ndarray | dict]:
    """Arrays of a look file, and its header's ``about`` as a dict."""
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise EmoFaceError(f"The look file {path.name} is missing; {BUILD}.") from None
    except (OSError, EOFError, zlib.error):
        raise EmoFaceError(f"The look file {path.name} is damaged; {BUILD}.") from None
    if data[:4] != MAGIC:
        raise EmoFaceError(f"The look file {path.name} is damaged; {BUILD}.")
    length = struct.unpack_from("<I", data, 4)[0]
    header, at, out = json.loads(data[8 : 8 + length]), 8 + length, {}
    for name, kind, shape in header["arrays"]:
        array = np.frombuffer(data, np.dtype(kind).newbyteorder("<"), int(np.prod(shape)), at).reshape(shape)
        out[name], at = array, at + -(-array.nbytes // 4) * 4
    return {**out, "about": header["about"]}


def write_arrays(path: Path, arrays: dict[str, np.ndarray], about: dict) -> None:
    """One gzip file: "EFL1", uint32 length of the JSON header, the header, the arrays, each padded to four bytes."""
    names = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    text = json.dumps({"arrays": names, "about": about}).encode()
    text += b" " * (-(8 + len(text)) % 4)
    parts = [MAGIC + struct.pack("<I", len(text)) + text]
    for array in arrays.values():
        raw = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
        parts.append(raw + bytes(-len(raw) % 4))
    path.write_bytes(gzip.compress(b"".join(parts), 9, mtime=0))


def _matrix(piece: dict, columns: int) -> csr_matrix:
    indptr = np.r_[0, np.cumsum(piece["counts"].astype(np.int64))]
    return csr_matrix((piece["weights"], piece["indices"].astype(np.int32), indptr), shape=(len(piece["counts"]), columns))


def _creases(base: dict, own: dict) -> Creases:
    about = base["about"]["creases"]
    return Creases(
        names=tuple(about["names"]),
        vertices=base["crease_vertices"],
        groups=base["crease_groups"],
        shade=base["crease_shade"] * SHADE_STEP,
        tilt=base["crease_tilt"] * TILT_STEP,
        pairs=base["crease_pairs"],
        pair_groups=base["crease_pair_groups"],
        pair_weights=base["crease_pair_weights"],
        rest=own["crease_rest"],
        low=np.array(about["low"]),
        high=np.array(about["high"]),
        floor=own["crease_floor"],
        strength=own["crease_strength"],
    )


def _lids(base: dict, own: dict) -> Lids:
    index = lambda name: base[name].astype(np.int64)
    return Lids(
        pairs=index("lid_pairs").reshape(2, -1, 2),
        vertices=index("lid_vertices"),
        station=index("lid_station"),
        share=base["lid_share"],
        give=base["lid_give"],
        most=own["lid_most"],
        ends=index("eye_ends"),
        resting=index("ball_vertices"),
        side=index("ball_side"),
        least=own["ball_least"],
    )


@cache
def _piece(name: str) -> dict:
    return read_arrays(FOLDER / f"{name}.efl")


@lru_cache(maxsize=HEAD_COUNT)
def load_look(index: int = 0) -> Look:
    """The look of embedded head ``index``; cached, read-only. EmoFaceError if it was built for another topology."""
    head, own, base = load_head(index), _piece(f"head_{index:02d}"), _piece("base")
    hair = _piece(f"hair_{own['about']['hair']}")
    if base["about"]["topology"] != topology(head.faces):
        raise EmoFaceError(f"The files of the look belong to another head.npz; {BUILD}.")
    shown = np.unpackbits(own["shown"], count=len(base["faces"])).astype(bool)
    start = len(base["counts"])
    names = np.array(base["about"]["regions"])
    anchors = np.array(base["about"]["anchors"])
    corners = head.template[anchors]
    look = Look(
        faces=np.concatenate([base["faces"][shown], hair["faces"].astype(np.int32) + start]).astype(np.int32),
        colors=own["colors"],
        regions=np.concatenate([names[base["regions"]], np.full(len(hair["counts"]), "hair")]),
        gloss=np.concatenate([base["gloss"], hair["gloss"]]).astype(np.float32) / 255,
        skin_count=int(base["about"]["skin_count"]),
        matrix=vstack([_matrix(base, len(head.template)), _matrix(hair, len(head.template))]).tocsr().astype(np.float32),
        offset=own["offset"].astype(np.float32) * np.float32(OFFSET_STEP),
        anchors=anchors,
        hair=str(own["about"]["hair"]),
        creases=_creases(base, own),
        lids=_lids(base, own),
        inverse=np.linalg.inv((corners[1:] - corners[0]).T).astype(np.float32),
    )
    for value in vars(look).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return look


def topology(faces: np.ndarray) -> int:
    """Checksum of triangles, as in the header of the player's files."""
    return zlib.crc32(np.ascontiguousarray(faces, "<u4").tobytes())
