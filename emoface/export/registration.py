"""Our head laid over somebody else's, so that its shapes can be carried over to a mesh of another topology.

Ten landmarks, which a person gives, place the face (a similarity, then a linear spline that goes nowhere far away from them): nearness alone lets a mouth slide to a chin. The margins of the
lips are looked for between them (:mod:`.lip_margin`). Then the skin is drawn to the
nearest places of the other mesh while the displacement stays smooth (Laplacian non-rigid ICP, stiffness falling step by step). Shapes travel with the skin: every vertex of the
other mesh takes the motion of the place of our skin that lies nearest and faces the same way, turned and scaled as the whole head was. Blinks are made as large as each eye needs. (Turned place by place, as the skin was, they are
farther from the shapes of three embedded people. That says little of most shapes, which these people share with our head by their making; but blinks are their own, and came nearer, too.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.interpolate import RBFInterpolator
from scipy.sparse.linalg import factorized
from scipy.spatial import cKDTree

from ..errors import EmoFaceError
from ..head import Head, load_head
from ..neighbours import neighbour_mean
from .lip_margin import front_depth, lip_margin
from .shading import vertex_normals

LANDMARKS = (
    "eye_left_outer",
    "eye_left_inner",
    "eye_right_inner",
    "eye_right_outer",
    "nose_tip",
    "mouth_left",
    "mouth_right",
    "upper_lip",
    "lower_lip",
    "chin",
)
"""The person's left and right; upper_lip and lower_lip where the closed lips meet in the middle."""
STIFFNESS = (30.0, 10.0, 3.0, 1.0, 0.3)
MOST_MM = 3.0
"""Mean distance of the face from the mesh, on a head of our size, above which the mesh is taken for no head."""
_REACH = 0.015
"""Metres on our head from which a vertex follows nothing (hair, clothes)."""
_FACING = 0.01
"""Metres that opposite normals count in the search for the nearest place: the two lips touch, but face each other."""
_LIPS = 0.86
"""Of the way from the middle of the mouth to a corner: how much of the lips' margins is looked for."""
_ROUND_LIPS = 0.01
"""Metres round the margins that follow them whole; twice as far nothing does."""
_PINNED = 3.0
"""How much a vertex of a margin counts beside one that is drawn to the nearest place."""
_STANDS_OUT, _ROUNDS = 0.0025, 20
"""Metres by which a vertex may go another way than its neighbours when the jaw opens; how often those that do are mended."""
_BLINKS = np.arange(0.5, 2.01, 0.05)
"""How much of our blink another eye may need, in steps."""
_ROUND_LIDS, _BEHIND_LIDS, _SEEN = 0.002, 0.002, 0.002
"""Metres round the lids that are looked at, and behind their margins from which one sees into the eye; the share of the open eye that may be left."""
_INSIDE = ("eye_socket_left", "eye_socket_right")
_DRAWN_WITHIN = 0.02
"""Metres within which our skin is drawn to the other mesh."""
_FACE = (
    "lips_upper",
    "lips_lower",
    "mouth_ring",
    "nose",
    "cheek_left",
    "cheek_right",
    "chin",
    "forehead",
    "eyelid_left",
    "eyelid_right",
    "brow_left",
    "brow_right",
    "jaw",
)


@dataclass(frozen=True)
class Registration:
    """``deltas`` (52, V, 3) in the other mesh's units and axes, and how well our face fits, millimetres on a head of our size."""

    deltas: np.ndarray
    mean_mm: float
    p95_mm: float
    still: float
    """Share of the mesh's vertices that no shape moves."""
    laid: np.ndarray
    """(S, 3) our skin where it lies on the other mesh, in its units and axes."""
    scale: float
    """The mesh's units in a metre of our head."""


def carry_shapes(vertices: np.ndarray, faces: np.ndarray, landmarks: Mapping[str, np.ndarray]) -> Registration:
    """The 52 ARKit shapes on a head mesh (V, 3), (F, 3) of any topology, units and axes, with the places (3,) of all ``LANDMARKS`` on it.

    Raises EmoFaceError where landmarks are missing or no face lies at them.
    """
    head = load_head(0)
    if missing := [name for name in LANDMARKS if name not in landmarks]:
        raise EmoFaceError(f"The landmarks lack {', '.join(missing)}: give all of {', '.join(LANDMARKS)}.")
    marks = our_landmarks(head)
    theirs, own = (np.array([one[name] for name in LANDMARKS], float) for one in (landmarks, marks))
    scale, rotation, shift = _similarity(own, theirs)
    beside = lambda points: (np.asarray(points, float) - shift) @ rotation / scale  # beside our head, in metres
    ours, goal = beside(vertices), dict(zip(LANDMARKS, beside(theirs)))
    pins, wanted = _lips(head, marks, ours, faces, goal)
    skin = head.skin_template.astype(float)
    # The two lips touch: as places of their own they would bend a spline far away from them, by how far they are apart on one head and not on the other.
    known, there = (np.concatenate([points[:-3], points[[-3, -2]].mean(0, keepdims=True), points[-1:]]) for points in (own, beside(theirs)))
    warped = skin + RBFInterpolator(known, there - known, kernel="linear", degree=0)(skin)
    # Their margins count for the mouth alone.
    fade = np.clip(2 - cKDTree(warped[pins]).query(warped)[0] / _ROUND_LIPS, 0, 1)
    warped += fade[:, None] * RBFInterpolator(warped[pins], wanted - warped[pins], kernel="linear", smoothing=1e-6)(warped)
    spots, normals = _surface(ours, faces)
    laid = _draw(head, warped, spots, normals, pins, wanted)
    face = np.isin(head.regions[: head.skin_count], _FACE)
    away = 1000 * cKDTree(spots).query(laid[face])[0]
    if away.mean() > MOST_MM:
        raise EmoFaceError(
            f"No face like ours was found in this mesh (it is {away.mean():.1f} mm away on average): give one closed head, upright, with ears, eyes and mouth modelled."
        )
    deltas, inside, still = _carried(head, laid, ours, vertex_normals(ours.astype(np.float32), faces), faces)
    lids = faces[~inside[faces].any(1)]
    for margins, name in zip(head.lid_pairs, ("eyeBlinkLeft", "eyeBlinkRight")):
        blink = deltas[head.blendshape_names.index(name)]
        blink *= _blink(ours, lids, laid[np.unique(margins)], blink)
    return Registration(
        (scale * deltas @ rotation.T).astype(np.float32),
        float(away.mean()),
        float(np.percentile(away, 95)),
        still,
        scale * laid @ rotation.T + shift,
        scale,
    )


def _lips(head: Head, marks: Mapping, mesh: np.ndarray, faces: np.ndarray, goal: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n,) of our lips' margins, and where they belong (n, 3) on the mesh beside our head."""
    half = marks["mouth_left"][0]
    lines, wanted = [], []
    for side in (0, 1):
        line = np.unique(head.lip_line[:, side])
        x = np.abs(head.skin_template[line, 0]) / half
        line = line[x < _LIPS]
        shares = (head.skin_template[line, 0] / half + 1) / 2
        own, there = (
            lip_margin(
                points, triangles, right=at["mouth_right"], left=at["mouth_left"], upper=at["upper_lip"], lower=at["lower_lip"], shares=shares
            )[side]
            for points, triangles, at in ((head.skin_template.astype(float), head.skin_faces, marks), (mesh, faces, goal))
        )
        lines.append(line)
        wanted.append(there + head.skin_template[line] - own)
    return np.concatenate(lines), np.concatenate(wanted)


def _surface(vertices: np.ndarray, faces: np.ndarray, most: int = 80000) -> tuple[np.ndarray, np.ndarray]:
    """Points spread over the triangles, (n, 3), and the triangles' normals there."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    chance = area / area.sum()
    rng = np.random.default_rng(0)
    chosen = np.concatenate([np.arange(len(faces)), rng.choice(len(faces), max(most - len(faces), 0), p=chance)])
    a, b = rng.random((2, len(chosen), 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    spots = corners[chosen, 0] + a * (corners[chosen, 1] - corners[chosen, 0]) + b * (corners[chosen, 2] - corners[chosen, 0])
    return spots, (cross / np.maximum(area, 1e-20)[:, None])[chosen]


def _similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(scale, rotation, shift) that bring source (n, 3) to target: target ~ scale * source @ rotation.T + shift (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / np.square(a).sum())
    return scale, rotation, target.mean(0) - scale * source.mean(0) @ rotation.T


def our_landmarks(head: Head) -> dict[str, np.ndarray]:
    """(3,) each of :data:`LANDMARKS` on one of our heads."""
    skin, found = head.skin_template.astype(float), {}
    for side, name in enumerate(("left", "right")):
        rim = skin[np.unique(head.lid_pairs[side])]
        corners = rim[rim[:, 0].argmin()], rim[rim[:, 0].argmax()]
        found[f"eye_{name}_inner"], found[f"eye_{name}_outer"] = corners if name == "left" else corners[::-1]
    nose = skin[head.mask("nose")[: head.skin_count]]
    chin = skin[head.mask("chin")[: head.skin_count]]
    right, left = head.lip_corners
    upper, lower = (skin[number] for number in head.lip_line[np.abs(skin[head.lip_line[:, 0], 0]).argmin()])
    return {
        **found,
        "nose_tip": nose[nose[:, 2].argmax()],
        "mouth_left": skin[left],
        "mouth_right": skin[right],
        "upper_lip": upper,
        "lower_lip": lower,
        "chin": chin[np.abs(chin[:, 0]) < 0.01][chin[np.abs(chin[:, 0]) < 0.01][:, 2].argmax()],
    }


def _draw(head: Head, skin: np.ndarray, spots: np.ndarray, normals: np.ndarray, pins: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(S, 3) our skin, which the landmarks have brought to its place, drawn onto the surface beside it: points and normals of :func:`_surface`. The vertices
    ``pins`` belong to ``wanted`` (n, 3)."""
    count, triangles = head.skin_count, head.skin_faces
    laplacian = sp.identity(count) - neighbour_mean(triangles, count)
    smooth = (laplacian.T @ laplacian).tocsr()
    tree = cKDTree(np.concatenate([spots, _FACING / 2 * normals], axis=1))
    drawn = ~np.isin(head.regions[:count], ("mouth_cavity", "eye_socket_left", "eye_socket_right", "neck", "neck_base"))
    moved = np.zeros_like(skin)
    for stiffness in STIFFNESS:
        for _ in range(3):
            now = skin + moved
            facing = vertex_normals(now.astype(np.float32), triangles)
            # Bounded, as a search from the middle of something large and round visits all of it.
            away, nearest = tree.query(np.concatenate([now, _FACING / 2 * facing], axis=1), distance_upper_bound=_DRAWN_WITHIN)
            weight = (drawn & np.isfinite(away)).astype(float)
            weight[pins] = _PINNED
            solve = factorized((sp.diags(weight) + stiffness * smooth + 1e-6 * sp.identity(count)).tocsc())
            goal = weight[:, None] * (spots[np.minimum(nearest, len(spots) - 1)] - skin)
            goal[pins] = _PINNED * (wanted - skin[pins])
            moved = np.stack([solve(column) for column in goal.T], axis=1)
    return skin + moved


def _blink(mesh: np.ndarray, lids: np.ndarray, laid: np.ndarray, delta: np.ndarray) -> float:
    """How much of the blink ``delta`` (V, 3), which shuts our eye, shuts the one of a mesh (V, 3) beside our head: the least with which nothing behind its lids is seen, and a little more.

    ``lids`` (f, 3) are its triangles but for eyeballs and sockets, ``laid`` (n, 3) the margins of our lids where they lie on it. 1 where no amount does it.
    """
    low, high = laid.min(0) - _ROUND_LIDS, laid.max(0) + _ROUND_LIDS
    order = laid[:, 0].argsort()

    def opening(amount: float) -> int:
        depth = front_depth(mesh + amount * delta, lids, low[:2], high[:2])
        across = np.linspace(low[0], high[0], depth.shape[1])
        return int((depth < np.interp(across, *laid[order][:, [0, 2]].T) - _BEHIND_LIDS).sum())

    most = _SEEN * opening(0.0)
    shut = next((number for number, amount in enumerate(_BLINKS) if opening(amount) <= most), None)
    return 1.0 if shut is None else float(_BLINKS[min(shut + 1, len(_BLINKS) - 1)])  # a step more: lids overlap a little


def _mended(matrix: sp.csr_matrix, opening: np.ndarray, faces: np.ndarray) -> sp.csr_matrix:
    """Vertices of one lip that lie nearest to the other one stand out from their neighbours when the jaw opens (``opening`` (S, 3)): they follow them instead.

    The worst of a neighbourhood goes first, as it moves the mean of all beside it.
    """
    around = neighbour_mean(faces, matrix.shape[0])
    links = (around != 0).astype(float)
    for _ in range(_ROUNDS):
        moved = matrix @ opening
        off = np.linalg.norm(moved - around @ moved, axis=1)
        worst = (off > _STANDS_OUT) & (off >= links.multiply(off[None]).max(axis=1).toarray().ravel())
        if not worst.any():
            break
        keep = sp.diags((~worst).astype(float))
        matrix = (keep @ matrix + sp.diags(worst.astype(float)) @ around @ matrix).tocsr()
    return matrix


def _carried(head: Head, laid: np.ndarray, mesh: np.ndarray, normals: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(52, V, 3) deltas on the mesh beside our head, which of its vertices lie in the eyes' sockets (V,), and the share of its vertices that none moves."""
    triangles = head.skin_faces
    shares = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 0], [0, 2, 2], [2, 0, 2], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    shares /= shares.sum(1, keepdims=True)
    points = np.einsum("sk,fkd->fsd", shares, laid[triangles]).reshape(-1, 3)
    facing = np.einsum("sk,fkd->fsd", shares, vertex_normals(laid.astype(np.float32), triangles)[triangles]).reshape(-1, 3)
    tree = cKDTree(np.concatenate([points, _FACING / 2 * facing], axis=1))
    near, found = tree.query(np.concatenate([mesh, _FACING / 2 * normals], axis=1), k=4)
    away = np.linalg.norm(points[found[:, 0]] - mesh, axis=1)
    follows = np.clip(2 - 2 * away / _REACH, 0, 1)  # full within half the reach
    blend = 1 / (near + 2e-4) ** 2
    blend *= (follows / blend.sum(1))[:, None]
    triangle, share = np.divmod(found, len(shares))
    corner, weight = triangles[triangle], blend[..., None] * shares[share]  # (V, 4, 3)
    rows = np.repeat(np.arange(len(mesh)), 12)
    matrix = sp.csr_matrix((weight.ravel(), (rows, corner.ravel())), (len(mesh), head.skin_count))
    matrix = _mended(matrix, head.blendshapes[head.blendshape_names.index("jawOpen")].astype(float), faces)
    deltas = np.stack([matrix @ delta for delta in head.blendshapes.astype(float)])
    nearest = np.take_along_axis(corner[:, 0], shares[share[:, 0]].argmax(1)[:, None], 1)[:, 0]
    return deltas, np.isin(head.regions[nearest], _INSIDE), float((follows == 0).mean())
