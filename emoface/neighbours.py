"""Which vertices of a mesh lie beside each other."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags


def neighbour_mean(faces: np.ndarray, count: int) -> csr_matrix:
    """(V, V) sparse: the mean of every vertex's neighbours in the triangles (F, 3); a vertex without neighbours is its own mean."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    edges = np.concatenate([edges, edges[:, ::-1]])
    adjacent = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count)).tocsr()
    adjacent.data[:] = 1.0  # an edge of two triangles is one edge
    alone = np.asarray(adjacent.sum(1)).ravel() == 0
    adjacent = adjacent + diags(alone.astype(float))
    return csr_matrix(diags(1.0 / np.asarray(adjacent.sum(1)).ravel()) @ adjacent)
