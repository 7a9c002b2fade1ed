"""The comparison on a made-up corpus whose features hold what is to be shown, at toy size; and its numbers by hand."""

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import trimesh
from PIL import Image

from emoface.export import save
from emoface.export.arkit import ARKIT_NAMES
from emoface.export.curves import animation_from_weights
from tests.toy_corpus import write_corpus
from train import choices, compare
from train.comparison.measures import FIXED, GRID, RAVDESS
from train.comparison.numbers import by_speaker, over_speakers, verdicts
from train.corpus.channels import NAMES

WIDTH = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    rng = np.random.default_rng(0)
    shown = np.concatenate([np.c_[corpus.track(i, "content"), np.tile(corpus.targets[i], (c["frames"], 1))] for i, c in enumerate(corpus.clips)])
    mixed = shown @ rng.normal(size=(shown.shape[1], WIDTH)) * 0.5
    np.save(corpus.folder / "features.npy", np.repeat(mixed[:, None], 2, axis=1).astype(np.float16))
    return corpus


@pytest.fixture(scope="module")
def options(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    return [
        f"--data={corpus.folder}",
        f"--out={folder / 'c.json'}",
        f"--runs={folder / 'runs'}",
        "--steps=60",
        "--frames=200",
        "--ravdess-every=6",
        "--grid-every=1",
    ]


@pytest.fixture(scope="module")
def table(options):
    compare.main([*options, "--methods", "voca", "faceformer"])
    path = Path(options[1].split("=")[1])
    return json.loads(path.read_text()), path.with_suffix(".md").read_text()


def test_methods_learn_and_stand_beside_fixed_answers(table):
    found, page = table
    value = lambda who, key: found["rows"][who]["measures"][key]["value"]
    assert list(found["rows"]) == ["static template", "mean motion", "label mean", "target", "voca", "faceformer"]
    for name in ("voca", "faceformer"):  # lips that the sound alone decides: after so few steps emotion is still a matter of seed and processor
        assert value(name, "grid lve") < 0.9 * value("static template", "grid lve")
    assert value("voca", "grid aperture_r") > 0.3
    assert value("target", "ravdess lve") == 0 and value("target", "ravdess upper") == pytest.approx(1)
    assert value("target", "ravdess torn") == value("static template", "ravdess torn") == 0
    assert value("target", "ravdess mtm") == 0 and value("target", "ravdess turns") == 100
    assert value("static template", "grid aperture_r") == 0 and value("static template", "grid turns") == 0
    assert value("label mean", "ravdess eve") < value("mean motion", "ravdess eve") < value("static template", "ravdess eve")
    for text in ("| VOCA |", "| FaceFormer |", "*static template*", "no reproduction", "behind SelfTalk"):
        assert text in page


def test_a_finished_run_is_read_not_trained(table, options, monkeypatch):
    monkeypatch.setattr(compare, "fit", None)
    monkeypatch.setattr(compare.Harness, "measure", None)
    compare.main([*options, "--methods", "voca", "faceformer"])
    assert json.loads(Path(options[1].split("=")[1]).read_text())["rows"] == table[0]["rows"]
    folder = Path(options[2].split("=")[1]) / "voca-0"
    stored = json.loads((folder / "measured.json").read_text())
    (folder / "measured.json").write_text(json.dumps(dict(stored, settings=dict(stored["settings"], steps=7))))
    with pytest.raises(SystemExit, match="other settings"):
        compare.main([*options, "--methods", "voca"])
    (folder / "measured.json").write_text(json.dumps(stored))


def test_what_others_made_is_measured_from_their_files(corpus, options, table, tmp_path, capsys):
    """The target's own motion, written as Live Link curves and as our npz, is as good as the target but for what a file rounds."""
    plan = json.loads(Path(options[1].split("=")[1]).read_text())["plan"]
    harness = compare.Harness(corpus.folder, compare.Plan(**plan))
    assert harness.write_sounds(tmp_path / "sounds") == len(list((tmp_path / "sounds").glob("*.wav"))) == sum(map(len, harness.clips.values()))
    for folder in ("curves", "arrays"):
        (tmp_path / folder).mkdir()
    for clip in (clip for of in harness.clips.values() for clip in of):
        made = animation_from_weights(corpus.weights(clip)[:, [NAMES.index(name) for name in ARKIT_NAMES]], fps=30)
        save(made, tmp_path / "curves" / f"{corpus.clips[clip]['id']}.csv")
        save(made, tmp_path / "arrays" / f"{corpus.clips[clip]['id']}.npz")
    out = tmp_path / "outside.json"
    given = [f"{name}={tmp_path / name}" for name in ("curves", "arrays")]
    compare.main([*options[:1], f"--out={out}", *options[2:], "--methods", "none", "--outside", *given])
    rows = json.loads(out.read_text())["rows"]
    assert [name for name in rows if name not in FIXED] == ["curves", "arrays"]
    for name, most in (("curves", 0.4e-3), ("arrays", 0.3e-3)):  # metres
        assert rows[name]["measures"]["grid lve"]["value"] < most**2 and rows[name]["measures"]["grid aperture_r"]["value"] > 0.98, rows[name]
        assert rows[name]["measures"]["ravdess lve"]["value"] < 1e-6
    assert "| curves |" in out.with_suffix(".md").read_text()
    next((tmp_path / "curves").iterdir()).unlink()
    with pytest.raises(SystemExit):
        compare.main([*options[:1], f"--out={out}", *options[2:], "--methods", "none", "--outside", given[0]])
    assert re.search(r"lacks 1 of .*--sounds", capsys.readouterr().err)
    with pytest.raises(SystemExit):
        compare.main([*options, "--outside", "voca=x"])


def run_of(values: dict[str, list[float]], key: str = "aperture_r", frames=10) -> dict:
    return dict(clips={RAVDESS: [dict({key: v, "frames": frames}, speaker=s) for s, of in values.items() for v in of], GRID: []})


def test_every_speaker_counts_alike():
    runs = [run_of({"a": [0.2, 0.4], "b": [0.9]}), run_of({"a": [0.4, 0.6], "b": [0.7]})]
    values = by_speaker(runs, RAVDESS, "aperture_r")
    assert values == pytest.approx({"a": 0.4, "b": 0.8})
    found = over_speakers(values)
    assert found.value == pytest.approx(0.6) and (found.low, found.high) == pytest.approx((0.4, 0.8)) and found.n == 2
    assert np.isnan(over_speakers({"a": 0.4}).low)


def test_squared_errors_weigh_frames_and_what_is_unknown_does_not_count():
    rows = [dict(speaker="a", frames=30, lve=1.0, mtm=None), dict(speaker="a", frames=10, lve=5.0, mtm=40.0)]
    run = dict(clips={RAVDESS: rows})
    assert by_speaker([run], RAVDESS, "lve") == {"a": 2.0}
    assert by_speaker([run], RAVDESS, "mtm") == {"a": 40.0} and by_speaker([run], RAVDESS, "readable") == {}


def test_intensity_follows_the_voice_within_a_speaker():
    rows = [dict(speaker="a", frames=9, lips_mm=x, loudness_db=y) for x, y in ((1, -30), (2, -20), (3, -10))]
    assert by_speaker([dict(clips={RAVDESS: rows})], RAVDESS, "slcc") == pytest.approx({"a": 1.0})


def test_verdicts_need_the_interval_over_speakers():
    def runs(ours, theirs):
        clips = lambda of: {RAVDESS: [dict(speaker=str(i), frames=10, lve=-v, eve=-v, aperture_r=v) for i, v in enumerate(of)], GRID: []}
        return dict(emoface=[dict(clips=clips(ours))], voca=[dict(clips=clips(theirs))])

    assert verdicts(runs([0.5, 0.6, 0.7], [0.4, 0.5, 0.5]))["voca"] == {
        "grid lve": "open",
        "ravdess lve": "better",
        "ravdess eve": "better",
        "grid aperture_r": "open",
        "ravdess aperture_r": "better",
        "grid width_r": "open",
    }
    assert verdicts(runs([0.5, 0.6, 0.3], [0.4, 0.5, 0.5]))["voca"]["ravdess lve"] == "open"
    assert verdicts(runs([0.1, 0.2], [0.4, 0.5]))["voca"]["ravdess aperture_r"] == "worse"


def test_people_choose_between_the_runs_and_the_page_says_which_measures_agree(table, options, corpus, tmp_path, monkeypatch):
    runs = options[2].split("=")[1]
    monkeypatch.setattr("sys.argv", ["choices", "write", "--runs", runs, "--corpus", str(corpus.folder), "--out", str(tmp_path), "--count", "6"])
    choices.main()
    key = json.loads((tmp_path / "key.json").read_text())
    assert {side for pair in key.values() for side in (pair["A"], pair["B"])} == {"voca", "faceformer", "label mean", "target"}
    picture = np.asarray(Image.open(tmp_path / "01.png"))
    assert picture.shape == (2 * choices.SIZE + choices.GAP, 6 * choices.SIZE, 3)
    assert np.abs(picture[: choices.SIZE].astype(int) - picture[-choices.SIZE :]).max() > 20, "two different answers"
    assert (tmp_path / "questions.txt").read_text().count("strongly") == 6
    (tmp_path / "answers.json").write_text(json.dumps(dict.fromkeys(key, "A")))
    monkeypatch.setattr("sys.argv", ["choices", "score", "--runs", runs, "--out", str(tmp_path), "--answers", str(tmp_path / "answers.json")])
    choices.main()
    compare.main([*options, "--methods", "voca", "faceformer"])
    page = Path(options[1].split("=")[1]).with_suffix(".md")
    assert "## Measures beside blind choices" in page.read_text()


# ---- recorded meshes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    """A ball that opens and shuts below and rises above, as loud as its encoder frames say; two sentences, two emotions; speaker c is unseen."""
    folder = tmp_path_factory.mktemp("balls") / "balls"
    for name in ("audio", "vertices"):
        (folder / name).mkdir(parents=True)
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.1)
    template, rng = np.asarray(ball.vertices, np.float32), np.random.default_rng(0)
    low, high = (np.flatnonzero(part) for part in (template[:, 1] < -0.05, template[:, 1] > 0.05))
    masks = {"lips": low, "eye_region": high[::2], "forehead": high[1::2]}
    (folder / "masks.pkl").write_bytes(pickle.dumps(masks, protocol=2))
    ball.export(folder / "ball.ply")
    clips, features, mixing = [], [], rng.normal(size=(2, WIDTH))
    for speaker, split in (("a", "train"), ("b", "train"), ("c", "test")):
        for number, emotion in enumerate(("neutral", "happy")):
            name, loud = f"{speaker}_{number}", np.abs(np.sin(np.arange(40) * (0.3 + 0.1 * number) + ord(speaker)))
            offsets = np.zeros((40, *template.shape), np.float32)
            offsets[:, low, 1] = -0.01 * loud[:, None]
            offsets[:, high, 1] = 0.005 * loud[:, None] * number
            np.save(folder / "vertices" / f"{name}.npy", template + offsets)
            soundfile.write(folder / "audio" / f"{name}.wav", 0.1 * rng.standard_normal(21333), 16000)
            clips.append(
                dict(
                    id=name,
                    source="balls",
                    split=split,
                    speaker=speaker,
                    style=speaker,
                    text="the same words",
                    emotion=emotion,
                    level=0,
                    motion="real",
                )
                | dict(frames=40, audio=f"audio/{name}.wav", vertices=f"vertices/{name}.npy")
            )
            features.append(np.repeat((np.c_[loud, np.full(40, number)] @ mixing)[:, None], 2, axis=1))
    np.save(folder / "features.npy", np.concatenate(features).astype(np.float16))
    np.savez(folder / "templates.npz", **dict.fromkeys("abc", template))
    (folder / "clips.json").write_text(json.dumps(clips))
    return folder


def mesh_options(meshes, tmp_path) -> list[str]:
    return [
        f"--meshes={meshes}",
        f"--mesh={meshes / 'ball.ply'}",
        f"--masks={meshes / 'masks.pkl'}",
        f"--out={tmp_path / 'm.json'}",
        f"--runs={tmp_path / 'runs'}",
        "--steps=40",
        "--frames=200",
    ]


def test_methods_are_compared_on_recorded_meshes(meshes, tmp_path):
    options = mesh_options(meshes, tmp_path)
    harness = compare.MeshHarness(compare.MeshPlan(str(meshes), 40, 200, 1), mesh=meshes / "ball.ply", masks=meshes / "masks.pkl")
    (tmp_path / "peer").mkdir()
    for clip in harness.clips["mesh"]:
        np.save(tmp_path / "peer" / f"{harness.data.clips[clip]['id']}.npy", harness.truth(clip))
    compare.main([*options, "--methods", "selftalk", "emoface", "--outside", f"peer={tmp_path / 'peer'}"])
    found, page = json.loads((tmp_path / "m.json").read_text()), (tmp_path / "m.md").read_text()
    value = lambda who, key: found["rows"][who]["measures"][f"mesh {key}"]["value"]
    assert list(found["rows"]) == [*FIXED, "peer", "selftalk", "emoface"]
    static = np.mean([np.max(np.sum(harness.truth(clip)[:, harness.lips] ** 2, -1), 1) for clip in harness.clips["mesh"]])
    assert value("static template", "lve") == pytest.approx(static, rel=1e-5)
    assert value("target", "lve") == value("peer", "lve") == 0 and value("peer", "upper") == pytest.approx(1)
    for name in ("selftalk", "emoface"):  # the sound alone says how far it opens
        assert value(name, "lve") < 0.5 * value("static template", "lve"), name
    for text in ("## balls, test", "| SelfTalk |", "| peer |", "every trained style", "| balls LVE |"):
        assert text in page
    assert "GRID" not in page and "RAVDESS" not in page.split("## Measures")[0]
    assert not (tmp_path / "runs" / "emoface-0" / "faces.npz").exists()


def test_an_unseen_speaker_is_asked_for_in_every_style(meshes):
    harness = compare.MeshHarness(compare.MeshPlan(str(meshes), 40, 200, 1), mesh=meshes / "ball.ply", masks=meshes / "masks.pkl")
    asked = []

    class Network:
        def animate(self, content, *, style, level):
            asked.append(style.argmax().item())
            return torch.zeros(1, content.shape[1], len(harness.template), 3)

    harness.animated(Network(), harness.sampler(0), harness.clips["mesh"][0])
    assert asked == [0, 1]
    rows = harness.measure(lambda clip: [harness.truth(clip), 0 * harness.truth(clip)])["mesh"]
    static = harness.measure(lambda clip: [0 * harness.truth(clip)])["mesh"]
    assert [row["lve"] for row in rows] == pytest.approx([row["lve"] / 2 for row in static])


def test_batches_of_meshes_hold_every_clip_once_in_an_epoch_and_the_other_emotion(meshes):
    harness = compare.MeshHarness(compare.MeshPlan(str(meshes), 40, 200, 1), mesh=meshes / "ball.ply", masks=meshes / "masks.pkl")
    sampler = harness.sampler(3)
    assert sampler.size == 2 and sorted(sampler._drawn(0) + sampler._drawn(1)) == harness.split("train") == [0, 1, 2, 3]
    batch, clips = sampler.batch(0), sampler._drawn(0)
    assert batch.emotions[0].tolist() != batch.emotions[1].tolist() and batch.letters is None
    np.testing.assert_allclose(batch.motions[0].offsets[0], harness.truth(clips[0]))
    np.testing.assert_array_equal(batch.content_hidden, batch.source_hidden[0])


@pytest.mark.parametrize("file, says", [("features.npy", "train.features --corpus"), ("ball.ply", "--mesh"), ("masks.pkl", "--masks")])
def test_what_a_folder_of_meshes_lacks_is_said(meshes, tmp_path, capsys, file, says):
    folder = tmp_path / "balls"
    shutil.copytree(meshes, folder)
    (folder / file).unlink()
    with pytest.raises(SystemExit) as end:
        compare.main([*mesh_options(folder, tmp_path), "--methods", "none"])
    assert end.value.code == 2 and says in capsys.readouterr().err
