"""What a face does while it talks and that no one can hear: blinks and small movements of the eyes.

They are taken out of all training targets and put back, if wanted, when an animation is shown.
"""

from __future__ import annotations

import numpy as np

from .errors import EmoFaceError
from .head import load_head

BLINKS_PER_MINUTE = 16.0
"""Mean rate; people blink 12 to 20 times a minute in conversation."""
_SHORTEST_PAUSE = 0.9  # seconds between two blinks
_FIXATION = (0.45, 3.5)  # shortest and longest stay of the gaze, seconds
_GAZE_SPREAD = np.radians([1.6, 3.2])  # standard deviation of pitch and yaw
_GAZE_LIMIT = np.radians([5.0, 8.0])


def idle_weights(
    frame_count: int,
    fps: float = 30.0,
    *,
    seed: int = 0,
    speech: np.ndarray | None = None,
    blinks_per_minute: float = BLINKS_PER_MINUTE,
) -> np.ndarray:
    """Blinks and gaze as ARKit weights (T, 52) in [0, 1], the same for the same seed.

    ``speech`` (T,) in [0, 1] says how much is being said in each frame (loudness): people blink more in pauses. A
    blink closes in 70-100 ms, stays shut for a frame and opens in 130-190 ms.
    """
    if frame_count < 0 or not fps > 0:
        raise EmoFaceError("Idle motion needs a number of frames that is not negative and a positive frame rate.")
    if speech is not None and np.shape(speech) != (frame_count,):
        raise EmoFaceError(f"The speech curve has shape {np.shape(speech)}; idle motion needs {(frame_count,)}.")
    head = load_head(0)
    column = {name: i for i, name in enumerate(head.blendshape_names)}
    weights = np.zeros((frame_count, len(column)), np.float32)
    if not frame_count:
        return weights
    blink_rng, gaze_rng = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    time = np.arange(frame_count) / fps

    shut = _blinks(time, fps, blink_rng, speech, blinks_per_minute)
    for side in ("Left", "Right"):
        weights[:, column[f"eyeBlink{side}"]] = shut

    pitch, yaw = _gaze(time, gaze_rng).T
    for eye, (side, outward) in enumerate((("Left", 1), ("Right", -1))):
        for name, angle, axis in (
            ("Down", pitch, 0),
            ("Up", -pitch, 0),
            ("Out", outward * yaw, 1),
            ("In", -outward * yaw, 1),
        ):
            shape = column[f"eyeLook{name}{side}"]
            weights[:, shape] = np.clip(angle / abs(head.eye_angles[shape, eye, axis]), 0, 1)
    return weights


def add_idle(skin_offsets: np.ndarray, weights: np.ndarray, idle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put idle motion (T, 52) on a face: skin offsets (T, S, 3) of head 0 and weights (T, 52), both new arrays.

    Lids that are half closed already only travel the rest of the way, and squinting or staring lets go during a
    blink: no lid closes too far.
    """
    combined = combine(weights, idle)
    change = combined - weights
    used = np.flatnonzero(change.any(axis=0))
    shapes = load_head(0).blendshapes[used]
    moved = change[:, used] @ shapes.reshape(len(used), -1)
    return skin_offsets + moved.reshape(skin_offsets.shape), combined


def combine(weights: np.ndarray, idle: np.ndarray) -> np.ndarray:
    """ARKit weights (T, 52) of a face with idle motion on it."""
    weights, idle = np.asarray(weights, np.float32), np.asarray(idle, np.float32)
    if weights.shape != idle.shape:
        raise EmoFaceError(f"Weights {weights.shape} and idle motion {idle.shape} must have the same shape.")
    names = load_head(0).blendshape_names
    combined = np.clip(weights + idle, 0, 1)
    for side in ("Left", "Right"):
        blink = names.index(f"eyeBlink{side}")
        shut = idle[:, blink]
        combined[:, blink] = weights[:, blink] + shut * (1 - weights[:, blink])
        for name in (f"eyeSquint{side}", f"eyeWide{side}", f"eyeLookDown{side}", f"eyeLookUp{side}"):
            combined[:, names.index(name)] *= 1 - shut
    return combined


def _blinks(time: np.ndarray, fps: float, rng: np.random.Generator, speech, rate: float) -> np.ndarray:
    """(T,) how far the lids are shut."""
    shut = np.zeros(len(time))
    # A gamma-distributed waiting time (shape 2.5) over the shortest pause; pauses in speech let it run faster.
    pace = np.ones(len(time)) if speech is None else 1.6 - 1.2 * np.clip(speech, 0, 1)
    clock = np.cumsum(pace / max(pace.mean(), 1e-6)) / fps
    mean = max(60 / rate - _SHORTEST_PAUSE, 0.1) if rate > 0 else np.inf
    at = rng.uniform(0, 0.8) * 60 / rate if rate > 0 else np.inf
    while at < clock[-1]:
        start = np.interp(at, clock, time)
        closing, opening = rng.uniform(0.070, 0.100), rng.uniform(0.130, 0.190)
        held = max(0.035, 1.02 / fps)  # at least one frame is fully shut
        down = _ease((time - start) / closing)
        up = _ease((time - start - closing - held) / opening)
        shut = np.maximum(shut, down - up)
        at += _SHORTEST_PAUSE + rng.gamma(2.5, mean / 2.5)
    return shut


def _gaze(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 2) pitch and yaw in radians: fixations, quick saccades between them, mostly back to the viewer, and drift."""
    gaze, target, at = np.zeros((len(time), 2)), np.zeros(2), rng.uniform(0.6, 1.8)
    while at < time[-1]:
        away = rng.random() < 0.5 and not target.any()
        new = np.clip(rng.normal(size=2) * _GAZE_SPREAD, -_GAZE_LIMIT, _GAZE_LIMIT) if away else np.zeros(2)
        duration = 0.045 + 0.25 * np.linalg.norm(new - target)
        gaze += _ease((time - at) / duration)[:, None] * (new - target)
        target = new
        at += float(np.clip(rng.lognormal(0.1, 0.5), *_FIXATION)) * (0.7 if away else 1.2)
    phase = rng.uniform(0, 2 * np.pi, (3, 2))
    for i, frequency in enumerate((0.23, 0.41, 0.87)):
        gaze += np.radians(0.18) * np.sin(2 * np.pi * frequency * time[:, None] + phase[i])
    return gaze


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
