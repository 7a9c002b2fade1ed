"""Several channels -> one, so that everybody who speaks is heard.

* Channels are added, not weighted by their energy: of two people on a call the softer one would lose twice. A softer voice
  is raised by half the difference in level, up to 10 dB.
* Where some channels hold speech, those that do not (music on one side, hum, an unused input) are left out; what may be
  either, speech in noise or dense music, stays 10 dB below clear speech.
* A channel that runs against the loudest one (swapped wires, "wide" stereo) is flipped: the sum would cancel.
* Bass effects (the LFE of 5.1) are left out by what they hold, not by their number: the fourth microphone is heard.
* The sum has the level of its loudest channel: a voice on one of six keeps its own.
"""

from __future__ import annotations

import numpy as np

from ..conditioning import HighPass, block_levels, speech_level
from .speech import speech_signs
from .timeline import Segment

# A softer voice is raised by so much of the difference in level, of which 20 dB count at most.
_RAISED, _WIDEST = 0.5, 10 ** (20 / 20)
# Share of its power that a channel keeps when it is differentiated: all below 140 Hz keeps less.
_LEAST_TREBLE = 0.003
_OPPOSITE = -0.5
_UNCLEAR = 10 ** (-10 / 20)
# Peak of an input with nothing in it.
_UNUSED = 1e-5


def to_mono(segment: Segment) -> np.ndarray:
    """The blocks (n, channels) of a segment -> (m,) float32."""
    if not segment.blocks:
        return np.zeros(0, np.float32)
    if segment.channels == 1:
        return np.concatenate([block[:, 0] for block in segment.blocks])
    weights = _weights(segment.blocks)
    return np.concatenate([(block @ weights).astype(np.float32) for block in segment.blocks])


def _weights(blocks: list[np.ndarray]) -> np.ndarray:
    """(channels,) float64, signed."""
    levels, gains = _gains(blocks)
    products = _products(blocks)
    loudest = int(np.argmax(np.where(gains > 0, levels, -1.0)))
    gains = gains * _signs(products, loudest)
    power = float(gains @ products @ gains)
    return gains * np.sqrt(products[loudest, loudest] / power) if power > 0 else gains


def _gains(blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The channels' levels, and how much each of them is raised: (channels,) both."""
    channels = blocks[0].shape[1]
    levels, treble = np.zeros(channels), np.zeros(channels)
    changing, swinging = np.zeros(channels, bool), np.zeros(channels, bool)
    for c in range(channels):
        filtered = HighPass().feed(np.concatenate([block[:, c] for block in blocks]))
        if np.abs(filtered).max() > _UNUSED:
            levels[c] = speech_level(block_levels(filtered))
            treble[c] = np.square(np.diff(filtered)).sum() / np.square(filtered).sum()
            changing[c], swinging[c] = speech_signs(filtered)
    used = (levels > 0) & (treble > _LEAST_TREBLE)
    if (used & changing).any():
        used &= changing
    if not used.any():
        return levels, np.ones(channels)
    clear = used & swinging if (used & swinging).any() else used
    loudest = levels[clear].max()
    quieter = loudest / np.where(used, levels, loudest)  # > 1 where it is softer than the loudest
    gains = np.clip(quieter, 1.0, _WIDEST) ** _RAISED
    gains = np.where(clear, gains, np.minimum(gains, _UNCLEAR * quieter))
    return levels, np.where(used, gains, 0.0)


def _products(blocks: list[np.ndarray]) -> np.ndarray:
    """(channels, channels) sums of products, each block of about a second without its offset."""
    total = np.zeros((blocks[0].shape[1],) * 2)
    for block in blocks:
        centred = block.astype(np.float64) - block.mean(0, dtype=np.float64)
        total = total + centred.T @ centred
    return total


def _signs(products: np.ndarray, loudest: int) -> np.ndarray:
    """-1 for channels in opposite phase to the loudest, else 1."""
    energy = np.maximum(np.diag(products), 1e-100)
    return np.where(products[loudest] / np.sqrt(energy[loudest] * energy) < _OPPOSITE, -1.0, 1.0)
