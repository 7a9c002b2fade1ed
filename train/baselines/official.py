"""Official weights of FaceFormer, CodeTalker and SelfTalk in our networks, and a check of the arithmetic against the original code.

``python -m train.baselines.official faceformer --checkpoint vocaset.pth --speech hello.wav --speaker 0 --out hello.npy`` animates a recording
(offsets (T, 5023, 3) in metres from the template). ``--reference DIR`` takes the same weights, loaded or random, through the original's own code in
DIR (a copy of its repository, which is run as it is) and prints how far the vertices lie apart. Files are read with ``weights_only``: a
checkpoint cannot run code.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from emoface.errors import EmoFaceError

from .codetalker import CodeTalker
from .common import Baseline, DataShape
from .faceformer import FaceFormer
from .selftalk import SelfTalk

KINDS = {"faceformer": FaceFormer, "codetalker": CodeTalker, "selftalk": SelfTalk}
ENCODER = "audio_encoder."
_SELFTALK_LIPS = 254
"""Lip vertices of FLAME, four of them twice."""
_BLOCK = re.compile(r"^autoencoder\.(encoder|decoder)\.\1_transformer\.net\.(\d+)\.fn\.(norm|fn\.(\w+))\.(weight|bias)$")
_CODETALKER_NAMES = (
    ("autoencoder.encoder.vertice_mapping.0.", "autoencoder.vertice_mapping."),
    ("autoencoder.encoder.squasher.0.0.", "autoencoder.encoder.convolution."),
    ("autoencoder.decoder.expander.0.0.", "autoencoder.decoder.convolution."),
    ("autoencoder.encoder.encoder_linear_embedding.net.", "autoencoder.encoder.embedding."),
    ("autoencoder.decoder.decoder_linear_embedding.net.", "autoencoder.decoder.embedding."),
    ("autoencoder.decoder.vertice_map_reverse.", "autoencoder.vertice_map_reverse."),
    ("autoencoder.quantize.embedding.", "autoencoder.codebook."),
)
_RENAMED: dict[str, tuple[tuple[str, str], ...]] = {
    "faceformer": (),
    "codetalker": _CODETALKER_NAMES,
    "selftalk": (("audio_feature_map.", "audio."), ("transformer_decoder.layers.0.", "decoder."), ("vertice_map_r.", "vertices.")),
}
"""Beginnings of names, theirs and ours."""
_TRAINING_ONLY = {"selftalk": ("text_encoder.", "lip_map.", "transformer.", "lm_head.")}
"""What reads the lips, and the recogniser that teaches it: the original runs the reader in ``predict`` too, and does nothing with its answer."""


def our_name(method: str, key: str) -> str | None:
    """Our name of a weight of an official checkpoint; None for what no face needs (tables of positions, the lip reader)."""
    key = key.removeprefix("module.")
    if key.endswith(".pe") or key.startswith(_TRAINING_ONLY.get(method, ())):
        return None
    if found := _BLOCK.match(key):
        side, number, _, layer, kind = found.groups()
        norm = "norm_attention" if int(number) % 2 == 0 else "norm_dense"
        return f"autoencoder.{side}.blocks.{int(number) // 2}.{layer or norm}.{kind}"
    for theirs, ours in _RENAMED[method]:
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors by the original's names, whatever they are wrapped in.

    Raises:
        EmoFaceError: the file is missing, damaged, or holds more than tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise EmoFaceError(f"{path} is not a checkpoint that holds only tensors; ask its author for one, or for safetensors.") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise EmoFaceError(f"{path} holds no weights of a network; give the file that the method's authors publish.")
    return state


def build(name: str, state: dict[str, Tensor]) -> Baseline:
    """Our network with these weights, in metres; the sizes are read from them.

    Raises:
        EmoFaceError: weights of another network, or some are missing.
    """
    ours = {
        ours: value.float()
        for key, value in state.items()
        if not key.removeprefix("module.").startswith(ENCODER) and (ours := our_name(name, key)) is not None
    }
    try:
        network = KINDS[name](shape_of(name, ours), unit=1.0, dropout=0.0, **sizes_of(name, ours))
        drawn = {key: value for key, value in network.state_dict().items() if key.startswith("reader.")}  # no face comes from it
        network.load_state_dict({**drawn, **ours})
    except (KeyError, RuntimeError) as error:
        raise EmoFaceError(f"These are not weights of {name}: {str(error).splitlines()[0]}. Choose the other method or another file.") from error
    return network.eval()


def shape_of(name: str, weights: dict[str, Tensor]) -> DataShape:
    """Counts of vertices, features and speakers (SelfTalk has none)."""
    if name == "selftalk":
        return unmasked(len(weights["vertices.bias"]) // 3, weights["audio.weight"].shape[1], 0)
    style = weights["obj_vector.weight"].shape[1] if name == "faceformer" else weights["learnable_style_emb.weight"].shape[0]
    return unmasked(weights["vertice_map.weight"].shape[1] // 3, weights["audio_feature_map.weight"].shape[1], style)


def unmasked(vertices: int, features: int, styles: int) -> DataShape:
    """For a network that only animates: which vertices are lips or lids matters in training alone."""
    first = np.zeros(1, int)
    return DataShape(vertices, features, 1, styles, first, np.zeros(vertices), first, looked=first)


def sizes_of(name: str, weights: dict[str, Tensor]) -> dict:
    if name == "selftalk":
        return dict(hidden=weights["vertices.weight"].shape[1], reader_layers=1)

    def deepest(pattern: str) -> int:
        return 1 + max(int(found[1]) for key in weights if (found := re.match(pattern, key)))

    sizes = dict(hidden=weights["vertice_map.weight"].shape[0], layers=deepest(r"transformer_decoder\.layers\.(\d+)\."))
    if name == "codetalker":
        entries, size = weights["autoencoder.codebook.weight"].shape
        sizes |= dict(
            entries=entries,
            size=size,
            tokens=weights["feat_map.weight"].shape[0] // size,
            code_layers=deepest(r"autoencoder\.encoder\.blocks\.(\d+)\."),
            code_feedforward=weights["autoencoder.encoder.blocks.0.l1.weight"].shape[0],
        )
    return sizes


def encoder_of(state: dict[str, Tensor]):
    """The wav2vec 2.0 encoder that was trained along (base; SelfTalk: large), resampled before its transformer as the originals do."""
    from emoface.encoders import SpeechEncoder, _encoder_name

    rename = _encoder_name("wav2vec2")
    given = {
        rename(key.removeprefix("module.").removeprefix(ENCODER)): value
        for key, value in state.items()
        if key.removeprefix("module.").startswith(ENCODER)
    }
    encoder = SpeechEncoder({"type": "wav2vec2", "config": encoder_sizes(given), "resample": "before"})
    missing = set(encoder.model.state_dict()) - set(given) - {"masked_spec_embed"}
    if missing:
        raise EmoFaceError(f"The checkpoint lacks the speech encoder's {sorted(missing)[0]}; give a whole checkpoint.")
    encoder.model.load_state_dict(given, strict=False)
    return encoder.eval()


def encoder_sizes(weights: dict[str, Tensor]) -> dict:
    """Settings of a wav2vec 2.0 encoder, read from its weights. The large ones normalise every convolution, and before each block.

    Raises:
        EmoFaceError: these are no weights of such an encoder.
    """
    try:
        width = len(weights["feature_projection.projection.bias"])
        large = "feature_extractor.conv_layers.1.layer_norm.weight" in weights
        depth = len({key.split(".")[2] for key in weights if key.startswith("encoder.layers.")})
        feedforward = len(weights["encoder.layers.0.feed_forward.intermediate_dense.bias"])
    except KeyError as error:
        raise EmoFaceError(f"The checkpoint lacks the speech encoder's {error.args[0]}; give a whole checkpoint.") from error
    style = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True) if large else {}
    return dict(hidden_size=width, num_hidden_layers=depth, num_attention_heads=width // 64, intermediate_size=feedforward, **style)


# ---- against the original ----------------------------------------------------------------------------------------------


class Heard(nn.Module):
    """Stands in for the original's speech encoder: what it is given has been heard already."""

    def __init__(self):
        super().__init__()
        self.feature_extractor = SimpleNamespace(_freeze_parameters=lambda: None)

    def forward(self, audio: Tensor, dataset: str, frame_num: int | None = None) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=audio)


@contextmanager
def importing_from(folder: Path):
    """Modules of the original repository, and none of them afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]


def original(name: str, network: Baseline, folder: Path) -> nn.Module:
    """The original's own network of the same sizes, with a stand-in for its speech encoder.

    Raises:
        EmoFaceError: the folder holds no copy of the repository.
    """
    module, kind_name = {
        "faceformer": ("faceformer", "Faceformer"),
        "codetalker": ("models.stage2", "CodeTalker"),
        "selftalk": ("SelfTalk", "SelfTalk"),
    }[name]
    data = network.data
    if isinstance(network, SelfTalk):
        hidden, heads, period, layers = network.vertices.in_features, network.decoder.self_attn.num_heads, 30, 1
    else:
        decoder = network.transformer_decoder
        hidden, heads, period, layers = decoder.hidden, decoder.heads, decoder.period, len(decoder.layers)
    args = SimpleNamespace(
        dataset="vocaset",
        vertice_dim=3 * data.vertices,
        feature_dim=hidden,
        period=period,
        device="cpu",
        train_subjects=" ".join(map(str, range(data.styles))),
        n_head=heads,
        num_layers=layers,
        wav2vec2model_path="",
        autoencoder="stage1_vocaset",
        vqvae_pretrained_path="",
        quant_factor=0,
        neg=0.2,
        INaffine=False,
        in_dim=3 * data.vertices,
    )
    if isinstance(network, CodeTalker):
        book, block = network.autoencoder, network.autoencoder.encoder.blocks[0]
        args.n_embed, args.zquant_dim = book.codebook.weight.shape
        args.hidden_size, args.face_quan_num = book.vertice_mapping.out_features, book.vertice_mapping.out_features // book.size
        args.num_hidden_layers, args.num_attention_heads, args.intermediate_size = len(book.encoder.blocks), block.heads, block.l1.out_features
    with importing_from(folder.resolve()):
        try:
            source = importlib.import_module(module)
            kind = getattr(source, kind_name)
            # Its encoder is not wanted, and the codebook's file is not there: both come from the weights copied below.
            nothing = patch.object(source.torch, "load", lambda *_, **__: {"state_dict": {}})
            lenient = patch.object(nn.Module, "load_state_dict", lambda *_, **__: None)
            with ExitStack() as patches:
                for change in (nothing, lenient, *_stand_ins(name, source, data.vertices)):
                    patches.enter_context(change)
                theirs = kind(args)
        except ImportError as error:
            raise EmoFaceError(f"{folder} holds no usable copy of {name}'s repository, or a package that it needs is missing ({error}).") from error
    ours = network.state_dict()
    names = {key: our_name(name, key) for key in theirs.state_dict()}
    theirs.load_state_dict({key: ours[name] for key, name in names.items() if name is not None}, strict=False)
    return theirs.eval()


def _stand_ins(name: str, source, vertices: int) -> list:
    """For the encoder and, in SelfTalk, for the recogniser and the lip vertices' file, which only its lip reader needs."""
    heard = SimpleNamespace(from_pretrained=lambda *_: Heard())
    if name != "selftalk":
        return [patch.object(source, "Wav2Vec2Model", heard)]
    lips = {"lips": np.arange(_SELFTALK_LIPS) % vertices}
    return [
        *(patch.object(source, kind, heard) for kind in ("Wav2Vec2Model", "Wav2Vec2ForCTC")),
        patch.object(source, "open", lambda *_: nullcontext(), create=True),
        patch.object(source, "pickle", SimpleNamespace(load=lambda *_, **__: lips)),
    ]


@torch.no_grad()
def difference(name: str, network: Baseline, folder: Path, *, frames: int = 12, seed: int = 0) -> float:
    """Largest distance in metres between a coordinate of our answer and of the original's, on random speech, over all speakers."""
    theirs, data = original(name, network, folder), network.data
    content = torch.randn(1, frames, data.features, generator=torch.Generator().manual_seed(seed))
    template, gaps = torch.zeros(1, 3 * data.vertices), []
    for speaker in torch.eye(data.styles).split(1) if data.styles else torch.zeros(1, 1, 0):
        ours = network.animate(content[:, :, None], style=speaker, level=torch.zeros(1, 2)).flatten(2)
        answer = theirs.predict(content, template, speaker) if data.styles else theirs.predict(content, template)[0]
        gaps.append(float((answer - ours).abs().max()))
    return max(gaps)


def random_network(name: str, *, vertices: int = 50) -> Baseline:
    """A small one whose weights move the face, for the check without a checkpoint."""
    torch.manual_seed(0)
    small, last = {
        "faceformer": ({}, "vertice_map_r"),
        "codetalker": (dict(hidden=32, layers=2, tokens=4, size=8, entries=16, code_layers=2, code_heads=4, code_feedforward=48), "feat_map"),
        "selftalk": (dict(hidden=64, reader_layers=1), "vertices"),
    }[name]
    data = unmasked(vertices, 1024 if name == "selftalk" else 768, 0 if name == "selftalk" else 8)
    network = KINDS[name](data, unit=1.0, dropout=0.0, **small)
    nn.init.normal_(network.get_submodule(last).weight, std=0.3)
    if name == "codetalker":
        nn.init.normal_(network.autoencoder.codebook.weight)
    return network.eval()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m train.baselines.official", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", choices=KINDS)
    parser.add_argument("--checkpoint", type=Path, help="official weights for VOCASET; left out: random ones, for --reference")
    parser.add_argument("--reference", type=Path, help="a copy of the original's repository; its code is run")
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--speaker", type=int, default=0, help="which training speaker's style (SelfTalk has none)")
    parser.add_argument("--out", type=Path, help="offsets (T, V, 3) in metres, .npy")
    options = parser.parse_args(arguments)
    try:
        state = read_checkpoint(options.checkpoint) if options.checkpoint else None
        network = build(options.method, state) if state is not None else random_network(options.method)
        if options.reference:
            print(f"{options.method}: ours and the original differ by at most {difference(options.method, network, options.reference):.1e} m")
        if options.speech:
            if state is None or options.out is None:
                raise EmoFaceError("Animating needs --checkpoint and --out.")
            np.save(options.out, animate(network, encoder_of(state), options.speech, options.speaker))
    except EmoFaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


@torch.inference_mode()
def animate(network: Baseline, encoder, speech: Path, speaker: int) -> np.ndarray:
    """(T, V, 3) float32 offsets at 30 fps."""
    from emoface.audio import load_audio

    styles = network.data.styles
    if styles and not 0 <= speaker < styles:
        raise EmoFaceError(f"The weights know speakers 0 to {styles - 1}, not {speaker}.")
    heard = encoder.frame_features(torch.from_numpy(load_audio(speech).samples), layers=1)[0]
    style = torch.eye(styles)[speaker : speaker + 1] if styles else torch.zeros(1, 0)
    return network.animate(heard[None, :, None], style=style, level=torch.zeros(1, 2))[0].numpy()


if __name__ == "__main__":
    raise SystemExit(main())
