import json
import signal
import subprocess
import sys
import threading

import pytest

from emoface.errors import EmoFaceError
from emoface.study import storage as storage_module
from emoface.study.push import HubCopy
from emoface.study.storage import Answer, Storage, clean_code, default_path, new_code, rater_id


def answer(page=0, stimulus="s0", aspect="lips", value=3) -> Answer:
    return Answer(page=page, stimulus=stimulus, aspect=aspect, value=value, position=0, plays=1, seconds=2.0, player="video", smoothness=None)


@pytest.fixture
def storage(tmp_path):
    storage = Storage(tmp_path / "answers.sqlite3")
    yield storage
    storage.close()


def add(storage, study="study", plans=4, **more):
    return storage.add_rater(study, plans=plans, language="en", about={}, **more)


def test_answers_are_written_durably(storage):
    assert storage._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert storage._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_storing_again_changes_nothing(storage):
    code = add(storage).code
    storage.store(code, [answer(value=3)])
    storage.store(code, [answer(value=5), answer(aspect="eyes", value=4)])
    _, rows = storage.export("study")
    assert [(row["aspect"], row["value"]) for row in rows] == [("lips", 3), ("eyes", 4)]


def test_a_page_is_stored_as_a_whole_or_not_at_all(storage):
    code = add(storage).code
    with pytest.raises(Exception):
        storage.store(code, [answer(), answer(aspect="eyes", value="not a number")])
    assert storage.answered(code) == {}


def test_answers_of_unknown_raters_are_refused(storage):
    with pytest.raises(Exception):
        storage.store(new_code(), [answer()])


def test_plans_are_given_out_evenly_and_abandoned_ones_again(storage, monkeypatch):
    raters = [add(storage) for _ in range(8)]
    assert [rater.number for rater in raters] == [0, 1, 2, 3, 0, 1, 2, 3]
    for rater in raters:
        if rater.number != 2:
            storage.finish(rater.code)
    monkeypatch.setattr(storage_module, "_ABANDONED_AFTER", -60.0)
    assert add(storage).number == 2
    with pytest.raises(EmoFaceError, match="enough raters"):
        add(storage, limit=9)


def test_codes_cannot_be_guessed_and_forgive_typing(storage):
    codes = {new_code() for _ in range(1000)}
    assert len(codes) == 1000 and all(len(code) == 23 for code in codes)
    code = add(storage).code
    assert clean_code(f" {code.upper().replace('-', ' ')} ") == code
    assert storage.rater("study", code.upper()).code == code
    assert storage.rater("other study", code) is None and storage.rater("study", "x" * 9999) is None


def test_sessions_survive_a_restart(tmp_path):
    path = tmp_path / "answers.sqlite3"
    first = Storage(path)
    code = add(first).code
    shown = first.show_page(code, 0)
    first.end_playback(code, 0, "s0")
    first.store(code, [answer()])
    first.close()
    second = Storage(path)
    assert second.rater("study", code).number == 0
    assert set(second.answered(code)) == {("s0", "lips")}
    assert second.show_page(code, 0) == shown and "s0" in second.playback(code, 0)[1]
    second.close()


def test_export_holds_nothing_that_identifies_or_continues_a_session(storage):
    rater = add(storage)
    storage.set_playback(rater.code, passed=True, tries=1, player="video")
    storage.store(rater.code, [answer()])
    raters, answers = storage.export("study")
    assert raters[0]["rater"] == answers[0]["rater"] == "r001"
    assert rater.code not in json.dumps([raters, answers])
    assert set(raters[0]) == {"rater", "number", "language", "about", "playback", "started", "active", "finished"}


def test_the_file_does_not_hold_the_codes(storage):
    code = add(storage).code
    storage.store(code, [answer()])
    storage.close()
    assert code.encode() not in storage.path.read_bytes()


def test_default_path_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("EMOFACE_STUDY_DB", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert default_path(tmp_path) == tmp_path / "private" / "answers.sqlite3"
    monkeypatch.setenv("EMOFACE_STUDY_DB", "/somewhere/else.sqlite3")
    assert str(default_path(tmp_path)) == "/somewhere/else.sqlite3"


def test_an_unwritable_place_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EmoFaceError, match="EMOFACE_STUDY_DB"):
        Storage(tmp_path / "file" / "answers.sqlite3")


def test_fifty_raters_at_once_mix_nothing(tmp_path):
    path = tmp_path / "answers.sqlite3"
    storages = [Storage(path), Storage(path)]  # two servers on one file
    failures: list[BaseException] = []

    def rate(index: int) -> None:
        try:
            storage = storages[index % 2]
            code = add(storage, plans=50).code
            for page in range(5):
                storage.show_page(code, page)
                storage.store(code, [answer(page, f"s{page}", aspect, 1 + (index + page) % 5) for aspect in ("lips", "eyes")])
            codes[index] = code
        except BaseException as error:
            failures.append(error)

    codes: dict[int, str] = {}
    threads = [threading.Thread(target=rate, args=(index,)) for index in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(set(codes.values())) == 50
    rows = storages[0]._rows("SELECT rater, page, stimulus, value FROM answers", ())
    assert len(rows) == 50 * 5 * 2
    owner = {rater_id(code): index for index, code in codes.items()}
    assert all(row["value"] == 1 + (owner[row["rater"]] + row["page"]) % 5 for row in rows)
    assert sorted(storages[0].rater("study", code).number for code in codes.values()) == list(range(50))
    for storage in storages:
        storage.close()


_SERVER = """
import sys
from emoface.study.storage import Answer, Storage
storage = Storage(sys.argv[1])
code = storage.add_rater("study", plans=1, language="en", about={}).code
print(code, flush=True)
for page in range(100000):
    storage.store(code, [Answer(page, f"s{page}", aspect, 1 + page % 5, 0, 1, 1.0, "video", None)
                         for aspect in ("lips", "eyes")])
    print(page, flush=True)
"""


def test_killing_the_server_loses_no_acknowledged_answer(tmp_path):
    path, acknowledged = tmp_path / "answers.sqlite3", {}
    for attempt in range(10):
        server = subprocess.Popen([sys.executable, "-c", _SERVER, str(path)], stdout=subprocess.PIPE, text=True)
        lines = [server.stdout.readline() for _ in range(3 + 5 * attempt)]
        server.send_signal(signal.SIGKILL)
        lines += server.stdout.read().splitlines(keepends=True)
        assert server.wait(timeout=300) == -signal.SIGKILL
        acknowledged[lines[0].strip()] = [int(line) for line in lines[1:] if line.endswith("\n")]
    storage = Storage(path)
    for code, pages in acknowledged.items():
        stored = {
            (row["page"], row["aspect"]): row["value"]
            for row in storage._rows("SELECT page, aspect, value FROM answers WHERE rater = ?", (rater_id(code),))
        }
        for page in pages:
            assert stored[page, "lips"] == stored[page, "eyes"] == 1 + page % 5
        assert all((page, "eyes") in stored for page, aspect in stored if aspect == "lips")  # no half pages
    assert sum(map(len, acknowledged.values())) >= 245
    storage.close()


class _Scheduler:
    """Stands in for `huggingface_hub.CommitScheduler`, which needs a network."""

    def __init__(self, fail: bool = False) -> None:
        self.lock, self.fail, self.uploads = threading.Lock(), fail, 0

    def trigger(self):
        return self

    def result(self):
        if self.fail:
            raise ConnectionError("offline")
        self.uploads += 1


def test_the_hub_copy_is_complete_and_may_fail(storage, tmp_path):
    code = add(storage).code
    storage.store(code, [answer()])
    tried = threading.Semaphore(0)

    def offline(repo_id, folder):
        tried.release()
        raise ConnectionError("offline")

    copy = HubCopy(storage, "someone/answers", folder=tmp_path / "copy", minutes=0.0002, make_scheduler=offline)
    for page in range(3):
        assert tried.acquire(timeout=300)
        storage.store(code, [answer(page=page, stimulus=f"s{page}")])  # rating goes on
    copy.close()

    scheduler = _Scheduler()
    copy = HubCopy(storage, "someone/answers", folder=tmp_path / "copy", minutes=60, make_scheduler=lambda repo_id, folder: scheduler)
    assert copy.copy() and scheduler.uploads >= 1
    saved = Storage(tmp_path / "copy" / "answers.sqlite3")
    assert saved.answered(code) == storage.answered(code)
    scheduler.fail = True
    assert not copy.copy()
    copy.close()
    saved.close()
