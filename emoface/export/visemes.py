"""Mouth shapes for rigs that have no ARKit shapes: the 15 visemes of Oculus, the cues of Rhubarb Lip Sync, subtitles.

The lips of every frame are rebuilt from the visemes' own lip shapes. So consonants that only the tongue tells apart (t, k, n, th) share their weight,
and what the tongue does is not said.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from ..animation import Animation
from ..files import write_json, write_text
from ..head import load_head
from .topology import arkit_weights

VISEMES = {
    "sil": {},
    "PP": {"mouthPress": 0.25, "mouthRollLower": 0.15, "mouthRollUpper": 0.1, "mouthPucker": 0.1},
    "FF": {"jawOpen": 0.12, "mouthRollLower": 0.5, "mouthUpperUp": 0.05},
    "TH": {"jawOpen": 0.08, "mouthLowerDown": 0.06, "mouthUpperUp": 0.04},
    "DD": {"jawOpen": 0.15, "mouthLowerDown": 0.05, "mouthStretch": 0.02},
    "kk": {"jawOpen": 0.16, "mouthDimple": 0.05, "mouthLowerDown": 0.04, "mouthUpperUp": 0.03},
    "CH": {"jawOpen": 0.1, "mouthFunnel": 0.31, "mouthPucker": 0.12},
    "SS": {"jawOpen": 0.12, "mouthLowerDown": 0.06, "mouthStretch": 0.12},
    "nn": {"jawOpen": 0.14, "mouthLowerDown": 0.06, "mouthPucker": 0.05, "mouthUpperUp": 0.03},
    "RR": {"jawOpen": 0.08, "mouthFunnel": 0.15, "mouthPucker": 0.25},
    "aa": {"jawOpen": 0.32, "mouthLowerDown": 0.04, "mouthUpperUp": 0.03},
    "E": {"jawOpen": 0.25, "mouthLowerDown": 0.05, "mouthStretch": 0.12, "mouthSmile": 0.05},
    "ih": {"jawOpen": 0.15, "mouthLowerDown": 0.06, "mouthStretch": 0.12, "mouthSmile": 0.08, "mouthUpperUp": 0.02},
    "oh": {"jawOpen": 0.22, "mouthFunnel": 0.25, "mouthPucker": 0.29},
    "ou": {"jawOpen": 0.08, "mouthFunnel": 0.08, "mouthPucker": 0.55},
}
"""Oculus' names, in their order -> ARKit weights of the shape in ordinary speech (a name without side means both). They are about as large as those that
``train/corpus/phone_shapes.json`` was fitted to in filmed speech."""
_FELT = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthUpperUp", "noseSneer", "cheekSquint", "jawForward", "mouthLeft", "mouthRight")
"""What a feeling does to the lips: rebuilt beside the visemes, so that a smile is no "ee"."""
_FELT_COST = 0.05
HIDDEN = ("TH", "DD", "kk", "nn")
"""Told apart by the tongue alone; their lips are a little open, as in a weak vowel."""
_SPREAD = 0.6
"""Millimetres by which a viseme's lips differ from time to time."""
_LETTERS = {
    "sil": "X",
    "PP": "A",
    "FF": "G",
    "TH": "B",
    "DD": "B",
    "kk": "B",
    "CH": "B",
    "SS": "B",
    "nn": "B",
    "RR": "E",
    "aa": "D",
    "E": "C",
    "ih": "B",
    "oh": "E",
    "ou": "F",
}
"""Viseme -> mouth shape of Rhubarb Lip Sync. Its H (the tongue of a long l) is not recognised."""
_CHANGE_COST = 0.7
"""Of a cue's beginning, in frames of certainty: shorter ones are taken for their neighbours."""
_SHORTEST_SILENCE = 0.2
"""Seconds; lips that are shut for less between two sounds belong to p, b or m."""


class Cue(NamedTuple):
    """A mouth shape and when it is shown."""

    start: float
    """Seconds."""
    end: float
    value: str


def viseme_weights(animation: Animation) -> np.ndarray:
    """(T, 15) in [0, 1], the columns of ``VISEMES``, whose mixture has the lips of each frame; every row adds up to 1, and ``HIDDEN`` are 0.

    Raises EmoFaceError for meshes without ARKit shapes.
    """
    said, felt, _ = _shapes()
    lips = _lips(animation)
    shown = [number for number, name in enumerate(VISEMES) if number and name not in HIDDEN]
    columns = np.concatenate([said[shown], felt]).T
    out = np.zeros((len(lips), len(VISEMES)), np.float32)
    for row, frame in zip(out, lips):
        row[shown] = nnls(columns, frame)[0][: len(shown)]
    out[:, 1:] /= np.maximum(out[:, 1:].sum(1, keepdims=True), 1)  # wider than ordinary speech: the same mixture, as far as a rig goes
    out[:, 0] = 1 - out[:, 1:].sum(1)
    return out


def viseme_cues(animation: Animation) -> list[Cue]:
    """The viseme whose lips are nearest at every moment, without gaps from 0 to the end; DD stands for all of ``HIDDEN``.

    Raises EmoFaceError for meshes without ARKit shapes.
    """
    said, felt, _ = _shapes()
    lips = _lips(animation)
    recognised = [name for name in VISEMES if name == "DD" or name not in HIDDEN]
    distance = np.array([[nnls(felt.T, frame - said[list(VISEMES).index(name)])[1] for name in recognised] for frame in lips])
    shares = np.exp(-np.square(distance / _SPREAD))
    cues = _cues(shares / np.maximum(shares.sum(1, keepdims=True), 1e-12), recognised, animation.fps)
    return _closures(cues)


def mouth_cues(animation: Animation) -> list[Cue]:
    """The same in Rhubarb's letters: A to G, and X for a mouth at rest."""
    merged: list[Cue] = []
    for start, end, name in viseme_cues(animation):
        letter = _LETTERS[name]
        if merged and merged[-1].value == letter:
            start = merged.pop().start
        merged.append(Cue(start, end, letter))
    return merged


def save_visemes(animation: Animation, path: str | os.PathLike) -> Path:
    """Writes ``{"names", "fps", "frames": [[15 weights], ...], "cues": [{"start", "end", "value"}, ...]}``, seconds."""
    frames = np.round(viseme_weights(animation).astype(float), 4).tolist()
    return write_json(path, {"names": list(VISEMES), "fps": float(animation.fps), "frames": frames, "cues": _as_dicts(viseme_cues(animation))})


def save_rhubarb_json(animation: Animation, path: str | os.PathLike) -> Path:
    """Writes what ``rhubarb -f json`` does: ``metadata`` and ``mouthCues``."""
    about = {"soundFile": str(animation.settings.get("speech", "")), "duration": round(animation.duration, 2)}
    return write_json(path, {"metadata": about, "mouthCues": _as_dicts(mouth_cues(animation))})


def save_rhubarb_tsv(animation: Animation, path: str | os.PathLike) -> Path:
    """Writes what ``rhubarb -f tsv`` does: the beginning and letter of every cue, and a last line with the end."""
    cues = mouth_cues(animation)
    lines = [f"{cue.start:.2f}\t{cue.value}" for cue in cues] + [f"{cues[-1].end:.2f}\tX"]
    return write_text(path, "\n".join(lines) + "\n")


def save_srt(animation: Animation, path: str | os.PathLike) -> Path:
    """Writes the visemes as subtitles: one numbered block a cue, silence left out."""
    spoken = [cue for cue in viseme_cues(animation) if cue.value != "sil"]
    blocks = [f"{number}\n{_srt_time(cue.start)} --> {_srt_time(cue.end)}\n{cue.value}\n" for number, cue in enumerate(spoken, 1)]
    return write_text(path, "\n".join(blocks))


@lru_cache(maxsize=1)
def _shapes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lips as 52 numbers whose distances are those of the lips' vertices (root mean square, mm): visemes (15, 52 + n), feelings (n, 52 + n), and ``root`` (52, 52) that makes them
    of ARKit weights. The last n columns charge for feelings."""
    head = load_head(0)
    near = head.mask("mouth")[: head.skin_count]
    lips = 1000 / np.sqrt(near.sum()) * head.blendshapes[:, near].reshape(52, -1)
    values, vectors = np.linalg.eigh((lips @ lips.T).astype(np.float64))
    root = (vectors * np.sqrt(np.maximum(values, 0))).T
    said = np.array([_weights(shape) for shape in VISEMES.values()])[1:] @ root.T
    felt = np.array([_weights({name: 1.0}) for name in _FELT]) @ root.T
    cost = _FELT_COST * np.linalg.norm(felt, axis=1)
    return np.pad(said, ((1, 0), (0, len(felt)))), np.concatenate([felt, np.diag(cost)], axis=1), root


def _lips(animation: Animation) -> np.ndarray:
    """(T, 52 + n) of the frames, as :func:`_shapes` has them."""
    _, felt, root = _shapes()
    return np.pad(arkit_weights(animation) @ root.T, ((0, 0), (0, len(felt))))


def _weights(shape: dict[str, float]) -> np.ndarray:
    """(52,) of names; one without a side sets both."""
    names = load_head(0).blendshape_names
    return np.array([next((value for base, value in shape.items() if name in (base, f"{base}Left", f"{base}Right")), 0.0) for name in names])


def _closures(cues: list[Cue]) -> list[Cue]:
    """Lips at rest for a moment between two sounds are those of p, b and m."""
    inside = range(1, len(cues) - 1)
    return [
        cue._replace(value="PP") if i in inside and cue.value == "sil" and cue.end - cue.start < _SHORTEST_SILENCE else cue
        for i, cue in enumerate(cues)
    ]


def _cues(shares: np.ndarray, names, fps: float) -> list[Cue]:
    """The path through (T, N) shares that is worth most, where every change costs ``_CHANGE_COST`` (Viterbi)."""
    best, came = shares[0].astype(float), []
    for row in shares[1:]:
        stay, leave = best, best.max() - _CHANGE_COST
        came.append(np.where(stay >= leave, np.arange(len(best)), best.argmax()))
        best = np.maximum(stay, leave) + row
    path = [int(best.argmax())]
    for row in reversed(came):
        path.append(int(row[path[-1]]))
    path.reverse()
    starts = [0, *[t for t in range(1, len(path)) if path[t] != path[t - 1]], len(path)]
    return [Cue(start / fps, end / fps, names[path[start]]) for start, end in zip(starts, starts[1:])]


def _as_dicts(cues: list[Cue]) -> list[dict]:
    return [{"start": round(cue.start, 2), "end": round(cue.end, 2), "value": cue.value} for cue in cues]


def _srt_time(seconds: float) -> str:
    whole = round(1000 * seconds)
    return f"{whole // 3600000:02d}:{whole // 60000 % 60:02d}:{whole // 1000 % 60:02d},{whole % 1000:03d}"
