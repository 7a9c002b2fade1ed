"""The head of the page."""

from __future__ import annotations

from html import escape
from typing import Any

PAPER = "https://arxiv.org/abs/2408.11518"

_LOGO = """<svg viewBox="0 0 48 48" aria-hidden="true"><rect width="48" height="48" rx="14" fill="#1a1a1f"/>
<path d="M24 9c-7.2 0-11.5 5-11.5 12.2C12.500 30 17.500 39 24 39z" fill="#3d8fb8"/><path d="M24 9c7.200 0 11.500 5 11.500 12.200C35.500 30 30.500 39 24 39z" fill="#e8604a"/>
<circle cx="19" cy="21" r="1.900" fill="#fff"/><circle cx="29" cy="21" r="1.900" fill="#fff"/><path d="M18.500 28.500c3 3.600 8 3.600 11 0" fill="none" stroke="#fff" stroke-width="2.200" stroke-linecap="round"/></svg>"""


def header(*, model: str, device: str, licence: str, notice: str | None = None) -> str:
    """HTML of the page's head, and below it what went wrong with the model that was asked for; all texts are escaped."""
    warning = f'<p class="ef-notice" role="alert">{escape(notice)}</p>' if notice else ""
    return f"""<header class="ef-header"><div class="ef-logo">{_LOGO}<div><h1>EmoFace</h1><p>Speech in. A 3D face that says it, and feels it.</p></div></div>
<div class="ef-badges"><span class="ef-badge">Runs on <b>{escape(device)}</b></span><span class="ef-badge">Model <b>{escape(model)}</b></span>
<span class="ef-badge">Weights <b>{escape(licence)}</b></span><a class="ef-badge" href="{PAPER}" target="_blank" rel="noopener">Paper <b>2408.11518</b></a></div></header>{warning}"""


def device_name(device: Any) -> str:
    """Words for the badge: the GPU's own name, or CPU."""
    import torch

    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
