"""EmoTalk (Peng et al., ICCV 2023, arXiv 2303.11089): words and emotion are encoded by two encoders and disentangled.

Content and emotion features, the level and the speaker are one query per frame; a decoder layer with FaceFormer's biased mask lets it look at
the emotion once more. All frames at once: there is no past motion. Pairs that swap the emotions of two recordings teach the separation:
the loss is that of cross and self reconstruction, velocity and the classification of the emotion (shares as in the EmoFace paper). The
original predicts 52 blendshape coefficients; here, as in the papers' tables, the last layer leads to vertices. Both encoders are our frozen one,
of which each branch mixes the blocks for itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emoface.animation import EMOTIONS, LEVELS

from ..data import Batch
from ..losses import classification
from ..train import fit_length
from .common import Baseline, DataShape, DiagonalDecoder, mse, silent_start, velocity_mse


class EmoTalk(Baseline):
    def __init__(
        self,
        data: DataShape,
        *,
        content: int = 512,
        emotion: int = 256,
        condition: int = 32,
        heads: int = 4,
        period: int = 30,
        dropout: float = 0.1,
        velocity: float = 0.5,
        label: float = 1e-2,
        **common,
    ):
        super().__init__(data, **common)
        width = content + emotion + 2 * condition
        self.velocity, self.label = velocity, label
        self.content = nn.Linear(data.features, content)
        self.emotion_mix = nn.Parameter(torch.zeros(data.layers))
        self.emotion_memory = nn.Linear(data.features, width)
        self.emotion = nn.Linear(width, emotion)
        self.level = nn.Linear(len(LEVELS), condition)
        self.person = nn.Linear(data.styles, condition)
        self.classifier = nn.Linear(width, len(EMOTIONS))
        self.decoder = DiagonalDecoder(hidden=width, heads=heads, feedforward=width, period=period, dropout=dropout)
        self.vertices = silent_start(nn.Linear(width, 3 * data.vertices))

    def felt(self, source: Tensor) -> Tensor:
        """Encoder frames (B, U, L, C) of the emotion source -> (B, U, width)."""
        return self.emotion_memory(torch.einsum("btlc,l->btc", source, self.emotion_mix.softmax(0)))

    def forward(self, content: Tensor, felt: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        """Encoder frames (B, T, L, C) and :meth:`felt` on the same clock -> hidden states (B, T, width)."""
        said = self.content(self.speech(content))
        conditions = torch.cat([self.level(level), self.person(style)], dim=-1)[:, None].expand(-1, said.shape[1], -1)
        query = torch.cat([said, self.emotion(felt).relu(), conditions], dim=-1)
        return self.decoder(query, felt)

    def loss(self, batch: Batch, stage: int) -> Tensor:
        total = batch.content_hidden.new_zeros(())
        for which in range(2):  # the speech with its own emotion, and with another recording's
            mask = batch.source_masks[which]
            felt = self.felt(batch.source_hidden[which])
            whole = (felt * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            level = F.one_hot(batch.levels[which], len(LEVELS)).float()
            hidden = self(batch.content_hidden, fit_length(felt, mask, batch.mask), style=self.style(batch), level=level)
            predicted = self.looked_at(self.vertices, hidden)
            truth = self.truth(batch, which)
            total = total + mse(predicted, truth, batch.mask) + self.velocity * velocity_mse(predicted, truth, batch.mask)
            total = total + self.label * classification(self.classifier(whole), batch.emotions[which])
        return total

    @torch.inference_mode()
    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        return self.in_metres(self.vertices(self(content, self.felt(content), style=style, level=level)))
