"""The four losses of the paper, all L1 but the classifier's, and the optional terms of the embedded model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SHUT = 2e-4
"""Metres between lips that count as shut."""


class LipPairs(NamedTuple):
    """Vertices (upper, lower) that touch when the lips are shut."""

    middle: Tensor
    """(P, 2) of the central third, where the aperture is measured."""
    line: Tensor
    """(Q, 2) from corner to corner."""

    @property
    def all(self) -> Tensor:
        """(P + Q, 2): the middle third counts more than the corners."""
        return torch.cat(self)


@dataclass(frozen=True)
class LossWeights:
    """``L = 1000 L_self + 1000 L_cross + 500 L_vel + 0.0001 L_cls`` in the paper."""

    self_reconstruction: float = 1000.0
    cross_reconstruction: float = 1000.0
    """0: the second emotion is not computed at all, for none of the terms."""
    velocity: float = 500.0
    classification: float = 0.0001
    lip_gap: float = 0.0
    """Beyond the paper: L1 on the height of the lips' gap, from corner to corner and once more in the middle, so that closures are worth
    something to the loss."""
    lip_aperture: float = 0.0
    """Beyond the paper: squared error of the mean gap, in mm2, of measured motion. Its optimum is the expected aperture, which follows a
    filmed speaker more closely than the median that L1 asks for; modelled lips close for certain, and the median closes with them."""
    lip_seal: float = 0.0
    """Beyond the paper: squared error of the gap, in mm2, wherever along the lips the truth is shut. Corners count as much as the middle:
    a smile over a P, B or M otherwise bares the teeth at both sides of a closed middle."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the frames inside clips: values (B, T, ...), mask (B, T)."""
    weight = mask.to(values.dtype)
    return (values.flatten(2).mean(-1) * weight).sum() / weight.sum().clamp_min(1.0)


def reconstruction(fused: Tensor, content: Tensor, emotion: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Fused + content-branch + emotion-branch L1; the last two are the intermediate supervision. (B, T, N, 3) each."""
    return sum(masked_mean((offsets - truth).abs(), mask) for offsets in (fused, content, emotion))


def velocity(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """L1 of frame differences."""
    return masked_mean((predicted.diff(dim=1) - truth.diff(dim=1)).abs(), mask[:, 1:])


def lip_gaps(offsets: Tensor, pairs: Tensor) -> Tensor:
    """Change of the lips' vertical gap: offsets (B, T, N, 3), pairs (P, 2) positions in N -> (B, T, P) metres."""
    return offsets[:, :, pairs[:, 0], 1] - offsets[:, :, pairs[:, 1], 1]


def lip_gap(predicted: Tensor, truth: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
    """L1 of the vertical gap of every lip pair, metres."""
    return masked_mean((lip_gaps(predicted, pairs) - lip_gaps(truth, pairs)).abs(), mask)


def lip_aperture(predicted: Tensor, truth: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the mean gap, mm2."""
    error = 1e3 * (lip_gaps(predicted, pairs) - lip_gaps(truth, pairs)).mean(-1, keepdim=True)
    return masked_mean(error.square(), mask)


def lip_seal(predicted: Tensor, truth: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the gap, mm2, of the pairs that are shut in the truth (the template's lips touch, so a change is an opening)."""
    wanted = lip_gaps(truth, pairs)
    error = 1e3 * (lip_gaps(predicted, pairs) - wanted)
    return masked_mean((error * (wanted < SHUT)).square(), mask)


def classification(logits: Tensor, emotion: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the emotion heard, logits (B, 8); rows whose label is negative do not count."""
    known = emotion >= 0
    if not known.any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits[known], emotion[known], label_smoothing=smoothing)
