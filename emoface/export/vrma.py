"""VRM Animation (.vrma): the expressions of VRM 1.0 over time, for any VRM avatar. Specification: VRMC_vrm_animation 1.0.

A VRMA is a GLB of empty nodes; the x of an expression's node is the expression's weight.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import atomic_path
from .engines import NAMES, vrm_expressions
from .glb import pack_glb
from .topology import arkit_weights

SHAPES = ("vrm", "arkit")


def save_vrma(animation: Animation, path: str | os.PathLike, *, shapes: str = "vrm") -> Path:
    """Writes a .vrma. ``shapes``: "vrm" the presets that every VRM 1.0 avatar has (vowels, blinks, emotions), "arkit" the 52 ARKit shapes as custom
    expressions, for avatars with "Perfect Sync". Raises EmoFaceError for meshes without ARKit shapes.
    """
    if shapes not in SHAPES:
        raise EmoFaceError(f"There are no VRM expressions {shapes!r}; choose {' or '.join(SHAPES)}.")
    weights = arkit_weights(animation)
    if shapes == "arkit":
        names, curves = list(NAMES), weights
    else:
        frames = [vrm_expressions(row, felt) for row, felt in zip(weights, _felt(animation))]
        names, curves = list(frames[0]), np.array([list(frame.values()) for frame in frames], np.float32)
    document, data = _document(names, curves, animation.fps, kind="preset" if shapes == "vrm" else "custom")
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack_glb(document, data))
    return Path(path)


def _felt(animation: Animation) -> list[dict[str, float]]:
    """How much of each emotion the face of every frame shows; nothing where it is not known, as for animations made elsewhere."""
    if not animation.emotion_importance.shape[1]:
        return [{}] * animation.frame_count
    strength = float(animation.settings.get("intensity", 1.0))
    return [dict(zip(animation.emotion_names, strength * row)) for row in animation.emotion_track.astype(float)]


def _document(names: list[str], curves: np.ndarray, fps: float, *, kind: str) -> tuple[dict, bytes]:
    times = (np.arange(len(curves)) / fps).astype("<f4")
    moved = np.zeros((len(names), len(curves), 3), "<f4")
    moved[..., 0] = curves.T
    views = [{"buffer": 0, "byteOffset": 0, "byteLength": times.nbytes}, {"buffer": 0, "byteOffset": times.nbytes, "byteLength": moved.nbytes}]
    accessors = [{"bufferView": 0, "componentType": 5126, "count": len(times), "type": "SCALAR", "min": [0.0], "max": [float(times[-1])]}]
    accessors += [{"bufferView": 1, "byteOffset": number * moved[0].nbytes, "componentType": 5126, "count": len(times), "type": "VEC3"}
                  for number in range(len(names))]
    expressions = {kind: {name: {"node": number} for number, name in enumerate(names)}}
    document = {
        "asset": {"version": "2.0", "generator": "EmoFace"}, "scene": 0, "scenes": [{"nodes": list(range(len(names)))}],
        "nodes": [{"name": name} for name in names], "buffers": [{"byteLength": times.nbytes + moved.nbytes}], "bufferViews": views, "accessors": accessors,
        "animations": [{"name": "speech", "samplers": [{"input": 0, "output": 1 + number, "interpolation": "LINEAR"} for number in range(len(names))],
                        "channels": [{"sampler": number, "target": {"node": number, "path": "translation"}} for number in range(len(names))]}],
        "extensionsUsed": ["VRMC_vrm_animation"],
        "extensions": {"VRMC_vrm_animation": {"specVersion": "1.0", "expressions": expressions}},
    }
    return document, times.tobytes() + moved.tobytes()

