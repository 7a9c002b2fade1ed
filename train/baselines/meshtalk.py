"""MeshTalk (Richard et al., ICCV 2021, arXiv 2104.08223): categories that hold what speech says and what it leaves open.

Stage 0: an encoder of speech and one of expression choose, per frame, one of ``categories`` in each of ``heads`` (Gumbel-softmax), and a decoder
shows them. The cross-modality loss makes them share the face: with the right expression and foreign speech the upper face must be right, with
the right speech and foreign expression the lower face. Stage 1: at run time there is no expression, so a network guesses the categories
of each frame, head after head, from the speech so far and from those chosen before (cross-entropy); they are drawn from what it guesses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import Batch
from ..losses import masked_mean
from .common import Baseline, DataShape, silent_start


class PastConvolution(nn.Module):
    """Residual convolution over the frame and those before it."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.reach = 2 * dilation
        self.convolution = nn.Conv1d(width, width, 3, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> the same."""
        return x + F.leaky_relu(self.convolution(F.pad(x.transpose(1, 2), (self.reach, 0))), 0.2).transpose(1, 2)


def past_network(inputs: int, width: int, layers: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), *(PastConvolution(width, 2**i) for i in range(layers)))


def dense(*sizes: int) -> nn.Sequential:
    layers = [module for a, b in zip(sizes, sizes[1:]) for module in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-1])


class MeshTalk(Baseline):
    stages = 2

    def __init__(
        self,
        data: DataShape,
        *,
        heads: int = 64,
        categories: int = 128,
        hidden: int = 128,
        temperature: float = 1.0,
        eyelids: float = 1.0,
        seed: int = 0,
        **common,
    ):
        super().__init__(data, **common)
        self.heads, self.categories, self.temperature, self.eyelids, self.seed = heads, categories, temperature, eyelids, seed
        self.hear = past_network(data.features, hidden)
        self.see = dense(3 * data.vertices, 2 * hidden, hidden)
        self.see_over_time = nn.LSTM(hidden, hidden, batch_first=True)
        self.choose = dense(2 * hidden, hidden, hidden, heads * categories)
        self.show = dense(heads * categories, hidden, hidden)
        self.show_over_time = nn.LSTM(hidden, hidden, num_layers=2, batch_first=True)
        self.vertices = silent_start(nn.Linear(hidden, 3 * data.vertices))
        self.guess = Guess(data.features, heads=heads, categories=categories, hidden=hidden)
        upper = torch.tensor(data.upper[data.looked], dtype=torch.float32).repeat_interleave(3)
        self.register_buffer("upper", upper, persistent=False)
        self.register_buffer("lids", data.among_looked(data.eyelids), persistent=False)

    def stage_parameters(self, stage: int) -> list[nn.Parameter]:
        guessing = {id(p) for p in self.guess.parameters()}
        return [p for p in self.parameters() if (id(p) in guessing) == (stage == 1)]

    def logits(self, speech: Tensor, expression: Tensor) -> Tensor:
        """Speech (B, T, C) and offsets (B, T, 3S) -> (B, T, heads, categories)."""
        seen, _ = self.see_over_time(self.see(expression))
        return self.choose(torch.cat([self.hear(speech), seen], dim=-1)).unflatten(-1, (self.heads, self.categories))

    def shown(self, chosen: Tensor) -> Tensor:
        """One-hot categories (B, T, heads, categories) -> hidden states (B, T, hidden) of the decoder."""
        x = self.show(chosen.flatten(2))
        return x + self.show_over_time(x)[0]

    def loss(self, batch: Batch, stage: int) -> Tensor:
        speech, expression = self.speech(batch.content_hidden), self.whole_truth(batch)
        if stage == 1:
            with torch.no_grad():
                chosen = self.logits(speech, expression).argmax(-1)
            error = F.cross_entropy(self.guess(speech, chosen).permute(0, 3, 1, 2), chosen, reduction="none")
            return masked_mean(error, batch.mask)
        truth, foreign = self.truth(batch), torch.roll(torch.arange(len(speech)), 1)
        right_face, right_speech = self._drawn(speech[foreign], expression), self._drawn(speech, expression[foreign])
        upper, lower = (right_face - truth).square(), (right_speech - truth).square()
        total = masked_mean(self.upper * upper + (1 - self.upper) * lower, batch.mask)
        return total + self.eyelids * masked_mean(upper[..., self.lids], batch.mask)

    def _drawn(self, speech: Tensor, expression: Tensor) -> Tensor:
        """(B, T, 3N) of drawn categories; gradients pass through them."""
        return self.looked_at(self.vertices, self.shown(F.gumbel_softmax(self.logits(speech, expression), self.temperature, hard=True)))

    @torch.inference_mode()
    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        """Categories are drawn, from the same seed for every clip."""
        generator = torch.Generator(device="cpu").manual_seed(self.seed)
        chosen = self.guess.draw(self.speech(content), generator)
        return self.in_metres(self.vertices(self.shown(F.one_hot(chosen, self.categories).float())))


class Guess(nn.Module):
    """Categories of a frame from the speech so far, the frames before, and the heads before in the same frame."""

    def __init__(self, features: int, *, heads: int, categories: int, hidden: int, embedding: int = 8):
        super().__init__()
        self.heads, self.embedding = heads, embedding
        self.table = nn.Parameter(torch.randn(heads, categories, embedding) * embedding**-0.5)
        self.hear = past_network(features, hidden)
        self.remember = past_network(heads * embedding, hidden)
        self.before = nn.Linear(heads * embedding, heads * embedding)
        self.context = nn.Linear(2 * hidden, heads * embedding)
        self.out = nn.Parameter(torch.randn(heads, embedding, categories) * embedding**-0.5)
        self.out_bias = nn.Parameter(torch.zeros(heads, categories))
        earlier = torch.tril(torch.ones(heads, heads), -1)
        self.register_buffer("earlier", earlier.repeat_interleave(embedding, 0).repeat_interleave(embedding, 1), persistent=False)

    def embedded(self, chosen: Tensor) -> Tensor:
        """(..., heads) -> (..., heads x embedding)"""
        return self.table[torch.arange(self.heads), chosen].flatten(-2)

    def _logits(self, context: Tensor, embedded: Tensor) -> Tensor:
        """(..., heads x embedding) of the context and of the frame's own choices -> (..., heads, categories)."""
        inner = context + F.linear(embedded, self.before.weight * self.earlier, self.before.bias)
        return torch.einsum("...he,hec->...hc", inner.unflatten(-1, (self.heads, self.embedding)).relu(), self.out) + self.out_bias

    def forward(self, speech: Tensor, chosen: Tensor) -> Tensor:
        """Speech (B, T, C), the true choices (B, T, heads) -> logits (B, T, heads, categories)."""
        embedded = self.embedded(chosen)
        past = self.remember(F.pad(embedded[:, :-1], (0, 0, 1, 0)))
        return self._logits(self.context(torch.cat([self.hear(speech), past], dim=-1)), embedded)

    def draw(self, speech: Tensor, generator: torch.Generator) -> Tensor:
        """(1, T, C) -> (1, T, heads)"""
        heard = self.hear(speech)
        reach = 1 + sum(layer.reach for layer in self.remember[1:])
        embedded = heard.new_zeros(1, 0, self.heads * self.embedding)
        frames = []
        for t in range(speech.shape[1]):
            past = (
                self.remember(F.pad(embedded[:, max(t - reach, 0) :], (0, 0, 1, 0)))[:, -1]
                if t <= reach
                else self.remember(embedded[:, t - reach :])[:, -1]
            )
            context = self.context(torch.cat([heard[:, t], past], dim=-1))
            chosen = torch.zeros(1, self.heads, dtype=torch.long)
            for head in range(self.heads):
                probability = self._logits(context, self.embedded(chosen))[0, head].softmax(-1)
                chosen[0, head] = torch.multinomial(probability, 1, generator=generator)
            frames.append(chosen)
            embedded = torch.cat([embedded, self.embedded(chosen)[:, None]], dim=1)
        return torch.stack(frames, dim=1)
