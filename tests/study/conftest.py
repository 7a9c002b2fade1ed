import pytest

from emoface.study.design import parse_design


def raw_design(**changes) -> dict:
    raw = {
        "title": "Talking faces",
        "layout": "single",
        "seed": 7,
        "raters_per_item": 8,
        "methods": {"alpha": {"animations": "a/{item}.npz"}, "beta": {"animations": "b/{item}.npz"}, "gamma": {"animations": "c/{item}.npz"}},
        "items": {"speech": {"one": "one.wav", "two": "two.wav"}, "emotion": ["happy", "sad"]},
        "training": [{"item": "one-happy-normal", "methods": ["alpha", "gamma"]}],
        "attention": [{"item": "two-sad-normal", "method": "alpha", "answer": 2}],
        "gold": [{"item": "one-sad-normal", "method": "alpha", "aspect": "lip_sync", "degrade": "frozen", "at_most": 2}],
    }
    return {key: value for key, value in {**raw, **changes}.items() if value is not None}


@pytest.fixture
def make_design(tmp_path):
    return lambda **changes: parse_design(raw_design(**changes), folder=tmp_path)
