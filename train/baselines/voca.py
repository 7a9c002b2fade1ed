"""VOCA (Cudeiro et al., CVPR 2019, arXiv 1905.03079): convolutions over a window of speech, frame by frame, without memory.

A window of 16 frames of speech features, each with the speaker's one-hot, shrinks to one by four strided convolutions; two dense layers lead
to 50 coefficients of a vertex basis that starts as the principal components of the training motion. Loss: squared error of positions
plus ten times that of velocities. VOCA's input is DeepSpeech's 29 letters; here a linear layer makes 29 channels of our encoder's frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..data import Batch
from .common import Baseline, DataShape, mse, velocity_mse

WINDOW = 16
LETTERS = 29


class Voca(Baseline):
    vertex_heads = ("basis",)

    def __init__(
        self,
        data: DataShape,
        *,
        channels: tuple[int, ...] = (32, 32, 64, 64),
        dense: int = 128,
        components: int = 50,
        velocity: float = 10.0,
        **common,
    ):
        super().__init__(data, **common)
        self.velocity, self.components = velocity, components
        self.letters = nn.Linear(data.features, LETTERS)
        sizes = (LETTERS + data.styles, *channels)
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, 3, stride=2, padding=1) for a, b in zip(sizes, sizes[1:]))
        self.dense = nn.Linear(channels[-1] + data.styles, dense)
        self.coefficients = nn.Linear(dense, components)
        self.basis = nn.Linear(components, 3 * data.vertices)

    @torch.no_grad()
    def begin(self, stage: int, *, batches, steps: int) -> None:
        """The basis starts as the training motion's principal components, one standard deviation long, and the mean."""
        frames = torch.cat([self.whole_truth(batch)[batch.mask] for batch in map(batches, range(4))])
        _, spread, directions = torch.pca_lowrank(frames, min(self.components, *frames.shape), center=True)
        weight = torch.zeros(frames.shape[1], self.components)
        weight[:, : len(spread)] = directions * spread / len(frames) ** 0.5
        for name, start in (("weight", weight), ("bias", frames.mean(0))):
            if parametrize.is_parametrized(self.basis):
                setattr(self.basis, name, start)  # the nearest that the shapes can say
            else:
                getattr(self.basis, name).copy_(start)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """(B, T, L, C), (B, n) -> coefficients (B, T, 50)."""
        letters = F.pad(self.letters(self.speech(content)), (0, 0, WINDOW // 2, WINDOW // 2 - 1))
        windows = letters.unfold(1, WINDOW, 1)  # (B, T, 29, 16)
        frames = windows.shape[1]
        speakers = style[:, None].expand(-1, frames, -1)
        x = torch.cat([windows, speakers[..., None].expand(-1, -1, -1, WINDOW)], dim=2).flatten(0, 1)
        for convolution in self.convolutions:
            x = convolution(x).relu()
        x = torch.cat([x.flatten(1).unflatten(0, (-1, frames)), speakers], dim=-1)
        return self.coefficients(self.dense(x).tanh())

    def loss(self, batch: Batch, stage: int) -> Tensor:
        predicted, truth = self.looked_at(self.basis, self(batch.content_hidden, self.style(batch))), self.truth(batch)
        return mse(predicted, truth, batch.mask) + self.velocity * velocity_mse(predicted, truth, batch.mask)

    @torch.inference_mode()
    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        return self.in_metres(self.basis(self(content, style)))
