"""The corpus: smoothing, phones to motion, emotion over content, augmentation, building and reading."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from emoface.clock import frame_count, interpolate
from emoface.errors import EmoFaceError
from emoface.head import load_head
from train.corpus.augment import augmented
from train.corpus.build import build
from train.corpus.channels import COUNT, FPS, INDEX, NAMES, columns, vector
from train.corpus.clip import Clip
from train.corpus.coarticulation import Phone, speech_motion, speech_of, spoken_runs
from train.corpus.compose import AMPLITUDE, EYE_CLOSED, WIDEST_MM, compose
from train.corpus.drive import Capture, Rest, drive, lip_gap_mm, resting_face
from train.corpus.emotion import ACTION_UNITS, EMOTIONS, INTENSITY, PROTOTYPES, EmotionTargets
from train.corpus.envelope import emotion_envelope, loudness_track, speech_activity, speech_interval
from train.corpus.lips import EYE_DISTANCE_MM, average_head_lips
from train.corpus.phones import Aligner, arpabet, read_phone_table
from train.corpus.reader import Corpus
from train.corpus.smoothing import fill_gaps, rts_smooth
from train.corpus.tts import parse_durations

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the training data (../shared/data) is not on this machine")
RATE = 16000


def spoken(text: str, *, lead: float = 0.5, length: float = 0.12) -> list[Phone]:
    """Phones of equal length with silence around them."""
    names = text.split()
    phones = [Phone("SIL", 0.0, lead, "<sil>")]
    phones += [Phone(n, lead + i * length, lead + (i + 1) * length, "word") for i, n in enumerate(names)]
    end = phones[-1].end
    return phones + [Phone("SIL", end, end + lead, "<sil>")]


def speech_clip(text: str = "AA B AE M IY S P OW T AY") -> Clip:
    """A modelled clip whose sound is noise while there are phones."""
    phones = spoken(text)
    start, end = speech_of(phones)
    samples = np.random.default_rng(0).standard_normal(int(phones[-1].end * RATE)).astype(np.float32) * 1e-4
    samples[int(start * RATE) : int(end * RATE)] *= 1000
    count = frame_count(len(samples), 30, sample_rate=RATE)
    loudness = loudness_track(samples, RATE, count, (start, end))
    content, closure = speech_motion(phones, loudness, average_head_lips())
    return Clip(
        identity="clip",
        source="ravdess",
        split="train",
        speaker="a",
        style="a",
        motion="modelled",
        samples=samples,
        sample_rate=RATE,
        content=content,
        loudness=loudness,
        accent=np.linspace(0, 1, count),
        envelope=emotion_envelope(loudness, (start, end)),
        activity=speech_activity(count, (start, end)),
        closure=closure,
        speech=(start, end),
        phones=phones,
    )


CLIP = speech_clip()
CASES = [(e, level) for e in EMOTIONS for level in (0, 1)]


def with_emotion(emotion: str, level: int, clip: Clip = CLIP) -> np.ndarray:
    target = vector(PROTOTYPES[emotion]) * (0.66, 1.0)[level]
    return compose(clip.content, clip.envelope, clip.closure, target, emotion, level, activity=clip.activity)


def aperture(weights: np.ndarray) -> np.ndarray:
    return average_head_lips().aperture(weights.astype(np.float64))


# -- clock, smoothing ------------------------------------------------------------------------------------------------


def test_frames_of_a_recording():
    assert [frame_count(n, 30, sample_rate=48000) for n in (0, 1600, 1632, 142_944, 144_000)] == [0, 1, 2, 90, 90]


def test_rts_is_the_most_probable_path():
    """The smoother must equal the direct solution of the same linear Gaussian problem."""
    rng, count, ratio = np.random.default_rng(1), 12, 3.0
    z = rng.standard_normal((count, 2))
    transition, noise = np.array([[1.0, 1], [0, 1]]), ratio * np.array([[0.25, 0.5], [0.5, 1]]) + 1e-9 * np.eye(2)
    precision, vector_ = np.zeros((2 * count, 2 * count)), np.zeros((2 * count, 2))
    precision[:2, :2] += np.eye(2) / 10
    vector_[0] += z[0] / 10
    for t in range(count):
        precision[2 * t, 2 * t] += 1
        vector_[2 * t] += z[t]
        if t:
            step = np.hstack([-transition, np.eye(2)])
            precision[2 * t - 2 : 2 * t + 2, 2 * t - 2 : 2 * t + 2] += step.T @ np.linalg.inv(noise) @ step
    np.testing.assert_allclose(rts_smooth(z, ratio), np.linalg.solve(precision, vector_)[::2], atol=1e-5)


def test_rts_keeps_a_ramp_and_has_no_lag():
    ramp = np.linspace(0, 1, 40)[:, None]
    np.testing.assert_allclose(rts_smooth(ramp, 10.0), ramp, atol=0.01)
    bump = np.exp(-0.5 * ((np.arange(41) - 20) / 3.0) ** 2)[:, None]
    assert np.argmax(rts_smooth(bump, 3.0)) == 20


def test_gaps_are_interpolated():
    tracks = np.arange(6.0)[:, None] * [[1, 2]]
    broken = tracks.copy()
    broken[2:4] = 99
    np.testing.assert_allclose(fill_gaps(broken, np.array([1, 1, 0, 0, 1, 1], bool)), tracks)


def test_resampling_25_to_30_fps():
    source = np.arange(75) / 25
    times = np.arange(90) / 30
    tracks = np.stack([source, 2 * source], 1)
    np.testing.assert_allclose(interpolate(times, source, tracks)[:85, 1], 2 * times[:85])


# -- head, lips --------------------------------------------------------------------------------------------------------


def test_lip_response_is_that_of_the_mesh():
    head, lips = load_head(0), average_head_lips()
    weights = np.random.default_rng(0).uniform(0, 0.4, (5, COUNT)).astype(np.float32)
    skin = head.pose(weights)[:, : head.skin_count]
    upper, lower = np.asarray(head.lip_pairs).T
    measured = 1000 * (skin[:, upper, 1] - skin[:, lower, 1]).mean(1)
    np.testing.assert_allclose(lips.aperture(weights), measured, atol=0.01)
    assert tuple(head.blendshape_names) == NAMES


def test_measured_gap_is_scaled_by_the_eye_distance():
    landmarks = np.zeros((1, 4, 3))
    landmarks[0, :, :2] = [[0.3, 0.5], [0.5, 0.5], [0.4, 0.8], [0.4, 0.9]]  # eyes, lips
    gap = lip_gap_mm(landmarks, np.array([33, 263, 13, 14]), aspect=2.0)
    np.testing.assert_allclose(gap, EYE_DISTANCE_MM * 0.1 / 0.4)


# -- real motion -------------------------------------------------------------------------------------------------------


def capture_of(gap_mm: np.ndarray, width_mm: np.ndarray | None = None) -> Capture:
    scores = np.zeros((len(gap_mm), COUNT))
    scores[:, INDEX["jawOpen"]] = 0.02 + gap_mm / 60
    scores[:, columns("browDown")] = 0.3
    return Capture(scores, gap_mm, np.ones(len(gap_mm), bool), 25.0, np.full(len(gap_mm), 40.0) if width_mm is None else width_mm)


def test_real_motion_follows_the_measured_gap_and_seals_closures():
    gap = 6 + 5.6 * np.sin(np.arange(75) / 4)
    rest = np.zeros(COUNT)
    rest[INDEX["jawOpen"]], rest[columns("browDown")] = 0.02, 0.3
    motion = drive(capture_of(gap), Rest(rest, 40.0), np.arange(90) / FPS, average_head_lips())
    opened = aperture(motion.weights)
    open_frames = motion.measured > 3
    assert np.abs(opened - motion.measured)[open_frames].mean() < 0.3
    assert motion.sealed.any() and np.all(opened[motion.sealed] < 0.3)
    assert np.all(motion.weights[:, columns("browDown")] < 1e-9)  # the resting frown is gone
    assert np.all(motion.weights[:, columns("eyeBlink", "eyeLookDown")] == 0)


def test_the_mouth_is_as_wide_as_the_videos():
    """Without the lock the target's width follows the video with r .68."""
    gap = 6 + 5 * np.sin(np.arange(75) / 4)
    width = 40.0 * (1 + 0.08 * np.sin(np.arange(75) / 5))
    lips = average_head_lips()
    motion = drive(capture_of(gap, width), Rest(np.zeros(COUNT), 40.0), np.arange(90) / FPS, lips)
    inside = slice(3, -3)
    np.testing.assert_allclose(
        motion.width_raw[inside], (np.interp(np.arange(90) / FPS, np.arange(75) / 25, width) / 40 - 1)[inside] * lips.width_rest_mm
    )
    opened = ~motion.sealed
    opened[[0, 1, 2, -1, -2, -3]] = False
    assert np.corrcoef(lips.width_change(motion.weights)[opened], motion.width[opened])[0, 1] > 0.99
    assert np.abs(lips.width_change(motion.weights) - motion.width)[opened].mean() < 0.3
    assert np.abs(np.maximum(aperture(motion.weights), 0) - motion.measured)[opened & (motion.measured > 2)].mean() < 0.3


def test_lost_faces_are_bridged():
    gap = 6 + 5 * np.sin(np.arange(75) / 4)
    capture = capture_of(gap)
    capture.scores[30:33], capture.gap_mm[30:33], capture.detected[30:33] = 0, np.nan, False
    motion = drive(capture, Rest(np.zeros(COUNT), 40.0), np.arange(90) / FPS, average_head_lips())
    assert np.isfinite(motion.weights).all() and np.isfinite(motion.measured_raw).all()


def test_rest_is_the_median_of_silence():
    capture = capture_of(np.full(10, 5.0))
    rest = resting_face([capture], [np.arange(10) < 4])
    assert rest.scores[INDEX["browDownLeft"]] == pytest.approx(0.3) and rest.width_mm == pytest.approx(40.0)
    with pytest.raises(ValueError, match="resting face"):
        resting_face([capture], [np.zeros(10, bool)])


# -- modelled motion ---------------------------------------------------------------------------------------------------


def test_bilabials_are_sealed_and_vowels_open():
    opened = aperture(CLIP.content)
    for phone in CLIP.phones:
        frames = opened[int(phone.start * FPS) : int(np.ceil(phone.end * FPS)) + 1]
        if phone.name in ("B", "M", "P"):
            assert frames.min() < -0.5
        if phone.name in ("AA", "AE", "AY"):
            assert frames.max() > 3
    assert aperture(CLIP.content[:8]).max() < 0.3  # silence


def test_rounding_and_spreading():
    rounded, spread = speech_clip("UW W UW W UW").content, speech_clip("IY S IY S IY").content
    assert rounded[:, INDEX["mouthPucker"]].max() > 2 * spread[:, INDEX["mouthPucker"]].max()


def test_long_pauses_split_speech():
    phones = [Phone("AA", 0.0, 0.3, "a"), Phone("SIL", 0.3, 1.0, "-"), Phone("AA", 1.0, 1.2, "a")]
    assert spoken_runs(phones) == [(0.0, 0.3), (1.0, 1.2)]


def test_speech_interval_ignores_a_click():
    x = np.random.default_rng(0).standard_normal(3 * RATE) * 1e-4
    x[RATE : 2 * RATE] *= 1000
    x[800:880] += 0.05
    start, end = speech_interval(x, RATE)
    assert start == pytest.approx(1.0, abs=0.03) and end == pytest.approx(2.0, abs=0.03)


# -- emotion over content ----------------------------------------------------------------------------------------------


def test_neutral_gives_the_content_back():
    np.testing.assert_array_equal(with_emotion("neutral", 0), CLIP.content.astype(np.float32))


@pytest.mark.parametrize("emotion, level", CASES)
def test_composed_motion_obeys_the_rules(emotion, level):
    arguments = [a.copy() for a in (CLIP.content, CLIP.envelope, CLIP.closure)]
    weights = with_emotion(emotion, level)
    opened, said = aperture(weights), aperture(CLIP.content)
    assert weights.shape == CLIP.content.shape and weights.dtype == np.float32
    assert weights.min() >= 0 and weights.max() <= 1
    assert opened[CLIP.closure > 0.99].max() < 0.3  # P, B, M sealed under every emotion
    assert opened[CLIP.activity < 0.01].max() < 0.5  # mouth closed in silence
    assert opened.max() <= WIDEST_MM + 0.5 and opened.min() >= -2.0
    assert np.corrcoef(opened, said)[0, 1] > 0.9  # lips keep their timing
    lids = weights[:, columns("eyeBlink")].mean(1) + 0.4 * weights[:, columns("eyeSquint")].mean(1)
    assert lids.max() <= EYE_CLOSED + 1e-6
    assert not weights[:, columns("eyeLookDown", "eyeLookUp", "eyeLookIn", "eyeLookOut", "tongueOut")].any()
    for before, after in zip(arguments, (CLIP.content, CLIP.envelope, CLIP.closure)):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "emotion, shape",
    [
        ("happy", "mouthSmile"),
        ("sad", "mouthFrown"),
        ("angry", "browDown"),
        ("fearful", "eyeWide"),
        ("disgust", "noseSneer"),
        ("surprised", "browOuterUp"),
        ("calm", "mouthSmile"),
    ],
)
def test_the_emotion_shows_and_strong_is_stronger(emotion, shape):
    normal, strong = (with_emotion(emotion, level)[:, columns(shape)].mean() for level in (0, 1))
    assert strong > normal > CLIP.content[:, columns(shape)].mean() + 0.05


def test_angry_speech_opens_wider_than_sad_speech():
    assert aperture(with_emotion("angry", 1)).max() > aperture(with_emotion("sad", 0)).max() + 2


def test_compose_refuses_wrong_shapes():
    with pytest.raises(ValueError, match="content must be"):
        compose(np.zeros((5, 51)), np.ones(5), np.zeros(5), np.zeros(52), "happy", 0, activity=np.ones(5))
    assert set(AMPLITUDE) == set(EMOTIONS)


def test_targets_come_from_action_units():
    names = ["AU04", "AU12", "AU06"]
    units = {}
    for actor in (1, 2):
        units[f"03-01-01-01-01-01-{actor:02d}"] = np.array([0.2, 0.1, 0.0])
        units[f"03-01-05-02-01-01-{actor:02d}"] = np.array([0.4 + 0.8 * actor, 0.1, 0.0])
    targets = EmotionTargets(names, units)
    weak, strong = targets.target("03-01-05-02-01-01-01"), targets.target("03-01-05-02-01-01-02")
    assert not targets.target("03-01-01-01-01-01-01").any()
    assert strong[INDEX["browDownLeft"]] > weak[INDEX["browDownLeft"]] > 0.4
    assert not strong[columns("eyeLookDown")].any() and strong.max() <= 1


def test_the_mean_of_a_feeling_is_its_prototype():
    """What a name asks for is the middle of what recordings get, in every channel, and recordings still differ."""
    rng = np.random.default_rng(0)
    names = [*ACTION_UNITS]
    units = {f"03-01-01-01-01-01-{actor:02d}": np.zeros(len(names)) for actor in range(1, 9)}
    units |= {f"03-01-08-{level:02d}-01-01-{actor:02d}": rng.uniform(0, 1.5, len(names)) for actor in range(1, 9) for level in (1, 2)}
    targets = EmotionTargets(names, units)
    for level, intensity in enumerate(INTENSITY):
        clips = np.stack([targets.target(f"03-01-08-{level + 1:02d}-01-01-{actor:02d}") for actor in range(1, 9)])
        wanted = vector(PROTOTYPES["surprised"]) * intensity
        assert clips.mean(0)[wanted > 0] == pytest.approx(wanted[wanted > 0], rel=0.12)
        assert clips[:, columns("browOuterUp")].std(0).min() > 0.02 and clips.max() <= 1


# -- phones ------------------------------------------------------------------------------------------------------------


def test_alignment_without_pocketsphinx_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(EmoFaceError, match="train/requirements.txt"):
        Aligner().align(np.zeros(1600), "hello")


def test_phone_names():
    assert [arpabet(p) for p in ("AA1", "ax", "pau", "b")] == ["AA", "AH", "SIL", "B"]
    with pytest.raises(ValueError, match="Unknown phone"):
        arpabet("QQ")


def test_flite_durations():
    phones = parse_durations("pau:0.2 b:0.3 aa:0.5 pau:0.9 ", seconds=0.8)
    assert [(p.name, p.start, p.end) for p in phones] == [("SIL", 0, 0.2), ("B", 0.2, 0.3), ("AA", 0.3, 0.5), ("SIL", 0.5, 0.8)]


def test_phone_table(tmp_path):
    path = tmp_path / "phones.tsv"
    path.write_text("clip\tstart_s\tend_s\tphone\tword\nx\t0.0\t0.5\tSIL\t<sil>\nx\t0.5\t0.6\tB\tby\n")
    assert read_phone_table(path) == {"x": [Phone("SIL", 0.0, 0.5, "<sil>"), Phone("B", 0.5, 0.6, "by")]}


# -- augmentation ------------------------------------------------------------------------------------------------------


def test_copies_are_repeatable_and_different():
    a, b, c = augmented(CLIP, 1), augmented(CLIP, 1), augmented(CLIP, 2)
    np.testing.assert_array_equal(a.samples, b.samples)
    np.testing.assert_array_equal(a.content, b.content)
    assert len(a.samples) != len(c.samples) or not np.array_equal(a.samples, c.samples)
    assert a.copy_of == "clip" and a.identity == "clip.a1"


@pytest.mark.parametrize("copy", range(1, 13))
def test_copies_stay_in_step(copy):
    """Sound and motion of a copy must still agree: the mouth opens while the phones of open vowels sound."""
    out = augmented(CLIP, copy)
    count = frame_count(len(out.samples), 30, sample_rate=out.sample_rate)
    for track in (out.content, out.envelope, out.closure, out.activity, out.loudness):
        assert len(track) == count
    opened, vowel = aperture(out.content), next(p for p in out.phones if p.name == "AE")
    inside = opened[int(vowel.start * FPS) : int(np.ceil(vowel.end * FPS)) + 1].max()
    assert inside == pytest.approx(aperture(CLIP.content)[frames_of(CLIP, "AE")].max(), abs=2.0)
    lead = int((out.speech[0] - 0.2) * FPS)
    assert lead <= 0 or opened[:lead].max() < 0.5
    assert np.abs(out.samples).max() <= 1.0


def frames_of(clip: Clip, phone: str) -> slice:
    found = next(p for p in clip.phones if p.name == phone)
    return slice(int(found.start * FPS), int(np.ceil(found.end * FPS)) + 1)


def test_some_copies_are_padded_and_some_change_speed():
    changes = [augmented(CLIP, copy).changes for copy in range(1, 40)]
    padded = sum("padding_s" in c for c in changes)
    assert 5 < padded < 22
    assert len({c["speed"] for c in changes}) > 6
    assert all(0.88 <= c["speed"] <= 1.14 for c in changes)


# -- the folder --------------------------------------------------------------------------------------------------------


def test_reader_says_how_to_build(tmp_path):
    with pytest.raises(EmoFaceError, match="train.corpus.build"):
        Corpus(tmp_path)


@needs_data
def test_build_and_read(tmp_path):
    report = build(DATA, tmp_path, sources=("grid", "ravdess"), processes=1, limit=2)
    corpus = Corpus(tmp_path)
    train = [c for c in corpus.clips if c["source"] == "grid" and c["split"] == "train"]
    assert len(train) == 3 and sum(c["copy_of"] is None for c in train) == 1  # one clip is val and has no copies
    assert report["real_share_of_training"] > 0
    i, j = corpus.select(source="grid", split="train")[0], corpus.select(source="ravdess")[0]
    measured, opened = corpus.track(i, "measured_aperture"), aperture(corpus.weights(i))
    assert np.corrcoef(measured, opened)[0, 1] > 0.95
    np.testing.assert_array_equal(corpus.weights(i), corpus.weights(i, j))  # both neutral
    assert corpus.times(j)["phones"] and corpus.audio_path(j).exists()
    assert np.isnan(corpus.track(j, "measured_aperture")).all()
    assert json.loads((tmp_path / "report.json").read_text()) == report


@needs_data
def test_build_continues_but_never_mixes_recipes(tmp_path):
    report = build(DATA, tmp_path, sources=("ravdess",), processes=1, limit=2)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "audio").iterdir()}
    assert build(DATA, tmp_path, sources=("ravdess",), processes=1, limit=2) == report
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "audio").iterdir()}
    (tmp_path / "parts" / "recipe.txt").write_text("another version")
    with pytest.raises(SystemExit, match="another version"):
        build(DATA, tmp_path, sources=("ravdess",), processes=1, limit=1)
