"""The page in other languages than English: no English is left, and nothing that is sent depends on the language."""

import re

import pytest

from emoface.ui.texts import LANGUAGES, load_texts, translate_script
from tests.browser.conftest import WAIT
from tests.browser.controls import clear, upload
from tests.browser.faces import wait_for_face

# All words that can be read or are read aloud, in the tab that is open.
WORDS = """() => {
  const found = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), seen = node => node?.checkVisibility() && !node.closest('script, style');
  while (walker.nextNode()) if (seen(walker.currentNode.parentElement)) found.add(walker.currentNode.data.trim());
  for (const name of ['aria-label', 'title', 'placeholder']) for (const node of document.querySelectorAll('[' + name + ']')) if (seen(node)) found.add(node.getAttribute(name).trim());
  return [...found].filter(text => /[A-Za-z]{3}/.test(text));
}"""
NAMES = {
    "EmoFace",
    "CPU",
    "CC BY-NC-SA 4.0",
    "emoface-mini",
    "puppet",
    "Normal",
    "Live",
    "Neutral",
    "English",
    "GitHub",
    "Pause",
    "Link",
    "Format",
    "Apache-2.0",
    "MIT, OpenAI Whisper",
    "EmoFace: Emotion-Content Disentangled Speech-Driven 3D Talking Face Animation",
}
"""Names, and words that are the same in both languages."""

FACES = {0: ("animate", 1), 2: ("cross", 4), 3: ("importance", 2)}
CHARTS = {2: "#cross-plot", 3: "#comparison"}
"""By the place of the tab; charts follow the faces."""


def settled_words(page) -> set[str]:
    """The words on the page when two looks at it agree: while folds open, texts are still changing."""
    before, now = None, set(page.evaluate(WORDS))
    while before != now:
        page.wait_for_timeout(300)
        before, now = now, set(page.evaluate(WORDS))
    return now


def words_by_tab(page):
    page.wait_for_function("emoface.texts === undefined || emoface.texts.then(() => true)")
    out = {}
    tabs = page.locator(".ef-tabs > .tab-wrapper button[role=tab]")
    for index in range(tabs.count()):
        tabs.nth(index).click()
        panel = page.get_by_role("tabpanel").locator("visible=true")
        if index in FACES:
            wait_for_face(page, FACES[index][0], count=FACES[index][1])
        if index in CHARTS:
            page.locator(f"{CHARTS[index]} .main-svg").first.wait_for()
        for fold in panel.locator(".label-wrap:visible").all():
            fold.click()
        out[index] = settled_words(page)
    return out


def test_no_english_is_left_in_german(open_page, opening_server):
    page = open_page(address=opening_server, locale="en-GB", reduced_motion="reduce")
    english = words_by_tab(page)
    page.close()
    page = open_page(address=opening_server, locale="de-DE", reduced_motion="reduce")
    page.get_by_text("Mit Gradio erstellt").wait_for()  # Gradio fetches its own words later than ours
    german = words_by_tab(page)
    assert page.evaluate("document.documentElement.lang") == "de" and "Animieren" in german[0]
    for index, words in german.items():
        assert len(words) > 20
        left = {text for text in words & english[index] if text not in NAMES and not re.fullmatch(r"[\w.-]+\.wav|(Neutral · )?[\d.]+ mm.*", text)}
        assert not left, f"tab {index}: {sorted(left)}"


@pytest.mark.parametrize(
    ("path", "locale", "go"),
    [
        ("?lang=de", "en-GB", "Animieren"),
        ("?lang=en", "de-DE", "Animate"),
        ("", "fr-CA", "Animer"),
        ("", "es-MX", "Animar"),
        ("", "zh-CN", "生成动画"),
        ("", "sv-SE", "Animate"),
        ("?lang=xx", "es-ES", "Animar"),
    ],
)
def test_the_browser_chooses_the_language_and_the_address_overrides_it(chromium, server, path, locale, go):
    """The page's own script and its texts, on a page with nothing but the button."""
    context = chromium.new_context(locale=locale)
    try:
        page = context.new_page()
        body = f"<!doctype html><head>{translate_script()}</head><button id=animate>Animate</button>"
        page.route(f"{server}words**", lambda request: request.fulfill(content_type="text/html; charset=utf-8", body=body))
        page.goto(f"{server}words{path}")
        page.wait_for_function("go => document.querySelector('#animate').textContent.trim() === go", arg=go, timeout=WAIT)
        if go == "Animate":
            assert page.evaluate("[document.documentElement.lang, emoface.texts ?? null]") == ["en", None]  # nor will it be translated later
    finally:
        context.close()


def test_what_is_sent_stays_english_and_answers_are_translated(open_page, sounds):
    page = open_page(locale="de-DE")
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 Sekunden.").wait_for()
    page.get_by_label("Ein gewähltes Gefühl").check()
    page.locator("#named").get_by_label("Wütend", exact=True).check()
    page.click("#animate")
    wait_for_face(page, "animate")
    assert page.evaluate("emoface.players.animate.made.emotion") == "angry"
    page.get_by_text("Das Gesicht ist wütend, weil Sie es gewählt haben").wait_for()
    page.get_by_text("Fertig nach").wait_for()
    clear(page, "#speech", label="Löschen")
    upload(page, "#speech", sounds["silent"])
    page.get_by_text("silent.wav ist stumm").first.wait_for()


def test_every_language_has_every_text():
    languages = {language: load_texts(language) for language in LANGUAGES}
    assert set(languages) == {"de", "es", "fr", "zh"}
    keys = set(languages["de"])
    for language, texts in languages.items():
        assert set(texts) == keys, f"{language}: {sorted(set(texts) ^ keys)}"
        for english, translation in texts.items():
            assert translation and set(re.findall(r"\{\w+\}", translation)) <= set(re.findall(r"\{\w+\}", english)), f"{language}: {english}"
