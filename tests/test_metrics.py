"""Every measure against a naive loop or a case worked out by hand.

* vertex errors: squared or not, mask, pooling over frames or clips, truncation, flat arrays
* lips: aperture, correlation, amplitude, closures at the edges of an interval, jitter of a known curve
* silence: tone between noise; expression: grouping to action units; bootstrap: coverage, weights, what is left out
* FLAME masks: a pickle that would run code is refused; the command line prints what the functions return
"""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from emoface import flame, metrics
from emoface.errors import EmoFaceError
from emoface.metrics import files as metrics_cli


@pytest.fixture
def clips():
    rng = np.random.default_rng(3)
    truth = [rng.normal(size=(length, 20, 3)) * 0.01 for length in (7, 4)]
    prediction = [clip + rng.normal(size=clip.shape) * 0.002 for clip in truth]
    return prediction, truth


LIPS = np.array([2, 5, 5, 11])


def naive_errors(prediction, truth, mask):
    """[clip][frame][vertex] squared distance."""
    return [
        [[sum((p[t][i][k] - v[t][i][k]) ** 2 for k in range(3)) for i in mask] for t in range(min(len(p), len(v)))] for p, v in zip(prediction, truth)
    ]


def test_lve_and_lvd_are_the_naive_loops(clips):
    frames = [max(frame) for clip in naive_errors(*clips, LIPS) for frame in clip]
    assert metrics.lve(*clips, LIPS) == pytest.approx(sum(frames) / len(frames))
    assert metrics.eve(*clips, LIPS) == metrics.lve(*clips, LIPS)
    assert metrics.lvd(*clips, LIPS) == pytest.approx(sum(frame**0.5 for frame in frames) / len(frames))


def test_mve_is_the_naive_loop_and_ignores_duplicates(clips):
    errors = [error**0.5 for clip in naive_errors(*clips, set(LIPS)) for frame in clip for error in frame]
    assert metrics.mve(*clips, LIPS) == pytest.approx(sum(errors) / len(errors))
    everywhere = [error**0.5 for clip in naive_errors(*clips, range(20)) for frame in clip for error in frame]
    assert metrics.mve(*clips) == pytest.approx(sum(everywhere) / len(everywhere))


def test_fdd_is_the_naive_loop_signed_and_absolute(clips):
    prediction, truth = clips
    prediction = [prediction[0] * 0.5, prediction[1] * 2]
    template = np.full((20, 3), 0.001)
    expected = []
    for p, v in zip(prediction, truth):
        difference = 0
        for i in set(LIPS):
            spread = []
            for motion in (v, p):
                squares = [sum((motion[t][i] - template[i]) ** 2) for t in range(len(v))]
                mean = sum(squares) / len(squares)
                spread.append((sum((s - mean) ** 2 for s in squares) / len(squares)) ** 0.5)
            difference += (spread[0] - spread[1]) / 3
        expected.append(difference)
    assert expected[0] > 0 > expected[1]  # too little motion is positive
    assert metrics.fdd(prediction, truth, template, LIPS) == pytest.approx(sum(expected) / 2)
    absolute = metrics.fdd(prediction, truth, [template, template], LIPS, absolute=True)
    assert absolute == pytest.approx((expected[0] - expected[1]) / 2)


def test_one_vertex_off_by_three_millimetres():
    truth = np.zeros((2, 4, 3))
    prediction = truth.copy()
    prediction[0, 1] = [0.003, 0, 0]
    assert metrics.lve(prediction, truth, np.array([0, 1])) == pytest.approx(4.5e-6)  # 9e-6 in one of two frames
    assert metrics.times_1e5(4.5e-6) == pytest.approx(0.45)
    assert metrics.root_mm(9e-6) == pytest.approx(3.0)
    assert metrics.lve(prediction, truth, np.array([0, 2])) == 0
    assert metrics.mve(prediction, truth) == pytest.approx(0.003 / 8)


def test_pooling_is_over_frames_not_clips():
    truth = [np.zeros((1, 3, 3)), np.zeros((9, 3, 3))]
    prediction = [np.zeros((1, 3, 3)), np.full((9, 3, 3), 1.0)]
    assert metrics.lve(prediction, truth, np.array([0])) == pytest.approx(0.9 * 3)


def test_longer_motion_is_cut_and_flat_arrays_are_read(clips):
    prediction, truth = clips[0][0], clips[1][0]
    longer = np.concatenate([prediction, np.full((5, 20, 3), 9.0)])
    same = metrics.lve(prediction, truth, LIPS)
    assert metrics.lve(longer, truth, LIPS) == same
    assert metrics.lve(prediction, np.concatenate([truth, longer]), LIPS) == same
    assert metrics.lve(longer.reshape(len(longer), -1), truth.reshape(len(truth), -1), LIPS) == same
    mask = np.zeros(20, bool)
    mask[LIPS] = True
    assert metrics.lve(prediction, truth, mask) == same


@pytest.mark.parametrize(
    "prediction, mask, words",
    [
        (np.zeros((3, 6, 3)), [0], "not the same mesh"),
        (np.zeros((3, 5, 2)), [0], "must be"),
        (np.zeros((0, 5, 3)), [0], "no frames"),
        (np.zeros((3, 5, 3)), [5], "mesh has 5"),
        (np.zeros((3, 5, 3)), [], "empty"),
        ([np.zeros((3, 5, 3))] * 2, [0], "must match"),
        (np.zeros((3, 5, 3)), np.ones(4, bool), "4 vertices"),
    ],
)
def test_wrong_input_is_one_sentence(prediction, mask, words):
    with pytest.raises(EmoFaceError, match=words):
        metrics.lve(prediction, np.zeros((3, 5, 3)), np.asarray(mask))


def test_lip_distance_and_aperture():
    vertices = np.zeros((2, 6, 3))
    vertices[1, 0] = [0, 0.004, 0.003]  # up and forward
    vertices[1, 1] = [0, 0.002, 0]
    assert metrics.lip_distance(vertices, (0, 3)) == pytest.approx([0, 0.005])
    assert metrics.lip_aperture_mm(vertices, np.array([[0, 3], [1, 4]])) == pytest.approx([0, 3.0])
    assert metrics.lip_aperture_mm(vertices, np.array([[3, 0]])) == pytest.approx([0, -4.0])


def test_pearson_is_numpys_and_handles_stillness():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50))
    assert metrics.pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert metrics.pearson(np.r_[a, 99.0], b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert metrics.pearson(np.zeros(50), b) == 0.0
    assert np.isnan(metrics.pearson(a, np.full(50, 2.0)))


def test_amplitude_and_mean_absolute_error():
    truth = np.arange(101.0)
    assert metrics.amplitude_ratio(truth * 0.7, truth) == pytest.approx(0.7)
    assert np.isnan(metrics.amplitude_ratio(truth, np.zeros(101)))
    assert metrics.mean_absolute_error(truth + 0.5, truth) == pytest.approx(0.5)


def test_closures_are_caught_up_to_one_frame_beside_the_interval():
    aperture = np.full(30, 5.0)
    aperture[10] = 1.0  # at 10/30 s, exactly the threshold
    at = lambda start, end: bool(metrics.closures_caught(aperture, [[start / 30, end / 30]])[0])
    assert at(8, 10) and at(10, 12) and at(11, 12) and at(8, 9)
    assert not at(7, 8.9) and not at(11.1, 13)
    assert list(metrics.closures_caught(aperture, [[0.3, 0.35], [0.5, 0.6]])) == [True, False]
    assert metrics.closures_caught(aperture, np.zeros((0, 2))).shape == (0,)
    with pytest.raises(EmoFaceError, match="outside the clip"):
        metrics.closures_caught(aperture, [[2.0, 2.1]])


def test_false_closures_need_two_successive_frames_inside():
    aperture = np.full(30, 5.0)
    aperture[[10, 12, 20, 21]] = 0.3
    intervals = np.array([[9, 13], [19, 22], [21, 25], [20, 21]]) / 30
    assert list(metrics.closures_false(aperture, intervals)) == [False, True, False, True]
    too_short = np.array([[20.2, 21.4]]) / 30  # holds one frame only: cannot fail, is not counted
    assert metrics.closures_false(aperture, too_short).shape == (0,)


def test_jitter_of_known_curves():
    time = np.arange(10.0)[:, None, None]
    parabola = np.tile(time**2 * [0.001, 0, 0], (1, 4, 1))
    assert metrics.jitter_mm(parabola) == pytest.approx((2.0, 0.0))
    cubic = np.tile(time**3 * [0, 0, 0.001], (1, 4, 1))
    cubic[:, 3] = 0
    assert metrics.jitter_mm(cubic, np.array([0, 1]))[1] == pytest.approx(6.0)
    assert metrics.jitter_mm(cubic)[1] == pytest.approx(4.5)
    assert np.isnan(metrics.jitter_mm(cubic[:3])[1])


def test_voice_is_found_between_noise_and_breaths_are_dropped():
    rate = 16000
    rng = np.random.default_rng(1)
    samples = rng.normal(size=4 * rate) * 1e-3
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(rate) / rate)
    samples[rate : 2 * rate] += tone
    samples[int(2.1 * rate) : int(2.5 * rate)] += tone[: int(0.4 * rate)]  # a gap of 100 ms is closed
    samples[int(3.3 * rate) : int(3.35 * rate)] += 0.1 * tone[: int(0.05 * rate)] * 2  # a click is dropped
    voice = metrics.voice_activity(samples, rate)
    assert voice == pytest.approx(np.array([[1.0, 2.5]]), abs=0.03)
    silent = metrics.silent_frames(samples, rate, 120)
    expected = np.ones(120, bool)
    expected[22:84] = False  # 0.73 to 2.77 s are surely within 0.3 s of the voice
    assert not silent[23:83].any() and silent[:20].all() and silent[86:].all()
    assert metrics.voice_activity(np.zeros(rate), rate).shape == (0, 2)
    assert metrics.silent_frames(np.zeros(rate), rate, 30).all()


def test_closed_share():
    assert metrics.closed_share([0.5, 1.0, 2.0, 9.0], [True, True, True, False]) == pytest.approx(2 / 3)
    assert np.isnan(metrics.closed_share([0.5], [False]))


def test_action_units_average_left_and_right():
    names = [shape for shapes in metrics.ACTION_UNITS.values() for shape in shapes] + ["jawOpen"]
    weights = np.zeros((2, len(names)))
    weights[1, names.index("mouthSmileLeft")] = 0.4
    weights[1, names.index("mouthSmileRight")] = 0.8
    weights[1, names.index("browInnerUp")] = 0.5
    weights[1, names.index("jawOpen")] = 1.0
    units = metrics.action_units(weights, names)
    assert units.shape == (2, 14) and units[0].sum() == 0
    assert units[1, list(metrics.ACTION_UNITS).index(12)] == pytest.approx(0.6)
    assert units[1].sum() == pytest.approx(0.6 + 0.5)
    with pytest.raises(EmoFaceError, match="browInnerUp"):
        metrics.action_units(weights[:, 1:], names[1:])


def test_expression_r_is_per_unit_over_clips():
    rng = np.random.default_rng(2)
    measured, read = rng.normal(size=(2, 30, 14))
    measured[:, 3] = 0
    read[:, 5] = 1
    r = metrics.expression_r(read, measured)
    assert r[0] == pytest.approx(np.corrcoef(read[:, 0], measured[:, 0])[0, 1])
    assert r[3] == 0 and r[5] == 0


def test_nearest_centroid():
    features = np.array([[0.0, 0], [0, 2], [10, 0], [10, 2]])
    classes, centroids = metrics.class_centroids(features, np.array(["b", "b", "a", "a"]))
    assert list(classes) == ["a", "b"] and centroids.tolist() == [[10, 1], [0, 1]]
    assert list(metrics.nearest_centroid(np.array([[1.0, 9], [8, -9]]), classes, centroids)) == ["b", "a"]


def test_stretch_keeps_ends_and_lines():
    line = np.stack([np.arange(5.0), 10 - np.arange(5.0)], axis=1)
    assert metrics.stretch(line, 9) == pytest.approx(np.stack([np.arange(9) / 2, 10 - np.arange(9) / 2], axis=1))
    assert metrics.stretch([3.0], 4) == pytest.approx([3.0] * 4)


def test_bootstrap_is_seeded_weighted_and_covers():
    values, weights = np.array([1.0, 3.0, np.nan, 50.0]), np.array([3.0, 1.0, 5.0, 0.0])
    estimate = metrics.bootstrap(values, weights)
    assert estimate.value == pytest.approx(1.5) and estimate.n == 2 and estimate.total == 4
    assert estimate == metrics.bootstrap(values, weights)
    assert (estimate.low, estimate.high) == (1.0, 3.0)
    assert np.isnan(metrics.bootstrap([2.0]).low) and metrics.bootstrap([2.0]).value == 2.0
    assert metrics.bootstrap([np.nan]).n == 0
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        interval = metrics.bootstrap(rng.normal(size=60), samples=400, seed=seed)
        covered += interval.low <= 0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def write_masks(path):
    masks = {"lips": np.array([2, 5, 5, 11]), "eye_region": np.array([1, 7]), "forehead": np.array([7, 8])}
    path.write_bytes(pickle.dumps(masks, protocol=2))
    return masks


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_masks_are_read_and_unique(tmp_path, protocol):
    path = tmp_path / "FLAME_masks.pkl"
    path.write_bytes(pickle.dumps({"lips": np.array([5, 2, 5]), "number": np.arange(3)}, protocol=protocol))
    masks = flame.load_masks(path)
    assert masks["lips"].tolist() == [2, 5]


def test_python_2_pickles_are_read(tmp_path):
    path = tmp_path / "old.pkl"  # protocol 2 as Python 2 writes it: the array's bytes are a `str`
    old = (
        b"\x80\x02}q\x00U\x04lipsq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02i4q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03"
        b"U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U\x08\x05\x00\x00\x00\xe9\x00"
        b"\x00\x00q\x0ftq\x10bs."
    )
    path.write_bytes(old)
    assert flame.load_masks(path)["lips"].tolist() == [5, 233]


class Harmful:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_a_pickle_that_runs_code_is_refused(tmp_path, capsys):
    path = tmp_path / "FLAME_masks.pkl"
    path.write_bytes(pickle.dumps({"lips": Harmful()}))
    with pytest.raises(EmoFaceError, match="refused"):
        flame.load_masks(path)
    path.write_bytes(b"not a pickle")
    with pytest.raises(EmoFaceError, match="damaged"):
        flame.load_masks(path)
    assert capsys.readouterr().out == ""


@pytest.fixture
def result_folders(tmp_path, clips):
    """Two clips; the first predicted under two speaking styles, as FaceFormer's test script writes them."""
    prediction, truth = clips
    for name in ("pred", "truth"):
        (tmp_path / name).mkdir()
    for subject, p, v in zip("AB", prediction, truth):
        np.save(tmp_path / "truth" / f"{subject}_sentence01.npy", v.reshape(len(v), -1))
        np.save(tmp_path / "pred" / f"{subject}_sentence01_condition_X.npy", p.reshape(len(p), -1))
    np.save(tmp_path / "pred" / "A_sentence01_condition_Y.npy", truth[0])
    write_masks(tmp_path / "FLAME_masks.pkl")
    templates = {"A": np.full((20, 3), 0.001), "B": np.zeros((20, 3))}
    (tmp_path / "templates.pkl").write_bytes(pickle.dumps(templates, protocol=2))
    return tmp_path


def test_command_line_equals_the_functions(result_folders, clips, capsys):
    prediction, truth = clips
    folder = result_folders
    code = metrics_cli.main(
        [str(folder / "pred"), str(folder / "truth"), "--mask", str(folder / "FLAME_masks.pkl")]
        + ["--templates", str(folder / "templates.pkl"), "--json", str(folder / "out.json")]
    )
    assert code == 0 and "static template" in capsys.readouterr().out
    row, static = json.loads((folder / "out.json").read_text())
    lips = np.array([2, 5, 11])
    halved = metrics.lve(prediction[0], truth[0], lips) / 2  # style Y of clip A is perfect
    expected = (7 * halved + 4 * metrics.lve(prediction[1], truth[1], lips)) / 11
    assert row["lve"]["value"] == pytest.approx(expected) and row["clips"] == 2 and row["frames"] == 11
    templates = [np.full((7, 20, 3), 0.001), np.zeros((4, 20, 3))]
    assert static["eve"]["value"] == pytest.approx(metrics.eve(templates, truth, np.array([1, 7, 8])))
    assert static["fdd"]["value"] > row["fdd"]["value"]


def test_command_line_says_what_is_missing(result_folders, capsys):
    (result_folders / "pred" / "B_sentence01_condition_X.npy").unlink()
    arguments = [str(result_folders / "pred"), str(result_folders / "truth")]
    assert metrics_cli.main([*arguments, "--mask", str(result_folders / "FLAME_masks.pkl")]) == 2
    assert "B_sentence01.npy" in capsys.readouterr().err


def test_metrics_need_numpy_only():
    """Users of other models import them without our other requirements."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(%r)); from emoface.metrics import lve; from emoface.metrics.files import main; main(['--help'])"
    )
    others = ("torch", "transformers", "scipy", "soundfile", "av", "gradio", "numba", "trimesh", "PIL", "huggingface_hub", "safetensors")
    done = subprocess.run([sys.executable, "-c", code % (others,)], capture_output=True, text=True)
    assert done.returncode == 0 and "--truth-stride" in done.stdout, done.stderr
