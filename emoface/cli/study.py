"""``python -m emoface study make | report | power | export``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "study", description="User studies after ITU-T P.800, P.808 and P.910. Collect the answers with: python app.py --study DIR"
    )
    commands = parser.add_subparsers(dest="study_command", metavar="COMMAND", required=True)

    make = commands.add_parser("make", help="render all clips of a design into a study folder")
    make.add_argument("design", type=Path, help="design file (YAML); see assets/study/example.yaml")
    make.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="study folder to write")
    make.set_defaults(run=_make)

    report = commands.add_parser("report", help="mean opinion scores, intervals, tests, plots and a LaTeX table")
    _add_source(report)
    report.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder to write (default: DIR/report)")
    report.set_defaults(run=_report)

    export = commands.add_parser("export", help="all raters and answers as CSV, without analysis")
    _add_source(export)
    export.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder to write")
    export.set_defaults(run=_export)

    power = commands.add_parser("power", help="how many raters find a given difference")
    power.add_argument(
        "--difference",
        type=float,
        nargs="+",
        default=[0.2, 0.3, 0.4, 0.5],
        metavar="POINTS",
        help="differences in MOS points (default: 0.2 0.3 0.4 0.5)",
    )
    power.add_argument("--items", type=int, default=12, help="items each rater rates per method (default: 12)")
    power.add_argument("--comparisons", type=int, default=1, help="tests that are corrected together (default: 1)")
    power.add_argument("--power", type=float, default=0.8, help="wanted chance to find the difference (default: 0.8)")
    power.add_argument("--rater-sd", type=float, default=0.5, help="spread of raters' strictness (default: 0.5)")
    power.add_argument("--taste-sd", type=float, default=0.25, help="spread of raters' view of a method (default: 0.25)")
    power.add_argument("--answer-sd", type=float, default=0.8, help="scatter of one rater's answers (default: 0.8)")
    power.set_defaults(run=_power)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="study folder made by 'study make'")
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="database of answers, if not where the form stores them (EMOFACE_STUDY_DB or DIR/private)"
    )


def _make(arguments: argparse.Namespace) -> int:
    from ..study.make import make_study

    output = make_study(arguments.design, arguments.output, progress=_progress)
    _progress("Done", 1.0, end="\n")
    print(f"Wrote {output}. Collect answers with: python app.py --study {output}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from ..study.report import write_report

    target = write_report(arguments.folder, output=arguments.output, database=arguments.answers)
    print(f"Wrote {target / 'report.md'} and its tables, plots and LaTeX beside it.")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ..study.export import write_export

    for path in write_export(arguments.folder, arguments.output, database=arguments.answers):
        print(path)
    return 0


def _power(arguments: argparse.Namespace) -> int:
    from ..study.power import plan_raters
    from ..study.simulate import RaterModel

    model = RaterModel(rater=arguments.rater_sd, taste=arguments.taste_sd, error=arguments.answer_sd)
    print("difference  raters  MOS +-  power in 1000 simulated studies")
    for difference in arguments.difference:
        plan = plan_raters(difference=difference, items=arguments.items, comparisons=arguments.comparisons, power=arguments.power, model=model)
        print(f"{difference:10.2f}  {plan.raters:6d}  {plan.interval:6.2f}  {plan.simulated_power:6.0%}")
    return 0


def _progress(stage: str, fraction: float, end: str = "") -> None:
    if sys.stderr.isatty() or end:
        print(f"\r{fraction:4.0%}  {stage:30s}", end=end, file=sys.stderr, flush=True)
