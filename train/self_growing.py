"""The self-growing scheme: from teacher forcing to the model's own predictions.

The input of stage 1 is all ground-truth frames (shifted by one); it predicts every next frame in parallel. The input of stage 2 is, frame by
frame, ground truth or what stage 1 predicted there; its output is what the losses see.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from emoface.decoder import BranchDecoder, BranchLoop

from .motion import Motion

Scheme = Literal["self_growing", "teacher_forcing"]


def ground_truth_probability(epoch: int, *, epochs: int, warmup: int, scheme: str = "self_growing") -> float:
    """Probability that a frame of stage 2's history is ground truth in epoch ``n`` of ``N`` (counted from 0).

    1 while ``n < theta``; ``cos(pi (n - theta) / (N - theta))`` up to ``n = (N + theta) / 2``; 0 after that.
    ``scheme="teacher_forcing"`` (the paper's ablation) keeps it at 1.
    """
    if scheme not in get_args(Scheme):
        raise ValueError(f"Unknown scheme {scheme!r}: {' or '.join(get_args(Scheme))}.")
    if scheme == "teacher_forcing" or epoch < warmup:
        return 1.0
    if 2 * epoch > epochs + warmup:
        return 0.0
    return max(0.0, math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def decode(
    decoder: BranchDecoder,
    motion: Motion,
    condition: Tensor,
    cross: Tensor,
    *,
    probability: float,
    passes: int = 2,
    masked: Tensor | None = None,
    free_running: bool = False,
    first_frame: bool = False,
) -> Tensor:
    """Hidden states (B, T, d) of stage 2.

    Args:
        motion: ground truth. condition, cross: as for :class:`BranchDecoder`.
        probability: share of ground-truth frames in the history, see :func:`ground_truth_probability`.
        passes: 2 as in the paper; each further pass re-reads the prediction of the one before, which brings the history
            closer to what free running will see.
        masked: (B,) rows whose stage 1 starts from the template and that never see ground truth. An expression is slow: a
            decoder that finds it in any frame of its history copies it and never learns it from the speech. The paper has none.
        free_running: the history of masked rows is what the decoder predicts when it runs freely, frame after frame, instead of
            a few parallel passes. Cheap in ``d`` dimensions, and the only way to meet the slow drift of its own feedback.
        first_frame: the motion before the first frame is the clip's own first frame (the paper's condition for clips that do not start
            at rest; ``initial_offset`` at inference), not the template.
    """
    truth = motion.embed(decoder)
    start = truth[:, :1] if first_frame else decoder.motion_in.bias[None, None]  # the template: W_in 0 + b_in
    keep = torch.rand(truth.shape[:2], device=truth.device).unsqueeze(-1) < probability
    history = decoder.history(truth, start)
    if masked is not None:
        unmasked = ~masked[:, None, None]
        keep &= unmasked
        history = torch.where(unmasked, history, start)
    if keep.all():
        return decoder(history, condition, cross)
    for _ in range(passes - 1):
        with torch.no_grad():
            hidden = decoder(history, condition, cross)
        # The prediction is a given for stage 2: W_in learns from it, W_out and the states behind it do not.
        weight = decoder.motion_in.weight @ decoder.motion_out.weight.detach()
        bias = decoder.motion_in.weight @ decoder.motion_out.bias.detach() + decoder.motion_in.bias
        predicted = hidden @ weight.T + bias
        history = decoder.history(torch.where(keep, truth, predicted), start)
    if free_running and masked is not None and masked.any():
        history = history.clone()
        begin = start.expand(len(truth), -1, -1)[masked]
        history[masked] = decoder.history(_free_run(decoder, condition[masked], cross[masked], begin) @ weight.T + bias, begin)
    return decoder(history, condition, cross)


@torch.no_grad()
def _free_run(decoder: BranchDecoder, condition: Tensor, cross: Tensor, start: Tensor) -> Tensor:
    """Hidden states (B, T, d) of the decoder running on its own past, from ``start`` (B, 1, d)."""
    loop = BranchLoop([decoder], start.transpose(0, 1).contiguous(), condition.squeeze(1).unsqueeze(0))
    return loop.run(cross.unsqueeze(0))[0]
