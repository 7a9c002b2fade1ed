"""How well emotions are recognised: recall per corpus, and whether probabilities mean what they say. Plain arrays in, numbers out."""

from __future__ import annotations

import numpy as np

from emoface.animation import EMOTIONS


def answers(probabilities: np.ndarray, possible: tuple[str, ...] = EMOTIONS) -> np.ndarray:
    """(N, 8) -> (N,) labels: the likeliest of the emotions that may be chosen."""
    allowed = np.array([e in possible for e in EMOTIONS])
    return np.where(allowed, probabilities, -1.0).argmax(-1)


def mean_recall(labels: np.ndarray, given: np.ndarray) -> float:
    """Share of right answers per emotion, mean over the emotions that occur."""
    return float(np.mean([np.mean(given[labels == label] == label) for label in np.unique(labels)]))


def recall_interval(labels: np.ndarray, given: np.ndarray, speakers: np.ndarray, *, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of :func:`mean_recall`. Speakers are redrawn, and with one or two of them, where that says nothing, clips within each."""
    rng, names = np.random.default_rng(seed), np.unique(speakers)
    of = {name: np.flatnonzero(speakers == name) for name in names}
    values = []
    for _ in range(draws):
        if len(names) > 2:
            rows = np.concatenate([of[name] for name in rng.choice(names, len(names))])
        else:
            rows = np.concatenate([rng.choice(of[name], len(of[name])) for name in names])
        values.append(mean_recall(labels[rows], given[rows]))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def reliability(labels: np.ndarray, probabilities: np.ndarray, *, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean confidence, share of right answers, clips) of the answers in each of ``bins`` equal ranges of confidence that has any."""
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (float(confidence[bin_of == b].mean()), float(right[bin_of == b].mean()), int((bin_of == b).sum()))
        for b in range(bins)
        if (bin_of == b).any()
    ]


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, *, bins: int = 10) -> float:
    """Expected calibration error: |confidence - accuracy|, mean over clips."""
    rows = reliability(labels, probabilities, bins=bins)
    return sum(abs(confidence - right) * count for confidence, right, count in rows) / sum(count for *_, count in rows)


def reaches(confidence: np.ndarray, right: np.ndarray, weight: np.ndarray, *, share: float) -> float:
    """The lowest confidence from which on answers are right in ``share`` of the cases or more, by isotonic regression of ``right`` (N,) on it.

    1 where they never are. ``weight`` (N,): how much each answer counts.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(confidence, kind="stable")
    fitted = isotonic_regression(right[order].astype(float), weights=weight[order]).x
    reached = np.flatnonzero(fitted >= share)
    return float(confidence[order][reached[0]]) if len(reached) else 1.0


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """What to divide logits (N, 8) by, so that the true labels are likeliest (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(-1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(-1)) - scaled[np.arange(len(labels)), labels]))

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
