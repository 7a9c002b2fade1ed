"""All raters and answers of a study as CSV."""

from __future__ import annotations

from pathlib import Path

from ..files import atomic_path
from .results import load_results


def write_export(folder: str | Path, output: str | Path, *, database: str | Path | None = None) -> list[Path]:
    """Write raters.csv, answers.csv (with method, item, emotion and level of every clip) and exclusions.csv."""
    from .exclusion import exclusions

    results, output = load_results(folder, database=database), Path(output)
    output.mkdir(parents=True, exist_ok=True)
    tables = {"raters": results.raters, "answers": results.answers, "exclusions": exclusions(results)}
    for name, table in tables.items():
        with atomic_path(output / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    return [output / f"{name}.csv" for name in tables]
