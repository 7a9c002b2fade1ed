"""The mean of several checkpoints' weights, as a model: ``python -m train.average CHECKPOINT CHECKPOINT --config CONFIG --out FOLDER``.

Checkpoints that come from one another lie in one valley, and a point between them has some of what each was trained for. The embedded
model stands between ``mini_polish`` (lips follow the speaker) and ``mini_seal`` (lips shut from corner to corner).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from .tasks import make_task
from .train import read_config


def average(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of every floating-point tensor; the others as they are in the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--config", type=Path, required=True, help="of the run that made the last one")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    options = parser.parse_args(arguments)
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in options.checkpoints]
    task = make_task(read_config(options.config))
    task.load_state(states[-1]["task"])
    task.model.load_state_dict(average([state["model"] for state in states]))
    task.export(task.model.eval(), options.out)


if __name__ == "__main__":
    main()
