"""Changed copies of a clip: what happens to speech between a mouth and a file, with the motion kept in step."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from emoface.clock import frame_count, interpolate

from .channels import FPS
from .clip import TRACKS, Clip, read_audio
from .coarticulation import Phone

SPEEDS = tuple(np.round(np.arange(0.88, 1.141, 0.02), 2))
EDGE_FADE_S = 0.2


def augmented(clip: Clip, copy: int, *, seed: int = 0, voices: Sequence[Path] = ()) -> Clip:
    """Copy number ``copy`` (1, 2, ...) of a clip; the same arguments always give the same result. ``voices``: recordings to babble with."""
    rng = np.random.default_rng([seed, zlib.crc32(clip.identity.encode()), copy])
    changes: dict = {}
    out = clip
    if clip.source == "ravdess" and rng.random() < 0.5:  # half of RAVDESS is silence
        out = _crop_silence(out, *rng.uniform(0.15, 0.6, 2), changes)
    out = _at_speed(out, float(rng.choice(SPEEDS)), changes)
    if rng.random() < 1 / 3:
        out = _padded(out, *rng.uniform(0.3, 2.0, 2), changes)
    samples = _recorded(out.samples, out.sample_rate, rng, changes, voices)
    return replace(out, identity=f"{clip.identity}.a{copy}", copy_of=clip.identity, samples=samples, changes=changes)


def _times(clip: Clip, scale: float, shift: float) -> dict:
    """Speech, words and phones at ``time * scale + shift``."""

    def move(x: float) -> float:
        return x * scale + shift

    return dict(
        speech=(move(clip.speech[0]), move(clip.speech[1])),
        words=[(move(s), move(e), w) for s, e, w in clip.words],
        phones=[Phone(p.name, move(p.start), move(p.end), p.word) for p in clip.phones],
    )


def _tracks(clip: Clip, change) -> dict:
    values = {name: getattr(clip, name) for name in ("content", *TRACKS)}
    return {name: None if value is None else change(name, value) for name, value in values.items()}


def _crop_silence(clip: Clip, before: float, after: float, changes: dict) -> Clip:
    """Keep at most ``before`` and ``after`` seconds around the speech, cut on a frame."""
    first = max(int((clip.speech[0] - before) * FPS), 0)
    start = int(round(first / FPS * clip.sample_rate))
    samples = clip.samples[start : int((clip.speech[1] + after) * clip.sample_rate)]
    count = frame_count(len(samples), 30, sample_rate=clip.sample_rate)
    tracks = _tracks(clip, lambda _, value: value[first : first + count])
    changes["crop_s"] = [first / FPS, round(len(samples) / clip.sample_rate, 3)]
    return replace(clip, samples=samples, **tracks, **_times(clip, 1.0, -first / FPS))


def _at_speed(clip: Clip, speed: float, changes: dict) -> Clip:
    """Play faster (> 1) or slower, pitch and formants included; the motion follows."""
    changes["speed"] = speed
    if speed == 1.0:
        return clip
    samples = resample_poly(clip.samples, 100, int(round(speed * 100))).astype(np.float32)
    times = np.arange(frame_count(len(samples), 30, sample_rate=clip.sample_rate)) / FPS * speed
    source_times = np.arange(len(clip.content)) / FPS
    tracks = _tracks(clip, lambda _, value: interpolate(times, source_times, value))
    return replace(clip, samples=samples, **tracks, **_times(clip, 1 / speed, 0.0))


def _padded(clip: Clip, before: float, after: float, changes: dict) -> Clip:
    """Silence around the clip, during which the mouth rests; real motion fades to rest at the seams."""
    head, tail = int(round(before * FPS)), int(round(after * FPS))
    changes["padding_s"] = [round(head / FPS, 3), round(tail / FPS, 3)]
    lead = np.zeros(int(round(head / FPS * clip.sample_rate)), np.float32)
    samples = np.concatenate([lead, clip.samples, np.zeros(int(tail / FPS * clip.sample_rate), np.float32)])
    extra = frame_count(len(samples), 30, sample_rate=clip.sample_rate) - head - len(clip.content)
    fade = max(int(EDGE_FADE_S * FPS), 1)
    down = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / (fade + 1))

    def pad(name: str, value: np.ndarray) -> np.ndarray:
        if name == "envelope":  # the expression stays
            return np.pad(value, (head, extra), mode="edge")
        if name in ("measured", "measured_raw", "width", "width_raw"):  # nothing was measured there
            return np.pad(value, (head, extra), constant_values=np.nan)
        out = np.pad(value, [(head, extra)] + [(0, 0)] * (value.ndim - 1))
        if name == "content":
            n = min(fade, head)
            out[head - n : head] = down[::-1][fade - n :, None] * value[0]
            n = min(fade, extra)
            out[len(out) - extra : len(out) - extra + n] = down[:n, None] * value[-1]
        return out

    return replace(clip, samples=samples, **_tracks(clip, pad), **_times(clip, 1.0, head / FPS))


def _recorded(samples: np.ndarray, rate: int, rng: np.random.Generator, changes: dict, voices: Sequence[Path]) -> np.ndarray:
    """Reverberation, spectral tilt, other voices, noise, band and level of another room and microphone."""
    speech_power = float(np.mean(samples[np.abs(samples) > 1e-4] ** 2)) if np.any(np.abs(samples) > 1e-4) else 1e-6
    out = samples.astype(np.float64)
    if rng.random() < 0.5:
        out = _reverberant(out, rate, rng, changes)
    if rng.random() < 0.7:
        out = _tilted(out, rate, float(rng.uniform(-4, 4)), changes)
    if len(voices) and rng.random() < 0.4:
        out = _among_voices(out, rate, speech_power, rng, changes, voices)
    if rng.random() < 0.12:
        out = sosfilt(butter(4, (300, 3400), "bandpass", fs=rate, output="sos"), out)
        changes["telephone"] = True
    snr = float(rng.uniform(10, 40)) if rng.random() < 0.75 else 60.0
    noise = _noise(len(out), float(rng.uniform(0, 1)), rng)
    out = out + noise * np.sqrt(speech_power * 10 ** (-snr / 10))
    level = float(rng.uniform(-20, -1))
    out *= 10 ** (level / 20) / max(np.abs(out).max(), 1e-6)
    changes.update(snr_db=round(snr, 1), peak_dbfs=round(level, 1))
    return out.astype(np.float32)


def _among_voices(samples: np.ndarray, rate: int, speech_power: float, rng: np.random.Generator, changes: dict, voices: Sequence[Path]) -> np.ndarray:
    """Babble: several other people speak in the background, from 5 to 25 dB softer."""
    crowd = np.zeros(len(samples))
    for i in rng.choice(len(voices), size=int(rng.integers(3, 9))):
        voice = _voice(voices[i])
        crowd += np.resize(np.roll(voice, int(rng.integers(len(voice)))), len(samples))
    snr = float(rng.uniform(5, 25))
    changes["babble_db"] = round(snr, 1)
    return samples + crowd * np.sqrt(speech_power * 10 ** (-snr / 10) / max(np.mean(crowd**2), 1e-12))


@lru_cache(maxsize=128)
def _voice(path: Path) -> np.ndarray:
    """A recording at unit power."""
    samples, _ = read_audio(path)
    return samples / max(float(np.std(samples)), 1e-6)


def _reverberant(samples: np.ndarray, rate: int, rng: np.random.Generator, changes: dict) -> np.ndarray:
    decay, wet = float(rng.uniform(0.12, 0.5)), float(rng.uniform(0.1, 0.5))
    t = np.arange(int(decay * rate)) / rate
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / decay) * (t > 0.003)
    tail /= np.sqrt(np.sum(tail**2)) + 1e-9
    changes.update(rt60_s=round(decay, 2), wet=round(wet, 2))
    return samples + wet * fftconvolve(samples, tail)[: len(samples)]


def _tilted(samples: np.ndarray, rate: int, db_per_octave: float, changes: dict) -> np.ndarray:
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.clip(np.fft.rfftfreq(len(samples), 1 / rate), 100, None) / 1000)
    changes["tilt_db_per_octave"] = round(db_per_octave, 1)
    return np.fft.irfft(spectrum * 10 ** (db_per_octave * octaves / 20), len(samples))


def _noise(count: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Unit-power noise between white (slope 0) and pink (1)."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (slope / 2)
    noise = np.fft.irfft(spectrum, count)
    return noise / (np.std(noise) + 1e-12)
