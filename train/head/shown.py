"""Building blocks of the look: pieces of the shown mesh, what they ride on, and the heads they are built for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from emoface.head import HEAD_COUNT, Head, load_head

from .refine import Refined, catmull_clark, quads_of
from .topology import QuadMesh

HIDDEN = ("mouth_cavity", "eye_socket_left", "eye_socket_right")
SIDES = ("left", "right")


@dataclass(frozen=True)
class Piece:
    """Part of the shown mesh on every head; ``rows`` (n, V) carry it along, ``places[h]`` is where it rests."""

    regions: np.ndarray
    """(n,) names."""
    rows: csr_matrix
    faces: np.ndarray
    """(F, 3) of this piece's vertices; a corner c below 0 is vertex ~c of the refined skin, which the piece is sewn to."""
    colors: list[np.ndarray]
    """Per head (n, 3) sRGB 0..255, before ambient occlusion."""
    places: list[np.ndarray] | dict[int, np.ndarray] | None = None
    """By head (n, 3) metres; None: exactly ``rows @ template``."""
    lit_by_skin: np.ndarray | None = None
    """(n,) share of the occlusion that is the skin's beside it, for what has the skin's colour; None: no vertex."""

    def faces_from(self, start: int) -> np.ndarray:
        """(F, 3) in a mesh that begins with the refined skin, where this piece begins at ``start``."""
        return np.where(self.faces < 0, ~self.faces, self.faces + start)

    def place(self, head: Head) -> np.ndarray:
        return np.asarray(self.rows @ head.template) if self.places is None else self.places[head.index]


@dataclass(frozen=True)
class Heads:
    """The 24 heads and the refined skin they share."""

    room: Callable[[np.ndarray], np.ndarray]
    """Where the skin is refined twice, see ``refine.catmull_clark``."""
    all: list[Head] = field(default_factory=lambda: [load_head(i) for i in range(HEAD_COUNT)])

    @property
    def average(self) -> Head:
        return self.all[0]

    @cached_property
    def names(self) -> np.ndarray:
        """(S,) regions of the skin."""
        return self.average.regions[: self.average.skin_count]

    @cached_property
    def quads(self) -> np.ndarray:
        faces = self.average.skin_faces
        return quads_of(faces)

    @cached_property
    def mesh(self) -> QuadMesh:
        return QuadMesh(self.quads)

    @cached_property
    def refined(self) -> Refined:
        hidden = np.isin(self.names, HIDDEN)
        fixed = {*self.average.lip_rings[0].tolist(), *(v for side in SIDES for v in self.lid_rings(side)[0])}
        return catmull_clark(self.average.skin_template, self.quads, refine=~hidden[self.quads].all(1), fixed=fixed, again=self.room)

    def skin(self, head: Head) -> np.ndarray:
        """(D, 3) refined skin of a head at rest, metres."""
        return np.asarray(self.refined.matrix @ head.skin_template)

    def lid_rings(self, side: str, count: int = 5) -> list[list[int]]:
        """Rings of skin vertices round one eye: the margin that meets the eyeball, then outwards."""
        socket = set(np.flatnonzero(self.names == f"eye_socket_{side}").tolist())
        margin = {v for s in socket for v in self.mesh.neighbors[s]} - socket
        start = min(margin)
        ring, seen = [start], {start}
        while True:
            following = [v for v in self.mesh.neighbors[ring[-1]] if v in margin and v not in seen]
            if not following:
                break
            ring.append(following[0])
            seen.add(following[0])
        rings, avoid = [ring], {*socket, *ring}
        for _ in range(count - 1):
            rings.append(self.mesh.next_ring(rings[-1], avoid))
            avoid |= set(rings[-1])
        return rings

    def lid_line(self, side: str, ring: int, upper: bool) -> np.ndarray:
        """Vertices of the upper or lower half of a ring, from the nose outwards, both corners included."""
        ids = np.array(self.lid_rings(side)[ring])
        x = np.abs(self.average.template[np.array(self.lid_rings(side)[0]), 0])
        inner, outer = int(x.argmin()), int(x.argmax())
        first = np.arange(inner, inner + (outer - inner) % len(ids) + 1) % len(ids)
        second = np.arange(outer, outer + (inner - outer) % len(ids) + 1)[::-1] % len(ids)
        halves = sorted((ids[first], ids[second]), key=lambda half: self.average.template[half, 1].mean())
        return halves[1] if upper else halves[0]


def rows_of(indices: np.ndarray, weights: np.ndarray, columns: int) -> csr_matrix:
    """(n, columns) matrix with k entries per row from (n, k) indices and weights."""
    n, k = indices.shape
    return csr_matrix((np.ravel(weights).astype(np.float32), np.ravel(indices), np.arange(0, n * k + 1, k)), shape=(n, columns))


def affine(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, 4) weights of four ``corners`` (4, 3) that give ``points`` (n, 3), :func:`rounded`."""
    return rounded(np.linalg.solve(np.column_stack([corners, np.ones(4)]).T, np.column_stack([points, np.ones(len(points))]).T).T)


def rounded(weights: np.ndarray) -> np.ndarray:
    """Rows of weights (n, k) in steps of 1/4096 with the sum 1: a file of round numbers is a third smaller."""
    out = np.rint(weights * 4096) / 4096
    out[:, 0] = 1 - out[:, 1:].sum(1)
    return out


def smoothstep(x: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    x = np.clip((np.asarray(x, float) - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def blend(colors: np.ndarray, color, amount) -> np.ndarray:
    amount = np.broadcast_to(np.asarray(amount, float), (len(colors),))[:, None]
    return colors * (1 - amount) + np.asarray(color, float) * amount


def noise(points: np.ndarray, size: float, seed: int = 0) -> np.ndarray:
    """(n,) smooth value noise in [-1, 1] at points (n, 3); ``size`` is the width of a grain in their unit."""
    p = np.asarray(points, float) / size + 17.3 * (seed + 1)
    cell, at = np.floor(p).astype(np.int64), p - np.floor(p)
    at = at * at * (3 - 2 * at)
    total = np.zeros(len(p))
    for corner in np.ndindex(2, 2, 2):
        key = (cell + corner) @ np.array([73856093, 19349663, 83492791])
        key = (key ^ (key >> 13)) * 1274126177 & 0x7FFFFFFF
        weight = np.prod(np.where(corner, at, 1 - at), axis=1)
        total += weight * ((key ^ (key >> 15)) % 65536 / 32767.5 - 1)
    return total
