"""Soft contact inside the mouth, for display: lips neither pass through each other nor through the teeth.

Shapes add up linearly and the network adds its own motion, so lips that press or roll would overlap by some millimetres. Every
frame is corrected on its own: first the lips and their lining are pushed in front of the dental arches, then lips that overlap
share the difference, as flesh does. The correction is continuous in the motion and zero where nothing touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

ENAMEL = 1.1e-3  # metres from an arch's line to the outer side of crowns and gum, and a hair's breadth
EXPONENT = 2.2  # the arch's line is z = front - curve * |x| ** EXPONENT
SHORTER = 0.11  # how much shorter the teeth get per metre sideways; from SHORTER_FROM on
SHORTER_FROM = 4e-3
BESIDE = (-3.5e-3, -1.2e-3, 13e-3, 18e-3)  # heights above the biting edge between which the teeth push, with ramps
INSIDE = (4.5e-3, 7e-3)  # a point this far behind the front of the teeth is no longer pushed: it is behind them
OVERLAP = 5e-5  # metres by which closed lips still overlap, so that no light falls through
SAME_DEPTH = (5e-3, 9e-3)  # lips in front of one another by more than this do not touch
ROUNDS = 3
TOUCHING = ((0, 0), (1, 1), (1, 0), (0, 1), (2, 2), (2, 1), (1, 2))  # rings of the upper and the lower lip, from the contact line outwards
FOLLOW = 3  # edges over which the skin beside a push comes along
RING_FADE = (1.0, 0.85, 0.6, 0.3)  # of a correction at the contact line, over the rings beside it


@dataclass(frozen=True)
class DentalArch:
    """The outer side of one row of teeth at rest, metres."""

    middle: float
    """x between the two middle incisors."""
    front: float
    """z of the middle."""
    curve: float
    edge: float
    """y of the middle incisors' edges."""
    roots: int
    """1 if the roots point up."""

    def push(self, points: np.ndarray) -> np.ndarray:
        """Offsets that bring points (..., 3) in front of the teeth."""
        x = points[..., 0] - self.middle
        side = np.abs(x)
        slope = EXPONENT * self.curve * side ** (EXPONENT - 1)
        steep = np.sqrt(1 + slope * slope)
        depth = (self.front - self.curve * side**EXPONENT - points[..., 2]) / steep + ENAMEL
        edge = self.edge + self.roots * SHORTER * np.maximum(side - SHORTER_FROM, 0)
        height = self.roots * (points[..., 1] - edge)
        amount = np.maximum(depth, 0) * _ramp(depth, INSIDE[1], INSIDE[0])
        amount = amount * _ramp(height, BESIDE[0], BESIDE[1]) * _ramp(height, BESIDE[3], BESIDE[2])
        return np.stack([amount * np.sign(x) * slope / steep, np.zeros_like(amount), amount / steep], axis=-1)


@dataclass(frozen=True, eq=False)
class MouthContact:
    """What touches what on one head."""

    upper: DentalArch
    lower: DentalArch
    jaw_motion: np.ndarray
    """(52, 4, 3): the lower teeth move by ``[1, p] @ sum(w * jaw_motion)`` from their place p at rest."""
    flesh: np.ndarray
    """Vertices of the lips and of the lining in front of the teeth."""
    rings: np.ndarray
    """(n, r) contact line and the rings outside of it, in its order."""
    lining: np.ndarray
    """(m, r) the rings behind it."""
    upper_lip: np.ndarray
    """Positions in the rings that belong to the upper lip, corners left out."""
    lower_lip: np.ndarray
    near: np.ndarray
    """Vertices that follow those that are pushed, so that the skin does not tear: all within some edges of them."""
    mean: csr_matrix
    """(near, near) the mean of each one's neighbours, itself where it has none."""

    @property
    def touching(self) -> np.ndarray:
        """Skin vertices that may be moved."""
        return self.near

    def resolve(self, skin: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Skin (T, S, 3) without overlaps; ``weights`` (T, 52) tell where the jaw is."""
        given, skin = skin, skin.copy()
        jaw = np.tensordot(weights, self.jaw_motion, axes=(1, 0))
        turn = np.eye(3, dtype=np.float32) + jaw[:, 1:]
        back = np.linalg.inv(turn)
        for _ in range(ROUNDS):
            pushed = self._clear_teeth(skin, jaw[:, :1], turn, back)
            parted = self._part_lips(skin)
            if not (pushed or parted):
                break
        else:
            self._clear_teeth(skin, jaw[:, :1], turn, back)
        given = given[:, self.near]
        skin[:, self.near] = given + self._spread(skin[:, self.near] - given)
        return skin

    def _spread(self, push: np.ndarray) -> np.ndarray:
        """Pushes (T, near, 3) without jumps between neighbours: those beside a pushed vertex come along, then all give in a little."""
        by_vertex = push.transpose(1, 0, 2)
        for _ in range(FOLLOW):
            mean = self._neighbours(by_vertex)
            farther = np.linalg.norm(mean, axis=-1) > np.linalg.norm(by_vertex, axis=-1)
            by_vertex = np.where(farther[..., None], mean, by_vertex)
        return (0.5 * by_vertex + 0.5 * self._neighbours(by_vertex)).transpose(1, 0, 2)

    def _neighbours(self, by_vertex: np.ndarray) -> np.ndarray:
        return (self.mean @ by_vertex.reshape(len(by_vertex), -1)).reshape(by_vertex.shape).astype(np.float32)

    def _clear_teeth(self, skin: np.ndarray, shift: np.ndarray, turn: np.ndarray, back: np.ndarray) -> bool:
        """Whether anything was pushed."""
        points = skin[:, self.flesh]
        above = self.upper.push(points)
        points = points + above
        at_rest = (points - shift) @ back
        below = self.lower.push(at_rest)
        skin[:, self.flesh] = points + below @ turn
        return bool(above.any() or below.any())

    def _part_lips(self, skin: np.ndarray) -> bool:
        """Whether anything was parted."""
        parted = False
        for above, below in TOUCHING:
            move = self._parting(skin[:, self.rings[above]], skin[:, self.rings[below]])
            if move is None:
                continue
            parted = True
            reach = RING_FADE if above == below == 0 else RING_FADE[:1]
            for number, fade in enumerate(reach):
                skin[:, self.rings[above + number][self.upper_lip], :2] += fade * move[:, self.upper_lip]
                skin[:, self.rings[below + number][self.lower_lip], :2] += fade * move[:, self.lower_lip]
            if len(reach) > 1:
                for ring, fade in zip(self.lining, RING_FADE[1:]):
                    skin[:, ring, :2] += fade * move
        return parted

    def _parting(self, upper: np.ndarray, lower: np.ndarray) -> np.ndarray | None:
        """(T, r, 2) movements in x and y that bring overlapping points of an upper and a lower ring (T, r, 3) to their middle; None where none do."""
        frame = np.arange(len(upper))[:, None]
        over = upper[:, self.upper_lip]
        under = self.lower_lip[np.abs(lower[:, self.lower_lip, 0][:, None] - over[..., :1]).argmin(axis=2)]
        along = (np.roll(lower[..., :2], -1, axis=1) - np.roll(lower[..., :2], 1, axis=1))[frame, under]
        up = np.stack([-along[..., 1], along[..., 0]], axis=-1)
        inwards = np.sign(up[..., 1].sum(axis=1))[:, None, None]  # one direction for the whole line: its ends may be steep
        up *= inwards / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-9)
        apart = over - lower[frame, under]
        through = np.maximum(-(apart[..., :2] * up).sum(axis=-1) - OVERLAP, 0) * _ramp(np.abs(apart[..., 2]), SAME_DEPTH[1], SAME_DEPTH[0])
        if not through.any():
            return None
        half = 0.5 * through[..., None] * up
        move, uses = np.zeros((*upper.shape[:2], 2), upper.dtype), np.zeros((*upper.shape[:2], 1), upper.dtype)
        np.add.at(move, (frame, under), -half)
        np.add.at(uses, (frame, under), 1)
        move /= np.maximum(uses, 1)
        move[:, self.upper_lip] = half
        return move


def _ramp(x: np.ndarray, zero: float, one: float) -> np.ndarray:
    """0 at ``zero``, 1 at ``one``, straight between, level outside."""
    return np.clip((x - zero) / (one - zero), 0, 1)
