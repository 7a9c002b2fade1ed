"""The measures of a comparison, and on which data each of them has a meaning."""

from __future__ import annotations

from dataclasses import dataclass

GRID, RAVDESS, MESH = "grid", "ravdess", "mesh"
FIXED = ("static template", "mean motion", "label mean", "target")
"""Answers that do not listen, and the truth."""


@dataclass(frozen=True)
class Measure:
    title: str
    definition: str
    sets: tuple[str, ...]
    digits: int = 2


MEASURES = {
    "lve": Measure(
        "LVE, mm",
        "Root of the mean over frames of the squared distance of the worst lip vertex (CodeTalker's formula). Less is better; a still face scores well.",
        (GRID, RAVDESS, MESH),
    ),
    "eve": Measure("EVE, mm", "The same of eyelids, brows and forehead (EmoTalk issue 19). Less is better.", (RAVDESS, MESH)),
    "fdd": Measure(
        "FDD, 1e-5 m²",
        "|std over time of squared distances, truth minus prediction|, mean over the upper face's vertices (CodeTalker, absolute per clip). Less is better.",
        (RAVDESS, MESH),
        3,
    ),
    "upper": Measure(
        "upper-face dynamics",
        "Standard deviation over time of the upper face's vertices, predicted over true (`emoface.metrics.timing.dynamics_ratio`). 1 is right.",
        (RAVDESS, MESH),
    ),
    "aperture_r": Measure(
        "aperture r",
        "Pearson r of the lip aperture with the one measured in the video (GRID) or of the target (RAVDESS). More is better.",
        (GRID, RAVDESS),
    ),
    "width_r": Measure("width r", "Pearson r of the mouth's width with the one measured in the video. More is better.", (GRID,)),
    "mtm": Measure(
        "MTM, ms",
        "Mean temporal misalignment of the lips' turning points (`emoface.metrics.timing.temporal_misalignment`, after arXiv 2503.20308). Less is better, beside:",
        (GRID, RAVDESS),
        0,
    ),
    "turns": Measure("turns found, %", "Share of those turning points that the prediction has at all.", (GRID, RAVDESS), 0),
    "coherence": Measure(
        "lip-speech coherence",
        "Highest r of lip aperture and the sound's level (dB) within ± 3 frames (`emoface.metrics.timing.loudness_coherence`): no trained network. Read it beside the speaker's.",
        (GRID, RAVDESS),
    ),
    "slcc": Measure(
        "SLCC",
        "Speech-lip intensity correlation (arXiv 2503.20308): r over a speaker's clips of mean level in speech (dB) and mean displacement of the lips. Read it beside the target's.",
        (RAVDESS,),
    ),
    "torn": Measure(
        "torn, %",
        "Share of frames in which a skin vertex's deviation from the nearest blendshape pose differs from its neighbours' by more than 1 mm (`train.evaluation.showing`). Less is better.",
        (RAVDESS,),
        1,
    ),
    "readable": Measure(
        "readable",
        "Probability that a classifier trained on photographs gives the right one of 7 feelings to rendered frames of strong clips (`train.evaluation.readability`). Read it beside the target's.",
        (RAVDESS,),
    ),
}
