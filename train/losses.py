"""The four losses of the paper, all L1 but the classifier's, and the optional terms of the embedded model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SHUT = 2e-4
"""Metres between lips that count as shut."""
HELD = 0.6
"""Least importance of a channel in what a face holds."""


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
    branches: float = 1.0
    """Share of the intermediate supervision (the paper: 1, each branch as much as the fused face). Fusion is a weighted mean of the branches,
    so where both must be the whole face alone, a smile that only one of them has can never be shown in full."""
    lip_gap: float = 0.0
    """Beyond the paper: L1 on the height of the lips' gap, from corner to corner and once more in the middle, so that closures are worth
    something to the loss."""
    lip_aperture: float = 0.0
    """Beyond the paper: squared error of the mean gap, in mm2, of measured motion. Its optimum is the expected aperture, which follows a
    filmed speaker more closely than the median that L1 asks for; modelled lips close for certain, and the median closes with them."""
    lip_seal: float = 0.0
    """Beyond the paper: squared error of the gap, in mm2, wherever along the lips the truth is shut. Corners count as much as the middle:
    a smile over a P, B or M otherwise bares the teeth at both sides of a closed middle."""
    width: float = 0.0
    """Beyond the paper: squared error of the mouth's width, in mm2, of measured motion; it is one hundredth of what the jaw moves, and a
    vertex loss does not see it."""
    expression: float = 0.0
    """Beyond the paper: squared error of the fused face's ARKit weights. Brows move a tenth of what the jaw moves, but are half of what
    people read; in weights they count alike, and the optimum is the expected expression, not a weaker one."""
    held: float = 0.0
    """Beyond the paper: squared error of each clip's mean ARKit weights. An expression is what a face holds while the lips move; frame by frame
    the lips' own errors drown a frown of a tenth that is missing in all frames."""
    contrast: float = 0.0
    """Beyond the paper: the same of the difference between the two emotions on one speech."""
    smoothness: float = 0.0
    """Beyond the paper: squared distance, in mm2, of a vertex's error from its neighbours' mean: torn skin."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the frames inside clips: values (B, T, ...), mask (B, T)."""
    weight = mask.to(values.dtype)
    return (values.flatten(2).mean(-1) * weight).sum() / weight.sum().clamp_min(1.0)


def reconstruction(fused: Tensor, content: Tensor, emotion: Tensor, truth: Tensor, mask: Tensor, *, branches: float = 1.0) -> Tensor:
    """Fused + content-branch + emotion-branch L1; the last two are the intermediate supervision. (B, T, N, 3) each."""
    whole = masked_mean((fused - truth).abs(), mask)
    return whole + branches * sum(masked_mean((offsets - truth).abs(), mask) for offsets in (content, emotion)) if branches else whole


def mouth_width(predicted: Tensor, truth: Tensor, corners: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the distance of the lip corners (2,), right then left, mm2."""
    error = 1e3 * (predicted - truth)[:, :, corners, 0].diff(dim=-1)
    return masked_mean(error.square(), mask)


def expression(error: Tensor, importance: Tensor, mask: Tensor) -> Tensor:
    """Mean square of errors in ARKit weights (B, T, K), by channel (K,)."""
    return masked_mean(importance * error.square(), mask)


def held(error: Tensor, importance: Tensor, mask: Tensor) -> Tensor:
    """Mean square of each clip's mean error in ARKit weights (B, T, K); every clip counts by its frames.

    A dropped jaw and parted lips are held, too, so every channel that has an importance (K,) counts at least :data:`HELD`.
    """
    importance = torch.where(importance > 0, importance.clamp_min(HELD), importance)
    frames = mask.to(error.dtype)
    mean = (error * frames[..., None]).sum(1) / frames.sum(1, keepdim=True).clamp_min(1.0)
    return masked_mean((importance * mean.square())[:, None].expand(-1, mask.shape[1], -1), mask)


def roughness(error: Tensor, laplacian: Tensor, mask: Tensor) -> Tensor:
    """Squared distance of each vertex's error (B, T, N, 3) from its neighbours' mean, mm2, in every fourth frame; laplacian (N, N)."""
    error, mask = error[:, ::4], mask[:, ::4]
    return masked_mean((1e3 * torch.einsum("nm,btmx->btnx", laplacian, error)).square(), mask)


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
    """Cross-entropy of the classifier, logits (B, 8); rows whose label is negative do not count."""
    known = emotion >= 0
    if not known.any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits[known], emotion[known], label_smoothing=smoothing)
