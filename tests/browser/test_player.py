"""The player alone: what is drawn, when, and how it is steered."""

import base64
import io

import gradio as gr
import numpy as np
import pytest
import soundfile

from emoface.audio import load_audio
from emoface.export.camera import Camera
from emoface.export.pack import Panel, View
from emoface.export.render import Renderer
from emoface.export.shading import vertex_normals
from emoface.head import load_head
from emoface.look import load_look
from emoface.ui import scenes
from emoface.ui.chart import Chart, ChartView
from emoface.ui.context import EXAMPLES
from emoface.ui.player import FacePlayer
from emoface.ui.theme import CSS, theme
from tests.browser.conftest import BURSTS, WAIT
from tests.browser.faces import changed, hold, picture, until, wait_for_face
from tests.puppet import puppet


@pytest.fixture(scope="module")
def players(tmp_path_factory, sounds):
    """A page with one animation drawn by both ways, and with two linked faces."""
    folder = tmp_path_factory.mktemp("players")
    audio = load_audio(sounds["bursts"])
    calm, angry = puppet(audio), puppet(audio, emotion="angry", level="strong")
    one = {"animation": scenes.single(folder / "one.efp", angry, caption="<b>bold</b> ${1 + 1}"), "audio": sounds["bursts"], "autoplay": "off"}
    two = {
        "animation": scenes.write(folder / "two.efp", [calm, angry], [View("Two", [Panel(0, "calm"), Panel(1, "angry")])], painted=[]),
        "audio": sounds["bursts"],
        "autoplay": "off",
    }
    with gr.Blocks() as page:
        with gr.Row():
            FacePlayer(one, player_id="fast", elem_id="fast")
            FacePlayer(one, player_id="slow", elem_id="slow", fast=False)
        FacePlayer(two, player_id="two", elem_id="two")
    _, address, _ = page.launch(
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        _frontend=False,
        theme=theme(),
        css=CSS,
        allowed_paths=[str(folder), str(sounds["bursts"].parent)],
    )
    yield address
    page.close()


@pytest.fixture(scope="module")
def page(chromium, players):
    context = chromium.new_context(viewport={"width": 1000, "height": 1150})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(players)
    for player, count in (("fast", 1), ("slow", 1), ("two", 2)):
        wait_for_face(page, player, count=count)
    yield page
    context.close()


def mouth(image):
    """The middle third in width, 55 to 85 % of the height: where the lips are in the front view."""
    height, width, _ = image.shape
    return image[int(0.55 * height) : int(0.85 * height), width // 3 : 2 * width // 3]


def test_lips_move_with_the_sound(page):
    hold(page, "fast", 0.2)
    closed = picture(page, "#fast")
    assert closed.std() > 20  # a face, not an empty canvas
    for start in BURSTS:
        hold(page, "fast", start + 0.1)
        opened = picture(page, "#fast")
        assert changed(mouth(opened), mouth(closed)) > 0.04
        hold(page, "fast", start + 0.35)
        assert changed(picture(page, "#fast"), closed) < 0.005


def test_both_ways_of_drawing_agree(page):
    assert page.evaluate("emoface.players.fast.fast") is True
    assert page.evaluate("emoface.players.slow.fast") is False
    for seconds in (0.6, 1.3):
        for player in ("fast", "slow"):
            hold(page, player, seconds)
        page.wait_for_function("!emoface.players.slow.scene.panels[0].busy")

        def agree() -> bool:
            fast, slow = picture(page, "#fast"), picture(page, "#slow")
            return fast.shape == slow.shape and np.abs(fast - slow).mean() < 1.0 and changed(fast, slow, by=48) < 0.005

        until(agree, page=page, seconds=60)


def test_colour_layers_paint_the_face_and_name_their_unit(page):
    hold(page, "fast", 0.6)
    skin = picture(page, "#fast")
    assert page.locator("#fast .efp-scale.on").count() == 0
    page.locator("#fast .efp-layer").select_option("effect")
    page.wait_for_function("!emoface.players.fast.scene.dirty")
    hold(page, "fast", 0.6)
    effect = picture(page, "#fast")
    assert changed(skin, effect) > 0.12
    assert "mm" in page.locator("#fast .efp-high").inner_text()
    assert "0.2 mm" in page.locator("#fast .efp-note").inner_text()
    page.locator("#fast .efp-layer").select_option("weight")
    hold(page, "fast", 0.6)
    assert changed(effect, picture(page, "#fast")) > 0.008
    page.locator("#fast .efp-layer").select_option("")
    hold(page, "fast", 0.6)
    assert changed(skin, picture(page, "#fast")) < 0.005


def test_a_frame_is_one_pass_over_what_faces_the_viewer(page):
    """Plotly would draw all triangles twice and, after each turn, a third time to read back which vertex the mouse is over."""
    hold(page, "fast", 0.6)
    seen = page.evaluate("""async () => {
        const { panels: [panel], mesh } = emoface.players.fast.scene, { glplot, camera } = panel.fast.glScene, { gl } = glplot, front = panel.axes[2][0];
        const calls = { drawElements: [], drawArrays: [], readPixels: [] }, view = emoface.players.fast.camera, list = ({ x, y, z }) => [x, y, z];
        const look = async (eye, there) => {
            camera.lookAt(eye, list(view.center), list(view.up));
            for (const end = performance.now() + 30000; performance.now() < end && !there();) await new Promise(requestAnimationFrame);
        };
        for (const name in calls) gl[name] = function (...all) { calls[name].push(all); return Object.getPrototypeOf(gl)[name].apply(gl, all); };
        await look([1.2, -1.9, 0.14], () => Math.abs(panel.axes[2][0] - front) > 0.3);
        const turned = Math.abs(panel.axes[2][0] - front), drawn = calls.drawElements.length;
        glplot.redraw();
        const once = calls.drawElements.length - drawn;
        await new Promise(done => setTimeout(done, 50));   // Plotly reads back later
        for (const name in calls) delete gl[name];
        await look(list(view.eye), () => Math.abs(panel.axes[2][0] - front) < 1e-3);
        return { once, turned, others: calls.drawArrays.length + calls.readPixels.length, shares: calls.drawElements.map(([, count]) => count / mesh.faces.length) };
    }""")
    assert seen["once"] == 1 and seen["others"] == 0
    assert seen["turned"] > 0.3, "the light travels with the camera"
    assert all(0.3 < share < 0.75 for share in seen["shares"]), seen["shares"]


def test_captions_are_text(page):
    assert page.locator("#fast figcaption").inner_text() == "<b>bold</b> ${1 + 1}"
    assert page.locator("#fast figcaption b").count() == 0


def test_keyboard(page):
    hold(page, "fast", 1.0)
    frame = lambda: page.evaluate("emoface.players.fast.scene.shown")

    def press(key, expected):
        page.locator("#fast .efp").press(key)
        page.wait_for_function(f"emoface.players.fast.scene.shown === {expected}")

    assert frame() == 30
    page.locator("#fast .efp-seek").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("emoface.players.fast.scene.shown === 31")
    assert abs(float(page.locator("#fast .efp-seek").input_value()) - page.evaluate("emoface.players.fast.audio.currentTime")) < 0.02
    press("Shift+ArrowRight", 41)
    press("ArrowLeft", 40)
    press("Shift+ArrowLeft", 30)
    press("End", page.evaluate("emoface.players.fast.scene.header.frames") - 1)
    press("Home", 0)
    page.locator("#fast .efp").press(" ")
    page.wait_for_function("!emoface.players.fast.audio.paused")
    page.wait_for_selector("#fast .efp-play[aria-label='Pause']")
    page.locator("#fast .efp").press(" ")
    page.wait_for_function("emoface.players.fast.audio.paused")
    page.locator("#fast .efp").press("m")
    page.wait_for_selector("#fast .efp-mute[aria-pressed='true']")
    page.locator("#fast .efp").press("m")


def test_a_failed_seek_does_not_silence_the_player(page):
    """Chromium cannot seek to the end of a short FLAC file, and the sound is broken from then on."""
    samples, rate = soundfile.read(EXAMPLES / "fearful.wav")
    flac = io.BytesIO()
    soundfile.write(flac, samples, rate, format="FLAC")
    page.evaluate(
        """async flac => {
        const { audio, scene } = emoface.players.fast, bytes = Uint8Array.from(atob(flac), c => c.charCodeAt(0));
        window.wav = scene.sounds[0];
        audio.src = scene.sounds[0] = URL.createObjectURL(new Blob([bytes], { type: 'audio/flac' }));
        await new Promise(done => audio.addEventListener('loadeddata', done, { once: true }));
        audio.loop = true;
        audio.play();
        window.broken = new Promise(done => audio.addEventListener('error', done, { once: true }));
        emoface.players.fast.seek(2.19);
        await Promise.race([broken, new Promise((_, fail) => setTimeout(() => fail(new Error('this browser can seek there')), 20000))]);
    }""",
        base64.b64encode(flac.getvalue()).decode(),
    )
    page.wait_for_function("emoface.players.fast.audio.currentTime > 0.05 && !emoface.players.fast.audio.paused")
    assert page.locator("#fast .efp-message").inner_text() == ""
    page.evaluate("() => { const { audio, scene } = emoface.players.fast; audio.pause(); audio.loop = false; audio.src = scene.sounds[0] = wav; }")
    hold(page, "fast", 0.6)


def test_a_face_without_a_size_has_no_picture(page):
    """A face may come while another tab is in sight; drawing a canvas of no size would be an error."""
    hold(page, "fast", 0.6)
    assert page.evaluate("emoface.players.fast.picture(32)").startswith("data:image/webp")
    assert (
        page.evaluate("""() => {
        const canvas = emoface.players.fast.scene.panels[0].plot.querySelector('canvas');
        Object.defineProperty(canvas, 'height', { value: 0, configurable: true });
        try { return emoface.players.fast.picture(32); } finally { delete canvas.height; }
    }""")
        == ""
    )


def test_frames_are_dropped_and_never_delayed(page):
    """While the browser is busy the sound goes on; the next frame drawn is the sound's, not the one that was due."""
    hold(page, "fast", 0.0)
    shown = page.evaluate("""async () => {
        const { audio, scene } = emoface.players.fast, wait = () => new Promise(requestAnimationFrame), pairs = [];
        await audio.play();
        while (audio.currentTime < 0.3) await wait();
        const before = scene.shown, until = performance.now() + 500;
        while (performance.now() < until);
        for (let i = 0; i < 6; i++) { await wait(); await wait(); pairs.push([scene.shown, audio.currentTime * 30]); }
        audio.pause();
        return { before, pairs };
    }""")
    assert shown["pairs"][-1][0] > shown["before"] + 12
    for frame, clock in shown["pairs"]:
        assert frame <= clock + 0.5  # never ahead of the sound


EYES = "emoface.players.two.scene.panels.map(panel => panel.plot._fullLayout.scene._scene.getCamera().eye)"


def drag(page, *, by: float, steps: int = 4, pause: float = 0):
    """Drag the left face of the player with two sideways, without letting go for less than the whole way."""
    plot = page.locator("#two .efp-plot").first
    plot.hover()  # in view and at rest: a busy page may still be moving
    box = plot.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.down()
    for step in range(1, steps + 1):
        page.mouse.move(box["x"] + box["width"] / 2 + by * step / steps, middle)
        page.wait_for_timeout(pause)
    page.mouse.up()


def wait_for_equal_eyes(page, *, turned: str):
    page.wait_for_function(f"(() => {{ const [a, b] = {EYES}; return {turned} && Math.abs(a.x - b.x) < 0.01 && Math.abs(a.y - b.y) < 0.01; }})()")


def test_cameras_are_linked_and_survive_a_seek(page):
    hold(page, "two", 0.6)
    left, right = picture(page, "#two", 0), picture(page, "#two", 1)
    drag(page, by=90, pause=100)
    wait_for_equal_eyes(page, turned="Math.abs(a.x) > 0.2")
    until(lambda: changed(left, picture(page, "#two", 0)) > 0.05, page=page)
    until(lambda: changed(right, picture(page, "#two", 1)) > 0.05, page=page)
    hold(page, "two", 1.2)
    assert abs(page.evaluate(EYES)[1]["x"]) > 0.2
    page.locator("#two .efp-front").click()
    wait_for_equal_eyes(page, turned="Math.abs(a.x) < 0.01")


def test_a_slow_face_follows_to_where_the_drag_ended(page):
    """The last camera of a drag arrives while the other face is still taking the one before."""
    hold(page, "two", 0.6)
    page.evaluate(
        "() => { const relayout = window.relayout = Plotly.relayout;"
        " Plotly.relayout = async (...all) => { await relayout(...all); await new Promise(done => setTimeout(done, 500)); }; }"
    )
    try:
        drag(page, by=90, pause=30)  # as quick as a hand: what a script sends within one frame Plotly may not see
        wait_for_equal_eyes(page, turned="Math.abs(a.x) > 0.2")
    finally:
        page.evaluate("() => { Plotly.relayout = window.relayout; }")
    page.locator("#two .efp-front").click()
    wait_for_equal_eyes(page, turned="Math.abs(a.x) < 0.01")


def test_drawing_goes_on_after_a_resize(page):
    page.set_viewport_size({"width": 700, "height": 1150})
    page.wait_for_function(
        "(() => { const plot = emoface.players.fast.scene.panels[0].plot; return Math.abs(plot._fullLayout.width - plot.clientWidth) < 2; })()"
    )
    hold(page, "fast", 0.2)
    closed = picture(page, "#fast")
    hold(page, "fast", 0.6)
    assert changed(mouth(closed), mouth(picture(page, "#fast"))) > 0.03
    page.set_viewport_size({"width": 1000, "height": 1150})


@pytest.mark.parametrize(
    "script, route, words",
    [
        ("HTMLCanvasElement.prototype.getContext = () => null;", None, "WebGL"),
        (None, "**/plotly-gl3d.min.js", "plotly.js"),
        (None, "**/*.efp", "could not be downloaded"),
    ],
)
def test_a_browser_that_cannot_show_it_is_told_why(chromium, players, script, route, words):
    context = chromium.new_context()
    try:
        if script:
            context.add_init_script(script)
        page = context.new_page()
        if route:
            page.route(route, lambda request: request.fulfill(status=404, body=""))
        page.goto(players)
        message = page.locator("#fast .efp-message.bad")
        message.wait_for(timeout=WAIT)
        assert words in message.inner_text()
    finally:
        context.close()


def test_a_chart_does_not_wait_for_ever_for_a_player_that_is_not_there(chromium):
    with gr.Blocks() as lonely:
        ChartView(Chart("Lonely", [{"x": [0, 1], "y": [0, 1]}], {}, "A line.", follows="nobody"), elem_id="lonely")
    _, address, _ = lonely.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False)
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("#lonely .main-svg", state="attached", timeout=WAIT)
    finally:
        context.close()
        lonely.close()


# Where the page draws points of the head (metres), in pixels of its picture.
PROJECT = """points => {
    const panel = emoface.players.fast.scene.panels[0], { glScene } = panel.fast, { model, view, projection } = glScene.glplot.cameraParams;
    const { centre, radius } = emoface.players.fast.scene.header, { clientWidth, clientHeight } = panel.plot;
    const times = (m, v) => [0, 1, 2, 3].map(row => [0, 1, 2, 3].reduce((sum, column) => sum + m[4 * column + row] * v[column], 0));
    return points.map(point => {
        const [x, y, z] = point.map((value, k) => (value - centre[k]) / radius);
        const at = times(projection, times(view, times(model, [x, -z, y].map((value, k) => value * glScene.dataScale[k]).concat(1))));
        return [(at[0] / at[3] + 1) / 2 * clientWidth, (1 - at[1] / at[3]) / 2 * clientHeight];
    });
}"""


def test_the_film_and_the_player_show_the_same_picture(page, sounds):
    """One look in one light: colours of the same frame at the same places of the face."""
    page.locator("#fast .efp-layer").select_option("")
    hold(page, "fast", 0.6)
    shown = picture(page, "#fast")
    head, look = load_head(0), load_look(0)
    vertices = puppet(load_audio(sounds["bursts"]), emotion="angry", level="strong").vertices[18]
    points, right_up_back = look.vertices(vertices), np.array(page.evaluate("emoface.players.fast.scene.panels[0].axes"))
    camera = Camera(pitch=float(np.degrees(np.arcsin(right_up_back[2, 1]))), field_of_view=0.5, center=(0.0, 0.0, 0.0), height=0.36)
    assert np.abs(camera.rotation() - right_up_back).max() < 1e-3
    film = Renderer(head.faces, look=look, template=head.template, size=800, camera=camera)
    face = np.isin(look.regions, ("cheek_left", "cheek_right", "nose", "chin", "mouth_ring", "lips_upper", "lips_lower", "jaw", "forehead"))
    facing = (vertex_normals(points, look.faces) @ right_up_back[2]) > 0.5
    chosen = points[face & facing & (points[:, 1] < 0.07)]
    drawn = film.render(vertices).astype(float)
    x, y = np.round(camera.project(chosen, 800, 800)[1][:, :2] - 0.5).astype(int).T
    u, v = np.round(np.array(page.evaluate(PROJECT, chosen.tolist())) - 0.5).astype(int).T
    difference = np.abs(drawn[y, x] - shown[v, u])
    assert len(chosen) > 2000 and np.ptp(shown[v, u]) > 60
    assert difference.mean() < 4, f"{difference.mean():.2f} of 255"
