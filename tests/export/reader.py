"""A process with little memory that opens animation files: ``python -m tests.export.reader``.

Each line of its input is a path, or a template and a path with a tab between them; each line of its output is "ok" or the EmoFaceError's sentence.
Anything else that a file raises, running out of memory among it, ends the process, so that a hole fails a test and not the machine.
"""

import queue
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

MEMORY = 1_500_000_000
"""Bytes above what the program itself takes."""
SECONDS = 600.0
"""Only a guard against hangs: the first answer waits for the imports of a busy machine."""


class Reader:
    """Starts the process when it is needed, and again when it died."""

    def __init__(self):
        self.process = None

    def open(self, path: Path, template: Path | None = None) -> str:
        """What the process answered. Fails if it died or took longer than ``SECONDS`` of a busy machine."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.export.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
        answers = queue.Queue()
        threading.Thread(target=lambda: answers.put(self.process.stdout.readline()), daemon=True).start()
        self.process.stdin.write(f"{template}\t{path}\n" if template else f"{path}\n")
        self.process.stdin.flush()
        try:
            answer = answers.get(timeout=SECONDS).strip()
        except queue.Empty:
            self.close()
            raise AssertionError(f"{path.name} took more than {SECONDS:g} s") from None
        if not answer:
            errors = self.close()
            raise AssertionError(f"{path.name} ended the process: {errors[-2000:]}")
        return answer

    def close(self) -> str:
        process, self.process = self.process, None
        if process is None:
            return ""
        process.kill()
        return process.communicate()[1]


def main() -> None:
    import numpy as np

    from emoface import reading
    from emoface.errors import EmoFaceError
    from emoface.export import load, save
    from emoface.export.curves import animation_from_weights

    with tempfile.TemporaryDirectory() as folder:  # whatever the readers need themselves is loaded before the limit
        animation = animation_from_weights(np.zeros((2, 52), np.float32), fps=30)
        for suffix in ("npz", "npy", "glb", "zip", "csv", "json"):
            load(save(animation, Path(folder) / f"a.{suffix}"))
    reading.MAX_BYTES = 200_000_000
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        *template, path = line.rstrip("\n").split("\t")
        try:
            load(path, *template)
            answer = "ok"
        except EmoFaceError as error:
            assert "more memory than there is" not in str(error) and "\n" not in str(error), error
            answer = str(error)
        print(answer, flush=True)


if __name__ == "__main__":
    main()
