"""The ablation command on a made-up corpus whose features hold the jaw and the emotion, at toy size."""

import json

import numpy as np
import pytest
import torch
import yaml

from emoface.metrics import root_mm
from tests.toy_corpus import write_corpus
from train import ablate
from train.ablate import REFERENCE, VARIANTS
from train.train import Trainer, read_config

pytestmark = pytest.mark.slow
WIDTH, STEPS = 16, 60
NAMES = [REFERENCE, "teacher_forcing", "single_branch"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """With features: a random projection of what is to be shown."""
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    rng = np.random.default_rng(0)
    shown = np.concatenate([np.c_[corpus.track(i, "content"), np.tile(corpus.targets[i], (c["frames"], 1))] for i, c in enumerate(corpus.clips)])
    features = shown @ rng.normal(size=(shown.shape[1], 2 * WIDTH)) + 0.05 * rng.normal(size=(len(shown), 2 * WIDTH))
    np.save(corpus.folder / "features.npy", features.reshape(len(shown), 2, WIDTH).astype(np.float16))
    return corpus


@pytest.fixture(scope="module")
def options(corpus, tmp_path_factory):
    """Arguments of the command, with the shipped base at toy size."""
    folder = tmp_path_factory.mktemp("ablations")
    base = yaml.safe_load(ablate.BASE.read_text())
    base["data"]["validation_clips"] = 8
    base["model"] |= dict(
        feature_size=WIDTH, feature_layers=2, content_layer=1, emotion_layer=0, hidden_size=16, feedforward_size=32, attention_heads=2
    )
    base |= dict(learning_rate=0.01, vertices=60)
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    return [
        f"--corpus={corpus.folder}",
        f"--out={folder / 'table.json'}",
        f"--runs={folder / 'runs'}",
        f"--config={folder / 'base.yaml'}",
        f"--steps={STEPS}",
    ]


@pytest.fixture(scope="module")
def table(options):
    ablate.main([*options, "--variants", *NAMES])
    path = ablate.Path(options[1].split("=")[1])
    return json.loads(path.read_text()), path.with_suffix(".md").read_text()


def test_every_variant_is_a_row_and_learns(table):
    found, page = table
    assert list(found["variants"]) == NAMES and found["steps"] == STEPS
    still = found["static_template"]
    assert still["grid aperture_r"]["value"] == 0 and root_mm(still["grid lve"]["value"]) > 1
    for name, variant in found["variants"].items():
        assert variant["measures"]["ravdess lve"]["value"] < 0.9 * still["ravdess lve"]["value"], name
        assert variant["measures"]["grid aperture_r"]["value"] > 0.5, name
        assert page.count(f"| {VARIANTS[name].text} |") >= 1
    (claim, _) = found["claims"]
    assert claim["claim"] == "self-growing over teacher forcing" and claim["grid lve"] == "yes"  # it never meets its own errors
    assert "| static template | - |" in page and "(real)" in page and "(modelled)" in page
    assert set(found["variants"][REFERENCE]["effect_mm"][0]) >= {"brow_left", "scalp", "neck"}
    assert "effect_mm" not in found["variants"]["single_branch"]  # it has no weights


def test_changes_are_against_the_reference(table):
    measures = {name: v["measures"] for name, v in table[0]["variants"].items()}
    change = table[0]["variants"]["teacher_forcing"]["against_reference"]
    lve = [measures[name]["ravdess lve"]["value"] for name in ("teacher_forcing", REFERENCE)]
    assert change["ravdess lve"]["value"] == pytest.approx(100 * (lve[0] / lve[1] - 1)) != 0
    r = [measures[name]["grid aperture_r"]["value"] for name in ("teacher_forcing", REFERENCE)]
    assert change["grid aperture_r"]["value"] == pytest.approx(r[0] - r[1])


def test_a_finished_run_is_read_not_trained(table, options, monkeypatch):
    monkeypatch.setattr(ablate, "Trainer", None)
    ablate.main([*options, "--variants", *NAMES])
    assert json.loads(ablate.Path(options[1].split("=")[1]).read_text())["variants"] == table[0]["variants"]
    with pytest.raises(SystemExit, match="other settings"):
        ablate.main([*options[:-1], "--steps=20", "--variants", REFERENCE])


def test_a_stopped_run_goes_on_to_the_same_numbers(table, options, tmp_path):
    base, corpus, runs = (ablate.Path(options[i].split("=")[1]) for i in (3, 0, 2))
    config = VARIANTS[REFERENCE].config(read_config(base), corpus=corpus, steps=STEPS, seed=0)
    trainer = Trainer(config, tmp_path, task=VARIANTS[REFERENCE].task)
    trainer.run(seconds=0.05)
    assert 0 < trainer.step < trainer.total
    again = ablate.measured_run(REFERENCE, config, tmp_path)
    assert again == json.loads((runs / f"{REFERENCE}-0" / "measured.json").read_text())
    assert not trainer.checkpoint.exists()


def test_variants_differ_from_the_base_by_what_they_say(options):
    base = read_config(ablate.BASE)
    of = {name: v.config(base, corpus=ablate.Path("x"), steps=40, seed=3) for name, v in VARIANTS.items()}
    assert (
        of[REFERENCE].scheme == "self_growing"
        and of[REFERENCE].masked_history == 0
        and of[REFERENCE].warmup_epochs / of[REFERENCE].epochs == 10 / 200
    )
    assert of[REFERENCE].losses == {}  # the paper's
    assert of["teacher_forcing"].scheme == "teacher_forcing" and of["teacher_forcing"].model == of[REFERENCE].model
    assert of["delta_1"].model == {**of[REFERENCE].model, "temporal_window": 1}
    assert all(c.seed == 3 and c.steps_per_epoch == 2 and c.data == of[REFERENCE].data for c in of.values())


def test_single_branch_is_its_content_branch_alone(corpus, options, tmp_path):
    base, folder = (ablate.Path(options[i].split("=")[1]) for i in (3, 0))
    config = VARIANTS["single_branch"].config(read_config(base), corpus=folder, steps=20, seed=0)
    trainer = Trainer(config, tmp_path, task=VARIANTS["single_branch"].task)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train_step(trainer.task.batch(0))
    moved = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved and all(name.startswith("content_") for name in moved)
    (part,) = trainer.task.generate(trainer.model.eval(), corpus.select(source="ravdess", split="val")[0])
    assert torch.equal(part.fused_offsets, part.content_offsets)
    assert "grid_cross" not in trainer.task.sampler.kinds


def test_verdicts_need_the_interval_and_the_seeds():
    def runs(*seeds):
        return [dict(clips={"grid": [dict(frames=10, lve=v, aperture_r=-v) for v in of]}) for of in seeds]

    good, bad = runs([1.0, 1.1, 1.2], [1.0, 1.1, 1.2]), runs([2.0, 2.3, 2.2], [1.5, 1.4, 1.6])
    assert ablate.verdict(good, bad, "grid", "lve") == ablate.verdict(good, bad, "grid", "aperture_r") == "yes"
    assert ablate.verdict(bad, good, "grid", "lve") == ablate.verdict(bad, good, "grid", "aperture_r") == "no"
    assert ablate.verdict(good, runs([2.0, 2.3, 2.2], [0.9, 1.0, 1.1]), "grid", "lve") == "open"  # seeds disagree
    assert ablate.verdict(runs([1.0, 2.0]), runs([2.0, 1.0]), "grid", "lve") == "open"
    assert ablate.verdict(good, runs([2.0, 2.3, 2.2]), "grid", "lve") == "yes"  # the second seed has no partner
    long_and_short = [dict(clips={"grid": [dict(frames=30, lve=1.0, aperture_r=1.0), dict(frames=10, lve=5.0, aperture_r=0.0)]})]
    assert ablate.estimate(long_and_short, "grid", "lve").value == 2.0
    assert ablate.estimate(long_and_short, "grid", "aperture_r").value == 0.5


def test_effect_order_compares_the_extremes():
    effect = {"brow_left": 0.5, "lips": 0.4, "jaw": 0.3, "eyelid_left": 0.6, "scalp": 0.1, "ear_left": 0.05, "neck": 0.2, "nose": 0.0}
    assert ablate.effect_order(effect) == ("jaw", "neck", True)
    assert not ablate.effect_order({**effect, "neck": 0.35})[2]
