"""Whether the arrays of an animation that was read fit together."""

from __future__ import annotations

from numbers import Real

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError

MIN_FPS, MAX_FPS = 0.1, 1000.0
"""Frames per second that a file may claim, or be asked for."""
FILM_FPS = (1.0, 240.0)
_RATES = (4000, 768_000)


def check_rate(fps: float, what: str, *, low: float = MIN_FPS, high: float = MAX_FPS) -> float:
    """``fps`` itself. Raises EmoFaceError where it is no number from ``low`` to ``high``."""
    if not isinstance(fps, Real) or not low <= fps <= high:
        raise EmoFaceError(f"Frames per second {what} must be {low:g} to {high:g}, not {fps}: give another rate.")
    return float(fps)


def check_animation(animation: Animation, name: str) -> Animation:
    """Every array against the others; positions and times finite. Raises EmoFaceError with the first thing that is wrong."""
    frames, count, skin = len(animation.vertices), len(animation.template), animation.skin_count

    def need(fine: bool, what: str) -> None:
        if not fine:
            raise EmoFaceError(f"{name} is damaged: its {what}; export it again.")

    def numbers(array: np.ndarray | None, *shape: int | None) -> bool:
        """Whether it is an array of finite numbers of that shape (None: any)."""
        return (
            isinstance(array, np.ndarray)
            and array.dtype.kind in "iuf"
            and array.ndim == len(shape)
            and all(wanted is None or length == wanted for length, wanted in zip(array.shape, shape))
            and bool(np.isfinite(array).all())
        )

    need(MIN_FPS <= animation.fps <= MAX_FPS, f"{animation.fps} frames per second cannot be")
    need(
        frames > 0 and numbers(animation.template, None, 3) and numbers(animation.vertices, frames, count, 3),
        "vertices, template and faces do not fit together",
    )
    need(
        numbers(animation.faces, None, 3)
        and animation.faces.dtype.kind in "iu"
        and len(animation.faces) > 0
        and 0 <= animation.faces.min()
        and animation.faces.max() < count,
        "vertices, template and faces do not fit together",
    )
    need(0 < skin <= count, f"{skin} skin vertices cannot be")
    need(animation.regions.shape == (count,) and animation.regions.dtype.kind == "U", "regions do not fit the vertices")
    need(numbers(animation.blendshapes, frames, len(animation.blendshape_names)), "blendshapes do not fit their names")
    for what in ("emotion_importance", "emotion_effect_mm"):
        array = getattr(animation, what)
        need(numbers(array, frames, None) and array.shape[1] in (0, skin), f"{what} does not fit the vertices")
    emotions = len(animation.emotion_names)
    need(
        emotions > 0 and numbers(animation.emotion_probabilities, emotions) and numbers(animation.emotion_track, frames, emotions),
        "emotions do not fit their names",
    )
    need(animation.colors is None or (numbers(animation.colors, count, 3) and animation.colors.dtype == np.uint8), "colours do not fit the vertices")
    need(animation.audio is None or numbers(animation.audio, None), "sound is no row of numbers")
    need(_RATES[0] <= animation.sample_rate <= _RATES[1], f"sample rate of {animation.sample_rate} Hz cannot be")
    need(animation.head_angles is None or numbers(animation.head_angles, frames, 3), "angles of the head do not fit its frames")
    need(isinstance(animation.settings, dict) and all(isinstance(key, str) for key in animation.settings), "settings are no table")
    return animation
