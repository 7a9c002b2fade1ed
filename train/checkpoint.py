"""What both trainers (the face's and hearing's) share: resumable checkpoints, the schedule of the learning rate, averaged weights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from emoface.files import atomic_path


def write_checkpoint(path: Path, config: Any, **state: Any) -> None:
    """The state of a run and the settings (a dataclass) it was made with; complete or not at all."""
    with atomic_path(path) as temporary:
        torch.save({**state, "config": asdict(config)}, temporary)


def read_checkpoint(path: Path, config: Any) -> dict | None:
    """What :func:`write_checkpoint` wrote, on the CPU; None where there is nothing yet.

    Raises:
        SystemExit: it was made with other settings than ``config``.
    """
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    plain = [json.loads(json.dumps(settings)) for settings in (state["config"], asdict(config))]  # tuples and lists are the same setting
    if plain[0] != plain[1]:
        raise SystemExit(f"{path} was made with other settings; choose another --out or delete it.")
    return state


def warm_cosine(step: int, *, warm: int, total: int) -> float:
    """Share of the learning rate: a linear rise over ``warm`` steps, then a half cosine down to 2 % at ``total``."""
    if step < warm:
        return (step + 1) / warm
    phase = (step - warm) / max(total - warm, 1)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * phase))


@torch.no_grad()
def average_weights(mean: Iterable[Tensor], latest: Iterable[Tensor], *, decay: float, step: int) -> None:
    """Exponential moving average, in place. The first steps count more, or the start would be remembered for ever; whole numbers are copied."""
    pairs = list(zip(mean, latest, strict=True))
    numbers = [(a, b) for a, b in pairs if a.is_floating_point()]
    get_ema_multi_avg_fn(min(decay, (step + 1) / (step + 10)))([a for a, _ in numbers], [b for _, b in numbers], step + 1)
    for a, b in pairs:
        if not a.is_floating_point():
            a.copy_(b)
