"""FaceFormer (Fan et al., CVPR 2022, arXiv 2112.05329): a transformer over the speech and its own past motion.

Style is a one-hot of the training speakers, embedded and added to every token. It is trained on its own past (no teacher forcing), with the
mean squared error of all vertices. Names of parameters are those of the official checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data import Batch
from .common import Baseline, DataShape, DiagonalDecoder, free_run, mse, silent_start


class FaceFormer(Baseline):
    vertex_heads = ("vertice_map_r",)

    def __init__(self, data: DataShape, *, hidden: int = 64, heads: int = 4, layers: int = 1, period: int = 30, dropout: float = 0.1, **common):
        super().__init__(data, **common)
        self.audio_feature_map = nn.Linear(data.features, hidden)
        self.vertice_map = nn.Linear(3 * data.vertices, hidden)
        self.transformer_decoder = DiagonalDecoder(hidden=hidden, heads=heads, feedforward=2 * hidden, layers=layers, period=period, dropout=dropout)
        self.vertice_map_r = silent_start(nn.Linear(hidden, 3 * data.vertices))
        self.obj_vector = nn.Linear(data.styles, hidden, bias=False)

    def embedded_style(self, style: Tensor) -> Tensor:
        """(B, n) -> (B, d)"""
        return self.obj_vector(style)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Encoder frames (B, T, L, C), one-hot (B, n) -> hidden states (B, T, d), free-running."""
        memory = self.audio_feature_map(self.speech(content))
        return free_run(self.transformer_decoder, memory, self.embedded_style(style), self.vertice_map, self.vertice_map_r)

    def predicted(self, batch: Batch) -> Tensor:
        """(B, T, 3N), see :meth:`Baseline.truth`."""
        return self.looked_at(self.vertice_map_r, self(batch.content_hidden, self.style(batch)))

    def loss(self, batch: Batch, stage: int) -> Tensor:
        return mse(self.predicted(batch), self.truth(batch), batch.mask)

    @torch.inference_mode()
    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        return self.in_metres(self.vertice_map_r(self(content, style)))
