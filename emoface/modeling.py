"""The EmoFace network: a content branch, an emotion branch, and the attention that weighs them for each vertex and frame.

The model starts at the speech encoders' frames (``emoface.encoders``) and ends at vertex offsets, so that encoders can be
shared, frozen and cached. Shapes: B clips, T mesh frames, L encoder blocks, C feature width, d hidden size, S vertices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from .configuration import EmoFaceConfig
from .decoder import BranchDecoder, BranchLoop
from .errors import EmoFaceError
from .low_pass import LowPass
from .mesh_attention import MeshAttention
from .prosody import PROSODY
from .spiral import spirals as build_spirals

FORMER_NAMES = {"slow_track.": "statistics_pooling."}
"""How the names of weights begin in older files, and what that is now."""


def present_name(key: str) -> str:
    """Today's name of a weight, whatever version wrote it."""
    for former, present in FORMER_NAMES.items():
        if key.startswith(former):
            return present + key.removeprefix(former)
    return key


def present_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict under today's names."""
    return {present_name(key): value for key, value in state.items()}


class FeatureMix(nn.Module):
    """A learned mix of the encoder's blocks, then two temporal convolutions around a residual.

    Used where the encoder is frozen (mini). ``stacked``: the first convolution reads all blocks side by side instead of their mix, because
    lips need information of several blocks (docs/training.md). Frames beyond a clip's end are kept at zero, so padding a batch changes nothing.
    """

    def __init__(
        self, *, layers: int, size: int, start: int, kernel: int = 5, hidden: int | None = None, dropout: float = 0.1, stacked: bool = False
    ):
        super().__init__()
        hidden = hidden or max(size // 2, 1)
        self.layer_logits = nn.Parameter(torch.zeros(layers))
        with torch.no_grad():
            self.layer_logits[start] = 2.0
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.spread = nn.Conv1d(layers * size if stacked else size, hidden, kernel, padding=kernel // 2)
        self.gather = nn.Conv1d(hidden, size, kernel, padding=kernel // 2)
        self.dropout, self.stacked = dropout, stacked

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, L, C), mask (B, T) true inside the clip -> (B, T, C)."""
        inside = 1.0 if mask is None else mask[:, None].to(hidden.dtype)

        def channels_first(x: Tensor) -> Tensor:
            return F.dropout(x, self.dropout, self.training).transpose(1, 2) * inside

        blocks = self.norm(hidden)
        mixed = channels_first(torch.einsum("btlc,l->btc", blocks, self.layer_logits.softmax(0)))
        taken = channels_first(blocks.flatten(2)) if self.stacked else mixed
        inner = F.gelu(self.spread(taken)) * inside
        return ((mixed + self.gather(F.dropout(inner, self.dropout, self.training))) * inside).transpose(1, 2)


SHARPNESS = 3.0
"""Power to which :meth:`EmoFaceModel.committed` raises the probabilities of the emotions."""


def stretch(track: Tensor, frames: int) -> Tensor:
    """(B, U, C) -> (B, frames, C), linearly from end to end: another recording's features on this one's clock."""
    return F.interpolate(track.transpose(1, 2), size=frames, mode="linear", align_corners=True).transpose(1, 2)


class AttentiveStatisticsPooling(nn.Module):
    """Attentive statistics pooling (Okabe et al. 2018) in a moving window: weighted mean and standard deviation of the features.

    The window is a Gaussian of about two seconds. Words are shorter, so the words of an emotion source cannot move the lips. Computed at
    every ``hop``-th frame (the statistics change no faster) and interpolated.
    """

    hop = 10

    def __init__(self, *, size: int, sigma: float, voice_rest: bool = False):
        super().__init__()
        self.sigma = sigma
        self.score = nn.Linear(size, 1)
        self.out = nn.Linear(2 * size, size)
        # Statistics of the average voice at rest, and how far (logit per channel) a given voice's own rest replaces them.
        self.rest = nn.Parameter(torch.zeros(2 * size)) if voice_rest else None
        self.rest_logit = nn.Parameter(torch.zeros(2 * size)) if voice_rest else None

    def _statistics(self, weight: Tensor, values: Tensor) -> Tensor:
        """Weighted mean and spread: (B, A, T) non-negative, (B, T, C) -> (B, A, 2C)."""
        weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-8)
        mean = weight @ values
        spread = (weight @ values.square() - mean.square()).clamp_min(1e-6).sqrt()
        return torch.cat([mean, spread], dim=-1)

    def _relative(self, statistics: Tensor, rest: Tensor | None) -> Tensor:
        """(B, A, 2C) as deviation from a voice's own rest (B or 1, 1, 2C) instead of the average voice's -> (B, A, C)."""
        if rest is not None:
            statistics = statistics - self.rest_logit.sigmoid() * (rest - self.rest)
        return self.out(statistics)

    def statistics(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean and spread of the whole clip: (B, T, C) -> (B, 1, 2C). Those of a neutral recording are a voice's ``rest``."""
        return self._statistics(self._importance(x, mask).unsqueeze(1), x)

    def _importance(self, x: Tensor, mask: Tensor | None) -> Tensor:
        weight = (4.0 * torch.tanh(self.score(x) / 4.0)).squeeze(-1).exp()
        return weight if mask is None else weight * mask.to(weight.dtype)

    def moments(self, kernel: Tensor, x: Tensor, *, rest: Tensor | None = None) -> Tensor:
        """Pooled around A moments, each with its own ``kernel`` (A, T) over the frames: (B, T, C) -> (B, A, C)."""
        return self._relative(self._statistics(kernel * self._importance(x, None)[:, None], x), rest)

    def pooled(self, x: Tensor, mask: Tensor | None = None, *, rest: Tensor | None = None) -> Tensor:
        """One vector for the whole clip: (B, T, C) -> (B, 1, C)."""
        return self._relative(self.statistics(x, mask), rest)

    def forward(self, x: Tensor, mask: Tensor | None = None, *, rest: Tensor | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        frames = x.shape[1]
        importance = self._importance(x, mask)
        centres = torch.arange(0, frames + self.hop - 1, self.hop, device=x.device)
        reach = int(3 * self.sigma) + 1
        track = []
        for block in centres.split(64):  # blocks keep the cost linear in the length
            begin, end = max(int(block[0]) - reach, 0), min(int(block[-1]) + reach + 1, frames)
            begin = min(begin, frames - 1)
            distance = (block[:, None] - torch.arange(begin, end, device=x.device)[None]).to(x.dtype) / self.sigma
            kernel = torch.exp(-0.5 * distance.square()).masked_fill(distance.abs() > 3.0, 0.0)
            track.append(self._statistics(kernel * importance[:, None, begin:end], x[:, begin:end]))
        track = self._relative(torch.cat(track, dim=1), rest)
        if frames == 1:
            return track[:, :1]
        position = torch.arange(frames, device=x.device).to(x.dtype) / self.hop
        left = position.floor().long().clamp(max=track.shape[1] - 2)
        return torch.lerp(track[:, left], track[:, left + 1], (position - left).unsqueeze(-1))


@dataclass(frozen=True)
class Frames:
    """A run of generated frames; offsets are metres from the template."""

    start: int
    fused_offsets: Tensor
    """(R, t, S, 3)"""
    content_offsets: Tensor
    """(R, t, S, 3) content branch alone, ``dM_c``."""
    emotion_offsets: Tensor
    """(R, t, S, 3) emotion branch alone, ``dM_e``."""
    weight: Tensor
    """(R, t, S) ``w_e``; one half where fusion is plain addition."""

    def offsets(self, output: str) -> Tensor:
        """``"fused"``, ``"content"`` or ``"emotion"``."""
        return {"fused": self.fused_offsets, "content": self.content_offsets, "emotion": self.emotion_offsets}[output]


class EmoFaceModel(PreTrainedModel):
    """Speech features -> vertex offsets, as in sections 3.1-3.3 of arXiv 2408.11518.

    ``M = w_e dM_e + (1 - w_e) dM_c`` with ``dM_c = D_c(F_c)``, ``dM_e = D_e(F_e)`` and ``w_e`` from Mesh Attention.
    Topology (``faces``, ``template``, ``spirals``) and the named emotions (``emotion_prototypes``) are saved with the weights.
    """

    config_class = EmoFaceConfig
    base_model_prefix = "emoface"
    main_input_name = "content_features"

    def __init__(self, config: EmoFaceConfig):
        super().__init__(config)
        c, s = config.feature_size, config.vertex_count
        learned = config.feature_mix == "learned"
        mix = dict(layers=config.feature_layers, size=c, dropout=config.dropout)
        self.content_mix = FeatureMix(start=config.content_layer, stacked=True, **mix) if learned else None
        self.emotion_mix = FeatureMix(start=config.emotion_layer, kernel=config.emotion_kernel, **mix) if learned else None
        self.statistics_pooling = None
        if config.emotion_pooling == "statistics":
            self.statistics_pooling = AttentiveStatisticsPooling(size=c, sigma=config.emotion_window * config.fps, voice_rest=config.voice_rest)
        self.classifier = nn.Linear(c, len(config.emotion_names))
        self.emotion_table: nn.Parameter | None = None
        if config.emotion_commitment:
            shape = (len(config.emotion_names), len(config.level_names), c)
            self.emotion_table = nn.Parameter(torch.randn(shape[0], 1, c) + 0.3 * torch.randn(shape))
        self.prosody_in = nn.Sequential(nn.Linear(len(PROSODY), 32), nn.GELU(), nn.Linear(32, c)) if config.prosody else None
        branch = dict(
            vertex_count=s,
            feature_size=c,
            hidden_size=config.hidden_size,
            attention_heads=config.attention_heads,
            feedforward_size=config.feedforward_size,
            style_count=len(config.style_names),
            period=config.period,
            window=config.window,
            feedback_frames=config.feedback_frames,
            dropout=config.dropout,
            motion_unit=config.motion_unit,
        )
        self.content_decoder = BranchDecoder(level_count=0, **branch)
        self.emotion_decoder = BranchDecoder(level_count=len(config.level_names), **branch)
        self.mesh_attention = None
        if config.fusion == "mesh_attention":
            self.mesh_attention = MeshAttention(
                vertex_count=s,
                feature_size=c,
                fusion_size=config.fusion_size,
                length=config.spiral_length,
                window=config.temporal_window,
                layers=config.fusion_layers,
                second_layer=config.second_layer,
            )
        self.register_buffer("faces", torch.zeros(config.face_count, 3, dtype=torch.int32))
        self.register_buffer("template", torch.zeros(s, 3))
        self.register_buffer("spirals", torch.zeros(s, config.spiral_length, dtype=torch.int64))
        shape = (len(config.emotion_names), len(config.level_names), c)
        self.register_buffer("emotion_prototypes", torch.zeros(shape))
        self._vertex_term: tuple[tuple, Tensor] | None = None
        self._low_pass: LowPass | None = None
        self.register_load_state_dict_pre_hook(_rename_former)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Every layer initialises itself."""

    @classmethod
    def from_topology(cls, config: EmoFaceConfig, *, faces, template) -> EmoFaceModel:
        """A fresh model for a surface: faces (F, 3), template (S, 3) metres."""
        model = cls(config)
        model.faces.copy_(torch.tensor(faces, dtype=torch.int32))
        model.template.copy_(torch.tensor(template, dtype=torch.float32))
        table = build_spirals(model.faces.numpy(), model.template.double().numpy(), length=config.spiral_length, dilation=config.spiral_dilation)
        model.spirals.copy_(torch.from_numpy(table))
        return model

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> EmoFaceModel:
        """``transformers``' own, which also reads weights under :data:`FORMER_NAMES`."""
        return super().from_pretrained(*args, key_mapping={f"^{re.escape(old)}": new for old, new in FORMER_NAMES.items()}, **kwargs)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """``transformers``' own, which by itself would give weights the names back under which they were read."""
        super().save_pretrained(*args, **{"save_original_format": False, **kwargs})

    # ---- features -------------------------------------------------------------------------------------------------

    def content_features(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """F_c: encoder frames on the mesh clock (B, T, L, C) -> (B, T, C)."""
        return self.content_mix(hidden, mask) if self.content_mix is not None else hidden[:, :, -1]

    def emotion_frames(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """The frames that F_e is pooled from: (B, T, L, C) -> (B, T, C)."""
        return self.emotion_mix(hidden, mask) if self.emotion_mix is not None else hidden[:, :, -1]

    def voice_rest(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Statistics of a voice at rest, of a neutral recording's :meth:`emotion_frames`: (B, T, C) -> (B, 1, 2C)."""
        return self.statistics_pooling.statistics(x, mask)

    def emotion_track(self, x: Tensor, mask: Tensor | None = None, *, rest: Tensor | None = None) -> Tensor:
        """F_e over time, of :meth:`emotion_frames`, and where known the voice's :meth:`voice_rest`: (B, T, C) -> (B, T, C)."""
        return self.statistics_pooling(x, mask, rest=rest) if self.statistics_pooling is not None else x

    def emotion_vector(self, x: Tensor, mask: Tensor | None = None, *, rest: Tensor | None = None) -> Tensor:
        """F_e of the whole clip, of :meth:`emotion_frames`, and where known the voice's :meth:`voice_rest`: (B, T, C) -> (B, 1, C)."""
        if self.statistics_pooling is not None:
            return self.statistics_pooling.pooled(x, mask, rest=rest)
        weight = torch.ones_like(x[..., :1]) if mask is None else mask[..., None].to(x.dtype)
        return (x * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)

    def emotion_features(self, hidden: Tensor, mask: Tensor | None = None, *, pooled: bool = False) -> Tensor:
        """F_e: (B, T, L, C) -> (B, T, C), or (B, 1, C) for the whole clip when ``pooled``."""
        x = self.emotion_frames(hidden, mask)
        return self.emotion_vector(x, mask) if pooled else self.emotion_track(x, mask)

    def committed(self, features: Tensor, level: Tensor) -> Tensor:
        """F_e moved towards the vector learned for its most likely emotion: (B, T, C) -> (B, T, C).

        ``(1 - k) F + k sum_e q_e m_{e,level}`` with ``k = emotion_commitment``, ``m`` a learned table over emotions and levels
        and ``q`` the classifier's probabilities, sharpened: ``q_e ~ p_e ** 3``. Emotions that the training data did not hold have none.

        Args:
            level: (B, 2) one-hot.
        """
        if self.emotion_table is None:
            return features
        stored = self.emotion_prototypes.ne(0).any(-1).any(-1)
        logits = self.classifier(features).masked_fill(~stored, -torch.inf)
        likely = (SHARPNESS * logits.log_softmax(-1)).softmax(-1)
        meant = torch.einsum("bte,elc,bl->btc", likely, self.emotion_table.to(features.dtype), level.to(features.dtype))
        return torch.lerp(features, meant, self.config.emotion_commitment)

    def with_prosody(self, features: Tensor, prosody: Tensor | None) -> Tensor:
        """The emotion branch's input: F_e (B, T, C) with the speech's prosody (B, T, 3), see ``emoface.prosody``, added."""
        if self.prosody_in is None or prosody is None:
            return features
        return features + self.prosody_in(prosody.to(features.dtype))

    def named_emotions(self, level: int | None = None) -> list[str]:
        """Emotions that the training data held (at a level, or at any): only these can be named."""
        stored = self.emotion_prototypes.ne(0).any(-1)
        stored = stored.any(1) if level is None else stored[:, level]
        return [name for name, there in zip(self.config.emotion_names, stored.tolist()) if there]

    def named_emotion(self, emotion: int, level: int) -> Tensor:
        """Stored mean features of an emotion at a level, (1, 1, C).

        Raises:
            EmoFaceError: the model was trained without it.
        """
        name, known = self.config.emotion_names[emotion], self.named_emotions(level)
        if name not in known:
            raise EmoFaceError(
                f"This model was trained without {name!r} at level {self.config.level_names[level]!r}: use the emotion of a recording"
                + (f", or {', '.join(known)}." if known else ".")
            )
        return self.emotion_prototypes[emotion, level][None, None]

    # ---- motion ---------------------------------------------------------------------------------------------------

    def conditions(self, *, style: str, level: str, rows: int = 1) -> dict[str, Tensor]:
        """One-hot ``style`` (rows, n) and ``level`` (rows, 2) by name, as :meth:`generate` takes them."""

        def one_hot(name: str, names: list[str]) -> Tensor:
            out = self.template.new_zeros(rows, len(names))
            out[:, names.index(name)] = 1.0
            return out

        return dict(style=one_hot(style, self.config.style_names), level=one_hot(level, self.config.level_names))

    def level_of(self, emotion: str, level: str) -> str:
        """The level at which a named emotion is shown: neutral has only the first one, as no recording is strongly neutral."""
        return self.config.level_names[0] if emotion == "neutral" else level

    def branch_loop(self, *, style: Tensor, level: Tensor, initial_offset: Tensor | None = None) -> BranchLoop:
        """The free-running loop of both branches for R rows: style (R, n), level (R, 2), initial_offset (S, 3) or None."""
        decoders = [self.content_decoder, self.emotion_decoder]
        start = self.template.new_zeros(1, 3 * self.config.vertex_count)
        if initial_offset is not None:
            start = initial_offset.reshape(1, -1).to(start)
        initial = torch.stack([d.embed(start).expand(len(style), -1) for d in decoders])
        conditions = torch.stack([self.content_decoder.condition(style, None), self.emotion_decoder.condition(style, level)])
        return BranchLoop(decoders, initial, conditions.squeeze(2))

    def vertex_term(self) -> Tensor | None:
        """Mesh Attention's vertex term; computed once while the weights stay as they are."""
        if self.mesh_attention is None:
            return None
        if torch.is_grad_enabled() or self.training:
            return self.mesh_attention.vertex_term(self.spirals)
        weight, embedding = self.mesh_attention.first.weight, self.mesh_attention.vertex_embedding
        key = (weight._version, embedding._version, weight.data_ptr(), weight.device, weight.dtype)
        if self._vertex_term is None or self._vertex_term[0] != key:
            self._vertex_term = (key, self.mesh_attention.vertex_term(self.spirals))
        return self._vertex_term[1]

    def smooth(self, weight: Tensor) -> Tensor:
        """Mesh Attention's last step: ``w_e`` (..., S) of all vertices without jumps between neighbours, see ``emoface.low_pass``."""
        if self._low_pass is None:
            self._low_pass = LowPass(self.faces.cpu().numpy(), self.config.vertex_count, steps=self.config.attention_smoothing)
        return self._low_pass(weight)

    def fuse(self, content_offsets: Tensor, emotion_offsets: Tensor, weight: Tensor | None) -> Tensor:
        """``w_e dM_e + (1 - w_e) dM_c``; plain sum for ``fusion="add"``. Offsets (..., S, 3), weight (..., S)."""
        if weight is None:
            return content_offsets + emotion_offsets
        return torch.lerp(content_offsets, emotion_offsets, weight.unsqueeze(-1))

    @torch.inference_mode()
    def generate(
        self,
        content_features: Tensor,
        emotion_features: Tensor,
        *,
        style: Tensor,
        level: Tensor,
        initial_offset: Tensor | None = None,
        chunk: int = 128,
        cancel: Callable[[], bool] | None = None,
    ) -> Iterator[Frames]:
        """Free-running animation of R rows, in chunks of frames so that long answers need no long buffers.

        Args:
            content_features: F_c (R, T, C).
            emotion_features: F_e (R, T, C) or (R, 1, C).
            style: (R, n) one-hot.
            level: (R, 2) one-hot.
            initial_offset: (S, 3) metres, the frame before the first.
            chunk: frames per :class:`Frames`.
            cancel: called now and then.

        Raises:
            Cancelled: when ``cancel()`` returned true.
        """
        frames = content_features.shape[1]
        emotion_features = emotion_features.expand(len(content_features), frames, -1)
        generation = Generation(self, style=style, level=level, initial_offset=initial_offset)
        for start in range(0, frames, chunk):
            yield generation.feed(content_features[:, start : start + chunk], emotion_features[:, start : start + chunk], cancel=cancel)


def _rename_former(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
    for key in [key for key in state if present_name(key) != key]:
        state[present_name(key)] = state.pop(key)


class Generation:
    """A free-running animation that is fed features piece by piece; any split into pieces gives the same frames.

    State: the decoders' caches, and as many past features as Mesh Attention's window reaches back.
    """

    def __init__(self, model: EmoFaceModel, *, style: Tensor, level: Tensor, initial_offset: Tensor | None = None):
        """Arguments as for :meth:`EmoFaceModel.generate`."""
        self.model, self.frame = model, 0
        self._loop = model.branch_loop(style=style, level=level, initial_offset=initial_offset)
        self._vertex = model.vertex_term()
        reach = model.config.temporal_window - 1
        # A spiral second layer looks that many hidden frames back, each of which looks as many features back.
        self._lead = reach if model.config.second_layer == "spiral" else 0
        self._kept = reach + self._lead
        self._past: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def feed(
        self,
        content_features: Tensor,
        emotion_features: Tensor,
        *,
        rows: Sequence[int] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Frames:
        """F_c and F_e of the next t frames, (R, t, C) each -> these frames, of all rows or only of ``rows``.

        All rows are decoded in either case, so the next piece may be of others.
        """
        model, start = self.model, self.frame
        speech = [model.content_decoder.cross(content_features), model.emotion_decoder.cross(emotion_features)]
        hidden_c, hidden_e = self._loop.run(torch.stack(speech), cancel=cancel)
        if rows is not None:
            hidden_c, hidden_e = hidden_c[list(rows)], hidden_e[list(rows)]
        content_offsets, emotion_offsets = model.content_decoder.offsets(hidden_c), model.emotion_decoder.offsets(hidden_e)
        self.frame += content_features.shape[1]
        weight = None
        if model.mesh_attention is not None:
            weight = self._weight(content_features, emotion_features, start, rows)
        fused = model.fuse(content_offsets, emotion_offsets, weight)
        return Frames(start, fused, content_offsets, emotion_offsets, torch.full_like(fused[..., 0], 0.5) if weight is None else weight)

    def _weight(self, content_features: Tensor, emotion_features: Tensor, start: int, rows: Sequence[int] | None) -> Tensor:
        """``w_e`` of the new frames, whose logits also depend on the frames before them."""
        if self._past is not None:
            content_features, emotion_features = (torch.cat(pair, dim=1) for pair in zip(self._past, (content_features, emotion_features)))
        if self._kept:
            self._past = content_features[:, -self._kept :], emotion_features[:, -self._kept :]
        if rows is not None:
            content_features, emotion_features = content_features[list(rows)], emotion_features[list(rows)]
        begin = self.frame - content_features.shape[1]  # the clip's frame that the first row here stands for
        first = max(start - self._lead, 0)
        time = self.model.mesh_attention.time_term(emotion_features, content_features)[:, first - begin :]
        weight = self.model.mesh_attention.weights(time, self._vertex, self.model.spirals, start=first)
        return self.model.smooth(weight[:, start - first :])
