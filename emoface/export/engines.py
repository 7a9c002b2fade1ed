"""A face that is sent to a running engine, frame by frame: Live Link Face (Unreal), VMC over OSC (VRM avatars), JSON over a WebSocket.

A sender takes ``send(weights, emotions, seconds=t, angles=(yaw, pitch, roll))``: ARKit weights (52,) in the order of :data:`NAMES`, how much of each
emotion the face shows, the frame's time, and how the head is turned (:mod:`emoface.head_motion`). :func:`sender` makes one from an address.
"""

from __future__ import annotations

import json
import socket
import struct
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import numpy as np

from ..errors import EmoFaceError
from ..head import load_head
from .arkit import CSV_NAMES, ROTATION_NAMES

ADDRESSES = "livelink://HOST:11111 (Unreal's Live Link Face), osc://HOST:39539 (VMC) or ws://HOST:PORT/PATH (JSON)"
NAMES = load_head(0).blendshape_names
"""ARKit names of the weights, in their order."""
_SWAPPED = {"JawLeft": "JawRight", "JawRight": "JawLeft", "MouthLeft": "MouthRight", "MouthRight": "MouthLeft"}
# Recordings have right before left for jaw and mouth; packets follow Unreal's enumeration, left before right.
_LIVE_LINK_ORDER = [NAMES.index(name[0].lower() + name[1:]) for name in (_SWAPPED.get(name, name) for name in CSV_NAMES)]
_LIVE_LINK_VERSION = 6
STILL = (0.0, 0.0, 0.0)
"""Angles of a head that is not turned."""


class Sender(Protocol):
    """Where the frames of a live face go."""

    def send(self, weights: np.ndarray, emotions: Mapping[str, float], *, seconds: float, angles: Sequence[float] = STILL) -> None:
        """Send one frame.

        Args:
            weights: (52,) ARKit weights in the order of :data:`NAMES`.
            emotions: how much of each emotion the face shows, in [0, 1].
            seconds: time of the frame.
            angles: yaw, pitch and roll of the head (:mod:`emoface.head_motion`).

        Raises:
            EmoFaceError: the receiver closed the connection.
        """

    def close(self) -> None:
        """End the connection."""


def sender(address: str, *, fps: int = 30, name: str = "EmoFace") -> Sender:
    """What sends to ``address``. Raises EmoFaceError for other addresses, missing packages and servers that cannot be reached."""
    parts = urlsplit(address)
    kinds = {"livelink": (LiveLinkFace, 11111), "osc": (VirtualMotionCapture, 39539), "ws": (JsonSocket, None), "wss": (JsonSocket, None)}
    try:
        kind, usual = kinds[parts.scheme]
        port = parts.port or usual
        if not parts.hostname:
            raise ValueError
    except (KeyError, ValueError):
        raise EmoFaceError(f"Nothing can be sent to {address!r}: give {ADDRESSES}.") from None
    if kind is JsonSocket:
        return JsonSocket(address, fps=fps)
    try:
        host = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)[0][4][0]
    except OSError as error:
        raise EmoFaceError(f"The host of {address!r} is not known ({error.strerror}): check its name.") from None
    if kind is LiveLinkFace:
        return LiveLinkFace(host, port, fps=fps, name=name)
    shapes = parse_qs(parts.query).get("shapes", ["vrm"])[-1]
    return VirtualMotionCapture(host, port, shapes=shapes)


class LiveLinkFace:
    """The UDP packets of Epic's Live Link Face app: Unreal's Live Link shows the face as the subject ``name``.

    Big endian but for the version: ``version u32 | "$" and 36 characters of id | length i32 | name | frame i32 | subframe f32 | fps i32 |
    denominator i32 | count u8 = 61 | 61 f32``: 52 ARKit shapes, then yaw, pitch and roll of the head and of the eyes, whose gaze is in the EyeLook shapes.
    """

    def __init__(self, host: str, port: int, *, fps: int = 30, name: str = "EmoFace"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket, self._to, self._fps = socket.socket(family, socket.SOCK_DGRAM), (host, port), fps
        label = name.encode()
        self._head = struct.pack("<I", _LIVE_LINK_VERSION) + f"${uuid.uuid4()}".encode() + struct.pack("!i", len(label)) + label

    def packet(self, weights: np.ndarray, seconds: float, angles: Sequence[float] = STILL) -> bytes:
        """One frame as the protocol has it; arguments as in :meth:`Sender.send`."""
        frame, inside = divmod(seconds * self._fps + 1e-6, 1)
        values = [*np.asarray(weights, float)[_LIVE_LINK_ORDER], *map(float, angles), *[0.0] * (len(ROTATION_NAMES) - len(STILL))]
        return self._head + struct.pack("!if2i", int(frame), inside, self._fps, 1) + struct.pack("!B61f", 61, *values)

    def send(self, weights: np.ndarray, emotions: Mapping[str, float], *, seconds: float, angles: Sequence[float] = STILL) -> None:
        self._socket.sendto(self.packet(weights, seconds, angles), self._to)

    def close(self) -> None:
        self._socket.close()


class VirtualMotionCapture:
    """The VMC protocol: ``/VMC/Ext/Blend/Val NAME VALUE`` for every expression, then ``/VMC/Ext/Blend/Apply``, in one bundle.

    ``shapes``: ``"vrm"`` the presets of VRM 1.0 (:func:`vrm_expressions`), ``"arkit"`` the 52 ARKit shapes ("Perfect Sync"). The angles of the head are not
    sent: the protocol's message for a bone also holds its place on the avatar, which is not known here.
    """

    def __init__(self, host: str, port: int, *, shapes: str = "vrm"):
        if shapes not in ("vrm", "arkit"):
            raise EmoFaceError(f"There are no VMC shapes {shapes!r}: choose vrm or arkit.")
        try:
            from pythonosc import osc_bundle_builder, osc_message_builder
        except ModuleNotFoundError:
            raise EmoFaceError('Sending OSC needs the package python-osc: pip install "emoface[live]".') from None
        self._bundles, self._messages, self._shapes = osc_bundle_builder, osc_message_builder, shapes
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket, self._to = socket.socket(family, socket.SOCK_DGRAM), (host, port)

    def _message(self, address: str, *values):
        message = self._messages.OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        return message.build()

    def send(self, weights: np.ndarray, emotions: Mapping[str, float], *, seconds: float, angles: Sequence[float] = STILL) -> None:
        if self._shapes == "arkit":
            shown = {name[0].upper() + name[1:]: float(value) for name, value in zip(NAMES, weights)}
        else:
            shown = vrm_expressions(weights, emotions)
        bundle = self._bundles.OscBundleBuilder(self._bundles.IMMEDIATELY)
        bundle.add_content(self._message("/VMC/Ext/OK", 1))
        bundle.add_content(self._message("/VMC/Ext/T", float(seconds)))
        for name, value in shown.items():
            bundle.add_content(self._message("/VMC/Ext/Blend/Val", name, value))
        bundle.add_content(self._message("/VMC/Ext/Blend/Apply"))
        self._socket.sendto(bundle.build().dgram, self._to)

    def close(self) -> None:
        self._socket.close()


class JsonSocket:
    """A client of a WebSocket server: first ``{"type": "names", "names": [...], "fps": 30}``, then one
    ``{"type": "frame", "time": SECONDS, "weights": [...], "emotions": {...}, "head": [YAW, PITCH, ROLL]}`` per frame."""

    def __init__(self, address: str, *, fps: int = 30):
        try:
            from websockets.sync.client import connect
        except ModuleNotFoundError:
            raise EmoFaceError('Sending to a WebSocket needs the package websockets: pip install "emoface[live]".') from None
        self._open = ExitStack()
        try:
            self._socket = self._open.enter_context(connect(address, open_timeout=5, proxy=None))
        except Exception as error:
            raise EmoFaceError(f"There is no WebSocket server at {address} ({str(error) or type(error).__name__}): start it first.") from None
        self._send({"type": "names", "names": list(NAMES), "fps": fps})

    def _send(self, message: dict) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(json.dumps(message, separators=(",", ":")))
        except ConnectionClosed:
            raise EmoFaceError("The WebSocket server closed the connection: start it again, then this.") from None

    def send(self, weights: np.ndarray, emotions: Mapping[str, float], *, seconds: float, angles: Sequence[float] = STILL) -> None:
        self._send(
            {
                "type": "frame",
                "time": round(seconds, 4),
                "weights": [round(float(value), 4) for value in weights],
                "emotions": {name: round(float(value), 4) for name, value in emotions.items()},
                "head": [round(float(value), 4) for value in angles],
            }
        )

    def close(self) -> None:
        self._open.close()


_VRM_EMOTIONS = {"happy": ("happy",), "angry": ("angry", "disgust"), "sad": ("sad", "fearful"), "relaxed": ("calm",), "surprised": ("surprised",)}


def vrm_expressions(weights: np.ndarray, emotions: Mapping[str, float]) -> dict[str, float]:
    """The presets of VRM 1.0 in [0, 1], for avatars without ARKit shapes: five vowels by how open, wide and round the mouth is, blinks
    and the emotions (VRM has five; fear is shown as sadness, disgust as anger)."""
    w = dict(zip(NAMES, map(float, weights)))

    def limit(value: float) -> float:
        return min(max(value, 0.0), 1.0)

    def mean(*names: str) -> float:
        return sum(w[name] for name in names) / len(names)

    opened = limit((w["jawOpen"] - w["mouthClose"]) / 0.5)
    wide = limit(mean("mouthStretchLeft", "mouthStretchRight") + 0.5 * mean("mouthSmileLeft", "mouthSmileRight"))
    pursed, funnel = limit(w["mouthPucker"]), limit(w["mouthFunnel"])
    round_ = limit(pursed + funnel)
    shown = {
        "aa": opened * (1 - round_) * (1 - 0.5 * wide),
        "ih": 0.5 * wide * (1 - opened),
        "ou": pursed * (1 - 0.5 * opened),
        "ee": wide * opened * (1 - round_),
        "oh": funnel * (0.5 + 0.5 * opened),
        "blinkLeft": w["eyeBlinkLeft"],
        "blinkRight": w["eyeBlinkRight"],
    }
    shown |= {name: sum(emotions.get(one, 0.0) for one in of) for name, of in _VRM_EMOTIONS.items()}
    return {name: limit(value) for name, value in shown.items()}
