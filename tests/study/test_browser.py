"""One rater, one study, a real browser. Without Chromium this is skipped, except in CI, where it fails."""

import json

import pytest
import soundfile
import yaml

from emoface.study.make import make_study

from .test_make import tetrahedron, tone

WAIT = 300_000
DESIGN = {
    "title": {"en": "Talking faces", "de": "Sprechende Gesichter"},
    "languages": ["en", "de"],
    "layout": "pair",
    "size": 128,
    "raters_per_item": 2,
    "methods": {"secretours": {"animations": "{item}.npz"}, "secrettheirs": {"animations": "{item}.npz"}},
    "items": [{"id": "hiddenone", "speech": "speech.wav", "emotion": "happy"}, {"id": "hiddentwo", "speech": "speech.wav", "emotion": "sad"}],
}


def serve(folder, design):
    """Render and open a study; yields address, study folder and storage."""
    from emoface.ui.study import build_study

    soundfile.write(folder / "speech.wav", tone(0.7), 16000)
    for item in design["items"]:
        tetrahedron().save(folder / f"{item['id']}.npz")
    (folder / "design.yaml").write_text(yaml.safe_dump(design))
    study = make_study(folder / "design.yaml", folder / "made")
    page = build_study(study, database=folder / "answers.sqlite3", token="admin secret")
    # _frontend=False leaves out Gradio's own check of the page, which gives up after 3 s on a busy machine.
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False)
    yield address, study, page.study_storage
    page.close()
    page.study_storage.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from serve(tmp_path_factory.mktemp("browser"), DESIGN)


class Visitor:
    def __init__(self, browser, address, *, script: str | None = None, **options) -> None:
        self.context = browser.new_context(**options)
        if script:
            self.context.add_init_script(script)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.traffic: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._keep)
        self.page.set_default_timeout(WAIT)
        self.page.goto(address)
        self.page.wait_for_selector(".sf[data-ready=true]")

    def _keep(self, response) -> None:
        self.traffic.append(response.url + json.dumps(response.headers))
        if "component_server" in response.url or "config" in response.url:
            self.traffic.append(response.text())

    def screen(self, name: str):
        self.page.wait_for_selector(f"[data-screen={name}]")
        return self.page

    def next(self) -> None:
        self.page.click(".sf-primary")

    def play(self, index: int) -> None:
        clip = self.page.locator(".sf-clip").nth(index)
        plays = int(clip.get_attribute("data-plays")) + 1
        clip.locator(".sf-play").click()
        self.page.wait_for_selector(f".sf-clip:nth-of-type({index + 1})[data-plays='{plays}']")

    def play_all(self) -> None:
        for index in range(self.page.locator(".sf-play").count()):
            self.play(index)

    def arrive(self, public) -> str:
        """Consent, code, playback check and instructions; returns the code."""
        self.page.check("#sf-agree")
        self.next()
        self.screen("about")
        self.next()
        code = self.screen("code").inner_text(".sf-code code")
        self.next()
        self.screen("check")
        self.play_all()
        self.page.fill("#sf-beeps", str(public["checks"][0]["beeps"]))
        self.page.fill("#sf-number", str(public["checks"][0]["number"]))
        self.next()
        self.screen("instructions")
        self.next()
        self.screen("page")
        return code

    def answer_all(self, category: int) -> None:
        for index in range(self.page.locator(".sf-scale").count()):
            self.page.locator(".sf-scale").nth(index).locator("label").nth(category - 1).click()

    def on_page(self, number: int, pages: int = 2) -> None:
        self.page.wait_for_function("text => document.querySelector('.sf-progress span')?.textContent === text", arg=f"Page {number} of {pages}")


def test_a_rater_goes_through_the_study(chromium, server):
    address, study, storage = server
    public = json.loads((study / "study.json").read_text())
    rater = Visitor(chromium, address, locale="en-GB")
    page = rater.page

    rater.next()  # without consent
    assert "agree" in page.inner_text("[role=alert] >> nth=0") and page.locator("[data-screen=consent]").count()
    page.check("#sf-agree")
    rater.next()
    rater.screen("about").select_option("#sf-age", index=2)
    rater.next()
    code = rater.screen("code").inner_text(".sf-code code")
    rater.next()

    rater.screen("check")
    assert page.is_disabled("#sf-beeps")
    rater.play_all()
    page.fill("#sf-beeps", "9")
    page.fill("#sf-number", "9")
    rater.next()
    page.wait_for_selector(".sf-notice")
    rater.play_all()
    shown = page.evaluate("document.querySelector('video').src") and public["checks"][1]
    page.fill("#sf-beeps", str(shown["beeps"]))
    page.fill("#sf-number", str(shown["number"]))
    rater.next()
    rater.screen("instructions")
    rater.next()

    rater.screen("page")
    assert page.locator(".sf-scale").count() == 2 * 4 and page.locator(".sf-scale input:checked").count() == 0
    assert page.is_disabled(".sf-scale input >> nth=0")
    rater.play(0)
    assert page.is_disabled(".sf-scale input >> nth=0"), "one of two clips is not enough"
    rater.play_all()
    page.wait_for_function("!document.querySelector('.sf-scale input').matches(':disabled')")
    page.click(".sf-primary", force=True)  # nothing is sent before every question has its answer
    assert page.evaluate("document.activeElement === document.querySelector('.sf-scale input')")
    rater.on_page(1)
    for scale in range(8):  # by keyboard alone: a digit chooses, Tab goes to the next question
        page.keyboard.press(str(1 + scale % 5))
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Continue"
    page.keyboard.press("Enter")
    rater.on_page(2)
    assert page.evaluate("document.activeElement.tagName") == "H2"
    page.click(".sf-back")  # the way back: the answers are there, can be changed, and nothing has to be played again
    rater.on_page(1)
    chosen = "[...document.querySelectorAll('.sf-scale input:checked')].map(input => Number(input.value))"
    assert page.evaluate(chosen) == [1 + scale % 5 for scale in range(8)]
    page.locator(".sf-scale").nth(2).locator("label").nth(4).click()
    rater.next()
    rater.on_page(2)

    elsewhere = Visitor(chromium, address, locale="de-DE")  # leave, and go on with the code in another browser
    elsewhere.page.click("summary")
    elsewhere.page.fill("#sf-code", code.upper().replace("-", " "))
    elsewhere.page.click(".sf-resume button")
    elsewhere.on_page(2)
    elsewhere.play_all()
    elsewhere.page.wait_for_function("!document.querySelector('.sf-scale input').matches(':disabled')")
    elsewhere.answer_all(4)
    elsewhere.next()
    elsewhere.screen("done")

    raters, answers = storage.export(public["study"])
    assert raters[0]["finished"] and raters[0]["about"] == {"age": 1} and raters[0]["playback"]["tries"] == 2
    assert len(answers) == 2 * 2 * 4
    assert sorted(row["value"] for row in answers[:8]) == sorted([1, 2, 5, 4, 5, 1, 2, 3])  # the third was changed
    assert {row["value"] for row in answers[8:]} == {4} and all(row["seconds"] >= 0 for row in answers)
    assert {row["plays"] for row in answers[:8]} == {1, 2}
    for visitor in (rater, elsewhere):
        assert not visitor.errors
        traffic = "".join(visitor.traffic) + visitor.page.content()
        assert "component_server" in traffic
        secrets = ("secretours", "secrettheirs", "hiddenone", "hiddentwo", "admin secret", str(study))
        assert not [word for word in secrets if word in traffic]
        visitor.context.close()


def test_a_machine_too_slow_for_3d_gets_the_video(chromium, tmp_path):
    methods = {"secretours": DESIGN["methods"]["secretours"]}
    study = serve(tmp_path, {**DESIGN, "layout": "single", "player": "3d", "methods": methods})
    address, folder, storage = next(study)
    slow = "const soon = requestAnimationFrame; requestAnimationFrame = draw => soon(() => setTimeout(draw, 250));"
    rater = Visitor(chromium, address, locale="en-GB", script=slow)
    rater.arrive(json.loads((folder / "study.json").read_text()))
    rater.page.wait_for_selector(".sf-clip[data-state=waiting] .sf-3d canvas")
    rater.page.click(".sf-play")
    rater.page.wait_for_selector(".sf-clip[data-state=waiting] video")
    assert "too long" in rater.page.inner_text(".sf-status") and rater.page.is_disabled(".sf-scale input >> nth=0")
    for number in (1, 2):
        rater.on_page(number)
        rater.page.wait_for_selector(".sf-clip[data-state=waiting] video")
        assert not rater.page.locator(".sf-3d").count()
        rater.play_all()
        rater.page.wait_for_function("!document.querySelector('.sf-scale input').matches(':disabled')")
        rater.answer_all(3)
        rater.next()
    rater.screen("done")
    answers = storage.export(json.loads((folder / "study.json").read_text())["study"])[1]
    assert len(answers) == 8 and {row["player"] for row in answers} == {"video"} and not rater.errors
    rater.context.close()
    next(study, None)


def test_a_phone_shows_everything_without_scrolling_sideways_in_german(chromium, server):
    address, _, _ = server
    phone = Visitor(chromium, address, locale="de-DE", viewport={"width": 390, "height": 844})
    assert phone.page.inner_text(".sf-primary") == "Beginnen"
    assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    phone.context.close()


def test_the_owner_downloads_the_answers_with_the_token(chromium, server):
    address, _, _ = server
    owner = Visitor(chromium, address + "#study-export")
    owner.screen("export").fill("#sf-token", "wrong")
    owner.next()
    owner.page.wait_for_function("document.querySelector('.sf-status').textContent !== ''")
    owner.page.fill("#sf-token", "admin secret")
    with owner.page.expect_download() as download:
        owner.next()
    assert download.value.suggested_filename == "study-answers.zip"
    owner.context.close()
