"""Motion as a few shapes times curves: what GLB and USD animate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from .topology import arkit_weights, find_head

PCA_LIMIT = 64
PCA_TARGET_MM = 0.2


@dataclass(frozen=True)
class Basis:
    """``vertices[t] ~ template + weights[t] @ deltas``, with how far that is from the animation's own vertices."""

    names: tuple[str, ...]
    deltas: np.ndarray
    """(K, V, 3) float32 metres at weight 1."""
    weights: np.ndarray
    """(T, K) float32; ARKit in [0, 1], PCA in [-1, 1]."""
    mean_error_mm: float
    max_error_mm: float


def find_basis(animation: Animation, kind: str | Basis = "auto") -> Basis:
    """The 52 ARKit shapes ("arkit"), the clip's own principal components ("pca"), or "auto": ARKit if there are any.

    ARKit shapes are those other tools can drive; eyes turn along straight lines. Principal components follow the mesh
    itself more closely: as many as bring the largest error under 0.2 mm, at most 64. Errors are over the skin.
    """
    if isinstance(kind, Basis):
        return kind
    if kind not in ("auto", "arkit", "pca"):
        raise EmoFaceError(f"There is no basis {kind!r}; choose auto, arkit or pca.")
    head = None if kind == "pca" else find_head(animation.template, animation.faces)
    if kind == "arkit" and head is None:
        raise EmoFaceError("This mesh has no ARKit shapes; use the basis pca.")
    if head is None:
        return _principal_components(animation)
    deltas = head.pose(np.eye(len(head.blendshape_names), dtype=np.float32)) - head.template
    weights = arkit_weights(animation)
    return Basis(head.blendshape_names, deltas, weights, *_errors(animation, deltas, weights))


def rebuild(template: np.ndarray, basis: Basis, frames: slice = slice(None)) -> np.ndarray:
    """(T, V, 3) float32 vertices from the shapes and curves."""
    moved = basis.weights[frames] @ basis.deltas.reshape(len(basis.deltas), -1)
    moved = moved.reshape(-1, *template.shape)
    moved += template
    return moved.astype(np.float32, copy=False)


def _errors(animation: Animation, deltas: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    basis, count, total, largest = Basis((), deltas, weights, 0, 0), animation.skin_count, 0.0, 0.0
    for start in range(0, len(weights), 64):
        part = slice(start, start + 64)
        away = np.linalg.norm((rebuild(animation.template, basis, part) - animation.vertices[part])[:, :count], axis=2)
        total, largest = total + float(away.sum()), max(largest, float(away.max()))
    return 1000 * total / (len(weights) * count), 1000 * largest


def _principal_components(animation: Animation) -> Basis:
    frames = animation.frame_count
    offsets = (animation.vertices - animation.template).reshape(frames, -1).astype(np.float32)
    some = offsets[:: max(1, frames // 500)]  # enough to find the shapes; every frame is then projected on them
    _, values, shapes = np.linalg.svd(some, full_matrices=False)
    found = max(1, min(PCA_LIMIT, int((values > 1e-5 * values[0]).sum())))
    shapes = shapes[:found]
    weights = offsets @ shapes.T
    # Weights of a longest curve of 1 keep the normals of the shapes meaningful.
    reach = np.maximum(np.abs(weights).max(0), 1e-9)
    deltas, weights = (shapes * reach[:, None]).reshape(found, -1, 3).astype(np.float32), weights / reach
    count = found
    for candidate in (4, 8, 12, 16, 20, 24, 32, 40, 48):
        if candidate < found and _errors(animation, deltas[:candidate], weights[:, :candidate])[1] < PCA_TARGET_MM:
            count = candidate
            break
    deltas, weights = deltas[:count], np.ascontiguousarray(weights[:, :count], np.float32)
    names = tuple(f"component{number + 1:02d}" for number in range(count))
    return Basis(names, deltas, weights, *_errors(animation, deltas, weights))
