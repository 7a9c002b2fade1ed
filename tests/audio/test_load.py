"""Everything a person may bring: it works, or one sentence says what is wrong. All files are made here."""

import struct

import av
import numpy as np
import pytest
import soundfile

from emoface.audio import SAMPLE_RATE, Audio, load_audio
from emoface.errors import AudioError


def tone(seconds: float = 1.0, rate: int = SAMPLE_RATE, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float64)


def write_av(path, samples: np.ndarray, rate: int, codec: str, *, format: str | None = None, video: bool = False):
    """Encode (n, channels) with PyAV; optionally with a small picture track, as phones record it."""
    channels = samples.shape[1]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(str(path), "w", format=format) as container:
        if video:
            picture = container.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if video:
            for _ in range(10):
                image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T, np.float32), format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo = av.AudioFifo()
            fifo.write(piece)
            while (part := fifo.read(stream.codec_context.frame_size or 1024, partial=True)) is not None:
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def assert_is_tone(audio: Audio, seconds: float = 1.0, hertz: float = 440.0, *, level=0.5, slack: float = 0.12) -> None:
    assert audio.sample_rate == SAMPLE_RATE and audio.samples.dtype == np.float32 and audio.samples.ndim == 1
    assert abs(audio.seconds - seconds) < slack
    middle = audio.samples[len(audio.samples) // 4 : 3 * len(audio.samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(np.argmax(spectrum) * SAMPLE_RATE / len(middle) - hertz) < 5
    assert np.abs(middle).max() == pytest.approx(level, rel=0.2)


def refused(source, **options) -> str:
    """The message, checked to be one plain sentence with a next step."""
    with pytest.raises(AudioError) as caught:
        load_audio(source, **options)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and "Traceback" not in message and "Error" not in message
    assert ":" in message or "Give" in message, f"no next step in: {message}"
    return message


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])
def test_sample_rates(tmp_path, rate):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate=rate), rate)
    assert_is_tone(load_audio(path), slack=0.01)


@pytest.mark.parametrize(
    "format, subtype",
    [("WAV", s) for s in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM")]
    + [("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")],
)
def test_formats_of_libsndfile(tmp_path, format, subtype):
    path = tmp_path / f"tone.{format.lower()}"
    soundfile.write(path, tone(rate=48000), 48000, format=format, subtype=subtype)
    audio = load_audio(str(path))
    assert audio.name == path.name
    assert_is_tone(audio)


@pytest.mark.parametrize(
    "suffix, codec, video",
    [("m4a", "aac", False), ("webm", "libopus", False), ("mp4", "aac", True), ("mkv", "libopus", False)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats_of_browsers_and_phones(tmp_path, suffix, codec, video, channels):
    path = tmp_path / f"tone.{suffix}"
    write_av(path, np.repeat(tone(rate=48000)[:, None], channels, 1), 48000, codec, video=video)
    assert_is_tone(load_audio(path))


def test_content_decides_and_not_the_suffix(tmp_path):
    path = tmp_path / "tone.wav"
    write_av(tmp_path / "tone.m4a", tone(rate=44100)[:, None], 44100, "aac")
    (tmp_path / "tone.m4a").rename(path)
    assert_is_tone(load_audio(path))
    path = tmp_path / "tone.raw"
    soundfile.write(path, tone(), SAMPLE_RATE, format="WAV")
    assert_is_tone(load_audio(path))


def test_voice_on_one_channel_of_six_keeps_its_level(tmp_path):
    channels = 1e-4 * np.random.default_rng(0).standard_normal((48000, 6))
    channels[:, 2] += tone(rate=48000)  # centre
    channels[:, 3] += tone(rate=48000, hertz=40, level=0.9)  # bass effects: not speech
    soundfile.write(tmp_path / "surround.wav", channels, 48000)
    assert_is_tone(load_audio(tmp_path / "surround.wav"))
    write_av(tmp_path / "surround.m4a", channels, 48000, "aac")
    assert_is_tone(load_audio(tmp_path / "surround.m4a"), level=0.5)


def test_opposite_phase_stereo_does_not_cancel():
    voice = tone()
    assert_is_tone(load_audio((np.stack([voice, -voice], 1), SAMPLE_RATE)))
    assert_is_tone(load_audio((np.stack([voice, -0.9 * voice + 0.01], 1), SAMPLE_RATE)))
    assert_is_tone(load_audio((np.stack([voice, 0 * voice], 1), SAMPLE_RATE)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", ["mono", "columns", "rows"])
def test_arrays_of_any_type_and_orientation(dtype, shape):
    samples = tone(rate=44100)
    if np.dtype(dtype).kind == "i":
        samples = samples * np.iinfo(dtype).max
    elif np.dtype(dtype).kind == "u":
        samples = (samples + 1) * (np.iinfo(dtype).max // 2)
    samples = samples.astype(dtype)
    if shape != "mono":
        samples = np.stack([samples, samples], axis=1 if shape == "columns" else 0)
    assert_is_tone(load_audio((samples, 44100)), slack=0.01)


def test_too_loud_floats_are_scaled_and_not_clipped():
    audio = load_audio((3e4 * tone(), SAMPLE_RATE))
    assert np.abs(audio.samples).max() == pytest.approx(1.0)
    assert_is_tone(audio, level=1.0)


def test_loaded_audio_passes_again_unchanged():
    audio = load_audio((tone(), SAMPLE_RATE))
    np.testing.assert_array_equal(load_audio(audio).samples, audio.samples)


def test_missing_empty_and_not_audio(tmp_path):
    assert "no file" in refused(tmp_path / "missing.wav")
    assert "folder" in refused(tmp_path)
    (tmp_path / "zero.wav").write_bytes(b"")
    assert "0 bytes" in refused(tmp_path / "zero.wav")
    for name, content in {
        "notes.txt": b"This is not speech.\n" * 50,
        "notes.wav": b"This is not speech.\n" * 50,
        "noise.mp3": np.random.default_rng(0).bytes(20000),
        "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "one.wav": b"R",
        "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.wav\n#EXT-X-ENDLIST\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert "wav" in refused(tmp_path / name)
    assert "cannot be opened" in refused("a\0b.wav")


def test_playlists_cannot_name_other_files(tmp_path):
    soundfile.write(tmp_path / "secret.wav", tone(), SAMPLE_RATE)
    (tmp_path / "list.wav").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'secret.wav'}\n")
    refused(tmp_path / "list.wav")


def test_picture_without_sound(tmp_path):
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "no sound track" in refused(tmp_path / "mute.mp4")


def test_no_samples_silence_and_too_short(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), SAMPLE_RATE)
    assert "no sound" in refused(tmp_path / "none.wav")
    assert "empty" in refused((np.zeros(0, np.float32), SAMPLE_RATE))
    for silence in (np.zeros(SAMPLE_RATE), np.full(SAMPLE_RATE, 0.25), np.zeros(SAMPLE_RATE, np.int16)):
        assert "silent" in refused((silence, SAMPLE_RATE))
    soundfile.write(tmp_path / "silent.flac", np.zeros((48000, 2)), 48000)
    assert "silent" in refused(tmp_path / "silent.flac")
    assert "0.05 s" in refused((tone(0.05), SAMPLE_RATE))
    assert load_audio((tone(0.1), SAMPLE_RATE)).seconds == pytest.approx(0.1)


def test_faint_speech_is_not_silence():
    assert_is_tone(load_audio((tone(level=0.002), SAMPLE_RATE)), level=0.002)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers(tmp_path, bad):
    samples = tone()
    samples[5000] = bad
    soundfile.write(tmp_path / "bad.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    assert "not numbers" in refused(tmp_path / "bad.wav")
    assert "not numbers" in refused((samples, SAMPLE_RATE))


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg"])
def test_truncated_files_give_what_is_left_or_a_sentence(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    samples = tone(12.0) + 0.02 * np.random.default_rng(0).standard_normal(12 * SAMPLE_RATE)
    soundfile.write(path, samples, SAMPLE_RATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    audio = load_audio(path)
    assert 4.0 < audio.seconds < 7.0
    assert_is_tone(audio, seconds=audio.seconds)
    path.write_bytes(whole[:40])
    refused(path)


@pytest.mark.parametrize("suffix, codec", [("m4a", "aac"), ("webm", "libopus")])
def test_truncated_containers_give_what_is_left_or_a_sentence(tmp_path, suffix, codec):
    path = tmp_path / f"cut.{suffix}"
    write_av(path, tone(4.0, 48000)[:, None], 48000, codec)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    if suffix == "m4a":  # the index is at the end of the file: nothing can be read without it
        assert "damaged" in refused(path)
    else:
        assert_is_tone(load_audio(path), seconds=2.0, slack=0.6)


def wav_header(seconds: int, rate: int = 8000) -> bytes:
    size = seconds * rate
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


def test_one_hour_is_refused_when_the_limit_is_decoded(tmp_path):
    """The file is sparse: were its 29 MB decoded to the end, the silence would be reported instead."""
    path = tmp_path / "hour.wav"
    with path.open("wb") as file:
        file.write(wav_header(3600))
        file.truncate(44 + 3600 * 8000)
    message = refused(path)
    assert "longer than the limit of 120 s" in message
    assert "30 s" in refused((tone(31.0), SAMPLE_RATE), max_seconds=30)
    path = tmp_path / "long.m4a"
    write_av(path, tone(8.0, 48000)[:, None], 48000, "aac")
    assert "limit of 5 s" in refused(path, max_seconds=5)


def test_streams_without_a_length_are_stopped_at_the_limit(tmp_path):
    """Browsers record webm without a duration in its header."""
    path = tmp_path / "live.webm"
    write_av(path, tone(8.0, 48000)[:, None], 48000, "libopus", format="webm")
    data = bytearray(path.read_bytes())
    at = data.find(b"\x44\x89\x88")  # the Duration element, 8 bytes float
    assert at > 0
    data[at : at + 11] = b"\xec\x89" + bytes(9)  # a Void element of the same size
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.duration is None or container.duration < 0 or container.duration > 10**12
    assert "limit of 5 s" in refused(path, max_seconds=5)
    assert_is_tone(load_audio(path), seconds=8.0)


def test_length_at_the_limit_is_accepted():
    assert load_audio((tone(5.0, 44100), 44100), max_seconds=5).seconds == pytest.approx(5.0, abs=1e-3)


@pytest.mark.parametrize(
    "source",
    [
        None,
        5,
        (1, 2, 3),
        ("speech.wav", 16000),
        (np.zeros((2, 3, 4)), 16000),
        (np.zeros(16000, dtype=bool), 16000),
        (np.zeros(16000, dtype=complex), 16000),
        (np.zeros((200, 300)), 16000),
        (np.ones(16000), 0),
        (np.ones(16000), -1),
        (np.ones(16000), float("nan")),
        (16000, np.ones(16000)),
    ],
    ids=str,
)
def test_what_is_not_audio_at_all(source):
    refused(source)
