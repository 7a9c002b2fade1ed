"""Low-pass filter over a mesh: a value per vertex becomes half itself, half the mean of its neighbours.

Mesh Attention ends with a few of these steps. The weight ``w_e`` of a vertex is otherwise free to differ from its neighbours', and where
the two branches disagree (around the mouth, by millimetres) such a jump tears the skin, although each branch alone is smooth.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from torch import Tensor

from .neighbours import neighbour_mean


class LowPass:
    """``steps`` times ``w <- w / 2 + neighbours' mean / 2`` over the last axis (V,); constants stay, [0, 1] is not left."""

    def __init__(self, faces: np.ndarray, count: int, *, steps: int):
        self.steps = steps
        self._mean = neighbour_mean(faces, count)
        self._placed: dict[tuple, Tensor] = {}

    def _matrix(self, like: Tensor) -> Tensor:
        key = (like.device, like.dtype)
        if key not in self._placed:
            half = csr_matrix(0.5 * diags(np.ones(self._mean.shape[0])) + 0.5 * self._mean)
            coo = half.tocoo()
            index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
            placed = torch.sparse_coo_tensor(index, torch.from_numpy(coo.data), half.shape, check_invariants=False)
            self._placed[key] = placed.coalesce().to(device=like.device, dtype=like.dtype)
        return self._placed[key]

    def __call__(self, values: Tensor) -> Tensor:
        """(..., V) -> (..., V)."""
        if not self.steps:
            return values
        matrix = self._matrix(values)
        columns = values.flatten(0, -2).T
        for _ in range(self.steps):
            columns = torch.sparse.mm(matrix, columns)
        return columns.T.reshape(values.shape)
