"""The tab Animate: what one visitor does there. Most tests share a page and bring its face back to where they begin."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from tests.browser.controls import COPIED, animate, clear, upload, wait_for_text
from tests.browser.faces import changed, hold, picture, run_of, until, wait_for_face


def test_earlier_animations_come_back_and_two_stand_side_by_side(open_page, sounds):
    page = open_page(height=1400)
    assert page.locator("#history .efy").is_hidden()
    page.get_by_role("button", name="Several recordings at once").click()
    page.locator("#several input[type=file]").set_input_files([str(sounds["hum"]), str(sounds["silent"])])
    page.locator("#several").get_by_text("silent").wait_for()
    page.click("#animate-all")
    wait_for_text(page, "#several-status", "1 of 2 done.")
    assert "silent.wav: left out." in page.inner_text("#several-status") and page.locator("#several-zip").is_visible()
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    page.click("#animate")
    wait_for_face(page, "animate")
    hold(page, "animate", 0.9)
    items = page.locator("#history .efy-items button")
    assert items.all_inner_texts() == ["Neutral, bursts.wav", "Neutral, hum.wav"]
    page.locator("#history img").first.wait_for()
    taken = page.evaluate("""async () => {   // the little picture shows a face: it has many colours
        const image = document.querySelector('#history img'), pen = new OffscreenCanvas(120, 120).getContext('2d');
        await image.decode();
        pen.drawImage(image, 0, 0);
        return new Set(new Uint32Array(pen.getImageData(0, 0, 120, 120).data.buffer)).size;
    }""")
    assert taken > 200
    latest = run_of(page, "animate")
    items.nth(1).click()
    wait_for_face(page, "animate", after=latest)
    assert page.evaluate("emoface.players.animate.scene.duration") == pytest.approx(1, abs=0.05)
    assert items.nth(1).get_attribute("aria-pressed") == "true" and "hum.wav" in page.inner_text("#echo")
    page.locator("#history .efy-compare").click()
    items.nth(0).click()
    items.nth(1).click()
    wait_for_face(page, "animate", count=2)
    assert page.locator("#player figcaption").all_inner_texts() == ["Neutral, bursts.wav", "Neutral, hum.wav"]


@pytest.fixture(scope="module")
def page(keep_page, sounds):
    """A page whose recording is bursts.wav, animated once."""
    page = keep_page(height=1400, script=COPIED, permissions=["microphone"])
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    animate(page)
    return page


@pytest.fixture
def heard(page):
    """The page with a face of the first head that feels what was heard."""
    page.get_by_label("From this speech").first.check()
    page.get_by_role("radio", name="Head 1", exact=True).click()
    made = page.evaluate("emoface.players.animate.made")
    if (made["source"], made["head"], made["level"], made.get("curve")) != ("speech", 0, "normal", None):
        animate(page)
    return page


def test_upload_animates_and_a_named_emotion_changes_the_face(heard):
    page = heard
    hold(page, "animate", 0.2)
    quiet = picture(page, "#player")
    hold(page, "animate", 0.6)
    assert changed(quiet, picture(page, "#player")) > 0.002
    assert "bursts.wav" in page.locator("#echo").inner_text()

    page.get_by_label("A named emotion").check()
    page.locator("#named").get_by_label("Angry", exact=True).check()
    page.get_by_role("button", name="More").click()
    page.locator("#level").get_by_label("Strongly").check()
    animate(page)
    page.locator("#level").get_by_label("Normally").check()
    hold(page, "animate", 0.2)
    assert changed(quiet, picture(page, "#player")) > 0.005
    assert "angry" in page.locator("#echo").inner_text() and "strong" in page.locator("#echo").inner_text()
    wait_for_text(page, "#felt", "angry because you chose it")
    assert page.locator("#emotion-bars .efc-summary").text_content() == ""  # a chosen emotion was not heard
    page.wait_for_function("document.querySelectorAll('#player canvas').length <= 1")  # runs do not pile up drawings


def test_what_was_heard_is_said_and_one_click_corrects_it(heard):
    page = heard
    wait_for_text(page, "#felt", "The voice probably sounds neutral (65 % sure).")
    first = run_of(page, "animate")
    page.locator("#correction").get_by_text("Angry").click()
    wait_for_face(page, "animate", after=first)
    assert page.evaluate("emoface.players.animate.made.emotion") == "angry"
    assert page.locator("#named").get_by_label("Angry", exact=True).is_checked()


def test_the_head_turns_and_zooms_by_keys(heard):
    page = heard
    hold(page, "animate", 0.5)
    front = picture(page, "#player")
    page.locator("#player .efp").focus()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_function("Math.abs(emoface.players.animate.camera.eye.x) > 0.3")
    until(lambda: changed(front, picture(page, "#player")) > 0.02, page=page)
    page.keyboard.press("0")
    until(lambda: changed(front, picture(page, "#player")) < 0.01, page=page)
    page.keyboard.press("+")
    page.wait_for_function("emoface.players.animate.zoom > 1.2")
    until(lambda: changed(front, picture(page, "#player")) > 0.02, page=page)
    page.keyboard.press("0")
    page.wait_for_function("emoface.players.animate.zoom === 1")


def test_a_feeling_is_directed_over_time_and_downloaded(heard):
    page = heard
    animate(page, button="#direct")
    hold(page, "animate", 1.5)
    calm = picture(page, "#player")
    page.locator("#director .efd-chips").get_by_text("Angry").click()
    canvas = page.locator("#director canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.click(position={"x": 10 + 1.5 / 2.2 * (box["width"] - 20), "y": 10 + (box["height"] - 20) / 3})  # 1.5 s, whole strength
    keys = page.evaluate("emoface.players.animate.scene.keys")
    assert [round(t, 1) for t, _ in keys] == [0, 1.1, 1.5, 1.9] and keys[2][1]["angry"] == pytest.approx(1, abs=0.05) and keys[0][1] == {"speech": 1}
    hold(page, "animate", 1.5)  # the face follows without the server
    assert changed(calm, picture(page, "#player")) > 0.003
    shown = np.array(
        page.evaluate("""() => { const { x, y, z } = emoface.players.animate.scene.panels[0].buffers;
        return [x, y, z].map(axis => Array.from(emoface.players.animate.scene.panels[0].buffers.coarse.slice(0, 30))); }""")[0]
    )
    assert np.isfinite(shown).all()
    with page.expect_response(lambda answer: "queue/join" in answer.url):
        page.get_by_role("button", name="NPZ data").click()
    link = page.locator("#download a").first
    link.wait_for()
    with page.expect_download() as download:
        link.click()
    with np.load(download.value.path(), allow_pickle=False) as saved:
        settings = json.loads(str(saved["settings"]))
    assert settings["emotion"][2][1]["angry"] == keys[2][1]["angry"]  # the file holds what was drawn, and can be given again
    page.click("#share")
    page.wait_for_function("window.copied")
    assert json.loads(parse_qs(urlsplit(page.evaluate("window.copied")).query)["curve"][0]) == keys
    page.locator("#director .efd-undo").click()
    assert page.evaluate("emoface.players.animate.scene.keys") == [[0, {"speech": 1}]]
    page.locator("#director .efd-compare").click()
    wait_for_face(page, "animate", count=3)
    page.locator("#director .efd-chips").get_by_text("Sad").click()
    wait_for_face(page, "animate", count=4)
    page.locator("#director .efd-compare").click()
    wait_for_face(page, "animate", count=1)
    drawn = run_of(page, "animate")
    page.locator("#director .efd-keep").click()
    wait_for_face(page, "animate", after=drawn)
    assert "Directed, bursts.wav" in page.inner_text("#history") and page.locator("#director .efd").is_hidden()


def test_two_visitors_do_not_see_each_other(heard, open_page):
    two = open_page()
    before = run_of(two, "animate")
    animate(heard)
    assert run_of(two, "animate") == before
    two.get_by_role("button", name="NPZ data").click()
    two.locator(".toast-body.error").filter(has_text="no animation of yours").wait_for()


def test_stop_really_stops(heard, open_page, puppeteer):
    page = heard
    puppeteer.delay, finished = 120.0, puppeteer.finished
    try:
        page.click("#animate")
        wait_for_text(page, "#player", "Moving the face")  # on the stage, with one clock
        shown = page.locator("#player .wrap.translucent").inner_text()
        assert len(re.findall(r"\d+\.\d", shown)) <= 2, shown  # time passed / expected, once
        second = open_page()
        second.get_by_role("button", name="Narrator").first.click()
        wait_for_text(second, "#player", "queue: 1/1")
        page.click("#stop")
        wait_for_text(page, "#status", "Stopped")
        wait_for_text(second, "#player", "Moving the face")  # the work has ended, not only the waiting: the line is free
        assert puppeteer.finished == finished
        second.click("#stop")
        wait_for_text(second, "#status", "Stopped")
    finally:
        puppeteer.delay = 0.3
    animate(page)


def test_heads_are_chosen_with_mouse_and_keyboard(heard):
    page = heard
    page.get_by_role("radio", name="Head 5").click()
    assert page.get_by_role("radio", name="Head 5").get_attribute("aria-checked") == "true"
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Head 6").get_attribute("aria-checked") == "true"
    animate(page)
    assert "head 6" in page.locator("#echo").inner_text()


def test_the_microphone_records_what_is_animated(heard):
    page = heard
    clear(page, "#speech")
    page.get_by_text("2.2 seconds.").wait_for(state="hidden")
    page.get_by_role("button", name="Record audio").first.click()
    page.locator("#speech .record-button").first.click()
    page.wait_for_timeout(2500)  # of the beeps of Chromium's own device
    page.locator("#speech .stop-button").first.click()
    page.get_by_text("seconds.").first.wait_for()
    animate(page)
    assert page.evaluate("emoface.players.animate.scene.duration") > 0.2  # a busy machine records less than it waits
