"""TalkingStyle (Song et al., TVCG 2024): FaceFormer with six decoder layers and an encoder of its own for the speaker's style.

A style token comes from a learned table of style vectors that the speaker's one-hot asks by attention, so that styles share what they have in
common. The loss is the mean squared error, 0.4 of it over all vertices and 0.6 over the mouth (the original's mouth indexes coordinates
with vertex numbers; here it is the lips).
"""

from __future__ import annotations

from torch import Tensor, nn

from ..data import Batch
from .common import DataShape, mse
from .faceformer import FaceFormer


class StyleEncoder(nn.Module):
    """One-hot (B, n) -> (B, d): a query from the one-hot, keys and values from the table."""

    def __init__(self, styles: int, hidden: int):
        super().__init__()
        self.query = nn.Linear(styles, hidden)
        self.table = nn.Embedding(styles, hidden)
        self.attention = nn.MultiheadAttention(hidden, 1, batch_first=True)

    def forward(self, style: Tensor) -> Tensor:
        query, table = self.query(style)[:, None], self.table.weight.expand(len(style), -1, -1)
        return (query + self.attention(query, table, table, need_weights=False)[0])[:, 0]


class TalkingStyle(FaceFormer):
    def __init__(self, data: DataShape, *, hidden: int = 64, layers: int = 6, mouth: float = 0.6, **common):
        super().__init__(data, hidden=hidden, layers=layers, **common)
        del self.obj_vector
        self.style_encoder = StyleEncoder(data.styles, hidden)
        self.mouth = mouth
        self.register_buffer("lips", data.among_looked(data.lips), persistent=False)

    def embedded_style(self, style: Tensor) -> Tensor:
        return self.style_encoder(style)

    def loss(self, batch: Batch, stage: int) -> Tensor:
        predicted, truth = self.predicted(batch), self.truth(batch)
        mouth = mse(predicted[..., self.lips], truth[..., self.lips], batch.mask)
        return (1 - self.mouth) * mse(predicted, truth, batch.mask) + self.mouth * mouth
