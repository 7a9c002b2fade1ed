"""Builds ``assets/head/look``: what is shown of the heads in ``head.npz`` (see ``emoface/look.py``).

    python -m train.head.look

Deterministic, needs nothing but ``head.npz``; ``train.head.build`` runs it at its end.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, vstack
from scipy.spatial import cKDTree

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from emoface.export import materials, raster_numba  # noqa: E402
from emoface.export.shading import vertex_normals  # noqa: E402
from emoface.head import ASSET  # noqa: E402
from emoface.look import FOLDER, OFFSET_STEP, topology, write_arrays  # noqa: E402
from train.head import bust, complexion, folds, lids, locks, look_brows, look_eyes, look_teeth  # noqa: E402
from train.head.people import PEOPLE  # noqa: E402
from train.head.shown import HIDDEN, Heads, Piece, blend, noise, rows_of, smoothstep  # noqa: E402

REPLACED = ("eye_left", "eye_right", "brow_hair_left", "brow_hair_right", "lashes_left", "lashes_right", "neck_base")
"""Parts of the coarse head that the look draws in its own way; all others are shown as they are."""
TONGUE, GUM = np.array([0.80, 0.92, 0.92]), np.array([0.72, 0.78, 0.80])
"""Exponents that lift the darks of tongue and gums, red most."""
DIRECTIONS, PIXELS, BIAS = 96, 512, 1.8e-3
NEVER_HIDDEN = ("eye", "lips", "teeth", "tongue", "mouth", "gum", "lashes", "brow", "tears", "bust", "shirt", "neck_")


def skin_piece(heads: Heads) -> Piece:
    matrix = heads.refined.matrix.tocsr()
    names = heads.names[np.asarray(matrix.argmax(1)).ravel()]
    wide = csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], len(heads.average.template)))
    ears = np.asarray(matrix @ np.isin(heads.names, ("ear_left", "ear_right")).astype(float))
    places = [rounded_lobes(heads.skin(head), ears) for head in heads.all]
    return Piece(names, wide, heads.refined.faces, complexion.skin_colors(heads), places)


LOBE = 15e-3
"""Height of the part of an ear that is rounded, metres."""


def rounded_lobes(skin: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """Refined skin (D, 3) with lobes that rise towards their outer edge; the source's end in a straight line. ``ears`` (D,): share of ear."""
    skin = skin.copy()
    for sign in (1, -1):
        own = (ears > 0.5) & (sign * skin[:, 0] > 0)
        bottom = skin[own, 1].min()
        low = own & (skin[:, 1] < bottom + LOBE / 2)
        inner, outer = (sign * skin[low, 0]).min(), (sign * skin[low, 0]).max()
        part = ears * (sign * skin[:, 0] > 0) * (1 - smoothstep(skin[:, 1], bottom, bottom + LOBE))
        out = np.clip((sign * skin[:, 0] - inner) / (outer - inner), 0, 1.2)
        skin[:, 1] += 0.55 * (outer - inner) * part * out**2
        skin[:, 0] -= sign * 0.10 * (outer - inner) * part * out
    return skin


def mouth_piece(heads: Heads) -> Piece:
    """Gums, tongue and whatever else the coarse head has, vertex for vertex; its crowns are replaced by ``look_teeth.rows``."""
    head = heads.average
    kept = head.mask("parts") & ~np.isin(head.regions, REPLACED)
    for region in ("teeth_upper", "teeth_lower"):
        kept[np.flatnonzero(head.regions == region)[look_teeth.crowns(region)]] = False
    own = np.flatnonzero(kept)
    place = np.full(len(head.template), -1)
    place[own] = np.arange(len(own))
    faces = head.faces[np.isin(head.faces, own).all(1)]
    rows = rows_of(own[:, None], np.ones((len(own), 1)), len(head.template))
    is_tongue = (head.regions[own] == "tongue")[:, None]
    painted = lambda c: 255 * (c / 255) ** np.where(is_tongue, TONGUE, GUM)
    return Piece(head.regions[own], rows, place[faces], [painted(h.colors[own].astype(float)) for h in heads.all])


WARM = np.array([1.05, 1.0, 0.90])
"""Exponents of the brightness of a strand in the three channels: light strands are warmer."""
MIRRORED = np.array([44.0, 41.0, 40.0])
"""Light that a strand sends back whatever its colour, for a brightness of 2: black hair, too, is seen as strands."""


def hair_piece(heads: Heads, style: str, hair: locks.Locks, anchors: np.ndarray, skin: Piece) -> Piece:
    """Locks stand still on the skull. Each head's are moved by how its scalp differs from the average one at the root,
    and, for ends far from it, by how the skin beside them differs."""
    base = heads.average.skin_template
    wearers = [head for head in heads.all if PEOPLE[head.index].hair == style]
    root = np.zeros((len(wearers), len(hair.roots), 3))
    beside = root.copy()
    if len(hair.roots):
        moved = [head.skin_template - base for head in wearers]
        skull = np.flatnonzero(np.isin(heads.names, ("scalp", "neck", "forehead")) & (base[:, 1] > -0.1))
        root = _carried(base, skull, hair.roots * 1e-3, moved, count=6, soft=4e-3)
        beside = _carried(base, np.flatnonzero(~np.isin(heads.names, HIDDEN)), hair.vertices * 1e-3, moved, count=12, soft=8e-3)
    share = np.clip(np.linalg.norm(hair.vertices - hair.roots, axis=1) / 90, 0, 1)[:, None]
    places = {head.index: hair.vertices * 1e-3 + a * (1 - share) + b * share for head, a, b in zip(wearers, root, beside)}
    rows = rows_of(np.full((len(hair.roots), 1), anchors[0]), np.ones((len(hair.roots), 1)), len(heads.average.template))
    under = cKDTree(heads.skin(heads.average)).query(hair.vertices * 1e-3)[1] if len(hair.roots) else np.zeros(0, int)
    colors = [
        np.clip(blend(hair.shade[:, None] ** WARM * person.hair_color + (hair.shade[:, None] - 1) * MIRRORED, painted[under], hair.fade), 0, 255)
        for person, painted in zip(PEOPLE, skin.colors)
    ]
    return Piece(np.full(len(hair.roots), "hair"), rows, hair.faces, colors, places, lit_by_skin=hair.fade)


def _carried(base: np.ndarray, among: np.ndarray, points: np.ndarray, moved: list[np.ndarray], *, count: int, soft: float) -> np.ndarray:
    """(heads, n, 3) weighted mean of how the nearest ``count`` vertices ``among`` the skin are moved on each head."""
    distance, near = cKDTree(base[among]).query(points, k=count)
    weight = 1 / (distance + soft) ** 2
    weight /= weight.sum(1, keepdims=True)
    return np.stack([np.einsum("nk,nkd->nd", weight, offsets[among][near]) for offsets in moved])


def skull_anchors(heads: Heads) -> np.ndarray:
    """Four vertices of the skull, far apart, that no shape moves: right, left, top, back."""
    head = heads.average
    moved = np.linalg.norm(head.blendshapes, axis=2).max(0)
    still = np.flatnonzero((heads.names == "scalp") & (moved < 1e-4))
    p = head.skin_template[still]
    upper = p[:, 1] > 0.03
    picks = [np.where(upper, p[:, 0], 9).argmin(), np.where(upper, p[:, 0], -9).argmax(), p[:, 1].argmax(), p[:, 2].argmin()]
    assert len(set(picks)) == 4
    return still[picks]


def ambient_visibility(vertices: np.ndarray, faces: np.ndarray, *, two_sided: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D,) share of the light from all around that reaches each vertex, cosine-weighted, and (D,) whether any does."""
    vertices = np.ascontiguousarray(vertices - vertices.mean(0), np.float32)
    radius = float(np.linalg.norm(vertices, axis=1).max())
    normals = vertex_normals(vertices, faces)
    reached, total, seen = (np.zeros(len(vertices), np.float32) for _ in range(3))
    k = np.arange(DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * k / DIRECTIONS), np.pi * (1 + 5**0.5) * k
    for z in np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1):
        x = np.cross(z, [1, 0, 0] if abs(z[0]) < 0.9 else [0, 1, 0])
        x /= np.linalg.norm(x)
        turned = vertices @ np.stack([x, np.cross(z, x), z]).astype(np.float32).T
        turned[:, :2] = (turned[:, :2] / radius + 1) * (PIXELS / 2)
        depth = raster_numba.depth(np.ascontiguousarray(turned), faces.astype(np.int32), PIXELS, PIXELS)
        column, row = np.clip(turned[:, :2].astype(np.int64), 0, PIXELS - 1).T
        free = turned[:, 2] >= depth[row, column] - BIAS
        cosine = normals @ z.astype(np.float32)
        cosine = np.where(two_sided, np.abs(cosine), cosine)
        weight = np.maximum(cosine, 0) * (1.25 + 0.75 * z[1])  # more light comes from above
        reached += weight * free
        total += weight
        seen += free & (cosine > 0)
    return reached / np.maximum(total, 1e-6), seen > 0


LEAST = {
    "eye_socket": 0.20,
    "eye_": 0.45,
    "teeth": 0.86,
    "tongue": 0.62,
    "lips": 0.55,
    "mouth_cavity": 0.42,
    "brow_hair": 0.75,
    "lashes": 0.8,
    "tears": 0.9,
    "eyelid": 0.45,
    "hair": 0.22,
}
"""Occlusion is baked at rest, with closed lips and open eyes: what motion uncovers must not stay black.
What is inside the mouth is painted as lit by open lips; shut ones take the light again (``folds.SHADES``)."""
TINT = np.array([0.50, 0.66, 0.70])
"""Exponents of occlusion in the three channels of sRGB: light that bounces on skin in a hollow comes back redder."""


def build(folder: Path = FOLDER, only: list[int] | None = None) -> None:
    heads = Heads(room=folds.room)
    anchors = skull_anchors(heads)
    front = look_brows.Front(heads)
    pieces = [
        skin_piece(heads),
        *look_eyes.eyeballs(heads),
        *look_eyes.lashes(heads),
        *look_eyes.tear_lines(heads),
        *look_brows.brows(heads, front),
        *look_teeth.rows(heads),
        mouth_piece(heads),
        bust.bust(heads),
    ]
    skull = locks.Skull(heads)
    hairs = {
        name: hair_piece(heads, name, locks.STYLES[name](skull), anchors, pieces[0])
        for name in sorted({s.hair for s in PEOPLE})
        if only is None or any(PEOPLE[i].hair == name for i in only)
    }
    folder.mkdir(parents=True, exist_ok=True)
    regions = np.concatenate([p.regions for p in pieces])
    names = sorted({*regions})
    starts = np.cumsum([0] + [len(p.regions) for p in pieces])
    faces = np.concatenate([p.faces_from(at) for p, at in zip(pieces, starts)])
    base = vstack([p.rows for p in pieces]).tocsr()
    creases, about_creases = folds.arrays(heads, front, pieces)
    settling = lids.arrays(heads)
    about = {
        "topology": topology(heads.average.faces),
        "head": zlib.crc32(ASSET.read_bytes()),
        "regions": names,
        "skin_count": len(pieces[0].regions),
        "anchors": anchors.tolist(),
        "vertices": len(heads.average.template),
        "creases": about_creases,
    }
    write_arrays(
        folder / "base.efl",
        {
            **_rows(base),
            "faces": faces.astype(np.uint16),
            "gloss": np.minimum(_gloss(regions) * pores(heads, len(regions)), dry_corners(heads, len(regions))).astype(np.uint8),
            "regions": np.searchsorted(names, regions).astype(np.uint8),
            **creases,
            **settling,
        },
        about,
    )
    for name, piece in hairs.items():
        write_arrays(folder / f"hair_{name}.efl", {**_rows(piece.rows), "faces": piece.faces.astype(np.uint16), "gloss": _gloss(piece.regions)}, {})
    for head, style in zip(heads.all, PEOPLE):
        if only is None or head.index in only:
            own = folds.of_person(head, creases["crease_pairs"], about_creases["names"]) | lids.of_person(head, settling)
            _person(folder, head, style.hair, [*pieces, hairs[style.hair]], faces, own)


def _person(folder: Path, head, hair: str, pieces: list[Piece], base_faces: np.ndarray, own: dict[str, np.ndarray]) -> None:
    places = np.concatenate([p.place(head) for p in pieces]).astype(np.float32)
    rows = vstack([p.rows for p in pieces]).tocsr()
    regions = np.concatenate([p.regions for p in pieces])
    start = len(places) - len(pieces[-1].regions)
    faces = np.concatenate([base_faces, pieces[-1].faces.astype(int) + start])
    flat = materials.two_sided(len(places), faces)
    both = np.zeros(len(places), bool)
    both[faces[flat].ravel()] = True
    open_, seen = ambient_visibility(places, faces, two_sided=both)
    open_ = materials._smooth(open_, faces)
    below = np.flatnonzero(np.isin(regions, ("bust", "shirt")))
    neck = np.flatnonzero(regions == "neck")
    distance, near = cKDTree(places[neck]).query(places[below])
    open_[below] += np.exp(-distance / 0.02) * (open_[neck][near] - open_[below])  # no step of light at the seam
    begins = np.flatnonzero(np.concatenate([np.zeros(start), pieces[-1].lit_by_skin]) > 0.02)
    if len(begins):
        beside = cKDTree(places[: len(pieces[0].regions)]).query(places[begins])[1]
        open_[begins] += pieces[-1].lit_by_skin[begins - start] * (open_[beside] - open_[begins])  # where hair begins it is no step of light
    open_ = np.maximum(np.clip(open_ / 0.92, 0, 1), materials._lookup(regions, LEAST, 0.12))
    hideable = ~np.array([any(str(name).startswith(part) for part in NEVER_HIDDEN) for name in regions])
    shown = ~(hideable & ~seen)[base_faces].all(1)
    colors = np.concatenate([p.colors[head.index] for p in pieces]) * open_[:, None] ** TINT
    offset = np.rint((places - rows @ head.template) / OFFSET_STEP)
    offset[np.abs(offset) < 2] = 0
    write_arrays(
        folder / f"head_{head.index:02d}.efl",
        {"colors": np.round(np.clip(colors, 0, 255)).astype(np.uint8), "offset": offset.astype(np.int16), "shown": np.packbits(shown), **own},
        {"hair": hair},
    )


def _rows(rows: csr_matrix) -> dict[str, np.ndarray]:
    rows = rows.tocsr()
    return {"counts": np.diff(rows.indptr).astype(np.uint8), "indices": rows.indices.astype(np.uint16), "weights": rows.data.astype(np.float32)}


def _gloss(regions: np.ndarray) -> np.ndarray:
    return np.round(255 * materials.gloss(len(regions), regions)).astype(np.uint8) if len(regions) else np.zeros(0, np.uint8)


def pores(heads: Heads, count: int) -> np.ndarray:
    """(count,) factor of the gloss: an even shine is that of wax."""
    skin = heads.skin(heads.average) * 1e3
    factor = np.ones(count)
    factor[: len(skin)] = 0.92 + 0.30 * noise(skin, 3.2, 15) + 0.22 * noise(skin, 11, 16)
    return factor


def dry_corners(heads: Heads, count: int) -> np.ndarray:
    """(count,) uint8 largest gloss: skin within 5 mm of a corner of the mouth does not shine, or folds there would be white specks."""
    ring = heads.average.lip_rings[0]
    skin = heads.skin(heads.average)
    corners = heads.average.skin_template[[ring[heads.average.skin_template[ring, 0].argmin()], ring[heads.average.skin_template[ring, 0].argmax()]]]
    away = np.linalg.norm(skin[:, None] - corners, axis=2).min(1) * 1e3
    most = np.full(count, 255.0)
    most[: len(skin)] = 18 + 237 * smoothstep(away, 3, 7)
    return most.astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    build(arguments.output)
    print(f"{arguments.output.name}: {sum(f.stat().st_size for f in arguments.output.glob('*.efl')) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
