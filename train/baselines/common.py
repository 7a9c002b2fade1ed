"""What all baselines share: the shape of the data, FaceFormer's decoder, and losses in millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from emoface.decoder import periodic_encoding, temporal_bias
from emoface.head import Head

from ..basis_head import SCALE, InBasis
from ..data import Batch
from ..losses import masked_mean

MILLIMETRE = 1e-3


@dataclass(frozen=True)
class DataShape:
    """Sizes of the data that a network is built for."""

    vertices: int
    """S, vertices to predict."""
    features: int
    """C, width of a frame of the speech encoder."""
    layers: int
    """L, blocks of the encoder that are read."""
    styles: int
    """Training speakers."""
    lips: np.ndarray
    """Vertices of the lips."""
    upper: np.ndarray
    """(S,) 0 ... 1: how much a vertex belongs to the upper face."""
    eyelids: np.ndarray
    """Vertices of the eyelids."""
    looked: np.ndarray
    """Vertices that losses look at, ascending; lips and eyelids are among them."""
    faces: np.ndarray | None = None
    """(F, 3) triangles, and the rest pose (S, 3) in metres, for networks that walk over the mesh."""
    template: np.ndarray | None = None

    @classmethod
    def of_head(cls, head: Head, *, features: int, layers: int, styles: int, every: int = 1) -> DataShape:
        """The embedded head.

        Losses look at every n-th vertex of the visible skin: enough where vertex heads learn in the head's basis.
        """
        skin, regions = head.skin_count, head.regions[: head.skin_count]
        middle = head.skin_template[regions == "nose", 1].mean()
        lips, eyelids = np.flatnonzero(head.mask("lips")[:skin]), np.flatnonzero(np.isin(regions, ("eyelid_left", "eyelid_right")))
        spread = np.arange(skin) if every == 1 else np.flatnonzero(head.mask("visible_skin")[:skin])[::every]
        looked = np.unique(np.concatenate([lips, eyelids, spread]))
        upper = upper_share(head.skin_template, middle)
        return cls(skin, features, layers, styles, lips, upper, eyelids, looked, head.skin_faces, head.skin_template)

    @classmethod
    def of_mesh(cls, template: np.ndarray, faces: np.ndarray, *, lips: np.ndarray, upper: np.ndarray, features: int, layers: int, styles: int):
        """A mesh of another topology, e.g. FLAME's, under its masks of lips and upper face. Losses look at every vertex.

        The upper face begins half way between the two masks; its whole mask stands in for the eyelids, which have none of their own.
        """
        middle = (template[lips, 1].mean() + template[upper, 1].mean()) / 2
        count = len(template)
        return cls(count, features, layers, styles, lips, upper_share(template, middle), upper, np.arange(count), faces, template)

    def among_looked(self, vertices: np.ndarray) -> Tensor:
        """Positions of the coordinates of ``vertices`` among those that losses look at."""
        return flat_vertices(np.searchsorted(self.looked, vertices))


def upper_share(template: np.ndarray, middle: float) -> np.ndarray:
    """(S,) 0 ... 1: the upper face fades into the lower one within a centimetre or two around the height ``middle``, metres."""
    return 1 / (1 + np.exp(-(template[:, 1] - middle) / 0.01))


class Baseline(nn.Module):
    """A network that learns from a batch and animates a recording.

    Inside, motion is counted in ``unit`` metres: at a millimetre an optimiser's steps of 1e-3 are fractions of one. Official checkpoints
    count in metres.
    """

    stages: ClassVar[int] = 1
    """How many trainings follow one another, each with its own parameters."""
    vertex_heads: ClassVar[tuple[str, ...]] = ("vertices",)
    """The linear layers that end in vertices."""

    def __init__(self, data: DataShape, *, unit: float = MILLIMETRE):
        super().__init__()
        self.data, self.unit = data, unit
        self.register_buffer("looked", flat_vertices(data.looked), persistent=False)
        self.layer_mix = nn.Parameter(torch.zeros(data.layers)) if data.layers > 1 else None
        if self.layer_mix is not None:
            with torch.no_grad():
                self.layer_mix[-1] = 2.0

    def speech(self, content: Tensor) -> Tensor:
        """Encoder frames (B, T, L, C) -> (B, T, C): a learned mix of the blocks, at first mostly the last one (the papers': only that)."""
        if self.layer_mix is None:
            return content[:, :, 0]
        return torch.einsum("btlc,l->btc", content, self.layer_mix.softmax(0))

    def truth(self, batch: Batch, which: int = 0) -> Tensor:
        """(B, T, 3N) offsets from the template of the vertices that losses look at, in units."""
        return batch.motions[which].at(torch.from_numpy(self.data.looked)).flatten(2) / self.unit

    def whole_truth(self, batch: Batch) -> Tensor:
        """(B, T, 3S) of all vertices."""
        return batch.motions[0].at(torch.arange(self.data.vertices)).flatten(2) / self.unit

    def looked_at(self, head: nn.Linear, hidden: Tensor) -> Tensor:
        """What a vertex head says (B, T, 3N) of the vertices that losses look at."""
        return F.linear(hidden, head.weight[self.looked], head.bias[self.looked])

    def style(self, batch: Batch) -> Tensor:
        """(B, n) one-hot."""
        return F.one_hot(batch.style, self.data.styles).float()

    def learn_in_basis(self, basis: Tensor) -> None:
        """Let the vertex heads learn in a blendshape basis (K, S, 3), metres, see :mod:`train.basis_head`."""
        shapes = basis.flatten(1) * (SCALE / self.unit)
        for head in map(self.get_submodule, self.vertex_heads):
            for name, _ in list(head.named_parameters()):
                parametrize.register_parametrization(head, name, InBasis(shapes), unsafe=True)

    @torch.no_grad()
    def merge_heads(self) -> None:
        """Vertex heads become plain linear layers again."""
        for name in self.vertex_heads:
            learned = self.get_submodule(name)
            if parametrize.is_parametrized(learned):
                plain = nn.Linear(learned.in_features, learned.out_features)
                plain.weight.copy_(learned.weight)
                plain.bias.copy_(learned.bias)
                self.set_submodule(name, plain)

    def begin(self, stage: int, *, batches, steps: int) -> None:
        """Called before a stage is trained for ``steps``; ``batches(i)`` gives the i-th batch."""

    def stage_parameters(self, stage: int) -> list[nn.Parameter]:
        return [p for p in self.parameters() if p.requires_grad]

    def loss(self, batch: Batch, stage: int) -> Tensor:
        """What a training step lessens."""
        raise NotImplementedError

    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        """Free-running offsets (1, T, S, 3), metres, of encoder frames (1, T, L, C); style (1, n) and level (1, 2) one-hot."""
        raise NotImplementedError

    def in_metres(self, flat: Tensor) -> Tensor:
        """(B, T, 3S) in units -> (B, T, S, 3) in metres."""
        return (flat * self.unit).unflatten(-1, (-1, 3))


def mse(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over the frames (B, T) of ``mask`` and all coordinates."""
    return masked_mean((predicted - truth).square(), mask)


def velocity_mse(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The same of frame differences."""
    return mse(predicted.diff(dim=1), truth.diff(dim=1), mask[:, 1:])


def flat_vertices(vertices: np.ndarray) -> Tensor:
    """Positions of the coordinates of ``vertices`` in a flattened (3S,) mesh."""
    return torch.from_numpy((3 * vertices[:, None] + np.arange(3)).ravel())


def silent_start(layer: nn.Linear) -> nn.Linear:
    """A vertex head that begins with the template."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class DiagonalDecoder(nn.TransformerDecoder):
    """FaceFormer's decoder, in two forms that give the same numbers: all frames at once, or one frame with a cache.

    Self-attention is causal with the bias ``-slope floor((i - j) / period)``. The alignment mask lets frame t see frame t of the speech
    alone: with one key the softmax is 1, so cross-attention is the linear map ``W_o W_v`` of that frame. Parameters are those of
    ``torch.nn.TransformerDecoder``, so weights of FaceFormer and CodeTalker fit by name.
    """

    def __init__(self, *, hidden: int, heads: int, feedforward: int, layers: int = 1, period: int = 30, dropout: float = 0.1):
        super().__init__(nn.TransformerDecoderLayer(hidden, heads, feedforward, dropout, batch_first=True), layers)
        self.hidden, self.heads, self.period = hidden, heads, period
        self.input_dropout = nn.Dropout(dropout)

    def aligned(self, memory: Tensor) -> list[Tensor]:
        """Cross-attention of every layer to the speech (B, T, d): (B, T, d) each."""
        d = self.hidden
        return [
            layer.multihead_attn.out_proj(F.linear(memory, layer.multihead_attn.in_proj_weight[2 * d :], layer.multihead_attn.in_proj_bias[2 * d :]))
            for layer in self.layers
        ]

    def bias(self, frames: int, device=None) -> Tensor:
        """(H, T, T)"""
        return temporal_bias(frames, self.heads, period=self.period, window=max(frames, 1), device=device)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Tokens (B, T, d) without position, speech (B, T, d) -> (B, T, d)."""
        frames = tokens.shape[1]
        bias = self.bias(frames, tokens.device)
        x = self.input_dropout(tokens + periodic_encoding(0, frames, self.hidden, period=self.period, device=tokens.device))
        for layer, speech in zip(self.layers, self.aligned(memory)):
            q, k, v = self._projections(layer, x)
            x = self._rest(layer, x, self._attend(layer, q, k, v, bias), speech)
        return x

    def step(self, token: Tensor, speech: list[Tensor], cache: list[tuple[Tensor, Tensor] | None], bias: Tensor) -> Tensor:
        """Frame t = that many as the cache holds: token (B, d), ``speech`` (B, d) per layer, ``bias`` of :meth:`bias` -> (B, d)."""
        t = 0 if cache[0] is None else cache[0][0].shape[2]
        x = self.input_dropout(token + periodic_encoding(t, 1, self.hidden, period=self.period, device=token.device))[:, None]
        for i, (layer, one) in enumerate(zip(self.layers, speech)):
            q, k, v = self._projections(layer, x)
            if cache[i] is not None:
                k, v = torch.cat([cache[i][0], k], dim=2), torch.cat([cache[i][1], v], dim=2)
            cache[i] = (k, v)
            x = self._rest(layer, x, self._attend(layer, q, k, v, bias[:, t : t + 1, : t + 1]), one[:, None])
        return x[:, 0]

    def _projections(self, layer: nn.TransformerDecoderLayer, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = layer.self_attn
        qkv = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        return qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    @staticmethod
    def _attend(layer: nn.TransformerDecoderLayer, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return layer.self_attn.out_proj(mixed.transpose(1, 2).flatten(2))

    @staticmethod
    def _rest(layer: nn.TransformerDecoderLayer, x: Tensor, attended: Tensor, speech: Tensor) -> Tensor:
        x = layer.norm1(x + layer.dropout1(attended))
        x = layer.norm2(x + layer.dropout2(speech))
        return layer.norm3(x + layer.dropout3(layer.linear2(layer.dropout(layer.activation(layer.linear1(x))))))


def free_run(decoder: DiagonalDecoder, memory: Tensor, style: Tensor, motion_in: nn.Linear, motion_out: nn.Linear) -> Tensor:
    """Hidden states (B, T, d) of a decoder over its own past: the token after frame t is ``motion_in(motion_out(h_t)) + style``.

    Neither layer touches vertices here: their product is one d x d matrix, and with the cache the work is linear in T. The original runs
    the whole past and all vertices again for every frame; the numbers are the same. ``style`` (B, d) is the first token.
    """
    weight, bias = motion_in.weight @ motion_out.weight, motion_in.weight @ motion_out.bias + motion_in.bias
    speech, mask = decoder.aligned(memory), decoder.bias(memory.shape[1], memory.device)
    cache: list = [None] * len(decoder.layers)
    token, hidden = style, []
    for t in range(memory.shape[1]):
        hidden.append(decoder.step(token, [one[:, t] for one in speech], cache, mask))
        token = F.linear(hidden[-1], weight, bias) + style
    return torch.stack(hidden, dim=1)
