"""How late the live face is: a recording is played through Chromium's fake microphone into the tab Live, with software drawing.

    python -m train.tools.measure_live [--sound assets/examples/happy.wav] [--seconds 20] [--emotion speech] [--address http://127.0.0.1:7860]

Printed, in milliseconds: from the moment the sound of a frame has reached the page to that frame drawn (p50, p95), over all frames that are drawn; how many
frames a second are drawn; and how long the frame waited for its turn at the end (the jitter buffer). The time that a real microphone, its driver and the screen
take comes on top.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from train.tools.screenshots import FLAGS

FACE = "() => window.emoface?.players?.live?.scene?.panels.length && emoface.players.live.scene.shown >= 0"


def measure(address: str, chromium: str, sound: Path, *, seconds: float, emotion: str) -> dict[str, float]:
    flags = [*FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={sound.resolve()}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["microphone"]).new_page()
        page.set_default_timeout(300_000)
        page.goto(address)
        page.get_by_role("tab", name="Live", exact=True).click()
        page.wait_for_function(FACE)
        if emotion != "speech":
            page.locator("#live-source label", has_text="A named emotion").click()
            page.locator("#live-named label", has_text=emotion.capitalize()).click()
        page.locator("#live .efl-go").click()
        page.wait_for_function("() => emoface.live.latency.length > 30")
        result = page.evaluate("""async seconds => {
          const { latency, run } = emoface.live;
          latency.length = 0;
          await new Promise(done => setTimeout(done, 1000 * seconds));
          const sorted = [...latency].sort((a, b) => a - b), at = share => sorted[Math.floor(share * (sorted.length - 1))];
          return { p50: at(.5), p95: at(.95), fps: sorted.length / seconds, buffered: run ? run.frames.length * 1000 / run.fps : NaN };
        }""", seconds)
        browser.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", help="a running page; default: one is started here")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium"))
    parser.add_argument("--sound", type=Path, default=Path("assets/examples/happy.wav"), help="wav that the microphone hears, again and again")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--emotion", default="speech")
    options = parser.parse_args()
    close = None
    if options.address is None:
        from emoface.ui.app import build_app, launch_options

        app = build_app()
        app.emoface.engine.pipeline  # noqa: B018 - loaded before the clock starts, as after the first visitor
        _, options.address, _ = app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(app), "mcp_server": False})
        close = app.close
    found = measure(options.address, options.chromium, options.sound, seconds=options.seconds, emotion=options.emotion)
    print(f"sound to drawn face: p50 {found['p50']:.0f} ms, p95 {found['p95']:.0f} ms; {found['fps']:.1f} frames/s drawn; {found['buffered']:.0f} ms of frames wait")
    if close:
        close()


if __name__ == "__main__":
    main()
