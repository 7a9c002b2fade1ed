"""The training loop on a tiny data set: the paper's schedule and losses, overfitting, exact resume, export."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import yaml
from accelerate.state import AcceleratorState
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from emoface.animation import EMOTIONS
from emoface.errors import EmoFaceError
from emoface.head import lip_aperture_mm
from emoface.loading import load_folder
from tests.tiny import tiny_model
from train import ablate, losses
from train import train as train_module
from train.basis_head import learn_in_basis, merged, put_in
from train.checkpoint import FORMER_SETTINGS, read_checkpoint
from train.corpus.clip import Clip
from train.corpus.coarticulation import Phone, speech_motion
from train.corpus.lips import average_head_lips
from train.corpus.store import merge, write_part
from train.drawing import Drawn
from train.meshes import MeshFolder, MeshTask
from train.motion import BasisMotion, DenseMotion
from train.prepare.vertices import write_clip, write_index
from train.recognition.trainer import read_recognition_config
from train.self_growing import decode, ground_truth_probability
from train.tasks import make_task
from train.train import Trainer, TrainingConfig, compute_losses, learning_rate, read_config

CONFIG = "train/configs/tiny.yaml"


def make_data(folder, clips=2, frames=24):
    """Clips of a sphere that swells with a tone's loudness: the same sentence in two emotions, other lengths."""
    mesh = trimesh.creation.icosphere(subdivisions=1, radius=0.1)
    rng, entries = np.random.default_rng(0), []
    for i in range(clips):
        count = frames + 4 * i
        t = np.arange(count) / 30
        swell = 0.05 * np.sin(2 * np.pi * (1.5 + i) * t) ** 2
        vertices = mesh.vertices * (1 + swell[:, None, None] * (np.asarray(mesh.vertices)[:, 1:2] > 0))
        samples = np.repeat(swell, 16000 // 30 + 1)[: int(count / 30 * 16000)] * rng.normal(size=int(count / 30 * 16000)) * 5
        entry = dict(
            id=f"clip{i}",
            split="train",
            speaker="anna",
            style="anna",
            emotion=("neutral", "happy")[i % 2],
            level=0,
            text="hello",
            motion="modelled",
            source="test",
        )
        entries.append(write_clip(folder, entry, vertices, samples.astype(np.float32)))
        if i == 0:
            entries.append(write_clip(folder, {**entry, "id": "held", "split": "val"}, vertices, samples.astype(np.float32)))
    write_index(folder, entries, {"anna": np.asarray(mesh.vertices)}, [])
    mesh.export(folder / "mesh.ply")
    return folder


def tiny_config(folder, **changes) -> TrainingConfig:
    config = read_config(__import__("pathlib").Path(CONFIG))
    config.data = {**config.data, "folder": str(folder), "mesh": str(folder / "mesh.ply")}
    for key, value in changes.items():
        setattr(config, key, value)
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("epochs,warmup", [(200, 10), (30, 3), (17, 3)])
def test_schedule_is_the_papers_formula_at_every_epoch(epochs, warmup):
    for n in range(epochs):
        p = ground_truth_probability(n, epochs=epochs, warmup=warmup)
        if n < warmup:
            assert p == 1.0
        elif n > (epochs + warmup) / 2:
            assert p == 0.0
        else:
            assert p == pytest.approx(max(0.0, math.cos(math.pi * (n - warmup) / (epochs - warmup))))
        assert ground_truth_probability(n, epochs=epochs, warmup=warmup, scheme="teacher_forcing") == 1.0
    with pytest.raises(ValueError, match="teacher_forcing"):
        ground_truth_probability(warmup, epochs=epochs, warmup=warmup, scheme="scheduled")


@torch.no_grad()
def test_self_growing_ends_in_free_running():
    """Every pass makes one more frame equal to free running, so T passes are free running itself."""
    model = tiny_model()
    torch.manual_seed(3)
    features, style = torch.randn(2, 7, 48), torch.eye(2)
    truth = DenseMotion(torch.randn(2, 7, model.config.vertex_count, 3))
    decoder = model.content_decoder
    condition, cross = decoder.condition(style, None), decoder.cross(features)
    free = torch.cat([p.content_offsets for p in model.generate(features, features, style=style, level=style)], 1)
    grown = decoder.offsets(decode(decoder, truth, condition, cross, probability=0.0, passes=8))
    assert torch.allclose(free, grown, atol=1e-5)
    two = decoder.offsets(decode(decoder, truth, condition, cross, probability=0.0, passes=2))
    assert not torch.allclose(free, two, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("options", [dict(probability=0.0, passes=9), dict(probability=1.0, masked=torch.tensor([True, True]), free_running=True)])
def test_a_clip_that_does_not_start_at_rest_starts_from_its_first_frame(options):
    """Training with ``first_frame`` is generation with ``initial_offset``."""
    model = tiny_model()
    torch.manual_seed(5)
    features, style = torch.randn(1, 9, 48), torch.eye(2)[:1]
    truth = DenseMotion(0.01 * torch.randn(1, 9, model.config.vertex_count, 3))
    decoder = model.content_decoder
    both = lambda x: torch.cat([x, x])
    wanted = torch.cat(
        [p.content_offsets for p in model.generate(features, features, style=style, level=style, initial_offset=truth.offsets[0, 0])], 1
    )
    decoded = lambda **more: decoder.offsets(
        decode(decoder, DenseMotion(both(truth.offsets)), both(decoder.condition(style, None)), both(decoder.cross(features)), **options, **more)
    )
    assert torch.allclose(decoded(first_frame=True)[:1], wanted, atol=1e-5)
    assert not torch.allclose(decoded()[:1], wanted, atol=1e-4)


def test_every_clip_is_trained_on_once_in_an_epoch(tmp_path):
    task = Trainer(tiny_config(make_data(tmp_path / "data", clips=7)), tmp_path / "run").task
    task.size = 2
    task.steps_per_epoch = 3
    epochs = [[clip for step in range(3) for clip in task._drawn(3 * epoch + step)] for epoch in range(6)]
    assert all(len(set(epoch)) == 6 and set(epoch) <= set(task.train) for epoch in epochs) and len(task.train) == 7
    assert len({tuple(epoch) for epoch in epochs}) == 6 and set().union(*epochs) == set(task.train)


def test_features_come_to_the_meshs_rate_before_or_after_the_transformer(folder, tmp_path):
    for resample, rate in (("before", 30), ("after", 50)):
        config = tiny_config(folder)
        config.data["resample"] = resample
        task = Trainer(config, tmp_path / resample).task
        assert (task.content_encoder.frame_rate, task.emotion_encoder.frame_rate) == (rate, rate)


def test_the_first_frame_reaches_the_losses_and_the_validation(folder, tmp_path, monkeypatch):
    given = []
    with_first = Trainer(tiny_config(folder, first_frame=True), tmp_path / "with")
    decode_ = train_module.decode
    monkeypatch.setattr(train_module, "decode", lambda *a, **k: given.append(k["first_frame"]) or decode_(*a, **k))
    with_first.train_step(with_first.task.batch(0))
    assert given and all(given)
    generate, starts = with_first.model.generate, []
    monkeypatch.setattr(with_first.model, "generate", lambda *a, **k: starts.append(k["initial_offset"]) or generate(*a, **k))
    with_first.task.validate(with_first.model)
    assert torch.equal(starts[0], torch.from_numpy(with_first.task.data.offsets(with_first.task.val[0])[0]))


@torch.no_grad()
def test_free_running_items_see_what_free_running_says():
    model = tiny_model()
    torch.manual_seed(4)
    features, style = torch.randn(2, 9, 48), torch.eye(2)
    truth = DenseMotion(torch.randn(2, 9, model.config.vertex_count, 3))
    decoder = model.content_decoder
    condition, cross = decoder.condition(style, None), decoder.cross(features)
    free = torch.cat([p.content_offsets for p in model.generate(features, features, style=style, level=style)], 1)
    masked = torch.tensor([False, True])
    hidden = decode(decoder, truth, condition, cross, probability=1.0, masked=masked, free_running=True)
    assert torch.allclose(decoder.offsets(hidden)[1], free[1], atol=1e-5)
    forced = decode(decoder, truth, condition, cross, probability=1.0)
    assert torch.allclose(hidden[0], forced[0], atol=1e-5) and not torch.allclose(hidden[1], forced[1], atol=1e-3)


@torch.no_grad()
def test_teacher_forcing_sees_shifted_ground_truth():
    model = tiny_model()
    decoder, style = model.content_decoder, torch.eye(2)
    truth = torch.randn(2, 6, model.config.vertex_count, 3)
    cross, condition = decoder.cross(torch.randn(2, 6, 48)), decoder.condition(style, None)
    shifted = torch.cat([torch.zeros(2, 1, 3 * model.config.vertex_count), truth.flatten(2)[:, :-1]], 1)
    expected = decoder(decoder.embed(shifted), condition, cross)
    assert torch.allclose(decode(decoder, DenseMotion(truth), condition, cross, probability=1.0), expected, atol=1e-5)


def test_motion_in_a_basis_equals_dense_motion():
    model = tiny_model()
    torch.manual_seed(0)
    weights, basis = torch.rand(2, 5, 4), torch.randn(4, model.config.vertex_count, 3)
    dense = DenseMotion(torch.einsum("btk,ksx->btsx", weights, basis))
    sparse, rows = BasisMotion(weights, basis), torch.tensor([3, 0, 17])
    assert torch.allclose(sparse.embed(model.content_decoder), dense.embed(model.content_decoder), atol=1e-4)
    assert torch.allclose(sparse.at(rows), dense.at(rows), atol=1e-6)


def test_losses_against_loops():
    torch.manual_seed(0)
    a, b = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    lengths = (4, 2)
    mask = torch.arange(4)[None] < torch.tensor(lengths)[:, None]
    frames = [(i, t) for i, n in enumerate(lengths) for t in range(n)]
    expected = sum((a[i, t] - b[i, t]).abs().mean() for i, t in frames) / len(frames)
    assert torch.allclose(losses.reconstruction(a, a, a, b, mask), 3 * expected)
    steps = [(i, t) for i, n in enumerate(lengths) for t in range(1, n)]
    expected = sum(((a[i, t] - a[i, t - 1]) - (b[i, t] - b[i, t - 1])).abs().mean() for i, t in steps) / len(steps)
    assert torch.allclose(losses.velocity(a, b, mask), expected)
    pairs = torch.tensor([[0, 2]])
    expected = sum(((a - b)[i, t, 0, 1] - (a - b)[i, t, 2, 1]).abs() for i, t in frames) / len(frames)
    assert torch.allclose(losses.lip_gap(a, b, pairs, mask), expected)
    pairs = torch.tensor([[0, 2], [1, 2]])
    gaps = [((a - b)[i, t, [0, 1], 1] - (a - b)[i, t, 2, 1]).mean() for i, t in frames]
    expected = sum((1e3 * gap) ** 2 for gap in gaps) / len(frames)
    assert torch.allclose(losses.lip_aperture(a, b, pairs, mask), expected)
    gaps = [((a[i, t, p, 1] - a[i, t, 2, 1]).item(), (b[i, t, p, 1] - b[i, t, 2, 1]).item()) for i, t in frames for p in (0, 1)]
    error = [(1e3 * (gap - wanted)) ** 2 if wanted < losses.SHUT else 0.0 for gap, wanted in gaps]
    assert losses.lip_seal(a, b, pairs, mask).item() == pytest.approx(sum(error) / len(error), rel=1e-5) and any(error)


def test_held_expression_is_the_clips_mean_error_against_loops():
    generator = torch.Generator().manual_seed(5)
    error = torch.randn(2, 4, 3, generator=generator)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    importance = torch.tensor([1.0, 0.1, 0.0])
    expected, frames = 0.0, 0
    for clip, valid in zip(error, mask):
        mean = sum(clip[t] for t in range(4) if valid[t]) / int(valid.sum())
        expected += int(valid.sum()) * (1.0 * mean[0] ** 2 + losses.HELD * mean[1] ** 2) / 3  # what has no importance stays without
        frames += int(valid.sum())
    assert losses.held(error, importance, mask).item() == pytest.approx(float(expected) / frames, rel=1e-5)
    # An error that changes sign inside the clip is nothing that a face holds.
    assert losses.held(torch.tensor([[[0.3] * 3, [-0.3] * 3]]), importance, torch.ones(1, 2, dtype=torch.bool)).item() < 1e-12


def test_heads_in_a_basis_learn_there_and_merge_into_plain_layers():
    model = tiny_model()
    for decoder in (model.content_decoder, model.emotion_decoder):
        torch.nn.init.zeros_(decoder.motion_out.weight)
        torch.nn.init.zeros_(decoder.motion_out.bias)
    names = list(model.state_dict())
    torch.manual_seed(0)
    basis = torch.randn(3, model.config.vertex_count, 3)
    learn_in_basis(model, basis)
    optimizer = torch.optim.Adam(model.content_decoder.motion_out.parameters(), lr=0.1)
    hidden, wanted = torch.randn(20, 32), torch.randn(20, 3) @ basis.flatten(1)
    for _ in range(3):  # a few vertices teach all of them
        optimizer.zero_grad()
        (model.content_decoder.offsets(hidden, torch.tensor([0, 5])).flatten(1) - wanted[:, [0, 1, 2, 15, 16, 17]]).square().mean().backward()
        optimizer.step()
    for _ in range(2):  # merging twice leaves the learner as it was
        plain = merged(model)
        assert list(plain.state_dict()) == names
        assert torch.allclose(plain.content_decoder.offsets(hidden), model.content_decoder.offsets(hidden), atol=1e-5)
    out = plain.content_decoder.offsets(hidden).flatten(1)
    rest = out - (torch.linalg.lstsq(basis.flatten(1).T, out.T).solution.T @ basis.flatten(1))
    assert out.abs().max() > 0.1 and rest.abs().max() < 1e-4


def test_a_published_model_goes_on_learning_where_it_stood():
    published, basis = tiny_model(), torch.randn(3, tiny_model().config.vertex_count, 3)
    torch.manual_seed(3)
    for decoder in (published.content_decoder, published.emotion_decoder):
        decoder.motion_out.weight.data = (basis.flatten(1).T @ torch.randn(3, decoder.motion_out.in_features)) / 10
        decoder.motion_out.bias.data = basis.flatten(1).T @ torch.randn(3) / 10
    model = tiny_model()
    torch.nn.init.normal_(model.content_decoder.qkv.weight)
    learn_in_basis(model, basis)
    put_in(model, published)
    for name, value in merged(model).state_dict().items():
        assert torch.allclose(value, published.state_dict()[name], atol=1e-5), name
    published.content_decoder.motion_out.weight.data += torch.randn(published.content_decoder.motion_out.weight.shape)
    with pytest.raises(SystemExit, match="not learned in this head's shapes"):
        put_in(model, published)
    other = tiny_model()
    other.content_decoder.qkv = torch.nn.Linear(7, 5)
    with pytest.raises(SystemExit, match="another shape"):
        put_in(model, other)


def test_default_losses_are_the_papers():
    w = losses.LossWeights()
    assert (w.self_reconstruction, w.cross_reconstruction, w.velocity, w.classification) == (1000, 1000, 500, 1e-4)
    assert w.branches == 1
    assert w.lip_gap == w.lip_aperture == w.lip_seal == w.width == w.expression == w.contrast == w.smoothness == 0


def test_total_is_the_papers_sum_and_every_epoch_trains_on_its_own_schedule(folder, tmp_path, monkeypatch):
    config = tiny_config(folder, epochs=8, steps_per_epoch=2, warmup_epochs=2, losses={}, validate_every=100)
    trainer, seen = Trainer(config, tmp_path), []

    def recorded(*args, **settings):
        total, terms = compute_losses(*args, **settings)
        seen.append((settings["probability"], total.item(), {k: float(torch.as_tensor(v).detach()) for k, v in terms.items()}))
        return total, terms

    monkeypatch.setattr("train.train.compute_losses", recorded)
    trainer.run()
    assert [p for p, _, _ in seen] == [ground_truth_probability(n, epochs=8, warmup=2) for n in range(8) for _ in range(2)]
    assert [p for p, _, _ in seen][::4] == pytest.approx([1, 1, math.cos(math.pi / 3), 0])
    for _, total, terms in seen:
        assert total == pytest.approx(1000 * terms["self"] + 1000 * terms["cross"] + 500 * terms["velocity"] + 1e-4 * terms["classification"])


def test_cosine_rate_warms_up_and_ends_low():
    config = TrainingConfig(data={}, schedule="cosine", learning_rate=1.0)
    rates = [learning_rate(config, s, 1000) for s in range(1000)]
    assert rates[0] < 0.1 and max(rates) == pytest.approx(1.0, abs=1e-3) and rates[-1] == pytest.approx(0.02, abs=1e-3)


@pytest.mark.slow
def test_overfits_one_clip_below_a_tenth_of_a_millimetre(tmp_path):
    folder = make_data(tmp_path / "one", clips=1)
    config = tiny_config(folder, epochs=30, steps_per_epoch=20, validate_every=100, data={**tiny_config(folder).data, "batch_size": 1})
    trainer = Trainer(config, tmp_path / "run")
    trainer.run()
    task = trainer.task
    model = trainer.model.eval()
    with torch.inference_mode():
        for encoder in task.modules():
            encoder.eval()
        sound, truth = [torch.from_numpy(task.data.sound(0))], task.data.offsets(0)
        parts = model.generate(
            task._features(task.content_encoder, sound, [len(truth)])[:, :, 0],
            task._features(task.emotion_encoder, sound, [len(truth)])[:, :, 0],
            style=torch.ones(1, 1),
            level=torch.eye(2)[:1],
        )
        predicted = torch.cat([p.fused_offsets for p in parts], 1)[0].numpy()
    error_mm = 1e3 * np.linalg.norm(predicted - truth, axis=-1).mean()
    static_mm = 1e3 * np.linalg.norm(truth, axis=-1).mean()
    assert static_mm > 0.5 and error_mm < 0.1, (error_mm, static_mm)


def test_sigterm_leaves_a_checkpoint_and_resume_is_exact(folder, tmp_path, monkeypatch):
    """Also where wav2vec 2.0 masks part of its features at random, as the paper's do."""
    config = tiny_config(folder, epochs=4, steps_per_epoch=2, validate_every=1)
    encoder = config.data["content_encoder"]
    masked = {**encoder, "config": {**encoder["config"], "mask_time_prob": 0.5, "mask_time_length": 2}}
    config.data = {**config.data, "content_encoder": masked, "emotion_encoder": masked}
    straight = Trainer(config, tmp_path / "straight")
    straight.run()
    first = Trainer(config, tmp_path / "broken")
    step = first.train_step

    def killed_after_three(batch):
        if first.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(batch)

    monkeypatch.setattr(first, "train_step", killed_after_three)
    first.run()
    assert first.step == 3 and not (tmp_path / "broken" / "model").exists()
    second = Trainer(config, tmp_path / "broken")
    second.resume()
    assert second.step == 3
    second.run()
    for (name, a), b in zip(straight.model.state_dict().items(), second.model.state_dict().values()):
        assert torch.equal(a, b), name
    for (name, a), b in zip(straight.task.emotion_encoder.state_dict().items(), second.task.emotion_encoder.state_dict().values()):
        assert torch.equal(a, b), name


def test_frozen_parts_stay_and_the_rest_learns(folder, tmp_path):
    trainer = Trainer(tiny_config(folder, frozen=["emotion_decoder"]), tmp_path)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train_step(trainer.task.batch(0))
    changed = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any(name.startswith("emotion_decoder") for name in changed)


class FrozenEncoders(MeshTask):
    """As where features are cached: nothing is trained beside the model."""

    def modules(self):
        return []

    def parameters(self):
        return list(self.model.parameters())


def test_ema_weights_are_kept_exported_and_started_from(folder, tmp_path):
    config = tiny_config(folder, epochs=3, steps_per_epoch=4, ema_decay=0.8, validate_every=100)
    trainer = Trainer(config, tmp_path / "whole", task=FrozenEncoders)
    name = "content_decoder.qkv.weight"
    expected = trainer.model.state_dict()[name].clone()
    for step in range(6):
        trainer.train_step(trainer.task.batch(step))
        decay = min(0.8, (step + 1) / (step + 10))
        expected = decay * expected + (1 - decay) * trainer.model.state_dict()[name]
        trainer.step += 1
    latest = trainer.model.state_dict()[name].clone()
    kept = trainer.kept.state_dict()[name]
    assert torch.allclose(kept, expected, atol=1e-6) and not torch.equal(kept, latest)
    trainer.save()
    again = Trainer(config, tmp_path / "whole", task=FrozenEncoders)
    again.resume()
    for run in (trainer, again):
        run.run()
    assert torch.equal(trainer.kept.state_dict()[name], again.kept.state_dict()[name])
    assert torch.equal(trainer.model.state_dict()[name], again.model.state_dict()[name])
    exported, _, _ = load_folder(tmp_path / "whole" / "model")
    assert torch.equal(exported.state_dict()[name], trainer.kept.state_dict()[name])
    start = tiny_config(folder, start_from=str(trainer.checkpoint))
    assert torch.equal(Trainer(start, tmp_path / "next", task=FrozenEncoders).model.state_dict()[name], trainer.kept.state_dict()[name])


def test_ablations_run_on_mesh_data(folder, tmp_path):
    """The paper's tables on 3D-RAVDESS: rows, the static template, and seeds paired, from the configuration's own steps."""
    config = tmp_path / "meshes.yaml"
    base = asdict(tiny_config(folder, epochs=2))
    config.write_text(yaml.safe_dump({key: value for key, value in base.items() if value is not None}))
    out = tmp_path / "table.json"
    names = ["reference", "add", "single_branch"]
    ablate.main([f"--config={config}", f"--out={out}", f"--runs={tmp_path / 'runs'}", "--variants", *names])
    found, page = json.loads(out.read_text()), out.with_suffix(".md").read_text()
    assert list(found["variants"]) == names and found["steps"] == 2 * tiny_config(folder).steps_per_epoch
    data = MeshFolder(folder)
    clips = [i for i, clip in enumerate(data.clips) if clip["split"] == "val"]
    still = np.concatenate([np.max(np.sum(data.offsets(clip) ** 2, -1), 1) for clip in clips])  # without masks: all vertices
    assert found["static_template"]["mesh lve"]["value"] == pytest.approx(still.mean(), rel=1e-5)
    values = [found["variants"][name]["measures"]["mesh lve"]["value"] for name in names]
    assert len(set(values)) == 3 and all(np.isfinite(values))
    assert "recorded meshes" in page and "GRID" not in page and str(config) in page
    task = ablate.SingleBranchMeshTask(tiny_config(folder))
    assert not any(p.requires_grad for p in (*task.model.emotion_decoder.parameters(), *task.emotion_encoder.parameters()))


def test_reinitialised_parts_start_anew_and_the_rest_from_the_checkpoint(folder, tmp_path):
    first = Trainer(tiny_config(folder), tmp_path / "first")
    first.train_step(first.task.batch(0))
    first.save()
    new = Trainer(tiny_config(folder, seed=9), tmp_path / "new").model.state_dict()
    second = Trainer(tiny_config(folder, seed=9, start_from=str(first.checkpoint), reinitialise=["content_decoder"]), tmp_path / "second").model
    for name, value in second.state_dict().items():
        assert torch.equal(value, (new if name.startswith("content_decoder.") else first.model.state_dict())[name]), name
    with pytest.raises(AttributeError, match="content_decodr"):
        Trainer(tiny_config(folder, start_from=str(first.checkpoint), reinitialise=["content_decodr"]), tmp_path / "third")
    with pytest.raises(SystemExit, match="start_from"):
        Trainer(tiny_config(folder, reinitialise=["content_decoder"]), tmp_path / "fourth")
    with pytest.raises(SystemExit, match="taken whole"):
        Trainer(
            tiny_config(folder, start_from=str(Path(__file__).parents[2] / "assets" / "model"), reinitialise=["content_decoder"]), tmp_path / "fifth"
        )
    with pytest.raises(SystemExit, match="checkpoint for mesh data"):
        Trainer(tiny_config(folder, start_from=str(Path(__file__).parents[2] / "assets" / "model")), tmp_path / "sixth")
    assert not torch.equal(new["content_decoder.qkv.weight"], first.model.state_dict()["content_decoder.qkv.weight"])


def test_without_cross_reconstruction_the_second_emotion_is_not_looked_at(folder, tmp_path):
    trainer = Trainer(tiny_config(folder), tmp_path)
    batch, vertices = trainer.task.prepare(trainer.task.batch(0)), torch.arange(trainer.model.config.vertex_count)
    options = dict(drawn=Drawn(vertices, None, None, None, None, None), probability=1.0)
    alone, with_cross = (losses.LossWeights(cross_reconstruction=w) for w in (0.0, 1000.0))
    trainer.model.eval()
    total, terms = compute_losses(trainer.model, batch, weights=alone, **options)
    twice = ("source_hidden", "source_masks", "pooled", "emotions", "levels", "motions")
    swapped = replace(batch, **{name: getattr(batch, name)[:1] * 2 for name in twice})
    _, doubled = compute_losses(trainer.model, swapped, weights=with_cross, **options)
    assert terms["cross"] == 0 and torch.allclose(2 * terms["velocity"], doubled["velocity"], rtol=1e-4)
    alone = 1000 * terms["self"] + 500 * terms["velocity"] + 1e-4 * terms["classification"]
    assert total.item() == pytest.approx(alone.item())


def test_squared_aperture_counts_measured_motion_only(folder, tmp_path):
    trainer = Trainer(tiny_config(folder), tmp_path)
    trainer.model.eval()
    batch = trainer.task.prepare(trainer.task.batch(0))
    assert not batch.real.any()
    top, bottom = (int(trainer.model.template[:, 1].argmax()), int(trainer.model.template[:, 1].argmin()))  # the upper half swells
    pairs = losses.LipPairs(*torch.tensor([[[top, bottom]], [[top, bottom]]]))

    def aperture(*real):
        drawn = Drawn(torch.arange(trainer.model.config.vertex_count), pairs, None, None, None, None)
        options = dict(drawn=drawn, weights=losses.LossWeights(lip_aperture=1.0), probability=1.0)
        return compute_losses(trainer.model, replace(batch, real=torch.tensor(real)), **options)[1]["lip_aperture"].item()

    assert aperture(False, False) == 0 and aperture(True, False) > 0 and aperture(True, True) > 0


def lip_terms(trainer, *, middle, line, **weights) -> tuple[torch.Tensor, dict]:
    """Total and terms of the first batch, as if its motion were measured, with lips at these (upper, lower) vertices."""
    trainer.model.eval()
    torch.manual_seed(0)
    for decoder in (trainer.model.content_decoder, trainer.model.emotion_decoder):  # heads that start at zero would say nothing
        torch.nn.init.normal_(decoder.motion_out.weight, std=0.05)
    batch = trainer.task.prepare(trainer.task.batch(0))
    batch = replace(batch, real=torch.ones_like(batch.real))
    drawn = Drawn(torch.arange(trainer.model.config.vertex_count), losses.LipPairs(*torch.tensor([[middle], [line]])), None, None, None, None)
    return compute_losses(trainer.model, batch, drawn=drawn, weights=losses.LossWeights(**weights), probability=1.0)


def test_every_lip_term_counts_in_the_total_with_its_own_weight(folder, tmp_path):
    trainer = Trainer(tiny_config(folder), tmp_path)
    weights = {"lip_gap": 3.0, "lip_aperture": 5.0, "lip_seal": 7.0}
    pairs = dict(middle=[0, 1], line=[0, 1])  # the lower half of the sphere rests, so these are shut in the truth
    total, terms = lip_terms(trainer, **pairs, **weights)
    without, _ = lip_terms(trainer, **pairs)
    assert all(terms[name] > 0 for name in weights)
    assert (total - without).item() == pytest.approx(sum(weights[name] * terms[name].item() for name in weights), rel=1e-3)


def test_lips_are_sealed_along_the_whole_line(folder, tmp_path):
    """The aperture is that of the middle third, the seal that of the line from corner to corner."""
    trainer = Trainer(tiny_config(folder), tmp_path)
    one, other = [0, 1], [2, 3]

    def seal(middle, line):
        return lip_terms(trainer, middle=middle, line=line, lip_seal=1.0)[1]["lip_seal"].item()

    assert seal(one, other) == seal(other, other) > 0 and seal(one, other) != pytest.approx(seal(other, one), rel=1e-3)


def test_the_content_branch_alone_is_compared_with_its_own_words_only(folder, tmp_path, monkeypatch):
    """Aperture of the fused face with both emotions; of the content branch with the emotion that was said, not with the other one."""
    trainer, compared = Trainer(tiny_config(folder), tmp_path), []
    measure = losses.lip_aperture
    monkeypatch.setattr(losses, "lip_aperture", lambda offsets, truth, *rest: compared.append((offsets, truth)) or measure(offsets, truth, *rest))
    lip_terms(trainer, middle=[0, 1], line=[0, 1], lip_aperture=1.0)
    (fused, own), (content, same), (crossed, lent) = compared
    assert torch.equal(own, same) and not torch.equal(own, lent)
    assert not torch.equal(fused, content) and not torch.equal(crossed, content)


def test_attention_rate_scales_the_step_of_mesh_attention_alone(folder, tmp_path):
    trainer = Trainer(tiny_config(folder, attention_rate=0.0), tmp_path)
    torch.manual_seed(0)
    torch.nn.init.normal_(trainer.model.emotion_decoder.motion_out.weight, std=0.05)  # where branches agree, no weight between them matters
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train_step(trainer.task.batch(0))
    changed = {name.split(".")[0] for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert "content_decoder" in changed and "mesh_attention" not in changed


def test_ema_is_refused_where_encoders_learn(folder, tmp_path):
    with pytest.raises(SystemExit, match="only for frozen speech encoders"):
        Trainer(tiny_config(folder, ema_decay=0.9), tmp_path)


def test_older_checkpoints_are_read_under_the_present_names(folder, tmp_path):
    """What EMA, its decay, masked history and the pooling were called; such a run goes on, and another may start from it."""
    config = tiny_config(folder, ema_decay=0.8, masked_history=0.5)
    trainer = Trainer(config, tmp_path / "a", task=FrozenEncoders)
    trainer.save()
    state = torch.load(trainer.checkpoint, weights_only=True)
    state["averaged"] = {key.replace("statistics_pooling.", "slow_track."): value for key, value in state.pop("ema").items()}
    for former, present in FORMER_SETTINGS.items():
        state["config"][former] = state["config"].pop(present)
    torch.save(state, trainer.checkpoint)
    read = read_checkpoint(trainer.checkpoint, config)
    assert read["ema"].keys() == trainer.ema.state_dict().keys() and "averaged" not in read
    Trainer(config, tmp_path / "a", task=FrozenEncoders).resume()


def test_resume_refuses_other_settings(folder, tmp_path):
    Trainer(tiny_config(folder), tmp_path).save()
    with pytest.raises(SystemExit, match="other settings"):
        Trainer(tiny_config(folder, seed=5), tmp_path).resume()


def test_finished_run_exports_its_model_its_best_and_its_log(folder, tmp_path, monkeypatch):
    """Three epochs, the second of which is made to look best."""
    trainer = Trainer(tiny_config(folder, epochs=3, steps_per_epoch=10, validate_every=1), tmp_path)
    scores, validate = [], trainer.task.validate
    kept = {}

    def second_is_best(model):
        found = validate(model)
        scores.append({**found, "score": (2.0, 1.0, 3.0)[len(scores)]})
        kept[len(scores)] = model.content_decoder.qkv.weight.detach().clone()
        return scores[-1]

    monkeypatch.setattr(trainer.task, "validate", second_is_best)
    trainer.run()
    best, _, _ = load_folder(tmp_path / "best")
    assert torch.equal(best.content_decoder.qkv.weight, kept[2]) and not torch.equal(kept[2], kept[3])
    log = EventAccumulator(str(tmp_path / "log")).Reload()
    assert [event.value for event in log.Scalars("validation/score")] == [2.0, 1.0, 3.0]
    assert [event.value for event in log.Scalars("validation/lips_mm")] == pytest.approx([s["lips_mm"] for s in scores])
    assert {"train/self", "train/cross", "train/velocity", "train/classification", "train/gradient"} <= set(log.Tags()["scalars"])
    model, content, emotion = load_folder(tmp_path / "model")
    assert model.config.style_names == ["anna"] and content.width == emotion.width == model.config.feature_size == 32
    for a, b in zip(trainer.model.state_dict().values(), model.state_dict().values()):
        assert torch.equal(a, b)
    named = model.emotion_prototypes
    neutral, happy = (EMOTIONS.index(name) for name in ("neutral", "happy"))
    assert named[happy, 0].abs().max() > 0 and not torch.allclose(named[happy, 0], named[neutral, 0])
    assert torch.equal(named[neutral, 1], named[neutral, 0]) and not named[happy, 1].any()  # no strong clip was there


def test_cross_target_is_the_other_clip_on_the_contents_clock(folder, tmp_path):
    task = Trainer(tiny_config(folder), tmp_path).task
    batch = task.batch(0)
    for row, frames in enumerate(batch.frames):
        assert int(batch.rest.mask[row].sum()) == frames
    assert not torch.equal(batch.rest.motions[0].offsets, batch.rest.motions[1].offsets)
    assert (batch.rest.emotions[0] != batch.rest.emotions[1]).all()


PHONES = "K IH D Z AA R T AO K IH NG B AY DH AH D AO R".split()


def spoken(step: float) -> list[Phone]:
    """A sentence with a B in it, every phone ``step`` seconds long, between half seconds of silence."""
    starts = 0.5 + step * np.arange(len(PHONES))
    phones = [Phone(name, float(t), float(t + step), "word") for name, t in zip(PHONES, starts)]
    return [Phone("SIL", 0.0, 0.5, "-"), *phones, Phone("SIL", phones[-1].end, phones[-1].end + 0.5, "-")]


def make_head_data(folder, *, aligned: bool = True):
    """As ``train.prepare video`` writes it: one sentence, said slowly and quickly, and a clip to validate on."""
    (folder / "audio").mkdir(parents=True), (folder / "parts").mkdir()
    rng, names = np.random.default_rng(0), []
    for name, split, emotion, step in (("slow", "train", "sad", 0.13), ("quick", "train", "happy", 0.09), ("held", "val", "sad", 0.1)):
        phones = spoken(step)
        count = int(np.ceil(phones[-1].end * 30))
        content, closure = speech_motion(phones, np.full(count, 0.5), average_head_lips())
        clip = Clip(
            identity=name,
            source="video",
            split=split,
            speaker="anna",
            style="anna",
            motion="real",
            sample_rate=16000,
            content=content,
            samples=rng.normal(size=int(count / 30 * 16000)).astype(np.float32) * 0.1,
            loudness=np.ones(count),
            accent=np.zeros(count),
            envelope=np.ones(count),
            activity=np.ones(count),
            closure=closure,
            speech=(0.5, phones[-1].start),
            measured=np.zeros(count),
            measured_raw=np.zeros(count),
            emotion=emotion,
            text="kids are talking by the door",
            phones=phones if aligned else [],
        )
        write_part(clip, folder)
        names.append(name)
    merge(folder, names, [])
    return folder


def head_config(folder, **changes) -> TrainingConfig:
    config = tiny_config(folder, **changes)
    del config.data["mesh"]
    return config


def test_videos_train_the_embedded_head_on_aligned_pairs(tmp_path):
    """The quick clip on the slow one's clock: at its phones, with lips sealed at its B."""
    config = head_config(make_head_data(tmp_path / "data"), epochs=1, steps_per_epoch=1)
    trainer = Trainer(config, tmp_path / "run")
    task, slow, quick = trainer.task, spoken(0.13), spoken(0.09)
    time_map = task.partners._time_map(0, 1)
    assert time_map(np.array([p.start for p in slow[1:-1]])) == pytest.approx([p.start for p in quick[1:-1]], abs=2e-3)
    warped = task.data.warped(1, 0, time_map)
    assert warped.shape == (task.data.clips[0]["frames"], task.data.head.skin_count, 3)
    aperture = lip_aperture_mm(task.data.head.skin_template + warped, task.data.head)
    own = lip_aperture_mm(task.data.head.skin_template + task.data.offsets(0), task.data.head)
    sealed = task.data.corpus.track(0, "closure") > 0.99
    assert sealed.any() and aperture[sealed].max() < 0.3 and np.corrcoef(aperture, own)[0, 1] > 0.9
    trainer.run()
    model, _, _ = load_folder(tmp_path / "run" / "model")
    assert model.config.head == "embedded" and model.config.vertex_count == task.data.head.skin_count


def test_pairs_without_phones_are_warped_by_what_is_heard(tmp_path):
    task = Trainer(head_config(make_head_data(tmp_path / "data", aligned=False)), tmp_path / "run").task
    assert len(task.partners._time_map(0, 1).a) > len(PHONES) + 1  # a knot per feature frame, not per phone


def test_a_folder_without_validation_clips_is_refused(tmp_path):
    other = make_data(tmp_path / "data", clips=1)
    clips = [c for c in json.loads((other / "clips.json").read_text()) if c["split"] == "train"]
    (other / "clips.json").write_text(json.dumps(clips))
    with pytest.raises(EmoFaceError, match="1 training and 0 validation clips"):
        Trainer(tiny_config(other), tmp_path / "run")


@pytest.mark.parametrize("key, words", [("mesh", "FLAME_sample.ply"), ("masks", "FLAME_masks.pkl")])
def test_a_missing_mesh_or_mask_file_says_where_it_comes_from(folder, tmp_path, key, words):
    data = {**tiny_config(folder).data, key: str(tmp_path / "none")}
    with pytest.raises(EmoFaceError, match=words):
        Trainer(tiny_config(folder, data=data), tmp_path / "run")


def test_an_unseen_speaker_is_scored_in_every_style_as_if_alone(tmp_path):
    """Two training speakers and a third to validate on: the mean of what each style gives when it is decoded by itself."""
    folder = make_data(tmp_path / "data")
    clips = json.loads((folder / "clips.json").read_text())
    for clip, name in zip(clips, ("anna", "carl", "bert")):
        clip["style"] = name
    (folder / "clips.json").write_text(json.dumps(clips))
    trainer = Trainer(tiny_config(folder), tmp_path / "run")
    model, task = trainer.model.eval(), trainer.task
    assert model.config.style_names == ["anna", "bert"] and [clips[i]["style"] for i in task.val] == ["carl"]
    torch.nn.init.normal_(model.content_decoder.motion_out.weight, std=0.5)
    both = task.validate(model)
    alone = []
    for name in ("anna", "bert"):
        clips[task.val[0]]["style"] = task.data.clips[task.val[0]]["style"] = name
        alone.append(task.validate(model))
    assert alone[0]["lips_mm"] != pytest.approx(alone[1]["lips_mm"], rel=1e-4)
    for key in ("lips_mm", "eyes_mm"):
        assert both[key] ** 2 == pytest.approx(np.mean([a[key] ** 2 for a in alone]), rel=1e-4)


def test_a_batch_moves_as_a_whole(folder, tmp_path):
    """To a device that every machine has; a GPU would stumble over what stays behind."""
    batch = Trainer(tiny_config(folder), tmp_path).task.batch(0).to("meta")
    motion = BasisMotion(torch.zeros(1, 2, 3), torch.zeros(3, 5, 3)).to("meta")
    moved = [*batch.content, *batch.sources[0], *batch.sources[1], batch.rest.mask, batch.rest.style, motion.weights, motion.basis]
    moved += [m.offsets for m in batch.rest.motions] + [t for pair in (batch.rest.emotions, batch.rest.levels, batch.rest.pooled) for t in pair]
    assert {t.device.type for t in moved} == {"meta"}


def test_not_finite_loss_is_named(folder, tmp_path):
    trainer = Trainer(tiny_config(folder), tmp_path)
    with torch.no_grad():
        trainer.model.content_decoder.memory.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite at step 0"):
        trainer.train_step(trainer.task.batch(0))


def test_not_finite_gradient_is_named(folder, tmp_path):
    trainer = Trainer(tiny_config(folder), tmp_path)
    trainer.model.content_decoder.memory.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(FloatingPointError, match="gradient is not finite at step 0"):
        trainer.train_step(trainer.task.batch(0))


@pytest.fixture
def fresh_accelerate():
    """Accelerate keeps its precision for a whole process; this forgets it before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_mixed_precision_trains_in_bfloat16_and_keeps_float32_weights(folder, tmp_path, fresh_accelerate):
    trainer = Trainer(tiny_config(folder, mixed_precision="bf16"), tmp_path)
    seen = []
    trainer.model.content_decoder.qkv.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    losses = [trainer.train_step(trainer.task.batch(0))["loss"] for _ in range(8)]
    assert set(seen) == {torch.bfloat16} and losses[-1] < losses[0]
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters())


@torch.no_grad()
def free_run(trainer: Trainer) -> torch.Tensor:
    """Offsets that a trainer's model computes for its first batch, free-running.

    Trained weights are compared by these: what has no gradient but rounding, like a key's bias, moves by a full step of Adam into a
    direction that differs between processors, and changes nothing that the model computes.
    """
    for module in (trainer.model, *trainer.task.modules()):
        module.eval()
    batch, config = trainer.task.prepare(trainer.task.batch(0)), trainer.model.config
    condition = trainer.model.conditions(style=config.style_names[0], level=config.level_names[0], rows=len(batch.content_hidden))
    features = trainer.model.content_features(batch.content_hidden), trainer.model.emotion_features(batch.source_hidden[0])
    frames = min(len(f[0]) for f in features)
    return torch.cat([part.fused_offsets for part in trainer.model.generate(*(f[:, :frames] for f in features), **condition)], dim=1)


@pytest.mark.slow
def test_processes_train_as_one_on_all_their_batches(folder, tmp_path):
    """Two processes, two steps: the same function as one process that takes the mean gradient of both batches."""
    config = tiny_config(folder, epochs=1, steps_per_epoch=2)
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(asdict(config)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "train.train"]
    command += ["--config", str(tmp_path / "two.yaml"), "--out", str(tmp_path / "two")]
    done = subprocess.run(command, env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    one = Trainer(config, tmp_path / "one")
    drawn = one.sampler.draw(0)
    for step in range(2):
        both = []
        for number in (2 * step, 2 * step + 1):
            torch.manual_seed(config.seed * 7_368_787 + number)
            batch = one.task.prepare(one.task.batch(number))
            both.append(compute_losses(one.model, batch, drawn=drawn, weights=one.weights, probability=1.0, passes=config.passes)[0])
        one.optimizer.zero_grad()
        (sum(both) / 2).backward()
        torch.nn.utils.clip_grad_norm_(one.task.parameters(), config.gradient_clip)
        for group in one.optimizer.param_groups:
            group["lr"] = learning_rate(config, step, 2)
        one.optimizer.step()
    two = Trainer(config, tmp_path / "start")
    start = free_run(two)
    saved = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 2
    two.model.load_state_dict(saved["model"])
    two.task.load_state(saved["task"])
    learned, apart = (free_run(one) - start).abs().max(), (free_run(one) - free_run(two)).abs().max()
    assert apart < 1e-3 * learned
    assert (tmp_path / "two" / "model").is_dir() and len(list((tmp_path / "two" / "log").iterdir())) == 1


@pytest.mark.parametrize(
    "text, words",
    [
        ("lerning_rate: 1", "The file has an unknown key 'lerning_rate'; use one of data, model, losses"),
        ("model: {hidden_sizes: 8}", "'model' has an unknown key 'hidden_sizes'; use one of vertex_count"),
        ("losses: {lip_gab: 8}", "'losses' has an unknown key 'lip_gab'; use one of self_reconstruction"),
        ("schedule: linear", "'schedule' must be 'constant' or 'cosine', not 'linear'"),
        ("scheme: forced", "'scheme' must be 'self_growing' or 'teacher_forcing'"),
        ("data: {kind: corpus, corpus: data, longets: 8}", "'data' has an unknown key 'longets'; use one of kind, corpus"),
        ("data: {kind: films}", "'data.kind' must be 'corpus' or 'meshes', not 'films'"),
        ("data: {kind: meshes}", "'data' has no 'folder'"),
        ("epochs: many", "'epochs' must be a valid integer"),
        ("losses: {velocity: fast}", "'losses.velocity' must be a valid number"),
        ("masked_history: 2", "'masked_history' must be less than or equal to 1"),
    ],
)
def test_misspelled_settings_are_refused(tmp_path, text, words):
    (tmp_path / "x.yaml").write_text(text if text.startswith("data") else f"data: {{kind: meshes}}\n{text}\n")
    with pytest.raises(SystemExit, match=words):
        read_config(tmp_path / "x.yaml")


def test_a_task_of_unknown_kind_is_refused():
    with pytest.raises(EmoFaceError, match="must be 'corpus' or 'meshes', not 'films'"):
        make_task(TrainingConfig(data={"kind": "films"}))


def test_missing_data_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match="train.prepare"):
        MeshFolder(tmp_path)


@pytest.mark.parametrize("path", sorted(Path("train/configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path):
    if path.stem == "recognition":
        assert read_recognition_config(path).steps > 0
        return
    config = read_config(path)
    losses.LossWeights(**config.losses)
    assert json.dumps(config.data)
