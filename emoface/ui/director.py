"""The editor of a feeling over time: curves over the sound, whose player follows at once."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np

from ..animation import Animation
from .component import Component
from .player import HERE, script
from .plots import EMOTION_COLORS, FUSED, thin

WAVE_COLUMNS, HEARD_COLUMNS = 200, 60
HEARD_SHARE = 0.25
"""Emotions whose probability never exceeds this are not drawn."""


class Director(Component):
    """Shows what :func:`direction` gives; what it gives back are the keys of an emotion curve (``emoface.curve``), or None."""

    def __init__(
        self,
        value: dict | None = None,
        *,
        html_template: str | None = None,
        css_template: str | None = None,
        js_on_load: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            value,
            html_template=(HERE / "director.html").read_text("utf-8"),
            css_template=(HERE / "director.css").read_text("utf-8"),
            js_on_load=script("director"),
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: dict | None) -> list | None:
        return (payload or {}).get("keys")

    def postprocess(self, value: dict | None) -> dict | None:
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "keys of an emotion curve and what is drawn behind them"}


def direction(own: Animation, names: list[str], *, player: str, keys: list | None = None) -> dict:
    """The editor's value for a voice (``own``: its animation with the recognised emotion) and the emotions that may be drawn on it."""
    pieces = np.array_split(np.abs(own.audio), WAVE_COLUMNS)
    wave = np.array([piece.max(initial=0) for piece in pieces])
    _, track = thin(own.emotion_track, own.fps, HEARD_COLUMNS)
    recognised = {name: np.round(track[:, i], 3).tolist() for i, name in enumerate(own.emotion_names) if track[:, i].max() >= HEARD_SHARE}
    return {
        "run": uuid.uuid4().hex,
        "player": player,
        "duration": own.duration,
        "wave": np.round(wave / max(wave.max(), 1e-6), 3).tolist(),
        "recognised": recognised,
        "names": ["speech", *names],
        "colors": {name: EMOTION_COLORS.get(name, FUSED) for name in (*names, *own.emotion_names)},
        "keys": keys or [[0, {"speech": 1}]],
    }
