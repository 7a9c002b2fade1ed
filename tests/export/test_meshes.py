"""npz, npy, zip and USD; dispatch by suffix; files whole or absent."""

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from emoface.animation import Animation
from emoface.errors import Cancelled, EmoFaceError
from emoface.export import FORMATS, load, save
from emoface.head import load_head
from emoface.look import load_look


def same(first: Animation, second: Animation, skip=("audio", "sample_rate")) -> None:
    for field in fields(Animation):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name in skip:
            continue
        if isinstance(a, np.ndarray):
            assert a.dtype.kind == b.dtype.kind and np.array_equal(a, b), field.name
        else:
            assert type(a) is type(b) and a == b, field.name


def test_npz_keeps_every_field(tmp_path, talking, flame):
    for name, animation in (("a.npz", talking), ("b.npz", flame)):
        path = animation.save(tmp_path / name)
        back = Animation.load(path)
        same(animation, back)
        assert back.audio is None
        with np.load(path, allow_pickle=False) as file:  # nothing in it needs a pickle
            assert all(file[key].dtype != object for key in file.files)
    heard = load(save(talking, tmp_path / "c.npz", audio=True))
    same(talking, heard, skip=())


def test_npz_carries_its_format_version(tmp_path, talking):
    """A newer file is refused with what to do, a file from before versions is read."""
    talking.save(tmp_path / "now.npz")
    with np.load(tmp_path / "now.npz") as file:
        arrays = dict(file)
    assert int(arrays["format_version"]) == 1
    np.savez(tmp_path / "newer.npz", **{**arrays, "format_version": np.asarray(2)})
    with pytest.raises(EmoFaceError, match="format version 2.*update"):
        load(tmp_path / "newer.npz")
    del arrays["format_version"]
    np.savez(tmp_path / "older.npz", **arrays)
    assert np.array_equal(load(tmp_path / "older.npz").vertices, talking.vertices)


def test_damaged_npz_is_refused(tmp_path, talking):
    good = talking.save(tmp_path / "a.npz").read_bytes()
    for number, data in enumerate((b"", good[:5000], b"not a zip")):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(data)
        with pytest.raises(EmoFaceError):
            load(path)
    np.savez(tmp_path / "other.npz", x=np.arange(3))
    with pytest.raises(EmoFaceError, match="lacks faces"):
        load(tmp_path / "other.npz")
    np.savez(tmp_path / "pickle.npz", vertices=np.array([{}], dtype=object))
    with pytest.raises(EmoFaceError, match="plain arrays"):
        load(tmp_path / "pickle.npz")


def test_npy_as_faceformer_reads_it(tmp_path, talking, flame):
    path = save(flame, tmp_path / "a.npy")
    array = np.load(path)
    assert array.shape == (flame.frame_count, 5023 * 3) and array.dtype == np.float32
    trimesh = pytest.importorskip("trimesh")
    for suffix in ("ply", "obj"):
        trimesh.Trimesh(flame.template, flame.faces, process=False).export(tmp_path / f"t.{suffix}")
        back = load(path, tmp_path / f"t.{suffix}", fps=25)
        assert np.array_equal(back.vertices, flame.vertices) and np.array_equal(back.faces, flame.faces)
        assert back.fps == 25 and back.skin_count == 5023 and back.blendshapes.shape == (flame.frame_count, 0)
    with pytest.raises(EmoFaceError, match="--template"):
        load(path)
    with pytest.raises(EmoFaceError, match="5023 vertices"):
        load(save(talking, tmp_path / "b.npy"), tmp_path / "t.ply")


def test_our_own_head_is_recognised(tmp_path, talking):
    back = load(save(talking, tmp_path / "a.npy"))
    assert back.skin_count == talking.skin_count and np.array_equal(back.regions, talking.regions)
    jaw = talking.blendshape_names.index("jawOpen")
    assert np.abs(back.blendshapes[:, jaw] - talking.blendshapes[:, jaw]).max() < 0.02


@pytest.mark.parametrize("mesh", ["obj", "ply"])
def test_zip_of_meshes(tmp_path, talking, mesh):
    trimesh = pytest.importorskip("trimesh")
    steps = []
    path = save(talking, tmp_path / "a.zip", mesh=mesh, progress=lambda *step: steps.append(step))
    with zipfile.ZipFile(path) as file:
        about = json.loads(file.read("clip.json"))
        assert about == {
            "fps": 30.0,
            "frames": 12,
            "settings": {"emotion": "happy"},
            "units": "metres",
            "axes": "y up, z forward, x to the head's left",
        }
        names = [name for name in file.namelist() if name.startswith("frames/")]
        assert names == [f"frames/{frame:06d}.{mesh}" for frame in range(12)]
        model = trimesh.load(io.BytesIO(file.read(names[7])), file_type=mesh, process=False, maintain_order=True)
    assert np.abs(model.vertices - talking.vertices[7]).max() < 1e-6 and np.array_equal(model.faces, talking.faces)
    assert steps[-1] == ("Writing meshes", 1.0) and len(steps) == 12


def test_fine_meshes_show_lids_as_films_do(tmp_path, talking):
    """A smile and a blink add up to lids that overlap by millimetres; what is shown meets."""
    trimesh = pytest.importorskip("trimesh")
    head, look = load_head(0), load_look(0)
    weights = np.zeros((1, 52), np.float32)
    for name in ("eyeBlink", "mouthSmile", "cheekSquint"):
        weights[0, [head.blendshape_names.index(name + side) for side in ("Left", "Right")]] = 0.9
    vertices = head.pose(weights).astype(np.float32)
    path = save(replace(talking, vertices=np.repeat(vertices, talking.frame_count, 0)), tmp_path / "a.zip", detail="fine")
    with zipfile.ZipFile(path) as file:
        model = trimesh.load(io.BytesIO(file.read("frames/000003.obj")), file_type="obj", process=False, maintain_order=True)
    assert np.abs(model.vertices - look.vertices(look.settled(vertices[0]))).max() < 1e-6
    assert np.abs(model.vertices - look.vertices(vertices[0])).max() > 1e-3


@pytest.mark.parametrize("suffix", [".usda", ".usdc"])
def test_usd(tmp_path, talking, flame, suffix):
    pxr = pytest.importorskip("pxr", reason="needs usd-core")
    from pxr import Usd, UsdGeom, UsdSkel

    for name, animation, limit in (("a", talking, 1.5e-3), ("b", flame, 2e-5)):
        path = save(animation, tmp_path / (name + suffix))
        stage = Usd.Stage.Open(str(path))
        assert stage.GetTimeCodesPerSecond() == 30 and stage.GetEndTimeCode() == animation.frame_count - 1
        assert UsdSkel.BakeSkinning(stage.Traverse())
        points = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Mesh")).GetPointsAttr()
        for frame in (0, 8):
            assert np.abs(np.array(points.Get(frame)) - animation.vertices[frame]).max() < limit
    assert pxr


def test_usd_without_its_package(tmp_path, talking, monkeypatch):
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(EmoFaceError, match="pip install usd-core"):
        save(talking, tmp_path / "a.usdc")


def test_dispatch_tells_what_is_possible(tmp_path, talking):
    with pytest.raises(EmoFaceError, match=".npz .npy .glb .mp4"):
        save(talking, tmp_path / "a.fbx")
    with pytest.raises(EmoFaceError, match="have no option colour; they have .*camera"):
        save(talking, tmp_path / "a.mp4", colour=1)
    with pytest.raises(EmoFaceError, match="does not exist"):
        save(talking, tmp_path / "nowhere" / "a.npz")
    with pytest.raises(EmoFaceError, match="is a folder"):
        (tmp_path / "b.npz").mkdir()
        save(talking, tmp_path / "b.npz")
    with pytest.raises(EmoFaceError, match="cannot be opened"):
        load(tmp_path / "a.mp4")
    with pytest.raises(EmoFaceError, match="no file"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if not suffix.startswith(".usd")])
def test_every_format_is_whole_or_absent(tmp_path, talking, suffix, monkeypatch):
    small = {"size": 32} if FORMATS[suffix][0] in ("video", "poster") else {}
    path = save(talking, tmp_path / f"a{suffix}", **small)
    assert path.stat().st_size > (5 if FORMATS[suffix][0] == "visemes" else 1000) and path.stat().st_mode & 0o400
    before = path.read_bytes()
    with pytest.raises(Cancelled):
        save(talking, path, cancel=lambda: True, **small)

    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(EmoFaceError, match="No space left"):
        save(replace(talking, fps=25.0), path, **small)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_import_is_light():
    """The package and its exports load without the heavy libraries that single formats need."""
    code = (
        "import sys, emoface, emoface.animation, emoface.export, emoface.export.video, emoface.export.glb,"
        "emoface.export.arkit, emoface.export.meshes, emoface.export.usd, emoface.export.render;"
        "print(sorted({'gradio', 'torch', 'av', 'numba', 'trimesh', 'PIL', 'pxr', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]", done.stderr
