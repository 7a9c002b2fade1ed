"""From a model folder to its parts: the network and its speech encoders.

A model folder holds ``config.json`` and ``model.safetensors``, and, unless the configuration names encoders found elsewhere, the
subfolders ``content_encoder/`` and ``emotion_encoder/``. ``{"embedded": ...}`` in the configuration means the encoder shipped with
this repository, ``{"name": ...}`` one from the Hugging Face Hub.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from .configuration import EmoFaceConfig
from .encoders import EMBEDDED_ENCODER, SpeechEncoder
from .errors import ModelError
from .hub import resolve_model
from .model_files import EMOFACE_CHECKS, checks_of, known, one_sentence, read_config, read_weights, weights_of
from .modeling import EmoFaceModel, present_name


def load_components(name: str | Path | None = None, *, revision: str | None = None) -> tuple[EmoFaceModel, SpeechEncoder, SpeechEncoder | None]:
    """Model, content encoder and emotion encoder (None where the branches share one) of an embedded, local or Hub model.

    Raises:
        ModelError: missing, damaged or foreign files; only safetensors are read.
    """
    return load_folder(resolve_model(name, revision=revision))


def named_emotions(folder: Path) -> list[str]:
    """What :attr:`EmoFacePipeline.emotions` of a model will be, without loading it."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="pt") as file:
        stored = file.get_tensor("emotion_prototypes").ne(0).any(-1).any(-1).tolist()
    return [name for name, there in zip(load_config(folder).emotion_names, stored) if there]


def load_folder(folder: Path) -> tuple[EmoFaceModel, SpeechEncoder, SpeechEncoder | None]:
    """The same for a folder on this machine."""
    model = load_model(folder)
    content = _encoder(folder, "content_encoder", model.config.content_encoder)
    emotion = None
    if model.config.emotion_encoder is not None:
        emotion = _encoder(folder, "emotion_encoder", model.config.emotion_encoder)
    for which, encoder in (("content", content), ("emotion", emotion)):
        if encoder is not None and encoder.width != model.config.feature_size:
            raise ModelError(
                f"The {which} encoder of {folder.name!r} gives {encoder.width} channels but its model needs "
                f"{model.config.feature_size}: the files do not belong together, download the model again."
            )
    return model, content, emotion


def load_config(folder: Path) -> EmoFaceConfig:
    """The checked configuration of a model folder; nothing but its known keys is read."""
    settings = read_config(folder)
    if settings.get("model_type") != EmoFaceConfig.model_type:
        raise ModelError(
            f"{folder.name!r} holds a {str(settings.get('model_type', 'nameless'))[:60]!r} model, not an EmoFace one: give another folder or Hub id."
        )
    with one_sentence(f"The config.json of {folder.name!r}"):
        return EmoFaceConfig(**known(settings, {**checks_of(EmoFaceConfig.__init__), **EMOFACE_CHECKS}, repr(folder.name)))


def load_model(folder: Path) -> EmoFaceModel:
    """The network alone, in float32."""
    config, weights = load_config(folder), folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"{folder.name!r} has no model.safetensors, so it is not an EmoFace model: give another folder or Hub id.")
    what = f"The weights of {folder.name!r}"
    with one_sentence(f"{what} are damaged or not safetensors, or its config.json is; it"):
        state = read_weights([weights], weights_of(lambda: EmoFaceModel(config)), what, rename=present_name, exact=True)
        for name in ("faces", "spirals"):
            if state[name].numel() and not 0 <= int(state[name].min()) <= int(state[name].max()) < config.vertex_count:
                raise ModelError(f"{what} name vertices that are not there ({name}): download the model again.")
        model = EmoFaceModel(config)
        model.load_state_dict(state)
    return model.eval()


def save_folder(
    folder: Path, model: EmoFaceModel, content: SpeechEncoder, emotion: SpeechEncoder | None, *, dtype: torch.dtype = torch.float16
) -> None:
    """Write a self-contained model folder: everything :func:`load_folder` needs, encoders included."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for name, encoder in (("content_encoder", content), ("emotion_encoder", emotion)):
        if encoder is not None:
            (folder / name).mkdir(exist_ok=True)
            state = {k: v.to(dtype).contiguous() for k, v in encoder.model.state_dict().items()}
            save_file(state, folder / name / "model.safetensors", metadata={"format": "pt"})
            settings = {**encoder.model.config.to_dict(), "model_type": encoder.kind}
            (folder / name / "config.json").write_text(json.dumps(settings, indent=2, default=str))
    state = {k: (v.to(dtype) if v.is_floating_point() else v).contiguous().cpu() for k, v in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.to_json_file(folder / "config.json", use_diff=False)


def _encoder(folder: Path, name: str, settings: dict | None) -> SpeechEncoder:
    settings = settings or {}
    resample = settings.get("resample", "after")
    if (folder / name).is_dir():
        return SpeechEncoder.from_pretrained(folder / name, resample=resample)
    if "embedded" in settings:
        return SpeechEncoder.from_pretrained(EMBEDDED_ENCODER)
    if "name" in settings:
        return SpeechEncoder.from_pretrained(settings["name"], resample=resample)
    raise ModelError(f"{folder.name!r} does not say which speech encoder it needs and brings none: download the model again.")
