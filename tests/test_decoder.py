"""Full-prefix, cached and collapsed decoding agree; the window bounds what a step costs."""

import pytest
import torch

from emoface.decoder import BranchLoop, KeyValueCache, periodic_encoding, temporal_bias
from emoface.errors import Cancelled

from .tiny import tiny_model


def free_run_by_prefix(decoder, condition, cross, start):
    """The definition: run the whole prefix again for every frame, through the vertices."""
    offsets = start.unsqueeze(1)
    for t in range(cross.shape[1]):
        hidden = decoder(decoder.embed(offsets), condition, cross[:, : t + 1])
        offsets = torch.cat([offsets, decoder.offsets(hidden[:, -1:]).flatten(2)], dim=1)
    return offsets[:, 1:]


def free_run_by_step(decoder, condition, cross, start):
    rows, _, d = cross.shape
    cache = KeyValueCache(rows, decoder.heads, d // decoder.heads, period=decoder.period, window=decoder.window, like=cross)
    offsets, out = start, []
    for t in range(cross.shape[1]):
        hidden = decoder.step(decoder.embed(offsets), condition[:, 0], cross[:, t], cache)
        offsets = decoder.offsets(hidden).flatten(1)
        out.append(offsets)
    return torch.stack(out, dim=1)


def setting(frames, seed=0, **changes):
    model = tiny_model(seed, **changes)
    torch.manual_seed(seed + 1)
    content, emotion = torch.randn(2, frames, 48), torch.randn(2, frames, 48)
    style, level = torch.eye(2), torch.eye(2)
    return model, content, emotion, style, level


@torch.no_grad()
def test_three_forms_agree_over_three_windows():
    model, content, emotion, style, level = setting(100)
    start = torch.randn(model.config.vertex_count, 3) * 0.01
    parts = list(model.generate(content, emotion, style=style, level=level, initial_offset=start, chunk=37))
    for name, decoder, features, condition in (
        ("content", model.content_decoder, content, model.content_decoder.condition(style, None)),
        ("emotion", model.emotion_decoder, emotion, model.emotion_decoder.condition(style, level)),
    ):
        cross, first = decoder.cross(features), start.flatten().expand(2, -1)
        by_prefix = free_run_by_prefix(decoder, condition, cross, first)
        by_step = free_run_by_step(decoder, condition, cross, first)
        by_loop = torch.cat([getattr(p, name) for p in parts], 1).flatten(2)
        assert by_prefix.abs().mean() > 0.05
        assert torch.allclose(by_prefix, by_step, atol=1e-5)
        assert torch.allclose(by_prefix, by_loop, atol=1e-5)


@torch.no_grad()
def test_step_and_loop_agree_over_1500_frames():
    model, content, emotion, style, level = setting(1500, window=600)
    decoder = model.content_decoder
    loop = torch.cat([p.content for p in model.generate(content, emotion, style=style, level=level)], 1)
    condition = decoder.condition(style, None)
    step = free_run_by_step(decoder, condition, decoder.cross(content), torch.zeros(2, 3 * model.config.vertex_count))
    assert torch.allclose(step, loop.flatten(2), atol=1e-5)
    # Teacher forcing with the answer as history must give the answer back: the banded full-prefix form.
    history = torch.cat([torch.zeros_like(step[:, :1]), step[:, :-1]], 1)
    assert torch.allclose(decoder.offsets(decoder(decoder.embed(history), condition, decoder.cross(content))).flatten(2), step, atol=1e-5)


def test_full_prefix_and_steps_have_the_same_gradients():
    model, content, _, style, _ = setting(12)
    decoder = model.content_decoder.double()
    decoder.window = 5  # shorter than the clip, so that frames leave the window too
    condition, start = decoder.condition(style.double(), None), torch.zeros(2, 3 * model.config.vertex_count, dtype=torch.float64)
    gradients = []
    for run in (free_run_by_prefix, free_run_by_step):
        decoder.zero_grad()
        out = run(decoder, condition.detach(), decoder.cross(content.double()), start)
        out.square().mean().backward()
        gradients.append([p.grad.clone() for p in (decoder.qkv.weight, decoder.motion_in.weight, decoder.memory.weight)])
    for a, b in zip(*gradients):
        assert torch.allclose(a, b, atol=1e-8, rtol=1e-5)


@torch.no_grad()
def test_rows_do_not_see_each_other():
    model, content, emotion, style, level = setting(20)
    both = torch.cat([p.fused for p in model.generate(content, emotion, style=style, level=level)], 1)
    for row in range(2):
        one = slice(row, row + 1)
        alone = torch.cat([p.fused for p in model.generate(content[one], emotion[one], style=style[one], level=level[one])], 1)
        assert torch.allclose(both[one], alone, atol=1e-5)


def test_collapsed_feedback_is_out_then_in():
    decoder = tiny_model().content_decoder.double()
    weight, bias = decoder.collapsed_feedback()
    hidden = torch.randn(5, 32, dtype=torch.float64)
    through_vertices = decoder.embed(decoder.offsets(hidden).flatten(-2))
    assert torch.allclose(hidden @ weight.T + bias, through_vertices, atol=1e-10)


def test_temporal_bias_is_causal_periodic_and_windowed():
    bias = temporal_bias(90, 4, period=30, window=50)
    assert (bias[:, 5, 6:] == -torch.inf).all() and (bias[:, 80, :31] == -torch.inf).all()
    assert bias[0, 80, 80] == 0 and bias[0, 80, 51] == 0
    assert bias[0, 80, 50] == pytest.approx(-0.25) and bias[1, 80, 50] == pytest.approx(-1 / 16)


def test_periodic_encoding_repeats():
    code = periodic_encoding(7, 90, 32, period=30)
    assert torch.allclose(code[:30], code[30:60]) and torch.allclose(code[0], periodic_encoding(37, 1, 32, period=30)[0])


@torch.no_grad()
def test_memory_of_the_cache_does_not_grow():
    model, content, _, style, _ = setting(300)
    decoder = model.content_decoder
    loop = BranchLoop([decoder], torch.zeros(1, 2, 32), decoder.condition(style, None).squeeze(1).unsqueeze(0))
    sizes = set()
    for part in decoder.cross(content).split(50, dim=1):
        loop.run(part.unsqueeze(0))
        sizes.add(loop.cache._keys.numel())
    assert len(sizes) == 1


def test_cancel_stops_the_loop():
    model, content, emotion, style, level = setting(300)
    asked = []

    def cancel():
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        list(model.generate(content, emotion, style=style, level=level, cancel=cancel))
    assert len(asked) == 3
