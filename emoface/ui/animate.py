"""Tab *Animate*: speech, an emotion source, a head; out comes a talking face."""

from __future__ import annotations

import json
import math
from typing import Callable

import gradio as gr
import soundfile

from ..animation import LEVELS, Animation
from ..head import HEAD_COUNT
from . import plots, scenes
from .chart import Chart, ChartView
from .context import EXAMPLES, SPEECH_EXAMPLES, Context
from .engine import MAX_SECONDS, Stages, plain_errors, short_enough
from .heads import NAMES, HeadPicker
from .inputs import LEVEL_CHOICES, Note, action, emotion_choice, emotion_default, example_buttons, need, recording, step
from .player import FacePlayer
from .sessions import visitor

SOURCES = [("From this speech", "speech"), ("From another recording", "other"), ("A named emotion", "named")]
FORMATS = {"MP4 video": ".mp4", "GLB model": ".glb", "ARKit CSV": ".csv", "NPZ data": ".npz", "OBJ frames": ".zip"}
PLAYER = "animate"
# Runs in the browser: the address of this page with the settings, into the clipboard.
_SHARE = """(source, named, mix, level, style, head, idle) => {
  const settings = new URLSearchParams({ source: source === 'other' ? 'speech' : source, emotion: named, mix, level, style, head: head || 0, idle });
  const link = location.origin + location.pathname + '?' + settings;
  const done = text => { document.querySelector('#share').textContent = text; };
  navigator.clipboard ? navigator.clipboard.writeText(link).then(() => done('Link copied'), () => prompt('Link', link)) : prompt('Link', link);
}"""


def build(context: Context) -> None:
    with gr.Row(equal_height=False, elem_classes="ef-layout"):
        with gr.Column(scale=5, min_width=320, elem_classes="ef-side"):
            with gr.Column(elem_classes="ef-card ef-speech"):
                step(1, "Speech")
                speech = recording(context, "Speech to animate", elem_id="speech")
                gr.HTML('<p class="ef-hint">No recording at hand? One click animates:</p>')
                examples = example_buttons()
            with gr.Column(elem_classes="ef-card"):
                step(2, "Emotion")
                source = gr.Radio(SOURCES, value="speech", label="Where the emotion comes from", elem_classes="ef-pills", elem_id="source")
                with gr.Column(visible=False) as other_box:
                    other = recording(context, "Recording whose emotion to take", elem_id="other")
                named = emotion_choice(context, "happy", elem_id="named")
                mix = gr.Slider(0, 1, value=1, step=0.05, label="Mix", info="0: the voice's own emotion · 1: the chosen one", visible=False)
                level = gr.Radio(LEVEL_CHOICES, value="normal", label="Intensity", elem_classes="ef-pills", elem_id="level")
            with gr.Column(elem_classes="ef-card"):
                step(3, "Face")
                head = HeadPicker(0, elem_id="heads", visible=context.heads)
                with gr.Row():
                    style = gr.Dropdown(list(context.styles), value=context.styles[0], label="Speaking style", min_width=150)
                    idle = gr.Checkbox(True, label="Blinks and gaze", info="not taken from the sound", min_width=150, visible=context.heads)
            go, stop, status = action("Animate", elem_id="animate", stop_id="stop", status_id="status")
        with gr.Column(scale=7, min_width=320, elem_classes="ef-result"):
            opening = load_opening("animate") if context.opening else {}
            player = FacePlayer(opening.get("player"), player_id=PLAYER, elem_id="player",
                                empty="Record or upload speech, then press Animate. The face appears here.")
            echo = Note(opening.get("echo", ""), elem_id="echo")
            with gr.Row(equal_height=False, elem_classes="ef-two"):
                with gr.Column(scale=2, min_width=240):
                    bars = ChartView(opening.get("bars"), elem_id="emotion-bars")
                with gr.Column(scale=3, min_width=300):
                    timeline = ChartView(opening.get("timeline"), elem_id="emotion-timeline")
            with gr.Column(elem_classes="ef-card"):
                gr.HTML('<h2 class="ef-step">Take it with you <span>your latest animation, in the format you need</span></h2>')
                with gr.Row(elem_classes="ef-downloads"):
                    formats = [gr.Button(label, size="sm") for label in FORMATS]
                file = gr.File(label="Your file", visible=False, elem_id="download", interactive=False)
                share = gr.Button("Copy a link to these settings", size="sm", elem_id="share")

    source.change(_shown_for, source, [other_box, named, mix], queue=False, show_progress="hidden", api_visibility="private")
    job = dict(fn=_animate(context), inputs=[speech, source, other, named, mix, level, style, head, idle],
               outputs=[player, bars, timeline, echo, status], show_progress_on=status, concurrency_limit=1, concurrency_id="model",
               api_visibility="private")
    runs = [go.click(**job)]
    for button, example in zip(examples, SPEECH_EXAMPLES):
        chosen = button.click(lambda path=example.path: path, None, speech, queue=False, show_progress="hidden", api_visibility="private")
        runs.append(chosen.then(**job))
    stop.click(stopper(context, PLAYER), None, status, queue=False, cancels=runs, show_progress="hidden", api_visibility="private")
    for button, suffix in zip(formats, FORMATS.values()):
        button.click(_export(context, suffix), None, file, concurrency_limit=2, concurrency_id="export", api_visibility="private")
    settings = [source, named, mix, level, style, head, idle]
    share.click(None, settings, None, js=_SHARE, api_visibility="private")
    gr.context.Context.root_block.load(_restore(context), None, [*settings, other_box], queue=False, show_progress="hidden", api_visibility="private")


def _shown_for(source: str) -> tuple[dict, dict, dict]:
    return gr.update(visible=source == "other"), gr.update(visible=source == "named"), gr.update(visible=source != "speech")


def emotion_argument(source: str, other: str | None, named: str | None) -> str:
    """The pipeline's ``emotion`` for what the visitor chose."""
    if source == "other":
        return need(other, "Record or upload the recording whose emotion the face should take, or choose another source.")
    return named or "neutral" if source == "named" else "speech"


def _animate(context: Context) -> Callable:
    def animate_tab(speech, source, other, named, mix, level, style, head, idle, request: gr.Request, progress=gr.Progress()):
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), PLAYER, speech, other))
            stages("Checking the recording", 0.0)
            short_enough(need(speech), limit=MAX_SECONDS)
            emotion = emotion_argument(source, other, named)
            animation = context.engine.run("__call__", speech, emotion=emotion, mix=mix, level=level, style=style, head=head, idle=idle, stages=stages)
            context.sessions.keep(visitor(request), animation)
            stages("Packing for the browser", 0.9)
            shown = show(animation, context.sessions.result(visitor(request), ".efp"), sound=sound_file(context, request, animation))
            return shown, plots.emotion_bars(animation), plots.emotion_timeline(animation, follows=PLAYER), echo_of(animation), \
                f"Ready after {stages.elapsed:.1f} s: {animation.duration:.1f} s of speech, {animation.frame_count} frames."

    return animate_tab


def sound_file(context: Context, request: gr.Request, animation: Animation) -> str:
    """The animation's own sound as WAV: what the browser plays is what the model heard, whatever was uploaded."""
    path = context.sessions.result(visitor(request), ".wav")
    soundfile.write(path, animation.audio, animation.sample_rate, subtype="PCM_16")
    return str(path)


def show(animation: Animation, path, *, sound: str) -> dict:
    return {"animation": scenes.single(path, animation), "audio": sound, "autoplay": "on"}


def echo_of(animation: Animation) -> str:
    """The settings that made this animation, in words."""
    settings = animation.settings
    emotion = settings.get("emotion", "speech")
    words = "emotion from this speech" if emotion == "speech" else f"emotion: {emotion}, mix {100 * settings.get('mix', 1):.0f} %"
    parts = [words, f"{settings.get('level', 'normal')} intensity", f"style {settings.get('style')}", NAMES[settings.get("head", 0)].lower(),
             "with blinks and gaze" if settings.get("idle") else "no blinks", f"model {settings.get('model')}"]
    return " ".join(["Made with " + " · ".join(parts) + ".", *settings.get("notes", [])])


def stopper(context: Context, job: str) -> Callable:
    def stop(request: gr.Request):
        with plain_errors():
            context.sessions.stop(visitor(request), job)
        return "Stopped."

    return stop


def _export(context: Context, suffix: str) -> Callable:
    def export(request: gr.Request, progress=gr.Progress()):
        from ..export import save

        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), "download"))
            animation = context.sessions.kept(visitor(request))
            path = context.sessions.named_result(visitor(request), f"emoface-{animation.emotion}{suffix}")
            save(animation, path, progress=stages, cancel=stages.cancelled)
            return gr.update(value=str(path), visible=True)

    return export


SHARED = {"source", "emotion", "mix", "level", "style", "head", "idle"}
"""Settings that a link holds."""


def _restore(context: Context) -> Callable:
    """Settings from the address of the page; what is not among the choices is ignored."""

    def one_of(value, allowed, default):
        return value if value in allowed else default

    def restore(request: gr.Request):
        given = dict(request.query_params)
        if not SHARED.intersection(given):  # a plain visit: this answer may come after the visitor's first click
            return (gr.skip(),) * 8
        source = one_of(given.get("source"), ("speech", "named"), "speech")
        try:
            mix, head = min(max(float(given.get("mix", 1)), 0.0), 1.0), int(given.get("head", 0))
            if not math.isfinite(mix):
                raise ValueError("not a number")
        except ValueError:
            mix, head = 1.0, 0
        return (source, gr.update(value=one_of(given.get("emotion"), context.emotions, emotion_default(context, "happy")), visible=source == "named"),
                gr.update(value=mix, visible=source != "speech"), one_of(given.get("level"), LEVELS, "normal"),
                one_of(given.get("style"), context.styles, context.styles[0]), head if 0 <= head < HEAD_COUNT and context.heads else 0,
                given.get("idle", "true") != "false", gr.update(visible=False))

    return restore


def load_opening(name: str) -> dict:
    """What a tab shows when the page opens, made by ``train/tools/build_examples.py``; empty where that has not run."""
    description = EXAMPLES / f"{name}.json"
    if not description.exists():
        return {}
    saved = json.loads(description.read_text("utf-8"))
    sounds = {label: str(EXAMPLES / file) for label, file in saved["sounds"].items()}
    player = {"animation": str(EXAMPLES / f"{name}.efp"), "audio": sounds, "autoplay": saved["autoplay"]}
    return {"player": player, "echo": saved["echo"], **{key: Chart(**chart) for key, chart in saved["charts"].items()}}
