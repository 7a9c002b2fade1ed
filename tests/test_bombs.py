"""Small files that want to be large in memory. Each is decoded, or refused in a sentence, within a stated number of megabytes."""

import io
import json
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
import soundfile

from emoface.audio import decode, load_audio
from emoface.errors import AudioError

from .audio.bombs import promising

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MB = 300
_MEASURE = """
import json, sys
from emoface.audio import load_audio
from emoface.errors import AudioError

def megabytes(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024

load_audio(sys.argv[1])  # what the libraries need once
for path in sys.argv[2:]:
    open("/proc/self/clear_refs", "w").write("5")  # forget the peak
    before = megabytes("VmRSS:")
    try:
        words = f"{load_audio(path).seconds:.1f} s"
    except AudioError as error:
        words = str(error)
    print(json.dumps([megabytes("VmHWM:") - before, words]))
"""

AT_ONCE_MB = 1000
"""Server and readers (of which each is 110 MB by itself), with two checks of ``MEMORY_MB``, which is what may run at the same time."""
_SERVE = """
import json, os, sys
from pathlib import Path
from emoface.audio import load_audio
from emoface.ui.app import build_app, launch_options
from tests.puppet import Puppeteer

def megabytes(key):
    return sum(int(line.split()[1]) for pid in family() for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(key)) / 1024

def family():
    parents = {int(path.parent.name): int(path.read_text().rpartition(")")[2].split()[1]) for path in Path("/proc").glob("[0-9]*/stat")}
    return [os.getpid(), *(pid for pid, parent in parents.items() if parent == os.getpid())]

load_audio(sys.argv[1])  # what the libraries need once
page = build_app(pipeline=Puppeteer, opening=False)
page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(page), "mcp_server": False})
print(json.dumps([page.local_url, next(number for number, function in page.fns.items() if function.name == "arrived")]), flush=True)
sys.stdin.readline()  # all have uploaded
open("/proc/self/clear_refs", "w").write("5")
before = megabytes("VmRSS:")
print("ready", flush=True)
sys.stdin.readline()  # all have their answer
print(megabytes("VmHWM:") - before, flush=True)
"""


def silence(path, *, seconds, rate, channels, **options):
    """Written in blocks, so that making a bomb takes no memory either."""
    with soundfile.SoundFile(path, "w", rate, channels, **options) as file:
        for _ in range(seconds):
            block = np.zeros((rate, channels), np.float32)
            block[::50] = 1e-3  # neither silent nor large
            file.write(block)


def sound(kind: str) -> bytes:
    """A second of tone."""
    data = io.BytesIO()
    soundfile.write(data, 0.1 * np.sin(np.arange(16000) / 8), 16000, format=kind)
    return data.getvalue()


def synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def tag(content: bytes, *, flags: bytes = b"\x00\x00", count: int = 1) -> bytes:
    """An ID3v2.4 tag of so many pictures."""
    frames = (b"APIC" + synchsafe(len(content)) + flags + content) * count
    return b"ID3\x04\x00\x00" + synchsafe(len(frames)) + frames


def packed(start: bytes, megabytes: int) -> bytes:
    """``start`` and so many megabytes of zeros, as zlib packs them: a thousandth."""
    packer = zlib.compressobj(9)
    return packer.compress(start) + b"".join(packer.compress(bytes(1_000_000)) for _ in range(megabytes)) + packer.flush()


def packed_tag() -> bytes:
    """800 kB that unpack to 800 MB."""
    return tag(synchsafe(100_000_013) + packed(b"\x00image/png\x00\x03\x00", 100), flags=b"\x00\x09", count=8)


def png(side: int) -> bytes:
    """An empty picture: a thousandth of its pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(4 * side + 1)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def flac_with_cover(path, picture: bytes):
    """Not a tag but a block of metadata of flac's own."""
    plain = sound("FLAC")
    block = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIIII", 0, 16000, 16000, 32, 0, len(picture)) + picture
    path.write_bytes(plain[:4] + b"\x00" + plain[5:42] + b"\x06" + len(block).to_bytes(3, "big") + block + plain[42:])


def packed_header(path):
    """QuickTime's packed ``moov``, with 400 MB of nothing in it."""

    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content) + 8) + name + content

    content = struct.pack(">I", 400_000_000) + packed(struct.pack(">I", 400_000_000) + b"free", 400)
    path.write_bytes(box(b"ftyp", b"qt  " + bytes(4)) + box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", content))))


def leaping(path):
    """16 channels at 384 kHz with 28 s missing again and again."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=384_000, layout="hexadecagonal")
        for k in range(4):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16 * 3840), 1000, np.int16), format="s16", layout="hexadecagonal")
            frame.sample_rate, frame.pts, frame.time_base = 384_000, int(k * 28.5 * 384_000), Fraction(1, 384_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def with_cover(path):
    """A short mp3 with a hundred megabytes of cover art in its tag."""
    with path.open("wb") as file:
        file.write(tag(bytes(100_000_000)))
        file.write(sound("MP3"))


def nested(path, inner):
    """A Matroska file in a Matroska file, as an attached track of data."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=16000)
        frame = av.AudioFrame.from_ndarray((1000 * np.sin(np.arange(16000) / 8)).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    path.write_bytes(path.read_bytes() + inner.read_bytes())


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    silence(folder / "channels.ogg", seconds=119, rate=8000, channels=32, format="OGG", subtype="VORBIS")
    silence(folder / "sixteen.wav", seconds=119, rate=8000, channels=16)
    silence(folder / "planes.ogg", seconds=2, rate=8000, channels=9, format="OGG", subtype="VORBIS")
    silence(folder / "rate.flac", seconds=20, rate=384_000, channels=8)
    silence(folder / "hours.flac", seconds=3600, rate=4000, channels=1)
    silence(folder / "many.wav", seconds=1, rate=8000, channels=1000)
    with_cover(folder / "cover.mp3")
    flac_with_cover(folder / "pixels.flac", png(16_000))
    (folder / "packed.mp3").write_bytes(packed_tag() + sound("MP3"))
    chunk = packed_tag()
    wav = sound("WAV")
    (folder / "packed.wav").write_bytes(wav[:12] + b"id3 " + struct.pack("<I", len(chunk)) + chunk + bytes(len(chunk) % 2) + wav[12:])
    packed_header(folder / "packed.mov")
    leaping(folder / "leaping.mkv")
    nested(folder / "nested.mkv", folder / "hours.flac")
    header = bytearray((folder / "many.wav").read_bytes()[:44])
    (folder / "lying.wav").write_bytes(bytes(header[:40]) + b"\xff\xff\xff\x7f" + bytes(64))
    return sorted(folder.iterdir())


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured as Linux tells it")
def test_no_small_file_takes_much_memory(bombs, tmp_path):
    soundfile.write(tmp_path / "plain.wav", 0.1 * np.sin(np.arange(16000) / 8), 16000)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path / "plain.wav"), *map(str, bombs)], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    measured = {path.name: json.loads(line) for path, line in zip(bombs, done.stdout.splitlines(), strict=True)}
    for name, (megabytes, words) in measured.items():
        print(f"{name:14s} {next(path for path in bombs if path.name == name).stat().st_size / 1e3:9.0f} kB  {megabytes:6.0f} MB  {words}")
    assert max(megabytes for megabytes, _ in measured.values()) < LIMIT_MB
    assert (
        "32 channels" in measured["channels.ogg"][1]
        and "9 channels" in measured["planes.ogg"][1]
        and "longer" in measured["hours.flac"][1]
        and measured["sixteen.wav"][1] == "119.0 s"
    )
    assert {measured[name][1] for name in ("cover.mp3", "pixels.flac", "packed.mp3", "packed.wav")} <= {"1.0 s", "1.1 s"}


def test_of_many_silent_tracks_a_few_are_heard(tmp_path):
    """Each is decoded to its end: without a bound a file of a megabyte takes minutes."""
    path = tmp_path / "tracks.mkv"
    with av.open(str(path), "w", format="matroska") as container:
        for stream in [container.add_stream("pcm_s16le", rate=8000) for _ in range(40)]:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux([*stream.encode(frame), *stream.encode(None)])
    with path.open("rb") as file:
        assert len(list(decode.decode(file, path.name, max_seconds=10))) == 8
    with pytest.raises(AudioError, match="tracks.mkv is silent"):
        load_audio(path)


def test_a_frame_holds_no_more_values_than_it_may(tmp_path, monkeypatch):
    """A packet of some bytes may claim any number of samples; the decoder is told how many it may believe, all channels together."""
    path = tmp_path / "tone.flac"
    soundfile.write(path, np.stack([0.1 * np.sin(np.arange(16000) / 8)] * 2, axis=1), 16000)  # frames of 4096 samples
    monkeypatch.setattr(decode, "_MOST_VALUES", 2 * 4096)
    assert load_audio(path).seconds == 1
    monkeypatch.setattr(decode, "_MOST_VALUES", 2 * 4096 - 2)
    monkeypatch.setattr(decode, "_decode_soundfile", lambda *_, **__: None)
    with pytest.raises(AudioError, match="tone.flac"):
        load_audio(path)


def upload(address: str, path: Path) -> str:
    """Where the server keeps it."""
    with path.open("rb") as file:
        return httpx.post(f"{address}gradio_api/upload", files={"files": (path.name, file)}, timeout=900).raise_for_status().json()[0]


def check_on_arrival(address: str, function: int, visit: str, stored: str) -> str:
    """What the page says of an upload, asked as a browser asks."""
    data = {"data": [{"path": stored, "meta": {"_type": "gradio.FileData"}}], "fn_index": function, "session_hash": visit}
    httpx.post(f"{address}gradio_api/queue/join", json=data, timeout=900).raise_for_status()
    with httpx.stream("GET", f"{address}gradio_api/queue/data", params={"session_hash": visit}, timeout=900) as events:
        for line in events.iter_lines():
            if line.startswith("data:") and (event := json.loads(line[5:]))["msg"] == "process_completed":
                assert event["success"], event
                return event["output"]["data"][0]
    raise AssertionError("no answer")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured as Linux tells it")
def test_twenty_visitors_with_bombs_at_once_take_no_more_than_two_checks(bombs, tmp_path):
    soundfile.write(tmp_path / "plain.wav", 0.1 * np.sin(np.arange(16000) / 8), 16000)
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(tmp_path / "plain.wav")], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        address, function = json.loads(server.stdout.readline())
        stored = {path.name: upload(address, path) for path in [*bombs, promising(tmp_path / "promising.mp4")]}
        sent = [*stored, *["sixteen.wav", "rate.flac", "promising.mp4"] * 2][:20]
        server.stdin.write("uploaded\n")
        server.stdin.flush()
        assert server.stdout.readline() == "ready\n"
        with ThreadPoolExecutor(len(sent)) as pool:
            said = list(pool.map(lambda job: check_on_arrival(address, function, f"visit{job[0]}", stored[job[1]]), enumerate(sent)))
        server.stdin.write("answered\n")
        server.stdin.flush()
        peak = float(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
    print(f"{len(sent)} at once {peak:6.0f} MB")
    answers = dict(zip(sent, said))
    assert len(sent) == 20 and "119.0 seconds" in answers["sixteen.wav"] and "32 channels" in answers["channels.ogg"]
    assert peak < AT_ONCE_MB
