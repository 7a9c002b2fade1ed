"""A chart in the page's own style that can follow a player, drawn by Plotly."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly

from .component import Component
from .player import HERE, script, static_url

PLOTLY_URL = static_url(Path(plotly.__file__).parent / "package_data" / "plotly.min.js")


@dataclass(frozen=True)
class Chart:
    """``data`` and ``layout`` as in Plotly. ``summary`` says in words what the chart shows; ``follows`` names the player
    whose time is the x axis. Without ``data`` only its words are shown. No text of visitors belongs in here: Plotly reads some tags in it."""

    title: str
    data: list[dict]
    layout: dict
    summary: str
    note: str = ""
    height: int = 240
    follows: str | None = None


class ChartView(Component):
    """Shows a ``Chart``."""

    def __init__(
        self,
        value: Chart | None = None,
        *,
        plotly_url: str = PLOTLY_URL,
        html_template: str | None = None,
        css_template: str | None = None,
        js_on_load: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            value,
            html_template=(HERE / "chart.html").read_text("utf-8"),
            css_template=(HERE / "chart.css").read_text("utf-8"),
            js_on_load=script("chart"),
            plotly_url=plotly_url,
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: dict | None) -> dict | None:
        return payload

    def postprocess(self, value: Chart | dict | None) -> dict | None:
        if value is None or isinstance(value, dict):
            return value
        return {
            "run": uuid.uuid4().hex,
            "title": value.title,
            "note": value.note,
            "summary": value.summary,
            "height": value.height,
            "follows": value.follows,
            "figure": {"data": value.data, "layout": value.layout} if value.data else None,
        }

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "a chart of the page"}
