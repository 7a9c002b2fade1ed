"""What is trained on what: the embedded model on the corpus, or the paper's model on mesh data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import with_config
from torch import Tensor, nn
from tqdm import tqdm
from typing_extensions import NotRequired, TypedDict

from emoface.animation import EMOTIONS
from emoface.configuration import EmoFaceConfig
from emoface.files import atomic_path
from emoface.head import lip_aperture_mm, load_head
from emoface.metrics import lve, root_mm
from emoface.modeling import EmoFaceModel, Frames
from emoface.validation import STRICT, Count, Share, checked

from .basis_head import learn_in_basis, merged, put_in
from .checkpoint import load_checkpoint
from .corpus.reader import Corpus
from .data import KINDS, Batch, EmotionFeatures, Sampler
from .drawing import VertexSampler
from .losses import LipPairs
from .named_emotions import set_named_emotions
from .recognition.trainer import PARTS as RECOGNISER


class Task(Protocol):
    """A model, its batches and its validation."""

    model: EmoFaceModel
    steps_per_epoch: int
    importance: Tensor | None
    lip_pairs: LipPairs | None

    channel_importance: Tensor | None

    def start_from(self, published: EmoFaceModel) -> None:
        """Take over the weights of an exported model."""

    def begin(self, model: EmoFaceModel, *, frozen: list[str], folder: Path) -> None:
        """Called once when all weights are there that training starts with."""

    def vertex_sampler(self, *, sample: int | None, seed: int) -> VertexSampler: ...
    def batch(self, step: int) -> Batch: ...
    def prepare(self, batch: Batch) -> Batch: ...
    def modules(self) -> list[nn.Module]:
        """What is trained beside the model."""

    def parameters(self) -> list[nn.Parameter]: ...
    def validate(self, model: EmoFaceModel) -> dict[str, float]: ...
    def export(self, model: EmoFaceModel, folder: Path) -> None: ...
    def state(self) -> dict: ...
    def load_state(self, state: dict) -> None: ...


@with_config(STRICT)
class CorpusData(TypedDict):
    """``data`` of ``kind: corpus``."""

    kind: Literal["corpus"]
    corpus: str
    frames_per_batch: NotRequired[Count]
    longest: NotRequired[Count]
    kinds: NotRequired[dict[str, float]]
    validation_clips: NotRequired[Count]
    styles: NotRequired[Literal["speakers", "one"]]
    named: NotRequired[Share]


@with_config(STRICT)
class MeshData(TypedDict):
    """``data`` of ``kind: meshes``."""

    kind: Literal["meshes"]
    folder: str
    mesh: NotRequired[str]
    masks: NotRequired[str]
    batch_size: NotRequired[Count]
    content_encoder: str | dict
    emotion_encoder: str | dict
    resample: NotRequired[Literal["before", "after"]]


class AnyData(TypedDict):
    kind: Literal["corpus", "meshes"]


def data_settings(data: dict) -> type:
    """What ``data`` may hold, by its ``kind``. Raises EmoFaceError for another kind."""
    return {"corpus": CorpusData, "meshes": MeshData}[checked(AnyData, data, "data")["kind"]]


def make_task(config) -> Task:
    if data_settings(config.data) is CorpusData:
        return CorpusTask(config)
    from .meshes import MeshTask

    return MeshTask(config)


def load_recogniser(model: EmoFaceModel, path: Path) -> None:
    """Load the weights that ``python -m train.recognition`` trained.

    Raises:
        SystemExit: the file is missing or made for another model.
    """
    if not path.exists():
        raise SystemExit(f"There is no {path}: train it first with python -m train.recognition (see docs/training.md).")
    given = load_checkpoint(path)["ema"]
    own = {key: value for key, value in model.state_dict().items() if key.split(".")[0] in RECOGNISER}
    if {k: v.shape for k, v in given.items()} != {k: v.shape for k, v in own.items()}:
        raise SystemExit(f"{path} was trained for a model of another shape: train it again.")
    model.load_state_dict(given, strict=False)


_UPPER_FACE = ("brow", "eyeSquint", "eyeWide", "cheekSquint", "noseSneer")
_CORNERS = ("mouthSmile", "mouthFrown", "mouthStretch", "mouthUpperUp")
_EXPRESSIVE_MOUTH = ("mouthDimple", "mouthLowerDown")


def _channel_importance(name: str) -> float:
    """Of an ARKit shape's weight in the loss ``expression``: what people read a feeling from; the lips have losses of their own."""
    if name.startswith("eyeLook") or name == "tongueOut":
        return 0.0
    return 1.0 if name.startswith(_UPPER_FACE + _CORNERS) else 0.6 if name.startswith(_EXPRESSIVE_MOUTH) else 0.15


class CorpusTask:
    """The embedded model: frozen encoder, cached features, motion in the head's ARKit basis."""

    model_class = EmoFaceModel

    def __init__(self, config):
        data = dict(config.data)
        self.corpus = Corpus(Path(data["corpus"]))
        train = [c for c in self.corpus.clips if c["split"] == "train"]
        styles = data.get("styles", "speakers")
        if styles not in ("speakers", "one"):
            raise SystemExit(f"data.styles must be speakers or one, not {styles!r}.")
        speakers = sorted({c["style"] for c in train}, key=lambda s: ("grid" not in s and s != "s1", s)) if styles == "speakers" else ["default"]
        self.head = load_head(0)
        self.basis = torch.tensor(self.head.blendshapes, dtype=torch.float32)
        model_config = EmoFaceConfig(
            style_names=speakers,
            default_style=speakers[0],
            vertex_count=self.head.skin_count,
            face_count=len(self.head.skin_faces),
            content_encoder={"embedded": "whisper-tiny.en"},
            **config.model,
        )
        self.model = self.model_class.from_topology(model_config, faces=self.head.skin_faces, template=self.head.template[: self.head.skin_count])
        learn_in_basis(self.model, self.basis)
        self.sampler = Sampler(
            self.corpus,
            styles=speakers,
            basis=self.basis,
            frames=data.get("frames_per_batch", 1200),
            seed=config.seed,
            longest=data.get("longest"),
            kinds=data.get("kinds", KINDS),
            named=data.get("named", 0.0),
        )
        self.steps_per_epoch = max(sum(c["frames"] for c in train) // data.get("frames_per_batch", 1200), 1)
        self.lip_pairs = LipPairs(*(torch.from_numpy(pairs.astype(np.int64)) for pairs in (self.head.lip_pairs, self.head.lip_line)))
        self.importance = self._importance()
        self.validation_clips = int(data.get("validation_clips", 24))
        self.channel_importance = torch.tensor([_channel_importance(name) for name in self.head.blendshape_names])

    def start_from(self, published: EmoFaceModel) -> None:
        put_in(self.model, published)

    def begin(self, model: EmoFaceModel, *, frozen: list[str], folder: Path) -> None:
        """Where recognition is frozen F_e of every clip is computed once, here, and named emotions are known from the start."""
        if not set(RECOGNISER) <= set(frozen):
            if self.sampler.named:
                raise SystemExit(
                    "data.named needs emotion recognition that is frozen: a name's features are known only then. Set recognition, or leave named out."
                )
            return
        features = self._recognise(merged(model).eval(), folder / "emotion_features.npz")
        self.store_named_emotions(model)
        vectors = model.emotion_prototypes.detach().float().numpy()
        named = {(emotion, level): vectors[e, level] for e, emotion in enumerate(EMOTIONS) for level in range(vectors.shape[1])}
        self.sampler.emotion_features = replace(features, named=named)

    @torch.inference_mode()
    def _recognise(self, model: EmoFaceModel, path: Path) -> EmotionFeatures:
        """F_e of all clips, kept in a file beside the weights that computed them."""
        weights = np.concatenate([p.detach().flatten().numpy() for name in RECOGNISER for p in model.get_submodule(name).parameters()])
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                if np.array_equal(file["weights"], weights):
                    return EmotionFeatures(file["track"], file["vector"])
        track = np.zeros((len(self.sampler.features), model.config.feature_size), np.float16)
        vector = np.zeros((len(self.corpus), model.config.feature_size), np.float32)
        for i in tqdm(range(len(self.corpus)), desc="emotion features", unit="clip", mininterval=10):
            frames = model.emotion_frames(torch.from_numpy(np.asarray(self.sampler.hidden(i), np.float32))[None])
            track[self.corpus.offset[i] : self.corpus.offset[i + 1]] = model.emotion_track(frames)[0].half().numpy()
            vector[i] = model.emotion_vector(frames)[0, 0].numpy()
        with atomic_path(path) as temporary:
            np.savez(temporary, weights=weights, track=track, vector=vector)
        return EmotionFeatures(track, vector)

    def _markers(self) -> np.ndarray:
        """Vertices from which every shape's weight can be read: every second of the brows, every tenth of the rest of the face."""
        head = self.head
        face = np.isin(
            head.regions[: head.skin_count],
            ("forehead", "nose", "cheek_left", "cheek_right", "eyelid_left", "eyelid_right", "jaw", "chin", "mouth_ring"),
        )
        return np.concatenate([np.flatnonzero(head.mask("brows")[: head.skin_count])[::2], np.flatnonzero(face)[::10]])

    def vertex_sampler(self, *, sample: int | None, seed: int) -> VertexSampler:
        head, skin = self.head, self.head.skin_count
        return VertexSampler(
            head.skin_faces,
            skin,
            sample=sample,
            seed=seed,
            importance=self.importance,
            pairs=self.lip_pairs,
            corners=head.lip_corners,
            fixed=np.concatenate([head.lip_rings[:6].ravel(), self._markers()]),
            smoothing=self.model.config.attention_smoothing,
            basis=self.basis,
            visible=head.mask("visible_skin")[:skin],
        )

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
        # The inside of the mouth is seen between open lips, and must not come through closed ones.
        for region, share in (("mouth_cavity", 0.6), ("eye_socket", 0.3)):
            importance[torch.from_numpy(self.head.mask(region)[: self.head.skin_count])] *= share
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
        return torch.cat([part.fused_offsets for part in self.generate(model, clip, style=style)], dim=1)[0].numpy()

    @torch.inference_mode()
    def generate(self, model: EmoFaceModel, clip: int, *, style: str | None = None) -> list[Frames]:
        """A clip with its own emotion, free-running, in one row; by default in its own speaker's style."""
        info = self.corpus.clips[clip]
        hidden = torch.from_numpy(np.asarray(self.sampler.hidden(clip), np.float32))[None]
        names = model.config.style_names
        style = style or (info["style"] if info["style"] in names else names[0])
        prosody = (
            None if self.sampler.prosody is None else torch.from_numpy(np.asarray(self.sampler._rows(self.sampler.prosody, [clip]), np.float32))[None]
        )
        conditions = model.conditions(style=style, level=model.config.level_names[info["level"]])
        felt = model.with_prosody(model.committed(model.emotion_features(hidden), conditions["level"]), prosody)
        return list(model.generate(model.content_features(hidden), felt, **conditions))

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
            ("grid", dict(source="grid", split="val")),
            ("other", dict(source="grid", split="test_others")),
            ("ravdess", dict(source="ravdess", split="val")),
        ):
            for clip in self._some(**wanted):
                predicted = self.free_run(model, clip)
                truth = np.einsum("tk,ksx->tsx", self.corpus.weights(clip), basis)
                for region, mask in masks.items():
                    mask = mask[: self.head.skin_count]
                    add(f"{name}_{region}_mm", root_mm(lve(predicted, truth, mask)))
                    add(f"{name}_{region}_static_mm", root_mm(lve(np.zeros_like(truth), truth, mask)))
                a, b = lip_aperture_mm(skin + predicted, self.head), lip_aperture_mm(skin + truth, self.head)
                add(f"{name}_aperture_r", np.corrcoef(a, b)[0, 1])
                add(f"{name}_aperture_mm", np.abs(a - b).mean())
        for clip in self.corpus.select(source="ravdess", split="val"):
            hidden = torch.from_numpy(np.asarray(self.sampler.hidden(clip), np.float32))[None]
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
            hidden = torch.from_numpy(np.asarray(self.sampler.hidden(clip), np.float32))[None]
            vector = model.emotion_features(hidden, pooled=True)[0, 0]
            sums.setdefault((EMOTIONS.index(info["emotion"]), info["level"]), []).append(vector)
        set_named_emotions(model, sums)

    def export(self, model: EmoFaceModel, folder: Path) -> None:
        """Write the model as ``EmoFaceModel.from_pretrained`` reads it, in float16."""
        saved = merged(model).eval()
        self.store_named_emotions(saved)
        saved.half().save_pretrained(folder)
