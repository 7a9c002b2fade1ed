"""What a page that was ended, politely or not, leaves on the disk: nothing."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_PAGE = """
import signal, sys, time
from emoface.cli.serve import _interrupt
from emoface.ui.scratch import scratch_folder
signal.signal(signal.SIGTERM, _interrupt)
with scratch_folder() as folder:
    (folder / "visitor.wav").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(600)
"""


def start(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "GRADIO_TEMP_DIR"}
    page = subprocess.Popen(
        [sys.executable, "-c", _PAGE],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return page, Path(page.stdout.readline().strip())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_end_takes_everything_along(tmp_path, how):
    page, folder = start(tmp_path)
    assert (folder / "visitor.wav").exists() and folder.stat().st_mode & 0o77 == 0
    page.send_signal(how)
    page.wait(timeout=300)
    assert list(tmp_path.iterdir()) == []


def test_the_next_start_clears_what_a_killed_run_left(tmp_path, monkeypatch):
    from emoface.ui.scratch import clear_leftovers

    (killed, left), (living, kept) = start(tmp_path), start(tmp_path)
    killed.kill()
    killed.wait(timeout=300)
    (tmp_path / "emoface-page-file").write_bytes(b"x")
    for folder in (left, kept):
        os.utime(folder, (time.time() - 60,) * 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clear_leftovers()
    assert not left.exists() and (kept / "visitor.wav").exists()
    living.terminate()
    living.wait(timeout=300)
