"""Walks over the quad mesh: edge loops, floods, concentric rings."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np


class QuadMesh:
    """Neighbourhoods of a quad mesh (Q, 4); vertex ids are those of the quads."""

    def __init__(self, quads: np.ndarray):
        self.quads = quads
        self.edge_faces: dict[frozenset, list[int]] = defaultdict(list)
        self.vertex_faces: dict[int, set[int]] = defaultdict(set)
        self.neighbors: dict[int, set[int]] = defaultdict(set)
        for face, quad in enumerate(quads.tolist()):
            for a, b in zip(quad, quad[1:] + quad[:1]):
                self.edge_faces[frozenset((a, b))].append(face)
                self.neighbors[a].add(b)
                self.neighbors[b].add(a)
                self.vertex_faces[a].add(face)

    def loop(self, a: int, b: int) -> list[int]:
        """The closed edge loop that runs straight on through edge ``a``-``b``."""
        loop = [a, b]
        while True:
            before, here = loop[-2:]
            if len(self.neighbors[here]) != 4 or len(self.vertex_faces[here]) != 4:
                raise ValueError(f"the loop through {a}, {b} ends at vertex {here}")
            near = set(self.edge_faces[frozenset((before, here))])
            ahead = [c for c in self.neighbors[here] if c != before and not near & set(self.edge_faces[frozenset((here, c))])]
            if ahead[0] == loop[0]:
                return loop
            loop.append(ahead[0])

    def flood(self, start_face: int, loop: list[int]) -> list[int]:
        """Faces that can be reached from ``start_face`` without crossing ``loop``."""
        fence = {frozenset(edge) for edge in zip(loop, loop[1:] + loop[:1])}
        seen, queue = {start_face}, deque([start_face])
        while queue:
            quad = self.quads[queue.popleft()].tolist()
            for edge in map(frozenset, zip(quad, quad[1:] + quad[:1])):
                for face in self.edge_faces[edge]:
                    if edge not in fence and face not in seen:
                        seen.add(face)
                        queue.append(face)
        return sorted(seen)

    def enclosed(self, loop: list[int]) -> np.ndarray:
        """Vertices strictly on the smaller side of a loop."""
        sides = [self.flood(face, loop) for face in self.edge_faces[frozenset(loop[:2])]]
        inside = np.unique(self.quads[min(sides, key=len)])
        return np.setdiff1d(inside, loop)

    def next_ring(self, ring: list[int], avoid: set[int]) -> list[int]:
        """The ring beside ``ring`` (same order and length) on the side that is not in ``avoid``."""
        out = []
        for here in ring:
            candidates = [c for c in self.neighbors[here] if c not in avoid and c not in ring]
            if len(candidates) != 1:
                raise ValueError(f"vertex {here} has {len(candidates)} ways to the next ring")
            out.append(candidates[0])
        return out

    def ring_distance(self, seeds: list[int], limit: int) -> dict[int, int]:
        """Edge steps from the seed set, up to ``limit``."""
        steps, queue = dict.fromkeys(seeds, 0), deque(seeds)
        while queue:
            here = queue.popleft()
            if steps[here] < limit:
                for c in self.neighbors[here] - steps.keys():
                    steps[c] = steps[here] + 1
                    queue.append(c)
        return steps


def triangulate(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Quads (Q, 4) to triangles (2Q, 3) along the shorter diagonal (rounded, so that left and right agree)."""
    diagonal = [np.linalg.norm(vertices[quads[:, a]] - vertices[quads[:, a + 2]], axis=1).round(6) for a in (0, 1)]
    short = diagonal[0] <= diagonal[1]
    first, second = quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [0, 1, 3, 1, 2, 3]]
    return np.where(short[:, None], first, second).reshape(-1, 3)
