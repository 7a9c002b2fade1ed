"""The comparison's data where our own corpus is used: GRID (filmed) and RAVDESS (modelled), on our head."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import torch

from emoface.animation import LEVELS
from emoface.metrics import pearson
from emoface.metrics.timing import dynamics_ratio, loudness_coherence, temporal_misalignment

from ..baselines import Baseline, DataShape
from ..baselines.batches import OwnMotion
from ..corpus.reader import Corpus
from ..evaluation.face import Face
from ..evaluation.outside import OutsideFolder
from ..evaluation.showing import TORN_MM, ShownFace
from .measures import GRID, RAVDESS

TITLES = {GRID: "GRID (filmed, real)", RAVDESS: "RAVDESS (modelled)"}
LONGEST = 100
"""Frames of a training item; measured clips are cut there too, so that all are equally far from what was trained."""
SHOWN_CLIPS, SHOWN_FRAMES = 14, 6


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
        self.corpus, self.plan, self.face, self.titles = Corpus(folder), plan, Face(), TITLES
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
        for source in TITLES:
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
        from ..evaluation.readability import Judge, Portrait

        return Judge(), Portrait(self.face.head)

    def _readable(self, offsets: np.ndarray, emotion: str) -> float:
        from ..evaluation.readability import JUDGED, judged

        if emotion not in JUDGED:
            return float("nan")
        frames = offsets[np.linspace(0.3 * len(offsets), 0.7 * len(offsets), 2).astype(int)]
        return float(judged(*self._judge, self.face.head.assemble(frames, self.face.read_back(frames)))[JUDGED.index(emotion)])
