"""SpiralConv3D against a naive loop, its separable form, and what Mesh Attention must be able to say."""

import pytest
import torch

from emoface.mesh_attention import MeshAttention, SpiralConv3D

from .tiny import tiny_model


def naive(conv: SpiralConv3D, x: torch.Tensor, spirals: torch.Tensor) -> torch.Tensor:
    b, t, v, _ = x.shape
    out = conv.bias.expand(b, t, v, -1).clone()
    for frame in range(t):
        for vertex in range(v):
            for j in range(conv.length):
                for d in range(conv.window):
                    if frame - d >= 0:
                        out[:, frame, vertex] = out[:, frame, vertex] + x[:, frame - d, spirals[vertex, j]] @ conv.weight[j, d]
    return out


@pytest.fixture
def setting():
    torch.manual_seed(0)
    spirals = torch.randint(0, 6, (6, 3))
    spirals[:, 0] = torch.arange(6)
    return SpiralConv3D(2, 4, length=3, window=3).double(), spirals


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_general_equals_naive_forward_and_backward(setting, frames):
    conv, spirals = setting
    x = torch.randn(2, frames, 6, 2, dtype=torch.float64, requires_grad=True)
    results = []
    for form in (lambda: conv(x, spirals), lambda: naive(conv, x, spirals)):
        out = form()
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        results.append((out.detach(), x.grad.clone(), conv.weight.grad.clone()))
        x.grad = conv.weight.grad = None
    for a, b in zip(*results):
        assert torch.allclose(a, b, atol=1e-10)


def test_gradcheck(setting):
    conv, spirals = setting
    x = torch.randn(1, 4, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: torch.func.functional_call(conv, {"weight": w}, (x, spirals)), (x, conv.weight))


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_separable_form_is_exact_including_padded_frames(setting, frames):
    conv, spirals = setting
    a = torch.randn(2, frames, 2, dtype=torch.float64, requires_grad=True)
    e = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    general = conv(a.unsqueeze(2) + e, spirals)
    separable = conv.separable(a, e, spirals)
    assert torch.allclose(general, separable, atol=1e-10)
    seed = torch.randn_like(general)
    for x, y in zip(torch.autograd.grad(general, (a, e), seed), torch.autograd.grad(separable, (a, e), seed)):
        assert torch.allclose(x, y, atol=1e-10)


def test_window_of_one_is_the_ordinary_spiral_convolution(setting):
    _, spirals = setting
    conv = SpiralConv3D(2, 4, length=3, window=1).double()
    x = torch.randn(1, 5, 6, 2, dtype=torch.float64)
    gathered = x[:, :, spirals].flatten(3) @ conv.weight[:, 0].flatten(0, 1) + conv.bias
    assert torch.allclose(conv(x, spirals), gathered, atol=1e-10)


@pytest.mark.parametrize("second", ["pointwise", "spiral"])
def test_second_layer_answers_where_when_and_for_which_emotion(second):
    """Without it the logits are A(t) + B(v); with it a good part of them is neither."""
    model = tiny_model(second_layer=second)
    torch.manual_seed(1)
    features = torch.randn(1, 30, 48) * 3, torch.randn(1, 30, 48) * 3

    def non_additive_share(model):
        w = model.mesh_attention(*features, model.spirals).logit()[0, 8:].detach()
        rest = w - w.mean(0, keepdim=True) - w.mean(1, keepdim=True) + w.mean()
        return (rest.square().mean() / (w - w.mean()).square().mean()).item()

    assert non_additive_share(model) > 0.01
    assert non_additive_share(tiny_model(fusion_layers=1)) < 1e-6


@pytest.mark.parametrize("second", ["pointwise", "spiral"])
def test_weights_are_the_emotion_branch_of_a_two_way_softmax(second):
    """Against the definition: both layers on ``a(t) + e(v)``, and a softmax of their logit against the content branch's 0."""
    model = tiny_model(second_layer=second)
    attention, spirals = model.mesh_attention, model.spirals
    features = torch.randn(1, 12, 48), torch.randn(1, 12, 48)
    hidden = attention.first(attention.audio(*features).unsqueeze(2) + attention.vertex_embedding, spirals).relu()
    logit = (attention.second(hidden, spirals) if second == "spiral" else attention.second(hidden)).squeeze(-1)
    expected = torch.stack([logit, torch.zeros_like(logit)]).softmax(0)[0]
    w = attention(*features, spirals)
    assert w.shape == (1, 12, model.config.vertex_count) and torch.allclose(w, expected, atol=1e-5)


def test_any_rows_of_vertices_can_be_asked_for():
    model = tiny_model()
    features = torch.randn(2, 9, 48), torch.randn(2, 9, 48)
    rows = torch.tensor([5, 0, 33])
    everything = model.mesh_attention(*features, model.spirals)
    some = model.mesh_attention(*features, model.spirals[rows])
    assert torch.allclose(everything[..., rows], some, atol=1e-6)


def test_chunks_equal_one_piece():
    torch.manual_seed(0)
    attention = MeshAttention(vertex_count=20, feature_size=16, fusion_size=4, length=3, window=5, layers=2, second_layer="pointwise").eval()
    spirals = torch.randint(0, 20, (20, 3))
    time, vertex = attention.time_term(torch.randn(1, 17, 16), torch.randn(1, 17, 16)), attention.vertex_term(spirals)
    whole = attention.weights(time, vertex, spirals)
    with torch.no_grad():  # takes the channel-by-channel form where it can
        parts = [attention.weights(time[:, a : a + 6], vertex, spirals, start=a) for a in range(0, 17, 6)]
    assert torch.allclose(whole, torch.cat(parts, 1), atol=1e-6)
