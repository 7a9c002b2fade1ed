"""Spirals on a triangle mesh: the ordered neighbourhoods that SpiralConv3D reads.

The spiral of a vertex is the vertex itself, then its 1-ring counter-clockwise, then its 2-ring, and so on (SpiralNet++,
Gong et al. 2019), cut after ``length`` entries; a dilation ``d`` keeps every d-th entry of a walk ``d`` times as long.
Everything is plain numpy on index arrays, so any mesh will do: open borders, several components, isolated vertices.
"""

from __future__ import annotations

import numpy as np


def ordered_neighbours(faces: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of every vertex in counter-clockwise order.

    Args:
        faces: (F, 3) integer triangles with consistent winding.
        positions: (V, 3) vertex positions. They only choose where each ring starts (the neighbour that lies highest, then
            frontmost, then leftmost as seen from the vertex), so the result does not depend on how vertices are numbered.

    Returns:
        (V, D) neighbour indices padded with -1, and (V,) degrees. On an open border the fan starts at its clockwise end;
        where several fans meet in one vertex they follow each other.
    """
    count = len(positions)
    faces = np.asarray(faces, np.int64)
    centre = faces[:, [0, 1, 2]].ravel()
    first = faces[:, [1, 2, 0]].ravel()
    second = faces[:, [2, 0, 1]].ravel()

    # Around `centre`, the triangle (centre, first, second) leads from `first` to `second` counter-clockwise.
    key = centre * count + first
    order = np.argsort(key, kind="stable")
    key, follower = key[order], second[order]

    pair = np.unique(np.concatenate([key, centre * count + second]))
    owner, neighbour = pair // count, pair % count
    has_predecessor = np.isin(pair, centre * count + second)
    degree = np.bincount(owner, minlength=count)
    ring = np.full((count, int(degree.max(initial=0))), -1, np.int64)
    if not len(pair):
        return ring, degree

    # Candidates for the start of a fan, best first: border ends before anything else, then by direction.
    direction = np.round(positions[neighbour] - positions[owner], 9)
    rank = np.lexsort((-direction[:, 0], -direction[:, 2], -direction[:, 1], has_predecessor, owner))
    begin = np.concatenate([[0], np.cumsum(degree)])
    candidates = neighbour[rank]
    slot_of = np.empty(len(pair), np.int64)
    slot_of[rank] = np.arange(len(pair))
    taken = np.zeros(len(pair), bool)

    def slots(vertices: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
        return slot_of[np.searchsorted(pair, vertices * count + neighbours)]

    cursor = begin[:-1].copy()
    current = np.full(count, -1, np.int64)
    for position in range(ring.shape[1]):
        active = np.flatnonzero(position < degree)
        # Follow the fan; where it ends (border) or closes (back at its start), open the next one.
        step = np.full(len(active), -1, np.int64)
        walking = current[active] >= 0
        wanted = active[walking] * count + current[active[walking]]
        found = np.searchsorted(key, wanted)
        exists = (found < len(key)) & (key[np.minimum(found, len(key) - 1)] == wanted)
        step[walking] = np.where(exists, follower[np.minimum(found, len(key) - 1)], -1)
        reached = step >= 0
        reached[reached] = ~taken[slots(active[reached], step[reached])]
        waiting = active[~reached]
        while len(pending := waiting[taken[cursor[waiting]]]):
            cursor[pending] += 1
        step[~reached] = candidates[cursor[waiting]]
        taken[slots(active, step)] = True
        ring[active, position] = step
        current[active] = step
    return ring, degree


def spirals(faces: np.ndarray, positions: np.ndarray, *, length: int, dilation: int = 1) -> np.ndarray:
    """Truncated, dilated spirals of all vertices.

    Args:
        faces: (F, 3) triangles.
        positions: (V, 3), see :func:`ordered_neighbours`.
        length: entries per spiral, the vertex itself included (the kernel size of the convolution).
        dilation: take every ``dilation``-th entry of the walk.

    Returns:
        (V, length) int64. A walk that runs out of vertices (small components) repeats its centre, so that a convolution
        of a sum ``a(t) + e(v)`` stays separable at every vertex.
    """
    if length < 1 or dilation < 1:
        raise ValueError("A spiral needs a length and a dilation of at least 1.")
    ring, degree = ordered_neighbours(faces, positions)
    count, reach = len(positions), (length - 1) * dilation + 1
    vertex = np.arange(count)
    walk = np.full((count, reach), -1, np.int64)
    parent = np.full((count, reach), -1, np.int64)
    filled = np.ones(count, np.int64)
    walk[:, 0] = vertex
    for head in range(reach):
        rows = np.flatnonzero((head < filled) & (filled < reach))
        if not len(rows):
            break
        here, came_from = walk[rows, head], parent[rows, head]
        # Each ring vertex looks around itself counter-clockwise, beginning where the walk reached it from.
        start = np.argmax(ring[here] == came_from[:, None], axis=1) if head else np.zeros(len(rows), np.int64)
        for turn in range(ring.shape[1]):
            inside = turn < degree[here]
            column = (start + turn) % np.maximum(degree[here], 1)
            candidate = np.where(inside, ring[here, column], -1)
            new = inside & ~(walk[rows] == candidate[:, None]).any(1) & (filled[rows] < reach)
            target = rows[new]
            walk[target, filled[target]] = candidate[new]
            parent[target, filled[target]] = here[new]
            filled[target] += 1
    walk = np.where(walk < 0, vertex[:, None], walk)
    return walk[:, ::dilation]
