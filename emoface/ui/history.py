"""The animations of a visit: return to one, or see any two side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
import soundfile

from ..animation import Animation
from ..errors import EmoFaceError
from . import scenes
from .component import Component
from .context import Context
from .engine import plain_errors
from .player import HERE, script
from .sessions import Result, visitor


class History(Component):
    """Shows what :func:`listed` gives; what it gives back are the names that the visitor asks for: one to return to, or two to compare."""

    def __init__(
        self,
        value: dict | None = None,
        *,
        player: str,
        html_template: str | None = None,
        css_template: str | None = None,
        js_on_load: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            value,
            player=player,
            html_template=(HERE / "history.html").read_text("utf-8"),
            css_template=(HERE / "history.css").read_text("utf-8"),
            js_on_load=script("history"),
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: dict | None) -> list[str]:
        return [str(name) for name in (payload or {}).get("asked") or []]

    def postprocess(self, value: dict | None) -> dict | None:
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "names and labels of a visit's animations"}


def listed(context: Context, session_id: str, shown: str | None) -> dict:
    """The component's value: newest first."""
    return {"items": [{"name": result.name, "label": result.label} for result in reversed(context.sessions.results(session_id))], "shown": shown}


def label_of(animation: Animation) -> str:
    """A short name that distinguishes one animation from the others."""
    emotion = animation.settings.get("emotion", "speech")
    word = animation.emotion if emotion == "speech" else "directed" if isinstance(emotion, list) else str(emotion)
    return f"{word.capitalize()}, {animation.settings.get('speech', 'speech')}"


def back_to(context: Context) -> Callable:
    """(names asked for) -> the outputs that :class:`emoface.ui.sessions.Result` holds, or a comparison in the player alone; then the list."""

    def back(asked: list[str], request: gr.Request):
        with plain_errors():
            visit = visitor(request)
            known = {result.name: result for result in context.sessions.results(visit)}
            if not asked or not set(asked) <= known.keys():
                raise EmoFaceError("That animation is not on the server any more: press Animate to make it again.")
            if len(asked) == 1:
                context.sessions.choose(visit, asked[0])
                return *known[asked[0]].outputs, listed(context, visit, asked[0])
            shown = side_by_side(context, visit, [known[name] for name in asked[:2]])
            return shown, *[gr.skip() for _ in known[asked[0]].outputs[1:]], listed(context, visit, None)

    return back


def side_by_side(context: Context, session_id: str, results: list[Result]) -> dict:
    """The player's value for two animations on one clock; the shorter one waits in its last frame."""
    pair = [context.sessions.kept(session_id, result.name) for result in results]
    if not np.array_equal(pair[0].template, pair[1].template):
        raise EmoFaceError("These two have different heads. Choose two with the same head, or animate one of them again with the head of the other.")
    sounds, longest = {}, max(len(animation.audio) for animation in pair)
    for result, animation, letter in zip(results, pair, "12"):
        path = context.sessions.result(session_id, ".wav")
        soundfile.write(path, np.pad(animation.audio, (0, longest - len(animation.audio))), animation.sample_rate, subtype="PCM_16")
        sounds[f"{letter}: {result.label}"] = str(path)
    packed = scenes.pair(context.sessions.result(session_id, ".efp"), pair, [result.label for result in results])
    return {"animation": packed, "audio": sounds, "autoplay": "on"}
