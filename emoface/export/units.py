"""Lengths of other people's files: metres, centimetres or millimetres, found by the size of a head."""

from __future__ import annotations

import numpy as np

HEAD_METRES = (0.1, 0.7)
"""Largest side of a head's box, metres: from a mask of the face to a head with shoulders."""
_UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
_USUAL_METRES = 0.26
_MOST_APART = 1.5
"""Times that one head's box may be larger in a pose than at rest."""


def in_metres(vertices: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Motion (T, V, 3) and template (V, 3) in metres, and a sentence for each that had to be scaled.

    Each is scaled by its own unit: motion in millimetres over a template in metres is common. A size that no unit explains (BIWI's
    normalised meshes) becomes that of a head of 26 cm, the same factor for both if they agree. Where two sizes still cannot be one head's, the motion takes the template's.
    """
    notes, factors, sizes = [], [], []
    for what, points in (("template", template), ("motion", vertices[0])):
        size = float(np.ptp(points, axis=0).max())
        sizes.append(size)
        unit = next((name for name, factor in _UNITS.items() if HEAD_METRES[0] <= size * factor <= HEAD_METRES[1]), None)
        factor = _UNITS[unit] if unit else (_USUAL_METRES / size if size > 0 else 1.0)
        factors.append(factor)
        if unit is None:
            notes.append(f"The {what} is {size:.3g} units large, which fits no unit of length; it is shown as a head of 26 cm.")
        elif factor != 1:
            notes.append(f"The {what} is {size:.3g} units large, so it is taken to be in {unit}.")
    if factors[0] != factors[1] and not set(factors) <= set(_UNITS.values()):
        factors[1] = factors[0]  # one unknown unit for both; the motion's own pose must not change its size
    there, here = (size * factor for size, factor in zip(sizes, factors))
    if here > 0 and not 1 / _MOST_APART < here / there < _MOST_APART:
        factors[1] = there / sizes[1]
        notes[:] = [note for note in notes if "motion" not in note]
        notes.append(
            f"The motion is {sizes[1]:.3g} units large and the template {sizes[0]:.3g}, which no units explain; the motion is brought to the size of the template."
        )
    template, vertices = (
        points if factor == 1 else (points * np.float32(factor)).astype(np.float32) for points, factor in zip((template, vertices), factors)
    )
    return vertices, template, notes
