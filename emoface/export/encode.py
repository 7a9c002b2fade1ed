"""Pictures and sound into a video file, through PyAV: no ffmpeg program is needed.

How sound and picture stay together: sound keeps its rate where the codec takes it and is not below 44.1 kHz (in AAC), so that AAC's 1024 priming samples
last 23 ms at most and are cut by the file's edit list; there are no B-frames, so that picture timestamps begin at 0 in every player.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import EmoFaceError

AUDIO_RATE = 48000
"""Of sound whose own rate a codec does not take."""
RATES = {"aac": (44100, 48000, 64000, 88200, 96000), "pcm_s16le": range(4000, 192001), "libopus": (48000,)}
"""Samples a second that each audio encoder is given as they are."""
_BT709 = 1
_LIMITED_RANGE = 1
CODECS = {
    "h264": ("libx264", {"crf": "18", "preset": "veryfast", "bf": "0", "tune": "animation"}, "aac"),
    "vp9": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"}, "libopus"),
    "av1": ("libsvtav1", {"crf": "30", "preset": "10"}, "libopus"),
    "prores": ("prores_ks", {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}, "pcm_s16le"),
}
"""Video encoder, its options and the audio encoder of each codec. libx264 is GPL; VP9, AV1 and Opus are not."""
CONTAINERS = {".mp4": ("h264",), ".webm": ("vp9", "av1"), ".mov": ("prores",)}
ALPHA = {"vp9": "yuva420p", "prores": "yuva444p10le"}
"""Pixel formats of the codecs that keep transparency."""


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    fps: float,
    frame_count: int,
    audio: np.ndarray | None = None,
    sample_rate: int = 16000,
    codec: str | None = None,
) -> None:
    """Writes (H, W, 3) uint8 sRGB pictures (H, W even) and float sound, (n,) or (n, 2), to ``path`` (.mp4, .webm or .mov).

    (H, W, 4) pictures, alpha not multiplied in, keep their transparency in VP9 and ProRes 4444; EmoFaceError for other codecs.

    Picture ``i`` is shown from ``i / fps``; sound beyond ``frame_count / fps`` seconds is cut. ``path`` is written in
    place: callers who need all or nothing pass a temporary path. Raises EmoFaceError for an unknown codec.
    """
    import av

    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder writes its settings to stderr otherwise
    allowed = CONTAINERS[Path(path).suffix.lower()]
    codec = codec or allowed[0]
    if codec not in allowed:
        raise EmoFaceError(f"{Path(path).suffix} files hold {' or '.join(allowed)}, not {codec}.")
    video_name, video_options, audio_name = CODECS[codec]
    rate = Fraction(fps).limit_denominator(1001)
    pictures = iter(pictures)
    first = next(pictures)
    alpha = first.shape[2] == 4
    if alpha and codec not in ALPHA:
        raise EmoFaceError(f"{codec} keeps no transparency: write a .webm with vp9, a .mov, or a .zip of png.")
    pixels = ALPHA[codec] if alpha else ("yuv444p10le" if codec == "prores" else "yuv420p")
    container_options = {"movflags": "+faststart"} if Path(path).suffix.lower() == ".mp4" else {}
    with av.open(str(path), "w", options=container_options) as container:
        video = container.add_stream(video_name, rate=rate, options=video_options)
        video.height, video.width = first.shape[:2]
        video.pix_fmt = pixels
        if alpha and codec == "vp9":
            video.metadata["alpha_mode"] = "1"  # players look for it in the container
        video.time_base = video.codec_context.time_base = 1 / rate
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        sound = None
        if audio is not None and len(audio):
            # Whole streams are declared before the first packet; the sound is short enough to be resampled at once.
            stereo = np.ndim(audio) == 2 and np.shape(audio)[1] == 2
            sound_rate = sample_rate if sample_rate in RATES[audio_name] else AUDIO_RATE
            sound_stream = container.add_stream(audio_name, rate=sound_rate, layout="stereo" if stereo else "mono")
            sound_stream.bit_rate = 192000 if stereo else 128000
            samples = np.asarray(audio, np.float32)[: round(frame_count / float(rate) * sample_rate)]
            sound = _Sound(sound_stream, samples, sample_rate, sound_rate)
        for index, picture in enumerate(_chain(first, pictures)):
            for packet in video.encode(_video_frame(picture, index, rate, pixels)):
                container.mux(packet)
            if sound is not None:
                for packet in sound.until((index + 1) / float(rate)):
                    container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
        if sound is not None:
            for packet in sound.finish():
                container.mux(packet)


def _chain(first, rest):
    yield first
    yield from rest


def _video_frame(picture: np.ndarray, index: int, rate: Fraction, pixels: str):
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgba" if picture.shape[2] == 4 else "rgb24")
    frame = frame.reformat(
        format=pixels,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        dst_color_primaries=ColorPrimaries.BT709,
        dst_color_trc=ColorTrc.BT709,
    )
    frame.pts, frame.time_base = index, 1 / rate
    return frame


class _Sound:
    """Samples (n,) or (n, 2) as encoded packets, handed out no further than the picture has come."""

    def __init__(self, stream, samples: np.ndarray, sample_rate: int, rate: int):
        import av

        self.stream, self.given, self.rate = stream, 0, rate
        stream.codec_context.open()
        layout = stream.codec_context.layout.name
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout=layout, rate=rate, frame_size=stream.codec_context.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.atleast_2d(np.clip(samples, -1, 1).T)), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = int(sample_rate), 0
        self.frames = [*resampler.resample(frame), *resampler.resample(None)]

    def until(self, seconds: float):
        while self.frames and self.given < seconds * self.rate:
            frame = self.frames.pop(0)
            frame.pts, frame.time_base = self.given, Fraction(1, self.rate)
            self.given += frame.samples
            yield from self.stream.encode(frame)

    def finish(self):
        yield from self.until(float("inf"))
        yield from self.stream.encode(None)


def read_sound(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """((n,) or (n, 2) float32 samples, their rate): the sound of a file as it is, mono or stereo, not brought to speech's 16 kHz mono.

    Raises EmoFaceError for files that cannot be read.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("audio")
            mono = stream.codec_context.layout.nb_channels == 1
            resampler = av.AudioResampler(format="fltp", layout="mono" if mono else "stereo")
            frames = [part for frame in container.decode(stream) for part in resampler.resample(frame)]
            frames += resampler.resample(None)
            samples, rate = np.concatenate([frame.to_ndarray() for frame in frames], 1).T, frames[0].sample_rate
    except (av.FFmpegError, OSError, AttributeError, ValueError, IndexError) as error:
        raise EmoFaceError(f"The sound of {Path(path).name} cannot be read ({type(error).__name__}); give a wav or flac.") from None
    return np.ascontiguousarray(samples[:, 0] if mono else samples, np.float32), rate


def write_preview(path: Path, pictures: Iterable[np.ndarray], durations_ms: list[int]) -> None:
    """Writes a silent, looping .gif or .webp of (H, W, 3) uint8 pictures, each shown for its own duration."""
    from PIL import Image

    images = [Image.fromarray(picture) for picture in pictures]
    if Path(path).suffix.lower() == ".gif":
        # One palette for all frames, from a few of them: per-frame palettes flicker.
        some = images[:: max(1, len(images) // 6)]
        page = Image.new("RGB", (some[0].width, some[0].height * len(some)))
        for row, image in enumerate(some):
            page.paste(image, (0, row * image.height))
        palette = page.quantize(224, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        options = {"optimize": False, "disposal": 1}
    else:
        options = {"quality": 82, "method": 2}
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations_ms, loop=0, **options)
