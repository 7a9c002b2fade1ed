"""Rings of the lips and lids, and the corrections that make them meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .topology import QuadMesh

# base.obj vertices: an edge of the ring where the lips touch, and of the left lid margin
LIP_CONTACT_EDGE = (520, 521)
LID_MARGIN_EDGE = (7747, 7748)
LIP_RING_COUNT = 7
_FADE = np.array([1.0, 0.75, 0.45, 0.2])  # of a correction on the contact ring, over the rings beside it


@dataclass(frozen=True)
class Opening:
    """A slit in the skin: its margin ring, and the rings outside and inside of it (same order, same length)."""

    outer: np.ndarray
    """(n, r) rings from the margin outwards; outer[0] is the margin."""
    inner: np.ndarray
    """(m, r) rings from the margin into the hidden pouch; inner[0] is the margin too."""
    upper: np.ndarray
    """Indices into the ring of the upper side, from -x to +x, corners included."""
    lower: np.ndarray
    hidden: np.ndarray
    """All vertices of the pouch behind the slit."""

    def gap(self, skin: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Vertical distance upper - lower margin (same unit as skin) at horizontal positions ``x``."""
        return self._side(skin, self.upper, x) - self._side(skin, self.lower, x)

    def middle(self, skin: np.ndarray, x: np.ndarray, axis: int = 1) -> np.ndarray:
        """Height (axis 1) or depth (axis 2) half way between the margins."""
        return (self._side(skin, self.upper, x, axis) + self._side(skin, self.lower, x, axis)) / 2

    def _side(self, skin: np.ndarray, side: np.ndarray, x: np.ndarray, axis: int = 1) -> np.ndarray:
        line = skin[self.outer[0][side]]
        line = line[np.argsort(line[:, 0])]
        return np.interp(x, line[:, 0], line[:, axis])

    def columns(self, skin: np.ndarray, count: int = 41, part: float = 0.9) -> np.ndarray:
        """``count`` horizontal positions across the inner ``part`` of the slit."""
        x = skin[self.outer[0], 0]
        middle, half = (x.max() + x.min()) / 2, (x.max() - x.min()) / 2
        return middle + half * part * np.linspace(-1, 1, count)

    def spread(self, skin: np.ndarray, margin_offsets: np.ndarray) -> np.ndarray:
        """Skin offsets (S, 3) that move the margin by ``margin_offsets`` (r, 3) and fade out over the rings beside."""
        out = np.zeros_like(skin)
        for rings in (self.outer, self.inner):
            for fade, ring in zip(_FADE, rings):
                out[ring] = fade * margin_offsets
        return out


def lip_opening(mesh: QuadMesh, index: np.ndarray, drop: np.ndarray) -> Opening:
    """The mouth. ``index`` maps base.obj to skin vertices; ``drop`` (S,) is how far jawOpen lowers each vertex."""
    margin = mesh.loop(*index[list(LIP_CONTACT_EDGE)])
    low = drop[margin] > 0.35 * drop[margin].max()
    start = next(i for i in range(len(margin)) if low[i] and not low[i - 1])
    margin = margin[start:] + margin[:start]  # lower lip first, corners are its two ends
    count = int(low.sum())
    lower = np.arange(count)
    upper = np.r_[count - 1 : len(margin), 0]
    return _opening(mesh, margin, upper, lower, rings=LIP_RING_COUNT, template_x=None)


def lid_opening(mesh: QuadMesh, index: np.ndarray, skin: np.ndarray, mirror: np.ndarray, side: str) -> Opening:
    """The slit of one eye; the person's left is +x."""
    margin = mesh.loop(*index[list(LID_MARGIN_EDGE)])
    if (skin[margin, 0].mean() > 0) != (side == "left"):
        margin = mirror[margin].tolist()
    start = int(np.argmin(skin[margin, 0]))
    margin = margin[start:] + margin[:start]
    end = int(np.argmax(skin[margin, 0]))
    a, b = np.arange(end + 1), np.r_[end : len(margin), 0]
    upper, lower = (a, b) if skin[np.array(margin)[a], 1].mean() > skin[np.array(margin)[b], 1].mean() else (b, a)
    return _opening(mesh, margin, upper, lower, rings=6, template_x=skin[:, 0])


def _opening(mesh, margin, upper, lower, *, rings, template_x) -> Opening:
    hidden = mesh.enclosed(margin)
    outer, inner = [margin], [margin]
    for _ in range(rings - 1):
        outer.append(mesh.next_ring(outer[-1], {*hidden, *np.ravel(outer)}))
    visible = set(range(int(mesh.quads.max()) + 1)) - set(hidden)
    for _ in range(3):
        inner.append(mesh.next_ring(inner[-1], {*visible, *np.ravel(inner)}))
    return Opening(np.array(outer), np.array(inner), upper, lower, hidden)


def seal_offsets(opening: Opening, skin: np.ndarray, *, overlap: float = 5e-5, depth: float = 0.0) -> np.ndarray:
    """Offsets (S, 3) that bring both lip margins to their middle line, overlapping by ``overlap`` metres.

    ``depth`` (0..1) does the same along z, so that full lips show no slit from above or below either.
    """
    margin = opening.outer[0]
    x = skin[margin, 0]
    sign = np.zeros(len(margin))
    sign[opening.upper], sign[opening.lower] = -1, 1  # the corners end up with the lower lip: no matter
    move = np.zeros((len(margin), 3))
    move[:, 1] = opening.middle(skin, x) + sign * overlap / 2 - skin[margin, 1]
    corner = np.clip((np.abs(x - x.mean()) / np.abs(x - x.mean()).max() - 0.8) / 0.15, 0, 1)
    move[:, 2] = depth * (1 - corner) * (opening.middle(skin, x, axis=2) - skin[margin, 2])
    return opening.spread(skin, move)


def close_offsets(opening: Opening, skin: np.ndarray, posed: np.ndarray, *, overlap: float = 1e-4) -> np.ndarray:
    """Offsets (S, 3), zero where ``posed`` lips overlap already, that close the slits left at other columns."""
    margin = opening.outer[0]
    open_by = np.clip(opening.gap(posed, posed[margin, 0]) + overlap, 0, None)
    inside = np.abs(posed[margin, 0]) < np.abs(posed[margin, 0]).max() - 1e-5
    sign = np.zeros(len(margin))
    sign[opening.upper], sign[opening.lower] = -0.5, 0.5
    move = np.zeros((len(margin), 3))
    move[:, 1] = sign * open_by * inside
    return opening.spread(skin, move)


def blink_scale(opening: Opening, skin: np.ndarray, blink: np.ndarray, *, overlap: float = 3e-4) -> np.ndarray:
    """(S,) factor for the deltas ``blink`` (S, 3) so that the lids just meet along the whole slit at weight 1.

    A smooth (quadratic) function of x: a single number would let the middle overlap by millimetres.
    """
    x = opening.columns(skin, 41, 0.94)
    rest = opening.gap(skin, x)
    travel = rest - opening.gap(skin + blink, x)
    needed = (rest + overlap) / np.maximum(travel, 1e-4)
    margin_x = skin[opening.outer[0], 0]
    middle, half = (margin_x.max() + margin_x.min()) / 2, (margin_x.max() - margin_x.min()) / 2
    curve = np.polynomial.Polynomial.fit((x - middle) / half, needed, 2, w=np.sqrt(np.maximum(rest, 0)), domain=[-1, 1])
    scale = curve(np.clip((skin[:, 0] - middle) / half, -1, 1))
    for _ in range(40):
        if opening.gap(skin + blink * scale[:, None], x).max() <= 0:
            return scale
        scale = scale * 1.01
    raise ValueError("the lids do not meet")
