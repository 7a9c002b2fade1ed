"""What was heard, in words with how sure it is."""

from __future__ import annotations

import numpy as np

from ..animation import Animation

UNSURE, CLEAR = 0.6, 0.8
"""Probabilities: below the first nobody should rely on the name, from the second on it is said without reserve. They are calibrated on the validation
voices, and too high for voices in other languages (``reliability`` in docs/results.json): there an answer with less than .6 is wrong more often than right."""
_SOUNDS = {"fearful": "fearful", "disgust": "disgusted"}


def adjective(emotion: str) -> str:
    return _SOUNDS.get(emotion, emotion)


def heard(animation: Animation, *, whose: str = "The voice") -> str:
    """One sentence on the emotion heard in ``whose`` sound, with certainty in words and in percent."""
    share = np.asarray(animation.emotion_probabilities, np.float64)
    first, second = np.argsort(-share)[:2]
    name, other = adjective(animation.emotion_names[first]), adjective(animation.emotion_names[second])
    percent = f"{100 * share[first]:.0f} %"
    if share[first] < UNSURE:
        return f"{whose}: unsure, perhaps {name} ({percent}) or {other} ({100 * share[second]:.0f} %)."
    return f"{whose} {'clearly' if share[first] >= CLEAR else 'probably'} sounds {name} ({percent} sure)."


def worn(animation: Animation) -> str:
    """The sentence for an emotion that was chosen, not heard."""
    return f"The face is {adjective(str(animation.settings['emotion']))} because you chose it; what the voice sounds like is left out."
