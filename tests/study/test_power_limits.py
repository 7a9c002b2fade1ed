"""Numbers that no study can have end in a sentence, at once."""

import pytest

from emoface.errors import EmoFaceError
from emoface.study import power
from emoface.study.simulate import RaterModel

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("options, model", [
    ({}, dict(error=0.0)), ({}, dict(error=50.0)), ({}, dict(rater=1e9)), ({}, dict(error=-1.0)), ({}, dict(taste=NAN)), ({}, dict(rater=INFINITE)),
    (dict(difference=NAN), {}), (dict(difference=1e-9), {}), (dict(difference=-0.2), {}), (dict(power=NAN), {}), (dict(power=1.0), {}), (dict(items=0), {}),
    (dict(items=10**9), {}), (dict(comparisons=10**9), {}),
])  # fmt: skip
def test_a_plan_always_returns(options, model, monkeypatch):
    """After few simulated studies, whatever was asked."""
    simulated = []
    original = power.simulated_power
    monkeypatch.setattr(power, "simulated_power", lambda **given: simulated.append(given["raters"]) or original(**given))
    try:
        power.plan_raters(**{"difference": 0.3, "items": 12, **options}, model=RaterModel(**model), simulations=100)
    except EmoFaceError as error:
        assert "\n" not in str(error)
    assert len(simulated) < 200 and max(simulated, default=0) <= power.MAX_RATERS
