"""A feeling directed over time."""

import json

import numpy as np
import pytest

from emoface import EmoFacePipeline
from emoface.curve import EmotionCurve, read_curve
from emoface.errors import EmoFaceError
from tests.tiny_model import save_tiny_model

NAMES = ["speech", "neutral", "happy", "sad"]


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    return EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("curve") / "model"), device="cpu")


@pytest.fixture(scope="module")
def speech():
    return np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), 16000


def test_weights_go_in_straight_lines_and_stay_at_the_ends():
    curve = EmotionCurve.of([(2, {"sad": 1.0}), (1, {"happy": 0.5})], NAMES)
    assert curve.names == ("happy", "sad")
    np.testing.assert_allclose(curve.at(np.array([0, 1, 1.5, 9])), [[0.5, 0], [0.5, 0], [0.25, 0.5], [0, 1]])
    assert EmotionCurve.of(json.loads(json.dumps(curve.keys())), NAMES).keys() == curve.keys()


@pytest.mark.parametrize(
    "keys, words",
    [
        ([], "list of 1 to"),
        ([(0, {})], "is no key"),
        ([(float("nan"), {"happy": 1})], "is no key"),
        ([(0, {"joy": 1})], "no emotion called 'joy'"),
        ([(0, {"happy": -1})], "number from 0"),
        ([(0, {"happy": 1, "sad": 0.6})], "add up to 1.60"),
        ([[0, "happy"]], "is no key"),
    ],
)
def test_wrong_keys_are_refused_in_a_sentence(keys, words):
    with pytest.raises(EmoFaceError, match=words):
        EmotionCurve.of(keys, NAMES)


def test_a_constant_curve_is_the_emotion_at_that_strength(pipe, speech):
    named = pipe.emotions[-1]
    directed = pipe(speech, emotion=[(0, {named: 0.7})])
    np.testing.assert_allclose(directed.vertices, pipe(speech, emotion=named, intensity=0.7).vertices, atol=1e-5)
    own = pipe(speech)
    np.testing.assert_allclose(pipe(speech, emotion=[(0, {"speech": 1.0})]).vertices, own.vertices, atol=1e-5)
    np.testing.assert_allclose(directed.emotion_probabilities, own.emotion_probabilities, atol=1e-6)  # what is heard does not depend on what is shown


def test_the_face_passes_from_one_feeling_to_the_other(pipe, speech):
    first, last = pipe.emotions[:2] if "neutral" not in pipe.emotions[:2] else [e for e in pipe.emotions if e != "neutral"][:2] or pipe.emotions[:2]
    keys = [(0.5, {first: 1.0}), (1.5, {last: 1.0})]
    directed, a, b = pipe(speech, emotion=keys), pipe(speech, emotion=first), pipe(speech, emotion=last)
    np.testing.assert_allclose(directed.vertices[:15], a.vertices[:15], atol=1e-5)
    np.testing.assert_allclose(directed.vertices[46:], b.vertices[46:], atol=1e-5)
    skin = slice(directed.skin_count)  # eyes and teeth follow weights that are fitted anew
    np.testing.assert_allclose(
        directed.vertices[30, skin], 0.5 * (a.vertices[30, skin] + b.vertices[30, skin]), atol=2e-4
    )  # lips and teeth are parted after the blend
    assert directed.settings["emotion"] == [[0.5, {first: 1.0, last: 0.0}], [1.5, {first: 0.0, last: 1.0}]]
    again = pipe(speech, emotion=json.loads(json.dumps(directed.settings["emotion"])))  # what a file keeps makes the same face
    np.testing.assert_allclose(again.vertices, directed.vertices, atol=1e-6)


def test_a_curve_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(EmoFaceError, match="cannot be read"):
        read_curve(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(EmoFaceError, match="is not JSON"):
        read_curve(tmp_path / "bad.json")
