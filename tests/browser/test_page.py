"""The page in a real browser, tab by tab."""

import re

import pytest

from emoface.ui.context import EXAMPLES
from tests.browser.faces import changed, hold, picture, run_of, wait_for_face


def upload(page, field, path):
    page.locator(f"{field} input[type=file]").set_input_files(str(path))


def wait_for_text(page, selector, words):
    page.wait_for_function("([selector, words]) => document.querySelector(selector)?.textContent.includes(words)", arg=[selector, words])


def test_upload_animates_and_a_named_emotion_changes_the_face(open_page, sounds):
    page = open_page()
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds, ready.").wait_for()
    opening = run_of(page, "animate")
    page.click("#animate")
    wait_for_face(page, "animate", after=opening)
    first = run_of(page, "animate")
    hold(page, "animate", 0.2)
    quiet = picture(page, "#player")
    hold(page, "animate", 0.6)
    assert changed(quiet, picture(page, "#player")) > 0.002
    assert "style s1" in page.locator("#echo").inner_text()

    page.get_by_label("A named emotion").check()
    page.get_by_label("Angry", exact=True).check()
    page.get_by_label("Strong").first.check()
    page.click("#animate")
    wait_for_face(page, "animate", after=first)
    hold(page, "animate", 0.2)
    assert changed(quiet, picture(page, "#player")) > 0.005
    assert "angry" in page.locator("#echo").inner_text() and "strong" in page.locator("#echo").inner_text()
    wait_for_text(page, "#emotion-bars .efc-summary", "angry 65 percent")
    page.wait_for_function("document.querySelectorAll('#player canvas').length <= 1")  # runs do not pile up drawings


def test_bad_recordings_are_named_as_text(open_page, sounds):
    page = open_page()
    upload(page, "#speech", sounds["nasty"])
    page.wait_for_function("document.querySelector('#speech') && [...document.querySelectorAll('.ef-hint')].some(n => /img src=x/.test(n.textContent))")
    page.click("#animate")
    toast = page.locator(".toast-body.error")
    toast.wait_for()
    assert "not" in toast.inner_text()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0


def test_silence_and_nothing_at_all_are_refused(open_page, sounds):
    page = open_page()
    page.click("#animate")
    page.locator(".toast-body.error").filter(has_text="Record or upload speech").wait_for()
    upload(page, "#speech", sounds["silent"])
    page.get_by_text("is silent").first.wait_for()


def test_stop_really_stops(open_page, sounds, puppeteer):
    page = open_page()
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds, ready.").wait_for()
    puppeteer.delay, finished = 30.0, puppeteer.finished
    try:
        page.click("#animate")
        wait_for_text(page, "#status", "Moving the face")
        assert re.search(r"Moving the face · \d+\.\d s", page.locator("#status").inner_text())
        assert page.locator("#status").bounding_box()["height"] >= 58  # the page below does not jump
        second = open_page()
        second.get_by_role("button", name="Narrator").first.click()
        wait_for_text(second, "#status", "queue: 1/1")
        page.click("#stop")
        wait_for_text(page, "#status", "Stopped")
        page.wait_for_timeout(3500)
    finally:
        puppeteer.delay = 0.3
    assert puppeteer.finished == finished
    second.click("#stop")
    opening = run_of(page, "animate")
    page.click("#animate")  # and the line is free again
    wait_for_face(page, "animate", after=opening)


def test_the_microphone_records_what_is_animated(open_page):
    page = open_page(permissions=["microphone"])  # Chromium's own device, which beeps
    page.get_by_role("button", name="Record audio").first.click()
    page.locator("#speech .record-button").first.click()
    page.wait_for_timeout(1500)
    page.locator("#speech .stop-button").first.click()
    page.get_by_text("seconds, ready.").first.wait_for()
    opening = run_of(page, "animate")
    page.click("#animate")
    wait_for_face(page, "animate", after=opening)
    assert page.evaluate("emoface.players.animate.scene.duration") > 1


def test_heads_are_chosen_with_mouse_and_keyboard(open_page, sounds):
    page = open_page()
    page.get_by_role("radio", name="Head 5").click()
    assert page.get_by_role("radio", name="Head 5").get_attribute("aria-checked") == "true"
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Head 6").get_attribute("aria-checked") == "true"
    upload(page, "#speech", sounds["hum"])
    page.get_by_text("1.0 seconds, ready.").wait_for()
    opening = run_of(page, "animate")
    page.click("#animate")
    wait_for_face(page, "animate", after=opening)
    assert "head 6" in page.locator("#echo").inner_text()


def test_a_link_restores_the_settings(open_page):
    page = open_page(path="?source=named&emotion=sad&level=strong&head=3&mix=0.5&style=s2&idle=false")
    page.wait_for_function("document.querySelector('#named')?.offsetParent")
    assert page.get_by_label("Sad", exact=True).is_checked()
    assert page.get_by_role("radio", name="Head 3").get_attribute("aria-checked") == "true"


def test_cross_reconstruction_shows_four_faces_in_step(open_page, sounds):
    page = open_page()
    page.get_by_role("tab", name="Cross-reconstruction").click()
    upload(page, "#cross-a", sounds["bursts"])
    page.get_by_text("2.2 seconds, ready.").wait_for()
    upload(page, "#cross-b", sounds["hum"])
    page.get_by_text("1.0 seconds, ready.").wait_for()
    opening = run_of(page, "cross")
    page.click("#cross-go")
    wait_for_face(page, "cross", after=opening, count=4)
    hold(page, "cross", 0.6)
    faces = [picture(page, "#cross-player", panel) for panel in range(2)]
    assert changed(faces[0], faces[1]) > 0.003  # same words, other emotion
    differ = page.evaluate("""() => {   // same emotion, other words: at 0.3 s the tone of A is silent and the hum of B is not
        const { tracks, header } = emoface.players.cross.scene, size = 3 * header.vertices, from = 9 * size;
        let most = 0;
        for (let i = from; i < from + size; i++) most = Math.max(most, Math.abs(tracks[0].positions[i] - tracks[2].positions[i]) * header.step);
        return most;
    }""")
    assert differ > 0.005  # metres
    assert page.locator("#cross-player figcaption").all_inner_texts() == [f"Words {c} · emotion {e}" for c in "AB" for e in "AB"]
    hold(page, "cross", 0.6)
    page.locator("#cross-player .efp-track").select_option("1")
    assert page.locator("#cross-player figure.silent").count() == 2
    page.wait_for_function("Math.abs(emoface.players.cross.audio.currentTime - 0.6) < 0.01")  # the other sound, at the same moment
    assert page.evaluate("emoface.players.cross.audio.paused")
    wait_for_text(page, "#cross-plot .efc-summary", "millimetres")


def test_importance_paints_compares_and_seeks(open_page, sounds):
    page = open_page()
    page.get_by_role("tab", name="Region importance").click()
    upload(page, "#importance-speech", sounds["bursts"])
    page.get_by_text("2.2 seconds, ready.").wait_for()
    page.get_by_label("A named emotion").last.check()
    opening = run_of(page, "importance")
    page.click("#importance-go")
    wait_for_face(page, "importance", after=opening, count=2)
    hold(page, "importance", 0.6)
    assert changed(picture(page, "#importance-player", 0), picture(page, "#importance-player", 1)) > 0.05
    assert page.locator("#importance-player .efp-high").last.inner_text().endswith("mm")

    plot = page.locator("#region-time .efc-plot")
    plot.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#region-time .efc-plot')?._fullLayout?.xaxis")
    at = page.evaluate("(() => { const l = document.querySelector('#region-time .efc-plot')._fullLayout; return [l._size.l + l.xaxis.l2p(1.5), l._size.t + 40]; })()")
    plot.click(position={"x": at[0], "y": at[1]})
    page.wait_for_function("Math.abs(emoface.players.importance.audio.currentTime - 1.5) < 0.1")
    page.wait_for_function("""() => {   // the cursor is where the sound is
        const layout = document.querySelector('#region-time .efc-plot')._fullLayout, cursor = document.querySelector('#region-time .efc-cursor');
        return Math.abs(new DOMMatrix(getComputedStyle(cursor).transform).e - layout._size.l - layout.xaxis.l2p(emoface.players.importance.audio.currentTime)) < 8;
    }""")

    page.evaluate("""() => {   // faster than faces are built: the last choice holds
        const view = document.querySelector('#importance-player .efp-view');
        for (const choice of ['1', '0']) { view.value = choice; view.dispatchEvent(new Event('change')); }
    }""")
    wait_for_face(page, "importance", count=2)
    page.wait_for_timeout(1500)
    assert page.evaluate("emoface.players.importance.scene.panels.map(panel => panel.plot.isConnected)") == [True, True]
    page.locator("#importance-player .efp-view").select_option(label="Branches")
    wait_for_face(page, "importance", count=3)
    page.click("#compare")
    wait_for_text(page, "#comparison .efc-summary", "surprised")


def test_two_visitors_do_not_see_each_other(open_page, sounds):
    one, two = open_page(), open_page()
    upload(one, "#speech", sounds["bursts"])
    one.get_by_text("2.2 seconds, ready.").wait_for()
    before_one, before_two = run_of(one, "animate"), run_of(two, "animate")
    one.click("#animate")
    wait_for_face(one, "animate", after=before_one)
    assert run_of(two, "animate") == before_two
    two.get_by_role("button", name="NPZ data").click()
    two.locator(".toast-body.error").filter(has_text="no animation of yours").wait_for()


def test_a_visitor_who_leaves_takes_nothing_of_the_app_or_of_others(open_page, opening_server, sounds, monkeypatch):
    """One clicks the example that the opening shows and uploads a file that is equal to it; so does another; the first leaves; a third comes."""
    monkeypatch.setattr("emoface.ui.sessions.GRACE_SECONDS", 0.2)
    monkeypatch.setattr("emoface.ui.sessions.SWEEP_SECONDS", 0.3)
    narrator = str(EXAMPLES / "narrator.wav")
    one, two = (open_page(address=opening_server, reduced_motion="reduce") for _ in range(2))
    for page in (one, two):
        wait_for_face(page, "animate")
        opening = run_of(page, "animate")
        page.get_by_role("button", name="Narrator").first.click()
        wait_for_face(page, "animate", after=opening)
        page.get_by_role("tab", name="Region importance").click()
        wait_for_face(page, "importance", count=2)
        upload(page, "#importance-speech", narrator)
        page.get_by_text("3.3 seconds, ready.").last.wait_for()
    one.wait_for_timeout(300)  # older than the grace time
    one.close()
    two.wait_for_timeout(2000)
    opening = run_of(two, "importance")
    two.click("#importance-go")  # with an upload equal to that of the one who left
    wait_for_face(two, "importance", after=opening, count=2)
    two.close()
    third = open_page(address=opening_server, reduced_motion="reduce")
    wait_for_face(third, "animate")
    opening = run_of(third, "animate")
    third.get_by_role("button", name="Angry voice").first.click()
    wait_for_face(third, "animate", after=opening)


@pytest.mark.skipif(not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/build_examples.py)")
def test_the_opening_sounds_can_be_heard_from_everywhere(open_page, opening_server):
    page = open_page(address=opening_server)
    wait_for_face(page, "animate")
    for tab, player, count in ((None, "animate", 1), ("Cross-reconstruction", "cross", 4), ("Region importance", "importance", 2)):
        if tab:
            page.get_by_role("tab", name=tab).click()
        wait_for_face(page, player, count=count)
        for share in (0.1, 0.8, 0.9, 0.97):
            hold(page, player, share * page.evaluate(f"emoface.players.{player}.scene.duration"))
            assert page.evaluate(f"emoface.players.{player}.audio.error") is None


@pytest.mark.parametrize("width, theme", [(360, "light"), (360, "dark"), (1280, "light")])
def test_nothing_is_wider_than_the_screen(open_page, opening_server, width, theme):
    page = open_page(address=opening_server, path=f"?__theme={theme}", width=width)
    page.wait_for_timeout(3000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('#player').getBoundingClientRect().right") <= width
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")


@pytest.mark.skipif(not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/tools/build_examples.py)")
def test_the_page_opens_with_a_face_that_moves(open_page, opening_server):
    page = open_page(address=opening_server)
    wait_for_face(page, "animate")
    first = picture(page, "#player")
    page.wait_for_timeout(700)
    assert changed(first, picture(page, "#player")) > 0.0005
    assert page.evaluate("emoface.players.animate.audio.muted")
    page.get_by_role("button", name="Play with sound").click()
    page.wait_for_function("!emoface.players.animate.audio.muted && !emoface.players.animate.audio.paused")


@pytest.mark.skipif(not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/tools/build_examples.py)")
def test_only_the_preview_repeats_and_a_lost_download_ends_its_sound(open_page, opening_server, sounds):
    page = open_page(address=opening_server)
    wait_for_face(page, "animate")
    page.wait_for_function("emoface.players.animate.audio.loop && !emoface.players.animate.audio.paused")
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds, ready.").wait_for()
    opening = run_of(page, "animate")
    page.click("#animate")
    wait_for_face(page, "animate", after=opening)
    assert not page.evaluate("emoface.players.animate.audio.loop")
    page.evaluate("() => { emoface.lost = emoface.players.animate.audio; emoface.lost.loop = true; emoface.lost.play(); }")
    page.wait_for_function("!emoface.lost.paused")
    page.route("**/*.efp", lambda request: request.fulfill(status=404, body=""))
    page.click("#animate")
    page.locator("#player .efp-message.bad").filter(has_text="could not be downloaded").wait_for()
    assert page.evaluate("emoface.lost.paused && !emoface.lost.getAttribute('src')")
    page.locator("#player .efp").press(" ")  # nothing to play, and nothing breaks


@pytest.mark.skipif(not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/tools/build_examples.py)")
def test_motion_waits_where_it_is_not_welcome(open_page, opening_server):
    page = open_page(address=opening_server, reduced_motion="reduce")
    wait_for_face(page, "animate")
    page.wait_for_timeout(700)
    assert page.evaluate("emoface.players.animate.audio.paused")
    assert page.evaluate("emoface.players.animate.scene.shown") == 0
