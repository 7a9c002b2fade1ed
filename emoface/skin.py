"""Whole skin: no vertex of a shown face stands out from its neighbours by more than a bound.

The two branches disagree by millimetres around the mouth, so their blend can leave a vertex behind, mostly inside the mouth. An expression
may fold the skin as sharply as it likes: bounded is only what the ARKit shapes that are read from the face leave over.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_matrix, identity

from .head import Head, load_head
from .neighbours import neighbour_mean

LIMIT = 7e-4
"""Metres. Parting the lips afterwards (``emoface.contact``) adds a tenth of a millimetre, and .3 mm in one frame of 19,440."""
_TORN = ("lips_upper", "lips_lower", "mouth_ring", "mouth_cavity")  # elsewhere the branches agree
_BLOCK = 256  # frames at once: long answers need no second copy of themselves
_ROUNDS = 8  # moving a vertex moves its neighbours' mean


class SkinBound:
    """Bounds how far a vertex deviates from its neighbours' mean, in the skin of one head."""

    def __init__(self, head: Head, *, limit: float = LIMIT):
        count = head.skin_count
        self.near = np.flatnonzero(np.isin(head.regions[:count], _TORN))
        """(n,) the vertices that are bounded."""
        deviation = (identity(count) - neighbour_mean(head.skin_faces, count))[self.near].tocsc()
        self._around = np.flatnonzero(deviation.getnnz(axis=0))
        self._deviation = csr_matrix(deviation[:, self._around], dtype=np.float32)
        self._shapes = np.stack([self._deviation @ shape[self._around] for shape in head.blendshapes]).reshape(len(head.blendshapes), -1)
        self._limit = limit

    def standing_out(self, offsets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(n, T, 3) of :attr:`near`: deviation from the neighbours' mean, of what the shapes leave over of ``offsets`` (T, S, 3)."""
        around = np.ascontiguousarray(offsets[:, self._around].transpose(1, 0, 2))
        shown = (self._deviation @ around.reshape(len(around), -1)).reshape(len(self.near), -1, 3)
        return shown - (weights @ self._shapes).reshape(len(offsets), -1, 3).transpose(1, 0, 2)

    def __call__(self, offsets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Bounds skin offsets (T, S, 3), metres, in place and returns them; ``weights`` (T, 52) are those read from them."""
        for start in range(0, len(offsets), _BLOCK):
            part = slice(start, start + _BLOCK)
            self._bound(offsets[part], weights[part])
        return offsets

    def _bound(self, offsets: np.ndarray, weights: np.ndarray) -> None:
        torn = np.arange(len(offsets))
        for _ in range(_ROUNDS):
            out = self.standing_out(offsets[torn], weights[torn])
            distance = np.sqrt((out * out).sum(axis=-1, keepdims=True))
            still = (distance > self._limit).any(axis=(0, 2))
            if not still.any():
                return
            torn, out, distance = torn[still], out[:, still], distance[:, still]
            back = out * np.maximum(1 - self._limit / np.maximum(distance, 1e-9), 0)
            offsets[torn[:, None], self.near] -= back.transpose(1, 0, 2)


@lru_cache(maxsize=1)
def skin_bound() -> SkinBound:
    """That of the head whose motion the embedded models learn."""
    return SkinBound(load_head(0))
