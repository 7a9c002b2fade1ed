"""Full-prefix, cached and collapsed decoding agree; the window bounds what a step costs."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

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


def free_run_on_two_frames(decoder, condition, cross, start):
    """The definition with the mean of the last two frames fed back."""
    offsets = torch.stack([start, start], dim=1)
    for t in range(cross.shape[1]):
        past = torch.stack([offsets[:, k : k + 2].mean(1) for k in range(t + 1)], dim=1)
        hidden = decoder(decoder.embed(past), condition, cross[:, : t + 1])
        offsets = torch.cat([offsets, decoder.offsets(hidden[:, -1:]).flatten(2)], dim=1)
    return offsets[:, 2:]


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
        by_loop = torch.cat([part.offsets(name) for part in parts], 1).flatten(2)
        assert by_prefix.abs().mean() > 0.05
        assert torch.allclose(by_prefix, by_step, atol=1e-5)
        assert torch.allclose(by_prefix, by_loop, atol=1e-5)


@torch.no_grad()
def test_three_forms_agree_over_1500_frames():
    """Frames leave the window of 600 twice. Running the prefix again for 1500 frames would take minutes; instead the full-prefix
    form reads the answer as its history and must give the answer back, which only its own free run does (it is causal)."""
    model, content, emotion, style, level = setting(1500, window=600)
    parts = list(model.generate(content, emotion, style=style, level=level))
    for name, decoder, features, condition in (
        ("content", model.content_decoder, content, model.content_decoder.condition(style, None)),
        ("emotion", model.emotion_decoder, emotion, model.emotion_decoder.condition(style, level)),
    ):
        cross = decoder.cross(features)
        by_loop = torch.cat([part.offsets(name) for part in parts], 1).flatten(2)
        by_step = free_run_by_step(decoder, condition, cross, torch.zeros_like(by_loop[:, 0]))
        history = torch.cat([torch.zeros_like(by_step[:, :1]), by_step[:, :-1]], 1)
        by_prefix = decoder.offsets(decoder(decoder.embed(history), condition, cross)).flatten(2)
        assert by_step.abs().mean() > 0.05
        assert torch.allclose(by_step, by_loop, atol=1e-5)
        assert torch.allclose(by_step, by_prefix, atol=1e-5)


def test_full_prefix_and_steps_have_the_same_gradients_over_1500_frames():
    """On a given history, as in training: every parameter's gradient and those of what is heard and fed back."""
    model, content, _, style, level = setting(1500, window=600)
    decoder, content, style, level = model.emotion_decoder.double(), content[:1].double(), style[:1].double(), level[:1].double()
    history = torch.randn(1, 1500, 3 * model.config.vertex_count, dtype=torch.float64) * 0.1

    def steps(motion, condition, cross):
        cache = KeyValueCache(1, decoder.heads, 32 // decoder.heads, period=decoder.period, window=decoder.window, like=cross)
        return torch.stack([decoder.step(motion[:, t], condition[:, 0], cross[:, t], cache) for t in range(1500)], dim=1)

    results = []
    for run in (decoder, steps):
        heard, fed = content.clone().requires_grad_(), history.clone().requires_grad_()
        decoder.zero_grad()
        out = decoder.offsets(run(decoder.embed(fed), decoder.condition(style, level), decoder.cross(heard)))
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        gradients = {name: p.grad.clone() for name, p in decoder.named_parameters()}
        results.append({"answer": out.detach(), "heard": heard.grad, "fed": fed.grad, **gradients})
    for name, value in results[0].items():
        scale = value.abs().max()
        assert scale > 0 and torch.allclose(value / scale, results[1][name] / scale, atol=1e-8), name


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
    both = torch.cat([p.fused_offsets for p in model.generate(content, emotion, style=style, level=level)], 1)
    for row in range(2):
        one = slice(row, row + 1)
        alone = torch.cat([p.fused_offsets for p in model.generate(content[one], emotion[one], style=style[one], level=level[one])], 1)
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
def test_two_frames_fed_back_are_their_mean():
    model, content, _, style, _ = setting(40, feedback_frames=2)
    decoder = model.content_decoder
    torch.nn.init.normal_(decoder.motion_out.weight, std=0.3)
    condition, cross = decoder.condition(style, None), decoder.cross(content)
    start = torch.zeros(2, decoder.motion_in.in_features)
    expected = free_run_on_two_frames(decoder, condition, cross, start)
    loop = BranchLoop([decoder], decoder.embed(start).unsqueeze(0), condition.squeeze(1).unsqueeze(0))
    pieces = torch.cat([loop.run(part.unsqueeze(0)) for part in cross.split([1, 13, 26], dim=1)], dim=2)[0]
    assert torch.allclose(decoder.offsets(pieces).flatten(2), expected, atol=1e-3)
    # Training's parallel pass over that very motion sees the same past.
    history = decoder.history(decoder.embed(expected), decoder.embed(start[:1, None]))
    assert torch.allclose(decoder.offsets(decoder(history, condition, cross)).flatten(2), expected, atol=1e-3)
    assert not torch.allclose(free_run_by_prefix(decoder, condition, cross, start), expected, atol=1e-2, rtol=1e-2)


@torch.no_grad()
def test_a_tremor_of_two_frames_is_not_fed_back():
    decoder = setting(4, feedback_frames=2)[0].content_decoder
    still = torch.randn(1, 1, 32)
    tremor = still + torch.tensor([1.0, -1.0] * 10)[None, :, None] * torch.randn(1, 1, 32)
    assert torch.allclose(decoder.history(tremor, still)[:, 2:], still, atol=1e-6)


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


def fixed_loop(model, style, level):
    """The loop with the cache that a GPU's recorded step needs, and the ordinary one."""
    loop = model.branch_loop(style=style, level=level)
    return BranchLoop([model.content_decoder, model.emotion_decoder], loop.motion, loop.conditions, fixed=True), loop


@torch.no_grad()
def test_fixed_window_equals_the_growing_one():
    """Over 1500 frames in uneven pieces: before the window is full, while it turns over, and after."""
    model, content, emotion, style, level = setting(1500, window=600)
    cross = torch.stack([model.content_decoder.cross(content), model.emotion_decoder.cross(emotion)])
    fixed, ordinary = fixed_loop(model, style, level)
    pieces = torch.cat([fixed.run(part) for part in cross.split([1, 7, 592, 601, 299], dim=2)], dim=2)
    assert torch.allclose(pieces, ordinary.run(cross), atol=1e-5)


class Recording(TorchDispatchMode):
    """What a CUDA graph is, on the CPU: the operations of one step, to be repeated on the very same tensors."""

    def __init__(self, step, *inputs):
        super().__init__()
        self.inputs, self.operations = inputs, []
        with self:
            self.output = step(*inputs)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, result))
        return result

    def __call__(self, *inputs):
        for own, given in zip(self.inputs, inputs):
            own.copy_(given)
        now = {}
        current = lambda value: now.get(id(value), value)
        for function, args, kwargs, result in self.operations:
            again = function(*tree_map(current, args), **tree_map(current, kwargs))
            now.update(zip(map(id, tree_leaves(result)), tree_leaves(again)))
        return now[id(self.output)]


@torch.no_grad()
def test_recorded_step_is_the_loop():
    """Only the operations of one frame run, for all frames: anything Python had decided in that one would be wrong in the next."""
    model, content, emotion, style, level = setting(100)  # window 40
    cross = torch.stack([model.content_decoder.cross(content), model.emotion_decoder.cross(emotion)])
    fixed, ordinary = fixed_loop(model, style, level)
    state = (fixed.motion, *fixed.cache.state)
    before, places = [tensor.clone() for tensor in state], [tensor.data_ptr() for tensor in state]
    fixed._recorded = Recording(fixed.step, cross[:, :, 0].clone(), cross[:, :, 0].clone())
    for tensor, value in zip(state, before):
        tensor.copy_(value)
    fixed.step = None  # nothing but the recording may run
    assert torch.allclose(fixed.run(cross), ordinary.run(cross), atol=1e-5)
    assert places == [tensor.data_ptr() for tensor in (fixed.motion, *fixed.cache.state)]


@torch.no_grad()
def test_recorded_step_never_looks_at_a_value():
    """On tensors without values, reading one back fails: it would also stop the recording of a CUDA graph."""
    model, content, emotion, style, level = setting(1)
    fixed, _ = fixed_loop(model.to("meta"), style.to("meta"), level.to("meta"))
    assert fixed.step(fixed.motion, fixed.motion).shape == (2, 2, 32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@torch.no_grad()
def test_loop_on_the_gpu_equals_the_cpu():
    model, content, emotion, style, level = setting(1500, window=600)
    cross = torch.stack([model.content_decoder.cross(content), model.emotion_decoder.cross(emotion)])
    expected = model.branch_loop(style=style, level=level).run(cross)
    loop = model.cuda().branch_loop(style=style.cuda(), level=level.cuda())
    pieces = torch.cat([loop.run(part) for part in cross.cuda().split([1, 700, 799], dim=2)], dim=2)
    assert loop._recorded is not None and torch.allclose(pieces.cpu(), expected, atol=1e-4)


def test_cancel_stops_the_loop():
    model, content, emotion, style, level = setting(300)
    asked = []

    def cancel():
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        list(model.generate(content, emotion, style=style, level=level, cancel=cancel))
    assert len(asked) == 3
