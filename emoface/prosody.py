"""Prosody of the speech, frame by frame: loudness, pitch and accents, for the upper face.

Brows, lids and nose follow the voice's stress. The emotion branch's features are pooled over two seconds (no words may reach the lips from it), so
prosody is added: three numbers a frame that hold no words. All of them look back, and 32 ms ahead, so a stream computes the same
numbers as a whole recording; none depends on the recording's gain.

Frame ``j`` stands for time ``0.02 j`` s, as the speech encoders' frames do.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .clock import interpolate
from .conditioning import HighPass

PROSODY = ("accent", "energy", "pitch")
"""What the columns are: stress in [0, 1], loudness in [0, 1], height above or below the voice's recent pitch in [-1, 1]."""
RATE, HOP, WINDOW = 16000, 320, 1024
LOWEST, HIGHEST = 65.0, 500.0

_VOICED = 0.5  # normalised correlation of a frame with itself one period later
_RANGE_DB = 30.0  # below the recent loudest frame by this much is silence
_FORGET_DB = 6.0 * HOP / RATE  # the recent loudest frame sinks by 6 dB a second
_PITCH_SPAN = 6.0  # semitones that count as 1
_FOLLOW = HOP / RATE / 1.5  # the voice's usual pitch is a mean over about 1.5 s of voiced frames
_ATTACK, _RELEASE = 1 - np.exp(-HOP / RATE / 0.07), 1 - np.exp(-HOP / RATE / 0.30)


class ProsodyStream:
    """Prosody of a recording that comes in pieces; any cut gives the same numbers."""

    def __init__(self) -> None:
        self._high_pass = HighPass()
        self._samples = np.zeros(WINDOW // 2)  # silence before the start, half a window of it
        self._peak = -np.inf
        self._voiced = 0  # frames so far
        self._usual = self._ordinary = 0.0  # means of the recent voiced frames: pitch; loudness and pitch together
        self._accent = 0.0

    def feed(self, samples: np.ndarray, *, last: bool = False) -> np.ndarray:
        """(n,) samples at 16 kHz -> (m, 3) of the frames whose window is complete; with ``last`` of all frames that start."""
        self._samples = np.concatenate([self._samples, self._high_pass.feed(samples)])
        ready = max((len(self._samples) - WINDOW) // HOP + 1, 0)
        if last:
            ready = max(-(-(len(self._samples) - WINDOW // 2) // HOP), 0)
            self._samples = np.pad(self._samples, (0, max(ready * HOP + WINDOW - len(self._samples), 0)))
        if not ready:
            return np.zeros((0, len(PROSODY)), np.float32)
        windows = sliding_window_view(self._samples, WINDOW)[::HOP][:ready]
        out = self._follow(*_pitch(windows), _decibels(windows))
        self._samples = self._samples[ready * HOP :]
        return out

    def _share(self) -> float:
        """Of the newest frame in the means: all count alike at first, then the recent ones."""
        return max(_FOLLOW, 1.0 / self._voiced)

    def _stress(self, height: float) -> float:
        """What stands out from the last syllables, in [0, 1]: .4 for an ordinary one."""
        self._ordinary += self._share() * (height - self._ordinary)
        return min(max(0.4 + 1.3 * (height - self._ordinary), 0.0), 1.0)

    def _follow(self, semitones: np.ndarray, voiced: np.ndarray, decibels: np.ndarray) -> np.ndarray:
        out = np.zeros((len(semitones), len(PROSODY)), np.float32)
        for i, (height, sounds, level) in enumerate(zip(semitones, voiced, decibels)):
            self._peak = max(self._peak - _FORGET_DB, level)
            energy = min(max((level - self._peak + _RANGE_DB) / _RANGE_DB, 0.0), 1.0)
            pitch = 0.0
            if sounds and energy > 0:
                self._voiced += 1
                self._usual += self._share() * (height - self._usual)
                pitch = min(max((height - self._usual) / _PITCH_SPAN, -1.0), 1.0)
            stress = self._stress(3.0 * energy + pitch) if sounds and energy > 0 else 0.0
            self._accent += (_ATTACK if stress > self._accent else _RELEASE) * (stress - self._accent)
            out[i] = self._accent, energy, pitch
        return out


def prosody(samples: np.ndarray) -> np.ndarray:
    """(n,) samples at 16 kHz -> (ceil(n / 320), 3) float32, columns as :data:`PROSODY`."""
    return ProsodyStream().feed(samples, last=True)


def on_mesh_clock(track: np.ndarray, frames: int, fps: float = 30.0, *, late: float = 0.0) -> np.ndarray:
    """(m, 3) at 50 per second -> (frames, 3) at times ``late + t / fps`` seconds."""
    at, times = late + np.arange(frames) / fps, np.arange(len(track)) * HOP / RATE
    return interpolate(at, times, track).astype(np.float32)


def _decibels(windows: np.ndarray) -> np.ndarray:
    """Level of the middle 40 ms of each window."""
    middle = windows[:, WINDOW // 2 - HOP : WINDOW // 2 + HOP]
    return 10 * np.log10(np.mean(np.square(middle), axis=1) + 1e-12)


def _pitch(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch in semitones (any origin) by YIN (de Cheveigné & Kawahara 2002), and whether the window is voiced."""
    import librosa  # takes a second to import, which `import emoface` need not pay

    flat = np.ascontiguousarray(windows).reshape(-1)  # librosa cuts frames itself: here they lie one behind the other
    frequency = librosa.yin(flat, fmin=LOWEST, fmax=HIGHEST, sr=RATE, frame_length=WINDOW, hop_length=WINDOW, center=False)
    lag = np.clip(np.round(RATE / frequency), 1, WINDOW // 2).astype(int)
    column = np.arange(WINDOW // 2)
    now, later = windows[:, : WINDOW // 2], np.take_along_axis(windows, lag[:, None] + column, axis=1)
    size = np.sqrt(np.square(now).sum(1) * np.square(later).sum(1))
    return 12 * np.log2(frequency), (now * later).sum(1) > _VOICED * np.maximum(size, 1e-9)
