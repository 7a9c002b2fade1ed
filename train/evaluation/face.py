"""The surface on which motion is measured: the visible skin of the embedded average head."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from emoface import metrics
from emoface.head import Head, fit_blendshapes, load_head


class Face:
    """Vertex sets and readings of head 0. Motion is ``offsets`` (T, S, 3) in metres from the template."""

    def __init__(self, head: Head | None = None):
        self.head = head or load_head(0)
        self.skin = np.flatnonzero(self.head.mask("visible_skin"))
        """(n,) what errors are measured on: mouth bag and eye sockets are hidden and left out."""
        self.lips = np.flatnonzero(self.head.mask("lips"))
        self.eyes = np.flatnonzero(self.head.mask("eyes_upper"))
        """Eyelids, brows and forehead: EVE and FDD."""

    @cached_property
    def _shapes(self) -> np.ndarray:
        return self.head.blendshapes.reshape(len(self.head.blendshapes), -1)

    def offsets(self, weights: np.ndarray) -> np.ndarray:
        """(T, S, 3) of ARKit weights (T, 52): the training targets are linear in them."""
        return (np.asarray(weights, np.float32) @ self._shapes).reshape(len(weights), -1, 3)

    def aperture_mm(self, offsets: np.ndarray) -> np.ndarray:
        """(T,) lip aperture."""
        pairs = self.head.lip_pairs
        rest = self.head.template[None]
        return metrics.lip_aperture_mm(rest, pairs)[0] + metrics.lip_aperture_mm(offsets, pairs)

    def slit_mm(self, offsets: np.ndarray) -> np.ndarray:
        """(T,) largest opening anywhere along the lips, which touch in the template; 0 where all of them press."""
        upper, lower = self.head.lip_line.T
        return 1e3 * (offsets[:, upper, 1] - offsets[:, lower, 1]).max(axis=1).clip(0)

    def read_back(self, offsets: np.ndarray) -> np.ndarray:
        """(T, 52) ARKit weights read from the mesh."""
        return fit_blendshapes(offsets, head=self.head)

    def errors(self, offsets: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        """LVE, EVE (m2), FDD (m2), MVE, LVD (m) of one clip."""
        skin = self.skin
        p, v = offsets[:, skin], truth[:, skin]
        lips, eyes = np.searchsorted(skin, self.lips), np.searchsorted(skin, self.eyes)
        return {
            "lve": metrics.lve(p, v, lips),
            "eve": metrics.eve(p, v, eyes),
            "fdd": metrics.fdd(p, v, np.zeros((len(skin), 3)), eyes),
            "mve": metrics.mve(p, v),
            "lvd": metrics.lvd(p, v, lips),
        }

    def region_means(self, values: np.ndarray) -> dict[str, float]:
        """Mean over frames and vertices of (T, S) per visible region."""
        regions = self.head.regions[: self.head.skin_count]
        visible = self.head.mask("visible_skin")[: self.head.skin_count]
        mean = values.mean(axis=0)
        return {str(name): float(mean[regions == name].mean()) for name in np.unique(regions[visible])}
