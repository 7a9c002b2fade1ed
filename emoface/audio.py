"""Any recording a person may bring -> 16 kHz mono samples, or one sentence that says what is wrong with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import numpy as np
import soundfile
import soxr

from .errors import AudioError

SAMPLE_RATE = 16000
MAX_SECONDS = 120.0
MIN_SECONDS = 0.1
# Speech needs the band up to 2 kHz at the least.
_MIN_RATE, _MAX_RATE = 4000, 768_000
# -80 dBFS: below what any microphone picks up in a quiet room, above the dither of 16-bit files.
_SILENCE = 1e-4
# The containers that ffmpeg's libraries may open here: no playlists, which could name other files.
_CONTAINERS = "mov,mp4,m4a,3gp,matroska,webm,ogg,mp3,aac,flac,wav,aiff,asf,avi,mpeg,mpegts,amr,caf,ac3,eac3,au"
_ADVICE = "use a wav, mp3, flac, ogg, opus, m4a or webm file"

Blocks = Iterator[np.ndarray]


@dataclass(frozen=True)
class Audio:
    """Speech, ready for the encoder."""

    samples: np.ndarray
    """(n,) float32 mono in [-1, 1]."""
    sample_rate: int = SAMPLE_RATE
    name: str = "audio"
    """The file's name, for messages and titles."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate


def load_audio(source: Any, *, max_seconds: float = MAX_SECONDS) -> Audio:
    """Read, check, mix to mono and resample to 16 kHz.

    Args:
        source: a path (wav, mp3, flac, ogg, opus, m4a, webm, the sound of a video, ...); or ``(samples, rate)`` with
            (n,), (n, channels) or (channels, n) samples of any integer type (full scale) or float type (in [-1, 1]);
            or an :class:`Audio`, which is checked again.
        max_seconds: longer recordings are refused, from the header where it says so, before they are decoded.

    Returns:
        Audio at 16 kHz. Float recordings that exceed [-1, 1] are scaled down to peak 1. Channels are weighted by
        their energy, so that a voice on one of six keeps its level, and flipped where they are in opposite phase, so
        that they do not cancel.

    Raises:
        AudioError: one sentence on what is wrong and what to do.
    """
    if isinstance(source, Audio):
        source = (source.samples, source.sample_rate)
    if isinstance(source, (str, os.PathLike)):
        name = Path(source).name
        channels = _read_file(Path(source), max_seconds)
    else:
        name = "The audio"
        channels = _read_array(source, max_seconds)
    _check_length(len(channels) / SAMPLE_RATE, max_seconds, name)
    samples = _mix(channels)
    if len(samples) < MIN_SECONDS * SAMPLE_RATE:
        raise AudioError(
            f"{name} is only {len(samples) / SAMPLE_RATE:.2f} s long: record or choose at least {MIN_SECONDS} s."
        )
    peak = float(np.abs(samples).max())
    if float(np.abs(samples - samples.mean()).max()) < _SILENCE:
        raise AudioError(f"{name} is silent: check the microphone or choose another recording.")
    return Audio(samples / peak if peak > 1 else samples, SAMPLE_RATE, name)


def _check_length(seconds: float, max_seconds: float, name: str) -> None:
    # A hair of tolerance: resampling and codecs' padding may add a few milliseconds to a clip of just the limit.
    if seconds > max_seconds + 0.1:
        length = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} minutes"
        raise AudioError(f"{name} is {length} long, but the limit is {max_seconds:g} s: cut it into shorter pieces.")


def _check_rate(rate: float, name: str) -> None:
    if not _MIN_RATE <= rate <= _MAX_RATE:
        raise AudioError(f"{name} has a sample rate of {rate:g} Hz: export it with 8,000 to 192,000 Hz.")


def _read_array(source: Any, max_seconds: float) -> np.ndarray:
    """(samples, rate) -> (n, channels) float32 at 16 kHz."""
    name = "The audio"
    try:
        samples, rate = source
        rate = float(rate)
        samples = np.asarray(samples)
    except (TypeError, ValueError) as error:
        raise AudioError("Give the audio as a file path or as a pair (samples, sample rate).") from error
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf":
        raise AudioError(
            f"The audio has shape {samples.shape} and type {samples.dtype}: give one or two dimensions of integers or "
            "floats, and the pair as (samples, sample rate)."
        )
    if samples.size == 0:
        raise AudioError("The audio is empty: record or choose something to say.")
    if samples.ndim == 1:
        samples = samples[:, None]
    elif samples.shape[0] < samples.shape[1]:
        samples = samples.T
    _check_channels(samples.shape[1], name)
    _check_rate(rate, name)
    _check_length(len(samples) / rate, max_seconds, name)
    return _resample([_to_float(samples)], rate, name)


def _check_channels(channels: int, name: str) -> None:
    if channels > 32:
        raise AudioError(f"{name} has {channels} channels: export it as mono or stereo.")


def _to_float(samples: np.ndarray) -> np.ndarray:
    """Integers of any width to [-1, 1); unsigned ones are centred on half their range."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32's range: infinite, and reported as such
            return samples.astype(np.float32)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - offset) / half).astype(np.float32)


def _read_file(path: Path, max_seconds: float) -> np.ndarray:
    """A file -> (n, channels) float32 at 16 kHz. libsndfile first; what it does not know goes to ffmpeg's libraries."""
    name = path.name
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise AudioError(f"There is no file {str(path)!r}: check the path.") from error
    except IsADirectoryError as error:
        raise AudioError(f"{name} is a folder: choose an audio file in it.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "invalid path"
        raise AudioError(f"{name} cannot be opened ({reason}): check the path and its permissions.") from error
    if size == 0:
        raise AudioError(f"{name} is empty (0 bytes): record or export it again.")
    readers: tuple[Callable[[Path, float], np.ndarray | None], ...] = (_read_soundfile, _read_av)
    for read in readers:
        channels = read(path, max_seconds)
        if channels is not None:
            return channels
    raise AudioError(f"{name} is not audio that can be read, or is damaged: {_ADVICE}.")


def _read_soundfile(path: Path, max_seconds: float) -> np.ndarray | None:
    """None if libsndfile cannot read it."""
    name = path.name
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, RuntimeError, TypeError):  # TypeError: headerless formats by their suffix
        return None
    with file:
        _check_rate(file.samplerate, name)
        _check_channels(file.channels, name)
        # A stream that was piped or cut may have no length in its header, or the largest number there is.
        stated = file.frames / file.samplerate
        if 0 < stated < 1e6:
            _check_length(stated, max_seconds, name)

        def blocks() -> Blocks:
            while True:
                try:
                    block = file.read(file.samplerate // 10, dtype="float32", always_2d=True)
                except RuntimeError:  # damaged from here on: keep what came before (hence the small blocks)
                    return
                if not len(block):
                    return
                yield block

        return _resample(_limit(blocks(), file.samplerate, max_seconds, name), file.samplerate, name)


def _read_av(path: Path, max_seconds: float) -> np.ndarray | None:
    """None if ffmpeg's libraries cannot read it."""
    import av

    name = path.name
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    try:
        container = av.open(str(path.resolve()), options=options, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError):
        return None
    with container:
        if not container.streams.audio:
            raise AudioError(f"{name} has no sound track: choose a file with speech in it.")
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate or 0
        _check_rate(rate, name)
        _check_channels(stream.codec_context.channels, name)
        if stream.duration and stream.time_base:
            _check_length(float(stream.duration * stream.time_base), max_seconds, name)
        elif container.duration:
            _check_length(container.duration / av.time_base, max_seconds, name)

        def blocks() -> Blocks:
            # One layout and rate throughout, even if the stream changes them on the way.
            layout = stream.codec_context.layout.name
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            try:
                for frame in container.decode(stream):
                    for piece in resampler.resample(frame):
                        yield piece.to_ndarray().T
                for piece in resampler.resample(None):
                    yield piece.to_ndarray().T
            except (av.FFmpegError, ValueError):  # damaged from here on: keep what came before
                return

        channels = _resample(_limit(blocks(), rate, max_seconds, name), rate, name)
    return channels if len(channels) else None


def _limit(blocks: Blocks, rate: float, max_seconds: float, name: str) -> Blocks:
    """Pass blocks on, and stop decoding as soon as they exceed the limit (for files whose header has no length)."""
    count = 0
    for block in blocks:
        count += len(block)
        _check_length(count / rate, max_seconds, name)
        yield block


def _resample(blocks: Iterable[np.ndarray], rate: float, name: str) -> np.ndarray:
    """Blocks of (n, channels) float32 -> (m, channels) at 16 kHz; block by block, so that 192 kHz 5.1 stays small."""
    resampler, pieces = None, []
    for block in blocks:
        if not np.isfinite(block).all():
            raise AudioError(f"{name} contains values that are not numbers (NaN or infinite): export it again.")
        block = np.ascontiguousarray(block, dtype=np.float32)
        if resampler is None:
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, block.shape[1], dtype="float32")
            silence = np.zeros((0, block.shape[1]), dtype=np.float32)
        pieces.append(block if rate == SAMPLE_RATE else resampler.resample_chunk(block))
    if resampler is None:
        raise AudioError(f"{name} has no sound in it: record or export it again.")
    if rate != SAMPLE_RATE:
        pieces.append(resampler.resample_chunk(silence, last=True))
    return np.concatenate(pieces)


def _mix(channels: np.ndarray) -> np.ndarray:
    """(n, channels) -> (n,) mono.

    Channels are weighted by their energy: the plain mean would weaken a voice on one channel of six by 16 dB. A
    channel that runs against the loudest one (swapped wires, "wide" stereo effects) is flipped: the mean would cancel.
    """
    if channels.shape[1] == 1:
        return channels[:, 0]
    if channels.shape[1] in (6, 8):
        channels = np.delete(channels, 3, axis=1)  # 5.1 and 7.1: the fourth channel is bass effects
    # float64 and scaled by the peak, so that squares of very large or small values stay in range
    scaled = channels.astype(np.float64) / max(float(np.abs(channels).max()), 1e-30)
    products = scaled.T @ scaled
    energy = np.diag(products)
    if energy.sum() == 0:
        return np.zeros(len(channels), dtype=np.float32)
    loudest = int(np.argmax(energy))
    agreement = products[loudest] / np.sqrt(energy[loudest] * np.maximum(energy, 1e-30))
    signs = np.where(agreement < -0.5, -1.0, 1.0)
    return (channels @ (signs * energy / energy.sum())).astype(np.float32)
