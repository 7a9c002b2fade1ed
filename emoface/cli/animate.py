"""``emoface animate``: speech to a moving head."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..curve import read_curve
from ..errors import EmoFaceError
from ..export import FORMATS, check_options, suffix_of
from ..head_motion import MOST, check_amount
from .common import Progress, add_clip_options, add_film_options, add_model_options, check_output, plays_sound


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "animate",
        description="Animate a head from a recording.",
        epilog="The emotion of happy.wav on the words of speech.wav:  python -m emoface animate speech.wav -o face.mp4 --emotion happy.wav",
    )
    add = parser.add_argument
    add("speech", metavar="SPEECH", help="recording: wav, mp3, flac, ogg, opus, m4a, webm, ...")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="its suffix decides the format (the command formats lists them)")
    add("--emotion", default="speech", metavar="speech|NAME|FILE", help="the voice's own, a name, or another recording")
    add("--emotion-curve", type=Path, metavar="FILE", help='the emotion over time, JSON: [[0, {"happy": 1}], [2, {"sad": 0.5}]] (seconds, weights)')
    add("--intensity", type=float, default=1.0, help="how much of the expression is shown: 0 none, 1 all (default), up to 1.5")
    add("--reference", metavar="FILE", help="a neutral recording of the person who is the emotion source: their own rest")
    add("--mix", type=float, default=1.0, help="0: the speech's own emotion ... 1: the chosen one (default)")
    add("--level", default="normal", choices=("normal", "strong"))
    add("--style", metavar="NAME", help="speaking style; the info command lists them")
    add("--head", type=int, default=0, metavar="N", help="0 (average) to 23")
    add("--branch", default="fused", choices=("fused", "content", "emotion"), help="show one branch alone")
    add("--idle", action=argparse.BooleanOptionalAction, help="blinks and small eye movements (default: in films)")
    add(
        "--head-motion",
        type=float,
        metavar="AMOUNT",
        help=f"how much the head turns and nods: 0 not at all, 1 as people do, up to {MOST:g} (default: 1 in films, else 0)",
    )
    add("--max-seconds", type=float, metavar="S", help="longest recording accepted (default 120)")
    add("--with-audio", action="store_true", help="keep the sound in the .npz, for films made from it (films always have it)")
    add_film_options(parser)
    add_clip_options(parser)
    add("--fps", type=float, metavar="N", help="frames per second of a film or of pictures (default: the model's), or of a .csv (default: 60)")
    add("--quiet", action="store_true", help="no progress on stderr")
    add_model_options(parser)
    parser.set_defaults(run=_animate)


def _animate(arguments: argparse.Namespace) -> None:
    check_output(arguments.output, arguments.speech, arguments.emotion, arguments.reference)
    options = {}
    if arguments.with_audio and not plays_sound(arguments.output):
        if arguments.output.suffix.lower() != ".npz":
            raise EmoFaceError(f"{arguments.output.suffix} files hold no sound: write an .npz or a film, or leave --with-audio out.")
        options["audio"] = True
    chosen = {
        "size": arguments.size,
        "camera": arguments.camera,
        "background": arguments.background,
        "heat": arguments.heat,
        "captions": arguments.caption,
        "codec": arguments.codec,
        "mesh": arguments.mesh,
        "fps": arguments.fps,
        "target": arguments.target,
        "bone": arguments.bone,
        "shapes": arguments.shapes,
    }
    options |= {name: value for name, value in chosen.items() if value is not None}
    check_options(arguments.output, options)
    if plays_sound(arguments.output) and Path(arguments.speech).is_file():
        options["sound_file"] = arguments.speech
    curve = None
    if arguments.emotion_curve is not None:
        if arguments.emotion != "speech":
            raise EmoFaceError("Give either --emotion or --emotion-curve: the curve says which emotion is shown when.")
        curve = read_curve(arguments.emotion_curve)
    # Films are looked at, so their face lives; everything else is measured or worked on, and holds the speech alone.
    film = FORMATS[suffix_of(arguments.output)][1] == "save_video" or arguments.mesh == "png"
    idle = film if arguments.idle is None else arguments.idle
    amount = float(film) if arguments.head_motion is None else arguments.head_motion
    check_amount(amount)
    report = Progress(quiet=arguments.quiet)
    report("Reading the recording", 0.0)
    # All that can be wrong with the input is found before the seconds that loading a model takes.
    speech, emotion, reference = read_sounds(arguments.speech, arguments.emotion, arguments.reference, max_seconds=arguments.max_seconds)

    report("Loading the model", 0.0)
    from ..pipeline import EmoFacePipeline

    pipe = EmoFacePipeline.from_pretrained(arguments.model, revision=arguments.revision, device=arguments.device, max_seconds=arguments.max_seconds)
    animation = pipe(
        speech,
        emotion=emotion if curve is None else curve,
        intensity=arguments.intensity,
        reference=reference,
        mix=arguments.mix,
        level=arguments.level,
        style=arguments.style,
        head=arguments.head,
        output=arguments.branch,
        idle=idle,
        head_motion=amount,
        progress=report,
    )
    report(f"Writing {arguments.output.name}", 0.0)
    animation.save(arguments.output, **options)
    report.close()
    for note in animation.settings["notes"]:
        print(note, file=sys.stderr)
    heard = f"{animation.emotion} ({animation.emotion_probabilities.max():.0%})"
    print(f"{arguments.output}: {animation.frame_count} frames, {animation.duration:.2f} s, sounds {heard}")


def read_sounds(speech: str, emotion: str, reference: str | None, *, max_seconds: float | None):
    """The speech as Audio, the emotion as Audio, or as given if it is a name, and the reference as Audio or None.

    A file called like an emotion is reached by its path: ``./happy``.
    """
    from ..audio import load_audio, longest_seconds

    limit = longest_seconds(max_seconds)
    audio = load_audio(speech, max_seconds=limit)
    is_file = os.sep in emotion or Path(emotion).suffix
    neutral = None if reference is None else load_audio(reference, max_seconds=limit)
    return audio, load_audio(emotion, max_seconds=limit) if is_file else emotion, neutral
