"""The charts of the page, from ``Animation``s. Numbers are rounded and thinned to what can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..animation import Animation
from ..export import heatmap
from .chart import Chart

EMOTION_COLORS = {
    "neutral": "#8b8f9a",
    "calm": "#3fa7a0",
    "happy": "#e9a820",
    "sad": "#4b7fd6",
    "angry": "#d8473a",
    "fearful": "#8f62d9",
    "disgust": "#6d9b35",
    "surprised": "#ea7d3c",
}
CONTENT, EMOTION, FUSED = "#3d8fb8", "#d9564a", "#8f62d9"
"""Colours of the two branches and of their fusion, everywhere on the page."""
PLASMA = [[i / (len(heatmap.PLASMA) - 1), "#" + bytes(color).hex()] for i, color in enumerate(heatmap.PLASMA.astype("uint8"))]
"""The faces' colour map, which plotly.js does not have by name."""
COLUMNS = 300
"""Most points in time that a chart shows."""
TIMELINE_COLUMNS = 60
"""The same for emotions over time: more would be a barcode at two minutes."""
MOVING_MM = 0.2
"""Below this a vertex counts as still (``docs``: the attention weight means nothing there)."""

_COMPARISON = "The same words with every emotion"
_ORDER = ("forehead", "brow", "eyelid", "nose", "cheek", "mouth_ring", "lips_upper", "lips_lower", "jaw", "chin", "ear", "neck", "scalp")
_WORDS = {
    "brow": "Brows",
    "eyelid": "Eyelids",
    "cheek": "Cheeks",
    "mouth_ring": "Around the mouth",
    "lips_upper": "Upper lip",
    "lips_lower": "Lower lip",
    "ear": "Ears",
}
_HIDDEN = {"mouth_cavity", "eye_socket", "eye", "teeth_upper", "teeth_lower", "tongue"}


def region_members(animation: Animation) -> dict[str, np.ndarray]:
    """Visible skin regions, forehead first, both sides together: name for people -> vertex indices."""
    names = np.char.replace(np.char.replace(np.asarray(animation.regions[: animation.skin_count], str), "_left", ""), "_right", "")
    order = [*[n for n in _ORDER if n in names], *sorted(set(names) - set(_ORDER) - _HIDDEN)]
    return {_WORDS.get(n, n.replace("_", " ").capitalize()): np.flatnonzero(names == n) for n in order}


def thin(values: np.ndarray, fps: float, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """(T, ...) -> mean over equal pieces of time: seconds (C,), values (C, ...)."""
    pieces = np.array_split(np.arange(len(values)), min(columns, len(values)))
    return (np.array([(p[0] + p[-1] + 1) / 2 / fps for p in pieces]).round(3), np.array([values[p].mean(axis=0) for p in pieces]))


def _numbers(values, digits: int = 3) -> list:
    return np.round(np.asarray(values, np.float64), digits).tolist()


def _time_axis(duration: float) -> dict:
    return {"title": {"text": "seconds"}, "range": [0, round(duration, 3)], "showgrid": False}


def emotion_bars(animation: Animation) -> Chart:
    """Probabilities of the emotion recognised in the emotion source, which is not always the speech."""
    own = animation.settings.get("emotion", "speech") == "speech"
    share = 100 * np.asarray(animation.emotion_probabilities, np.float64)
    names = list(animation.emotion_names)
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [name.capitalize() for name in names],
        "x": _numbers(share, 1),
        "text": [f"{s:.0f} %" for s in share],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": [EMOTION_COLORS.get(name, FUSED) for name in names]},
    }
    layout = {
        "margin": {"l": 8, "r": 24, "t": 4, "b": 4},
        "bargap": 0.35,
        "xaxis": {"visible": False, "range": [0, max(40, 1.2 * share.max())]},
        "yaxis": {"autorange": "reversed", "showgrid": False, "ticks": ""},
    }
    best = np.argsort(-share)
    summary = ", ".join(f"{names[i]} {share[i]:.0f} percent" for i in best[:3])
    return Chart("Emotion heard", [bars], layout, f"Most probable: {summary}.", note="" if own else "In the chosen emotion.", height=230)


def emotion_timeline(animation: Animation, *, follows: str) -> Chart:
    """The same over time, as stacked areas: the emotions that matter somewhere, and the others together."""
    seconds, track = thin(animation.emotion_track, animation.fps, TIMELINE_COLUMNS)
    present = [i for i in np.argsort(-track.mean(axis=0)) if track[:, i].max() >= 0.25][:4]
    parts = [(animation.emotion_names[i].capitalize(), track[:, i], EMOTION_COLORS.get(animation.emotion_names[i], FUSED)) for i in present]
    parts.append(("Others", 1 - sum(values for _, values, _ in parts), "#b9b4ae"))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "stackgroup": "one",
            "groupnorm": "percent",
            "name": name,
            "x": seconds.tolist(),
            "y": _numbers(values),
            "line": {"width": 0},
            "hovertemplate": "%{y:.0f} %",
            "fillcolor": color,
        }
        for name, values, color in parts
    ]
    layout = {
        "margin": {"l": 8, "r": 8, "t": 40, "b": 34},
        "xaxis": _time_axis(animation.duration),
        "hovermode": "x",
        "yaxis": {"range": [0, 100], "ticksuffix": " %", "nticks": 4},
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
    }
    dominant = [animation.emotion_names[i] for i in track.argmax(axis=1)]
    spans = [name for i, name in enumerate(dominant) if i == 0 or name != dominant[i - 1]]
    summary = "Over time the strongest emotion is: " + " · ".join(spans[:8]) + "."
    return Chart("Emotion over time", data, layout, summary, note="Click to jump there.", height=230, follows=follows)


def region_time(animation: Animation, *, follows: str) -> Chart:
    """Where and when the emotion branch moves the face: mean effect per region and time, millimetres."""
    members = {n: i for n, i in region_members(animation).items() if n not in ("Ears", "Neck", "Scalp")}
    seconds, effect = thin(animation.emotion_effect_mm, animation.fps)
    table = np.array([effect[:, index].mean(axis=1) for index in members.values()])
    data = [
        {
            "type": "heatmap",
            "x": seconds.tolist(),
            "y": list(members),
            "z": _numbers(table, 2),
            "colorscale": PLASMA,
            "zmin": 0,
            "colorbar": {"title": {"text": "mm"}, "thickness": 12, "outlinewidth": 0},
            "hovertemplate": "%{y}, %{x:.1f} s: %{z:.2f} mm<extra></extra>",
        }
    ]
    layout = {
        "margin": {"l": 8, "r": 8, "t": 6, "b": 34},
        "xaxis": _time_axis(animation.duration),
        "yaxis": {"autorange": "reversed", "showgrid": False},
    }
    row, column = np.unravel_index(table.argmax(), table.shape)
    summary = f"The largest movement by emotion is {table.max():.1f} millimetres, {list(members)[row].lower()}, at {seconds[column]:.1f} seconds."
    return Chart(
        "Where and when emotion moves the face",
        data,
        layout,
        summary,
        height=330,
        follows=follows,
        note="Each row is a part of the face, each column a moment; bright means that emotion moves it far. Click to jump there.",
    )


def region_bars(animation: Animation) -> Chart:
    """Clip means per region: effect in mm, and the attention weight where the emotion branch moves anything."""
    members = region_members(animation)
    moving = animation.emotion_effect_mm >= MOVING_MM
    effect = [animation.emotion_effect_mm[:, i].mean() for i in members.values()]
    weight = [animation.emotion_importance[:, i][moving[:, i]].mean() if moving[:, i].any() else None for i in members.values()]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": list(members),
            "x": _numbers(effect, 2),
            "marker": {"color": EMOTION},
            "hoverinfo": "skip",
            "text": [f"{e:.1f} mm · {'still' if w is None else f'{100 * w:.0f} %'}" for e, w in zip(effect, weight)],
            "textposition": "outside",
            "cliponaxis": False,
        }
    ]
    layout = {
        "margin": {"l": 8, "r": 110, "t": 4, "b": 30},
        "bargap": 0.3,
        "xaxis": {"title": {"text": "mm, mean over the clip"}, "rangemode": "tozero", "nticks": 5},
        "yaxis": {"autorange": "reversed", "showgrid": False},
    }
    best = list(members)[int(np.argmax(effect))]
    return Chart(
        "Which parts emotion moves most",
        data,
        layout,
        f"{best} moves most, {max(effect):.1f} millimetres on average.",
        height=370,
        note="How far the emotion moves each part, and how much the model listens to the emotion there, in percent.",
    )


def no_comparison() -> Chart:
    """What stands in the place of :func:`emotion_comparison` before there is one."""
    return Chart(_COMPARISON, [], {}, "", note="Not compared yet for this recording: press the button above.", height=150)


def emotion_comparison(runs: Mapping[str, Animation]) -> Chart:
    """The same words with each emotion: mean effect per region, millimetres."""
    first = next(iter(runs.values()))
    members = {n: i for n, i in region_members(first).items() if n not in ("Ears", "Neck", "Scalp")}
    table = np.array([[run.emotion_effect_mm[:, index].mean() for index in members.values()] for run in runs.values()])
    share = 100 * table / np.maximum(table.max(axis=1, keepdims=True), 1e-9)  # each row by its own: one strong emotion would darken all others
    data = [
        {
            "type": "heatmap",
            "x": list(members),
            "y": [f"{name.capitalize()} · {row.max():.1f} mm" for name, row in zip(runs, table)],
            "z": _numbers(share, 0),
            "customdata": _numbers(table, 2),
            "colorscale": PLASMA,
            "zmin": 0,
            "zmax": 100,
            "showscale": False,
            "hovertemplate": "%{y}, %{x}: %{customdata:.2f} mm<extra></extra>",
        }
    ]
    layout = {
        "margin": {"l": 8, "r": 8, "t": 6, "b": 8},
        "xaxis": {"showgrid": False, "tickangle": -45, "dtick": 1},
        "yaxis": {"autorange": "reversed", "showgrid": False},
    }
    words = " · ".join(f"{name}: {list(members)[int(np.argmax(row))].lower()}" for name, row in zip(runs, table))
    return Chart(
        _COMPARISON,
        data,
        layout,
        f"Part of the face that moves most: {words}.",
        height=330,
        note="Bright: the parts that this emotion moves most, up to the millimetres beside its name. Dark: those that it leaves alone.",
    )


def column_displacement(grid: Sequence[Sequence[Animation]]) -> Chart:
    """What changed between the columns of the 2 x 2 grid: mean distance per region, millimetres, for each content."""
    members = region_members(grid[0][0])
    data = []
    for row, name, color in ((0, "Words of A", CONTENT), (1, "Words of B", FUSED)):
        left, right = grid[row]
        skin = left.skin_count
        gap = 1e3 * np.linalg.norm(left.vertices[:, :skin] - right.vertices[:, :skin], axis=2).mean(axis=0)
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": list(members),
                "x": _numbers([gap[i].mean() for i in members.values()], 2),
                "marker": {"color": color},
                "hovertemplate": "%{y}: %{x:.2f} mm<extra></extra>",
            }
        )
    layout = {
        "margin": {"l": 8, "r": 12, "t": 40, "b": 34},
        "barmode": "group",
        "bargap": 0.28,
        "xaxis": {"title": {"text": "mm, mean over the clip"}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "showgrid": False},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom"},
    }
    tops = ", ".join(f"{d['name'].lower()}: {list(members)[int(np.argmax(d['x']))].lower()} {max(d['x']):.1f} millimetres" for d in data)
    return Chart(
        "What the emotion changed",
        data,
        layout,
        f"Largest difference between the columns: {tops}.",
        height=400,
        note="Distance between the left and the right face of each row, part by part. Same words, other emotion.",
    )
