"""What belongs to one visitor: a secret folder of results, the last animation, and a way to stop each job."""

from __future__ import annotations

import ctypes
import shutil
import threading
import time
import uuid
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet

from gradio.utils import get_upload_folder

from ..animation import Animation
from ..errors import Cancelled, EmoFaceError

KEPT_BYTES = 2_000_000_000
"""Animations kept for downloads, all visitors together; the oldest go first."""
GRACE_SECONDS = 600.0
"""Gradio keeps one file for equal uploads; another visitor's job with the same file may still stand in the queue."""
DOWNLOAD_SECONDS = 3600.0
"""How long a file for download stays. Agents share one session that never ends, so theirs would pile up."""


@dataclass
class Session:
    folder: Path
    jobs: dict[str, WeakSet[threading.Event]] = field(default_factory=lambda: defaultdict(WeakSet))
    """Where a job was started (a tab) -> what stops those that still run."""
    uploads: set[Path] = field(default_factory=set)


class Sessions:
    """Thread-safe. Ids are Gradio's session hashes; folders have names that cannot be guessed."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._kept: OrderedDict[str, Animation] = OrderedDict()
        self._lock = threading.RLock()

    def _open(self, session_id: str) -> Session:
        if session_id not in self._sessions:
            folder = Path(get_upload_folder()) / f"emoface-{uuid.uuid4().hex}"
            folder.mkdir(parents=True)
            self._sessions[session_id] = Session(folder)
        return self._sessions[session_id]

    def _still_open(self, session_id: str) -> Session:
        """A job may outlive its page: what it then made has nobody to go to, and nobody would ever delete it."""
        with self._lock:
            if session_id not in self._sessions:
                raise Cancelled("The page was closed.")
            return self._sessions[session_id]

    def start(self, session_id: str, job: str, *uploads: str | None) -> threading.Event:
        """Begin a job; returns what tells it to stop. Uploads: as :meth:`use`."""
        stop = threading.Event()
        with self._lock:
            self._open(session_id).jobs[job].add(stop)
            self.use(session_id, *uploads)
        return stop

    def use(self, session_id: str, *uploads: str | None) -> None:
        """Remember uploaded files, which go with the session. Those of equal content share one file, which stays while any visitor uses it.

        The app's own files are none of them: ``context.py`` has Gradio serve the examples from where they are, so that no visitor holds their only copy.
        """
        with self._lock:
            self._open(session_id).uploads |= {Path(upload) for upload in uploads if upload}

    def result(self, session_id: str, suffix: str) -> Path:
        """A new path in the visitor's folder. Raises Cancelled when the page was closed."""
        return self._still_open(session_id).folder / f"{uuid.uuid4().hex}{suffix}"

    def named_result(self, session_id: str, name: str) -> Path:
        """The same with a path that ends in ``name``, for files that people download; those made long ago go."""
        session = self._still_open(session_id)
        for old in [path for path in session.folder.iterdir() if path.is_dir()]:
            if time.time() - old.stat().st_mtime > DOWNLOAD_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        folder = session.folder / uuid.uuid4().hex
        folder.mkdir()
        return folder / name

    def stop(self, session_id: str, job: str) -> None:
        """Stop what this visitor started there."""
        with self._lock:
            for stop in self._open(session_id).jobs[job]:
                stop.set()

    def keep(self, session_id: str, animation: Animation) -> None:
        """The visitor's latest, for downloads. Raises Cancelled when the page was closed."""
        with self._lock:
            self._still_open(session_id)
            self._kept[session_id] = animation
            self._kept.move_to_end(session_id)
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > KEPT_BYTES:
                self._kept.popitem(last=False)

    def kept(self, session_id: str) -> Animation:
        """Raises EmoFaceError when there is none (any more)."""
        with self._lock:
            if session_id not in self._kept:
                raise EmoFaceError("There is no animation of yours on the server any more; press Animate, then download.")
            return self._kept[session_id]

    def end(self, session_id: str) -> None:
        """Stop the work and delete the visitor's results at once, and after ``GRACE_SECONDS`` the uploads that nobody else uses."""
        with self._lock:
            session = self._sessions.pop(session_id, None)
            self._kept.pop(session_id, None)
        if session is None:
            return
        for jobs in session.jobs.values():
            for stop in jobs:
                stop.set()
        shutil.rmtree(session.folder, ignore_errors=True)
        _return_memory()
        timer = threading.Timer(GRACE_SECONDS, self._delete_unused, [session.uploads])
        timer.daemon = True
        timer.start()

    def _delete_unused(self, uploads: set[Path]) -> None:
        folder = Path(get_upload_folder()).resolve()
        with self._lock:
            used = set().union(*(session.uploads for session in self._sessions.values()))
            for upload in uploads - used:
                # Never a file of the program, nor one that another visitor has sent in the meantime and not used yet.
                if folder in upload.resolve().parents and _age(upload) >= GRACE_SECONDS:
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


def _return_memory() -> None:
    """Freed arrays stay in the C library's pools, one per thread, until it is asked to give them back (glibc only)."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another system or another C library
        pass


def _size(animation: Animation) -> int:
    return animation.vertices.nbytes + animation.emotion_importance.nbytes + animation.emotion_effect_mm.nbytes
