"""Names and columns of the 52 ARKit blendshapes (Apple's names in alphabetical order, as the head stores them)."""

from __future__ import annotations

import numpy as np

FPS = 30.0

_SINGLE = (
    "browInnerUp cheekPuff jawForward jawLeft jawOpen jawRight mouthClose mouthFunnel mouthLeft mouthPucker mouthRight "
    "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper tongueOut"
).split()
_PAIRED = (
    "browDown browOuterUp cheekSquint eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp eyeSquint eyeWide "
    "mouthDimple mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch mouthUpperUp noseSneer"
).split()
NAMES = tuple(sorted(_SINGLE + [name + side for name in _PAIRED for side in ("Left", "Right")]))
COUNT = len(NAMES)
INDEX = {name: i for i, name in enumerate(NAMES)}


def columns(*bases: str) -> list[int]:
    """Columns of the given shapes; a name without side means both sides."""
    out = []
    for base in bases:
        out += [INDEX[base]] if base in INDEX else [INDEX[base + "Left"], INDEX[base + "Right"]]
    return out


def vector(weights: dict[str, float]) -> np.ndarray:
    """(52,) weights from names; a name without side sets both sides."""
    out = np.zeros(COUNT)
    for base, value in weights.items():
        out[columns(base)] = value
    return out


# What cannot be read from the skin, or is not predictable from speech: zero in every target.
GAZE_AND_TONGUE = columns("eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "tongueOut")
