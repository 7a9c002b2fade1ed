"""What each method of ``train.baselines`` costs: ``python -m train.tools.benchmark_methods --threads 1 --out docs/benchmark_methods.json``.

Every method is built with random weights on the embedded head, at its paper's size and at the small size of ``train.compare``, and animates
ten seconds of encoder frames in a process of its own. Speed is processor time for each second of speech (best of a few runs, or of one that takes long; the speech encoder,
which is the same for all, is printed beside), memory the process's peak over what the libraries and the head need.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F

from emoface.encoders import SpeechEncoder
from emoface.files import write_text
from emoface.head import load_head

from ..baselines import METHODS, DataShape
from .benchmark import memory_mb

FPS, SECONDS, STYLES, LAYERS = 30, 10, 10, 5
LONG_ENOUGH = 10.0  # seconds of runs after which no further one is needed
SIZES = {"paper": False, "small": True}


def measure(name: str, *, small: bool, threads: int, repeats: int) -> dict:
    """One method in this process: parameters, s of processor time per s of speech, peak MB."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    encoder = SpeechEncoder.from_pretrained()
    data = DataShape.of_head(load_head(0), features=encoder.width, layers=LAYERS, styles=STYLES)
    resting = memory_mb("VmHWM")
    network = METHODS[name].build(data, small=small).eval()
    content = torch.randn(1, SECONDS * FPS, LAYERS, encoder.width)
    style, level = F.one_hot(torch.tensor([0]), STYLES).float(), F.one_hot(torch.tensor([1]), 2).float()
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats):
            begin = time.process_time()
            shown = network.animate(content, style=style, level=level)
            seconds.append(time.process_time() - begin)
            if sum(seconds) > LONG_ENOUGH:
                break
    if shown.shape != (1, SECONDS * FPS, data.vertices, 3):
        raise SystemExit(f"{name} gave {tuple(shown.shape)}.")
    return dict(
        method=name, parameters=sum(p.numel() for p in network.parameters()), factor=min(seconds) / SECONDS, peak_mb=memory_mb("VmHWM") - resting
    )


def encoder_factor(*, threads: int, repeats: int) -> float:
    torch.set_num_threads(threads)
    encoder, samples = SpeechEncoder.from_pretrained(), 0.1 * torch.randn(SECONDS * 16000)
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        encoder.frame_features(samples, SECONDS * FPS, fps=FPS, layers=LAYERS)
        seconds.append(time.process_time() - begin)
    return min(seconds) / SECONDS


def markdown(found: dict) -> str:
    lines = [
        "# What the methods cost",
        "",
        f"Written by `{found['command']}` on {found['date']}; do not edit.",
        "",
        f"Random weights, the embedded head ({found['vertices']} vertices), {SECONDS} s of speech, {found['threads']} thread(s). *Time*: processor seconds for each second of"
        f" speech, without the speech encoder, which is the same for all ({found['encoder']:.3f}). *Memory*: peak over the libraries, head and encoder, with the weights.",
        "",
        "| method | size | parameters | time, s per s | memory, MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {METHODS[row['method']].title} | {row['size']} | {row['parameters'] / 1e6:.2f} M | {row['factor']:.4f} | {row['peak_mb']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m train.tools.benchmark_methods", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--out", type=Path, help="write JSON there, and Markdown beside it")
    parser.add_argument("--one", choices=SIZES, help="measure one method in this process and print it as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.methods[0], small=SIZES[options.one], threads=options.threads, repeats=options.repeats)))
        return
    rows = []
    for name in options.methods:
        for size in SIZES:
            own = [
                sys.executable,
                "-m",
                "train.tools.benchmark_methods",
                "--methods",
                name,
                "--one",
                size,
                "--threads",
                str(options.threads),
                "--repeats",
                str(options.repeats),
            ]
            rows.append(dict(json.loads(subprocess.run(own, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]), size=size))
    found = dict(
        command="python -m train.tools.benchmark_methods" + "".join(f" {word}" for word in sys.argv[1:]),
        date=date.today().isoformat(),
        threads=options.threads,
        vertices=load_head(0).skin_count,
        encoder=encoder_factor(threads=options.threads, repeats=options.repeats),
        rows=rows,
    )
    page = markdown(found)
    if options.out:
        for path, text in ((options.out, json.dumps(found, indent=1) + "\n"), (options.out.with_suffix(".md"), page)):
            write_text(path, text)
    print(page)


if __name__ == "__main__":
    main()
