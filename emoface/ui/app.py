"""The page: header, tabs, endpoints, and how it is served."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from . import animate, api, cross, importance, live
from .context import Context
from .engine import Engine
from .header import device_name, header
from .hosts import host_check
from .live_socket import live_route
from .player import HERE, LOOK_URL, PLOTLY_3D_URL, script, static_url
from .sessions import visitor
from .share import look_files
from .texts import LANGUAGES, about, language_css, texts_route, translate_script
from .theme import CSS, theme

UPLOAD_LIMIT = "200mb"
SESSION_STATES = 200
"""Gradio's copies of the page's state, a quarter of a megabyte each; nothing here is kept in them."""
# The drawing library comes, and the browser gets ready to draw, while Gradio still loads its own parts; a player finds both done.
EARLY = f"<script>(() => {{ {script()} loadLibrary(served({json.dumps(PLOTLY_3D_URL)})).catch(() => {{}}); setTimeout(drawing); }})();</script>"
# Raters who open the plain address of a study see nothing but the study; its owner adds ?app.
STUDY = """<script>if (!new URLSearchParams(location.search).has('app')) {
  const alone = document.createElement('style');   // Gradio's own css= cannot hold what lies outside its container
  alone.textContent = '.ef-header, .ef-tabs > .tab-wrapper { display: none !important; } .ef-tabs { margin-top: 0 !important; }';
  document.head.append(alone);
}</script>"""
RECORDING = f"<script>{(HERE / 'recording.js').read_text('utf-8')}</script>"


def build_app(
    *,
    model: str | None = None,
    device: str = "auto",
    study: str | Path | None = None,
    opening: bool = True,
    pipeline: Callable[[], Any] | None = None,
) -> gr.Blocks:
    """The whole page as Gradio Blocks.

    Args:
        model: None for the embedded model, a folder, or a Hub id.
        device: auto, cpu or cuda.
        study: folder of a user study made by ``python -m emoface study``; its tab is added.
        opening: show the precomputed examples.
        pipeline: what builds the pipeline, in place of ``EmoFacePipeline.from_pretrained(model, device=device)``.

    A model that cannot be used is replaced by the embedded one, and a notice on the page gives the reason. From now on this program decodes sound in other processes.
    """
    from ..audio import decode_apart
    from ..device import pick_device
    from ..hub import EMBEDDED_MODEL
    from ..loading import load_config, named_emotions
    from .model import choose_model

    decode_apart()
    embedded, notice = True, None
    if pipeline is None:
        folder, build, notice = choose_model(model, device=device)
        embedded = folder.samefile(EMBEDDED_MODEL)
        emotions = named_emotions(folder)
        config = load_config(folder)
        engine = Engine(build)
    else:
        engine = Engine(pipeline)
        config, emotions = engine.pipeline.model.config, engine.pipeline.emotions
    styles = [config.default_style or config.style_names[0]]
    context = Context(
        engine=engine,
        styles=[*styles, *(s for s in config.style_names if s not in styles)],
        heads=config.head == "embedded",
        voice_rest=config.voice_rest,
        opening=opening,
        notice=notice,
        emotions=emotions,
    )

    with gr.Blocks(title="EmoFace: speech to a feeling 3D face", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        licence = "CC BY-NC-SA 4.0" if embedded else "see its model card"
        gr.HTML(header(model=config.name, device=device_name(pick_device(device)), licence=licence, notice=notice))
        with gr.Tabs(elem_classes="ef-tabs", overflow_behavior="wrap", selected="animate" if study is None else "study"):
            with gr.Tab("Animate", id="animate"):
                animate.build(context)
            with gr.Tab("Live", id="live") as tab:
                live.build(context, tab)
            with gr.Tab("Swap", id="cross"):
                cross.build(context)
            with gr.Tab("Explain", id="importance"):
                importance.build(context)
            if study is not None:
                with gr.Tab("Study", id="study"):
                    from .study import build_study

                    build_study(study)
            with gr.Tab("About", id="about"):
                for language in ("en", *LANGUAGES):  # language_css shows the one of the page's language
                    gr.Markdown(about(language), elem_classes=["ef-about", f"ef-in-{language}"])
        api.build(context)
        page.load(_arrive(context), None, None, queue=False, show_progress="hidden", api_visibility="private")
        page.unload(_leave(context))
    page.emoface = context
    return page.queue(max_size=64, default_concurrency_limit=8)


def _arrive(context: Context) -> Callable:
    def arrive(request: gr.Request):
        context.sessions.arrive(visitor(request))

    return arrive


def _leave(context: Context) -> Callable:
    def leave(request: gr.Request):
        context.sessions.end(visitor(request))

    return leave


def launch_options(page: gr.Blocks, *, study: bool = False) -> dict[str, Any]:
    """What belongs to ``launch`` of a page of :func:`build_app` in Gradio 6: looks, limits, the socket of the tab Live and the tools for agents.
    ``study``: raters come to this page."""
    # Gradio's check that the page answers gives up after 3 s, which a busy machine may need: _frontend=False leaves it out.
    return dict(
        _frontend=False,
        theme=theme(),
        css=CSS + language_css(),
        head=EARLY + (_opening() if page.emoface.opening else "") + translate_script() + RECORDING + (STUDY if study else ""),
        max_file_size=UPLOAD_LIMIT,
        state_session_capacity=SESSION_STATES,
        enable_monitoring=False,
        app_kwargs={"middleware": host_check(), "routes": [live_route(page.emoface), texts_route()]},
        mcp_server=find_spec("mcp") is not None,
        root_path=os.environ.get("GRADIO_ROOT_PATH") or None,
    )


def _opening() -> str:
    """The same for the face that the page opens with: else it is asked for only when Gradio has built the page."""
    player = animate.load_opening("animate").get("player")
    if player is None:
        return ""
    pack, sounds = Path(player["animation"]), map(Path, player["audio"].values())
    addresses = [*map(static_url, (pack, *sounds)), *(f"{LOOK_URL}{name}.efl" for name in look_files(pack.read_bytes()))]
    return "".join(f'<link rel="preload" as="fetch" crossorigin href="{address.lstrip("/")}">' for address in addresses)
