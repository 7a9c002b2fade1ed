"""How fast the ONNX file (export_onnx.py) is in a browser: onnxruntime-web's WASM in Chromium, as a page that runs without a server would use it.

    npm install onnxruntime-web
    python -m train.tools.measure_onnx_web FILE.onnx [--sound assets/examples/happy.wav] [--runtime node_modules/onnxruntime-web/dist]

Printed for one and two threads: seconds to load the file, seconds of computation for each second of speech (the fastest of three runs), the processor time of the
browser for each second of speech (their mean; what other programs do to the machine hardly changes it; Linux), and how far the answer is from onnxruntime's in Python.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from playwright.sync_api import sync_playwright

from emoface.audio import load_audio
from train.tools.export_onnx import inputs_of, session

LOAD = """async ({ threads, frames }) => {
  const ort = await import('/ort.wasm.min.mjs');
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = '/';
  const floats = async name => new Float32Array(await (await fetch(name)).arrayBuffer()), samples = await floats('/samples'), prosody = await floats('/prosody');
  const begin = performance.now();
  const session = await ort.InferenceSession.create('/model.onnx', { executionProviders: ['wasm'] });
  const load = performance.now() - begin, feeds = { samples: new ort.Tensor('float32', samples, [samples.length]), prosody: new ort.Tensor('float32', prosody, [frames, 3]),
                                                    emotion: new ort.Tensor('int64', BigInt64Array.of(2n), []) };
  window.compute = async () => (await session.run(feeds)).offsets.data;
  await compute();   // what is prepared once
  return { load, isolated: crossOriginIsolated };
}"""
RUN = """async runs => {
  let best = Infinity, offsets;
  for (let run = 0; run < runs; run++) {
    const begin = performance.now();
    offsets = await compute();
    best = Math.min(best, performance.now() - begin);
  }
  window.offsets = offsets;
  return best;
}"""
ANSWER = """() => {
  let text = '';
  for (const byte of new Uint8Array(offsets.buffer, offsets.byteOffset, offsets.byteLength)) text += String.fromCharCode(byte);
  return btoa(text);
}"""
RUNS = 3


def processor_seconds() -> float:
    """Processor time so far of all processes that this one started, and of theirs."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        number = int(stat.parent.name)
        parents[number], seconds[number] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {number for number, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(seconds.get(number, 0.0) for number in ours - {os.getpid()})


class Isolated(SimpleHTTPRequestHandler):
    """Threads of WASM need these headers."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--sound", type=Path, default=Path("assets/examples/happy.wav"))
    parser.add_argument("--runtime", type=Path, default=Path("node_modules/onnxruntime-web/dist"))
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium"))
    options = parser.parse_args()
    audio = load_audio(options.sound)
    inputs = inputs_of(audio)
    wanted = session(options.file, threads=1).run(None, {**inputs, "emotion": np.array(2)})[0]
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        place = Path(folder)
        for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
            shutil.copy(options.runtime / name, place / name)
        shutil.copy(options.file, place / "model.onnx")
        (place / "index.html").write_text("<!doctype html><title>EmoFace</title>")
        for name, values in inputs.items():
            (place / name).write_bytes(values.tobytes())
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Isolated, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=options.chromium)
        for threads in (1, 2):
            page = browser.new_page()
            page.set_default_timeout(300_000)
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            found = page.evaluate(LOAD, {"threads": threads, "frames": len(inputs["prosody"])})
            before = processor_seconds()
            best = page.evaluate(RUN, RUNS)
            spent = (processor_seconds() - before) / RUNS
            offsets = np.frombuffer(base64.b64decode(page.evaluate(ANSWER)), np.float32).reshape(wanted.shape)
            print(
                f"{threads if found['isolated'] else 1} threads: loaded in {found['load'] / 1e3:.1f} s; {best / 1e3 / audio.seconds:.3f} s per second of speech, "
                f"{spent / audio.seconds:.3f} s of processor time; {1e3 * np.abs(offsets - wanted).max():.4f} mm from Python; load of the machine {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            page.close()
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
