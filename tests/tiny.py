"""A tiny random model on an icosphere, for tests: real classes, every path, no assets."""

import torch
import trimesh

from emoface.configuration import EmoFaceConfig
from emoface.modeling import EmoFaceModel


def tiny_model(seed: int = 0, **changes) -> EmoFaceModel:
    mesh = trimesh.creation.icosphere(subdivisions=2)
    settings = dict(
        vertex_count=len(mesh.vertices),
        face_count=len(mesh.faces),
        feature_size=48,
        feature_layers=2,
        content_layer=1,
        emotion_layer=0,
        hidden_size=32,
        feedforward_size=64,
        window=40,
        style_names=["a", "b"],
        spiral_length=7,
        temporal_window=4,
        head=None,
        name="tiny",
        motion_unit=1.0,
    )
    torch.manual_seed(seed)
    model = EmoFaceModel.from_topology(EmoFaceConfig(**{**settings, **changes}), faces=mesh.faces, template=mesh.vertices)
    for decoder in (model.content_decoder, model.emotion_decoder):  # zero-initialised heads would hide every mistake
        torch.nn.init.normal_(decoder.motion_out.weight, std=0.05)
        torch.nn.init.normal_(decoder.motion_out.bias, std=0.05)
        torch.nn.init.normal_(decoder.motion_in.weight, std=0.05)
    return model.eval()
