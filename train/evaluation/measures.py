"""What is measured: names, units and definitions, printed above every table so that a number never stands alone."""

from __future__ import annotations

from dataclasses import dataclass

from emoface.metrics import Estimate


@dataclass(frozen=True)
class Measure:
    title: str
    unit: str
    definition: str
    decimals: int = 3


MEASURES: dict[str, Measure] = {
    "aperture_r": Measure(
        "Lip aperture: correlation",
        "r",
        "Pearson r over a clip's frames of the mesh's lip aperture (mean vertical gap of the central third of the inner"
        " lip ring) with the true one (GRID: landmarks 13-14 of the video, scaled by the eye distance, unsmoothed;"
        " modelled motion: the target mesh), mean over clips. A face that does not move scores 0.",
    ),
    "aperture_r_shifted": Measure(
        "Lip aperture: correlation at the best shift",
        "r",
        "The same after shifting each clip's answer by whichever of -2 ... 2 frames fits best: what is left when sound and"
        " picture of a video do not start together.",
    ),
    "aperture_mae": Measure(
        "Lip aperture: error",
        "mm",
        "Mean absolute difference of the two apertures over a clip's frames, mean over clips.",
        2,
    ),
    "aperture_ratio": Measure(
        "Lip aperture: amplitude",
        "ratio",
        "95th percentile of the predicted over that of the true aperture of a clip, mean over clips; 1 is right.",
        2,
    ),
    "lve": Measure(
        "LVE, lip vertex error",
        "1e-5 m2",
        "Squared: per frame the largest squared distance over the lip vertices, mean over all frames of all clips.",
        4,
    ),
    "lve_mm": Measure("LVE as a length", "mm", "Root of the LVE above.", 2),
    "lve_reduction": Measure("LVE below the static template", "%", "1 - LVE / LVE of the static template, both as lengths (mm).", 1),
    "eve": Measure(
        "EVE, upper-face vertex error",
        "1e-5 m2",
        "As LVE, over eyelids, brows and forehead. Emotional (modelled) clips only.",
        4,
    ),
    "eve_mm": Measure("EVE as a length", "mm", "Root of the EVE above.", 2),
    "fdd": Measure(
        "FDD, upper-face dynamics deviation",
        "1e-5 m2",
        "Standard deviation over time of the squared displacement, true minus predicted, mean over the vertices of EVE,"
        " then over clips. Signed: positive means too little motion.",
        4,
    ),
    "fdd_absolute": Measure("FDD, absolute", "1e-5 m2", "Mean over clips of the absolute value of a clip's FDD.", 4),
    "mve": Measure("MVE, mean vertex error", "mm", "Not squared; mean over the visible skin and all frames of all clips.", 3),
    "lvd": Measure("LVD, lip vertex distance", "mm", "As LVE but not squared: the largest distance, mean over all frames.", 2),
    "closures_caught": Measure(
        "Closures caught",
        "%",
        "P, B, M at which the aperture falls to 1 mm or less within the interval or one frame beside it. GRID: 80 ms"
        " around the onset of bin, blue, by, place, please, b, p and around the end of m; elsewhere the aligned or"
        " labelled phone.",
        1,
    ),
    "closures_false": Measure(
        "False closures",
        "%",
        "Vowels inside which the aperture stays at 0.3 mm or less for two frames or more; vowels that hold fewer than two frames are not counted.",
        1,
    ),
    "silence_closed": Measure(
        "Closed in silence",
        "%",
        "Frames 0.3 s or more away from any voice (energy) with an aperture of at most 1 mm, over all such frames.",
        1,
    ),
    "noise_closed": Measure(
        "Closed in added noise",
        "%",
        "2 s of faint white noise (-60 dBFS) put before and after each clip: frames of the noise, 0.3 s or more away"
        " from the clip, with an aperture of at most 1 mm.",
        1,
    ),
    "emotion_accuracy": Measure("Emotion heard", "%", "Largest of the 8 emotion probabilities equals the label.", 1),
    "emotion_recall": Measure(
        "Emotion heard: mean recall",
        "%",
        "Share of right answers per emotion, mean over the emotions that the corpus has; all 8 labels may be answered. Interval: speakers"
        " redrawn; with one or two of them, their clips. *With a reference*: one other neutral recording of the same voice is given.",
        1,
    ),
    "emotion_recall_own": Measure(
        "Emotion heard: mean recall among the corpus' own labels",
        "%",
        "The same where only the emotions that the corpus' actors were asked for may be answered (EmoDB 6, nEMO 6).",
        1,
    ),
    "emotion_calibration": Measure(
        "Emotion heard: calibration error",
        "%",
        "How far the largest probability is from the share of right answers, in ten ranges of it, mean over clips. 0 is calibrated.",
        1,
    ),
    "emotion_changed": Measure(
        "Emotion heard: labels that change",
        "%",
        "Share of clips whose likeliest emotion is another one than that of the recording as it is. Babble: other unseen voices of the same"
        " corpus; levels in dB are below the voice.",
        1,
    ),
    "expression_r": Measure(
        "Expression follows the speaker",
        "r",
        "Clip mean of the ARKit weights read from the mesh, grouped to 14 action units, against the units measured in"
        " the clip's own video; r over clips per unit, mean over units. Interval: clips redrawn.",
    ),
    "swap_timing": Measure(
        "Swap: lip timing kept",
        "r",
        "(a) r of the aperture with the result of the same speech under its own emotion, mean over pairs.",
    ),
    "swap_emotion": Measure(
        "Swap: emotion taken",
        "%",
        "(b) Nearest class centroid of the expression read from the mesh equals that of the source's own animation. "
        "Centroids: means over training targets per emotion and level.",
        1,
    ),
    "swap_label": Measure("Swap: label shown", "%", "The nearest centroid's emotion is the source's label.", 1),
    "swap_foreign": Measure(
        "Swap: foreign lips",
        "r",
        "(c) r of the aperture with the source's own, stretched to the length. Any two utterances open in the middle,"
        " so the same r of the *unswapped* result is the zero: the difference must be near 0.",
    ),
    "combination_r": Measure("Combinations: aperture", "r", "GRID speech under a named emotion: r with the aperture measured in the video."),
    "combination_closures": Measure("Combinations: closures caught", "%", "P, B, M of the same clips, as above.", 1),
    "combination_slit": Measure(
        "Combinations: slit beside a closed middle",
        "mm",
        "In the frames of a P, B or M whose middle is shut (0.3 mm or less): largest opening anywhere along the lips, mean over frames.",
        2,
    ),
    "combination_label": Measure("Combinations: emotion shown", "%", "The nearest centroid's emotion is the asked one.", 1),
    "drift": Measure(
        "Drift",
        "",
        "120 s of GRID speech in one run whose last 30 s are the same recordings as the first: measure of the last part, beside the first's.",
        3,
    ),
    "jitter_acceleration": Measure(
        "Jitter: acceleration",
        "mm/frame2",
        "Mean length of the lip vertices' second difference at 30 fps, mean over clips.",
    ),
    "jitter_jerk": Measure("Jitter: jerk", "mm/frame3", "The same of the third difference."),
    "width_r": Measure(
        "Mouth width: correlation",
        "r",
        "Pearson r over a clip's frames of the change of the lip corners' distance on the mesh with the video's (landmarks 61-291 over the eye"
        " distance), mean over clips. A face that does not move scores 0.",
    ),
    "torn_share": Measure(
        "Torn skin",
        "% of frames",
        "Frames in which some skin vertex (the inside of the mouth included) has a residual more than 1 mm off the mean of its neighbours'; the"
        " residual is the mesh minus the pose of the frame's own ARKit fit.",
        1,
    ),
    "torn_worst": Measure("Torn skin: the worst vertex of all frames", "mm", "As above, the largest distance.", 2),
    "gain": Measure(
        "Strength of the expression",
        "ratio",
        "Weights read from the mesh projected on the target's over a clip's frames, <shown, target> / <target, target>, per group of channels"
        " that the target has, mean over groups, mean over clips; 1 is right. The target is read in the same way, from the mesh that shows it, after lips and teeth are"
        " parted. Targets are modelled: a prototype written by hand, for own speech"
        " shaped by the clip's measured action units.",
        2,
    ),
    "gain_group": Measure("Strength of the expression: weakest and strongest group of channels", "ratio", "As above, one group.", 2),
    "level_ratio": Measure(
        "Strong against normal", "ratio", "Mean displacement of the skin above the mouth, named emotion at strong over normal, same words.", 2
    ),
    "closest_pair": Measure(
        "Closest two emotions", "mm", "Mean distance of the mean faces of two strong named emotions above the mouth, of the closest pair.", 2
    ),
    "brow_range": Measure(
        "Brows: range", "mm", "95th minus 5th percentile of the brows' mean height within the speech of a clip, mean over clips.", 2
    ),
    "brow_accent_r": Measure(
        "Brows follow the voice",
        "r",
        "r of the brows' height with the voice's accents (emoface.prosody) within speech, beside the same motion reversed in time. The targets'"
        " accents are modelled from the same track.",
    ),
    "importance": Measure(
        "Attention weight of the emotion branch",
        "",
        "Mean over frames and vertices of a region, over emotional clips.",
        3,
    ),
    "effect": Measure(
        "Effect of the emotion branch",
        "mm",
        "|w_e (dM_e - dM_c)|, mean over frames and vertices of a region, over emotional clips.",
        3,
    ),
}


@dataclass(frozen=True)
class Row:
    """One number: ``who`` is the model or one of the simpler answers beside it."""

    measure: str
    data: str
    motion: str
    """Of the set: ``real``, ``modelled``, or ``none`` where there is only a recording."""
    who: str
    estimate: Estimate
    counted: str = "clips"
    """What ``estimate.total`` counts: clips, frames, closures, ..."""
