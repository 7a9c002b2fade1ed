"""Tab *Live*: speak, and the face speaks with you (``live.js``, ``live_socket.py``, ``rooms.py``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
import soundfile

from ..curve import MOST_INTENSE
from ..export.pack import Panel, Track, View, write_pack
from ..head_motion import Neck
from . import animate
from .component import Component
from .context import Context
from .downloads import Downloads
from .engine import plain_errors
from .heads import HeadPicker
from .inputs import Note, emotion_choice, level_choice, step
from .player import HERE, FacePlayer, script
from .rooms import ZERO_GPU
from .sessions import visitor

PLAYER = "live"
SOURCES = [("My voice", "speech"), ("A named emotion", "named"), ("Both", "both")]
# Runs in the browser whenever a control changes: the settings that are sent to the session, now or when it begins.
_SET = """(source, named, mix, intensity, head, idle, nods, level) => {
  const share = source === 'speech' ? 0 : source === 'named' ? 1 : mix, feeling = { speech: (1 - share) * intensity };
  if (named) feeling[named] = (feeling[named] || 0) + share * intensity;
  (window.emoface ??= { libraries: {}, players: {}, faces: {} }).live ??= {};
  const settings = { feeling, head, idle, nods, level, style: STYLE };
  emoface.live.set ? emoface.live.set(settings) : emoface.live.settings = settings;
}"""


class Live(Component):
    """The button, the level and the connection; its value is the name of the newest take."""

    def __init__(
        self,
        value: str = "",
        *,
        player_id: str = PLAYER,
        off: str = "",
        html_template: str | None = None,
        css_template: str | None = None,
        js_on_load: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            value,
            html_template=(HERE / "live.html").read_text("utf-8"),
            css_template=(HERE / "live.css").read_text("utf-8"),
            js_on_load=script("live"),
            player_id=player_id,
            off=off,
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: str | None) -> str:
        return str(payload or "")

    def postprocess(self, value: str | None) -> str:
        return value or ""

    def api_info(self) -> dict[str, Any]:
        return {"type": "string", "description": "name of a take"}


def why_off(context: Context) -> str:
    """A sentence where the tab Live cannot work, else an empty string."""
    if context.engine.zero_gpu:
        return ZERO_GPU
    if not context.rooms.count:
        return "Live is off on this server (EMOFACE_LIVE)."
    return "" if "neutral" in context.emotions else "This model does not know a neutral face, which a live face rests in."


def build(context: Context, tab: gr.Tab) -> None:
    """The tab's components and what they do; called inside ``tab``."""
    with gr.Row(equal_height=False, elem_classes="ef-layout"):
        with gr.Column(scale=7, min_width=320, elem_classes="ef-result"):
            player = FacePlayer(None, player_id=PLAYER, elem_id="live-player", empty="The face appears here.")
            speaker = Live(off=why_off(context), elem_id="live")
            felt = Note(elem_id="live-felt")
            with gr.Column(elem_classes="ef-card"):
                downloads = Downloads("your latest take", elem_id="live-download")
                echo = Note(elem_id="live-echo")
        with gr.Column(scale=5, min_width=320, elem_classes="ef-side"):
            with gr.Column(elem_classes="ef-card"):
                step(1, "Emotion")
                source = gr.Radio(SOURCES, value="speech", label="Where the emotion comes from", elem_classes="ef-pills", elem_id="live-source")
                named = emotion_choice(context, "happy", elem_id="live-named")
                mix = gr.Slider(
                    0, 1, value=0.5, step=0.05, label="Mix", info="0: my voice's own emotion · 1: the named one", visible=False, elem_id="live-mix"
                )
                intensity = gr.Slider(
                    0, MOST_INTENSE, value=1, step=0.05, label="Strength", info="0: no expression · 1: as heard · 1.5: more", elem_id="live-intensity"
                )
                gr.HTML('<p class="ef-hint">All of these may be changed while you speak.</p>')
            with gr.Column(elem_classes="ef-card"):
                step(2, "Face <span>for the next take</span>")
                head = HeadPicker(0, elem_id="live-heads", visible=context.heads)
                idle = gr.Checkbox(True, label="Blinks and gaze", info="For life; they are not taken from the voice.", visible=context.heads)
                nods = gr.Checkbox(True, label="Head movement", info="Made up from how it is said.", elem_id="live-nods", visible=context.heads)
                with gr.Accordion("More", open=False):
                    level = level_choice()

    source.change(
        lambda chosen: (gr.update(visible=chosen != "speech"), gr.update(visible=chosen == "both")),
        source,
        [named, mix],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    sent = dict(
        fn=None,
        inputs=[source, named, mix, intensity, head, idle, nods, level],
        outputs=None,
        js=_SET.replace("STYLE", json.dumps(context.styles[0])),
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    gr.on([control.change for control in (source, named, mix, intensity, head, idle, nods, level)], **sent)
    tab.select(_rest(context), head, player, show_progress="hidden", concurrency_limit=2, api_visibility="private").then(**sent)
    head.change(_rest(context), head, player, show_progress="hidden", concurrency_limit=2, api_visibility="private")
    speaker.change(_fetch(context), speaker, [player, felt, echo], show_progress_on=player, api_visibility="private")
    downloads.connect(context)


def _rest(context: Context) -> Callable:
    """The chosen head at rest, which the live frames move."""

    def rest(head: int, request: gr.Request):
        with plain_errors():
            context.sessions.start(visitor(request), PLAYER)
            return resting(context, head, request)

    return rest


def resting(context: Context, head: int, request: gr.Request) -> dict:
    """The player's value for a face at rest, which stands there until somebody speaks."""
    from ..head import load_head

    path, sound = (context.sessions.result(visitor(request), suffix) for suffix in (".efp", ".wav"))
    look = neck = None
    if context.heads:
        shown = load_head(head)
        template, faces, colors, look, neck = shown.template, shown.faces, shown.colors, head, Neck.of(shown)
    else:
        model = context.engine.pipeline.model
        template, faces, colors = model.template.cpu().numpy(), model.faces.cpu().numpy(), None
    write_pack(
        path, [Track(template[None])], [View("Live", [Panel(0)])], faces=faces, fps=30.0, colors=colors, template=template, look=look, neck=neck
    )
    soundfile.write(sound, np.zeros(1600, np.float32), 16000, subtype="PCM_16")
    return {"animation": path, "audio": str(sound), "autoplay": "off"}


def _fetch(context: Context) -> Callable:
    """The finished take, to be played and exported; until then it was in memory only."""

    def fetch(name: str, request: gr.Request):
        with plain_errors():
            context.sessions.start(visitor(request), PLAYER)
            animation = context.rooms.fetch(name)
            context.sessions.keep(visitor(request), animation)
            shown = animate.show(animation, context.sessions.result(visitor(request), ".efp"), sound=animate.sound_file(context, request, animation))
            return shown, f"{animation.duration:.1f} s, {animation.frame_count} frames.", animate.echo_of(animation)

    return fetch
