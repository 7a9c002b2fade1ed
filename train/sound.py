"""What happens to a voice between a mouth and a file: other people, music, noise, rooms, microphones, telephones, codecs, other voices.

Each function takes (n,) float samples and gives samples of the same length and rate (:func:`revoiced` another length), so that training
copies (``train.recognition``) and robustness rows (``train.evaluation.recognition``) are made by the same code. Randomness comes from ``rng`` alone.
"""

from __future__ import annotations

import io

import numpy as np
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

RATE = 16000


def active_power(samples: np.ndarray) -> float:
    """Mean power of the louder half of 20 ms blocks: the voice, whatever the pauses beside it."""
    block = RATE // 50
    powers = np.square(samples[: len(samples) // block * block].reshape(-1, block)).mean(1) if len(samples) >= block else np.square(samples)
    return float(np.mean(np.sort(powers)[len(powers) // 2 :])) + 1e-12


def mixed(samples: np.ndarray, other: np.ndarray, snr_db: float) -> np.ndarray:
    """``samples`` with ``other`` under it, ``snr_db`` below the voice."""
    gain = np.sqrt(active_power(samples) / (np.mean(np.square(other)) + 1e-12) * 10 ** (-snr_db / 10))
    return samples + gain * other


def tiled(samples: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` samples of an endless repetition, from a random place."""
    start = int(rng.integers(len(samples)))
    return np.resize(np.roll(samples, -start), count)


def babble(voices: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Several people at once: every voice at the same power, from a random place, without its pauses at the ends."""
    total = np.zeros(count)
    for voice in voices:
        loud = np.flatnonzero(np.abs(voice) > 0.05 * np.abs(voice).max())
        voice = voice[loud[0] : loud[-1] + 1]
        total += tiled(voice, count, rng) / np.sqrt(active_power(voice))
    return total


def noise(count: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Unit-power noise whose power falls with frequency to the ``slope``: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (slope / 2)
    out = np.fft.irfft(spectrum, count)
    return out / (np.std(out) + 1e-12)


def music(count: int, rng: np.random.Generator) -> np.ndarray:
    """Chords of plucked harmonic tones over a beat: not music, but as tonal, rhythmic and broad as music."""
    out = np.zeros(count)
    beat = int(RATE * 60 / rng.uniform(70, 150))
    root = rng.uniform(80, 200)
    for start in range(-int(rng.integers(beat)), count, beat):
        length = min(2 * beat, count - start)
        t = np.arange(length) / RATE
        note = np.zeros(length)
        for step in rng.choice([0, 3, 4, 5, 7, 9, 12, 16, 19], 3, replace=False):
            tone = root * 2 ** (step / 12)
            for harmonic in range(1, 8):
                note += np.sin(2 * np.pi * harmonic * tone * t + rng.uniform(0, 2 * np.pi)) / harmonic * np.exp(-t * harmonic * rng.uniform(0.5, 3))
        if rng.random() < 0.7:
            note += rng.standard_normal(length) * np.exp(-t * 40) * rng.uniform(0.5, 3)
        first = max(-start, 0)
        out[start + first : start + length] += note[first:]
        if rng.random() < 0.3:
            root = np.clip(root * 2 ** (rng.choice([-5, -3, 2, 4, 7]) / 12), 70, 300)
    return out / (np.std(out) + 1e-12)


def hum(count: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum with its harmonics, unit power."""
    t, base = np.arange(count) / RATE, rng.choice([50.0, 60.0])
    out = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * k * base * t + rng.uniform(0, 2 * np.pi)) for k in (1, 2, 3, 5, 7))
    return out / (np.std(out) + 1e-12)


def reverberant(samples: np.ndarray, *, decay_s: float, wet: float, rng: np.random.Generator) -> np.ndarray:
    """A room whose sound falls by 60 dB in ``decay_s``; ``wet`` is the reverberation's amplitude beside the direct sound."""
    t = np.arange(int(decay_s * RATE)) / RATE
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / decay_s) * (t > 0.003)
    tail /= np.sqrt(np.sum(tail**2)) + 1e-9
    return samples + wet * fftconvolve(samples, tail)[: len(samples)]


def tilted(samples: np.ndarray, db_per_octave: float) -> np.ndarray:
    """A microphone that is too bright or too dull, pivoting at 1 kHz."""
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.clip(np.fft.rfftfreq(len(samples), 1 / RATE), 100, None) / 1000)
    return np.fft.irfft(spectrum * 10 ** (db_per_octave * octaves / 20), len(samples))


def band(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    """Only ``low`` to ``high`` Hz, as a telephone passes."""
    return sosfilt(butter(4, [low, high], btype="bandpass", fs=RATE, output="sos"), samples)


def at_rate(samples: np.ndarray, rate: int) -> np.ndarray:
    """Recorded at ``rate`` Hz: nothing above half of it."""
    return np.resize(soxr.resample(soxr.resample(samples, RATE, rate), rate, RATE), len(samples))


def coded(samples: np.ndarray, codec: str, bits_per_second: int) -> np.ndarray:
    """Through a lossy codec (``"mp3"`` or ``"opus"``) and back, in memory. Peaks are kept below full scale on the way."""
    import av

    scale = 0.9 / max(float(np.abs(samples).max()), 1e-9)
    name, container, layout, rate = {"mp3": ("libmp3lame", "mp3", "s16p", RATE), "opus": ("libopus", "ogg", "flt", 48000)}[codec]
    data = io.BytesIO()
    with av.open(data, "w", format=container) as file:
        stream = file.add_stream(name, rate=rate, layout="mono", bit_rate=bits_per_second)
        frame = av.AudioFrame.from_ndarray((samples * scale).astype(np.float32)[None], format="flt", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(format=layout, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size or 1152)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    data.seek(0)
    with av.open(data) as file:
        back = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        pieces = [piece.to_ndarray()[0] for decoded in file.decode(audio=0) for piece in back.resample(decoded)]
        pieces += [piece.to_ndarray()[0] for piece in back.resample(None)]
    out = np.concatenate(pieces)
    # A codec's first samples are its own delay; the container mostly says so, and what is left is a few milliseconds.
    out = out[: len(samples)]
    return np.pad(out, (0, len(samples) - len(out))) / scale


def revoiced(samples: np.ndarray, *, pitch: float, tempo: float) -> np.ndarray:
    """Another person of sorts: pitch and formants times ``pitch``, ``tempo`` times as fast; the length follows the tempo."""
    import librosa

    higher = soxr.resample(samples.astype(np.float32), RATE * pitch, RATE)  # higher and faster by ``pitch``
    stretch = tempo / pitch
    return higher if abs(stretch - 1) < 0.01 else librosa.effects.time_stretch(higher, rate=stretch, n_fft=512)
