from collections import Counter

import pytest

from emoface.study.plan import all_stimuli, plan_rater, williams_square


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7])
def test_williams_square_balances_position_and_predecessor(count):
    rows = williams_square(count)
    assert all(sorted(row) == list(range(count)) for row in rows)
    for column in zip(*rows):
        assert set(Counter(column).values()) == {len(rows) // count}
    followers = Counter((row[i], row[i + 1]) for row in rows for i in range(count - 1))
    assert len(followers) == count * (count - 1) and len(set(followers.values())) == 1


def test_a_plan_depends_only_on_design_and_number(make_design):
    assert plan_rater(make_design(), 3) == plan_rater(make_design(), 3)
    assert plan_rater(make_design(), 3) != plan_rater(make_design(), 4)
    assert plan_rater(make_design(seed=8), 3) != plan_rater(make_design(), 3)


@pytest.mark.parametrize("per_rater", [4, 3, 2, 1])
def test_single_layout_rates_every_clip_equally_often(make_design, per_rater):
    design = make_design(items_per_rater=per_rater, raters_per_item=12)
    shown = Counter()
    for number in range(design.rater_count):
        pages = [page for page in plan_rater(design, number) if page.kind == "rating"]
        clips = [page.stimuli[0] for page in pages]
        assert len(set(clips)) == len(clips) == per_rater * 3
        if per_rater > 1:
            assert all(a.item != b.item for a, b in zip(clips, clips[1:]))
        shown.update(clips)
    assert len(shown) == 12 and set(shown.values()) == {12}


def test_single_layout_puts_methods_at_every_position_equally_often(make_design):
    design = make_design(raters_per_item=6, items={"speech": {"one": "1.wav"}, "emotion": ["happy"]}, training=None, attention=None, gold=None)
    orders = [[page.stimuli[0].method for page in plan_rater(design, number)] for number in range(6)]
    for column in zip(*orders):
        assert set(Counter(column).values()) == {2}


def test_pair_layout_balances_sides_for_every_item_and_pair(make_design):
    design = make_design(layout="pair", raters_per_item=8)
    left = Counter()
    for number in range(design.rater_count):
        for page in plan_rater(design, number):
            if page.kind == "rating":
                first, second = page.stimuli
                assert first.item == second.item and first.method != second.method
                left[(first.item, *sorted((first.method, second.method)), first.method)] += 1
    assert len(left) == 4 * 3 * 2 and set(left.values()) == {4}


def test_reference_limits_the_pairs(make_design):
    design = make_design(layout="pair", reference="beta")
    pages = [page for page in plan_rater(design, 0) if page.kind == "rating"]
    assert len(pages) == 4 * 2
    assert all("beta" in {stimulus.method for stimulus in page.stimuli} for page in pages)


def test_all_layout_balances_positions(make_design):
    design = make_design(layout="all", raters_per_item=6)
    places = Counter()
    for number in range(6):
        pages = [page for page in plan_rater(design, number) if page.kind == "rating"]
        assert len(pages) == 4
        places.update((page.stimuli[0].item, stimulus.method, place) for page in pages for place, stimulus in enumerate(page.stimuli))
    assert set(places.values()) == {2}


def test_training_comes_first_and_checks_are_spread(make_design):
    design = make_design(attention=[{"item": "two-sad-normal", "method": "alpha", "answer": value} for value in (2, 4)])
    positions = set()
    for number in range(8):
        kinds = [page.kind for page in plan_rater(design, number)]
        assert kinds[:2] == ["training", "training"] and kinds[2] == "rating"
        assert Counter(kinds) == {"training": 2, "rating": 12, "attention": 2, "gold": 1}
        positions.add(tuple(i for i, kind in enumerate(kinds) if kind in ("attention", "gold")))
    assert len(positions) > 3


def test_clips_of_different_purpose_are_different_stimuli(make_design):
    stimuli = all_stimuli(make_design())
    assert Counter(stimulus.kind for stimulus in stimuli) == {"rating": 12, "training": 2, "attention": 1, "gold": 1}
