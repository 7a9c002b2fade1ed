import numpy as np
import pytest
from PIL import Image, ImageDraw

from emoface.errors import EmoFaceError
from emoface.export import raster_numpy
from emoface.head import ASSET, HEAD_COUNT, MASK_GROUPS, OPPOSED, fit_blendshapes, lip_aperture_mm, load_head
from train.head.eyes import IRIS
from train.head.gaps import lid_gaps_mm, lip_gaps_mm

HEAD = load_head(0)
S = HEAD.skin_count
COLUMN = {name: i for i, name in enumerate(HEAD.blendshape_names)}
PP = {"mouthPress": 0.35, "mouthRollLower": 0.22, "mouthRollUpper": 0.15, "jawOpen": 0.02, "mouthClose": 0.02}
REGIONS = (
    "lips_upper lips_lower mouth_ring mouth_cavity jaw chin cheek_left cheek_right nose eyelid_left eyelid_right "
    "eye_socket_left eye_socket_right brow_left brow_right forehead ear_left ear_right scalp neck"
).split()
PARTS = ("eye_left eye_right teeth_upper teeth_lower tongue brow_hair_left brow_hair_right lashes_left lashes_right neck_base").split()
all_heads = pytest.mark.parametrize("index", range(HEAD_COUNT))


def weights(pose: dict[str, float]) -> np.ndarray:
    """(1, 52); a name without side means both."""
    out = np.zeros((1, 52), np.float32)
    for name, value in pose.items():
        for full in (name,) if name in COLUMN else (name + "Left", name + "Right"):
            out[0, COLUMN[full]] = value
    return out


def random_clip(frames: int, seed: int = 0) -> np.ndarray:
    """Smooth sparse weights (T, 52) of shapes that skin shows; of opposed shapes only the stronger."""
    rng = np.random.default_rng(seed)
    raw = rng.random((frames, 52)) * (rng.random((frames, 52)) < 0.1)
    window = np.hanning(9)
    smooth = np.apply_along_axis(lambda c: np.convolve(c, window / window.sum(), "same"), 0, raw)
    hidden = [i for n, i in COLUMN.items() if n.startswith("eyeLook") or n == "tongueOut"]
    smooth[:, hidden] = 0
    for pair in OPPOSED:
        one, other = (COLUMN[name] for name in pair)
        weaker = smooth[:, one] < smooth[:, other]
        smooth[weaker, one] = smooth[~weaker, other] = 0
    return smooth.astype(np.float32)


def test_asset_is_small_and_holds_no_pickles():
    assert ASSET.stat().st_size < 3e6
    with np.load(ASSET, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


@all_heads
def test_counts_and_topology_are_the_same_for_everybody(index):
    head = load_head(index)
    assert S == head.skin_count == 4326
    assert head.template.shape == (len(head.regions), 3) == head.colors.shape
    assert head.blendshapes.shape == (52, S, 3) and head.blendshape_names == HEAD.blendshape_names
    assert list(head.blendshape_names) == sorted(head.blendshape_names) and len(set(head.blendshape_names)) == 52
    assert np.array_equal(head.faces, HEAD.faces) and head.colors.dtype == np.uint8
    assert np.isfinite(head.template).all() and np.isfinite(head.blendshapes).all()
    size = np.ptp(head.skin_template, axis=0)
    assert (0.13 < size[0] < 0.21) and (0.23 < size[1] < 0.32) and (0.17 < size[2] < 0.25)
    if index:
        assert 1e-3 < np.linalg.norm(head.skin_template - HEAD.skin_template, axis=1).mean() < 2e-2
        assert not np.array_equal(head.colors, HEAD.colors)


def edges_of(faces: np.ndarray) -> np.ndarray:
    return faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)


def test_skin_is_one_oriented_manifold_open_only_at_the_neck():
    directed = edges_of(HEAD.skin_faces)
    assert len(np.unique(directed, axis=0)) == len(directed)  # each direction once: consistent winding
    undirected, uses = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    assert uses.max() == 2
    loop = np.sort(np.stack([HEAD.boundary, np.roll(HEAD.boundary, -1)], 1), axis=1)
    assert {*map(tuple, undirected[uses == 1])} == {*map(tuple, loop)} and len(loop) == 42
    assert len(np.unique(HEAD.skin_faces)) == S
    assert S - len(undirected) + len(HEAD.skin_faces) == 1  # Euler: a disc, so the pouches are closed


@pytest.mark.parametrize("region", ["eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue"])
def test_solid_parts_are_closed_and_face_outwards(region):
    faces = HEAD.faces[HEAD.mask(region)[HEAD.faces].all(axis=1)]
    directed = edges_of(faces)
    assert len(np.unique(directed, axis=0)) == len(directed)
    if region != "tongue" and not region.startswith("teeth"):  # gum ridge and tongue may be open at the throat
        assert (np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)[1] == 2).all()
    a, b, c = (HEAD.template[faces[:, k]] - HEAD.template[faces].mean((0, 1)) for k in range(3))
    assert np.einsum("ij,ij->", a, np.cross(b, c)) > 0


@all_heads
def test_no_triangle_is_degenerate(index):
    head = load_head(index)
    a, b, c = (head.template[head.skin_faces[:, k]].astype(float) for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-10


def test_regions_partition_the_vertices():
    assert set(HEAD.regions[:S]) == set(REGIONS) and set(HEAD.regions[S:]) == set(PARTS)
    assert sum(HEAD.mask(name).sum() for name in REGIONS) == S
    assert 220 <= HEAD.mask("lips").sum() <= 300
    assert HEAD.mask("mouth_cavity").sum() == 418 and HEAD.mask("eye_socket").sum() == 616
    assert HEAD.mask("visible_skin").sum() == S - 418 - 616
    upper = HEAD.mask("eyes_upper")
    assert not (upper & (HEAD.mask("mouth_cavity") | HEAD.mask("eye_socket") | HEAD.mask("parts"))).any()
    for group, names in MASK_GROUPS.items():
        assert HEAD.mask(group).sum() == sum(HEAD.mask(name).sum() for name in names)
    with pytest.raises(EmoFaceError, match="lips"):
        HEAD.mask("lip")


def test_regions_colours_and_shapes_are_mirror_images():
    mirror = HEAD.mirror
    assert np.array_equal(mirror[mirror], np.arange(S))
    swapped = [n[:-5] + "_right" if n.endswith("_left") else n[:-6] + "_left" if n.endswith("_right") else n for n in HEAD.regions[:S]]
    assert np.array_equal(HEAD.regions[:S][mirror], swapped)
    assert np.abs(HEAD.colors[:S][mirror].astype(int) - HEAD.colors[:S]).max() <= 1
    flip = np.array([-1, 1, 1], np.float32)
    assert np.abs(HEAD.skin_template[mirror] * flip - HEAD.skin_template).max() < 1e-6
    for name, i in COLUMN.items():
        other = name[:-4] + "Right" if name.endswith("Left") else name[:-5] + "Left" if name.endswith("Right") else name
        assert np.abs(HEAD.blendshapes[i][mirror] * flip - HEAD.blendshapes[COLUMN[other]]).max() < 2e-5, name


@all_heads
def test_lips_touch_from_corner_to_corner(index):
    head = load_head(index)
    upper, lower = head.skin_template[head.lip_line.T]
    assert len(head.lip_line) > 20 and np.abs(upper[:, 0] - lower[:, 0]).max() < 3e-3
    assert (upper[:, 1] - lower[:, 1]).max() < 1e-3 and np.ptp(upper[:, 0]) > 0.035


def test_the_brows_move_the_forehead_but_nothing_under_the_hair_line():
    high, middle = HEAD.skin_template[:, 1] > 0.080, np.abs(HEAD.skin_template[:, 1] - 0.058) < 0.003
    for name in (n for n in HEAD.blendshape_names if n.startswith(("brow", "noseSneer"))):
        moved = np.linalg.norm(HEAD.blendshapes[COLUMN[name]], axis=1)
        assert moved[high].max() == 0 and moved[middle].max() > 1e-3, name


@all_heads
def test_a_blink_closes_the_lids_and_only_just(index):
    head = load_head(index)
    assert lid_gaps_mm(head, head.pose(weights({}))[0]).max() > 4
    shut = lid_gaps_mm(head, head.pose(weights({"eyeBlink": 1}))[0])
    assert shut.max() < 0.45 and np.median(shut) < 0 and shut.min() > -1.6
    assert lid_gaps_mm(head, head.pose(weights({"eyeBlink": 0.5}))[0]).max() > 2


@all_heads
def test_lips_touch_at_rest_and_seal_in_pp(index):
    head = load_head(index)
    rest, pp = (head.pose(weights(pose))[0] for pose in ({}, PP))
    assert abs(lip_aperture_mm(rest[None], head)[0]) < 0.3
    assert lip_gaps_mm(head, rest).max() < 0.3
    assert lip_aperture_mm(pp[None], head)[0] < -1
    assert lip_gaps_mm(head, pp).max() < 0.3
    assert 12 < lip_aperture_mm(head.pose(weights({"jawOpen": 0.4})), head)[0] < 16


def moved(pose: dict[str, float]) -> np.ndarray:
    """(S, 3) millimetres that the skin of head 0 moves."""
    return 1e3 * (HEAD.pose(weights(pose))[0, :S] - HEAD.skin_template)


def near(x: float, y: float) -> np.ndarray:
    """Visible skin of the left half within 6 mm of a place seen from the front, millimetres."""
    at = HEAD.skin_template
    return HEAD.mask("visible_skin")[:S] & (np.hypot(1e3 * at[:, 0] - x, 1e3 * at[:, 1] - y) < 6) & (at[:, 2] > 0.02)


CORNER = int(HEAD.lip_rings[0][HEAD.skin_template[HEAD.lip_rings[0], 0].argmax()])
CHEEK, WING, INNER_BROW, OUTER_BROW = near(33, -8), near(19, -16), near(12, 39), near(40, 40)


def test_corners_of_the_resting_mouth_do_not_hang():
    middle = HEAD.skin_template[HEAD.lip_pairs.ravel(), 1].mean()
    assert 1 < 1e3 * (HEAD.skin_template[CORNER, 1] - middle) < 4


def test_expressions_move_what_muscles_move():
    """Directions and sizes in mm of what makes each expression readable (+x: the person's left, +y up)."""
    smile, frown, stretch = (moved({f"mouth{name}": 1}) for name in ("Smile", "Frown", "Stretch"))
    assert smile[CORNER, 1] > 7 and smile[CORNER, 0] > 4 and smile[CHEEK, 1].mean() > 2 and smile[CHEEK, 2].mean() > 1
    assert frown[CORNER, 1] < -4
    assert stretch[CORNER, 0] > 5 and stretch[CORNER, 2] < -4
    cheek, sneer = moved({"cheekSquint": 1}), moved({"noseSneer": 1})
    assert cheek[CHEEK, 1].mean() > 2.5 and np.abs(cheek[HEAD.lip_rings[0]]).max() < 0.1
    assert sneer[WING, 1].mean() > 3.5
    down, sad = moved({"browDown": 1}), moved({"browInnerUp": 1, "browDown": 0.3})
    assert down[INNER_BROW, 1].mean() < -4 and down[INNER_BROW, 0].mean() < -2.5
    assert sad[INNER_BROW, 1].mean() > 3 and sad[OUTER_BROW, 1].mean() < 1.5  # oblique
    wide = HEAD.pose(weights({"eyeWide": 1}))[0]
    eye = np.linalg.norm(HEAD.template[HEAD.mask("eye_left")] - HEAD.eye_centers[0], axis=1).mean()
    top_of_iris = HEAD.eye_centers[0, 1] + eye * np.sin(np.radians(IRIS))
    assert wide[HEAD.lid_pairs[0, :, 0], 1].max() - top_of_iris > 5e-4  # white above it


@pytest.mark.parametrize("name", ["mouthSmile", "mouthFrown", "mouthStretch", "mouthDimple", "mouthLeft", "mouthRight", "cheekPuff"])
def test_shut_shapes_leave_no_slit_and_no_overlap(name):
    poses = [{name: 1}, {name: 0.5}] + [{name + side: 1} for side in ("Left", "Right") if name + side in COLUMN]
    for pose in poses:
        gaps = lip_gaps_mm(HEAD, HEAD.pose(weights(pose))[0])
        assert gaps.max() < 0.25 and gaps.min() > -0.5, pose


def test_lip_aperture_reads_skin_and_whole_heads_alike():
    vertices = HEAD.pose(np.concatenate([weights({"jawOpen": w}) for w in (0, 0.2, 0.5)]))
    assert np.array_equal(lip_aperture_mm(vertices, HEAD), lip_aperture_mm(vertices[:, :S], HEAD))
    assert (np.diff(lip_aperture_mm(vertices, HEAD)) > 5).all()


@pytest.mark.parametrize("index", [0, 7, 16])
def test_eyes_stay_rigid_spheres_and_look_where_they_should(index):
    head = load_head(index)
    poses = [{}, {"eyeLookDown": 1}, {"eyeLookUp": 1}, {"eyeLookInLeft": 1, "eyeLookOutRight": 0.7}, {"jawOpen": 1}]
    vertices = head.pose(np.concatenate([weights(p) for p in poses]))
    for side, center in zip(("left", "right"), head.eye_centers):
        eye = vertices[:, head.mask(f"eye_{side}")]
        radius = np.linalg.norm(eye - center, axis=2)
        assert np.ptp(radius) < 2e-6 and 0.011 < radius.mean() < 0.018
        assert np.abs(np.diff(eye[:, 1:] - eye[:, :1], axis=0)).max() > 1e-4  # they do turn
        pupil = (eye[:, 0] - center) / radius.mean()
        assert np.allclose(pupil[0], [0, 0, 1], atol=1e-3) and np.allclose(pupil[4], pupil[0], atol=1e-6)
        assert pupil[1, 1] < -0.15 and pupil[2, 1] > 0.12
        assert pupil[3, 0] < -0.15  # both eyes look to the person's right


def depth(head, vertices: np.ndarray, mask: np.ndarray, size: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Depth map of the masked vertices' triangles from the front, and all vertices on the screen."""
    screen = np.ascontiguousarray(vertices, np.float32).copy()
    screen[:, 0] = (screen[:, 0] / 0.05 + 1) * size / 2
    screen[:, 1] = (1 - (screen[:, 1] + 0.045) / 0.05) * size / 2
    faces = np.ascontiguousarray(head.faces[mask[head.faces].all(axis=1)])
    return raster_numpy.depth(screen, faces, size, size), screen


@all_heads
def test_teeth_and_tongue_show_only_between_the_lips(index):
    head = load_head(index)
    inside = head.mask("teeth") | head.mask("tongue")
    for pose in ({}, PP, {"jawOpen": 0.2}, {"jawOpen": 0.5}, {"jawLeft": 1}, {"mouthSmile": 0.85}):
        vertices = head.pose(weights(pose))[0]
        (front, screen), (skin, _) = depth(head, vertices, inside), depth(head, vertices, head.mask("skin"))
        seen = front > skin
        mouth = Image.new("1", seen.shape)
        for ring in head.lip_rings[:4]:
            ImageDraw.Draw(mouth).polygon([tuple(map(float, p)) for p in screen[ring, :2]], fill=1)
        assert not (seen & ~np.array(mouth)).any(), pose
        if pose in ({}, PP):
            assert seen.sum() <= 3
        if pose.get("jawOpen", 0) > 0.1:
            assert seen.sum() > 100  # and there they do show


def test_parts_follow_jaw_tongue_and_skin():
    rest, jaw, tongue, brow = (HEAD.pose(weights(p))[0] for p in ({}, {"jawOpen": 0.5}, {"tongueOut": 1}, {"browInnerUp": 1}))

    def move(v, region):
        return 1e3 * (v - rest)[HEAD.mask(region)]

    assert np.abs(move(jaw, "teeth_upper")).max() == 0
    assert move(jaw, "teeth_lower")[:, 1].mean() < -6 and move(jaw, "tongue")[:, 1].mean() < -5
    lower = HEAD.template[HEAD.mask("teeth_lower")]
    posed = jaw[HEAD.mask("teeth_lower")]
    stretch = np.linalg.norm(posed[1:] - posed[:-1], axis=1) / np.linalg.norm(lower[1:] - lower[:-1], axis=1)
    assert abs(np.median(stretch) - 1) < 0.03  # all but rigid
    assert move(tongue, "tongue")[:, 2].max() > 15 and np.abs(move(tongue, "teeth")).max() == 0
    skin_up = move(brow, "brow_left")[:, 1].max()
    assert skin_up > 3 and abs(move(brow, "brow_hair_left")[:, 1].max() - skin_up) < 1
    shut = HEAD.pose(weights({"eyeBlink": 1}))[0]
    assert move(shut, "lashes_left")[:, 1].mean() < -5


def test_assemble_uses_the_networks_skin_and_closes_every_lid():
    w = np.concatenate([weights({"jawOpen": 0.3, "eyeBlink": 1}), weights({"mouthSmile": 0.5})])
    offsets = HEAD.pose(w)[:, :S] - HEAD.skin_template
    noise = np.random.default_rng(0).normal(size=offsets.shape).astype(np.float32) * 1e-4
    for index in (0, 3, 14, 20):
        head = load_head(index)
        dry = np.setdiff1d(np.arange(S), head.contact.touching)  # everything but lips and lining
        wanted = head.pose(w)
        rides = np.isin(head.regions, ["brow_hair_left", "lashes_right", "neck_base", "teeth_lower"])
        found = head.assemble(offsets, w)
        assert np.allclose(found[:, dry], wanted[:, dry], atol=1e-6) and np.allclose(found[:, rides], wanted[:, rides], atol=1e-6)
        assert np.abs(found - wanted)[:, head.mask("lips")].max() < 2e-3
        noisy = head.assemble(offsets + noise, w)[:, :S]
        assert np.allclose((noisy - found[:, :S])[:, dry], noise[:, dry], atol=1e-6)


def test_fit_rebuilds_a_sparse_clip():
    w = random_clip(120)
    offsets = HEAD.pose(w)[:, :S] - HEAD.skin_template
    found = fit_blendshapes(offsets, head=HEAD)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    rebuilt = HEAD.pose(found)[:, :S] - HEAD.skin_template
    assert 1e3 * np.linalg.norm(rebuilt - offsets, axis=2).max() < 0.05
    assert np.abs(found - w).max() < 0.01
    assert not found[:, [i for n, i in COLUMN.items() if n.startswith("eyeLook") or n == "tongueOut"]].any()


def test_fit_is_calm_under_noise_and_does_not_lag():
    w = random_clip(90, seed=1)
    offsets = HEAD.pose(w)[:, :S] - HEAD.skin_template
    noise = np.random.default_rng(0).normal(size=offsets.shape) * 1e-4
    found = fit_blendshapes(offsets + noise, head=HEAD)
    assert np.abs(found - w).mean() < 0.006
    assert np.abs(np.diff(found - w, axis=0)).mean() < 0.008
    alone = fit_blendshapes(offsets + noise, head=HEAD, smoothness=0.0)
    assert np.abs(np.diff(found - w, axis=0)).mean() < 0.99 * np.abs(np.diff(alone - w, axis=0)).mean(), "by default, a little"
    step = np.repeat([0.0, 0.6], 20)[:, None] * weights({"jawOpen": 1})
    jaw = fit_blendshapes(HEAD.pose(step)[:, :S] - HEAD.skin_template, head=HEAD)[:, COLUMN["jawOpen"]]
    assert jaw[19] < 0.06 and jaw[20] > 0.54 and jaw[:18].max() < 0.01


def test_fit_shuts_lips_that_the_skin_shuts():
    """Skin that no 52 shapes rebuild: an open mouth whose lips were moved together vertex by vertex, as a network shuts them."""
    w = np.linspace(0, 0.15, 9)[:, None] * weights({"jawOpen": 1, "mouthFunnel": 1, "mouthUpperUpLeft": 1})
    skin = HEAD.pose(w)[:, :S]
    gap = skin[:, HEAD.lip_line[:, 0], 1] - skin[:, HEAD.lip_line[:, 1], 1]
    for ring, name, side in zip(HEAD.lip_line.T, ("lips_upper", "lips_lower"), (-0.5, 0.5)):
        lip = np.flatnonzero(HEAD.mask(name)[:S])
        away = np.linalg.norm(HEAD.skin_template[lip, None] - HEAD.skin_template[ring], axis=2)
        skin[:, lip, 1] += side * gap[:, away.argmin(1)] * np.exp(-((away.min(1) / 0.006) ** 2))
    assert np.abs(lip_aperture_mm(skin, HEAD)).max() < 0.3
    rebuilt = HEAD.pose(fit_blendshapes(skin - HEAD.skin_template, head=HEAD))[:, :S]
    assert np.abs(lip_aperture_mm(rebuilt, HEAD)).max() < 0.5


def test_fit_runs_no_opposed_shapes_together():
    """A push that both mouthLeft and mouthRight would lower the error of: each alone also narrows the lips."""
    w = np.concatenate([weights({a: 0.5, b: 0.3 + 0.4 * share}) for a, b in OPPOSED for share in (0, 1)])
    found = fit_blendshapes(HEAD.pose(w)[:, :S] - HEAD.skin_template, head=HEAD)
    for one, other in OPPOSED:
        assert not np.minimum(found[:, COLUMN[one]], found[:, COLUMN[other]]).any(), (one, other)
    assert found[0, COLUMN["mouthLeft"]] > 0.1 < found[1, COLUMN["mouthRight"]], "the stronger stays"


def test_fit_of_a_frame_or_of_nothing():
    assert fit_blendshapes(np.zeros((0, S, 3)), head=HEAD).shape == (0, 52)
    assert not fit_blendshapes(np.zeros((1, S, 3)), head=HEAD).any()
    with pytest.raises(EmoFaceError, match="4326"):
        fit_blendshapes(np.zeros((2, 5, 3)), head=HEAD)


@pytest.mark.parametrize("index", [-1, HEAD_COUNT, 1.5, "0", None, True])
def test_wrong_heads_are_refused_in_one_sentence(index):
    with pytest.raises(EmoFaceError, match="0 to 23"):
        load_head(index)


def test_wrong_weights_are_refused_and_heads_are_read_only():
    with pytest.raises(EmoFaceError, match="52"):
        HEAD.pose(np.zeros((3, 51)))
    with pytest.raises(EmoFaceError):
        HEAD.pose(np.zeros((3, 52)), np.zeros((3, 10, 3)))
    with pytest.raises(ValueError):
        HEAD.template[0] = 0


def test_importing_the_head_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, emoface.head as h; h.load_head(0); assert not {'torch', 'transformers'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
