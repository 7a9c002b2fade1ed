"""Many recordings, one call each: over processes, resumable, and one bad file stops nothing.

``animate_file`` is the unit of work, for this module's processes and for any other engine (a cluster's map over paths).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from .errors import EmoFaceError
from .files import atomic_path
from .reading import one_sentence, read_json

SOUNDS = frozenset(".wav .flac .mp3 .ogg .oga .opus .m4a .aac .webm .mp4 .mov .mkv .aif .aiff .amr .wma".split())
"""Suffixes that count as recordings in a folder; a list may name any file."""
SETTINGS = "batch.json"
_ADDED = {"head_motion": 0.0}
"""Settings that folders of earlier versions do not name, with what they were made with."""


@dataclass(frozen=True)
class Job:
    source: Path
    target: Path


@dataclass(frozen=True)
class Outcome:
    """``error`` is None, or one sentence. ``known`` is true where the file was there from an earlier run."""

    job: Job
    error: str | None = None
    known: bool = False


def find_jobs(source: Path, out: Path, suffix: str) -> list[Job]:
    """Recordings of a folder (with its subfolders, which ``out`` repeats), or those that a text file names, one path a line.

    Raises:
        EmoFaceError: nothing there, or two recordings that would become one file.
    """
    if source.is_dir():
        found = sorted(
            path for path in source.rglob("*") if path.suffix.lower() in SOUNDS and path.is_file() and out.resolve() not in path.resolve().parents
        )
        names = [path.relative_to(source) for path in found]
    elif source.is_file():
        try:
            lines = [line.strip() for line in source.read_text("utf-8").splitlines()]
        except UnicodeDecodeError:
            raise EmoFaceError(f"{source} is neither a folder nor a list: give a text file with the path of one recording a line.") from None
        found = [source.parent / line for line in lines if line and not line.startswith("#")]
        names = [Path(path.name) for path in found]
    else:
        raise EmoFaceError(f"There is no folder or list {source}.")
    if not found:
        raise EmoFaceError(f"{source} holds no recordings ({' '.join(sorted(SOUNDS))}).")
    jobs = [Job(path, out / name.with_suffix(suffix)) for path, name in zip(found, names)]
    first: dict[Path, Path] = {}
    for job in jobs:
        if (other := first.setdefault(job.target, job.source)) != job.source:
            raise EmoFaceError(f"{other} and {job.source} would both become {job.target}: rename one of them.")
    return list({job.target: job for job in jobs}.values())


@lru_cache(maxsize=1)
def _pipeline(model: str | None, revision: str | None, device: str, threads: int | None):
    """One pipeline per process."""
    import torch

    from .pipeline import EmoFacePipeline

    pipe = EmoFacePipeline.from_pretrained(model, revision=revision, device=device)
    if threads:
        torch.set_num_threads(threads)
    return pipe


def animate_file(
    job: Job, *, options: dict, model: str | None = None, revision: str | None = None, device: str = "auto", threads: int | None = None
) -> Outcome:
    """Animate one recording into one file, unless that file is there. ``options`` as for calling the pipeline.

    The model is loaded with a process's first call. A recording that cannot be used becomes an outcome with an error, as does any other
    failure of this one file; a model that cannot be used is raised.
    """
    if job.target.exists():
        return Outcome(job, known=True)
    pipe = _pipeline(model, revision, device, threads)
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        pipe(job.source, **options).save(job.target)
    except EmoFaceError as error:
        return Outcome(job, error=str(error))
    except Exception as error:  # whatever it is, the other recordings go on
        return Outcome(job, error=f"{type(error).__name__}: {error}")
    return Outcome(job)


def animate_all(jobs: Sequence[Job], *, workers: int = 1, **call) -> Iterator[Outcome]:
    """Outcomes as they come. ``call``: the keywords of :func:`animate_file`.

    Raises:
        ModelError: the model cannot be used. EmoFaceError: a process died (memory, as a rule).
    """
    if workers == 1:
        yield from (animate_file(job, **call) for job in jobs)
        return
    # Several processes whose numpy takes all cores each wait for one another more than they compute: minutes instead of seconds.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(max((os.cpu_count() or 1) // workers, 1)))
    # A forked process would inherit torch's threads in an unusable state.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: set[Future] = {pool.submit(animate_file, job, **call) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise EmoFaceError("A process was ended from outside, as happens when memory is short: try again with fewer workers.") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def keep_settings(out: Path, settings: dict) -> None:
    """What a folder was made with; a later run must be made alike, or its files would not be what they seem.

    Raises:
        EmoFaceError: the folder was made with other settings, or its record of them is damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / SETTINGS
    if path.exists():
        with one_sentence(str(path), "a folder's settings"):
            before = {**_ADDED, **read_json(path)}
        if before != {**_ADDED, **settings}:
            raise EmoFaceError(f"{out} was made with other settings ({path}): choose another folder, or delete this one.")
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
