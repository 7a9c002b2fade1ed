"""Publishing a model and a Space, with the real client against a Hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from safetensors.numpy import load_file, save_file

from emoface import EmoFacePipeline
from emoface.errors import EmoFaceError
from tests.hub_server import HubServer
from tests.tiny_model import save_tiny_model
from train.tools import push_to_hub

ROOT = Path(__file__).resolve().parents[3]
RESULTS = {
    "command": "python -m train.evaluate",
    "date": "2026-11-22",
    "rows": [
        {"measure": "lve", "unit": "mm", "data": "GRID", "motion": "real", "row": "model", "value": 1.23456, "low": 1.1,
         "high": 1.3, "clips": 90},
        {"measure": "lve", "unit": "mm", "data": "GRID", "motion": "real", "row": "static template", "value": 3.0,
         "low": None, "high": None, "clips": 90},
    ],
}  # fmt: skip


def push(*arguments, endpoint: str, home: Path, token: str | None = "hf_test") -> subprocess.CompletedProcess:
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    env.pop("HF_TOKEN", None)
    if token:
        env["HF_TOKEN"] = token
    command = [sys.executable, "-m", "train.tools.push_to_hub", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)


def with_encoder(folder: Path, settings: dict) -> Path:
    """A tiny model that brings no encoder of its own but says this of it."""
    save_tiny_model(folder)
    shutil.rmtree(folder / "content_encoder")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "content_encoder": settings}))
    return folder


def test_a_pushed_model_comes_back_the_same(tmp_path):
    folder = save_tiny_model(tmp_path / "model", style_names=["s1"])
    (folder / "LICENSE").write_text("CC BY-NC-SA 4.0")
    (folder / "optimizer.pt").write_bytes(b"\x80\x02")
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    with HubServer() as hub:
        repo = hub.publish("lab/tiny", {".gitattributes": b"", "old.safetensors": b"stale"})
        done = push("lab/tiny", "--model", folder, "--results", tmp_path / "results.json", "--license", "cc-by-4.0", endpoint=hub.url, home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"{hub.url}/lab/tiny/commit/{repo.main}" in done.stdout
        files = repo.files("main")
    assert set(files) == {".gitattributes", "README.md", "LICENSE", "config.json", "model.safetensors",
                          "content_encoder/config.json", "content_encoder/model.safetensors"}  # fmt: skip
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-4.0\n") and "| lve | GRID (real) | 1.23 mm | 1.1 to 1.3 | 90 |" in card
    assert "RAVDESS" not in card and "NC-SA" not in card, "that is the embedded model's"
    assert "static template" not in card and 'from_pretrained("lab/tiny")' in card

    back = tmp_path / "back"
    for name, content in files.items():
        (back / name).parent.mkdir(parents=True, exist_ok=True)
        (back / name).write_bytes(content)
    assert EmoFacePipeline.from_pretrained(back, device="cpu").styles == ["s1"]


def test_without_a_token_it_says_so(tmp_path):
    folder = save_tiny_model(tmp_path / "model")
    with HubServer() as hub:
        done = push("lab/new", "--model", folder, "--license", "other", endpoint=hub.url, home=tmp_path, token=None)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "hf auth login" in done.stderr, done.stderr
        assert hub.repos == {}


def test_the_embedded_encoder_travels_with_the_model(tmp_path):
    """assets/model has no encoder of its own; the same model on the Hub must."""
    folder = with_encoder(tmp_path / "model", {"embedded": "whisper-tiny.en"})
    files = push_to_hub.model_files(folder, "lab/tiny", license="other")
    assert {"content_encoder/model.safetensors", "content_encoder/config.json", "content_encoder/LICENSE"} <= set(files)
    assert "8,2" in files["README.md"].decode() and "## Measured" not in files["README.md"].decode()


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository with an app, and things that must not be published."""
    files = {"app.py": "", "emoface/__init__.py": "", "assets/head.npz": "x", "requirements.txt": "gradio[mcp]==6.31.0\n",
             "README.md": "---\ntitle: Mine\nsdk: gradio\n---\n# EmoFace\n", "train/train.py": "", "tests/test_x.py": ""}  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    (tmp_path / "emoface" / "scratch.py").write_text("not committed")
    return tmp_path


def test_space_holds_what_the_app_needs_and_nothing_else(checkout):
    files = push_to_hub.space_files("lab/face", checkout)
    assert set(files) == {"app.py", "emoface/__init__.py", "assets/head.npz", "requirements.txt", "README.md"}
    assert files["README.md"] == (checkout / "README.md").read_bytes()
    (checkout / "README.md").write_text("# EmoFace\n")
    with pytest.raises(EmoFaceError, match="does not begin with a Space's settings"):
        push_to_hub.space_files("lab/face", checkout)


def test_our_own_readme_starts_a_space():
    settings = yaml.safe_load(push_to_hub.space_files("lab/face")["README.md"].decode().split("---\n")[1])
    gradio = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio"))
    assert settings["sdk"] == "gradio" and settings["app_file"] == "app.py" and Requirement(gradio).specifier.contains(settings["sdk_version"])
    assert settings["license"] == "cc-by-nc-sa-4.0" and len(settings["short_description"]) <= 60
    assert (
        settings["suggested_hardware"] == "cpu-basic"
        and settings["thumbnail"] == "https://huggingface.co/spaces/lab/face/resolve/main/docs/images/hero.jpg"
    )
    assert (ROOT / "docs" / "images" / "hero.jpg").is_file()


def test_space_is_created_with_its_sdk(checkout, tmp_path, monkeypatch):
    """In one process, with the client's endpoint set to the loopback Hub."""
    import huggingface_hub

    with HubServer() as hub:
        api = huggingface_hub.HfApi(endpoint=hub.url, token="hf_test")
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
        files = push_to_hub.space_files("lab/face", checkout)
        url = push_to_hub.push("lab/face", files, kind="space", private=False, message="First")
        assert url.startswith(f"{hub.url}/spaces/lab/face/commit/")
        assert hub.repos["spaces/lab/face"].sdk == "gradio"
        assert set(hub.repos["spaces/lab/face"].files("main")) == {*files, ".gitattributes"}


def test_dry_run_uploads_nothing(tmp_path, capsys):
    folder = save_tiny_model(tmp_path / "model")
    assert push_to_hub.main(["lab/tiny", "--model", str(folder), "--license", "mit", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "license: mit" in printed and "model.safetensors" in printed and "in 5 files" in printed


def test_card_of_the_embedded_model_tells_its_data_and_numbers():
    card = push_to_hub.model_files(push_to_hub.EMBEDDED_MODEL, "lab/mini")["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-nc-sa-4.0\n") and "RAVDESS" in card and "## Measured" in card


def test_the_card_names_only_emotions_that_were_learned(tmp_path):
    folder = save_tiny_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["emotion_prototypes"][:] = 0
    weights["emotion_prototypes"][2, 0] = 1
    save_file(weights, folder / "model.safetensors")
    card = push_to_hub.model_files(folder, "lab/tiny", license="mit")["README.md"].decode()
    assert f"| emotions | {json.loads((folder / 'config.json').read_text())['emotion_names'][2]} |" in card


def test_geometry_that_may_not_be_passed_on_is_warned_of(tmp_path, capsys):
    folder = save_tiny_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    push_to_hub.model_files(folder, "lab/tiny", license="mit")
    assert not capsys.readouterr().err
    (folder / "config.json").write_text(json.dumps({**config, "vertex_count": 5023, "head": None}))
    push_to_hub.model_files(folder, "lab/tiny", license="mit")
    assert "FLAME" in capsys.readouterr().err


def test_a_model_that_names_its_encoder_needs_no_copy_of_it(tmp_path):
    folder = with_encoder(tmp_path / "model", {"name": "lab/wav2vec2"})
    files = push_to_hub.model_files(folder, "lab/tiny", license="mit")
    assert "| speech encoder | lab/wav2vec2 |" in files["README.md"].decode() and not any(name.startswith("content") for name in files)


def test_wrong_use_is_one_sentence(tmp_path, capsys):
    assert push_to_hub.main(["tiny", "--dry-run"]) == 2
    assert "ORG/NAME" in capsys.readouterr().err
    assert push_to_hub.main(["lab/tiny", "--model", str(save_tiny_model(tmp_path / "own")), "--dry-run"]) == 2
    assert "--license" in capsys.readouterr().err
    assert push_to_hub.main(["lab/tiny", "--model", str(tmp_path), "--license", "mit", "--dry-run"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
