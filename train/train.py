"""Train EmoFace: ``accelerate launch -m train.train --config train/configs/mini.yaml`` (or plain ``python -m train.train``).

Seeded and exactly resumable: every batch is a function of (seed, step), checkpoints hold weights, optimiser and step, and SIGTERM
writes one before leaving. Progress goes to the terminal and to TensorBoard; the best checkpoint by validation is kept.
"""

from __future__ import annotations

import argparse
import copy
import math
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, set_seed
from pydantic import Field, with_config
from torch import Tensor, nn
from torch.nn.utils import parametrize
from tqdm import tqdm

from emoface.configuration import EmoFaceConfig
from emoface.errors import EmoFaceError
from emoface.modeling import EmoFaceModel, stretch
from emoface.validation import STRICT, Count, Flag, Share, Whole, checked, settings_of

from . import losses
from .checkpoint import load_checkpoint, read_checkpoint, update_ema, warm_cosine, write_checkpoint
from .data import Batch
from .drawing import Drawn
from .losses import LossWeights
from .self_growing import Scheme, decode, ground_truth_probability
from .tasks import RECOGNISER, Task, data_settings, load_recogniser, make_task

TERMS = (
    "self",
    "cross",
    "velocity",
    "classification",
    "lip_gap",
    "lip_aperture",
    "lip_seal",
    "width",
    "expression",
    "held",
    "contrast",
    "smoothness",
)
"""Of the objective; all but the first two bear the names of their weights in ``LossWeights``."""


Rate = Annotated[float, Field(ge=0)]


@with_config(STRICT)
@dataclass
class TrainingConfig:
    """What a YAML file in ``train/configs`` may set; :func:`read_config` checks names and types."""

    data: dict
    """``kind`` (``corpus`` or ``meshes``) and what that kind needs, see ``train.tasks``."""
    model: dict = field(default_factory=dict)
    """Fields of ``EmoFaceConfig``."""
    losses: dict = field(default_factory=dict)
    """Fields of ``LossWeights``; the paper's by default."""
    epochs: Count = 200
    steps_per_epoch: Count | None = None
    """None: as many as the task has items."""
    warmup_epochs: Whole = 10
    """theta of the self-growing scheme."""
    scheme: Scheme = "self_growing"
    passes: Count = 2
    masked_history: Share = 0.0
    """Share of items without ground-truth history, see ``train.self_growing.decode``."""
    free_running: Share = 0.0
    """Share of steps in which items with masked history are trained on their own free-running past."""
    first_frame: Flag = False
    """Every clip starts from its own first frame as the motion before it: the paper's condition for clips that do not start at rest."""
    start_from: str | None = None
    """A checkpoint, or the folder of an exported model, whose weights (nothing else) this run starts with."""
    recognition: str | None = None
    """Weights of ``train.recognition`` for the parts that recognise the emotion: they start from there and are frozen."""
    reinitialise: list[str] = field(default_factory=list)
    """Parts of the model that do not start from there but are reinitialised, by name."""
    frozen: list[str] = field(default_factory=list)
    """Parts of the model that stay as they are, by name (``emotion_mix``, ``classifier``, ...)."""
    learning_rate: Rate = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    """``constant`` (the paper) or ``cosine``: linear warm-up over 2 % of the steps, then down to 2 % of the rate."""
    attention_rate: Rate = 1.0
    """Factor on Mesh Attention's learning rate: where vertices are drawn, each of its embeddings is in few steps."""
    weight_decay: Rate = 0.0
    gradient_clip: Rate = 1.0
    ema_decay: Share = 0.0
    """Of an exponential moving average of the weights (EMA), which is what is validated, exported and started from (0: the weights themselves).
    Only where the speech encoders are frozen."""
    vertices: Count | None = None
    """Draw this many vertices per step for the losses (None: all). Cheaper, and the regions that move count for more."""
    label_smoothing: Share = 0.0
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    seed: Whole = 0
    validate_every: Count = 1
    """Epochs."""


def read_config(path: Path) -> TrainingConfig:
    """A YAML file of settings.

    Raises:
        SystemExit: a setting that does not exist, or of another type. A misspelled one would otherwise train silently with its default.
    """
    try:
        config = checked(TrainingConfig, yaml.safe_load(path.read_text()), "The file")
        checked(settings_of(EmoFaceConfig), config.model, "model")
        checked(settings_of(LossWeights), config.losses, "losses")
        checked(data_settings(config.data), config.data, "data")
    except EmoFaceError as error:
        raise SystemExit(f"{path}: {error}") from error
    return config


def emotion_features_of(model: EmoFaceModel, batch: Batch, which: int) -> tuple[Tensor, Tensor | None]:
    """F_e of source ``which`` on the content's clock (B, T, C), and the clip's vector (B, C) for the classifier.

    Where recognition is frozen the batch holds F_e itself, and there is nothing to classify.
    """
    if batch.emotion_features is not None:
        return batch.emotion_features[which], None
    hidden, mask = batch.source_hidden[which], batch.source_masks[which]
    mixed = model.emotion_frames(hidden, mask)
    whole = model.emotion_vector(mixed, mask)
    if model.statistics_pooling is None:
        return fit_length(mixed, mask, batch.mask), whole.squeeze(1)
    features = whole.expand(-1, batch.content_hidden.shape[1], -1)
    own = ~batch.pooled[which]
    if own.any():
        features = features.clone()
        longest = int(batch.mask[own].sum(1).max())
        features[own, :longest] = model.emotion_track(mixed[own, :longest], mask[own, :longest])
    return features, whole.squeeze(1)


def fit_length(features: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    """Stretch every row's valid frames linearly over the target's valid frames: (B, U, C) -> (B, T, C)."""
    out = features.new_zeros(*target.shape, features.shape[-1])
    for row, (given, wanted) in enumerate(zip(mask.sum(1).tolist(), target.sum(1).tolist())):
        out[row, :wanted] = stretch(features[row : row + 1, :given], wanted)[0]
    return out


def compute_losses(
    model: EmoFaceModel,
    batch: Batch,
    *,
    drawn: Drawn,
    weights: LossWeights,
    probability: float,
    passes: int = 2,
    label_smoothing: float = 0.0,
    masked_history: float = 0.0,
    free_running: bool = False,
    first_frame: bool = False,
    importance: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The training objective of one batch; returns the total and its unweighted terms.

    The content branch runs once and is shared by both outputs; the emotion branch runs with each emotion. ``importance`` (K,) is what the
    shapes' weights count for in the terms ``expression``, ``held`` and ``contrast``.
    """
    vertices, pairs = drawn.vertices, drawn.pairs
    content = model.content_features(batch.content_hidden, batch.mask)
    style = torch.nn.functional.one_hot(batch.style, len(model.config.style_names)).to(content.dtype)
    history = dict(probability=probability, passes=passes, first_frame=first_frame)
    if masked_history:
        history["masked"] = torch.rand(len(content), device=content.device) < masked_history
        history["free_running"] = free_running
    decoder = model.content_decoder
    hidden = decode(decoder, batch.motions[0], decoder.condition(style, None), decoder.cross(content), **history)
    offsets_c = decoder.offsets(hidden, vertices)
    attention = model.mesh_attention
    spiral_second = attention is not None and model.config.fusion_layers == 2 and model.config.second_layer == "spiral"
    seen = torch.arange(model.config.vertex_count, device=vertices.device) if spiral_second else vertices
    vertex_term = attention.vertex_term(model.spirals[seen]) if attention is not None else None
    measured = batch.mask & batch.real[:, None]

    names = ("self", "cross") if weights.cross_reconstruction else ("self",)
    terms = {name: content.new_zeros(()) for name in TERMS}
    errors = []
    for which, name in enumerate(names):
        features, whole = emotion_features_of(model, batch, which)
        if whole is not None:
            terms["classification"] += losses.classification(model.classifier(whole), batch.emotions[which], smoothing=label_smoothing)
        level = torch.nn.functional.one_hot(batch.levels[which], len(model.config.level_names)).to(content.dtype)
        features = model.with_prosody(model.committed(features, level), batch.prosody)
        decoder = model.emotion_decoder
        hidden = decode(decoder, batch.motions[which], decoder.condition(style, level), decoder.cross(features), **history)
        offsets_e = decoder.offsets(hidden, vertices)
        weight = None
        if attention is not None:
            weight = attention.weights(attention.time_term(features, content), vertex_term, model.spirals)
            if weight.shape[-1] == model.config.vertex_count:  # its neighbours are all there: as at inference
                weight = model.smooth(weight)
            elif drawn.smoothing is not None:
                weight = weight @ drawn.smoothing.T
            weight = weight[:, :, vertices] if spiral_second else weight
        fused = model.fuse(offsets_c, offsets_e, weight)
        truth = batch.motions[which].at(vertices)
        terms[name] = losses.reconstruction(fused, offsets_c, offsets_e, truth, batch.mask, branches=weights.branches)
        terms["velocity"] += losses.velocity(fused, truth, batch.mask)
        # The content branch alone: only motion with its own emotion, as it has no information on another one.
        alone = [(fused, measured)]
        if name == "self":
            alone.append((offsets_c, measured if batch.plain is None else measured & batch.plain[:, None]))
        if pairs is not None and weights.lip_gap:
            terms["lip_gap"] += losses.lip_gap(fused, truth, pairs.all, batch.mask)
        if pairs is not None and weights.lip_aperture:
            terms["lip_aperture"] += sum(losses.lip_aperture(offsets, truth, pairs.middle, rows) for offsets, rows in alone)
        if pairs is not None and weights.lip_seal:
            terms["lip_seal"] += losses.lip_seal(fused, truth, pairs.line, batch.mask)
        if drawn.corners is not None and weights.width:
            terms["width"] += sum(losses.mouth_width(offsets, truth, drawn.corners, rows) for offsets, rows in alone)
        if drawn.laplacian is not None and weights.smoothness:
            terms["smoothness"] += losses.roughness(fused - truth, drawn.laplacian, batch.mask)
        if drawn.reading is not None and (weights.expression or weights.held or weights.contrast):
            errors.append((fused - truth).flatten(2) @ drawn.reading.T)
            terms["expression"] += losses.expression(errors[-1], importance, batch.mask)
            terms["held"] += losses.held(errors[-1], importance, batch.mask)
    if len(errors) == 2:
        terms["contrast"] = losses.expression(errors[1] - errors[0], importance, batch.mask)
    shares = dict(self=weights.self_reconstruction, cross=weights.cross_reconstruction)
    return sum((shares[name] if name in shares else getattr(weights, name)) * value for name, value in terms.items()), terms


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * warm_cosine(step, warm=max(int(0.02 * total), 1), total=total)


class Objective(nn.Module):
    """What a step minimises, as the forward pass of one module that holds all weights: so DistributedDataParallel averages the gradients."""

    def __init__(self, task: Task):
        super().__init__()
        self.model, self.beside, self.prepare = task.model, nn.ModuleList(task.modules()), task.prepare

    def forward(self, batch: Batch, **options: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Arguments and results of :func:`compute_losses`; the batch as the task gives it."""
        return compute_losses(self.model, self.prepare(batch), **options)


class Trainer:
    """The loop; what is trained on what comes from a task (``train.tasks``)."""

    def __init__(self, config: TrainingConfig, out: Path, *, task: Callable[[TrainingConfig], Task] = make_task):
        self.config, self.out = config, out
        out.mkdir(parents=True, exist_ok=True)
        patience = InitProcessGroupKwargs(timeout=timedelta(hours=1))  # the other processes wait while the first one validates
        # Which weights a step uses differs: a batch without pairs has no second emotion. No buffer changes while training.
        together = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
        self.accelerator = Accelerator(mixed_precision=config.mixed_precision, kwargs_handlers=[patience, together])
        torch.manual_seed(config.seed)
        self.task = task(config)
        self.weights = LossWeights(**config.losses)
        self.steps_per_epoch = config.steps_per_epoch or max(self.task.steps_per_epoch // self.accelerator.num_processes, 1)
        self.total = config.epochs * self.steps_per_epoch
        model = self.task.model
        frozen = [*config.frozen, *(RECOGNISER if config.recognition else ())]
        for name in frozen:
            model.get_submodule(name).requires_grad_(False)
        for name in config.reinitialise:
            if not hasattr(model, name.split(".")[0]):  # a misspelled one would start from the checkpoint, silently
                raise AttributeError(f"reinitialise names {name!r}, which the model does not have.")
        if config.reinitialise and not config.start_from:
            raise SystemExit("reinitialise names what does not start from a checkpoint, but start_from names no checkpoint. Set both or neither.")
        if config.reinitialise and Path(config.start_from).is_dir():
            raise SystemExit(
                "reinitialise names parts of a checkpoint, but start_from is an exported model, which is taken whole. Leave one of them out."
            )
        attention = {id(p) for p in (model.mesh_attention.parameters() if model.mesh_attention is not None else ())}
        parameters = [p for p in self.task.parameters() if p.requires_grad]
        groups = [
            dict(params=[p for p in parameters if id(p) not in attention], scale=1.0),
            dict(params=[p for p in parameters if id(p) in attention], scale=config.attention_rate),
        ]
        self.optimizer = torch.optim.AdamW(
            [g for g in groups if g["params"]],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.99 if config.schedule == "cosine" else 0.999),
        )
        start = Path(config.start_from) if config.start_from and not self.checkpoint.exists() else None  # else :meth:`resume` goes on from there
        if start is not None and start.is_dir():
            self.task.start_from(EmoFaceModel.from_pretrained(start))
        elif start is not None:
            state = load_checkpoint(start)

            def anew(key: str) -> bool:
                return any(key == name or key.startswith(f"{name}.") for name in config.reinitialise)

            given, own = state["ema"] or state["model"], model.state_dict()
            kept = {key: value for key, value in given.items() if not anew(key)}
            model.load_state_dict({**kept, **{key: value for key, value in own.items() if anew(key)}})
            self.task.load_state(state["task"])
        if config.recognition:
            load_recogniser(model, Path(config.recognition))
        for module in (model, *self.task.modules()):
            module.to(self.accelerator.device)
        self.model = model
        self.objective, self.optimizer = self.accelerator.prepare(Objective(self.task), self.optimizer)
        self.task.begin(model, frozen=frozen, folder=out)
        self.sampler = self.task.vertex_sampler(sample=config.vertices, seed=config.seed)
        if config.ema_decay and self.task.modules():
            raise SystemExit("ema_decay is only for frozen speech encoders: those that learn would not be averaged. Leave it out.")
        self.ema = copy.deepcopy(model).requires_grad_(False) if config.ema_decay else None
        self.step, self.best = 0, math.inf
        self._stop = False

    # ---- state ----------------------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    @property
    def kept(self) -> EmoFaceModel:
        """What is validated and exported: the EMA of the weights, where there is one."""
        return self.model if self.ema is None else self.ema

    def save(self) -> None:
        ema = None if self.ema is None else self.ema.state_dict()
        write_checkpoint(
            self.checkpoint,
            self.config,
            model=self.model.state_dict(),
            ema=ema,
            optimizer=self.optimizer.state_dict(),
            step=self.step,
            best=self.best,
            processes=self.accelerator.num_processes,
            random=torch.get_rng_state(),
            task=self.task.state(),
            scaler=self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else None,
        )

    def resume(self) -> None:
        state = read_checkpoint(self.checkpoint, self.config)
        if state is None:
            return
        if state["processes"] != self.accelerator.num_processes:
            raise SystemExit(f"{self.checkpoint} was made by {state['processes']} processes: go on with as many, or choose another --out.")
        self.model.load_state_dict(state["model"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.best = state["step"], state["best"]
        self.task.load_state(state["task"])
        torch.set_rng_state(state["random"])
        print(f"Resumed at step {self.step}.")

    # ---- work -----------------------------------------------------------------------------------------------------

    def draw(self, step: int) -> int:
        """Number of the batch that this process takes at a step: each takes its own."""
        return step * self.accelerator.num_processes + self.accelerator.process_index

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser on the mean gradient of all processes; returns this process's losses.

        Raises:
            FloatingPointError: when the loss or the gradient is not finite (in float16 the scaler passes over such a gradient instead).
        """
        batch = batch.to(self.accelerator.device)
        epoch = self.step // self.steps_per_epoch
        probability = ground_truth_probability(epoch, epochs=self.config.epochs, warmup=self.config.warmup_epochs, scheme=self.config.scheme)
        for group in self.optimizer.param_groups:
            group["lr"] = group["scale"] * learning_rate(self.config, self.step, self.total)
        drawn = self.sampler.draw(self.step).to(self.accelerator.device)
        # Everything random inside a step depends on (seed, step) alone, so a resumed run repeats the one it continues.
        set_seed((self.config.seed * 7_368_787 + self.draw(self.step)) % 2**32)  # numpy too: wav2vec 2.0 masks its features with it
        with self.accelerator.autocast(), parametrize.cached():
            total, terms = self.objective(
                batch,
                drawn=drawn,
                weights=self.weights,
                probability=probability,
                passes=self.config.passes,
                label_smoothing=self.config.label_smoothing,
                masked_history=self.config.masked_history,
                free_running=bool(torch.rand(()) < self.config.free_running),
                first_frame=self.config.first_frame,
                importance=self.task.channel_importance,
            )
        if not torch.isfinite(total):
            raise FloatingPointError(f"The loss is not finite at step {self.step}: lower the learning rate.")
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(total)
        norm = self.accelerator.clip_grad_norm_(self.task.parameters(), self.config.gradient_clip)
        if self.accelerator.scaler is None and not torch.isfinite(torch.as_tensor(norm)):
            raise FloatingPointError(f"A gradient is not finite at step {self.step}: lower the learning rate.")
        self.optimizer.step()
        if self.ema is not None:
            update_ema(self.ema.state_dict().values(), self.model.state_dict().values(), decay=self.config.ema_decay, step=self.step)
        return {"loss": total.item(), "gradient": float(norm), **{k: float(v.detach()) if isinstance(v, Tensor) else v for k, v in terms.items()}}

    def _stopped(self, overdue: bool) -> bool:
        """Whether any process was asked to stop: they leave together, or the others would wait for it for ever."""
        asked = torch.tensor(float(self._stop or overdue), device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, "sum") > 0)

    def run(self, *, seconds: float | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stop", True))
        main = self.accelerator.is_main_process
        started, writer = time.monotonic(), SummaryWriter(self.out / "log") if main else None
        bar = tqdm(total=self.total, initial=self.step, desc="train", unit="step", mininterval=10, disable=not main)
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.task.batch, self.draw(self.step))
            while self.step < self.total:
                batch = coming.result()
                coming = ahead.submit(self.task.batch, self.draw(self.step + 1))
                values = self.train_step(batch)
                self.step += 1
                bar.update()
                if main and self.step % 20 == 0:
                    bar.set_postfix({k: f"{v:.4g}" for k, v in values.items() if k in ("loss", "self", "cross")})
                    for key, value in values.items():
                        writer.add_scalar(f"train/{key}", value, self.step)
                if main and self.step % self.steps_per_epoch == 0:
                    self.end_of_epoch(writer)
                if self._stopped(bool(seconds and time.monotonic() - started > seconds)):
                    break
        bar.close()
        if not main:
            return
        self.save()
        writer.close()
        if self.step >= self.total:
            self.task.export(self.kept, self.out / "model")
            print(f"Finished: {self.out / 'model'}")
        else:
            print(f"Stopped at step {self.step} of {self.total}; the same command goes on from here.")

    def end_of_epoch(self, writer) -> None:
        epoch = self.step // self.steps_per_epoch
        self.save()
        if epoch % self.config.validate_every and self.step < self.total:
            return
        scores = self.task.validate(self.kept.eval())
        self.model.train()
        for key, value in scores.items():
            writer.add_scalar(f"validation/{key}", value, self.step)
        tqdm.write(f"epoch {epoch}: " + ", ".join(f"{k} {v:.4g}" for k, v in scores.items()))
        if scores["score"] < self.best:
            self.best = scores["score"]
            self.save()  # a run that continues must know what it has to beat
            self.task.export(self.kept, self.out / "best")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="default: runs/NAME of the config")
    parser.add_argument("--seconds", type=float, help="stop (resumably) after this long")
    args = parser.parse_args()
    trainer = Trainer(read_config(args.config), args.out or Path("runs") / args.config.stem)
    trainer.resume()
    trainer.run(seconds=args.seconds)


if __name__ == "__main__":
    main()
