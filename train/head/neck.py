"""Closes the cut of the neck with a floor, so that the head is a bust and not a shell."""

from __future__ import annotations

import numpy as np

from .hair import Riding
from .parts import Part, frame_coordinates


def closure(skin: np.ndarray, faces: np.ndarray, loop: np.ndarray) -> Riding:
    """A fan over the open edge (its vertices are doubled: the edge is to look sharp), slightly drawn in."""
    edge = skin[loop]
    middle = edge.mean(axis=0)
    vertices = np.concatenate([edge, [middle]])
    here = np.arange(len(loop))
    fan = np.stack([here, (here + 1) % len(loop), np.full(len(loop), len(loop))], axis=1)
    normal = np.cross(vertices[fan[:, 1]] - vertices[fan[:, 0]], vertices[fan[:, 2]] - vertices[fan[:, 0]]).mean(0)
    if normal[1] > 0:  # the floor looks down
        fan = fan[:, ::-1]
    on = np.array([int(np.flatnonzero((faces == vertex).any(axis=1))[0]) for vertex in loop])
    triangles = faces[np.r_[on, on[0]]]
    return Riding(Part("neck_base", vertices, fan), triangles, frame_coordinates(skin, triangles, vertices))
