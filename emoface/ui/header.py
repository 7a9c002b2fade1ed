"""The head of the page and the text of the tab About."""

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


ABOUT = f"""
## What this is

EmoFace turns a recording of speech into a moving 3D head. Two branches listen to the same sound: the **content** branch hears *what* is said and
moves lips and jaw; the **emotion** branch hears *how* it is said and moves brows, eyes and cheeks. A Mesh Attention network decides, for every
point of the face and every moment, how much to take from each. Because the branches are separate, the emotion of one recording can be put on the
words of another: that is *cross-reconstruction*.

It follows the paper [EmoFace: Emotion-Content Disentangled Speech-Driven 3D Talking Face Animation]({PAPER}) (arXiv 2408.11518). Another paper
has nearly the same name (arXiv 2407.12501, with a MetaHuman rig); it is not the one followed here. The authors of the paper have not published code;
this implementation is independent of them.

## What it cannot do

* It shows what a voice *sounds like*, which is not what a person feels. Do not use it to judge people.
* It was trained on English speech, mostly acted emotions. Other languages move the lips plausibly, not exactly.
* The tongue is not predicted, blinks and gaze are an optional layer that is not taken from the sound, and there is no head motion.
* One voice at a time: music, crowds and two people talking at once confuse it.
* The emotions of acted recordings were modelled from measured facial action units; real lips come from one speaker.

## Privacy

Recordings are processed on the machine that runs this page. Results are deleted when you close
it, recordings ten minutes later; nothing is shared between visitors.

## Licences

| part | licence |
|---|---|
| program | Apache-2.0 |
| trained weights | CC BY-NC-SA 4.0 (because of the RAVDESS recordings they learned from): not for commercial use |
| head and its shapes | CC0 1.0, from the MakeHuman community |
| speech encoder | MIT, OpenAI Whisper |
| example recordings | LibriVox (public domain); CREMA-D, actors 1001 and 1002 (ODbL) |
"""
