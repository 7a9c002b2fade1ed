"""Animations as files that other programs read, and back.

``save`` and ``load`` choose by the suffix; one module per format does the work. Every file appears complete or
not at all.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from ..animation import Animation, use_file_formats
from ..errors import Cancelled, EmoFaceError
from ..reading import one_sentence
from .checks import FILM_FPS, MAX_FPS, MIN_FPS, check_animation, check_rate

FORMATS = {
    ".npz": ("meshes", "save_npz", "everything, for Python"),
    ".npy": ("meshes", "save_npy", "vertices (T, V*3), as FaceFormer's tools read"),
    ".glb": ("glb", "save_glb", "animated glTF with named shapes, for Blender, Unity, three.js"),
    ".mp4": ("video", "save_video", "film with sound, H.264"),
    ".webm": ("video", "save_video", "film with sound, VP9 or AV1"),
    ".mov": ("video", "save_video", "film with sound, ProRes 4444, keeps transparency"),
    ".gif": ("video", "save_video", "silent preview"),
    ".webp": ("video", "save_video", "silent preview"),
    ".png": ("poster", "save_poster", "one picture: the first expressive frame"),
    ".csv": ("arkit", "save_csv", "Live Link Face curves, 60 per second"),
    ".json": ("arkit", "save_json", "ARKit curves"),
    ".a2f.json": ("arkit", "save_audio2face", "ARKit curves as Audio2Face exports them"),
    ".vrma": ("vrma", "save_vrma", "VRM Animation, for VRM 1.0 avatars"),
    ".anim": ("game_engines", "save_anim", "Unity animation clip of the 52 curves"),
    ".tres": ("game_engines", "save_tres", "Godot 4 animation of the 52 curves"),
    ".visemes.json": ("visemes", "save_visemes", "the 15 Oculus visemes: a weight for every frame, and cues"),
    ".rhubarb.json": ("visemes", "save_rhubarb_json", "mouth cues as Rhubarb Lip Sync writes them"),
    ".tsv": ("visemes", "save_rhubarb_tsv", "the same as Rhubarb's TSV"),
    ".srt": ("visemes", "save_srt", "visemes as subtitles"),
    ".zip": ("meshes", "save_zip", "one OBJ, PLY or PNG per frame"),
    ".usd": ("usd", "save_usd", "UsdSkel blend shapes (needs usd-core)"),
    ".usdc": ("usd", "save_usd", "the same, binary"),
    ".usda": ("usd", "save_usd", "the same, text"),
}
"""Suffix -> (module, function, what it is for). Of two suffixes that fit a name, the longer one counts."""
READERS = {
    ".npz": ("meshes", "load_npz"),
    ".npy": ("meshes", "load_npy"),
    ".zip": ("meshes", "load_zip"),
    ".glb": ("glb", "load_glb"),
    ".csv": ("curves", "load_curves"),
    ".json": ("curves", "load_curves"),
    ".usd": ("usd", "load_usd"),
    ".usdc": ("usd", "load_usd"),
    ".usda": ("usd", "load_usd"),
}
"""Suffix -> (module, function) of the files that ``load`` opens."""


def suffix_of(path: str | os.PathLike) -> str:
    """The end of a file's name that decides its format, in lower case: one of ``FORMATS``, or what the name ends in."""
    name = Path(path).name.lower()
    return max((suffix for suffix in FORMATS if name.endswith(suffix) and name != suffix), key=len, default=Path(path).suffix.lower())


def format_table() -> str:
    """All formats that are written, one a line: what the name of the file ends in, and what it is for."""
    return "\n".join(f"  {suffix:<14} {purpose}{'; opens again' if suffix in READERS else ''}" for suffix, (_, _, purpose) in FORMATS.items())


def save(
    animation: Animation,
    path: str | os.PathLike,
    *,
    progress: Callable[[str, float], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    **options,
) -> Path:
    """Writes an animation in the format of the path's suffix, one of ``FORMATS``; returns the path.

    ``options`` go to the format's own function, e.g. ``camera``, ``size``, ``heat`` for films, ``fps`` for CSV,
    ``mesh`` for zip, ``basis`` for GLB and USD, ``target`` and ``bone`` for Unity and Godot, ``shapes`` for VRM. ``progress(stage, fraction)`` reports work; if ``cancel()`` is true,
    Cancelled is raised. Raises EmoFaceError for other suffixes, unknown options and folders that do not exist.
    """
    path = Path(path)
    if suffix_of(path) not in FORMATS:
        raise EmoFaceError(f"{path.name} has a suffix that cannot be written; use one of {' '.join(FORMATS)}.")
    if not path.absolute().parent.is_dir():
        raise EmoFaceError(f"The folder {path.parent} does not exist; create it first.")
    if path.is_dir():
        raise EmoFaceError(f"{path} is a folder; give the name of a file.")
    if cancel is not None and cancel():
        raise Cancelled("Stopped as asked; nothing was written.")
    function, known = check_options(path, options)
    long_work = {"progress": progress, "cancel": cancel} if "progress" in known else {}
    try:
        function(animation, path, **long_work, **options)
    except OSError as error:
        raise EmoFaceError(f"{path} cannot be written: {error.strerror or error}.") from error
    except UnicodeError as error:  # libraries that take names only in UTF-8
        raise EmoFaceError(f"{path} cannot be written: {path.suffix} files need a path that is UTF-8.") from error
    if progress is not None and not long_work:
        progress(f"Wrote {path.name}", 1.0)
    return path


def check_options(path: str | os.PathLike, options: dict) -> tuple[Callable, Mapping[str, inspect.Parameter]]:
    """The function that writes the format of the path's suffix, and its parameters. EmoFaceError for options it does not have."""
    suffix = suffix_of(path)
    module, name, _ = FORMATS[suffix]
    if suffix == ".zip" and options.get("mesh") == "png":
        module, name = "pictures", "save_pictures"
    function = getattr(import_module(f".{module}", __name__), name)
    known = inspect.signature(function).parameters
    if unknown := sorted(set(options) - set(known)):
        possible = sorted(set(known) - {"animation", "animations", "path", "progress", "cancel"})
        raise EmoFaceError(f"{suffix} files have no option {', '.join(unknown)}; they have {', '.join(possible) or 'none'}.")
    if options.get("fps") is not None:
        low, high = FILM_FPS if name == "save_video" else (MIN_FPS, MAX_FPS)
        check_rate(options["fps"], f"of a {suffix}", low=low, high=high)
    return function, known


def load(path: str | os.PathLike, template: str | os.PathLike | None = None, *, fps: float | None = None, head: int = 0) -> Animation:
    """Reads an animation: what EmoFace writes (npz, glb, zip, usd, csv, json), a Live Link Face take, or npy (T, V*3) with a template.

    ``template`` is an OBJ or PLY of the npy's topology. ``fps`` is the rate of an npy, 30 by default, or of curves that do not say it.
    ``head`` is the embedded head that curves (csv, json) move. Raises EmoFaceError for anything else.
    """
    path = Path(path)
    if suffix_of(path) not in READERS:
        raise EmoFaceError(f"{path.name} cannot be opened; give {' '.join(READERS)} of EmoFace, a Live Link Face .csv, or a .npy with a template.")
    if not path.is_file():
        raise EmoFaceError(f"There is no file {path}.")
    module, name = READERS[path.suffix.lower()]
    function = getattr(import_module(f".{module}", __name__), name)
    with one_sentence(path.name, f"a {path.suffix} that EmoFace reads"):
        if name == "load_npy":
            animation = function(path, template, fps=30.0 if fps is None else fps)
        else:
            animation = function(path, head=head, fps=fps) if name == "load_curves" else function(path)
        return check_animation(animation, path.name)


use_file_formats(save=save, load=load)
