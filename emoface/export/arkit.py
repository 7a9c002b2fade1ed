"""ARKit curves as files: the CSV of Apple's / Epic's Live Link Face, and the JSON other talking-head tools read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..clock import interpolate
from ..errors import EmoFaceError
from ..files import write_json, write_text
from ..reading import MAX_TEXT_BYTES, check_bytes, one_sentence, read_bytes, read_json
from .checks import MAX_FPS, MIN_FPS, check_rate
from .topology import arkit_weights


def _sides(*names: str) -> list[str]:
    return [name + side for name in names for side in ("Left", "Right")]


_EYE = ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")
CSV_NAMES = (
    *[name + "Left" for name in _EYE],
    *[name + "Right" for name in _EYE],
    "JawForward",
    "JawRight",
    "JawLeft",
    "JawOpen",
    "MouthClose",
    "MouthFunnel",
    "MouthPucker",
    "MouthRight",
    "MouthLeft",
    *_sides("MouthSmile", "MouthFrown", "MouthDimple", "MouthStretch"),
    "MouthRollLower",
    "MouthRollUpper",
    "MouthShrugLower",
    "MouthShrugUpper",
    *_sides("MouthPress", "MouthLowerDown", "MouthUpperUp", "BrowDown"),
    "BrowInnerUp",
    *_sides("BrowOuterUp"),
    "CheekPuff",
    *_sides("CheekSquint", "NoseSneer"),
    "TongueOut",
)
"""The 52 shapes in the column order of Live Link Face recordings (right before left for jaw and mouth)."""
ROTATION_NAMES = ("HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll")
HEAD_NAMES = ROTATION_NAMES[:3]
HEADER = ",".join(["Timecode", "BlendshapeCount", *CSV_NAMES, *ROTATION_NAMES])
CSV_FPS = 60
"""Rate of Live Link Face recordings; a CSV holds no rate, and importers assume this one."""
ARKIT_NAMES = tuple(sorted(name[0].lower() + name[1:] for name in CSV_NAMES))
"""Apple's camelCase names in alphabetical order."""


def resample(weights: np.ndarray, fps: float, new_fps: float) -> np.ndarray:
    """(T, K) curves at ``fps`` -> (T', K) at ``new_fps``, linear in time; first and last frame keep their times."""
    count = int(np.floor((len(weights) - 1) / fps * new_fps + 1e-6)) + 1
    return interpolate(np.arange(count) / new_fps, np.arange(len(weights)) / fps, weights).astype(weights.dtype)


def timecode(frame: int, fps: float) -> str:
    """``HH:MM:SS:FF.mmm`` of a frame: FF counts frames within the second, mmm thousandths of a frame."""
    second = int((frame + 1e-6) // fps)
    inside = max(0.0, round(frame - second * fps, 3))
    whole = int(inside)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{whole:02d}.{round((inside - whole) * 1000):03d}"


def save_csv(animation: Animation, path: str | os.PathLike, *, fps: float | None = CSV_FPS) -> Path:
    """Writes a Live Link Face CSV; ``fps`` None keeps the animation's rate instead of resampling to 60.

    HeadYaw, HeadPitch and HeadRoll are ``head_angles`` in radians, 0 where there are none; eye angles are 0, because gaze is in the EyeLook curves.
    """
    names = _checked_names(animation)
    fps = animation.fps if fps is None else check_rate(fps, "of a CSV")
    weights = resample(arkit_weights(animation), animation.fps, fps)
    columns = weights[:, [names.index(name[0].lower() + name[1:]) for name in CSV_NAMES]]
    turned = np.zeros((len(columns), len(ROTATION_NAMES)))
    if animation.head_angles is not None:
        turned[:, :3] = resample(animation.head_angles, animation.fps, fps)
    count = len(CSV_NAMES) + len(ROTATION_NAMES)
    lines = [HEADER]
    for frame, row in enumerate(np.concatenate([columns, turned], axis=1)):
        lines.append(f"{timecode(frame, fps)},{count}," + ",".join(f"{value:.10f}" for value in row))
    return write_text(path, "\n".join(lines) + "\n")


def save_json(animation: Animation, path: str | os.PathLike) -> Path:
    """Writes names, metadata and one list of 52 weights per frame (the layout of LAM's Audio2Expression)."""
    names, weights, fps = list(_checked_names(animation)), arkit_weights(animation), float(animation.fps)
    order = [names.index(name) for name in ARKIT_NAMES]
    frames = [
        {"weights": [round(float(value), 6) for value in row[order]], "time": round(frame / fps, 6), "rotation": []}
        for frame, row in enumerate(weights)
    ]
    content = {
        "names": list(ARKIT_NAMES),
        "metadata": {"fps": fps, "frame_count": len(frames), "blendshape_names": list(ARKIT_NAMES)},
        "frames": frames,
    }
    return write_json(path, content)


def save_audio2face(animation: Animation, path: str | os.PathLike) -> Path:
    """Writes the JSON that NVIDIA's Audio2Face exports: ``facsNames`` and ``weightMat`` (frames x 52), without joints."""
    names, weights = list(_checked_names(animation)), arkit_weights(animation)
    rows = np.round(weights[:, [names.index(name) for name in ARKIT_NAMES]].astype(float), 6).tolist()
    content = {
        "exportFps": float(animation.fps),
        "trackPath": str(animation.settings.get("speech", "")),
        "numPoses": len(ARKIT_NAMES),
        "numFrames": len(rows),
        "facsNames": list(ARKIT_NAMES),
        "weightMat": rows,
        "joints": [],
        "rotations": [],
        "translations": [],
    }
    return write_json(path, content)


def load_csv(path: str | os.PathLike, *, fps: float | None = None) -> tuple[np.ndarray, float, np.ndarray | None]:
    """((T, 52) weights in the order of ``ARKIT_NAMES``, frames per second, (T, 3) head angles) of a Live Link Face CSV.

    Columns are found by name, whatever their case and order. The angles are yaw, pitch and roll in radians, or None where they are not there or all 0. ``fps`` None reads the rate from the timecodes, or
    takes 60 if the recording is shorter than a second. Raises EmoFaceError for other files.
    """
    name = Path(path).name
    with one_sentence(name, "a Live Link Face CSV with all 52 ARKit curves"):
        rows = [line.split(",") for line in read_bytes(path, MAX_TEXT_BYTES).decode("utf-8-sig").splitlines() if line.strip()]
        header = [title.strip().lower() for title in rows[0]]
        columns = [header.index(curve.lower()) for curve in ARKIT_NAMES]
        turned = all(name.lower() in header for name in HEAD_NAMES)
        columns += [header.index(name.lower()) for name in HEAD_NAMES] if turned else []
        if len(rows) > 2 and len(rows[-1]) < len(rows[0]):
            rows.pop()  # a recording that was cut off while it was written
        weights = np.array([[float(row[column]) for column in columns] for row in rows[1:]], np.float32)
        times = [row[header.index("timecode")] for row in rows[1:]] if "timecode" in header else []
    if not len(weights):
        raise EmoFaceError(f"{Path(path).name} has no frames.")
    try:
        rate = _rate(times) if fps is None else float(fps)
    except ValueError:
        raise EmoFaceError(f"{Path(path).name} has timecodes that cannot be read; give its rate with fps.") from None
    if not MIN_FPS <= rate <= MAX_FPS:
        raise EmoFaceError(f"{name} has {rate:g} frames per second, which cannot be; give its rate with fps.")
    weights, angles = np.split(_without_gaps(weights, times, rate, name), [len(ARKIT_NAMES)], axis=1)
    return weights, rate, angles if angles.any() else None


def _rate(timecodes: list[str]) -> float:
    """Frames a second of ``HH:MM:SS:FF.mmm`` timecodes: one more than the last frame of the seconds; ``CSV_FPS`` if no second is full.

    Rows are not counted, because phones drop some.
    """
    seconds = {timecode.rpartition(":")[0] for timecode in timecodes}
    whole_second = len(seconds) > 2 or (len(seconds) > 1 and timecodes[0].endswith(":00.000"))
    return 1.0 + max(float(timecode.rpartition(":")[2]) // 1 for timecode in timecodes) if whole_second else float(CSV_FPS)


def _without_gaps(weights: np.ndarray, timecodes: list[str], rate: float, name: str) -> np.ndarray:
    """Curves at an even rate: phones drop frames, so a take's rows are placed by their timecodes where one is missing."""
    try:
        parts = np.array([[float(part) for part in timecode.split(":")] for timecode in timecodes])
        seconds = parts @ [3600, 60, 1, 1 / rate] if len(parts) == len(weights) else np.zeros(0)
    except ValueError:
        return weights
    steps = np.diff(seconds) % 86400 * rate  # takes may run over midnight
    if not len(steps) or steps.max() < 1.5 or steps.max() > 60 * rate or steps.min() <= 0:
        return weights
    at = np.concatenate([[0], np.cumsum(steps)])
    check_bytes(8 * weights.shape[1] * int(at[-1]), name)
    frames = np.arange(int(round(at[-1])) + 1)
    return interpolate(frames, at, weights).astype(np.float32)


def load_json(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """((T, 52) weights in the order of ``ARKIT_NAMES``, frames per second) of a JSON as ``save_json`` writes it."""
    with one_sentence(Path(path).name, "ARKit curves in EmoFace's JSON layout"):
        content = read_json(path)
        order = [content["names"].index(name) for name in ARKIT_NAMES]
        weights = np.array([frame["weights"] for frame in content["frames"]], np.float32)[:, order]
        return weights, float(content["metadata"]["fps"])


def _checked_names(animation: Animation) -> tuple[str, ...]:
    names = animation.blendshape_names or ARKIT_NAMES
    if sorted(names) != list(ARKIT_NAMES):
        raise EmoFaceError("This mesh has no ARKit shapes, so there are no curves to write; save it as .glb, .npz, .npy, .zip or a video instead.")
    return tuple(names)
