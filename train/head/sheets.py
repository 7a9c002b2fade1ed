"""Contact sheets of the head, to be looked at.

python -m train.head.sheets FOLDER [--only shapes emotions mouths people eyes look]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emoface.export.camera import Camera
from emoface.export.render import Renderer
from emoface.export.sheet import contact_sheet
from emoface.head import HEAD_COUNT, Head, load_head
from emoface.look import load_look
from train.corpus.coarticulation import BILABIALS, PHONES, phone_shapes
from train.corpus.compose import SEAL_MM, shift_aperture
from train.corpus.lips import average_head_lips

from .poses import EMOTIONS, VISEMES, assembled, pose_weights

FRONT, TURNED, PROFILE = (Camera(yaw=yaw, center=(0, -0.008, 0.03), height=0.205) for yaw in (0, 38, 88))
MOUTH = Camera(center=(0, -0.044, 0.05), height=0.075)
MOUTH_TURNED = Camera(yaw=42, pitch=4, center=(0, -0.044, 0.05), height=0.075)
EYES = Camera(center=(0, 0.026, 0.04), height=0.075)
EYES_TURNED = Camera(yaw=38, center=(0, 0.026, 0.04), height=0.075)
SIX_HEADS = (0, 3, 8, 13, 16, 17)
STRENGTHS = {"normal": 0.6, "strong": 1.0}
LOOKS = {
    "rest": {},
    "blink": {"eyeBlink": 1},
    "half": {"eyeBlink": 0.5},
    "wide": {"eyeWide": 1},
    "squint": {"eyeSquint": 1},
    "down": {"eyeLookDown": 1},
    "up": {"eyeLookUp": 1},
    "to its left": {"eyeLookOutLeft": 1, "eyeLookInRight": 1},
    "blink and cheeks": {"eyeBlink": 1, "cheekSquint": 0.75, "mouthSmile": 0.9},
}
COLLISIONS = {
    "smile, jaw 0.3": {"mouthSmile": 1, "jawOpen": 0.3},
    "funnel, jaw 0.3": {"mouthFunnel": 1, "jawOpen": 0.3},
    "press": {"mouthPress": 1},
    "grin": {"mouthStretch": 0.8, "mouthUpperUp": 0.8, "mouthLowerDown": 1, "jawOpen": 0.05},
    "F": VISEMES["FF"],
    "tongue": {"tongueOut": 1, "jawOpen": 0.3},
    "jaw 0.5": {"jawOpen": 0.5},
    "jaw left": {"jawLeft": 1, "jawOpen": 0.2},
}


def pictures(head: Head, weights: np.ndarray, camera: Camera, size: int | tuple[int, int]) -> np.ndarray:
    """(T, H, W, 3) pictures of a head for weights (T, 52)."""
    renderer = Renderer(head.faces, template=head.template, camera=camera, size=size, look=load_look(head.index))
    return renderer.render(assembled(head, weights))


def sheet(path: Path, rows: list[tuple[Head, str, np.ndarray]], cameras: list[Camera], size, columns: int) -> None:
    """Pictures of (head, label, weights (52,)), every camera beside the other."""
    images, labels = [], []
    heads = list({id(head): head for head, _, _ in rows}.values())
    drawn = {}
    for head in heads:
        chosen = [i for i, row in enumerate(rows) if row[0] is head]
        views = [pictures(head, np.stack([rows[i][2] for i in chosen]), camera, size) for camera in cameras]
        drawn |= {i: [view[k] for view in views] for k, i in enumerate(chosen)}
    for i, (_, label, _) in enumerate(rows):
        images += drawn[i]
        labels += [label] + [""] * (len(cameras) - 1)
    contact_sheet(images, labels, columns, path)


def _rows(head: Head, poses: dict[str, dict]) -> list[tuple[Head, str, np.ndarray]]:
    return [(head, name, pose_weights(pose, head.blendshape_names)) for name, pose in poses.items()]


def draw_shapes(folder: Path) -> None:
    """Every ARKit shape at 1 (tongueOut and mouthClose with the open jaw that they belong to)."""
    head = load_head(0)
    poses = {name: {name: 1.0} for name in head.blendshape_names} | {
        "tongueOut": {"tongueOut": 1.0, "jawOpen": 0.25},
        "mouthClose": {"mouthClose": 1.0, "jawOpen": 1.0},
    }
    for part, names in enumerate(np.array_split(list(poses), 2), 1):
        sheet(folder / f"shapes_{part}.jpg", _rows(head, {n: poses[n] for n in names}), [FRONT, TURNED], 220, 8)


def draw_emotions(folder: Path) -> None:
    """Eight expressions, two strengths, six heads; one sheet per view."""
    rows = []
    for index in SIX_HEADS:
        head = load_head(index)
        poses = {f"{n}, {s}": {k: v * f for k, v in p.items()} for n, p in EMOTIONS.items() for s, f in STRENGTHS.items()}
        rows += _rows(head, poses)
    for name, camera in (("front", FRONT), ("three_quarter", TURNED), ("profile", PROFILE)):
        sheet(folder / f"emotions_{name}.jpg", rows, [camera], 200, 16)


def draw_mouths(folder: Path) -> None:
    """The mouth in all phonemes, and where it collides most."""
    head, lips = load_head(0), average_head_lips()
    rows = []
    for phone, shape in zip(PHONES, phone_shapes()):
        weights = shape[None].copy()
        if phone in BILABIALS:
            shift_aperture(weights, SEAL_MM - lips.aperture(weights), lips)
        rows.append((head, phone, weights[0].astype(np.float32)))
    sheet(folder / "mouths_phonemes.jpg", rows, [MOUTH, MOUTH_TURNED], 220, 10)
    sheet(folder / "mouths_collisions.jpg", _rows(head, COLLISIONS), [MOUTH, MOUTH_TURNED], 340, 4)


def draw_people(folder: Path) -> None:
    """All people at rest, and with an open mouth, closed lips and closed eyes."""
    people = [load_head(i) for i in range(HEAD_COUNT)]
    rest = [(p, f"{p.index} {p.name}", np.zeros(52, np.float32)) for p in people]
    sheet(folder / "people.jpg", rest, [Camera(), Camera(yaw=38)], 240, 8)
    poses = {"jawOpen .4": {"jawOpen": 0.4}, "PP": VISEMES["PP"], "blink": {"eyeBlink": 1}}
    sheet(folder / "people_poses.jpg", [row for p in people for row in _rows(p, poses)], [FRONT], 180, 12)


def draw_eyes(folder: Path) -> None:
    """Lids and gaze."""
    sheet(folder / "eyes.jpg", _rows(load_head(0), LOOKS), [EYES, EYES_TURNED], (480, 240), 4)


def draw_look(folder: Path) -> None:
    """Five people as films show them: the picture in ``docs/head.md``."""
    shown = {0: "happy", 5: "sad", 10: "angry", 9: "surprised", 17: "happy"}
    rows = [(load_head(i), f"{load_head(i).name}, {emotion}", _strong(i, emotion)) for i, emotion in shown.items()]
    images = [pictures(head, weights[None], camera, 360)[0] for camera in (FRONT, TURNED) for head, _, weights in rows]
    contact_sheet(images, [label for _, label, _ in rows] + [""] * len(rows), len(rows), folder / "look.webp")


def _strong(index: int, emotion: str) -> np.ndarray:
    return pose_weights(EMOTIONS[emotion], load_head(index).blendshape_names)


SHEETS: dict[str, Callable[[Path], None]] = {
    "shapes": draw_shapes,
    "emotions": draw_emotions,
    "mouths": draw_mouths,
    "people": draw_people,
    "eyes": draw_eyes,
    "look": draw_look,
}


def draw_all(folder: Path, only: list[str] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in only or SHEETS:
        SHEETS[name](folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(SHEETS))
    options = parser.parse_args()
    draw_all(options.folder, options.only)


if __name__ == "__main__":
    main()
