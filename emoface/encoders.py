"""Speech encoders: 16 kHz samples in, every block's features out, on one clock.

Two families, both in ``transformers``' own classes: Whisper's encoder (the embedded default, tiny.en) and wav2vec 2.0
(the paper's). Frame ``j`` of the features is centred on time ``0.02 j`` s, and a clip of ``n`` samples has exactly
``ceil(50 n / 16000)`` frames, whatever the family; :func:`resample_frames` puts them on the mesh's 30 fps.

Long clips are encoded in overlapping windows of 29 s: neighbours share 5 s, of which the outer 2 s on each side are
thrown away (the states at a window's edges are the worst) and the middle second is cross-faded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from .clock import frame_count
from .conditioning import condition
from .errors import AudioError, ModelError
from .model_files import ENCODER_CHECKS, known, one_sentence, read_config, read_weights, weights_of
from .resources import ASSETS

SAMPLE_RATE = 16000
FRAME_RATE = 50
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE
EMBEDDED_ENCODER = ASSETS / "encoder"

# Whisper's front end: 25 ms Hann windows every 10 ms.
_FFT, _HOP = 400, 160
# Whisper was trained on speech followed by silence; it misreads the last half second without this much after it.
_TAIL_SECONDS = 1
# wav2vec 2.0's convolutions span 400 samples per frame; half of them before the first sample centres frame 0 on time 0.
_RECEPTIVE = 400
_WINDOW_SECONDS, _OVERLAP_SECONDS, _FADE_SECONDS = 29, 5, 1


def resample_frames(features: Tensor, frames: int, fps: float = 30, *, rate: float = FRAME_RATE, late: float = 0.0) -> Tensor:
    """Linear interpolation of (..., T50, C) features at ``rate`` per second to (..., frames, C) at times ``late + t / fps`` seconds.

    Times before the first feature frame and after the last one hold it. Differentiable; any device and dtype.
    """
    last = features.shape[-2] - 1
    position = torch.arange(frames, device=features.device, dtype=torch.float64) * (rate / fps) + late * rate
    position = position.clamp(0, last)
    left = position.floor().long()
    right = (left + 1).clamp(max=last)
    weight = (position - left).to(features.dtype).unsqueeze(-1)
    return torch.lerp(features.index_select(-2, left), features.index_select(-2, right), weight)


@lru_cache(maxsize=4)
def _mel_filters(bands: int) -> np.ndarray:
    """(bands, 201) float32 triangular filters on Slaney's mel scale, each of unit area, 0 to 8 kHz."""

    filters = mel_filter_bank(_FFT // 2 + 1, bands, 0.0, SAMPLE_RATE / 2, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
    return np.ascontiguousarray(filters.T, np.float32)


def _hidden(output: Tensor | tuple) -> Tensor:
    """A transformer layer's hidden states: transformers 5.0 gives them beside the attention's weights, later versions alone."""
    return output[0] if isinstance(output, tuple) else output


def log_mel(samples: Tensor, *, bands: int = 80, reference: float | None = None) -> Tensor:
    """Whisper's log-mel spectrogram of (n,) samples: (bands, n // 160) float32.

    Equals ``WhisperFeatureExtractor``: log10 power floored at 8 below ``reference``, then ``(x + 4) / 4``.
    ``reference`` is that log10 power; None takes the clip's loudest mel bin as Whisper does, which makes every frame
    depend on the whole clip. A stream cannot know it in advance and passes the loudest bin so far.
    """
    log_power = _log_power(samples, bands)
    highest = log_power.max() if reference is None else torch.as_tensor(float(reference), device=samples.device)
    return (torch.maximum(log_power, highest - 8) + 4) / 4


def _log_power(samples: Tensor, bands: int) -> Tensor:
    """log10 of the mel power, (bands, n // 160) float32, at least -10."""
    samples = samples.float()
    window = torch.hann_window(_FFT, device=samples.device)
    spectrum = torch.stft(samples, _FFT, _HOP, window=window, return_complex=True)[..., :-1]
    power = spectrum.real.square() + spectrum.imag.square()
    filters = torch.from_numpy(_mel_filters(bands)).to(samples.device)
    return (filters @ power).clamp(min=1e-10).log10()


def loudest(samples: Tensor, *, bands: int = 80) -> float:
    """log10 power of the loudest mel bin in (n,) samples: what Whisper takes as a clip's ``reference``."""
    # With as much silence as STFT needs to reflect at its edges, whatever the clip's length.
    return float(_log_power(F.pad(samples, (0, _FFT)), bands).max())


def plan_windows(frames: int, length: int, overlap: int, *, grid: int = 1) -> list[tuple[int, int]]:
    """(start, stop) of windows of ``length`` that cover ``frames``; neighbours share at least ``overlap``.

    The last one is moved back rather than cut, so that it has as much context as the others. Starts are multiples of
    ``grid``, which must divide ``length`` and ``overlap``.
    """
    if frames <= length:
        return [(0, frames)]
    last = -(-(frames - length) // grid) * grid
    starts = [*range(0, last, length - overlap), last]
    return [(start, min(start + length, frames)) for start in starts]


def _fade_in(start: int, previous_stop: int, stop: int, fade: int) -> Tensor:
    """Weight of the window [start, stop) against the one before it: 0, a ramp mid-overlap, then 1. (stop - start,)."""
    middle = (start + previous_stop) / 2
    times = torch.arange(start, stop, dtype=torch.float32) + 0.5
    return ((times - middle) / fade + 0.5).clamp(0, 1)


def _encoder_name(kind: str) -> Callable[[str], str]:
    """Maps the names of a checkpoint's weights, whatever head it wears, to those of the bare encoder."""
    prefixes = ("model.encoder.", "encoder.") if kind == "whisper" else ("wav2vec2.",)
    # Weight normalisation had other names in older checkpoints.
    older = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}

    def rename(key: str) -> str:
        key = next((key[len(prefix) :] for prefix in prefixes if key.startswith(prefix)), key)
        stem, _, last = key.rpartition(".")
        return f"{stem}.{older[last]}" if last in older else key

    return rename


class SpeechEncoder(nn.Module):
    """A pretrained speech encoder built from a plain dict, so that it can be part of a model's configuration.

    Args:
        config: ``{"type": "whisper" | "wav2vec2", "config": {...}}``: ``config`` is the ``WhisperConfig`` or
            ``Wav2Vec2Config`` as a dict. Optional keys: ``"name"``, where the pretrained weights come from (kept for
            the record; :meth:`from_pretrained` loads them); ``"resample"``, ``"after"`` (default) or ``"before"``:
            FaceFormer interpolates wav2vec 2.0's convolution features to the mesh's 30 fps *before* the transformer.

    Built this way the weights are random; load a state dict or use :meth:`from_pretrained`.

    Attributes:
        width: channels C of every hidden state. depth: number of blocks L. frame_rate: 50, or 30 with ``"before"``.

    Raises:
        ModelError: unknown type or option.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.config = dict(config)
        self.kind = config.get("type")
        resample = config.get("resample", "after")
        if resample not in ("before", "after") or (resample == "before" and self.kind != "wav2vec2"):
            raise ModelError(
                f"The speech encoder's 'resample' is {resample!r} with type {self.kind!r}: use 'after', or 'before' with a wav2vec2 encoder."
            )
        self.frame_rate = 30 if resample == "before" else FRAME_RATE
        self.frozen = False
        # Imported here because transformers' model files take seconds that `import emoface` need not pay.
        known_settings = known(config["config"], ENCODER_CHECKS.get(str(self.kind), {}), "the speech encoder")
        if self.kind == "whisper":
            from transformers import WhisperConfig
            from transformers.models.whisper.modeling_whisper import WhisperEncoder

            settings = WhisperConfig(**known_settings, encoder_layerdrop=0.0)
            self.model = WhisperEncoder(settings)
            self.width, self.depth = settings.d_model, settings.encoder_layers
            self._tail = _TAIL_SECONDS * self.frame_rate
            longest = settings.max_source_positions - self._tail
        elif self.kind == "wav2vec2":
            from transformers import Wav2Vec2Config, Wav2Vec2Model

            # Dropping blocks would change the number of hidden states; an adapter would change their rate.
            settings = Wav2Vec2Config(**known_settings, layerdrop=0.0, add_adapter=False)
            self.model = Wav2Vec2Model(settings)
            self.width, self.depth = settings.hidden_size, settings.num_hidden_layers
            self._tail = 0
            longest = _WINDOW_SECONDS * self.frame_rate
        else:
            raise ModelError(f"The speech encoder's type is {self.kind!r}: use 'whisper' or 'wav2vec2'.")
        self.window = min(longest, _WINDOW_SECONDS * self.frame_rate)

    @classmethod
    def from_pretrained(cls, name: str | Path = EMBEDDED_ENCODER, *, resample: str = "after") -> SpeechEncoder:
        """Load pretrained weights: a folder with ``config.json`` and ``model.safetensors``, or a Hub id.

        Any Whisper or wav2vec 2.0 checkpoint will do, with or without a head on top (recognition, emotion, ...). Weights
        are kept in float32 whatever the file holds. Only safetensors are read, never pickles.

        Raises:
            ModelError: nothing usable there.
        """
        from .hub import encoder_folder

        what = f"speech encoder {str(name)!r}"
        with one_sentence(f"The {what}"):
            folder = encoder_folder(name)
            settings = read_config(folder)
            kind = settings.get("model_type")
            config = {"type": kind, "config": settings, "resample": resample}
            if not Path(name).is_dir():
                config["name"] = str(name)
        with one_sentence(f"The weights of the {what} are missing, damaged or not safetensors; it"):
            wanted = weights_of(lambda: cls(config))
            files = sorted(path for path in folder.glob("model*.safetensors") if path.is_file())  # a pipe would be waited for
            if not files:
                raise ModelError(
                    f"The weights of the {what} are missing or not safetensors: choose another encoder, or ask its author for safetensors."
                )
            # The mask vector, which inference never uses, is missing from some.
            state = read_weights(
                files,
                {key.removeprefix("model."): value for key, value in wanted.items()},
                f"The weights of the {what}",
                rename=_encoder_name(kind),
                spare=("masked_spec_embed",),
            )
            encoder = cls(config)
            encoder.model.load_state_dict({**encoder.model.state_dict(), **state})
        return encoder.eval()

    def freeze(self) -> SpeechEncoder:
        """Fix all weights: no gradients, no dropout, even while the model around it trains."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def freeze_feature_encoder(self) -> SpeechEncoder:
        """Fix only the convolutions in front of the transformer, as FaceFormer does."""
        if self.kind == "wav2vec2":
            self.model.freeze_feature_encoder()
        else:
            self.model.conv1.requires_grad_(False)
            self.model.conv2.requires_grad_(False)
        return self

    def train(self, mode: bool = True) -> SpeechEncoder:
        return super().train(mode and not self.frozen)

    def frame_count(self, samples: int) -> int:
        """Feature frames of a clip of that many 16 kHz samples: ``ceil(frame_rate * seconds)``."""
        return frame_count(samples, self.frame_rate)

    def hidden_states(self, samples: Tensor, *, reference: float | None = None, position: int = 0, layers: int = 0) -> Tensor:
        """Hidden states of one clip.

        Args:
            samples: (n,) float mono samples at 16 kHz in [-1, 1], n > 0.
            reference: Whisper's loudness reference, see :func:`log_mel`; ignored by wav2vec 2.0, which is brought to
                zero mean and unit variance over the clip.
            position: the clip's first row in Whisper's position table (lowered if the clip would run over its end).
                Whisper's features carry the absolute position: a probe for jaw opening trained on 3 s clips at 0 falls
                from r = 0.893 to 0.83 when 5 s of speech come before, but only to 0.87 if the training clips were given
                random positions. So training should vary it; wav2vec 2.0 has no such table and ignores it.
            layers: only so many of the last states are kept; 0: all.

        Returns:
            (L + 1, T, C), or (layers, T, C), in the parameters' dtype and on their device: the embeddings, then every block's output,
            the last one after the final layer norm. T = ``ceil(frame_rate * n / 16000)``.

        Raises:
            AudioError: no samples, or not one channel.
        """
        if samples.ndim != 1 or samples.numel() == 0:
            raise AudioError(f"The speech encoder needs one channel of samples, but got shape {tuple(samples.shape)}.")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            signal = self._front_end(samples.to(next(self.parameters()).device), reference)
            return self._encode_windows(signal, self.frame_count(len(samples)), position, layers)

    def frame_features(
        self, samples: Tensor, frames: int | None = None, *, fps: int = 30, position: int = 0, layers: int = 0, late: float = 0.0
    ) -> Tensor:
        """Hidden states of a recording on the mesh's clock: (L + 1, frames, C) float32, frame t at time ``late + t / fps`` seconds.

        Training features and the pipeline both come from here. Its samples are as
        :func:`emoface.conditioning.condition` leaves them, so gain and offset (DC) of a recording change nothing.

        ``frames`` defaults to ``ceil(fps * seconds)``; ``position`` and ``layers`` as for :meth:`hidden_states`, which
        takes its samples as they are.
        """
        if samples.ndim != 1 or samples.numel() == 0:
            raise AudioError(f"The speech encoder needs one channel of samples, but got shape {tuple(samples.shape)}.")
        conditioned = torch.from_numpy(condition(samples.detach().cpu().numpy()))
        states = self.hidden_states(conditioned, position=position, layers=layers).float()
        if frames is None:
            frames = frame_count(len(samples), fps)
        return resample_frames(states, frames, fps, rate=self.frame_rate, late=late)

    def _front_end(self, samples: Tensor, reference: float | None) -> Tensor:
        """What the windows are cut from: Whisper's log-mel (bands, m), or wav2vec 2.0's normalised samples (m,)."""
        frames = frame_count(len(samples), FRAME_RATE)
        if self.kind == "whisper":
            padded = F.pad(samples, (0, (frames + self._tail) * SAMPLES_PER_FRAME - len(samples)))
            return log_mel(padded, bands=self.model.config.num_mel_bins, reference=reference)
        samples = samples.float()
        samples = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
        before = _RECEPTIVE // 2
        after = max(0, frames * SAMPLES_PER_FRAME + _RECEPTIVE - SAMPLES_PER_FRAME - before - len(samples))
        return F.pad(samples, (before, after))

    def _encode_windows(self, signal: Tensor, frames: int, position: int, layers: int) -> Tensor:
        """Encode in one pass, or in overlapping windows joined in the middle of what they share."""
        # A tenth of a second is a whole number of frames at 50 and at 30 per second.
        grid = 1 if self.frame_rate == FRAME_RATE else self.frame_rate // 10
        windows = plan_windows(frames, self.window, _OVERLAP_SECONDS * self.frame_rate, grid=grid)
        if len(windows) == 1:
            return self._encode(signal, 0, frames, position, layers=layers)
        fade = _FADE_SECONDS * self.frame_rate
        result: Tensor | None = None
        for i, (start, stop) in enumerate(windows):
            states = self._encode(signal, start, stop, layers=layers)
            if result is None:
                result = states.new_zeros(states.shape[0], frames, states.shape[2])
            weight = torch.ones(stop - start)
            if i > 0:
                weight = weight * _fade_in(start, windows[i - 1][1], stop, fade)
            if i + 1 < len(windows):
                rise = _fade_in(windows[i + 1][0], stop, windows[i + 1][1], fade)
                shared = stop - windows[i + 1][0]
                weight[-shared:] *= 1 - rise[:shared]
            result[:, start:stop] += states * weight.to(states).unsqueeze(-1)
        return result

    def _encode(self, signal: Tensor, start: int, stop: int, position: int = 0, *, layers: int = 0) -> Tensor:
        """One pass over feature frames [start, stop): (L + 1 or layers, stop - start, C)."""
        dtype = next(self.parameters()).dtype
        if self.kind == "whisper":
            mel = signal[:, 2 * start : 2 * (stop + self._tail)].to(dtype)
            return torch.cat(self._whisper(mel, position)[-layers:])[:, : stop - start]
        # In 50 Hz frames; with "before" the window is given in 30 fps frames of the transformer.
        first = start * FRAME_RATE // self.frame_rate
        last = -(-stop * FRAME_RATE // self.frame_rate)
        samples = signal[first * SAMPLES_PER_FRAME : (last - 1) * SAMPLES_PER_FRAME + _RECEPTIVE].to(dtype)
        return torch.cat(self._wav2vec2(samples, stop - start)[-layers:])

    def _whisper(self, mel: Tensor, position: int) -> list[Tensor]:
        """WhisperEncoder's forward pass without its demand for exactly 30 s of input."""
        model, table = self.model, self.model.embed_positions.weight
        x = F.gelu(model.conv1(mel.unsqueeze(0)))
        x = F.gelu(model.conv2(x)).transpose(1, 2)
        position = min(position, len(table) - x.shape[1])
        x = F.dropout(x + table[position : position + x.shape[1]], model.dropout, self.training)
        states = [x]
        for layer in model.layers:
            states.append(_hidden(layer(states[-1], None)))
        states[-1] = model.layer_norm(states[-1])
        return states

    def _wav2vec2(self, samples: Tensor, frames: int) -> list[Tensor]:
        """Wav2Vec2Model's forward pass, with the hidden states and FaceFormer's resampling in the middle."""
        model, encoder = self.model, self.model.encoder
        features = model.feature_extractor(samples.unsqueeze(0)).transpose(1, 2)
        if self.frame_rate != FRAME_RATE:
            features = resample_frames(features, frames, self.frame_rate)
        x, _ = model.feature_projection(features)
        x = model._mask_hidden_states(x)
        x = x + encoder.pos_conv_embed(x)
        norm_first = model.config.do_stable_layer_norm
        x = encoder.dropout(x if norm_first else encoder.layer_norm(x))
        states = [x]
        for layer in encoder.layers:
            states.append(_hidden(layer(states[-1])))
        if norm_first:
            states[-1] = encoder.layer_norm(states[-1])
        return states
