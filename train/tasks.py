"""What is trained on what: the embedded model on the corpus, or the paper's model on mesh data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from emoface.animation import EMOTIONS
from emoface.configuration import EmoFaceConfig
from emoface.head import lip_aperture_mm, load_head
from emoface.modeling import EmoFaceModel, Frames

from .basis_head import learn_in_basis, merged
from .corpus.reader import Corpus
from .data import KINDS, Batch, Sampler
from .losses import LipPairs
from .named_emotions import set_named_emotions


class Task(Protocol):
    """A model, its batches and its validation."""

    model: EmoFaceModel
    steps_per_epoch: int
    importance: Tensor | None
    lip_pairs: LipPairs | None

    def batch(self, step: int) -> Batch: ...
    def prepare(self, batch: Batch) -> Batch: ...
    def modules(self) -> list[nn.Module]:
        """What is trained beside the model."""

    def parameters(self) -> list[nn.Parameter]: ...
    def validate(self, model: EmoFaceModel) -> dict[str, float]: ...
    def export(self, model: EmoFaceModel, folder: Path) -> None: ...
    def state(self) -> dict: ...
    def load_state(self, state: dict) -> None: ...


DATA_SETTINGS = {
    "corpus": {"kind", "corpus", "frames_per_batch", "longest", "kinds", "validation_clips"},
    "meshes": {"kind", "folder", "mesh", "masks", "batch_size", "content_encoder", "emotion_encoder"},
}
"""What ``data`` may hold, for each ``kind``."""


def make_task(config) -> Task:
    kind = config.data.get("kind")
    if kind == "corpus":
        return CorpusTask(config)
    if kind == "meshes":
        from .meshes import MeshTask

        return MeshTask(config)
    raise SystemExit(f"data.kind must be {' or '.join(DATA_SETTINGS)}, not {kind!r}.")


class CorpusTask:
    """The embedded model: frozen encoder, cached features, motion in the head's ARKit basis."""

    model_class = EmoFaceModel

    def __init__(self, config):
        data = dict(config.data)
        self.corpus = Corpus(Path(data["corpus"]))
        train = [c for c in self.corpus.clips if c["split"] == "train"]
        speakers = sorted({c["style"] for c in train}, key=lambda s: ("grid" not in s and s != "s1", s))
        self.head = load_head(0)
        self.basis = torch.tensor(self.head.blendshapes, dtype=torch.float32)
        model_config = EmoFaceConfig(
            style_names=speakers, default_style=speakers[0], vertex_count=self.head.skin_count, face_count=len(self.head.skin_faces),
            content_encoder={"embedded": "whisper-tiny.en"}, **config.model,
        )
        self.model = self.model_class.from_topology(
            model_config, faces=self.head.skin_faces, template=self.head.template[: self.head.skin_count]
        )
        learn_in_basis(self.model, self.basis)
        self.sampler = Sampler(
            self.corpus, styles=speakers, basis=self.basis, frames=data.get("frames_per_batch", 1200), seed=config.seed,
            longest=data.get("longest"), kinds=data.get("kinds", KINDS),
        )
        self.steps_per_epoch = max(sum(c["frames"] for c in train) // data.get("frames_per_batch", 1200), 1)
        self.lip_pairs = LipPairs(*(torch.from_numpy(pairs.astype(np.int64)) for pairs in (self.head.lip_pairs, self.head.lip_line)))
        self.importance = self._importance()
        self.validation_clips = int(data.get("validation_clips", 24))

    def _importance(self) -> Tensor:
        """How often a vertex is looked at: by how much it moves; the inside of the mouth and the eye sockets less."""
        rng = np.random.default_rng(0)
        chosen = rng.choice(self.sampler.ravdess, 60)
        weights = torch.from_numpy(np.concatenate([self.corpus.weights(int(i)) for i in chosen]))
        # std over frames of each vertex from the covariance of the weights: no (frames x vertices) array.
        centred = weights - weights.mean(0)
        covariance = centred.T @ centred / len(weights)
        moved = torch.einsum("ksx,kl,lsx->s", self.basis, covariance, self.basis).clamp_min(0).sqrt()
        importance = (moved / moved.max()).clamp_min(0.06)
        hidden = self.head.mask("mouth_cavity") | self.head.mask("eye_socket")
        importance[torch.from_numpy(hidden[: self.head.skin_count])] *= 0.3
        # The upper face moves little and tells an emotion apart: brows and lids are looked at three times as often.
        importance[torch.from_numpy(self.head.mask("eyes_upper")[: self.head.skin_count])] *= 3.0
        return importance

    def batch(self, step: int) -> Batch:
        return self.sampler.batch(step)

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def modules(self) -> list[nn.Module]:
        return []

    def parameters(self) -> list[nn.Parameter]:
        return list(self.model.parameters())

    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None:
        pass

    def free_run(self, model: EmoFaceModel, clip: int, *, style: str | None = None) -> np.ndarray:
        """Fused offsets (T, S, 3) of a clip with its own emotion."""
        return torch.cat([part.fused for part in self.generate(model, clip, style=style)], dim=1)[0].numpy()

    @torch.inference_mode()
    def generate(self, model: EmoFaceModel, clip: int, *, style: str | None = None) -> list[Frames]:
        """A clip with its own emotion, free-running, in one row; by default in its own speaker's style."""
        info = self.corpus.clips[clip]
        hidden = torch.from_numpy(np.asarray(self.sampler.heard(clip), np.float32))[None]
        names = model.config.style_names
        style = style or (info["style"] if info["style"] in names else names[0])
        return list(model.generate(
            model.content_features(hidden), model.emotion_features(hidden),
            **model.conditions(style=style, level=model.config.level_names[info["level"]]),
        ))

    def _some(self, **wanted) -> list[int]:
        clips = [i for i in self.corpus.select(**wanted) if not self.corpus.clips[i]["copy_of"]]
        return clips[:: max(len(clips) // self.validation_clips, 1)][: self.validation_clips]

    def validate(self, model: EmoFaceModel) -> dict[str, float]:
        return self._validate(merged(model).eval())

    @torch.inference_mode()
    def _validate(self, model: EmoFaceModel) -> dict[str, float]:
        """Free-running on clips never trained on: real GRID lips, modelled RAVDESS faces, emotion of unseen actors."""
        skin, basis = self.head.template[: self.head.skin_count], self.basis.numpy()
        scores: dict[str, list[float]] = {}

        def add(name: str, value: float) -> None:
            scores.setdefault(name, []).append(float(value))

        masks = {"lips": self.head.mask("lips"), "eyes": self.head.mask("eyes_upper")}
        for name, wanted in (
            ("grid", dict(source="grid", split="val")), ("other", dict(source="grid", split="test_others")),
            ("ravdess", dict(source="ravdess", split="val")),
        ):
            for clip in self._some(**wanted):
                predicted = self.free_run(model, clip)
                truth = np.einsum("tk,ksx->tsx", self.corpus.weights(clip), basis)
                for region, mask in masks.items():
                    mask = mask[: self.head.skin_count]
                    error = ((predicted[:, mask] - truth[:, mask]) ** 2).sum(-1).max(1).mean()
                    static = (truth[:, mask] ** 2).sum(-1).max(1).mean()
                    add(f"{name}_{region}_mm", 1e3 * error**0.5)
                    add(f"{name}_{region}_static_mm", 1e3 * static**0.5)
                a, b = lip_aperture_mm(skin + predicted, self.head), lip_aperture_mm(skin + truth, self.head)
                add(f"{name}_aperture_r", np.corrcoef(a, b)[0, 1])
                add(f"{name}_aperture_mm", np.abs(a - b).mean())
        for clip in self.corpus.select(source="ravdess", split="val"):
            hidden = torch.from_numpy(np.asarray(self.sampler.heard(clip), np.float32))[None]
            logits = model.classifier(model.emotion_features(hidden, pooled=True))[0, 0]
            add("emotion_accuracy", EMOTIONS[int(logits.argmax())] == self.corpus.clips[clip]["emotion"])
        result = {name: float(np.mean(values)) for name, values in scores.items()}
        result["score"] = result.get("grid_lips_mm", 0) + 0.5 * result.get("ravdess_lips_mm", 0) + 0.5 * result.get("ravdess_eyes_mm", 0)
        return result

    @torch.inference_mode()
    def store_named_emotions(self, model: EmoFaceModel) -> None:
        """Named emotion x level = mean features over the training speakers' recordings."""
        sums: dict[tuple[int, int], list[Tensor]] = {}
        for clip in self.corpus.select(source="ravdess", split="train"):
            info = self.corpus.clips[clip]
            if info["copy_of"]:
                continue
            hidden = torch.from_numpy(np.asarray(self.sampler.heard(clip), np.float32))[None]
            vector = model.emotion_features(hidden, pooled=True)[0, 0]
            sums.setdefault((EMOTIONS.index(info["emotion"]), info["level"]), []).append(vector)
        set_named_emotions(model, sums)

    def export(self, model: EmoFaceModel, folder: Path) -> None:
        """Write the model as ``EmoFaceModel.from_pretrained`` reads it, in float16."""
        saved = merged(model).eval()
        self.store_named_emotions(saved)
        saved.half().save_pretrained(folder)
