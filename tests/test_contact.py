"""Lips, teeth and tongue do not pass through one another in what is shown."""

import numpy as np
import pytest

from emoface.head import load_head
from emoface.neighbours import neighbour_mean
from train.head.penetration import deepest, expression_poses, mouth_pairs, single_poses
from train.head.poses import pose_weights

POSES = single_poses(load_head(0).blendshape_names) | expression_poses()
SOME = (  # those that collide most in the raw shapes, and plain ones
    "mouthPressLeft",
    "mouthRollLower",
    "mouthShrugLower",
    "mouthFunnel",
    "mouthSmileLeft",
    "mouthLeft",
    "jawForward",
    "tongueOut",
    "happy, jaw 0.0",
    "happy, jaw 0.3",
    "sad, jaw 0.0",
    "angry, jaw 0.0",
    "disgust, jaw 0.2",
    "surprised, jaw 0.5",
    "neutral, jaw 0.5",
)


def weights(*poses: dict) -> np.ndarray:
    return np.stack([pose_weights(pose, load_head(0).blendshape_names) for pose in poses])


@pytest.mark.parametrize("index", [0, 3, 16])
def test_nothing_in_the_mouth_passes_through_anything_else(index):
    head = load_head(index)
    found = deepest(head, mouth_pairs(head), weights(*(POSES[name] for name in SOME)))
    for name, (depth, row) in found.items():
        assert depth < 0.5, (name, SOME[row])


def test_the_measure_sees_what_passes_through():
    head = load_head(0)
    w = weights({"mouthPress": 1}, {"mouthSmile": 1, "mouthRollUpper": 0.5})
    raw = head.pose(w)
    pairs = mouth_pairs(head)
    assert max(pairs["upper lip in lower"].depth_mm(raw[0]), pairs["lower lip in upper"].depth_mm(raw[0])) > 1
    assert pairs["upper teeth in lips"].depth_mm(raw[1]) > 1


def test_contact_is_continuous_frame_by_frame_and_silent_where_nothing_touches():
    head = load_head(0)
    steps = np.linspace(0, 1, 101, dtype=np.float32)[:, None]
    w = steps * weights({"mouthPress": 1, "mouthRollUpper": 0.3, "jawOpen": 0.2})
    skin = head.pose(w)[:, : head.skin_count]
    shown = head.contact.resolve(skin, w)
    correction = 1e3 * (shown - skin)
    assert np.abs(correction[-1]).max() > 0.6
    assert np.linalg.norm(np.diff(correction, axis=0), axis=2).max() < 0.25  # millimetres per hundredth of a weight
    assert np.allclose(head.contact.resolve(skin[70:71], w[70:71]), shown[70:71], atol=1e-7)
    open_wide = weights({"jawOpen": 0.3})
    bare = head.pose(open_wide)[:, : head.skin_count]
    lips = head.lip_rings[:3].ravel()
    assert np.abs(head.contact.resolve(bare, open_wide) - bare)[:, lips].max() < 5e-4


def test_contact_does_not_tear_the_skin():
    """The lining of the resting mouth lay in the teeth and sprang 5 mm as soon as anything moved; pushes ended at the next vertex."""
    head = load_head(0)
    mean = neighbour_mean(head.skin_faces, head.skin_count)
    w = weights(
        {"jawOpen": 0.3},
        {"mouthSmile": 0.95, "cheekSquint": 0.75, "mouthUpperUp": 0.3, "mouthLowerDown": 0.2, "jawOpen": 0.1},
        {"mouthPress": 0.6, "mouthFrown": 0.4},
    )
    offsets = (w @ head.blendshapes.reshape(52, -1)).reshape(len(w), -1, 3)
    push = 1e3 * (head.assemble(offsets, w)[:, : head.skin_count] - head.skin_template - offsets)
    for frame in push:
        assert np.linalg.norm(frame - mean @ frame, axis=1).max() < 0.9
    still = 1e3 * (head.assemble(0 * offsets[:1], 0 * w[:1])[0, : head.skin_count] - head.skin_template)
    assert np.abs(still).max() < 0.5
