"""Generated recordings: containers, codecs, rates, layouts and damage, and what must hold for all of them."""

import os
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from emoface.animation import Animation
from emoface.audio import Audio, load_audio
from emoface.conditioning import condition
from tests.tiny_model import save_tiny_model

from .recordings import KINDS, MORE_KINDS, encoded, lag_seconds, narrator, recorded

FRAME = 1 / 30
ROOT = Path(__file__).resolve().parents[2]
# What is drawn depends on nothing but the code, so failures come again.
drawn = settings(
    max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@st.composite
def recordings(draw, kinds=KINDS):
    """A kind of file, its rate and its number of channels."""
    kind = draw(st.sampled_from(kinds))
    channels = draw(st.sampled_from([c for c in (1, 2, 6) if c <= kind.channels]))
    return kind, draw(st.sampled_from(kind.rates)), channels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recordings")


def loaded(folder, data: bytes, **options) -> Audio:
    path = folder / "recording.bin"
    path.write_bytes(data)
    return load_audio(path, **options)


@pytest.mark.parametrize("kind", [*KINDS, *MORE_KINDS], ids=lambda kind: f"{kind.container}-{kind.codec}")
@drawn
@given(st.data())
def test_every_kind_is_whole_and_in_time(folder, kind, data):
    kind, rate, channels = data.draw(recordings((kind,)))
    audio = loaded(folder, recorded(kind, rate, channels))
    clean = narrator()
    assert audio.notes == []
    assert abs(audio.seconds - len(clean) / 16000) < 0.15
    assert abs(lag_seconds(audio.samples, clean)) <= FRAME
    heard, expected = (np.log(np.maximum(levels(x), 1e-2)) for x in (audio.samples, clean))
    count = min(len(heard), len(expected))
    assert np.corrcoef(heard[:count], expected[:count])[0, 1] > 0.9


def levels(samples: np.ndarray) -> np.ndarray:
    """RMS of every 100 ms of what the encoder hears."""
    heard = condition(samples)
    return np.sqrt(np.square(heard[: len(heard) // 1600 * 1600].reshape(-1, 1600)).mean(1))


@drawn
@given(recordings((*KINDS, *MORE_KINDS)), st.floats(0.45, 0.75), st.integers(1, 150), st.integers(0, 2**32 - 1))
def test_damage_costs_only_what_is_damaged(folder, recording, place, size, seed):
    """Some random bytes in the middle: no traceback, what follows keeps its time, and what was lost is said."""
    kind, rate, channels = recording
    data = bytearray(recorded(kind, rate, channels))
    at = int(place * len(data))
    data[at : at + size] = np.random.default_rng(seed).bytes(size)
    audio = loaded(folder, bytes(data))
    clean = narrator()
    assert audio.seconds > len(clean) / 16000 - 0.3
    assert audio.seconds < len(clean) / 16000 + 0.3
    tail = int(2.6 * 16000)
    if kind.timed and audio.damaged_seconds < 0.5:  # of a lost Ogg page, a second, too little is left to find a lag in
        assert abs(lag_seconds(audio.samples[tail:], clean[tail:])) <= FRAME
    if audio.damaged_seconds:
        assert "damaged" in audio.notes[0]


@drawn
@given(recordings(tuple(kind for kind in KINDS if kind.joins)), st.data())
def test_files_in_a_row_are_one_recording(folder, first, data):
    """Both halves are there, each at its own speed, also where rate or channels change in between."""
    kind, rate, channels = first
    changes = kind.container != "ogg"  # a chained Ogg holds what its first link announced
    second_rate = data.draw(st.sampled_from(kind.rates)) if changes else rate
    second_channels = data.draw(st.sampled_from([c for c in (1, 2, 6) if c <= kind.channels])) if changes else channels
    if (kind.container, kind.codec) == ("mpegts", "aac"):
        second_channels = channels
    audio = loaded(folder, recorded(kind, rate, channels) + recorded(kind, second_rate, second_channels))
    clean = narrator()
    assert abs(audio.seconds - 2 * len(clean) / 16000) < 0.25
    assert abs(lag_seconds(audio.samples[: len(clean)], clean)) <= FRAME
    assert abs(lag_seconds(audio.samples[-len(clean) :], clean)) <= 0.13  # encoders' padding stands between the halves


@drawn
@given(recordings(), st.floats(0.4, 0.95))
def test_a_file_that_breaks_off_gives_what_is_there(folder, recording, share):
    kind, rate, channels = recording
    data = recorded(kind, rate, channels)
    if kind.container in ("ipod", "mov"):
        return  # their index stands at the end: nothing can be read without it (see test_load)
    audio = loaded(folder, data[: int(share * len(data))])
    # Ogg keeps a second of Opus in one page, which is whole or not there.
    assert share * len(narrator()) / 16000 - (1.1 if kind.container == "ogg" else 0.6) < audio.seconds < len(narrator()) / 16000 + 0.1


@drawn
@given(recordings(), st.floats(-40, 20), st.floats(-0.2, 0.2))
def test_gain_and_offset_are_not_heard(folder, recording, decibels, offset):
    kind, rate, channels = recording
    audio = loaded(folder, recorded(kind, rate, channels))
    again = load_audio((audio.samples * 10 ** (decibels / 20) + offset, 16000))
    np.testing.assert_allclose(condition(again.samples), condition(audio.samples), atol=2e-4)


def harmless() -> dict[str, tuple]:
    """The narrator with one thing changed that nobody's face should show: samples and rate, or a file."""
    speech = narrator()
    return {
        "gain and DC": (0.01 * speech + 0.1, 16000), "44.1 kHz": (narrator(44100), 44100),
        "silence before": (np.concatenate([np.zeros(8000, np.float32), speech]), 16000),
        **{name: recorded(kind, kind.rates[-1], 2) for name, kind in {"mp3": KINDS[6], "webm opus": KINDS[12]}.items()},
    }  # fmt: skip


@pytest.mark.slow
def test_lips_and_label_are_those_of_the_clean_recording(folder):
    from emoface import EmoFacePipeline

    pipe = EmoFacePipeline.from_pretrained(device="cpu")
    changed = {name: load_audio(sound) if isinstance(sound, tuple) else loaded(folder, sound) for name, sound in harmless().items()}
    clean, *others = pipe.batch([(audio, "speech") for audio in (load_audio((narrator(), 16000)), *changed.values())])
    jaw = clean.blendshape_names.index("jawOpen")
    found = {}
    for name, other in zip(changed, others):
        track = other.blendshapes[15 if name == "silence before" else 0 :, jaw]  # half a second
        count = min(clean.frame_count, len(track))
        found[name] = round(float(np.corrcoef(clean.blendshapes[:count, jaw], track[:count])[0, 1]), 4)
        assert other.emotion == clean.emotion, name
    assert found.pop("silence before") >= 0.9999 and min(found.values()) >= 0.98, found


# ---- kinds that one bug report each was about -------------------------------------------------------------------------


def test_header_without_a_length(folder):
    """A recorder that crashed leaves sizes of 0 (or the largest number); FLAC and mp3 from a pipe have none."""
    whole = recorded(KINDS[0], 16000, 1)
    at = whole.index(b"data") + 4
    for size in (bytes(4), b"\xff" * 4):
        audio = loaded(folder, whole[:4] + size + whole[8:at] + size + whole[at + 4 :])
        assert audio.seconds == pytest.approx(len(narrator()) / 16000, abs=0.02) and not audio.notes
    flac = bytearray(recorded(KINDS[5], 16000, 1))
    flac[21] &= 0xF0  # 36 bits of STREAMINFO: the number of samples
    flac[22:26] = bytes(4)
    assert loaded(folder, bytes(flac)).seconds == pytest.approx(len(narrator()) / 16000, abs=0.01)
    mp3 = recorded(KINDS[6], 44100, 1)
    name = b"Xing" if b"Xing" in mp3 else b"Info"
    assert loaded(folder, mp3.replace(name, b"\0\0\0\0")).seconds == pytest.approx(len(narrator()) / 16000, abs=0.15)


def test_a_header_that_claims_too_much_is_not_believed(folder):
    whole = recorded(KINDS[0], 16000, 1)
    at = whole.index(b"data") + 4
    claims = whole[:at] + (500 * 32000).to_bytes(4, "little") + whole[at + 4 :]
    assert loaded(folder, claims, max_seconds=4).seconds == pytest.approx(len(narrator()) / 16000, abs=0.01)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_pipes(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for kind in (KINDS[0], KINDS[15]):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(recorded(kind, 16000, 1),))
        writer.start()
        audio = load_audio(tmp_path / "pipe")
        writer.join()
        assert audio.name == "pipe" and audio.seconds == pytest.approx(len(narrator()) / 16000, abs=0.15)
    code = "from emoface.audio import load_audio; print(load_audio('/dev/stdin').seconds)"
    done = subprocess.run([sys.executable, "-c", code], input=recorded(KINDS[0], 16000, 1), capture_output=True)
    assert float(done.stdout) == pytest.approx(len(narrator()) / 16000, abs=0.01), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="process substitution is bash's")
def test_process_substitution(tmp_path):
    """``emoface animate <(cat x.wav) -o out.npz``, and two of them in one command."""
    save_tiny_model(tmp_path / "model")
    (tmp_path / "x.wav").write_bytes(recorded(KINDS[0], 16000, 1))
    command = f"{shlex.quote(sys.executable)} -m emoface animate <(cat x.wav) --emotion <(cat x.wav) -o out.npz --model model --quiet"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    animation = Animation.load(tmp_path / "out.npz")
    assert animation.duration == pytest.approx(len(narrator()) / 16000, abs=FRAME)
    assert animation.settings["speech"].isdigit(), "named after the file descriptor"


def test_the_default_track_or_else_the_first_with_sound(folder):
    speech = narrator()[:, None]
    other = np.roll(speech, 8000)
    for tracks, default in (([0 * speech, speech], 1), ([0 * speech, speech], 0), ([other, speech], 1), ([speech, other], 0)):
        audio = loaded(folder, encoded(tracks, "aac", 16000, container="matroska", default=default))
        assert abs(lag_seconds(audio.samples, narrator())) <= FRAME


def test_times_that_leap_are_another_recording(folder):
    """Two broadcast captures whose clocks differ by hours: no hours of silence in between."""
    kind = next(kind for kind in KINDS if (kind.container, kind.codec) == ("mpegts", "ac3"))
    audio = loaded(folder, recorded(kind, 48000, 2) + recorded(kind, 48000, 6))
    assert audio.seconds == pytest.approx(2 * len(narrator()) / 16000, abs=0.1) and not audio.damaged_seconds
