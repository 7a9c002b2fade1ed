"""Every baseline: shapes, the template at the start, learning by heart; and the equalities that their fast forms rest on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from emoface.head import load_head
from train.baselines import METHODS, DataShape
from train.baselines.codetalker import MotionCodebook
from train.baselines.common import DiagonalDecoder, free_run
from train.baselines.faceformer import FaceFormer
from train.baselines.letters import ALPHABET, spell
from train.baselines.meshtalk import Guess
from train.baselines.trainer import fit
from train.data import Batch
from train.motion import BasisMotion, DenseMotion

B, T, L, C, STYLES, S = 2, 8, 2, 8, 3, 20
TINY = {
    "voca": dict(channels=(8, 8, 8, 8), dense=16, components=6),
    "meshtalk": dict(heads=4, categories=8, hidden=16),
    "faceformer": dict(hidden=16),
    "codetalker": dict(hidden=16, layers=1, tokens=4, size=4, entries=32, code_layers=1, code_heads=2, code_feedforward=16, heads=2),
    "emotalk": dict(content=8, emotion=4, condition=2),
    "selftalk": dict(hidden=16, reader_layers=1),
    "talkingstyle": dict(hidden=16, layers=1),
    "emoface": dict(hidden_size=16, attention_heads=2, feedforward_size=16, fusion_size=4, drawn=40),
}


def shape(vertices: int = S) -> DataShape:
    if vertices != S:
        return DataShape.of_head(load_head(0), features=C, layers=L, styles=STYLES, every=20)
    height = np.linspace(0, 1, S)
    return DataShape(S, C, L, STYLES, lips=np.array([2, 3, 5]), upper=height, eyelids=np.array([17, 18]), looked=np.arange(S))


def batch(vertices: int = S) -> Batch:
    """Motion of some millimetres that follows the speech frame by frame; the second item is shorter."""
    rng = torch.Generator().manual_seed(0)
    content = torch.randn(B, T, L, C, generator=rng)
    mask = torch.arange(T)[None] < torch.tensor([[T], [T - 3]])
    if vertices == S:
        mixing = torch.randn(C, 3 * S, generator=rng) * C**-0.5
        motion = DenseMotion((2e-3 * content[:, :, -1] @ mixing).unflatten(-1, (S, 3)))
    else:
        basis = torch.tensor(load_head(0).blendshapes, dtype=torch.float32)
        motion = BasisMotion(0.2 * content[:, :, -1, :1].clamp(-1, 1) * (torch.arange(52) == 24), basis)
    two = lambda x: (x, x)
    return Batch(
        content_hidden=content,
        mask=mask,
        source_hidden=two(content),
        source_masks=two(mask),
        pooled=two(torch.zeros(B, dtype=torch.bool)),
        emotions=two(torch.tensor([1, 3])),
        levels=two(torch.tensor([0, 1])),
        style=torch.tensor([0, 2]),
        real=torch.ones(B, dtype=torch.bool),
        motions=two(motion),
        letters=torch.tensor([[3, 4, 1], [5, 0, 0]]),
    )


def tiny(name: str):
    torch.manual_seed(0)
    vertices = load_head(0).skin_count if name == "emoface" else S
    network = METHODS[name].build(shape(vertices), small=False, **TINY[name])
    if name == "emoface":
        network.learn_in_basis(torch.tensor(load_head(0).blendshapes, dtype=torch.float32))
    return network, batch(vertices)


def animated(network, given: Batch, row: int = 0) -> torch.Tensor:
    length = int(given.mask[row].sum())
    network.eval()
    level = F.one_hot(given.levels[0][row : row + 1], 2).float()
    return network.animate(given.content_hidden[row : row + 1, :length], style=F.one_hot(given.style[row : row + 1], STYLES).float(), level=level)


@pytest.mark.parametrize("name", METHODS)
def test_shape_and_the_template_at_the_start(name):
    network, given = tiny(name)
    moved = animated(network, given, 1)
    assert moved.shape == (1, T - 3, network.data.vertices, 3) and moved.isfinite().all()
    if name not in ("voca", "codetalker"):  # their heads start as a basis and at random
        assert moved.abs().max() == 0
    assert torch.equal(moved, animated(network, given, 1))
    one = network.animate(given.content_hidden[:1, :1], style=torch.eye(STYLES)[:1], level=torch.eye(2)[:1])
    assert one.shape == (1, 1, network.data.vertices, 3) and one.isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_learns_two_clips_by_heart(name, tmp_path):
    network, given = tiny(name)
    losses: list[tuple[int, float]] = []
    steps = {"meshtalk": 60, "codetalker": 60, "emoface": 15}.get(name, 40)
    assert fit(
        network,
        lambda step: given,
        steps=steps,
        rate=2e-2,
        seed=0,
        checkpoint=tmp_path / "c.pt",
        report=lambda stage, _, loss: losses.append((stage, loss)),
    )
    for stage in range(network.stages):
        of = [loss for s, loss in losses if s == stage]
        assert of[-1] < 0.75 * of[0], (name, stage, of)
    network.merge_heads()
    truth = given.motions[0].at(torch.arange(network.data.vertices))[:1]
    error = (animated(network, given) - truth).square().mean() / truth.square().mean()
    assert error < (1 if name == "meshtalk" else 0.8), (name, float(error))  # a still face has 1; MeshTalk draws from what it guesses


@pytest.mark.parametrize("name", ["faceformer", "talkingstyle", "voca", "codetalker"])
def test_the_speaker_counts(name, tmp_path):
    network, given = tiny(name)
    fit(network, lambda step: given, steps=4, rate=1e-2, seed=0, checkpoint=tmp_path / "c.pt")
    one, other = (network.animate(given.content_hidden[:1], style=torch.eye(STYLES)[i : i + 1], level=torch.eye(2)[:1]) for i in (0, 2))
    if name == "codetalker":  # its answer is quantised: look at what is quantised
        one, other = (network._style(torch.eye(STYLES)[i : i + 1]) for i in (0, 2))
    assert not torch.equal(one, other)


def torch_decoder(decoder: DiagonalDecoder, tokens, memory):
    """The same weights in torch's own decoder with FaceFormer's two masks."""
    frames = tokens.shape[1]
    layer = nn.TransformerDecoderLayer(decoder.hidden, decoder.heads, decoder.layers[0].linear1.out_features, batch_first=True)
    plain = nn.TransformerDecoder(layer, len(decoder.layers)).eval()
    plain.load_state_dict(decoder.state_dict())
    t = torch.arange(frames)
    lag = t[:, None] - t[None]
    slopes = torch.tensor([2.0 ** (-8 * (h + 1) / decoder.heads) for h in range(decoder.heads)])
    bias = torch.where(lag < 0, -torch.inf, -(slopes[:, None, None] * torch.div(lag, decoder.period, rounding_mode="floor")))
    rate = 10000 ** (-torch.arange(0, decoder.hidden, 2) / decoder.hidden)
    position = torch.zeros(frames, decoder.hidden)
    position[:, 0::2], position[:, 1::2] = ((t % decoder.period)[:, None] * rate).sin(), ((t % decoder.period)[:, None] * rate).cos()
    alone = ~torch.eye(frames, dtype=torch.bool)
    return plain(tokens + position, memory, tgt_mask=bias.repeat(len(tokens), 1, 1), memory_mask=alone)


def test_decoder_is_faceformers_and_its_step_the_same():
    torch.manual_seed(0)
    decoder = DiagonalDecoder(hidden=16, heads=4, feedforward=24, layers=2, period=5).eval()
    tokens, memory = torch.randn(2, 13, 16), torch.randn(2, 13, 16)
    at_once = decoder(tokens, memory)
    torch.testing.assert_close(at_once, torch_decoder(decoder, tokens, memory), atol=1e-5, rtol=1e-5)
    speech, bias, cache = decoder.aligned(memory), decoder.bias(13), [None, None]
    steps = [decoder.step(tokens[:, t], [heard[:, t] for heard in speech], cache, bias) for t in range(13)]
    torch.testing.assert_close(torch.stack(steps, 1), at_once, atol=1e-5, rtol=1e-5)


def test_free_run_is_the_whole_past_run_again_for_every_frame():
    torch.manual_seed(0)
    network = FaceFormer(shape(), hidden=16).eval()
    nn.init.normal_(network.vertice_map_r.weight, std=0.3)
    nn.init.normal_(network.vertice_map_r.bias)
    memory, style = torch.randn(2, 9, 16), torch.randn(2, 16)
    tokens = style[:, None]
    for _ in range(9):
        hidden = network.transformer_decoder(tokens, memory[:, : tokens.shape[1]])
        vertices = network.vertice_map_r(hidden)
        tokens = torch.cat([tokens, network.vertice_map(vertices[:, -1:]) + style[:, None]], dim=1)
    fast = free_run(network.transformer_decoder, memory, style, network.vertice_map, network.vertice_map_r)
    torch.testing.assert_close(fast, hidden, atol=1e-4, rtol=1e-4)


def test_codebook_takes_the_nearest_entry_and_passes_gradients():
    torch.manual_seed(0)
    book = MotionCodebook(S, tokens=2, size=3, entries=5, layers=1, heads=1, feedforward=4)
    nn.init.normal_(book.codebook.weight)
    features = torch.randn(1, 4, 6, requires_grad=True)
    quantised, loss = book.quantise(features)
    for t in range(4):
        for token in range(2):
            z = features[0, t, 3 * token : 3 * token + 3].detach()
            nearest = min(book.codebook.weight.detach(), key=lambda entry: float((entry - z).square().sum()))
            torch.testing.assert_close(quantised[0, t, 3 * token : 3 * token + 3], nearest)
    gradient = torch.autograd.grad(quantised.sum(), features)[0]
    assert torch.equal(gradient, torch.ones_like(gradient)) and loss > 0


def test_codetalkers_stages_learn_apart():
    network, given = tiny("codetalker")
    first, second = (set(map(id, network.stage_parameters(stage))) for stage in (0, 1))
    assert not first & second and len(first) + len(second) == len(list(network.parameters()))
    network.loss(given, 1).backward()
    assert network.feat_map.weight.grad.abs().sum() > 0


def test_a_guess_sees_only_what_is_known_by_then(monkeypatch):
    """What is drawn head after head, frame after frame, is what one pass over all of it says: with the likeliest category in place of a draw."""
    torch.manual_seed(0)
    guess = Guess(C, heads=3, categories=4, hidden=6, embedding=4)
    speech = torch.randn(1, 36, C)  # longer than the past that it remembers
    monkeypatch.setattr(torch, "multinomial", lambda p, *_, **__: p.argmax(-1, keepdim=True))
    drawn = guess.draw(speech, torch.Generator())
    assert torch.equal(guess(speech, drawn).argmax(-1), drawn)
    assert len(drawn.unique()) > 1
    changed = drawn.clone()
    changed[0, 20, 1] = (changed[0, 20, 1] + 1) % 4
    before, after = guess(speech, drawn), guess(speech, changed)
    assert torch.equal(before[0, :20], after[0, :20]) and torch.equal(before[0, 20, :2], after[0, 20, :2])
    assert not torch.equal(before[0, 20, 2], after[0, 20, 2]) and not torch.equal(before[0, 21], after[0, 21])


def test_heads_in_a_basis_are_plain_layers_after_merging():
    torch.manual_seed(0)
    network = FaceFormer(shape(), hidden=16)
    network.learn_in_basis(torch.randn(5, S, 3) * 1e-3)
    with torch.no_grad():
        for p in network.vertice_map_r.parameters():
            p.normal_()
    given = batch()
    before = animated(network, given)
    network.merge_heads()
    assert type(network.vertice_map_r) is nn.Linear and before.abs().max() > 0
    torch.testing.assert_close(animated(network, given), before)


def test_vocas_basis_starts_as_the_motion_that_is_there():
    """In plain vertices and in shapes alike: the mean, and components as long as the motion is wide, so that none is mere noise."""
    network, given = tiny("voca")
    shapes = torch.linalg.qr(torch.randn(3 * S, 5))[0].T.reshape(5, S, 3)
    moving = torch.randn(B, T, 5) * torch.tensor([3.0, 1, 0, 0, 0]) + 1
    given.motions = (DenseMotion(1e-3 * torch.einsum("btk,ksx->btsx", moving, shapes)),) * 2
    frames = network.whole_truth(given)[given.mask]
    for learned in (False, True):
        if learned:
            network.learn_in_basis(1e-3 * torch.cat([shapes, 0 * shapes[:1]]))  # a head's tongueOut moves no skin
        network.begin(0, batches=lambda i: given, steps=1)
        weight = network.basis.weight.detach()
        torch.testing.assert_close(network.basis.bias.detach(), frames.mean(0), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(weight @ weight.T, torch.cov(frames.T, correction=0), atol=2e-2, rtol=1e-2)
    of = network.basis.parametrizations["weight"].original.detach()
    assert not of[-1].any()  # a shape that shows nothing starts at 0, the same on every machine


def test_vocas_basis_can_start_with_shapes_that_are_almost_alike():
    """The head's closest shapes differ by a thousandth of its largest. A solver that may or may not see that gives another start, and another training, each time."""
    basis = torch.tensor(load_head(0).blendshapes, dtype=torch.float32)
    directions, size, _ = torch.linalg.svd(basis.double().flatten(1), full_matrices=False)
    faint = directions[:, size > 1e-6 * size[0]][:, -1].float()
    network = METHODS["voca"].build(shape(basis.shape[1]), small=False, **TINY["voca"])
    given = batch(basis.shape[1])
    given.motions = (BasisMotion(100 * torch.rand(B, T, 1) * faint, basis),) * 2
    network.learn_in_basis(basis)
    network.begin(0, batches=lambda i: given, steps=1)
    truth = network.whole_truth(given)[given.mask].mean(0)
    assert (network.basis.bias.detach() - truth).norm() < 0.01 * truth.norm()


def test_a_stopped_training_ends_with_the_same_weights(tmp_path):
    def trained(*seconds):
        network, given = tiny("codetalker")  # two stages
        for i, limit in enumerate(seconds):
            done = fit(network, lambda step: given, steps=6, rate=1e-2, seed=3, checkpoint=tmp_path / f"{len(seconds)}.pt", seconds=limit)
            assert done == (i == len(seconds) - 1)
            if not done:
                network, _ = tiny("codetalker")
        return network.state_dict()

    whole = trained(np.inf)
    stopped = trained(*[0.0] * 11, np.inf)  # after every step
    assert all(torch.equal(value, stopped[name]) for name, value in whole.items())


def test_letters_are_those_of_the_words_that_end_in_time():
    times = [
        {"words": [[0, 0.5, "sil"], [0.5, 0.9, "bin"], [0.9, 1.2, "a"]], "phones": []},
        {
            "words": [],
            "phones": [
                ["K", 0, 0.1, "kids"],
                ["Z", 0.1, 0.2, "kids"],
                ["AA", 0.2, 0.4, "are(2)"],
                ["SIL", 0.4, 0.5, "<sil>"],
                ["T", 0.5, 0.7, "talking"],
            ],
        },
    ]
    corpus = SimpleNamespace(times=lambda i: times[i], clips=[{"frames": 45}, {"frames": 30}])
    text = lambda clips, frames: "".join(ALPHABET[i - 1] for i in spell(corpus, clips, frames))
    assert text([0], 30) == "bin"
    assert text([0, 1], 75) == "bin a kids are talking"
    assert text([0, 1], 45 + 6) == "bin a kids"
