"""What EmoFace writes opens again as the head it was, and so do takes of Live Link Face and files in other units."""

import json
import stat
import zipfile

import numpy as np
import pytest

from emoface.cli import main
from emoface.errors import EmoFaceError
from emoface.export import load, save
from emoface.export.arkit import ARKIT_NAMES, HEADER, load_csv
from emoface.export.importing import animation_from_vertices
from emoface.export.topology import find_head
from emoface.export.units import in_metres


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.zip", "a.usdc"])
def test_our_files_open_again(tmp_path, talking, name):
    if name.endswith(".usdc"):
        pytest.importorskip("pxr")
    back = load(save(talking, tmp_path / name))
    every = 2 if name == "a.csv" else 1
    assert back.fps == 30 * every and find_head(back.template, back.faces).index == 0
    skin = talking.skin_count
    assert 1000 * np.abs(back.vertices[::every] - talking.vertices)[:, :skin].max() < 0.01
    assert back.blendshapes.shape == (len(back.vertices), 52) and np.array_equal(back.regions, talking.regions)
    save(back, tmp_path / "again.csv")


def test_curves_move_the_head_that_is_asked_for(tmp_path, talking):
    back = load(save(talking, tmp_path / "a.csv", fps=None), head=3)
    assert find_head(back.template, back.faces).index == 3
    for name in ("a.json", "b.zip", "c.csv"):
        (tmp_path / name).write_text("nonsense")
        with pytest.raises(EmoFaceError):
            load(tmp_path / name)


def take(path, frames, *, start=36600.0, lost=()):
    """A Live Link Face take: 60 rows a second with the phone's own header, some frames dropped."""
    lines = [HEADER.replace("BlendshapeCount", "BlendShapeCount")]
    for frame in range(frames):
        if frame in lost:
            continue
        second, inside = divmod(frame + round(start * 60), 60)
        clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{inside:02d}.217"
        values = [frame / 200 if name == "jawOpen" else 0 for name in ARKIT_NAMES]
        order = [
            values[ARKIT_NAMES.index(name[0].lower() + name[1:])] if name[0].lower() + name[1:] in ARKIT_NAMES else 0.25
            for name in HEADER.split(",")[2:]
        ]
        lines.append(f"{clock},61," + ",".join(f"{value:.10f}" for value in order))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_take_of_a_phone_keeps_its_time(tmp_path):
    path = take(tmp_path / "take_iPhone.csv", 180, start=86399.0, lost=(33, 34, 35, 100))
    weights, fps, angles = load_csv(path)
    jaw = weights[:, ARKIT_NAMES.index("jawOpen")]
    assert fps == 60 and len(weights) == 180 and np.abs(jaw - np.arange(180) / 200).max() < 1e-5, "dropped frames are filled in"
    assert np.allclose(angles, 0.25), "how the phone saw the head turned"
    cut = tmp_path / "cut.csv"
    cut.write_text(path.read_text()[:-40])
    assert len(load_csv(cut)[0]) == 179, "the row that was being written when the phone stopped is left out"
    back = load(path)
    assert back.duration == pytest.approx(3) and find_head(back.template, back.faces).index == 0


@pytest.mark.parametrize("of_motion, of_template, said", [(1000, 1, 1), (1, 1000, 1), (1000, 1000, 2), (100, 1, 1), (1, 1, 0)])
def test_units_are_recognised_and_said(flame, of_motion, of_template, said):
    back = animation_from_vertices(flame.vertices * of_motion, flame.template * of_template, flame.faces)
    assert np.abs(back.vertices - flame.vertices).max() < 1e-5 and np.abs(back.template - flame.template).max() < 1e-5
    assert len(back.settings.get("notes", [])) == said
    assert all(word in note for note in back.settings.get("notes", []) for word in ("metres", "taken"))


def test_units_that_nobody_knows_become_a_head(flame):
    back = animation_from_vertices(flame.vertices * 11, flame.template * 11, flame.faces)
    assert np.ptp(back.template, axis=0).max() == pytest.approx(0.26, rel=1e-3) and len(back.settings["notes"]) == 2
    assert np.ptp(back.vertices[0], axis=0).max() < 0.3, "one factor for both"


def test_the_unit_is_said_on_the_command_line(tmp_path, flame, capsys):
    trimesh = pytest.importorskip("trimesh")
    np.save(tmp_path / "mm.npy", (1000 * flame.vertices).reshape(len(flame.vertices), -1))
    trimesh.Trimesh(flame.template, flame.faces, process=False).export(tmp_path / "m.ply")
    command = ["render", str(tmp_path / "mm.npy"), "--template", str(tmp_path / "m.ply"), "-o", str(tmp_path / "a.npz"), "--quiet"]
    assert main(command) == 0 and "millimetres" in capsys.readouterr().err
    assert np.ptp(load(tmp_path / "a.npz").vertices[0], axis=0).max() < 0.5


def test_a_rate_that_would_be_ignored_is_refused(tmp_path, talking, capsys):
    save(talking, tmp_path / "a.npz")
    assert main(["render", str(tmp_path / "a.npz"), "--fps", "25", "-o", str(tmp_path / "a.csv"), "--quiet"]) == 2
    assert "say their own rate" in capsys.readouterr().err


def test_zips_are_readable_by_everybody_and_say_their_units(tmp_path, talking):
    with zipfile.ZipFile(save(talking, tmp_path / "a.zip")) as file:
        modes = {stat.S_IMODE(entry.external_attr >> 16) for entry in file.infolist()}
        about = json.loads(file.read("clip.json"))
    assert modes == {0o644} and about["units"] == "metres" and about["axes"].startswith("y up")


@pytest.mark.parametrize("template_size, motion_size", [(0.26, 10.8), (5.0, 260.0), (26.0, 4.0), (5.0, 0.26)])
def test_a_motion_is_never_of_another_size_than_its_head(template_size, motion_size):
    """Sizes that units explain one by one, or not at all, but not together."""
    head = np.array([[0, 0, 0], [0.3, 0, 0], [0, 1, 0]], np.float32)
    motion, template, notes = in_metres(motion_size * np.stack([head, head]), template_size * head)
    assert np.allclose(motion, template) and 0.1 < np.ptp(template[:, 1]) < 0.7
    assert any("which no units explain" in note for note in notes)
