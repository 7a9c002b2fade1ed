import base64
import io
import json
import threading
import zipfile

import pytest

from emoface.errors import EmoFaceError
from emoface.study.limits import RateLimit
from emoface.study.session import StudySession
from emoface.study.storage import Storage, default_path, rater_id

ASPECTS = ["lips", "eyes"]


class Clock:
    """Time that passes only when told to; storage and session share it."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def write_study(folder, *, plans=3):
    (folder / "clips").mkdir(parents=True)
    clips = dict.fromkeys(("c0", "c1", "c2", "c3", "k0", "k1", "k2"), 2.0)
    for name in clips:
        (folder / "clips" / f"{name}.mp4").write_bytes(b"clip")
    pages = [[{"practice": True, "clips": ["c0"]}, {"practice": False, "clips": ["c1", "c2"]}, {"practice": False, "clips": ["c3"]}]] * plans
    study = {
        "study": "s1",
        "title": {"en": "Faces", "de": "Gesichter"},
        "languages": ["en", "de"],
        "layout": "single",
        "aspects": [{"id": name, "name": {"en": name, "de": name}, "question": {"en": "?", "de": "?"}} for name in ASPECTS],
        "player": "3d",
        "scenes": ["c1"],
        "minutes": 3,
        "clips": clips,
        "labels": {"en": list("12345"), "de": list("12345")},
        "checks": [{"clip": f"k{index}", "beeps": 2 + index, "number": 40 + index} for index in range(3)],
        "plans": pages,
    }
    (folder / "study.json").write_text(json.dumps(study))
    return folder


@pytest.fixture
def clock(monkeypatch):
    from emoface.study import storage

    clock = Clock()
    monkeypatch.setattr(storage, "time", clock)
    return clock


@pytest.fixture
def session(tmp_path, clock):
    folder = write_study(tmp_path / "study")
    storage = Storage(default_path(folder))
    yield StudySession(folder, storage, token="secret token", clock=clock)
    storage.close()


class Client:
    """A well-behaved form."""

    def __init__(self, session, clock, client="here"):
        self.session, self.clock, self.client = session, clock, client
        self.reply = self.ask(action="begin", language="en", consent=True, about={"age": 1})
        self.code = self.reply["code"]

    def ask(self, **request):
        return self.session(request, client=self.client)

    def watch(self, wait=2.0):
        for clip in self.reply["clips"]:
            self.clock.now += wait
            assert self.ask(action="ended", code=self.code, page=self.reply["page"], clip=clip) == {"ended": clip}

    def check(self, beeps=None, number=None):
        self.watch()
        known = {"k0": (2, 40), "k1": (3, 41), "k2": (4, 42)}[self.reply["clips"][0]]
        self.reply = self.ask(action="check", code=self.code, beeps=beeps or known[0], number=number or known[1])
        return self.reply

    def page(self, **changes):
        return {
            "action": "answer",
            "code": self.code,
            "page": self.reply["page"],
            "answers": {clip: dict.fromkeys(ASPECTS, 3) for clip in self.reply["clips"]},
            "plays": dict.fromkeys(self.reply["clips"], 2),
            "players": dict.fromkeys(self.reply["clips"], "3d"),
            "smoothness": {},
            **changes,
        }

    def rate(self, **changes):
        self.watch()
        self.clock.now += 5.0
        self.reply = self.ask(**self.page(**changes))
        return self.reply


def test_a_whole_session(session, clock):
    opened = session({"action": "open"}, client="x")
    assert opened["practice"] == 1 and set(opened["texts"]) == {"en", "de"}
    rater = Client(session, clock)
    assert rater.reply["screen"] == "check"
    assert rater.check()["screen"] == "page" and rater.reply["practice"]
    assert rater.rate()["page"] == 1 and rater.reply["clips"] == ["c1", "c2"]
    assert rater.rate()["page"] == 2
    assert rater.rate() == {"screen": "done", "page": 3, "pages": 3}
    raters, answers = session._storage.export("s1")
    assert raters[0]["playback"]["passed"] and raters[0]["finished"] and raters[0]["about"] == {"age": 1}
    assert len(answers) == 4 * 2 and {row["seconds"] for row in answers} == {5.0} and answers[0]["plays"] == 2
    assert {row["stimulus"] for row in answers if row["player"] == "3d"} == {"c1"}
    assert [row["position"] for row in answers if row["stimulus"] == "c2"] == [1, 1]


def test_a_rater_goes_back_and_changes_answers(session, clock):
    rater = Client(session, clock)
    rater.check()
    rater.rate()
    rater.rate()
    assert rater.reply["page"] == 2 and "given" not in rater.reply
    rater.reply = rater.ask(action="back", code=rater.code, page=0)
    assert rater.reply["given"] == {"c0": {"lips": 3, "eyes": 3}} and rater.reply["ended"] == ["c0"]  # nothing has to be played again
    again = rater.page(answers={"c0": {"lips": 5, "eyes": 1}})
    assert (
        rater.ask(**again)["page"] == 2 and session._storage.answered(rater.code)["c0", "lips"] == 3
    )  # sent twice by a bad line: the first one counts
    rater.reply = rater.ask(**again, revise=True)
    assert rater.reply["page"] == 1 and set(rater.reply["given"]) == {"c1", "c2"}  # on through what was answered
    assert rater.ask(**rater.page(revise=True))["page"] == 2
    for page in (2, 3, -1, None, True):
        assert rater.ask(action="back", code=rater.code, page=page) == {"error": "invalid"}
    rater.reply = rater.ask(action="resume", code=rater.code)
    assert rater.rate()["screen"] == "done"
    answers = {(row["stimulus"], row["aspect"]): row for row in session._storage.export("s1")[1]}
    assert (answers["c0", "lips"]["value"], answers["c0", "eyes"]["value"]) == (5, 1) and len(answers) == 8
    assert answers["c0", "lips"]["seconds"] == 5.0  # as measured when it was first given
    assert rater.ask(action="back", code=rater.code, page=1) == {"error": "invalid"}  # it is over


def test_no_consent_no_session(session):
    for consent in (None, False, "yes", 1):
        reply = session({"action": "begin", "language": "en", "consent": consent}, client="x")
        assert reply == {"error": "consent"}


def test_a_clip_that_cannot_have_ended_yet_is_not_believed(session, clock):
    rater = Client(session, clock)
    clock.now += 1.5
    assert rater.ask(action="ended", code=rater.code, page=-1, clip="k0") == {"error": "too_fast"}
    rater.check()
    assert rater.ask(**rater.page()) == {"error": "too_fast"}
    rater.rate()
    clock.now += 2.0  # enough for one of the two clips of this page
    for clip in ("c1", "c2"):
        rater.ask(action="ended", code=rater.code, page=1, clip=clip)
    assert rater.ask(**rater.page()) == {"error": "too_fast"}
    clock.now += 2.0
    assert rater.ask(**rater.page())["page"] == 2


@pytest.mark.parametrize(
    "answers",
    [
        None,
        {},
        {"c0": {}},
        {"c0": {"lips": 3}},
        {"c0": {"lips": 3, "eyes": 0}},
        {"c0": {"lips": 3, "eyes": 6}},
        {"c0": {"lips": 3, "eyes": True}},
        {"c0": {"lips": 3, "eyes": 3.0}},
        {"c0": {"lips": 3, "eyes": "3"}},
        {"c0": {"lips": 3, "eyes": 3, "more": 3}},
        {"c1": {"lips": 3, "eyes": 3}},
        [],
        "x",
        {"c0": {"lips": 3, "eyes": 3}, "c1": {"lips": 3, "eyes": 3}},
    ],
)
def test_invalid_answers_are_refused(session, clock, answers):
    rater = Client(session, clock)
    rater.check()
    rater.watch()
    assert rater.ask(**rater.page(answers=answers)) == {"error": "invalid"}
    assert session._storage.answered(rater.code) == {}


@pytest.mark.parametrize(
    "request_",
    [
        None,
        3,
        [],
        {},
        {"action": "drop"},
        {"action": ["open"]},
        {"action": None},
        {"action": "begin", "language": "xx", "consent": True},
        {"action": "begin", "language": "en", "consent": True, "about": {"name": "Ann"}},
        {"action": "begin", "language": "en", "consent": True, "about": {"age": "30"}},
        {"action": "begin", "language": "en", "consent": True, "about": {"age": 99}},
    ],
)
def test_nonsense_is_refused(session, request_):
    assert session(request_, client="x") == {"error": "invalid"}


def test_pages_cannot_be_skipped_and_sending_again_is_harmless(session, clock):
    rater = Client(session, clock)
    assert rater.ask(**rater.page(page=0)) == {"error": "invalid"}  # before the playback check
    rater.check()
    first = rater.page(answers={"c0": {"lips": 1, "eyes": 1}})
    assert rater.ask(**rater.page(page=1)) == {"error": "invalid"}
    rater.watch()
    clock.now += 1
    second = rater.ask(**first)
    again = rater.ask(**{**first, "answers": {"c0": {"lips": 5, "eyes": 5}}})
    assert second == again and second["page"] == 1
    assert {row["value"] for row in session._storage.export("s1")[1]} == {1}


def test_a_failed_playback_check_is_tried_twice_and_recorded(session, clock):
    rater = Client(session, clock)
    first = rater.reply["clips"]
    assert rater.check(beeps=9)["notice"] == "wrong" and rater.reply["clips"] != first
    assert rater.check(number=7)["notice"] == "failed" and rater.reply["screen"] == "page"
    assert session._storage.export("s1")[0][0]["playback"] == {"passed": False, "tries": 2, "player": "video"}


def test_leaving_and_resuming_by_code(session, clock):
    rater = Client(session, clock)
    rater.check()
    rater.rate()
    rater.watch()
    reply = session({"action": "resume", "code": rater.code.upper()}, client="elsewhere")
    assert reply["page"] == 1 and reply["ended"] == ["c1", "c2"] and reply["language"] == "en"
    assert session({"action": "resume", "code": "aaaaa-aaaaa-aaaaa-aaaaa"}, client="x") == {"error": "unknown_code"}
    assert session({"action": "answer", "code": "x", "page": 0}, client="x") == {"error": "unknown_code"}


def test_replies_never_tell_what_a_clip_is(session, clock):
    rater = Client(session, clock)
    rater.check()
    assert set(rater.reply) == {"screen", "page", "pages", "practice", "clips", "scenes", "ended"}
    assert set(Client(session, clock).reply) == {"code", "screen", "page", "clips", "scenes", "ended"}


def test_export_needs_the_token(session, clock, tmp_path):
    rater = Client(session, clock)
    rater.check()
    rater.rate()
    for token in ("", "secret", "secret tokens", None, "sécret"):
        assert session({"action": "export", "token": token}, client="y") == {"error": "token"}
    reply = session({"action": "export", "token": "secret token"}, client="y")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(reply["zip"]))) as archive:
        assert set(archive.namelist()) == {"raters.csv", "answers.csv", "answers.sqlite3"}
        assert rater.code not in archive.read("answers.csv").decode() + archive.read("raters.csv").decode()
        archive.extract("answers.sqlite3", tmp_path)
    copy = Storage(tmp_path / "answers.sqlite3")
    assert len(copy.export("s1")[1]) == 2
    copy.close()


def test_without_a_token_there_is_no_export(tmp_path, clock):
    folder = write_study(tmp_path / "study")
    session = StudySession(folder, Storage(default_path(folder)), token=None)
    assert session({"action": "export", "token": ""}, client="y") == {"error": "token"}
    assert session({"action": "export", "token": "None"}, client="y") == {"error": "token"}


def test_rate_limits_are_per_sender(session):
    begin = {"action": "begin", "language": "en", "consent": True}
    replies = [session(begin, client="flood") for _ in range(70)]
    assert sum("code" in reply for reply in replies) in (60, 61) and replies[-1] == {"error": "busy"}
    assert "code" in session(begin, client="other")  # and a flood of those who never rate does not fill the study


def test_buckets_fill_again_and_hold_no_addresses():
    clock = Clock()
    limit = RateLimit(burst=2, per_second=1, clock=clock)
    assert [limit.allow("10.0.0.1") for _ in range(3)] == [True, True, False]
    clock.now += 1.1
    assert limit.allow("10.0.0.1") and not limit.allow("10.0.0.1")
    assert b"10.0.0.1" not in b"".join(limit._buckets)


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    storage = Storage(tmp_path / "answers.sqlite3")
    with pytest.raises(EmoFaceError, match="study make"):
        StudySession(tmp_path, storage)
    folder = write_study(tmp_path / "study")
    (folder / "clips" / "c1.mp4").unlink()
    with pytest.raises(EmoFaceError, match="missing"):
        StudySession(folder, storage)
    storage.close()


def test_fifty_sessions_at_once_mix_nothing(tmp_path):
    """Real time and threads, as the server runs them; clips are made short so that nobody waits."""
    folder = write_study(tmp_path / "study", plans=50)
    study = json.loads((folder / "study.json").read_text())
    study["clips"] = dict.fromkeys(study["clips"], 0.0)
    (folder / "study.json").write_text(json.dumps(study))
    storage = Storage(default_path(folder))
    session = StudySession(folder, storage)
    failures, owners = [], {}

    class Now:
        now = 0.0

    def rate(index):
        try:
            rater = Client(session, Now(), client=f"client {index}")
            rater.check()
            while rater.reply["screen"] == "page":
                value = 1 + (index + rater.reply["page"]) % 5
                rater.rate(answers={clip: dict.fromkeys(ASPECTS, value) for clip in rater.reply["clips"]})
            owners[rater_id(rater.code)] = index
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=rate, args=(index,)) for index in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(owners) == 50
    rows = storage._rows("SELECT rater, page, value FROM answers", ())
    assert len(rows) == 50 * 4 * 2
    assert all(row["value"] == 1 + (owners[row["rater"]] + row["page"]) % 5 for row in rows)
    storage.close()


# ---- attack and neglect ----------------------------------------------------------------------------------------------


def test_whoever_only_begins_cannot_close_a_study(session, clock):
    """Three plans of twenty raters: sixty places. One client begins two hundred times."""
    begin = {"action": "begin", "language": "en", "consent": True, "about": {}}
    session._arrivals = RateLimit(burst=10_000, per_second=1)
    begun = 0
    for _ in range(200):
        clock.now += 30.0
        begun += "code" in session(begin, client="one who only begins")
    assert begun > 150
    rater = Client(session, clock, client="a real rater")
    assert rater.check()["screen"] == "page" and rater.rate()["page"] == 1


def test_raters_past_the_check_do_fill_a_study(session, clock):
    for index in range(60):
        Client(session, clock, client=str(index)).check()
    assert session({"action": "begin", "language": "en", "consent": True, "about": {}}, client="late") == {"error": "full"}


def test_beginners_are_forgotten_after_a_day_and_raters_are_not(session, clock):
    beginner, rater = Client(session, clock), Client(session, clock, client="rater")
    rater.check()
    clock.now += 25 * 3600
    Client(session, clock, client="next")
    assert beginner.ask(action="resume", code=beginner.code) == {"error": "unknown_code"}
    assert rater.ask(action="resume", code=rater.code)["screen"] == "page"


def test_a_lost_reply_to_a_wrong_check_does_not_leave_a_rater_stuck(session, clock):
    rater = Client(session, clock)
    first = dict(rater.reply)
    rater.watch()
    request = {"action": "check", "code": rater.code, "page": first["page"], "beeps": 9, "number": 9}
    rater.ask(**request)  # the reply is lost
    rater.reply = rater.ask(**request)  # so the form sends it again
    assert rater.reply["screen"] == "check" and rater.reply["notice"] == "wrong" and rater.reply["page"] != first["page"]
    assert rater.check()["screen"] == "page"


def test_a_clock_that_is_set_back_blocks_nobody(session, clock):
    rater = Client(session, clock)
    clock.now -= 3600
    assert rater.check()["screen"] == "page"
    clock.now -= 3600
    assert rater.rate()["page"] == 1


@pytest.mark.parametrize(
    "request_",
    [
        {"action": "resume", "code": "\ud800"},
        {"action": "export", "token": "\udfff"},
        {"action": "\ud800"},
        {"action": "begin", "language": "\ud800", "consent": True},
    ],
    ids=str,
)
def test_lone_surrogates_are_answered(session, request_):
    assert set(session(request_, client="\ud800")) == {"error"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"study": 3}', "\x00"])
def test_a_damaged_study_is_one_sentence(tmp_path, text):
    folder = write_study(tmp_path / "study")
    (folder / "study.json").write_text(text)
    with pytest.raises(EmoFaceError, match="damaged"):
        StudySession(folder, None)


def test_answers_are_private_from_the_first_byte(tmp_path, monkeypatch):
    import os

    old = os.umask(0o000)
    try:
        storage = Storage(tmp_path / "answers.sqlite3")
        storage.add_rater("s", plans=1, language="en", about={})
        assert {path.name: oct(path.stat().st_mode & 0o77) for path in tmp_path.iterdir()} == dict.fromkeys(
            ("answers.sqlite3", "answers.sqlite3-wal", "answers.sqlite3-shm"), "0o0"
        )
    finally:
        os.umask(old)
        storage.close()


def test_a_sender_is_known_by_its_address_not_by_what_it_says():
    from types import SimpleNamespace

    from emoface.ui.study import _client

    request = SimpleNamespace(headers={"x-forwarded-for": "1.2.3.4"}, client=SimpleNamespace(host="192.0.2.7"))
    assert _client(request) == "192.0.2.7"


def test_a_report_needs_no_writable_database(tmp_path):
    """Bytes and time of the file stay as they were, and nothing appears beside it."""
    path = tmp_path / "answers.sqlite3"
    storage = Storage(path)
    storage.add_rater("s", plans=1, language="en", about={})
    storage.close()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    before = path.read_bytes()
    try:
        reader = Storage(path, read_only=True)
        assert len(reader.export("s")[0]) == 1
        with pytest.raises(Exception, match="readonly"):
            reader.add_rater("s", plans=1, language="en", about={})
        reader.close()
        assert path.read_bytes() == before
    finally:
        tmp_path.chmod(0o755)
    path.chmod(0o644)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(EmoFaceError, match="cannot be read"):
        Storage(path, read_only=True)
