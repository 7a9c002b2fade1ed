"""The whole way from speech to skin as one ONNX file: Whisper's encoder, both branches, Mesh Attention.

    python -m train.tools.export_onnx OUTPUT.onnx [--model PATH_OR_ID] [--level normal] [--measure SPEECH]

Needs the packages onnx and onnxruntime. The graph takes what :func:`inputs_of` makes from a recording and gives ``offsets`` (T, S, 3), metres from the
template, for a named emotion:

    samples   (n,) float32, 16 kHz, from the first sound on, as :func:`emoface.conditioning.condition` leaves them, a multiple of 320, at most 28 s
    prosody   (T, 3) float32, :mod:`emoface.prosody` on the mesh's clock
    emotion   () int64, one of the names in the file's metadata

It is one pass over the whole recording, not a stream. Weights that the checkpoint holds in float16 are stored so and computed in float32: nothing is lost.
``--measure`` prints how far the answer is from torch's, and seconds of computation for each second of speech on one and two threads.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emoface import EmoFacePipeline
from emoface.audio import Audio, load_audio
from emoface.clock import frame_count
from emoface.conditioning import condition
from emoface.decoder import bias_slopes, periodic_encoding
from emoface.encoders import SAMPLES_PER_FRAME, _mel_filters, resample_frames
from emoface.errors import EmoFaceError
from emoface.lead import Lead
from emoface.neighbours import neighbour_mean
from emoface.prosody import on_mesh_clock, prosody
from emoface.whisper_stream import block

WINDOW, HOP, TAIL = 400, 160, 16000  # Whisper's spectrum, and the silence that it hears after the speech, in samples
OPSET = 17


class LogMel(nn.Module):
    """:func:`emoface.encoders.log_mel` with the Fourier transform as a convolution."""

    def __init__(self, bands: int):
        super().__init__()
        angle = 2 * np.pi * np.arange(WINDOW // 2 + 1)[:, None] * np.arange(WINDOW)[None] / WINDOW
        waves = np.concatenate([np.cos(angle), -np.sin(angle)]) * torch.hann_window(WINDOW, dtype=torch.float64).numpy()
        self.register_buffer("waves", torch.from_numpy(waves.astype(np.float32)).unsqueeze(1))
        self.register_buffer("filters", torch.from_numpy(_mel_filters(bands)))

    def forward(self, samples: Tensor) -> Tensor:
        """(n,) -> (bands, n // 160)."""
        padded = F.pad(samples[None, None], (WINDOW // 2, WINDOW // 2), mode="reflect")
        real, imaginary = F.conv1d(padded, self.waves, stride=HOP)[0, :, :-1].chunk(2)
        log_power = (self.filters @ (real.square() + imaginary.square())).clamp(min=1e-10).log10()
        return (torch.maximum(log_power, log_power.max() - 8) + 4) / 4


@torch.jit.script
def free_running(
    tokens: Tensor,
    speech: Tensor,
    start: Tensor,
    slopes: Tensor,
    qkv: Tensor,
    qkv_bias: Tensor,
    out: Tensor,
    out_bias: Tensor,
    heard: Tensor,
    heard_bias: Tensor,
    spoken: Tensor,
    spoken_bias: Tensor,
    expand: Tensor,
    expand_bias: Tensor,
    contract: Tensor,
    contract_bias: Tensor,
    left: Tensor,
    left_bias: Tensor,
    feedback: Tensor,
    feedback_bias: Tensor,
    window: int,
    period: int,
    mean: bool,
) -> Tensor:
    """:class:`emoface.decoder.BranchLoop` of B branches, one row, as a loop that can be written into a file.

    Tokens and speech (T, B, 1, d), start (B, 1, d), and the loop's weights and biases in the order of a step -> hidden states (T, B, 1, d).
    """
    branches, size, heads = start.size(0), start.size(2), slopes.size(0)
    width = size // heads
    motion, last = start, start
    keys, values = torch.zeros(branches, heads, 0, width), torch.zeros(branches, heads, 0, width)
    states = torch.zeros(0, branches, 1, size)
    for t in range(tokens.size(0)):
        x = motion + tokens[t]
        parts = torch.baddbmm(qkv_bias, x, qkv).view(branches, 3, heads, 1, width)
        keys = torch.cat([keys, parts[:, 1]], dim=2)[:, :, -window:]
        values = torch.cat([values, parts[:, 2]], dim=2)[:, :, -window:]
        count = keys.size(2)
        lag = torch.div(count - 1 - torch.arange(count), period, rounding_mode="floor")
        scores = torch.matmul(parts[:, 0], keys.transpose(2, 3)) / width**0.5 - slopes[None, :, None, None] * lag
        mixed = torch.matmul(scores.softmax(-1), values).view(branches, 1, size)
        x = torch.layer_norm(x + torch.baddbmm(out_bias, mixed, out), [size]) * heard + heard_bias
        x = torch.layer_norm(x + speech[t], [size]) * spoken + spoken_bias
        inner = torch.relu(torch.baddbmm(expand_bias, x, expand))
        x = torch.layer_norm(x + torch.baddbmm(contract_bias, inner, contract), [size]) * left + left_bias
        said = torch.baddbmm(feedback_bias, x, feedback)
        motion = (said + last) / 2 if mean else said
        last = said
        states = torch.cat([states, x[None]])
    return states


class SpeechToSkin(nn.Module):
    """See the module; for a model whose branches hear one Whisper encoder and whose second Mesh Attention layer is pointwise, as the shipped one."""

    @torch.no_grad()
    def __init__(self, pipe: EmoFacePipeline, *, level: str):
        super().__init__()
        model, config = pipe.model, pipe.model.config
        if (
            pipe.content_encoder.kind != "whisper"
            or config.fusion != "mesh_attention"
            or not isinstance(model.mesh_attention.second, nn.Linear)
            or not config.prosody
        ):
            raise EmoFaceError("Only models like the shipped one can be written as ONNX: with Whisper, prosody and a pointwise Mesh Attention.")
        self.model, self.encoder = model, pipe.content_encoder.model
        self.log_mel = LogMel(self.encoder.config.num_mel_bins)
        self.names = model.named_emotions(config.level_names.index(level))
        conditions = model.conditions(style=config.default_style, level=level)
        shown = [model.committed(pipe.chosen_emotion(name, None, level=level), conditions["level"])[0, 0] for name in self.names]
        self.register_buffer("emotions", torch.stack(shown))
        self.loop = model.branch_loop(**conditions)
        self.register_buffer("positions", periodic_encoding(0, config.period, config.hidden_size, period=config.period))
        self.register_buffer("vertex", model.vertex_term().permute(2, 0, 1).contiguous())  # (H, D, N)
        half = 0.5 * neighbour_mean(model.faces.numpy(), config.vertex_count)
        half.setdiag(half.diagonal() + 0.5)
        half = half.tocsr()
        most = int(np.diff(half.indptr).max())
        where, share = np.zeros((config.vertex_count, most), np.int64), np.zeros((config.vertex_count, most), np.float32)
        for v, (begin, end) in enumerate(zip(half.indptr[:-1], half.indptr[1:])):
            where[v, : end - begin], share[v, : end - begin] = half.indices[begin:end], half.data[begin:end]
        self.register_buffer("where", torch.from_numpy(where))
        self.register_buffer("share", torch.from_numpy(share))
        self.eval()  # the exporter gives all parts back in the mode of the whole

    def forward(self, samples: Tensor, said: Tensor, emotion: Tensor) -> Tensor:
        model, frames = self.model, said.shape[0]
        content = model.content_features(self._hear(samples, frames))
        felt = model.with_prosody(self.emotions[emotion][None, None].expand(1, frames, -1), said[None])
        hidden = self._decode(torch.stack([model.content_decoder.cross(content)[0], model.emotion_decoder.cross(felt)[0]], dim=1))
        weight = self._weight(content, felt)
        return torch.lerp(model.content_decoder.offsets(hidden[:, 0]), model.emotion_decoder.offsets(hidden[:, 1]), weight.unsqueeze(-1))

    def _hear(self, samples: Tensor, frames: int) -> Tensor:
        """(n,) -> (1, T, L, C)."""
        encoder = self.encoder
        x = F.gelu(encoder.conv1(self.log_mel(torch.cat([samples, samples.new_zeros(TAIL)])).unsqueeze(0)))
        x = F.gelu(encoder.conv2(x)).transpose(1, 2)
        x = x + encoder.embed_positions.weight[: x.shape[1]]
        states = [x]
        for layer in encoder.layers:
            states.append(block(layer, states[-1], slice(None), None)[0])
        states[-1] = encoder.layer_norm(states[-1])
        heard = torch.cat(states[-self.model.config.feature_layers :])[:, : -(TAIL // SAMPLES_PER_FRAME)]
        return resample_frames(heard, frames, self.model.config.fps).transpose(0, 1).unsqueeze(0)

    def _decode(self, speech: Tensor) -> Tensor:
        """(T, B, d) -> (T, B, d)."""
        loop, config = self.loop, self.model.config
        tokens = self.positions[torch.arange(speech.shape[0]) % config.period][:, None, None] + loop.conditions[None]
        weights = [*loop.qkv, *loop.attention_out, *loop.norms[0], *loop.norms[1], *loop.expand, *loop.contract, *loop.norms[2], *loop.feedback]
        return free_running(
            tokens, speech.unsqueeze(2), loop.motion, bias_slopes(loop.heads), *weights, config.window, config.period, loop.feedback_frames > 1
        ).squeeze(2)

    def _weight(self, content: Tensor, felt: Tensor) -> Tensor:
        """``w_e`` (T, S), channel by channel of the hidden layer, then smooth."""
        attention = self.model.mesh_attention
        time = attention.time_term(felt, content)[0]
        seen = torch.arange(time.shape[0]).clamp(max=self.vertex.shape[1] - 1)
        logits = attention.second.bias
        for channel, weight in enumerate(attention.second.weight[0].tolist()):
            logits = logits + weight * (time[:, channel, None] + self.vertex[channel][seen]).relu()
        value = logits.sigmoid().T
        for _ in range(self.model.config.attention_smoothing):
            value = sum(self.share[:, k, None] * value[self.where[:, k]] for k in range(self.where.shape[1]))
        return value.T


def inputs_of(audio: Audio, *, fps: int = 30) -> dict[str, np.ndarray]:
    """``samples`` and ``prosody`` of a recording; frame 0 is its first sound (:mod:`emoface.lead`). Raises EmoFaceError where it is too long for one pass."""
    if audio.seconds > 28:
        raise EmoFaceError(f"The recording lasts {audio.seconds:.0f} s: one pass hears 28 s at most, cut it.")
    sound = audio.samples[Lead.of(audio.samples, fps=fps, rate=audio.sample_rate).samples :]
    heard = condition(sound).astype(np.float32)
    said = on_mesh_clock(prosody(sound), frame_count(len(sound), fps, sample_rate=audio.sample_rate), fps)
    return {"samples": np.pad(heard, (0, -len(heard) % SAMPLES_PER_FRAME)), "prosody": said}


def export(pipe: EmoFacePipeline, path: Path, *, level: str = "normal") -> list[str]:
    """Write the file; returns the emotions' names in the order of the input ``emotion``."""
    import onnx

    graph, buffer = SpeechToSkin(pipe, level=level), io.BytesIO()
    example = (torch.zeros(SAMPLES_PER_FRAME * 50), torch.zeros(30, 3), torch.tensor(0))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about shapes that the test holds to account
        torch.onnx.export(
            graph,
            example,
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=["samples", "prosody", "emotion"],
            output_names=["offsets"],
            dynamic_axes={"samples": {0: "n"}, "prosody": {0: "frames"}, "offsets": {0: "frames"}},
        )
    file = onnx.load_from_string(buffer.getvalue())
    _halve(file)
    onnx.helper.set_model_props(file, {"emotions": json.dumps(graph.names), "fps": str(pipe.model.config.fps), "level": level})
    path.write_bytes(file.SerializeToString())
    return graph.names


def _halve(file) -> None:
    """Weights that float16 holds exactly are stored so, and cast when the file is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in file.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 64 or not np.array_equal(values.astype(np.float16).astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
        casts.append(helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *file.graph.node]
    del file.graph.node[:]
    file.graph.node.extend(nodes)


def session(path: Path, *, threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measure(pipe: EmoFacePipeline, path: Path, names: list[str], audio: Audio, *, level: str) -> None:
    inputs, runs = inputs_of(audio), 5
    graph = SpeechToSkin(pipe, level=level)

    def fastest(run: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
        times, answer = [], run()
        for _ in range(runs):
            begin = time.perf_counter()
            answer = run()
            times.append(time.perf_counter() - begin)
        return answer, min(times) / audio.seconds

    for threads in (1, 2):
        torch.set_num_threads(threads)
        onnx = session(path, threads=threads)
        given = {**inputs, "emotion": np.array(names.index("happy"))}
        found, seconds = fastest(lambda: onnx.run(None, given)[0])
        with torch.inference_mode():
            wanted, torch_seconds = fastest(lambda: graph(*(torch.from_numpy(np.asarray(value)) for value in given.values())).numpy())
        print(
            f"{threads} threads: {seconds:.3f} s per second of speech (the same graph in torch {torch_seconds:.3f}); {1e3 * np.abs(found - wanted).max():.4f} mm from torch at most"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--level", default="normal", choices=("normal", "strong"))
    parser.add_argument("--measure", type=Path, metavar="SPEECH")
    options = parser.parse_args()
    pipe = EmoFacePipeline.from_pretrained(options.model, device="cpu")
    names = export(pipe, options.output, level=options.level)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB; emotions {', '.join(names)}")
    if options.measure is not None:
        measure(pipe, options.output, names, load_audio(options.measure), level=options.level)


if __name__ == "__main__":
    main()
