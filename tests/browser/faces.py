"""What the browser tests do with a player: wait for it, hold it at a time, take its picture."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image


def run_of(page, player: str) -> str | None:
    return page.evaluate(f"window.emoface?.players?.{player}?.scene?.run ?? null")


def wait_for_face(page, player: str, *, after: str | None = None, count: int = 1) -> None:
    """Until ``count`` faces are drawn, of another run than ``after``."""
    page.wait_for_function(
        "([player, after, count]) => { const scene = window.emoface?.players?.[player]?.scene;"
        " return scene && scene.run !== after && scene.panels.length === count && scene.shown >= 0; }",
        arg=[player, after, count],
    )


def hold(page, player: str, seconds: float) -> None:
    """Pause at a time and wait until that frame is on the screen."""
    page.evaluate("([player, seconds]) => { const p = emoface.players[player]; p.audio.pause(); p.seek(seconds); }", [player, seconds])
    page.wait_for_function(
        "([player, seconds]) => { const { scene, audio } = emoface.players[player];"
        " return !audio.seeking && scene.shown === Math.min(scene.header.frames - 1, Math.floor(seconds * scene.header.fps + 1e-4)) && !scene.dirty; }",
        arg=[player, seconds],
    )
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def until(condition: Callable[[], bool], *, page, seconds: float = 300.0) -> None:
    """Until a condition holds that only Python can see, such as one on pictures; ``seconds`` is only a guard against hangs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        page.wait_for_timeout(50)


def picture(page, root: str, panel: int = 0) -> np.ndarray:
    """(H, W, 3) float of one face as it is on the screen."""
    png = page.locator(f"{root} .efp-plot").nth(panel).screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.float32)


def changed(a: np.ndarray, b: np.ndarray, *, by: float = 24) -> float:
    """Share of pixels whose strongest channel differs by more than ``by`` of 255."""
    return float((np.abs(a - b).max(axis=2) > by).mean())
