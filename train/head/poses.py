"""Poses to judge the head by: visemes and emotions in ARKit weights. A name without side means both sides."""

from __future__ import annotations

import numpy as np

from emoface.head import Head, load_head
from train.corpus.emotion import PROTOTYPES

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

EMOTIONS = PROTOTYPES | {"sad": PROTOTYPES["sad"] | {"eyeLookDown": 0.25}}
"""Strong expressions, those of the training targets with a gaze; normal ones are 0.6 times these."""


def pose_weights(pose: dict[str, float], names: tuple[str, ...]) -> np.ndarray:
    """(52,) float32 weights of a pose."""
    weights = np.zeros(len(names), np.float32)
    for name, weight in pose.items():
        for full in (name,) if name in names else (name + "Left", name + "Right"):
            weights[names.index(full)] = weight
    return weights


def assembled(head: Head, weights: np.ndarray) -> np.ndarray:
    """(T, V, 3) vertices of a head as an animation shows them, for weights (T, 52)."""
    average = load_head(0)
    return head.assemble(average.pose(weights)[:, : average.skin_count] - average.skin_template, weights)
