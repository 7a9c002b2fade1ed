"""Durable storage of raters and answers in one SQLite file.

Every answer is one row with a unique key and is on the disk (``synchronous=FULL``) before the rater is told so.
Sending an answer again changes nothing, so a client may repeat it until it hears back. Nothing that identifies a
person is stored: no name, no address, no browser. A rater holds a random code, of which only the hash is kept, so that
whoever sees the file cannot continue anybody's session.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from ..errors import EmoFaceError
from ..files import atomic_path

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ABANDONED_AFTER = 2 * 3600.0
_RECENT = 600.0
_FORGOTTEN_AFTER = 24 * 3600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS raters (
    id TEXT PRIMARY KEY, study TEXT NOT NULL, number INTEGER NOT NULL, language TEXT NOT NULL,
    about TEXT NOT NULL DEFAULT '{}', playback TEXT, started REAL NOT NULL, active REAL NOT NULL, finished REAL
) STRICT;
CREATE TABLE IF NOT EXISTS pages (
    rater TEXT NOT NULL REFERENCES raters (id), page INTEGER NOT NULL, shown REAL NOT NULL, ended TEXT NOT NULL,
    PRIMARY KEY (rater, page)
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
    rater TEXT NOT NULL REFERENCES raters (id), page INTEGER NOT NULL, stimulus TEXT NOT NULL, aspect TEXT NOT NULL,
    value INTEGER NOT NULL, position INTEGER NOT NULL, plays INTEGER NOT NULL, seconds REAL NOT NULL,
    player TEXT NOT NULL, smoothness REAL, stored REAL NOT NULL,
    PRIMARY KEY (rater, stimulus, aspect)
) STRICT;
"""
_PROVEN = "coalesce(json_extract(playback, '$.passed'), 0) OR finished IS NOT NULL OR EXISTS (SELECT 1 FROM answers WHERE answers.rater = raters.id)"
"""Whether a rater is past the playback check, or failed it and rated all the same."""


@dataclass(frozen=True)
class Answer:
    """One judgement of one clip in one aspect."""

    page: int
    stimulus: str
    aspect: str
    value: int
    position: int
    """Place on the page from the left, 0 first."""
    plays: int
    """How often the clip was played to the end."""
    seconds: float
    """From the end of the page's last first playback to sending the page."""
    player: str
    """``video`` or ``3d``."""
    smoothness: float | None
    """Share of frames that the rater's machine showed, in [0, 1]; None where it cannot be measured."""


@dataclass(frozen=True)
class Rater:
    """One rater, as stored."""

    code: str
    number: int
    """Number of the plan this rater follows."""
    language: str
    finished: bool
    playback_passed: bool | None


def default_path(study: str | Path) -> Path:
    """``EMOFACE_STUDY_DB``, else Spaces' persistent ``/data``, else the study folder itself."""
    if os.environ.get("EMOFACE_STUDY_DB"):
        return Path(os.environ["EMOFACE_STUDY_DB"])
    persistent = Path("/data")
    if os.environ.get("SPACE_ID") and os.access(persistent, os.W_OK):
        return persistent / "emoface-study" / "answers.sqlite3"
    return Path(study) / "private" / "answers.sqlite3"


class Storage:
    """Answers of one or more studies. Safe for many threads and for several processes on one machine."""

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        """``read_only``: for reports, also from places where nothing can be written."""
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self._connection = self._read() if read_only else self._create()
            self._connection.row_factory = sqlite3.Row
        except (OSError, sqlite3.Error) as error:
            if read_only:
                raise EmoFaceError(f"The study's answers at {self.path} cannot be read ({error}); check the file.") from error
            raise EmoFaceError(
                f"The study's answers cannot be stored at {self.path} ({error}); choose a writable place with EMOFACE_STUDY_DB."
            ) from error

    def _create(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Readable by this user alone from the first byte on; SQLite gives its -wal and -shm the same permissions.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        os.chmod(self.path, 0o600)
        connection = sqlite3.connect(self.path, timeout=30.0, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(_SCHEMA)
        return connection

    def _read(self) -> sqlite3.Connection:
        address = self.path.absolute().as_uri() + "?mode=ro"
        writable = os.access(self.path.parent, os.W_OK)  # the log beside the file needs its index, which is written even to read
        if not writable and not self.path.with_name(self.path.name + "-wal").exists():
            address += "&immutable=1"
        connection = sqlite3.connect(address, uri=True, timeout=30.0, check_same_thread=False, isolation_level=None)
        connection.execute("SELECT count(*) FROM raters")
        return connection

    def close(self) -> None:
        """Close the database; nothing can be stored or read afterwards."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits, and thereby reaches the disk, on leaving; undone as a whole on an error."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, query: str, values: tuple) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    # --- raters ---

    def add_rater(self, study: str, *, plans: int, language: str, about: dict, limit: int | None = None) -> Rater:
        """Register a rater and give out the plan with the fewest finished or active raters.

        Plans of raters who sent nothing for two hours are given out again. Towards the ``limit`` count those who are past the
        playback check, and, up to half of it, those who came in the last ten minutes: whoever only begins, again and again, cannot
        close a study. Errors: `EmoFaceError` ``full`` if the study has ``limit`` raters already.
        """
        now, code = time.time(), new_code()
        with self._transaction() as db:
            _forget_beginners(db, study, before=now - _FORGOTTEN_AFTER)
            rows = db.execute(f"SELECT number, finished, active, {_PROVEN} AS proven FROM raters WHERE study = ?", (study,)).fetchall()
            if limit is not None:
                proven = sum(row["proven"] for row in rows)
                recent = sum(not row["proven"] and row["active"] > now - _RECENT for row in rows)
                if proven + min(recent, limit // 2) >= limit:
                    raise EmoFaceError("This study has enough raters already; thank you for your interest.")
            taken = [row["number"] for row in rows if row["finished"] is not None or row["active"] > now - _ABANDONED_AFTER]
            number = min(range(plans), key=lambda plan: (taken.count(plan), plan))
            db.execute(
                "INSERT INTO raters (id, study, number, language, about, started, active) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (rater_id(code), study, number, language, json.dumps(about), now, now),
            )
        return Rater(code=code, number=number, language=language, finished=False, playback_passed=None)

    def rater(self, study: str, code: str) -> Rater | None:
        """The rater with this code in this study, or None."""
        rows = self._rows("SELECT * FROM raters WHERE id = ? AND study = ?", (rater_id(code), study))
        if not rows:
            return None
        row = rows[0]
        return Rater(
            code=clean_code(code),
            number=row["number"],
            language=row["language"],
            finished=row["finished"] is not None,
            playback_passed=json.loads(row["playback"])["passed"] if row["playback"] else None,
        )

    def set_playback(self, code: str, *, passed: bool, tries: int, player: str) -> None:
        """Store the outcome of the playback check; a later one replaces it."""
        with self._transaction() as db:
            db.execute(
                "UPDATE raters SET playback = ? WHERE id = ?", (json.dumps({"passed": passed, "tries": tries, "player": player}), rater_id(code))
            )

    def playback_tries(self, code: str) -> int:
        """How often this rater tried the playback check."""
        rows = self._rows("SELECT playback FROM raters WHERE id = ?", (rater_id(code),))
        return json.loads(rows[0]["playback"])["tries"] if rows and rows[0]["playback"] else 0

    def finish(self, code: str) -> None:
        """The rater has answered all pages; the time of the first call stays."""
        with self._transaction() as db:
            db.execute("UPDATE raters SET finished = coalesce(finished, ?) WHERE id = ?", (time.time(), rater_id(code)))

    # --- pages ---

    def show_page(self, code: str, page: int) -> float:
        """Remember when a page was first shown; returns that time (seconds since 1970)."""
        now, rater = time.time(), rater_id(code)
        with self._transaction() as db:
            # The earlier of the two: a clock that was set back must not make a rater wait for it.
            db.execute("INSERT INTO pages VALUES (?, ?, ?, '{}') ON CONFLICT DO UPDATE SET shown = min(shown, excluded.shown)", (rater, page, now))
            db.execute("UPDATE raters SET active = ? WHERE id = ?", (now, rater))
            return db.execute("SELECT shown FROM pages WHERE rater = ? AND page = ?", (rater, page)).fetchone()[0]

    def end_playback(self, code: str, page: int, stimulus: str) -> None:
        """Remember when a clip of a page was first reported as played to its end."""
        rater = rater_id(code)
        with self._transaction() as db:
            row = db.execute("SELECT ended FROM pages WHERE rater = ? AND page = ?", (rater, page)).fetchone()
            ended = json.loads(row["ended"])
            ended.setdefault(stimulus, time.time())
            db.execute("UPDATE pages SET ended = ? WHERE rater = ? AND page = ?", (json.dumps(ended), rater, page))

    def playback(self, code: str, page: int) -> tuple[float, dict[str, float]] | None:
        """(time shown, times at which clips first ended) of a page, or None if it was never shown."""
        rows = self._rows("SELECT shown, ended FROM pages WHERE rater = ? AND page = ?", (rater_id(code), page))
        return (rows[0]["shown"], json.loads(rows[0]["ended"])) if rows else None

    # --- answers ---

    def store(self, code: str, answers: Iterable[Answer], *, revise: bool = False) -> None:
        """Write the answers of a page together; when this returns they are on the disk.

        An answer that is already there stays as it is: it was sent twice. With ``revise`` the rater came back to it, and its value becomes the new one;
        what was measured with the first (time, plays, player) stays.
        """
        names = [field.name for field in fields(Answer)]
        query = (
            f"INSERT INTO answers (rater, {', '.join(names)}, stored) VALUES ({', '.join('?' * (len(names) + 2))})"
            f" ON CONFLICT DO {'UPDATE SET value = excluded.value, stored = excluded.stored' if revise else 'NOTHING'}"
        )
        now, rater = time.time(), rater_id(code)
        with self._transaction() as db:
            db.executemany(query, [(rater, *(getattr(answer, name) for name in names), now) for answer in answers])
            db.execute("UPDATE raters SET active = ? WHERE id = ?", (now, rater))

    def answered(self, code: str) -> dict[tuple[str, str], int]:
        """(stimulus, aspect) -> value of everything this rater has answered."""
        rows = self._rows("SELECT stimulus, aspect, value FROM answers WHERE rater = ?", (rater_id(code),))
        return {(row["stimulus"], row["aspect"]): row["value"] for row in rows}

    def export(self, study: str) -> tuple[list[dict], list[dict]]:
        """(raters, answers) of a study as plain rows.

        Raters are called r001, r002, ... in order of arrival.
        """
        with self._lock:
            raters = [
                dict(row) for row in self._connection.execute("SELECT rowid AS arrival, * FROM raters WHERE study = ? ORDER BY rowid", (study,))
            ]
            answers = [
                dict(row)
                for row in self._connection.execute(
                    "SELECT answers.* FROM answers JOIN raters ON raters.id = answers.rater WHERE study = ? ORDER BY answers.rowid", (study,)
                )
            ]
        alias = {row["id"]: f"r{index:03d}" for index, row in enumerate(raters, start=1)}
        for row in raters:
            row["rater"] = alias[row.pop("id")]
            row["about"] = json.loads(row["about"])
            row["playback"] = json.loads(row["playback"]) if row["playback"] else None
            del row["arrival"], row["study"]
        return raters, [{**row, "rater": alias[row["rater"]]} for row in answers]

    def backup(self, path: str | Path) -> None:
        """Write a consistent copy of the whole database while it is in use."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic_path(target) as temporary,
            closing(sqlite3.connect(self.path, timeout=30.0)) as reader,
            closing(sqlite3.connect(temporary)) as copy,
        ):
            reader.backup(copy)


def _forget_beginners(db: sqlite3.Connection, study: str, *, before: float) -> None:
    """Raters who began, never came past the playback check, and sent nothing since."""
    gone = f"SELECT id FROM raters WHERE study = ? AND active < ? AND NOT ({_PROVEN})"
    db.execute(f"DELETE FROM pages WHERE rater IN ({gone})", (study, before))
    db.execute(f"DELETE FROM raters WHERE id IN ({gone})", (study, before))


def new_code() -> str:
    """A rater's code: 20 letters and digits without look-alikes, 99 random bits."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(20))
    return "-".join(letters[place : place + 5] for place in range(0, 20, 5))


def rater_id(code: str) -> str:
    """What is stored of a code. With 99 random bits a plain hash cannot be reversed by trying."""
    return hashlib.sha256(clean_code(code).encode()).hexdigest()[:32]


def clean_code(text: str) -> str:
    """A code as people type it: upper case, spaces and missing hyphens are forgiven."""
    letters = "".join(letter for letter in str(text).lower()[:64] if letter.isalnum())
    return "-".join(letters[place : place + 5] for place in range(0, len(letters), 5))
