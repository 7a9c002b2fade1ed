"""The WebSocket of the tab Live, a route of the page's own server.

The browser begins with ``{"rate": 48000, "feeling": {...}, "head": 0, "idle": true, "nods": true, "level": "normal", "style": null,
"resume": null}`` and is told
``{"type": "ready", "name", "received", "limit"}``. Then it sends blocks of int16 samples, at any time ``{"feeling": {...}}``, and at the end
``{"stop": true}``; it gets frames (``rooms.Room``), ``{"type": "heard", "emotion"}`` when that changes, and at last ``{"type": "done", "name"}`` or
``{"type": "sorry", "message"}``. With ``"resume": NAME`` it goes on with a session whose connection broke, from the sample ``received``.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..animation import LEVELS
from ..errors import EmoFaceError
from ..front_end import HURRY_SECONDS
from .context import Context
from .engine import MAX_SECONDS
from .hosts import allowed_names
from .rooms import BUSY, ZERO_GPU, Room

PATH = "/emoface/live"
_SILENT_SECONDS = 20.0
_HELLO_BYTES, _BLOCK_BYTES = 4096, 1 << 18
_BEHIND_SECONDS = 16.0  # a visitor who was away for a while comes back with as much
_MOST_WAITING = 10_000  # blocks; the page sends 50 a second
_RATES = (8000, 192000)
# What reading JSON of strangers raises: also numbers of 400 digits, and brackets in brackets.
_NONSENSE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)


def live_route(context: Context) -> WebSocketRoute:
    """The address that the tab Live connects to; only from pages of this server."""

    async def endpoint(socket: WebSocket) -> None:
        if not same_site(socket):
            return await socket.close(1008)
        await socket.accept()
        try:
            await _serve(context, socket)
        except (WebSocketDisconnect, RuntimeError):  # the visitor has gone, also while something was sent
            pass

    return WebSocketRoute(PATH, endpoint)


def same_site(socket: WebSocket) -> bool:
    """Whether the page that opens the connection is this server's own: browsers let any page connect to any server."""
    origin = socket.headers.get("origin")
    if not origin:  # no browser
        return True
    name = urlsplit(origin).hostname
    own = {urlsplit("//" + value.split(",")[0].strip()).hostname for key in ("host", "x-forwarded-host") if (value := socket.headers.get(key))}
    return name in own or name in allowed_names()


async def _serve(context: Context, socket: WebSocket) -> None:
    room = None
    try:
        room = _room(context, await _hello(socket))
        room.here = socket
        await asyncio.get_running_loop().run_in_executor(context.rooms.pool, room.open)  # the first visitor waits for the model here
    except (EmoFaceError, *_NONSENSE, asyncio.TimeoutError) as error:
        sentence = str(error) if isinstance(error, EmoFaceError) else "The page and the server do not understand each other: reload the page."
        if room is not None:
            context.rooms.leave(room)
        await socket.send_json({"type": "sorry", "message": sentence})
        return await socket.close(1008)
    except BaseException:  # a fault of ours must not take the place for ever
        if room is not None:
            context.rooms.leave(room)
        raise
    try:
        await socket.send_json({"type": "ready", "name": room.name, "received": room.received, "limit": room.limit})
        await _Turns(context, socket, room).run()
    finally:
        if room.here is socket:
            room.here, room.left = None, time.monotonic()


async def _hello(socket: WebSocket) -> dict[str, Any]:
    text = await asyncio.wait_for(socket.receive_text(), _SILENT_SECONDS)
    if len(text) > _HELLO_BYTES:
        raise ValueError("too long")
    return dict(json.loads(text))


def _room(context: Context, hello: dict[str, Any]) -> Room:
    if context.engine.zero_gpu:
        raise EmoFaceError(ZERO_GPU)
    if hello.get("resume"):
        return context.rooms.again(str(hello["resume"]))
    rate = int(hello["rate"])
    if not _RATES[0] <= rate <= _RATES[1]:
        raise EmoFaceError(f"The microphone's rate of {rate} Hz is unusual: choose one of {_RATES[0]} to {_RATES[1]} Hz.")
    level = hello.get("level") if hello.get("level") in LEVELS else LEVELS[0]
    style = hello.get("style") if hello.get("style") in context.styles else None
    options = dict(
        sample_rate=rate,
        feeling=_feeling(hello["feeling"]),
        head=int(hello.get("head") or 0),
        idle=bool(hello.get("idle", True)),
        head_motion=float(bool(hello.get("nods", True))),
        level=level,
        style=style,
    )

    def build():
        from ..live import LiveSession

        return LiveSession(context.engine.pipeline, **options)

    return context.rooms.enter(build, rate=rate, limit=MAX_SECONDS)


def _feeling(given: Any) -> dict[str, float]:
    """Weights as numbers; their names and size are checked by the session."""
    feeling = {str(name): float(weight) for name, weight in dict(given).items()}
    if not all(map(math.isfinite, feeling.values())):
        raise ValueError("not a number")
    return feeling


class _Turns:
    """Listens to one visitor all the time, and computes what came whenever it is this visitor's turn."""

    def __init__(self, context: Context, socket: WebSocket, room: Room):
        self._rooms, self._socket, self._room = context.rooms, socket, room
        self._feeling: dict[str, float] | None = None
        self._stopped = self._gone = False
        self._news = asyncio.Event()
        self._told, self._fresh = "", True

    async def run(self) -> None:
        listener = asyncio.create_task(self._listen())
        try:
            while not self._gone and self._room.here is self._socket:
                if not self._room.blocks:
                    await self._news.wait()
                self._news.clear()
                if self._room.blocks or self._feeling is not None:
                    await self._turn()
                if self._stopped and not self._room.blocks:
                    return await self._finish()
        except EmoFaceError as error:
            self._rooms.leave(self._room)
            await self._socket.send_json({"type": "sorry", "message": str(error)})
            await self._socket.close()
        finally:
            listener.cancel()

    async def _listen(self) -> None:
        """Ends when the visitor has gone, or talks nonsense, or sends no sound for a while; whatever else comes does not hold the place."""
        room, heard = self._room, time.monotonic()
        try:
            while not self._stopped and room.here is self._socket:
                message = await asyncio.wait_for(self._socket.receive(), max(heard + _SILENT_SECONDS - time.monotonic(), 0))
                if message["type"] == "websocket.disconnect":
                    break
                if message.get("bytes") is not None:
                    self._take_block(message["bytes"])
                    heard = time.monotonic()
                elif len(message.get("text") or "") <= _HELLO_BYTES:
                    told = dict(json.loads(message["text"]))
                    self._feeling = _feeling(told["feeling"]) if "feeling" in told else self._feeling
                    self._stopped |= bool(told.get("stop"))
                self._stopped |= room.full
                self._news.set()
        except (asyncio.TimeoutError, *_NONSENSE):
            pass
        finally:  # or the place would be taken for ever
            self._gone = not self._stopped
            self._news.set()

    def _take_block(self, content: bytes) -> None:
        if not 0 < len(content) <= _BLOCK_BYTES or len(content) % 2 or len(self._room.blocks) >= _MOST_WAITING:
            raise ValueError("no block of samples, or too many")
        block = np.frombuffer(content, "<i2")
        self._room.received += len(block)
        self._room.blocks.append(block)

    async def _turn(self) -> None:
        """All that has come since the last turn, as one: where the server is slow, turns become longer, and a longer one costs less per second."""
        room = self._room
        if sum(map(len, room.blocks)) > _BEHIND_SECONDS * room.rate:
            raise EmoFaceError(BUSY)
        count = int(np.searchsorted(np.cumsum([len(block) for block in room.blocks]), HURRY_SECONDS * room.rate)) + 1
        samples = np.concatenate([np.zeros(0, np.int16), *room.blocks[:count]])
        del room.blocks[:count]
        feeling, self._feeling = self._feeling, None
        frames, heard = await self._compute(partial(self._room.feed, samples, feeling, fresh=self._fresh))
        if frames is not None:
            self._fresh = False
            await self._socket.send_bytes(frames)
        if heard != self._told:
            self._told = heard
            await self._socket.send_json({"type": "heard", "emotion": heard})

    async def _finish(self) -> None:
        frames, take = await self._compute(partial(self._room.finish, fresh=self._fresh))
        if frames is not None:
            await self._socket.send_bytes(frames)
        self._rooms.leave(self._room, take)
        await self._socket.send_json({"type": "done", "name": self._room.name})
        await self._socket.close()

    async def _compute(self, function: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._rooms.pool, function)
