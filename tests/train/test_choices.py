"""Pairs for people to choose between, and how often each measure agrees with them, by hand."""

from collections import Counter

import pytest

from train.choices import agreement, draw_pairs, goodness


def test_pairs_and_clips_come_equally_often_and_sides_are_drawn():
    pairs = draw_pairs(["a", "b", "c", "d"], ["one", "two", "three"], count=24, seed=0)
    assert Counter(frozenset(pair[1:]) for pair in pairs) == {frozenset(x): 4 for x in ("ab", "ac", "ad", "bc", "bd", "cd")}
    assert set(Counter(clip for clip, *_ in pairs).values()) == {8}
    assert 6 < sum(a < b for _, a, b in pairs) < 18


def test_goodness_is_more_where_a_measure_is_better():
    assert goodness("lve", 1.0) > goodness("lve", 2.0) and goodness("aperture_r", 0.9) > goodness("aperture_r", 0.1)
    assert goodness("upper", 1.1) > goodness("upper", 0.5) and goodness("upper", 0.5) == pytest.approx(goodness("upper", 2.0))


def test_agreement_counts_what_a_measure_prefers():
    key = {f"{k:02d}": dict(clip="x", A="good", B="bad") for k in range(6)}
    values = {"good": {"x": dict(lve=1.0, aperture_r=0.2, torn=0.0, mtm=None)}, "bad": {"x": dict(lve=2.0, aperture_r=0.8, torn=0.0, mtm=5.0)}}
    rows = {row["measure"]: row for row in agreement(key, dict(zip(key, "AAAAAB")), values)}
    assert rows["lve"]["agrees"] == pytest.approx(5 / 6) and rows["aperture_r"]["agrees"] == pytest.approx(1 / 6)
    assert rows["lve"]["pairs"] == 6 and "torn" not in rows and "mtm" not in rows, "equal and missing values say nothing"
