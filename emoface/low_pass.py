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
        mean = neighbour_mean(faces, count)
        self._half = csr_matrix(0.5 * diags(np.ones(count)) + 0.5 * mean, dtype=np.float32)
        self._placed: dict[tuple, Tensor] = {}

    def _matrix(self, like: Tensor) -> Tensor:
        key = (like.device, like.dtype)
        if key not in self._placed:
            coo = self._half.tocoo()
            index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
            placed = torch.sparse_coo_tensor(index, torch.from_numpy(coo.data), coo.shape, check_invariants=False)
            self._placed[key] = placed.coalesce().to(device=like.device, dtype=like.dtype)
        return self._placed[key]

    def __call__(self, values: Tensor) -> Tensor:
        """(..., V) -> (..., V)."""
        if not self.steps:
            return values
        columns = values.flatten(0, -2).T
        if columns.device.type == "cpu" and columns.dtype == torch.float32 and not (torch.is_grad_enabled() and columns.requires_grad):
            return self._on_cpu(columns.numpy(force=True)).reshape(values.shape)
        matrix = self._matrix(values)
        for _ in range(self.steps):
            columns = torch.sparse.mm(matrix, columns)
        return columns.T.reshape(values.shape)

    def _on_cpu(self, columns: np.ndarray) -> Tensor:
        """(V, n) -> (n, V). scipy takes a tenth of the time of torch's sparse product for the few frames of a stream."""
        columns = np.ascontiguousarray(columns)
        for _ in range(self.steps):
            columns = self._half @ columns
        return torch.from_numpy(np.ascontiguousarray(columns.T))
