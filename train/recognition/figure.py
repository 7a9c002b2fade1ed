"""The reliability figure of ``docs/training.md``: how often an answer is right, against how sure it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emoface.files import atomic_path
from emoface.modeling import EmoFaceModel

from .cache import Features
from .recordings import Recording
from .references import logits
from .scores import calibration_error, reliability

TITLES = {("ravdess", "test"): "RAVDESS, actors 21-22", ("nemo", "test"): "nEMO, speaker left out", ("emodb", "test"): "EmoDB"}


def reliability_figure(model: EmoFaceModel, recordings: list[Recording], features: Features, out: Path) -> dict[str, float]:
    """Draw the unseen voices' reliability to ``out`` (PNG); returns the calibration error per set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    errors = {}
    for axis, ((corpus, split), title) in zip(figure.subplots(1, len(TITLES), sharey=True), TITLES.items()):
        chosen = [r for r in recordings if (r.corpus, r.split) == (corpus, split)]
        labels = np.array([r.label for r in chosen])
        for values, name in zip(logits(model, chosen, features), ("alone", "with a reference")):
            probabilities = np.exp(values - values.max(-1, keepdims=True))
            probabilities /= probabilities.sum(-1, keepdims=True)
            rows = [row for row in reliability(labels, probabilities) if row[2] >= 10]
            errors[f"{title}, {name}"] = calibration_error(labels, probabilities)
            axis.plot([r[0] for r in rows], [r[1] for r in rows], marker="o", label=f"{name} (error {errors[f'{title}, {name}']:.2f})")
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        axis.set(title=title, xlabel="probability of the answer", xlim=(0, 1), ylim=(0, 1))
        axis.legend(loc="lower right", fontsize=8, frameon=False)
    figure.axes[0].set_ylabel("share of right answers")
    with atomic_path(out) as path:
        figure.savefig(path, format="png", dpi=110)
    return errors
