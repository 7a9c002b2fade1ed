"""A recording in any container and codec -> its channels on one clock, to the end and past what is damaged.

ffmpeg's libraries (PyAV) read nearly everything; libsndfile reads what they do not know. Headers are not believed: the
length is what decodes, and every frame is taken with the rate and channels that it has itself.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

import numpy as np
import soundfile

from ..errors import AudioError
from . import matroska, ogg
from .plain import PlainFile
from .timeline import MIN_RATE, Timeline, check_format

# The containers that ffmpeg's libraries may open here: no playlists, which could name other files.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,mp3,aac,flac,wav,w64,aiff,asf,avi,mpeg,mpegts,amr,amrnb,amrwb,caf,ac3,eac3,au,"
    "flv,tta,wv,ape,voc,loas,gsm,dts,truehd"
)
# Containers in which every packet has a time of its own; elsewhere times are only counted from what was read.
_TIMED = {"mov", "matroska", "ogg", "mpegts", "mpeg", "flac", "flv"}
# AAC and mp3 begin with a frame of the encoder's own delay. Where a container tells to leave it out, its first time is negative; these often do not.
_UNPRIMED = {"aac": {"aac", "loas", "mpegts", "flv", "avi", "matroska"}, "mp3float": {"mpegts", "flv", "avi", "matroska"}}
# Times jitter by less than this (Vorbis: its block sizes; Matroska: whole milliseconds). A lost AAC frame is longer.
_JITTER_SECONDS = 0.02
# Half of the millisecond in which Matroska counts.
_ROUNDING_SECONDS = 0.0006
# (A leap by less than three quarters of a frame is jitter, too: no lost frame is as short.)
# A longer leap is not lost sound but another recording, or a damaged time.
_LEAP_SECONDS = 30.0
# ffmpeg gives up on the packets of a broken container one by one; so many failures in a row are the end.
_MAX_FAILURES = 50
# Where every channel has a plane of its own PyAV knows eight of them, and reads past its table, into a crash, for more.
_MOST_PLANES = 8
# Tracks without sound that are listened to before a file is called silent.
_MOST_TRACKS = 8
# Values in one frame, all channels together (a minute of stereo at 48 kHz): a packet of some bytes may claim to hold any number.
_MOST_VALUES = 1 << 23
_PIECE = 1 << 16
# By how a file begins. Larger ones hold pictures, and reading them whole would cost memory.
_MENDERS = {b"\x1a\x45\xdf\xa3": matroska.mended, b"OggS": ogg.mended}
_LARGEST_MENDED = 32 << 20


def decode(file: BinaryIO, name: str, *, max_seconds: float) -> Iterator[Timeline]:
    """The sound tracks of an open file, the one marked as default first; each is decoded when it is asked for.

    Nothing is yielded if neither library can open the file; a timeline without segments if there is no sound in a track.

    Raises:
        AudioError: no sound track, absurd formats, or longer than ``max_seconds`` when decoded.
    """
    import av

    av.logging.set_level(av.logging.PANIC)  # what is wrong is said once, by us
    heard = False
    plain = PlainFile(file, name)
    tracks = _tracks(plain, name)[:_MOST_TRACKS]
    again = _mended(file) if tracks else None
    for index in tracks:
        timeline = _track(plain, index, Timeline(name, max_seconds=max_seconds))
        if again is not None:
            second = _track(again, index, Timeline(name, max_seconds=max_seconds))
            timeline = max(timeline, second, key=lambda found: found.seconds - found.damaged)
        heard = heard or bool(timeline.segments)
        yield timeline
    if not heard and (other := _decode_soundfile(file, name, max_seconds=max_seconds)) is not None:
        yield other


def _mended(file: BinaryIO) -> io.BytesIO | None:
    """A damaged file in a form of which more can be read; None where nothing is wrong, or nothing is known about it."""
    if file.seek(0, 2) > _LARGEST_MENDED:
        return None
    file.seek(0)
    mend = _MENDERS.get(file.read(4))
    if mend is None:
        return None
    file.seek(0)
    content = mend(file.read())
    return None if content is None else io.BytesIO(content)


def _track(file: PlainFile | BinaryIO, index: int, timeline: Timeline) -> Timeline:
    """A sound track of a file onto the timeline."""
    with _container(file) as container:
        _decode_track(container, container.streams[index], timeline)
    return timeline


def _container(file: PlainFile | BinaryIO):
    import av

    file.seek(0)
    return av.open(file, options={"format_whitelist": _CONTAINERS, "codec_whitelist": _sound_decoders()}, metadata_errors="ignore")


@lru_cache(maxsize=1)
def _sound_decoders() -> str:
    """ffmpeg decodes pictures, too, to learn their size: a cover of a megabyte may be a gigabyte of pixels. Hence only what decodes sound."""
    import av

    def decodes_sound(name: str) -> bool:
        try:
            return av.Codec(name, "r").type == "audio"
        except av.codec.codec.UnknownCodecError:  # it only encodes
            return False

    return ",".join(sorted(filter(decodes_sound, av.codecs_available)))


def _tracks(file: PlainFile, name: str) -> list[int]:
    """Indices of the audio streams in the order in which they are to be heard; none if ffmpeg cannot read the file."""
    import av

    try:
        container = _container(file)
    except (av.FFmpegError, OSError, ValueError):
        return []
    with container:
        streams = [stream for stream in container.streams if stream.type == "audio"]
        if not streams and container.streams:
            raise AudioError(f"{name} has no sound track: choose a file with speech in it.")
        return [s.index for s in sorted(streams, key=lambda s: not s.disposition & av.stream.Disposition.default)]


def _decode_track(container, stream, timeline: Timeline) -> None:
    """All frames of one track onto the timeline."""
    import av

    context = stream.codec_context
    context.options = {"max_samples": str(_MOST_VALUES // max(context.channels, 1))}
    if context.name == "flac":  # its checksums tell damage, which would sound like a bang
        context.options |= {"err_detect": "crccheck+explode"}
    container_names = set(container.format.name.split(","))
    clock = _Clock(timed=bool(_TIMED & container_names))
    primed = not container_names & _UNPRIMED.get(context.name, set())
    numbered = _FlacNumbers() if context.name == "flac" and "ogg" in container_names else None
    for packet in _packets(container, stream):
        if _is_header(packet):
            continue
        primed = primed or (packet.pts is not None and packet.pts < 0)
        if numbered is not None and (sample := numbered.sample(bytes(packet)[:16])) is not None:
            packet.pts = sample
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            clock.fail(packet)
            continue
        for frame in frames:
            if clock.before_start(frame):
                continue
            timeline.lose(clock.lost_before(frame))
            if not primed:
                primed = True
                continue
            _add(frame, timeline, compressed=not context.name.startswith("pcm_"))
    timeline.damaged += clock.unheard  # at the very end: nothing follows that silence would keep in step
    timeline.close()


def _packets(container, stream) -> Iterator:
    """The packets of a stream; goes on behind places that the container's reader stumbles over."""
    import av

    failures = 0
    while failures < _MAX_FAILURES:
        try:
            for packet in container.demux(stream):
                failures = 0
                yield packet
            return
        except (av.FFmpegError, ValueError, OSError):
            failures += 1


def _is_header(packet) -> bool:
    """Whether this mp3 frame holds no sound but the length of a file that was joined in here (Xing, LAME)."""
    return packet.stream.codec_context.name.startswith("mp3") and any(mark in bytes(packet)[:64] for mark in (b"Xing", b"Info"))


def _add(frame, timeline: Timeline, *, compressed: bool) -> None:
    """One frame, by its own rate, layout and sample type."""
    channels, rate = frame.layout.nb_channels, frame.sample_rate
    if frame.format.is_planar and channels > _MOST_PLANES:
        if not timeline.segments:
            raise AudioError(f"{timeline.name} has {channels} channels: export it as mono or stereo.")
        return timeline.lose(frame.samples / max(rate, 8000))
    timeline.check_room(frame.samples / max(rate, MIN_RATE))
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
    if timeline.segments:  # behind the first frame an absurd format is damage
        try:
            check_format(rate, channels, "")
        except AudioError:
            return timeline.lose(len(samples) / max(rate, 8000))
    for start in range(0, len(samples), _PIECE):
        piece = to_float(samples[start : start + _PIECE])
        if compressed and not np.isfinite(piece).all():
            timeline.lose(len(piece) / rate)
        else:
            timeline.add(piece, rate, layout=frame.layout.name)


class _FlacNumbers:
    """The time that a FLAC frame tells itself. An Ogg page tells only where it ends, so behind a lost page ffmpeg's times would be right a page too late."""

    def __init__(self) -> None:
        self._block = 0  # samples of a frame, where all but the last have as many

    def sample(self, head: bytes) -> int | None:
        """Number of the first sample of the frame that begins with ``head``; None if it does not look like one."""
        if len(head) < 8 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
            return None
        width = max(8 - (head[4] ^ 0xFF).bit_length(), 1)  # as in UTF-8: leading ones, or one byte without
        number = head[4] & (0x7F if width == 1 else 0x7F >> width)
        for byte in head[5 : 4 + width]:
            number = number << 6 | byte & 0x3F
        if head[1] & 1:  # frames of different lengths count samples, others count frames
            return number
        self._block = self._block or _flac_block(head, 4 + width)
        return number * self._block if self._block else None


def _flac_block(head: bytes, place: int) -> int:
    """Samples in a FLAC frame by the code in its header; ``place``: where its number ends."""
    code = head[2] >> 4
    if code in (6, 7):
        return int.from_bytes(head[place : place + code - 5], "big") + 1
    return 192 if code == 1 else 576 << (code - 2) if 2 <= code <= 5 else 256 << (code - 8) if code >= 8 else 0


class _Clock:
    """Finds the time that was lost between frames: from their own times, or from the packets that failed.

    Attributes:
        unheard: seconds of packets that failed since the last good frame.
    """

    def __init__(self, *, timed: bool):
        self._timed = timed
        self._expected: float | None = None  # time of the next frame, if nothing is lost
        self._length = 0.0  # of the last frame, s
        self.unheard = 0.0

    def before_start(self, frame) -> bool:
        """Whether a frame ends at time 0 at the latest: the encoder's delay, which nobody is meant to hear. (ffmpeg 8.1 leaves it out itself.)"""
        if not self._timed or frame.pts is None or not frame.time_base:
            return False
        return frame.pts < 0 and float(frame.pts * frame.time_base) + frame.samples / frame.sample_rate < _ROUNDING_SECONDS

    def fail(self, packet) -> None:
        """A packet could not be decoded."""
        self.unheard += float(packet.duration * packet.time_base) if packet.duration and packet.time_base else self._length

    def lost_before(self, frame) -> float:
        """Seconds that are missing between the frame before and this one."""
        lost, self.unheard = self.unheard, 0.0
        time = float(frame.pts * frame.time_base) if self._timed and frame.pts is not None and frame.time_base else None
        if self._expected is None:
            now = time
        elif time is None:
            now = self._expected + lost
        else:
            now, ahead = time, time - self._expected
            if abs(ahead) < max(_JITTER_SECONDS, 0.75 * self._length):
                lost, now = 0.0, self._expected  # so that jitter does not add up
            elif 0 < ahead < _LEAP_SECONDS:
                lost = ahead
        self._length = frame.samples / frame.sample_rate
        self._expected = None if now is None else now + self._length
        return lost


def _decode_soundfile(file: BinaryIO, name: str, *, max_seconds: float) -> Timeline | None:
    """What only libsndfile knows; None if it does not know it either."""
    file.seek(0)
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.SoundFileError, RuntimeError, TypeError):  # TypeError: headerless formats by their suffix
        return None
    timeline = Timeline(name, max_seconds=max_seconds)
    with sound:
        check_format(sound.samplerate, sound.channels, name)
        while True:
            try:
                block = sound.read(max(sound.samplerate // 10, 1), dtype="float32", always_2d=True)
            except RuntimeError:  # damaged from here on: keep what came before (hence the small blocks)
                break
            if not len(block):
                break
            timeline.add(block, sound.samplerate)
    timeline.close()
    return timeline


def to_float(samples: np.ndarray) -> np.ndarray:
    """Integers of any width to [-1, 1); unsigned ones are centred on half their range."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32's range: infinite, and reported as such
            return samples.astype(np.float32)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - offset) / half).astype(np.float32)
