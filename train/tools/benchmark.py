"""How fast, how much memory: ``python -m train.tools.benchmark --threads 2 --out docs/benchmark.json``.

For each model and length of speech one fresh process animates a recording, and prints beside the whole: its stages,
the bare pass through the speech encoders (no system that uses them can be faster), and decoding as FaceFormer does it,
where every new frame runs the whole past again. All numbers are seconds of work per second of speech (the real-time
factor), best of a few runs, all in one run of this command; then the goals (:data:`GOALS`) with what was measured.

With ``--device cuda`` every recording is animated on the CPU too, and the distance between the two answers is printed.

``mini`` is the embedded model (random weights of its size if there are none yet), ``base`` the paper's size with random
weights: two wav2vec 2.0 base encoders and 5023 vertices. Times do not depend on the weights' values.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from unittest.mock import patch

import numpy as np

from emoface.clock import frame_count
from emoface.errors import EmoFaceError
from emoface.files import write_text

SECONDS = {"mini": (2, 5, 10, 20, 60, 120, 600), "base": (2, 5, 10, 20, 120)}
STAGES = ("audio", "encoder", "features", "decoders", "heads", "fusion", "parts", "rest")
GOALS = (  # what, model, seconds of speech, key of the result, at most
    ("end to end, s per s", "mini", 10, "factor", 0.08),
    ("end to end over two bare encoder passes, processor time", "base", 10, "over_floor_processor", 1.35),
    ("decoders and vertex heads, one thread, ms a frame", "base", 10, "decoding_ms", 0.6),
    ("fusion, one thread, ms a frame", "base", 10, "fusion_ms", 1.2),
)
UNCACHED_UP_TO = 20  # seconds: FaceFormer's own limit (600 frames), and quadratic work beyond it
FLAME_SIZE = 5023


@dataclass
class StageClock:
    """Seconds per stage by the clock ``now``; time inside an inner stage is not counted for the outer one."""

    synchronize: object = None
    now: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    _open: list[list] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str):
        entry = [self.now(), 0.0]
        self._open.append(entry)
        try:
            yield
        finally:
            if self.synchronize:
                self.synchronize()
            spent = self.now() - entry[0]
            self._open.pop()
            self.seconds[name] += spent - entry[1]
            if self._open:
                self._open[-1][1] += spent

    def watch(self, owner, attribute: str, name: str):
        """A context in which calls of ``owner.attribute`` count as a stage."""
        function = getattr(owner, attribute)

        def timed(*args, **kwargs):
            with self.stage(name):
                return function(*args, **kwargs)

        return patch.object(owner, attribute, timed)


def speech_like(seconds: float, *, rate: int = 16000) -> np.ndarray:
    """Noise in syllables: every stage does the same work as for speech."""
    time_axis = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time_axis))
    return (0.1 * np.sin(2 * np.pi * 2 * time_axis) ** 2 * noise).astype(np.float32)


def tube(vertices: int = FLAME_SIZE, columns: int = 81) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) in metres and faces of a closed-top tube of about head size: a stand-in for FLAME's topology."""
    rings = (vertices - 1) // columns
    if rings * columns + 1 != vertices:
        raise ValueError(f"{vertices} vertices do not make whole rings of {columns} and a tip.")
    angle, height = np.meshgrid(np.arange(columns) * 2 * np.pi / columns, np.linspace(0, 0.2, rings))
    points = np.stack([0.08 * np.cos(angle), height, 0.08 * np.sin(angle)], axis=-1).reshape(-1, 3)
    index = np.arange(rings * columns).reshape(rings, columns)
    below, above = index[:-1], index[1:]
    side = np.stack([below, np.roll(below, -1, 1), np.roll(above, -1, 1), above], axis=-1).reshape(-1, 4)
    tip = np.stack([index[-1], np.roll(index[-1], -1), np.full(columns, vertices - 1)], axis=-1)
    faces = np.concatenate([side[:, [0, 2, 1]], side[:, [0, 3, 2]], tip[:, ::-1]])
    return np.concatenate([points, [[0, 0.25, 0]]]).astype(np.float32), faces.astype(np.int32)


def build(name: str, device: str):
    """The pipeline of a size; random weights where there are none."""
    import torch

    from emoface import EmoFaceConfig, EmoFaceModel, EmoFacePipeline
    from emoface.encoders import SpeechEncoder
    from emoface.head import load_head
    from emoface.hub import EMBEDDED_MODEL
    from emoface.pipeline import pick_device

    place = pick_device(device)
    torch.manual_seed(0)
    if name == "mini":
        if EMBEDDED_MODEL.exists():
            return EmoFacePipeline.from_pretrained("embedded", device=device, max_seconds=10_000)
        head = load_head(0)
        config = EmoFaceConfig(face_count=len(head.skin_faces))
        model = EmoFaceModel.from_topology(config, faces=head.skin_faces, template=head.skin_template)
        return EmoFacePipeline(model, SpeechEncoder.from_pretrained(), device=place, max_seconds=10_000)
    vertices, faces = tube()
    config = EmoFaceConfig.base(face_count=len(faces))
    model = EmoFaceModel.from_topology(config, faces=faces, template=vertices)
    for decoder in (model.content_decoder, model.emotion_decoder):  # fresh ones do not move anything
        torch.nn.init.normal_(decoder.motion_out.weight, std=0.1)
    encoders = [SpeechEncoder({"type": "wav2vec2", "config": {}}).eval() for _ in range(2)]
    return EmoFacePipeline(model, *encoders, device=place, max_seconds=10_000)


def measure(name: str, seconds: float, *, threads: int, device: str, repeats: int) -> dict:
    """Everything about one model and one length, in this process."""
    import soundfile
    import torch

    torch.set_num_threads(threads)
    samples = speech_like(seconds)
    begin = time.perf_counter()
    pipeline = build(name, device)
    loading = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        soundfile.write(path, samples, 16000)
        pipeline((samples[: 2 * 16000], 16000))  # warm up: lazy imports, vertex term, memory pools
        resting = memory_mb("VmRSS")
        _reset_peak()
        runs = [_timed(lambda: pipeline(path), pipeline.device) for _ in range(repeats)]
        whole, processor = min(run[0] for run in runs), min(run[1] for run in runs)
        peak = memory_mb("VmHWM")
        answer_mb = sum(part.nbytes for part in vars(pipeline(path)).values() if isinstance(part, np.ndarray)) / 2**20
        bare = [_timed(lambda: pipeline.encode(pipeline.load(path)), pipeline.device) for _ in range(repeats)]
        floor, floor_processor = min(run[0] for run in bare), min(run[1] for run in bare)
        stages = _stages(pipeline, lambda: pipeline(path), repeats)
        on_cpu = _against_cpu(pipeline, build(name, "cpu"), path, seconds) if pipeline.device.type == "cuda" else {}
    result = {
        "model": name,
        "seconds": seconds,
        "frames": frame_count(round(16000 * seconds), 30),
        "device": str(pipeline.device),
        "threads": torch.get_num_threads(),
        "parameters": _parameters(pipeline),
        "loading_s": round(loading, 2),
        "factor": whole / seconds,
        "processor_factor": processor / seconds,
        "encoder_floor": floor / seconds,
        "over_floor": whole / floor,
        "over_floor_processor": processor / floor_processor,
        "stages": {stage: spent / seconds for stage, spent in stages.items()},
        "memory_loaded_mb": resting,
        "memory_peak_mb": peak,
        "answer_mb": answer_mb,
        **on_cpu,
    }
    if seconds <= UNCACHED_UP_TO:
        result.update(_uncached(pipeline, result["frames"], seconds))
        if pipeline.device.type == "cpu":
            result.update(_one_thread(pipeline, result["frames"]))
    return result


def best(work, repeats: int, device) -> float:
    """Shortest of a few runs, seconds: the one least disturbed by other programs."""
    return min(_timed(work, device)[0] for _ in range(repeats))


def _timed(work, device) -> tuple[float, float]:
    """Seconds on the clock, and of processor time (of all threads: what a busy machine hardly changes)."""
    import torch

    begin, processor = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin, time.process_time() - processor


def _stages(pipeline, work, repeats: int, now: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Seconds per stage of ``work()``, which uses the pipeline: of the fastest of a few runs."""
    import torch

    from emoface import pipeline as module
    from emoface.decoder import BranchDecoder, BranchLoop
    from emoface.head import Head

    cuda = pipeline.device.type == "cuda"
    clock = StageClock(torch.cuda.synchronize if cuda else None, now)
    watched = [
        (pipeline, "load", "audio"),
        (pipeline, "encode", "encoder"),
        (pipeline, "_features", "features"),
        (pipeline, "_inputs", "features"),
        (BranchDecoder, "cross", "decoders"),
        (BranchLoop, "run", "decoders"),
        (BranchDecoder, "offsets", "heads"),
        (pipeline.model.mesh_attention, "audio", "fusion"),
        (pipeline.model.mesh_attention, "time_term", "fusion"),
        (pipeline.model.mesh_attention, "weights", "fusion"),
        (pipeline.model, "fuse", "fusion"),
        (module, "fit_blendshapes", "parts"),
        (Head, "assemble", "parts"),
    ]
    runs = []
    with ExitStack() as stack:
        for owner, attribute, stage in watched:
            stack.enter_context(clock.watch(owner, attribute, stage))
        for _ in range(repeats):
            clock.seconds = dict.fromkeys(STAGES, 0.0)
            with clock.stage("rest"):
                work()
            runs.append(clock.seconds)
    return min(runs, key=lambda run: sum(run.values()))


def _uncached(pipeline, frames: int, seconds: float) -> dict:
    """The two decoders and vertex heads alone: ours, and FaceFormer's way at the same size; and that they agree."""
    import torch

    model = pipeline.model
    config = model.config
    conditions = model.conditions(style=config.style_names[0], level=config.level_names[0])
    style, level = conditions["style"], conditions["level"]
    features = torch.randn(1, frames, config.feature_size, device=pipeline.device)

    @torch.inference_mode()
    def ours():
        loop = model.branch_loop(style=style, level=level)
        decoders = (model.content_decoder, model.emotion_decoder)
        hidden = loop.run(torch.stack([decoder.cross(features) for decoder in decoders]))
        return [decoder.offsets(h) for decoder, h in zip(decoders, hidden)]

    @torch.inference_mode()
    def faceformer():
        answers = []
        for decoder, level_given in ((model.content_decoder, None), (model.emotion_decoder, level)):
            condition, cross = decoder.condition(style, level_given), decoder.cross(features)
            start = decoder.embed(model.template.new_zeros(1, 1, 3 * config.vertex_count))
            said = start[:, :0]
            for t in range(frames):
                tokens = decoder.history(torch.cat([said, start], dim=1), start)  # the last one only makes room: a frame does not see itself
                offsets = decoder.offsets(decoder(tokens, condition, cross[:, : t + 1]))
                said = torch.cat([said, decoder.embed(offsets[:, -1:].flatten(2))], dim=1)
            answers.append(offsets)
        return answers

    cached = best(ours, 3, pipeline.device)
    uncached = best(faceformer, 1, pipeline.device)
    short = features
    if frames > 60:  # a free-running loop multiplies rounding errors, so equality is shown on the first two seconds
        features = short[:, :60]
        frames = 60
    difference = max(float((a - b).abs().max()) for a, b in zip(ours(), faceformer()))
    return {
        "decoding": cached / seconds,
        "decoding_uncached": uncached / seconds,
        "decoding_gain": uncached / cached,
        "decoding_difference_m": difference,
    }


def _one_thread(pipeline, frames: int) -> dict:
    """Milliseconds a frame of decoding (decoders and vertex heads) and of fusion with one CPU thread (processor time, which other
    programs hardly change), on random features."""
    import torch

    model, threads = pipeline.model, torch.get_num_threads()
    features = torch.randn(1, frames, model.config.feature_size, device=pipeline.device)
    conditions = model.conditions(style=model.config.style_names[0], level=model.config.level_names[0])

    def generate():
        for _ in model.generate(features, features, chunk=64, **conditions):
            pass

    torch.set_num_threads(1)
    stages = _stages(pipeline, generate, 3, time.process_time)
    torch.set_num_threads(threads)
    a_frame = {stage: 1e3 * seconds / frames for stage, seconds in stages.items()}
    return {"decoding_ms": a_frame["decoders"] + a_frame["heads"], "fusion_ms": a_frame["fusion"]}


def _against_cpu(pipeline, reference, path: Path, seconds: float) -> dict:
    """Seconds per second of the same job on the CPU, and the largest distance of a vertex from its answer, mm: as the GPU does it,
    with float16 encoders, and with float32 encoders (which ``pipeline`` has afterwards)."""
    expected = reference(path).vertices

    def distance() -> float:
        return 1e3 * float(np.linalg.norm(pipeline(path).vertices - expected, axis=-1).max())

    result = {"cpu_factor": best(lambda: reference(path), 1, reference.device) / seconds, "cpu_difference_mm": distance()}
    for encoder in filter(None, (pipeline.content_encoder, pipeline.emotion_encoder)):
        encoder.float()
    return {**result, "cpu_difference_float32_mm": distance()}


def _parameters(pipeline) -> int:
    parts = [pipeline.model, pipeline.content_encoder, pipeline.emotion_encoder]
    return sum(parameter.numel() for part in parts if part is not None for parameter in part.parameters())


def memory_mb(key: str) -> float:
    """Resident memory (``VmRSS``) or its peak (``VmHWM``) of this process, MB; nan where Linux does not tell."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float("nan")


def _reset_peak() -> None:
    """Forget the peak of loading; without /proc the peak includes it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


# ---------------------------------------------------------------------------------------------------------- report


def table(results: list[dict]) -> str:
    """A Markdown table; factors are seconds of work per second of speech."""
    names = [
        "model",
        "speech",
        "whole",
        "processor time",
        "encoder floor",
        "whole / floor (processor)",
        *STAGES,
        "decoding",
        "FaceFormer's way",
        "memory MB",
    ]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for r in results:
        uncached = f"{r['decoding_uncached']:.3f} ({r['decoding_gain']:.0f}x)" if "decoding_uncached" in r else "-"
        cells = [
            r["model"],
            f"{r['seconds']:g} s",
            f"**{r['factor']:.3f}**",
            f"{r['processor_factor']:.3f}",
            f"{r['encoder_floor']:.3f}",
            f"{r['over_floor']:.2f} ({r['over_floor_processor']:.2f})",
        ]
        cells += [f"{r['stages'][stage]:.4f}" for stage in STAGES]
        cells += [f"{r['decoding']:.4f}" if "decoding" in r else "-", uncached]
        cells.append(f"{r['memory_peak_mb']:.0f} (loaded {r['memory_loaded_mb']:.0f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def goals(results: list[dict]) -> str:
    """What was asked for and what was measured, as far as these results tell; one Markdown item each."""
    by_case = {(r["model"], r["seconds"]): r for r in results}
    lines = []

    def line(what: str, value: float, most: float) -> None:
        lines.append(f"* {what}: **{value:.3g}** (goal: at most {most:g}, {'reached' if value <= most else 'missed'})")

    for what, model, seconds, key, most in GOALS:
        if key in (result := by_case.get((model, seconds), {})):
            line(f"{model}, {seconds} s, {what}", result[key], most)
    if ("mini", 60) in by_case and ("mini", 600) in by_case:
        minute, ten = by_case["mini", 60], by_case["mini", 600]
        line("mini, a second of 600 s against one of 60 s, processor time", ten["processor_factor"] / minute["processor_factor"], 1.1)
        grown = ten["memory_peak_mb"] - ten["memory_loaded_mb"]
        lines.append(f"* mini, 600 s: memory grows by {grown:.0f} MB, the answer itself is {ten['answer_mb']:.0f} MB")
    for r in results:
        if "cpu_factor" in r:
            line(f"{r['model']}, {r['seconds']:g} s, time on the GPU against the CPU", r["factor"] / r["cpu_factor"], 1)
            lines.append(
                f"* {r['model']}, {r['seconds']:g} s: largest distance of a vertex from the CPU's answer"
                f" {r['cpu_difference_mm']:.2g} mm; {r['cpu_difference_float32_mm']:.2g} mm with float32 encoders"
            )
    return "\n".join(lines)


def page(report: dict) -> str:
    """``docs/benchmark.md``."""
    first = report["results"][0]
    return "\n".join(
        [
            "# Speed and memory",
            "",
            (
                f"Generated by `{report['command']}` on {report['date']}; do not edit. {report['machine']}, device"
                f" {first['device']}, **{first['threads']} threads**."
            ),
            "",
            (
                "Seconds of work per second of speech (real-time factor; below 1 is faster than real time). *Whole*:"
                " file to finished `Animation`. *Processor time*: the same summed over threads, which other programs"
                " hardly change. *Encoder floor*: reading the file and the bare speech encoders. The stages are a"
                " second, instrumented run: *audio* decodes the file, *features* mixes encoder frames, *decoders* is"
                " the frame-by-frame loop of both branches, *heads* turns hidden states into vertices, *fusion* is"
                " Mesh Attention, *parts* reads the ARKit weights and moves teeth, tongue and eyes. *Decoding* is both"
                " decoders and vertex heads alone, *FaceFormer's way* the same network re-running the whole past for"
                " every frame (up to its own limit of 20 s); both give the same motion (largest difference"
                f" {max(r.get('decoding_difference_m', 0) for r in report['results']) * 1e3:.1e} mm)."
            ),
            "",
            table(report["results"]),
            "",
            "## Goals",
            "",
            goals(report["results"]),
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train.tools.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=("mini", "base"), default=("mini", "base"))
    parser.add_argument("--seconds", nargs="+", type=float, help=f"default: {SECONDS}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write this .json, and the page as .md beside it")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # measure in this process, print JSON
    options = parser.parse_args(arguments)
    if options.one:
        result = measure(
            options.models[0],
            options.seconds[0],
            threads=options.threads,
            device=options.device,
            repeats=options.repeats,
        )
        print(json.dumps(result))
        return 0
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, device {options.device}")
    try:
        cases = [(name, seconds) for name in options.models for seconds in options.seconds or SECONDS[name]]
        results = [_in_fresh_process(name, seconds, options) for name, seconds in cases]
    except EmoFaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = {
        "command": "python -m train.tools.benchmark " + " ".join(arguments if arguments is not None else sys.argv[1:]),
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        "results": results,
    }
    print("\n" + table(results) + "\n\n" + goals(results))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        for path, content in (
            (options.out, json.dumps(report, indent=1)),
            (options.out.with_suffix(".md"), page(report)),
        ):
            write_text(path, content + "\n")
    return 0


def _in_fresh_process(name: str, seconds: float, options: argparse.Namespace) -> dict:
    """So that peak memory is that of this case alone."""
    print(f"{name}, {seconds:g} s ...", flush=True)
    repeats = options.repeats if seconds <= UNCACHED_UP_TO else 1
    command = [sys.executable, "-m", "train.tools.benchmark", "--one", "--models", name, "--seconds", str(seconds)]
    command += ["--threads", str(options.threads), "--device", options.device, "--repeats", str(repeats)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise EmoFaceError(f"The run of {name} with {seconds:g} s failed:\n{done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    raise SystemExit(main())
