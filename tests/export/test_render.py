"""The renderer: what is where in the picture, the two backends against each other, threads, cancel, speed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emoface.errors import Cancelled, EmoFaceError
from emoface.export import materials
from emoface.export.render import Camera, Renderer
from emoface.export.shading import to_linear
from emoface.export.sheet import contact_sheet
from emoface.look import load_look

numba = pytest.importorskip("numba")


def sphere(rings: int = 24, segments: int = 36, radius: float = 0.1):
    """A closed sphere with outward triangles: vertices (V, 3), faces (F, 3)."""
    polar, turn = np.linspace(0, np.pi, rings + 1)[1:-1], np.linspace(0, 2 * np.pi, segments, endpoint=False)
    grid = [[np.sin(p) * np.sin(t), np.cos(p), np.sin(p) * np.cos(t)] for p in polar for t in turn]
    vertices = radius * np.array([[0, 1, 0], *grid, [0, -1, 0]], np.float32)
    faces, last = [], len(vertices) - 1
    for s in range(segments):
        after = (s + 1) % segments
        faces.append([0, 1 + s, 1 + after])
        for r in range(rings - 2):
            a, b = 1 + r * segments + s, 1 + r * segments + after
            faces += [[a, a + segments, b], [b, a + segments, b + segments]]
        faces.append([last, last - segments + after, last - segments + s])
    return vertices, np.array(faces, np.int32)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_parts_are_where_the_camera_says(backend):
    vertices, faces = sphere()
    colors = np.where(vertices[:, :1] > 0, [[220, 30, 30]], [[30, 30, 220]]).astype(np.uint8)
    draw = {"size": 96, "background": (255, 255, 255), "backend": backend, "template": vertices}
    front = Renderer(faces, colors, **draw).render(vertices).astype(int)
    assert front[48, 65, 0] > front[48, 65, 2] + 60, "+x of a head that looks at us is on the right of the picture"
    assert front[48, 30, 2] > front[48, 30, 0] + 60
    assert (front[2, 2] > 250).all(), "the background is the colour asked for"
    side = Renderer(faces, colors, camera=Camera(yaw=90), **draw).render(vertices).astype(int)
    assert (side[48, 20:75, 0] > side[48, 20:75, 2]).all(), "yaw 90 looks at the +x side only"


def test_numba_and_numpy_draw_the_same():
    vertices, faces = sphere()
    strip = np.array([[-0.03, -0.01, 0.13], [0.03, -0.01, 0.13], [0.03, 0.01, 0.12], [-0.03, 0.01, 0.12]], np.float32)
    both = np.concatenate([vertices, strip])
    # One triangle of the open strip faces away: both backends must show its back.
    faces = np.concatenate([faces, np.array([[0, 1, 2], [0, 3, 2]], np.int32) + len(vertices)])
    colors = np.random.default_rng(0).integers(0, 256, (len(both), 3)).astype(np.uint8)
    regions = np.array(["cheek_left"] * 400 + ["eye_left"] * (len(vertices) - 400) + ["teeth_upper"] * 4)
    pictures = [
        Renderer(faces, colors, regions=regions, size=(200, 160), camera=Camera(yaw=20, pitch=-10), backend=backend, template=both)
        .render(both)
        .astype(int)
        for backend in ("numba", "numpy")
    ]
    difference = np.abs(pictures[0] - pictures[1]).max(-1)
    assert np.ptp(pictures[0]) > 100
    assert difference.mean() < 0.05 and (difference > 2).mean() < 0.001


def test_a_mesh_that_is_inside_out_looks_the_same():
    vertices, faces = sphere()
    right = Renderer(faces, size=64).render(vertices)
    assert np.array_equal(right, Renderer(faces[:, ::-1], size=64).render(vertices))


def test_open_pieces_are_two_sided_and_the_skin_is_not():
    vertices, faces = sphere()
    strip = np.array([[0, 1, 2], [0, 2, 3]], np.int32) + len(vertices)
    faces = np.concatenate([faces[:-1], strip])  # the sphere is open too, but it is the largest piece
    seen = materials.two_sided(len(vertices) + 4, faces)
    assert seen[-2:].all() and not seen[:-2].any()


def test_occlusion_darkens_what_lies_inside():
    vertices, faces = sphere()
    nested = np.concatenate([vertices, 0.5 * vertices])
    from emoface.export import raster_numba

    ambient_visibility = materials.ambient_visibility(
        nested,
        np.concatenate([faces, faces + len(vertices)]),
        np.array(["cheek_left"] * len(vertices) + ["mouth_cavity"] * len(vertices)),
        raster_numba,
    )
    assert ambient_visibility[: len(vertices)].min() > 0.9 and ambient_visibility[len(vertices) :].max() < 0.15


def test_frames_come_in_order_with_progress_and_cancel():
    vertices, faces = sphere(8, 12)
    colors = np.stack([np.full(vertices.shape, level, np.uint8) for level in range(0, 250, 25)])
    renderer, steps = Renderer(faces, size=32, template=vertices), []
    moving = np.repeat(vertices[None], len(colors), axis=0)
    pictures = list(renderer.frames(moving, colors, threads=3, progress=lambda *step: steps.append(step)))
    brightness = [picture[16, 16].mean() for picture in pictures]
    assert brightness == sorted(brightness) and brightness[-1] > brightness[0] + 100
    assert steps == [("Drawing frames", (k + 1) / 10) for k in range(10)]
    assert np.array_equal(renderer.render(moving, colors), np.stack(pictures))
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        list(renderer.frames(moving, cancel=lambda: next(answers)))


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_heat_colours_keep_their_hue(talking, backend):
    """Painted skin is lit in white without highlights: channels keep their ratio, only brightness follows the form."""
    look, paint = load_look(0), np.tile(np.array([185, 50, 137], np.uint8), (talking.skin_count, 1))
    renderer = Renderer(talking.faces, look=look, regions=talking.regions, template=talking.template, size=160, camera="mouth", backend=backend)
    cheek = to_linear(renderer.render(talking.vertices[0], paint)[20:32, 40:60].reshape(-1, 3) / np.float32(255))
    pure = to_linear(np.array([185, 50, 137], np.float32) / 255)
    assert np.abs(cheek / cheek.sum(1, keepdims=True) - pure / pure.sum()).max() < 0.02
    assert cheek.max() > 0.6 * pure.max()


def test_problems_are_told_plainly():
    vertices, faces = sphere(8, 12)
    broken = vertices.copy()
    broken[3] = np.nan
    with pytest.raises(EmoFaceError, match="not finite"):
        Renderer(faces, size=32).render(broken)
    with pytest.raises(EmoFaceError, match="do not fit"):
        Renderer(faces, size=32).render(vertices[:-1])
    with pytest.raises(EmoFaceError, match="no camera"):
        Renderer(faces, camera="behind")
    with pytest.raises(EmoFaceError, match="no background"):
        Renderer(faces, background="plaid")
    with pytest.raises(EmoFaceError, match="colours"):
        Renderer(faces, size=32).render(vertices, np.zeros((4, 3), np.uint8))


def test_read_only_install_still_renders(tmp_path):
    """A file where __pycache__ and the user's cache would be: numba has no place to write, and must do without."""
    import shutil

    package = Path(__file__).parents[2] / "emoface"
    copy = tmp_path / "emoface"
    (copy / "export").mkdir(parents=True)
    for name in ("errors.py", *[f"export/{path.name}" for path in (package / "export").glob("*.py")]):
        shutil.copy(package / name, copy / name)
    (copy / "__init__.py").write_text("")
    (copy / "export" / "__init__.py").write_text("")
    (copy / "export" / "__pycache__").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    code = (
        "import numpy as np; from emoface.export import raster_numba as r;"
        "n = r.vertex_normals(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32));"
        "assert abs(n[0] - 3 ** -0.5).max() < 1e-6; print('drawn')"
    )
    environment = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "drawn", done.stderr


def test_contact_sheet(tmp_path):
    from PIL import Image

    pictures = [np.full((20, 30, 3), level, np.uint8) for level in (0, 100, 200)]
    path = contact_sheet(pictures, ["a", "b", "c"], 2, tmp_path / "sheet.png")
    page = np.asarray(Image.open(path))
    assert page.shape == (88, 60, 3) and page[30, 45].tolist() == [100] * 3 and page[80, 10].tolist() == [200] * 3
    with pytest.raises(EmoFaceError):
        contact_sheet(pictures, ["a"], 2, tmp_path / "other.png")
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]
