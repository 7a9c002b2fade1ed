"""Motion that another program made of our recordings: a folder of files that are named after the clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emoface.clock import interpolate
from emoface.errors import EmoFaceError
from emoface.export import READERS, load

from .face import Face


class OutsideFolder:
    """``folder/ID.npz``, ``.glb``, ``.csv`` (Live Link Face), ``.json``, ``.usd`` ... for every clip ID that is asked for.

    Curves move the embedded average head; meshes must be of its topology, for errors between two topologies mean nothing.

    Raises:
        EmoFaceError: the folder lacks some of ``clips``.
    """

    def __init__(self, folder: Path, clips: list[str], face: Face):
        self._face = face
        self._files = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix.lower() in READERS}
        missing = [clip for clip in clips if clip not in self._files]
        if missing:
            raise EmoFaceError(
                f"{folder} lacks {len(missing)} of {len(clips)} clips, such as {missing[0]}: files must be named after them. "
                "python -m train.compare --sounds DIR writes the recordings to animate."
            )

    def offsets(self, clip: str, frames: int) -> np.ndarray:
        """(frames, S, 3) metres at 30 frames/s; an end that is missing is held.

        Raises:
            EmoFaceError: the file cannot be read, or holds another topology.
        """
        animation, head = load(self._files[clip]), self._face.head
        if animation.template.shape[0] < head.skin_count or not np.array_equal(animation.faces[: len(head.skin_faces)], head.skin_faces):
            raise EmoFaceError(f"{self._files[clip].name} does not move our head: give ARKit curves, or meshes of its topology.")
        skin = animation.vertices[:, : head.skin_count] - animation.template[: head.skin_count]
        at = interpolate(np.arange(frames) / 30, np.arange(len(skin)) / animation.fps, skin.reshape(len(skin), -1))
        return at.reshape(frames, -1, 3)
