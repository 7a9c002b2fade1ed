"""MediaPipe's blendshape scores and landmarks -> ARKit weights of our head (training.md, sections 1b and 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from emoface.clock import interpolate

from .channels import COUNT, FPS, GAZE_AND_TONGUE, INDEX, NAMES, columns
from .lips import EYE_DISTANCE_MM, LipResponse
from .smoothing import fill_gaps, rts_smooth

MOUTH_RATIO, BROW_RATIO = 10.0, 3.0  # process over measurement noise; less than 10 opens the bilabials
GAINS = dict(
    jawOpen=1.2,
    mouthClose=1.0,
    mouthFunnel=1.3,
    mouthPucker=1.5,
    mouthLowerDown=1.2,
    mouthUpperUp=1.0,
    mouthRollLower=1.0,
    mouthRollUpper=0.3,
    mouthPress=0.5,
    mouthShrugLower=1.0,
    mouthShrugUpper=1.0,
    mouthSmile=0.9,
    mouthStretch=1.5,
    mouthDimple=1.0,
    mouthFrown=1.5,
    browDown=1.3,
    browInnerUp=1.5,
    browOuterUp=1.3,
    eyeSquint=1.0,
    eyeWide=2.0,
)
SEAL_BELOW_MM, TRUST_ABOVE_MM = 0.8, 1.6  # measured gaps under the first are closed lips; over the second they are true
SEALED_MM = -0.3
LOCK_LIMIT = 0.2  # most that the aperture lock may add to or take from jawOpen
CLOSURE_RAMP_S = 0.07  # real lips are quick; longer ramps would flatten their own motion

_BROW = [i for i, n in enumerate(NAMES) if n.startswith(("brow", "cheek", "nose"))]
_EYE_SURROUND = columns("eyeSquint", "eyeWide", "browDown")


@dataclass(frozen=True)
class Capture:
    """What MediaPipe saw in one clip, ``T`` frames at ``fps``."""

    scores: np.ndarray
    """(T, 52) scores in the order of ``channels.NAMES``."""
    gap_mm: np.ndarray
    """(T,) lip gap of landmarks 13-14, scaled to the head's eye distance."""
    detected: np.ndarray
    """(T,) whether a face was found."""
    fps: float
    width_mm: np.ndarray
    """(T,) distance of landmarks 61-291, scaled likewise."""


@dataclass(frozen=True)
class Rest:
    """A speaker's resting face."""

    scores: np.ndarray
    """(52,)"""
    width_mm: float
    """Of the mouth."""


@dataclass(frozen=True)
class DrivenMotion:
    """Real motion on our head at 30 fps."""

    weights: np.ndarray
    """(T, 52)."""
    sealed: np.ndarray
    """(T,) bool, lips measured shut."""
    measured_raw: np.ndarray
    """(T,) measured aperture in mm, interpolated to 30 fps and nothing else."""
    measured: np.ndarray
    """(T,) the same, smoothed."""
    width: np.ndarray
    """(T,) measured change of the mouth's width, smoothed, in mm of our head (see :func:`lock_width`)."""
    width_raw: np.ndarray


INNER_LIPS, CORNERS = (13, 14), (61, 291)
"""MediaPipe's landmarks of the gap and of the width of the mouth."""


def lip_gap_mm(landmarks: np.ndarray, landmark_index: np.ndarray, aspect: float, *, between: tuple[int, int] = INNER_LIPS) -> np.ndarray:
    """(T,) distance of two landmarks in mm, for an eye distance (33-263) as the head's.

    ``landmarks`` (T, L, 3) are in normalised image coordinates, any common scale; ``aspect`` is width over height.
    """
    column = {int(k): i for i, k in enumerate(landmark_index)}
    points = landmarks[:, :, :2].astype(np.float64) * np.array([aspect, 1.0])
    gap = np.linalg.norm(points[:, column[between[0]]] - points[:, column[between[1]]], axis=1)
    eyes = np.linalg.norm(points[:, column[33]] - points[:, column[263]], axis=1)
    return gap / np.where(eyes > 0, eyes, np.nan) * EYE_DISTANCE_MM


def to_our_order(scores: np.ndarray, names: list[str]) -> np.ndarray:
    """(T, 52) in the order of ``channels.NAMES``; MediaPipe's ``_neutral`` is dropped, ``tongueOut`` is 0."""
    out = np.zeros((len(scores), COUNT))
    for column, name in enumerate(names):
        if name in INDEX:
            out[:, INDEX[name]] = scores[:, column]
    return out


def resting_face(captures: list[Capture], silent: list[np.ndarray]) -> Rest:
    """Median of a speaker's silent frames; never take it from emotional clips."""
    frames = np.concatenate([np.column_stack([c.scores, c.width_mm])[s & c.detected] for c, s in zip(captures, silent)])
    if len(frames) == 0:
        raise ValueError("No silent frame with a face: the resting face of this speaker is unknown.")
    median = np.median(frames, axis=0)
    return Rest(median[:-1], float(median[-1]))


def drive(capture: Capture, rest: Rest, times: np.ndarray, lips: LipResponse) -> DrivenMotion:
    """Weights at ``times`` (seconds): gaps filled, smoothed, rest removed, gains, seal restored, width and aperture locked."""
    valid = capture.detected & np.isfinite(capture.gap_mm)
    source_times = np.arange(len(valid)) / capture.fps
    tracks = fill_gaps(np.column_stack([capture.scores, capture.gap_mm, capture.width_mm]), valid)
    blinking = tracks[:, columns("eyeBlink")].max(1) > rest.scores[columns("eyeBlink")].max() + 0.2
    blinking = binary_dilation(blinking, iterations=3)
    if not blinking.all():
        tracks[:, _EYE_SURROUND] = fill_gaps(tracks[:, _EYE_SURROUND], ~blinking)

    smooth = rts_smooth(tracks, MOUTH_RATIO)
    smooth[:, _BROW] = rts_smooth(tracks[:, _BROW], BROW_RATIO)
    weights = interpolate(times, source_times, _scale(smooth[:, :COUNT], rest.scores))
    raw_gap = interpolate(times, source_times, tracks[:, COUNT])
    gap = interpolate(times, source_times, np.maximum(smooth[:, COUNT], 0))
    # A closure may last one video frame: look at the nearest one, not between two.
    nearest = np.clip(np.round(times * capture.fps), 0, len(valid) - 1).astype(int)
    sealed = np.minimum(tracks[nearest, COUNT], gap) < SEAL_BELOW_MM
    width_raw, width = (
        (interpolate(times, source_times, track[:, COUNT + 1]) / rest.width_mm - 1) * lips.width_rest_mm for track in (tracks, smooth)
    )
    for _ in range(3):  # each moves the other a little
        lock_width(weights, width, lips)
        lock_aperture(weights, gap, sealed, lips)
    return DrivenMotion(weights, sealed, raw_gap, gap, width, width_raw)


def _scale(scores: np.ndarray, rest: np.ndarray) -> np.ndarray:
    weights = np.maximum(scores - rest, 0) / (1 - rest)
    for base, gain in GAINS.items():
        weights[:, columns(base)] *= gain
    smile = weights[:, columns("mouthSmile")]
    # MediaPipe never reports these; a smile lifts the cheeks, a frown with bared teeth wrinkles the nose.
    weights[:, columns("cheekSquint")] = 0.8 * smile
    weights[:, columns("eyeSquint")] = np.maximum(weights[:, columns("eyeSquint")], 0.35 * smile)
    bared = np.clip(weights[:, columns("mouthUpperUp")] / 0.25, 0, 1)
    weights[:, columns("noseSneer")] = weights[:, columns("browDown")] * bared
    weights[:, GAZE_AND_TONGUE + columns("eyeBlink")] = 0.0
    return np.clip(weights, 0, 1)


def lock_width(weights: np.ndarray, change_mm: np.ndarray, lips: LipResponse) -> None:
    """Make the head's mouth as much wider or narrower as the measured one, in place.

    ``change_mm`` (T,) is the measured change in proportion to the speaker's own mouth, times the width of ours: a wider mouth
    travels farther to be as round. Narrower: less stretch, then more pucker; wider: less pucker, then more stretch.
    """
    pucker, stretch = INDEX["mouthPucker"], columns("mouthStretch")
    pucker_mm, stretch_mm = lips.width_per_unit_mm[pucker], lips.width_per_unit_mm[stretch].sum()
    missing = change_mm - lips.width_change(weights)
    narrower, wider = np.minimum(missing, 0), np.maximum(missing, 0)
    given_up = np.minimum(weights[:, stretch].mean(1), -narrower / stretch_mm)
    weights[:, stretch] = np.maximum(weights[:, stretch] - given_up[:, None], 0)
    weights[:, pucker] = np.clip(weights[:, pucker] + (narrower + given_up * stretch_mm) / pucker_mm, 0, 1)
    given_up = np.minimum(weights[:, pucker], -wider / pucker_mm)
    weights[:, pucker] -= given_up
    weights[:, stretch] = np.clip(weights[:, stretch] + ((wider + given_up * pucker_mm) / stretch_mm)[:, None], 0, 1)


def lock_aperture(weights: np.ndarray, gap_mm: np.ndarray, sealed: np.ndarray, lips: LipResponse) -> None:
    """Make the head's aperture equal the measured gap, in place; sealed where the lips were shut."""
    trust = np.clip((gap_mm - SEAL_BELOW_MM) / (TRUST_ABOVE_MM - SEAL_BELOW_MM), 0, 1)
    wanted = np.where(sealed, SEALED_MM, np.maximum(gap_mm * trust, 0.0))
    jaw, close = INDEX["jawOpen"], INDEX["mouthClose"]
    for limited in (True, False):
        missing = (wanted - lips.aperture(weights)) / lips.jaw_mm
        if limited:
            missing = np.clip(missing, -LOCK_LIMIT, LOCK_LIMIT)
            weights[:, jaw] = np.clip(weights[:, jaw] + missing, 0, 1)
        else:  # the jaw is up and the lips still apart (bared teeth): close with the lips
            weights[:, close] = np.clip(weights[:, close] + np.maximum(-missing, 0) * lips.jaw_mm / lips.close_mm, 0, 1)


def measured_closure(sealed: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """(T,) closure strength of the shut lips inside speech, with ramps as short as real lips'."""
    frames = np.flatnonzero(sealed & (activity > 0.5))
    t = np.arange(len(sealed)) / FPS
    out = np.zeros(len(sealed))
    for frame in frames:
        x = np.clip(np.abs(t - frame / FPS) / CLOSURE_RAMP_S, 0, 1)
        out = np.maximum(out, 0.5 + 0.5 * np.cos(np.pi * x))
    return out
