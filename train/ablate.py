"""The paper's ablations (Tables 3 and 4) at a small scale: ``python -m train.ablate --corpus data/corpus --out docs/ablations.json``.

Every variant is ``train/configs/ablation.yaml`` with a few settings changed, trained on the same batches, and then runs freely on the same
clips that nothing was trained on. A ``--config`` of mesh data (3D-RAVDESS, VOCASET) runs the same variants of the paper's model there. ``OUT`` and, beside it, the same as Markdown are written anew after every run. A run that was
measured before is not trained again; one that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emoface import metrics
from emoface.files import write_text
from emoface.metrics import Estimate, bootstrap, pearson, root_mm, times_1e5
from emoface.modeling import EmoFaceModel

from .basis_head import merged
from .evaluation.bounds import CALM_REGIONS, EMOTIONAL_REGIONS
from .evaluation.face import Face
from .meshes import MeshTask, mean_over_styles
from .tasks import CorpusTask
from .train import Trainer, TrainingConfig, read_config

BASE = Path(__file__).parent / "configs" / "ablation.yaml"
SETS = {"grid": "GRID, unseen clips (real)", "ravdess": "RAVDESS, unseen actors (modelled)", "mesh": "recorded meshes, unseen speakers"}
MEASURES = (
    ("grid", "lve"),
    ("grid", "aperture_r"),
    ("ravdess", "lve"),
    ("ravdess", "eve"),
    ("ravdess", "aperture_r"),
    ("mesh", "lve"),
    ("mesh", "eve"),
)
TITLES = {"lve": "LVE, 1e-5 m² (mm)", "eve": "EVE, 1e-5 m² (mm)", "aperture_r": "aperture r"}


class AblationTask(CorpusTask):
    """Training as for the embedded model; validation is the measurement that the table is made of, and only that is kept."""

    def __init__(self, config: TrainingConfig):
        super().__init__(config)
        self.face = Face(self.head)
        self.styles = sorted({c["style"] for c in self.corpus.clips if c["source"] == "ravdess" and c["split"] == "train"})
        self.measured: dict = {}

    def validate(self, model: EmoFaceModel) -> dict[str, float]:
        self.measured = self.measure(merged(model).eval())
        lve = {data: np.mean([c["lve"] for c in clips]) for data, clips in self.measured["clips"].items()}
        return {**{f"{data}_lips_mm": root_mm(value) for data, value in lve.items()}, "score": sum(lve.values())}

    def export(self, model: EmoFaceModel, folder: Path) -> None:
        pass

    def measure(self, model: EmoFaceModel) -> dict:
        """``clips``: per set and clip LVE, EVE (m2), aperture r; ``effect_mm``: of the emotion branch by region, RAVDESS's mean.

        Nobody has heard the speakers of RAVDESS's held-out clips: they are asked for in the training actors' styles by turns.
        """
        clips, effects = {}, []
        for data in ("grid", "ravdess"):
            clips[data] = []
            for k, clip in enumerate(self._some(source=data, split="val")):
                parts = self.generate(model, clip, style=self.styles[k % len(self.styles)] if data == "ravdess" else None)
                fused, content, emotion, weight = (
                    torch.cat([getattr(part, name) for part in parts], dim=1)[0].numpy()
                    for name in ("fused_offsets", "content_offsets", "emotion_offsets", "weight")
                )
                clips[data].append(self._errors(fused, clip))
                if data == "ravdess" and model.mesh_attention is not None:
                    effects.append(self.face.region_means(1e3 * weight * np.linalg.norm(emotion - content, axis=-1)))
        regions = effects[0] if effects else ()
        return dict(clips=clips, effect_mm={name: float(np.mean([e[name] for e in effects])) for name in regions})

    def still(self) -> dict:
        """What a face that never moves scores on the same clips."""
        skin = self.head.skin_count
        return {
            data: [
                self._errors(np.zeros((self.corpus.clips[clip]["frames"], skin, 3), np.float32), clip)
                for clip in self._some(source=data, split="val")
            ]
            for data in ("grid", "ravdess")
        }

    def _errors(self, offsets: np.ndarray, clip: int) -> dict:
        """Against the target mesh; the aperture of filmed clips against the one measured in the video."""
        truth = self.face.offsets(self.corpus.weights(clip))
        errors = self.face.errors(offsets, truth)
        filmed = self.corpus.clips[clip]["motion"] == "real"
        aperture = self.corpus.track(clip, "measured_aperture_raw") if filmed else self.face.aperture_mm(truth)
        return dict(
            id=self.corpus.clips[clip]["id"],
            frames=len(truth),
            lve=errors["lve"],
            eve=errors["eve"],
            aperture_r=pearson(self.face.aperture_mm(offsets), aperture),
        )


class SingleBranch(EmoFaceModel):
    """FaceFormer's shape in our code: what the content branch says is the answer. The emotion branch is there, but counts nowhere."""

    def fuse(self, content: Tensor, emotion: Tensor, weight: Tensor | None) -> Tensor:
        return content


class SingleBranchTask(AblationTask):
    """One decoder hears every frame of the speech and learns the speaker's own motion from it: no pairs, no foreign emotions."""

    model_class = SingleBranch

    def __init__(self, config: TrainingConfig):
        super().__init__(config)
        self.sampler.kinds.pop("grid_cross", None)  # their targets hold an emotion that the speech does not
        leave_emotion_out(self.model)


class MeshAblationTask(MeshTask):
    """Training as for the paper's model; validation is the measurement, and only that is kept."""

    def __init__(self, config: TrainingConfig):
        super().__init__(config)
        self.measured: dict = {}

    def validate(self, model: EmoFaceModel) -> dict[str, float]:
        rows = []
        for clip, truth, predicted in self.predictions(model):
            of_styles = [self._errors(offsets, clip, truth) for offsets in predicted]
            rows.append(of_styles[0] | mean_over_styles(of_styles, keys=("lve", "eve")))
        self.measured = dict(clips={"mesh": rows}, effect_mm={})
        lips = float(np.mean([row["lve"] for row in rows]))
        return dict(mesh_lips_mm=root_mm(lips), score=lips)

    def export(self, model: EmoFaceModel, folder: Path) -> None:
        pass

    def still(self) -> dict:
        """What a face that never moves scores on the same clips."""
        truths = {clip: self.data.offsets(clip) for clip in self.val}
        return {"mesh": [self._errors(np.zeros_like(truth), clip, truth) for clip, truth in truths.items()]}

    def _errors(self, offsets: np.ndarray, clip: int, truth: np.ndarray) -> dict:
        lips, upper = metrics.lve(offsets, truth, self.lips), metrics.eve(offsets, truth, self.upper)
        return dict(id=self.data.clips[clip]["id"], frames=len(truth), lve=lips, eve=upper)


class SingleBranchMeshTask(MeshAblationTask):
    """As :class:`SingleBranchTask`; the second emotion of a pair is in none of its losses."""

    model_class = SingleBranch

    def __init__(self, config: TrainingConfig):
        super().__init__(config)
        leave_emotion_out(self.model)
        self.emotion_encoder.requires_grad_(False)


def leave_emotion_out(model: EmoFaceModel) -> None:
    """Train nothing of the emotion branch (some models have no mix of blocks, or no pooling)."""
    for unused in (model.emotion_mix, model.statistics_pooling, model.classifier, model.emotion_decoder):
        if unused is not None:
            unused.requires_grad_(False)


TASKS = {"corpus": (AblationTask, SingleBranchTask), "meshes": (MeshAblationTask, SingleBranchMeshTask)}
"""By the kind of the data: with both branches, with one."""


@dataclass(frozen=True)
class Variant:
    """A row of the table: what differs from the reference."""

    text: str
    training: dict = field(default_factory=dict)
    """Fields of ``TrainingConfig``."""
    model: dict = field(default_factory=dict)
    """Fields of ``EmoFaceConfig``."""
    single_branch: bool = False

    def config(self, base: TrainingConfig, *, corpus: Path, steps: int | None, seed: int) -> TrainingConfig:
        """``steps``: of the whole run; None: as ``base`` says."""
        return replace(
            replace(base, **self.training),
            data={**base.data, "corpus": str(corpus)} if base.data["kind"] == "corpus" else base.data,
            model={**base.model, **self.model},
            seed=seed,
            steps_per_epoch=max(steps // base.epochs, 1) if steps else base.steps_per_epoch,
        )

    def task(self, config: TrainingConfig) -> AblationTask | MeshAblationTask:
        return TASKS[config.data["kind"]][self.single_branch](config)


REFERENCE = "reference"
VARIANTS = {
    REFERENCE: Variant("self-growing, Mesh Attention, dilation 2, kernel 9, δ 9"),
    "teacher_forcing": Variant("teacher forcing instead of self-growing", training=dict(scheme="teacher_forcing")),
    "add": Variant("branches added instead of Mesh Attention", model=dict(fusion="add")),
    "dilation_1": Variant("dilation 1 (none)", model=dict(spiral_dilation=1)),
    "dilation_4": Variant("dilation 4", model=dict(spiral_dilation=4)),
    "kernel_4": Variant("kernel 4", model=dict(spiral_length=4)),
    "kernel_18": Variant("kernel 18", model=dict(spiral_length=18)),
    "delta_1": Variant("δ 1 (2D: an ordinary spiral convolution)", model=dict(temporal_window=1)),
    "delta_4": Variant("δ 4", model=dict(temporal_window=4)),
    "single_branch": Variant(
        "single branch (FaceFormer's shape)",
        training=dict(losses=dict(cross_reconstruction=0, velocity=0, classification=0)),
        model=dict(fusion="add"),
        single_branch=True,
    ),
    "blind": Variant("70 % blind items (a departure of emoface-mini, not the paper's)", training=dict(masked_history=0.7)),
}

CLAIMS = (
    ("self-growing over teacher forcing", REFERENCE, "teacher_forcing"),
    ("Mesh Attention over addition", REFERENCE, "add"),
    ("moderate dilation (2) over none (1)", REFERENCE, "dilation_1"),
    ("no dilation (1) over a large one (4)", "dilation_1", "dilation_4"),
    ("kernel 9 over 4", REFERENCE, "kernel_4"),
    ("kernel 18 over 9", "kernel_18", REFERENCE),
    ("δ 4 over 1 (3D over 2D)", "delta_4", "delta_1"),
    ("δ 9 over 4", REFERENCE, "delta_4"),
    ("two branches over one (FaceFormer)", REFERENCE, "single_branch"),
)
"""What the paper's tables say: the first variant has the smaller errors."""


def measured_run(name: str, config: TrainingConfig, folder: Path) -> dict:
    """Train a variant and measure it, or read what an earlier call measured: ``settings`` and those of ``AblationTask.measure``.

    Raises:
        SystemExit: when the folder holds a run with other settings, or when the training was stopped (the same call goes on).
    """
    path, settings = folder / "measured.json", json.loads(json.dumps(asdict(config)))
    if path.exists():
        stored = json.loads(path.read_text())
        if stored["settings"] != settings:
            raise SystemExit(f"{folder} was made with other settings; delete it or choose another --runs.")
        return stored
    trainer = Trainer(config, folder, task=VARIANTS[name].task)
    trainer.resume()
    trainer.run()
    if trainer.step < trainer.total:
        raise SystemExit("Stopped; the same command goes on from here.")
    if not trainer.task.measured:  # an earlier call was stopped after its last step
        trainer.task.validate(trainer.model)
    write_text(path, json.dumps(dict(settings=settings, steps=trainer.total, **trainer.task.measured)))
    trainer.checkpoint.unlink()
    return json.loads(path.read_text())


# ---- numbers ------------------------------------------------------------------------------------------------------


def values(runs: list[dict], data: str, key: str) -> np.ndarray:
    """(seeds, clips) of a measure."""
    return np.array([[clip[key] for clip in run["clips"][data]] for run in runs])


def weights(runs: list[dict], data: str, key: str) -> np.ndarray | None:
    """What clips count for: errors are pooled over frames, correlations over clips."""
    return None if key == "aperture_r" else np.array([clip["frames"] for clip in runs[0]["clips"][data]])


def estimate(runs: list[dict], data: str, key: str) -> Estimate:
    """Mean over seeds and clips with the interval over clips."""
    return bootstrap(values(runs, data, key).mean(0), weights(runs, data, key))


def change(runs: list[dict], others: list[dict], data: str, key: str) -> tuple[Estimate, bool]:
    """How much ``runs`` differ from ``others`` on the same clips: errors in % of the others', r as it is; the interval is over clips.

    Only seeds that both have count. The second value tells whether every seed, with the same batches on both sides, changes in the same
    direction.
    """
    both = min(len(runs), len(others))
    runs, others = runs[:both], others[:both]
    a, b, weight = values(runs, data, key), values(others, data, key), weights(runs, data, key)
    unit = 1.0 if key == "aperture_r" else 100 / np.average(b.mean(0), weights=weight)
    per_seed = [np.average(x - y, weights=weight) for x, y in zip(a, b)]
    return bootstrap(a.mean(0) - b.mean(0), weight).scaled(unit), len({bool(x > 0) for x in per_seed}) == 1


def verdict(better: list[dict], worse: list[dict], data: str, key: str) -> str:
    """Whether the first is better: ``yes``, ``no``, or ``open`` where the interval holds 0 or seeds disagree."""
    difference, agreed = change(better, worse, data, key)
    if not agreed or difference.low <= 0 <= difference.high:
        return "open"
    return "yes" if (difference.value > 0) == (key == "aperture_r") else "no"


def effect_order(effect_mm: dict[str, float]) -> tuple[str, str, bool]:
    """The least moved region that shows emotion, the most moved one that cannot, and whether the first moves more."""
    weakest = min((name for name in effect_mm if name.startswith(EMOTIONAL_REGIONS)), key=effect_mm.get)
    strongest = max((name for name in effect_mm if name.startswith(CALM_REGIONS)), key=effect_mm.get)
    return weakest, strongest, effect_mm[weakest] > effect_mm[strongest]


# ---- the table ----------------------------------------------------------------------------------------------------


def results(runs: dict[str, list[dict]], still: dict, command: str, config: str) -> dict:
    """All of it as plain numbers; errors in m2."""

    measures = [(data, key) for data, key in MEASURES if data in still]

    def summary(of: list[dict]) -> dict:
        found = {}
        for data, key in measures:
            e = estimate(of, data, key)
            seeds = [bootstrap(row, weights(of, data, key)).value for row in values(of, data, key)]
            found[f"{data} {key}"] = dict(value=e.value, low=e.low, high=e.high, per_seed=seeds)
        return found

    variants = {}
    for name, of in runs.items():
        variants[name] = dict(text=VARIANTS[name].text, seeds=len(of), measures=summary(of))
        if name != REFERENCE and REFERENCE in runs:
            variants[name]["against_reference"] = {f"{data} {key}": asdict(change(of, runs[REFERENCE], data, key)[0]) for data, key in measures}
        effects = [run["effect_mm"] for run in of if run["effect_mm"]]
        if effects:
            variants[name]["effect_mm"] = effects
    claims = [
        dict(claim=text, **{f"{data} {key}": verdict(runs[a], runs[b], data, key) for data, key in measures})
        for text, a, b in CLAIMS
        if a in runs and b in runs
    ]
    steps = next(iter(runs.values()))[0]["steps"]
    return dict(
        command=command,
        config=config,
        date=date.today().isoformat(),
        steps=steps,
        clips={data: len(of) for data, of in still.items()},
        static_template=summary([dict(clips=still)]),
        variants=variants,
        claims=claims,
    )


def markdown(found: dict) -> str:
    measures = [(data, key) for data, key in MEASURES if data in found["clips"]]
    names = [f"{data} {key}" for data, key in measures]
    heads = [f"{SETS[data].split(',')[0]} {TITLES[key]}" for data, key in measures]
    rows = [["static template", "-", *(_cell(name, found["static_template"][name]) for name in names)]]
    rows += [[v["text"], str(v["seeds"]), *(_cell(name, v["measures"][name]) for name in names)] for v in found["variants"].values()]
    changes = [
        [v["text"], *(_change(name, v["against_reference"][name]) for name in names)] for v in found["variants"].values() if "against_reference" in v
    ]
    spread = [
        [v["text"], *(" / ".join(_short(name, x) for x in v["measures"][name]["per_seed"]) for name in names)]
        for v in found["variants"].values()
        if v["seeds"] > 1
    ]
    claims = [[c["claim"], *(c[name] for name in names)] for c in found["claims"]]
    orders = [(v["text"], effect_order(e), e) for v in found["variants"].values() for e in v.get("effect_mm", ())]
    effects = [[text, f"{low} {e[low]:.3f}", f"{high} {e[high]:.3f}", "yes" if holds else "**no**"] for text, (low, high, holds), e in orders]
    clips = " and ".join(f"{n} clips of {SETS[data]}" for data, n in found["clips"].items())
    lines = [
        "# Ablations at a small scale",
        "",
        f"Written by `{found['command']}` on {found['date']}; do not edit. Every variant: `{found['config']}`, {found['steps']} steps, the"
        f" row's change and nothing else. Measured free-running on {clips}, none trained on; motion that is real and motion that is"
        " modelled stand apart. [ ]: 95 % interval over clips (seeded bootstrap) of the mean over seeds."
        + ("" if "mesh" in found["clips"] else " These are small models after a minute of training.")
        + " They compare with each other, not with the paper's numbers nor with `results.md`.",
        "",
        *_table(["variant", "seeds", *heads], rows),
        "## Against the reference",
        "",
        "The same clips, paired: errors in % (below 0: better), r as a difference (above 0: better).",
        "",
        *_table(["variant", *heads], changes),
        "## The paper's ordering",
        "",
        "*yes*: it holds here; *no*: the opposite holds; *open*: the interval of the difference holds 0 or seeds disagree.",
        "",
        *_table(["claim", *heads], claims),
    ]
    if spread:
        lines += [
            "## Seeds",
            "",
            "Each seed's own value; between seeds weights, batches and vertices drawn differ.",
            "",
            *_table(["variant", *heads], spread),
        ]
    if effects:
        lines += [
            "## Regions that the emotion branch moves",
            "",
            "Effect |w_e (ΔM_e − ΔM_c)|, mm, RAVDESS: the least moved of brows, lids, mouth and jaw against the most moved of scalp, ears and neck.",
            "",
            *_table(["variant", "least", "most", "above"], effects),
        ]
    return "\n".join(lines)


def _table(header: list[str], body: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *body)] + [""]


def _short(name: str, value: float) -> str:
    return f"{value:.3f}" if name.endswith("_r") else f"{times_1e5(value):.3f}"


def _cell(name: str, e: dict) -> str:
    mm = "" if name.endswith("_r") else f" ({root_mm(e['value']):.2f})"
    return f"{_short(name, e['value'])}{mm} [{_short(name, e['low'])}, {_short(name, e['high'])}]"


def _change(name: str, e: dict) -> str:
    decimals, unit = (3, "") if name.endswith("_r") else (1, " %")
    return f"{e['value']:+.{decimals}f}{unit} [{e['low']:+.{decimals}f}, {e['high']:+.{decimals}f}]"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--out", type=Path, default=Path("docs/ablations.json"))
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"), help="where each run keeps its measurement")
    parser.add_argument("--config", type=Path, default=BASE, help="what all variants share")
    parser.add_argument("--steps", type=int, help="of each run; default: 160 on our corpus, on meshes what the configuration says")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each variant")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME", help=", ".join(VARIANTS))
    options = parser.parse_args(arguments)
    base, command = read_config(options.config), shlex.join(["python", "-m", "train.ablate", *(arguments or sys.argv[1:])])
    runs: dict[str, list[dict]] = defaultdict(list)
    plan = [(seed, name) for seed in range(options.seeds) for name in options.variants]
    still, shown = None, options.config.relative_to(BASE.parents[2]) if options.config.is_relative_to(BASE.parents[2]) else options.config
    steps = options.steps or (160 if base.data["kind"] == "corpus" else None)
    for number, (seed, name) in enumerate(plan, 1):
        print(f"[{number}/{len(plan)}] {VARIANTS[name].text}, seed {seed}", flush=True)
        config = VARIANTS[name].config(base, corpus=options.corpus, steps=steps, seed=seed)
        runs[name].append(measured_run(name, config, options.runs / f"{name}-{seed}"))
        still = still or TASKS[config.data["kind"]][False](config).still()
        found = results(runs, still, command, str(shown))
        for path, text in ((options.out, json.dumps(found, indent=1) + "\n"), (options.out.with_suffix(".md"), markdown(found))):
            write_text(path, text)
    print(markdown(found))


if __name__ == "__main__":
    main()
