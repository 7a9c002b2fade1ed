"""The emotions that a person can name: what the model keeps of each."""

from __future__ import annotations

import torch
from torch import Tensor

from emoface.animation import EMOTIONS
from emoface.modeling import EmoFaceModel


@torch.no_grad()
def set_named_emotions(model: EmoFaceModel, vectors: dict[tuple[int, int], list[Tensor]]) -> None:
    """Named emotion x level = mean of its recordings' features, (C,) each. RAVDESS has no strong neutral: it is the normal one."""
    for (emotion, level), features in vectors.items():
        model.emotion_prototypes[emotion, level] = torch.stack(features).mean(0)
    neutral = EMOTIONS.index("neutral")
    if (neutral, 1) not in vectors:
        model.emotion_prototypes[neutral, 1] = model.emotion_prototypes[neutral, 0]
