"""Tab *Explain*, the paper's region importance: where, when and for which emotion the face moves."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from . import plots, scenes
from .animate import emotion_argument, feeling_shown, load_opening, sound_file, stopper
from .chart import ChartView
from .context import SPEECH_EXAMPLES, Context
from .engine import CROSS_SECONDS, Engine, Stages, plain_errors, short_enough
from .heads import HeadPicker
from .inputs import Note, action, emotion_choice, example_buttons, level_choice, need, recording, step
from .player import FacePlayer
from .sessions import visitor

PLAYER = "importance"
LEAD = (
    "For every point of the face and every moment, the model decides how much to listen to the emotion in the voice and how much to the words. "
    "Left: that decision, from 0, words only, to 1, emotion only. Right: how far the emotion moves each point. Grey points hardly move. "
    "The view Branches shows what either would do alone."
)


def build(context: Context) -> None:
    """The tab's components and what they do; called inside its ``gr.Tab``."""
    opening = load_opening("importance") if context.opening else {}
    with gr.Row(equal_height=False, elem_classes="ef-layout"):
        with gr.Column(scale=8, min_width=320, elem_classes="ef-result"):
            player = FacePlayer(
                opening.get("player"),
                player_id=PLAYER,
                count=2,
                elem_id="importance-player",
                empty="Record or upload speech, then press Show what matters.",
            )
            go, stop, status = action("Show what matters", elem_id="importance-go", status_id="importance-status")
            gr.HTML(f'<p class="ef-lead">{LEAD}</p>')
            felt = Note(opening.get("felt", ""), elem_id="importance-felt")
        with gr.Column(scale=4, min_width=320, elem_classes="ef-side"):
            with gr.Column(elem_classes="ef-card"):
                step(1, "Speech")
                speech = recording(context, "Speech to explain", limit=CROSS_SECONDS, elem_id="importance-speech")
                examples = example_buttons()
            with gr.Column(elem_classes="ef-card"):
                step(2, "Emotion")
                source = gr.Radio(
                    [("From this speech", "speech"), ("A named emotion", "named")],
                    value="speech",
                    label="Where the emotion comes from",
                    elem_classes="ef-pills",
                )
                named = emotion_choice(context, "angry")
                level = level_choice()
                with gr.Accordion("Choose a head", open=False, visible=context.heads):
                    head = HeadPicker(0)
    with gr.Column(elem_classes="ef-wide"):
        timeline = ChartView(opening.get("timeline"), elem_id="region-time")
    with gr.Row(equal_height=False, elem_classes="ef-two"):
        with gr.Column(min_width=320):
            bars = ChartView(opening.get("bars"), elem_id="region-bars")
        with gr.Column(min_width=320, visible=len(context.emotions) > 1, elem_classes="ef-card"):
            compare = gr.Button("Compare all emotions on this speech", elem_id="compare", size="sm", elem_classes="ef-small")
            compared = Note(opening.get("compared", ""), elem_id="compared")
            comparison = ChartView(opening.get("comparison") or plots.no_comparison(), elem_id="comparison")

    source.change(lambda s: gr.update(visible=s == "named"), source, named, queue=False, show_progress="hidden", api_visibility="private")
    common = dict(show_progress_on=player, concurrency_limit=1, concurrency_id="model", api_visibility="private")
    job = dict(fn=_importance(context), inputs=[speech, source, named, level, head], outputs=[player, timeline, bars, status, felt], **common)
    runs = [go.click(**job)]
    for button, example in zip(examples, SPEECH_EXAMPLES):
        chosen = button.click(lambda path=example.path: path, None, speech, queue=False, show_progress="hidden", api_visibility="private")
        runs.append(chosen.then(**job))
    # Its progress stands in the chart's own place, which is there without a comparison too.
    runs.append(compare.click(_compare(context), [speech, level], [comparison, compared], **{**common, "show_progress_on": comparison}))
    # A comparison of another recording, or of another level, must not stand beside this one.
    gr.on(
        [speech.change, level.change],
        lambda: (plots.no_comparison(), ""),
        None,
        [comparison, compared],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    stop.click(stopper(context, PLAYER), None, status, queue=False, cancels=runs, show_progress="hidden", api_visibility="private")


def three_branches(engine: Engine, speech, *, stages: Stages, **options) -> dict:
    """The same speech through each branch alone and fused, in one pass: name -> Animation."""
    return engine.run("branches", speech, stages=stages, **options)


def _importance(context: Context) -> Callable:
    def importance_tab(speech, source, named, level, head, request: gr.Request, progress=gr.Progress()):
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), PLAYER, speech))
            stages("Checking the recording", 0.0)
            speech = need(speech or (SPEECH_EXAMPLES[1].path if context.opening else None))  # the face that the tab opens with
            short_enough(speech, limit=CROSS_SECONDS)
            runs = three_branches(context.engine, speech, emotion=emotion_argument(source, None, named), level=level, head=head, stages=stages)
            stages("Packing for the browser", 0.85)
            path = scenes.branches(context.sessions.result(visitor(request), ".efp"), **runs)
            shown = {"animation": path, "audio": sound_file(context, request, runs["fused"]), "autoplay": "on"}
            fused = runs["fused"]
            return (
                shown,
                plots.region_time(fused, follows=PLAYER),
                plots.region_bars(fused),
                f"Ready after {stages.elapsed:.1f} s.",
                feeling_shown(fused)[0],
            )

    return importance_tab


def _compare(context: Context) -> Callable:
    def compare(speech, level, request: gr.Request, progress=gr.Progress()):
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), PLAYER, speech))
            stages("Checking the recording", 0.0)
            speech = need(speech or (SPEECH_EXAMPLES[1].path if context.opening else None))  # the face that the tab opens with
            short_enough(speech, limit=CROSS_SECONDS)
            runs = context.engine.run("batch", [(speech, name) for name in context.emotions], level=level, stages=stages)
            return plots.emotion_comparison(dict(zip(context.emotions, runs))), f"Compared on {runs[0].settings['speech']}, {level} level."

    return compare
