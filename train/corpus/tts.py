"""Synthetic voices with exact phone times (flite), for sounds and words that the recordings lack."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator

from emoface.errors import EmoFaceError

from .clip import Clip, read_audio
from .coarticulation import Phone
from .lips import LipResponse
from .phones import arpabet
from .speech import animate

VOICES = ("slt", "rms", "awb", "kal16")


def tts_clips(data: Path, lips: LipResponse, cache: Path, rejected: list[str]) -> Iterator[Clip]:
    return iter(())
