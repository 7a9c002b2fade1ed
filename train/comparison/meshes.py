"""The comparison on recorded meshes that ``train.prepare`` wrote (VOCASET, 3D-RAVDESS, or videos on our head); see :mod:`train.compare`.

Speech is the cached frames of the embedded encoder (``python -m train.features --corpus FOLDER``), as on our own corpus. Speakers that nothing was
trained on are asked for in every training speaker's style, and their errors are averaged (FaceFormer's protocol).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emoface.animation import EMOTIONS, LEVELS
from emoface.errors import EmoFaceError
from emoface.metrics.files import clip_measures
from emoface.metrics.timing import dynamics_ratio

from ..baselines import Baseline, DataShape
from ..data import Batch, mask_of, pad
from ..meshes import Partners, epoch_batch, face_masks, mean_over_styles, open_folder, topology
from ..motion import DenseMotion

LONGEST = 100
"""Frames of a training item; measured clips are cut there too."""

Answer = Callable[[int], list[np.ndarray]]
"""Clip -> offsets (T, V, 3) in metres, one array for each style that was asked for."""


@dataclass(frozen=True)
class MeshPlan:
    """What all runs of a table share."""

    folder: str
    steps: int
    frames: int
    every: int


class MeshBatches:
    """Recordings with their own motion, and with that of the same sentence in another emotion where the data have it.

    The same seed and step give the same batch. Every training clip comes once in an epoch.
    """

    def __init__(self, harness: MeshHarness, seed: int):
        self.harness, self.seed = harness, seed
        self.train = harness.split("train")
        self.size = min(max(harness.plan.frames // LONGEST, 2), len(self.train))

    def _drawn(self, step: int) -> list[int]:
        return epoch_batch(self.train, step, size=self.size, seed=self.seed)

    def batch(self, step: int) -> Batch:
        harness, rng = self.harness, np.random.default_rng([self.seed, step, 1])
        contents = self._drawn(step)
        which = (contents, [harness.partners.draw(rng, clip) for clip in contents])
        hidden = [[harness.hidden(clip) for clip in clips] for clips in which]
        truth = [[harness.partners.target(c, e)[:LONGEST] for c, e in zip(contents, clips)] for clips in which]
        info = harness.data.clips
        never = torch.zeros(self.size, dtype=torch.bool)
        return Batch(
            content_hidden=pad(hidden[0]),
            mask=mask_of(hidden[0]),
            source_hidden=tuple(map(pad, hidden)),
            source_masks=tuple(map(mask_of, hidden)),
            pooled=(never, never),
            emotions=tuple(torch.tensor([EMOTIONS.index(info[i]["emotion"]) for i in clips]) for clips in which),
            levels=tuple(torch.tensor([info[i]["level"] for i in clips]) for clips in which),
            style=torch.tensor([harness.styles.index(info[i]["style"]) for i in contents]),
            real=torch.tensor([info[i]["motion"] == "real" for i in contents]),
            motions=tuple(DenseMotion(pad(rows)) for rows in truth),
        )


class MeshHarness:
    """The data, and how a face's motion is measured on it.

    Raises:
        EmoFaceError: no prepared data there, no encoder frames yet, no clips to train on or to measure, or a mesh or masks of another topology.
    """

    def __init__(self, plan: MeshPlan, *, mesh: Path | None, masks: Path | None):
        self.plan, self.data = plan, open_folder(Path(plan.folder))
        clips = self.data.clips
        self.template, self.faces = topology(self.data, mesh)
        self.lips, self.upper = face_masks(self.data, masks)
        path = self.data.folder / "features.npy"
        if not path.exists():
            raise EmoFaceError(f"There are no encoder frames in {plan.folder}; make them with: python -m train.features --corpus {plan.folder}")
        self.features = np.load(path, mmap_mode="r", allow_pickle=False)
        self.offset = np.cumsum([0] + [clip["frames"] for clip in clips])
        self.partners = Partners(self.data)
        self.styles = sorted({clips[i]["style"] for i in self.split("train")})
        measured = "test" if any(clip["split"] == "test" for clip in clips) else "val"
        self.clips = {"mesh": self.split(measured)[:: plan.every]}
        self.titles = {"mesh": f"{clips[self.clips['mesh'][0]]['source']}, {measured}"}
        self.basis: Tensor | None = None
        self.shown_clips: list[int] = []

    def split(self, name: str) -> list[int]:
        found = [i for i, clip in enumerate(self.data.clips) if clip["split"] == name and not clip.get("copy_of")]
        if not found:
            raise EmoFaceError(f"{self.plan.folder} has no clips of the split {name!r}; prepare it again with all speakers.")
        return found

    def hidden(self, clip: int) -> np.ndarray:
        """Encoder frames (T, L, C) of the beginning of a clip."""
        return np.asarray(self.features[self.offset[clip] : self.offset[clip + 1]][:LONGEST], np.float32)

    def truth(self, clip: int) -> np.ndarray:
        """(T, V, 3) of the beginning of a clip."""
        return self.data.offsets(clip)[:LONGEST].astype(np.float32)

    def sampler(self, seed: int) -> MeshBatches:
        return MeshBatches(self, seed)

    def shape(self, sampler: MeshBatches) -> DataShape:
        _, layers, width = self.features.shape
        return DataShape.of_mesh(self.template, self.faces, lips=self.lips, upper=self.upper, features=width, layers=layers, styles=len(self.styles))

    # ---- answers -----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def animated(self, network: Baseline, sampler: MeshBatches, clip: int) -> list[np.ndarray]:
        info = self.data.clips[clip]
        content = torch.from_numpy(self.hidden(clip))[None]
        level = F.one_hot(torch.tensor([info["level"]]), len(LEVELS)).float()
        asked = [info["style"]] if info["style"] in self.styles else self.styles
        one_hot = torch.eye(len(self.styles))
        return [network.animate(content, style=one_hot[self.styles.index(name)][None], level=level)[0].numpy() for name in asked]

    def fixed(self) -> dict[str, Answer]:
        """Answers that do not listen, and the recorded motion itself."""
        poses: dict[tuple, list[np.ndarray]] = {}
        for clip in self.split("train"):
            info, mean = self.data.clips[clip], self.data.offsets(clip).mean(0)
            for key in ((), (info["emotion"], info["level"])):
                poses.setdefault(key, []).append(mean)
        means = {key: np.mean(of, axis=0).astype(np.float32) for key, of in poses.items()}

        def held(pose: np.ndarray, clip: int) -> list[np.ndarray]:
            return [np.broadcast_to(pose, self.truth(clip).shape)]

        def label_mean(clip: int) -> list[np.ndarray]:
            info = self.data.clips[clip]
            return held(means.get((info["emotion"], info["level"]), means[()]), clip)

        return {
            "static template": lambda clip: held(np.zeros_like(means[()]), clip),
            "mean motion": lambda clip: held(means[()], clip),
            "label mean": label_mean,
            "target": lambda clip: [self.truth(clip)],
        }

    def outside(self, folder: Path) -> Answer:
        """Answers read from ``folder/ID.npy``: offsets (T, V, 3) in metres from the template, as ``train.baselines.official`` writes them.

        Raises:
            EmoFaceError: some are missing or have another shape.
        """
        paths = {clip: folder / f"{self.data.clips[clip]['id']}.npy" for clip in self.clips["mesh"]}
        if missing := [path.name for path in paths.values() if not path.is_file()]:
            raise EmoFaceError(f"{folder} lacks {len(missing)} of {len(paths)} recordings, e.g. {missing[0]}; --sounds writes the recordings.")

        def read(clip: int) -> list[np.ndarray]:
            offsets = np.load(paths[clip], allow_pickle=False)
            if offsets.ndim != 3 or offsets.shape[1:] != self.template.shape or not np.isfinite(offsets).all():
                raise EmoFaceError(f"{paths[clip]} is {offsets.shape}: give finite offsets (frames, {len(self.template)}, 3) in metres.")
            return [offsets[:LONGEST]]

        return read

    def write_sounds(self, folder: Path) -> int:
        """The measured recordings as ``folder/ID.wav``; returns how many."""
        folder.mkdir(parents=True, exist_ok=True)
        for clip in self.clips["mesh"]:
            shutil.copyfile(self.data.folder / self.data.clips[clip]["audio"], folder / f"{self.data.clips[clip]['id']}.wav")
        return len(self.clips["mesh"])

    # ---- measuring ---------------------------------------------------------------------------------------------------

    def measure(self, answer: Answer) -> dict[str, list[dict]]:
        return {"mesh": [self._measured(answer(clip), clip) for clip in self.clips["mesh"]]}

    def _measured(self, answers: list[np.ndarray], clip: int) -> dict:
        truth, info = self.truth(clip), self.data.clips[clip]
        rows = [self._errors(offsets, truth) for offsets in answers]
        means = mean_over_styles(rows, keys=rows[0])
        return dict(
            id=info["id"], speaker=info["speaker"], frames=len(truth), **{key: None if np.isnan(value) else value for key, value in means.items()}
        )

    def _errors(self, offsets: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        frames = min(len(offsets), len(truth))
        offsets, truth = offsets[:frames], truth[:frames]
        found = clip_measures(offsets, truth, np.zeros(truth.shape[1:]), self.lips, self.upper)
        return dict(
            lve=found["lve"],
            eve=found["eve"],
            fdd=1e5 * abs(found["fdd"]),
            upper=dynamics_ratio(offsets[:, self.upper], truth[:, self.upper]),
        )
