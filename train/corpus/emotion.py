"""Expression target of a RAVDESS clip from its measured action units (training.md, section 4)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .channels import vector

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
LEVELS = ("normal", "strong")
INTENSITY = (0.75, 1.0)
# Share of the measured clip in the target; the rest is the prototype of its emotion, scaled by the clip's evidence.
EVIDENCE = 0.20
EVIDENCE_GAIN = 1.15
MOST_SCALED = 1.6
"""Most that a label's weights are multiplied by so that their mean is the prototype."""

# ARKit weight per OpenFace action-unit point (0-5) above the actor's own neutral.
ACTION_UNITS = {
    "AU01": ("browInnerUp", 1.2),
    "AU02": ("browOuterUp", 1.2),
    "AU04": ("browDown", 0.6),
    "AU05": ("eyeWide", 0.85),
    "AU06": ("cheekSquint", 0.45),
    "AU07": ("eyeSquint", 0.30),
    "AU09": ("noseSneer", 0.70),
    "AU10": ("mouthUpperUp", 0.35),
    "AU12": ("mouthSmile", 0.40),
    "AU14": ("mouthDimple", 0.15),
    "AU15": ("mouthFrown", 1.0),
    "AU17": ("mouthShrugLower", 0.8),
    "AU20": ("mouthStretch", 0.9),
    "AU23": ("mouthPress", 1.0),
}

# Full ("strong") expression of each emotion; gaze is left to the idle layer.
PROTOTYPES = {
    "neutral": {},
    "calm": dict(mouthSmile=0.25, eyeBlink=0.15, eyeSquint=0.12, browInnerUp=0.05, mouthPress=0.08),
    "happy": dict(
        mouthSmile=0.95,
        cheekSquint=0.75,
        eyeSquint=0.20,
        mouthUpperUp=0.30,
        mouthLowerDown=0.20,
        mouthDimple=0.10,
        jawOpen=0.10,
        browOuterUp=0.12,
        browInnerUp=0.10,
    ),
    "sad": dict(
        browInnerUp=1.0,
        mouthFrown=1.0,
        mouthShrugLower=0.45,
        browDown=0.30,
        eyeBlink=0.22,
        eyeSquint=0.12,
        cheekSquint=0.10,
        mouthStretch=0.10,
    ),
    "angry": dict(
        browDown=1.0,
        eyeWide=0.60,
        mouthPress=0.50,
        noseSneer=0.45,
        eyeSquint=0.45,
        mouthFrown=0.40,
        mouthLowerDown=0.35,
        jawForward=0.30,
        mouthUpperUp=0.20,
        mouthRollUpper=0.20,
        mouthShrugLower=0.20,
        mouthRollLower=0.15,
        mouthStretch=0.15,
    ),
    "fearful": dict(
        browInnerUp=1.0,
        eyeWide=1.0,
        mouthStretch=1.0,
        browOuterUp=0.45,
        browDown=0.58,
        mouthLowerDown=0.40,
        mouthFrown=0.15,
        jawOpen=0.14,
        mouthUpperUp=0.10,
    ),
    "disgust": dict(
        noseSneer=1.0,
        mouthUpperUp=0.60,
        mouthFrown=0.60,
        browDown=0.50,
        eyeSquint=0.50,
        cheekSquint=0.50,
        mouthShrugLower=0.50,
        mouthLowerDown=0.10,
    ),
    "surprised": dict(
        browOuterUp=1.0,
        browInnerUp=0.9,
        eyeWide=0.9,
        jawOpen=0.36,
        mouthFunnel=0.25,
        mouthFrown=0.15,
    ),
}


def at_level(target: np.ndarray, said: int, wanted: int) -> np.ndarray:
    """The expression (52,) of a clip said at one level as it would be at another."""
    return np.clip(target * (INTENSITY[wanted] / INTENSITY[said]), 0, 1)


RAVDESS_NAME = re.compile(r"\d\d(-\d\d){6}")


def silent_doubles(names: Iterable[str]) -> set[str]:
    """Names of RAVDESS's silent videos (02-...) whose take is also there with sound (01-...): one performance must not count twice."""
    takes = {name for name in names if RAVDESS_NAME.fullmatch(name)}
    return {name for name in takes if name.startswith("02") and "01" + name[2:] in takes}


def parse_ravdess_name(clip: str) -> dict:
    """Fields of ``MODALITY-CHANNEL-EMOTION-INTENSITY-STATEMENT-TAKE-ACTOR``; level 0 normal, 1 strong."""
    parts = [int(x) for x in clip.split("-")]
    return dict(emotion=EMOTIONS[parts[2] - 1], level=parts[3] - 1, statement=parts[4], take=parts[5], actor=parts[6])


def read_action_units(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names (``AU01`` ...) and intensities by audio clip name (``03-01-...``)."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = [key for key in rows[0] if key.endswith("_r")]
    values = {"03" + row["clip"][2:]: np.array([float(row[key]) for key in keys]) for row in rows}
    return [key[:4] for key in keys], values


class EmotionTargets:
    """Maps each RAVDESS clip to its (52,) expression."""

    def __init__(self, names: list[str], units: dict[str, np.ndarray], *, population_actors=range(1, 19)):
        self._matrix = np.stack([vector(dict([ACTION_UNITS[n]] if n in ACTION_UNITS else [])) for n in names])
        self._measured_columns = self._matrix.any(axis=0)
        self._units = units
        self._neutral = self._neutral_of_actors()
        self._weights = {clip: self._shape_weights(clip) for clip in units}
        population: dict[tuple[str, int], list[str]] = {}
        for clip in units:
            fields = parse_ravdess_name(clip)
            if fields["actor"] in population_actors:
                population.setdefault((fields["emotion"], fields["level"]), []).append(clip)
        self._population = {key: np.mean([self._weights[clip] for clip in clips], axis=0) for key, clips in population.items()}
        self._factors = {key: self._to_prototype(key, [self._shaped(clip) for clip in clips]) for key, clips in population.items()}

    @classmethod
    def from_file(cls, path: Path, *, population_actors=range(1, 19)) -> EmotionTargets:
        return cls(*read_action_units(path), population_actors=population_actors)

    def _neutral_of_actors(self) -> dict[int, np.ndarray]:
        grouped: dict[int, list] = {}
        for clip, values in self._units.items():
            fields = parse_ravdess_name(clip)
            if fields["emotion"] == "neutral":
                grouped.setdefault(fields["actor"], []).append(values)
        return {actor: np.mean(group, axis=0) for actor, group in grouped.items()}

    def _shape_weights(self, clip: str) -> np.ndarray:
        """Measured expression as ARKit weights, relative to the actor's neutral face."""
        neutral = self._neutral[parse_ravdess_name(clip)["actor"]]
        return np.clip((self._units[clip] - neutral) @ self._matrix, 0, 1)

    def __contains__(self, clip: str) -> bool:
        return clip in self._weights

    @staticmethod
    def _to_prototype(key: tuple[str, int], shaped: list[np.ndarray]) -> np.ndarray:
        """(52,) factors with which the mean of an emotion and level is its prototype: what a name asks for is the middle of what voices get.

        Weights end at 1, so the factors are found by repetition; where a prototype is 1 itself the mean stays a little below.
        """
        wanted = vector(PROTOTYPES[key[0]]) * INTENSITY[key[1]]
        factors = np.ones_like(wanted)
        for _ in range(8):
            mean = np.clip(np.stack(shaped) * factors, 0, 1).mean(0)
            factors = np.where(wanted > 0, np.clip(factors * wanted / np.maximum(mean, 1e-3), 0.5, MOST_SCALED), 1.0)
        return factors

    def target(self, clip: str) -> np.ndarray:
        """(52,) expression of a clip: the emotion's prototype shaped by the clip's own action units; 0 for neutral."""
        fields = parse_ravdess_name(clip)
        factors = self._factors.get((fields["emotion"], fields["level"]))
        shaped = self._shaped(clip)
        return shaped if factors is None else np.clip(shaped * factors, 0, 1)

    def _shaped(self, clip: str) -> np.ndarray:
        fields = parse_ravdess_name(clip)
        prototype = vector(PROTOTYPES[fields["emotion"]])
        if not prototype.any():
            return prototype
        measured, population = self._weights[clip], self._population[(fields["emotion"], fields["level"])]
        per_channel = np.clip((measured + 0.15) / (population + 0.15), 0.5, 1.6)
        overall = np.clip((measured @ prototype + 0.05) / (population @ prototype + 0.05), 0.7, 1.3)
        out = prototype * INTENSITY[fields["level"]] * (0.5 * per_channel + 0.5 * overall)
        if fields["emotion"] != "calm":  # calm is told from neutral by little: measured extras would drown it
            extra = np.minimum(0.6 * np.maximum(measured - out, 0), 0.2)
            out = out + extra * (prototype == 0)
        out = np.clip(out, 0, 1)
        blended = (1 - EVIDENCE) * out + EVIDENCE * np.clip(EVIDENCE_GAIN * measured, 0, 1)
        return np.where(self._measured_columns, blended, out)
