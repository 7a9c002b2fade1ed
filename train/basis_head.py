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
        """Coefficients that come closest to a plain layer: exact, but for rounding, where it was learned in this basis."""
        rows = weight.flatten(1) if weight.ndim > 1 else weight[:, None]
        found = torch.linalg.lstsq(self.shapes.T.double(), rows.double(), driver="gelsd").solution
        return found.to(weight.dtype).reshape(len(self.shapes), *weight.shape[1:])


def put_in(model: EmoFaceModel, plain: EmoFaceModel) -> None:
    """The weights of a model with plain vertex heads into one whose heads learn in a basis.

    Raises:
        SystemExit: the models differ in shape, or the basis cannot say what the heads say (another head's model).
    """
    plain = copy.deepcopy(plain).float()
    heads = {f"{branch}.motion_out" for branch in ("content_decoder", "emotion_decoder")}
    given = {key: value for key, value in plain.state_dict().items() if key.rpartition(".")[0] not in heads}
    own = {key: value for key, value in model.state_dict().items() if not any(key.startswith(f"{head}.") for head in heads)}
    if {k: v.shape for k, v in given.items()} != {k: v.shape for k, v in own.items()}:
        raise SystemExit("start_from is a model of another shape: give the same settings under `model` as in its config.json.")
    model.load_state_dict(given, strict=False)
    for head in heads:
        layer, wanted = model.get_submodule(head), plain.get_submodule(head)
        layer.weight, layer.bias = wanted.weight.detach(), wanted.bias.detach()
        if (layer.weight - wanted.weight).norm() > 0.05 * wanted.weight.norm():
            raise SystemExit("start_from was not learned in this head's shapes. Train from the start, or from a model of this head.")


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
