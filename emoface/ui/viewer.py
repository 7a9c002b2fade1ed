"""A page that plays animation files in the app's player; needs gradio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..export.topology import find_neck, look_of

PLAYER_LIMIT = 4
SILENCE_RATE = 16000


def build_viewer(animations: Sequence[Animation], captions: Sequence[str], folder: Path):
    """A gr.Blocks with the animations side by side, in step with the sound of the first that has one.

    Animations of one head (or, of meshes that are not ours, of one topology) share a player; others get their own, which plays, stops and seeks with the others. ``folder`` receives the player's files and must stay as
    long as the page does. Raises EmoFaceError for more than four animations.
    """
    import gradio as gr

    from .player import FacePlayer

    if not 1 <= len(animations) <= PLAYER_LIMIT:
        raise EmoFaceError(f"The player shows 1 to {PLAYER_LIMIT} animations at once, not {len(animations)}.")
    speaking = next((index for index, animation in enumerate(animations) if animation.audio is not None), None)
    animations = [animation if index == speaking else replace(animation, audio=None) for index, animation in enumerate(animations)]
    with gr.Blocks(title="EmoFace: " + ", ".join(captions), analytics_enabled=False) as page:
        with gr.Row():
            for number, group in enumerate(_by_head(animations)):
                value = write_scene(
                    [animations[index] for index in group],
                    [captions[index] for index in group],
                    Path(folder) / f"scene{number}",
                    seconds=max(animation.duration for animation in animations),
                )
                FacePlayer(value, player_id=f"view-{number}", elem_id=f"view-{number}", group="view")
    return page


def write_scene(animations: Sequence[Animation], captions: Sequence[str], stem: Path, *, seconds: float = 0.0) -> dict:
    """Writes what ``FacePlayer`` shows for animations of one head, for at least ``seconds``; returns its value."""
    import soundfile

    from ..export.pack import Panel, Track, View, write_pack
    from . import scenes

    first = animations[0]
    longest = max(*(animation.frame_count for animation in animations), round(seconds * first.fps))
    painted = [animation for animation in animations if _has_maps(animation)]
    tracks = [
        Track(_hold(one.vertices, longest), _maps(one, longest), None if one.head_angles is None else _hold(one.head_angles, longest))
        for one in animations
    ]
    view = View("View", [Panel(index, caption) for index, caption in enumerate(captions)])
    packed = write_pack(
        stem.with_suffix(".efp"),
        tracks,
        [view],
        faces=first.faces,
        fps=first.fps,
        layers=scenes.layers(painted) if painted else [],
        colors=first.colors,
        template=first.template,
        look=look_of(first),
        neck=next(filter(None, map(find_neck, animations)), None),
    )
    speaking = next((animation for animation in animations if animation.audio is not None), None)
    rate = speaking.sample_rate if speaking else SILENCE_RATE
    # The player's clock is its sound, so there always is one, and it lasts as long as the longest face moves.
    sound = np.zeros(round(longest / first.fps * rate), np.float32)
    if speaking is not None:
        sound[: len(speaking.audio)] = speaking.audio[: len(sound)]
    soundfile.write(stem.with_suffix(".wav"), sound, rate, subtype="PCM_16")
    return {"animation": packed, "audio": stem.with_suffix(".wav"), "autoplay": "off"}


def _by_head(animations: Sequence[Animation]) -> list[list[int]]:
    """Indices of those that a player can show together: one topology, one clock, and one look, as hair fits only the person it was made for."""
    groups: list[list[int]] = []
    looks = [look_of(animation) for animation in animations]
    for index, animation in enumerate(animations):
        for group in groups:
            first = animations[group[0]]
            if first.fps == animation.fps and looks[group[0]] == looks[index] and np.array_equal(first.faces, animation.faces):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def _has_maps(animation: Animation) -> bool:
    return animation.emotion_effect_mm.shape[1] > 0


def _maps(animation: Animation, frames: int) -> dict[str, np.ndarray]:
    from . import scenes

    if not _has_maps(animation):
        return {}
    return {name: _hold(values, frames) for name, values in scenes.heat(animation).items()}


def _hold(values: np.ndarray, frames: int) -> np.ndarray:
    """The last frame repeated until there are ``frames``."""
    return values[np.minimum(np.arange(frames), len(values) - 1)]
