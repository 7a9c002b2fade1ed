"""Training the emotion recogniser: the mix of the encoder's blocks, its convolutions, statistics pooling, the voice's rest and the classifier.

These parts of :class:`EmoFaceModel` learn by themselves from cached features, in minutes, and are then handed to the training of the face,
which keeps them as they are (``recognition`` in its settings). Seeded and resumable: every batch is a function of (seed, step).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from pydantic import with_config
from torch import Tensor, nn
from tqdm import tqdm

from emoface.configuration import EmoFaceConfig
from emoface.errors import EmoFaceError
from emoface.modeling import EmoFaceModel
from emoface.validation import STRICT, checked, settings_of

from ..checkpoint import read_checkpoint, update_ema, warm_cosine, write_checkpoint
from .batches import Balanced, RecognitionBatch

PARTS = ("emotion_mix", "statistics_pooling", "classifier")
"""The parts of the model that recognise the emotion."""


@with_config(STRICT)
@dataclass
class RecognitionConfig:
    """What ``train/configs/recognition.yaml`` may set."""

    model: dict = field(default_factory=dict)
    """Fields of ``EmoFaceConfig``; those that shape the parts must be the face's own."""
    shares: dict = field(default_factory=lambda: {"ravdess": 0.5, "nemo": 0.5})
    """Of the corpora in a batch."""
    copies: int = 3
    """Altered copies of every training clip, beside the clip itself."""
    steps: int = 1500
    clips: int = 24
    """Per step, each in two copies."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    label_smoothing: float = 0.05
    consistency: float = 1.0
    """Weight of the divergence between what two copies of one clip sound like."""
    reference: float = 0.5
    """How often a copy comes with a neutral recording of its voice."""
    mask_absent: bool = True
    """Whether emotions that a corpus does not have are left out of its clips' softmax."""
    ema_decay: float = 0.99
    stride: int = 1
    """Only every n-th frame is used while training; with ``model.emotion_kernel: 1`` each frame is taken by itself anyway."""
    seed: int = 0

    def sampling(self) -> dict:
        """Arguments of :class:`Balanced`."""
        return dict(shares=self.shares, clips=self.clips, seed=self.seed, reference=self.reference, stride=self.stride)


def read_recognition_config(path: Path) -> RecognitionConfig:
    """Raises SystemExit for settings that do not exist, or of another type."""
    try:
        config = checked(RecognitionConfig, yaml.safe_load(path.read_text()) or {}, "The file")
        checked(settings_of(EmoFaceConfig), config.model, "model")
    except EmoFaceError as error:
        raise SystemExit(f"{path}: {error}") from error
    return config


def predict(model: EmoFaceModel, batch: RecognitionBatch) -> tuple[Tensor, Tensor]:
    """F_e and logits of every copy, (2B, C) and (2B, 8)."""
    count = len(batch.hidden)
    longest = max(batch.hidden.shape[1], batch.rest.shape[1])
    hidden = torch.cat([F.pad(x, (0, 0, 0, 0, 0, longest - x.shape[1])) for x in (batch.hidden, batch.rest)])
    mask = torch.cat([F.pad(m, (0, longest - m.shape[1])) for m in (batch.mask, batch.rest_mask)])
    with torch.autocast("cpu", torch.bfloat16):
        frames = model.emotion_frames(hidden, mask)
    frames = frames.float()
    rest = model.voice_rest(frames[count:], mask[count:])
    # Without a recording of its rest a voice is measured against the average voice's.
    known = (batch.rest_of >= 0)[:, None, None]
    rest = torch.where(known, rest[batch.rest_of.clamp_min(0)], model.statistics_pooling.rest)
    vector = model.emotion_vector(frames[:count], mask[:count], rest=rest).squeeze(1)
    return vector, model.classifier(vector)


def recognition_losses(model: EmoFaceModel, batch: RecognitionBatch, config: RecognitionConfig) -> tuple[Tensor, dict[str, float]]:
    _, logits = predict(model, batch)
    if config.mask_absent:
        logits = logits.masked_fill(~batch.possible.repeat(2, 1), -30.0)
    labels = batch.labels.repeat(2)
    classification = F.cross_entropy(logits, labels)
    if config.label_smoothing:  # over the emotions that are possible
        possible = batch.possible.repeat(2, 1).float() if config.mask_absent else torch.ones_like(logits)
        spread = -(F.log_softmax(logits, -1) * possible).sum(-1) / possible.sum(-1)
        classification = (1 - config.label_smoothing) * classification + config.label_smoothing * spread.mean()
    first, second = F.log_softmax(logits, -1).chunk(2)
    divergence = 0.5 * (
        F.kl_div(first, second, log_target=True, reduction="batchmean") + F.kl_div(second, first, log_target=True, reduction="batchmean")
    )
    accuracy = (logits.argmax(-1) == labels).float().mean()
    return classification + config.consistency * divergence, dict(
        classification=float(classification.detach()), consistency=float(divergence.detach()), accuracy=float(accuracy)
    )


def recognition_model(config: RecognitionConfig, *, layers: int, width: int) -> EmoFaceModel:
    """A model whose recogniser is to be trained; its decoders are not used."""
    torch.manual_seed(config.seed)
    return EmoFaceModel(
        EmoFaceConfig(**{"feature_layers": layers, "feature_size": width, "dropout": config.dropout, "voice_rest": True, **config.model})
    )


class RecognitionTrainer:
    def __init__(self, config: RecognitionConfig, data: Balanced, model: EmoFaceModel, out: Path):
        self.config, self.data, self.model, self.out = config, data, model, out
        out.mkdir(parents=True, exist_ok=True)
        parameters = [p for name in PARTS for p in model.get_submodule(name).parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.98))
        self.parts = nn.ModuleDict({name: model.get_submodule(name) for name in PARTS})
        self.ema = copy.deepcopy(self.parts).requires_grad_(False)
        self.step = 0

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        write_checkpoint(
            self.checkpoint,
            self.config,
            parts=self.parts.state_dict(),
            ema=self.ema.state_dict(),
            optimizer=self.optimizer.state_dict(),
            step=self.step,
        )

    def resume(self) -> None:
        state = read_checkpoint(self.checkpoint, self.config)
        if state is None:
            return
        self.parts.load_state_dict(state["parts"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        print(f"Resumed at step {self.step}.")

    def run(self, *, save_every: int = 250) -> EmoFaceModel:
        """Train to the end; returns a model with the averaged weights."""
        bar = tqdm(total=self.config.steps, initial=self.step, desc="recognition", unit="step", mininterval=10)
        self.model.train()
        while self.step < self.config.steps:
            torch.manual_seed(self.config.seed * 7_368_787 + self.step)
            values = self.train_step(self.data.batch(self.step))
            self.step += 1
            bar.update()
            if self.step % 50 == 0:
                bar.set_postfix({key: f"{value:.3f}" for key, value in values.items()})
            if self.step % save_every == 0:
                self.save()
        bar.close()
        self.save()
        best = copy.deepcopy(self.model)
        for name in PARTS:
            best.get_submodule(name).load_state_dict(self.ema[name].state_dict())
        return best.eval()

    def train_step(self, batch: RecognitionBatch) -> dict[str, float]:
        """One step of the optimiser.

        Raises:
            FloatingPointError: when the loss is not finite.
        """
        share = warm_cosine(self.step, warm=self.config.steps // 20 + 1, total=self.config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * share
        total, values = recognition_losses(self.model, batch, self.config)
        if not torch.isfinite(total):
            raise FloatingPointError(f"The loss is not finite at step {self.step}: lower the learning rate.")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self.optimizer.step()
        update_ema(self.ema.parameters(), self.parts.parameters(), decay=self.config.ema_decay, step=self.step)
        return values
