"""``python -m emoface view | render``: animation files on the screen, and as films or other files."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from ..errors import EmoFaceError
from .common import Progress, add_clip_options, add_film_options, check_output, plays_sound

_EPILOG = (
    "FILE is what EmoFace writes (.npz .glb .zip .usd .csv .json), a Live Link Face take (.csv), or a .npy (frames, vertices * 3) of any topology with --template "
    "MESH.obj or MESH.ply, e.g. the result of another method on FLAME."
)


def add_parser(subparsers) -> None:
    """view and render."""
    view = subparsers.add_parser("view", epilog=_EPILOG, description="Play animation files in the browser, up to four side by side.")
    _add_source(view)
    view.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be reachable from other machines")
    view.add_argument("--port", type=int, help="default: the first free one from 7860")
    view.add_argument("--no-browser", action="store_true", help="only print the address")
    view.set_defaults(run=_view)

    render = subparsers.add_parser("render", epilog=_EPILOG, description="Film animation files, several side by side, or convert one.")
    _add_source(render)
    add = render.add_argument
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="its suffix decides the format: .mp4 .webm .gif .webp are films; .glb .csv .zip ... convert a single FILE",
    )
    add_film_options(render)
    add_clip_options(render)
    add("--basis", choices=("auto", "arkit", "pca"), help="shapes of .glb and .usd")
    add(
        "--output-fps",
        "--curve-fps",
        dest="curve_fps",
        type=float,
        metavar="N",
        help="frames per second of a film or of pictures (default: the animation's), or of a .csv (default: 60)",
    )
    add(
        "--detail",
        choices=("coarse", "fine"),
        help="the network's own vertices, or the head as it is shown, with hair (default: fine in films, coarse in .glb and .zip)",
    )
    add("--quiet", action="store_true", help="no progress on stderr")
    render.set_defaults(run=_render)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="animation file")
    parser.add_argument("--template", type=Path, metavar="MESH", help="OBJ or PLY with the topology of .npy files")
    parser.add_argument("--fps", type=float, help="frames per second of .npy files (default: 30), or of a .csv")
    parser.add_argument("--head", type=int, default=0, metavar="N", help="head that the curves of a .csv or .json move: 0 (average) to 23")
    parser.add_argument("--audio", metavar="FILE", help="the speech to play with it")


def read_animations(arguments: argparse.Namespace) -> list:
    """The animations of the files on the command line, the first with the sound of ``--audio``."""
    from ..export import load

    if arguments.fps is not None and not any(path.suffix.lower() in (".npy", ".csv") for path in arguments.files):
        raise EmoFaceError(f"{arguments.files[0].suffix} files say their own rate; --fps is for .npy and .csv.")
    animations = [
        load(path, arguments.template if path.suffix.lower() == ".npy" else None, fps=arguments.fps, head=arguments.head) for path in arguments.files
    ]
    for path, animation in zip(arguments.files, animations):
        for note in animation.settings.get("notes", []) if path.suffix.lower() == ".npy" else []:
            print(note, file=sys.stderr)
    if arguments.audio:
        from ..audio import load_audio, longest_seconds

        audio = load_audio(arguments.audio, max_seconds=longest_seconds())
        for note in audio.notes:
            print(note, file=sys.stderr)
        animations[0] = animations[0].with_audio(audio.samples, audio.sample_rate)
    return animations


def _view(arguments: argparse.Namespace) -> None:
    animations = read_animations(arguments)
    try:
        from ..ui.theme import CSS, theme
    except ImportError as error:
        raise EmoFaceError(f'The player needs the package {error.name}: pip install "emoface[app]", or in a checkout -r requirements.txt.') from None
    from ..ui.viewer import build_viewer

    with tempfile.TemporaryDirectory(prefix="emoface-view-") as folder:
        page = build_viewer(animations, [path.name for path in arguments.files], Path(folder))
        _, address, _ = page.launch(
            server_name=arguments.host,
            server_port=arguments.port,
            theme=theme(),
            css=CSS,
            allowed_paths=[folder],
            inbrowser=not arguments.no_browser,
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f"Playing {', '.join(path.name for path in arguments.files)} at {address} (Ctrl-C ends it)", flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
        finally:
            page.close(verbose=False)


def _render(arguments: argparse.Namespace) -> None:
    from ..audio.source import printable
    from ..export import FORMATS, check_options, save, suffix_of
    from ..export.video import save_video

    check_output(arguments.output, *arguments.files, arguments.template, arguments.audio)
    is_film = FORMATS[suffix_of(arguments.output)][1] == "save_video"
    if len(arguments.files) > 1 and not is_film:
        raise EmoFaceError(f"Only films show several animations; give one FILE for {arguments.output.suffix}.")
    report = Progress(quiet=arguments.quiet)
    report("Reading", 0.0)
    animations = read_animations(arguments)
    options = {
        name: getattr(arguments, name) for name in ("size", "camera", "background", "codec", "basis", "mesh", "detail", "target", "bone", "shapes")
    }
    options["fps"] = arguments.curve_fps
    options = {name: value for name, value in options.items() if value is not None}
    if arguments.audio and plays_sound(arguments.output):
        options["sound_file"] = arguments.audio
    if is_film and len(animations) > 1:
        captions = arguments.caption or [printable(path.stem) for path in arguments.files]
        heat = [arguments.heat if animation.emotion_effect_mm.shape[1] else None for animation in animations]
        check_options(arguments.output, options)
        save_video(animations, arguments.output, captions=captions, heat=heat, progress=report, **options)
    else:
        options |= {} if arguments.heat is None else {"heat": arguments.heat}
        options |= {} if arguments.caption is None else {"captions": arguments.caption}
        save(animations[0], arguments.output, progress=report, **options)
    report.close()
    if plays_sound(arguments.output) and all(animation.audio is None for animation in animations):
        print(
            f"The film has no sound, because {' and '.join(path.name for path in arguments.files)} holds none: give it with --audio FILE, "
            "or make the .npz with --with-audio.",
            file=sys.stderr,
        )
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: {animations[0].frame_count} frames, {max(animation.duration for animation in animations):.2f} s, {size / 1e6:.2f} MB")
