"""Raters whose true opinion is known, to check the analysis and to plan studies.

Rater r's answer to item i of method m is ``round(quality[m, i] + rater_r + taste_rm + error)``, limited to 1..5, with
independent normal ``rater``, ``taste`` and ``error``. Its expectation is exact (`true_mos`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .design import SCALE


@dataclass(frozen=True)
class RaterModel:
    """Standard deviations on the five-point scale; the defaults are typical of crowd video tests."""

    rater: float = 0.5
    """How much raters differ in strictness."""
    taste: float = 0.25
    """How much raters differ about one method."""
    error: float = 0.8
    """How much one rater's answers scatter."""

    @property
    def total(self) -> float:
        """Standard deviation of one answer."""
        return float(np.sqrt(self.rater**2 + self.taste**2 + self.error**2))


def simulate_values(quality: np.ndarray, raters: int, model: RaterModel, rng: np.random.Generator) -> np.ndarray:
    """Answers (raters, methods, items) for ``quality`` (methods, items)."""
    methods, items = quality.shape
    latent = (
        quality
        + rng.normal(0, model.rater, (raters, 1, 1))
        + rng.normal(0, model.taste, (raters, methods, 1))
        + rng.normal(0, model.error, (raters, methods, items))
    )
    return np.clip(np.rint(latent), SCALE[0], SCALE[-1]).astype(int)


def true_mos(quality: np.ndarray, model: RaterModel) -> np.ndarray:
    """(methods,) exact expectation of the answers, averaged over items."""
    from scipy import stats

    thresholds = np.arange(SCALE[0], SCALE[-1]) + 0.5
    above = stats.norm.sf(thresholds[:, None, None], loc=quality, scale=model.total)
    return (SCALE[0] + above.sum(axis=0)).mean(axis=1)


def as_ratings(values: np.ndarray, *, aspect: str = "realism") -> pd.DataFrame:
    """Answers (raters, methods, items) as the table that `analysis` reads."""
    rater, method, item = (index.ravel() for index in np.indices(values.shape))
    return pd.DataFrame(
        {
            "rater": [f"r{index:03d}" for index in rater],
            "method": [f"m{index}" for index in method],
            "item": [f"i{index}" for index in item],
            "aspect": aspect,
            "value": values.ravel(),
            "stimulus": [f"m{m}-i{i}" for m, i in zip(method, item)],
        }
    )


@dataclass(frozen=True)
class Coverage:
    """How often the analysis of simulated studies is right."""

    studies: int
    intervals: int
    t: float
    """Share of t intervals that hold the true MOS."""
    bootstrap: float
    false_alarm: float
    """Share of studies without any true difference in which a Holm-corrected test finds one."""


def check_coverage(
    *, studies: int, raters: int = 24, methods: int = 4, items: int = 8, resamples: int = 999, model: RaterModel = RaterModel(), seed: int = 0
) -> Coverage:
    """Simulate whole studies, analyse each, and count how often the truth is covered."""
    from .analysis import comparisons, mean_opinion_scores

    rng = np.random.default_rng(seed)
    t_hits, boot_hits, alarms = [], [], []
    for study in range(studies):
        quality = rng.uniform(1.5, 4.5, (methods, 1)) + rng.normal(0, 0.3, (methods, items))
        truth = true_mos(quality, model)
        table = mean_opinion_scores(as_ratings(simulate_values(quality, raters, model, rng)), ["method", "aspect"], seed=study, resamples=resamples)
        t_hits.append((table["t_low"] <= truth) & (truth <= table["t_high"]))
        boot_hits.append((table["boot_low"] <= truth) & (truth <= table["boot_high"]))
        same = np.repeat(quality[:1], methods, axis=0)
        alarms.append(comparisons(as_ratings(simulate_values(same, raters, model, rng)))["significant"].any())
    return Coverage(
        studies=studies,
        intervals=studies * methods,
        t=float(np.mean(t_hits)),
        bootstrap=float(np.mean(boot_hits)),
        false_alarm=float(np.mean(alarms)),
    )
