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

SELFTALK = """
import pickle
import torch, torch.nn as nn
from wav2vec import Wav2Vec2ForCTC, Wav2Vec2Model

class SelfTalk(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.audio_encoder, self.text_encoder = Wav2Vec2Model.from_pretrained("large"), Wav2Vec2ForCTC.from_pretrained("large")
        with open("vocaset/FLAME_masks.pkl", "rb") as file:
            self.lips = pickle.load(file, encoding="latin1")["lips"]
        self.lip_map, self.lm_head = nn.Linear(3 * len(self.lips), 8), nn.Linear(8, 33)
        self.audio_feature_map = nn.Linear(1024, args.feature_dim)
        layer = nn.TransformerDecoderLayer(args.feature_dim, 4, 2 * args.feature_dim, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, 1)
        self.vertice_map_r = nn.Linear(args.feature_dim, args.vertice_dim)

    def predict(self, audio, template):
        speech = self.audio_feature_map(self.audio_encoder(audio, "vocaset").last_hidden_state)
        vertices = self.vertice_map_r(self.transformer_decoder(speech, speech))
        lips = self.lip_map(vertices.unflatten(-1, (-1, 3))[:, :, self.lips].flatten(2))
        return vertices + template[:, None], lips, self.lm_head(lips)
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "faceformer.py").write_text(STAND_IN)
    (tmp_path / "SelfTalk.py").write_text(SELFTALK)
    (tmp_path / "wav2vec.py").write_text("class Wav2Vec2Model: pass\nclass Wav2Vec2ForCTC: pass")
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


def test_selftalk_has_no_speakers_and_its_lip_reader_is_not_needed(repository, tmp_path):
    network = official.random_network("selftalk")
    assert official.difference("selftalk", network, repository) < 1e-5
    source = repository / "SelfTalk.py"
    source.write_text(source.read_text().replace("(speech, speech)", "(speech, speech[:, :1])"))
    assert official.difference("selftalk", network, repository) > 1e-3

    names = {"audio.": "audio_feature_map.", "decoder.": "transformer_decoder.layers.0.", "vertices.": "vertice_map_r."}
    state = {}
    for key, value in network.state_dict().items():
        if ours := next((name for name in names if key.startswith(name)), None):
            state[names[ours] + key.removeprefix(ours)] = value
    state |= {"lip_map.weight": torch.zeros(4, 6), "text_encoder.lm_head.bias": torch.zeros(33), "transformer.encoder.norm.bias": torch.zeros(4)}
    torch.save(state, tmp_path / "vocaset.pth")
    read = official.build("selftalk", official.read_checkpoint(tmp_path / "vocaset.pth"))
    content = torch.randn(1, 5, 1, 1024, generator=torch.Generator().manual_seed(0))
    none = dict(style=torch.zeros(1, 0), level=torch.zeros(1, 2))
    assert torch.equal(read.animate(content, **none), network.animate(content, **none))
    del state["vertice_map_r.bias"]
    with pytest.raises(EmoFaceError, match="not weights of selftalk"):
        official.build("selftalk", state)


@pytest.mark.parametrize("large", [False, True])
def test_the_encoders_sizes_are_read_from_its_weights(large):
    """SelfTalk's encoder is a large one: it normalises each convolution and before each block, which no size tells."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    layers = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True) if large else {}
    sizes = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96, **layers)
    model = Wav2Vec2Model(Wav2Vec2Config(**sizes)).eval()
    state = {f"module.audio_encoder.{key}": value for key, value in model.state_dict().items()}
    encoder = official.encoder_of(state)
    sound = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoder.model(sound).last_hidden_state, model(sound).last_hidden_state)
    with pytest.raises(EmoFaceError, match="whole checkpoint"):
        official.encoder_of({key: value for key, value in state.items() if "projection" not in key})


def theirs(name: str) -> str:
    """The official name of one of our CodeTalker's weights."""
    if found := re.match(r"autoencoder\.(encoder|decoder)\.blocks\.(\d+)\.(\w+)\.(\w+)$", name):
        side, block, part, kind = found.groups()
        number = 2 * int(block) + (part in ("norm_dense", "l1", "l2"))
        return f"autoencoder.{side}.{side}_transformer.net.{number}.fn.{'norm' if part.startswith('norm') else f'fn.{part}'}.{kind}"
    for official_name, ours in official._RENAMED["codetalker"]:
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
