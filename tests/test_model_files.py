"""Model folders as strangers make them: what runs nothing, takes no memory, and ends in one sentence."""

import inspect
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from emoface.configuration import EmoFaceConfig
from emoface.errors import ModelError
from emoface.hub import EMBEDDED_MODEL
from emoface.loading import load_components, load_folder
from emoface.model_files import EMOFACE_CHECKS
from tests.hub_server import HubServer
from tests.tiny_model import save_tiny_model

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("good"))


@pytest.fixture
def spoiled(good, tmp_path):
    """Changes a copy of a good model: settings of a config (None: the network's), or tensors by a function."""

    def spoil(*, part: str = "", settings=None, raw: str | None = None, tensors=None) -> Path:
        folder = tmp_path / "model"
        for file in good.rglob("*"):
            if file.is_file():
                (folder / file.relative_to(good)).parent.mkdir(parents=True, exist_ok=True)
                (folder / file.relative_to(good)).write_bytes(file.read_bytes())
        config, weights = folder / part / "config.json", folder / part / "model.safetensors"
        if settings is not None:
            config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))
        if raw is not None:
            config.write_text(raw)
        if tensors is not None:
            save_file(tensors(load_file(weights)), weights)
        return folder

    return spoil


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_components(folder)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 400, message
    return message


HUGE = (
    {"vertex_count": 2_000_000},
    {"hidden_size": 20_000},
    {"feature_layers": 10**9},
    {"spiral_length": 10**9},
    {"window": 1e12},
    {"period": 0},
    {"fps": 0},
    {"fps": "30"},
    {"hidden_size": [16]},
    {"hidden_size": None},
    {"dropout": float("nan")},
    {"emotion_window": float("inf")},
    {"style_names": "s1"},
    {"style_names": []},
    {"style_names": [None]},
    {"style_names": {"a": 1}},
    {"emotion_names": ["a"] * 8},
    {"content_encoder": []},
    {"content_encoder": {"name": 3}},
    {"content_layer": 7},
    {"attention_heads": 5},
    {"fusion": ["add"]},
    {"head": {}},
    {"name": None},
    {"feature_size": True},
    {"model_type": ["emoface"]},
    {"motion_unit": -1},
    {"temporal_window": 10**8},
)


@pytest.mark.parametrize("settings", HUGE, ids=str)
def test_configurations_that_cannot_be(spoiled, settings):
    refused(spoiled(settings=settings))


@pytest.mark.parametrize(
    "raw", ["[]", "null", '"emoface"', "3", "{", "[" * 100_000, '{"model_type": "emoface", "model_type"', " " * 2_000_000], ids=lambda raw: raw[:12]
)
def test_config_files_that_are_no_objects(spoiled, raw):
    refused(spoiled(raw=raw))


@pytest.mark.parametrize(
    "settings",
    [
        {"d_model": 10**6},
        {"encoder_layers": 10**9},
        {"encoder_layers": "2"},
        {"max_source_positions": 10**12},
        {"max_source_positions": 10},
        {"num_mel_bins": 0},
        {"encoder_attention_heads": 0},
        {"activation_function": "os.system"},
        {"model_type": None},
        {"model_type": []},
        {"encoder_attention_heads": 5},
    ],
    ids=str,
)
def test_encoder_configurations_that_cannot_be(spoiled, settings):
    refused(spoiled(part="content_encoder", settings=settings))


def changed(name, change):
    return lambda state: {**state, name: change(state[name])}


@pytest.mark.parametrize("part, tensors, words", [
    ("", changed("classifier.weight", lambda x: x.fill_(float("nan"))), "not numbers"),
    ("", changed("emotion_prototypes", lambda x: x.fill_(float("inf"))), "not numbers"),
    ("content_encoder", changed("conv1.weight", lambda x: x.fill_(float("nan"))), "not numbers"),
    ("", changed("classifier.weight", lambda x: x.to(torch.float8_e4m3fn)), "F8_E4M3"),
    ("", changed("classifier.weight", lambda x: x.to(torch.int8)), "I8"),
    ("", changed("classifier.weight", lambda x: x.bool()), "BOOL"),
    ("content_encoder", changed("conv1.weight", lambda x: x.to(torch.int8)), "I8"),
    ("", changed("spirals", lambda x: x.fill_(10**9)), "vertices that are not there"),
    ("", changed("faces", lambda x: x.fill_(-1)), "vertices that are not there"),
    ("", changed("faces", lambda x: x.float()), "F32"),
    ("", changed("template", lambda x: x[:5].contiguous()), "do not fit"),
    ("", lambda state: {key: value for key, value in state.items() if key != "template"}, "do not fit"),
    ("", lambda state: {**state, "extra": torch.zeros(3)}, "do not fit"),
    ("content_encoder", lambda state: {"x": torch.zeros(3)}, "do not fit"),
])  # fmt: skip
def test_weights_that_cannot_be(spoiled, part, tensors, words):
    assert words in refused(spoiled(part=part, tensors=tensors))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("part, words", [("", "no model.safetensors"), ("content_encoder", "ask its author")])
def test_a_pipe_in_place_of_weights_is_not_waited_for(spoiled, part, words):
    folder = spoiled()
    pipe = (folder / part if part else folder) / "model.safetensors"
    pipe.unlink()
    os.mkfifo(pipe)
    end = threading.Timer(10, lambda: os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)))  # whoever waits for it reads nothing
    end.start()
    try:
        with pytest.raises(ModelError, match=words):
            load_folder(folder)
    finally:
        end.cancel()


def test_every_setting_of_a_model_is_read_back(tmp_path):
    """A setting that nobody wrote a check for must not be dropped without a word."""
    import inspect

    from emoface.configuration import EmoFaceConfig
    from emoface.loading import load_config

    changed = {"bool": lambda x: not x, "int": lambda x: x + 2, "float": lambda x: x / 2 + 0.01}
    defaults = {a.name: a.default for a in inspect.signature(EmoFaceConfig.__init__).parameters.values() if type(a.default).__name__ in changed}
    settings = {
        name: changed[type(value).__name__](value)
        for name, value in defaults.items()
        if name not in ("fusion_layers", "hidden_size", "attention_heads")
    }
    settings["feedback_frames"] = 2  # one of two
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "emoface", **settings}))
    config = load_config(tmp_path)
    assert {name: getattr(config, name) for name in settings} == settings and len(settings) > 15


def test_the_page_falls_back_and_says_why(spoiled):
    from emoface.ui.model import choose_model

    folder, _, notice = choose_model(str(spoiled(settings={"fps": 0})), device="cpu")
    assert folder == EMBEDDED_MODEL and "fps = 0" in notice and notice.endswith("Until then the embedded model is used.")


def test_bfloat16_is_ordinary(good, spoiled):
    from emoface.loading import named_emotions

    half = lambda state: {key: value.to(torch.bfloat16) if value.is_floating_point() else value for key, value in state.items()}
    folder = spoiled(tensors=half)
    save_file(half(load_file(folder / "content_encoder" / "model.safetensors")), folder / "content_encoder" / "model.safetensors")
    (model, content, _), (expected, _, _) = load_components(folder), load_components(good)
    assert model.classifier.weight.dtype == content.model.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(model.classifier.weight, expected.classifier.weight, atol=1e-2, rtol=1e-2)
    assert len(named_emotions(folder)) == 8


def test_a_greedy_configuration_takes_no_memory(spoiled):
    """Within all bounds, yet far larger than the weights that come with it: 4.9 GB were it built."""
    folder = spoiled(settings={"hidden_size": 4096, "vertex_count": 100_000, "attention_heads": 2})
    script = f"""
import resource
from emoface.errors import ModelError
from emoface.loading import load_components, load_folder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_components({str(folder)!r})
except ModelError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=900, check=True)
    message, megabytes = done.stdout.strip().splitlines()
    assert "weights" in message and float(megabytes) < 300


def test_no_code_is_fetched_or_run(tmp_path, good):
    """A model whose encoder is another repository with ``auto_map`` and a kernel: the real client must never ask for a ``.py``."""
    evil = b"open('ran', 'w').write('x')\nraise SystemExit"
    remote = {
        "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"},
        "attn_implementation": "lab/kernel",
        "_attn_implementation": "lab/kernel",
        "trust_remote_code": True,
    }
    config = json.loads((good / "config.json").read_text())
    encoder = json.loads((good / "content_encoder" / "config.json").read_text())
    script = """
from emoface.errors import ModelError
from emoface.loading import load_components, load_folder
for name in ("lab/face", "lab/strange"):
    try:
        model, content, _ = load_components(name)
        print(content.model.config._attn_implementation)
    except ModelError as error:
        print("ModelError", error)
"""
    with HubServer() as hub:
        hub.publish(
            "lab/face",
            {
                "config.json": json.dumps({**config, **remote, "content_encoder": {"name": "lab/words"}}).encode(),
                "code.py": evil,
                "model.safetensors": (good / "model.safetensors").read_bytes(),
            },
        )
        hub.publish(
            "lab/words",
            {
                "config.json": json.dumps({**encoder, **remote}).encode(),
                "code.py": evil,
                "configuration_code.py": evil,
                "model.safetensors": (good / "content_encoder" / "model.safetensors").read_bytes(),
            },
        )
        hub.publish(
            "lab/strange",
            {
                "config.json": json.dumps({**config, "content_encoder": {"name": "lab/unknown"}}).encode(),
                "model.safetensors": (good / "model.safetensors").read_bytes(),
            },
        )
        hub.publish(
            "lab/unknown", {"config.json": json.dumps({"model_type": "mystery", **remote}).encode(), "code.py": evil, "model.safetensors": b"x"}
        )
        hub.publish("lab/kernel", {"build/torch-universal/kernel/__init__.py": evil})
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        import os

        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=900,
            input="y\ny\ny\n",
        )
        assert done.returncode == 0, done.stderr
        asked = [line for line in hub.requests if ".py" in line]
    first, second = done.stdout.splitlines()
    assert first == "sdpa" and second.startswith("ModelError") and "'mystery'" in second
    assert asked == [] and not (tmp_path / "ran").exists()


def test_every_setting_of_the_model_is_read_from_its_file():
    """A setting that the checks do not know would be dropped silently, and the model would load as another one."""
    settings = {name for name, p in inspect.signature(EmoFaceConfig.__init__).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert settings == set(EMOFACE_CHECKS)
