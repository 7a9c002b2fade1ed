"""Reading a built corpus, and putting any emotion over any of its clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from emoface.errors import EmoFaceError

from .compose import compose
from .emotion import at_level
from .lips import LipResponse

FRAME_TRACKS = (
    "content",
    "loudness",
    "accent",
    "envelope",
    "activity",
    "closure",
    "measured_aperture",
    "measured_aperture_raw",
    "measured_width",
    "measured_width_raw",
)


class Corpus:
    """``clips`` (list of dicts as in ``clips.json``) and their frames."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not (self.folder / "clips.json").exists():
            raise EmoFaceError(f"There is no corpus in {folder}; run: python -m train.corpus.build --out {folder}")
        self.clips: list[dict] = json.loads((self.folder / "clips.json").read_text())
        with np.load(self.folder / "motion.npz", allow_pickle=False) as file:
            self.offset = file["offset"]
            self._tracks = {name: file[name] for name in FRAME_TRACKS}
        with np.load(self.folder / "emotion.npz", allow_pickle=False) as file:
            self.targets = file["target"]
        self.index = {clip["id"]: i for i, clip in enumerate(self.clips)}
        self._times: dict | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def select(self, **wanted) -> list[int]:
        """Indices of the clips whose fields equal ``wanted``, e.g. ``select(source="grid", split="train")``."""
        return [i for i, clip in enumerate(self.clips) if all(clip[key] == value for key, value in wanted.items())]

    def track(self, i: int, name: str) -> np.ndarray:
        """Frames of clip ``i``: (T, 52) for ``content``, else (T,)."""
        return self._tracks[name][self.offset[i] : self.offset[i + 1]]

    def times(self, i: int) -> dict:
        """``words`` and ``phones`` of clip ``i`` in seconds."""
        if self._times is None:
            self._times = json.loads((self.folder / "phones.json").read_text())
        return self._times[self.clips[i]["id"]]

    def audio_path(self, i: int) -> Path:
        return self.folder / self.clips[i]["audio"]

    def weights(
        self, content: int, emotion: int | None = None, *, level: int | None = None, target: np.ndarray | None = None, lips: LipResponse | None = None
    ) -> np.ndarray:
        """(T, 52) float32 weights of clip ``content`` said with the emotion of clip ``emotion`` (None: its own), at a level (None: its own).

        ``target`` (52,) takes the place of that clip's own expression, as it is at ``level``.
        """
        source = content if emotion is None else emotion
        clip = self.clips[source]
        if target is None:
            target = self.targets[source] if level is None else at_level(self.targets[source], clip["level"], level)
        return compose(
            self.track(content, "content"),
            self.track(content, "envelope"),
            self.track(content, "closure"),
            target,
            clip["emotion"],
            clip["level"] if level is None else level,
            activity=self.track(content, "activity"),
            accent=self.track(content, "accent"),
            lips=lips,
        )
