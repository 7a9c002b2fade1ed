import numpy as np
import pytest

from emoface.errors import EmoFaceError
from emoface.head import load_head
from emoface.idle import add_idle, combine, idle_weights

HEAD = load_head(0)
COLUMN = {name: i for i, name in enumerate(HEAD.blendshape_names)}


def blink_starts(shut: np.ndarray) -> np.ndarray:
    return np.flatnonzero((shut[1:] > 0.5) & (shut[:-1] <= 0.5))


@pytest.mark.parametrize("fps", [25, 30, 60])
def test_blinks_are_as_frequent_and_as_long_as_peoples(fps):
    minutes = 10
    shut = idle_weights(int(minutes * 60 * fps), fps, seed=3)[:, COLUMN["eyeBlinkLeft"]]
    starts = blink_starts(shut)
    assert 12 <= len(starts) / minutes <= 20
    for start in starts:
        around = shut[max(start - fps // 2, 0) : start + fps // 2]
        assert around.max() == 1  # fully shut in at least one frame
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, shut > 0.01, 0].astype(int))))[::2] / fps
    assert 0.13 <= np.median(runs) <= 0.36
    first = starts[len(starts) // 2]
    closing = np.flatnonzero(shut[: first + 2] <= 0.01)[-1]
    opening = first + np.flatnonzero(shut[first:] <= 0.01)[0]
    peak = first + shut[first : first + fps // 3].argmax()
    assert peak - closing < opening - peak  # closes faster than it opens


def test_gaze_is_small_quick_and_moves_both_eyes_together():
    weights = idle_weights(3000, 30, seed=1)
    angles = np.degrees(np.tensordot(weights, HEAD.eye_angles, axes=(1, 0)))
    assert np.abs(angles).max() < 10 and np.abs(angles[:, :, 1]).max() > 2
    assert np.allclose(angles[:, 0], angles[:, 1], atol=1e-3)
    assert np.mean(np.linalg.norm(angles[:, 0], axis=1) < 1.5) > 0.5  # mostly at the viewer


def test_same_seed_same_motion():
    assert np.array_equal(idle_weights(400, 30, seed=5), idle_weights(400, 30, seed=5))
    assert not np.array_equal(idle_weights(400, 30, seed=5), idle_weights(400, 30, seed=6))
    assert idle_weights(0, 30).shape == (0, 52)
    assert (idle_weights(300, 30, blinks_per_minute=0)[:, COLUMN["eyeBlinkLeft"]] == 0).all()


def test_blinks_prefer_pauses():
    talking = np.tile(np.repeat([1.0, 0.0], 60), 150)
    starts = blink_starts(idle_weights(len(talking), 30, seed=0, speech=talking)[:, COLUMN["eyeBlinkLeft"]])
    assert np.mean(talking[starts] == 0) > 0.6


def test_a_blink_never_overcloses_the_lids():
    face = np.zeros((200, 52), np.float32)
    for name, weight in (("eyeBlink", 0.5), ("eyeSquint", 0.8), ("eyeWide", 0.3), ("eyeLookDown", 0.5)):
        for side in ("Left", "Right"):
            face[:, COLUMN[name + side]] = weight
    idle = idle_weights(200, 30, seed=2)
    both = combine(face, idle)
    assert both.min() >= 0 and both.max() <= 1
    shut = idle[:, COLUMN["eyeBlinkLeft"]] == 1
    assert shut.any() and (both[shut, COLUMN["eyeBlinkLeft"]] == 1).all()
    assert (both[shut, COLUMN["eyeSquintLeft"]] == 0).all()

    offsets = HEAD.pose(face)[:, : HEAD.skin_count] - HEAD.skin_template
    moved, weights = add_idle(offsets, face, idle)
    assert np.allclose(moved, HEAD.pose(weights)[:, : HEAD.skin_count] - HEAD.skin_template, atol=1e-6)
    upper, lower = HEAD.lid_pairs[0].T
    gap = (HEAD.skin_template + moved)[:, upper, 1] - (HEAD.skin_template + moved)[:, lower, 1]
    assert gap.min() > -1.7e-3  # a lone blink overlaps by 1.2 mm


def test_errors_are_plain():
    with pytest.raises(EmoFaceError):
        idle_weights(-1, 30)
    with pytest.raises(EmoFaceError):
        idle_weights(10, 0)
    with pytest.raises(EmoFaceError):
        idle_weights(10, 30, speech=np.zeros(9))
    with pytest.raises(EmoFaceError):
        combine(np.zeros((3, 52)), np.zeros((4, 52)))
