"""The paper's model on recorded motion: VOCASET, 3D-RAVDESS and videos, as ``train.prepare`` writes them.

Both encoders are trained along (convolutions frozen, as in FaceFormer), so features are computed per step. Items are single clips;
where a speaker has said the same sentence with another emotion, that clip is ``e2`` and its motion, warped onto the content's clock, the
cross target (the paper's pairs): on aligned phones where both clips have them, else by dynamic time warping. VOCASET has no emotions:
there both outputs are self-reconstructions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from emoface.animation import EMOTIONS
from emoface.configuration import EmoFaceConfig
from emoface.encoders import SpeechEncoder
from emoface.errors import EmoFaceError
from emoface.head import load_head
from emoface.loading import save_folder
from emoface.metrics import eve, lve
from emoface.modeling import EmoFaceModel

from .corpus.coarticulation import Phone
from .corpus.reader import Corpus
from .data import Batch, mask_of, pad
from .drawing import VertexSampler
from .motion import DenseMotion
from .named_emotions import set_named_emotions
from .prepare.pairs import FEATURE_RATE, TimeMap, feature_map, phone_map, same_sentence_pairs, warp, warp_weights


@dataclass
class SoundBatch:
    """A batch before the encoders: samples instead of features."""

    content: list[Tensor]
    sources: tuple[list[Tensor], list[Tensor]]
    frames: list[int]
    source_frames: tuple[list[int], list[int]]
    rest: Batch
    """Everything else; its features are filled in by :meth:`MeshTask.prepare`."""

    def to(self, device) -> SoundBatch:
        move = lambda sounds: [s.to(device) for s in sounds]
        return SoundBatch(move(self.content), tuple(map(move, self.sources)), self.frames, self.source_frames, self.rest.to(device))


class MeshFolder:
    """``clips.json``, ``templates.npz``, ``audio/`` and ``vertices/`` of a prepared data set."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        if not (self.folder / "clips.json").exists():
            raise EmoFaceError(
                f"There is no prepared data in {folder}; make it with: python -m train.prepare vocaset | ravdess3d | video --source DIR --out {folder}"
            )
        self.clips = json.loads((self.folder / "clips.json").read_text())
        with np.load(self.folder / "templates.npz", allow_pickle=False) as file:
            self.templates = {name: file[name] for name in file.files}

    def sound(self, clip: int) -> np.ndarray:
        """(n,) at 16 kHz.

        Raises:
            EmoFaceError: when the file has another rate.
        """
        samples, rate = soundfile.read(self.folder / self.clips[clip]["audio"], dtype="float32")
        if rate != 16000:
            raise EmoFaceError(f"{self.clips[clip]['audio']} has {rate} Hz instead of 16000: prepare the folder again.")
        return samples

    def phones(self, clip: int) -> list[Phone]:
        """Empty where they are not known."""
        return [Phone(*row) for row in self.clips[clip].get("phones", ())]

    def offsets(self, clip: int) -> np.ndarray:
        """(T, V, 3) metres from the speaker's template."""
        info = self.clips[clip]
        vertices = np.load(self.folder / info["vertices"], allow_pickle=False)
        return vertices - self.templates[info["speaker"]]

    def warped(self, emotion: int, content: int, time_map: TimeMap) -> np.ndarray:
        """Offsets (T, V, 3) of clip ``emotion`` on the clock of clip ``content``."""
        return warp(self.offsets(emotion), time_map, self.clips[content]["frames"]).astype(np.float32)


class HeadFolder(MeshFolder):
    """What ``train.prepare video`` writes: ARKit weights of the embedded head. Lips stay sealed at the content's own P, B and M."""

    def __init__(self, folder: Path):
        self.folder, self.corpus, self.head = Path(folder), Corpus(folder), load_head(0)
        self.clips = self.corpus.clips
        self.templates = {clip["speaker"]: self.head.skin_template for clip in self.clips}

    def phones(self, clip: int) -> list[Phone]:
        return [Phone(*row) for row in self.corpus.times(clip)["phones"]]

    def offsets(self, clip: int) -> np.ndarray:
        return self._posed(self.corpus.weights(clip))

    def warped(self, emotion: int, content: int, time_map: TimeMap) -> np.ndarray:
        return self._posed(warp_weights(self.corpus.weights(emotion), self.corpus.track(content, "closure"), time_map))

    def _posed(self, weights: np.ndarray) -> np.ndarray:
        """(T, 52) -> (T, S, 3) metres."""
        return np.tensordot(weights.astype(np.float32), self.head.blendshapes.astype(np.float32), 1)


def open_folder(folder: Path) -> MeshFolder:
    """A prepared data set of either kind."""
    return (HeadFolder if (Path(folder) / "motion.npz").exists() else MeshFolder)(folder)


WHERE = {
    "mesh": "for FLAME, take FLAME_sample.ply from https://github.com/TimoBolkart/voca (folder template)",
    "masks": "get FLAME_masks.pkl (FLAME Vertex Masks) at https://flame.is.tue.mpg.de, or leave data.masks out",
}


def _file(path: str | Path | None, key: str) -> Path:
    """A file that ``data`` of a configuration, or an option, names.

    Raises:
        EmoFaceError: it is missing; says where to get it.
    """
    if path is None or not Path(path).is_file():
        raise EmoFaceError(f"There is no file {path} (data.{key} of the configuration, or --{key}): {WHERE[key]}.")
    return Path(path)


def cepstra(samples: np.ndarray) -> np.ndarray:
    """13 MFCCs and their slopes at 50 frames/s, each of zero mean and unit variance: (T, 26)."""
    import librosa

    mfcc = librosa.feature.mfcc(y=samples, sr=16000, n_mfcc=13, n_fft=400, hop_length=320)
    both = np.concatenate([mfcc, np.gradient(mfcc, axis=1)]).T
    return (both - both.mean(0)) / (both.std(0) + 1e-6)


class Partners:
    """The other emotion of a clip: another recording of the same sentence by the same speaker, brought onto the clip's clock (the paper's pairs)."""

    def __init__(self, data: MeshFolder):
        self.data = data
        self.of: dict[int, list[int]] = {}
        for a, b in same_sentence_pairs(data.clips):
            self.of.setdefault(a, []).append(b)

    def draw(self, rng: np.random.Generator, clip: int) -> int:
        """A partner of a clip; the clip itself where it has none."""
        return int(rng.choice(self.of[clip])) if clip in self.of else clip

    def target(self, content: int, emotion: int) -> np.ndarray:
        """Offsets (T, V, 3) of clip ``emotion`` on the clock of clip ``content``."""
        return self.data.offsets(content) if content == emotion else self.data.warped(emotion, content, self._time_map(content, emotion))

    @lru_cache(maxsize=4096)
    def _time_map(self, content: int, emotion: int) -> TimeMap:
        """Between two recordings of one sentence. The features warped are MFCCs, which stay the same at every step of training: within a
        speaker, 16.5 ms from the aligned phones on average, Whisper's third block 15.7 (``python -m train.tools.measure pairs``)."""
        phones = [self.data.phones(i) for i in (content, emotion)]
        if all(phones) and (found := phone_map(*phones)) is not None:
            return found
        pair = [cepstra(self.data.sound(i)) for i in (content, emotion)]
        return feature_map(*pair, *((0.0, (len(f) - 1) / FEATURE_RATE) for f in pair), rate=FEATURE_RATE)


def mean_over_styles(rows: list[dict], *, keys: Iterable[str]) -> dict[str, float]:
    """Of one clip's measures in each style that it was asked for, the means of those named."""
    return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def epoch_batch(clips: list[int], step: int, *, size: int, seed: int) -> list[int]:
    """The clips of a step: every clip once in an epoch (but for those that fill no batch), in another order in each."""
    epoch, place = divmod(step, max(len(clips) // size, 1))
    order = np.random.default_rng([seed, epoch, 0]).permutation(clips)
    return [int(i) for i in order[place * size : (place + 1) * size]]


def topology(data: MeshFolder, mesh: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean template, and the triangles of the embedded head or of ``mesh`` (OBJ or PLY of the data's topology, e.g. FLAME_sample.ply).

    Raises:
        EmoFaceError: the file is missing or has another topology.
    """
    if isinstance(data, HeadFolder):
        return data.head.skin_template, data.head.skin_faces
    import trimesh

    triangles = trimesh.load(_file(mesh, "mesh"), process=False, maintain_order=True)
    template = np.mean(list(data.templates.values()), axis=0)
    if len(triangles.vertices) != len(template):
        raise EmoFaceError(f"{mesh} has {len(triangles.vertices)} vertices but the data {len(template)}: give a mesh of that topology.")
    return template, np.asarray(triangles.faces)


def face_masks(data: MeshFolder, masks: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the lips and of the upper face: the embedded head's, or those of FLAME_masks.pkl.

    Raises:
        EmoFaceError: the file is missing or holds no masks.
    """
    if isinstance(data, HeadFolder):
        return tuple(np.flatnonzero(data.head.mask(name)) for name in ("lips", "eyes_upper"))
    from emoface.flame import load_masks, upper_face

    found = load_masks(_file(masks, "masks"))
    return found["lips"], upper_face(found)


class MeshTask:
    model_class: ClassVar[type[EmoFaceModel]] = EmoFaceModel

    def __init__(self, config):
        data = dict(config.data)
        self.data = open_folder(Path(data["folder"]))
        clips = self.data.clips
        self.train = [i for i, c in enumerate(clips) if c["split"] == "train"]
        self.val = [i for i, c in enumerate(clips) if c["split"] == "val"]
        if not self.train or not self.val:
            raise EmoFaceError(f"{data['folder']} has {len(self.train)} training and {len(self.val)} validation clips; it needs both.")
        self.size, self.seed = int(data.get("batch_size", 1)), config.seed
        self.partners = Partners(self.data)
        self.first_frame = config.first_frame
        self.content_encoder, self.emotion_encoder = (
            self._encoder(data[name], data.get("resample", "after")) for name in ("content_encoder", "emotion_encoder")
        )
        template, faces = topology(self.data, data.get("mesh"))
        model = EmoFaceConfig.base(
            **{
                "head": "embedded" if isinstance(self.data, HeadFolder) else None,
                "feature_size": self.content_encoder.width,
                "vertex_count": len(template),
                "face_count": len(faces),
                "style_names": sorted({clips[i]["style"] for i in self.train}),
                "content_encoder": {},
                "emotion_encoder": {},
                **config.model,
            }
        )
        self.model = self.model_class.from_topology(model, faces=faces, template=template)
        self.steps_per_epoch = max(len(self.train) // self.size, 1)
        self.importance = self.lip_pairs = self.channel_importance = None
        masked = isinstance(self.data, HeadFolder) or "masks" in data
        self.lips, self.upper = face_masks(self.data, data.get("masks")) if masked else (np.arange(len(template)),) * 2

    @staticmethod
    def _encoder(settings: dict | str, resample: str) -> SpeechEncoder:
        """A Hub id or folder; or a dict of ``SpeechEncoder`` for a fresh one (tests). ``resample``: as there."""
        encoder = (
            SpeechEncoder({"resample": resample, **settings})
            if isinstance(settings, dict)
            else SpeechEncoder.from_pretrained(settings, resample=resample)
        )
        return encoder.freeze_feature_encoder().train()

    def _drawn(self, step: int) -> list[int]:
        return epoch_batch(self.train, step, size=self.size, seed=self.seed)

    def batch(self, step: int) -> SoundBatch:
        rng = np.random.default_rng([self.seed, step])
        contents = self._drawn(step)
        sources = [self.partners.draw(rng, i) for i in contents]
        clips = self.data.clips
        truth, frames = [], []
        for which in (contents, sources):
            truth.append([self.partners.target(c, e) for c, e in zip(contents, which)])
            frames.append([clips[i]["frames"] for i in which])
        sounds = [[torch.from_numpy(self.data.sound(i)) for i in which] for which in (contents, sources)]
        styles = self.model.config.style_names
        label = lambda which: torch.tensor([EMOTIONS.index(clips[i]["emotion"]) for i in which])
        level = lambda which: torch.tensor([clips[i]["level"] for i in which])
        never = torch.zeros(self.size, dtype=torch.bool)
        rest = Batch(
            content_hidden=torch.empty(0),
            mask=mask_of(truth[0]),
            source_hidden=(torch.empty(0), torch.empty(0)),
            source_masks=tuple(mask_of([np.empty(n) for n in f]) for f in frames),
            pooled=(never, never),
            emotions=(label(contents), label(sources)),
            levels=(level(contents), level(sources)),
            style=torch.tensor([styles.index(clips[i]["style"]) for i in contents]),
            real=torch.tensor([clips[i]["motion"] == "real" for i in contents]),
            motions=tuple(DenseMotion(pad(rows)) for rows in truth),
        )
        return SoundBatch(sounds[0], tuple(sounds), frames[0], tuple(frames), rest)

    def _features(self, encoder: SpeechEncoder, sounds: list[Tensor], frames: list[int]) -> Tensor:
        """(B, T, 1, C) of the encoder's last block, zero-padded."""
        device = next(encoder.parameters()).device
        rows = [encoder.frame_features(s.to(device), n, layers=1)[0] for s, n in zip(sounds, frames)]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True).unsqueeze(2)

    def start_from(self, published: EmoFaceModel) -> None:
        """Refused: an exported model holds its speech encoders elsewhere, and they learn here."""
        raise SystemExit("start_from must be a checkpoint for mesh data: an exported model does not hold the encoders as they learn.")

    def begin(self, model: EmoFaceModel, *, frozen: list[str], folder: Path) -> None:
        """Nothing to do: the parts that compute the features are trained."""

    def vertex_sampler(self, *, sample: int | None, seed: int) -> VertexSampler:
        return VertexSampler(
            self.model.faces.numpy(), self.model.config.vertex_count, sample=sample, seed=seed, smoothing=self.model.config.attention_smoothing
        )

    def prepare(self, batch: SoundBatch) -> Batch:
        """Run the encoders of this step."""
        ready = batch.rest
        ready.content_hidden = self._features(self.content_encoder, batch.content, batch.frames)
        ready.source_hidden = tuple(
            self._features(self.emotion_encoder, sounds, frames) for sounds, frames in zip(batch.sources, batch.source_frames)
        )
        return ready

    def modules(self) -> list[nn.Module]:
        return [self.content_encoder, self.emotion_encoder]

    def parameters(self) -> list[nn.Parameter]:
        return [p for module in (self.model, *self.modules()) for p in module.parameters() if p.requires_grad]

    def state(self) -> dict:
        return {f"encoder{i}": module.state_dict() for i, module in enumerate(self.modules())}

    def load_state(self, state: dict) -> None:
        for i, module in enumerate(self.modules()):
            module.load_state_dict(state[f"encoder{i}"])

    @torch.inference_mode()
    def predictions(self, model: EmoFaceModel) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Every validation clip, its true offsets (T, V, 3) in metres and the free-running ones (styles, T, V, 3): its own style, or all training
        styles for unseen speakers. With ``first_frame`` the clip's first frame is given, as it was in training."""
        for encoder in self.modules():
            encoder.eval()
        names = model.config.style_names
        for clip in self.val:
            truth = self.data.offsets(clip)
            sound, frames = [torch.from_numpy(self.data.sound(clip))], [len(truth)]
            f_c = model.content_features(self._features(self.content_encoder, sound, frames))
            f_e = model.emotion_features(self._features(self.emotion_encoder, sound, frames))
            style = self.data.clips[clip]["style"]
            asked, level = [style] if style in names else names, model.config.level_names[self.data.clips[clip]["level"]]
            conditions = [model.conditions(style=name, level=level) for name in asked]  # all styles are rows of one loop
            conditions = {key: torch.cat([c[key] for c in conditions]) for key in conditions[0]}
            first = torch.from_numpy(truth[0]) if self.first_frame else None
            parts = model.generate(f_c.expand(len(asked), -1, -1), f_e, **conditions, initial_offset=first, chunk=max(128 // len(asked), 16))
            yield clip, truth, torch.cat([p.fused_offsets for p in parts], 1).cpu().numpy()
        for encoder in self.modules():
            encoder.train()

    def validate(self, model: EmoFaceModel) -> dict[str, float]:
        """LVE and EVE in mm (root of the mean of the squared maxima) over clips and styles of :meth:`predictions`."""
        rows = []
        for _, truth, predicted in self.predictions(model):
            static = lve(np.zeros_like(truth), truth, self.lips)
            rows += [[lve(offsets, truth, self.lips), eve(offsets, truth, self.upper), static] for offsets in predicted]
        lips, upper, static = 1e3 * np.sqrt(np.mean(rows, axis=0))
        return dict(lips_mm=float(lips), eyes_mm=float(upper), lips_static_mm=float(static), score=float(lips + upper))

    @torch.inference_mode()
    def store_named_emotions(self, model: EmoFaceModel, *, per_class: int = 8) -> None:
        """From a few training clips of each emotion and level, spread over the speakers. Those that the data lack stay zero."""
        grouped: dict[tuple[int, int], list[int]] = {}
        for clip in self.train:
            info = self.data.clips[clip]
            grouped.setdefault((EMOTIONS.index(info["emotion"]), info["level"]), []).append(clip)
        self.emotion_encoder.eval()
        vectors: dict[tuple[int, int], list[Tensor]] = {}
        for label, clips in grouped.items():
            for clip in clips[:: max(len(clips) // per_class, 1)][:per_class]:
                hidden = self._features(self.emotion_encoder, [torch.from_numpy(self.data.sound(clip))], [self.data.clips[clip]["frames"]])
                vectors.setdefault(label, []).append(model.emotion_features(hidden, pooled=True)[0, 0])
        self.emotion_encoder.train()
        set_named_emotions(model, vectors)

    def export(self, model: EmoFaceModel, folder: Path) -> None:
        """A self-contained model folder, both encoders included."""
        training = model.training
        self.store_named_emotions(model.eval())
        model.train(training)
        save_folder(folder, model, self.content_encoder, self.emotion_encoder, dtype=torch.float32)
