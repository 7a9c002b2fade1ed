"""The tab Live in a real Chromium whose microphone is a file: the mouth moves with the speech, rests in silence, a lost connection recovers."""

from __future__ import annotations

import os
import shutil
from functools import partial

import numpy as np
import pytest
import soundfile

from emoface.front_end import Windows
from emoface.live import LiveSession
from tests.conftest import CHROMIUM_FLAGS
from tests.test_encoders import speechlike
from tests.tiny_model import save_tiny_model

from .conftest import WAIT

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def live_server(tmp_path_factory):
    from emoface import EmoFacePipeline
    from emoface.ui.app import build_app, launch_options

    pipe = EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")), device="cpu")
    # Few hops, so that a machine that also draws in software keeps up.
    patch = pytest.MonkeyPatch()
    patch.setattr("emoface.live.LiveSession", partial(LiveSession, windows=Windows(past=0.4, hop=0.4, ahead=0.06)))
    page = build_app(pipeline=lambda: pipe, opening=False)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(page), "mcp_server": False})
    yield address, page
    page.close()
    patch.undo()


@pytest.fixture(scope="module")
def speaking(chromium, tmp_path_factory):
    """A second browser, whose microphone says 2 s and is silent for 8 s, again and again."""
    sound = tmp_path_factory.mktemp("microphone") / "speech.wav"
    soundfile.write(sound, np.concatenate([4 * speechlike(2.0).numpy(), np.zeros(8 * 16000)]), 16000, subtype="PCM_16")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    browser = chromium.browser_type.launch(executable_path=path, args=[*CHROMIUM_FLAGS, f"--use-file-for-fake-audio-capture={sound}"])
    yield browser
    browser.close()


@pytest.fixture
def page(speaking, live_server):
    context, errors = speaking.new_context(viewport={"width": 1100, "height": 900}, permissions=["microphone"]), []
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(live_server[0])
    page.get_by_role("tab", name="Live", exact=True).click()
    page.wait_for_function("() => window.emoface?.players?.live?.scene?.panels.length && emoface.players.live.scene.shown >= 0")
    # How far any vertex moves from one frame that is drawn to the next, in millimetres.
    page.evaluate("""() => {
      const player = emoface.players.live, original = player.stream;
      let before = null;
      window.moved = [];
      player.stream = source => original(source && { ...source, frame: (...when) => {
        const positions = source.frame(...when);
        if (positions && before) moved.push(0.02 * positions.reduce((most, value, i) => Math.max(most, Math.abs(value - before[i])), 0));
        before = positions || before;
        return positions;
      } });
    }""")
    yield page
    context.close()
    assert errors == []


def test_speak_and_the_face_speaks_then_rests_then_is_replayed(page, live_server):
    page.locator("#live-source label", has_text="A named emotion").click()
    page.get_by_label("Blinks and gaze").locator("visible=true").uncheck()
    page.evaluate("""() => {
      window.changes = 0;
      new MutationObserver(list => { changes += list.length; }).observe(document.querySelector('.efl-level i'), { attributes: true });
    }""")
    page.locator("#live .efl-go").click()
    page.wait_for_function("() => moved.length > 3 && Math.max(...moved) > 0.1")
    turn = page.evaluate("() => Array.from(emoface.players.live.scene.tracks[0].turns[0])")
    assert 1e-4 < np.abs(np.reshape(turn, (3, 3)) - np.eye(3)).max() < 0.2, "the head is turned a little"
    # The file's silence is 8 s: within it, the face becomes still.
    page.wait_for_function("() => moved.length > 12 && Math.max(...moved.slice(-3)) < 0.03")
    page.evaluate("() => { window.broken = emoface.live.run.socket; emoface.live.drop(); }")
    page.wait_for_function("() => emoface.live.run?.socket !== broken && emoface.live.run?.ready")
    page.evaluate("() => { moved.length = 0; }")
    page.wait_for_function("() => moved.length > 3 && Math.max(...moved) > 0.1")
    changes, drawn, seconds = page.evaluate("() => [changes, emoface.live.latency.length, emoface.live.blocks / 50]")
    assert drawn > 10 and 3 < changes <= drawn + 4 * seconds + 4, "the level costs no pictures of its own"
    page.locator("#live .efl-go").click()
    page.wait_for_function("() => emoface.players.live.scene?.header.frames > 60 && emoface.players.live.scene.panels.length && !emoface.live.run")
    take, blocks = page.evaluate("() => [emoface.players.live.scene.header.frames, emoface.live.blocks]")
    assert abs(take / 30 - blocks / 50) < 0.2, "all that was said is in the take, also what was said while the connection was lost"
    page.wait_for_function("() => emoface.players.live.audio.currentTime > 0.3")
    assert abs(page.evaluate("() => emoface.players.live.audio.duration") - take / 30) < 0.1, "sound and face are equally long"
    with page.expect_response(lambda answer: ".csv" in answer.url or "queue/join" in answer.url):
        page.get_by_role("tabpanel").locator("visible=true").get_by_role("button", name="ARKit CSV").click()
    page.wait_for_selector("#live-download a[href*='.csv']")
