"""What the browser tests do with the controls of the page."""

from __future__ import annotations

from tests.browser.faces import run_of, wait_for_face

COPIED = "window.copied = null; Object.defineProperty(navigator, 'clipboard', { value: { writeText: async text => { window.copied = text; } } });"
"""Instead of the clipboard."""


def upload(page, field: str, path) -> None:
    page.locator(f"{field} input[type=file]").set_input_files(str(path))


def clear(page, field: str, *, label: str = "Clear") -> None:
    """Take the recording out of a field, if there is one."""
    button = page.locator(field).get_by_label(label)
    if button.count():
        button.click()
        page.locator(f"{field} input[type=file]").wait_for(state="attached")


def wait_for_text(page, selector: str, words: str) -> None:
    page.wait_for_function("([selector, words]) => document.querySelector(selector)?.textContent.includes(words)", arg=[selector, words])


def animate(page, *, player: str = "animate", button: str = "#animate", count: int = 1) -> None:
    """Press a button and wait until its new face is drawn."""
    before = run_of(page, player)
    page.click(button)
    wait_for_face(page, player, after=before, count=count)
