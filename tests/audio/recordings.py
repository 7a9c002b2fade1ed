"""Recordings as programs write them: any container, codec, rate and layout, whole or damaged. Used by the tests of emoface.audio."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import av
import numpy as np

from emoface.audio import load_audio

NARRATOR = Path(__file__).resolve().parents[2] / "assets" / "examples" / "narrator.wav"
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


@dataclass(frozen=True)
class Kind:
    """A container and a codec, the rates they take, the most channels, and whether two files in a row are one file."""

    container: str
    codec: str
    rates: tuple[int, ...] = (16000, 22050, 44100, 48000)
    channels: int = 2
    joins: bool = False
    timed: bool = False
    """Lost packets can be told from the times of the others."""


KINDS = (
    Kind("wav", "pcm_s16le", (8000, 16000, 44100, 96000), 6),
    Kind("wav", "pcm_f32le", (16000, 48000), 6),
    Kind("wav", "adpcm_ima_wav", (22050, 44100)),
    Kind("aiff", "pcm_s16be", (16000, 44100)),
    Kind("au", "pcm_s16be", (16000, 44100)),
    Kind("flac", "flac", (16000, 44100, 96000), 6, timed=True),
    Kind("mp3", "libmp3lame", joins=True),
    Kind("mp2", "mp2", (44100, 48000), joins=True),
    Kind("adts", "aac", (16000, 44100, 48000), joins=True),
    Kind("ac3", "ac3", (44100, 48000), 6, joins=True),
    Kind("ogg", "libopus", (16000, 48000), joins=True, timed=True),
    Kind("ogg", "flac", (16000, 44100), timed=True),
    Kind("webm", "libopus", (48000,), timed=True),
    Kind("matroska", "aac", (16000, 44100, 48000), 6, timed=True),
    Kind("matroska", "pcm_s16le", (16000, 48000), timed=True),
    Kind("ipod", "aac", (16000, 44100, 48000), timed=True),
    Kind("ipod", "alac", (16000, 44100), timed=True),
    Kind("mov", "pcm_s16le", (16000, 48000), timed=True),
    Kind("mpegts", "aac", (44100, 48000), joins=True, timed=True),
    Kind("mpegts", "ac3", (48000,), 6, joins=True, timed=True),
    Kind("avi", "libmp3lame", (44100, 48000)),
)
MORE_KINDS = (
    Kind("mpegts", "libmp3lame", (44100, 48000), timed=True),
    Kind("matroska", "libmp3lame", (44100, 48000), timed=True),
    Kind("avi", "aac", (16000, 48000)),
    Kind("flv", "aac", (16000, 48000), timed=True),
    Kind("flv", "libmp3lame", (22050, 44100), timed=True),
)
"""Not joined in the tests."""


@cache
def narrator(rate: int = 16000) -> np.ndarray:
    """(n,) float32 speech, 3.29 s."""
    import soxr

    samples = load_audio(NARRATOR).samples
    return samples if rate == 16000 else soxr.resample(samples, 16000, rate)


@lru_cache(maxsize=64)
def recorded(kind: Kind, rate: int, channels: int, *, start: float = 0.0) -> bytes:
    """The narrator from ``start`` seconds on as a file of that kind, on all channels."""
    samples = narrator(rate)[round(start * rate) :]
    return encoded([(np.repeat(samples[:, None], channels, 1))], kind.codec, rate, container=kind.container)


def encoded(tracks: list[np.ndarray], codec: str, rate: int, *, container: str, default: int | None = None) -> bytes:
    """Tracks of (n, channels) float samples; ``default`` marks one of them."""
    out = io.BytesIO()
    out.name = "recording"
    with av.open(out, "w", format=container) as file:
        streams = []
        for number, samples in enumerate(tracks):
            stream = file.add_stream(codec, rate=rate, layout=LAYOUTS[samples.shape[1]])
            if default is not None:
                stream.disposition = av.stream.Disposition.default.value if number == default else 0  # PyAV 17 takes numbers only
            streams.append(stream)
        for stream, samples in zip(streams, tracks):
            for packet in _packets(stream, samples, rate):
                file.mux(packet)
    return out.getvalue()


def _packets(stream, samples: np.ndarray, rate: int):
    layout = LAYOUTS[samples.shape[1]]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T, np.float32), format="fltp", layout=layout)
    frame.sample_rate = rate
    resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
    fifo = av.AudioFifo()
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        fifo.write(piece)
    position = 0
    while (part := fifo.read(stream.codec_context.frame_size or 1024, partial=True)) is not None:
        part.pts, part.time_base = position, Fraction(1, rate)
        position += part.samples
        yield from stream.encode(part)
    yield from stream.encode(None)


def lag_seconds(heard: np.ndarray, clean: np.ndarray) -> float:
    """By how much ``heard`` is later than ``clean`` (16 kHz), at the best match of their envelopes within 0.3 s."""
    a, b = (_envelope(x) for x in (heard, clean))
    count = min(len(a), len(b))
    a, b = a[:count] - a[:count].mean(), b[:count] - b[:count].mean()
    lags = np.arange(-60, 61)
    matches = [float(np.dot(a[max(lag, 0) : count + min(lag, 0)], b[max(-lag, 0) : count - max(lag, 0)])) for lag in lags]
    return float(lags[int(np.argmax(matches))]) * 0.005


def _envelope(samples: np.ndarray) -> np.ndarray:
    """RMS of every 5 ms."""
    blocks = samples[: len(samples) // 80 * 80].reshape(-1, 80)
    return np.sqrt(np.square(blocks, dtype=np.float64).mean(1))
