"""How late the live face is: a recording is played through Chromium's fake microphone into the tab Live, with software drawing.

    python -m train.tools.measure_live [--sound assets/examples/happy.wav] [--seconds 20] [--emotion speech] [--address http://127.0.0.1:7860]
        [--stages] [--no-drawing]

Printed, in milliseconds: from the moment the sound of a frame has reached the page to that frame drawn (p50, p95), over all frames that are drawn; how many
frames a second are drawn; and how long the frames wait for their turn at the end (the jitter buffer). ``--stages`` adds where the time goes (the page is then
served here); its last line is when the browser asks for the next picture, which software drawing puts off until it is done. ``--no-drawing`` measures until
the frame is there to be drawn, and draws nothing. The time that a real microphone, its driver and the screen take comes on top.
"""

from __future__ import annotations

import argparse
import bisect
import os
import shutil
import struct
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from train.tools.screenshots import FLAGS

FACE = "() => window.emoface?.players?.live?.scene?.panels.length && emoface.players.live.scene.shown >= 0"
STAGES = (
    "what must be heard after it",
    "its turn",
    "computation",
    "packing",
    "way to the page",
    "unpacking",
    "jitter buffer",
    "drawing in the page",
    "until the next picture",
)
WATCH_SOCKET = """() => {
  window.pieces = [];
  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener('message', ({ data }) => { if (data instanceof ArrayBuffer) pieces.push([...new Uint32Array(data, 0, 2), performance.now()]); });
    }
  };
}"""
WATCH_FRAMES = """draws => {
  const { players, live } = emoface, original = players.live.stream;
  window.ready = new Map(); window.shown = [];
  players.live.stream = source => {
    if (source) live.run.frames.push = function (one) { ready.set(one.number, performance.now()); return Array.prototype.push.call(this, one); };
    original(source && {
      ...source,
      frame: (now, newest) => { const positions = source.frame(now, newest); if (positions) shown.push([live.run.shown, performance.now()]); return draws ? positions : null; },
      drawn: now => { const row = shown.at(-1); row.push(now); requestAnimationFrame(() => row.push(performance.now())); source.drawn(now); },
    });
  };
}"""
RESULT = """async seconds => {
  const { latency, run } = emoface.live, quantiles = list => { const sorted = [...list].sort((a, b) => a - b); return [.5, .95].map(share => sorted[Math.floor(share * (sorted.length - 1))]); };
  latency.length = shown.length = pieces.length = 0;
  ready.clear();
  await new Promise(done => setTimeout(done, 1000 * seconds));
  const [p50, p95] = quantiles(latency), waits = [...ready].map(([number, at]) => at - run.began - number / run.fps * 1000), [ready50, ready95] = quantiles(waits);
  return { p50, p95, ready50, ready95, fps: latency.length / seconds, buffered: run.frames.length * 1000 / run.fps, rate: run.rate, frameRate: run.fps,
           began: run.began, zero: performance.timeOrigin, ready: [...ready], shown, pieces };
}"""


class Server:
    """When the server got, computed and packed what, by the clock of this machine in milliseconds."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, float]] = []
        """(samples received, when)."""
        self.pieces: dict[int, list[float]] = {}
        """First frame -> when its last sample came, its computation began, ended, and it was packed."""
        self._computed = 0.0

    @contextmanager
    def watched(self):
        from emoface.ui.live_socket import _Turns
        from emoface.ui.rooms import Room

        take, feed, packed, heard = _Turns._take_block, Room.feed, Room._packed, {}

        def note_block(turns, content):
            take(turns, content)
            self.blocks.append((turns._room.received, _now()))

        def note_feed(room, samples, feeling, *, fresh):
            heard[room] = heard.get(room, 0) + len(samples)
            begin = _now()
            message, emotion = feed(room, samples, feeling, fresh=fresh)
            if message is not None:
                came = self.blocks[bisect.bisect_left(self.blocks, (heard[room], 0.0))][1]
                self.pieces[struct.unpack_from("<I", message)[0]] = [came, begin, self._computed, _now()]
            return message, emotion

        def note_packed(room, piece, fresh):
            self._computed = _now()
            return packed(room, piece, fresh)

        _Turns._take_block, Room.feed, Room._packed = note_block, note_feed, note_packed
        try:
            yield self
        finally:
            _Turns._take_block, Room.feed, Room._packed = take, feed, packed


def _now() -> float:
    return 1000 * time.time()


def stages(server: Server, found: dict) -> np.ndarray:
    """(frames shown, stages) milliseconds of every frame whose whole way is known."""
    zero, came = found["zero"], {start: (count, at) for start, count, at in found["pieces"]}
    ready, rows = dict(map(tuple, found["ready"])), []
    for number, *times in found["shown"]:
        start = max((start for start in came if start <= number), default=-1)
        if len(times) < 3 or start not in server.pieces or number >= start + came[start][0] or number not in ready:
            continue
        spoken = found["began"] + 1000 * number / found["frameRate"]
        page = [came[start][1], ready[number], *times]
        rows.append(np.diff([zero + spoken, *server.pieces[start], *(zero + at for at in page)]))
    return np.array(rows)


def measure(address: str, chromium: str, sound: Path, *, seconds: float, emotion: str, draws: bool = True) -> dict:
    flags = [*FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={sound.resolve()}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["microphone"]).new_page()
        page.set_default_timeout(300_000)
        page.add_init_script(f"({WATCH_SOCKET})()")
        page.goto(address)
        page.get_by_role("tab", name="Live", exact=True).click()
        page.wait_for_function(FACE)
        if emotion != "speech":
            page.locator("#live-source label", has_text="A named emotion").click()
            page.locator("#live-named label", has_text=emotion.capitalize()).click()
        page.evaluate(WATCH_FRAMES, draws)
        page.locator("#live .efl-go").click()
        page.wait_for_function("() => ready.size > 60")
        result = page.evaluate(RESULT, seconds)
        browser.close()
    return result


def table(rows: np.ndarray) -> str:
    lines = [f"{'stage, ms':30}   p50   p95"]
    lines += [f"{name:30} {np.median(row):5.0f} {np.quantile(row, 0.95):5.0f}" for name, row in zip(STAGES, rows.T)]
    whole = rows.sum(axis=1)
    return "\n".join([*lines, f"{'all':30} {np.median(whole):5.0f} {np.quantile(whole, 0.95):5.0f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", help="a running page; default: one is started here")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium"))
    parser.add_argument("--sound", type=Path, default=Path("assets/examples/happy.wav"), help="wav that the microphone hears, again and again")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--emotion", default="speech")
    parser.add_argument("--stages", action="store_true", help="where the time goes")
    parser.add_argument("--no-drawing", action="store_true", help="until the frame is there to be drawn; nothing is drawn")
    options = parser.parse_args()
    if options.stages and (options.address or options.no_drawing):
        parser.error("--stages looks into a server of its own and into the drawing: leave out --address and --no-drawing.")
    wanted = dict(seconds=options.seconds, emotion=options.emotion, draws=not options.no_drawing)
    if options.address is not None:
        return report(measure(options.address, options.chromium, options.sound, **wanted), draws=wanted["draws"])
    from emoface.ui.app import build_app, launch_options

    app, server = build_app(), Server()
    app.emoface.engine.pipeline  # noqa: B018 - loaded before the clock starts, as after the first visitor
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(app), "mcp_server": False})
    with server.watched():
        found = measure(address, options.chromium, options.sound, **wanted)
    report(found, draws=wanted["draws"])
    if options.stages:
        print(table(stages(server, found)))
    app.close()


def report(found: dict, *, draws: bool) -> None:
    print(f"sound to frame in the page: p50 {found['ready50']:.0f} ms, p95 {found['ready95']:.0f} ms; load {os.getloadavg()[0]:.1f}")
    if draws:
        print(
            f"sound to drawn face: p50 {found['p50']:.0f} ms, p95 {found['p95']:.0f} ms; {found['fps']:.1f} frames/s drawn; {found['buffered']:.0f} ms of frames wait"
        )


if __name__ == "__main__":
    main()
