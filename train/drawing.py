"""Which vertices a training step looks at, and what they need to be looked at together.

A step that drew vertices one by one would never see two neighbours, and nothing could tell it that the skin between them is torn. So
patches are drawn: a vertex by importance, and everything within two edges of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags, identity
from torch import Tensor

from emoface.neighbours import neighbour_mean

from .losses import LipPairs

RIDGE = 1e-4


@dataclass(frozen=True)
class Drawn:
    """N vertices of a step."""

    vertices: Tensor
    """(N,) indices, ascending."""
    pairs: LipPairs | None
    """Positions of the lip pairs among them."""
    corners: Tensor | None
    """(2,) positions of the lip corners."""
    smoothing: Tensor | None
    """(N, N) Mesh Attention's low-pass among them: ``weights @ smoothing.T``."""
    laplacian: Tensor | None
    """(N, N) a vertex minus its drawn neighbours' mean; 0 where none of them is drawn."""
    reading: Tensor | None
    """(K, 3N) least squares: offsets in metres -> weights of the shapes."""

    def to(self, device) -> Drawn:
        def move(value):
            return None if value is None else LipPairs(*(v.to(device) for v in value)) if isinstance(value, LipPairs) else value.to(device)

        return Drawn(**{name: move(value) for name, value in vars(self).items()})


class VertexSampler:
    """Draws vertices for every step; the same seed and step give the same ones.

    Args:
        faces: (F, 3) triangles.
        count: vertices of the mesh.
        sample: about how many to draw (None: all, every step).
        importance: (count,) how often each is a patch's centre. pairs, corners, fixed: vertices that are always among them.
        smoothing: steps of the attention weight's low-pass.
        basis: (K, S, 3) metres and visible (S,), to read shapes' weights with.
    """

    def __init__(
        self,
        faces: np.ndarray,
        count: int,
        *,
        sample: int | None,
        seed: int,
        importance: Tensor | None = None,
        pairs: LipPairs | None = None,
        corners: tuple[int, int] | None = None,
        fixed: np.ndarray | None = None,
        smoothing: int = 0,
        basis: Tensor | None = None,
        visible: np.ndarray | None = None,
    ):
        self.count, self.sample, self.seed, self.smoothing = count, sample, seed, smoothing
        self.importance = torch.ones(count) if importance is None else importance
        self.pairs, self.corners, self.basis = pairs, corners, basis
        self.visible = torch.ones(count, dtype=torch.bool) if visible is None else torch.from_numpy(np.array(visible))
        self._mean = neighbour_mean(np.asarray(faces), count)
        adjacent = (self._mean + identity(count, format="csr")) > 0
        self._near = (adjacent @ adjacent).tocsr()
        always = [np.asarray([] if fixed is None else fixed, np.int64), np.asarray(corners or [], np.int64)]
        if pairs is not None:
            always.append(pairs.all.flatten().numpy())
        self._always = np.unique(np.concatenate(always))

    def draw(self, step: int) -> Drawn:
        if self.sample is None:
            corners = None if self.corners is None else torch.tensor(self.corners)
            return Drawn(torch.arange(self.count), self.pairs, corners, None, None, None)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        chosen = self._always
        for centre in torch.multinomial(self.importance, self.sample, generator=generator).tolist():
            if len(chosen) - len(self._always) >= self.sample:
                break
            chosen = np.union1d(chosen, self._near.indices[self._near.indptr[centre] : self._near.indptr[centre + 1]])
        vertices = torch.from_numpy(chosen.astype(np.int64))
        return Drawn(
            vertices, self._found(self.pairs, vertices), self._found(self.corners, vertices), *self._operators(chosen), self._reading(vertices)
        )

    @staticmethod
    def _found(wanted, vertices: Tensor):
        """Positions among the vertices."""
        if wanted is None:
            return None
        if isinstance(wanted, LipPairs):
            return LipPairs(*(torch.searchsorted(vertices, part) for part in wanted))
        return torch.searchsorted(vertices, torch.tensor(wanted))

    def _operators(self, chosen: np.ndarray) -> tuple[Tensor | None, Tensor]:
        among: csr_matrix = self._mean[chosen][:, chosen]
        total = np.asarray(among.sum(1)).ravel()
        mean = diags(1 / np.maximum(total, 1e-12)) @ among
        some = (total > 0).astype(float)
        laplacian = torch.from_numpy((diags(some) - mean).toarray().astype(np.float32))
        if not self.smoothing:
            return None, laplacian
        once = (diags(1 - 0.5 * some) + 0.5 * mean).toarray()
        return torch.from_numpy(np.linalg.matrix_power(once, self.smoothing).astype(np.float32)), laplacian

    def _reading(self, vertices: Tensor) -> Tensor | None:
        if self.basis is None:
            return None
        shapes = (self.basis[:, vertices] * self.visible[vertices, None]).flatten(1)
        gram = shapes @ shapes.T
        gram = gram + RIDGE * gram.diagonal().clamp_min(gram.diagonal().mean() * 1e-2).diag()
        return torch.linalg.solve(gram, shapes)
