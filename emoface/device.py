"""Where the work runs: which device, how precisely, on how many threads."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import torch

from .errors import EmoFaceError

_CGROUP = Path("/sys/fs/cgroup")


def pick_device(device: str = "auto") -> torch.device:
    """``auto`` takes the GPU when there is one.

    Raises:
        EmoFaceError: ``cuda`` was asked for and there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EmoFaceError("No CUDA GPU is available here: use --device cpu or --device auto.")
    return torch.device(device)


def encoder_precision(device: torch.device) -> torch.dtype:
    """What the speech encoders compute in: float16 on a GPU, float32 elsewhere.

    Everything after them stays in float32: it costs little, and the decoders feed their rounding errors back to themselves.
    """
    return torch.float16 if device.type == "cuda" else torch.float32


def usable_cores() -> int:
    """CPU cores that this process may keep busy: its affinity, or less where a container has a quota (rounded up)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return cores if quota is None else max(1, min(cores, quota))


def limit_threads() -> None:
    """Keep torch from running more threads than :func:`usable_cores`; never raises a number that was chosen lower.

    torch counts the machine's cores. In a container that may use two of 64, its threads would mostly wait for each other.
    """
    if torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())


def on_one_core() -> int:
    """From now on torch uses no helpers in this thread: a hop of a live face is too small to share, and on busy cores helpers that wait for each other cost
    half as much again. Returns how many threads there were.

    torch gives the number that was set last to threads that come later: another thread puts it back.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    back = threading.Thread(target=torch.set_num_threads, args=(before,))
    back.start()
    back.join()
    return before


def _quota() -> int | None:
    """Cores by the container's CPU quota (cgroup version 2, then 1), or None without one."""
    try:
        limit, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = ((_CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return None
    return None if limit == "max" or int(limit) <= 0 else -(-int(limit) // int(period))
