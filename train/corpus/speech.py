"""Real recordings with modelled motion: RAVDESS (with its measured expression) and LJSpeech."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emoface.clock import frame_count

from .clip import Clip, read_audio, split_of
from .coarticulation import Phone, speech_motion, speech_of, spoken_runs
from .emotion import EmotionTargets, parse_ravdess_name
from .envelope import accent_track, emotion_envelope, loudness_track, speech_activity
from .lips import LipResponse
from .phones import Aligner, align_cached, read_phone_table

RAVDESS_TRAIN_ACTORS, RAVDESS_VAL_ACTORS = range(1, 19), (19, 20)
RAVDESS_TEXT = {1: "Kids are talking by the door", 2: "Dogs are sitting by the door"}


def animate(samples: np.ndarray, rate: int, phones: list[Phone], lips: LipResponse) -> dict:
    """Tracks of modelled speech motion, by the field names of ``Clip``."""
    count = frame_count(len(samples), 30, sample_rate=rate)
    speech = speech_of(phones)
    loudness = loudness_track(samples, rate, count, speech)
    content, closure = speech_motion(phones, loudness, lips)
    return dict(
        samples=samples,
        sample_rate=rate,
        content=content,
        closure=closure,
        loudness=loudness,
        speech=speech,
        accent=accent_track(samples, rate, count),
        envelope=emotion_envelope(loudness, speech),
        phones=phones,
        activity=np.max([speech_activity(count, run) for run in spoken_runs(phones)], axis=0),
        motion="modelled",
    )


def ravdess_clips(data: Path, lips: LipResponse, rejected: list[str]) -> Iterator[Clip]:
    """Actors 1-18 ``train``, 19-20 ``val``, the others ``test``."""
    phones = read_phone_table(data / "ravdess_phones.tsv")
    targets = EmotionTargets.from_file(data / "ravdess_clip_mean_au.csv", population_actors=RAVDESS_TRAIN_ACTORS)
    for audio in sorted((data / "ravdess_audio").glob("*.ogg")):
        name = audio.stem
        if name not in phones or name not in targets:
            rejected.append(f"ravdess_{name}: no phones or no action units")
            continue
        fields = parse_ravdess_name(name)
        actor = f"ravdess_{fields['actor']:02d}"
        yield Clip(
            identity=f"ravdess_{name}",
            source="ravdess",
            speaker=actor,
            style=actor,
            split="train" if fields["actor"] in RAVDESS_TRAIN_ACTORS else "val" if fields["actor"] in RAVDESS_VAL_ACTORS else "test",
            target=targets.target(name),
            emotion=fields["emotion"],
            level=fields["level"],
            text=RAVDESS_TEXT[fields["statement"]],
            **animate(*read_audio(audio), phones[name], lips),
        )


def ljspeech_clips(data: Path, lips: LipResponse, cache: Path, rejected: list[str]) -> Iterator[Clip]:
    """Split by :func:`split_of` in the order of their names; aligned with pocketsphinx."""
    with open(data / "ljspeech_transcripts.csv", encoding="utf-8") as file:
        texts = {row[0]: row[-1] for row in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE)}
    aligner = Aligner()
    for i, audio in enumerate(sorted((data / "ljspeech_audio").glob("*.ogg"))):
        samples, rate = read_audio(audio)
        phones = align_cached(samples, texts[audio.stem], cache / f"{audio.stem}.json", aligner)
        if not phones:
            rejected.append(f"ljspeech_{audio.stem}: not aligned (words missing in the dictionary, or no match)")
            continue
        yield Clip(
            identity=f"ljspeech_{audio.stem}",
            source="ljspeech",
            split=split_of(i),
            speaker="ljspeech",
            style="ljspeech",
            text=texts[audio.stem],
            **animate(samples, rate, phones, lips),
        )
