"""Vertex heads that learn in a blendshape basis.

The decoders' last layer is linear, ``d -> 3S``. Where every target is a mix of K known shapes, ``W = shapes^T A`` with a small ``A (K, d)``
can say all that is needed, and every vertex of a step teaches all of them. Trained this way the layer is merged into a plain
``nn.Linear`` before it is saved: inference does not know the difference.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from emoface.modeling import EmoFaceModel

# One unit of A moves a shape by a tenth of its range, so that the optimiser's steps stay small against an expression.
SCALE = 0.1


class InBasis(nn.Module):
    """(K, ...) coefficients -> (3S, ...) rows of the layer."""

    def __init__(self, shapes: Tensor):
        super().__init__()
        self.register_buffer("shapes", shapes, persistent=False)

    def forward(self, coefficients: Tensor) -> Tensor:
        return self.shapes.T @ coefficients

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Only ever called on the zeros a head starts from."""
        return weight.new_zeros(len(self.shapes), *weight.shape[1:])


def learn_in_basis(model: EmoFaceModel, basis: Tensor) -> None:
    """Let both branches' vertex heads learn in ``basis`` (K, S, 3) metres."""
    shapes = basis.flatten(1) * (SCALE / model.config.motion_unit)
    for decoder in (model.content_decoder, model.emotion_decoder):
        for name in ("weight", "bias"):
            parametrize.register_parametrization(decoder.motion_out, name, InBasis(shapes), unsafe=True)


def merged(model: EmoFaceModel) -> EmoFaceModel:
    """A copy, on the CPU, whose vertex heads are plain linear layers again."""
    copied = copy.deepcopy(model).cpu()
    for decoder in (copied.content_decoder, copied.emotion_decoder):
        learned = decoder.motion_out
        plain = nn.Linear(learned.in_features, learned.out_features)
        with torch.no_grad():
            plain.weight.copy_(learned.weight)
            plain.bias.copy_(learned.bias)
        decoder.motion_out = plain
    return copied
