"""The finer surface that is shown: steps of Catmull-Clark on the skin's quads, as a matrix over the skin's vertices.

Creases keep the lips' contact line and the margins of the lids where they are, so that closed lips and lids stay closed.
What nobody sees (mouth bag, eye sockets) is not refined; where the skin folds into lines, a second step makes room for them.
Catmull & Clark 1978; creases: DeRose et al. 1998.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Refined:
    matrix: csr_matrix
    """(D, S) weights of the coarse vertices in every fine vertex; rows sum to 1 and no weight is negative."""
    faces: np.ndarray
    """(F, 3) triangles, turned as the coarse ones."""


@dataclass(frozen=True)
class _Step:
    matrix: csr_matrix
    """(D, S)."""
    quads: np.ndarray
    """(4 n, 4) the quarters of what was refined."""
    rest: list[list[int]]
    """Outlines of the quads that stay, with the corners where a refined neighbour has split their edges; one of those comes first."""


def quads_of(faces: np.ndarray) -> np.ndarray:
    """(Q, 4) the quads whose two halves follow each other in ``faces`` (2Q, 3), see ``topology.triangulate``."""
    a, b = faces[0::2], faces[1::2]
    first = np.column_stack([a[:, 0], a[:, 1], a[:, 2], b[:, 2]])
    second = np.column_stack([a[:, 0], b[:, 0], b[:, 1], a[:, 2]])
    is_first = (a[:, 0] == b[:, 0]) & (a[:, 2] == b[:, 1])
    if not (is_first | ((a[:, 1] == b[:, 0]) & (a[:, 2] == b[:, 2]))).all():
        raise ValueError("these triangles are no pairs that make quads")
    return np.where(is_first[:, None], first, second)


def catmull_clark(
    vertices: np.ndarray, quads: np.ndarray, *, refine: np.ndarray, fixed: set[int], again: Callable[[np.ndarray], np.ndarray]
) -> Refined:
    """One step on the quads (Q, 4) where ``refine`` (Q,), and a second one where ``again`` says so of the corners
    (n, 4, 3) of their quarters. Vertices ``fixed`` keep their place, and an edge between two of them is a crease.
    """
    first = _step(len(vertices), quads, refine, fixed)
    fine = first.matrix @ vertices
    twice = again(fine[first.quads])
    border = {corner for outline in first.rest for corner in outline}
    twice &= ~np.isin(first.quads, list(border)).any(1)  # what stays must find its edges as they are
    second = _step(len(fine), first.quads, twice, fixed)
    matrix = (second.matrix @ first.matrix).tocsr()
    fine = matrix @ vertices
    untouched = [outline for outline in second.rest if len(outline) == 4]
    split = [outline for outline in second.rest if len(outline) > 4]
    return Refined(
        matrix, np.concatenate([_halves(fine, np.concatenate([np.array(untouched, int).reshape(-1, 4), second.quads])), _fans(split + first.rest)])
    )


def _step(count: int, quads: np.ndarray, refine: np.ndarray, fixed: set[int]) -> _Step:
    edges: dict[tuple[int, int], list[int]] = defaultdict(list)
    around: dict[int, list[int]] = defaultdict(list)
    for face, quad in enumerate(quads.tolist()):
        for a, b in zip(quad, quad[1:] + quad[:1]):
            edges[min(a, b), max(a, b)].append(face)
            around[a].append(face)
    rows: list[dict[int, float]] = [{v: 1.0} for v in range(count)]
    center = {int(f): count + i for i, f in enumerate(np.flatnonzero(refine))}
    rows += [dict.fromkeys(map(int, quads[f]), 0.25) for f in center]
    split: dict[tuple[int, int], int] = {}
    for (a, b), faces in edges.items():
        if any(refine[f] for f in faces):
            split[a, b] = len(rows)
            smooth = len(faces) == 2 and all(refine[f] for f in faces) and not (a in fixed and b in fixed)
            rows.append(_mean([{a: 1.0}, {b: 1.0}, *(rows[center[f]] for f in faces)] if smooth else [{a: 1.0}, {b: 1.0}]))
    neighbors: dict[int, list[int]] = defaultdict(list)
    for a, b in edges:
        neighbors[a].append(b)
        neighbors[b].append(a)
    for v, faces in around.items():
        n = len(faces)
        if v in fixed or len(neighbors[v]) != n or not all(refine[f] for f in faces):
            continue  # creases, the open edge, and the border of what is refined stay
        ring = _mean([rows[center[f]] for f in faces])
        middle = _mean([{v: 0.5, w: 0.5} for w in neighbors[v]])
        rows[v] = _sum([(ring, 1 / n), (middle, 2 / n), ({v: 1.0}, (n - 3) / n)])
    indptr = np.r_[0, np.cumsum([len(row) for row in rows])]
    matrix = csr_matrix(
        (np.array([w for row in rows for w in row.values()], np.float32), np.array([i for row in rows for i in row]), indptr),
        shape=(len(rows), count),
    )
    return _Step(matrix, *_parts(quads, refine, center, split))


def _parts(quads: np.ndarray, refine: np.ndarray, center: dict, split: dict) -> tuple[np.ndarray, list[list[int]]]:
    def half(a: int, b: int) -> int | None:
        return split.get((min(a, b), max(a, b)))

    small, rest = [], []
    for face, quad in enumerate(quads.tolist()):
        if refine[face]:
            for at, here in enumerate(quad):
                small.append([here, half(here, quad[(at + 1) % 4]), center[face], half(quad[at - 1], here)])
        else:
            outline = [v for a, b in zip(quad, quad[1:] + quad[:1]) for v in (a, half(a, b)) if v is not None]
            first = outline.index(max(outline)) if len(outline) > 4 else 0  # the middle of an edge: see ``_fans``
            rest.append(outline[first:] + outline[:first])
    return np.array(small, int).reshape(-1, 4), rest


def _halves(fine: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """(2 n, 3) triangles of quads (n, 4), cut along the shorter diagonal."""
    lengths = [np.linalg.norm(fine[quads[:, k]] - fine[quads[:, k + 2]], axis=1) for k in (0, 1)]
    halves = np.where((lengths[0] <= lengths[1])[:, None], quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [0, 1, 3, 1, 2, 3]])
    return halves.reshape(-1, 3)


def _fans(outlines: list[list[int]]) -> np.ndarray:
    """Triangles round the first vertex of each outline. From a corner, one of them would lie flat along a split edge and leave the
    neighbour's middle vertex without a partner: a crack that lets single pixels of the background through."""
    return np.array([[outline[0], b, c] for outline in outlines for b, c in zip(outline[1:], outline[2:])], int).reshape(-1, 3)


def _mean(rows: list[dict[int, float]]) -> dict[int, float]:
    return _sum([(row, 1 / len(rows)) for row in rows])


def _sum(parts: list[tuple[dict[int, float], float]]) -> dict[int, float]:
    out: dict[int, float] = defaultdict(float)
    for row, share in parts:
        for vertex, weight in row.items():
            out[vertex] += share * weight
    return {vertex: weight for vertex, weight in out.items() if weight}
