"""EmoFace itself (arXiv 2408.11518) among the baselines: our network with the paper's losses and self-growing scheme, on the same batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from emoface.configuration import EmoFaceConfig
from emoface.modeling import EmoFaceModel

from ..basis_head import learn_in_basis, merged
from ..data import Batch
from ..drawing import VertexSampler
from ..losses import LossWeights
from ..self_growing import ground_truth_probability
from ..train import compute_losses
from .common import Baseline, DataShape

EPOCHS, WARMUP = 200, 10
"""Of the paper, on which a training of any length is laid."""


class EmoFace(Baseline):
    vertex_heads = ()

    def __init__(self, data: DataShape, *, passes: int = 2, drawn: int = 200, **settings):
        """``settings`` of ``EmoFaceConfig``; ``drawn``: vertices that a step looks at, besides the lips (Mesh Attention on all is dear)."""
        super().__init__(data)
        self.layer_mix = None  # it mixes the encoder's blocks itself
        config = EmoFaceConfig(
            vertex_count=data.vertices,
            face_count=len(data.faces),
            feature_size=data.features,
            feature_layers=data.layers,
            style_names=[f"speaker {i}" for i in range(data.styles)],
            content_layer=data.layers - 1,
            emotion_layer=max(data.layers - 3, 0),
            **settings,
        )
        self.network = EmoFaceModel.from_topology(config, faces=data.faces, template=data.template)
        self.passes, self.weights, self.steps = passes, LossWeights(), 1
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.sampler = VertexSampler(
            data.faces, data.vertices, sample=min(drawn, data.vertices), seed=0, fixed=np.asarray(data.lips), smoothing=config.attention_smoothing
        )

    def learn_in_basis(self, basis: Tensor) -> None:
        learn_in_basis(self.network, basis)

    def merge_heads(self) -> None:
        if parametrize.is_parametrized(self.network.content_decoder.motion_out):
            self.network = merged(self.network)

    def begin(self, stage: int, *, batches, steps: int) -> None:
        self.steps = steps

    def loss(self, batch: Batch, stage: int) -> Tensor:
        step = int(self.seen)
        self.seen += 1
        probability = ground_truth_probability(EPOCHS * step // self.steps, epochs=EPOCHS, warmup=WARMUP)
        return compute_losses(
            self.network,
            replace(batch, prosody=None),
            drawn=self.sampler.draw(step),
            weights=self.weights,
            probability=probability,
            passes=self.passes,
        )[0]

    @torch.inference_mode()
    def animate(self, content: Tensor, *, style: Tensor, level: Tensor) -> Tensor:
        network = self.network
        felt = network.committed(network.emotion_features(content), level)
        return torch.cat([part.fused_offsets for part in network.generate(network.content_features(content), felt, style=style, level=level)], dim=1)
