"""One small trainer for all methods: AdamW with a cosine schedule, seeded, and resumable to the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from emoface.files import atomic_path

from ..data import Batch
from .common import Baseline

SAVE_SECONDS = 60.0


def fit(
    network: Baseline,
    batches: Callable[[int], Batch],
    *,
    steps: int,
    rate: float,
    seed: int,
    checkpoint: Path,
    clip: float = 1.0,
    report: Callable[[int, int, float], None] = lambda stage, step, loss: None,
    seconds: float = float("inf"),
) -> bool:
    """Train every stage for ``steps``; goes on from ``checkpoint`` where there is one.

    Args:
        batches: the batch of a step.
        report: called with stage, step and loss now and then.
        seconds: stop after that long.

    Returns:
        whether it was finished; if not, the checkpoint holds what the next call goes on from.
    """
    started = saved = time.monotonic()
    first_stage = first_step = 0
    state = torch.load(checkpoint, map_location="cpu", weights_only=True) if checkpoint.exists() else None
    if state is not None:
        network.load_state_dict(state["network"])
        first_stage, first_step = state["stage"], state["step"]
    network.train()
    for stage in range(first_stage, network.stages):
        parameters = network.stage_parameters(stage)
        optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(steps, 4), pct_start=0.05, div_factor=10, final_div_factor=50)
        torch.manual_seed(seed)
        fresh = state is None or stage > first_stage
        if fresh or first_step == 0:
            network.begin(stage, batches=batches, steps=steps)
        else:
            weights = {name: value.clone() for name, value in network.state_dict().items()}
            network.begin(stage, batches=batches, steps=steps)  # what is no weight, e.g. the schedule of a scheme
            network.load_state_dict(weights)
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
        for step in range(0 if fresh else first_step, steps):
            torch.manual_seed(seed * 1_000_003 + stage * 100_003 + step)
            loss = network.loss(batches(step), stage)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
            schedule.step()
            if step % 50 == 0 or step == steps - 1:
                report(stage, step, float(loss.detach()))
            now = time.monotonic()
            stop = now - started > seconds
            if stop or now - saved > SAVE_SECONDS:
                saved = now
                with atomic_path(checkpoint) as path:
                    torch.save(
                        dict(
                            network=network.state_dict(), optimizer=optimizer.state_dict(), schedule=schedule.state_dict(), stage=stage, step=step + 1
                        ),
                        path,
                    )
            if stop and (stage, step) != (network.stages - 1, steps - 1):
                return False
    network.eval()
    return True
