"""Lip aperture and mouth width of the head as linear functions of the ARKit weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .channels import INDEX, NAMES

# Distance of the outer eye corners of the average head; measured gaps are scaled by it (evaluation.md, "lip aperture").
EYE_DISTANCE_MM = 57.8


@dataclass(frozen=True)
class LipResponse:
    """Mean vertical gap of the central inner lips: ``rest_mm + weights @ per_unit_mm`` (negative = lips overlap)."""

    rest_mm: float
    per_unit_mm: np.ndarray
    """(52,) millimetres per unit weight."""
    width_rest_mm: float
    """Distance of the lip corners at rest."""
    width_per_unit_mm: np.ndarray
    """(52,) change of that distance per unit weight."""

    def aperture(self, weights: np.ndarray) -> np.ndarray:
        """Signed aperture in millimetres, (T,), of ARKit weights (T, 52)."""
        return self.rest_mm + weights @ self.per_unit_mm

    def width_change(self, weights: np.ndarray) -> np.ndarray:
        """Change of the mouth's width in millimetres, (T,), of ARKit weights (T, 52)."""
        return weights @ self.width_per_unit_mm

    @property
    def jaw_mm(self) -> float:
        return float(self.per_unit_mm[INDEX["jawOpen"]])

    @property
    def close_mm(self) -> float:
        """Millimetres by which a whole ``mouthClose`` closes (positive)."""
        return -float(self.per_unit_mm[INDEX["mouthClose"]])


def lip_response(head) -> LipResponse:
    """The response of an ``emoface.head.Head``."""
    if tuple(head.blendshape_names) != NAMES:
        raise ValueError("The head's blendshapes are not Apple's 52 in alphabetical order; rebuild assets/head.")
    upper, lower = np.asarray(head.lip_pairs).T
    rest = 1000 * np.mean(head.template[upper, 1] - head.template[lower, 1])
    per_unit = 1000 * np.mean(head.blendshapes[:, upper, 1] - head.blendshapes[:, lower, 1], axis=1)
    right, left = head.lip_corners
    width = 1000 * (head.template[left, 0] - head.template[right, 0])
    width_per_unit = 1000 * (head.blendshapes[:, left, 0] - head.blendshapes[:, right, 0])
    return LipResponse(float(rest), per_unit.astype(np.float64), float(width), width_per_unit.astype(np.float64))


@lru_cache(maxsize=1)
def average_head_lips() -> LipResponse:
    """The response of head 0, in whose basis all training targets are."""
    from emoface.head import load_head

    return lip_response(load_head(0))
