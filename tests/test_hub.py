"""Model names to folders, with the real huggingface_hub client against a server on loopback (no network is used)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emoface import EmoFacePipeline
from emoface.errors import ModelError
from emoface.hub import EMBEDDED_MODEL, resolve_model

from .hub_server import HubServer
from .tiny_model import save_tiny_model

ROOT = Path(__file__).resolve().parent.parent
_RESOLVE = """
import json, sys
from emoface.errors import ModelError
from emoface.hub import resolve_model
answers = []
for name, revision in json.loads(sys.argv[1]):
    try:
        answers.append(str(resolve_model(name, revision=revision)))
    except ModelError as error:
        answers.append("ModelError: " + str(error))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """A tiny model as the content of a repository."""
    folder = save_tiny_model(tmp_path_factory.mktemp("model"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def hub(files):
    with HubServer() as server:
        server.publish("lab/face", {**files, "README.md": b"# card", "optimizer.pt": b"\x80\x02pickle"})
        server.publish("lab/pickled", {"config.json": b"{}", "pytorch_model.bin": b"\x80\x02pickle"})
        server.publish("lab/empty", {"README.md": b"nothing here"})
        server.publish("lab/gated", files, gated=True)
        yield server


def client(*jobs, endpoint: str, home: Path, **environment) -> list[str]:
    """Resolve names in a fresh process: the client reads its settings from the environment when it is imported."""
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
    jobs = [job if isinstance(job, tuple) else (job, None) for job in jobs]
    command = [sys.executable, "-c", _RESOLVE, json.dumps(jobs)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_download_then_cache_then_offline(hub, files, tmp_path):
    hub.requests.clear()
    [folder] = client("lab/face", endpoint=hub.url, home=tmp_path)
    assert hub.downloads() == sorted(files), "only safetensors and json, never the pickle"
    assert {p.name for p in Path(folder).iterdir()} == {"config.json", "model.safetensors", "content_encoder"}
    assert EmoFacePipeline.from_pretrained(folder, device="cpu").name == "emoface-tiny"

    again, revised = client("lab/face", ("lab/face", hub.repos["lab/face"].main), endpoint=hub.url, home=tmp_path)
    assert again == revised == folder and hub.downloads() == []
    [offline] = client("lab/face", endpoint=hub.url, home=tmp_path, HF_HUB_OFFLINE="1")
    assert offline == folder and hub.requests == []
    [unplugged] = client("lab/face", endpoint="http://127.0.0.1:9", home=tmp_path)
    assert unplugged == folder


def test_what_cannot_be_loaded_is_one_sentence(hub, files, tmp_path):
    """Downloaded whole, and then refused: the pipeline on models of the Hub, end to end."""
    config = json.loads(files["config.json"])
    other_head = json.dumps({**config, "vertex_count": 5023}).encode()
    hub.publish("lab/corrupt", {**files, "model.safetensors": files["model.safetensors"][:5000]})
    hub.publish("lab/disguised", {**files, "model.safetensors": b"\x80\x04pickle"})
    hub.publish("lab/no-weights", {name: content for name, content in files.items() if name != "model.safetensors"})
    hub.publish("lab/topology", {**files, "config.json": other_head})
    hub.publish("lab/no-encoder", {name: content for name, content in files.items() if "encoder" not in name})
    expected = {
        "lab/corrupt": "damaged or not safetensors", "lab/disguised": "damaged or not safetensors", "lab/no-weights": "no model.safetensors",
        "lab/topology": "do not fit", "lab/no-encoder": "does not say which speech encoder", "lab/face": "emoface-tiny",
    }  # fmt: skip
    script = """
import sys
from emoface import EmoFacePipeline
from emoface.errors import ModelError
for name in sys.argv[1:]:
    try:
        print(EmoFacePipeline.from_pretrained(name, device="cpu").name)
    except ModelError as error:
        print("ModelError:", error)
from emoface.hub import EMBEDDED_MODEL
from emoface.ui.model import choose_model
for name in sys.argv[1:]:
    folder, _, notice = choose_model(name, device="cpu")
    print(folder == EMBEDDED_MODEL, notice)
"""
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([sys.executable, "-c", script, *expected], env=env, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    answers, fallbacks = done.stdout.splitlines()[: len(expected)], done.stdout.splitlines()[len(expected) :]
    for (name, words), answer, fallback in zip(expected.items(), answers, fallbacks, strict=True):
        assert words in answer and answer.startswith("ModelError: ") == (name != "lab/face"), answer
        if name == "lab/face":
            assert fallback == "False None"
        else:
            assert fallback.startswith("True ") and words in fallback and fallback.endswith("the embedded model is used.")


def test_a_new_revision_is_fetched_and_the_old_one_stays_reachable(hub, files, tmp_path):
    repo = hub.publish("lab/moving", files)
    first_commit = repo.main
    config = json.loads(files["config.json"])
    repo.commit({**files, "config.json": json.dumps({**config, "name": "newer"}).encode()})
    newest, old = client("lab/moving", ("lab/moving", first_commit), endpoint=hub.url, home=tmp_path)
    assert json.loads((Path(newest) / "config.json").read_text())["name"] == "newer"
    assert json.loads((Path(old) / "config.json").read_text())["name"] == "emoface-tiny"


def test_what_cannot_be_used_is_one_sentence(hub, tmp_path):
    answers = client(
        "lab/nobody",
        ("lab/face", "v9"),
        "lab/pickled",
        "lab/empty",
        "lab/gated",
        "no such folder",
        "./nowhere",
        "a/b/c",
        endpoint=hub.url,
        home=tmp_path,
    )
    expected = ["no model 'lab/nobody'", "no revision 'v9'", "only pickled weights (pytorch_model.bin)", "no config.json",
                "terms", "no model folder", "no model folder", "no model folder"]  # fmt: skip
    for answer, words in zip(answers, expected, strict=True):
        assert answer.startswith("ModelError: ") and words in answer and "\n" not in answer, answer
    offline, unplugged = (
        client("lab/other", endpoint=hub.url, home=tmp_path, HF_HUB_OFFLINE="1")
        + client("lab/other", endpoint="http://127.0.0.1:9", home=tmp_path)
    )  # fmt: skip
    assert "cannot be reached" in offline and "cannot be reached" in unplugged


def test_command_line_says_the_same_in_one_line(hub, tmp_path):
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "EMOFACE_MODEL": "lab/nobody"}
    command = [sys.executable, "-m", "emoface", "info"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "lab/nobody" in done.stderr


def test_the_papers_kind_of_encoder_by_its_id(hub, tmp_path):
    """A wav2vec 2.0 emotion classifier on the Hub, in float16, becomes an encoder, by itself or named by a model's configuration
    (as ``EmoFaceConfig.base()`` does); pickled ones are refused."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

    from emoface.configuration import EmoFaceConfig
    from emoface.modeling import EmoFaceModel

    from .test_encoders import TINY_WAV2VEC2

    model = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**TINY_WAV2VEC2))
    model.half().save_pretrained(tmp_path / "model")
    saved = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    hub.publish("lab/wav2vec2-emotion", saved)
    torch.save(model.state_dict(), tmp_path / "weights")
    hub.publish("lab/wav2vec2-pickled", {"config.json": saved["config.json"], "pytorch_model.bin": (tmp_path / "weights").read_bytes()})
    names = {"name": "lab/wav2vec2-emotion"}
    config = EmoFaceConfig.base(vertex_count=4, face_count=2, feature_size=32, content_encoder=names, emotion_encoder=names)
    EmoFaceModel(config).save_pretrained(tmp_path / "base")
    hub.publish("lab/base", {path.name: path.read_bytes() for path in (tmp_path / "base").iterdir()})
    script = """
import torch
from emoface.encoders import SpeechEncoder
from emoface.errors import ModelError
encoder = SpeechEncoder.from_pretrained("lab/wav2vec2-emotion").freeze()
print(encoder.config["name"], *encoder.hidden_states(torch.randn(16000)).shape, next(encoder.parameters()).dtype)
print(float(encoder.model.encoder.layers[0].attention.k_proj.weight.sum()))
from emoface.loading import load_components
_, content, emotion = load_components("lab/base")
print(content.config["name"], emotion.config["name"])
try:
    SpeechEncoder.from_pretrained("lab/wav2vec2-pickled")
except ModelError as error:
    print(error)
"""
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    shape, weight, named, message = done.stdout.splitlines()
    assert named == "lab/wav2vec2-emotion lab/wav2vec2-emotion"
    assert shape == "lab/wav2vec2-emotion 3 50 32 torch.float32"
    expected = model.wav2vec2.encoder.layers[0].attention.k_proj.weight.detach().float().sum()
    assert float(weight) == pytest.approx(float(expected), abs=1e-4)
    assert "not safetensors" in message


# ---- folders: the same checks without the client ---------------------------------------------------------------------


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        EmoFacePipeline.from_pretrained(folder, device="cpu")
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_embedded_is_the_default(monkeypatch):
    monkeypatch.delenv("EMOFACE_MODEL", raising=False)
    assert resolve_model() == resolve_model("embedded") == EMBEDDED_MODEL
    monkeypatch.setenv("EMOFACE_MODEL", "embedded")
    assert resolve_model() == EMBEDDED_MODEL


def test_corrupt_pickled_and_incomplete_folders(files, tmp_path):
    weights = files["model.safetensors"]
    assert "config.json" in refused(write(tmp_path / "a", {"model.safetensors": weights}))
    assert "model.safetensors" in refused(write(tmp_path / "b", {"config.json": files["config.json"]}))
    assert "pickled" in refused(write(tmp_path / "c", {"config.json": files["config.json"], "weights.pt": b"\x80\x02"}))
    assert "damaged" in refused(write(tmp_path / "d", {**files, "model.safetensors": weights[: len(weights) // 2]}))
    assert "damaged" in refused(write(tmp_path / "e", {**files, "model.safetensors": b"\x80\x02pickle"}))
    assert "damaged" in refused(write(tmp_path / "f", {**files, "config.json": b"{"}))
    assert "not an EmoFace" in refused(write(tmp_path / "g", {**files, "config.json": b'{"model_type": "bert"}'}))
    cut = {**files, "content_encoder/model.safetensors": files["content_encoder/model.safetensors"][:1000]}
    assert "content_encoder" in refused(write(tmp_path / "h", cut))


def test_wrong_topology(files, tmp_path):
    config = json.loads(files["config.json"])
    assert "do not fit" in refused(write(tmp_path / "a", {**files, "config.json": json.dumps({**config, "vertex_count": 5023}).encode()}))


def test_model_for_another_head(tmp_path):
    """Weights that agree with their own config but not with the head they claim to move."""
    import numpy as np
    import torch

    from emoface.configuration import EmoFaceConfig
    from emoface.loading import save_folder
    from emoface.modeling import EmoFaceModel
    from tests.tiny_model import WIDTH, tiny_encoder

    torch.manual_seed(0)
    config = EmoFaceConfig(vertex_count=4, face_count=2, feature_size=WIDTH, feature_layers=2, content_layer=1, emotion_layer=0,
                           hidden_size=16, attention_heads=2, spiral_length=3)  # fmt: skip
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    model = EmoFaceModel.from_topology(config, faces=np.array([[0, 1, 2], [0, 2, 3]]), template=square)
    save_folder(tmp_path, model, tiny_encoder(), None)
    message = refused(tmp_path)
    assert "4 vertices" in message and "4326" in message
