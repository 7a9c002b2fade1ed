"""What several packages of tests share: one real Chromium for the whole run (only one Playwright may run at a time), and how the tests are
divided among processes (``pytest -n 2``)."""

import os
import shutil
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: processes that share the cores need no threads on top

CHROMIUM_FLAGS = [
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",  # where a processor draws, Chromium paints a page in a third of the time without the GPU's way round; faces are drawn as before
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--no-sandbox",
]


def drives_chromium(file: str) -> bool:
    """Whether a test file, by its path from the repository's root, drives the browser."""
    path = Path(__file__).parent.parent / file
    return path.parent.name == "browser" or "chromium" in path.read_text("utf-8")


def pytest_collection_modifyitems(items):
    """Whatever asks for Chromium drives a real browser; ``slow`` stands at the tests themselves. Browser files come first: what takes longest should not begin last."""
    for item in items:
        if "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
    drawing = {item.path for item in items if item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in drawing)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file stays in one process, which makes its fixtures once. All files that drive the browser share one: two that draw in software would slow each other down.

    (xdist's own ``loadgroup`` writes ``item._nodeid``, which pytest 9.2 does not read any more.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "browser" if drives_chromium(file) else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


def missing(message: str) -> None:
    """Skip for want of a tool; in CI, which installs them all, fail instead."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium (a Playwright ``Browser``); open a context or page of your own in it and close that again."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium is not installed (Debian: apt-get install chromium, or set CHROMIUM to its path)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def as_decoded(monkeypatch):
    """What the network says, before torn skin is bounded and lips and teeth are parted (which is not linear)."""
    from emoface.contact import MouthContact
    from emoface.skin import SkinBound

    monkeypatch.setattr(MouthContact, "resolve", lambda self, skin, weights: skin)
    monkeypatch.setattr(SkinBound, "__call__", lambda self, offsets, weights: offsets)
