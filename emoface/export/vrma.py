"""VRM Animation (.vrma): the expressions of VRM 1.0 over time, for any VRM avatar. Specification: VRMC_vrm_animation 1.0.

A VRMA is a GLB of empty nodes; the x of an expression's node is the expression's weight, and nodes that stand for the bones of a body turn as these do.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import atomic_path
from ..head_motion import quaternions
from .engines import NAMES, vrm_expressions
from .glb import pack_glb
from .topology import arkit_weights

SHAPES = ("vrm", "arkit")
_BONES = {"hips": 1.0, "spine": 0.1, "chest": 0.15, "neck": 0.25, "head": 0.1}
"""From each bone up to the next, metres, of a body that stands upright: any avatar's own lengths take their place."""


def save_vrma(animation: Animation, path: str | os.PathLike, *, shapes: str = "vrm") -> Path:
    """Writes a .vrma. ``shapes``: "vrm" the presets that every VRM 1.0 avatar has (vowels, blinks, emotions), "arkit" the 52 ARKit shapes as custom
    expressions, for avatars with "Perfect Sync". Where the animation has head angles the bone ``head`` turns by them. Raises EmoFaceError for meshes without ARKit shapes.
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
    if animation.head_angles is not None:
        data = _with_head(document, data, quaternions(animation.head_angles))
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
    accessors += [
        {"bufferView": 1, "byteOffset": number * moved[0].nbytes, "componentType": 5126, "count": len(times), "type": "VEC3"}
        for number in range(len(names))
    ]
    expressions = {kind: {name: {"node": number} for number, name in enumerate(names)}}
    document = {
        "asset": {"version": "2.0", "generator": "EmoFace"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(names)))}],
        "nodes": [{"name": name} for name in names],
        "buffers": [{"byteLength": times.nbytes + moved.nbytes}],
        "bufferViews": views,
        "accessors": accessors,
        "animations": [
            {
                "name": "speech",
                "samplers": [{"input": 0, "output": 1 + number, "interpolation": "LINEAR"} for number in range(len(names))],
                "channels": [{"sampler": number, "target": {"node": number, "path": "translation"}} for number in range(len(names))],
            }
        ],
        "extensionsUsed": ["VRMC_vrm_animation"],
        "extensions": {"VRMC_vrm_animation": {"specVersion": "1.0", "expressions": expressions}},
    }
    return document, times.tobytes() + moved.tobytes()


def _with_head(document: dict, data: bytes, turned: np.ndarray) -> bytes:
    """Adds the bones from the hips to the head, and the turns (T, 4) of the latter; returns the data with them."""
    first, (animation,) = len(document["nodes"]), document["animations"]
    names = list(_BONES)
    document["nodes"] += [
        {"name": name, "translation": [0.0, height, 0.0], **({"children": [first + number + 1]} if number + 1 < len(names) else {})}
        for number, (name, height) in enumerate(_BONES.items())
    ]
    document["scenes"][0]["nodes"].append(first)
    document["extensions"]["VRMC_vrm_animation"]["humanoid"] = {"humanBones": {name: {"node": first + number} for number, name in enumerate(names)}}
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(data), "byteLength": turned.nbytes})
    document["accessors"].append({"bufferView": len(document["bufferViews"]) - 1, "componentType": 5126, "count": len(turned), "type": "VEC4"})
    animation["channels"].append({"sampler": len(animation["samplers"]), "target": {"node": first + len(names) - 1, "path": "rotation"}})
    animation["samplers"].append({"input": 0, "output": len(document["accessors"]) - 1, "interpolation": "LINEAR"})
    document["buffers"][0]["byteLength"] += turned.nbytes
    return data + turned.astype("<f4").tobytes()
