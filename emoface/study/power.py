"""How many raters a study needs to find a difference between two methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import EmoFaceError
from .analysis import CONFIDENCE, signed_rank_test
from .simulate import RaterModel, simulate_values

_ROUNDING = 1 / 12
"""Variance that rounding to whole categories adds to an answer."""
_WILCOXON_EFFICIENCY = 3 / np.pi
"""Asymptotic efficiency of the Wilcoxon signed-rank test relative to the t test for normal differences."""
MAX_RATERS = 2000
"""Beyond that no study of this kind is made, and the simulation would take minutes."""


@dataclass(frozen=True)
class Plan:
    """How many raters a study needs."""

    difference: float
    """Of two methods' MOS, which is to be found."""
    items: int
    comparisons: int
    power: float
    """Wanted chance of finding the difference."""
    raters: int
    interval: float
    """Half width of the 95 % interval of one method's MOS with that many raters."""
    simulated_power: float
    """Share of simulated studies of that size that found the difference."""


def plan_raters(
    *,
    difference: float,
    items: int,
    comparisons: int = 1,
    power: float = 0.8,
    model: RaterModel = RaterModel(),
    simulations: int = 1000,
    seed: int = 0,
) -> Plan:
    """Raters needed to find ``difference`` MOS points with a Wilcoxon test on rater means.

    ``comparisons`` tests are corrected together: Holm's first step (Bonferroni) is planned for, which is the
    cautious side. ``items`` is how many items every rater rates for each method. The answer of the t test's power
    function (`statsmodels.stats.power.TTestPower`), divided by Wilcoxon's efficiency, is then checked by simulation
    and raised until simulated studies reach the wanted power.
    """
    from statsmodels.stats.power import TTestPower

    if not 0.02 <= difference < 4 or not 0 < power <= 0.99 or not 1 <= items <= 1000 or not 1 <= comparisons <= 1000:
        raise EmoFaceError(
            "The difference must lie between 0.02 and 4 points, the power between 0 and 0.99, and items and "
            "comparisons between 1 and 1000; correct the values."
        )
    if not all(0 <= value <= 4 for value in (model.rater, model.taste, model.error)) or not model.taste + model.error > 0:
        raise EmoFaceError(
            "Spreads must lie between 0 and 4 points on a scale from 1 to 5, and answers or taste must scatter at all; correct the values."
        )
    alpha = (1 - CONFIDENCE) / comparisons
    error = model.error**2 + _ROUNDING
    spread = np.sqrt(2 * (model.taste**2 + error / items))
    needed = TTestPower().solve_power(effect_size=difference / spread, alpha=alpha, power=power)
    raters = max(int(np.ceil(float(np.max(needed)) / _WILCOXON_EFFICIENCY)), _fewest(alpha))
    reached = None
    while True:
        if raters > MAX_RATERS or (
            reached is not None
            and simulated_power(difference=difference, items=items, alpha=alpha, raters=MAX_RATERS, model=model, simulations=100, seed=seed) < power
        ):
            raise EmoFaceError(
                f"More than {MAX_RATERS} raters would be needed to find a difference of {difference:g} points: plan for a larger difference, or for more items."
            )
        reached = simulated_power(difference=difference, items=items, alpha=alpha, raters=raters, model=model, simulations=simulations, seed=seed)
        if reached >= power:
            break
        raters += max(1, raters // 25)
    mean_spread = np.sqrt(model.rater**2 + model.taste**2 + error / items)
    return Plan(
        difference=difference,
        items=items,
        comparisons=comparisons,
        power=power,
        raters=raters,
        interval=_half_width(mean_spread, raters),
        simulated_power=reached,
    )


def simulated_power(
    *, difference: float, items: int, alpha: float, raters: int, model: RaterModel = RaterModel(), simulations: int = 1000, seed: int = 0
) -> float:
    """Share of simulated studies of two methods, ``difference`` apart around 3, whose Wilcoxon test is below alpha."""
    rng = np.random.default_rng(seed)
    quality = 3 + np.array([[difference / 2], [-difference / 2]]) * np.ones((1, items))
    found = 0
    for _ in range(simulations):
        means = simulate_values(quality, raters, model, rng).mean(axis=2)
        found += signed_rank_test(means[:, 0] - means[:, 1]) < alpha
    return found / simulations


def _fewest(alpha: float) -> int:
    """With fewer raters no signed-rank test can be significant: the least p is 2 / 2^n."""
    return int(np.ceil(np.log2(2 / alpha)))


def _half_width(spread: float, raters: int) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + CONFIDENCE) / 2, raters - 1) * spread / np.sqrt(raters))
