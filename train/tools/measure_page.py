"""How fast the page is in a headless Chromium with software drawing.

    python -m train.tools.measure_page [--address http://127.0.0.1:7860] [--sound CLIP]

Prints seconds from opening the page to first paint and to a drawn face, seconds from the click to the new face, and, while one face plays,
distinct frames per second and how late the frame on the screen is (milliseconds, sampled at every frame of the browser).
Without --address the page is served here, with its precomputed examples.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from train.tools.screenshots import FLAGS

FACE = "window.emoface?.players?.animate?.scene?.shown >= 0"
PLAY = """async seconds => {
  const { audio, lateness, scene } = emoface.players.animate;
  audio.loop = true; audio.muted = true; audio.currentTime = 0;
  await audio.play();
  await new Promise(done => setTimeout(done, 500));
  lateness.length = 0; scene.drawn = 0;
  await new Promise(done => setTimeout(done, 1000 * seconds));
  const sorted = [...lateness].sort((a, b) => a - b);
  return { fps: scene.drawn / seconds, p50: sorted[sorted.length >> 1], p95: sorted[Math.floor(0.95 * sorted.length)], fast: emoface.players.animate.fast };
}"""


def measure(address: str, chromium: str, sound: Path | None, seconds: float) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(300_000)
        start = time.monotonic()
        page.goto(address)
        page.wait_for_function(FACE)
        first = time.monotonic() - start
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        print(f"first paint {paint:.2f} s, first face {first:.2f} s")
        result = page.evaluate(PLAY, seconds)
        print(f"one face: {result['fps']:.1f} frames/s, lateness p50 {result['p50']:.0f} ms, p95 {result['p95']:.0f} ms, fast path {result['fast']}")
        page.evaluate("emoface.players.animate.audio.pause()")
        if sound is not None:
            page.locator("#speech input[type=file]").set_input_files(str(sound))
            page.get_by_text("seconds. Ready.").first.wait_for()
            for attempt in ("first", "second"):
                run = page.evaluate("emoface.players.animate.scene.run")
                start = time.monotonic()
                page.click("#animate")
                page.wait_for_function(
                    "run => { const scene = emoface.players.animate.scene; return scene && scene.run !== run && scene.shown >= 0; }", arg=run
                )
                print(f"click to face, {attempt} time: {time.monotonic() - start:.2f} s")
                page.evaluate("emoface.players.animate.audio.pause()")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", help="a running page; default: one is started here")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium"))
    parser.add_argument("--sound", type=Path, help="recording to animate by upload and click")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long the face plays")
    options = parser.parse_args()
    if options.address:
        return measure(options.address, options.chromium, options.sound, options.seconds)

    from emoface.ui.app import build_app, launch_options
    from emoface.ui.context import SPEECH_EXAMPLES

    app = build_app()
    app.emoface.engine.warm_up(SPEECH_EXAMPLES[0].path)  # as ``emoface serve`` does while nobody has clicked yet
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(app), "mcp_server": False})
    measure(address, options.chromium, options.sound, options.seconds)
    app.close()


if __name__ == "__main__":
    main()
