"""What both trainers (of the face and of emotion recognition) share: resumable checkpoints, the schedule of the learning rate, EMA weights."""

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
from emoface.modeling import present_names

FORMER_SETTINGS = {"averaging": "ema_decay", "fresh": "reinitialise", "blind_rows": "masked_history", "hearing": "recognition"}
"""Settings in older checkpoints, and what they are called now."""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state in a file, on the CPU, under today's names."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    for former, present in (("averaged", "ema"), ("heard", "parts")):
        if former in state:
            state[present] = state.pop(former)
    for key in ("ema", "parts"):
        if state.get(key) is not None:
            state[key] = present_names(state[key])
    state["config"] = {FORMER_SETTINGS.get(key, key): value for key, value in state.get("config", {}).items()}
    if state["config"].get("model", {}).get("emotion_pooling") == "slow":
        state["config"]["model"]["emotion_pooling"] = "statistics"
    return state


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
    state = load_checkpoint(path)
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
def update_ema(mean: Iterable[Tensor], latest: Iterable[Tensor], *, decay: float, step: int) -> None:
    """Exponential moving average of weights, in place.

    Args:
        mean: the averaged tensors; tensors of whole numbers are copied.
        latest: the trained tensors, in the same order.
        decay: of the mean per step; less in the first steps, in which the mean would otherwise keep the random start for long.
        step: counted from 0.
    """
    pairs = list(zip(mean, latest, strict=True))
    numbers = [(a, b) for a, b in pairs if a.is_floating_point()]
    get_ema_multi_avg_fn(min(decay, (step + 1) / (step + 10)))([a for a, _ in numbers], [b for _, b in numbers], step + 1)
    for a, b in pairs:
        if not a.is_floating_point():
            a.copy_(b)
