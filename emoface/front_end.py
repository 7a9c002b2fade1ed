"""The front end of a stream: samples in, features of both branches for each mesh frame out, as soon as they are known.

The speech encoders attend in both directions, so a stream cannot equal the one-shot answer bit for bit: it encodes fixed,
overlapping windows of the past and a short look-ahead (:class:`Windows`). Everything after the encoder is exact, unless
:attr:`Windows.held` trades that for time: however the samples are cut into pieces the features are the same, and they are
those of the pipeline on the same windows. What is left is the encoder's shorter context;
``train/tools/benchmark_streaming.py`` measures it, and the speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor

from .audio import SAMPLE_RATE, Audio
from .clock import interpolate
from .conditioning import HighPass, StreamLevel, at_level
from .encoders import FRAME_RATE, SAMPLES_PER_FRAME, SpeechEncoder, frame_count, resample_frames
from .errors import AudioError, EmoFaceError
from .gate import SpeechGate
from .modeling import AttentiveStatisticsPooling, EmoFaceModel
from .pipeline import EmoFacePipeline
from .prosody import PROSODY, ProsodyStream
from .whisper_stream import LEAD, WhisperStream

HURRY_SECONDS = 2.0
"""The longest hop of a hurried stream."""


@dataclass(frozen=True)
class Windows:
    """How a stream is cut for the encoder: every ``hop`` seconds a window of ``past + hop + ahead`` is encoded, and ``hop`` of it is kept.

    Multiples of 0.02 s. Longer ``past`` and ``ahead`` come closer to the one-shot answer; ``hop`` and ``ahead`` are
    waited for, ``past / hop`` is paid in computation. The model's convolutions reach some mesh frames ahead of each frame
    (:func:`reach_of`); the last ``held`` of these are not waited for, but taken to equal the last one known.

    Two settings make Whisper cheaper: of the past only the last ``fresh`` seconds are computed anew (None: all of it, see
    :mod:`emoface.whisper_stream`), and the silence that it needs after a window lasts ``tail``. wav2vec 2.0 has neither.
    """

    past: float = 4.0
    hop: float = 0.2
    ahead: float = 0.3
    held: int = 0
    fresh: float | None = None
    tail: float = 1.0

    def __post_init__(self) -> None:
        for name in ("past", "hop", "ahead", "fresh", "tail"):
            if (seconds := getattr(self, name)) is None and name == "fresh":
                continue
            frames = seconds * FRAME_RATE
            if frames < (1 if name == "hop" else 0) or abs(frames - round(frames)) > 1e-6:
                raise EmoFaceError(f"The stream's {name} is {getattr(self, name)} s: give a multiple of 0.02 s.")
        if not isinstance(self.held, int) or self.held < 0:
            raise EmoFaceError(f"The stream's held frames are {self.held!r}: give a whole number from 0.")

    def frames(self, name: str) -> int | None:
        """One of the settings in encoder frames."""
        seconds = getattr(self, name)
        return None if seconds is None else round(seconds * FRAME_RATE)


class EncoderStream:
    """One speech encoder over a stream: 16 kHz samples in, hidden states at 50 per second out, hop by hop.

    The states depend on the samples alone, not on how they arrive, unless there is a ``hurry``. Whisper's loudness reference and the level of
    speech (:mod:`emoface.conditioning`) are those of the stream so far, where the one-shot pass takes the whole clip's.
    """

    def __init__(self, encoder: SpeechEncoder, windows: Windows, *, layers: int = 0):
        """``layers``: only so many of the last states are kept; 0: all."""
        if encoder.frame_rate != FRAME_RATE:
            raise EmoFaceError("Streaming needs an encoder at 50 frames per second: set its 'resample' to 'after'.")
        self.encoder, self._layers = encoder, layers
        self._past, self._hop, self._ahead = (windows.frames(name) for name in ("past", "hop", "ahead"))
        self._longest = max(round(HURRY_SECONDS * FRAME_RATE) // self._hop, 1)
        if self._past + self._longest * self._hop + self._ahead > encoder.window:
            raise EmoFaceError(f"A stream's window of {windows.past:g} s of the past is longer than its encoder can take: make 'past' shorter.")
        self._whisper: WhisperStream | None = None
        if encoder.kind == "whisper":
            fresh, tail = windows.frames("fresh"), windows.frames("tail")
            self._whisper = WhisperStream(encoder, past=self._past, fresh=fresh, tail=tail, layers=layers)
        self._high_pass, self._level = HighPass(), StreamLevel()
        self._samples = np.zeros(0)
        self._forgotten = 0  # samples dropped at the front
        self._measured = 0  # samples whose level was taken
        self._done = 0  # frames delivered

    def feed(self, samples: Tensor, *, last: bool = False, hurry: bool = False) -> Iterator[Tensor]:
        """(n,) samples -> (L + 1 or layers, hop, C) states of every hop that is complete; with ``last`` also what remains.

        ``hurry``: hops that are complete together are encoded in one window.
        """
        self._samples = np.concatenate([self._samples, self._high_pass.feed(samples.numpy())])
        return self._hops(last, hurry)

    @property
    def due(self) -> int:
        """Samples, of all that were and will be fed, with which the next hop is complete."""
        return (self._done + self._hop + self._ahead) * SAMPLES_PER_FRAME

    def _hops(self, last: bool, hurry: bool) -> Iterator[Tensor]:
        total = self._forgotten + len(self._samples)
        while self._done < self.encoder.frame_count(total):
            complete = (total // SAMPLES_PER_FRAME - self._ahead - self._done) // self._hop
            if complete < 1 and not last:
                return
            hops = min(max(complete, 1), self._longest if hurry else 1)
            yield self._window(min((self._done + hops * self._hop + self._ahead) * SAMPLES_PER_FRAME, total), hops * self._hop)

    def _window(self, stop: int, count: int) -> Tensor:
        """Encode up to sample ``stop`` and keep the next ``count`` frames."""
        done, known = self._done, self.encoder.frame_count(stop)
        begin = max(done - self._past, 0) if self._whisper is None else self._whisper.begin(done, known)
        lead = min(LEAD, begin - self._forgotten // SAMPLES_PER_FRAME)
        level = self._level.feed(self._samples[self._measured - self._forgotten : stop - self._forgotten])
        self._measured = stop
        piece = self._samples[(begin - lead) * SAMPLES_PER_FRAME - self._forgotten : stop - self._forgotten]
        piece = torch.from_numpy(at_level(piece, level))
        kept = slice(done, min(done + count, known))
        if self._whisper is None:
            states = self.encoder.hidden_states(piece, layers=self._layers)[:, kept.start - begin : kept.stop - begin]
        else:
            states = self._whisper.encode(piece, begin, lead, kept)
        self._done = kept.stop
        oldest = max(self._done - self._past, 0) * SAMPLES_PER_FRAME
        self._samples, self._forgotten = self._samples[oldest - self._forgotten :], oldest
        return states


class MeshClock:
    """Encoder frames at 50 per second to mesh frames at times ``t / fps``: :func:`resample_frames`, piece by piece."""

    def __init__(self, fps: int):
        self._fps, self._done = fps, 0
        self._second = 0  # the first kept encoder frame is at this whole second, where both clocks have a frame
        self._states: Tensor | None = None

    def feed(self, states: Tensor | None, *, frames: int | None = None) -> Tensor | None:
        """(L, n, C) -> (L, t, C) of the mesh frames that are known; ``frames``: the whole clip's count, at its end."""
        if states is not None:
            self._states = states if self._states is None else torch.cat([self._states, states], dim=1)
        if self._states is None:
            return None
        last = self._second * FRAME_RATE + self._states.shape[1] - 1
        ready = last * self._fps // FRAME_RATE + 1 if frames is None else frames
        if ready <= self._done:
            return None
        origin = self._second * self._fps
        known = resample_frames(self._states, ready - origin, self._fps)[:, self._done - origin :]
        self._done = ready
        gone = min(self._done // self._fps, (last + 1) // FRAME_RATE) - self._second
        if gone > 0:
            self._states, self._second = self._states[:, gone * FRAME_RATE :], self._second + gone
        return known


class FeatureStream:
    """A branch's features of a stream: the model's convolutions on pieces that overlap by their reach."""

    def __init__(self, features: Callable[[Tensor], Tensor], reach: int, *, held: int = 0):
        """``held`` of the ``reach`` frames ahead are not waited for, see :class:`Windows`."""
        self._features, self._reach, self._held = features, reach, min(held, reach)
        self._states: Tensor | None = None
        self._forgotten, self._done = 0, 0

    def feed(self, states: Tensor | None, *, last: bool = False) -> Tensor | None:
        """(L, t, C) states on the mesh clock -> (1, n, C) features of the frames whose future is known."""
        if states is not None:
            states = states.transpose(0, 1).unsqueeze(0)
            self._states = states if self._states is None else torch.cat([self._states, states], dim=1)
        if self._states is None:
            return None
        total = self._forgotten + self._states.shape[1]
        ready = total if last else total - self._reach + self._held
        if ready <= self._done:
            return None
        states = self._states
        if self._held and not last:
            states = torch.cat([states, states[:, -1:].expand(-1, self._held, -1, -1)], dim=1)
        features = self._features(states)[:, self._done - self._forgotten : ready - self._forgotten]
        self._done = ready
        oldest = max(self._done - self._reach, 0)
        self._states, self._forgotten = self._states[:, oldest - self._forgotten :], oldest
        return features


class ProsodyClock:
    """Prosody of a stream on the mesh's clock, kept until its frames are taken."""

    def __init__(self, fps: int):
        self._stream, self._fps = ProsodyStream(), fps
        self._track, self._first, self._taken = np.zeros((0, len(PROSODY)), np.float32), 0, 0

    def feed(self, samples: np.ndarray, *, last: bool) -> None:
        self._track = np.concatenate([self._track, self._stream.feed(samples, last=last)])

    def take(self, count: int) -> Tensor:
        """(1, count, 3) of the next mesh frames; the encoders look farther ahead, so their prosody is known."""
        times = (self._taken + np.arange(count)) / self._fps
        known = (self._first + np.arange(len(self._track))) / FRAME_RATE
        rows = interpolate(times, known, self._track)
        self._taken += count
        gone = max(int(self._taken / self._fps * FRAME_RATE) - 1 - self._first, 0)
        self._track, self._first = self._track[gone:], self._first + gone
        return torch.from_numpy(rows.astype(np.float32))[None]


class PastStatistics:
    """The model's attentive statistics without a future: pooled over the last 3 sigma."""

    def __init__(self, pooling: AttentiveStatisticsPooling, *, rest: Tensor | None = None):
        """``rest``: the speaker's :meth:`EmoFaceModel.voice_rest`, where a neutral recording of theirs is known."""
        self._pooling, self._reach, self._rest = pooling, int(3 * pooling.sigma) + 1, rest
        self._past: Tensor | None = None

    def feed(self, x: Tensor) -> Tensor:
        """(1, n, C) -> (1, n, C)."""
        count = x.shape[1]
        x = x if self._past is None else torch.cat([self._past, x], dim=1)
        self._past = x[:, -self._reach :]
        frames = torch.arange(x.shape[1], device=x.device)
        lag = (frames[-count:, None] - frames[None]).to(x.dtype) / self._pooling.sigma
        kernel = torch.exp(-0.5 * lag.square()).masked_fill((lag < 0) | (lag > 3.0), 0.0)
        return self._pooling.moments(kernel, x, rest=self._rest)


@dataclass(frozen=True)
class StreamFeatures:
    """Features of the next n mesh frames; C is their width."""

    start: int
    """The first of these frames."""
    content: Tensor
    """(1, n, C) F_c."""
    own_emotion: Tensor | None
    """(1, n, C) F_e of the voice, from its past; None where it is not needed."""
    prosody: Tensor | None
    """(1, n, 3) prosody; None where neither the model nor the caller needs it."""
    talking: np.ndarray
    """(n,) bool, :class:`SpeechGate`."""
    audio: Audio
    """The sound of these frames, 16 kHz."""


class FrontEnd:
    """Samples at any rate in, :class:`StreamFeatures` out, one hop at a time; the same numbers however the samples are cut.

    Args:
        sample_rate: of the samples that will be fed, Hz.
        windows: of samples, for the encoder.
        own: compute F_e of the voice itself, too.
        rest: the speaker's :meth:`EmoFacePipeline.rest_of`, where known.
        quality: of the resampling (soxr's name); ``"LQ"`` waits 11 ms less than ``"HQ"``.
        prosody: compute it whether or not the model takes it.

    Attributes:
        look_ahead: seconds of speech after a frame that must have arrived before it is known.
        delay: the longest wait for a frame, ``look_ahead + hop``, without the computation and the resampling.
        seconds: length of the speech so far.
    """

    def __init__(
        self,
        pipe: EmoFacePipeline,
        *,
        sample_rate: int,
        windows: Windows,
        own: bool,
        rest: Tensor | None = None,
        quality: str = "HQ",
        prosody: bool = False,
    ):
        model, config = pipe.model, pipe.model.config
        reach = reach_of(model)
        held = min(windows.held, reach)
        self._model = model
        self._encoders = [EncoderStream(pipe.content_encoder, windows, layers=config.feature_layers)]
        self._streams = [FeatureStream(model.content_features, reach, held=held)]
        if own:
            if pipe.emotion_encoder is not None:
                self._encoders.append(EncoderStream(pipe.emotion_encoder, windows, layers=config.feature_layers))
            self._streams.append(FeatureStream(model.emotion_frames, reach, held=held))
        self._clocks = [MeshClock(config.fps) for _ in self._encoders]
        self._statistics = PastStatistics(model.statistics_pooling, rest=rest) if model.statistics_pooling is not None else None
        self._resampler = None
        if sample_rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality=quality)
        self._prosody = ProsodyClock(config.fps) if prosody or model.prosody_in is not None else None
        self._gate = SpeechGate(config.fps)
        self._waiting: list[np.ndarray] = []  # samples that complete no hop yet
        self._audio = np.zeros(0, np.float32)  # samples before them whose frames have not come out yet
        self._samples, self._frame, self._shown, self._finished = 0, 0, 0, False
        self.look_ahead = windows.ahead + (reach - held + 1) / config.fps
        self.delay = self.look_ahead + windows.hop

    @property
    def seconds(self) -> float:
        return self._samples / SAMPLE_RATE

    def feed(self, samples: np.ndarray, *, hurry: bool = False) -> Iterator[StreamFeatures]:
        """(n,) mono samples in [-1, 1] -> the hops that became complete; with ``hurry`` they are encoded as one, which costs a fraction.

        Raises:
            AudioError: not one channel of finite numbers. EmoFaceError: the stream is finished.
        """
        return self._hops(self._accept(samples), last=False, hurry=hurry)

    def finish(self) -> Iterator[StreamFeatures]:
        """The remaining frames: in total ``ceil(fps * seconds)``, as from the pipeline. The stream is then closed."""
        if self._finished:
            raise EmoFaceError("This stream is finished: begin a new one for the next recording.")
        self._finished = True
        rest = np.zeros(0, np.float32)
        return self._hops(rest if self._resampler is None else self._resampler.resample_chunk(rest, last=True), last=True, hurry=False)

    def _accept(self, samples: np.ndarray) -> np.ndarray:
        if self._finished:
            raise EmoFaceError("This stream is finished: begin a new one for the next recording.")
        samples = np.asarray(samples)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise AudioError(
                f"A stream takes one channel of floats in [-1, 1], not {samples.dtype} of shape {samples.shape}: convert the samples first."
            )
        if not np.isfinite(samples).all():
            raise AudioError("The stream contains values that are not numbers: check where the samples come from.")
        samples = np.ascontiguousarray(samples, np.float32)
        return samples if self._resampler is None else self._resampler.resample_chunk(samples)

    def _hops(self, samples: np.ndarray, *, last: bool, hurry: bool) -> Iterator[StreamFeatures]:
        """One hop at a time, whatever the size of the piece: so the result cannot depend on it, unless there is a ``hurry``."""
        self._samples += len(samples)
        self._waiting.append(samples)
        if not last and self._samples < min(stream.due for stream in self._encoders):
            return  # filters and pitch cost as much for 20 ms as for a hop
        samples = np.concatenate(self._waiting)
        self._waiting.clear()
        self._audio = np.concatenate([self._audio, samples])
        sound = torch.from_numpy(samples)
        if self._prosody is not None:
            self._prosody.feed(samples, last=last)
        self._gate.feed(samples)
        for hop in zip(*(stream.feed(sound, last=last, hurry=hurry) for stream in self._encoders)):
            features = self._features_of([clock.feed(s.float()) for clock, s in zip(self._clocks, hop)], last=False)
            if features is not None:
                yield features
        if last and self._samples:
            frames = frame_count(self._samples, self._model.config.fps)
            features = self._features_of([clock.feed(None, frames=frames) for clock in self._clocks], last=True)
            if features is not None:
                yield features

    @torch.inference_mode()
    def _features_of(self, states: list[Tensor | None], *, last: bool) -> StreamFeatures | None:
        """New encoder states of one hop (one per encoder, on the mesh clock) to the frames they complete."""
        content = self._streams[0].feed(states[0], last=last)
        own = self._streams[1].feed(states[-1], last=last) if len(self._streams) > 1 else None
        if content is None:
            return None
        if own is not None and self._statistics is not None:
            own = self._statistics.feed(own)
        count, start = content.shape[1], self._frame
        prosody = None if self._prosody is None else self._prosody.take(count).to(content.device)
        self._frame += count
        return StreamFeatures(start, content, own, prosody, self._gate.take(count), self._take_audio(last=last))

    def _take_audio(self, *, last: bool) -> Audio:
        """The samples up to the last mesh frame that came out; at the end all that are left."""
        stop = self._samples if last else self._frame * SAMPLE_RATE // self._model.config.fps
        taken, self._audio = self._audio[: stop - self._shown], self._audio[stop - self._shown :]
        self._shown = stop
        return Audio(taken, SAMPLE_RATE, "stream")


def reach_of(model: EmoFaceModel) -> int:
    """Mesh frames on each side that the features of one frame depend on."""
    mix = model.content_mix
    return 0 if mix is None else mix.spread.kernel_size[0] // 2 + mix.gather.kernel_size[0] // 2
