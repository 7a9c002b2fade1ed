"""The look: fresh, linear in the head's own vertices, closed where lips and lids close, small."""

import zlib

import numpy as np
import pytest

from emoface.errors import EmoFaceError
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
        "head.npz has changed: build the look again with `python -m train.head.look`")


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
    assert 13_000 < look.skin_count < 18_000
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
    assert (painted[look.skin_count:] == look.colors[look.skin_count:]).all()


def test_other_meshes_are_refused(look):
    with pytest.raises(EmoFaceError, match="needs"):
        look.vertices(np.zeros((10, 3)))
    assert topology(load_head(0).faces) == read_arrays(FOLDER / "base.efl")["about"]["topology"]
