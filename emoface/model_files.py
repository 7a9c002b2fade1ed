"""Reading a model's files as what they are: written by strangers. Nothing in them runs, and nothing is allocated before it is checked.

A configuration is reduced to the keys that are known here, each with its type and bounds: ``auto_map``, ``attn_implementation`` and the
like, which can make ``transformers`` fetch and run code, never reach it. Weights are compared, name by name, with what the configuration
asks for while the network still has no memory (torch's meta device), and must be finite.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .errors import ModelError

MAX_CONFIG_BYTES = 1_000_000
MAX_PARAMETERS = 1_000_000_000
"""Four gigabytes in float32; the encoder of whisper-large has 637 million."""
_FLOATS, _INTEGERS = ("F64", "F32", "F16", "BF16"), ("I64", "I32")


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
    """Whatever malformed files make libraries raise becomes a ModelError that names ``what``."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # json, safetensors, transformers and torch raise unrelated types
        raise ModelError(f"{what} cannot be used ({type(error).__name__}): download the model again or choose another.") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a model folder.

    Raises:
        ModelError: missing, larger than a megabyte, not JSON, or not an object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder.name!r} has no config.json, so it is not an EmoFace model: give another folder or Hub id.")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ModelError(f"The config.json of {folder.name!r} is larger than a megabyte: that is no configuration, choose another model.")
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ModelError(f"The config.json of {folder.name!r} is damaged: download the model again.") from error
    if not isinstance(settings, dict):
        raise ModelError(f"The config.json of {folder.name!r} is damaged (no object): download the model again.")
    return settings


# ---- configurations ---------------------------------------------------------------------------------------------------

Check = Callable[[Any], bool]


def whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def number(low: float, high: float) -> Check:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def one_of(*allowed: Any) -> Check:
    return lambda value: isinstance(value, (str, int, type(None))) and not isinstance(value, bool) and value in allowed


def several(each: Check, low: int, high: int) -> Check:
    return lambda value: isinstance(value, (list, tuple)) and low <= len(value) <= high and all(map(each, value))


def names(value: Any) -> bool:
    return several(text, 1, 10_000)(value) and len(set(value)) == len(value)


def optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def encoder_reference(value: Any) -> bool:
    """``{"embedded": ...}`` or ``{"name": ..., "resample": ...}``."""
    return isinstance(value, dict) and all(text(value[key]) for key in ("embedded", "name", "resample") if key in value)


def known(settings: Mapping[str, Any], checks: Mapping[str, Check], where: str) -> dict[str, Any]:
    """The settings that ``checks`` knows; all others are dropped.

    Raises:
        ModelError: one of them is of the wrong type or out of bounds.
    """
    kept = {key: settings[key] for key in checks if key in settings}
    for key, value in kept.items():
        if not checks[key](value):
            raise ModelError(
                f"The configuration of {where} has {key} = {_short(value)}, which cannot be: download the model again or choose another."
            )
    return kept


def _short(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."


EMOFACE_CHECKS: dict[str, Check] = dict(
    vertex_count=whole(3, 200_000),
    face_count=whole(1, 400_000),
    fps=whole(1, 240),
    content_encoder=optional(encoder_reference),
    emotion_encoder=optional(encoder_reference),
    feature_size=whole(1, 8192),
    feature_layers=whole(1, 64),
    feature_mix=text,
    content_layer=whole(0, 63),
    emotion_layer=whole(0, 63),
    emotion_kernel=whole(1, 99),
    emotion_pooling=text,
    emotion_window=number(0.01, 60),
    voice_rest=flag,
    emotion_commitment=number(0, 1),
    prosody=flag,
    feedback_frames=whole(1, 2),
    attention_smoothing=whole(0, 100),
    hidden_size=whole(1, 4096),
    attention_heads=whole(1, 256),
    feedforward_size=whole(1, 65_536),
    period=whole(1, 10_000),
    window=whole(1, 100_000),
    dropout=number(0, 0.99),
    motion_unit=number(1e-9, 1),
    style_names=names,
    default_style=optional(text),
    level_names=names,
    emotion_names=names,
    fusion=text,
    fusion_size=optional(whole(1, 8192)),
    fusion_layers=whole(1, 2),
    second_layer=text,
    spiral_length=whole(1, 64),
    spiral_dilation=whole(1, 16),
    temporal_window=whole(1, 99),
    head=one_of("embedded", None),
    name=text,
)


def checks_of(build: Callable) -> dict[str, Check]:
    """Checks by the kind of each argument's default: what a new setting gets until bounds of its own are written down."""
    kinds = {bool: flag, int: whole(0, 10_000), float: number(-1e6, 1e6), str: text}
    arguments = inspect.signature(build).parameters.values()
    return {argument.name: kinds[type(argument.default)] for argument in arguments if type(argument.default) in kinds}


_ACTIVATION = one_of("gelu", "relu", "gelu_new", "silu", "swish", "quick_gelu", "gelu_fast", "gelu_pytorch_tanh", "tanh")
_ROUNDS = several(whole(1, 4096), 1, 16)
ENCODER_CHECKS: dict[str, dict[str, Check]] = {
    "whisper": dict(
        d_model=whole(1, 8192),
        num_mel_bins=whole(1, 512),
        encoder_layers=whole(1, 128),
        encoder_attention_heads=whole(1, 256),
        encoder_ffn_dim=whole(1, 65_536),
        max_source_positions=whole(200, 15_000),
        activation_function=_ACTIVATION,
        dropout=number(0, 0.99),
        attention_dropout=number(0, 0.99),
        activation_dropout=number(0, 0.99),
        scale_embedding=flag,
    ),
    "wav2vec2": dict(
        hidden_size=whole(1, 8192),
        num_hidden_layers=whole(1, 128),
        num_attention_heads=whole(1, 256),
        intermediate_size=whole(1, 65_536),
        hidden_act=_ACTIVATION,
        hidden_dropout=number(0, 0.99),
        activation_dropout=number(0, 0.99),
        attention_dropout=number(0, 0.99),
        feat_proj_dropout=number(0, 0.99),
        layer_norm_eps=number(1e-12, 1),
        feat_extract_norm=one_of("group", "layer"),
        feat_extract_activation=_ACTIVATION,
        conv_dim=_ROUNDS,
        conv_stride=_ROUNDS,
        conv_kernel=_ROUNDS,
        conv_bias=flag,
        num_conv_pos_embeddings=whole(1, 4096),
        num_conv_pos_embedding_groups=whole(1, 4096),
        do_stable_layer_norm=flag,
        apply_spec_augment=flag,
        mask_time_prob=number(0, 1),
        mask_time_length=whole(1, 1000),
        mask_time_min_masks=whole(0, 1000),
        mask_feature_prob=number(0, 1),
        mask_feature_length=whole(1, 1000),
        mask_feature_min_masks=whole(0, 1000),
    ),
}


# ---- weights ----------------------------------------------------------------------------------------------------------


def weights_of(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """A network's weights with names, shapes and types, but without memory (on torch's meta device).

    Raises:
        ModelError: more than ``MAX_PARAMETERS``.
    """
    with torch.device("meta"):
        state = build().state_dict()
    if sum(value.numel() for value in state.values()) > MAX_PARAMETERS:
        raise ModelError(f"The configuration asks for more than {MAX_PARAMETERS:,} weights: choose a smaller model.")
    return state


def read_weights(
    files: list[Path],
    wanted: Mapping[str, Tensor],
    what: str,
    *,
    rename: Callable[[str], str | None] = lambda key: key,
    spare: tuple[str, ...] = (),
    exact: bool = False,
) -> dict[str, Tensor]:
    """The tensors that ``wanted`` names from safetensors files: floats in float32, whole numbers in their own type.

    Args:
        files: all that may hold some of them.
        wanted: as :func:`weights_of` gives them.
        what: "The weights of ...", for messages.
        rename: the network's name for a tensor of the files.
        spare: names that may be missing.
        exact: nothing else may be in the files.

    Raises:
        ModelError: missing, of another shape or type (bfloat16 is fine; 8 bits are not), or not finite.
    """
    from safetensors import safe_open

    found: dict[str, Tensor] = {}
    for file in files:
        with safe_open(file, framework="pt") as stored:
            places = {rename(key): key for key in stored.keys()}
            odd = sorted(key for key in places if key not in wanted) if exact else []
            if odd:
                raise ModelError(f"{what} do not fit the config.json (unknown: {odd[0]}): download the model again.")
            here = sorted(wanted.keys() & places.keys())
            for name in here:
                part, place = stored.get_slice(places[name]), wanted[name]
                if tuple(part.get_shape()) != tuple(place.shape):
                    raise ModelError(f"{what} do not fit the config.json (first: {name}): download the model again.")
                if part.get_dtype() not in (_FLOATS if place.is_floating_point() else _INTEGERS):
                    raise ModelError(f"{what} are of type {part.get_dtype()} ({name}): use a model in float32, float16 or bfloat16.")
            for name in here:
                tensor = stored.get_tensor(places[name])
                found[name] = tensor.float() if tensor.is_floating_point() else tensor
    missing = sorted(wanted.keys() - found.keys() - set(spare))
    if missing:
        raise ModelError(f"{what} do not fit the config.json (missing: {missing[0]}): download the model again.")
    for name, tensor in found.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{what} contain values that are not numbers ({name}): download the model again.")
    return found
