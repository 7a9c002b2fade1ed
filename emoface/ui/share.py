"""One animation as one HTML file: the player, the head and the sound in it, for any browser, without a server or a connection."""

from __future__ import annotations

import gzip
import json
import struct
import tempfile
from base64 import b64encode
from html import escape
from pathlib import Path

import numpy as np
import soundfile

from ..animation import Animation
from ..export.poster import save_poster
from ..export.shading import LIGHTS
from ..files import atomic_path
from ..look import FOLDER as LOOKS
from . import scenes
from .player import HERE, SCRIPTS, script
from .theme import CSS

POSTER = (1200, 820)
"""Pixels of the picture that the file opens with."""
_COLORS = """:root { color-scheme: light dark; --body-text-color: #1a1a1f; --body-text-color-subdued: #66605b; --background-fill-primary: #fff; --body-background-fill: #faf9f7;
  --border-color-primary: #e6e2dd; --color-accent: #c2432f; --color-accent-soft: #ffe5de; --button-primary-background-fill: #c2432f; --button-primary-text-color: #fff; }
@media (prefers-color-scheme: dark) { :root { --body-text-color: #ece9e6; --body-text-color-subdued: #aba5a0; --background-fill-primary: #1a1a1f; --body-background-fill: #121217;
  --border-color-primary: #37363c; } }
body { margin: 0 auto; max-width: 900px; padding: 20px; font: 16px/1.5 system-ui, sans-serif; color: var(--body-text-color); background: var(--body-background-fill); }
.efp { --stage-height: min(70vh, 620px); }
/* The face as a picture where the player's will be, until that is drawn: at once, in previews of the file, and where scripts are off. */
#face { position: relative; }
.poster { position: absolute; inset: 0 0 auto; z-index: 1; width: 100%; height: min(70vh, 620px); object-fit: cover; border-radius: 18px; pointer-events: none; }
#face:has([data-state="ready"]) .poster { display: none; }"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>{style}</style><script>{plotly}</script></head>
<body><h1>{title}</h1><div id="face"><img class="poster" src="{poster}" alt="{title}">{player}</div><p>{about}</p>
<script>
const files = {files};   // what the player would fetch from a server
const ask = window.fetch.bind(window);
window.fetch = (address, ...rest) => ask(files[address] ?? address, ...rest);
window.emoface = {{ libraries: {{ plotly: Promise.resolve() }}, players: {{}}, faces: {{}} }};
const value = {{ run: 'shared', autoplay: 'muted', animation: {{ url: 'face.efp' }}, sounds: [{{ label: 'Sound', file: {{ url: 'face.wav' }} }}] }};
(function (element, trigger, props, watch) {{ {script} }})(document.querySelector('#face'), () => {{}},
  {{ value, player_id: 'shared', plotly_url: 'plotly', look_url: 'look/', light: {light}, fast: true, count: 1 }}, () => {{}});
</script></body></html>
"""


def write_page(animation: Animation, path: str | Path) -> Path:
    """Writes the HTML file; about 4 MB and 0.4 MB for each second. Raises EmoFaceError where it cannot be written."""
    with tempfile.TemporaryDirectory() as folder:
        packed = scenes.single(Path(folder) / "face.efp", animation).read_bytes()
        sound = Path(folder) / "face.wav"
        samples = np.zeros(round(animation.duration * animation.sample_rate), np.float32) if animation.audio is None else animation.audio
        soundfile.write(sound, samples, animation.sample_rate, subtype="PCM_16")
        files = {"face.efp": _data(packed), "face.wav": _data(sound.read_bytes(), "audio/wav")}
        poster = _data(save_poster(animation, Path(folder) / "poster.webp", size=POSTER).read_bytes(), "image/webp")
    for name in look_files(packed):
        files[f"look/{name}.efl"] = _data((LOOKS / f"{name}.efl").read_bytes())
    title = f"{animation.settings.get('speech', 'Speech')}, animated by EmoFace"
    style = _COLORS + CSS[: CSS.index("/* Gradio")] + (HERE / "player.css").read_text("utf-8")
    with atomic_path(Path(path)) as target:
        target.write_text(
            _PAGE.format(
                title=escape(title),
                poster=poster,
                style=style,
                plotly=_script((HERE / "plotly" / "plotly-gl3d.min.js").read_text("utf-8")),
                player=(HERE / "player.html").read_text("utf-8"),
                about="A computed face: it shows what the voice sounds like, or what its maker chose, and no person.",
                files=_script(json.dumps(files)),
                script=_script(script(*SCRIPTS)),
                light=json.dumps(LIGHTS.tolist()),
            ),
            encoding="utf-8",
        )
    return Path(path)


def look_files(packed: bytes) -> list[str]:
    """Names of the files of the look that a pack needs."""
    raw = gzip.decompress(packed)
    look = json.loads(raw[8 : 8 + struct.unpack("<I", raw[4:8])[0]]).get("look")
    return ["base", f"hair_{look['hair']}", f"head_{look['head']:02d}"] if look else []


def _data(content: bytes, kind: str = "application/octet-stream") -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"


def _script(text: str) -> str:
    """Text that cannot end the script element it stands in."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
