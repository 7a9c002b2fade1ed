"""Plots of a study's result, as PNG and as PDF for papers."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd

_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D1F", "#555555")
"""Okabe and Ito's palette, which people with colour blindness can distinguish."""


def plot_scores(
    table: pd.DataFrame, path: str | Path, *, across: str, order: list[str], labels: dict[str, str], methods: dict[str, str], title: str = ""
) -> list[Path]:
    """MOS with 95 % t intervals: one group per value of ``across``, one mark per method.

    ``labels`` and ``methods`` give printed names. Writes ``path`` with suffixes .png and .pdf and returns both.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(max(5.0, 1.0 + 1.15 * len(order)), 3.4), layout="constrained")
    step = 0.7 / len(methods)
    for index, (method, label) in enumerate(methods.items()):
        rows = table[table["method"] == method].set_index(across).reindex(order)
        x = np.arange(len(order)) + (index - (len(methods) - 1) / 2) * step
        error = np.abs(np.array([rows["mos"] - rows["t_low"], rows["t_high"] - rows["mos"]], float))
        axes.errorbar(
            x, rows["mos"], _bars(error), fmt="osD^vPXs"[index % 8], markersize=5, capsize=3, color=_COLORS[index % len(_COLORS)], label=label
        )
    for edge in np.arange(len(order) - 1) + 0.5:
        axes.axvline(edge, color="#e4e4e4", linewidth=0.8, zorder=0)
    axes.set(xlim=(-0.5, len(order) - 0.5), ylim=(0.9, 5.1), yticks=range(1, 6), ylabel="Mean opinion score", title=title)
    axes.set_xticks(range(len(order)), [fill(labels.get(value, value), 16) for value in order])
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=min(len(methods), 4), frameon=False)
    written = []
    for suffix in (".png", ".pdf"):
        target = Path(path).with_suffix(suffix)
        figure.savefig(target, dpi=150, metadata={"CreationDate": None} if suffix == ".pdf" else None)
        written.append(target)
    pyplot.close(figure)
    return written


def _bars(error: np.ndarray) -> np.ndarray | None:
    """No bars where no interval exists (a single rater)."""
    return None if np.isnan(error).all() else np.nan_to_num(error)
