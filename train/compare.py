"""Our method beside seven others, trained alike and measured alike: ``python -m train.compare --data data/corpus --methods all``.

Every method of ``train.baselines`` is built at a small size, trained for the same steps on the same batches of the corpus, and then animates the
same recordings that nothing was trained on. ``OUT`` and, beside it, the same as Markdown are written anew after every run. A run that was
measured before is not trained again; one that was stopped goes on. Nothing is chosen on the measured clips: the last weights count.

``--meshes FOLDER`` compares on recorded meshes instead (VOCASET, 3D-RAVDESS, videos; :mod:`train.comparison.meshes`).

Programs from outside stand beside them by their own files: ``--sounds DIR`` writes the measured recordings, and ``--outside NAME=DIR`` measures what
another program made of them (``train.evaluation.outside``). Which measures agree with people is asked by ``train.choices``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
import torch

from emoface.errors import EmoFaceError
from emoface.files import write_text

from .baselines import METHODS
from .baselines.trainer import fit
from .comparison.corpus import Harness, Plan
from .comparison.measures import FIXED, MEASURES
from .comparison.meshes import MeshHarness, MeshPlan
from .comparison.numbers import by_speaker, over_speakers, verdicts
from .comparison.page import markdown


def remembering(answer: Callable[[int], np.ndarray], clips: list[int]) -> Callable[[int], np.ndarray]:
    """An answer that is worked out once for these clips, which are measured and then drawn."""
    kept: dict[int, np.ndarray] = {}

    def once(clip: int) -> np.ndarray:
        if clip not in clips:
            return answer(clip)
        if clip not in kept:
            kept[clip] = answer(clip)
        return kept[clip]

    return once


def measured_run(harness: Harness | MeshHarness, name: str, *, seed: int, folder: Path) -> dict:
    """Train a method and measure it, or read what an earlier call measured.

    Raises:
        SystemExit: when the folder holds a run with other settings.
    """
    method, path = METHODS[name], folder / "measured.json"
    settings = json.loads(json.dumps(dict(asdict(harness.plan), method=name, seed=seed, small=method.small, rate=method.rate)))
    if path.exists():
        stored = json.loads(path.read_text())
        if stored["settings"] != settings:
            raise SystemExit(f"{folder} was made with other settings; delete it or choose another --runs.")
        return stored
    folder.mkdir(parents=True, exist_ok=True)
    sampler = harness.sampler(seed)
    torch.manual_seed(seed)
    network = method.build(harness.shape(sampler))
    if harness.basis is not None:
        network.learn_in_basis(harness.basis)
    learned = sum(p.numel() for p in network.parameters() if p.requires_grad)
    report = lambda stage, step, loss: print(f"  stage {stage} step {step} loss {loss:.3f}", flush=True)
    fit(
        network,
        sampler.batch,
        steps=harness.plan.steps,
        rate=method.rate,
        seed=seed,
        checkpoint=folder / "checkpoint.pt",
        report=report,
    )
    network.merge_heads()
    answer = remembering(lambda clip: harness.animated(network, sampler, clip), harness.shown_clips)
    clips = harness.measure(answer)
    if harness.shown_clips:
        np.savez_compressed(folder / "faces.npz", **harness.faces(answer))
    write_text(path, json.dumps(dict(settings=settings, parameters=learned, clips=clips)))
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return json.loads(path.read_text())


def results(runs: dict[str, list[dict]], harness: Harness | MeshHarness, command: str) -> dict:
    """All of it as plain numbers; squared errors in m2."""
    rows, titles = {}, harness.titles
    for name, of in runs.items():
        rows[name] = dict(seeds=len(of), parameters=of[0].get("parameters"), measures={})
        for key, measure in MEASURES.items():
            for data in [data for data in measure.sets if data in titles]:
                found = over_speakers(by_speaker(of, data, key))
                if found.n:
                    seeds = [over_speakers(by_speaker([run], data, key)).value for run in of]
                    rows[name]["measures"][f"{data} {key}"] = dict(
                        value=found.value, low=found.low, high=found.high, speakers=found.n, per_seed=seeds
                    )
    clips = {data: len(harness.clips[data]) for data in titles}
    return dict(command=command, date=date.today().isoformat(), plan=asdict(harness.plan), titles=titles, clips=clips, rows=rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m train.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/corpus"), help="a corpus with cached features (train.features)")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["all"],
        choices=["all", "none", *METHODS],
        metavar="NAME",
        help="all, none, or some of: " + ", ".join(METHODS),
    )
    parser.add_argument("--steps", type=int, default=150, help="of each stage of each method")
    parser.add_argument("--frames", type=int, default=400, help="of a batch, about")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each method")
    parser.add_argument("--grid-every", type=int, default=15, help="every n-th held-out clip of GRID's trained speaker")
    parser.add_argument("--ravdess-every", type=int, default=1, help="a clip of every n-th actor, emotion and level")
    parser.add_argument("--readability", action="store_true", help="also ask the photograph classifier (needs fer and ai-edge-litert)")
    parser.add_argument(
        "--outside", nargs="+", default=[], metavar="NAME=DIR", help="another program's animations of the measured recordings, one file a clip"
    )
    parser.add_argument("--sounds", type=Path, metavar="DIR", help="write the measured recordings there and end")
    parser.add_argument("--meshes", type=Path, metavar="FOLDER", help="compare on recorded meshes that train.prepare wrote instead of --data")
    parser.add_argument("--mesh", type=Path, help="for --meshes, but not videos: triangles of their topology, e.g. FLAME_sample.ply")
    parser.add_argument("--masks", type=Path, help="for --meshes, but not videos: your FLAME_masks.pkl")
    parser.add_argument("--every", type=int, default=1, help="for --meshes: every n-th clip of unseen speakers")
    parser.add_argument("--runs", type=Path, help="where each run keeps its measurement; default runs/compare, of meshes a folder in it")
    parser.add_argument("--out", type=Path, help="default docs/comparison.json, of meshes docs/comparison_FOLDER.json")
    options = parser.parse_args(arguments)
    outside = dict(entry.partition("=")[::2] for entry in options.outside)
    if wrong := [name for name, folder in outside.items() if not name or not folder or name in METHODS or name in FIXED]:
        parser.error(f"--outside takes NAME=DIR with a name of its own, not {wrong[0]!r}.")
    if unfit := [name for name in ("steps", "frames", "seeds", "grid_every", "ravdess_every", "every") if getattr(options, name) < 1]:
        parser.error(f"--{unfit[0].replace('_', '-')} must be 1 or more.")
    command = shlex.join(["python", "-m", "train.compare", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        harness = harness_of(options)
        if options.sounds is not None:
            print(f"{harness.write_sounds(options.sounds)} recordings are in {options.sounds}.")
        else:
            compare(harness, options, outside, command)
    except EmoFaceError as error:
        parser.error(str(error))


def harness_of(options: argparse.Namespace) -> Harness | MeshHarness:
    if options.meshes is None:
        return Harness(options.data, Plan(options.steps, options.frames, options.grid_every, options.ravdess_every, options.readability))
    plan = MeshPlan(str(options.meshes), options.steps, options.frames, options.every)
    return MeshHarness(plan, mesh=options.mesh, masks=options.masks)


def compare(harness: Harness | MeshHarness, options: argparse.Namespace, outside: dict[str, str], command: str) -> None:
    """Measure the fixed answers and other programs' files, then train and measure method after method; the page is written anew after each."""
    meshes = options.meshes.name if options.meshes else ""
    folder = options.runs or Path("runs/compare") / meshes
    out = options.out or Path("docs") / (f"comparison_{meshes}.json" if meshes else "comparison.json")
    given = {name: harness.outside(Path(files)) for name, files in outside.items()}
    runs: dict[str, list[dict]] = {}
    for name, answer in harness.fixed().items():
        runs[name] = [_remembered(folder / f"{name.replace(' ', '_')}.json", harness.plan, lambda answer=answer: harness.measure(answer))]
    for name, answer in given.items():
        print(f"{name}, from {outside[name]}", flush=True)
        runs[name] = [dict(clips=harness.measure(answer))]
    agreement = folder / "agreement.json"
    chosen = json.loads(agreement.read_text()) if agreement.exists() else []

    def write() -> str:
        found, judged = results(runs, harness, command), verdicts(runs)
        page = markdown(found, judged, chosen)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, json.dumps(dict(found, against_ours=judged, choices=chosen), indent=1) + "\n")
        write_text(out.with_suffix(".md"), page)
        return page

    page = write()
    names = list(METHODS) if "all" in options.methods else [name for name in options.methods if name != "none"]
    order = [(seed, name) for seed in range(options.seeds) for name in names]
    for number, (seed, name) in enumerate(order, 1):
        print(f"[{number}/{len(order)}] {METHODS[name].title}, seed {seed}", flush=True)
        runs.setdefault(name, []).append(measured_run(harness, name, seed=seed, folder=folder / f"{name}-{seed}"))
        page = write()
    print(page)


def _remembered(path: Path, plan: Plan | MeshPlan, measure: Callable[[], dict]) -> dict:
    """What an earlier call measured with the same plan."""
    settings = asdict(plan)
    if path.exists() and (stored := json.loads(path.read_text()))["settings"] == settings:
        return stored
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(dict(settings=settings, clips=measure())))
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
