"""The rating form as a Gradio component and as a page or tab."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ..export.shading import LIGHTS
from ..study.make import FILE_TIME
from ..study.push import HubCopy
from ..study.session import StudySession, admin_token
from ..study.storage import Storage, default_path
from .component import Component
from .player import HERE, LOOK_URL, PLOTLY_3D_URL, SCRIPTS
from .player import script as player_script
from .scratch import is_private


class StudyForm(Component):
    """The form of one study. Everything it shows comes from `StudySession` through one server function."""

    def __init__(self, session: StudySession, clips: Path, **kwargs: Any) -> None:
        def study_call(data: Any, request: gr.Request) -> dict:
            body = data[0] if isinstance(data, list) and len(data) == 1 else data
            return session(body, client=_client(request))

        super().__init__(
            None,
            html_template=(HERE / "study.html").read_text("utf-8"),
            css_template=(HERE / "study.css").read_text("utf-8"),
            js_on_load=(HERE / "study.js").read_text("utf-8"),
            apply_default_css=False,
            server_functions=[study_call],
            plotly_url=PLOTLY_3D_URL,
            look_url=LOOK_URL,
            light=LIGHTS.tolist(),
            clips_url=f"/gradio_api/file={clips.as_posix()}",
            **kwargs,
        )

    def get_block_name(self) -> str:
        return "html"

    def api_info(self) -> dict[str, Any]:
        return {"type": "null"}


def build_study(folder: str | Path, *, database: str | Path | None = None, token: str | None = None, dataset: str | None = None) -> gr.Blocks:
    """The study in ``folder`` as a page; inside another ``gr.Blocks`` it becomes part of that page.

    ``database`` is where answers are stored (default: `storage.default_path`), ``token`` opens the export (default:
    the environment's EMOFACE_STUDY_TOKEN), ``dataset`` is a private Hub dataset that gets copies of the answers
    (default: EMOFACE_STUDY_DATASET). Errors: `EmoFaceError` if the folder is no complete study.
    """
    folder = Path(folder)
    storage = Storage(database or default_path(folder))
    session = StudySession(folder, storage, token=token or admin_token())
    dataset = dataset or os.environ.get("EMOFACE_STUDY_DATASET")
    with gr.Blocks(title="Study", analytics_enabled=False) as page:
        StudyForm(session, _public_clips(folder), elem_classes="study-form", scale=1)
    page.study_session = session
    page.study_storage = storage
    page.study_copy = HubCopy(storage, dataset, folder=storage.path.parent / "hub-copy") if dataset else None
    return page


def _public_clips(folder: Path) -> Path:
    """The clips in a folder of their own, whose name holds no information and beside which there is nothing else to fetch."""
    scratch = Path(get_upload_folder())
    public = Path(tempfile.mkdtemp(prefix="clips-", dir=scratch if is_private(scratch) else None))
    atexit.register(shutil.rmtree, public, ignore_errors=True)
    for clip in (folder / "clips").iterdir():
        if clip.suffix in (".mp4", ".efp", ".wav"):
            shutil.copy(clip, public / clip.name)
            os.utime(public / clip.name, (FILE_TIME, FILE_TIME))
    (public / "player.js").write_text(player_script(*SCRIPTS), encoding="utf-8")
    for name in ("player.html", "player.css"):
        shutil.copy(HERE / name, public / name)
    gr.set_static_paths([public])
    return public


def _client(request: gr.Request) -> str:
    """Tells senders apart for the rate limits; never stored.

    The address that a sender claims (``X-Forwarded-For``) is ignored: the web server puts a forwarded address here only when it comes
    from a proxy that ``FORWARDED_ALLOW_IPS`` names (:func:`emoface.ui.hosts.trust_proxies`).
    """
    return request.client.host if request.client else "unknown"
