"""Whisper's encoder on a window that moves with the speech: only its newest frames are computed anew.

A frame more than ``fresh`` behind the hop stays in every block as the keys and values that it had when it was last computed; the newer
frames attend to it. Its place in Whisper's position table stays the same, so where the table ends, the whole window is computed
anew at the table's beginning. With ``fresh=None`` this happens in every hop.

Shapes: n frames computed, m remembered, H heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoders import SAMPLES_PER_FRAME, SpeechEncoder, log_mel, loudest

# log10 mel power below which Whisper's loudness reference does not start (clean speech reaches 1.1 to 1.3).
_FIRST_REFERENCE = 0.0
LEAD = 2
"""Frames before the first one computed within reach of the spectrum and the convolutions."""


class WhisperStream:
    """Consecutive hops of one stream; the loudness reference is that of the stream so far."""

    def __init__(self, encoder: SpeechEncoder, *, past: int, fresh: int | None, tail: int, layers: int):
        """past, fresh and tail (silence after the window) in frames; ``layers``: only so many of the last states are kept; 0: all."""
        self._model, self._past, self._fresh, self._tail, self._layers = encoder.model, past, fresh, tail, layers
        self._reference = _FIRST_REFERENCE
        self._memory: list[tuple[Tensor, Tensor]] = []  # keys and values (1, H, m, C/H) of every block
        self._first = 0  # the first remembered frame
        self._origin = 0  # the frame at position 0

    def begin(self, done: int, stop: int) -> int:
        """The first frame that has to be computed anew for the frames from ``done`` on, when ``stop`` are known."""
        start = max(done - self._past, 0)
        full = stop - self._origin + self._tail > len(self._model.embed_positions.weight)
        if self._fresh is None or full or not self._memory:
            self._memory, self._first, self._origin = [], start, start
            return start
        return max(done - self._fresh, start)

    def encode(self, samples: Tensor, begin: int, lead: int, kept: slice) -> Tensor:
        """States (L + 1 or layers, n, C) of the frames ``kept`` (absolute); ``samples`` start ``lead`` frames before frame ``begin``."""
        model = self._model
        bands, dtype = model.config.num_mel_bins, model.conv1.weight.dtype
        samples = samples.to(model.conv1.weight.device)
        self._reference = max(self._reference, loudest(samples, bands=bands))
        frames = -(-len(samples) // SAMPLES_PER_FRAME)
        padded = F.pad(samples, (0, (frames + self._tail) * SAMPLES_PER_FRAME - len(samples)))
        x = F.gelu(model.conv1(log_mel(padded, bands=bands, reference=self._reference).to(dtype).unsqueeze(0)))
        x = F.gelu(model.conv2(x)).transpose(1, 2)[:, lead:]
        place = begin - self._origin
        x = x + model.embed_positions.weight[place : place + x.shape[1]]
        return torch.cat(self._blocks(x, begin, slice(kept.start - begin, kept.stop - begin), kept.stop)[-self._layers :])

    def _blocks(self, x: Tensor, begin: int, rows: slice, done: int) -> list[Tensor]:
        """The states of ``rows``, the last block for them alone; what the next hop, from frame ``done`` on, will not compute anew is remembered."""
        model, states, memory = self._model, [x[:, rows]], []
        settled = 0 if self._fresh is None else max(done - self._fresh - begin, 0)
        forgotten = max(done - self._past - self._first, 0)
        for number, layer in enumerate(model.layers):
            last = number == len(model.layers) - 1
            past = self._memory[number] if self._memory else None
            x, keys, values = block(layer, x, rows if last else slice(None), past)
            known = keys.shape[2] - (0 if past is None else past[0].shape[2])
            cut = slice(forgotten, keys.shape[2] - known + settled)
            memory.append((keys[:, :, cut].clone(), values[:, :, cut].clone()))
            states.append(model.layer_norm(x) if last else x[:, rows])
        self._memory = memory if settled or self._memory else []
        self._first += forgotten
        return states


def block(layer: nn.Module, x: Tensor, rows: slice, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
    """A block of Whisper's encoder for some rows of x (1, n, C), which attend to all rows and the ``past`` keys and values.

    Returns:
        the block's output for these rows; keys and values (1, H, m + n, C/H) of the past and of all rows.
    """
    attention, normed = layer.self_attn, layer.self_attn_layer_norm(x)

    def heads(y: Tensor) -> Tensor:
        return y.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)

    query, keys, values = heads(attention.q_proj(normed[:, rows])), heads(attention.k_proj(normed)), heads(attention.v_proj(normed))
    if past is not None:
        keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
    attended = F.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2)
    x = x[:, rows] + attention.out_proj(attended)
    return x + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))), keys, values
