"""Our method beside seven others, trained alike and measured alike: ``python -m train.compare --data data/corpus --methods all``.

Every method of ``train.baselines`` is built at a small size, trained for the same steps on the same batches of the corpus, and then animates the
same recordings that nothing was trained on. ``OUT`` and, beside it, the same as Markdown are written anew after every run. A run that was
measured before is not trained again; one that was stopped goes on. Nothing is chosen on the measured clips: the last weights count.

Programs from outside stand beside them by their own files: ``--sounds DIR`` writes the measured recordings, and ``--outside NAME=DIR`` measures what
another program made of them (``train.evaluation.outside``). Which measures agree with people is asked by ``train.choices``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import torch

from emoface.animation import LEVELS
from emoface.files import write_text
from emoface.metrics import Estimate, pearson, root_mm
from emoface.metrics.timing import dynamics_ratio, loudness_coherence, temporal_misalignment

from .baselines import METHODS, Baseline, DataShape
from .baselines.batches import OwnMotion
from .baselines.trainer import fit
from .corpus.reader import Corpus
from .evaluation.face import Face
from .evaluation.outside import OutsideFolder
from .evaluation.showing import TORN_MM, ShownFace

GRID, RAVDESS = "grid", "ravdess"
SETS = {GRID: "GRID (filmed, real)", RAVDESS: "RAVDESS (modelled)"}
FIXED = ("static template", "mean motion", "label mean", "target")
LONGEST = 100
"""Frames of a training item; measured clips are cut there too, so that all are equally far from what was trained."""


SHOWN_CLIPS, SHOWN_FRAMES = 14, 6


@dataclass(frozen=True)
class Measure:
    title: str
    definition: str
    sets: tuple[str, ...]
    digits: int = 2


MEASURES = {
    "lve": Measure(
        "LVE, mm",
        "Root of the mean over frames of the squared distance of the worst lip vertex (CodeTalker's formula). Less is better; a still face scores well.",
        (GRID, RAVDESS),
    ),
    "eve": Measure("EVE, mm", "The same of eyelids, brows and forehead (EmoTalk issue 19). Less is better.", (RAVDESS,)),
    "fdd": Measure(
        "FDD, 1e-5 m²",
        "|std over time of squared distances, truth minus prediction|, mean over the upper face's vertices (CodeTalker, absolute per clip). Less is better.",
        (RAVDESS,),
        3,
    ),
    "upper": Measure(
        "upper-face dynamics",
        "Standard deviation over time of the upper face's vertices, predicted over true (`emoface.metrics.timing.dynamics_ratio`). 1 is right.",
        (RAVDESS,),
    ),
    "aperture_r": Measure(
        "aperture r",
        "Pearson r of the lip aperture with the one measured in the video (GRID) or of the target (RAVDESS). More is better.",
        (GRID, RAVDESS),
    ),
    "width_r": Measure("width r", "Pearson r of the mouth's width with the one measured in the video. More is better.", (GRID,)),
    "mtm": Measure(
        "MTM, ms",
        "Mean temporal misalignment of the lips' turning points (`emoface.metrics.timing.temporal_misalignment`, after arXiv 2503.20308). Less is better, beside:",
        (GRID, RAVDESS),
        0,
    ),
    "turns": Measure("turns found, %", "Share of those turning points that the prediction has at all.", (GRID, RAVDESS), 0),
    "coherence": Measure(
        "lip-speech coherence",
        "Highest r of lip aperture and the sound's level (dB) within ± 3 frames (`emoface.metrics.timing.loudness_coherence`): no trained network. Read it beside the speaker's.",
        (GRID, RAVDESS),
    ),
    "slcc": Measure(
        "SLCC",
        "Speech-lip intensity correlation (arXiv 2503.20308): r over a speaker's clips of mean level in speech (dB) and mean displacement of the lips. Read it beside the target's.",
        (RAVDESS,),
    ),
    "torn": Measure(
        "torn, %",
        "Share of frames in which a skin vertex's deviation from the nearest blendshape pose differs from its neighbours' by more than 1 mm (`train.evaluation.showing`). Less is better.",
        (RAVDESS,),
        1,
    ),
    "readable": Measure(
        "readable",
        "Probability that a classifier trained on photographs gives the right one of 7 feelings to rendered frames of strong clips (`train.evaluation.readability`). Read it beside the target's.",
        (RAVDESS,),
    ),
}


@dataclass(frozen=True)
class Plan:
    """What all runs of a table share."""

    steps: int
    frames: int
    grid_every: int
    ravdess_every: int
    readability: bool


class Harness:
    """The data, and how a face's motion is measured on it."""

    def __init__(self, folder: Path, plan: Plan):
        self.corpus, self.plan, self.face = Corpus(folder), plan, Face()
        self.shown = ShownFace(self.face)
        clips = self.corpus.clips
        names = {c["style"] for c in clips if c["split"] == "train"}
        self.styles = sorted(names, key=lambda name: ("grid" not in name and name != "s1", name))
        self.basis = torch.tensor(self.face.head.blendshapes, dtype=torch.float32)
        self.clips = self._measured_clips()

    def _measured_clips(self) -> dict[str, list[int]]:
        """GRID: some clips of its one trained speaker, and all of other speakers. RAVDESS: of unseen actors, a clip of every n-th emotion and level."""
        corpus, clips = self.corpus, self.corpus.clips
        grid = corpus.select(source=GRID, split="test")[:: self.plan.grid_every] + corpus.select(source=GRID, split="test_others")
        labels: dict[tuple, int] = {}
        for split in ("val", "test"):
            for i in corpus.select(source=RAVDESS, split=split):
                labels.setdefault((clips[i]["speaker"], clips[i]["emotion"], clips[i]["level"]), i)
        return {GRID: grid, RAVDESS: list(labels.values())[:: self.plan.ravdess_every]}

    @property
    def _all_clips(self) -> list[int]:
        return [clip for of in self.clips.values() for clip in of]

    def write_sounds(self, folder: Path) -> int:
        """The measured recordings as ``folder/ID.wav``; returns how many."""
        folder.mkdir(parents=True, exist_ok=True)
        for clip in self._all_clips:
            shutil.copyfile(self.corpus.audio_path(clip), folder / f"{self.corpus.clips[clip]['id']}.wav")
        return len(self._all_clips)

    def outside(self, folder: Path) -> Callable[[int], np.ndarray]:
        """Answers read from another program's files."""
        files = OutsideFolder(folder, [self.corpus.clips[clip]["id"] for clip in self._all_clips], self.face)
        return lambda clip: files.offsets(self.corpus.clips[clip]["id"], min(self.corpus.clips[clip]["frames"], LONGEST))

    def sampler(self, seed: int) -> OwnMotion:
        return OwnMotion(self.corpus, styles=self.styles, basis=self.basis, frames=self.plan.frames, longest=LONGEST, seed=seed)

    def shape(self, sampler: OwnMotion) -> DataShape:
        return DataShape.of_head(
            self.face.head, features=sampler.features.shape[2], layers=sampler.features.shape[1], styles=len(self.styles), every=8
        )

    # ---- answers: clip -> offsets (T, S, 3) in metres ------------------------------------------------------------------

    def truth(self, clip: int) -> np.ndarray:
        return self.face.offsets(self.corpus.weights(clip)[:LONGEST])

    @torch.inference_mode()
    def animated(self, network: Baseline, sampler: OwnMotion, clip: int) -> np.ndarray:
        """Free-running; speakers that were never heard are asked for in the first style, which other people's words were trained in too."""
        info = self.corpus.clips[clip]
        content = torch.from_numpy(np.asarray(sampler.hidden(clip)[:LONGEST], np.float32))[None]
        style = self.styles.index(info["style"]) if info["style"] in self.styles else 0
        one_hot = torch.nn.functional.one_hot
        return network.animate(
            content, style=one_hot(torch.tensor([style]), len(self.styles)).float(), level=one_hot(torch.tensor([info["level"]]), len(LEVELS)).float()
        )[0].numpy()

    def fixed(self) -> dict[str, Callable[[int], np.ndarray]]:
        """Answers that do not listen, and the target itself."""
        corpus, clips = self.corpus, self.corpus.clips
        poses: dict[tuple, list[np.ndarray]] = {}
        for source in SETS:
            for i in corpus.select(source=source, split="train"):
                if not clips[i]["copy_of"]:
                    for key in ((source,), (source, clips[i]["emotion"], clips[i]["level"])):
                        poses.setdefault(key, []).append(corpus.weights(i).mean(0))
        means = {key: np.mean(of, axis=0) for key, of in poses.items()}

        def held(pose: np.ndarray, clip: int) -> np.ndarray:
            return np.repeat(self.face.offsets(pose[None]), min(clips[clip]["frames"], LONGEST), axis=0)

        return {
            "static template": lambda clip: held(np.zeros(self.basis.shape[0]), clip),
            "mean motion": lambda clip: held(means[(clips[clip]["source"],)], clip),
            "label mean": lambda clip: held(means[clips[clip]["source"], clips[clip]["emotion"], clips[clip]["level"]], clip),
            "target": self.truth,
        }

    @property
    def shown_clips(self) -> list[int]:
        """Strong clips of which every run keeps some faces, for people to choose between (``train.choices``)."""
        strong = [clip for clip in self.clips[RAVDESS] if self.corpus.clips[clip]["level"] == 1]
        return strong[:: max(len(strong) // SHOWN_CLIPS, 1)][:SHOWN_CLIPS]

    def faces(self, answer: Callable[[int], np.ndarray]) -> dict[str, np.ndarray]:
        """Clip's id -> offsets (SHOWN_FRAMES, S, 3) at moments spread over its middle."""
        found = {}
        for clip in self.shown_clips:
            offsets = answer(clip)
            found[self.corpus.clips[clip]["id"]] = offsets[np.linspace(0.2 * len(offsets), 0.8 * len(offsets), SHOWN_FRAMES).astype(int)].astype(
                np.float16
            )
        return found

    # ---- measuring ---------------------------------------------------------------------------------------------------

    def measure(self, answer: Callable[[int], np.ndarray]) -> dict[str, list[dict]]:
        return {data: [self._measured(answer(clip), clip, data) for clip in of] for data, of in self.clips.items()}

    def _measured(self, offsets: np.ndarray, clip: int, data: str) -> dict:
        info, face, truth = self.corpus.clips[clip], self.face, self.truth(clip)
        errors, level = face.errors(offsets, truth), self._level(clip)[: len(truth)]
        true_aperture = self.corpus.track(clip, "measured_aperture_raw")[:LONGEST] if data == GRID else face.aperture_mm(truth)
        aperture = face.aperture_mm(offsets)
        moves = offsets.std(axis=0).max() > 1e-7
        misaligned, turns = temporal_misalignment(aperture, true_aperture)
        active = level > level.max() - 25
        row = dict(
            id=info["id"],
            speaker=info["speaker"],
            frames=len(truth),
            lve=errors["lve"],
            aperture_r=pearson(aperture, true_aperture),
            mtm=misaligned,
            turns=100 * turns,
            coherence=loudness_coherence(aperture, level),
        )
        if data == GRID:
            right, left = face.head.lip_corners
            row["width_r"] = pearson(offsets[:, left, 0] - offsets[:, right, 0], self.corpus.track(clip, "measured_width_raw")[:LONGEST])
        else:
            lips = 1e3 * np.linalg.norm(offsets[:, face.lips], axis=-1).mean(1)
            row |= dict(
                eve=errors["eve"],
                fdd=1e5 * abs(errors["fdd"]),
                upper=dynamics_ratio(offsets[:, face.eyes], truth[:, face.eyes]),
                loudness_db=float(level[active].mean()),
                lips_mm=float(lips[active].mean()),
                level=info["level"],
                torn=100 * float((self.shown.of_offsets(offsets[::5]).torn_mm > TORN_MM).mean()) if moves else 0.0,
            )
            if self.plan.readability and info["level"] == 1:
                row["readable"] = self._readable(offsets, info["emotion"])
        return {key: (None if isinstance(value, float) and np.isnan(value) else value) for key, value in row.items()}

    def _level(self, clip: int) -> np.ndarray:
        """(T,) level of the sound around each frame, dB, at most 50 below the loudest."""
        samples, rate = soundfile.read(self.corpus.audio_path(clip), dtype="float32")
        count, half = self.corpus.clips[clip]["frames"], rate // 40
        energy = np.cumsum(np.pad(samples.astype(float) ** 2, (half + 1, half + rate)))
        centre = np.round(np.arange(count) * rate / 30).astype(int)
        decibel = 10 * np.log10((energy[centre + 2 * half] - energy[centre]) / (2 * half) + 1e-10)
        return np.maximum(decibel, decibel.max() - 50)

    @cached_property
    def _judge(self):
        from .evaluation.readability import Judge, Portrait

        return Judge(), Portrait(self.face.head)

    def _readable(self, offsets: np.ndarray, emotion: str) -> float:
        from .evaluation.readability import JUDGED, judged

        if emotion not in JUDGED:
            return float("nan")
        frames = offsets[np.linspace(0.3 * len(offsets), 0.7 * len(offsets), 2).astype(int)]
        return float(judged(*self._judge, self.face.head.assemble(frames, self.face.read_back(frames)))[JUDGED.index(emotion)])


def measured_run(harness: Harness, name: str, *, seed: int, folder: Path) -> dict:
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
    answer = lambda clip: harness.animated(network, sampler, clip)
    clips = harness.measure(answer)
    np.savez_compressed(folder / "faces.npz", **harness.faces(answer))
    write_text(path, json.dumps(dict(settings=settings, parameters=learned, clips=clips)))
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return json.loads(path.read_text())


# ---- numbers -----------------------------------------------------------------------------------------------------------


def by_speaker(runs: list[dict], data: str, key: str) -> dict[str, float]:
    """Mean over seeds and a speaker's clips; squared errors weigh frames alike, and so do not those that are nan."""
    speakers: dict[str, list[list[dict]]] = {}
    for run in runs:
        rows: dict[str, list[dict]] = {}
        for row in run["clips"][data]:
            rows.setdefault(row["speaker"], []).append(row)
        for speaker, of in rows.items():
            speakers.setdefault(speaker, []).append(of)
    values = {speaker: [_value(rows, key) for rows in seeds] for speaker, seeds in speakers.items()}
    return {speaker: float(np.nanmean(of)) for speaker, of in values.items() if not np.isnan(of).all()}


def _value(rows: list[dict], key: str) -> float:
    if key == "slcc":
        return pearson(np.array([row["lips_mm"] for row in rows]), np.array([row["loudness_db"] for row in rows]))
    known = [row for row in rows if row.get(key) is not None]
    if not known:
        return float("nan")
    weights = [row["frames"] for row in known] if key in ("lve", "eve") else None
    return float(np.average([row[key] for row in known], weights=weights))


def over_speakers(values: dict[str, float], *, samples: int = 2000) -> Estimate:
    """Mean in which every speaker counts alike, and its 95 % interval: speakers are redrawn with replacement (seeded). One speaker: none."""
    of = np.array(list(values.values()))
    if not len(of):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0.0)
    low = high = float("nan")
    if len(of) > 1:
        draws = np.random.default_rng(0).integers(0, len(of), (samples, len(of)))
        low, high = np.quantile(of[draws].mean(1), [0.025, 0.975])
    return Estimate(float(of.mean()), float(low), float(high), len(of), float(len(of)))


def results(runs: dict[str, list[dict]], plan: Plan, command: str) -> dict:
    """All of it as plain numbers; squared errors in m2."""
    rows = {}
    for name, of in runs.items():
        rows[name] = dict(seeds=len(of), parameters=of[0].get("parameters"), measures={})
        for key, measure in MEASURES.items():
            for data in measure.sets:
                found = over_speakers(by_speaker(of, data, key))
                if found.n:
                    seeds = [over_speakers(by_speaker([run], data, key)).value for run in of]
                    rows[name]["measures"][f"{data} {key}"] = dict(
                        value=found.value, low=found.low, high=found.high, speakers=found.n, per_seed=seeds
                    )
    clips = {data: len(next(iter(runs.values()))[0]["clips"][data]) for data in SETS}
    return dict(command=command, date=date.today().isoformat(), plan=asdict(plan), clips=clips, rows=rows)


def verdicts(runs: dict[str, list[dict]], against: str = "emoface") -> dict[str, dict[str, str]]:
    """For every other method and measure of an error or an r: whether ours is ``better``, ``worse``, or the interval of the difference holds 0."""
    found: dict[str, dict[str, str]] = {}
    for name in METHODS:
        if name == against or name not in runs or against not in runs:
            continue
        for key, more in (("lve", False), ("eve", False), ("aperture_r", True), ("width_r", True)):
            for data in MEASURES[key].sets:
                ours, theirs = by_speaker(runs[against], data, key), by_speaker(runs[name], data, key)
                gap = over_speakers({speaker: ours[speaker] - theirs[speaker] for speaker in ours if speaker in theirs})
                word = "open" if np.isnan(gap.low) or gap.low <= 0 <= gap.high else "better" if (gap.value > 0) == more else "worse"
                found.setdefault(name, {})[f"{data} {key}"] = word
    return found


# ---- the page ----------------------------------------------------------------------------------------------------------


def markdown(found: dict, judged: dict[str, dict[str, str]], chosen: list[dict]) -> str:
    plan = found["plan"]
    lines = [
        "# Other methods on our data",
        "",
        f"Written by `{found['command']}` on {found['date']}; do not edit.",
        "",
        "**What this is.** Eight methods at a small size, trained for the same "
        f"{plan['steps']} steps (of each stage) on the same batches of about {plan['frames']} frames, at one learning rate, without early stopping. It shows"
        " that every method learns in this harness, and how they compare when a CPU has minutes, not days. It is **no reproduction** of the"
        " papers' numbers, and nothing here says which method is best at full size. On VOCASET's EVE the EmoFace paper itself is behind SelfTalk.",
        "",
        "**What is equal.** Speech: the cached frames of our frozen encoder, of which each method learns a mix of the blocks. Vertex heads: learned in"
        " the head's 52 shapes (so only Mesh Attention, which blends two faces vertex by vertex, can tear the skin). Losses look at every eighth"
        " vertex, the lips and the lids; EmoFace's at 200 drawn vertices and the lips. Motion of GRID is real (video); that of RAVDESS is modelled. Speakers that were never"
        " heard are asked for in one trained style.",
        "",
        f"**Measured** on {found['clips'][GRID]} clips of GRID (one trained speaker, five others) and {found['clips'][RAVDESS]} of RAVDESS (unseen actors). Every speaker counts alike; [ ]: 95 % interval over speakers (redrawn, seeded) of the mean over seeds. With so few speakers"
        " the intervals are coarse.",
        "",
    ]
    for data, title in SETS.items():
        keys = [
            key
            for key, measure in MEASURES.items()
            if data in measure.sets and any(f"{data} {key}" in row["measures"] for row in found["rows"].values())
        ]
        body = [
            [_title(name), str(row["seeds"]) if name in METHODS else "-", *(_cell(key, row["measures"].get(f"{data} {key}")) for key in keys)]
            for name, row in found["rows"].items()
            if not (data == GRID and name == "label mean")
        ]
        lines += [f"## {title}", "", *_table(["method", "seeds", *(MEASURES[key].title for key in keys)], body)]
    lines += [
        "*Target* is the motion on our head that the others are compared with: on GRID its aperture and width are not exactly the video's. *Static template*"
        " never moves; *mean motion* holds the mean pose of the training clips, *label mean* that of the clips with the same emotion and level.",
        "",
        *_outside_said(found["rows"]),
        "## Against ours",
        "",
        "EmoFace at this scale against each method, paired by speaker: *better*, *worse*, or *open* (the interval of the difference holds 0).",
        "",
    ]
    if judged:
        keys = list(next(iter(judged.values())))
        heads = [f"{SETS[key.split()[0]].split()[0]} {MEASURES[key.split()[1]].title.split(',')[0]}" for key in keys]
        lines += _table(["method", *heads], [[_title(name), *(row[key] for key in keys)] for name, row in judged.items()])
    lines += choices_said(chosen)
    lines += ["## Measures", "", *(f"* **{m.title}**: {m.definition}" for key, m in MEASURES.items()), ""]
    body = [
        [
            m.title,
            m.paper,
            m.told,
            f"{found['rows'][name]['parameters'] / 1e6:.2f} M" if name in found["rows"] else "-",
            json.dumps(m.small).strip("{}").replace('"', "") or "the paper's",
            m.licence,
        ]
        for name, m in METHODS.items()
    ]
    lines += [
        "## Methods",
        "",
        "Each is one file in `train/baselines/`, written from the paper's description. *Told*: what it is given besides the speech.",
        "",
        *_table(["method", "paper", "told", "learned here", "sizes here", "original's licence"], body),
    ]
    several = {name: row for name, row in found["rows"].items() if row["seeds"] > 1}
    if several:
        keys = [f"{data} {key}" for key in ("lve", "aperture_r") for data in SETS]
        body = [
            [_title(name), *(" / ".join(_number(key.split()[1], x) for x in row["measures"][key]["per_seed"]) for key in keys)]
            for name, row in several.items()
        ]
        lines += ["## Seeds", "", *_table(["method", *(f"{SETS[k.split()[0]].split()[0]} {MEASURES[k.split()[1]].title}" for k in keys)], body)]
    return "\n".join(lines)


def _outside_said(rows: dict) -> list[str]:
    outside = [name for name in rows if name not in METHODS and name not in FIXED]
    return (
        [f"{', '.join(outside)}: measured from files that another program, or our own at full size, made of these recordings.", ""] if outside else []
    )


def choices_said(chosen: list[dict]) -> list[str]:
    """How often each measure prefers what people prefer; nothing where nobody was asked (``train.choices``)."""
    if not chosen:
        return []
    body = [
        [MEASURES[row["measure"]].title, f"{row['agrees']:.0%} [{row['low']:.0%}, {row['high']:.0%}]", f"{row['r']:+.2f}", str(row["pairs"])]
        for row in chosen
    ]
    return [
        "## Measures beside blind choices",
        "",
        "Somebody who saw only two unlabelled rows of faces, of two methods and the same strong clip of RAVDESS, chose the one that speaks it better (`python -m train.choices`)."
        " *Agrees*: share of these pairs in which the measure prefers the chosen row; one half is chance. *r*: of the choice with the measure's difference (its ranks). Pictures that stand still"
        " show expression, not timing.",
        "",
        *_table(["measure", "agrees", "r", "pairs"], body),
    ]


def _title(name: str) -> str:
    return METHODS[name].title if name in METHODS else f"*{name}*" if name in FIXED else name


def _number(key: str, value: float) -> str:
    value = root_mm(value) if key in ("lve", "eve") else value
    return f"{value:.{MEASURES[key].digits}f}"


def _cell(key: str, cell: dict | None) -> str:
    if cell is None:
        return "-"
    interval = "" if np.isnan(cell["low"]) else f" [{_number(key, cell['low'])}, {_number(key, cell['high'])}]"
    return _number(key, cell["value"]) + interval


def _table(header: list[str], body: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *body)] + [""]


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
    parser.add_argument("--runs", type=Path, default=Path("runs/compare"), help="where each run keeps its measurement")
    parser.add_argument("--out", type=Path, default=Path("docs/comparison.json"))
    options = parser.parse_args(arguments)
    command = shlex.join(["python", "-m", "train.compare", *(sys.argv[1:] if arguments is None else arguments)])
    names = list(METHODS) if "all" in options.methods else [name for name in options.methods if name != "none"]
    plan = Plan(options.steps, options.frames, options.grid_every, options.ravdess_every, options.readability)
    outside = dict(entry.partition("=")[::2] for entry in options.outside)
    if wrong := [name for name, folder in outside.items() if not name or not folder or name in METHODS or name in FIXED]:
        parser.error(f"--outside takes NAME=DIR with a name of its own, not {wrong[0]!r}.")
    harness = Harness(options.data, plan)
    if options.sounds is not None:
        print(f"{harness.write_sounds(options.sounds)} recordings are in {options.sounds}.")
        return
    given = {name: harness.outside(Path(folder)) for name, folder in outside.items()}
    runs: dict[str, list[dict]] = {}
    for name, answer in harness.fixed().items():
        runs[name] = [_remembered(options.runs / f"{name.replace(' ', '_')}.json", plan, lambda answer=answer: harness.measure(answer))]
    for name, answer in given.items():
        print(f"{name}, from {outside[name]}", flush=True)
        runs[name] = [dict(clips=harness.measure(answer))]

    agreement = options.runs / "agreement.json"
    chosen = json.loads(agreement.read_text()) if agreement.exists() else []

    def write() -> str:
        found, judged = results(runs, plan, command), verdicts(runs)
        page = markdown(found, judged, chosen)
        for path, text in (
            (options.out, json.dumps(dict(found, against_ours=judged, choices=chosen), indent=1) + "\n"),
            (options.out.with_suffix(".md"), page),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
        return page

    page = write()
    order = [(seed, name) for seed in range(options.seeds) for name in names]
    for number, (seed, name) in enumerate(order, 1):
        print(f"[{number}/{len(order)}] {METHODS[name].title}, seed {seed}", flush=True)
        runs.setdefault(name, []).append(measured_run(harness, name, seed=seed, folder=options.runs / f"{name}-{seed}"))
        page = write()
    print(page)


def _remembered(path: Path, plan: Plan, measure: Callable[[], dict]) -> dict:
    """What an earlier call measured with the same plan."""
    settings = asdict(plan)
    if path.exists() and (stored := json.loads(path.read_text()))["settings"] == settings:
        return stored
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(dict(settings=settings, clips=measure())))
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
