"""The vertices of a training step: patches, and the operators that belong to them."""

import numpy as np
import torch

from emoface.head import load_head
from emoface.low_pass import LowPass
from emoface.neighbours import neighbour_mean
from train import losses
from train.drawing import VertexSampler


def head_sampler(**settings) -> VertexSampler:
    head = load_head(0)
    pairs = losses.LipPairs(*(torch.from_numpy(p.astype(np.int64)) for p in (head.lip_pairs, head.lip_line)))
    return VertexSampler(head.skin_faces, head.skin_count, sample=200, seed=1, pairs=pairs, corners=head.lip_corners, **settings)


def test_lip_pairs_and_corners_are_always_there_and_a_step_repeats_itself():
    sampler, head = head_sampler(), load_head(0)
    drawn = sampler.draw(7)
    assert torch.equal(drawn.vertices[drawn.pairs.line], torch.from_numpy(head.lip_line))
    assert tuple(drawn.vertices[drawn.corners].tolist()) == head.lip_corners
    assert torch.equal(drawn.vertices, sampler.draw(7).vertices) and not torch.equal(drawn.vertices, sampler.draw(8).vertices)


def test_patches_are_drawn_with_their_neighbours():
    drawn, head = head_sampler().draw(3), load_head(0)
    mean = neighbour_mean(head.skin_faces, head.skin_count)
    chosen = drawn.vertices.numpy()
    whole = np.asarray(mean[chosen][:, chosen].sum(1)).ravel() > 0.999  # all neighbours were drawn too
    assert whole.mean() > 0.3
    values = np.random.default_rng(0).standard_normal(head.skin_count)
    expected = (values - mean @ values)[chosen]
    found = drawn.laplacian.numpy() @ values[chosen]
    assert np.allclose(found[whole], expected[whole], atol=1e-5)


def test_smoothing_of_a_patch_is_that_of_the_mesh_in_its_middle():
    head = load_head(0)
    sampler = head_sampler(smoothing=1)
    drawn = sampler.draw(3)
    weight = torch.rand(2, head.skin_count)
    mean = neighbour_mean(head.skin_faces, head.skin_count)
    chosen = drawn.vertices.numpy()
    whole = torch.from_numpy(np.asarray(mean[chosen][:, chosen].sum(1)).ravel() > 0.999)
    expected = LowPass(head.skin_faces, head.skin_count, steps=1)(weight)[:, drawn.vertices]
    found = weight[:, drawn.vertices] @ drawn.smoothing.T
    assert torch.allclose(found[:, whole], expected[:, whole], atol=1e-5)
    assert torch.allclose(torch.ones(1, len(chosen)) @ drawn.smoothing.T, torch.ones(1, len(chosen)), atol=1e-5)


def test_weights_are_read_back_from_the_drawn_vertices():
    head = load_head(0)
    basis = torch.tensor(head.blendshapes)
    readable = [not n.startswith("eyeLook") and n != "tongueOut" for n in head.blendshape_names]
    skin = np.flatnonzero(head.mask("visible_skin")[: head.skin_count])
    drawn = head_sampler(basis=basis, visible=head.mask("visible_skin")[: head.skin_count], fixed=skin[::4]).draw(5)
    weights = torch.rand(3, 52) * torch.tensor(readable)
    offsets = torch.einsum("tk,ksx->tsx", weights, basis)[:, drawn.vertices]
    error = (offsets.flatten(1) @ drawn.reading.T - weights)[:, readable].abs()
    assert error.mean() < 0.05 and error.max() < 0.4  # the ridge shrinks shapes that look alike
