"""The page as a whole: what it opens with by a link, on a phone, for raters and as a file of its own."""

import io
import json
from urllib.parse import quote

import numpy as np
from PIL import Image

from tests.browser.conftest import WAIT
from tests.browser.controls import wait_for_text
from tests.browser.faces import changed, hold, picture, wait_for_face


def test_a_link_restores_the_settings(open_page):
    curve = quote(json.dumps([[0, {"speech": 1}], [1, {"happy": 1}]]))
    page = open_page(path=f"?source=named&emotion=sad&level=strong&head=3&mix=0.5&style=s2&idle=false&curve={curve}", width=390)
    page.wait_for_function("document.querySelector('#named')?.offsetParent")
    assert page.locator("#named").get_by_label("Sad", exact=True).is_checked()
    assert page.get_by_role("radio", name="Head 3").get_attribute("aria-checked") == "true"
    wait_for_text(page, "#status", "press Direct this face")
    for tab in ("Animate", "Swap", "Explain", "About"):  # none is hidden on a phone
        assert page.get_by_role("tab", name=tab).is_visible()


def test_work_is_shown_on_the_stage_which_is_in_sight(open_page, puppeteer, monkeypatch):
    page = open_page(width=1440)
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("width => innerWidth === width", arg=width)
        page.evaluate("scrollTo(0, 0)")
        assert page.locator("#animate").bounding_box()["y"] + page.locator("#animate").bounding_box()["height"] <= height
        stage = page.locator("#player .efp-stage").bounding_box()
        assert stage["y"] < page.locator("#speech").bounding_box()["y"] + 1 and stage["y"] + 300 < height  # the face before the controls
        with monkeypatch.context() as patch:
            patch.setattr(puppeteer, "delay", 60.0)
            page.get_by_role("button", name="Narrator").first.click()
            wait_for_text(page, "#player", "Moving the face")
            page.click("#stop")
            page.wait_for_function("!document.querySelector('#player').textContent.includes('Moving the face')")
        wait_for_text(page, "#status", "Stopped")


def test_raters_see_the_study_alone_and_its_owner_the_app_too(chromium, puppeteer, monkeypatch):
    import gradio as gr

    from emoface.ui import study
    from emoface.ui.app import build_app, launch_options

    monkeypatch.setattr(study, "build_study", lambda folder: gr.Markdown("Welcome to the study"))
    app = build_app(pipeline=lambda: puppeteer, opening=False, study="any")
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(app, study=True), "mcp_server": False})
    page = chromium.new_page()
    try:
        page.goto(address)
        page.get_by_text("Welcome to the study").wait_for()
        assert page.get_by_role("tab", name="Animate").count() == 0 or page.get_by_role("tab", name="Animate").first.is_hidden()
        assert page.locator(".ef-header").is_hidden()
        page.goto(address + "?app")
        page.get_by_role("tab", name="Animate").first.click()
        page.locator("#animate").wait_for()
    finally:
        page.close()
        app.close()


def test_a_shared_page_plays_from_the_disk_alone(chromium, sounds, tmp_path):
    from emoface.audio import load_audio
    from emoface.ui.share import write_page
    from tests.puppet import puppet

    face = puppet(load_audio(sounds["bursts"]), emotion="happy")
    face.settings["speech"] = "</script><script>window.hacked = 1</script>"
    path = write_page(face, tmp_path / "face.html")
    context = chromium.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator(".poster").is_visible()  # a face at once, and in previews that run no scripts
    seen = np.asarray(Image.open(io.BytesIO(page.locator(".poster").screenshot())).convert("RGB"), float)
    assert np.abs(seen - seen[5, 5]).max(axis=2).mean() > 20
    context.close()
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(path.as_uri())
    wait_for_face(page, "shared")
    page.wait_for_function("emoface.players.shared.audio.currentTime > 0.2")
    assert page.locator(".poster").is_hidden()
    assert asked == [] and page.evaluate("window.hacked") is None
    hold(page, "shared", 0.2)
    quiet = picture(page, "#face")
    hold(page, "shared", 0.6)
    assert changed(quiet, picture(page, "#face")) > 0.002
    context.close()
