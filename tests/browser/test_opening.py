"""The precomputed faces that the page opens with."""

import pytest

from emoface.ui.context import EXAMPLES
from tests.browser.controls import COPIED, animate, clear, upload
from tests.browser.faces import changed, hold, picture, run_of, until, wait_for_face

pytestmark = pytest.mark.skipif(
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


def test_only_the_preview_repeats_and_a_lost_download_ends_its_sound(open_page, opening_server, sounds):
    page = open_page(address=opening_server)
    wait_for_face(page, "animate")
    page.wait_for_function("emoface.players.animate.audio.loop && !emoface.players.animate.audio.paused")
    upload(page, "#speech", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    animate(page)
    assert not page.evaluate("emoface.players.animate.audio.loop")
    page.evaluate("() => { emoface.lost = emoface.players.animate.audio; emoface.lost.loop = true; emoface.lost.play(); }")
    page.wait_for_function("!emoface.lost.paused")
    page.route("**/*.efp", lambda request: request.fulfill(status=404, body=""))
    page.click("#animate")
    page.locator("#player .efp-message.bad").filter(has_text="could not be downloaded").wait_for()
    assert page.evaluate("emoface.lost.paused && !emoface.lost.getAttribute('src')")
    page.locator("#player .efp").press(" ")  # nothing to play, and nothing breaks


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(open_page, opening_server, theme):
    page = open_page(address=opening_server, path=f"?__theme={theme}", width=360, reduced_motion="reduce")
    wait_for_face(page, "animate")
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("width => innerWidth === width", arg=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.querySelector('#player').getBoundingClientRect().right") <= width


def test_a_visitor_who_leaves_takes_nothing_of_the_app_or_of_others(open_page, opening_app, opening_server, monkeypatch):
    """One clicks the example that the opening shows and uploads a file that is equal to it; so does another; the first leaves; a third comes."""
    monkeypatch.setattr("emoface.ui.sessions.GRACE_SECONDS", 0.0)
    narrator, sessions = str(EXAMPLES / "narrator.wav"), opening_app.emoface.sessions
    one, two = (open_page(address=opening_server, reduced_motion="reduce") for _ in range(2))
    for page in (one, two):
        wait_for_face(page, "animate")
        opening = run_of(page, "animate")
        page.get_by_role("button", name="Narrator").first.click()
        wait_for_face(page, "animate", after=opening)
    clear(one, "#speech")
    one.get_by_text("3.3 seconds.").first.wait_for(state="hidden")
    upload(one, "#speech", narrator)
    one.get_by_text("3.3 seconds.").first.wait_for()
    two.get_by_role("tab", name="Explain").click()
    upload(two, "#importance-speech", narrator)
    two.get_by_text("3.3 seconds.").last.wait_for()
    ended = len(sessions._ended)
    one.close()
    until(lambda: len(sessions._ended) > ended, page=two)
    sessions.sweep()
    animate(two, player="importance", button="#importance-go", count=2)  # with an upload equal to that of the one who left
    two.close()
    third = open_page(address=opening_server, reduced_motion="reduce")
    wait_for_face(third, "animate")
    opening = run_of(third, "animate")
    third.get_by_role("button", name="Angry").first.click()
    wait_for_face(third, "animate", after=opening)
    assert third.locator("#source").get_by_label("From this speech").is_checked(), "the first face was asked to be happy; this voice is not"


def test_a_voice_that_is_brought_shows_its_own_feeling_unless_another_was_chosen(open_page, opening_server, sounds):
    page = open_page(address=opening_server, reduced_motion="reduce")
    wait_for_face(page, "animate")
    source, named = page.locator("#source"), page.locator("#named")
    assert source.get_by_label("A named emotion").is_checked()
    upload(page, "#speech", sounds["bursts"])
    named.wait_for(state="hidden")
    assert source.get_by_label("From this speech").is_checked()
    source.get_by_label("A named emotion").check()
    named.get_by_label("Sad", exact=True).check()
    clear(page, "#speech")
    upload(page, "#speech", sounds["hum"])
    page.get_by_text("1.0 seconds.").first.wait_for()
    page.wait_for_timeout(500)
    assert source.get_by_label("A named emotion").is_checked() and named.get_by_label("Sad", exact=True).is_checked()


@pytest.fixture(scope="module")
def resting(keep_page, opening_server):
    """The page of a visitor who wants no motion."""
    page = keep_page(address=opening_server, script=COPIED, reduced_motion="reduce")
    wait_for_face(page, "animate")
    return page


def test_motion_waits_where_it_is_not_welcome(resting):
    resting.wait_for_timeout(700)
    assert resting.evaluate("emoface.players.animate.audio.paused")
    assert resting.evaluate("emoface.players.animate.scene.shown") == 0


def test_controls_say_what_the_face_shows_and_mark_it_when_they_no_longer_do(resting):
    page = resting
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
    animate(page)  # no recording yet: the face of the opening is directed
    outdated.wait_for(state="hidden")
    assert page.evaluate("emoface.players.animate.made.emotion") == "sad"


def test_the_opening_sounds_can_be_heard_from_everywhere(resting):
    for tab, player, count in (("Animate", "animate", 1), ("Swap", "cross", 4), ("Explain", "importance", 2)):
        resting.get_by_role("tab", name=tab).click()
        wait_for_face(resting, player, count=count)
        for share in (0.1, 0.8, 0.9, 0.97):
            hold(resting, player, share * resting.evaluate(f"emoface.players.{player}.scene.duration"))
            assert resting.evaluate(f"emoface.players.{player}.audio.error") is None
