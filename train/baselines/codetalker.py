"""CodeTalker (Xing et al., CVPR 2023, arXiv 2301.02379): speech chooses from a codebook of real motion.

Stage 0 learns the codebook: an autoencoder of offsets whose frames pass through ``tokens`` quantised vectors each (L1 error, and the
quantiser's two terms). Stage 1 is FaceFormer's decoder with more layers, whose output is quantised and shown by the frozen decoder of
stage 0; it is taught with the true past (squared errors of vertices and of features). When it runs freely every new frame is decoded together
with all frames before it, because the decoder's normalisation looks at the whole clip; work grows with the square of the length.

Kept from the original, because its weights depend on it: attention is scaled by the whole width, not a head's; the position that the
autoencoder adds is that of frame 0 for every frame (its table is indexed by the batch); the first frame is decoded as two copies of itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emoface.decoder import periodic_encoding

from ..data import Batch
from .common import Baseline, DataShape, DiagonalDecoder, silent_start


class Block(nn.Module):
    """Attention over the clip and two dense layers, each after a norm and added."""

    def __init__(self, width: int, heads: int, feedforward: int):
        super().__init__()
        self.heads, self.scale = heads, width**-0.5
        self.norm_attention, self.norm_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width)
        self.l1, self.l2 = nn.Linear(width, feedforward), nn.Linear(feedforward, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.to_out(F.scaled_dot_product_attention(q, k, v, scale=self.scale).transpose(1, 2).flatten(2))
        return x + self.l2(F.gelu(self.l1(self.norm_dense(x)), approximate="tanh"))


class TemporalNetwork(nn.Module):
    """Convolution over 5 frames, normalised over the clip, then a transformer: (B, T, width) -> (B, T, width)."""

    def __init__(self, width: int, *, layers: int, heads: int, feedforward: int, slope: float, dropout: float):
        super().__init__()
        self.slope, self.dropout = slope, dropout
        self.convolution = nn.Conv1d(width, width, 5, padding=2, padding_mode="replicate")
        self.embedding = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(width, heads, feedforward) for _ in range(layers))
        self.register_buffer("position", periodic_encoding(0, 1, width, period=1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.convolution(x.transpose(1, 2)), self.slope)
        x = self.embedding(F.instance_norm(x).transpose(1, 2)) + self.position
        x = F.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        return x


class MotionCodebook(nn.Module):
    """Offsets (B, T, 3S) -> tokens (B, T, tokens x size) -> offsets."""

    def __init__(
        self,
        vertices: int,
        *,
        tokens: int,
        size: int,
        entries: int,
        layers: int,
        heads: int,
        feedforward: int,
        slope: float = 0.2,
        commitment: float = 0.25,
        dropout: float = 0.1,
    ):
        super().__init__()
        width = tokens * size
        self.size, self.slope, self.commitment = size, slope, commitment
        network = dict(layers=layers, heads=heads, feedforward=feedforward, slope=slope, dropout=dropout)
        self.vertice_mapping = nn.Linear(3 * vertices, width)
        self.encoder, self.decoder = TemporalNetwork(width, **network), TemporalNetwork(width, **network)
        self.vertice_map_reverse = nn.Linear(width, 3 * vertices)
        self.codebook = nn.Embedding(entries, size)
        nn.init.uniform_(self.codebook.weight, -1 / entries, 1 / entries)

    def quantise(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, width) -> the nearest entries (gradients pass straight through), and the quantiser's loss."""
        z = features.unflatten(-1, (-1, self.size))
        nearest = torch.cdist(z.detach().flatten(0, -2), self.codebook.weight.detach()).argmin(1)
        q = self.codebook(nearest).view_as(z)
        loss = self.commitment * (q.detach() - z).square().mean() + (q - z.detach()).square().mean()
        return (z + (q - z).detach()).flatten(-2), loss

    def encode(self, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised features (B, T, width) of offsets (B, T, 3S), and the quantiser's loss."""
        return self.quantise(self.encoder(F.leaky_relu(self.vertice_mapping(offsets), self.slope)))

    def decode(self, quantised: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, 3S)"""
        return self.vertice_map_reverse(self.decoder(quantised))


class CodeTalker(Baseline):
    stages = 2
    vertex_heads = ("autoencoder.vertice_map_reverse",)

    def __init__(
        self,
        data: DataShape,
        *,
        hidden: int = 1024,
        heads: int = 4,
        layers: int = 6,
        period: int = 30,
        dropout: float = 0.1,
        tokens: int = 16,
        size: int = 64,
        entries: int = 256,
        code_layers: int = 6,
        code_heads: int = 8,
        code_feedforward: int = 1536,
        **common,
    ):
        super().__init__(data, **common)
        self.autoencoder = MotionCodebook(
            data.vertices,
            tokens=tokens,
            size=size,
            entries=entries,
            layers=code_layers,
            heads=code_heads,
            feedforward=code_feedforward,
            dropout=dropout,
        )
        self.audio_feature_map = nn.Linear(data.features, hidden)
        self.vertice_map = nn.Linear(3 * data.vertices, hidden)
        self.transformer_decoder = DiagonalDecoder(hidden=hidden, heads=heads, feedforward=2 * hidden, layers=layers, period=period, dropout=dropout)
        self.feat_map = silent_start(nn.Linear(hidden, tokens * size, bias=False))
        self.learnable_style_emb = nn.Embedding(data.styles, hidden)

    def stage_parameters(self, stage: int) -> list[nn.Parameter]:
        code = {id(p) for p in self.autoencoder.parameters()}
        return [p for p in self.parameters() if (id(p) in code) == (stage == 0)]

    def loss(self, batch: Batch, stage: int) -> Tensor:
        """Clip by clip, without padding: normalisation looks at the whole clip."""
        total, style = batch.content_hidden.new_zeros(()), self.style(batch)
        whole, truth = self.whole_truth(batch), self.truth(batch)
        for row, length in enumerate(batch.mask.sum(1).tolist()):
            one = slice(row, row + 1), slice(0, length)
            if stage == 0:
                total = total + self._codebook_loss(whole[one], truth[one])
            else:
                total = total + self._speech_loss(batch.content_hidden[one], whole[one], truth[one], style[row : row + 1])
        return total / len(truth)

    def _looked_at(self, quantised: Tensor) -> Tensor:
        return self.looked_at(self.autoencoder.vertice_map_reverse, self.autoencoder.decoder(quantised))

    def _codebook_loss(self, whole: Tensor, truth: Tensor) -> Tensor:
        quantised, loss = self.autoencoder.encode(whole)
        return (self._looked_at(quantised) - truth).abs().mean() + loss

    def _speech_loss(self, content: Tensor, whole: Tensor, truth: Tensor, style: Tensor) -> Tensor:
        with torch.no_grad():
            wanted, _ = self.autoencoder.encode(whole)
        past = F.pad(whole[:, :-1], (0, 0, 1, 0))
        tokens = self.vertice_map(past) + self._style(style)[:, None]
        features = self.feat_map(self.transformer_decoder(tokens, self.audio_feature_map(self.speech(content))))
        shown = self._looked_at(self.autoencoder.quantise(features)[0])
        return (shown - truth).square().mean() + (features - wanted).square().mean()

    def _style(self, style: Tensor) -> Tensor:
        return self.learnable_style_emb(style.argmax(-1))

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Encoder frames (1, T, L, C), one-hot (1, n) -> offsets (1, T, 3S) in units, free-running."""
        memory, embedded = self.audio_feature_map(self.speech(content)), self._style(style)
        speech, mask = self.transformer_decoder.aligned(memory), self.transformer_decoder.bias(memory.shape[1], memory.device)
        cache: list = [None] * len(self.transformer_decoder.layers)
        token, chosen = embedded, []
        for t in range(memory.shape[1]):
            hidden = self.transformer_decoder.step(token, [heard[:, t] for heard in speech], cache, mask)
            chosen.append(self.autoencoder.quantise(self.feat_map(hidden)[:, None])[0])
            past = torch.cat(chosen if t else chosen * 2, dim=1)
            token = self.vertice_map(self.autoencoder.decode(past)[:, -1 if t else 0]) + embedded
        return self.autoencoder.decode(torch.cat(chosen, dim=1))

    @torch.inference_mode()
    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        if content.shape[1] == 1:  # one frame has no spread to be normalised by
            return self.animate(content.expand(-1, 2, -1, -1), style=style, level=level)[:, :1]
        return self.in_metres(self(content, style))
