"""Optional copy of the answers in a private Hub dataset, beside the form and never in its way.

Answers are safe in SQLite first. A background thread copies the database now and then and lets
``huggingface_hub.CommitScheduler`` upload it; offline or refused, it logs one line and tries again later.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from .storage import Storage

log = logging.getLogger(__name__)


class HubCopy:
    """Uploads a copy of ``storage`` to the dataset ``repo_id`` every ``minutes``; starts with the object."""

    def __init__(self, storage: Storage, repo_id: str, *, folder: str | Path, minutes: float = 5.0, make_scheduler: Any = None) -> None:
        self._storage, self._repo_id, self._folder = storage, repo_id, Path(folder)
        self._minutes, self._make_scheduler = minutes, make_scheduler or _commit_scheduler
        self._scheduler: Any = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="study-hub-copy", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Make no more copies; one under way is finished."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.copy()
            self._stop.wait(self._minutes * 60.0)

    def copy(self) -> bool:
        """Copy and upload once; False (and a log line) if the Hub could not be reached."""
        try:
            if self._scheduler is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._scheduler = self._make_scheduler(self._repo_id, self._folder)
            with self._scheduler.lock:
                self._storage.backup(self._folder / "answers.sqlite3")
            self._scheduler.trigger().result()
        except Exception as error:  # whatever the network or the Hub does, rating goes on
            log.warning(
                "The answers were not copied to %s (%s); they are safe in %s and the copy is tried again.",
                self._repo_id,
                type(error).__name__,
                self._storage.path,
            )
            return False
        return True


def _commit_scheduler(repo_id: str, folder: Path) -> Any:
    from huggingface_hub import CommitScheduler

    # Commits are triggered after each copy; the scheduler's own clock only has to stay out of the way.
    return CommitScheduler(repo_id=repo_id, repo_type="dataset", folder_path=folder, every=24 * 60, private=True)
