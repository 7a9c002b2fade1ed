"""Endpoints for programs (``gradio_client``) and tools for agents (MCP), with the same limits and errors as the page."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import gradio as gr
import numpy as np

from ..animation import LEVELS, Animation
from . import plots
from .context import Context
from .engine import CROSS_SECONDS, MAX_SECONDS, Stages, plain_errors, short_enough
from .importance import three_branches
from .inputs import need

FORMATS = ("npz", "glb", "mp4", "csv", "json", "zip", "vrma", "anim", "tres", "a2f.json", "visemes.json", "rhubarb.json", "tsv", "srt")


def build(context: Context) -> None:
    """Invisible components; they give the endpoints their types."""
    with gr.Row(visible=False):
        speech, other = gr.Audio(type="filepath", label="speech"), gr.Audio(type="filepath", label="emotion_speech")
        reference = gr.Audio(type="filepath", label="reference")
        emotion = gr.Dropdown(["speech", *context.emotions], value="speech", label="emotion")
        mix, head = gr.Number(1.0, label="mix"), gr.Number(0, precision=0, label="head")
        level = gr.Dropdown(list(LEVELS), value="normal", label="level")
        style = gr.Dropdown(list(context.styles), value=context.styles[0], label="style")
        idle, head_motion = gr.Checkbox(False, label="idle"), gr.Number(0.0, label="head_motion")
        intensity, curve = gr.Number(1.0, label="intensity"), gr.JSON(label="emotion_curve")
        curve.api_info = lambda: {"type": "array", "items": {}}  # Gradio's own is {"type": {}}, which is no JSON schema
        format_ = gr.Dropdown(list(FORMATS), value="npz", label="format")
        file, files, summary = gr.File(label="file"), gr.File(label="files", file_count="multiple"), gr.JSON(label="summary")
        triggers = [gr.Button(visible=False) for _ in range(3)]
    limits = dict(concurrency_limit=1, concurrency_id="model")
    triggers[0].click(
        _animate(context),
        [speech, emotion, other, mix, level, style, head, idle, format_, reference, intensity, curve, head_motion],
        [file, summary],
        api_name="animate",
        **limits,
    )
    triggers[1].click(_cross(context), [speech, other, level, style, head], [files, summary], api_name="cross_reconstruct", **limits)
    triggers[2].click(_importance(context), [speech, emotion, level, head], [file, summary], api_name="importance", **limits)


def describe(animation: Animation) -> dict:
    """What fits into JSON: settings, length and the recognised emotion."""
    return {
        "settings": animation.settings,
        "seconds": round(animation.duration, 3),
        "frames": animation.frame_count,
        "fps": animation.fps,
        "emotion": animation.emotion,
        "probabilities": dict(zip(animation.emotion_names, np.round(animation.emotion_probabilities, 4).tolist())),
    }


def _stages(context: Context, request: gr.Request, *uploads: str | None) -> Stages:
    """Each call is a visit of its own, which ends after an hour: programs and agents have no page that is closed."""
    request.session_hash = f"call-{uuid.uuid4().hex}"
    return Stages(None, context.sessions.start(request.session_hash, "api", *uploads))


def _save(context: Context, request: gr.Request, animation: Animation, name: str, suffix: str) -> str:
    from ..export import save

    return str(save(animation, context.sessions.named_result(request.session_hash, f"{name}.{suffix}")))


def _animate(context: Context) -> Callable:
    def animate(
        speech: str,
        emotion: str = "speech",
        emotion_speech: str | None = None,
        mix: float = 1.0,
        level: str = "normal",
        style: str | None = None,
        head: int = 0,
        idle: bool = False,
        format: str = "npz",
        reference: str | None = None,
        intensity: float = 1.0,
        emotion_curve: list | None = None,
        head_motion: float = 0.0,
        request: gr.Request = None,
    ):
        """Turn a recording of speech into an animated 3D talking head.

        Args:
            speech: Sound file with speech, any common format, up to 120 seconds. Inside an MCP message (data: URL) up to 3 MB: upload longer ones, or send mp3 or flac.
            emotion: "speech" for the emotion of the voice itself, or neutral, calm, happy, sad, angry, fearful, disgust, surprised.
            emotion_speech: Another sound file whose emotion the face takes; it goes before `emotion`.
            mix: 0 keeps the voice's own emotion, 1 takes the chosen one.
            level: Intensity, "normal" or "strong".
            style: Speaking style (a training speaker).
            head: Which of the 24 heads speaks, 0 to 23.
            idle: Add blinks and eye movement.
            format: npz (vertices, ARKit weights, importance), glb, mp4, csv (ARKit curves), json, zip (OBJ files), vrma (VRM), anim (Unity), tres (Godot), a2f.json (Audio2Face),
                visemes.json (Oculus), rhubarb.json, tsv (Rhubarb) or srt.
            reference: A neutral recording of the person who is the emotion source; the emotion is then measured against that voice's own rest.
            intensity: How much of the expression is shown: 0 the same words without feeling, 1 all of it, up to 1.5.
            emotion_curve: The emotion over time in place of `emotion`: [[seconds, {"happy": 0.7}], ...], straight lines between the keys.
            head_motion: How much the head turns and nods: 0 not at all, 1 as people do, up to 1.5. In npz, glb, mp4, csv, vrma, anim and tres; other formats hold the face alone.

        Returns:
            The file, and a summary: settings, length, and the probabilities of the recognised emotions.
        """
        stages = _stages(context, request, speech, emotion_speech, reference)
        with plain_errors():
            short_enough(need(speech, "Give a sound file as speech."), limit=MAX_SECONDS)
            animation = context.engine.run(
                "__call__",
                speech,
                emotion=emotion_curve or emotion_speech or emotion,
                mix=mix,
                level=level,
                style=style,
                intensity=intensity,
                head=int(head),
                idle=idle,
                head_motion=head_motion,
                reference=reference,
                stages=stages,
            )
            return _save(context, request, animation, "animation", format), describe(animation)

    return animate


def _cross(context: Context) -> Callable:
    def cross_reconstruct(a: str, b: str, level: str = "normal", style: str | None = None, head: int = 0, request: gr.Request = None):
        """Swap the emotions of two recordings: words A and B, each with emotion A and B.

        Args:
            a: First sound file with speech, up to 30 seconds.
            b: Second sound file with speech, up to 30 seconds.
            level: Intensity, "normal" or "strong".
            style: Speaking style (a training speaker).
            head: Which of the 24 heads speaks, 0 to 23.

        Returns:
            Four npz files named words_A_emotion_A ... words_B_emotion_B, and a summary with the distance in millimetres, per part of the
            face, that the emotion makes for the words of A and of B.
        """
        stages = _stages(context, request, a, b)
        with plain_errors():
            for path in (a, b):
                short_enough(need(path, "Give two sound files, a and b."), limit=CROSS_SECONDS)
            rows = context.engine.run("cross_reconstruct", a, b, level=level, style=style, head=int(head), stages=stages)
            files = [_save(context, request, rows[i][j], f"words_{'AB'[i]}_emotion_{'AB'[j]}", "npz") for i in range(2) for j in range(2)]
            bars = plots.column_displacement(rows).data
            return files, {
                "difference_mm": {bar["name"]: dict(zip(bar["y"], bar["x"])) for bar in bars},
                "recordings": {name: describe(row[i]) for i, (name, row) in enumerate(zip("AB", rows))},
            }

    return cross_reconstruct


def _importance(context: Context) -> Callable:
    def importance(speech: str, emotion: str = "speech", level: str = "normal", head: int = 0, request: gr.Request = None):
        """Measure which parts of the face the emotion in a voice moves, and when.

        Args:
            speech: Sound file with speech, up to 30 seconds.
            emotion: "speech" for the emotion of the voice itself, or a named emotion.
            level: Intensity, "normal" or "strong".
            head: Which of the 24 heads speaks, 0 to 23.

        Returns:
            An npz file of the fused animation (with emotion_importance and emotion_effect_mm per vertex and frame), and a summary: movement by
            emotion in millimetres per part of the face, averaged and over time, and the mean distance of the content-only face from the fused one.
        """
        stages = _stages(context, request, speech)
        with plain_errors():
            short_enough(need(speech, "Give a sound file as speech."), limit=CROSS_SECONDS)
            runs = three_branches(context.engine, speech, emotion=emotion, level=level, head=int(head), stages=stages)
            fused = runs["fused"]
            table, bars = plots.region_time(fused, follows="").data[0], plots.region_bars(fused).data[0]
            gap = {
                name: round(float(1e3 * np.linalg.norm(runs[name].vertices - fused.vertices, axis=2).mean()), 3) for name in ("content", "emotion")
            }
            return _save(context, request, fused, "importance", "npz"), {
                **describe(fused),
                "effect_mm": dict(zip(bars["y"], bars["x"])),
                "distance_from_fused_mm": gap,
                "over_time": {"seconds": table["x"], "effect_mm": dict(zip(table["y"], table["z"]))},
            }

    return importance
