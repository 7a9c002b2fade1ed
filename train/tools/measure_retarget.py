"""How well our shapes are carried to faces that others made: ICT-FaceKit's neutral face and four of its scanned people (MIT), another topology.

    python -m train.tools.measure_retarget ICT_FACEKIT.npz

Printed for each face, in millimetres on a head of our size: how far our skin lies from the mesh; how far our margins of lips and lids lie from the
face's own, which are known there; how far open its lips are where ours are shut; and how far carried shapes are from the face's own, as a share of their movement
(its makers' idea of the same shape, so never 0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from emoface.export.registration import Registration, carry_shapes
from emoface.head import load_head
from train.head.registration import FACE_VERTICES, Scan
from train.head.registration import LANDMARKS as MULTI_PIE

PLACES = {
    "eye_left_outer": 45,
    "eye_left_inner": 42,
    "eye_right_inner": 39,
    "eye_right_outer": 36,
    "nose_tip": 30,
    "mouth_left": 54,
    "mouth_right": 48,
    "upper_lip": 62,
    "lower_lip": 66,
    "chin": 8,
}
MARGINS = {
    "upper lip": (60, 61, 62, 63, 64),
    "lower lip": (60, 67, 66, 65, 64),
    "upper lid, right": (36, 37, 38, 39),
    "lower lid, right": (36, 41, 40, 39),
    "upper lid, left": (42, 43, 44, 45),
    "lower lid, left": (42, 47, 46, 45),
}
SHAPES = {
    "jawOpen": ("jawOpen",),
    "mouthSmileLeft": ("mouthSmile_L",),
    "mouthFunnel": ("mouthFunnel",),
    "mouthUpperUpLeft": ("mouthUpperUp_L",),
    "browInnerUp": ("browInnerUp_L", "browInnerUp_R"),
    "eyeBlinkLeft": ("eyeBlink_L",),
}
PEOPLE = (None, 0, 3, 7, 12)
"""The neutral face, and of the scanned people these."""


def faces(path: Path):
    """(name, scan) of every face."""
    base = Scan.load(path)
    with np.load(path, allow_pickle=False) as file:
        people = file["identities"][:, :FACE_VERTICES].astype(float) * float(file["step_cm"])
    for person in PEOPLE:
        yield ("neutral", base) if person is None else (f"person {person}", Scan(base.neutral + people[person], base.faces, base.expressions))


def our_margins(head) -> dict[str, np.ndarray]:
    """Vertices of the margins on our head, by the names of :data:`MARGINS`."""
    right, left = head.lid_pairs[1], head.lid_pairs[0]
    return {
        "upper lip": head.lip_line[:, 0],
        "lower lip": head.lip_line[:, 1],
        "upper lid, right": right[:, 0],
        "lower lid, right": right[:, 1],
        "upper lid, left": left[:, 0],
        "lower lid, left": left[:, 1],
    }


def away(points: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Distances (n,) of points from a polyline."""
    a, b = curve[:-1], curve[1:]
    a, b = a[(a != b).any(1)], b[(a != b).any(1)]
    along = np.clip(np.einsum("nsk,sk->ns", points[:, None] - a, b - a) / np.square(b - a).sum(1), 0, 1)
    return np.linalg.norm(points[:, None] - a - along[..., None] * (b - a), axis=2).min(1)


def gaps(scan: Scan, moved: np.ndarray, scale: float) -> np.ndarray:
    """How far the inner lips of a moved face are apart, mm, at its three inner landmarks, less what they are at rest."""
    upper, lower = MULTI_PIE[[61, 62, 63]], MULTI_PIE[[67, 66, 65]]
    return 1000 * ((moved[upper] - moved[lower])[:, 1] - (scan.neutral[upper] - scan.neutral[lower])[:, 1]) / scale


def measure(name: str, scan: Scan) -> str:
    head = load_head(0)
    landmarks = {place: scan.neutral[MULTI_PIE[number]] for place, number in PLACES.items()}
    found: Registration = carry_shapes(scan.neutral, scan.faces, landmarks)
    scale = found.scale
    off = {key: 1000 * away(found.laid[line], scan.curve(list(MARGINS[key]))).mean() / scale for key, line in our_margins(head).items()}
    names = list(head.blendshape_names)
    shut = []
    for jaw in (0.1, 0.2, 0.3):
        weights = np.zeros(52)
        weights[[names.index("jawOpen"), names.index("mouthClose")]] = jaw
        shut.append(gaps(scan, scan.neutral + np.tensordot(weights, found.deltas, 1), scale))
    errors = []
    for ours, theirs in SHAPES.items():
        real, carried = sum(scan.expressions[one] for one in theirs), found.deltas[names.index(ours)]
        on = np.linalg.norm(real, axis=1) > 5e-4 * scale
        best = (real * carried)[on].sum() / np.square(carried)[on].sum()  # shapes of two makers differ in strength
        errors.append(f"{ours} {np.linalg.norm(best * carried - real, axis=1)[on].mean() / np.linalg.norm(real, axis=1)[on].mean():.2f}")
    lips, lids = (np.mean([value for key, value in off.items() if part in key]) for part in ("lip", "lid,"))
    return (
        f"{name:10} skin {found.mean_mm:.2f} (p95 {found.p95_mm:.2f}); lip margins off by {lips:.2f}, lids by {lids:.2f}; shut lips open by "
        f"{np.abs(shut).mean():.2f}, at most {np.abs(shut).max():.2f}; {', '.join(errors)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", type=Path)
    for name, scan in faces(parser.parse_args().ict):
        print(measure(name, scan), flush=True)


if __name__ == "__main__":
    main()
