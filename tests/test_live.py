"""A live session: the feeling may change meanwhile, nothing flickers, silence is rest, and it could go on for ever."""

import numpy as np
import pytest
import torch

from emoface import EmoFacePipeline
from emoface.errors import EmoFaceError
from emoface.front_end import Windows
from emoface.gate import SpeechGate
from emoface.head import load_head
from emoface.live import FADE, LIVE, Course, Label, LiveSession, Mood
from emoface.prosody import ProsodyStream
from emoface.whisper_stream import WhisperStream

from .test_encoders import speechlike
from .test_streaming import windowed
from .tiny_model import save_tiny_model

WINDOWS = Windows(past=0.4, hop=0.2, ahead=0.06)
FIELDS = ("vertices", "blendshapes", "emotion_importance", "emotion_effect_mm", "emotion_track", "audio")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory) -> EmoFacePipeline:
    return EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture
def always_open(monkeypatch):
    monkeypatch.setattr(SpeechGate, "take", lambda self, count: np.ones(count, bool))


def run(pipe, samples, cuts=(3200,), *, change=None, **options):
    """The take of samples fed in pieces; ``change`` (piece, weights) is felt before that piece."""
    session = LiveSession(pipe, **{"windows": WINDOWS, "idle": False, **options})
    start = number = 0
    while start < len(samples):
        if change and number == change[0]:
            session.feel(change[1])
        length = cuts[number % len(cuts)]
        session.feed(samples[start : start + length])
        start, number = start + length, number + 1
    session.finish()
    return session.take()


def test_the_cut_does_not_matter_and_nothing_is_lost(pipe):
    samples = speechlike(1.0)[:15432].numpy()
    one, other = run(pipe, samples, (len(samples),), idle=True), run(pipe, samples, (777, 1, 3000), idle=True)
    assert one.frame_count == -(-15432 * 30 // 16000)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(one.audio, samples)
    assert np.ptp(one.blendshapes[:, [name.startswith("eyeLook") for name in one.blendshape_names]]) > 0, "gaze is alive"


def test_what_completes_no_hop_costs_nothing(pipe, monkeypatch):
    """Pitch and filters are computed once a hop, not for every 20 ms that a microphone gives."""
    original, calls = ProsodyStream.feed, []
    monkeypatch.setattr(ProsodyStream, "feed", lambda self, samples, **options: calls.append(len(samples)) or original(self, samples, **options))
    samples = speechlike(2.0).numpy()
    take = run(pipe, samples, (320,), head_motion=1.0)
    assert take.frame_count == 60 and sum(calls) == len(samples) and len(calls) <= 2.0 / WINDOWS.hop + 2
    session = LiveSession(pipe, windows=WINDOWS)
    session.feed(samples[:100])
    assert session.seconds == 100 / 16000, "but it is heard"


def test_the_head_turns_beside_the_face_and_moves_no_vertex(pipe, always_open):
    samples = speechlike(1.5)[:23000].numpy()
    still, turning, other = run(pipe, samples), run(pipe, samples, head_motion=1.0), run(pipe, samples, (777, 1, 3000), head_motion=1.0)
    assert still.head_angles is None and still.settings["head_motion"] == 0.0 and turning.settings["head_motion"] == 1.0
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(still, name), getattr(turning, name), err_msg=name)
    assert turning.head_angles.shape == (turning.frame_count, 3) and np.ptp(turning.head_angles, axis=0).max() > 2e-3
    np.testing.assert_array_equal(turning.head_angles, other.head_angles)
    with pytest.raises(EmoFaceError, match="head motion"):
        LiveSession(pipe, head_motion=2.0)


def test_neutral_has_one_level(pipe, always_open):
    samples = speechlike(1.0).numpy()
    normal, strong = (run(pipe, samples, feeling={"speech": 0.0}, level=level).vertices for level in ("normal", "strong"))
    np.testing.assert_array_equal(normal, strong)
    felt = run(pipe, samples, feeling={"angry": 1.0}, level="strong").vertices
    assert np.abs(felt - run(pipe, samples, feeling={"angry": 1.0}).vertices).max() > 1e-5, "other feelings have two"


def test_who_hurries_hears_many_hops_as_one_and_loses_nothing(pipe, monkeypatch):
    samples, windows = speechlike(3.0).numpy(), []
    original = WhisperStream.encode

    def encode(self, samples, begin, lead, kept):
        windows.append(kept.stop - kept.start)
        return original(self, samples, begin, lead, kept)

    monkeypatch.setattr(WhisperStream, "encode", encode)
    session = LiveSession(pipe, idle=False)
    session.feed(samples[:1920], hurry=True)
    session.feed(samples[1920:], hurry=True)
    session.finish()
    assert windows[:2] == [4, 100], "two seconds at most"
    assert len(windows) < 6
    calm, hurried = run(pipe, samples, windows=LIVE), session.take()
    np.testing.assert_array_equal(hurried.audio, samples)
    assert hurried.frame_count == calm.frame_count == 90
    skin = slice(0, calm.skin_count)
    away = np.linalg.norm(hurried.vertices[:, skin] - calm.vertices[:, skin], axis=-1).mean()
    moved = np.linalg.norm(calm.vertices[:, skin] - calm.template[skin], axis=-1).mean()
    assert away < 0.2 * moved, "a longer hop hears more of what comes next, nothing else"


def test_a_machine_too_slow_for_every_hop_stays_close_to_the_voice(pipe, monkeypatch):
    """A window takes twice the hop's time here, however long it is, by a clock that only computation and speech move."""
    windows, original = [], WhisperStream.encode
    monkeypatch.setattr(WhisperStream, "encode", lambda self, *arguments: windows.append(1) or original(self, *arguments))
    samples = speechlike(4.0).numpy()

    def latest(hurry: bool) -> float:
        """How late the last frames of four seconds are."""
        session, clock, fed, late = LiveSession(pipe, idle=False, keep=False), 0.0, 0, 0.0
        while fed < len(samples):
            clock = max(clock, (fed + 320) / 16000)  # there is nothing to do before the next block
            come = min(int(clock * 16000), fed + 2 * 16000, len(samples))
            windows.clear()
            piece = session.feed(samples[fed:come], hurry=hurry)
            fed, clock = come, clock + 2 * LIVE.hop * len(windows)
            late = late if piece is None else clock - piece.settings["start"] / 30
        return late

    assert latest(hurry=False) > 1.5, "hop by hop it falls ever farther behind"
    assert latest(hurry=True) < 0.8


def test_it_is_the_pipeline_with_the_curve_that_was_played(pipe, monkeypatch, always_open):
    """On the same encoder windows; the first frames come out of rest."""
    samples = speechlike(1.6).numpy()
    take = run(pipe, samples, change=(4, {"happy": 0.4, "sad": 0.7}), feeling={"happy": 1.2}, head=2)
    keys = take.settings["emotion"]
    assert keys[0][1]["happy"] == 1.2 and keys[-1][1] == {"happy": 0.4, "sad": 0.7} and len(keys) == 3
    windowed(pipe, monkeypatch, WINDOWS)
    expected = pipe((samples, 16000), emotion=keys, head=2)
    late = slice(int(30 * 0.3) + 1, None)
    np.testing.assert_allclose(take.vertices[late], expected.vertices[late], atol=3e-4)
    np.testing.assert_allclose(take.emotion_effect_mm[late], expected.emotion_effect_mm[late], atol=2e-3)
    moved = np.abs(expected.vertices - pipe((samples, 16000), emotion="neutral", head=2).vertices).max()
    assert moved > 1e-3, "the feeling must be seen for this to mean anything"


def test_a_change_arrives_where_a_session_is_that_always_felt_so(pipe):
    samples = speechlike(1.6).numpy()
    always, changed, never = (
        run(pipe, samples, **options)
        for options in (dict(feeling={"angry": 1.5}), dict(feeling={"speech": 1}, change=(3, {"angry": 1.5})), dict(feeling={"speech": 1}))
    )
    (begin, _), (end, _) = changed.settings["emotion"][1:]
    assert end - begin == pytest.approx(FADE)
    before, after = int(begin * 30), int(end * 30) + 1
    np.testing.assert_array_equal(changed.vertices[:before], never.vertices[:before])
    np.testing.assert_allclose(changed.vertices[after:], always.vertices[after:], atol=1e-7)
    steps = np.abs(np.diff(changed.vertices, axis=0)).max(axis=(1, 2))
    apart = np.abs(always.vertices - never.vertices).max(axis=(1, 2))[before:after].max()
    assert steps[before:after].max() < steps[:before].max() + 0.5 * apart, "it fades"


def test_silence_is_rest(pipe):
    samples = np.concatenate([speechlike(1.0).numpy(), np.random.default_rng(0).normal(0, 1e-4, 3 * 16000).astype(np.float32)])
    take = run(pipe, samples, feeling={"happy": 1.5})
    skin = take.skin_count
    rest = load_head(0).assemble(np.zeros((1, skin, 3), np.float32), np.zeros((1, 52), np.float32))[:, :skin]
    away = np.abs(take.vertices[:, :skin] - rest).max(axis=(1, 2))
    assert away[15:30].max() > 5e-4, "it speaks"
    assert away[-15:].max() < 1e-6


def test_the_gate_opens_for_speech_and_not_for_the_room():
    random = np.random.default_rng(0)
    room = random.normal(0, 3e-3, 10 * 16000)  # -50 dB
    speech = np.zeros_like(room)
    speech[6 * 16000 : 8 * 16000] = speechlike(2.0).numpy()
    gate = SpeechGate(30)
    open_ = np.concatenate([(gate.feed(part), gate.take(n))[1] for part, n in [((room + speech)[i * 1600 : (i + 1) * 1600], 3) for i in range(100)]])
    assert open_[6 * 30 + 3 : 8 * 30 - 10].mean() > 0.9
    assert open_[: 6 * 30 - 1].mean() < 0.05 and not open_[9 * 30 :].any()


def test_a_voice_between_two_emotions_does_not_flicker():
    """What is heard jumps from one emotion to the other ten times a second; the face goes slowly, the name stays."""
    fps, tracks = 30, torch.eye(8)[None, :, :8] * 6
    own = tracks[:, [2 if i // 3 % 2 else 4 for i in range(10 * fps)]]
    rough = own[0].softmax(-1).numpy()
    assert (np.diff(rough.argmax(1)) != 0).sum() > 90
    mood, label, named = Mood(tracks[:, :1], fps), Label(0), []
    smooth = mood.feed(own, np.ones(len(own[0]), bool))[0].softmax(-1).numpy()
    for row in smooth:
        label.feed(row[None])
        named.append(label.index)
    assert (np.diff(named) != 0).sum() <= 1
    assert np.abs(np.diff(smooth, axis=0)).max() < 0.1
    # A voice that really changes is followed within two seconds, and one that pauses keeps its emotion.
    for _ in range(2 * fps):
        label.feed(mood.feed(tracks[:, 3:4], np.ones(1, bool))[0].softmax(-1).numpy())
    assert label.index == 3
    paused = mood.feed(tracks[:, 5:6].expand(-1, 5 * fps, -1), np.zeros(5 * fps, bool))
    assert (paused == paused[:, :1]).all()


def held_bytes(value, seen) -> int:
    """Arrays and tensors that an object of ours keeps."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return value.nbytes
    if isinstance(value, dict):
        return sum(held_bytes(item, seen) for item in value.values())
    if isinstance(value, (list, tuple)):
        return sum(held_bytes(item, seen) for item in value)
    return held_bytes(vars(value), seen) if type(value).__module__.startswith("emoface") and hasattr(value, "__dict__") else 0


def test_memory_stays_the_same(tmp_path):
    """The decoders' window and the kept level fill up first: here they are short."""
    pipe = EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path / "model", window=30), device="cpu")
    session = LiveSession(pipe, windows=Windows(past=0.2, hop=1.0, ahead=0.1), keep=False)
    shared = set()
    held_bytes(pipe, shared)
    sizes = []
    for second in range(8):
        session.feed(speechlike(1.0, seed=second).numpy())
        sizes.append(held_bytes(session, set(shared)) - session._front_end._encoders[0]._level._levels.nbytes)
    assert len(set(sizes[4:])) == 1, sizes
    with pytest.raises(EmoFaceError, match="speak first"):
        session.take()


def test_wrong_use_is_one_sentence(pipe):
    session = LiveSession(pipe)
    for wrong, words in (({"bored": 1.0}, "bored"), ({"happy": 2.0}, "1.5"), ({"happy": -1.0}, "0 to"), ({}, "key")):
        with pytest.raises(EmoFaceError, match=words):
            session.feel(wrong)
        with pytest.raises(EmoFaceError, match=words):
            LiveSession(pipe, feeling=wrong)
    with pytest.raises(EmoFaceError, match="speak first"):
        session.take()


def test_a_course_that_changes_in_the_middle_of_a_fade_goes_on_from_there():
    course = Course(("speech", "happy", "sad"), {"happy": 1.0})
    course.go({"sad": 1.0}, 2.0)
    course.go({"speech": 0.5}, 2.0 + FADE / 2)
    at = course.at(np.array([0, 2.0, 2.0 + FADE / 2, 2.0 + 1.5 * FADE, 99]))
    np.testing.assert_allclose(at, [[0, 1, 0], [0, 1, 0], [0, 0.5, 0.5], [0.5, 0, 0], [0.5, 0, 0]], atol=1e-9)
