"""A feeling that changes over time: keys of how much of each emotion the face shows.

    [(0.0, {"speech": 1.0}), (1.5, {"happy": 1.0}), (2.2, {"sad": 0.7, "surprised": 0.3})]

Between two keys every weight goes in a straight line; before the first and after the last key it stays. ``"speech"`` is the emotion recognised in
the voice, the others are named emotions. A weight is a strength, from the same words without feeling (0) through the whole expression (1) to
1.5: frame by frame the face is ``neutral + sum of weight x (expression - neutral)``, so lips keep the timing of the words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .clock import interpolate
from .errors import EmoFaceError
from .reading import read_json

MOST_INTENSE = 1.5
"""Largest intensity, and largest sum of the weights of one key."""
_MOST_KEYS = 10_000
_EXAMPLE = 'for example [[0, {"happy": 1}], [2, {"sad": 0.5}]]'


def check_shares(*, mix: float, intensity: float) -> None:
    """Refuse a mix outside 0 ... 1 and an intensity outside 0 ... :data:`MOST_INTENSE`, with an EmoFaceError."""
    if not (isinstance(mix, (int, float)) and 0.0 <= mix <= 1.0):
        raise EmoFaceError(f"The mix is {mix!r}: give a number from 0 (the speech's own emotion) to 1 (the chosen one).")
    if not (isinstance(intensity, (int, float)) and 0.0 <= intensity <= MOST_INTENSE):
        raise EmoFaceError(f"The intensity is {intensity!r}: give a number from 0 (no expression) to {MOST_INTENSE} (1: as the level has it).")


@dataclass(frozen=True)
class EmotionCurve:
    """Keys in order of time. Errors of :meth:`of`: EmoFaceError with what to do."""

    seconds: np.ndarray
    """(K,) not decreasing."""
    weights: np.ndarray
    """(K, N) of the emotions in ``names``."""
    names: tuple[str, ...]

    @classmethod
    def of(cls, keys: Any, known: Sequence[str]) -> EmotionCurve:
        """Checks and sorts ``[(seconds, {emotion: weight}), ...]``; ``known`` are the names that may be used."""
        if isinstance(keys, EmotionCurve):
            return keys
        if not isinstance(keys, (list, tuple)) or not 0 < len(keys) <= _MOST_KEYS:
            raise EmoFaceError(f"An emotion curve is a list of 1 to {_MOST_KEYS:,} keys, {_EXAMPLE}.")
        checked = sorted((_key(key, known) for key in keys), key=lambda key: key[0])
        names = tuple(name for name in known if any(name in weights for _, weights in checked))
        return cls(
            np.array([seconds for seconds, _ in checked]), np.array([[weights.get(name, 0.0) for name in names] for _, weights in checked]), names
        )

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """(T,) times -> (T, N) weights."""
        return interpolate(seconds, self.seconds, self.weights)

    def keys(self) -> list:
        """The same as plain lists and dicts, for JSON."""
        return [[float(t), {name: float(w) for name, w in zip(self.names, row)}] for t, row in zip(self.seconds, self.weights)]


def _key(key: Any, known: Sequence[str]) -> tuple[float, dict[str, float]]:
    if not (isinstance(key, (list, tuple)) and len(key) == 2 and _number(key[0]) and isinstance(key[1], dict) and key[1]):
        raise EmoFaceError(f"{str(key)[:80]!r} is no key of an emotion curve: give pairs of seconds and weights, {_EXAMPLE}.")
    seconds, weights = key
    for name, weight in weights.items():
        if name not in known:
            raise EmoFaceError(f"There is no emotion called {str(name)[:40]!r} to direct: use {', '.join(known)}.")
        if not _number(weight) or weight < 0:
            raise EmoFaceError(f"The weight of {name} at {seconds:g} s is {str(weight)[:20]!r}: give a number from 0 to {MOST_INTENSE}.")
    if sum(weights.values()) > MOST_INTENSE + 1e-6:
        raise EmoFaceError(f"The weights at {seconds:g} s add up to {sum(weights.values()):.2f}: keep their sum at {MOST_INTENSE} or less.")
    return float(seconds), {name: float(weight) for name, weight in weights.items()}


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_curve(path: str | Path) -> list:
    """The keys in a JSON file, not checked yet. Raises EmoFaceError where it is missing or no JSON."""
    path = Path(path)
    try:
        return read_json(path)
    except OSError as error:
        raise EmoFaceError(f"The emotion curve {path.name!r} cannot be read ({error.strerror}): check the path.") from None
    except (ValueError, RecursionError):
        raise EmoFaceError(f"{path.name!r} is not JSON: write a list of keys, {_EXAMPLE}.") from None
