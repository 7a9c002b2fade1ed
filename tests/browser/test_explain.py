"""The tabs Swap and Explain, on one page."""

import pytest

from tests.browser.controls import animate, clear, upload, wait_for_text
from tests.browser.faces import changed, hold, picture, wait_for_face


@pytest.fixture(scope="module")
def page(keep_page):
    return keep_page()


@pytest.fixture(scope="module")
def explained(page, sounds):
    """The tab Explain with the two faces of a named emotion, one of them painted."""
    page.get_by_role("tab", name="Explain").click()
    upload(page, "#importance-speech", sounds["bursts"])
    page.locator("#importance-speech").locator("visible=true").wait_for()
    page.get_by_role("tabpanel").locator("visible=true").get_by_text("2.2 seconds.").wait_for()
    page.get_by_label("A named emotion").last.check()
    animate(page, player="importance", button="#importance-go", count=2)
    return page


def test_cross_reconstruction_shows_four_faces_in_step(page, sounds):
    page.get_by_role("tab", name="Swap").click()
    upload(page, "#cross-a", sounds["bursts"])
    page.get_by_text("2.2 seconds.").wait_for()
    upload(page, "#cross-b", sounds["hum"])
    page.get_by_text("1.0 seconds.").wait_for()
    animate(page, player="cross", button="#cross-go", count=4)
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


def test_painted_faces_have_the_colours_of_their_bar(explained):
    page = explained
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


def test_importance_paints_compares_and_seeks(explained, puppeteer, monkeypatch):
    page = explained
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


def test_a_comparison_goes_with_its_recording(explained, sounds):
    page = explained
    page.click("#compare")
    wait_for_text(page, "#comparison .efc-summary", "surprised")
    wait_for_text(page, "#compared", "bursts.wav")
    clear(page, "#importance-speech")
    upload(page, "#importance-speech", sounds["hum"])
    page.wait_for_function("document.querySelector('#comparison .efc-summary').textContent === ''")  # not of this recording
    assert page.locator("#comparison .efc-plot *").count() == 0 and "Not compared yet" in page.locator("#comparison").inner_text()
    page.wait_for_function("document.querySelector('#compared').innerText === ''")  # Gradio may still show there how long it waits
