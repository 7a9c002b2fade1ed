"""The real server in a process of its own: fifty raters at once, and ``kill -9`` in the middle of it."""

import json
import random
import signal
import subprocess
import sys
import threading

import pytest

from emoface.study.storage import Storage, rater_id

from .test_session import ASPECTS, write_study

httpx = pytest.importorskip("httpx")
_SERVER = """
import sys
from emoface.ui.study import build_study
page = build_study(sys.argv[1], database=sys.argv[2])
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False)
form = next(block for block in page.blocks.values() if type(block).__name__ == "StudyForm")
print(address, form._id, flush=True)
page.block_thread()
"""
RATERS = 50


class Sender:
    def __init__(self, address: str, component: str) -> None:
        self.url, self.component = f"{address}gradio_api/component_server/", int(component)
        self.http = httpx.Client(timeout=300)

    def __call__(self, **request) -> dict:
        reply = self.http.post(
            self.url, json={"session_hash": f"s{id(self)}", "component_id": self.component, "fn_name": "study_call", "data": [request]}
        )
        reply.raise_for_status()
        return reply.json()


@pytest.fixture
def study(tmp_path):
    folder = write_study(tmp_path / "study", plans=RATERS)
    public = json.loads((folder / "study.json").read_text())
    public["clips"] = dict.fromkeys(public["clips"], 0.0)  # nobody has to wait
    (folder / "study.json").write_text(json.dumps(public))
    return folder


def test_fifty_raters_mix_nothing_and_kill_9_loses_no_acknowledged_answer(study, tmp_path):
    database = tmp_path / "answers.sqlite3"
    server = subprocess.Popen([sys.executable, "-c", _SERVER, str(study), str(database)], stdout=subprocess.PIPE, text=True)
    acknowledged: list[tuple[str, str, int]] = []
    unexpected: list[BaseException] = []
    enough = threading.Event()

    def rate(index: int) -> None:
        try:
            send = Sender(address, component)
            reply = send(action="begin", language="en", consent=True, about={})
            code = reply["code"]
            while reply["screen"] != "done":
                for clip in reply["clips"]:
                    send(action="ended", code=code, page=reply["page"], clip=clip)
                if reply["screen"] == "check":
                    number = int(reply["clips"][0][1:])
                    reply = send(action="check", code=code, page=reply["page"], beeps=2 + number, number=40 + number)
                    continue
                value, clips = 1 + (index + reply["page"]) % 5, reply["clips"]
                reply = send(action="answer", code=code, page=reply["page"], answers={clip: dict.fromkeys(ASPECTS, value) for clip in clips})
                acknowledged.extend((code, clip, value) for clip in clips)
                if len(acknowledged) > 100 + random.randrange(20):
                    enough.set()
        except httpx.TransportError:
            pass  # the server was killed
        except BaseException as error:
            unexpected.append(error)
            enough.set()

    try:
        address, component = server.stdout.readline().split()
        threads = [threading.Thread(target=rate, args=(index,)) for index in range(RATERS)]
        for thread in threads:
            thread.start()
        assert enough.wait(timeout=600)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait(timeout=300)
    for thread in threads:
        thread.join()
    assert not unexpected
    storage = Storage(database)
    rows = storage._rows("SELECT rater, stimulus, aspect, value FROM answers", ())
    stored = {(row["rater"], row["stimulus"], row["aspect"]): row["value"] for row in rows}
    assert len(acknowledged) > 100
    for code, clip, value in acknowledged:
        assert [stored[rater_id(code), clip, aspect] for aspect in ASPECTS] == [value, value]
    storage.close()


def test_clips_are_served_and_private_files_are_not(study, tmp_path):
    from emoface.ui.study import build_study

    (study / "private").mkdir(exist_ok=True)
    (study / "private" / "key.json").write_text("{}")
    page = build_study(study, database=tmp_path / "answers.sqlite3")
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False)
    try:
        form = next(block for block in page.blocks.values() if type(block).__name__ == "StudyForm")
        config = httpx.get(f"{address}config").text
        clips_url = form.props["clips_url"]
        clip = httpx.get(f"{address}{clips_url[1:]}/c0.mp4")
        assert clip.content == b"clip" and "2001" in clip.headers["last-modified"]  # not when it was made
        assert str(study) not in config and "key.json" not in config
        for path in (study / "private" / "key.json", study / "study.json", study / "clips" / "c0.mp4", tmp_path / "answers.sqlite3"):
            assert httpx.get(f"{address}gradio_api/file={path}").status_code == 403
        for name in ("../private/key.json", "..%2f..%2fanswers.sqlite3", "."):
            assert httpx.get(f"{address}{clips_url[1:]}/{name}").status_code in (403, 404)
    finally:
        page.close()
        page.study_storage.close()


def test_the_study_can_be_a_tab_of_another_page(study, tmp_path):
    import gradio as gr

    from emoface.ui.study import build_study

    with gr.Blocks() as whole, gr.Tabs():
        with gr.Tab("Other"):
            gr.Markdown("something else")
        with gr.Tab("Study"):
            build_study(study, database=tmp_path / "answers.sqlite3")
    _, address, _ = whole.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False)
    try:
        form = next(block for block in whole.blocks.values() if type(block).__name__ == "StudyForm")
        assert Sender(address, str(form._id))(action="open")["study"] == "s1"
    finally:
        whole.close()
