"""The recognised emotion in a sentence, with its certainty."""

from __future__ import annotations

import numpy as np

from ..animation import Animation

UNSURE, CLEAR = 0.45, 0.9
"""Probabilities: below the first fewer than half of the answers are right, from the second on at least four in five. Read off the validation voices
by ``python -m train.recognition certainty`` (.44 and .87) and rounded up; the unseen voices of docs/results.json only check them."""
_SOUNDS = {"fearful": "fearful", "disgust": "disgusted"}


def adjective(emotion: str) -> str:
    """The form of an emotion's name that fits after *sounds*."""
    return _SOUNDS.get(emotion, emotion)


def recognised(animation: Animation, *, whose: str = "The voice") -> str:
    """One sentence on the emotion recognised in ``whose`` sound, with certainty in words and in percent."""
    share = np.asarray(animation.emotion_probabilities, np.float64)
    first, second = np.argsort(-share)[:2]
    name, other = adjective(animation.emotion_names[first]), adjective(animation.emotion_names[second])
    percent = f"{100 * share[first]:.0f} %"
    if share[first] < UNSURE:
        return f"{whose}: unsure, perhaps {name} ({percent}) or {other} ({100 * share[second]:.0f} %)."
    return f"{whose} {'clearly' if share[first] >= CLEAR else 'probably'} sounds {name} ({percent} sure)."


def worn(animation: Animation) -> str:
    """The sentence for an emotion that was chosen, not recognised."""
    return f"The face is {adjective(str(animation.settings['emotion']))} because you chose it; what the voice sounds like is left out."
