"""A real server behind the shared Chromium. Where Chromium is missing these tests are skipped, except in CI, where they fail."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.puppet import Puppeteer

BURSTS = (0.5, 1.1, 1.7)
"""Starts of the tone bursts of the test clip, seconds; each lasts 0.2 s."""
WAIT = 300_000
"""Milliseconds; only a guard against hangs."""


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Name -> path: tone bursts, a hum, and files that no one can animate, one of them with a nasty name."""
    folder = tmp_path_factory.mktemp("sounds")
    time = np.arange(int(2.2 * 16000)) / 16000
    tone = 0.7 * np.sin(2 * np.pi * 440 * time)
    gate = np.zeros_like(time)
    for start in BURSTS:
        gate[(time >= start) & (time < start + 0.2)] = 1
    soundfile.write(folder / "bursts.wav", tone * gate, 16000)
    soundfile.write(folder / "hum.wav", 0.3 * tone[:16000], 16000)
    soundfile.write(folder / "silent.wav", 0 * tone, 16000)
    nasty = folder / "<img src=x onerror=window.hacked=1>${window.hacked=2}.wav"
    nasty.write_text("this is not sound")
    return {"bursts": folder / "bursts.wav", "hum": folder / "hum.wav", "silent": folder / "silent.wav", "nasty": nasty}


@pytest.fixture(scope="session")
def puppeteer():
    return Puppeteer(delay=0.3)


def serve(puppeteer, *, opening):
    from emoface.ui.app import build_app, launch_options

    page = build_app(pipeline=lambda: puppeteer, opening=opening)
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(page), "mcp_server": False})
    yield page
    page.close()


@pytest.fixture(scope="session")
def server(puppeteer):
    """Address of the whole page, animated by the puppeteer; its players are empty at first, which saves software drawing."""
    for page in serve(puppeteer, opening=False):
        yield page.local_url


@pytest.fixture(scope="session")
def opening_app(puppeteer):
    """The same with the precomputed examples, as Gradio's Blocks."""
    yield from serve(puppeteer, opening=True)


@pytest.fixture(scope="session")
def opening_server(opening_app):
    return opening_app.local_url


def opener(chromium, server):
    contexts, errors = [], []

    def open_(*, address=server, path="", width=1100, height=900, script=None, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address + path)
        page.wait_for_selector("#animate")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def open_page(chromium, server):
    """Opens the page in a fresh context and returns it; errors of its scripts fail the test."""
    yield from opener(chromium, server)


@pytest.fixture(scope="module")
def keep_page(chromium, server):
    """The same for a page that the tests of one file share: to load the page and to build its first face costs more than most tests."""
    yield from opener(chromium, server)
