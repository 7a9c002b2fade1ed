"""Movements of the head while somebody speaks, made from the speech's prosody; part of the idle layer (:mod:`emoface.idle`).

The head drifts a little, takes another pose at a new phrase and nods with stressed syllables (Hadar et al. 1983, *Kinematics of head movements accompanying
speech during conversation*; Munhall et al. 2004, *Visual prosody and speech intelligibility*). No vertex of an :class:`Animation` moves: the angles are
kept beside the face, and the skull turns as one piece, with the neck between it and the shoulders, where it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .errors import EmoFaceError
from .head import Head

MOST = 1.5
"""Largest amount; 1 is an ordinary speaker."""
_DRIFT = np.radians([0.9, 0.5, 0.5])  # root mean square of the slow drift: yaw, pitch, roll
_DRIFT_SECONDS = 0.9
POSE = np.radians([2.4, 0.9, 1.0])  # standard deviation of the pose of a phrase
PAUSE = 0.2  # seconds of silence after which a phrase begins
PHRASE = 2.2  # seconds after which a long one takes a new pose anyway
REST_AFTER = 0.8  # seconds of silence after which the head comes back
NOD = np.radians([1.2, 3.0])  # smallest and largest nod
_NOD_SECONDS, BETWEEN_NODS = 0.42, 0.55
STRESS = 0.5  # of the accent track, from which a syllable may bring a nod
LOUD = 0.25  # of the energy track, from which there is speech
WITH_PITCH = np.radians(0.8)  # the head rises with the voice
LIMIT = np.radians([9.0, 7.0, 5.0])


def head_angles(prosody: np.ndarray, fps: float = 30.0, *, seed: int = 0, amount: float = 1.0) -> np.ndarray:
    """(T, 3) float32 radians, the same for the same seed: yaw towards the person's left (+x), pitch down, roll towards the person's left shoulder.

    ``prosody`` (T, 3) is :mod:`emoface.prosody` on the frames' clock: accent, energy, pitch. ``amount`` from 0 to ``MOST`` scales every movement. The clip begins
    near the rest. Raises EmoFaceError for other shapes and amounts.
    """
    prosody = np.asarray(prosody, float)
    if prosody.ndim != 2 or prosody.shape[1] != 3 or not fps > 0:
        raise EmoFaceError(f"Head motion needs (frames, 3) of prosody and a positive frame rate, not {prosody.shape} and {fps}.")
    check_amount(amount)
    if not len(prosody) or not amount:
        return np.zeros((len(prosody), 3), np.float32)
    wander, poses, nods = (np.random.default_rng([seed, stream]) for stream in (2, 3, 4))
    accent, energy, pitch = prosody.T
    angles = drift(len(prosody), fps, wander) + _phrases(energy, fps, poses)
    angles[:, 1] += _nods(accent, energy, fps, nods) - WITH_PITCH * gaussian_filter1d(pitch, 0.2 * fps, mode="nearest")
    angles = gaussian_filter1d(angles, 0.05 * fps, axis=0, mode="nearest")
    return (LIMIT * np.tanh(amount * angles / LIMIT)).astype(np.float32)


def check_amount(amount: float) -> None:
    """EmoFaceError for an amount of head motion that is none."""
    if not 0 <= amount <= MOST:
        raise EmoFaceError(f"The amount of head motion is {amount:g}: give 0 (none) to {MOST:g}; 1 is an ordinary speaker.")


def rotations(angles: np.ndarray) -> np.ndarray:
    """(T, 3) yaw, pitch, roll -> (T, 3, 3): roll first, then pitch, then yaw, about the head's own axes."""
    (sy, sp, sr), (cy, cp, cr) = np.sin(angles).T, np.cos(angles).T
    zero, one = np.zeros_like(sy), np.ones_like(sy)
    turn = np.array([[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]])
    nod = np.array([[one, zero, zero], [zero, cp, -sp], [zero, sp, cp]])
    tilt = np.array([[cr, sr, zero], [-sr, cr, zero], [zero, zero, one]])  # towards +x
    return np.einsum("ijt,jkt,klt->til", turn, nod, tilt)


def quaternions(angles: np.ndarray) -> np.ndarray:
    """(T, 3) -> (T, 4) float32 unit quaternions x, y, z, w of the same rotations, as glTF has them."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(rotations(angles)).as_quat().astype(np.float32)


def angles_of(turned: np.ndarray) -> np.ndarray:
    """(T, 4) quaternions x, y, z, w -> (T, 3) float32 yaw, pitch, roll: the reverse of :func:`quaternions`."""
    from scipy.spatial.transform import Rotation

    yaw, pitch, roll = Rotation.from_quat(turned).as_euler("YXZ").T
    return np.stack([yaw, pitch, -roll], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Neck:
    """Where a head turns, and how much of it every point follows: all above ``high``, none below ``low``, of the height ``y + slope * z``."""

    pivot: tuple[float, float, float]
    slope: float
    low: float
    high: float

    @staticmethod
    def of(head: Head) -> Neck:
        """Of an embedded head: from the rim of its neck to the lowest of jaw, ears and back of the head."""
        points, rim = head.template, head.template[head.mask("neck_base")]
        slope = -float(np.polyfit(rim[:, 2], rim[:, 1], 1)[0])
        height = points[:, 1] + slope * points[:, 2]
        skull = np.arange(len(points)) < head.skin_count
        skull &= ~np.isin(head.regions, ("neck", "neck_base", "mouth_cavity"))
        ears = points[head.mask("ears")]
        return Neck(
            (0.0, float(ears[:, 1].mean()) - 0.03, float(ears[:, 2].mean())),
            slope,
            float(height[head.mask("neck_base")].max()),
            float(height[skull].min()),
        )

    def shares(self, rest: np.ndarray) -> np.ndarray:
        """(V, 3) points at rest -> (V,) in [0, 1]."""
        x = np.clip((rest[:, 1] + self.slope * rest[:, 2] - self.low) / (self.high - self.low), 0, 1)
        return (x * x * (3 - 2 * x)).astype(np.float32)

    def turned(self, vertices: np.ndarray, shares: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """(V, 3) with the skull turned by (3, 3); points of the neck go their share of the straight way."""
        away = vertices - np.asarray(self.pivot, np.float32)
        return vertices + shares[:, None] * (away @ (rotation - np.eye(3)).T.astype(np.float32))


def drift(count: int, fps: float, rng: np.random.Generator, *, loop: bool = False) -> np.ndarray:
    """(count, 3) slow wandering that starts anywhere, and with ``loop`` goes on from its end to its beginning."""
    width = _DRIFT_SECONDS * fps
    noise = gaussian_filter1d(rng.normal(size=(count + (0 if loop else int(8 * width)), 3)), width, axis=0, mode="wrap")
    around = _DRIFT * noise / noise.std(0)
    return around if loop else around[int(4 * width) : int(4 * width) + count]


def ease(x: np.ndarray | float) -> np.ndarray | float:
    """From 0 to 1 with the least jerk."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x * x)


def _phrases(energy: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """A pose for every phrase, taken with an eased turn as it begins; in long silence the head comes back."""
    angles, now, quiet, since = np.zeros((len(energy), 3)), np.zeros(3), 1e9, 0.0
    for t, loud in enumerate(energy > LOUD):
        since += 1 / fps
        begins = loud and (quiet >= PAUSE or since > PHRASE)
        quiet = 0.0 if loud else quiet + 1 / fps
        rests = not loud and now.any() and quiet > REST_AFTER
        if not begins and not rests:
            continue
        pose = np.zeros(3) if rests else np.clip(rng.normal(size=3), -1.6, 1.6) * POSE
        pose[2] = 0.0 if rests else 0.7 * pose[2] + 0.25 * pose[0]  # who turns also tilts
        duration, early = rng.uniform(0.55, 0.9), 0.1  # the head leaves before the voice
        angles += ease((np.arange(len(energy)) / fps - t / fps + early) / duration)[:, None] * (pose - now)
        now, since = pose, 0.0
    return angles


def _nods(accent: np.ndarray, energy: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) pitch: down and back, with a small rise before, at most of the stressed syllables."""
    pitch, last, time = np.zeros(len(accent)), -1e9, np.arange(len(accent)) / fps
    peaks = 1 + np.flatnonzero((accent[1:-1] > STRESS) & (accent[1:-1] >= accent[:-2]) & (accent[1:-1] > accent[2:])) if len(accent) > 2 else []
    for peak in peaks:
        if time[peak] - last < BETWEEN_NODS or rng.random() > 0.75:
            continue
        last = time[peak]
        strength = np.clip((accent[peak] - STRESS) / (1 - STRESS), 0, 1) * (0.5 + 0.5 * energy[peak])
        size = NOD[0] + (NOD[1] - NOD[0]) * strength
        x = (time - time[peak]) / _NOD_SECONDS
        pitch += size * (np.exp(-0.5 * (x / 0.30) ** 2) - 0.35 * np.exp(-0.5 * ((x + 0.75) / 0.30) ** 2))
    return pitch
