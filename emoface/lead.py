"""Digital silence before a recording's first sound. It carries no speech, so no result may depend on its length.

A speech encoder has absolute positions, and attends to what comes before: half a second of zeros in front changed labels, and the jaw
to a correlation of .95-.98 with the same speech without them. So a recording is encoded from its first sound on, and the frames before are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .clock import frame_count

# Of the peak. Microphones and rooms are louder, also below speech that is 40 dB above them; zeros, and what codecs make of them, are not.
_SOUND = 1e-4
_EASE = 6  # frames before the first sound, in which the features of the silence go over into those of the speech; the content's convolutions reach as far ahead


@dataclass(frozen=True)
class Lead:
    """The silence before the first sound: ``samples`` of it, which are ``frames`` mesh frames; the next one comes ``late`` seconds after the first sound
    (half a frame before it at most)."""

    samples: int = 0
    frames: int = 0
    late: float = 0.0

    @staticmethod
    def of(samples: np.ndarray, *, fps: int, rate: int) -> Lead:
        """Of a recording (n,), whatever its gain and offset; one without any sound has none. At least one frame is left for the sound."""
        away = np.abs(samples - samples[0])
        start = int(np.argmax(away > _SOUND * away.max()))
        if start < 2:  # it begins in the middle of a sound
            return Lead()
        frames = min(round(start * fps / rate), frame_count(len(samples), fps, sample_rate=rate) - 1)
        return Lead(start, frames, frames / fps - start / rate)


def approaching(silence: Tensor, speech: Tensor) -> Tensor:
    """Features (1, k, C) of the silence, of which the last ones go over into the first of (1, t, C) that follow, and a few of these: (1, k + n, C).

    The decoders' motion for the first k of them leads to that of the speech, which is decoded by itself.
    """
    k = silence.shape[1]
    x = (1 - torch.arange(k, 0, -1, device=silence.device) / (_EASE + 1)).clamp(0, 1).to(silence.dtype)
    return torch.cat([torch.lerp(silence, speech[:, :1], (x * x * (3 - 2 * x))[None, :, None]), speech[:, :_EASE]], dim=1)
