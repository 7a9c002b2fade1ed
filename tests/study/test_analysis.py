import gc
import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("statsmodels", reason="the study's analysis needs statsmodels, krippendorff and matplotlib")
pytest.importorskip("krippendorff", reason="the study's analysis needs statsmodels, krippendorff and matplotlib")
pytest.importorskip("matplotlib", reason="the study's analysis needs statsmodels, krippendorff and matplotlib")

from emoface.errors import EmoFaceError
from emoface.study.analysis import agreement, bootstrap_interval, comparisons, mean_opinion_scores, t_interval
from emoface.study.exclusion import exclusions
from emoface.study.latex import mos_table
from emoface.study.power import plan_raters, simulated_power
from emoface.study.report import analyse, write_report
from emoface.study.results import load_results
from emoface.study.simulate import RaterModel, as_ratings, check_coverage, simulate_values, true_mos

from .answered import answered_study
from .conftest import raw_design


def test_intervals_hold_the_truth_and_tests_keep_their_level():
    """The long version is train/tools/check_study_coverage.py."""
    gc.freeze()  # statsmodels collects garbage after every correction: keep it from searching all loaded modules
    try:
        found = check_coverage(studies=60, raters=24, resamples=399, seed=3)
    finally:
        gc.unfreeze()
    assert 0.908 <= found.t <= 0.992 and 0.908 <= found.bootstrap <= 0.992  # 240 intervals: 3 standard errors are 0.042
    assert found.false_alarm <= 0.11


def test_true_mos_is_the_mean_of_very_many_raters():
    quality, model = np.array([[1.2, 4.9], [3.0, 2.2]]), RaterModel()
    values = simulate_values(quality, 60000, model, np.random.default_rng(0))
    assert values.min() == 1 and values.max() == 5
    np.testing.assert_allclose(values.mean(axis=(0, 2)), true_mos(quality, model), atol=0.015)


def test_raters_not_answers_are_the_random_unit():
    """Ten times the answers from the same two raters must not make the interval ten times surer."""
    few = pd.DataFrame({"rater": ["a", "b"], "method": "m", "aspect": "x", "value": [2, 4], "stimulus": "s"})
    many = pd.concat([few] * 10)
    one, ten = (mean_opinion_scores(table, ["method", "aspect"]).iloc[0] for table in (few, many))
    assert one["t_low"] == ten["t_low"] and (one["answers"], ten["answers"]) == (2, 20)
    assert one["mos"] == 3 and one["t_high"] - one["t_low"] > 20


def test_t_interval_agrees_with_the_textbook():
    low, high = t_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (low, high) == pytest.approx((3 - 2.776445 * np.sqrt(0.5), 3 + 2.776445 * np.sqrt(0.5)), abs=1e-5)
    assert np.isnan(t_interval(np.array([3.0]))).all() and t_interval(np.array([3.0, 3.0])) == (3, 3)


def test_bootstrap_agrees_with_t_for_normal_means_and_repeats_with_its_seed():
    means = np.random.default_rng(1).normal(3, 0.5, 40)
    assert bootstrap_interval(means, seed=5) == bootstrap_interval(means, seed=5)
    np.testing.assert_allclose(bootstrap_interval(means), t_interval(means), atol=0.04)


def test_comparisons_find_true_differences_and_holm_is_never_kinder():
    quality = np.array([[4.0] * 6, [3.2] * 6, [3.2] * 6])
    table = comparisons(as_ratings(simulate_values(quality, 30, RaterModel(), np.random.default_rng(1))))
    found = {(row.first, row.second): row for row in table.itertuples()}
    assert found["m0", "m1"].significant and found["m0", "m2"].significant and not found["m1", "m2"].significant
    assert found["m0", "m1"].difference > 0 and (table["p_holm"] >= table["p"]).all()
    assert (table["low"] < table["difference"]).all() and (table["difference"] < table["high"]).all()


def test_equal_answers_and_single_raters_break_nothing():
    table = as_ratings(np.full((5, 2, 3), 4))
    row = comparisons(table).iloc[0]
    assert row["p"] == 1 and not row["significant"] and np.isnan(agreement(table)["alpha"][0])
    alone = as_ratings(np.full((1, 2, 3), 4))
    assert len(comparisons(alone)) == 0
    assert np.isnan(mean_opinion_scores(alone, ["method", "aspect"])["t_low"]).all()


def test_agreement_is_one_for_like_minds_and_near_zero_for_noise():
    same = np.broadcast_to(np.arange(1, 6)[None, :, None], (8, 5, 1))
    assert agreement(as_ratings(same))["alpha"][0] == pytest.approx(1)
    noise = np.random.default_rng(0).integers(1, 6, (20, 5, 20))
    assert abs(agreement(as_ratings(noise))["alpha"][0]) < 0.05


def test_exclusion_rules_catch_what_they_name(tmp_path):
    def spoil(rater, stimulus, aspect, value):
        if rater == 0 and stimulus.kind == "attention":
            return 5
        if rater == 1 and stimulus.kind == "gold":
            return 5
        if rater == 2 and stimulus.kind == "rating":
            return 3
        if rater == 3 and stimulus.item == "two-sad-normal" and stimulus.kind == "rating":
            return None
        return value

    raw = raw_design(exclusion={"attention_failures": 0, "gold_failures": 0})
    results = load_results(answered_study(tmp_path / "study", raw, raters=8, spoil=spoil))
    table = exclusions(results).set_index("rater")
    assert list(table.index[table["excluded"]]) == ["r001", "r002", "r003", "r004"]
    assert "attention" in table.loc["r001", "reasons"] and "gold" in table.loc["r002", "reasons"]
    assert "same answer" in table.loc["r003", "reasons"] and "75%" in table.loc["r004", "reasons"]
    assert set(analyse(results)["mos"]["raters"]) == {4}


def test_training_and_check_clips_do_not_count(tmp_path):
    def spoil(rater, stimulus, aspect, value):
        return 1 if stimulus.kind == "training" else value

    results = load_results(answered_study(tmp_path / "study", raw_design(), spoil=spoil))
    assert set(results.ratings["kind"]) == {"rating"}
    mos = analyse(results)["mos"].set_index(["method", "aspect"])["mos"]
    assert mos["alpha", "realism"] > 3.5 > mos["gamma", "realism"]


def test_the_report_is_complete(tmp_path):
    folder = answered_study(tmp_path / "study", raw_design(title="Faces & voices"))
    target = write_report(folder)
    names = {path.name for path in target.iterdir()}
    assert {
        "report.md",
        "report.json",
        "mos.csv",
        "mos.tex",
        "mos.png",
        "mos.pdf",
        "mos_by_emotion.csv",
        "mos_by_level.csv",
        "comparisons.csv",
        "agreement.csv",
        "raters.csv",
        "answers.csv",
        "mos_by_emotion_lip_sync.png",
    } <= names
    table = pd.read_csv(target / "mos.csv")
    assert len(table) == 3 * 4 and list(table["method"].unique()) == ["alpha", "beta", "gamma"]
    assert len(pd.read_csv(target / "mos_by_emotion.csv")) == 3 * 4 * 2
    assert len(json.loads((target / "report.json").read_text())["comparisons"]) == 3 * 4
    tex = (target / "mos.tex").read_text()
    assert tex.count(r"\\") == 4 and r"\mathbf" in tex and "12 raters" in tex
    text = (target / "report.md").read_text()
    assert "Faces & voices" in text and "nan" not in text and "12 counted" in text


def test_latex_is_escaped_and_marks_the_best():
    table = pd.DataFrame({"method": ["a_1", "b"], "aspect": "x", "mos": [3.0, 4.0], "t_low": [2.5, 3.8], "t_high": [3.5, 4.2]})
    tex = mos_table(table, methods={"a_1": "A_1 & co", "b": "B"}, aspects={"x": "100 %"}, raters=9, items=2)
    assert r"A\_1 \& co & $3.00 \pm 0.50$" in tex and r"$\mathbf{4.00} \pm 0.20$" in tex and r"100 \%" in tex


def test_a_report_without_answers_or_key_says_what_is_missing(tmp_path):
    with pytest.raises(EmoFaceError, match="private"):
        load_results(tmp_path)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.json").write_text('{"study": "x", "stimuli": {}}')
    with pytest.raises(EmoFaceError, match="no answers"):
        load_results(tmp_path)


def test_planned_raters_reach_the_wanted_power():
    plan = plan_raters(difference=0.4, items=6, comparisons=6, power=0.8, simulations=400)
    assert 0.8 <= plan.simulated_power <= 0.9 and plan.interval < 0.4
    more = plan_raters(difference=0.2, items=6, comparisons=6, power=0.8, simulations=100)
    assert more.raters > 3 * plan.raters
    assert simulated_power(difference=0.4, items=6, alpha=0.05 / 6, raters=plan.raters // 2, simulations=400) < 0.7
    with pytest.raises(EmoFaceError):
        plan_raters(difference=0, items=6)
