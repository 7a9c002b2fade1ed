"""What a model must reach: fixed values, and comparisons with the speaker or with itself."""

from __future__ import annotations

from dataclasses import dataclass

from . import clips as sets
from .measures import MEASURES, Row

DRIFT_LIMIT = 0.05
EMOTIONAL_REGIONS = ("brow", "eyelid", "lips", "mouth_ring", "jaw")
CALM_REGIONS = ("scalp", "ear", "neck")


@dataclass(frozen=True)
class Bound:
    """``minimum`` is what the first release must reach, ``goal`` what good weights reach; (least, most) or None."""

    measure: str
    data: str
    minimum: tuple[float | None, float | None] | None
    goal: tuple[float | None, float | None] | None
    who: str = "model"


BOUNDS = [
    Bound("aperture_r", sets.GRID, (0.90, None), (0.945, None)),
    Bound("aperture_r", sets.GRID_OTHERS, None, (0.86, None)),
    Bound("aperture_ratio", sets.GRID, (0.8, 1.25), (0.9, 1.1)),
    Bound("lve_reduction", sets.GRID, (35, None), (50, None)),
    Bound("width_r", sets.GRID, None, (0.78, None)),
    Bound("width_r", sets.GRID_OTHERS, None, (0.55, None)),
    Bound("torn_share", "named, strong", None, (None, 0)),
    Bound("torn_share", "own speech", None, (None, 0)),
    Bound("brow_range", sets.RAVDESS, None, (0.8, None)),
    Bound("closures_caught", sets.GRID, (90, None), (95, None)),
    Bound("closures_caught", sets.LJSPEECH, (90, None), (95, None)),
    Bound("closures_false", sets.GRID, (None, 5), (None, 3)),
    Bound("closures_false", sets.LJSPEECH, (None, 5), (None, 3)),
    *(Bound("noise_closed", data, (95, None), (98, None)) for data in (sets.GRID, sets.RAVDESS, sets.LJSPEECH)),
    Bound("emotion_accuracy", sets.RAVDESS, (65, None), (72, None)),
    Bound("expression_r", sets.RAVDESS, None, (0.36, None)),
    Bound("swap_timing", sets.GRID, (0.8, None), (0.88, None)),
    Bound("swap_emotion", sets.GRID, None, (85, None)),
    Bound("swap_foreign", sets.GRID, None, (-0.1, 0.1), who="model, difference"),
]


def check(rows: list[Row], drift: dict[str, float]) -> list[dict]:
    """Every bound whose measure is among the rows: what was asked, what was reached, whether it holds."""
    checked = []
    found = {(row.measure, row.data, row.who): row.estimate.value for row in rows}
    for bound in BOUNDS:
        value = found.get((bound.measure, bound.data, bound.who))
        for kind, limits in (("minimum", bound.minimum), ("goal", bound.goal)):
            if limits and value is not None:
                least, most = limits
                holds = (least is None or value >= least) and (most is None or value <= most)
                checked.append(_answer(bound.measure, bound.data, kind, _limits(least, most), _shown(bound.measure, value), holds))
    model, speaker = (found.get(("silence_closed", sets.GRID, who)) for who in ("model", "speaker"))
    if model is not None and speaker is not None:
        asked = f"as the speaker, {_shown('silence_closed', speaker)}"
        checked.append(_answer("silence_closed", sets.GRID, "goal", asked, _shown("silence_closed", model), model >= speaker))
    for name, change in drift.items():
        asked = f"changes by at most {DRIFT_LIMIT:.0%}"
        checked.append(_answer("drift", name, "goal", asked, f"{change:+.1%}", abs(change) <= DRIFT_LIMIT))
    return checked + _effect_order(rows)


def _effect_order(rows: list[Row]) -> list[dict]:
    """Regions that show emotion must be moved by the emotion branch more than those that cannot."""
    effect = {row.data: row.estimate.value for row in rows if row.measure == "effect"}
    shows = {name: value for name, value in effect.items() if name.startswith(EMOTIONAL_REGIONS)}
    calm = {name: value for name, value in effect.items() if name.startswith(CALM_REGIONS)}
    if not shows or not calm:
        return []
    weakest, strongest = min(shows, key=shows.get), max(calm, key=calm.get)
    asked = "brows, lids, mouth and jaw above scalp, ears and neck"
    reached = f"{weakest} {shows[weakest]:.3f}, {strongest} {calm[strongest]:.3f} mm"
    return [_answer("effect", "regions", "goal", asked, reached, shows[weakest] > calm[strongest])]


def _answer(measure: str, data: str, kind: str, asked: str, reached: str, holds: bool) -> dict:
    return dict(measure=measure, data=data, kind=kind, asked=asked, reached=reached, holds=bool(holds))


def _limits(least: float | None, most: float | None) -> str:
    return " and ".join(f"{sign} {limit:g}" for sign, limit in (("≥", least), ("≤", most)) if limit is not None)


def _shown(measure: str, value: float) -> str:
    return f"{value:.{MEASURES[measure].decimals}f}"
