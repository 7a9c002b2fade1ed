"""``study report``: from the stored answers to tables, plots and a page to read."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from ..errors import EmoFaceError
from ..files import write_text
from .analysis import CELLS, agreement, comparisons, mean_opinion_scores
from .exclusion import exclusions
from .results import Results, load_results


def write_report(folder: str | Path, *, output: str | Path | None = None, database: str | Path | None = None) -> Path:
    """Analyse the study in ``folder`` and write ``output`` (default ``folder/report``); returns that folder.

    Writes answers, raters, mos, mos_by_emotion, mos_by_level, comparisons and agreement as CSV, everything as
    report.json, the MOS table as mos.tex, plots as PNG and PDF, and report.md to read first.
    """
    _need_libraries()
    results = load_results(folder, database=database)
    target = Path(output) if output else Path(folder) / "report"
    target.mkdir(parents=True, exist_ok=True)
    tables = analyse(results)
    for name, table in tables.items():
        write_text(target / f"{name}.csv", table.to_csv(index=False, float_format="%.6g"))
    write_text(target / "answers.csv", results.answers.to_csv(index=False))
    summary = {
        "title": results.design.title,
        "seed": results.design.seed,
        **{name: json.loads(table.to_json(orient="records")) for name, table in tables.items()},
    }
    write_text(target / "report.json", json.dumps(summary, indent=1, ensure_ascii=False))
    write_text(target / "mos.tex", _latex(results, tables))
    _plots(results, tables, target)
    write_text(target / "report.md", _markdown(results, tables))
    return target


def analyse(results: Results) -> dict[str, pd.DataFrame]:
    """All tables of the report by name; only raters who keep the design's rules count."""
    raters = exclusions(results)
    kept = raters.loc[~raters["excluded"], "rater"]
    ratings = results.ratings[results.ratings["rater"].isin(kept)]
    if not len(ratings):
        raise EmoFaceError(
            f"None of the {len(raters)} raters keeps the design's exclusion rules; collect more answers or read the reasons with 'study export'."
        )
    ratings = _in_design_order(ratings, results)
    seed = results.design.seed
    return {
        "raters": raters,
        "mos": mean_opinion_scores(ratings, CELLS["aspect"], seed=seed),
        "mos_by_emotion": mean_opinion_scores(ratings, CELLS["emotion"], seed=seed),
        "mos_by_level": mean_opinion_scores(ratings, CELLS["level"], seed=seed),
        "comparisons": comparisons(ratings),
        "agreement": agreement(ratings),
    }


def _need_libraries() -> None:
    try:
        import krippendorff  # noqa: F401
        import matplotlib  # noqa: F401
        import scipy  # noqa: F401
        import statsmodels  # noqa: F401
    except ImportError as error:
        raise EmoFaceError(
            f"The report needs the package {error.name}; install it with pip install scipy statsmodels krippendorff matplotlib."
        ) from error


def _in_design_order(ratings: pd.DataFrame, results: Results) -> pd.DataFrame:
    methods, aspects = list(results.design.method_names), [aspect.id for aspect in results.design.aspects]
    order = pd.DataFrame({"method": ratings["method"].map(methods.index), "aspect": ratings["aspect"].map(aspects.index)})
    return ratings.loc[order.sort_values(["method", "aspect"], kind="stable").index]


def _method_labels(results: Results) -> dict[str, str]:
    return {method.name: method.label for method in results.design.methods}


def _aspect_labels(results: Results) -> dict[str, str]:
    language = results.design.languages[0]
    return {aspect.id: aspect.name[language] for aspect in results.design.aspects}


def _latex(results: Results, tables: dict[str, pd.DataFrame]) -> str:
    from .latex import mos_table

    return mos_table(
        tables["mos"],
        methods=_method_labels(results),
        aspects=_aspect_labels(results),
        raters=int((~tables["raters"]["excluded"]).sum()),
        items=len(results.design.items),
    )


def _plots(results: Results, tables: dict[str, pd.DataFrame], target: Path) -> None:
    from .figures import plot_scores

    methods, aspects = _method_labels(results), _aspect_labels(results)
    plot_scores(tables["mos"], target / "mos", across="aspect", order=list(aspects), labels=aspects, methods=methods)
    emotions = list(dict.fromkeys(item.emotion for item in results.design.items))
    for aspect, name in aspects.items():
        table = tables["mos_by_emotion"]
        plot_scores(
            table[table["aspect"] == aspect],
            target / f"mos_by_emotion_{aspect}",
            across="emotion",
            order=emotions,
            labels={},
            methods=methods,
            title=name,
        )


def _markdown(results: Results, tables: dict[str, pd.DataFrame]) -> str:
    methods, aspects = _method_labels(results), _aspect_labels(results)
    raters = tables["raters"]
    excluded = raters[raters["excluded"]]
    lines = [
        f"# {results.design.title[results.design.languages[0]]}",
        "",
        f"{len(raters)} raters, {len(raters) - len(excluded)} counted, {len(excluded)} excluded; "
        f"{len(results.design.items)} items, {len(methods)} methods.",
        "",
        "## Mean opinion scores",
        "",
        "Scale 1 (worst) to 5 (best). Answers are averaged per rater first; the 95 % intervals are Student's t and "
        "bootstrap-t over raters, so they speak about other raters rating these same items.",
        "",
        "| Method | Aspect | Raters | MOS | 95 % CI (t) | 95 % CI (bootstrap) |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {methods[row.method]} | {aspects[row.aspect]} | {row.raters} | {row.mos:.2f} | "
        f"{_range(row.t_low, row.t_high)} | {_range(row.boot_low, row.boot_high)} |"
        for row in tables["mos"].itertuples()
    ]
    lines += [
        "",
        "![Mean opinion scores](mos.png)",
        "",
        "By emotion: " + ", ".join(f"[{name}](mos_by_emotion_{aspect}.png)" for aspect, name in aspects.items()) + "; every number is in "
        "`mos_by_emotion.csv` and `mos_by_level.csv`.",
        "",
        "## Paired comparisons",
        "",
        f"Wilcoxon signed-rank tests on the raters' means, Holm-corrected over all {len(tables['comparisons'])} tests.",
        "",
        "| Aspect | First | Second | Raters | Difference | 95 % CI | p | p (Holm) | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {aspects[row.aspect]} | {methods[row.first]} | {methods[row.second]} | {row.raters} | "
        f"{row.difference:+.2f} | {_range(row.low, row.high)} | {_p(row.p)} | {_p(row.p_holm)} | "
        f"{'significant' if row.significant else ''} |"
        for row in tables["comparisons"].itertuples()
    ]
    lines += [
        "",
        "## Agreement between raters",
        "",
        "Krippendorff's alpha, ordinal (1 agreement, 0 chance).",
        "",
        "| Aspect | Clips | Alpha |",
        "|---|---|---|",
    ]
    lines += [f"| {aspects[row.aspect]} | {row.clips} | {row.alpha:.2f} |" for row in tables["agreement"].itertuples()]
    lines += ["", "## Exclusions", "", f"Rules of the design: {_rules(results)}.", ""]
    lines += [f"- {row.rater}: {row.reasons}" for row in excluded.itertuples()] or ["No rater was excluded."]
    return "\n".join(lines) + "\n"


def _rules(results: Results) -> str:
    rules = results.design.exclusion
    return (
        f"at least {rules.completed:.0%} of the session completed, at most {rules.attention_failures} failed "
        f"attention checks, at most {rules.gold_failures} failed gold items, no more than "
        f"{rules.identical_answers:.0%} identical answers, at least {rules.seconds_per_answer:g} s per answer"
        + (", playback check passed" if rules.playback_check else "")
    )


def _range(low: float, high: float) -> str:
    return "–" if pd.isna(low) else f"{low:.2f} to {high:.2f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
