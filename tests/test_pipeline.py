"""The pipeline on the embedded model and on real recordings: what every caller relies on."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from emoface import EmoFacePipeline
from emoface.animation import EMOTIONS
from emoface.audio import Audio, load_audio
from emoface.errors import Cancelled, EmoFaceError
from emoface.head import lip_aperture_mm, load_head
from emoface.motion import Motion, Recognised
from emoface.streaming import EmoFaceStreamer
from tests.tiny_model import save_tiny_model

EXAMPLES = Path("assets/examples")
SPEECH, OTHER = EXAMPLES / "happy.wav", EXAMPLES / "angry.wav"


@pytest.fixture(scope="module")
def pipe():
    return EmoFacePipeline.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def animation(pipe):
    return pipe(SPEECH)


def test_animation_has_the_documented_shapes(pipe, animation):
    audio = load_audio(SPEECH)
    t = int(np.ceil(30 * len(audio.samples) / 16000))
    v, s = len(load_head(0).template), 4326
    assert animation.vertices.shape == (t, v, 3) and animation.vertices.dtype == np.float32
    assert animation.template.shape == (v, 3) and animation.faces.max() < v and animation.regions.shape == (v,)
    assert animation.emotion_importance.shape == animation.emotion_effect_mm.shape == (t, s) and animation.skin_count == s
    assert animation.blendshapes.shape == (t, 52) and len(animation.blendshape_names) == 52
    assert animation.emotion_track.shape == (t, 8) and animation.emotion_names == EMOTIONS
    assert animation.emotion_probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert ((animation.emotion_importance > 0) & (animation.emotion_importance < 1)).all()
    assert np.isfinite(animation.vertices).all() and np.array_equal(animation.audio, audio.samples)


def test_the_face_talks_and_rests(animation):
    """Lips open with the voice by some millimetres; a second of silence around it stays closed."""
    aperture = lip_aperture_mm(animation.vertices, load_head(0))
    assert np.percentile(aperture, 95) > 3 and np.percentile(aperture, 5) < 1.5
    moved = np.abs(animation.vertices - animation.template).max(axis=(0, 2)) * 1e3
    assert moved[animation.regions == "lips_lower"].max() > 3 and moved[animation.regions == "scalp"].max() < 3


def test_silence_around_speech_keeps_the_mouth_closed(pipe):
    samples = load_audio(SPEECH).samples
    rng = np.random.default_rng(0)
    noise = rng.normal(size=32000).astype(np.float32) * 1e-3
    animation = pipe((np.concatenate([noise, samples, noise]), 16000))
    aperture = lip_aperture_mm(animation.vertices, load_head(0))
    quiet = np.r_[aperture[6:45], aperture[-45:-6]]
    assert (quiet < 1.0).mean() > 0.9, quiet.round(1)


def test_repeats_itself(pipe, animation):
    assert np.array_equal(pipe(SPEECH).vertices, animation.vertices)


def test_samples_and_paths_are_the_same(pipe, animation):
    audio = load_audio(SPEECH)
    assert np.allclose(pipe((audio.samples, 16000)).vertices, animation.vertices, atol=1e-6)


def test_three_emotion_sources_move_different_faces_with_the_same_lips(pipe, animation):
    named, borrowed = pipe(SPEECH, emotion="sad", level="strong"), pipe(SPEECH, emotion=OTHER)
    own = lip_aperture_mm(animation.vertices, load_head(0))
    brows = np.isin(animation.regions, ["brow_left", "brow_right"])
    for other in (named, borrowed):
        assert np.corrcoef(lip_aperture_mm(other.vertices, load_head(0)), own)[0, 1] > 0.7
    assert np.abs(named.vertices - animation.vertices)[:, brows].max() * 1e3 > 0.5
    assert named.emotion == "sad" and named.settings["emotion"] == "sad" and borrowed.settings["emotion"] == "angry.wav"


def test_levels_differ(pipe):
    normal, strong = (pipe(SPEECH, emotion="angry", level=level) for level in ("normal", "strong"))
    brows = np.isin(normal.regions, ["brow_left", "brow_right"])
    move = [np.linalg.norm((a.vertices - a.template)[:, brows], axis=-1).mean() for a in (normal, strong)]
    assert move[1] > move[0]


@pytest.mark.parametrize("emotion", ["angry", "speech", OTHER])
def test_intensity_is_the_line_from_neutral_through_the_expression(pipe, emotion, as_decoded):
    neutral = pipe(SPEECH, emotion="neutral").vertices[:, :4326]
    full = pipe(SPEECH, emotion=emotion).vertices[:, :4326]
    for intensity in (0.0, 0.5, 1.5):
        shown = pipe(SPEECH, emotion=emotion, intensity=intensity)
        assert np.allclose(shown.vertices[:, :4326], neutral + intensity * (full - neutral), atol=2e-5)
        assert shown.settings["intensity"] == intensity


def test_neutral_has_no_strong_form(pipe):
    """No recording is strongly neutral: a table row that nobody taught moved the face by 1.5 mm, mostly into a smile."""
    normal, strong = (pipe(SPEECH, emotion="neutral", level=level) for level in ("normal", "strong"))
    assert np.array_equal(strong.vertices, normal.vertices) and np.array_equal(strong.emotion_effect_mm, normal.emotion_effect_mm)


def test_mix_goes_from_own_to_chosen(pipe, animation):
    own, half, chosen = (pipe(SPEECH, emotion="angry", mix=m).vertices for m in (0.0, 0.5, 1.0))
    assert np.allclose(own, animation.vertices, atol=1e-5)
    assert np.abs(half - own).max() > 1e-4 and np.abs(half - chosen).max() > 1e-4


def test_outputs_are_the_branches_and_their_weighted_sum(pipe, as_decoded):
    fused, content, emotion = (pipe(SPEECH, output=o) for o in ("fused", "content", "emotion"))
    s = fused.skin_count
    w = fused.emotion_importance[..., None]
    expected = w * emotion.vertices[:, :s] + (1 - w) * content.vertices[:, :s]
    assert np.allclose(fused.vertices[:, :s], expected, atol=1e-5)
    effect = 1e3 * np.linalg.norm(w * (emotion.vertices - content.vertices)[:, :s], axis=-1)
    assert np.allclose(fused.emotion_effect_mm, effect, atol=1e-2)


def test_cross_reconstruction_equals_single_calls(pipe):
    grid = pipe.cross_reconstruct(SPEECH, OTHER)
    for i, content in enumerate((SPEECH, OTHER)):
        for j, emotion in enumerate((SPEECH, OTHER)):
            alone = pipe(content, emotion="speech" if i == j else emotion)
            assert np.allclose(grid[i][j].vertices, alone.vertices, atol=1e-5), (i, j)


def test_other_heads_move_alike(pipe, animation):
    other = pipe(SPEECH, head=5)
    assert not np.allclose(other.template, animation.template)
    lower = animation.regions == "lips_lower"
    a, b = ((x.vertices - x.template)[:, lower, 1].mean(1) for x in (animation, other))
    assert np.corrcoef(a, b)[0, 1] > 0.99


def test_head_motion_is_beside_the_face_and_moves_no_vertex(pipe, animation):
    samples = np.random.default_rng(0).normal(0, 0.1, 16000 * 2).astype(np.float32)
    still, turning, again = (pipe((samples, 16000), head_motion=amount) for amount in (0.0, 1.0, 1.0))
    assert still.head_angles is None and np.array_equal(turning.vertices, still.vertices) and np.array_equal(turning.blendshapes, still.blendshapes)
    assert turning.head_angles.shape == (turning.frame_count, 3) and np.array_equal(turning.head_angles, again.head_angles)
    assert np.ptp(turning.head_angles, axis=0).max() > 0.01 and turning.settings["head_motion"] == 1.0
    with pytest.raises(EmoFaceError, match="amount"):
        pipe((samples, 16000), head_motion=2.0)


def test_idle_adds_blinks_and_nothing_to_the_lips(pipe, animation):
    samples = np.tile(load_audio(SPEECH).samples, 4)[: 16000 * 10]
    still, idle = pipe((samples, 16000)), pipe((samples, 16000), idle=True)
    lips = np.isin(still.regions, ["lips_upper", "lips_lower"])
    lids = np.isin(still.regions, ["eyelid_left", "eyelid_right"])
    assert np.abs(idle.vertices - still.vertices)[:, lids].max() > 3e-3
    assert np.abs(idle.vertices - still.vertices)[:, lips].max() < 5e-4


def test_initial_offset_is_the_frame_before_the_first(pipe, animation):
    offset = (animation.vertices[10] - animation.template)[: animation.skin_count]
    rest, start = (pipe(SPEECH, initial_offset=share * offset).vertices[0] for share in (np.float32(0), np.float32(1)))
    assert not np.allclose(start, rest, atol=1e-6)
    with pytest.raises(EmoFaceError, match="initial_offset"):
        pipe(SPEECH, initial_offset=offset[:5])


def test_progress_names_stages_in_order(pipe):
    seen = []
    pipe(SPEECH, progress=lambda stage, fraction: seen.append((stage, fraction)))
    assert list(dict.fromkeys(s for s, _ in seen))[0] == "Reading the recording" and seen[-1] == ("Done", 1.0)
    assert [f for _, f in seen] == sorted(f for _, f in seen)


def test_cancel_stops_at_once(pipe):
    with pytest.raises(Cancelled):
        pipe(SPEECH, cancel=lambda: True)


@pytest.mark.parametrize(
    "options,words",
    [
        (dict(emotion="grumpy"), "grumpy.*neutral"),
        (dict(level="huge"), "huge.*normal"),
        (dict(style="nobody"), "nobody"),
        (dict(head=24), "0 to 23"),
        (dict(output="both"), "fused"),
        (dict(mix=1.5), "0 .*1"),
        (dict(emotion="missing.wav"), "missing.wav"),
    ],
)
def test_wrong_options_are_one_sentence(pipe, options, words):
    with pytest.raises(EmoFaceError, match=words) as error:
        pipe(SPEECH, **options)
    assert "\n" not in str(error.value)


def test_longer_than_the_limit_is_refused_with_the_limit(pipe):
    short = EmoFacePipeline(pipe.model, pipe.content_encoder, max_seconds=1.0)
    with pytest.raises(EmoFaceError, match="1"):
        short(SPEECH)


def test_reduced_precision_encoders_move_the_same_face(animation):
    """What a GPU computes in (float16), and bfloat16, on the CPU: far less than anybody sees."""
    for precision, limit_mm in ((torch.float16, 0.2), (torch.bfloat16, 1.0)):
        halved = EmoFacePipeline.from_pretrained(device="cpu")
        halved.content_encoder.to(precision)
        distance = 1e3 * np.linalg.norm(halved(SPEECH).vertices - animation.vertices, axis=-1)
        assert 0 < distance.max() < limit_mm and distance.mean() < limit_mm / 20


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_moves_the_same_face(animation):
    on_gpu = EmoFacePipeline.from_pretrained(device="cuda")
    assert next(on_gpu.content_encoder.parameters()).dtype == torch.float16
    assert np.abs(on_gpu(SPEECH).vertices - animation.vertices).max() < 5e-4
    (own, _), (_, _) = on_gpu.cross_reconstruct(SPEECH, OTHER)
    assert np.abs(own.vertices - animation.vertices).max() < 5e-4


def test_a_long_answer_is_assembled_without_a_second_copy(pipe):
    frames, skin = 3000, pipe.model.config.vertex_count
    offsets = np.random.default_rng(0).normal(0, 1e-3, (frames, skin, 3)).astype(np.float32)
    motion = Motion(offsets, weight=np.zeros((frames, 1)), effect=np.zeros((frames, 1)))
    recognised = Recognised(torch.zeros(8), track=torch.zeros(frames, 8))
    tracemalloc.start()
    animation = pipe.assemble(Audio(np.zeros(16000, np.float32), 16000, ""), motion, recognised, load_head(3), settings={})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert animation.vertices.shape == (frames, len(load_head(3).template), 3)
    assert peak < 1.4 * animation.vertices.nbytes


def test_emotions_that_a_model_was_trained_without_are_refused_by_name(tmp_path):
    """A model of neutral data, also asked while a stream comes in; another of all emotions, but only at one level."""
    pipe = EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path), device="cpu")
    assert pipe.emotions == list(EMOTIONS)
    pipe.model.emotion_prototypes[1:] = 0
    assert pipe.emotions == ["neutral"]
    for ask in (lambda: pipe(SPEECH, emotion="happy"), lambda: EmoFaceStreamer(pipe, emotion="happy")):
        with pytest.raises(EmoFaceError, match="called 'happy': use speech, neutral, or"):
            ask()
    pipe.model.emotion_prototypes[1:, 0] = 1
    assert pipe(SPEECH, emotion="happy").emotion in EMOTIONS
    with pytest.raises(EmoFaceError, match="without 'happy' at level 'strong'.*or neutral"):
        pipe(SPEECH, emotion="happy", level="strong")


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """A tiny model that knows what a voice's rest is."""
    pipe = EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("rest") / "model", voice_rest=True), device="cpu")
    torch.manual_seed(1)
    with torch.no_grad():
        pipe.model.statistics_pooling.rest.normal_()
    return pipe


def test_a_reference_is_the_rest_of_the_voice_whose_emotion_is_heard(listener):
    speech, other, neutral = (load_audio(path) for path in (SPEECH, OTHER, EXAMPLES / "narrator.wav"))
    own, told = listener(speech), listener(speech, reference=neutral)
    assert np.abs(own.emotion_probabilities - told.emotion_probabilities).max() > 1e-3
    assert told.settings["reference"] == "narrator.wav" and "reference" not in own.settings
    # The words do not hear it, and neither does an emotion that is asked for by name.
    content = [listener(speech, output="content", **options).vertices for options in (dict(), dict(reference=neutral))]
    np.testing.assert_array_equal(*content)
    named = [listener(speech, emotion="happy", **options).vertices for options in (dict(), dict(reference=neutral))]
    np.testing.assert_array_equal(*named)
    # Of a recording that lends its emotion it is the lender's rest.
    lent = listener(speech, emotion=other, reference=neutral)
    np.testing.assert_allclose(lent.emotion_probabilities, listener(other, reference=neutral).emotion_probabilities, atol=1e-5)
    np.testing.assert_array_equal(
        listener(speech, emotion=other, mix=0.0, reference=neutral).vertices, listener(speech, emotion=other, mix=0.0).vertices
    )


def test_a_stream_hears_the_same_rest(listener):
    speech, neutral = load_audio(SPEECH), load_audio(EXAMPLES / "narrator.wav")
    changes = []
    for reference in (None, neutral):
        stream = EmoFaceStreamer(listener, reference=reference)
        pieces = [stream.feed(speech.samples), stream.finish()]
        whole = listener(speech, reference=reference)
        changes.append((np.concatenate([p.emotion_track for p in pieces if p is not None]).mean(0), whole.emotion_track.mean(0)))
        assert pieces[0].settings.get("reference") == (None if reference is None else "narrator.wav")
    streamed, whole = (changes[1][i] - changes[0][i] for i in range(2))
    assert np.abs(whole).max() > 1e-3 and np.corrcoef(streamed, whole)[0, 1] > 0.9


def test_a_model_without_rest_refuses_a_reference_in_one_sentence(tmp_path):
    pipe = EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path / "model"), device="cpu")
    with pytest.raises(EmoFaceError, match="without neutral reference"):
        pipe(SPEECH, reference=OTHER)
    with pytest.raises(EmoFaceError, match="without neutral reference"):
        EmoFaceStreamer(pipe, reference=OTHER)
