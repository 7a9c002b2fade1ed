"""Batches for comparisons: the corpus' recordings with their own motion, whatever the method."""

from __future__ import annotations

import numpy as np

from ..data import Batch, Sampler, pad
from .letters import spell

KINDS = {"grid": 0.45, "ravdess": 0.30, "read": 0.25}
"""Share of each source; no speech is given a foreign emotion but as the second target, which only EmoTalk and EmoFace look at."""


class OwnMotion(Sampler):
    """As for the embedded model, but the first emotion of an item is always the recording's own, at its own level: methods that are told
    neither could not know another one."""

    def __init__(self, corpus, **settings):
        super().__init__(corpus, **{"kinds": KINDS, **settings})

    def _neutral(self, rng: np.random.Generator) -> None:
        return None

    def _level(self, rng: np.random.Generator, lender: int) -> int:
        return self.corpus.clips[lender]["level"]

    def batch(self, step: int) -> Batch:
        batch = super().batch(step)
        rows = zip(batch.spoken.tolist(), batch.mask.sum(1).tolist())
        batch.letters = pad([np.array(spell(self.corpus, [i for i in clips if i >= 0], frames), np.int64) for clips, frames in rows], np.int64)
        return batch
