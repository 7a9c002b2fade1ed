"""The bound on torn skin, against a naive loop, and in shown faces."""

import numpy as np
import pytest

from emoface.head import fit_blendshapes, load_head
from emoface.pipeline import EmoFacePipeline
from emoface.skin import LIMIT, SkinBound


@pytest.fixture(scope="module")
def head():
    return load_head(0)


def standing_out_slowly(head, offsets, weights):
    """(T, S) metres, vertex by vertex."""
    neighbours = [set() for _ in range(head.skin_count)]
    for a, b, c in head.skin_faces:
        for one, other in ((a, b), (b, c), (c, a)):
            neighbours[one].add(other), neighbours[other].add(one)
    left = offsets - np.einsum("tk,kvc->tvc", weights, head.blendshapes)
    return np.array([[np.linalg.norm(frame[v] - frame[list(near)].mean(0)) if near else 0.0 for v, near in enumerate(neighbours)] for frame in left])


def test_a_vertex_left_behind_comes_back_and_the_rest_stays(head):
    weights = np.zeros((300, 52), np.float32)  # more than one block of frames
    weights[:, head.blendshape_names.index("mouthSmileLeft")] = 0.8
    posed = (weights @ head.blendshapes.reshape(52, -1)).reshape(300, -1, 3)
    offsets, vertex = posed.copy(), head.lip_rings[1, 9]
    offsets[290, vertex] += [0, 0.004, 0]
    bound = SkinBound(head)(offsets, weights)
    assert bound is offsets
    assert standing_out_slowly(head, offsets[290:291], weights[290:291]).max() < 1.05 * LIMIT
    np.testing.assert_array_equal(np.delete(offsets, 290, axis=0), np.delete(posed, 290, axis=0))
    left = np.linalg.norm(offsets[290] - posed[290], axis=1)
    assert left[vertex] < 1.2 * LIMIT and np.delete(left, vertex).max() < LIMIT / 4


def test_a_pose_of_shapes_is_not_torn_however_sharp(head):
    weights = np.random.default_rng(0).random((4, 52)).astype(np.float32)
    offsets = (weights @ head.blendshapes.reshape(52, -1)).reshape(4, -1, 3)
    np.testing.assert_array_equal(SkinBound(head)(offsets.copy(), weights), offsets)


@pytest.mark.parametrize("emotion", ["happy", "fearful"])
def test_no_frame_of_a_strong_face_is_torn(head, emotion):
    """Without the bound up to 1.2 mm, inside the mouth."""
    animation = EmoFacePipeline.from_pretrained()("assets/examples/angry.wav", emotion=emotion, level="strong")
    offsets = animation.vertices[:, : head.skin_count] - head.skin_template
    assert 1e3 * standing_out_slowly(head, offsets[::3], fit_blendshapes(offsets, head=head)[::3]).max() < 0.95
