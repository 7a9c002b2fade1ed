"""The embedded head: template, 52 ARKit blendshapes, 24 identities, named regions, eyes, teeth and tongue.

Vertices are ordered skin first (``skin_count`` = 4326, the same in every identity), then the parts. Metres, y up, +z
forward. Only numpy is needed. The asset is built by ``train/head/build.py`` from MakeHuman's CC0 data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np

from . import metrics
from .contact import EXPONENT, FOLLOW, RING_FADE, DentalArch, MouthContact
from .errors import EmoFaceError
from .neighbours import neighbour_mean
from .resources import ASSETS

HEAD_COUNT = 24
ASSET = ASSETS / "head" / "head.npz"

MASK_GROUPS: dict[str, tuple[str, ...]] = {
    "lips": ("lips_upper", "lips_lower"),
    "mouth": ("lips_upper", "lips_lower", "mouth_ring"),
    "eyelids": ("eyelid_left", "eyelid_right"),
    "brows": ("brow_left", "brow_right"),
    "cheeks": ("cheek_left", "cheek_right"),
    "ears": ("ear_left", "ear_right"),
    "eye_socket": ("eye_socket_left", "eye_socket_right"),
    "eyes_upper": ("eyelid_left", "eyelid_right", "brow_left", "brow_right", "forehead"),
    "eyes": ("eye_left", "eye_right"),
    "teeth": ("teeth_upper", "teeth_lower"),
}
"""Names of several regions at once; ``visible_skin``, ``skin`` and ``parts`` are known too."""

LIP_CORNER_RING = 6
"""Of ``lip_rings``: MediaPipe's corners 61 and 291 lie on the outer edge of the red of the lips."""

OPPOSED = (("mouthLeft", "mouthRight"), ("jawLeft", "jawRight"), ("mouthSmileLeft", "mouthFrownLeft"), ("mouthSmileRight", "mouthFrownRight"))
"""Shapes that undo each other: at most one of a pair is above 0, or an animator could not edit the curves."""
_LIP_WEIGHT, _CLOSURE_WEIGHT = 5, 300
"""Of ``fit_blendshapes``, against 1 for other skin. Without them the curves of the shipped model's clips open shut lips by .5 to 1 mm."""

_HIDDEN = ("mouth_cavity", "eye_socket_left", "eye_socket_right")
_SIDES = ("Left", "Right")


@dataclass(frozen=True, eq=False)
class Head:
    """One identity of the embedded topology."""

    index: int
    name: str
    template: np.ndarray
    """(V, 3) float32 metres, at rest, skin first."""
    faces: np.ndarray
    """(F, 3) int32, counter-clockwise from outside."""
    skin_count: int
    regions: np.ndarray
    """(V,) region name of every vertex."""
    colors: np.ndarray
    """(V, 3) uint8 sRGB."""
    blendshape_names: tuple[str, ...]
    blendshapes: np.ndarray
    """(52, S, 3) float32 metres: skin deltas at weight 1; eyeBlink is fitted so that 1 closes this head's lids."""
    part_blendshapes: np.ndarray = field(repr=False)
    """(52, P, 3) float32 metres for the P vertices of eyes, teeth and tongue, which come right after the skin: lower
    teeth, gums and tongue follow the jaw, tongueOut moves the tongue."""
    riding_triangles: np.ndarray = field(repr=False)
    """(V - S - P, 3) skin triangle under every vertex of the parts that ride on the skin: brows, lashes, neck floor."""
    riding_coordinates: np.ndarray = field(repr=False)
    """(V - S - P, 3) position over that triangle: shares of its two edges, and metres along its normal."""
    eye_centers: np.ndarray
    """(2, 3) metres, left then right (the person's left, +x)."""
    eye_angles: np.ndarray = field(repr=False)
    """(52, 2, 2) radians (pitch down, yaw towards +x) of each eye at weight 1."""
    lip_pairs: np.ndarray
    """(P, 2) upper and lower vertices of the central third of the inner lip ring."""
    lip_rings: np.ndarray = field(repr=False)
    """(7, 38) vertex rings of the lips, from the contact line outwards."""
    lid_pairs: np.ndarray = field(repr=False)
    """(2, P, 2) upper and lower vertices of the lid margins, left then right."""
    boundary: np.ndarray = field(repr=False)
    """(42,) open edge of the neck, an ordered loop."""
    mirror: np.ndarray = field(repr=False)
    """(S,) the skin vertex on the other side."""
    contact: MouthContact = field(repr=False)
    """What touches what in the mouth."""

    @property
    def skin_template(self) -> np.ndarray:
        return self.template[: self.skin_count]

    @property
    def skin_faces(self) -> np.ndarray:
        """(f, 3) triangles of the skin alone."""
        return self.faces[(self.faces < self.skin_count).all(1)]

    @property
    def lip_corners(self) -> tuple[int, int]:
        """Skin vertices where the outer lips end, the person's right (-x) and left: the mouth's width is their distance."""
        ring = self.lip_rings[LIP_CORNER_RING].astype(np.int64)
        x = self.template[ring, 0]
        return int(ring[x.argmin()]), int(ring[x.argmax()])

    @property
    def lip_line(self) -> np.ndarray:
        """(Q, 2) vertices that touch from corner to corner: each of the upper lip's with the lower one nearest in x."""
        ring = self.lip_rings[0].astype(np.int64)
        lower, x = self.regions[ring] == "lips_lower", self.template[ring, 0]
        nearest = np.abs(x[lower][None] - x[~lower][:, None]).argmin(1)
        return np.stack([ring[~lower], ring[lower][nearest]], 1)

    def mask(self, name: str) -> np.ndarray:
        """(V,) bool: a region, a group of ``MASK_GROUPS``, ``skin``, ``parts`` or ``visible_skin``.

        ``visible_skin`` leaves out the mouth bag and the eye sockets, which no metric may count.
        """
        skin = np.arange(len(self.regions)) < self.skin_count
        if name == "skin":
            return skin
        if name == "parts":
            return ~skin
        if name == "visible_skin":
            return skin & ~np.isin(self.regions, _HIDDEN)
        names = MASK_GROUPS.get(name, (name,))
        found = np.isin(self.regions, names)
        if not found.any():
            known = sorted({*map(str, self.regions), *MASK_GROUPS, "skin", "parts", "visible_skin"})
            raise EmoFaceError(f"The head has no region named {name!r}; choose one of {', '.join(known)}.")
        return found

    def pose(self, weights: np.ndarray, skin: np.ndarray | None = None) -> np.ndarray:
        """Vertices (T, V, 3) float32 for ARKit weights (T, 52).

        ``skin`` (T, S, 3) replaces the blendshape skin, e.g. by the network's; the parts follow the weights anyway:
        lower teeth and tongue the jaw, ``tongueOut`` the tongue, ``eyeLook*`` turn the eyes rigidly.
        """
        weights = self._checked_weights(weights)
        frames, count = len(weights), self.skin_count
        vertices = np.empty((frames, len(self.template), 3), np.float32)
        if skin is None:
            moved = weights @ self.blendshapes.reshape(len(weights[0]), -1)
            vertices[:, :count] = self.template[:count] + moved.reshape(frames, count, 3)
        elif np.shape(skin) != (frames, count, 3):
            raise EmoFaceError(f"The skin has shape {np.shape(skin)}; this head needs {(frames, count, 3)}.")
        else:
            vertices[:, :count] = skin
        self._place_parts(vertices, weights)
        return vertices

    def assemble(self, skin_offsets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Vertices (T, V, 3) from the network's skin offsets (T, S, 3) and the weights (T, 52) read from them.

        The network's offsets are those of head 0. Where this head's shapes differ (lids that travel farther to
        close), the difference is added by weight, so closed eyes are closed on every head. Lips that would pass through each
        other or through the teeth are parted (``emoface.contact``).
        """
        weights = self._checked_weights(weights)
        skin = self.skin_template + np.asarray(skin_offsets, np.float32)
        if self.index:
            skin = skin + self._correction(weights)
        return self.pose(weights, self.contact.resolve(skin, weights))

    def _correction(self, weights: np.ndarray) -> np.ndarray:
        base = load_head(0).blendshapes
        rows = np.flatnonzero([not np.array_equal(a, b) for a, b in zip(self.blendshapes, base)])
        extra = weights[:, rows] @ (self.blendshapes[rows] - base[rows]).reshape(len(rows), -1)
        return extra.reshape(len(weights), self.skin_count, 3)

    def _place_parts(self, vertices: np.ndarray, weights: np.ndarray) -> None:
        """Fill in the parts of ``vertices`` (T, V, 3), whose skin is there already."""
        first, last = self.skin_count, self.skin_count + self.part_blendshapes.shape[1]
        own = vertices[:, first:last]
        moving = np.flatnonzero(self.part_blendshapes.any(axis=(1, 2)))
        deltas = self.part_blendshapes[moving].reshape(len(moving), -1)
        own[:] = self.template[first:last] + (weights[:, moving] @ deltas).reshape(own.shape)
        angles = np.tensordot(weights, self.eye_angles, axes=(1, 0))
        for side, center in enumerate(self.eye_centers):
            eye = self._eye_slices[side]
            rest = self.template[eye] - center
            vertices[:, eye] = rest @ _rotations(angles[:, side]).transpose(0, 2, 1) + center
        vertices[:, last:] = _ride(vertices, self.riding_triangles, self.riding_coordinates)

    @property
    def _eye_slices(self) -> tuple[slice, slice]:
        found = (np.flatnonzero(self.regions == f"eye_{side}") for side in ("left", "right"))
        left, right = (slice(int(i[0]), int(i[-1]) + 1) for i in found)
        return left, right

    def _checked_weights(self, weights: np.ndarray) -> np.ndarray:
        weights = np.asarray(weights, np.float32)
        if weights.ndim != 2 or weights.shape[1] != len(self.blendshape_names):
            raise EmoFaceError(f"Blendshape weights have shape {weights.shape}; the head needs (frames, 52).")
        return weights


def _ride(vertices: np.ndarray, triangles: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """(T, n, 3) points that ride on triangles (n, 3) of ``vertices`` (T, V, 3)."""
    corner = vertices[:, triangles[:, 0]]
    first = vertices[:, triangles[:, 1]] - corner
    second = vertices[:, triangles[:, 2]] - corner
    normal = np.cross(first, second)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    a, b, c = coordinates.T[:, :, None]
    return corner + a * first + b * second + c * normal


def _rotations(angles: np.ndarray) -> np.ndarray:
    """(T, 3, 3) float32 rotations from pitch (down) and yaw (towards +x), (T, 2) radians."""
    (sp, sy), (cp, cy) = np.sin(angles).T, np.cos(angles).T
    zero = np.zeros_like(sp)
    # yaw about y after pitch about x
    rows = [[cy, sp * sy, cp * sy], [zero, cp, -sp], [-sy, sp * cy, cp * cy]]
    return np.array(rows, np.float32).transpose(2, 0, 1)


@lru_cache(maxsize=1)
def _asset() -> dict[str, np.ndarray]:
    if not ASSET.exists():
        raise EmoFaceError(f"The head asset {ASSET.name} is missing; build it with `python -m train.head.build`.")
    with np.load(ASSET, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@lru_cache(maxsize=HEAD_COUNT)
def load_head(index: int = 0) -> Head:
    """Head ``index``: 0 is the average head the network is trained on, 1..23 are other people. Cached, read-only."""
    if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or not 0 <= index < HEAD_COUNT:
        raise EmoFaceError(f"There is no head {index!r}; choose a whole number from 0 to {HEAD_COUNT - 1}.")
    a = _asset()
    skin = a["skin"] + a["identity_offsets_mm"][index] * np.float32(1e-3)
    shapes = np.zeros((len(a["blendshape_names"]), len(skin), 3), np.float32)
    shapes.reshape(-1)[a["blendshape_entries"]] = a["blendshape_mm"] * np.float32(1e-3)
    names = tuple(map(str, a["blendshape_names"]))
    for side, name in enumerate(_SIDES):
        shapes[names.index(f"eyeBlink{name}")] *= a["blink_scale"][index, side, :, None].astype(np.float32)
    own = a["parts"][index]
    part_shapes = np.zeros((len(shapes), len(own), 3), np.float32)
    part_shapes.reshape(-1)[a["part_blendshape_entries"]] = a["part_blendshape_mm"] * np.float32(1e-3)
    on, at = a["riding_triangles"].astype(np.int64), a["riding_coordinates"]
    contact = _mouth_contact(a, index, np.concatenate([skin, own]).astype(np.float32), part_shapes)
    skin = _lining_before_the_teeth(skin, contact, a["region_names"][a["regions"]][: len(skin)] == "mouth_cavity")
    head = Head(
        index=int(index),
        name=str(a["names"][index]),
        template=np.concatenate([skin, own, _ride(skin[None], on, at)[0]]).astype(np.float32),
        faces=a["faces"].astype(np.int32),
        skin_count=len(skin),
        regions=a["region_names"][a["regions"]],
        colors=a["colors"][index],
        blendshape_names=names,
        blendshapes=shapes,
        part_blendshapes=part_shapes,
        riding_triangles=on,
        riding_coordinates=at,
        eye_centers=a["eye_centers"][index],
        eye_angles=a["eye_angles"],
        lip_pairs=a["lip_pairs"].astype(np.int64),
        lip_rings=a["lip_rings"].astype(np.int64),
        lid_pairs=a["lid_pairs"].astype(np.int64),
        boundary=a["boundary"].astype(np.int64),
        mirror=a["mirror"].astype(np.int64),
        contact=contact,
    )
    for value in vars(head).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return head


def _mouth_contact(a: dict[str, np.ndarray], index: int, template: np.ndarray, part_shapes: np.ndarray) -> MouthContact:
    """The mouth of one head from the asset ``a``; ``template`` is its skin and own parts."""
    upper, lower = (
        DentalArch(middle=float(middle), front=float(front), curve=float(curve), edge=float(edge), roots=roots)
        for (middle, front, curve, edge), roots in zip(a["dental_arches"][index], (1, -1))
    )
    regions = a["region_names"][a["regions"]][: len(template)]
    teeth, count = np.flatnonzero(regions == "teeth_lower"), len(a["skin"])
    at = np.column_stack([np.ones(len(teeth)), template[teeth]])
    jaw = np.array([np.linalg.lstsq(at, d[teeth - count], rcond=None)[0] for d in part_shapes])
    outer, lining = a["lip_rings"].astype(np.int64), a["lip_lining"].astype(np.int64)
    line, skin = outer[0], template[:count]
    in_front = np.zeros(count, bool)
    for arch in (upper, lower):
        in_front |= skin[:, 2] > arch.front - arch.curve * np.abs(skin[:, 0] - arch.middle) ** EXPONENT - 6e-3
    flesh = np.isin(regions[:count], MASK_GROUPS["lips"]) | ((regions[:count] == "mouth_cavity") & in_front)
    is_lower = regions[line] == "lips_lower"
    return MouthContact(
        upper=upper,
        lower=lower,
        jaw_motion=jaw.astype(np.float32),
        flesh=np.flatnonzero(flesh),
        rings=outer[: len(RING_FADE)],
        lining=lining,
        upper_lip=np.flatnonzero(~is_lower),
        lower_lip=np.flatnonzero(is_lower),
        **_followers(a, flesh, outer, lining),
    )


def _lining_before_the_teeth(skin: np.ndarray, contact: MouthContact, lining: np.ndarray) -> np.ndarray:
    """The resting skin (S, 3) with the inside of the mouth where the teeth let it be: it must not spring there when the face moves."""
    skin, still = skin.astype(np.float32), np.zeros((1, len(contact.jaw_motion)), np.float32)
    for _ in range(3):
        skin[lining] = contact.resolve(skin[None], still)[0][lining]
    return skin


def _followers(a: dict[str, np.ndarray], flesh: np.ndarray, outer: np.ndarray, lining: np.ndarray) -> dict:
    """The vertices beside those that touch, and their neighbourhoods."""
    count = len(a["skin"])
    faces = a["faces"][(a["faces"] < count).all(1)]
    mean = neighbour_mean(faces, count)
    near = np.zeros(count)
    near[np.concatenate([np.flatnonzero(flesh), outer[: len(RING_FADE)].ravel(), lining.ravel()])] = 1
    for _ in range(FOLLOW):
        near = np.maximum(near, mean @ near)
    chosen = np.flatnonzero(near)
    among = mean[chosen][:, chosen]
    return dict(near=chosen, mean=among)  # a neighbour that is not among them is not pushed: it counts as 0


def lip_aperture_mm(skin: np.ndarray, head: Head) -> np.ndarray:
    """Lip aperture (T,) in mm of skin or whole-head vertices (T, S or V, 3): mean vertical gap between the upper and
    lower vertices of the central third of the inner lip ring (``head.lip_pairs``); negative where lips press."""
    return metrics.lip_aperture_mm(skin, head.lip_pairs)


@lru_cache(maxsize=HEAD_COUNT)
def _fit_basis(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the fit needs of a head: numbers of the K shapes that skin can show, their lengths (K,), ``M B^T`` (3S, K) and ``B M B^T`` (K, K).

    ``B`` are the shapes' deltas, zero where hidden, and ``M`` weighs the coordinates: lips more than skin, and the height of the gap
    between the lips most. Lengths are measured with ``M``, and shapes have length 1.
    """
    head = load_head(index)
    # Gaze barely moves the skin and its opposite directions cancel; the tongue is not skin at all.
    used = [i for i, n in enumerate(head.blendshape_names) if not n.startswith("eyeLook") and n != "tongueOut"]
    visible = head.mask("visible_skin")[: head.skin_count]
    basis = head.blendshapes[used] * visible[:, None]
    weighed = basis.copy()
    weighed[:, head.mask("lips")[: head.skin_count]] *= _LIP_WEIGHT
    upper, lower = head.lip_line.T
    gap = np.float32(_CLOSURE_WEIGHT) * (basis[:, upper, 1] - basis[:, lower, 1])
    shapes = np.arange(len(used))[:, None]
    np.add.at(weighed[..., 1], (shapes, upper), gap)  # a vertex may belong to two pairs
    np.subtract.at(weighed[..., 1], (shapes, lower), gap)
    basis, weighed = basis.reshape(len(used), -1), weighed.reshape(len(used), -1)
    gram = basis @ weighed.T
    length = np.sqrt(np.diagonal(gram))
    return np.array(used), length, np.ascontiguousarray((weighed / length[:, None]).T), gram / np.outer(length, length)


@cache
def _steepest(index: int) -> float:
    """Largest eigenvalue of a head's ``B M B^T``."""
    return float(np.linalg.eigvalsh(_fit_basis(index)[3])[-1])


def fit_blendshapes(
    offsets: np.ndarray,
    *,
    head: Head,
    iterations: int = 250,
    ridge: float = 1e-5,
    smoothness: float = 2e-4,
) -> np.ndarray:
    """ARKit weights (T, 52) in [0, 1] whose shapes rebuild the skin offsets (T, S, 3) best, and shut the lips where the skin does.

    Minimises ``|W B - Y|^2 + ridge |W|^2 + smoothness |W[t+1] - W[t]|^2`` over all frames at once by FISTA with a box
    constraint (Beck & Teboulle 2009) and restarts (O'Donoghue & Candes 2015), on unit-length shapes and the visible
    skin only; lips count five times, and the height of the gap between them 300 times, so that p, b and m close. The temporal term
    is symmetric in time, so it adds no lag. Of two opposed shapes (``OPPOSED``) the weaker is 0: the second half of the iterations runs
    without it. ``eyeLook*`` and ``tongueOut`` cannot be read from skin and stay 0.
    """
    offsets = np.asarray(offsets, np.float32)
    if offsets.ndim != 3 or offsets.shape[1:] != (head.skin_count, 3):
        raise EmoFaceError(f"Skin offsets have shape {offsets.shape}; the head needs (frames, {head.skin_count}, 3).")
    frames = len(offsets)
    used, length, reading, gram = _fit_basis(head.index)
    weights = np.zeros((frames, len(head.blendshape_names)), np.float32)
    if not frames:
        return weights
    gram = (gram + ridge * np.eye(len(used))).astype(np.float32)
    step = np.float32(1 / (_steepest(head.index) + ridge + 4 * smoothness))
    data = offsets.reshape(frames, -1) @ reading
    most = np.broadcast_to(length, (frames, len(used))).copy()
    first = _fista(np.zeros_like(data), gram, data, most, step=step, smoothness=smoothness, iterations=iterations // 2)
    place = {head.blendshape_names[number]: column for column, number in enumerate(used)}
    for name, opposite in OPPOSED:
        one, other = place[name], place[opposite]
        weaker = first[:, one] / length[one] < first[:, other] / length[other]
        most[weaker, one] = most[~weaker, other] = 0
    found = _fista(np.minimum(first, most), gram, data, most, step=step, smoothness=smoothness, iterations=iterations - iterations // 2)
    weights[:, used] = found / length
    return weights


def _fista(
    start: np.ndarray, gram: np.ndarray, data: np.ndarray, most: np.ndarray, *, step: np.float32, smoothness: float, iterations: int
) -> np.ndarray:
    """(T, K) minimum of ``x gram x / 2 - data x`` and the temporal term over 0 <= x <= most, from ``start``."""
    stay, pull, tie = np.eye(len(gram), dtype=np.float32) - step * gram, step * data, step * np.float32(smoothness)
    x, y, new, change, uphill = (start.copy() for _ in range(5))
    jump, momentum = np.empty_like(start[1:]), 1.0
    for _ in range(iterations):  # everything in place: a stream fits two or three frames at a time, and pays for every call
        np.matmul(y, stay, out=new)
        new += pull
        if smoothness:
            np.subtract(y[1:], y[:-1], out=jump)
            jump *= tie
            new[:-1] += jump
            new[1:] -= jump
        np.maximum(new, 0, out=new)
        np.minimum(new, most, out=new)
        np.subtract(new, x, out=change)
        np.subtract(y, new, out=uphill)
        if np.vdot(uphill, change) > 0:  # the momentum points uphill: start it afresh
            momentum = 1.0
        ahead = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        change *= np.float32((momentum - 1) / ahead)
        np.add(new, change, out=y)
        x, new, momentum = new, x, ahead
    return x
