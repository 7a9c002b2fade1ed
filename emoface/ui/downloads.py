"""What a visitor may take along of the animation that is shown: a card with a button for each format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from .context import Context
from .engine import Stages, plain_errors
from .inputs import heading
from .sessions import visitor

FILM_SIZES = [("Square, 512", "512x512"), ("Square, 1080", "1080x1080"), ("Wide, 1920 × 1080", "1920x1080"), ("Tall, 1080 × 1920", "1080x1920")]
FORMATS = {
    "MP4 video": ".mp4",
    "Picture": ".png",
    "Web page": ".html",
    "GLB model": ".glb",
    "ARKit CSV": ".csv",
    "NPZ data": ".npz",
    "OBJ frames": ".zip",
}
OTHER_FORMATS = [
    ("VRM animation, .vrma", ".vrma"),
    ("Unity clip, .anim", ".anim"),
    ("Godot animation, .tres", ".tres"),
    ("ARKit curves, .json", ".json"),
    ("Audio2Face curves, .json", ".a2f.json"),
    ("Oculus visemes, .json", ".visemes.json"),
    ("Rhubarb cues, .json", ".rhubarb.json"),
    ("Rhubarb cues, .tsv", ".tsv"),
    ("Visemes as subtitles, .srt", ".srt"),
    ("Vertices, .npy", ".npy"),
    ("WebM video", ".webm"),
    ("GIF preview", ".gif"),
]
"""Those that have no button of their own."""


class Downloads:
    """The card's parts, made where this is made; ``connect`` gives the buttons their work. ``share``: one more button, whose work is the caller's."""

    def __init__(self, what: str, *, elem_id: str, share: str = ""):
        heading("Take it with you", what)
        with gr.Row(elem_classes="ef-downloads"):
            self.buttons = [gr.Button(label, size="sm") for label in FORMATS]
            self.share = gr.Button(share, size="sm", elem_id="share", visible=bool(share))
        with gr.Accordion("For other programs", open=False):
            self.other = gr.Radio(OTHER_FORMATS, value=OTHER_FORMATS[0][1], show_label=False, label="Format", elem_classes="ef-pills")
            self.make = gr.Button("Make this file", size="sm", elem_classes="ef-small")
        self.film = gr.Radio(
            FILM_SIZES,
            value=FILM_SIZES[0][1],
            label="Size of the video and the picture",
            info="Large ones take several times as long to draw.",
            elem_classes="ef-pills",
        )
        self.file = gr.File(label="Your file", visible=False, elem_id=elem_id, interactive=False)

    def connect(self, context: Context, *, first: Callable | None = None, inputs: Sequence[Component] = ()) -> list[Dependency]:
        """``first(*inputs)`` is done before each of them. Returns what *Stop* has to stop."""
        runs = []
        for button, suffix in [*zip(self.buttons, FORMATS.values()), (self.make, "")]:
            job = dict(
                fn=exporter(context, suffix),
                inputs=[self.film, self.other],
                outputs=self.file,
                concurrency_limit=2,
                concurrency_id="export",
                api_visibility="private",
            )
            if first is None:
                runs.append(button.click(**job))
                continue
            finished = button.click(
                first, list(inputs), None, show_progress_on=self.file, concurrency_limit=1, concurrency_id="model", api_visibility="private"
            )
            runs += [finished, finished.success(**job)]
        return runs


def exporter(context: Context, suffix: str = "") -> Callable:
    """What makes the file of a button: of the format ``suffix``, or else of the one chosen among ``OTHER_FORMATS``."""

    def export(film, other_format, request: gr.Request, progress=gr.Progress()):
        from ..export import save
        from .share import write_page

        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), "download"))
            animation, ending = context.sessions.kept(visitor(request)), suffix or other_format
            path = context.sessions.named_result(visitor(request), f"emoface-{animation.emotion}{ending}")
            options = {"size": film_size(film)} if ending in (".mp4", ".png") else {}
            write_page(animation, path) if ending == ".html" else save(animation, path, progress=stages, cancel=stages.cancelled, **options)
            return gr.update(value=str(path), visible=True)

    return export


def film_size(choice: str) -> tuple[int, int]:
    """(width, height) in pixels of one of ``FILM_SIZES``; anything else is the first of them."""
    known = [value for _, value in FILM_SIZES]
    width, height = (choice if choice in known else known[0]).split("x")
    return int(width), int(height)
