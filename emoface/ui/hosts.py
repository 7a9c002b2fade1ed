"""Which names the page answers to, and whose word counts on where a request comes from."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any
from urllib.parse import urlsplit

_SPACE_PROXIES = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10"


def trust_proxies() -> None:
    """Forwarded addresses are believed only from proxies named by FORWARDED_ALLOW_IPS (addresses and networks, comma separated).

    By default from none; on a Space from its own network. To be called before the server starts.
    """
    os.environ.setdefault("FORWARDED_ALLOW_IPS", _SPACE_PROXIES if os.environ.get("SPACE_ID") else "")


def host_check() -> list[Any]:
    """Middleware that refuses requests for foreign names: a web page elsewhere could point its own name at this machine (DNS rebinding).

    Addresses, localhost, this machine's name, the host of GRADIO_ROOT_PATH and those in EMOFACE_HOSTS (comma separated) are answered.
    A Space is reached through its proxy only, so there nothing is checked.
    """
    from starlette.middleware import Middleware

    return [] if os.environ.get("SPACE_ID") else [Middleware(AllowedHosts, names=allowed_names())]


def allowed_names() -> set[str]:
    """Host names by which this server may be addressed: its own, that of ``GRADIO_ROOT_PATH`` and those of ``EMOFACE_HOSTS``."""
    own = socket.gethostname().lower()
    root = urlsplit(os.environ.get("GRADIO_ROOT_PATH") or "").hostname
    given = {name.strip().lower() for name in os.environ.get("EMOFACE_HOSTS", "").split(",")}
    return {"localhost", own, f"{own}.local", *given, *([root] if root else [])} - {""}


class AllowedHosts:
    """ASGI middleware: 403 for any other ``Host``."""

    def __init__(self, app: Any, names: set[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket") and not self._known(dict(scope["headers"]).get(b"host", b"")):
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008})
            body = b"This page does not go by that name: add it to EMOFACE_HOSTS where the page is started."
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain; charset=utf-8")]})
            return await send({"type": "http.response.body", "body": body})
        return await self._app(scope, receive, send)

    def _known(self, host: bytes) -> bool:
        try:
            name = urlsplit("//" + host.decode("ascii")).hostname or ""
            if name in self._names:
                return True
            ipaddress.ip_address(name)
        except ValueError:  # not ASCII, not a host, not an address
            return False
        return True
