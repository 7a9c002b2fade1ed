"""SpiralConv3D three ways, in one run: ``python -m train.tools.benchmark_spiral``.

*gather*: build the (T, V, K D C) neighbourhoods, then one matrix product, as one would write it first. *general*: mix, then gather
(``SpiralConv3D.forward``). *separable*: the exact short cut for ``a(t) + e(v)``. Each runs in a process of its own, so that its peak
memory (above what the process held before) is its own. The gather form needs 11 GB at the paper's size.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import torch
import torch.nn.functional as F

from emoface.mesh_attention import SpiralConv3D


def gather_form(conv: SpiralConv3D, a: torch.Tensor, e: torch.Tensor, spirals: torch.Tensor) -> torch.Tensor:
    """(T, C) and (V, C) -> (T, V, O) through every neighbourhood."""
    frames, channels = a.shape
    x = F.pad(a.unsqueeze(1) + e, (0, 0, 0, 0, conv.window - 1, 0))  # zero frames before the first
    lagged = torch.stack([x[conv.window - 1 - d : conv.window - 1 - d + frames] for d in range(conv.window)], dim=2)  # T V D C
    around = lagged[:, spirals]  # T V K D C
    return around.flatten(2) @ conv.weight.reshape(-1, conv.weight.shape[-1]) + conv.bias


FORMS = {
    "gather": gather_form,
    "general": lambda conv, a, e, spirals: conv((a.unsqueeze(1) + e).unsqueeze(0), spirals)[0],
    "separable": lambda conv, a, e, spirals: conv.separable(a.unsqueeze(0), e, spirals)[0],
}


def setting(size: argparse.Namespace):
    torch.manual_seed(0)
    torch.set_num_threads(size.threads)
    conv = SpiralConv3D(size.channels, size.channels, length=size.length, window=size.window)
    spirals = torch.randint(0, size.vertices, (size.vertices, size.length))
    return conv, torch.randn(size.frames, size.channels), torch.randn(size.vertices, size.channels), spirals


@torch.inference_mode()
def measure(form: str, size: argparse.Namespace, answers) -> None:
    conv, a, e, spirals = setting(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(size.repeats if form == "separable" else 1):
        out = None  # two answers at once would count as its memory
        start = time.perf_counter()
        out = FORMS[form](conv, a, e, spirals)
        seconds.append(time.perf_counter() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    answers.put((form, min(seconds), peak, out[:: max(size.frames // 7, 1), ::97].numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in dict(vertices=5023, frames=100, channels=64, length=9, window=9, threads=2, repeats=5).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    size = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results = {}
    for form in FORMS:
        answers = context.Queue()
        process = context.Process(target=measure, args=(form, size, answers))
        process.start()
        form, *results[form] = answers.get()
        process.join()
    print(f"V={size.vertices} T={size.frames} C={size.channels} K={size.length} delta={size.window}, {size.threads} threads")
    slow, most, truth = results["gather"]
    for form, (seconds, peak, out) in results.items():
        print(
            f"{form:10s} {seconds:8.3f} s ({slow / seconds:6.1f}x)   peak {peak:8.0f} MB ({most / max(peak, 1e-9):6.1f}x less)   "
            f"max difference {abs(out - truth).max():.1e}"
        )


if __name__ == "__main__":
    main()
