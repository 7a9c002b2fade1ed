"""The low-pass filter over the mesh, and what it is for: skin without tears around a talking mouth."""

import numpy as np
import pytest
import torch

from emoface.head import fit_blendshapes, load_head
from emoface.low_pass import LowPass
from emoface.neighbours import neighbour_mean
from emoface.pipeline import EmoFacePipeline

TWO_TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])


def test_against_a_naive_loop():
    neighbours = {0: [1, 2, 3], 1: [0, 2], 2: [0, 1, 3], 3: [0, 2], 4: [4]}  # vertex 4 has none
    values = torch.rand(2, 3, 5)
    expected = values.clone()
    for _ in range(3):
        expected = torch.stack([(expected[..., v] + expected[..., near].mean(-1)) / 2 for v, near in neighbours.items()], -1)
    assert torch.allclose(LowPass(TWO_TRIANGLES, 5, steps=3)(values), expected, atol=1e-6)


def test_weights_stay_weights_and_gradients_flow():
    values = torch.rand(4, 5, dtype=torch.float64, requires_grad=True)
    smooth = LowPass(TWO_TRIANGLES, 5, steps=4)
    assert torch.allclose(smooth(torch.ones(1, 5)), torch.ones(1, 5))
    assert smooth(values).min() >= values.min() and smooth(values).max() <= values.max()
    assert torch.autograd.gradcheck(smooth, values)
    assert torch.equal(LowPass(TWO_TRIANGLES, 5, steps=0)(values), values)


def residual_mm(offsets: np.ndarray) -> np.ndarray:
    """(T, S) distance of a vertex's residual from its neighbours' mean; the residual is what no smooth ARKit pose explains."""
    head = load_head(0)
    posed = (fit_blendshapes(offsets, head=head) @ head.blendshapes.reshape(52, -1)).reshape(offsets.shape)
    left = 1e3 * (offsets - posed)
    mean = neighbour_mean(head.skin_faces, head.skin_count)
    return np.array([np.linalg.norm(frame - mean @ frame, axis=1) for frame in left])


@pytest.mark.parametrize("emotion", ["happy", "angry"])
def test_skin_around_the_mouth_does_not_tear(emotion):
    """Without smoothing 68 % of such frames are torn by more than a millimetre, up to 10 mm."""
    animation = EmoFacePipeline.from_pretrained()("assets/examples/happy.wav", emotion=emotion, level="strong")
    head = load_head(0)
    torn = residual_mm(animation.vertices[:, : head.skin_count] - head.skin_template)
    seen = head.mask("visible_skin")[: head.skin_count]
    assert torn[:, seen].max() < 1.0 and torn.max() < 1.2, (torn[:, seen].max(), torn.max())  # the largest ones are inside the mouth


def test_frames_of_a_stream_go_through_scipy_to_the_same_numbers():
    smooth, values = LowPass(TWO_TRIANGLES, 5, steps=4), torch.rand(2, 3, 5)
    torch.testing.assert_close(smooth(values), smooth(values.clone().requires_grad_()).detach())
