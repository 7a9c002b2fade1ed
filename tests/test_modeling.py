"""The network's own promises: padding, pooling, saving, ablation switches."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from emoface.configuration import EmoFaceConfig
from emoface.loading import load_model
from emoface.modeling import EmoFaceModel, FeatureMix

from .tiny import tiny_model


@torch.no_grad()
def test_padding_a_batch_changes_nothing():
    model = tiny_model()
    torch.manual_seed(0)
    hidden = torch.randn(1, 20, 2, 48)
    padded = torch.cat([hidden, torch.randn(1, 15, 2, 48)], 1)
    mask = torch.arange(35)[None] < 20
    assert torch.allclose(model.content_features(hidden), model.content_features(padded, mask)[:, :20], atol=1e-5)
    assert torch.allclose(model.emotion_features(hidden), model.emotion_features(padded, mask)[:, :20], atol=1e-4)
    assert torch.allclose(model.emotion_features(hidden, pooled=True), model.emotion_features(padded, mask, pooled=True), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("stacked", [False, True])
def test_feature_mix_against_loops(stacked):
    torch.manual_seed(0)
    mix = FeatureMix(layers=3, size=6, start=1, stacked=stacked, kernel=3).eval()
    hidden = torch.randn(1, 5, 3, 6)
    blocks = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    mixed = sum(w * blocks[0, :, layer] for layer, w in enumerate(mix.layer_logits.softmax(0)))
    heard = torch.cat([blocks[0, :, layer] for layer in range(3)], dim=1) if stacked else mixed

    def convolved(layer, x):
        rows = []
        for t in range(len(x)):
            near = [(k, t + k - 1) for k in range(3) if 0 <= t + k - 1 < len(x)]
            rows.append(layer.bias + sum(layer.weight[:, :, k] @ x[u] for k, u in near))
        return torch.stack(rows)

    expected = mixed + convolved(mix.gather, torch.nn.functional.gelu(convolved(mix.spread, heard)))
    assert torch.allclose(mix(hidden)[0], expected, atol=1e-5)


def test_content_hears_every_block_beside_the_others():
    model = tiny_model()
    assert model.content_mix.stacked and not model.emotion_mix.stacked
    assert model.content_mix.spread.in_channels == 2 * model.emotion_mix.spread.in_channels


@torch.no_grad()
def test_statistics_pooling_holds_no_words():
    """Fast changes are gone, slow ones stay: what lends an emotion cannot lend its lips."""
    model = tiny_model()
    t = torch.arange(600) / 30
    for hertz, low, high in ((5.0, 0.0, 0.02), (0.1, 0.3, 10.0)):
        x = torch.zeros(1, 600, 48)
        x[0, :, 0] = torch.sin(2 * torch.pi * hertz * t)
        model.statistics_pooling.score.weight.zero_()
        track = model.statistics_pooling(x)[0, 100:500]
        mean_only = track - track.mean(0)
        assert low <= mean_only.abs().max() / model.statistics_pooling.out.weight[:, 0].abs().max() <= high, hertz


@torch.no_grad()
def test_statistics_pooling_in_blocks_is_the_whole():
    model = tiny_model()
    x = torch.randn(1, 2000, 48)
    track = model.statistics_pooling(x)
    assert torch.allclose(track[:, :1200], model.statistics_pooling(x[:, :1400])[:, :1200], atol=1e-5)


@torch.no_grad()
def test_fusion_is_the_weighted_sum():
    model = tiny_model()
    features = torch.randn(1, 12, 48), torch.randn(1, 12, 48)
    for part in model.generate(*features, style=torch.eye(2)[:1], level=torch.eye(2)[:1], chunk=5):
        w = part.weight.unsqueeze(-1)
        assert torch.allclose(part.fused_offsets, w * part.emotion_offsets + (1 - w) * part.content_offsets, atol=1e-6)


@torch.no_grad()
def test_content_branch_does_not_hear_the_emotion_source():
    """``dM_c = D_c(F_c)``: the same for every emotion, because each branch is fed its own past."""
    model = tiny_model()
    content = torch.randn(1, 30, 48).expand(2, -1, -1)
    parts = list(model.generate(content, torch.randn(2, 30, 48), style=torch.eye(2)[[0, 0]], level=torch.eye(2)))
    assert torch.allclose(parts[0].content_offsets[0], parts[0].content_offsets[1], atol=1e-6)
    assert not torch.allclose(parts[0].emotion_offsets[0], parts[0].emotion_offsets[1], atol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        dict(fusion="add"),
        dict(fusion_layers=1),
        dict(second_layer="spiral"),
        dict(temporal_window=1),
        dict(spiral_dilation=1),
        dict(spiral_length=3),
        dict(emotion_pooling="frame"),
        dict(feature_mix="last"),
    ],
    ids=str,
)
@torch.no_grad()
def test_every_switch_gives_a_model_that_runs_in_any_chunks(changes):
    model = tiny_model(**changes)
    hidden = torch.randn(1, 23, 2, 48)
    f_c, f_e = model.content_features(hidden), model.emotion_features(hidden)
    options = dict(style=torch.eye(2)[:1], level=torch.eye(2)[:1])
    whole = torch.cat([p.fused_offsets for p in model.generate(f_c, f_e, **options)], 1)
    pieces = torch.cat([p.fused_offsets for p in model.generate(f_c, f_e, chunk=7, **options)], 1)
    assert whole.shape == (1, 23, model.config.vertex_count, 3) and torch.allclose(whole, pieces, atol=1e-5)
    if changes.get("fusion") == "add":
        part = next(model.generate(f_c, f_e, **options))
        assert torch.allclose(part.fused_offsets, part.content_offsets + part.emotion_offsets)


def test_saved_and_loaded_is_the_same(tmp_path):
    model = tiny_model()
    model.emotion_prototypes.normal_()
    model.save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    again = EmoFaceModel.from_pretrained(tmp_path)
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values()):
        assert torch.equal(a, b), name
    assert again.config.to_dict()["spiral_length"] == model.config.spiral_length


@pytest.mark.parametrize("wrong", [dict(fusion="max"), dict(emotion_pooling="fast"), dict(fusion_layers=3), dict(attention_heads=3)], ids=str)
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(ValueError):
        EmoFaceConfig(**wrong)


def test_vertex_term_follows_the_weights():
    model = tiny_model()
    with torch.no_grad():
        first = model.vertex_term()
        assert model.vertex_term() is first
        model.mesh_attention.vertex_embedding.mul_(2)
        assert not torch.allclose(model.vertex_term(), first)


@torch.no_grad()
def test_a_voice_is_heard_against_its_own_rest():
    """The average voice's rest changes nothing; another rest moves what is heard by its share of the difference, over time and pooled."""
    model = tiny_model(voice_rest=True)
    torch.manual_seed(0)
    track = model.statistics_pooling
    track.rest.normal_()
    track.rest_logit.normal_()
    x, other = torch.randn(2, 50, 48), torch.randn(1, 1, 96)
    average = track.rest[None, None]
    assert torch.allclose(model.emotion_vector(x), model.emotion_vector(x, rest=average), atol=1e-6)
    assert torch.allclose(model.emotion_track(x), model.emotion_track(x, rest=average), atol=1e-6)
    moved = (track.rest_logit.sigmoid() * (other - average)) @ track.out.weight.T
    assert moved.abs().max() > 0.1
    assert torch.allclose(model.emotion_vector(x, rest=other), model.emotion_vector(x) - moved, atol=1e-5)
    assert torch.allclose(model.emotion_track(x, rest=other), model.emotion_track(x) - moved, atol=1e-5)


@torch.no_grad()
def test_a_clip_at_the_average_rest_is_its_own_reference():
    """A voice's rest is what :meth:`statistics` says of its neutral recording: mean and spread, as the pooled vector uses them."""
    model = tiny_model(voice_rest=True)
    x = torch.randn(1, 40, 48)
    rest = model.voice_rest(x)
    assert rest.shape == (1, 1, 96)
    assert torch.allclose(model.statistics_pooling.out(rest), model.emotion_vector(x), atol=1e-6)
    model.statistics_pooling.rest_logit.fill_(100.0)  # all of the voice is taken away: its neutral recording sounds like the average voice at rest
    model.statistics_pooling.rest.normal_()
    assert torch.allclose(model.emotion_vector(x, rest=rest)[0, 0], model.statistics_pooling.out(model.statistics_pooling.rest), atol=1e-5)


def test_older_files_are_read_under_the_present_names(tmp_path):
    """``slow_track`` and ``"slow"`` are what ``statistics_pooling`` and ``"statistics"`` were called."""
    model = tiny_model(emotion_pooling="slow", voice_rest=True)
    assert model.config.emotion_pooling == "statistics"
    former = {key.replace("statistics_pooling.", "slow_track."): value.contiguous() for key, value in model.state_dict().items()}
    assert former.keys() != model.state_dict().keys()
    save_file(former, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model.config.to_json_file(tmp_path / "config.json", use_diff=False)
    again = tiny_model(voice_rest=True)
    again.load_state_dict(former)
    for found in (again, load_model(tmp_path), EmoFaceModel.from_pretrained(tmp_path)):
        assert found.state_dict().keys() == model.state_dict().keys()
        assert torch.equal(found.statistics_pooling.score.weight, model.statistics_pooling.score.weight)
    found.save_pretrained(tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", framework="pt") as saved:
        assert set(saved.keys()) == model.state_dict().keys()


def test_models_without_rest_keep_their_weights():
    assert not any("rest" in key for key in tiny_model().state_dict())
    with pytest.raises(ValueError, match="statistics"):
        tiny_model(voice_rest=True, emotion_pooling="frame")


def test_commitment_moves_towards_the_likeliest_emotion():
    model = tiny_model(emotion_commitment=0.7)
    torch.manual_seed(0)
    model.emotion_prototypes.normal_()
    model.emotion_prototypes[3] = 0  # an emotion that the training data did not hold
    features, level = torch.randn(2, 5, 48), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    probabilities = model.classifier(features).softmax(-1).clone()
    probabilities[..., 3] = 0
    sharp = probabilities**3 / (probabilities**3).sum(-1, keepdim=True)
    learned = torch.stack([model.emotion_table[:, 0], model.emotion_table[:, 1]])  # rows at normal and at strong
    expected = 0.3 * features + 0.7 * torch.einsum("bte,bec->btc", sharp, learned)
    assert torch.allclose(model.committed(features, level), expected, atol=1e-5)
    assert torch.equal(tiny_model().committed(features, level), features), "the paper's model shows what it hears"


@torch.no_grad()
def test_prosody_reaches_the_emotion_branch_only_where_it_is_configured():
    features, said = torch.randn(1, 4, 48), torch.rand(1, 4, 3)
    told = tiny_model(prosody=True)
    assert torch.equal(tiny_model().with_prosody(features, said), features)
    assert torch.allclose(told.with_prosody(features, said), features + told.prosody_in(said))
