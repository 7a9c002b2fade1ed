"""The player: up to four talking heads, drawn by Plotly, in step with the sound."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio.data_classes import FileData

from ..export.shading import LIGHTS
from ..look import FOLDER as LOOKS
from .component import Component

HERE = Path(__file__).parent


def static_url(path: Path) -> str:
    """Address of a file that the page needs and that every visitor may have."""
    gr.set_static_paths([path])
    return f"/gradio_api/file={quote(str(path))}"


PLOTLY_3D_URL = static_url(HERE / "plotly" / "plotly-gl3d.min.js")
LOOK_URL = static_url(LOOKS) + "/"
SCRIPTS = ("painter", "face_look", "coarser", "player")
"""JavaScript of the player, in turn."""


def script(*names: str) -> str:
    """JavaScript of a component: what all share, then its own files in turn."""
    return "".join((HERE / f"{name}.js").read_text("utf-8") for name in ("common", *names))


class FacePlayer(Component):
    """Shows ``{"animation": PATH, "audio": PATH or {LABEL: PATH}, "autoplay": "on" | "muted" | "off", "made": {...}}``.

    The animation comes from ``pack``; of several sounds of equal length the visitor chooses one. ``made`` (optional) are the controls
    that the face was made with: scripts of the page read them as ``emoface.players[player_id].made``. With ``names`` (of the animation's
    tracks, "neutral" among them) and ``keys`` (an emotion curve, ``emoface.curve``) its first panel shows their blend.

    ``player_id`` is how charts find the player they follow. ``count`` faces are expected, so
    that room is kept for them. Players of one ``group`` play, stop and seek together; others take turns. ``fast=False`` draws with ``Plotly.restyle`` only. Nothing of the
    value enters the template: templates are evaluated as code in the browser, and captions may hold file names.
    """

    def __init__(
        self,
        value: dict | None = None,
        *,
        player_id: str = "player",
        empty: str = "",
        count: int = 1,
        fast: bool = True,
        group: str = "",
        plotly_url: str = PLOTLY_3D_URL,
        html_template: str | None = None,
        css_template: str | None = None,
        js_on_load: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            value,
            html_template=(HERE / "player.html").read_text("utf-8"),
            css_template=(HERE / "player.css").read_text("utf-8"),
            js_on_load=script(*SCRIPTS),
            player_id=player_id,
            group=group,
            empty=empty,
            count=count,
            fast=fast,
            plotly_url=plotly_url,
            look_url=LOOK_URL,
            light=LIGHTS.tolist(),
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: dict | None) -> dict | None:
        return payload

    def postprocess(self, value: dict | None) -> dict | None:
        if value is None:
            return None
        sounds = value["audio"] if isinstance(value["audio"], dict) else {"Sound": value["audio"]}
        return {
            "animation": _file(value["animation"]),
            "sounds": [{"label": label, "file": _file(path)} for label, path in sounds.items()],
            "run": uuid.uuid4().hex,
            "autoplay": value.get("autoplay", "on"),
            "made": value.get("made"),
            "names": value.get("names"),
            "keys": value.get("keys"),
        }

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "animation: gzip file of the page's player; sounds: WAV files"}


def _file(path: str | Path) -> dict:
    return FileData(path=str(path)).model_dump()
