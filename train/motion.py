"""Ground-truth motion of a batch, in the two forms that training meets.

Both answer the same two questions: what does a linear layer make of the motion (the decoder's history), and where are these
vertices (the losses). For motion in a blendshape basis neither needs all vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class BasisMotion:
    """``offsets = weights @ basis``."""

    weights: Tensor
    """(B, T, K)"""
    basis: Tensor
    """(K, S, 3) metres"""

    def embed(self, layer: nn.Linear) -> Tensor:
        """``layer`` of the flattened offsets of every frame: (B, T, d)."""
        return self.weights @ (self.basis.flatten(1) @ layer.weight.T) + layer.bias

    def at(self, vertices: Tensor) -> Tensor:
        """Offsets (B, T, N, 3) of the vertices (N,)."""
        return (self.weights @ self.basis[:, vertices].flatten(1)).unflatten(-1, (-1, 3))

    def rows(self, index: Tensor) -> "BasisMotion":
        return BasisMotion(self.weights[index], self.basis)


@dataclass
class DenseMotion:
    """Offsets of every vertex (VOCASET, 3D-RAVDESS)."""

    offsets: Tensor
    """(B, T, S, 3) metres"""

    def embed(self, layer: nn.Linear) -> Tensor:
        return layer(self.offsets.flatten(2))

    def at(self, vertices: Tensor) -> Tensor:
        return self.offsets[:, :, vertices]

    def rows(self, index: Tensor) -> "DenseMotion":
        return DenseMotion(self.offsets[index])


Motion = BasisMotion | DenseMotion
