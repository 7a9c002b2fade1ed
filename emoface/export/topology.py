"""What is known about a mesh from its shape alone: whose head it is, its ARKit weights, its parts."""

from __future__ import annotations

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..head import HEAD_COUNT, Head, fit_blendshapes, load_head
from ..head_motion import Neck
from ..look import Look, load_look

DETAILS = ("fine", "coarse")
"""What is drawn or written of an embedded head: its look (``emoface.look``), or the network's own vertices."""

PARTS = {
    "eye_": "eyes",
    "teeth_": "teeth",
    "tongue": "tongue",
    "brow_hair": "hair",
    "lashes": "hair",
    "hair": "hair",
    "neck": "skin",
    "bust": "skin",
    "shirt": "shirt",
    "tears": "eyes",
}
"""Beginning of a region's name -> part; every skin vertex, eye sockets included, is ``skin``."""


def find_head(template: np.ndarray, faces: np.ndarray | None = None) -> Head | None:
    """The embedded head whose template (V, 3), metres, this is to within a tenth of a millimetre; else None."""
    first = load_head(0)
    if template.shape != first.template.shape or (faces is not None and not np.array_equal(faces, first.faces)):
        return None
    return next((head for head in map(load_head, range(HEAD_COUNT)) if np.abs(head.template - template).max() < 1e-4), None)


def find_look(animation: Animation, detail: str = "fine") -> Look | None:
    """The look of the embedded head that this animation moves; None for other meshes and for the detail "coarse"."""
    if detail not in DETAILS:
        raise EmoFaceError(f"There is no detail {detail!r}; choose {' or '.join(DETAILS)}.")
    head = find_head(animation.template, animation.faces) if detail == "fine" else None
    return None if head is None else load_look(head.index)


def find_neck(animation: Animation) -> Neck | None:
    """Where the head turns; None for heads that are not turned, or are not embedded."""
    head = None if animation.head_angles is None else find_head(animation.template, animation.faces)
    return None if head is None else Neck.of(head)


def look_of(animation: Animation) -> int | None:
    """The embedded head that this is, whose look the player shows; None for any other mesh."""
    head = find_head(animation.template, animation.faces)
    return None if head is None else head.index


def arkit_weights(animation: Animation) -> np.ndarray:
    """(T, 52) ARKit weights in [0, 1]: the animation's own, or fitted to the skin of an embedded head.

    Raises EmoFaceError for topologies that have no ARKit shapes.
    """
    if animation.blendshapes.shape == (animation.frame_count, 52):
        return np.clip(np.asarray(animation.blendshapes, np.float32), 0, 1)
    head = find_head(animation.template, animation.faces)
    if head is None:
        raise EmoFaceError("This mesh has no ARKit shapes, so there are no curves to write; save it as .glb, .npz, .npy, .zip or a video instead.")
    return fit_blendshapes(animation.vertices[:, : head.skin_count] - head.skin_template, head=head)


def part_names(regions: np.ndarray, skin_count: int) -> np.ndarray:
    """(V,) ``skin``, ``eyes``, ``teeth``, ``tongue``, ``hair``, ``shirt`` or ``other`` of each vertex' region."""
    names, index = np.unique(regions, return_inverse=True)
    part = np.array([next((part for start, part in PARTS.items() if str(name).startswith(start)), "other") for name in names], "<U6")[index]
    part[:skin_count] = "skin"
    return part


def texture_coordinates(template: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(V, 2) float32 in [0, 1] without seams, so that no vertex has to be doubled.

    The skin is unrolled from the crown, so the open neck is the rim and the face one sector (mouth bag and eye sockets
    lie under it); every other part is seen from the front.
    """
    out = np.zeros((len(template), 2), np.float32)
    for part in np.unique(parts):
        points = template[parts == part].astype(np.float64)
        low, high = points.min(0), points.max(0)
        if part == "skin":
            away = points - (low + high) / 2
            polar = np.arccos(np.clip(away[:, 1] / np.maximum(np.linalg.norm(away, axis=1), 1e-9), -1, 1)) / (2 * np.pi)
            flat = away[:, [0, 2]] / np.maximum(np.linalg.norm(away[:, [0, 2]], axis=1, keepdims=True), 1e-9)
            out[parts == part] = 0.5 + polar[:, None] * flat
        else:
            seen = (points - low)[:, :2] / np.maximum(high - low, 1e-9)[:2]
            out[parts == part] = np.column_stack([seen[:, 0], 1 - seen[:, 1]])
    return np.clip(out, 0, 1)
