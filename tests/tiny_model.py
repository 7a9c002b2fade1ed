"""A whole model folder with random weights, small enough for tests: embedded head, two-block encoder."""

from pathlib import Path

import torch

from emoface.configuration import EmoFaceConfig
from emoface.encoders import SpeechEncoder
from emoface.head import load_head
from emoface.loading import save_folder
from emoface.modeling import EmoFaceModel

WIDTH = 32


def tiny_encoder() -> SpeechEncoder:
    """A Whisper encoder with random weights."""
    config = {"d_model": WIDTH, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    return SpeechEncoder({"type": "whisper", "config": config}).eval()


def save_tiny_model(folder: Path, **changes) -> Path:
    """Write a model that moves the embedded head by about a millimetre, at random; returns the folder."""
    torch.manual_seed(0)
    head = load_head(0)
    settings = {
        "vertex_count": head.skin_count,
        "face_count": int((head.faces < head.skin_count).all(1).sum()),
        "feature_size": WIDTH,
        "feature_layers": 2,
        "content_layer": 1,
        "emotion_layer": 0,
        "hidden_size": 16,
        "attention_heads": 2,
        "feedforward_size": 32,
        "fusion_size": 4,
        "style_names": ["s1", "actor01"],
        "name": "emoface-tiny",
    }
    config = EmoFaceConfig(**{**settings, **changes})
    skin_faces = head.faces[(head.faces < head.skin_count).all(1)]
    model = EmoFaceModel.from_topology(config, faces=skin_faces, template=head.template[: head.skin_count])
    with torch.no_grad():
        for decoder in (model.content_decoder, model.emotion_decoder):
            decoder.motion_out.weight.normal_(std=0.1)  # millimetres
        model.emotion_prototypes.normal_()
    save_folder(folder, model, tiny_encoder(), None)
    return folder
