"""Shapes with the anatomy of scanned faces: MakeHuman's shapes mixed with ICT-FaceKit's expressions carried to this head.

``expressions.npz`` holds the carried expressions (fitted by ``registration``), so the head builds without the scans.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .lips import Opening
from .registration import Scan, carried, extended, register, smoothed
from .shapes import mirrored

CARRIED = Path(__file__).with_name("expressions.npz")
PRESSED = 1.5e-3  # metres that the lips may overlap when the chin lifts the lower one: flesh that gives way


@dataclass(frozen=True)
class Mixture:
    """Shape = own * MakeHuman's shape + the sum of scanned expressions with their factors."""

    own: float
    scanned: dict[str, float]
    lips: float = 1.0
    """What is left of the movement at the contact line of the lips; it grows to all of it 18 mm away."""
    sealed: bool = False
    """Whether the lips stay shut: the contact line is brought together again."""


MIXTURES = {
    "browDown": Mixture(0.7, {"browDown": 1.0}),
    "browInnerUp": Mixture(0.0, {"browInnerUp": 1.35}),
    "browOuterUp": Mixture(0.2, {"browOuterUp": 0.9}),
    "cheekPuff": Mixture(0.4, {"cheekPuff": 0.6}, sealed=True),
    "cheekSquint": Mixture(0.3, {"cheekSquint": 0.9, "cheekRaiser": 0.7}, lips=0.0),
    "eyeWide": Mixture(1.25, {}),
    "mouthDimple": Mixture(0.4, {"mouthDimple": 0.6}, sealed=True),
    "mouthFrown": Mixture(0.6, {"mouthFrown": 0.85}, sealed=True),
    "mouthLeft": Mixture(0.5, {"mouthLeft": 0.5}, sealed=True),
    "mouthRight": Mixture(0.5, {"mouthRight": 0.5}, sealed=True),
    "mouthSmile": Mixture(0.15, {"mouthSmile": 1.0, "cheekRaiser": 0.45}, sealed=True),
    "mouthStretch": Mixture(0.0, {"mouthStretch": 1.15}, sealed=True),
    "mouthUpperUp": Mixture(0.5, {"mouthUpperUp": 0.5}),
    "noseSneer": Mixture(0.3, {"noseSneer": 1.0}, lips=0.35),
}
"""By ARKit name without side. Speech shapes (jaw, funnel, pucker, press, rolls, shrugs, lower lip) stay MakeHuman's: their lips
seal and the jaw's teeth move with them; blinks and looks stay, because their lids fit this head's eyes."""


def stem(name: str) -> str:
    """ARKit name without its side; ``mouthLeft`` and the like are names of their own."""
    if name in ("mouthLeft", "mouthRight", "jawLeft", "jawRight"):
        return name
    return name.removesuffix("Left").removesuffix("Right")


def needed() -> list[str]:
    """Carried expressions by stem."""
    return sorted({scanned for mixture in MIXTURES.values() for scanned in mixture.scanned})


def fit(path: Path, skin: np.ndarray, faces: np.ndarray, mouth: Opening, lids: dict[str, Opening], mirror: np.ndarray) -> None:
    """Register head 0 to the scans in ``path`` and write the carried expressions of the left (or both) sides to ``CARRIED``."""
    scan = Scan.load(path)
    known = np.ones(len(skin), bool)
    known[np.concatenate([opening.hidden for opening in (mouth, *lids.values())])] = False
    known &= (skin[:, 2] > 0.0) & (skin[:, 1] > -0.10) & (np.abs(skin[:, 0]) < 0.068)  # neither ears, back nor neck
    registration = register(scan, skin, faces, known, mouth, lids)
    out = {}
    for name in needed():
        both = [name] if name in scan.expressions else [f"{name}_L", f"{name}_R"]
        moves = [extended(carried(registration, scan, scan.expressions[n]), known, faces) for n in both]
        moves = [smoothed(move, np.unique(mouth.outer[:4]), faces) for move in moves]  # the scan's lips meet at a sharper corner
        out[name] = moves[0] if len(moves) == 1 else (moves[0] + mirrored(moves[1], mirror)) / 2
    np.savez_compressed(CARRIED, **{name: (1e3 * move).astype(np.float16) for name, move in out.items()})


def mix(units: dict[str, np.ndarray], skin: np.ndarray, mouth: Opening, mirror: np.ndarray) -> dict[str, np.ndarray]:
    """All 52 shapes (S, 3) in metres, from MakeHuman's own (S, 3) and the carried expressions."""
    with np.load(CARRIED, allow_pickle=False) as file:
        scans = {name: file[name].astype(np.float64) / 1e3 for name in file.files}
    distance = np.linalg.norm(skin[:, None] - skin[mouth.outer[0]][None], axis=2).min(1)
    share = np.clip(distance / 0.018, 0, 1)
    share = share * share * (3 - 2 * share)
    share[mouth.hidden] = 0
    out = dict(units)
    for name in units:
        mixture = MIXTURES.get(stem(name))
        if mixture is None:
            continue
        move = mixture.own * units[name]
        for scanned, factor in mixture.scanned.items():
            left = scans[scanned]
            if name in ("browInnerUp", "cheekPuff"):  # one shape for both sides
                sided = left + mirrored(left, mirror)
            elif name.endswith("Right") and stem(name) != name:
                sided = mirrored(left, mirror)
            else:
                sided = left
            move = move + factor * sided * (mixture.lips + (1 - mixture.lips) * share)[:, None]
        out[name] = move
    return out


def push_upper_lip(deltas: dict[str, np.ndarray], skin: np.ndarray, mouth: Opening) -> None:
    """Let ``mouthShrugLower`` push the upper lip up with the lower one, in place: MakeHuman's shape runs 5 mm through it."""
    margin = mouth.outer[0]
    posed = skin + deltas["mouthShrugLower"]
    through = np.clip(-mouth.gap(posed, posed[margin, 0]) - PRESSED, 0, None)
    move = np.zeros((len(margin), 3))
    move[mouth.upper, 1] = through[mouth.upper]
    deltas["mouthShrugLower"] = deltas["mouthShrugLower"] + mouth.spread(skin, move)


def seal(deltas: dict[str, np.ndarray], skin: np.ndarray, mouth: Opening, mirror: np.ndarray) -> None:
    """Bring the lips of the sealed shapes together again, in place: at weight 1, one side alone or both, they leave no slit, do
    not overlap, and neither comes to lie in front of the other."""
    half = np.clip(skin[:, :1] / 4e-3, -1, 1) / 2 + 0.5  # what both sides leave, each corrects in its own half
    for name in (name for name, mixture in MIXTURES.items() if mixture.sealed):
        if name in deltas:
            deltas[name] = deltas[name] + closing(mouth, skin, skin + deltas[name])
            continue
        left, right = f"{name}Left", f"{name}Right"
        for side in (left, right):
            deltas[side] = deltas[side] + closing(mouth, skin, skin + deltas[side])
        move = closing(mouth, skin, skin + deltas[left] + deltas[right])
        move = (move + mirrored(move, mirror)) / 2
        deltas[left], deltas[right] = deltas[left] + move * half, deltas[right] + move * (1 - half)


def closing(mouth: Opening, skin: np.ndarray, posed: np.ndarray) -> np.ndarray:
    """Offsets (S, 3) that bring the contact line of ``posed`` lips to its middle in height and, all but the corners, in depth."""
    margin = mouth.outer[0]
    x = posed[margin, 0]
    sign = np.zeros(len(margin))
    sign[mouth.upper], sign[mouth.lower] = -0.5, 0.5
    inside = np.abs(skin[margin, 0]) < np.abs(skin[margin, 0]).max() - 1e-5
    move = np.zeros((len(margin), 3))
    move[:, 1] = sign * (mouth.gap(posed, x) + 1e-4) * inside
    move[:, 2] = 0.9 * (mouth.middle(posed, x, axis=2) - posed[margin, 2]) * inside
    return mouth.spread(skin, move)
