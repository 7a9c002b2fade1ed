"""The MOS table as LaTeX (package booktabs), methods in rows and aspects in columns as in the paper's user study."""

from __future__ import annotations

import pandas as pd

_SPECIAL = {
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def mos_table(table: pd.DataFrame, *, methods: dict[str, str], aspects: dict[str, str], raters: int, items: int) -> str:
    """``table`` is `mean_opinion_scores` by method and aspect; the best score of every aspect is bold."""
    scores = table.set_index(["method", "aspect"])
    best = table.groupby("aspect")["mos"].max()
    lines = [
        r"\begin{table}[t]",
        r"  \centering",
        r"  \begin{tabular}{l" + "c" * len(aspects) + "}",
        r"    \toprule",
        "    Method & " + " & ".join(map(escape, aspects.values())) + r" \\",
        r"    \midrule",
    ]
    for method, label in methods.items():
        cells = [_cell(scores, method, aspect, best) for aspect in aspects]
        lines.append(f"    {escape(label)} & " + " & ".join(cells) + r" \\")
    lines += [
        r"    \bottomrule",
        r"  \end{tabular}",
        r"  \caption{Mean opinion scores (1 to 5, higher is better) with 95\,\% confidence intervals "
        f"over {raters} raters and {items} items." + "}",
        r"  \label{tab:mos}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Plain text with LaTeX's special characters masked."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _cell(scores: pd.DataFrame, method: str, aspect: str, best: pd.Series) -> str:
    if (method, aspect) not in scores.index:
        return "--"
    row = scores.loc[(method, aspect)]
    value = rf"\mathbf{{{row['mos']:.2f}}}" if row["mos"] == best[aspect] else f"{row['mos']:.2f}"
    if pd.isna(row["t_low"]):
        return f"${value}$"
    return rf"${value} \pm {(row['t_high'] - row['t_low']) / 2:.2f}$"
