import pytest
import yaml

from emoface.errors import EmoFaceError
from emoface.study.design import load_design, parse_design
from emoface.study.texts import FOLDER, load_texts

from .conftest import raw_design


def test_crossed_items_are_every_combination(make_design):
    design = make_design(
        items={"speech": {"one": "1.wav"}, "emotion": ["happy", "sad"], "level": ["normal", "strong"]}, training=None, attention=None, gold=None
    )
    assert [item.id for item in design.items] == ["one-happy-normal", "one-happy-strong", "one-sad-normal", "one-sad-strong"]


def test_default_aspects_are_the_papers_four_in_every_language(make_design):
    design = make_design(languages=["en", "de"])
    assert [aspect.id for aspect in design.aspects] == ["realism", "lip_sync", "eyes", "emotion"]
    assert design.aspects[1].question["en"] != design.aspects[1].question["de"]
    assert design.labels["en"][0] == "Bad" and design.labels["en"][4] == "Excellent"


def test_raters_needed_follow_from_raters_per_item(make_design):
    assert make_design().rater_count == 8
    assert make_design(items_per_rater=3).rater_count == 11  # 8 ratings of 4 items, 3 items each


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"layout": "triple"}, "layout"),
        ({"methods": {}}, "methods"),
        ({"methods": None}, "methods"),
        ({"methods": {"a b": {"videos": "{item}.mp4"}}}, "a b"),
        ({"methods": {"a": {"videos": "x.mp4"}, "b": {"videos": "{item}.mp4"}}}, "{item}"),
        ({"methods": {"a": {"videos": "{item}.mp4", "model": "m"}}}, "exactly one"),
        ({"methods": {"a": {"videos": "{item}.mp4", "settings": {"idle": True}}}}, "settings"),
        ({"items": [{"id": "x", "speech": "x.wav", "emotion": "bored"}]}, "bored"),
        ({"items": [{"id": "x", "speech": "x.wav", "emotion": "sad"}] * 2}, "'x'"),
        ({"items_per_rater": 9}, "items_per_rater"),
        ({"raters_per_item": 0}, "raters_per_item"),
        ({"raters_per_item": True}, "raters_per_item"),
        ({"colour": "red"}, "colour"),
        ({"reference": "alpha"}, "pair"),
        ({"layout": "pair", "reference": "delta"}, "delta"),
        ({"attention": [{"item": "two-sad-normal", "method": "alpha", "answer": 6}]}, "6"),
        ({"gold": [{"item": "one-sad-normal", "method": "alpha", "aspect": "lip_sync"}]}, "at_least"),
        ({"training": [{"item": "nothing"}]}, "nothing"),
        ({"languages": ["xx"]}, "xx"),
        ({"labels": {"en": ["bad", "good"]}}, "labels"),
        ({"exclusion": {"completed": 2}}, "completed"),
        ({"size": 401}, "size"),
        ({"player": "4d"}, "player"),
        ({"player": "3d", "methods": {"a": {"videos": "{item}.mp4"}}}, "only has videos"),
        ({"exclusion": {"attention_failures": 0.5}}, "attention_failures"),
        ({"title": {"de": "Titel"}}, "title"),
        ({"title": 3}, "'title'"),
        ({"items": [{"id": "x", "speech": "x.wav"}]}, "'items.1' has no 'emotion'"),
        ({"methods": {"a": {"video": "x.mp4"}}}, "'methods.a' has an unknown key 'video'"),
        ({"attention": [{"item": "two-sad-normal", "method": "alpha", "answer": True}]}, "attention.1.answer"),
        ({"attention": [{"item": "two-sad-normal", "method": "nobody", "answer": 1}]}, "nobody"),
        ({"gold": [{"item": "one-sad-normal", "method": "alpha", "aspect": "charm", "at_most": 2}]}, "charm"),
        ({"exclusion": {"complet": 1}}, "complet"),
        ({"exclusion": {"playback_check": 1}}, "playback_check"),
    ],
)
def test_a_wrong_design_is_refused_in_one_sentence(changes, word, tmp_path):
    with pytest.raises(EmoFaceError) as error:
        parse_design(raw_design(**changes), folder=tmp_path)
    message = str(error.value)
    assert word in message and message.endswith(".") and "\n" not in message and len(message) < 240


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe", b"just text", b""])
def test_a_file_that_is_no_design_is_refused(content, tmp_path):
    path = tmp_path / "design.yaml"
    path.write_bytes(content)
    with pytest.raises(EmoFaceError):
        load_design(path)
    with pytest.raises(EmoFaceError, match="cannot be read"):
        load_design(tmp_path / "missing.yaml")


def test_relative_paths_start_at_the_design_file(tmp_path):
    path = tmp_path / "design.yaml"
    path.write_text(yaml.safe_dump(raw_design()))
    assert load_design(path).folder == tmp_path.resolve()


def test_every_language_has_the_same_texts():
    def keys(value, path=()):
        if isinstance(value, dict):
            return {key for name, part in value.items() for key in keys(part, (*path, name))}
        return {(*path, len(value) if isinstance(value, list) else "")}

    languages = [file.stem for file in FOLDER.glob("*.yaml")]
    assert {"en", "de"} <= set(languages)
    for language in languages:
        assert keys(load_texts(language)) == keys(load_texts("en"))
