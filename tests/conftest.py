"""What several packages of tests share: one real Chromium for the whole run (only one Playwright may run at a time)."""

import os
import shutil

import pytest

CHROMIUM_FLAGS = [
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--no-sandbox",
]


def pytest_collection_modifyitems(items):
    """Whatever asks for Chromium drives a real browser; ``slow`` stands at the tests themselves."""
    for item in items:
        if "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.browser)


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
