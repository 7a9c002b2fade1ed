"""The two FaceFormer-type decoders, in three forms that give the same numbers.

* ``BranchDecoder.forward``: all frames at once under a banded causal mask (training, teacher forcing).
* ``BranchDecoder.step``: one frame with a key/value cache that holds the last ``window`` frames.
* ``BranchLoop``: the free-running loop of both branches at once, in ``d`` dimensions; on a GPU a recorded step.

The last one rests on an exact collapse. A frame leaves as ``y = W_out h + b_out`` and comes back as
``W_in y + b_in = (W_in W_out) h + (W_in b_out + b_in)``: one d x d matrix. The loop never touches vertices, and the
``d -> 3S`` head runs once, batched over all frames.

Shapes: B clips, T frames, C feature width, d hidden size, S vertices, H attention heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cuda_graph import record
from .errors import Cancelled


def periodic_encoding(start: int, count: int, size: int, *, period: int, device=None) -> Tensor:
    """Periodic positional encoding of frames ``start .. start + count``: a sinusoid of ``t mod period``, (count, size)."""
    position = (torch.arange(start, start + count, device=device) % period).float()[:, None]
    rate = torch.exp(torch.arange(0, size, 2, device=device).float() * (-math.log(10000.0) / size))
    return torch.stack([(position * rate).sin(), (position * rate).cos()], dim=-1).flatten(1)[:, :size]


def bias_slopes(heads: int) -> Tensor:
    """ALiBi slopes, (heads,): 1/4, 1/16, 1/64, 1/256 for four heads."""
    return torch.tensor([2.0 ** (-8.0 * (i + 1) / heads) for i in range(heads)])


def temporal_bias(frames: int, heads: int, *, period: int, window: int, device=None) -> Tensor:
    """FaceFormer's biased causal mask limited to a window, (heads, frames, frames).

    ``-slope * floor((i - j) / period)`` for ``0 <= i - j < window``, minus infinity elsewhere.
    """
    lag = torch.arange(frames, device=device)[:, None] - torch.arange(frames, device=device)[None]
    bias = -bias_slopes(heads).to(lag.device)[:, None, None] * (lag // period)
    return bias.masked_fill((lag < 0) | (lag >= window), -torch.inf)


class BranchDecoder(nn.Module):
    """One branch: past motion + speech features -> hidden states -> vertex offsets.

    The alignment mask lets frame ``t`` attend to audio frame ``t`` alone; with one key the softmax is 1, so
    cross-attention is exactly the linear map ``W_o W_v`` and is written as such.
    """

    def __init__(
        self,
        *,
        vertex_count: int,
        feature_size: int,
        hidden_size: int,
        attention_heads: int,
        feedforward_size: int,
        style_count: int,
        level_count: int,
        period: int,
        window: int,
        dropout: float,
        motion_unit: float = 1e-3,
        feedback_frames: int = 1,
    ):
        super().__init__()
        d = hidden_size
        self.feedback_frames = feedback_frames
        self.heads, self.period, self.window, self.dropout = attention_heads, period, window, dropout
        self.unit = motion_unit
        self.motion_in = nn.Linear(3 * vertex_count, d)
        self.style = nn.Linear(style_count, d, bias=False)
        self.level = nn.Linear(level_count, d, bias=False) if level_count else None
        self.qkv = nn.Linear(d, 3 * d)
        self.attention_out = nn.Linear(d, d)
        self.memory = nn.Linear(feature_size, d)
        self.cross_out = nn.Linear(d, d)
        self.expand = nn.Linear(d, feedforward_size)
        self.contract = nn.Linear(feedforward_size, d)
        self.norm_self, self.norm_cross, self.norm_out = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.motion_out = nn.Linear(d, 3 * vertex_count)
        nn.init.zeros_(self.motion_out.weight)
        nn.init.zeros_(self.motion_out.bias)

    def condition(self, style: Tensor, level: Tensor | None) -> Tensor:
        """One-hot style (B, n) and level (B, 2) -> (B, 1, d), added to every input token."""
        out = self.style(style)
        if self.level is not None and level is not None:
            out = out + self.level(level)
        return out.unsqueeze(1)

    def cross(self, features: Tensor) -> Tensor:
        """Diagonal cross-attention to the speech: (B, T, C) -> (B, T, d)."""
        return self.cross_out(self.memory(features))

    def embed(self, offsets: Tensor) -> Tensor:
        """Past motion: offsets (B, T, 3S) metres -> (B, T, d). The layers themselves count in ``motion_unit``, so that
        an optimiser's steps of 1e-4 to 1e-3 are fractions of a millimetre."""
        return self.motion_in(offsets / self.unit)

    def offsets(self, hidden: Tensor, vertices: Tensor | None = None) -> Tensor:
        """Vertex head: (B, T, d) -> offsets (B, T, N, 3) metres of all vertices, or of those (N,) given."""
        weight, bias = self.motion_out.weight, self.motion_out.bias
        if vertices is not None:
            rows = (3 * vertices[:, None] + torch.arange(3, device=vertices.device)).flatten()
            weight, bias = weight[rows], bias[rows]
        return (F.linear(hidden, weight, bias) * self.unit).unflatten(-1, (-1, 3))

    def collapsed_feedback(self) -> tuple[Tensor, Tensor]:
        """``(W_in W_out, W_in b_out + b_in)``: hidden state of frame t -> motion part of the token of frame t+1."""
        weight = self.motion_in.weight @ self.motion_out.weight
        return weight, self.motion_in.weight @ self.motion_out.bias + self.motion_in.bias

    def history(self, motion: Tensor, start: Tensor) -> Tensor:
        """The decoder's input: embedded motion (B, T, d) -> (B, T, d), token ``t`` the mean of frames ``t - 1 ... t - feedback_frames``.

        With one frame fed back (FaceFormer's way, and the paper's) a decoder that runs freely can fall into trembling from one frame to the
        next and back; the mean of two frames cancels such a tremor, so it dies out.

        Args:
            start: (1, 1, d), the motion before the first frame.
        """
        past = torch.cat([start.expand(len(motion), self.feedback_frames, -1), motion], dim=1)
        t = motion.shape[1]
        return sum(past[:, k : k + t] for k in range(self.feedback_frames)) / self.feedback_frames

    def forward(self, motion: Tensor, condition: Tensor, cross: Tensor) -> Tensor:
        """All frames at once.

        Args:
            motion: (B, T, d) of :meth:`history`.
            condition: (B, 1, d).
            cross: (B, T, d) of :meth:`cross`.

        Returns:
            hidden states (B, T, d).
        """
        b, t, d = motion.shape
        x = motion + condition + periodic_encoding(0, t, d, period=self.period, device=motion.device)
        x = F.dropout(x, self.dropout, self.training)
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        bias = temporal_bias(t, self.heads, period=self.period, window=self.window, device=x.device).to(x.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None]).transpose(1, 2).reshape(b, t, d)
        x = self.norm_self(x + F.dropout(self.attention_out(mixed), self.dropout, self.training))
        x = self.norm_cross(x + F.dropout(cross, self.dropout, self.training))
        inner = F.dropout(self.expand(x).relu(), self.dropout, self.training)
        return self.norm_out(x + F.dropout(self.contract(inner), self.dropout, self.training))

    def step(self, motion: Tensor, condition: Tensor, cross: Tensor, cache: KeyValueCache) -> Tensor:
        """One frame, (B, d) each -> (B, d); ``cache`` holds the past keys and values."""
        b, d = motion.shape
        x = motion + condition + periodic_encoding(cache.frame, 1, d, period=self.period, device=motion.device)
        q, k, v = self.qkv(x).view(b, 3, self.heads, d // self.heads).unbind(1)
        keys, values, bias = cache.append(k, v)
        mixed = F.scaled_dot_product_attention(q.unsqueeze(2), keys, values, attn_mask=bias[None, :, None].to(x.dtype))
        x = self.norm_self(x + self.attention_out(mixed.reshape(b, d)))
        x = self.norm_cross(x + cross)
        return self.norm_out(x + self.contract(self.expand(x).relu()))


class KeyValueCache:
    """Keys and values of the last ``window`` frames, (rows, H, n, d/H), and the temporal bias that goes with them.

    The buffer is twice the window long, so frames are moved once per window, not once per step; memory never grows.
    """

    def __init__(self, rows: int, heads: int, width: int, *, period: int, window: int, like: Tensor):
        self.period, self.window = period, window
        self.frame, self._end = 0, 0
        self._keys = like.new_zeros(rows, heads, 2 * window, width)
        self._values = torch.zeros_like(self._keys)
        lag = torch.arange(window - 1, -1, -1, device=like.device)
        self._bias = (-bias_slopes(heads).to(lag.device)[:, None] * (lag // period)).to(like.dtype)

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(rows, H, d/H) of the new frame -> keys, values (rows, H, n, d/H) and bias (H, n) of the visible frames."""
        if keys.requires_grad:
            return self._append_by_copy(keys, values)
        if self._end == self._keys.shape[2]:
            kept = self.window - 1
            self._keys[:, :, :kept] = self._keys[:, :, -kept:].clone() if kept else self._keys[:, :, :0]
            self._values[:, :, :kept] = self._values[:, :, -kept:].clone() if kept else self._values[:, :, :0]
            self._end = kept
        self._keys[:, :, self._end] = keys
        self._values[:, :, self._end] = values
        self._end += 1
        self.frame += 1
        count = min(self.frame, self.window)
        seen = slice(self._end - count, self._end)
        return self._keys[:, :, seen], self._values[:, :, seen], self._bias[:, self.window - count :]

    def _append_by_copy(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same for training through the steps: autograd forbids writing into tensors that it needs again."""
        first = max(self._end - self.window + 1, 0)
        self._keys = torch.cat([self._keys[:, :, first : self._end], keys.unsqueeze(2)], dim=2)
        self._values = torch.cat([self._values[:, :, first : self._end], values.unsqueeze(2)], dim=2)
        self._end = self._keys.shape[2]
        self.frame += 1
        return self._keys, self._values, self._bias[:, self.window - self._end :]


class FixedCache:
    """:class:`KeyValueCache` for a recorded step: tensors that never change shape or place, frames counted on their device.

    Frame ``t`` lies in slot ``t mod window``. All slots are attended to; those not filled yet have a bias of minus infinity.
    """

    def __init__(self, rows: int, heads: int, width: int, *, period: int, window: int, like: Tensor):
        self._slots = torch.arange(window, device=like.device)
        self._bias = (-bias_slopes(heads).to(like.device)[:, None] * (self._slots // period)).to(like.dtype)  # by lag
        self._frame = torch.zeros_like(self._slots[:1])
        self._keys = like.new_zeros(rows, heads, window, width)
        self._values = torch.zeros_like(self._keys)
        self.state = (self._frame, self._keys, self._values)

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(rows, H, d/H) of the new frame -> keys, values (rows, H, window, d/H) and bias (H, window) of all slots."""
        window = len(self._slots)
        slot = self._frame % window
        self._keys.index_copy_(2, slot, keys.unsqueeze(2))
        self._values.index_copy_(2, slot, values.unsqueeze(2))
        lag = (self._frame - self._slots) % window
        bias = self._bias.index_select(1, lag).masked_fill(lag > self._frame, -torch.inf)
        self._frame += 1
        return self._keys, self._values, bias


class BranchLoop:
    """Free-running decoding of several branches side by side, frame after frame, in ``d`` dimensions, without gradients.

    Every branch has its own weights and R rows (clips, or variants of an emotion swap). State carries over between
    calls of :meth:`run`, so a stream may be fed piece by piece.
    """

    @torch.no_grad()
    def __init__(self, decoders: list[BranchDecoder], initial: Tensor, conditions: Tensor, *, fixed: bool | None = None):
        """
        Args:
            initial: (branches, R, d), the first motion token.
            conditions: (branches, R, d), the style/level embedding.
            fixed: attend to a window of fixed size, so that a step can be recorded; None: where steps are recorded, on a GPU.
        """
        first = decoders[0]
        self.heads, self.period = first.heads, first.period
        rows = initial.shape[0] * initial.shape[1]
        cache = FixedCache if (initial.is_cuda if fixed is None else fixed) else KeyValueCache
        self.cache = cache(rows, first.heads, initial.shape[2] // first.heads, period=first.period, window=first.window, like=initial)
        self.conditions = conditions
        self.motion, self.last = initial.clone(), initial.clone()
        self.feedback_frames = first.feedback_frames
        self.frame = 0
        self._recorded: Callable[[Tensor, Tensor], Tensor] | None = None

        def stack(name: str) -> tuple[Tensor, Tensor]:
            layers = [getattr(decoder, name) for decoder in decoders]
            weight = torch.stack([layer.weight for layer in layers])
            bias = torch.stack([layer.bias for layer in layers]).unsqueeze(1)
            return (weight.transpose(1, 2).contiguous() if weight.dim() == 3 else weight.unsqueeze(1)), bias

        self.qkv, self.attention_out = stack("qkv"), stack("attention_out")
        self.expand, self.contract = stack("expand"), stack("contract")
        self.norms = [stack("norm_self"), stack("norm_cross"), stack("norm_out")]
        self.epsilon = first.norm_out.eps
        feedback = [decoder.collapsed_feedback() for decoder in decoders]
        self.feedback = (torch.stack([w.T for w, _ in feedback]).contiguous(), torch.stack([b for _, b in feedback]).unsqueeze(1))

    def _norm(self, x: Tensor, index: int) -> Tensor:
        weight, bias = self.norms[index]
        return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:], eps=self.epsilon), weight)

    def step(self, token: Tensor, speech: Tensor) -> Tensor:
        """One frame: its position and condition, and its speech term, (branches, R, d) each -> hidden states (branches, R, d)."""
        n, r, d = token.shape
        x = self.motion + token
        q, k, v = torch.baddbmm(self.qkv[1], x, self.qkv[0]).view(n * r, 3, self.heads, d // self.heads).unbind(1)
        keys, values, bias = self.cache.append(k, v)
        mixed = F.scaled_dot_product_attention(q.unsqueeze(2), keys, values, attn_mask=bias[None, :, None])
        x = self._norm(x + torch.baddbmm(self.attention_out[1], mixed.reshape(n, r, d), self.attention_out[0]), 0)
        x = self._norm(x + speech, 1)
        inner = torch.baddbmm(self.expand[1], x, self.expand[0]).relu_()
        x = self._norm(x + torch.baddbmm(self.contract[1], inner, self.contract[0]), 2)
        predicted = torch.baddbmm(self.feedback[1], x, self.feedback[0])
        self.motion.copy_(predicted if self.feedback_frames == 1 else (predicted + self.last) / 2)
        self.last.copy_(predicted)
        return x

    @torch.no_grad()
    def run(self, cross: Tensor, *, cancel: Callable[[], bool] | None = None) -> Tensor:
        """Speech terms (branches, R, T, d) of the next T > 0 frames -> hidden states (branches, R, T, d).

        Raises:
            Cancelled: when ``cancel()`` returns true (called every 64 frames).
        """
        t, d = cross.shape[2:]
        position = periodic_encoding(self.frame, t, d, period=self.period, device=cross.device)
        tokens = (position + self.conditions.unsqueeze(2)).to(cross.dtype).unbind(2)
        speech = cross.unbind(2)
        if cross.is_cuda and self._recorded is None:
            self._recorded = record(self.step, (tokens[0], speech[0]), state=(self.motion, self.last, *self.cache.state))
        step = self._recorded or self.step
        out = torch.empty_like(cross)
        for i in range(t):
            if cancel is not None and i % 64 == 0 and cancel():
                raise Cancelled("Stopped, as you asked.")
            out[:, :, i] = step(tokens[i], speech[i])
        self.frame += t
        return out
