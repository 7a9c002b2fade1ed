import json
import os
import stat

import av
import numpy as np
import pytest
import soundfile
import yaml

from emoface.animation import Animation
from emoface.audio import load_audio
from emoface.errors import EmoFaceError
from emoface.export.encode import write_video
from emoface.study.design import LABELS, SOFT_HYPHEN
from emoface.study.films import check_film, draw_card, write_film
from emoface.study.fonts import load_font
from emoface.study.make import make_study
from emoface.study.texts import FOLDER, load_texts

SIZE = 128


def tetrahedron(color=200) -> Animation:
    """A solid that grows and shrinks for 0.7 s."""
    template = np.array([[0, 0.1, 0], [0.1, -0.1, 0.05], [-0.1, -0.1, 0.05], [0, -0.1, -0.1]], np.float32)
    scale = 1 + 0.4 * np.sin(np.arange(21))[:, None, None].astype(np.float32)
    return Animation(
        vertices=template * scale,
        template=template,
        faces=np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]),
        fps=30.0,
        skin_count=4,
        regions=np.array(["nose"] * 4),
        blendshapes=np.zeros((21, 0), np.float32),
        blendshape_names=(),
        emotion_importance=np.zeros((21, 4), np.float32),
        emotion_effect_mm=np.zeros((21, 4), np.float32),
        emotion_probabilities=np.full(8, 0.125, np.float32),
        emotion_track=np.full((21, 8), 0.125, np.float32),
        colors=np.full((4, 3), color, np.uint8),
    )


def video(path, *, seconds=0.7, fps=25, size=(96, 64)) -> None:
    rng = np.random.default_rng(0)
    count = round(seconds * fps)
    pictures = [rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8) for _ in range(count)]
    write_video(path, iter(pictures), fps=fps, frame_count=count, audio=tone(seconds), sample_rate=16000)


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 16000)) / 16000)).astype(np.float32)


RAW = {
    "title": "Faces",
    "layout": "all",
    "size": SIZE,
    "raters_per_item": 2,
    "languages": ["en", "de"],
    "methods": {
        "secretours": {"model": "default", "settings": {"idle": True}},
        "secrettheirs": {"animations": "anim/{item}.npz"},
        "secretfilms": {"videos": "films/{item}.mp4"},
    },
    "items": [
        {"id": "hiddenitem", "speech": "speech.wav", "emotion": "happy", "level": "strong"},
        {"id": "otheritem", "speech": "speech.wav", "emotion": "sad", "emotion_speech": "speech"},
    ],
    "training": [{"item": "otheritem", "methods": ["secretours", "secretfilms"]}],
    "attention": [{"item": "hiddenitem", "method": "secretours", "answer": 2}],
    "gold": [
        {"item": "hiddenitem", "method": "secretfilms", "aspect": "lip_sync", "degrade": "frozen", "at_most": 2},
        {"item": "otheritem", "method": "secrettheirs", "aspect": "lip_sync", "degrade": "late_audio", "amount": 0.3, "at_most": 3},
    ],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("design")
    (folder / "anim").mkdir()
    (folder / "films").mkdir()
    soundfile.write(folder / "speech.wav", tone(0.7), 16000)
    for item in ("hiddenitem", "otheritem"):
        tetrahedron().save(folder / "anim" / f"{item}.npz")
        video(folder / "films" / f"{item}.mp4")
    (folder / "design.yaml").write_text(yaml.safe_dump(RAW))
    calls = []

    def load_pipeline(location):
        calls.append(location)

        def animate(speech, **options):
            calls.append(options)
            return tetrahedron(color=90).with_audio(*soundfile.read(speech, dtype="float32"))

        return animate

    output = make_study(folder / "design.yaml", folder / "made", load_pipeline=load_pipeline)
    return folder, output, calls


def key_of(output) -> dict:
    return json.loads((output / "private" / "key.json").read_text())


def clip(output, **wanted):
    name = next(name for name, entry in key_of(output)["stimuli"].items() if all(entry[field] == value for field, value in wanted.items()))
    return output / "clips" / f"{name}.mp4"


def frames(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_models_get_the_items_emotion_and_the_methods_settings(study):
    _, _, calls = study
    assert calls.count(None) == 1, "the model is loaded once"
    options = [call for call in calls if call is not None]
    assert {"emotion": "happy", "level": "strong", "idle": True} in options
    assert {"emotion": "speech", "level": "normal", "idle": True} in options


def test_nothing_that_raters_can_fetch_names_a_method_or_item(study):
    _, output, _ = study
    words = [b"secret", b"hiddenitem", b"otheritem", b"happy", b"attention", b"gold", b"frozen"]
    public = [output / "study.json", *(output / "clips").iterdir()]
    assert len(public) == 1 + 6 + 2 + 1 + 2 + 3
    for path in public:
        content = path.read_bytes()
        assert not [word for word in words if word in content or word in path.name.encode()], path


def test_clips_differ_in_nothing_but_the_picture(study):
    _, output, _ = study
    described = set()
    for path in (output / "clips").iterdir():
        with av.open(str(path)) as container:
            video_stream, audio_stream = container.streams.video[0], container.streams.audio[0]
            described.add(
                (
                    video_stream.width,
                    video_stream.height,
                    video_stream.codec.name,
                    audio_stream.codec.name,
                    audio_stream.rate,
                    tuple(sorted(container.metadata.items())),
                )
            )
        assert path.stat().st_mtime == 1_000_000_000 and len(path.stem) == 16
    assert len(described) == 1


def test_the_key_is_private_and_says_what_each_clip_shows(study):
    _, output, _ = study
    assert stat.S_IMODE(os.stat(output / "private" / "key.json").st_mode) == 0o600
    entries = list(key_of(output)["stimuli"].values())
    assert {entry["kind"] for entry in entries} == {"rating", "training", "attention", "gold"}
    assert {(entry["item"], entry["emotion"], entry["level"]) for entry in entries} == {
        ("hiddenitem", "happy", "strong"),
        ("otheritem", "sad", "normal"),
    }
    assert (output / ".gitignore").read_text() == "private/\n"


def test_the_public_plan_uses_the_clips_that_exist(study):
    _, output, _ = study
    public = json.loads((output / "study.json").read_text())
    used = {name for plan in public["plans"] for page in plan for name in page["clips"]}
    assert used == set(key_of(output)["stimuli"])
    assert all((output / "clips" / f"{name}.mp4").is_file() for name in public["clips"])
    assert public["clips"][clip(output, kind="rating", method="secretours").stem] == pytest.approx(0.7, abs=0.02)
    assert all(page["practice"] == (place == 0) for plan in public["plans"] for place, page in enumerate(plan))


def test_a_frozen_gold_clip_does_not_move_and_others_do(study):
    _, output, _ = study
    still = frames(clip(output, kind="gold", degrade="frozen"))
    moving = frames(clip(output, kind="rating", method="secrettheirs", item="hiddenitem"))
    assert np.abs(still - still[0]).mean() < 1 < np.abs(moving - moving[0]).mean()


def test_late_sound_is_late(study):
    _, output, _ = study
    late = load_audio(clip(output, kind="gold", degrade="late_audio")).samples
    onset = np.argmax(np.abs(late) > 0.1) / 16000
    normal = load_audio(clip(output, kind="rating", method="secrettheirs")).samples
    assert onset - np.argmax(np.abs(normal) > 0.1) / 16000 == pytest.approx(0.3, abs=0.03)


def test_an_attention_clip_ends_with_its_request(study):
    _, output, _ = study
    shown = frames(clip(output, kind="attention"))
    assert len(shown) == 21 + 90
    card = draw_card(
        ["Attention check: please choose “Poor” for every question.", "Aufmerksamkeitsprüfung: Bitte wählen Sie bei jeder Frage „Dürftig“."],
        size=SIZE,
    ).astype(int)
    assert np.abs(shown[-1] - card).mean() < 6 < np.abs(shown[0] - card).mean()


def test_making_again_renders_nothing_and_another_design_is_refused(study):
    folder, output, _ = study
    before = key_of(output), sorted(path.name for path in (output / "clips").iterdir())
    missing = clip(output, kind="gold", degrade="frozen")
    missing.unlink()

    def no_models(location):
        raise AssertionError("nothing of a model was missing")

    make_study(folder / "design.yaml", output, load_pipeline=no_models)
    assert before == (key_of(output), sorted(path.name for path in (output / "clips").iterdir()))
    (folder / "other.yaml").write_text(yaml.safe_dump({**RAW, "seed": 5}))
    with pytest.raises(EmoFaceError, match="another design"):
        make_study(folder / "other.yaml", output, load_pipeline=no_models)


@pytest.mark.parametrize(
    "change, word",
    [
        ({"items": [{"id": "nothere", "speech": "gone.wav", "emotion": "sad"}]}, "gone.wav"),
        ({"items": [{"id": "nothere", "speech": "speech.wav", "emotion": "sad"}]}, "nothere"),
    ],
)
def test_missing_files_are_found_before_rendering(study, change, word, tmp_path):
    folder, _, _ = study
    raw = {**RAW, "training": [], "attention": [], "gold": [], **change}
    (folder / "missing.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(EmoFaceError, match=word):
        make_study(folder / "missing.yaml", tmp_path / "made", load_pipeline=None)
    assert not (tmp_path / "made").exists()


def test_a_broken_video_is_said_in_one_sentence(study, tmp_path):
    folder, _, _ = study
    (folder / "broken").mkdir(exist_ok=True)
    for item in ("hiddenitem", "otheritem"):
        (folder / "broken" / f"{item}.mp4").write_bytes(b"not a video")
    raw = {**RAW, "methods": {"a": {"videos": "broken/{item}.mp4"}, "b": {"videos": "films/{item}.mp4"}}, "training": [], "attention": [], "gold": []}
    (folder / "broken.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(EmoFaceError, match="cannot be read"):
        make_study(folder / "broken.yaml", tmp_path / "made")


def test_the_playback_check_beeps_as_often_as_it_says(tmp_path):
    write_film(check_film(beeps=4, number=37, size=SIZE), tmp_path / "check.mp4")
    sound = np.abs(load_audio(tmp_path / "check.mp4").samples)
    loud = np.array([sound[place : place + 800].max() > 0.1 for place in range(0, len(sound) - 800, 800)])
    assert np.count_nonzero(loud[1:] & ~loud[:-1]) == 4
    shown = frames(tmp_path / "check.mp4")
    assert np.abs(shown[60] - draw_card(["37"], size=SIZE, text_size=SIZE // 3)).mean() < 6


@pytest.mark.parametrize("language", [file.stem for file in sorted(FOLDER.glob("*.yaml"))])
def test_cards_have_every_letter_of_every_language(language):
    pytest.importorskip("matplotlib", reason="without matplotlib only English cards can be drawn")
    load_font(load_texts(language)["attention"] + "".join(LABELS.get(language, ())).replace(SOFT_HYPHEN, ""), 20)


def test_letters_that_cannot_be_drawn_are_refused(monkeypatch):
    with pytest.raises(EmoFaceError, match="no letter"):
        load_font("\u4e2d", 20)
    monkeypatch.setattr("emoface.study.fonts.find_spec", lambda name: None)
    load_font("Attention check: please choose “Poor”.", 20)
    with pytest.raises(EmoFaceError, match="install matplotlib"):
        load_font("Prüfung", 20)
