"""Measures of what a face shows, on motion whose answer is known."""

import numpy as np
import pytest

from emoface.head import load_head
from train.corpus.channels import COUNT, columns, vector
from train.corpus.emotion import PROTOTYPES
from train.evaluation.face import Face
from train.evaluation.showing import GROUPS, ShownFace, gain, gain_rows, level_rows, life_rows


@pytest.fixture(scope="module")
def face() -> ShownFace:
    return ShownFace(Face())


def expression(frames: int = 12, **weights: float) -> np.ndarray:
    out = np.zeros((frames, COUNT), np.float32)
    for name, value in weights.items():
        out[:, columns(name)] = value
    return out


def test_a_vertex_off_its_neighbours_is_torn_skin(face):
    offsets = face.face.offsets(expression(mouthSmile=0.7, jawOpen=0.2))
    assert face.of_offsets(offsets).torn_mm.max() < 0.2
    torn = offsets.copy()
    torn[5, load_head(0).lip_rings[1, 9]] += [0, 0.003, 0]
    shown = face.of_offsets(torn)
    assert 2.0 < shown.torn_mm[5] < 3.5 and np.delete(shown.torn_mm, 5).max() < 0.3


def test_a_perfect_animation_has_a_gain_of_one_in_every_group(face):
    """Through lips that are parted, as the pipeline parts them: read as they are, some of the frown would be missing."""
    head, weights = face.face.head, np.tile(vector({**PROTOTYPES["sad"], "jawOpen": 0}), (3, 1))
    parted = head.contact.resolve((head.skin_template + face.face.offsets(weights)).astype(np.float32), weights.astype(np.float32))
    shown = face.of_offsets(parted - head.skin_template).weights
    gains = gain(shown, face.readable(weights))
    assert {"frown", "stretch", "inner brows"} & set(gains) and all(value == pytest.approx(1, abs=0.02) for value in gains.values())
    assert abs(gain(shown, weights)["stretch"] - 1) > 0.1


def test_gain_is_the_share_of_the_target_that_is_shown(face):
    target = expression(browInnerUp=0.8, mouthFrown=0.6)
    gains = gain(face.of_weights(0.5 * target).weights, target)
    assert set(gains) == {"inner brows", "frown"}
    assert gains["inner brows"] == pytest.approx(0.5, abs=0.1) and gains["frown"] == pytest.approx(0.5, abs=0.1)
    rows = gain_rows("model", "modelled", {("sad", 1): [(face.of_weights(0.5 * target), target)]})
    assert rows[0].data == "sad, strong" and rows[0].estimate.value == pytest.approx(0.5, abs=0.1)
    assert "frown" in rows[1].data + rows[2].data and set(GROUPS) > set(gains)


def test_width_and_brows_are_read_in_millimetres(face):
    head = load_head(0)
    shown = face.of_weights(expression(mouthStretch=0.5))
    right, left = head.lip_corners
    stretch = columns("mouthStretch")
    wider = 0.5 * 1e3 * (head.blendshapes[stretch][:, left, 0] - head.blendshapes[stretch][:, right, 0]).sum()
    assert shown.width_mm == pytest.approx(np.full(12, wider), abs=0.05)
    assert face.of_weights(expression(browInnerUp=1.0, browOuterUp=1.0)).brow_mm.min() > 2
    assert face.of_weights(expression(browDown=1.0)).brow_mm.max() < -1


def test_levels_and_pairs(face):
    of = {
        ("angry", 0): expression(browDown=0.5),
        ("angry", 1): expression(browDown=1.0),
        ("happy", 1): expression(cheekSquint=0.6),
        ("sad", 1): expression(browInnerUp=1.0),
    }
    rows = level_rows("model", {key: [face.of_weights(weights)] for key, weights in of.items()})
    ratio = next(row for row in rows if row.measure == "level_ratio")
    assert ratio.data == "angry" and ratio.estimate.value == pytest.approx(2.0, abs=0.01)
    assert next(row for row in rows if row.measure == "closest_pair").estimate.value > 0.2


def test_brows_that_follow_the_voice_do_so_only_forwards(face):
    accent = np.clip(np.sin(np.arange(60) ** 1.3 / 20), 0, 1)
    weights = expression(60)
    weights[:, columns("browInnerUp", "browOuterUp")] = 0.5 * accent[:, None]
    rows = {
        row.who: row.estimate.value
        for row in life_rows("x", "modelled", "m", [face.of_weights(weights)], [np.ones(60, bool)], [accent])
        if row.measure == "brow_accent_r"
    }
    assert rows["m"] > 0.98 and rows["m, reversed in time"] < 0.7
