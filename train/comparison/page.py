"""A comparison's numbers as a page."""

from __future__ import annotations

import json

import numpy as np

from emoface.metrics import root_mm

from ..baselines import METHODS
from .measures import FIXED, GRID, MEASURES, MESH, RAVDESS


def markdown(found: dict, judged: dict[str, dict[str, str]], chosen: list[dict]) -> str:
    """All of a page. ``found``: ``train.compare.results``; ``judged``: ``numbers.verdicts``; ``chosen``: ``train.choices``, empty where nobody was asked."""
    titles, rows = found["titles"], found["rows"]
    lines = ["# Other methods on recorded meshes" if MESH in titles else "# Other methods on our data", "", *_said(found)]
    for data, title in titles.items():
        lines += [f"## {title}", "", *_numbers(data, rows)]
    lines += [*_target_said(titles), *_outside_said(rows), *_against_ours(titles, judged), *choices_said(chosen)]
    known = {key for row in rows.values() for key in row["measures"]}
    shown = [m for key, m in MEASURES.items() if any(f"{data} {key}" in known for data in titles)]
    lines += ["## Measures", "", *(f"* **{m.title}**: {m.definition}" for m in shown), "", *_methods(rows), *_seeds(titles, rows)]
    return "\n".join(lines)


def _said(found: dict) -> list[str]:
    plan, clips = found["plan"], found["clips"]
    lines = [
        f"Written by `{found['command']}` on {found['date']}; do not edit.",
        "",
        "**What this is.** Eight methods at a small size, trained for the same "
        f"{plan['steps']} steps (of each stage) on the same batches of about {plan['frames']} frames, at one learning rate, without early stopping. It shows"
        " that every method learns in this harness, and how they compare when a CPU has minutes, not days. It is **no reproduction** of the"
        " papers' numbers, and nothing here says which method is best at full size. On VOCASET's EVE the EmoFace paper itself is behind SelfTalk.",
        "",
    ]
    if MESH in clips:
        lines += [
            "**What is equal.** Speech: the cached frames of our frozen encoder, of which each method learns a mix of the blocks. Losses look at every"
            " vertex; EmoFace's at 200 drawn vertices and the lips. SelfTalk is given no text. Speakers that were never heard are asked for in every trained"
            " style, and the errors are averaged.",
            "",
            f"**Measured** on {clips[MESH]} clips of speakers that nothing was trained on.",
        ]
    else:
        lines += [
            "**What is equal.** Speech: the cached frames of our frozen encoder, of which each method learns a mix of the blocks. Vertex heads: learned in"
            " the head's 52 shapes (so only Mesh Attention, which blends two faces vertex by vertex, can tear the skin). Losses look at every eighth"
            " vertex, the lips and the lids; EmoFace's at 200 drawn vertices and the lips. Motion of GRID is real (video); that of RAVDESS is modelled."
            " Speakers that were never heard are asked for in one trained style.",
            "",
            f"**Measured** on {clips[GRID]} clips of GRID (one trained speaker, five others) and {clips[RAVDESS]} of RAVDESS (unseen actors).",
        ]
    lines[-1] += (
        " Every speaker counts alike; [ ]: 95 % interval over speakers (redrawn, seeded) of the mean over seeds. With so few speakers"
        " the intervals are coarse."
    )
    return [*lines, ""]


def _numbers(data: str, rows: dict) -> list[str]:
    keys = [key for key in MEASURES if any(f"{data} {key}" in row["measures"] for row in rows.values())]
    body = [
        [_title(name), str(row["seeds"]) if name in METHODS else "-", *(_cell(key, row["measures"].get(f"{data} {key}")) for key in keys)]
        for name, row in rows.items()
        if not (data == GRID and name == "label mean")
    ]
    return _table(["method", "seeds", *(MEASURES[key].title for key in keys)], body)


def _target_said(titles: dict) -> list[str]:
    target = (
        "*Target* is the recorded motion."
        if MESH in titles
        else "*Target* is the motion on our head that the others are compared with: on GRID its aperture and width are not exactly the video's."
    )
    return [
        f"{target} *Static template* never moves; *mean motion* holds the mean pose of the training clips, *label mean* that of the clips with the same"
        " emotion and level.",
        "",
    ]


def _against_ours(titles: dict, judged: dict) -> list[str]:
    lines = [
        "## Against ours",
        "",
        "EmoFace at this scale against each method, paired by speaker: *better*, *worse*, or *open* (the interval of the difference holds 0).",
        "",
    ]
    if judged:
        keys = list(next(iter(judged.values())))
        heads = [_short(titles, key) for key in keys]
        lines += _table(["method", *heads], [[_title(name), *(row[key] for key in keys)] for name, row in judged.items()])
    return lines


def _short(titles: dict, key: str) -> str:
    """Head of a column that holds one measure on one set."""
    data, measure = key.split()
    return f"{titles[data].split()[0].rstrip(',')} {MEASURES[measure].title.split(',')[0]}"


def _methods(rows: dict) -> list[str]:
    body = [
        [
            m.title,
            m.paper,
            m.told,
            f"{rows[name]['parameters'] / 1e6:.2f} M" if name in rows else "-",
            json.dumps(m.small).strip("{}").replace('"', "") or "the paper's",
            m.licence,
        ]
        for name, m in METHODS.items()
    ]
    return [
        "## Methods",
        "",
        "Each is one file in `train/baselines/`, written from the paper's description. *Told*: what it is given besides the speech.",
        "",
        *_table(["method", "paper", "told", "learned here", "sizes here", "original's licence"], body),
    ]


def _seeds(titles: dict, rows: dict) -> list[str]:
    """Every seed's own number, where there are several."""
    several = {name: row for name, row in rows.items() if row["seeds"] > 1}
    if not several:
        return []
    keys = [f"{data} {key}" for key in ("lve", "aperture_r") for data in titles if data in MEASURES[key].sets]
    body = [
        [_title(name), *(" / ".join(_number(key.split()[1], x) for x in row["measures"][key]["per_seed"]) for key in keys)]
        for name, row in several.items()
    ]
    return ["## Seeds", "", *_table(["method", *(_short(titles, key) for key in keys)], body)]


def _outside_said(rows: dict) -> list[str]:
    outside = [name for name in rows if name not in METHODS and name not in FIXED]
    return (
        [f"{', '.join(outside)}: measured from files that another program, or our own at full size, made of these recordings.", ""] if outside else []
    )


def choices_said(chosen: list[dict]) -> list[str]:
    """How often each measure prefers what people prefer; nothing where nobody was asked (``train.choices``)."""
    if not chosen:
        return []
    body = [
        [MEASURES[row["measure"]].title, f"{row['agrees']:.0%} [{row['low']:.0%}, {row['high']:.0%}]", f"{row['r']:+.2f}", str(row["pairs"])]
        for row in chosen
    ]
    return [
        "## Measures beside blind choices",
        "",
        "Somebody who saw only two unlabelled rows of faces, of two methods and the same strong clip of RAVDESS, chose the one that speaks it better (`python -m train.choices`)."
        " *Agrees*: share of these pairs in which the measure prefers the chosen row; one half is chance. *r*: of the choice with the measure's difference (its ranks). Pictures that stand still"
        " show expression, not timing.",
        "",
        *_table(["measure", "agrees", "r", "pairs"], body),
    ]


def _title(name: str) -> str:
    return METHODS[name].title if name in METHODS else f"*{name}*" if name in FIXED else name


def _number(key: str, value: float) -> str:
    value = root_mm(value) if key in ("lve", "eve") else value
    return f"{value:.{MEASURES[key].digits}f}"


def _cell(key: str, cell: dict | None) -> str:
    if cell is None:
        return "-"
    interval = "" if np.isnan(cell["low"]) else f" [{_number(key, cell['low'])}, {_number(key, cell['high'])}]"
    return _number(key, cell["value"]) + interval


def _table(header: list[str], body: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *body)] + [""]
