"""Ground-truth motion of a batch, in the two forms that training meets.

Both answer the same two questions: what does a decoder make of the motion as history, and where are these
vertices (the losses). For motion in a blendshape basis neither needs all vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from emoface.decoder import BranchDecoder


@dataclass
class BasisMotion:
    """``offsets = weights @ basis``."""

    weights: Tensor
    """(B, T, K)"""
    basis: Tensor
    """(K, S, 3) metres"""

    def embed(self, decoder: BranchDecoder) -> Tensor:
        """The decoder's embedding of every frame's offsets: (B, T, d)."""
        layer = decoder.motion_in
        return self.weights @ (self.basis.flatten(1) / decoder.unit @ layer.weight.T) + layer.bias

    def at(self, vertices: Tensor) -> Tensor:
        """Offsets (B, T, N, 3) of the vertices (N,)."""
        return (self.weights @ self.basis[:, vertices].flatten(1)).unflatten(-1, (-1, 3))

    def to(self, device) -> BasisMotion:
        return BasisMotion(self.weights.to(device), self.basis.to(device))


@dataclass
class DenseMotion:
    """Offsets of every vertex (VOCASET, 3D-RAVDESS)."""

    offsets: Tensor
    """(B, T, S, 3) metres"""

    def embed(self, decoder: BranchDecoder) -> Tensor:
        return decoder.embed(self.offsets.flatten(2))

    def at(self, vertices: Tensor) -> Tensor:
        return self.offsets[:, :, vertices]

    def to(self, device) -> DenseMotion:
        return DenseMotion(self.offsets.to(device))


Motion = BasisMotion | DenseMotion
