"""The look: fresh, linear in the head's own vertices, closed where lips and lids close, small."""

import zlib

import numpy as np
import pytest
from scipy.spatial import cKDTree

from emoface.errors import EmoFaceError
from emoface.export.materials import components
from emoface.head import ASSET, HEAD_COUNT, load_head
from emoface.look import FOLDER, load_look, read_arrays, topology


@pytest.fixture(scope="module")
def head():
    return load_head(0)


@pytest.fixture(scope="module")
def look():
    return load_look(0)


def posed(head, **weights) -> np.ndarray:
    values = np.zeros((1, 52), np.float32)
    for name, weight in weights.items():
        for full in (name,) if name in head.blendshape_names else (name + "Left", name + "Right"):
            values[0, head.blendshape_names.index(full)] = weight
    return head.pose(values)[0]


def test_it_was_built_from_this_head():
    assert read_arrays(FOLDER / "base.efl")["about"]["head"] == zlib.crc32(ASSET.read_bytes()), (
        "head.npz has changed: build the look again with `python -m train.head.look`"
    )


def test_every_head_has_a_whole_look():
    styles = set()
    for index in range(HEAD_COUNT):
        head, look = load_head(index), load_look(index)
        shown = look.vertices(head.template)
        count = len(shown)
        assert np.isfinite(shown).all() and look.colors.shape == (count, 3) and len(look.regions) == len(look.gloss) == count
        assert look.faces.min() >= 0 and look.faces.max() < count < 65536, "glTF and the player count to 65535"
        away = np.linalg.norm(shown[: look.skin_count].mean(0) - head.skin_template.mean(0))
        assert away < 0.01
        styles.add(look.hair)
    assert len(styles - {"bald", "buzz"}) >= 6
    assert sum(path.stat().st_size for path in FOLDER.glob("*.efl")) < 6e6


def test_the_skin_is_a_smooth_mix_of_the_heads_own(head, look):
    skin = look.matrix[: look.skin_count, : head.skin_count]
    assert skin.data.min() > 0 and np.abs(np.asarray(skin.sum(1)) - 1).max() < 1e-6
    assert 13_000 < look.skin_count < 20_000
    names = look.regions[: look.skin_count]
    away = 1e3 * np.linalg.norm(look.vertices(head.template)[: head.skin_count] - head.skin_template, axis=1)
    face = np.isin(names[: head.skin_count], ("lips_upper", "lips_lower", "eyelid_left", "nose", "cheek_left", "chin"))
    assert away[face].max() < 1.0, "the face keeps its shape to within a millimetre"


def test_closed_lips_and_lids_stay_closed(head, look):
    shown = look.vertices(head.template)
    upper, lower = head.lip_line.T
    assert np.abs((shown[upper, 1] - shown[lower, 1]) - (head.template[upper, 1] - head.template[lower, 1])).max() < 1e-6
    blinking = posed(head, eyeBlink=1)
    shown = look.vertices(blinking)
    for pairs in head.lid_pairs:
        assert (1e3 * (shown[pairs[:, 0], 1] - shown[pairs[:, 1], 1])).max() < 0.3


def test_the_shown_skin_has_no_cracks(head, look):
    """A triangle that lies flat along a split edge, or a bust with an edge of its own, lets single pixels of the background through."""
    base = read_arrays(FOLDER / "base.efl")
    faces, regions = base["faces"].astype(int), np.array(base["about"]["regions"])[base["regions"]]
    body = faces[((np.arange(len(regions)) < look.skin_count) | np.isin(regions, ("bust", "shirt")))[faces].all(1)]
    a, b, c = (1e3 * look.vertices(head.template)[body[:, k]] for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-2, "twice the area, mm2"
    edges, uses = np.unique(np.sort(body[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0, return_counts=True)
    assert set(regions[edges[uses == 1]].ravel()) == {"shirt"} and uses.max() == 2, "open only where the picture ends"


def test_strands_differ_and_begin_in_the_colour_of_the_skin():
    """Hair of one colour with an edge is a helmet."""
    head, look = load_head(8), load_look(8)
    shown, hair = look.vertices(head.template), look.regions == "hair"
    bright = look.colors[hair].mean(1)
    assert bright.std() > 0.15 * bright.mean()
    skin = np.median(look.colors[: look.skin_count][look.regions[: look.skin_count] == "forehead"], axis=0)
    own = np.median(look.colors[hair], axis=0)
    share = (look.colors[hair] - own) @ (skin - own) / ((skin - own) @ (skin - own))
    temple = (np.abs(shown[hair, 0]) < 0.062) & (shown[hair, 1] < 0.085) & (shown[hair, 2] > 0.02)
    crown = (shown[hair, 1] > 0.105) & (shown[hair, 2] < 0)
    assert share[temple].max() > 0.5 > share[crown].max()


def test_it_is_linear_and_moves_rigidly_with_the_head(head, look):
    smile, jaw = posed(head, mouthSmile=1) - head.template, posed(head, jawOpen=0.4) - head.template
    both = look.vertices(head.template + smile + jaw)
    assert np.abs(both - (look.vertices(head.template) + look.deltas(smile) + look.deltas(jaw))).max() < 1e-6
    turn = np.array([[np.cos(0.3), 0, np.sin(0.3)], [0, 1, 0], [-np.sin(0.3), 0, np.cos(0.3)]], np.float32)
    turned = look.vertices((head.template @ turn.T + [0.01, 0.02, 0.03]).astype(np.float32))
    assert np.abs(turned - (look.vertices(head.template) @ turn.T + [0.01, 0.02, 0.03])).max() < 1e-5, "hair and bust too"


def test_brows_ride_on_the_skin_and_hair_does_not_move_with_the_face(head, look):
    moved = look.vertices(posed(head, browInnerUp=1)) - look.vertices(head.template)
    brow = np.char.startswith(look.regions, "brow_hair")
    assert 1e3 * moved[brow, 1].max() > 3
    open_ = look.vertices(posed(head, jawOpen=1)) - look.vertices(head.template)
    assert np.abs(open_[look.regions == "hair"]).max() < 1e-4


def test_heat_colours_stay_pure(head, look):
    painted = look.paint(np.tile(np.array([13, 8, 135], np.uint8), (head.skin_count, 1)))
    assert (painted[: look.skin_count] == [13, 8, 135]).all()
    assert (painted[look.skin_count :] == look.colors[look.skin_count :]).all()


def folds(look, vertices) -> dict[str, float]:
    return dict(zip(look.creases.names, look.creases.amounts(vertices)))


def test_faces_fold_where_their_muscles_pull(head, look):
    """Named expressions, by the lines that people draw for them."""
    rest = folds(look, head.template)
    skin = {
        name: amount
        for name, amount in rest.items()
        if name not in ("mouth_shut", "mouth_ajar", "upper_lip", "lids_left", "lids_right", "wide_left", "wide_right")
    }
    assert max(skin.values()) < 0.01, "the average head is young: no line at rest"
    brows = folds(look, posed(head, browInnerUp=1, browOuterUp=1))
    grief = folds(look, posed(head, browInnerUp=1))
    frown = folds(look, posed(head, browDown=1))
    smile = folds(look, posed(head, mouthSmile=1, cheekSquint=1))
    assert brows["forehead_middle"] > 0.7 and brows["forehead_side_left"] > 0.7 and brows["frown"] < 0.1
    assert grief["forehead_middle"] > 0.5 > grief["forehead_side_left"]
    assert frown["frown"] > 0.7 and frown["forehead_middle"] < 0.1
    assert min(smile[f"{name}_{side}"] for name in ("nasolabial", "crow", "under_eye") for side in ("left", "right")) > 0.6
    assert smile["frown"] < 0.1
    half = folds(look, posed(head, mouthSmileLeft=1, cheekSquintLeft=1))
    assert half["nasolabial_left"] > 0.5 and half["nasolabial_right"] < 0.1
    speech = folds(look, posed(head, jawOpen=0.3, mouthFunnel=0.3))
    assert max(speech[name] for name in skin) < 0.15, "speech alone draws no lines"


def test_lips_that_hardly_part_shade_the_teeth(head, look):
    """A lit tooth behind a narrow slit is a bright thread between the lips."""
    teeth = np.char.startswith(look.regions.astype(str), "teeth")
    shade = lambda jaw: np.median(look.folded(posed(head, jawOpen=jaw))[0][teeth])
    assert shade(0.02) > 0.65 > 0.15 > shade(0.3)


def test_upper_teeth_lie_in_the_shade_of_a_lip_that_follows_the_smile(head, look):
    upper = look.regions == "teeth_upper"
    taken = lambda vertices: look.folded(vertices)[0][upper]
    height = look.vertices(head.template)[upper, 1]
    edge, neck = height < height.min() + 1e-3, (height > height.min() + 4e-3) & (height < height.min() + 8e-3)
    talking, smiling = taken(posed(head, jawOpen=0.25)), taken(posed(head, jawOpen=0.25, mouthUpperUp=0.9, mouthSmile=0.7))
    assert np.median(talking[neck]) > 0.3 > 0.12 > np.median(talking[edge])
    assert np.median(smiling[neck]) < 0.1


@pytest.mark.parametrize("which", ["upper", "lower"])
def test_each_row_of_teeth_is_one_surface_that_moves_as_the_heads_own(head, look, which):
    """Single crowns are a row of dots where lips hardly part."""
    own, shown = head.regions == f"teeth_{which}", look.regions == f"teeth_{which}"
    faces = look.faces[shown[look.faces].all(1)]
    assert len(set(components(len(shown), faces)[shown])) == 2, "a row and its gum"
    rest, moved = head.template, posed(head, jawOpen=0.6, jawLeft=0.4)
    affine = np.linalg.lstsq(np.column_stack([rest[own], np.ones(own.sum())]), moved[own], rcond=None)[0]
    at = look.vertices(rest)[shown]
    assert np.abs(np.column_stack([at, np.ones(len(at))]) @ affine - look.vertices(moved)[shown]).max() < 2e-5


@pytest.mark.parametrize("index", [0, 6, 9])
def test_lids_shade_the_eye(index):
    """An eye as bright under its lid as in the middle stares."""
    head, look = load_head(index), load_look(index)
    shown = look.vertices(head.template)
    for number, side in enumerate(("left", "right")):
        lid = head.template[head.lid_pairs[number].astype(int)[:, 0]]
        lid = lid[lid[:, 0].argsort()]
        ball = look.regions == f"eye_{side}"
        at, bright = shown[ball], look.colors[ball].mean(1)
        below = 1e3 * (np.interp(at[:, 0], lid[:, 0], lid[:, 1]) - at[:, 1])
        ahead = (at - head.eye_centers[number])[:, 2] / np.linalg.norm(at - head.eye_centers[number], axis=1)
        sclera = (ahead > np.cos(np.radians(48))) & (ahead < np.cos(np.radians(25)))
        assert np.median(bright[sclera & (np.abs(below) < 1)]) < 0.7 * np.median(bright[sclera & (below > 4) & (below < 7)])


@pytest.mark.parametrize("index", [1, 5, 9, 13])
def test_hair_begins_in_the_colour_of_the_forehead(index):
    """Without a step, that is: its foremost vertices are as bright as the skin that they lie on."""
    head, look = load_head(index), load_look(index)
    shown, skin = look.vertices(head.template), slice(0, look.skin_count)
    hair = np.flatnonzero((look.regions == "hair") & (shown[:, 2] > 0.02) & (shown[:, 1] > 0.07) & (np.abs(shown[:, 0]) < 0.04))
    near = cKDTree(shown[skin]).query(shown[hair])[1]
    first = hair[np.argsort(shown[hair, 1])[:25]], near[np.argsort(shown[hair, 1])[:25]]
    apart = np.abs(look.colors[first[0]].astype(float) - look.colors[first[1]].astype(float)).mean(1)
    assert np.median(apart) < 22


def test_the_lower_teeth_are_darker_than_the_upper_ones(look):
    upper, lower = (look.colors[look.regions == f"teeth_{which}"].astype(float) for which in ("upper", "lower"))
    assert np.percentile(lower.mean(1), 90) < 0.9 * np.percentile(upper.mean(1), 90)


@pytest.mark.parametrize("index", [0, 3, 8])
def test_ear_lobes_are_round(index):
    """Seen from the front the outline rises outwards: the source's lobes end in a straight line."""
    head, look = load_head(index), load_look(index)
    shown = 1e3 * look.vertices(head.template)[look.regions == "ear_left"]
    bottom, outer = shown[:, 1].min(), shown[shown[:, 1] < shown[:, 1].min() + 9, 0].max()
    edge = shown[shown[:, 0] > outer - 1.0]
    assert edge[:, 1].min() > bottom + 2.5


@pytest.mark.parametrize("index", [0, 2, 3, 5, 9])
def test_no_triangle_of_hair_bridges_a_gap(index):
    """Combed hair is sewn from neighbouring paths; two that part ways would span a web between them."""
    head, look = load_head(index), load_look(index)
    shown = 1e3 * look.vertices(head.template)
    corners = shown[look.faces[(look.regions == "hair")[look.faces].all(1)]]
    assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).min(1).max() < 12, "the shortest edge of each, mm"


def test_age_deepens_lines_and_leaves_some_at_rest():
    young, old = load_head(5), load_head(6)  # 24 and 50
    deep = [folds(load_look(h.index), posed(h, browInnerUp=1, browOuterUp=1))["forehead_middle"] for h in (young, old)]
    assert deep[1] > 1.4 * deep[0] > 0.5
    assert folds(load_look(5), young.template)["nasolabial_left"] < 0.01 < 0.2 < folds(load_look(6), old.template)["nasolabial_left"]


def test_no_face_folds_alike_on_both_sides(head, look):
    creases, x = look.creases, look.vertices(head.template)[:, 0]
    deepest = lambda name, side: creases.shade[(creases.groups == creases.names.index(name)) & (side * x[creases.vertices] > 0)].max()
    assert deepest("frown", 1) > 1.1 * deepest("frown", -1) > 0.1
    assert deepest("nasolabial_left", 1) > 1.1 * deepest("nasolabial_right", -1) > 0.1


@pytest.mark.parametrize("index", [0, 8, 16])
def test_a_broad_smile_narrows_the_eyes_and_does_not_shut_them(index):
    head, look = load_head(index), load_look(index)
    middle = np.array([pairs[len(pairs) // 2] for pairs in head.lid_pairs]).astype(int)
    slit = lambda vertices: (vertices[middle[:, 0], 1] - vertices[middle[:, 1], 1]).mean()
    beaming = posed(head, mouthSmile=0.95, cheekSquint=0.75, eyeSquint=0.2)
    assert 0.4 < slit(look.settled(beaming)) / slit(head.template) < 0.75
    blinking = look.settled(posed(head, mouthSmile=0.95, cheekSquint=0.75, eyeSquint=0.2, eyeBlink=1))
    assert 1e3 * slit(blinking) < 0.5, "and it still blinks"


@pytest.mark.parametrize("index", [0, 9, 16])
def test_lids_that_would_overlap_meet(index):
    head, look = load_head(index), load_look(index)
    pairs = head.lid_pairs.reshape(-1, 2).astype(int)
    over = lambda vertices: 1e3 * (vertices[pairs[:, 1], 1] - vertices[pairs[:, 0], 1]).max()
    squeezed = posed(head, eyeBlink=1, mouthSmile=0.9, cheekSquint=0.75, eyeSquint=0.3)
    assert over(squeezed) > 4 and over(look.settled(squeezed)) < 1.0, "mm of overlap"
    assert np.abs(look.settled(head.template) - head.template).max() < 1e-4, "open lids stay where they are"


@pytest.mark.parametrize("index", [0, 9, 16])
def test_no_eye_shows_through_a_lid(index):
    """The skin round an eye that is squeezed stays in front of the eyeball."""
    head, look = load_head(index), load_look(index)
    squeezed = posed(head, noseSneer=1, browDown=0.6, eyeSquint=0.6, cheekSquint=0.55, mouthUpperUp=0.75)
    shown, rest = look.vertices(look.settled(squeezed)), look.vertices(head.template)
    for side, middle in zip(("left", "right"), head.eye_centers):
        radius = np.linalg.norm(rest[look.regions == f"eye_{side}"] - middle, axis=1).mean()
        clear = np.linalg.norm(rest - middle, axis=1) - radius
        lid = np.isin(look.regions, (f"eyelid_{side}", f"cheek_{side}")) & (clear > 0.3e-3) & (rest[:, 2] > middle[2] + 0.004)
        assert (1e3 * (np.linalg.norm(shown[lid] - middle, axis=1) - radius)).min() > 0


def test_other_meshes_are_refused(look):
    with pytest.raises(EmoFaceError, match="needs"):
        look.vertices(np.zeros((10, 3)))
    assert topology(load_head(0).faces) == read_arrays(FOLDER / "base.efl")["about"]["topology"]
