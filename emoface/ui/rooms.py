"""Live sessions of the page's visitors: who may speak now, whose turn the computation is, and the takes that wait to be fetched.

Nothing here is written to a disk. A take goes to the visitor who asks for it with its secret name, or after two minutes.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..animation import Animation
from ..device import on_one_core, usable_cores
from ..errors import EmoFaceError
from ..export.pack import STEP
from ..head_motion import rotations

AWAY_SECONDS = 15.0
"""So long a visitor whose connection broke may come back to the same session."""
TAKE_SECONDS = 120.0
FULL = "All live places are taken: try again in a minute or two, or record your speech in the tab Animate."
BUSY = "This server is too busy to keep up with your voice: try again later, or record your speech in the tab Animate."
ZERO_GPU = "Live is off on this Space: its GPU is lent per call, and a live face needs it all the time. Run the app on your own machine for it."


def places() -> int:
    """How many may speak at once: EMOFACE_LIVE, or one for each core that the process may use. Raises EmoFaceError where it is no number."""
    given = os.environ.get("EMOFACE_LIVE") or str(usable_cores())
    if not given.isdigit():
        raise EmoFaceError(f"EMOFACE_LIVE is {given!r}: give the number of visitors who may speak at once, 0 to turn Live off.")
    return int(given)


class Room:
    """One visitor's session."""

    def __init__(self, build: Callable[[], Any], *, rate: int, limit: float, warm: threading.Event):
        """``warm`` is set when a session of this process has computed something."""
        self.name, self.rate, self.limit = secrets.token_urlsafe(24), rate, limit
        self.received = 0  # samples
        self.blocks: list[np.ndarray] = []  # not computed yet; they stay when the connection breaks
        self._turn = threading.Lock()
        self.here: object | None = None  # the connection that serves it now
        self.left = time.monotonic()
        self.session: Any = None
        self._build, self._warm = build, warm
        self._last: np.ndarray | None = None

    def open(self) -> None:
        """Make the session. Raises EmoFaceError for settings that do not exist.

        The first of all rehearses with another one: what the first frames load and compute once would make the first words late.
        """
        with self._turn:
            if self.session is None:
                if not self._warm.is_set():
                    self._build().feed(np.zeros(self.rate // 2, np.float32), hurry=True)
                    self._warm.set()
                self.session = self._build()

    @property
    def full(self) -> bool:
        """Whether the longest take has been reached."""
        return self.received >= self.limit * self.rate

    def feed(self, samples: np.ndarray, feeling: dict[str, float] | None, *, fresh: bool) -> tuple[bytes | None, str]:
        """int16 samples in; a message of frames (:meth:`_packed`), or None, and the name of the recognised emotion.

        ``fresh``: the other side knows no frame yet. What came late is computed in a hurry.
        """
        with self._turn:
            if feeling is not None:
                self.session.feel(feeling)
            piece = self.session.feed(samples.astype(np.float32) / 32768, hurry=True)
            return None if piece is None else self._packed(piece, fresh), self.session.recognised

    def finish(self, *, fresh: bool) -> tuple[bytes | None, Animation]:
        """The last frames, and the whole take."""
        with self._turn:
            piece = self.session.finish()
            return None if piece is None else self._packed(piece, fresh), self.session.take()

    def _packed(self, piece: Animation, fresh: bool) -> bytes:
        """``uint32 first frame | uint32 frames | uint32 fresh | float32 turns (frames, 9) | zlib``: rotations of the head row by row, then, as a track of
        ``export.pack``, differences to the frame before, which is 0 where it is ``fresh`` and else the last of the message before."""
        planar = steps(piece.vertices, piece.template)
        before = np.zeros_like(planar[:1]) if fresh or self._last is None else self._last
        self._last = planar[-1:]
        differences = np.diff(np.concatenate([before, planar]), axis=0).astype("<i2")
        halves = np.ascontiguousarray(differences).reshape(-1).view(np.uint8).reshape(-1, 2)
        packed = zlib.compress(halves[:, 0].tobytes() + halves[:, 1].tobytes(), 1)
        angles = np.zeros((piece.frame_count, 3)) if piece.head_angles is None else piece.head_angles
        return struct.pack("<III", piece.settings["start"], piece.frame_count, fresh) + rotations(angles).astype("<f4").tobytes() + packed


def steps(vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
    """(T, V, 3) metres -> (T, 3, V) int16 around the middle of the head, as in ``export.pack``."""
    centre = ((template.min(axis=0) + template.max(axis=0)) / 2).astype(np.float32)
    return np.rint(np.clip((vertices - centre) / np.float32(STEP), -32768, 32767)).astype(np.int16).transpose(0, 2, 1)


class Rooms:
    """Thread-safe. ``pool`` computes for all: one block of one visitor after the other, so everybody gets an equal share."""

    def __init__(self, count: int | None = None):
        self.count = places() if count is None else count
        self.pool = ThreadPoolExecutor(max(1, usable_cores() // 2), thread_name_prefix="emoface-live", initializer=on_one_core)
        self.warm = threading.Event()
        self._rooms: dict[str, Room] = {}
        self._takes: dict[str, tuple[float, Animation]] = {}
        self._lock = threading.Lock()

    def enter(self, build: Callable[[], Any], *, rate: int, limit: float) -> Room:
        """Raises EmoFaceError when all places are taken."""
        with self._lock:
            self._tidy()
            if len(self._rooms) >= self.count:
                raise EmoFaceError(FULL)
            room = Room(build, rate=rate, limit=limit, warm=self.warm)
            self._rooms[room.name] = room
            return room

    def again(self, name: str) -> Room:
        """The room of a visitor whose connection broke. Raises EmoFaceError when it is gone."""
        with self._lock:
            self._tidy()
            if name not in self._rooms:
                raise EmoFaceError("The connection was lost for too long: press Speak to begin again.")
            return self._rooms[name]

    def leave(self, room: Room, take: Animation | None = None) -> None:
        """The session is over; its take waits to be fetched."""
        with self._lock:
            self._rooms.pop(room.name, None)
            if take is not None:
                self._takes[room.name] = (time.monotonic(), take)

    def fetch(self, name: str) -> Animation:
        """The take, once. Raises EmoFaceError when there is none."""
        with self._lock:
            self._tidy()
            if name not in self._takes:
                raise EmoFaceError("This take is not on the server any more: speak again.")
            return self._takes.pop(name)[1]

    def _tidy(self) -> None:
        now = time.monotonic()
        self._rooms = {name: room for name, room in self._rooms.items() if room.here is not None or now - room.left < AWAY_SECONDS}
        self._takes = {name: (since, take) for name, (since, take) in self._takes.items() if now - since < TAKE_SECONDS}
