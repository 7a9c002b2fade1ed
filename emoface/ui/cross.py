"""Tab *Swap*, the paper's cross-reconstruction: the words of two recordings with the emotion of either, four faces side by side."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr
import numpy as np
import soundfile

from . import plots, scenes, words
from .animate import load_opening, stopper
from .chart import ChartView
from .context import EXAMPLES, Context
from .engine import CROSS_SECONDS, Stages, plain_errors, short_enough
from .heads import HeadPicker
from .inputs import Note, action, level_choice, need, recording, step
from .player import FacePlayer
from .sessions import visitor

PLAYER = "cross"
LEAD = (
    "Two recordings, taken apart and put together again (cross-reconstruction): each row speaks the same words, each column wears the same emotion. "
    "Lips agree along a row, brows and cheeks along a column."
)
HOW = "Use Hear below the faces to switch between the two recordings; the others speak on in silence."


def build(context: Context) -> None:
    """The tab's components and what they do; called inside its ``gr.Tab``."""
    opening = load_opening("cross") if context.opening else {}
    with gr.Row(equal_height=False, elem_classes="ef-layout"):
        with gr.Column(scale=8, min_width=320, elem_classes="ef-result"):
            player = FacePlayer(
                opening.get("player"),
                player_id=PLAYER,
                count=4,
                elem_id="cross-player",
                empty="Give two recordings, then press Swap emotions. Four faces appear here.",
            )
            go, stop, status = action("Swap emotions", elem_id="cross-go", status_id="cross-status")
            gr.HTML(f'<p class="ef-lead">{LEAD}</p>')
            echo = Note(opening.get("echo", HOW), elem_id="cross-echo")
        with gr.Column(scale=4, min_width=320, elem_classes="ef-side"):
            with gr.Column(elem_classes="ef-card"):
                step(1, "Recording A")
                a = recording(context, "Recording A", limit=CROSS_SECONDS, elem_id="cross-a")
            with gr.Column(elem_classes="ef-card"):
                step(2, "Recording B")
                b = recording(context, "Recording B", limit=CROSS_SECONDS, elem_id="cross-b")
                examples = gr.Button("Try a sad and an angry voice", size="sm", elem_id="cross-example")
            with gr.Column(elem_classes="ef-card"):
                step(3, "Face")
                level = level_choice()
                style = gr.Radio(
                    list(context.styles), value=context.styles[0], label="Speaking style", elem_classes="ef-pills", visible=len(context.styles) > 1
                )
                with gr.Accordion("Choose a head", open=False, visible=context.heads):
                    head = HeadPicker(0)
    with gr.Column(elem_classes="ef-wide"):
        plot = ChartView(opening.get("plot"), elem_id="cross-plot")

    job = dict(
        fn=_cross(context),
        inputs=[a, b, level, style, head],
        outputs=[player, plot, status, echo],
        show_progress_on=player,
        concurrency_limit=1,
        concurrency_id="model",
        api_visibility="private",
    )
    paths = tuple(str(EXAMPLES / name) for name in ("sad.wav", "angry.wav"))
    runs = [go.click(**job), examples.click(lambda: paths, None, [a, b], queue=False, show_progress="hidden", api_visibility="private").then(**job)]
    stop.click(stopper(context, PLAYER), None, status, queue=False, cancels=runs, show_progress="hidden", api_visibility="private")


def _cross(context: Context) -> Callable:
    def cross_tab(a, b, level, style, head, request: gr.Request, progress=gr.Progress()):
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), PLAYER, a, b))
            stages("Checking the recordings", 0.0)
            for path, name in ((a, "A"), (b, "B")):
                short_enough(need(path, f"Recording {name} is missing: record or upload it, or click the example."), limit=CROSS_SECONDS)
            rows = context.engine.run("cross_reconstruct", a, b, level=level, style=style, head=head, stages=stages)
            stages("Packing for the browser", 0.85)
            new = lambda suffix: context.sessions.result(visitor(request), suffix)
            shown = show(rows, new(".efp"), [new(".wav"), new(".wav")])
            return (
                shown,
                plots.column_displacement(rows),
                f"Ready after {stages.elapsed:.1f} s: four faces.",
                " ".join([*(words.recognised(row[i], whose=f"Recording {name}") for i, (row, name) in enumerate(zip(rows, "AB"))), HOW]),
            )

    return cross_tab


def show(rows, path, sound_paths) -> dict:
    """Player value: four faces, and both sounds filled up with silence to one length."""
    longest = max(len(row[0].audio) for row in rows)
    sounds = {}
    for row, name, sound in zip(rows, "AB", sound_paths):
        soundfile.write(sound, np.pad(row[0].audio, (0, longest - len(row[0].audio))), row[0].sample_rate)
        sounds[f"Words of {name}"] = str(sound)
    return {"animation": scenes.grid(path, rows), "audio": sounds, "autoplay": "on"}
