"""Many visitors at once: does everybody get what belongs to them, and is the memory free again afterwards?

    python -m train.tools.load_page [--visitors 20] [--rounds 3]

Starts ``app.py`` in a process of its own. In every round all visitors upload a recording of their own length and ask for an emotion at the same
moment. A result that does not fit its visitor's recording, length and emotion, or that equals another visitor's, is an error. After each round,
when all have left, prints the memory of the server and what their sessions left on the disk; the first round also loads the model, so that
memory is compared with what it was after the first. Fails when anything is left, or memory has grown by more than a fifth.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import soundfile
from gradio_client import Client, handle_file

from emoface.animation import EMOTIONS
from emoface.audio import load_audio
from emoface.clock import frame_count

SPEECH = Path(__file__).resolve().parents[2] / "assets" / "examples" / "narrator.wav"

MOST_GROWTH = 1.2


def recordings(folder: Path, count: int) -> list[Path]:
    """Pieces of one recording, each of another length: 1 s, and two frames more for every visitor."""
    samples = load_audio(SPEECH).samples
    paths = [folder / f"visitor {i}.wav" for i in range(count)]
    for i, path in enumerate(paths):
        soundfile.write(path, samples[: 16000 + i * 16000 // 15], 16000)
    return paths


def visit(address: str, together: Barrier, path: Path, emotion: str) -> np.ndarray:
    """One visitor's round; returns the face of the last frame."""
    try:
        client = Client(address, verbose=False, httpx_kwargs={"timeout": 600})
    except Exception:
        together.abort()  # or the others would wait
        raise
    try:
        together.wait(timeout=120)
        file, summary = client.predict(speech=handle_file(path), emotion=emotion, api_name="/animate")
        with np.load(file, allow_pickle=False) as saved:
            vertices = saved["vertices"]
    finally:
        client.close()
    sent = soundfile.info(path)
    wanted = path.name, emotion, frame_count(sent.frames, 30, sample_rate=sent.samplerate)
    got = summary["settings"]["speech"], summary["settings"]["emotion"], len(vertices)
    assert got == wanted, f"{got} for the visitor who sent {wanted}"
    return vertices[-1]


def memory(process: subprocess.Popen) -> float:
    """Megabytes of real memory of the server."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def serve(temporary: Path) -> tuple[subprocess.Popen, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)],
        cwd=SPEECH.parents[2],
        env={**os.environ, "GRADIO_TEMP_DIR": str(temporary)},
        stdout=subprocess.DEVNULL,
    )
    while app.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return app, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.5)
    raise SystemExit("The page did not start.")


def left_on_disk(temporary: Path) -> int:
    return len(list(temporary.glob("emoface-*")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "gradio"
        paths = recordings(Path(folder), options.visitors)
        emotions = [EMOTIONS[i % len(EMOTIONS)] for i in range(options.visitors)]
        app, address = serve(temporary)
        try:
            settled = []
            for number in range(1, options.rounds + 1):
                start, together = time.monotonic(), Barrier(options.visitors)
                with ThreadPoolExecutor(options.visitors) as pool:
                    faces = list(pool.map(lambda job: visit(address, together, *job), zip(paths, emotions)))
                seconds = time.monotonic() - start
                assert len({face.tobytes() for face in faces}) == options.visitors, "two visitors got the same face"
                deadline = time.monotonic() + 60
                while left_on_disk(temporary) and time.monotonic() < deadline:
                    time.sleep(0.5)
                time.sleep(2)
                settled.append(memory(app))
                print(
                    f"round {number}: {options.visitors} visitors in {seconds:.1f} s, all results their own; afterwards {settled[-1]:.0f} MB"
                    f" ({100 * (settled[-1] / settled[0] - 1):+.1f} %), {left_on_disk(temporary)} result folders",
                    flush=True,
                )
                assert app.poll() is None, "the server stopped"
                if left_on_disk(temporary):
                    raise SystemExit("Results of visitors who left are still on the disk.")
                if settled[-1] > MOST_GROWTH * settled[0]:
                    raise SystemExit(f"The server's memory grew by more than {100 * (MOST_GROWTH - 1):.0f} % since the first round.")
        finally:
            app.terminate()
            app.wait(20)


if __name__ == "__main__":
    main()
