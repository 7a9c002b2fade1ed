"""``emoface info``: what a model can do."""

from __future__ import annotations

import argparse
import json

from .. import __version__
from .common import add_model_options


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser("info", description="What a model can do: its styles, emotions, sizes and device.")
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> None:
    import torch

    from ..export import FORMATS
    from ..head import HEAD_COUNT
    from ..pipeline import EmoFacePipeline

    pipe = EmoFacePipeline.from_pretrained(arguments.model, revision=arguments.revision, device=arguments.device)
    config = pipe.model.config
    encoders = [pipe.content_encoder, pipe.emotion_encoder or pipe.content_encoder]
    facts = {
        "emoface": __version__,
        "model": pipe.name,
        "parameters": sum(p.numel() for p in pipe.model.parameters()),
        "content encoder": f"{encoders[0].kind}, {encoders[0].depth} blocks of {encoders[0].width}",
        "emotion encoder": "the same" if encoders[0] is encoders[1] else f"{encoders[1].kind}, {encoders[1].depth} blocks",
        "vertices": config.vertex_count,
        "frames per second": config.fps,
        "emotions": pipe.emotions,
        "levels": list(config.level_names),
        "styles": pipe.styles,
        "default style": config.default_style,
        "heads": HEAD_COUNT if config.head == "embedded" else 1,
        "longest recording (s)": pipe.max_seconds,
        "formats": list(FORMATS),
        "device": str(pipe.device),
        "threads": torch.get_num_threads(),
    }
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        print(f"{key:22} {' '.join(value) if isinstance(value, list) else value}")
