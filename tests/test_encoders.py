"""The encoders against transformers' own forward passes and feature extractor, and their clock."""

import numpy as np
import pytest
import torch

from emoface.clock import frame_count
from emoface.encoders import (
    SAMPLE_RATE,
    SpeechEncoder,
    log_mel,
    plan_windows,
    resample_frames,
)
from emoface.errors import AudioError, ModelError

TINY_WAV2VEC2 = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


def speechlike(seconds: float, seed: int = 0) -> torch.Tensor:
    """A buzz with moving formants and pauses: enough structure to exercise an encoder. (n,) float32."""
    generator = np.random.default_rng(seed)
    n = int(seconds * SAMPLE_RATE)
    time = np.arange(n) / SAMPLE_RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time)
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE))
    for formant in (500, 1500):
        buzz = buzz * (1 + 0.8 * np.sin(2 * np.pi * formant * (1 + 0.3 * np.sin(2 * np.pi * 2.3 * time)) * time / 9))
    loudness = np.clip(np.sin(2 * np.pi * 1.7 * time) + 0.3, 0, 1)
    return torch.from_numpy((0.1 * buzz * loudness + 0.001 * generator.standard_normal(n)).astype(np.float32))


def tiny_wav2vec2(seed: int = 0, resample: str = "after", **changes) -> SpeechEncoder:
    torch.manual_seed(seed)
    config = {"type": "wav2vec2", "config": {**TINY_WAV2VEC2, **changes}, "resample": resample}
    return SpeechEncoder(config).eval()


@pytest.fixture(scope="module")
def whisper() -> SpeechEncoder:
    return SpeechEncoder.from_pretrained().freeze()


def test_log_mel_equals_whispers_feature_extractor():
    from transformers import WhisperFeatureExtractor

    for seconds, gain in ((1.0, 1.0), (3.21, 0.01), (7.0, 5.0)):
        samples = gain * speechlike(seconds)
        expected = WhisperFeatureExtractor()(samples.numpy(), sampling_rate=SAMPLE_RATE, padding=False)
        expected = expected["input_features"][0]
        actual = log_mel(samples).numpy()
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_log_mel_with_a_fixed_reference_does_not_depend_on_the_rest_of_the_clip():
    quiet, loud = speechlike(2.0), 20 * speechlike(1.0, seed=1)
    both = torch.cat([quiet, loud])
    alone, together = log_mel(quiet, reference=1.0)[:, :190], log_mel(both, reference=1.0)[:, :190]
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    assert (log_mel(quiet)[:, :190] - log_mel(both)[:, :190]).abs().max() > 0.1


def test_whisper_equals_transformers_own_forward_pass(whisper):
    """transformers' WhisperEncoder accepts one length only: give it a position table of just that length."""
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    samples = speechlike(3.3)
    frames = whisper.frame_count(len(samples))
    padded = torch.nn.functional.pad(samples, (0, (frames + 50) * 320 - len(samples)))
    mel = WhisperFeatureExtractor()(padded.numpy(), sampling_rate=SAMPLE_RATE, padding=False)["input_features"]
    reference = WhisperEncoder(WhisperConfig(**{**whisper.config["config"], "max_source_positions": frames + 50}))
    state = whisper.model.state_dict()
    state["embed_positions.weight"] = state["embed_positions.weight"][: frames + 50]
    reference.load_state_dict(state)
    with torch.no_grad():
        output = reference.eval()(torch.as_tensor(np.array(mel)), output_hidden_states=True)
    states = whisper.hidden_states(samples)
    assert states.shape == (5, frames, 384)
    torch.testing.assert_close(states[-1], output.last_hidden_state[0, :frames], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(states[2], output.hidden_states[2][0, :frames], atol=2e-3, rtol=1e-3)


def test_whisper_position_table_is_whispers_formula(whisper):
    from train.tools.convert_whisper import sinusoids

    np.testing.assert_allclose(whisper.model.embed_positions.weight, sinusoids(1500, 384), atol=5e-4)


def test_position_moves_a_clip_along_the_table(whisper):
    """The embeddings change by exactly the table's rows; a position too far for the clip is lowered."""
    samples = speechlike(1.0)
    table = whisper.model.embed_positions.weight
    at_zero, moved = whisper.hidden_states(samples), whisper.hidden_states(samples, position=700)
    torch.testing.assert_close(moved[0] - at_zero[0], table[700:750] - table[:50], atol=1e-5, rtol=0)
    assert torch.equal(whisper.hidden_states(samples, position=9999), whisper.hidden_states(samples, position=1400))


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 16000, 16001, 30001, 46407])
def test_lengths_are_exact(whisper, samples):
    expected = -(-samples * 50 // SAMPLE_RATE)
    speech = speechlike(3.0)[:samples]
    assert whisper.hidden_states(speech).shape == (5, expected, 384)
    assert tiny_wav2vec2().hidden_states(speech).shape == (3, expected, 32)
    assert tiny_wav2vec2(resample="before").hidden_states(speech).shape == (3, -(-samples * 30 // SAMPLE_RATE), 32)
    assert whisper.frame_features(speech).shape == (5, frame_count(samples, 30), 384)


def test_long_clips_are_the_windows_joined_in_the_middle(whisper):
    """40 s are two windows of 29 s: outside the cross-fade the result is one window's own pass, inside it a blend."""
    samples = speechlike(40.0)
    long = whisper.hidden_states(samples)
    assert long.shape == (5, 2000, 384)
    mel = whisper._front_end(samples, None)
    first, second = whisper._encode(mel, 0, 1450), whisper._encode(mel, 550, 2000)
    torch.testing.assert_close(long[:, :975], first[:, :975])
    torch.testing.assert_close(long[:, 1025:], second[:, 475:])
    halfway = (first[:, 999:1001] + second[:, 449:451]) / 2
    torch.testing.assert_close(long[:, 999:1001].mean(1), halfway.mean(1), atol=0.1, rtol=0.05)


@pytest.mark.parametrize("samples", [41 * 16000 + 7, 58 * 16000, 95 * 16000 + 1])
@pytest.mark.parametrize("resample", ["after", "before"])
def test_windowed_and_single_pass_agree_for_a_local_encoder(samples, resample):
    """An encoder without attention sees only its neighbourhood, so windows must change nothing at all."""
    encoder = tiny_wav2vec2(resample=resample, feat_extract_norm="layer", do_stable_layer_norm=True)
    for layer in encoder.model.encoder.layers:
        torch.nn.init.zeros_(layer.attention.out_proj.weight)
    speech = speechlike(100.0)[:samples]
    windowed = encoder.hidden_states(speech)
    encoder.window = 10**9
    single = encoder.hidden_states(speech)
    assert windowed.shape == single.shape == (3, encoder.frame_count(samples), 32)
    torch.testing.assert_close(windowed, single, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("make", [tiny_wav2vec2, SpeechEncoder.from_pretrained], ids=["wav2vec2", "whisper"])
@pytest.mark.parametrize("seconds", [1.0, 40.0])
@torch.no_grad()
def test_the_last_states_can_be_had_alone(make, seconds):
    encoder, samples = make().freeze(), speechlike(seconds)
    assert torch.equal(encoder.hidden_states(samples, layers=2), encoder.hidden_states(samples)[-2:])
    assert torch.equal(encoder.frame_features(samples, layers=1), encoder.frame_features(samples)[-1:])


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", [tiny_wav2vec2, SpeechEncoder.from_pretrained], ids=["wav2vec2", "whisper"])
@torch.no_grad()
def test_reduced_precision_hears_the_same(make, precision):
    """As on a GPU: the states keep the parameters' type, the features on the mesh's clock are float32 and close to the full ones."""
    encoder, samples = make().freeze(), speechlike(2.0)
    full = encoder.frame_features(samples)
    encoder.to(precision)
    assert encoder.hidden_states(samples).dtype == precision
    features = encoder.frame_features(samples)
    assert features.dtype == torch.float32
    error = (features - full).square().mean().sqrt() / full.square().mean().sqrt()
    assert 0 < error < (0.03 if precision == torch.bfloat16 else 0.005)


def test_plan_windows_covers_everything_with_full_windows():
    for frames in (1, 1450, 1451, 2000, 2650, 2651, 30000):
        windows = plan_windows(frames, 1450, 250)
        assert windows[0][0] == 0 and windows[-1][1] == frames
        for (_, before), (start, stop) in zip(windows, windows[1:]):
            assert before - start >= 250 and stop - start == 1450


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_wav2vec2_equals_transformers_own_forward_pass(norm):
    encoder = tiny_wav2vec2(feat_extract_norm=norm, do_stable_layer_norm=norm == "layer")
    samples = speechlike(2.0)[:31777]
    frames = encoder.frame_count(len(samples))
    normal = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
    padded = torch.zeros(400 + 320 * (frames - 1))
    padded[200 : 200 + len(samples)] = normal[: len(padded) - 200]
    with torch.no_grad():
        output = encoder.model(padded[None], output_hidden_states=True)
        states = encoder.hidden_states(samples)
    torch.testing.assert_close(states[-1], output.last_hidden_state[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(states[1], output.hidden_states[1][0], atol=1e-5, rtol=1e-5)


def test_wav2vec2_normalisation_equals_its_feature_extractor():
    from transformers import Wav2Vec2FeatureExtractor

    samples = 0.2 + 3 * speechlike(1.0)
    expected = Wav2Vec2FeatureExtractor()(samples.numpy(), sampling_rate=SAMPLE_RATE)["input_values"][0]
    actual = tiny_wav2vec2()._front_end(samples, None)
    np.testing.assert_allclose(actual[200:-80], np.asarray(expected)[: len(actual) - 280], atol=1e-4)


@pytest.mark.parametrize("make", [tiny_wav2vec2, SpeechEncoder.from_pretrained], ids=["wav2vec2", "whisper"])
def test_a_click_lands_on_its_frame(make):
    """Frame j is centred on 0.02 j s: a click at 1.0 s changes the front end's features around frame 50."""
    silence = 1e-3 * torch.randn(32000, generator=torch.Generator().manual_seed(0))
    click = silence.clone()
    click[16000] += 0.5
    encoder = make()
    with torch.no_grad():
        if encoder.kind == "whisper":
            encoder.model.layers = encoder.model.layers[:0]  # the convolutions alone are local
            before, after = (encoder.hidden_states(x, reference=1.0)[-1] for x in (silence, click))
        else:
            convolutions = tiny_wav2vec2(feat_extract_norm="layer").model.feature_extractor
            padded = (torch.nn.functional.pad(x, (200, 80)) for x in (silence, click))
            before, after = (convolutions(x[None])[0].T for x in padded)
    energy = (after - before).square().sum(-1)
    centre = (energy * torch.arange(len(energy))).sum() / energy.sum()
    assert abs(centre - 50) < 0.75


def test_resample_frames_reads_the_clock_and_holds_the_end():
    ramp = (torch.arange(50) * 0.02).view(1, 50, 1)  # the value is the time
    frames = resample_frames(ramp, 32)
    torch.testing.assert_close(frames[0, :30, 0], torch.arange(30) / 30, atol=1e-5, rtol=0)
    assert torch.allclose(frames[0, 30:, 0], ramp[0, -1, 0])
    gradient = torch.ones(2, 50, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resample_frames(x, 30), gradient)


def test_freeze_survives_train_mode():
    encoder = tiny_wav2vec2().freeze()
    encoder.train()
    assert not encoder.training and not any(p.requires_grad for p in encoder.parameters())
    samples = speechlike(1.0)
    assert torch.equal(encoder.hidden_states(samples), encoder.hidden_states(samples))
    assert not encoder.hidden_states(samples).requires_grad


def test_unfrozen_encoders_learn_and_freeze_feature_encoder_stops_the_convolutions():
    encoder = tiny_wav2vec2().train()
    encoder.freeze_feature_encoder()
    encoder.hidden_states(speechlike(1.0)).square().mean().backward()
    assert encoder.model.encoder.layers[0].feed_forward.output_dense.weight.grad is not None
    assert encoder.model.feature_extractor.conv_layers[0].conv.weight.grad is None


def test_saved_encoder_loads_again(tmp_path):
    import json

    from safetensors.torch import save_file

    encoder = tiny_wav2vec2(seed=3)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2", **TINY_WAV2VEC2}))
    save_file({key: value.contiguous() for key, value in encoder.model.state_dict().items()}, tmp_path / "model.safetensors")
    samples = speechlike(1.0)
    with torch.no_grad():
        assert torch.equal(SpeechEncoder.from_pretrained(tmp_path).hidden_states(samples), encoder.hidden_states(samples))
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04not safetensors")
    with pytest.raises(ModelError, match="safetensors"):
        SpeechEncoder.from_pretrained(tmp_path)


def test_checkpoints_with_heads_give_their_encoders(tmp_path):
    """Recognisers and classifiers, as they are published: the encoder inside, and never random weights in silence."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification, WhisperConfig, WhisperForConditionalGeneration

    small = {"encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_layers": 1}
    tokens = {"vocab_size": 100, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    whisper = WhisperForConditionalGeneration(WhisperConfig(d_model=32, decoder_attention_heads=2, decoder_ffn_dim=64, **small, **tokens))
    classifier = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**TINY_WAV2VEC2))
    for name, model, inside in (
        ("whisper", whisper, whisper.model.encoder),
        ("wav2vec2", classifier, classifier.wav2vec2),
    ):
        model.save_pretrained(tmp_path / name)
        loaded = SpeechEncoder.from_pretrained(tmp_path / name).model.state_dict()
        for key, value in inside.state_dict().items():
            assert torch.equal(loaded[key], value), key

    from safetensors.torch import load_file, save_file

    weights = tmp_path / "wav2vec2" / "model.safetensors"
    kept = {key: value for key, value in load_file(weights).items() if "layers.1.attention.k_proj.weight" not in key}
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="missing"):
        SpeechEncoder.from_pretrained(tmp_path / "wav2vec2")


def test_wrong_use_is_one_sentence():
    with pytest.raises(ModelError, match="'hubert'"):
        SpeechEncoder({"type": "hubert", "config": {}})
    with pytest.raises(ModelError, match="resample"):
        SpeechEncoder({"type": "whisper", "config": {}, "resample": "before"})
    with pytest.raises(AudioError, match="one channel"):
        tiny_wav2vec2().hidden_states(torch.zeros(2, 100))
    with pytest.raises(AudioError, match="one channel"):
        tiny_wav2vec2().hidden_states(torch.zeros(0))
