"""The page in a real browser, tab by tab."""

import io
import json
import re
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
from PIL import Image

from emoface.ui.context import EXAMPLES
from tests.browser.conftest import WAIT
from tests.browser.faces import changed, hold, picture, run_of, until, wait_for_face

COPIED = "window.copied = null; Object.defineProperty(navigator, 'clipboard', { value: { writeText: async text => { window.copied = text; } } });"
"""Instead of the clipboard."""


def upload(page, field, path):
    page.locator(f"{field} input[type=file]").set_input_files(str(path))


def wait_for_text(page, selector, words):
    page.wait_for_function("([selector, words]) => document.querySelector(selector)?.textContent.includes(words)", arg=[selector, words])


def test_upload_animates_and_a_named_emotion_changes_the_face(open_page, sounds):
    page = open_page()
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    opening = run_of(page, "animate")
    page.click("#animate")
    wait_for_face(page, "animate", after=opening)
    first = run_of(page, "animate")
    hold(page, "animate", 0.2)
    quiet = picture(page, "#player")
    hold(page, "animate", 0.6)
    assert changed(quiet, picture(page, "#player")) > 0.002
    assert "bursts.wav" in page.locator("#echo").inner_text()

    page.get_by_label("A named emotion").check()
    page.locator("#named").get_by_label("Angry", exact=True).check()
    page.get_by_role("button", name="More").click()
    page.locator("#level").get_by_label("Strongly").check()
    page.click("#animate")
    wait_for_face(page, "animate", after=first)
    hold(page, "animate", 0.2)
    assert changed(quiet, picture(page, "#player")) > 0.005
    assert "angry" in page.locator("#echo").inner_text() and "strong" in page.locator("#echo").inner_text()
    wait_for_text(page, "#felt", "angry because you chose it")
    assert page.locator("#emotion-bars .efc-summary").text_content() == ""  # a chosen emotion was not heard
    page.wait_for_function("document.querySelectorAll('#player canvas').length <= 1")  # runs do not pile up drawings


def test_bad_recordings_are_named_as_text(open_page, sounds):
    page = open_page()
    upload(page, "#speech", sounds["nasty"])
    page.wait_for_function(
        "document.querySelector('#speech') && [...document.querySelectorAll('.ef-hint')].some(n => /img src=x/.test(n.textContent))"
    )
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
    page.get_by_text("2.2 seconds.").wait_for()
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
    page.wait_for_timeout(2500)
    page.locator("#speech .stop-button").first.click()
    page.get_by_text("seconds.").first.wait_for()
    opening = run_of(page, "animate")
    page.click("#animate")
    wait_for_face(page, "animate", after=opening)
    assert page.evaluate("emoface.players.animate.scene.duration") > 0.2  # a busy machine records less than it waits


def test_heads_are_chosen_with_mouse_and_keyboard(open_page, sounds):
    page = open_page()
    page.get_by_role("radio", name="Head 5").click()
    assert page.get_by_role("radio", name="Head 5").get_attribute("aria-checked") == "true"
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Head 6").get_attribute("aria-checked") == "true"
    upload(page, "#speech", sounds["hum"])
    page.get_by_text("1.0 seconds.").wait_for()
    opening = run_of(page, "animate")
    page.click("#animate")
    wait_for_face(page, "animate", after=opening)
    assert "head 6" in page.locator("#echo").inner_text()


def test_a_link_restores_the_settings(open_page):
    curve = quote(json.dumps([[0, {"speech": 1}], [1, {"happy": 1}]]))
    page = open_page(path=f"?source=named&emotion=sad&level=strong&head=3&mix=0.5&style=s2&idle=false&curve={curve}", width=390)
    page.wait_for_function("document.querySelector('#named')?.offsetParent")
    assert page.locator("#named").get_by_label("Sad", exact=True).is_checked()
    assert page.get_by_role("radio", name="Head 3").get_attribute("aria-checked") == "true"
    wait_for_text(page, "#status", "press Direct this face")
    for tab in ("Animate", "Swap", "Explain", "About"):  # none is hidden on a phone
        assert page.get_by_role("tab", name=tab).is_visible()


def test_cross_reconstruction_shows_four_faces_in_step(open_page, sounds):
    page = open_page()
    page.get_by_role("tab", name="Swap").click()
    upload(page, "#cross-a", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    upload(page, "#cross-b", sounds["hum"])
    page.get_by_text("1.0 seconds.").wait_for()
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
    assert page.locator("#cross-player figcaption").all_inner_texts() == [f"Says {c}, feels {e}" for c in "AB" for e in "AB"]
    hold(page, "cross", 0.6)
    page.locator("#cross-player .efp-track").select_option("1")
    assert page.locator("#cross-player figure.heard").count() == 2
    page.wait_for_function("Math.abs(emoface.players.cross.audio.currentTime - 0.6) < 0.01")  # the other sound, at the same moment
    assert page.evaluate("emoface.players.cross.audio.paused")
    wait_for_text(page, "#cross-plot .efc-summary", "millimetres")


def test_importance_paints_compares_and_seeks(open_page, sounds, puppeteer, monkeypatch):
    page = open_page()
    page.get_by_role("tab", name="Explain").click()
    upload(page, "#importance-speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
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
    at = page.evaluate(
        "(() => { const l = document.querySelector('#region-time .efc-plot')._fullLayout; return [l._size.l + l.xaxis.l2p(1.5), l._size.t + 40]; })()"
    )
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
    assert page.locator("#comparison").is_visible() and page.locator("#comparison .efc-summary").text_content() == ""
    monkeypatch.setattr(puppeteer, "delay", 0.8)
    page.click("#compare")  # while three faces play
    page.locator("#comparison .wrap.translucent").filter(has_text="Moving the face").wait_for()  # that it works is to be seen where the chart will be
    wait_for_text(page, "#comparison .efc-summary", "surprised")
    page.wait_for_function("document.querySelectorAll('#comparison .heatmaplayer image').length === 1")


def test_a_comparison_goes_with_its_recording(open_page, sounds):
    page = open_page()
    page.get_by_role("tab", name="Explain").click()
    upload(page, "#importance-speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    page.click("#compare")
    wait_for_text(page, "#comparison .efc-summary", "surprised")
    wait_for_text(page, "#compared", "bursts.wav")
    page.locator("#importance-speech").get_by_label("Clear").click()
    upload(page, "#importance-speech", sounds["hum"])
    page.wait_for_function("document.querySelector('#comparison .efc-summary').textContent === ''")  # not of this recording
    assert page.locator("#comparison .efc-plot *").count() == 0 and "Not compared yet" in page.locator("#comparison").inner_text()
    page.wait_for_function("document.querySelector('#compared').innerText === ''")  # Gradio may still show there how long it waits


def test_painted_faces_have_the_colours_of_their_bar(open_page, sounds):
    page = open_page()
    page.get_by_role("tab", name="Explain").click()
    upload(page, "#importance-speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    page.get_by_label("A named emotion").last.check()
    page.click("#importance-go")
    wait_for_face(page, "importance", count=2)
    hold(page, "importance", 0.6)
    off = page.evaluate("""() => {   // of every coloured vertex from the colour that its number has on the bar
        const { scene } = emoface.players.importance, panel = scene.panels[1], { lit, seen: drawn, heatColors } = panel.buffers, heat = scene.tracks[panel.track].heat[panel.painted];
        const look = scene.mesh.look; let worst = 0, seen = 0;
        for (let v = 0, at = 0; v < scene.mesh.skin; v++) {
            const bar = [0, 0, 0]; let coloured = true;
            for (let n = look.counts[v]; n > 0; n--, at++) {
                const j = look.indices[at];
                coloured &&= heat.codes[heat.skin * scene.shown + j] > 0;
                for (let k = 0; k < 3; k++) bar[k] += look.weights[at] * 255 * heatColors[3 * j + k];
            }
            if (!coloured || !drawn[v]) continue;   // what looks away from the viewer is not lit
            seen++;
            for (let k = 0; k < 3; k++) worst = Math.max(worst, Math.abs(lit[4 * v + k] - bar[k]));
        }
        return { worst, seen };
    }""")
    assert off["seen"] > 20 and off["worst"] < 5, off  # of 255
    low, high = (page.locator(f"#importance-player .efp-{end}").first.inner_text() for end in ("low", "high"))
    assert (float(low), float(high)) == (0, 1)  # as the text above says
    effect = page.evaluate("emoface.players.importance.scene.header.layers.find(layer => layer.id === 'effect')")
    assert "mm and more, at most" in effect["note"]  # the bar says where it is clipped


def test_two_visitors_do_not_see_each_other(open_page, sounds):
    one, two = open_page(), open_page()
    upload(one, "#speech", sounds["bursts"])
    one.get_by_text("2.2 seconds.").wait_for()
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
        page.get_by_role("tab", name="Explain").click()
        wait_for_face(page, "importance", count=2)
        upload(page, "#importance-speech", narrator)
        page.get_by_text("3.3 seconds.").last.wait_for()
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
    third.get_by_role("button", name="Angry").first.click()
    wait_for_face(third, "animate", after=opening)
    assert third.locator("#source").get_by_label("From this speech").is_checked(), "the first face was asked to be happy; this voice is not"


@pytest.mark.skipif(not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/build_examples.py)")
def test_the_opening_sounds_can_be_heard_from_everywhere(open_page, opening_server):
    page = open_page(address=opening_server)
    wait_for_face(page, "animate")
    for tab, player, count in ((None, "animate", 1), ("Swap", "cross", 4), ("Explain", "importance", 2)):
        if tab:
            page.get_by_role("tab", name=tab).click()
        wait_for_face(page, player, count=count)
        for share in (0.1, 0.8, 0.9, 0.97):
            hold(page, player, share * page.evaluate(f"emoface.players.{player}.scene.duration"))
            assert page.evaluate(f"emoface.players.{player}.audio.error") is None


@pytest.mark.parametrize("width, theme", [(360, "light"), (360, "dark"), (1280, "light")])
def test_nothing_is_wider_than_the_screen(open_page, opening_server, width, theme):
    page = open_page(address=opening_server, path=f"?__theme={theme}", width=width)
    wait_for_face(page, "animate")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('#player').getBoundingClientRect().right") <= width
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")


@pytest.mark.skipif(
    not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/tools/build_examples.py)"
)
def test_the_page_opens_with_a_face_that_moves(open_page, opening_server):
    page = open_page(address=opening_server)
    wait_for_face(page, "animate")
    first = picture(page, "#player")
    until(lambda: changed(first, picture(page, "#player")) > 0.0005, page=page)
    assert page.evaluate("emoface.players.animate.audio.muted")
    page.get_by_role("button", name="Play with sound").click()
    page.wait_for_function("!emoface.players.animate.audio.muted && !emoface.players.animate.audio.paused")


@pytest.mark.skipif(
    not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/tools/build_examples.py)"
)
def test_only_the_preview_repeats_and_a_lost_download_ends_its_sound(open_page, opening_server, sounds):
    page = open_page(address=opening_server)
    wait_for_face(page, "animate")
    page.wait_for_function("emoface.players.animate.audio.loop && !emoface.players.animate.audio.paused")
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
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


@pytest.mark.skipif(
    not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/tools/build_examples.py)"
)
def test_motion_waits_where_it_is_not_welcome(open_page, opening_server):
    page = open_page(address=opening_server, reduced_motion="reduce")
    wait_for_face(page, "animate")
    page.wait_for_timeout(700)
    assert page.evaluate("emoface.players.animate.audio.paused")
    assert page.evaluate("emoface.players.animate.scene.shown") == 0


@pytest.mark.skipif(
    not (EXAMPLES / "animate.json").exists(), reason="assets/examples/animate.json has not been built (train/tools/build_examples.py)"
)
def test_controls_say_what_the_face_shows_and_mark_it_when_they_no_longer_do(open_page, opening_server):
    page = open_page(address=opening_server, script=COPIED)
    wait_for_face(page, "animate")
    made = page.evaluate("emoface.players.animate.made")
    assert made["source"] == "named" and page.get_by_label("A named emotion").first.is_checked()
    assert page.locator("#named").get_by_label(made["emotion"].capitalize(), exact=True).is_checked()
    outdated = page.locator("#player .efp-outdated")
    page.wait_for_timeout(500)
    assert outdated.is_hidden()
    page.locator("#named").get_by_label("Sad", exact=True).check()
    outdated.wait_for()
    page.click("#share")
    page.wait_for_function("window.copied")
    assert f"emotion={made['emotion']}" in page.evaluate("window.copied")  # of the face shown, not of the controls
    before = run_of(page, "animate")
    page.click("#animate")  # no recording yet: the face of the opening is directed
    wait_for_face(page, "animate", after=before)
    outdated.wait_for(state="hidden")
    assert page.evaluate("emoface.players.animate.made.emotion") == "sad"


def test_work_is_shown_on_the_stage_which_is_in_sight(open_page, sounds, puppeteer):
    for width, height in ((1440, 900), (390, 844)):
        page = open_page(width=width, height=height)
        assert page.locator("#animate").bounding_box()["y"] + page.locator("#animate").bounding_box()["height"] <= height
        stage = page.locator("#player .efp-stage").bounding_box()
        assert stage["y"] < page.locator("#speech").bounding_box()["y"] + 1 and stage["y"] + 300 < height  # the face before the controls
        puppeteer.delay = 60.0
        try:
            page.get_by_role("button", name="Narrator").first.click()
            wait_for_text(page, "#player", "Moving the face")
            page.click("#stop")
            page.wait_for_function("!document.querySelector('#player').textContent.includes('Moving the face')")
        finally:
            puppeteer.delay = 0.3
        wait_for_text(page, "#status", "Stopped")


def test_what_was_heard_is_said_and_one_click_corrects_it(open_page, sounds):
    page = open_page()
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    page.click("#animate")
    wait_for_face(page, "animate")
    wait_for_text(page, "#felt", "The voice probably sounds neutral (65 % sure).")
    first = run_of(page, "animate")
    page.locator("#correction").get_by_text("Angry").click()
    wait_for_face(page, "animate", after=first)
    assert page.evaluate("emoface.players.animate.made.emotion") == "angry"
    assert page.locator("#named").get_by_label("Angry", exact=True).is_checked()


def test_the_sound_of_a_video_is_taken_and_other_files_are_refused_in_words(open_page, sounds, tmp_path):
    import av
    import numpy as np

    film = tmp_path / "talk.mp4"
    with av.open(str(film), "w") as file:
        picture_, sound = file.add_stream("mpeg4", rate=10), file.add_stream("aac", rate=16000)
        picture_.width = picture_.height = 64
        picture_.pix_fmt = "yuv420p"
        for _ in range(10):
            file.mux(picture_.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        frame = av.AudioFrame.from_ndarray((0.3 * np.sin(np.arange(16000) / 5)).astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        file.mux(sound.encode(frame))
        file.mux(sound.encode())
        file.mux(picture_.encode())
    text = tmp_path / "notes.txt"
    text.write_text("no sound in here")
    page = open_page()
    upload(page, "#speech", film)
    page.wait_for_function("/1\\.\\d seconds\\./.test(document.body.innerText)")
    page.locator("#speech").get_by_label("Clear").click()
    upload(page, "#speech", text)
    page.get_by_text("notes.txt is not audio that can be read").wait_for()
    assert "Invalid file type" not in page.inner_text("body")


def test_the_head_turns_and_zooms_by_keys(open_page, sounds):
    page = open_page()
    upload(page, "#speech", sounds["hum"])
    page.get_by_text("1.0 seconds.").wait_for()
    page.click("#animate")
    wait_for_face(page, "animate")
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


def test_a_feeling_is_directed_over_time_and_downloaded(open_page, sounds):
    import numpy as np

    page = open_page(height=1400, script=COPIED)
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    page.click("#direct")
    wait_for_face(page, "animate")
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
