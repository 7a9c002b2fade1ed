"""``emoface batch``: a folder or a list of recordings, over several processes."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..errors import EmoFaceError
from ..head_motion import MOST, check_amount
from .common import Progress, add_model_options


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "batch",
        description="Animate every recording of a folder or list. The same command goes on where it was stopped.",
        epilog="Exit codes: 0 all done, 1 some recordings failed (they are listed at the end), 2 nothing could be done, 130 stopped.",
    )
    add = parser.add_argument
    add("source", type=Path, metavar="FOLDER_OR_LIST", help="folder of recordings, or a text file with one path a line")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the results")
    add("--format", default="glb", metavar="SUFFIX", help="glb (default), npz, mp4, csv, ...")
    add("--workers", type=int, default=1, metavar="N", help="processes, each with a model of its own (default 1)")
    add("--emotion", default="speech", metavar="speech|NAME|FILE", help="the voice's own, a name, or another recording, for all")
    add("--mix", type=float, default=1.0, help="0: the speech's own emotion ... 1: the chosen one (default)")
    add("--level", default="normal", choices=("normal", "strong"))
    add("--style", metavar="NAME", help="speaking style")
    add("--head", type=int, default=0, metavar="N", help="0 (average) to 23")
    add("--idle", action="store_true", help="add blinks and small eye movements")
    add(
        "--head-motion",
        type=float,
        default=0.0,
        metavar="AMOUNT",
        help=f"how much the head turns and nods: 0 not at all (default), 1 as people do, up to {MOST:g}",
    )
    add("--quiet", action="store_true", help="no progress on stderr")
    add_model_options(parser)
    parser.set_defaults(run=_batch)


def _batch(arguments: argparse.Namespace) -> int:
    from ..batch import animate_all, find_jobs, keep_settings
    from ..export import FORMATS

    suffix = "." + arguments.format.lower().lstrip(".")
    if suffix not in FORMATS:
        raise EmoFaceError(f"There is no format {arguments.format!r}: use one of {' '.join(name[1:] for name in FORMATS)}.")
    if arguments.workers < 1:
        raise EmoFaceError(f"The number of workers is {arguments.workers}: give 1 or more.")
    check_amount(arguments.head_motion)
    options = {name: getattr(arguments, name) for name in ("emotion", "mix", "level", "style", "head", "idle", "head_motion")}
    jobs = find_jobs(arguments.source, arguments.output, suffix)
    keep_settings(arguments.output, {**options, "model": arguments.model or os.environ.get("EMOFACE_MODEL"), "revision": arguments.revision})
    threads = max((os.cpu_count() or 1) // arguments.workers, 1) if arguments.workers > 1 else None
    call = dict(options=options, model=arguments.model, revision=arguments.revision, device=arguments.device, threads=threads)

    report, outcomes = Progress(quiet=arguments.quiet), []
    for outcome in animate_all(jobs, workers=arguments.workers, **call):
        outcomes.append(outcome)
        report(f"{len(outcomes)} of {len(jobs)}: {outcome.job.source.name}", len(outcomes) / len(jobs))
    report.close()
    failed = [outcome for outcome in outcomes if outcome.error]
    known = sum(outcome.known for outcome in outcomes)
    print(f"{arguments.output}: {len(outcomes) - len(failed) - known} made, {known} there already, {len(failed)} failed")
    if failed:
        width = max(len(str(outcome.job.source)) for outcome in failed)
        for outcome in sorted(failed, key=lambda outcome: outcome.job.source):
            print(f"{outcome.job.source!s:{width}}  {outcome.error}", file=sys.stderr)
    return 1 if failed else 0
