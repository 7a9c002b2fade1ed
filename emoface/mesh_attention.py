"""Mesh Attention: how much each branch moves each vertex at each frame (the paper's).

``F(v, t) = a(t) + e(v)`` adds an audio feature of both branches to a learned embedding of the vertex; SpiralConv3D and a
second layer turn it into a logit per (vertex, frame); its sigmoid is the weight ``w_e`` of the emotion branch and
``w_c = 1 - w_e`` that of the content branch (a two-way softmax needs only the difference of its two logits).

Shapes: B clips, T frames, V vertices, K spiral length, D temporal window (the paper's delta), C channels in, O out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpiralConv3D(nn.Module):
    r"""Convolution over a vertex's spiral and the last D frames, mixed by one fully connected layer.

    .. math:: y(v, t) = b + \sum_{j<K} \sum_{d<D} W_{j,d}\, x(n_j(v), t - d), \qquad x(\cdot, t<0) = 0

    ``forward`` takes any input; ``separable_*`` are the exact short cut for inputs of the form ``a(t) + e(v)``:
    the sum splits into a causal convolution over time plus a spiral convolution over vertices. Because of the zero
    padding, the vertex term has D variants: frame ``t`` has ``min(t + 1, D)`` existing frames in its window.
    """

    def __init__(self, in_channels: int, out_channels: int, *, length: int, window: int):
        super().__init__()
        self.length, self.window = length, window
        scale = (in_channels * length * window) ** -0.5
        self.weight = nn.Parameter(torch.empty(length, window, in_channels, out_channels).uniform_(-scale, scale))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, spirals: Tensor) -> Tensor:
        """(B, T, V, C) and (V, K) indices -> (B, T, V, O).

        Mixes before it gathers: peak memory is one ``T V D O`` block, not the ``T V K D C`` of gather-then-mix.
        """
        b, t, v, c = x.shape
        out = self.bias.expand(b, t, v, -1)
        for j in range(self.length):
            mixed = x @ self.weight[j].permute(1, 0, 2).reshape(c, -1)
            mixed = mixed.index_select(2, spirals[:, j]).unflatten(-1, (self.window, -1))
            for d in range(min(self.window, t)):
                out = out + F.pad(mixed[:, : t - d, :, d], (0, 0, 0, 0, d, 0))
        return out

    def separable_time(self, a: Tensor) -> Tensor:
        """Time term of ``a(t)``: (B, T, C) -> (B, T, O), ``sum_d (sum_j W_jd) a(t-d)``."""
        kernel = self.weight.sum(0).permute(2, 1, 0).flip(-1)
        return F.conv1d(F.pad(a.transpose(1, 2), (self.window - 1, 0)), kernel).transpose(1, 2)

    def separable_vertex(self, e: Tensor, spirals: Tensor) -> Tensor:
        """Vertex term of ``e(v)`` with the bias: (V, C), (N, K) -> (D, N, O).

        Entry ``i`` holds for frames with ``i + 1`` existing frames in their window. ``spirals`` may be any N rows of the full table.
        """
        per_lag = 0.0
        for j in range(self.length):
            mixed = e @ self.weight[j].transpose(0, 1).flatten(1)  # all lags at once: (V, D O)
            per_lag = per_lag + F.embedding(spirals[:, j], mixed)
        return per_lag.unflatten(-1, (self.window, -1)).transpose(0, 1).cumsum(0) + self.bias

    def separable(self, a: Tensor, e: Tensor, spirals: Tensor) -> Tensor:
        """``forward(a(t) + e(v))`` without ever building the sum's neighbourhoods: -> (B, T, V, O)."""
        return add_terms(self.separable_time(a), self.separable_vertex(e, spirals))


def add_terms(time: Tensor, vertex: Tensor, *, start: int = 0) -> Tensor:
    """Both terms of the separable form, (B, T, O) and (D, N, O), for frames ``start, start + 1, ...`` -> (B, T, N, O)."""
    if torch.is_grad_enabled():  # in-place writes would make autograd copy the whole answer
        count = min(max(len(vertex) - 1 - start, 0), time.shape[1])
        seen = torch.cat([vertex[start : start + count], vertex[-1:].expand(time.shape[1] - count, -1, -1)])
        return time.unsqueeze(2) + seen
    out = time.unsqueeze(2) + vertex[-1]
    early = min(max(len(vertex) - 1 - start, 0), time.shape[1])  # frames with fewer than D frames in their window
    if early:
        out[:, :early] = time[:, :early].unsqueeze(2) + vertex[start : start + early]
    return out


class MeshAttention(nn.Module):
    """Weight ``w_e`` in (0, 1) of the emotion branch at every vertex and frame.

    Args:
        feature_size: C of the branches' features.
        fusion_size: channels of the additive input and the hidden layer.
        layers: 1 reads the weight straight off the first SpiralConv3D, so it is ``sigmoid(A(t) + B(v))`` and every frame
            ranks the vertices alike; 2 adds a ReLU and a second layer and can answer "where, when, for which emotion".
        second_layer: ``"pointwise"`` or ``"spiral"`` (a general SpiralConv3D; far more costly).
    """

    def __init__(self, *, vertex_count: int, feature_size: int, fusion_size: int, length: int, window: int, layers: int, second_layer: str):
        super().__init__()
        quarter = max(feature_size // 4, 1)
        self.emotion_mlp = nn.Sequential(nn.Linear(feature_size, quarter), nn.ReLU())
        self.content_mlp = nn.Sequential(nn.Linear(feature_size, quarter), nn.ReLU())
        self.audio_mlp = nn.Linear(2 * quarter, fusion_size)
        self.vertex_embedding = nn.Parameter(torch.randn(vertex_count, fusion_size) * 0.5)
        hidden = 1 if layers == 1 else fusion_size
        self.first = SpiralConv3D(fusion_size, hidden, length=length, window=window)
        self.second: nn.Module | None = None
        if layers == 2:
            spiral = second_layer == "spiral"
            self.second = SpiralConv3D(hidden, 1, length=length, window=window) if spiral else nn.Linear(hidden, 1)

    def audio(self, emotion: Tensor, content: Tensor) -> Tensor:
        """F_audio: two (B, T, C) -> (B, T, fusion_size)."""
        return self.audio_mlp(torch.cat([self.emotion_mlp(emotion), self.content_mlp(content)], dim=-1))

    def vertex_term(self, spirals: Tensor) -> Tensor:
        """The part that does not depend on the speech, (D, N, H): compute it once per model at inference."""
        return self.first.separable_vertex(self.vertex_embedding, spirals)

    def time_term(self, emotion: Tensor, content: Tensor) -> Tensor:
        """The part that does not depend on the vertex, (B, T, H)."""
        return self.first.separable_time(self.audio(emotion, content))

    def weights(self, time: Tensor, vertex: Tensor, spirals: Tensor, *, start: int = 0) -> Tensor:
        """(B, T, H) and (D, N, H) -> ``w_e`` (B, T, N), for frames ``start, start + 1, ...`` of the clip."""
        settled = start >= vertex.shape[0] - 1
        if settled and isinstance(self.second, nn.Linear) and not torch.is_grad_enabled():
            return self._pointwise(time, vertex[-1]).sigmoid_()
        hidden = add_terms(time, vertex, start=start)
        if self.second is None:
            logits = hidden
        elif isinstance(self.second, SpiralConv3D):
            logits = self.second(hidden.relu(), spirals)
        else:
            logits = self.second(hidden.relu_())
        return logits.squeeze(-1).sigmoid()

    def _pointwise(self, time: Tensor, vertex: Tensor) -> Tensor:
        """Logits (B, T, N) channel by channel: the (T, N, H) hidden layer would not fit any cache."""
        weight, bias = self.second.weight[0], self.second.bias
        logits = bias.expand(*time.shape[:2], len(vertex)).clone()
        hidden = torch.empty_like(logits)
        for a, e, w in zip(time.unbind(-1), vertex.T.contiguous(), weight.tolist()):
            torch.add(a.unsqueeze(-1), e, out=hidden)
            logits.add_(hidden.relu_(), alpha=w)
        return logits

    def forward(self, emotion: Tensor, content: Tensor, spirals: Tensor) -> Tensor:
        """Features (B, T, C) of both branches -> ``w_e`` (B, T, N) at the vertices whose spirals are given.

        A spiral second layer needs all vertices (its own neighbourhoods index them); pointwise takes any rows.
        """
        return self.weights(self.time_term(emotion, content), self.vertex_term(spirals), spirals)
