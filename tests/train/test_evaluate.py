"""The whole evaluation on a made-up corpus whose recordings carry their own motion.

Loudness is the jaw and pitch is the emotion, so an oracle can recompute every target from any recording, also from
joined, noisy and swapped ones:

* the oracle must reach (nearly) the best value of every measure, the static face the floor of every measure
* real and modelled motion stay apart; files are written; the report holds every row
"""

import json
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from emoface import metrics
from emoface.animation import EMOTIONS, LEVELS, Animation
from emoface.errors import EmoFaceError
from emoface.head import fit_blendshapes, load_head
from tests.toy_corpus import RATE, expression, pitch_emotion, sound, tracks, write_corpus
from train import evaluate
from train.corpus.channels import COUNT
from train.corpus.compose import compose
from train.evaluation import bounds, dense, drift, emotion, lips, report
from train.evaluation import clips as sets
from train.evaluation.face import Face
from train.meshes import HeadFolder, open_folder
from train.prepare.vertices import write_clip, write_index


class Oracle:
    """A pipeline that knows how the corpus was made."""

    def motion(self, samples, emotion, level):
        found = tracks(samples)
        return compose(
            found["content"],
            found["envelope"],
            found["closure"],
            expression(emotion, level),
            emotion,
            level,
            activity=found["activity"],
            accent=found["accent"],
        )

    def __call__(self, speech, *, emotion="speech", level="normal"):
        samples = speech[0]
        if isinstance(emotion, str) and emotion in EMOTIONS:
            heard = EMOTIONS.index(emotion)
        else:
            heard = pitch_emotion(samples if emotion == "speech" else emotion[0])
        weights = self.motion(samples, heard, LEVELS.index(level))
        head = load_head(0)
        offsets = Face().offsets(weights)
        frames, skin = offsets.shape[:2]
        return Animation(
            vertices=head.skin_template + offsets,
            template=head.skin_template,
            faces=head.skin_faces,
            fps=30,
            skin_count=skin,
            regions=head.regions[:skin],
            blendshapes=fit_blendshapes(offsets, head=head),
            blendshape_names=head.blendshape_names,
            emotion_importance=np.full((frames, skin), 0.5),
            emotion_effect_mm=np.where(np.char.startswith(head.regions[:skin], "brow"), 2.0, 0.5) * np.ones((frames, 1)),
            emotion_probabilities=np.eye(8)[heard] if self.hears else np.full(8, 1 / 8),
            emotion_track=np.full((frames, 8), 1 / 8),
        )

    hears = True


class Static(Oracle):
    hears = False

    def motion(self, samples, emotion, level):
        return np.zeros((len(tracks(samples)["content"]), COUNT))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def results(corpus):
    """Rows of the oracle and of the static face, by (measure, data, who)."""
    rng = np.random.default_rng(0)
    units = {clip["id"].removeprefix("ravdess_"): rng.uniform(0, 3, 14) for clip in corpus.clips if clip["source"] == "ravdess"}

    @lru_cache
    def run(kind):
        evaluation = evaluate.Evaluation(kind(), corpus, action_units=units)
        if kind is Oracle:
            evaluation.run()
        else:
            evaluation.motion(), evaluation.closures(), evaluation.emotions(), evaluation.showing(), evaluation.swaps()
        return evaluation, {(row.measure, row.data, row.who): row.estimate for row in evaluation.rows}

    return run


BEST = [
    ("aperture_r", sets.GRID, 0.99, 1),
    ("aperture_r", sets.RAVDESS, 0.99, 1),
    ("aperture_mae", sets.GRID, 0, 0.05),
    ("aperture_ratio", sets.GRID, 0.98, 1.02),
    ("lve_mm", sets.GRID, 0, 0.05),
    ("eve_mm", sets.RAVDESS, 0, 0.05),
    ("mve", sets.RAVDESS, 0, 0.02),
    ("fdd_absolute", sets.RAVDESS, 0, 1e-4),
    ("lve_reduction", sets.GRID, 98, 100),
    ("closures_caught", sets.GRID, 100, 100),
    ("closures_caught", sets.LJSPEECH, 100, 100),
    ("closures_false", sets.GRID, 0, 0),
    ("silence_closed", sets.GRID, 100, 100),
    ("noise_closed", sets.GRID, 100, 100),
    ("emotion_accuracy", sets.RAVDESS, 100, 100),
    ("swap_timing", sets.GRID, 0.9, 1),
    ("swap_emotion", sets.GRID, 85, 100),
    ("swap_label", sets.GRID, 85, 100),
    ("width_r", sets.GRID, 0.99, 1),
    ("torn_share", "own speech", 0, 0),
    ("torn_worst", "named, strong", 0, 0.5),
]
FLOOR = [
    ("width_r", sets.GRID, 0, 0),
    ("aperture_r", sets.GRID, 0, 0),
    ("lve_reduction", sets.GRID, -0.01, 0.01),
    ("closures_false", sets.GRID, 100, 100),
    ("closures_caught", sets.GRID, 100, 100),  # it is shut: only both closure measures together mean something
    ("emotion_accuracy", sets.RAVDESS, 0, 14),
    ("swap_label", sets.GRID, 0, 14),
]


@pytest.mark.parametrize("measure, data, least, most", BEST)
def test_oracle_reaches_the_best(results, measure, data, least, most):
    assert least <= results(Oracle)[1][measure, data, "model"].value <= most


@pytest.mark.parametrize("measure, data, least, most", FLOOR)
def test_static_face_stays_at_the_floor(results, measure, data, least, most):
    value = results(Static)[1][measure, data, "model"].value
    assert least <= value <= most


def test_static_row_equals_a_static_model(results):
    rows = results(Static)[1]
    for measure in ("lve", "fdd", "mve", "aperture_mae"):
        model, row = rows[measure, sets.GRID, "model"], rows[measure, sets.GRID, "static template"]
        assert model.value == pytest.approx(row.value, rel=1e-4) and row.value > 0
    assert results(Oracle)[1]["lve", sets.GRID, "mean motion"].value < rows["lve", sets.GRID, "model"].value


def test_label_mean_is_better_than_mean_on_emotional_clips(results):
    rows = results(Oracle)[1]
    assert rows["eve", sets.RAVDESS, "label mean"].value < rows["eve", sets.RAVDESS, "mean motion"].value
    assert ("eve", sets.GRID, "model") not in rows  # no emotion there


def test_combinations_name_every_emotion(results):
    evaluation, rows = results(Oracle)
    shown = {row.data: row.estimate.value for row in evaluation.rows if row.measure == "combination_label" and row.who == "model"}
    assert len(shown) == 16 and np.mean(list(shown.values())) > 85
    assert rows["combination_r", "angry, strong", "model"].value > 0.9


def test_drift_of_an_oracle_is_none(results):
    evaluation, rows = results(Oracle)
    assert rows["drift", "aperture r", "last"].value > 0.99
    assert all(abs(change) < 0.02 for change in evaluation.extra["drift"].values())


def test_long_clip_repeats_its_beginning(corpus):
    clips = sets.corpus_clips(corpus, {})[sets.GRID]
    joined, quarter = drift.long_clip(clips, seconds=24)
    assert len(clips) == 2 and quarter == 180 and len(joined.measured_mm) == 720 and len(joined.samples) == 24 * RATE
    assert np.array_equal(joined.measured_mm[:180], joined.measured_mm[-180:])
    assert np.array_equal(joined.samples[: 6 * RATE], joined.samples[-6 * RATE :])
    assert np.allclose(joined.closures[joined.closures[:, 0] > 18] - 18, joined.closures[joined.closures[:, 1] < 6])


def test_importance_is_sorted_by_effect(results):
    rows = [row for row in results(Oracle)[0].rows if row.measure == "effect"]
    assert rows[0].data.startswith("brow") and rows[0].estimate.value == pytest.approx(2.0)
    assert all(row.motion == "modelled" for row in rows)


def test_rows_never_mix_real_and_modelled(results):
    for row in results(Oracle)[0].rows:
        if row.data in (sets.GRID, sets.GRID_OTHERS, sets.RAVDESS, sets.LJSPEECH):
            assert row.motion == ("real" if row.data in (sets.GRID, sets.GRID_OTHERS) else "modelled")


def test_files_hold_every_row(results, tmp_path):
    evaluation, _ = results(Oracle)
    asked = bounds.check(evaluation.rows, evaluation.extra["drift"])
    reached = {(b["measure"], b["data"], b["kind"]): b["holds"] for b in asked}
    assert reached["aperture_r", sets.GRID, "goal"] and reached["effect", "regions", "goal"] is False
    assert reached["drift", "closures caught", "goal"] and reached["silence_closed", sets.GRID, "goal"]
    answer = dict(
        model="oracle",
        command="python -m train.evaluate",
        date="today",
        conditions="",
        bounds=asked,
        rows=[report.as_json(row) for row in evaluation.rows],
    )
    evaluate.write(answer, evaluation.rows, tmp_path / "out" / "results.json")
    stored = json.loads((tmp_path / "out" / "results.json").read_text())
    page = (tmp_path / "out" / "results.md").read_text()
    assert len(stored["rows"]) == len(evaluation.rows)
    wide = [key for _, _, keys in report.WIDE for key in keys]
    apart = [row for row in evaluation.rows if row.measure not in wide]
    assert page.count("| model |") == sum(row.who == "model" for row in apart)
    assert "| angry, strong | " in page and "| brow_left | 0.500 (0.500 … 0.500) | 2.000" in page
    assert "NaN" not in (tmp_path / "out" / "results.json").read_text()
    assert "static template" in report.text(evaluation.rows)


def test_a_slit_counts_where_the_middle_is_shut_in_a_closure():
    head = load_head(0)
    face, offsets = Face(head), np.zeros((4, head.skin_count, 3))
    upper, lower = head.lip_line[3]
    offsets[:, upper, 1], offsets[:, lower, 1] = 2e-3, -1e-3
    assert face.slit_mm(offsets) == pytest.approx([3] * 4) and face.slit_mm(-offsets) == pytest.approx([0] * 4)
    clip = SimpleNamespace(closures=np.array([[1 / 30, 3 / 30]]))
    reading = SimpleNamespace(aperture_mm=np.array([0, 0, 2, 0.3]), slit_mm=np.array([9.0, 1, 9, 2]))
    assert emotion.sealed_slits(clip, reading).tolist() == [1, 2]


def test_a_late_answer_correlates_at_its_best_shift():
    true = np.random.default_rng(0).standard_normal(60)
    late = np.concatenate([true[:2], true[:-2]])
    assert lips.shifted_pearson(late, true) == pytest.approx(1) and lips.shifted_pearson(late, true, most=1) < 0.5
    assert lips.shifted_pearson(true[:50], true) == pytest.approx(1), "cut to the shorter"


def test_vowels_that_the_speaker_closed_are_set_apart():
    measured = np.full(30, 5.0)
    measured[10:12] = 0.8
    clip = sets.EvalClip("x", sets.GRID, "real", np.zeros(RATE), RATE, measured_mm=measured, vowels=VOWELS)
    ((kept, _),) = lips.open_vowels([(clip, None)])
    assert kept.vowels.tolist() == VOWELS[1:].tolist() and clip.vowels is VOWELS


VOWELS = np.array([[0.3, 0.4], [0.6, 0.7]])


def test_dense_data_set(tmp_path):
    """Two test clips of a made-up mesh: a perfect model, averaged with a still one over two styles."""
    rng = np.random.default_rng(0)
    template = rng.normal(size=(30, 3)).astype(np.float32)
    entries = []
    for i, split in enumerate(("train", "test", "test")):
        samples = sound(2.0, emotion=0, seed=i).astype(np.float32)
        vertices = template + rng.normal(size=(15, 30, 3)).astype(np.float32) * 0.005
        entry = dict(
            id=f"s{i}",
            split=split,
            speaker="s",
            style="s",
            emotion="neutral",
            level=0,
            text="",
            motion="real",
            source="vocaset",
        )
        entries.append(write_clip(tmp_path, entry, vertices, samples))
    write_index(tmp_path, entries, {"s": template}, [])
    lip_vertices, upper = np.array([1, 2, 3]), np.array([7, 8])

    def pipeline(speech, *, emotion, level, style):
        entry = next(e for e in entries if np.array_equal(soundfile.read(tmp_path / e["audio"], dtype="float32")[0], speech[0]))
        truth = np.load(tmp_path / entry["vertices"])
        vertices = truth if style == "perfect" else np.broadcast_to(template, truth.shape)
        return SimpleNamespace(vertices=vertices + 1, template=template + 1, skin_count=30)

    data, errors_of = open_folder(tmp_path), dense.masked_errors(lip_vertices, upper)
    rows = dense.dense_rows(pipeline, data, errors_of, styles=["perfect", "still"])
    found = {(row.measure, row.who): row.estimate for row in rows}
    truths = [np.load(tmp_path / e["vertices"]) for e in entries[1:]]
    still = metrics.lve([np.broadcast_to(template, t.shape) for t in truths], truths, lip_vertices)
    assert found["lve", "static template"].value == pytest.approx(still * 1e5, rel=1e-4)
    assert found["lve", "model"].value == pytest.approx(still * 1e5 / 2, rel=1e-4)
    assert found["mve", "mean motion"].value > 0 and found["eve", "model"].n == 2
    with pytest.raises(EmoFaceError, match="val"):
        dense.dense_rows(pipeline, data, errors_of, split="val")


def test_videos_are_measured_on_the_heads_own_masks(corpus):
    """An oracle is right there too, and the static row equals its measures computed here."""
    data, face = open_folder(corpus.folder), Face()
    assert isinstance(data, HeadFolder)
    rows = dense.dense_rows(
        lambda speech, emotion, level, style: Oracle()(speech, emotion=emotion, level=level), data, face.errors, split="test_others"
    )
    found = {(row.measure, row.who): row.estimate.value for row in rows}
    (clip,) = corpus.select(split="test_others")
    truth = face.offsets(corpus.weights(clip))
    assert found["lve", "static template"] == pytest.approx(1e5 * metrics.lve(np.zeros_like(truth), truth, face.lips))
    assert found["mve", "static template"] == pytest.approx(1e3 * metrics.mve(np.zeros_like(truth), truth, face.skin))
    assert found["lve", "model"] < 1e-3 * found["lve", "static template"]


def test_letter_m_closes_at_its_end():
    words = [[0.5, 0.8, "m"], [1.0, 1.2, "bin"], [1.2, 1.4, "green"], [1.5, 1.6, "m"]]
    assert sets.word_closures(words, 1.6).tolist() == pytest.approx(np.array([[0.72, 0.88], [0.92, 1.08]]))
