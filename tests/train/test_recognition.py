"""Learning to hear: who is in which split, altered copies, the cache, the training itself, and what its probabilities are worth."""

import numpy as np
import pytest
import soundfile
import torch

from emoface.animation import EMOTIONS
from emoface.errors import EmoFaceError
from train import sound
from train.evaluation import recognition
from train.recognition.batches import Balanced
from train.recognition.cache import Features, cache
from train.recognition.copies import altered
from train.recognition.recordings import NEMO_TESTS, NEMO_VALIDATES, POSSIBLE, Recording, all_recordings
from train.recognition.references import logits, references_of
from train.recognition.scores import answers, calibration_error, fit_temperature, mean_recall, reaches, recall_interval, reliability
from train.recognition.trainer import RecognitionConfig, RecognitionTrainer, read_recognition_config, recognition_losses, recognition_model


def voice(seconds: float = 1.0, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16000)) / 16000
    return (
        0.3
        * np.sin(2 * np.pi * (150 + 20 * seed) * t)
        * np.interp(t, np.arange(0, seconds + 0.2, 0.1), rng.uniform(0.2, 1, len(np.arange(0, seconds + 0.2, 0.1))))
    )


# ------------------------------------------------------------------------------------------------------------ sounds


@pytest.mark.parametrize("snr", [20.0, 0.0])
def test_mixed_at_the_ratio_that_was_asked(snr):
    x, rng = voice(), np.random.default_rng(0)
    for other in (
        sound.noise(len(x), 1, rng),
        sound.music(len(x), rng),
        sound.hum(len(x), rng),
        sound.babble([voice(seed=1), voice(seed=2)], len(x), rng),
    ):
        added = sound.mixed(x, other, snr) - x
        assert 10 * np.log10(sound.active_power(x) / np.mean(added**2)) == pytest.approx(snr, abs=0.1)


def test_lines_pass_what_they_should():
    t = np.arange(16000) / 16000
    low, high = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 6000 * t)
    middle = np.sin(2 * np.pi * 1000 * t)
    for x, phone, narrow in ((low, 0.02, 1), (middle, 1, 1), (high, 0.1, 0.02)):
        power = [np.std(y[2000:-2000]) / np.std(x) for y in (sound.band(x, 300, 3400), sound.at_rate(x, 8000))]
        assert power == pytest.approx([phone, narrow], abs=0.1)


@pytest.mark.parametrize("codec,rate", [("mp3", 32000), ("opus", 24000)])
def test_codecs_give_back_the_same_sound_in_time(codec, rate):
    x = 0.01 * voice(1.5) + np.where(np.arange(24000) // 2400 % 2, 0.003, 0) * np.random.default_rng(0).standard_normal(24000)
    y = sound.coded(x, codec, rate)
    assert len(y) == len(x) and np.corrcoef(x, y)[0, 1] > 0.8 and np.std(y) == pytest.approx(np.std(x), rel=0.2)


def test_another_voice_is_higher_and_faster():
    x = np.sin(2 * np.pi * 200 * np.arange(32000) / 16000)
    y = sound.revoiced(x, pitch=1.2, tempo=1.1)
    peak = np.abs(np.fft.rfft(y)).argmax() * 16000 / len(y)
    assert peak == pytest.approx(240, rel=0.02) and len(y) == pytest.approx(32000 / 1.1, rel=0.02)


# -------------------------------------------------------------------------------------------------------- recordings


@pytest.fixture
def data(tmp_path):
    """A few files of each corpus, named as theirs are."""
    for name in ("ravdess", "nemo", "emodb"):
        (tmp_path / f"{name}_audio").mkdir()
    for actor in (1, 2, 19, 21):
        for emotion in (1, 3, 5):
            for take in (1, 2):
                soundfile.write(
                    tmp_path / f"ravdess_audio/03-01-{emotion:02d}-01-01-{take:02d}-{actor:02d}.ogg", voice(seed=emotion + 10 * actor), 16000
                )
    for speaker in ("AA0", NEMO_VALIDATES[0], NEMO_TESTS[0]):
        for emotion in ("neutral", "happiness"):
            for i in range(2):
                soundfile.write(tmp_path / f"nemo_audio/{speaker}_{emotion}_{i}.ogg", voice(seed=i), 16000)
    for name in ("03a01Fa", "03a01Nc", "03a02Nc", "03a02La"):
        soundfile.write(tmp_path / f"emodb_audio/{name}.ogg", voice(), 16000)
    return tmp_path


def test_nobody_is_in_two_splits_and_emodb_never_trains(data):
    recordings = all_recordings(data)
    splits = {}
    for r in recordings:
        splits.setdefault(r.speaker, set()).add(r.split)
    assert all(len(of) == 1 for of in splits.values())
    assert {s for s, of in splits.items() if of == {"train"}} == {"R01", "R02", "AA0"}
    assert splits["R19"] == {"validate"} and splits["R21"] == splits[NEMO_TESTS[0]] == splits["E03"] == {"test"}
    assert not any("La" in r.identity for r in recordings)  # boredom
    assert {r.emotion for r in recordings if r.corpus == "nemo"} == {"neutral", "happy"}
    assert all(r.emotion in POSSIBLE[r.corpus] for r in recordings)


def test_plain_reading_is_neutral_and_its_clips_are_split_as_in_the_corpus(tmp_path):
    for folder, count in (("grid_s1_audio", 80), ("ljspeech_audio", 12), ("grid_others_audio", 2)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            (tmp_path / folder / f"{i:03d}.ogg").touch()
    recordings = all_recordings(tmp_path)
    assert {(r.corpus, r.emotion) for r in recordings} == {("read", "neutral")}
    of = {split: [r.identity for r in recordings if r.split == split] for split in ("train", "validate", "test")}
    assert {split: len(ids) for split, ids in of.items()} == {"train": 16 + 9, "validate": 2 + 1, "test": 2 + 2 + 2}
    assert "read_005" in of["validate"] and "read_other_000" in of["test"]


def test_copies_are_repeatable_and_differ(data):
    recording, voices = all_recordings(data)[0], all_recordings(data)[1:4]
    one, again, two = altered(recording, 1, voices), altered(recording, 1, voices), altered(recording, 2, voices)
    np.testing.assert_array_equal(one, again)
    assert len(one) != len(two) or np.abs(one - two).max() > 1e-3
    assert np.isfinite(one).all() and np.abs(one).max() <= 1


class FlatEncoder:
    """Features that say what was heard: its length and loudness."""

    width = 4

    def frame_features(self, samples, *, position=0, layers=0):
        return torch.full((layers, len(samples) // 1000, 4), float(samples.abs().mean()))


def test_the_cache_goes_on_where_it_stopped(data, tmp_path):
    recordings = all_recordings(data)
    once, twice = tmp_path / "once", tmp_path / "twice"
    job = dict(encoder=FlatEncoder(), layers=2, voices=recordings)
    for view in (0, 1):
        cache(recordings, once, view, **job)
        cache(recordings[:5], twice, view, **job)
    with (twice / "0.f16").open("ab") as file:
        file.write(b"half a clip")  # killed while writing
    for view in (0, 1):
        cache(recordings, twice, view, **job)
        assert (once / f"{view}.f16").read_bytes() == (twice / f"{view}.f16").read_bytes()
        assert (once / f"{view}.jsonl").read_text() == (twice / f"{view}.jsonl").read_text()
    features = Features(once, 2, layers=2, width=4)
    r = recordings[3]
    assert features[0, r.identity].shape == (len(r.samples()) // 1000, 2, 4)
    assert features.views(r.identity) == [0, 1]
    with pytest.raises(EmoFaceError, match="train.recognition cache"):
        features[0, "unknown"]


# ---------------------------------------------------------------------------------------------------------- training


class ToyFeatures:
    """Every voice has its own place; an emotion is a step away from it."""

    def __init__(self, recordings, *, noise: float = 0.3):
        rng = np.random.default_rng(0)
        places = {s: rng.normal(0, 1.5, 16) for s in sorted({r.speaker for r in recordings})}
        steps = rng.normal(0, 1, (8, 16))
        self.rows = {
            r.identity: (places[r.speaker] + steps[r.label] + noise * rng.standard_normal((60, 2, 16))).astype(np.float16) for r in recordings
        }

    def __getitem__(self, key):
        return self.rows[key[1]]

    def __contains__(self, key):
        return key[1] in self.rows

    def views(self, identity):
        return [0]


def toy_recordings(speakers: int = 12, clips: int = 3) -> list[Recording]:
    return [
        Recording(f"{s}_{emotion}_{i}", None, "ravdess", f"S{s:02d}", emotion, 0, "train" if s < speakers - 4 else "test")
        for s in range(speakers)
        for emotion in EMOTIONS[:5]
        for i in range(clips)
    ]


def toy_trainer(out, **changes):
    recordings = toy_recordings()
    config = RecognitionConfig(
        **{
            **dict(
                model=dict(emotion_kernel=1, emotion_layer=0, content_layer=0, vertex_count=12, face_count=4, hidden_size=8),
                steps=60,
                clips=10,
                dropout=0.0,
                learning_rate=1e-2,
                ema_decay=0.9,
            ),
            **changes,
        }
    )
    features = ToyFeatures(recordings)
    model = recognition_model(config, layers=2, width=16)
    return (
        RecognitionTrainer(config, Balanced([r for r in recordings if r.split == "train"], features, **config.sampling()), model, out),
        recordings,
        features,
    )


def test_hearing_learns_and_a_reference_helps_with_unseen_voices(tmp_path):
    trainer, recordings, features = toy_trainer(tmp_path)
    model = trainer.run()
    test = [r for r in recordings if r.split == "test"]
    labels = np.array([r.label for r in test])
    without, given = (mean_recall(labels, values.argmax(-1)) for values in logits(model, test, features))
    assert given > 0.9 and given > without + 0.1


def test_a_stopped_run_ends_as_the_whole_one(tmp_path):
    whole, *_ = toy_trainer(tmp_path / "whole", steps=12)
    expected = whole.run().state_dict()
    first, *_ = toy_trainer(tmp_path / "parts", steps=12)
    first.model.train()
    for step in range(5):
        torch.manual_seed(first.config.seed * 7_368_787 + step)
        first.train_step(first.data.batch(step))
        first.step += 1
    first.save()
    second, *_ = toy_trainer(tmp_path / "parts", steps=12)
    second.resume()
    assert second.step == 5
    result = second.run().state_dict()
    assert all(torch.equal(result[key], value) for key, value in expected.items())
    other, *_ = toy_trainer(tmp_path / "parts", steps=13)
    with pytest.raises(SystemExit, match="other settings"):
        other.resume()


def test_emotions_that_a_corpus_lacks_get_no_gradient(tmp_path):
    trainer, *_ = toy_trainer(tmp_path)
    batch = trainer.data.batch(0)
    batch.possible[:, EMOTIONS.index("disgust")] = False
    for mask, moved in ((True, False), (False, True)):
        trainer.config.mask_absent = mask
        trainer.model.zero_grad()
        recognition_losses(trainer.model, batch, trainer.config)[0].backward()
        assert bool(trainer.model.classifier.weight.grad[EMOTIONS.index("disgust")].abs().max() > 1e-6) is moved


def test_batches_draw_emotions_evenly_and_lend_the_same_voice(tmp_path):
    recordings = [r for r in toy_recordings(8) if r.emotion != "angry" or r.identity.endswith("_0")]
    trainer, *_ = toy_trainer(tmp_path)
    data = Balanced(recordings, ToyFeatures(recordings, noise=0.0), shares={"ravdess": 1.0}, clips=200, seed=0, reference=0.5)
    batch = data.batch(0)
    counts = np.bincount(batch.labels.numpy(), minlength=5)[:5]
    assert counts.min() > 25  # a third as many angry clips, and yet drawn as often
    assert 0.4 < (batch.rest_of >= 0).float().mean() < 0.6
    rows = ToyFeatures(recordings, noise=0.0).rows
    voices = {r.speaker: rows[r.identity][0, 0] for r in recordings if r.emotion == "neutral"}
    for copy in torch.nonzero(batch.rest_of >= 0).flatten()[:20]:
        rest = batch.rest[batch.rest_of[copy], 0, 0].numpy()
        (reference,) = [s for s, place in voices.items() if np.allclose(place, rest, atol=1e-3)]
        heard = batch.hidden[copy, 0, 0].numpy()
        own = [r.speaker for r in recordings if np.allclose(rows[r.identity][0, 0], heard, atol=1e-3)]
        assert reference in own


def test_unknown_settings_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("stepz: 3")
    with pytest.raises(SystemExit, match="stepz"):
        read_recognition_config(tmp_path / "a.yaml")


# ------------------------------------------------------------------------------------------------------------ scores


def test_recall_counts_emotions_alike_and_only_what_may_be_answered():
    labels = np.array([0] * 8 + [2] * 2)
    given = np.array([0] * 8 + [2, 0])
    assert mean_recall(labels, given) == pytest.approx(0.75)
    probabilities = np.eye(8)[[1, 2]] * 0.6 + 0.05
    assert answers(probabilities).tolist() == [1, 2] and answers(probabilities, ("neutral", "happy")).tolist() == [0, 2]


def test_intervals_redraw_speakers():
    """Four voices, two of them always right: the interval spans what a draw of four voices may be, not what 400 clips may."""
    labels, speakers = np.zeros(400, int), np.repeat(np.arange(4), 100)
    low, high = recall_interval(labels, np.where(speakers < 2, 0, 1), speakers)
    assert low <= 0.25 and high >= 0.75
    low, high = recall_interval(labels, np.where(np.arange(400) % 2, 0, 1), speakers % 1)
    assert 0.4 < low and high < 0.6


def test_temperature_makes_confidence_true():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, (4000, 8))
    softmax = np.exp(true) / np.exp(true).sum(-1, keepdims=True)
    labels = (rng.random((4000, 1)) > softmax.cumsum(-1)).sum(-1).clip(max=7)
    assert fit_temperature(labels, true * 3) == pytest.approx(3, rel=0.1)
    sharp = np.exp(true * 3) / np.exp(true * 3).sum(-1, keepdims=True)
    assert calibration_error(labels, softmax) < 0.03 < 0.1 < calibration_error(labels, sharp)
    assert sum(count for *_, count in reliability(labels, softmax)) == 4000


def test_the_confidence_from_which_on_enough_answers_are_right():
    """Answers that are right as often as their confidence says reach a share there; weights count as copies do."""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.2, 1, 20000)
    right = rng.random(20000) < confidence
    even = np.ones(20000)
    for share in (0.5, 0.8):
        assert reaches(confidence, right, even, share=share) == pytest.approx(share, abs=0.04)
    assert reaches(confidence, np.zeros(20000, bool), even, share=0.5) == 1.0
    few = np.array([0.3, 0.4, 0.5, 0.6]), np.array([False, True, False, True])
    assert reaches(*few, np.array([1, 1, 3, 1.0]), share=0.5) == 0.6 and reaches(*few, np.array([1, 3, 1, 1.0]), share=0.5) == 0.4


def test_a_reference_is_another_neutral_recording_of_the_voice():
    recordings = toy_recordings(5)
    for r, reference in zip(recordings, references_of(recordings)):
        assert reference.speaker == r.speaker and reference.emotion == "neutral" and reference.identity != r.identity
    assert references_of(recordings[:1]) == [None]


# -------------------------------------------------------------------------------------------------------- evaluation


class Knows:
    """Hears the label in a recording's pitch when it is clean; with a reference always."""

    def recognise(self, given, *, reference=None):
        samples = given[0] - np.mean(given[0])
        spectrum = np.abs(np.fft.rfft(samples))
        pitch = spectrum.argmax() * 16000 / len(samples)
        emotion = int(np.clip(round((pitch - 150) / 20), 0, 7)) if reference is not None or spectrum.max() > 0.1 * spectrum.sum() else 1
        return np.eye(8)[emotion] * 0.9 + 0.0125


def test_evaluation_of_hearing_on_made_up_voices(tmp_path):
    (tmp_path / "emodb_audio").mkdir()
    letters = {"N": "neutral", "F": "happy", "T": "sad", "W": "angry"}
    for speaker in ("03", "08", "09"):
        for letter, emotion in letters.items():
            for text in ("a01", "a02"):
                soundfile.write(tmp_path / f"emodb_audio/{speaker}{text}{letter}a.wav", voice(seed=EMOTIONS.index(emotion)), 16000)
    for path in (tmp_path / "emodb_audio").glob("*.wav"):
        path.rename(path.with_suffix(".ogg"))  # libsndfile looks inside
    rows, extra = recognition.recognition_rows(Knows(), tmp_path, references=True)
    found = {(row.measure, row.who): row.estimate for row in rows}
    assert found["emotion_recall", "model"].value == found["emotion_recall_own", "model, with a reference"].value == 100
    assert found["emotion_recall", "model"].total == 3 and found["emotion_recall", "chance"].value == 12.5
    assert found["emotion_calibration", "model"].value == pytest.approx(100 - 91.25)  # always right, never sure
    assert np.trace(extra["heard, EmoDB"]["label x answer"]) == 24
    assert found["emotion_changed", "level -30 dB"].value == found["emotion_changed", "offset +.1"].value == 0
    assert {row.who for row in rows if row.measure == "emotion_changed"} == set(recognition.CHANGES)
    assert found["emotion_changed", "babble 0 dB"].value > 20
    with pytest.raises(EmoFaceError, match="no other neutral"):
        of = recognition.unseen(tmp_path)["EmoDB"]
        recognition.recall_rows(Knows(), "EmoDB", of, neutral=of[:1])
