"""Training batches for emotion recognition: two copies of every clip, and sometimes a neutral recording of the same voice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emoface.animation import EMOTIONS
from train.data import mask_of, pad

from .cache import Features
from .recordings import POSSIBLE, Recording

NEUTRAL = EMOTIONS.index("neutral")


@dataclass
class RecognitionBatch:
    """B clips, two copies of each: rows 0 … B-1 are first copies, B … 2B-1 the second ones."""

    hidden: Tensor
    """(2B, T, L, C) encoder frames."""
    mask: Tensor
    """(2B, T)"""
    labels: Tensor
    """(B,)"""
    possible: Tensor
    """(B, 8) true for the emotions that the clip's corpus asks of its actors."""
    rest: Tensor
    """(N, T', L, C) encoder frames of neutral recordings of the same voices."""
    rest_mask: Tensor
    rest_of: Tensor
    """(2B,) row of ``rest`` that goes with a copy, or -1: none."""


class Balanced:
    """Draws corpus, emotion, voice and clip in this order, each evenly. The same seed and step give the same batch."""

    def __init__(
        self,
        recordings: list[Recording],
        features: Features,
        *,
        shares: dict[str, float],
        clips: int,
        seed: int,
        reference: float,
        frames: tuple[int, int] = (45, 120),
        stride: int = 1,
    ):
        """``stride``: only every n-th frame is used (for models that take each frame by itself: the rest of the excerpt holds the same);
        ``shares`` of the corpora; ``clips``: B; ``reference``: how often a copy comes with the voice's own rest; ``frames``: length
        of the excerpts that are used."""
        self.features, self.clips, self.seed, self.reference, self.frames, self.stride = features, clips, seed, reference, frames, stride
        self.views = {r.identity: v for r in recordings if (v := features.views(r.identity))}
        self.tree: dict = {}
        self.neutral: dict[str, list[Recording]] = {}
        for r in recordings:
            if r.identity in self.views:
                self.tree.setdefault(r.corpus, {}).setdefault(r.emotion, {}).setdefault(r.speaker, []).append(r)
                if r.emotion == "neutral":
                    self.neutral.setdefault(r.speaker, []).append(r)
        self.corpora = [c for c in shares if c in self.tree]
        self.shares = np.array([shares[c] for c in self.corpora])

    def _clip(self, rng: np.random.Generator) -> Recording:
        branch = self.tree[self.corpora[rng.choice(len(self.corpora), p=self.shares / self.shares.sum())]]
        for _ in range(2):
            keys = list(branch)
            branch = branch[keys[rng.integers(len(keys))]]
        return branch[rng.integers(len(branch))]

    def _excerpt(self, identity: str, view: int, rng: np.random.Generator) -> np.ndarray:
        frames = self.features[view, identity]
        longest = self.frames[1] if rng.random() < 0.75 else int(rng.integers(*self.frames))
        start = int(rng.integers(max(len(frames) - longest, 0) + 1))
        return frames[start + int(rng.integers(self.stride)) : start + longest : self.stride]

    def batch(self, step: int) -> RecognitionBatch:
        rng = np.random.default_rng([self.seed, step])
        chosen = [self._clip(rng) for _ in range(self.clips)]
        copies: list[list[np.ndarray]] = [[], []]
        for r in chosen:
            views = self.views[r.identity]
            for rows, view in zip(copies, rng.permutation(views)[:2] if len(views) > 1 else views * 2):
                rows.append(self._excerpt(r.identity, int(view), rng))
        excerpts, rest, rest_of = copies[0] + copies[1], [], []
        for r in chosen + chosen:
            others = [n for n in self.neutral[r.speaker] if n.identity != r.identity]
            if rng.random() >= self.reference or not others:
                rest_of.append(-1)
                continue
            reference = others[rng.integers(len(others))].identity
            rest_of.append(len(rest))
            rest.append(self._excerpt(reference, int(rng.choice(self.views[reference])), rng))
        rest = rest or [excerpts[0][:1]]
        return RecognitionBatch(
            hidden=pad(excerpts),
            mask=mask_of(excerpts),
            labels=torch.tensor([r.label for r in chosen]),
            possible=torch.tensor([[e in POSSIBLE[r.corpus] for e in EMOTIONS] for r in chosen]),
            rest=pad(rest),
            rest_mask=mask_of(rest),
            rest_of=torch.tensor(rest_of),
        )
