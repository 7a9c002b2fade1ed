"""Mouth motion of aligned phones: Cohen and Massaro's dominance model in ARKit space, with closures as constraints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .channels import COUNT, FPS, columns, vector
from .compose import seal, shift_aperture
from .lips import LipResponse


class Phone(NamedTuple):
    name: str
    """ARPAbet without stress; ``SIL`` for silence."""
    start: float
    end: float
    word: str


VISEMES = {
    "sil": {},
    "PP": dict(mouthPress=0.35, mouthRollLower=0.22, mouthRollUpper=0.15, jawOpen=0.02, mouthClose=0.02),
    "FF": dict(jawOpen=0.05, mouthRollLower=0.65, mouthUpperUp=0.30, mouthShrugLower=0.15),
    "TH": dict(jawOpen=0.15, mouthLowerDown=0.15, mouthUpperUp=0.10),
    "DD": dict(jawOpen=0.13, mouthLowerDown=0.20, mouthUpperUp=0.12),
    "kk": dict(jawOpen=0.17, mouthLowerDown=0.12, mouthUpperUp=0.12, mouthDimple=0.10),
    "CH": dict(jawOpen=0.07, mouthFunnel=0.55, mouthPucker=0.15),
    "SS": dict(jawOpen=0.04, mouthStretch=0.20, mouthSmile=0.12, mouthLowerDown=0.35, mouthUpperUp=0.22),
    "nn": dict(jawOpen=0.10, mouthLowerDown=0.18, mouthUpperUp=0.10),
    "RR": dict(jawOpen=0.10, mouthFunnel=0.30, mouthPucker=0.25),
    "aa": dict(jawOpen=0.45, mouthLowerDown=0.10, mouthUpperUp=0.15),
    "E": dict(jawOpen=0.24, mouthStretch=0.25, mouthSmile=0.15, mouthLowerDown=0.15, mouthUpperUp=0.15),
    "I": dict(jawOpen=0.10, mouthStretch=0.30, mouthSmile=0.30, mouthLowerDown=0.25, mouthUpperUp=0.18),
    "O": dict(jawOpen=0.28, mouthFunnel=0.45, mouthPucker=0.35),
    "U": dict(jawOpen=0.07, mouthFunnel=0.25, mouthPucker=0.75),
}
VISEME_OF_PHONE = {
    phone: viseme
    for viseme, phones in {
        "PP": "P B M",
        "FF": "F V",
        "TH": "TH DH",
        "DD": "T D",
        "kk": "K G HH",
        "CH": "CH JH SH ZH",
        "SS": "S Z",
        "nn": "N L NG",
        "RR": "R ER",
        "aa": "AA AH AY AW",
        "E": "EH AE EY",
        "I": "IH IY Y",
        "O": "AO OW OY",
        "U": "UH UW W",
        "sil": "SIL",
    }.items()
    for phone in phones.split()
}
# How strongly a viseme insists on its shape against its neighbours.
DOMINANCE = dict(sil=0.7, PP=0.8, FF=2.5, TH=0.6, DD=0.5, kk=0.4, CH=1.2, SS=0.9, nn=0.45, RR=0.9, aa=1.2, E=1.1, I=1.0, O=1.3, U=1.3)
# Brings the hand-made visemes to the openings of real GRID speech.
NEUTRAL_AMPLITUDE = 0.78
# The mouth moves before the sound (fitted on GRID: 0 to 30 ms are equally good).
LEAD_S = 0.02
BILABIALS = ("P", "B", "M")
LABIODENTALS = ("F", "V")
LABIODENTAL_MM = 2.2  # lip gap while the lower lip touches the upper teeth (GRID's mean)

PHONES = tuple(VISEME_OF_PHONE)
PHONE_SHAPES_FILE = Path(__file__).with_name("phone_shapes.json")
VISEME_SHAPES = {name: vector(shape) for name, shape in VISEMES.items()}
LIP_SHAPE = columns("mouthFunnel", "mouthPucker", "mouthSmile", "mouthStretch")
_IS_LIP_SHAPE = np.isin(np.arange(COUNT), LIP_SHAPE).astype(int)


@lru_cache(maxsize=1)
def phone_shapes() -> np.ndarray:
    """(P, 52) mouth shapes in the order of ``PHONES``, fitted to real speech by ``train.corpus.fit_phones``."""
    table = json.loads(PHONE_SHAPES_FILE.read_text())
    return np.stack([vector(table[phone]) for phone in PHONES])


def dominance(phones: Sequence[Phone], count: int) -> np.ndarray:
    """(T, P, 2) share of each phone of ``PHONES`` in every frame: in the jaw and the closing of the lips, and in the
    lips' shape, where the tongue's consonants leave their neighbours alone (Cohen and Massaro 1993)."""
    t = np.arange(count) / FPS + LEAD_S
    total, out = np.full((count, 1, 2), 1e-6), np.zeros((count, len(PHONES), 2))
    for name, start, end, _ in phones:
        viseme = VISEME_OF_PHONE[name]
        strength = DOMINANCE[viseme] * np.array([1.0, 0.15 if viseme in ("DD", "kk", "nn", "TH") else 1.0])
        # A silence is narrowed because the mouth moves about 100 ms before the sound.
        width = max(end - start - (0.10 if name == "SIL" else 0.0), 0.05)
        x = np.minimum(np.abs(t - (start + end) / 2) / (width / 2), 8)
        bump = np.exp(-0.8 * np.log(2) * x**2)[:, None] * strength
        out[:, PHONES.index(name)] += bump
        total[:, 0] += bump
    return out / total


def dominance_blend(phones: Sequence[Phone], count: int) -> np.ndarray:
    """(T, 52) dominance-weighted mean of the phones' mouth shapes."""
    shares, shapes = dominance(phones, count), phone_shapes()
    return np.where(_IS_LIP_SHAPE, shares[:, :, 1] @ shapes, shares[:, :, 0] @ shapes)


def closure_strength(intervals: Sequence[tuple[float, float]], count: int) -> np.ndarray:
    """(T,) 1 while the lips are shut, with cosine ramps of 100 ms before and 80 ms after (as GRID's b and p)."""
    t, out = np.arange(count) / FPS, np.zeros(count)
    for start, end in intervals:
        before = np.clip((start - t) / 0.10, 0, 1)
        after = np.clip((t - end) / 0.08, 0, 1)
        out = np.maximum(out, 0.5 + 0.5 * np.cos(np.pi * np.maximum(before, after)))
    return out


def bilabial_intervals(phones: Sequence[Phone]) -> list[tuple[float, float]]:
    """When the lips are shut for each P, B and M; at least one frame at 30 fps."""
    return [(p.start - 0.005, max(p.end - 0.02, p.start + 0.035)) for p in phones if p.name in BILABIALS]


def speech_of(phones: Sequence[Phone]) -> tuple[float, float]:
    """Start of the first and end of the last phone that is no silence."""
    spoken = [p for p in phones if p.name != "SIL"]
    return spoken[0].start, spoken[-1].end


def spoken_runs(phones: Sequence[Phone], pause: float = 0.5) -> list[tuple[float, float]]:
    """Stretches of speech without a silence of ``pause`` seconds or more."""
    runs: list[tuple[float, float]] = []
    for phone in phones:
        if phone.name == "SIL":
            continue
        if runs and phone.start - runs[-1][1] < pause:
            runs[-1] = (runs[-1][0], phone.end)
        else:
            runs.append((phone.start, phone.end))
    return runs


def _narrow(weights: np.ndarray, strength: np.ndarray, lips: LipResponse) -> None:
    """Bring the lower lip to the teeth, in place, where ``strength`` (T,) asks for it; never opens."""
    aperture = lips.aperture(weights)
    shift_aperture(weights, strength * np.minimum(LABIODENTAL_MM - aperture, 0), lips)


def speech_motion(phones: Sequence[Phone], loudness: np.ndarray, lips: LipResponse) -> tuple[np.ndarray, np.ndarray]:
    """Neutral content (T, 52) and closure (T,) of aligned phones; louder speech opens wider."""
    count = len(loudness)
    weights = dominance_blend(phones, count) * (0.85 + 0.30 * loudness)[:, None]
    weights = gaussian_filter1d(weights, 0.9, axis=0, mode="nearest")
    _narrow(weights, closure_strength([(p.start, p.end) for p in phones if p.name in LABIODENTALS], count), lips)
    closure = closure_strength(bilabial_intervals(phones), count)
    seal(weights, closure, lips)
    return np.clip(weights, 0, 1), closure
