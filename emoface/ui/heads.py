"""The 24 heads as pictures to choose from (``assets/heads/heads.webp``, made by ``train/tools/build_head_pictures.py``)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import gradio as gr

from ..head import HEAD_COUNT
from ..resources import ASSETS
from .component import Component
from .player import HERE, script

PICTURES = ASSETS / "heads" / "heads.webp"
gr.set_static_paths([PICTURES])
NAMES = ["Average head", *[f"Head {index}" for index in range(1, HEAD_COUNT)]]


class HeadPicker(Component):
    """Its value is the index of the head."""

    def __init__(
        self,
        value: int = 0,
        *,
        pictures: str = f"/gradio_api/file={quote(str(PICTURES))}",
        names: list[str] | None = None,
        html_template: str | None = None,
        css_template: str | None = None,
        js_on_load: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            value,
            html_template=(HERE / "heads.html").read_text("utf-8"),
            css_template=(HERE / "heads.css").read_text("utf-8"),
            js_on_load=script("heads"),
            pictures=pictures,
            names=names or NAMES,
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: int | str | None) -> int:
        return int(payload or 0)

    def postprocess(self, value: int | None) -> int:
        return int(value or 0)

    def api_info(self) -> dict[str, Any]:
        return {"type": "integer", "description": f"head 0 (the average) to {HEAD_COUNT - 1}"}
