"""Preparing other people's data, on tiny files of the right format."""

import importlib.util
import json
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.sparse import csc_matrix

from emoface.errors import EmoFaceError
from train.corpus.channels import FPS
from train.corpus.coarticulation import Phone, speech_motion
from train.corpus.emotion import silent_doubles
from train.corpus.lips import average_head_lips
from train.prepare import pairs, ravdess3d, video, vocaset
from train.prepare.__main__ import main
from train.prepare.flame_model import Flame, convert, rotation_matrices
from train.prepare.vertices import to_16k

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

# -- pairs -------------------------------------------------------------------------------------------------------------

NAMES = "K IH D Z AA R T AO K IH NG B AY DH AH D AO R".split()


def spoken(lengths) -> list[Phone]:
    ends = np.cumsum([0.5, *lengths])
    phones = [Phone(n, float(s), float(e), f"w{i // 3}") for i, (n, s, e) in enumerate(zip(NAMES, ends[:-1], ends[1:]))]
    return [Phone("SIL", 0.0, 0.5, "-"), *phones, Phone("SIL", float(ends[-1]), float(ends[-1]) + 0.5, "-")]


def motion(phones) -> tuple[np.ndarray, np.ndarray]:
    return speech_motion(phones, np.full(int(phones[-1].end * FPS), 0.5), average_head_lips())


A = spoken(np.full(len(NAMES), 0.10))
B = spoken(np.random.default_rng(3).uniform(0.06, 0.2, len(NAMES)))


def test_phone_map_knows_every_boundary():
    time_map = pairs.phone_map(A, B)
    for a, b in zip(A[1:-1], B[1:-1]):
        assert time_map(np.array([a.start]))[0] == pytest.approx(b.start)
    assert time_map(np.array([A[1].start - 0.3]))[0] == pytest.approx(B[1].start - 0.3)  # silence is shifted


def test_words_are_used_where_a_pronunciation_differs():
    other = [p._replace(name="ER", word="w1(2)") if p.word == "w1" else p for p in B]
    time_map = pairs.phone_map(A, other)
    assert time_map(np.array([A[1].start, A[-1].start])) == pytest.approx([B[1].start, B[-1].start])
    assert pairs.phone_map(A, [p._replace(name="M", word=p.word + "x") for p in B]) is None


def test_warped_motion_keeps_the_contents_timing_and_seal():
    (weights_b, _), (weights_a, closure_a) = motion(B), motion(A)
    warped = pairs.warp_weights(weights_b, closure_a, pairs.phone_map(A, B))
    lips, by = average_head_lips(), next(p for p in A if p.name == "B")
    aperture = lips.aperture(warped)
    assert np.corrcoef(aperture, lips.aperture(weights_a))[0, 1] > 0.9
    assert aperture[int(by.start * FPS) : int(np.ceil(by.end * FPS)) + 1].min() < -0.5


def test_the_seal_survives_a_map_that_is_late():
    weights_b, closure_a = motion(B)[0], motion(A)[1]
    right = pairs.phone_map(A, B)
    late = pairs.TimeMap(right.a + 0.12, right.b)
    aperture = average_head_lips().aperture(pairs.warp_weights(weights_b, closure_a, late))
    assert aperture[closure_a > 0.99].max() < 0.3


def test_feature_map_finds_a_known_warp():
    rng = np.random.default_rng(0)
    knots_a, knots_b = np.array([0.4, 1.0, 1.6, 2.4]), np.array([0.6, 1.0, 2.1, 2.7])
    anchors = rng.standard_normal((40, 24))

    def features(times):
        position = np.clip(times, 0, 3) / 3 * 39
        low = np.floor(position).astype(int)
        part = (position - low)[:, None]
        return anchors[low] * (1 - part) + anchors[np.minimum(low + 1, 39)] * part

    clock = np.arange(150) / 50
    of_b = features(clock)
    of_a = features(np.interp(clock, knots_a, knots_b))
    found = pairs.feature_map(of_a, of_b, (0.4, 2.4), (0.6, 2.7))
    inside = np.linspace(0.45, 2.35, 60)
    assert np.abs(found(inside) - np.interp(inside, knots_a, knots_b)).mean() < 0.025
    assert np.all(np.diff(found.b) >= 0)


def test_pairs_share_speaker_and_text_only():
    base = dict(copy_of=None, split="train", level=0)
    clips = [
        dict(base, speaker="a", text="x", emotion="sad"),
        dict(base, speaker="a", text="x", emotion="happy"),
        dict(base, speaker="a", text="y", emotion="happy"),
        dict(base, speaker="b", text="x", emotion="happy"),
        dict(base, speaker="a", text="x", emotion="angry", copy_of="0"),
    ]
    assert pairs.same_sentence_pairs(clips) == [(0, 1), (1, 0)]


# -- VOCASET -----------------------------------------------------------------------------------------------------------

SUBJECTS = (vocaset.TRAIN[0], vocaset.VAL[0], vocaset.TEST[1])


def official_files(folder: Path) -> np.ndarray:
    rng = np.random.default_rng(0)
    vertices = rng.standard_normal((3 * 60, 7, 3)).astype(np.float32)
    np.save(folder / "data_verts.npy", vertices)
    index, sound, row = {}, {}, 0
    for subject, sentence in zip(SUBJECTS, (3, 22, 5)):
        name = f"sentence{sentence:02d}"
        index[subject] = {name: {k: row + k for k in range(60)}}
        sound[subject] = {name: {"audio": (rng.standard_normal(22000) * 3000).astype(np.int16), "sample_rate": 22000}}
        row += 60
    for name, value in (
        ("subj_seq_to_idx.pkl", index),
        ("raw_audio_fixed.pkl", sound),
        ("templates.pkl", dict.fromkeys(SUBJECTS, vertices[0])),
    ):
        (folder / name).write_bytes(pickle.dumps(value, protocol=2))
    return vertices


def test_vocaset_official_files(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    vertices = official_files(source)
    report = vocaset.prepare(source, out)
    assert {k: v["clips"] for k, v in report["splits"].items()} == {"train": 1, "val": 1}  # test sentence 5 is not used
    written = np.load(out / "vertices" / f"{SUBJECTS[0]}_sentence03.npy")
    np.testing.assert_array_equal(written, vertices[0:60:2])
    samples, rate = soundfile.read(out / "audio" / f"{SUBJECTS[0]}_sentence03.wav")
    assert rate == 16000 and len(samples) == 16000
    with np.load(out / "templates.npz") as templates:
        np.testing.assert_array_equal(templates[SUBJECTS[1]], vertices[0])
    assert vocaset.prepare(source, out) == report  # again, from what is there


def test_vocaset_in_faceformers_layout(tmp_path):
    source = tmp_path / "in"
    (source / "vertices_npy").mkdir(parents=True)
    (source / "wav").mkdir()
    vertices = np.random.default_rng(0).standard_normal((60, 21)).astype(np.float32)
    np.save(source / "vertices_npy" / f"{SUBJECTS[0]}_sentence01.npy", vertices)
    np.save(source / "vertices_npy" / f"{SUBJECTS[0]}_sentence02.npy", vertices)
    soundfile.write(source / "wav" / f"{SUBJECTS[0]}_sentence01.wav", np.zeros(16000), 16000)
    (source / "templates.pkl").write_bytes(pickle.dumps({SUBJECTS[0]: np.zeros((7, 3))}, protocol=2))
    report = vocaset.prepare(source, tmp_path / "out")
    assert report["splits"]["train"]["clips"] == 1
    assert report["rejected"] == [f"{SUBJECTS[0]}_sentence02: no audio"]
    written = np.load(tmp_path / "out" / "vertices" / f"{SUBJECTS[0]}_sentence01.npy")
    np.testing.assert_array_equal(written, vertices.reshape(60, 7, 3)[::2])


def test_vocaset_says_where_to_get_files_and_refuses_code(tmp_path, capsys):
    assert main(["vocaset", "--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "https://voca.is.tue.mpg.de" in capsys.readouterr().err
    (tmp_path / "templates.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(EmoFaceError, match="refused"):
        vocaset.prepare(tmp_path, tmp_path / "out")


# -- FLAME, 3D-RAVDESS -------------------------------------------------------------------------------------------------

JAW = 2


def flame_arrays() -> dict:
    """Five joints; vertices 0-3 hang on the head (root), 4-6 on the jaw."""
    rng = np.random.default_rng(0)
    weights = np.zeros((7, 5))
    weights[:4, 0], weights[4:, JAW] = 1, 1
    regressor = np.zeros((5, 7))
    regressor[:, 0], regressor[JAW, 0], regressor[JAW, 4] = 1, 0, 1
    return dict(
        v_template=rng.standard_normal((7, 3)),
        f=np.array([[0, 1, 2], [4, 5, 6]], np.uint32),
        shapedirs=rng.standard_normal((7, 3, 400)) * 0.01,
        posedirs=rng.standard_normal((7, 3, 36)) * 0.001,
        J_regressor=regressor,
        weights=weights,
        kintree_table=np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
    )


@pytest.fixture
def flame_pickle(tmp_path) -> Path:
    """A file as FLAME's: chumpy objects, a sparse matrix, Python 2 protocol."""
    module, package = types.ModuleType("chumpy.ch"), types.ModuleType("chumpy")

    class Ch:
        pass

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch
    sys.modules.update({"chumpy": package, "chumpy.ch": module})
    try:
        arrays = flame_arrays()
        for name in ("v_template", "shapedirs"):
            wrapped = Ch()
            wrapped.x = arrays[name]
            arrays[name] = wrapped
        arrays["J_regressor"] = csc_matrix(arrays["J_regressor"])
        path = tmp_path / "generic_model.pkl"
        path.write_bytes(pickle.dumps(arrays, protocol=2))
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]
    return path


def test_flame_is_converted_without_chumpy(flame_pickle, tmp_path):
    assert convert(flame_pickle, tmp_path / "flame.npz")["vertices"] == 7
    model, arrays = Flame.load(tmp_path / "flame.npz"), flame_arrays()
    for name in ("v_template", "shapedirs", "J_regressor", "weights", "posedirs"):
        np.testing.assert_allclose(getattr(model, name), arrays[name], atol=1e-6)
    assert list(model.parents) == [-1, 0, 1, 1, 1]


def test_flame_without_a_jaw_is_refused(tmp_path):
    arrays = flame_arrays()
    arrays["weights"] = arrays["weights"][:, :4]
    path = tmp_path / "flame2023_no_jaw.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    with pytest.raises(EmoFaceError, match="no jaw"):
        convert(path, tmp_path / "flame.npz")
    path.write_bytes(b"nothing")
    with pytest.raises(EmoFaceError, match="no FLAME model"):
        convert(path, tmp_path / "flame.npz")


def test_flame_skinning(flame_pickle, tmp_path):
    convert(flame_pickle, tmp_path / "flame.npz")
    model = Flame.load(tmp_path / "flame.npz")
    zero = np.zeros((1, 3))
    np.testing.assert_allclose(model.vertices(np.zeros(100), np.zeros((1, 50)), zero)[0], model.v_template, atol=1e-6)
    smile = np.zeros((1, 50))
    smile[0, 2] = 1.0
    moved = model.vertices(np.zeros(100), smile, zero)[0] - model.v_template
    np.testing.assert_allclose(moved, model.shapedirs[:, :, 302], atol=1e-6)  # expressions start at column 300

    turn = np.array([[0.6, 0.0, 0.0]])
    opened = model.vertices(np.zeros(100), np.zeros((1, 50)), turn)[0]
    feature = np.zeros((4, 3, 3))
    feature[JAW - 1] = rotation_matrices(turn)[0] - np.eye(3)
    rest = model.v_template + model.posedirs @ feature.reshape(-1)
    joint = model.v_template[4]
    np.testing.assert_allclose(opened[4:], (rest[4:] - joint) @ rotation_matrices(turn)[0].T + joint, atol=1e-5)
    np.testing.assert_allclose(opened[:4], rest[:4], atol=1e-6)


def test_rotations_are_rotations():
    r = rotation_matrices(np.array([[0, 0, np.pi / 2], [0, 0, 0], [0.3, -0.2, 0.5]]))
    np.testing.assert_allclose(r[0] @ [1, 0, 0], [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(r[1], np.eye(3))
    np.testing.assert_allclose(r @ r.transpose(0, 2, 1), np.tile(np.eye(3), (3, 1, 1)), atol=1e-9)


def emoca_output(folder: Path, name: str, *, missing=(), inferno: bool = False) -> Path:
    """Codes of 60 frames: the jaw swings, the head nods slowly; a second face in frame 7."""
    results = folder / "processed_2024" / name / "results" / "EMOCA_v2"
    for k in range(60):
        for face in (0, 1) if k == 7 else (0,):
            if k in missing:
                continue
            path = results / f"{k + 1:06d}_{face:03d}"
            path.mkdir(parents=True)
            jaw = np.array([0.2 + 0.1 * np.sin(k / 3.0), 0, 0]) + face
            turn = np.array([0.1 * np.cos(k / 20.0), 0.2, 0])
            np.save(path / "shape.npy", np.full(100, 0.5 if k % 2 else -0.5))
            np.save(path / "exp.npy", np.full(50, 0.1))
            if inferno:
                np.save(path / "jawpose.npy", jaw)
                np.save(path / "globalpose.npy", turn)
            else:
                np.save(path / "pose.npy", np.concatenate([turn, jaw]))
    return results


@pytest.mark.parametrize("inferno", [False, True])
def test_codes_are_read_in_order_with_gaps_filled(tmp_path, inferno):
    codes = ravdess3d.read_codes(emoca_output(tmp_path, "clip", missing=(20, 21), inferno=inferno))
    expected = 0.2 + 0.1 * np.sin(np.arange(60) / 3.0)
    assert codes.seen.sum() == 58
    np.testing.assert_allclose(codes.jaw[:, 0], expected, atol=0.01)  # the second face is ignored
    np.testing.assert_allclose(codes.global_rotation[:, 1], 0.2)


def test_a_video_with_few_faces_is_rejected(tmp_path):
    with pytest.raises(EmoFaceError, match="no face in"):
        ravdess3d.read_codes(emoca_output(tmp_path, "clip", missing=range(10, 40)))


def test_3d_ravdess_end_to_end(flame_pickle, tmp_path):
    convert(flame_pickle, tmp_path / "flame.npz")
    codes, sound, out = tmp_path / "codes", tmp_path / "sound", tmp_path / "out"
    emoca_output(codes, "01-01-05-02-01-01-03", missing=(20,))
    emoca_output(codes, "01-01-01-01-01-01-21")
    emoca_output(codes, "01-01-03-01-01-01-03", missing=range(10, 40))
    sound.mkdir()
    for name in ("03-01-05-02-01-01-03", "03-01-01-01-01-01-21"):
        soundfile.write(sound / f"{name}.wav", 0.1 * np.sin(np.arange(32000) / 20), 16000)

    def run(fix):
        return ravdess3d.prepare(codes, out, flame=tmp_path / "flame.npz", audio=sound, fix=fix, processes=1)

    emoca_output(codes, "02-01-05-02-01-01-03")  # the silent video of the first take
    report = run("global")
    assert {k: v["clips"] for k, v in report["splits"].items()} == {"train": 1, "val": 1}
    assert len(report["rejected"]) == 2 and "no face" in report["rejected"][1] and "is there as 01-01-05-02-01-01-03" in report["rejected"][0]
    (clip, _) = json.loads((out / "clips.json").read_text())
    assert clip["text"] == "Kids are talking by the door" and clip["phones"] == []  # a tone cannot be aligned
    fixed = np.load(out / "vertices" / "01-01-05-02-01-01-03.fix_global.npy")
    assert fixed.shape == (60, 7, 3)
    assert np.ptp(fixed[:, :4], axis=0).max() < 0.01  # the head stands still (pose correctives move it a little)
    assert np.ptp(fixed[:, 5], axis=0).max() > 0.02  # the jaw works
    run("jaw")
    frozen = np.load(out / "vertices" / "01-01-05-02-01-01-03.fix_jaw.npy")
    model = Flame.load(tmp_path / "flame.npz")
    assert np.ptp(frozen[:, 1:4], axis=0).max() > 0.005 and model.v_template.shape == (7, 3)  # the head nods
    with np.load(out / "templates.npz") as templates:
        assert set(templates) == {"ravdess_03", "ravdess_21"}  # one median shape per actor
    with pytest.raises(EmoFaceError, match="choose global"):
        run("neck")


def test_actors_are_split_as_in_the_paper():
    splits = {actor: ravdess3d._fields(f"01-01-05-02-01-01-{actor:02d}")["split"] for actor in range(1, 25)}
    assert [list(splits.values()).count(name) for name in ("train", "val", "test")] == [20, 2, 2]
    assert splits[20] == "train" and splits[21] == splits[22] == "val" and splits[23] == splits[24] == "test"


def test_a_jaw_that_echoes_the_head_is_corrected():
    t = np.arange(100)
    nod = np.stack([0.2 * np.sin(t / 15), 0 * t, 0 * t], 1)
    speech = np.stack([0.05 * np.sin(t / 2), 0 * t, 0 * t], 1)
    np.testing.assert_allclose(ravdess3d.without_head_echo(speech + 0.4 * nod, nod), speech, atol=0.01)
    np.testing.assert_array_equal(ravdess3d.without_head_echo(speech, nod), speech)


# -- video -------------------------------------------------------------------------------------------------------------


def test_labels_of_videos():
    """RAVDESS's names tell split, emotion and sentence; of anything else about every tenth clip validates, and at least one."""
    jobs = {f"01-01-05-02-02-01-{actor}": Path(f"01-01-05-02-02-01-{actor}.mp4") for actor in (20, 21, 23)}
    films = {f"film{k:03d}": Path(f"anna/film{k:03d}.mov") for k in range(300)}
    jobs |= films
    labels = video._labels(jobs)
    assert [labels[name]["split"] for name in jobs][:3] == ["train", "val", "test"]
    assert labels["01-01-05-02-02-01-20"] == dict(emotion="angry", level=1, text="Dogs are sitting by the door", split="train")
    held_out = {name for name in films if labels[name]["split"] == "val"}
    assert 15 <= len(held_out) <= 45
    fewer = dict(list(films.items())[100:])
    assert {name for name, label in video._labels(fewer).items() if label["split"] == "val"} == held_out & set(fewer), "by name, not by position"
    few = {name: films[name] for name in sorted(films.keys() - held_out)[:2]}  # neither would be drawn
    assert sorted(label["split"] for label in video._labels(few).values()) == ["train", "val"]


def test_names_of_videos(tmp_path):
    ravdess = tmp_path / "Actor_07" / "01-01-03-02-01-01-07.mp4"
    assert video.identity_of(ravdess, tmp_path) == "Actor_07_01-01-03-02-01-01-07"
    assert video.speaker_of(ravdess) == "ravdess_07"
    assert video.speaker_of(tmp_path / "anna" / "hello.mov") == "anna"


def test_a_take_that_is_there_with_and_without_sound_counts_once():
    videos = ["01-01-05-02-01-01-03", "02-01-05-02-01-01-03", "02-01-05-02-01-02-03", "02-film"]
    assert silent_doubles(videos) == {videos[1]}


def test_an_empty_folder_and_a_wrong_model_are_said(tmp_path):
    with pytest.raises(EmoFaceError, match="no video"):
        video.prepare(tmp_path, tmp_path / "out")
    wrong = tmp_path / "face_landmarker.task"
    wrong.write_bytes(b"not a model")
    with pytest.raises(EmoFaceError, match="is not the Face Landmarker"):
        video.find_landmarker(wrong, tmp_path)
    with pytest.raises(EmoFaceError, match="There is no file"):
        video.find_landmarker(tmp_path / "nothing", tmp_path)


def test_a_damaged_video_is_said(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video" * 100)
    with pytest.raises(EmoFaceError, match="cannot be decoded"):
        list(video.read_frames(broken))


@pytest.mark.skipif(not (DATA / "video").is_dir(), reason="the videos (../shared/data/video) are not on this machine")
@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason="mediapipe is not installed")
def test_video_road(tmp_path):
    source, out = tmp_path / "in" / "s1", tmp_path / "out"
    source.mkdir(parents=True)
    (source / "bbaf2n.mpg").write_bytes((DATA / "video" / "bbaf2n.mpg").read_bytes())
    (source / "broken.mpg").write_bytes(b"not a video")
    report = video.prepare(source.parent, out, landmarker=DATA / "models" / "face_landmarker.task", processes=1)
    assert len(report["rejected"]) == 1 and "cannot be decoded" in report["rejected"][0]
    from train.corpus.reader import Corpus

    corpus = Corpus(out)
    opened = average_head_lips().aperture(corpus.weights(0).astype(float))
    assert len(opened) == 90 and corpus.clips[0]["speaker"] == "s1"
    assert np.corrcoef(opened, corpus.track(0, "measured_aperture_raw"))[0, 1] > 0.95


def test_sound_is_brought_to_16_khz():
    stereo = np.ones((44100, 2), np.float32)
    assert len(to_16k(stereo, 44100)) == 16000


def test_sound_in_any_numbers_ends_within_one():
    wave = 0.5 * np.sin(np.arange(1600) / 9)
    for given in ((wave * 2**15).astype(np.int16), (wave * 2**31).astype(np.int32), (wave * 2**15).astype(np.float64), wave):
        np.testing.assert_allclose(to_16k(given, 16000), wave, atol=1e-4)
    np.testing.assert_allclose(to_16k(1.4 * wave / 0.5, 16000), 1.4 * wave / 0.5, atol=1e-6)  # a little too loud is not 16 bits
    with pytest.raises(EmoFaceError, match="between -1 and 1, or 16-bit"):
        to_16k(wave * 1e6, 16000)
