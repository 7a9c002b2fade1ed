"""The emotions that a person can name: what the model keeps of each."""

from __future__ import annotations

import torch
from torch import Tensor

from emoface.animation import EMOTIONS
from emoface.modeling import EmoFaceModel


@torch.no_grad()
def set_named_emotions(model: EmoFaceModel, vectors: dict[tuple[int, int], list[Tensor]]) -> None:
    """Named emotion x level = mean of its recordings' features, (C,) each. RAVDESS has no strong neutral: it is the normal one, in what is
    learned for it too, which would otherwise stay as it was drawn at random (and was a smile)."""
    for (emotion, level), features in vectors.items():
        model.emotion_prototypes[emotion, level] = torch.stack(features).mean(0)
    neutral = EMOTIONS.index("neutral")
    if (neutral, 1) not in vectors:
        for learned in (model.emotion_prototypes, model.emotion_table):
            if learned is not None:
                learned[neutral, 1] = learned[neutral, 0]
