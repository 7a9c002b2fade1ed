"""Contact sheets of the head, to be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emoface.export.camera import Camera
from emoface.export.render import Renderer
from emoface.export.sheet import contact_sheet
from emoface.head import HEAD_COUNT, Head, load_head
from emoface.look import load_look

from .poses import EMOTIONS, VISEMES, pose_weights

FACE = Camera(center=(0, -0.008, 0.03), height=0.205)
FACE_TURNED = Camera(yaw=38, center=(0, -0.008, 0.03), height=0.205)
MOUTH = Camera(center=(0, -0.042, 0.05), height=0.085)
MOUTH_TURNED = Camera(yaw=42, pitch=4, center=(0, -0.042, 0.05), height=0.085)
EYES = Camera(center=(0, 0.026, 0.04), height=0.075)
EYES_TURNED = Camera(yaw=38, center=(0, 0.026, 0.04), height=0.075)
WHOLE = Camera()
WHOLE_TURNED = Camera(yaw=38)


def pictures(head: Head, poses: list[dict], camera: Camera, size: int | tuple[int, int]) -> np.ndarray:
    weights = np.stack([pose_weights(p, head.blendshape_names) for p in poses])
    renderer = Renderer(head.faces, template=head.template, camera=camera, size=size, look=load_look(head.index))
    return renderer.render(head.pose(weights))


def sheet(path: Path, head: Head, poses: dict[str, dict], cameras: list[Camera], size, columns: int) -> None:
    """One row of pictures per pose and camera, pose after pose."""
    views = [pictures(head, list(poses.values()), camera, size) for camera in cameras]
    images = [view[i] for i in range(len(poses)) for view in views]
    labels = [name if i == 0 else "" for name in poses for i in range(len(cameras))]
    contact_sheet(images, labels, columns, path)


def draw_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    head = load_head(0)
    shapes = {name: {name: 1.0} for name in head.blendshape_names}
    shapes["tongueOut"] = {"tongueOut": 1.0, "jawOpen": 0.25}
    for part, names in enumerate(np.array_split(list(shapes), 2), 1):
        sheet(folder / f"shapes_{part}.jpg", head, {n: shapes[n] for n in names}, [FACE, FACE_TURNED], 220, 10)
    sheet(folder / "visemes.jpg", head, VISEMES, [MOUTH, MOUTH_TURNED], 260, 6)
    levels = {
        f"{name}, {level}": {k: v * factor for k, v in pose.items()}
        for name, pose in EMOTIONS.items() for level, factor in (("normal", 0.6), ("strong", 1.0))
    }
    sheet(folder / "emotions.jpg", head, levels, [FACE, FACE_TURNED], 300, 4)
    looks = {
        "rest": {}, "blink": {"eyeBlink": 1}, "half": {"eyeBlink": 0.5}, "wide": {"eyeWide": 1},
        "squint": {"eyeSquint": 1}, "down": {"eyeLookDown": 1}, "up": {"eyeLookUp": 1},
        "to its left": {"eyeLookOutLeft": 1, "eyeLookInRight": 1},
    }
    sheet(folder / "eyes.jpg", head, looks, [EYES, EYES_TURNED], (480, 240), 4)
    teeth = {"smile": {"mouthSmile": 0.7, "mouthUpperUp": 0.5, "mouthLowerDown": 0.5, "jawOpen": 0.06},
             "jaw 0.2": {"jawOpen": 0.2}, "jaw 0.45": {"jawOpen": 0.45}, "jaw 1": {"jawOpen": 1},
             "jaw left": {"jawLeft": 1, "jawOpen": 0.2}, "grin": {"mouthStretch": 0.8, "mouthUpperUp": 0.8,
             "mouthLowerDown": 1, "jawOpen": 0.05}, "FF": VISEMES["FF"], "tongue": {"tongueOut": 1, "jawOpen": 0.3}}
    sheet(folder / "mouths.jpg", head, teeth, [MOUTH, MOUTH_TURNED], 400, 4)
    people = [load_head(i) for i in range(HEAD_COUNT)]
    poses = {"neutral": {}, "jawOpen .4": {"jawOpen": 0.4}, "PP": VISEMES["PP"], "blink": {"eyeBlink": 1}}
    images, labels = [], []
    for person in people:
        images += [*pictures(person, list(poses.values()), WHOLE, 220)]
        labels += [f"{person.index} {person.name}" if i == 0 else name for i, name in enumerate(poses)]
    contact_sheet(images, labels, 8, folder / "heads_poses.jpg")
    images = [pictures(person, [{}], camera, 240)[0] for person in people for camera in (WHOLE, WHOLE_TURNED)]
    labels = [f"{p.index} {p.name}" if i == 0 else "" for p in people for i in range(2)]
    contact_sheet(images, labels, 8, folder / "heads.jpg")
    images, labels = [], []
    for person in people[1:16:3]:
        images += [*pictures(person, list(EMOTIONS.values()), WHOLE, 220)]
        labels += [f"{person.index} {name}" for name in EMOTIONS]
    contact_sheet(images, labels, 8, folder / "heads_emotions.jpg")
