"""Mean opinion scores with confidence intervals, paired comparisons and agreement.

Raters are the random unit (ITU-T P.800.2, P.1401): answers of one rater are averaged first, and intervals and tests
run over the raters' means, so they say how far the result would move with other raters, for these items.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
RESAMPLES = 2999
CELLS = {"aspect": ["method", "aspect"], "emotion": ["method", "aspect", "emotion"], "level": ["method", "aspect", "level"]}


def mean_opinion_scores(ratings: pd.DataFrame, by: list[str], *, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """MOS of every cell of ``by`` (such as ``["method", "aspect"]``).

    Columns: ``by``, raters, answers, mos, sd (between raters), t_low, t_high (Student's t over rater means),
    boot_low, boot_high (bootstrap-t over raters). Limits are NaN for a single rater.
    """
    rows = []
    for cell, answers in ratings.groupby(by, sort=False, observed=True):
        means = answers.groupby("rater")["value"].mean().to_numpy(float)
        t_low, t_high = t_interval(means)
        boot_low, boot_high = bootstrap_interval(means, seed=seed, resamples=resamples)
        rows.append(
            {
                **dict(zip(by, cell)),
                "raters": len(means),
                "answers": len(answers),
                "mos": means.mean(),
                "sd": means.std(ddof=1) if len(means) > 1 else np.nan,
                "t_low": t_low,
                "t_high": t_high,
                "boot_low": boot_low,
                "boot_high": boot_high,
            }
        )
    return pd.DataFrame(rows)


def t_interval(means: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of ``means`` (raters,) after Student; NaN for a single rater."""
    from scipy import stats

    if len(means) < 2:
        return np.nan, np.nan
    if np.ptp(means) == 0:
        return float(means[0]), float(means[0])
    low, high = stats.t.interval(CONFIDENCE, len(means) - 1, loc=means.mean(), scale=stats.sem(means))
    return float(low), float(high)


def bootstrap_interval(means: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % bootstrap-t interval of the mean of ``means`` (raters,) (Efron & Tibshirani 1993, section 12.5).

    Studentised because percentile and BCa intervals are too short for the 10 to 50 raters of a study. NaN where
    resamples have no spread too often to give a limit, as with very few raters.
    """
    from scipy import stats

    if len(means) < 2:
        return np.nan, np.nan
    if np.ptp(means) == 0:
        return float(means[0]), float(means[0])
    center, error = means.mean(), stats.sem(means)

    def student(sample: np.ndarray, axis: int = -1) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (sample.mean(axis=axis) - center) / (sample.std(axis=axis, ddof=1) / np.sqrt(sample.shape[axis]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # infinite ratios; checked below
        found = stats.bootstrap(
            (means,), student, confidence_level=CONFIDENCE, n_resamples=resamples, method="percentile", rng=np.random.default_rng(seed)
        ).confidence_interval
    low, high = center - found.high * error, center - found.low * error
    return (float(low), float(high)) if np.isfinite([low, high]).all() else (np.nan, np.nan)


def comparisons(ratings: pd.DataFrame) -> pd.DataFrame:
    """Every pair of methods in every aspect: Wilcoxon signed-rank tests on rater means, Holm-corrected over all rows.

    Only raters who rated both methods take part. Columns: aspect, first, second, raters, difference (first minus
    second), low, high (95 % t interval), effect (difference in standard deviations), p, p_holm, significant.
    """
    from statsmodels.stats.multitest import multipletests

    rows = []
    for aspect, answers in ratings.groupby("aspect", sort=False, observed=True):
        means = answers.pivot_table(index="rater", columns="method", values="value", aggfunc="mean", observed=True, sort=False)
        for first, second in itertools.combinations(means.columns, 2):
            difference = (means[first] - means[second]).dropna().to_numpy()
            if len(difference) < 2:
                continue
            low, high = t_interval(difference)
            spread = difference.std(ddof=1)
            rows.append(
                {
                    "aspect": aspect,
                    "first": first,
                    "second": second,
                    "raters": len(difference),
                    "difference": difference.mean(),
                    "low": low,
                    "high": high,
                    "effect": difference.mean() / spread if spread else np.nan,
                    "p": signed_rank_test(difference),
                }
            )
    table = pd.DataFrame(rows, columns=["aspect", "first", "second", "raters", "difference", "low", "high", "effect", "p"])
    if len(table):
        table["significant"], table["p_holm"] = multipletests(table["p"], alpha=1 - CONFIDENCE, method="holm")[:2]
    return table


def signed_rank_test(difference: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test of ``difference`` (raters,): exact for fewer than ten raters, the
    normal approximation with tie correction from there on."""
    from scipy import stats

    if not np.any(difference):
        return 1.0
    method = "auto" if len(difference) < 10 else "asymptotic"
    return float(stats.wilcoxon(difference, method=method).pvalue)


def agreement(ratings: pd.DataFrame) -> pd.DataFrame:
    """Krippendorff's alpha (ordinal) between raters for every aspect: 1 agreement, 0 chance; NaN if undefined."""
    import krippendorff

    rows = []
    for aspect, answers in ratings.groupby("aspect", sort=False, observed=True):
        table = answers.pivot_table(index="rater", columns="stimulus", values="value", observed=True)
        pairable = (table.notna().sum() > 1).any() and answers["value"].nunique() > 1
        alpha = krippendorff.alpha(table.to_numpy(float), level_of_measurement="ordinal") if pairable else np.nan
        rows.append({"aspect": aspect, "raters": len(table), "clips": table.shape[1], "alpha": float(alpha)})
    return pd.DataFrame(rows)
