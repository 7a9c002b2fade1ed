"""Poses to judge the head by: visemes and emotions in ARKit weights. A name without side means both sides."""

from __future__ import annotations

import numpy as np

VISEMES = {
    "sil": {},
    "PP": {"mouthPress": 0.35, "mouthRollLower": 0.22, "mouthRollUpper": 0.15, "jawOpen": 0.02, "mouthClose": 0.02},
    "FF": {"jawOpen": 0.05, "mouthRollLower": 0.65, "mouthUpperUp": 0.3, "mouthShrugLower": 0.15},
    "TH": {"jawOpen": 0.15, "tongueOut": 0.45, "mouthLowerDown": 0.15, "mouthUpperUp": 0.1},
    "DD": {"jawOpen": 0.13, "mouthLowerDown": 0.2, "mouthUpperUp": 0.12},
    "kk": {"jawOpen": 0.17, "mouthLowerDown": 0.12, "mouthUpperUp": 0.12, "mouthDimple": 0.1},
    "CH": {"jawOpen": 0.07, "mouthFunnel": 0.55, "mouthPucker": 0.15},
    "SS": {"jawOpen": 0.04, "mouthStretch": 0.2, "mouthSmile": 0.12, "mouthLowerDown": 0.35, "mouthUpperUp": 0.22},
    "nn": {"jawOpen": 0.1, "mouthLowerDown": 0.18, "mouthUpperUp": 0.1},
    "RR": {"jawOpen": 0.1, "mouthFunnel": 0.3, "mouthPucker": 0.25},
    "aa": {"jawOpen": 0.45, "mouthLowerDown": 0.1, "mouthUpperUp": 0.15},
    "E": {"jawOpen": 0.24, "mouthStretch": 0.25, "mouthSmile": 0.15, "mouthLowerDown": 0.15, "mouthUpperUp": 0.15},
    "I": {"jawOpen": 0.1, "mouthStretch": 0.3, "mouthSmile": 0.3, "mouthLowerDown": 0.25, "mouthUpperUp": 0.18},
    "O": {"jawOpen": 0.28, "mouthFunnel": 0.45, "mouthPucker": 0.35},
    "U": {"jawOpen": 0.07, "mouthFunnel": 0.25, "mouthPucker": 0.75},
}
"""Meta's 15 mouth shapes."""

EMOTIONS = {
    "neutral": {},
    "calm": {"mouthSmile": 0.22, "eyeBlink": 0.15, "eyeSquint": 0.12, "browInnerUp": 0.05, "mouthPress": 0.08},
    "happy": {
        "mouthSmile": 0.85, "cheekSquint": 0.65, "eyeSquint": 0.3, "mouthDimple": 0.12, "mouthUpperUp": 0.1,
        "mouthLowerDown": 0.2, "jawOpen": 0.12, "browOuterUp": 0.12, "browInnerUp": 0.1,
    },
    "sad": {
        "browInnerUp": 1, "browDown": 0.25, "mouthFrown": 0.9, "mouthShrugLower": 0.4, "eyeBlink": 0.25,
        "eyeSquint": 0.2, "eyeLookDown": 0.25, "cheekSquint": 0.1, "mouthStretch": 0.1,
    },
    "angry": {
        "browDown": 1, "eyeWide": 0.45, "eyeSquint": 0.5, "mouthPress": 0.6, "mouthRollLower": 0.25,
        "mouthRollUpper": 0.25, "noseSneer": 0.6, "mouthFrown": 0.3, "jawForward": 0.2, "mouthShrugLower": 0.2,
    },
    "fearful": {
        "browInnerUp": 1, "browOuterUp": 0.3, "browDown": 0.3, "eyeWide": 1, "mouthStretch": 1, "jawOpen": 0.14,
        "mouthLowerDown": 0.3, "mouthFrown": 0.2,
    },
    "disgust": {
        "noseSneer": 1, "browDown": 0.6, "eyeSquint": 0.6, "cheekSquint": 0.55, "mouthUpperUp": 0.75,
        "mouthFrown": 0.65, "mouthShrugLower": 0.45, "mouthLowerDown": 0.1,
    },
    "surprised": {"browInnerUp": 1, "browOuterUp": 1, "eyeWide": 0.85, "jawOpen": 0.4, "mouthFunnel": 0.1},
}
"""Strong expressions; normal ones are 0.6 times these."""


def pose_weights(pose: dict[str, float], names: tuple[str, ...]) -> np.ndarray:
    """(52,) float32 weights of a pose."""
    weights = np.zeros(len(names), np.float32)
    for name, weight in pose.items():
        for full in (name,) if name in names else (name + "Left", name + "Right"):
            weights[names.index(full)] = weight
    return weights
