"""Head movement for somebody who speaks right now: as :mod:`emoface.head_motion`, from the past alone.

A recording's head leaves before a phrase and rises before a nod. Here both begin with the sound, so a nod has its lowest point a quarter of a second
after the stress.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .head_motion import BETWEEN_NODS, LIMIT, LOUD, NOD, PAUSE, PHRASE, POSE, REST_AFTER, STRESS, WITH_PITCH, check_amount, drift, ease

_LOOP_SECONDS = 600
"""After which the slow drift begins anew, where it ended."""
_NOD_SECONDS = 0.5
_TURN_SECONDS = 0.55, 0.9
_PITCH_SECONDS = 0.3  # time constant of the voice's height
_NODS = 0.75  # share of the stressed syllables that bring a nod


@lru_cache(maxsize=2)
def _loop(fps: float, seed: int) -> np.ndarray:
    return drift(round(_LOOP_SECONDS * fps), fps, np.random.default_rng([seed, 2]), loop=True)


class HeadStream:
    """(n, 3) prosody of the next frames in, (n, 3) radians out, the same numbers however the frames are cut.

    Args:
        fps: frames per second.
        amount: as of :func:`emoface.head_motion.head_angles`.
        seed: as there.

    Raises:
        EmoFaceError: for other amounts.
    """

    def __init__(self, fps: float, *, amount: float = 1.0, seed: int = 0):
        check_amount(amount)
        self._fps, self._amount, self._drift = fps, amount, _loop(fps, seed)
        self._poses, self._nods = (np.random.default_rng([seed, stream]) for stream in (3, 4))
        self._frame = 0
        self._from, self._to, self._turn = np.zeros(3), np.zeros(3), (0.0, 1.0)  # the turn that goes on: when it began, and how long it takes
        self._quiet, self._phrase = np.inf, 0.0  # seconds since the last sound, and since the last pose
        self._accents = (0.0, 0.0)  # of the last two frames
        self._nod: tuple[float, float] | None = None  # when the last one began, and its size
        self._height = 0.0

    def feed(self, said: np.ndarray, talking: np.ndarray) -> np.ndarray:
        """``said`` (n, 3) as :mod:`emoface.prosody` on the frames' clock; in frames that are not ``talking`` (n,) nothing is heard."""
        rows = [self._next(*row) for row in np.asarray(said, float) * talking[:, None]]
        return (LIMIT * np.tanh(self._amount * np.reshape(rows, (-1, 3)) / LIMIT)).astype(np.float32)

    def _next(self, accent: float, energy: float, pitch: float) -> np.ndarray:
        now = self._frame / self._fps
        self._take_pose(energy > LOUD, now)
        self._take_nod(accent, energy, now)
        self._height += (pitch - self._height) / (_PITCH_SECONDS * self._fps)
        angles = self._pose(now) + self._drift[self._frame % len(self._drift)] * min(now, 1.0)  # a session begins at rest
        angles[1] += self._dip(now) - WITH_PITCH * self._height
        self._frame += 1
        return angles

    def _pose(self, now: float) -> np.ndarray:
        begin, seconds = self._turn
        return self._from + ease((now - begin) / seconds) * (self._to - self._from)

    def _take_pose(self, loud: bool, now: float) -> None:
        """Another one when a phrase begins, and the rest in long silence; not before the last turn is done."""
        begins = loud and (self._quiet >= PAUSE or self._phrase > PHRASE)
        self._quiet = 0.0 if loud else self._quiet + 1 / self._fps
        self._phrase += 1 / self._fps
        rests = not loud and self._to.any() and self._quiet > REST_AFTER
        if not (begins or rests) or now < sum(self._turn):
            return
        pose = np.clip(self._poses.normal(size=3), -1.6, 1.6) * POSE
        pose[2] = 0.7 * pose[2] + 0.25 * pose[0]  # who turns also tilts
        self._from, self._to = self._to, np.zeros(3) if rests else pose
        self._turn, self._phrase = (now, self._poses.uniform(*_TURN_SECONDS)), 0.0

    def _take_nod(self, accent: float, energy: float, now: float) -> None:
        before, last = self._accents
        self._accents = last, accent
        if not (last > STRESS and last >= before and last > accent) or (self._nod and now - self._nod[0] < BETWEEN_NODS):
            return
        if self._nods.random() < _NODS:
            strength = min((last - STRESS) / (1 - STRESS), 1.0) * (0.5 + 0.5 * energy)
            self._nod = now, NOD[0] + (NOD[1] - NOD[0]) * strength

    def _dip(self, now: float) -> float:
        """Radians down, of the nod that goes on."""
        if self._nod is None or now - self._nod[0] >= _NOD_SECONDS:
            return 0.0
        return self._nod[1] * np.sin(np.pi * (now - self._nod[0]) / _NOD_SECONDS) ** 2
