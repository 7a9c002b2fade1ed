"""Live Link Face CSV and JSON: exact form, resampling, and meshes rebuilt from the curves alone."""

import json
from dataclasses import replace

import numpy as np
import pytest

from emoface.errors import EmoFaceError
from emoface.export.arkit import ARKIT_NAMES, CSV_NAMES, HEADER, load_csv, load_json, resample, save_csv, save_json, timecode
from emoface.head import fit_blendshapes


def test_names_are_the_heads(head):
    assert ARKIT_NAMES == head.blendshape_names and len(set(CSV_NAMES)) == 52
    # Columns of a real Live Link Face recording.
    assert HEADER.startswith(
        "Timecode,BlendshapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,EyeWideLeft,EyeBlinkRight,"
    )
    assert ",JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft," in HEADER
    assert (
        HEADER.endswith("TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll")
        and HEADER.count(",") == 62
    )


def test_timecodes():
    assert timecode(0, 60) == "00:00:00:00.000" and timecode(59, 60) == "00:00:00:59.000"
    assert timecode(60, 60) == "00:00:01:00.000" and timecode(3600 * 60 + 61 * 60 + 3, 60) == "01:01:01:03.000"
    assert timecode(30, 29.97) == "00:00:01:00.030", "a frame that starts between two seconds"


@pytest.mark.parametrize("fps", [60, None])
def test_csv_is_exact(tmp_path, talking, fps):
    path = save_csv(talking, tmp_path / "a.csv", fps=fps)
    content = path.read_bytes()
    assert b"\r" not in content and not content.startswith(b"\xef\xbb\xbf") and content.endswith(b"\n")
    lines = content.decode("ascii").splitlines()
    assert lines[0] == HEADER and len(lines) == 1 + (23 if fps else 12)
    fields = lines[4].split(",")
    assert len(fields) == 63 and fields[0] == "00:00:00:03.000" and fields[1] == "61"
    assert all(len(value.split(".")[1]) == 10 for value in fields[2:])
    frame = talking.blendshapes[3] if fps is None else (talking.blendshapes[1] + talking.blendshapes[2]) / 2
    assert float(fields[2 + CSV_NAMES.index("JawOpen")]) == pytest.approx(frame[ARKIT_NAMES.index("jawOpen")], abs=1e-6)


def test_the_mesh_is_rebuilt_from_the_curves(tmp_path, talking, head):
    """A clip the shapes cannot follow exactly: smooth bumps of 0.4 mm, as a network makes them."""
    template, time = head.skin_template, np.arange(12)[:, None, None] / 30
    bumps = 0.0004 * np.sin(template[None] * 90 + time * 9)[..., [1, 2, 0]]
    vertices = talking.vertices.copy()
    vertices[:, : head.skin_count] += bumps.astype(np.float32)
    weights = fit_blendshapes(vertices[:, : head.skin_count] - template, head=head)
    clip = replace(talking, vertices=vertices, blendshapes=weights)
    for name, load, save, step in (("a.csv", load_csv, save_csv, 2), ("a.json", load_json, save_json, 1)):
        back, fps = load(save(clip, tmp_path / name))[:2]
        assert fps == 30 * step and len(back) == 11 * step + 1
        rebuilt = head.pose(back[::step])[:, : head.skin_count]
        away = 1000 * np.linalg.norm(rebuilt - vertices[:, : head.skin_count], axis=2)
        assert away.mean() < 0.5
        assert np.abs(back[::step] - weights).max() < 1e-5


def test_rate_is_read_from_timecodes(tmp_path, talking, head):
    weights = np.repeat(talking.blendshapes[:1], 70, axis=0)
    clip = replace(talking, blendshapes=weights, vertices=np.repeat(talking.vertices[:1], 70, axis=0))
    assert load_csv(save_csv(clip, tmp_path / "a.csv", fps=None))[1] == 30
    assert load_csv(save_csv(clip, tmp_path / "b.csv"))[1] == 60
    assert load_csv(tmp_path / "b.csv", fps=25)[1] == 25


def test_csv_of_other_writers(tmp_path, talking):
    """Columns shuffled and in camelCase with a byte-order mark, as public importers write them."""
    path = save_csv(talking, tmp_path / "a.csv")
    rows = [line.split(",") for line in path.read_text().splitlines()]
    order = np.random.default_rng(0).permutation(63)
    rows[0] = [name[0].lower() + name[1:] for name in rows[0]]
    text = "\r\n".join(",".join(row[column] for column in order) for row in rows)
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert np.array_equal(load_csv(tmp_path / "b.csv")[0], load_csv(path)[0])
    (tmp_path / "c.csv").write_text("Timecode,JawOpen\n00:00:00:00.000,1\n")
    with pytest.raises(EmoFaceError, match="52 ARKit curves"):
        load_csv(tmp_path / "c.csv")


def test_json_layout(tmp_path, talking):
    content = json.loads(save_json(talking, tmp_path / "a.json").read_text())
    assert content["names"] == content["metadata"]["blendshape_names"] == list(ARKIT_NAMES)
    assert content["metadata"]["fps"] == 30 and content["metadata"]["frame_count"] == len(content["frames"]) == 12
    assert set(content["frames"][3]) == {"weights", "time", "rotation"} and content["frames"][3]["time"] == 0.1


def test_resampling_is_linear_and_keeps_the_ends():
    curve = np.array([[0.0], [1.0], [0.5]])
    assert resample(curve, 30, 60)[:, 0].tolist() == [0, 0.5, 1, 0.75, 0.5]
    assert resample(curve[:1], 30, 60).tolist() == [[0]]


def test_gaze_and_tongue_come_from_the_curves_not_the_skin(tmp_path, talking, head):
    back, *_ = load_csv(save_csv(talking, tmp_path / "a.csv", fps=None))
    for name in ("eyeLookInLeft", "tongueOut"):
        column = ARKIT_NAMES.index(name)
        assert np.abs(back[:, column] - talking.blendshapes[:, column]).max() < 1e-6 < back[:, column].max()
    fitted = replace(talking, blendshapes=np.zeros((12, 0), np.float32), blendshape_names=())
    back, *_ = load_csv(save_csv(fitted, tmp_path / "b.csv", fps=None))
    assert back[:, [ARKIT_NAMES.index("eyeLookInLeft"), ARKIT_NAMES.index("tongueOut")]].max() == 0
    assert np.abs(back - talking.blendshapes)[:, ARKIT_NAMES.index("jawOpen")].max() < 0.02


def test_flame_has_no_curves(tmp_path, flame):
    for save, name in ((save_csv, "a.csv"), (save_json, "a.json")):
        with pytest.raises(EmoFaceError, match="no ARKit shapes"):
            save(flame, tmp_path / name)
    assert not list(tmp_path.iterdir())
