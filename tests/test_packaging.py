"""What is installed: the same packages by every way, and a wheel that needs nothing beside it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def listed(file: str) -> list[str]:
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return [line for line in lines if line]


def same(first: list[str], second: list[str]) -> bool:
    return sorted(map(str, map(Requirement, first))) == sorted(map(str, map(Requirement, second)))


@pytest.mark.parametrize(
    "file, packages",
    [
        ("requirements.txt", PROJECT["dependencies"] + EXTRAS["app"]),
        ("tests/requirements.txt", EXTRAS["test"]),
        ("train/requirements.txt", EXTRAS["train"]),
    ],
)
def test_requirements_and_project_name_the_same_packages(file, packages):
    assert same(listed(file), packages)


def test_the_library_needs_no_web_packages(tmp_path):
    """Every public name, an animation and a file of it, where gradio and plotly cannot be imported."""
    code = """
import sys
sys.modules.update(dict.fromkeys(["gradio", "plotly"]))
import emoface
for name in emoface.__all__:
    getattr(emoface, name)
from tests.tiny_model import save_tiny_model
import numpy as np, soundfile
soundfile.write("speech.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)
from emoface.cli import main
assert main(["animate", "speech.wav", "-o", "face.glb", "--quiet", "--model", str(save_tiny_model(__import__("pathlib").Path("model")))]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=path_to(ROOT), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "face.glb").stat().st_size > 1000


def path_to(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("emoface-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds what the wheel holds."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def test_a_wheel_holds_assets_types_and_the_command(installed):
    assets = {str(path.relative_to(ROOT / "assets")) for path in (ROOT / "assets").rglob("*") if path.is_file()}
    packed = {str(path.relative_to(installed / "emoface" / "assets")) for path in (installed / "emoface" / "assets").rglob("*") if path.is_file()}
    assert packed == assets
    assert (installed / "emoface" / "py.typed").exists() and (installed / "emoface" / "ui" / "plotly" / "plotly-gl3d.min.js").exists()
    (about,) = installed.glob("emoface-*.dist-info")
    assert "emoface = emoface.cli:main" in (about / "entry_points.txt").read_text()
    assert not (installed / "train").exists() and not (installed / "tests").exists()


def test_a_wheel_works_with_nothing_beside_it(installed, tmp_path):
    """Speech to a GLB with the embedded model, and the page with its examples, from an empty folder."""
    speech = installed / "emoface" / "assets" / "examples" / "narrator.wav"
    code = f"""
import json, sys
from emoface.cli import main
assert main(["animate", {str(speech)!r}, "-o", "face.glb", "--quiet"]) == 0
from emoface.ui.app import build_app
page = build_app()
print(json.dumps([sys.modules["emoface"].__file__, {{block.elem_id: bool(block.value) for block in page.blocks.values() if type(block).__name__ == "FacePlayer"}}]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=path_to(installed), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    where, players = json.loads(done.stdout.splitlines()[-1])
    assert Path(where).is_relative_to(installed)
    assert all(players[name] for name in ("player", "cross-player", "importance-player")), "the examples that the page opens with"
    assert (tmp_path / "face.glb").stat().st_size > 100_000
