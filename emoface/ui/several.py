"""Several recordings at once: one after another with the same settings, a line on each, and all results in one zip."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from ..errors import Cancelled, EmoFaceError
from .context import Context
from .engine import MAX_SECONDS, Stages, plain_errors, short_enough, without_folders
from .sessions import visitor

MOST_FILES = 20


def animate_all(context: Context, *, job: str, suffixes: dict[str, str], options: Callable, keep: Callable) -> Callable:
    """The function of the button: yields (lines on what is done, the visit's history, the zip).

    ``options(*settings)`` gives the pipeline's keywords, ``keep(animation, settings, request)`` remembers a result and gives the new history.
    A recording that cannot be used gets its line and the others go on. Stopped by ``job``; what is done by then is in the history.
    """

    def several(
        files, kind, source, other, named, mix, intensity, level, style, head, idle, nods, reference, request: gr.Request, progress=gr.Progress()
    ):
        settings = source, other, named, mix, intensity, level, style, head, idle, nods, reference
        with plain_errors():
            stages = Stages(progress, context.sessions.start(visitor(request), job, *(files or [])))
            if not files or len(files) > MOST_FILES:
                raise EmoFaceError(f"Choose 1 to {MOST_FILES} recordings, then press Animate all.")
            chosen, suffix, lines = options(*settings), suffixes.get(kind, ".mp4"), []
            packed = context.sessions.named_result(visitor(request), "emoface.zip")
            with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
                for number, file in enumerate(files, 1):
                    part, history = ((number - 1) / len(files), number / len(files)), gr.skip()
                    try:
                        path, history = _one(
                            context,
                            file,
                            Path(folder) / f"{number:02d}-{Path(file).stem}{suffix}",
                            stages,
                            part,
                            chosen,
                            lambda made: keep(made, settings, request),
                        )
                        archive.write(path, path.name)
                        path.unlink()
                        lines.append(f"{Path(file).name}: done")
                    except Cancelled:
                        raise
                    except EmoFaceError as error:
                        lines.append(f"{Path(file).name}: left out. {without_folders(str(error))}")
                    yield "\n".join([*lines, f"{len(files) - number} to go."]), history, gr.skip()
                done = len(archive.namelist())
            yield "\n".join([*lines, f"{done} of {len(files)} done."]), gr.skip(), gr.update(value=str(packed) if done else None, visible=done > 0)

    return several


def _one(context: Context, file: str, target: Path, stages: Stages, part: tuple[float, float], options: dict, keep: Callable) -> tuple[Path, dict]:
    from ..export import save
    from .share import write_page

    short_enough(file, limit=MAX_SECONDS)
    animation = context.engine.run("__call__", file, stages=stages, part=part, **options)
    history = keep(animation)
    write_page(animation, target) if target.suffix == ".html" else save(animation, target, progress=stages.part(*part), cancel=stages.cancelled)
    return target, history
