"""SelfTalk (Peng et al., ACM MM 2023, arXiv 2306.10799): a face that must be readable by a lip reader that learns along.

A single decoder layer without masks turns the speech into vertices, all frames at once, without style. In training a lip reader looks at the
predicted lips: its features shall be those of the speech (latent consistency), and its letters the text (CTC). The original's text is what
a frozen recogniser gives; here it is the transcript of the corpus, or its aligned words, so that no second network is needed. Loss: squared
error of positions and velocities, with small shares of the two consistencies (paper: 1000 : 1000 : .001 : .0001 in metres).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import Batch
from .common import Baseline, DataShape, mse, silent_start, velocity_mse
from .letters import ALPHABET


class LipReader(nn.Module):
    """Lip vertices (B, T, 3 P) -> features like those of the speech (B, T, d), and letters (B, T, 1 + alphabet)."""

    def __init__(self, lips: int, hidden: int, *, heads: int, layers: int, dropout: float):
        super().__init__()
        self.look = nn.Linear(3 * lips, hidden)
        layer = nn.TransformerEncoderLayer(hidden, heads, 2 * hidden, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.letters = nn.Linear(hidden, 1 + len(ALPHABET))

    def forward(self, lips: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.encoder(self.look(lips), src_key_padding_mask=~mask)
        return seen, self.letters(seen)


class SelfTalk(Baseline):
    def __init__(
        self,
        data: DataShape,
        *,
        hidden: int = 512,
        heads: int = 4,
        reader_layers: int = 6,
        dropout: float = 0.1,
        latent: float = 1e-2,
        text: float = 1e-3,
        **common,
    ):
        super().__init__(data, **common)
        self.latent, self.text = latent, text
        self.audio = nn.Linear(data.features, hidden)
        self.decoder = nn.TransformerDecoderLayer(hidden, heads, 2 * hidden, dropout, batch_first=True)
        self.vertices = silent_start(nn.Linear(hidden, 3 * data.vertices))
        self.reader = LipReader(len(data.lips), hidden, heads=heads, layers=reader_layers, dropout=dropout)
        self.register_buffer("lips", data.among_looked(data.lips), persistent=False)

    def forward(self, latent_audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """Speech (B, T, d) -> hidden states (B, T, d); its own memory, without masks but for padding."""
        padding = None if mask is None else ~mask
        return self.decoder(latent_audio, latent_audio, tgt_key_padding_mask=padding, memory_key_padding_mask=padding)

    def loss(self, batch: Batch, stage: int) -> Tensor:
        latent_audio, truth = self.audio(self.speech(batch.content_hidden)), self.truth(batch)
        predicted = self.looked_at(self.vertices, self(latent_audio, batch.mask))
        seen, letters = self.reader(predicted[..., self.lips], batch.mask)
        total = mse(predicted, truth, batch.mask) + velocity_mse(predicted, truth, batch.mask)
        total = total + self.latent * mse(seen, latent_audio, batch.mask)
        if batch.letters is not None:
            lengths, written = batch.mask.sum(1), (batch.letters > 0).sum(1)
            known = (written > 0) & (written <= lengths)
            if known.any():
                log = letters[known].log_softmax(-1).transpose(0, 1)
                total = total + self.text * F.ctc_loss(log, batch.letters[known], lengths[known], written[known], zero_infinity=True)
        return total

    @torch.inference_mode()
    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        return self.in_metres(self.vertices(self(self.audio(self.speech(content)))))
