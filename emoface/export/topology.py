"""What is known about a mesh from its shape alone: whose head it is, its ARKit weights, its parts."""

from __future__ import annotations

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..head import HEAD_COUNT, Head, fit_blendshapes, load_head
from ..look import Look, load_look

DETAILS = ("fine", "coarse")
"""What is drawn or written of an embedded head: its look (``emoface.look``), or the network's own vertices."""

PARTS = {"eye_": "eyes", "teeth_": "teeth", "tongue": "tongue", "brow_hair": "hair", "lashes": "hair", "neck": "skin"}
"""Beginning of a region's name -> part; every skin vertex, eye sockets included, is ``skin``."""


def find_head(template: np.ndarray, faces: np.ndarray | None = None) -> Head | None:
    """The embedded head whose template (V, 3), metres, this is to within a tenth of a millimetre; else None."""
    first = load_head(0)
    if template.shape != first.template.shape or (faces is not None and not np.array_equal(faces, first.faces)):
        return None
    return next((head for head in map(load_head, range(HEAD_COUNT))
                 if np.abs(head.template - template).max() < 1e-4), None)


def find_look(animation: Animation, detail: str = "fine") -> Look | None:
    """The look of the embedded head that this animation moves; None for other meshes and for the detail "coarse"."""
    if detail not in DETAILS:
        raise EmoFaceError(f"There is no detail {detail!r}; choose {' or '.join(DETAILS)}.")
    head = find_head(animation.template, animation.faces) if detail == "fine" else None
    return None if head is None else load_look(head.index)


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
        raise EmoFaceError("This mesh has no ARKit shapes, so there are no curves to write; "
                           "save it as .glb, .npz, .npy, .zip or a video instead.")
    return fit_blendshapes(animation.vertices[:, :head.skin_count] - head.skin_template, head=head)


def part_names(animation: Animation) -> np.ndarray:
    """(V,) ``skin``, ``eyes``, ``teeth``, ``tongue``, ``hair`` or ``other``."""
    count = len(animation.template)
    parts = np.full(count, "skin", dtype="<U6")
    for vertex in range(animation.skin_count, count):
        name = str(animation.regions[vertex])
        parts[vertex] = next((part for start, part in PARTS.items() if name.startswith(start)), "other")
    return parts
