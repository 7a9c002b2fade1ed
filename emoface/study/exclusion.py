"""Which raters count: the design's exclusion rules, fixed before the data are seen, applied and listed."""

from __future__ import annotations

import pandas as pd

from .plan import plan_rater
from .results import Results


def exclusions(results: Results) -> pd.DataFrame:
    """One row per rater: the measured quantities, ``excluded`` and the ``reasons`` in words.

    ``in_3d`` is the share of answers given to the 3D player, ``frames_shown`` the mean share of frames that the
    rater's machine showed (NaN where the browser does not report it).
    """
    rules = results.design.exclusion
    rows = []
    for rater in results.raters.to_dict("records"):
        answers = results.answers[results.answers["rater"] == rater["rater"]]
        ratings = answers[answers["kind"] == "rating"]
        playback = rater["playback"] if isinstance(rater["playback"], dict) else None
        row = {
            "rater": rater["rater"],
            "ratings": len(ratings),
            "completed": _completed(results, rater["number"], ratings),
            "attention_failures": _attention_failures(results, answers),
            "gold_failures": _gold_failures(results, answers),
            "identical_answers": ratings["value"].value_counts(normalize=True).max() if len(ratings) else 0.0,
            "seconds_per_answer": _seconds_per_answer(ratings),
            "in_3d": (ratings["player"] == "3d").mean() if len(ratings) else 0.0,
            "frames_shown": ratings["smoothness"].astype(float).mean(),
            "playback_check": None if playback is None else bool(playback["passed"]),
        }
        reasons = []
        if row["completed"] < rules.completed:
            reasons.append(f"completed {row['completed']:.0%} of the session")
        if row["attention_failures"] > rules.attention_failures:
            reasons.append(f"failed {row['attention_failures']} attention checks")
        if row["gold_failures"] > rules.gold_failures:
            reasons.append(f"failed {row['gold_failures']} gold items")
        if len(ratings) and row["identical_answers"] > rules.identical_answers:
            reasons.append(f"gave the same answer {row['identical_answers']:.0%} of the time")
        if len(ratings) and row["seconds_per_answer"] < rules.seconds_per_answer:
            reasons.append(f"took {row['seconds_per_answer']:.2f} s per answer")
        if rules.playback_check and row["playback_check"] is False:
            reasons.append("failed the playback check")
        rows.append({**row, "excluded": bool(reasons), "reasons": "; ".join(reasons)})
    return pd.DataFrame(rows)


def _completed(results: Results, number: int, ratings: pd.DataFrame) -> float:
    pages = [page for page in plan_rater(results.design, number) if page.kind == "rating"]
    expected = sum(len(page.stimuli) for page in pages) * len(results.design.aspects)
    return len(ratings) / expected


def _attention_failures(results: Results, answers: pd.DataFrame) -> int:
    checks = answers[answers["kind"] == "attention"].groupby("stimulus")["value"]
    return sum(any(value != results.key[stimulus]["answer"] for value in values) for stimulus, values in checks)


def _gold_failures(results: Results, answers: pd.DataFrame) -> int:
    failures = 0
    for row in answers[answers["kind"] == "gold"].itertuples():
        gold = results.key[row.stimulus]
        failures += row.aspect == gold["aspect"] and not gold["at_least"] <= row.value <= gold["at_most"]
    return failures


def _seconds_per_answer(ratings: pd.DataFrame) -> float:
    """Median over pages of the time from the end of the clips to the answers, per answer."""
    if not len(ratings):
        return 0.0
    pages = ratings.groupby("page")["seconds"].agg(["max", "size"])
    return float((pages["max"] / pages["size"]).median())
