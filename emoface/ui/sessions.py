"""What belongs to one visitor: a secret folder of results, the last animation, and a way to stop each job; and when all that goes.

A visit ends when its page is closed, after ``IDLE_SECONDS`` without a live page (plain API calls), or when all visitors together need
more than ``MAX_BYTES`` and it has been idle for longest. An ended visit does not begin again: its page has to be loaded anew.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
import time
import uuid
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet, ref

import gradio as gr
from gradio.utils import get_upload_folder

from ..animation import Animation
from ..errors import Cancelled, EmoFaceError
from .scratch import is_private

KEPT_BYTES = 2_000_000_000
"""Animations kept for downloads, all visitors together; the oldest go first."""
MAX_BYTES = 4_000_000_000
"""Results and recordings on the disk, all visitors together."""
MAX_VISITS = 10_000
MOST_RESULTS = 12
"""Animations that a visit can return to."""
GRACE_SECONDS = 600.0
"""Gradio keeps one file for equal uploads; another visitor's job with the same file may still stand in the queue."""
IDLE_SECONDS = 3600.0
"""A visit without a live page ends after so long; a recording that nobody used, and a file for download, stay as long."""
LIVE_IDLE_SECONDS = 24 * 3600.0
SWEEP_SECONDS = 20.0
_ENDED_KEPT = 10_000
_DIGEST = 64
"""Gradio puts each upload into a folder named by its SHA-256."""


@dataclass(frozen=True)
class Result:
    """One animation of a visit, as it was shown."""

    name: str
    label: str
    outputs: tuple
    """What the page's components got."""
    files: tuple[Path, ...]


@dataclass
class Session:
    """What is kept of one visit."""

    live: bool = False
    """Whether a page is open, which will report that it closes."""
    used: float = field(default_factory=time.monotonic)
    folder: Path | None = None
    """Made with the first result."""
    jobs: dict[str, WeakSet[threading.Event]] = field(default_factory=lambda: defaultdict(WeakSet))
    """Where a job was started (a tab) -> what stops those that still run."""
    uploads: set[Path] = field(default_factory=set)
    results: list[Result] = field(default_factory=list)
    """Oldest first."""
    chosen: str = ""
    """Name of the animation that downloads take."""


def visitor(request: gr.Request) -> str:
    """The id of a request's visit. A call without one gets one of its own, which gives no access to other visitors' results."""
    if not request.session_hash:
        request.session_hash = f"call-{uuid.uuid4().hex}"
    return request.session_hash


class Sessions:
    """Thread-safe. Ids are Gradio's session hashes; folders have names that cannot be guessed."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # the one idle for longest first
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._kept: OrderedDict[tuple[str, str], Animation] = OrderedDict()  # (visit, name)
        self._released: dict[Path, float] = {}
        self._lock = threading.RLock()
        self._sweeper: threading.Thread | None = None

    # ---- visits -----------------------------------------------------------------------------------------------------

    def arrive(self, session_id: str) -> None:
        """A page was opened; it will report when it is closed."""
        with self._lock:
            if session_id not in self._ended:
                self._open(session_id).live = True

    def _open(self, session_id: str) -> Session:
        if session_id in self._ended:
            raise Cancelled("This visit has ended: reload the page.")
        session = self._sessions.setdefault(session_id, Session())
        session.used = time.monotonic()
        self._sessions.move_to_end(session_id)
        if self._sweeper is None:
            self._sweeper = threading.Thread(target=_sweep_now_and_then, args=[ref(self)], name="emoface-sessions", daemon=True)
            self._sweeper.start()
        return session

    def _still_open(self, session_id: str) -> Session:
        """A job may end after its page was closed: nobody could fetch its result then, and nothing would ever delete it."""
        with self._lock:
            if session_id not in self._sessions:
                raise Cancelled("The page was closed.")
            return self._sessions[session_id]

    def start(self, session_id: str, job: str, *uploads: str | None) -> threading.Event:
        """Begin a job; returns the event that stops it. Uploads: as :meth:`use`. Raises Cancelled when the visit has ended."""
        stop = threading.Event()
        with self._lock:
            self._open(session_id).jobs[job].add(stop)
            self.use(session_id, *uploads)
        return stop

    def use(self, session_id: str, *uploads: str | None) -> None:
        """Remember uploaded files, which go with the session. Those of equal content share one file, which stays while any visitor uses it.

        The app's own files are none of them: ``context.py`` has Gradio serve the examples from where they are, so that no visitor holds their only copy.
        """
        root = _root()
        with self._lock:
            given = {Path(upload) for upload in uploads if upload}
            self._open(session_id).uploads |= {path for path in given if root in path.resolve().parents}

    def stop(self, session_id: str, job: str) -> None:
        """Stop what this visitor started there."""
        with self._lock:
            for stop in self._open(session_id).jobs[job]:
                stop.set()

    def end(self, session_id: str) -> None:
        """Stop the work and delete the visitor's results at once, and after ``GRACE_SECONDS`` the uploads that nobody else uses."""
        with self._lock:
            session = self._sessions.pop(session_id, None)
            for key in [key for key in self._kept if key[0] == session_id]:
                del self._kept[key]
            self._ended[session_id] = None
            while len(self._ended) > _ENDED_KEPT:
                self._ended.popitem(last=False)
            if session is None:
                return
            self._released.update(dict.fromkeys(session.uploads, time.monotonic()))
        for jobs in session.jobs.values():
            for stop in jobs:
                stop.set()
        if session.folder is not None:
            shutil.rmtree(session.folder, ignore_errors=True)
        return_memory()

    # ---- results ----------------------------------------------------------------------------------------------------

    def _folder(self, session_id: str) -> Path:
        """The visitor's folder, made when it is first needed, and again if somebody tidied it away."""
        with self._lock:
            session = self._still_open(session_id)
            if session.folder is None:
                session.folder = _root() / f"emoface-{uuid.uuid4().hex}"
            session.folder.mkdir(parents=True, exist_ok=True)
            return session.folder

    def result(self, session_id: str, suffix: str) -> Path:
        """A new path in the visitor's folder. Raises Cancelled when the page was closed."""
        return self._folder(session_id) / f"{uuid.uuid4().hex}{suffix}"

    def named_result(self, session_id: str, name: str) -> Path:
        """The same with a path that ends in ``name``, for files that people download; they go after ``IDLE_SECONDS``."""
        folder = self._folder(session_id) / uuid.uuid4().hex
        folder.mkdir()
        return folder / name

    def keep(self, session_id: str, animation: Animation, name: str = "") -> None:
        """The visitor's latest, for downloads. Raises Cancelled when the page was closed."""
        with self._lock:
            self._still_open(session_id).chosen = name
            self._kept[session_id, name] = animation
            self._kept.move_to_end((session_id, name))
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > KEPT_BYTES:
                self._kept.popitem(last=False)

    def kept(self, session_id: str, name: str | None = None) -> Animation:
        """The one that was chosen or came last, or the one of that name. Raises EmoFaceError when there is none (any more)."""
        with self._lock:
            session = self._sessions.get(session_id)
            key = session_id, name if name is not None else session.chosen if session else ""
            if key not in self._kept:
                raise EmoFaceError("There is no animation of yours on the server any more; press Animate, then download.")
            return self._kept[key]

    def remember(self, session_id: str, result: Result) -> None:
        """One more to return to; the oldest goes where there are too many. Raises Cancelled when the page was closed."""
        with self._lock:
            session = self._still_open(session_id)
            session.results.append(result)
            while len(session.results) > MOST_RESULTS:
                old = session.results.pop(0)
                self._kept.pop((session_id, old.name), None)
                for path in old.files:
                    path.unlink(missing_ok=True)

    def results(self, session_id: str) -> list[Result]:
        """Oldest first."""
        with self._lock:
            session = self._sessions.get(session_id)
            return [] if session is None else list(session.results)

    def choose(self, session_id: str, name: str) -> None:
        """Downloads take this one from now on. Raises Cancelled when the page was closed."""
        with self._lock:
            self._still_open(session_id).chosen = name

    # ---- tidying ----------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """End idle visits, delete what nobody uses any more, and keep all together below ``MAX_BYTES`` and ``MAX_VISITS``."""
        now = time.monotonic()
        with self._lock:
            sessions = list(self._sessions.items())
        idle = [name for name, session in sessions if now - session.used > (LIVE_IDLE_SECONDS if session.live else IDLE_SECONDS)]
        for session_id in {*idle, *[name for name, _ in sessions[: max(len(sessions) - MAX_VISITS, 0)]]}:
            self.end(session_id)
        self._delete_old_downloads()
        self._delete_unused(now)
        self._make_room()

    def _delete_old_downloads(self) -> None:
        with self._lock:
            folders = [session.folder for session in self._sessions.values() if session.folder is not None]
        for folder in folders:
            for old in [path for path in _entries(folder) if path.is_dir() and _age(path) > IDLE_SECONDS]:
                shutil.rmtree(old, ignore_errors=True)

    def _delete_unused(self, now: float) -> None:
        with self._lock:
            used = set().union(*(session.uploads for session in self._sessions.values()))
            self._released = {path: since for path, since in self._released.items() if path not in used}
            over = [path for path, since in self._released.items() if now - since >= GRACE_SECONDS]
            for path in over:
                # Not one that another visitor has sent in the meantime and not used yet.
                if _age(path) >= GRACE_SECONDS:
                    _delete(path)
                del self._released[path]
            for path in self._strays(used | self._released.keys()):
                if _age(path) > IDLE_SECONDS:
                    _delete(path)

    def _strays(self, known: set[Path]) -> list[Path]:
        """Files that came and were never used; only where nothing but this program's visitors put any."""
        root = _root()
        if not is_private(root):
            return []
        return [path for folder in _entries(root) if len(folder.name) == _DIGEST for path in _entries(folder) if path.is_file() and path not in known]

    def _make_room(self) -> None:
        """Strays go first, then whole visits, the one idle for longest first; those without a live page before the others."""
        with self._lock:
            used = set().union(*(session.uploads for session in self._sessions.values()))
            sizes = {path: _bytes(path) for path in {*self._strays(used), *self._released, *used}}
            total = sum(sizes.values()) + sum(_bytes(session.folder) for session in self._sessions.values() if session.folder)
            for path in sorted(set(sizes) - used, key=_age, reverse=True):
                if total <= MAX_BYTES:
                    return
                _delete(path)
                self._released.pop(path, None)
                total -= sizes[path]
            for session_id, session in sorted(self._sessions.items(), key=lambda item: item[1].live):
                if total <= MAX_BYTES:
                    return
                total -= _bytes(session.folder) if session.folder else 0
                self.end(session_id)
                for path in session.uploads - set().union(*(other.uploads for other in self._sessions.values())):
                    _delete(path)
                    self._released.pop(path, None)
                    total -= sizes[path]


def _sweep_now_and_then(sessions: ref) -> None:
    """One thread for all visits, as long as there is anything to look after."""
    while True:
        time.sleep(SWEEP_SECONDS)
        living = sessions()
        if living is None:
            return
        try:
            living.sweep()
        except OSError as error:  # a full or vanished disk: the next round tries again
            print(f"emoface: files of visitors could not be tidied ({error.strerror}).", flush=True)
        del living


def _root() -> Path:
    return Path(get_upload_folder()).resolve()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _bytes(path: Path) -> int:
    """Size of a file, or of all files below a folder; 0 where it is gone."""
    try:
        return path.stat().st_size if path.is_file() else sum(_bytes(Path(entry.path)) for entry in os.scandir(path))
    except OSError:
        return 0


def _delete(upload: Path) -> None:
    upload.unlink(missing_ok=True)
    _remove_empty(upload.parent)


def _age(path: Path) -> float:
    """Seconds since the file was written; 0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # something else is in it
        pass


def return_memory() -> None:
    """Freed arrays stay in the C library's pools, one per thread, until it is asked to give them back (glibc only)."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another system or another C library
        pass


def _size(animation: Animation) -> int:
    return animation.vertices.nbytes + animation.emotion_importance.nbytes + animation.emotion_effect_mm.nbytes
