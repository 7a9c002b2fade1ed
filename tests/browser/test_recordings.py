"""What is said of recordings that cannot be animated, and of those in films; all on one page."""

import av
import numpy as np
import pytest

from tests.browser.controls import clear, upload


@pytest.fixture(scope="module")
def page(keep_page):
    return keep_page()


def test_bad_recordings_are_named_as_text(page, sounds):
    clear(page, "#speech")
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


def test_silence_and_nothing_at_all_are_refused(page, sounds):
    clear(page, "#speech")
    page.click("#animate")
    page.locator(".toast-body.error").filter(has_text="Record or upload speech").wait_for()
    upload(page, "#speech", sounds["silent"])
    page.get_by_text("is silent").first.wait_for()


def test_the_sound_of_a_video_is_taken_and_other_files_are_refused_in_words(page, tmp_path):
    film = tmp_path / "talk.mp4"
    with av.open(str(film), "w") as file:
        picture, sound = file.add_stream("mpeg4", rate=10), file.add_stream("aac", rate=16000)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        for _ in range(10):
            file.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        frame = av.AudioFrame.from_ndarray((0.3 * np.sin(np.arange(16000) / 5)).astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        file.mux(sound.encode(frame))
        file.mux(sound.encode())
        file.mux(picture.encode())
    text = tmp_path / "notes.txt"
    text.write_text("no sound in here")
    clear(page, "#speech")
    upload(page, "#speech", film)
    page.wait_for_function("/1\\.\\d seconds\\./.test(document.body.innerText)")
    clear(page, "#speech")
    upload(page, "#speech", text)
    page.get_by_text("notes.txt is not audio that can be read").wait_for()
    assert "Invalid file type" not in page.inner_text("body")
