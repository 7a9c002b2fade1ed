"""Pictures of every tab for the documentation: light, dark and as on a phone.

    python -m train.tools.screenshots [--chromium /usr/bin/chromium] [--output docs/images]

Opens the real page with its precomputed examples in Debian's Chromium. Look at what it made.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FLAGS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required"]
TABS = {"animate": "Animate", "cross": "Swap", "importance": "Explain", "about": "About"}
SCALE = 2
"""Taken larger and made smaller: software drawing has no smooth edges of its own."""
MOMENT = {"animate": 1.2, "cross": 1.0, "importance": 1.9}
"""Second of the clip that each picture shows."""


def open_tab(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=TABS[tab]).click()


def settle(page: Page, tab: str) -> None:
    """Until the faces are drawn, then hold them at one moment."""
    if tab in MOMENT:
        page.wait_for_function("tab => window.emoface?.players?.[tab]?.scene?.shown >= 0", arg=tab)
        page.evaluate("([tab, seconds]) => { const player = emoface.players[tab]; player.audio.pause(); player.seek(seconds); }", [tab, MOMENT[tab]])
        page.wait_for_function(
            "([tab, seconds]) => { const { scene } = emoface.players[tab]; return scene.shown === Math.floor(seconds * scene.header.fps + 1e-4) && !scene.dirty; }",
            arg=[tab, MOMENT[tab]],
        )
    page.wait_for_timeout(2500)


def save(page: Page, path: Path, *, full: bool) -> None:
    picture = Image.open(io.BytesIO(page.screenshot(full_page=full))).convert("RGB")
    picture = picture.resize((picture.width // SCALE, picture.height // SCALE), Image.LANCZOS)
    picture.save(path, quality=72, method=6)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", help="one picture, e.g. cross-dark")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    from emoface.ui.app import build_app, launch_options

    app = build_app()
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(app), "mcp_server": False})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        for tab in TABS:
            for look, theme, width, height in (("light", "light", 1280, 900), ("dark", "dark", 1280, 900), ("phone", "light", 360, 780)):
                if options.only not in (None, f"{tab}-{look}"):
                    continue
                context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=SCALE)
                page = context.new_page()
                page.set_default_timeout(180_000)
                page.goto(f"{address}?__theme={theme}")
                page.wait_for_selector("#animate")
                open_tab(page, tab)
                settle(page, tab)
                save(page, options.output / f"{tab}-{look}.webp", full=look != "phone")
                context.close()
        browser.close()
    app.close()


if __name__ == "__main__":
    main()
