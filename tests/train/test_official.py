"""Official weights in our networks: names, sizes, a loader that runs no code, and the check against an original (here a plain stand-in)."""

import pickle
import re

import pytest
import torch

from emoface.errors import EmoFaceError
from train.baselines import official

STAND_IN = """
import torch, torch.nn as nn
from wav2vec import Wav2Vec2Model

class Faceformer(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.audio_encoder = Wav2Vec2Model.from_pretrained("base")
        self.d, self.period = args.feature_dim, args.period
        self.audio_feature_map = nn.Linear(768, self.d)
        self.vertice_map, self.vertice_map_r = nn.Linear(args.vertice_dim, self.d), nn.Linear(self.d, args.vertice_dim)
        layer = nn.TransformerDecoderLayer(self.d, 4, 2 * self.d, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, 1)
        self.obj_vector = nn.Linear(len(args.train_subjects.split()), self.d, bias=False)

    def predict(self, audio, template, one_hot):
        speech = self.audio_feature_map(self.audio_encoder(audio, "vocaset").last_hidden_state)
        style = self.obj_vector(one_hot)[:, None]
        tokens = style
        for _ in range(speech.shape[1]):
            t = torch.arange(tokens.shape[1])
            angle = (t % self.period)[:, None] * 10000 ** (-torch.arange(0, self.d, 2) / self.d)
            position = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
            lag = t[:, None] - t[None]
            slopes = torch.tensor([1 / 4, 1 / 16, 1 / 64, 1 / 256])[:, None, None]
            bias = torch.where(lag < 0, -torch.inf, -slopes * (lag // self.period))
            alone = t[:, None] != torch.arange(speech.shape[1])
            vertices = self.vertice_map_r(self.transformer_decoder(tokens + position, speech, tgt_mask=bias, memory_mask=alone))
            tokens = torch.cat([tokens, self.vertice_map(vertices[:, -1:]) + style], 1)
        return vertices + template[:, None]
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "faceformer.py").write_text(STAND_IN)
    (tmp_path / "wav2vec.py").write_text("class Wav2Vec2Model: pass")
    return tmp_path


def test_the_check_passes_for_the_same_arithmetic_and_fails_for_another(repository):
    network = official.random_network("faceformer")
    assert official.difference("faceformer", network, repository) < 1e-4
    source = repository / "faceformer.py"
    source.write_text(source.read_text().replace("1 / 16, ", "1 / 2, "))
    network.transformer_decoder.period = 3  # so that the slopes matter within a few frames
    assert official.difference("faceformer", network, repository) > 1e-4
    with pytest.raises(EmoFaceError, match="no usable copy"):
        official.difference("codetalker", official.random_network("codetalker"), repository)


def theirs(name: str) -> str:
    """The official name of one of our CodeTalker's weights."""
    if found := re.match(r"autoencoder\.(encoder|decoder)\.blocks\.(\d+)\.(\w+)\.(\w+)$", name):
        side, block, part, kind = found.groups()
        number = 2 * int(block) + (part in ("norm_dense", "l1", "l2"))
        return f"autoencoder.{side}.{side}_transformer.net.{number}.fn.{'norm' if part.startswith('norm') else f'fn.{part}'}.{kind}"
    for official_name, ours in official._RENAMED:
        if name.startswith(ours):
            return official_name + name.removeprefix(ours)
    return name


def test_a_checkpoint_is_read_with_its_sizes(tmp_path):
    network = official.random_network("codetalker", vertices=12)
    state = {f"module.{theirs(key)}": value for key, value in network.state_dict().items()}
    assert "module.autoencoder.encoder.encoder_transformer.net.1.fn.fn.l2.weight" in state and "module.autoencoder.decoder.expander.0.0.bias" in state
    state |= {"module.PPE.pe": torch.zeros(1, 3), "module.audio_encoder.feature_projection.projection.bias": torch.zeros(2)}
    path = tmp_path / "c.pth.tar"
    torch.save({"state_dict": state}, path)
    read = official.build("codetalker", official.read_checkpoint(path))
    assert read.unit == 1.0 and all(torch.equal(value, read.state_dict()[key]) for key, value in network.state_dict().items())
    with pytest.raises(EmoFaceError, match="not weights of faceformer"):
        official.build("faceformer", official.read_checkpoint(path))


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    path = tmp_path / "evil.pth"
    for content in (pickle.dumps(Evil()), b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(EmoFaceError, match="only tensors"):
            official.read_checkpoint(path)
    torch.save({"state_dict": Evil()}, path)
    with pytest.raises(EmoFaceError, match="only tensors"):
        official.read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    torch.save({"epoch": 3}, path)
    with pytest.raises(EmoFaceError, match="no weights"):
        official.read_checkpoint(path)
