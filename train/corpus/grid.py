"""Real motion: the GRID corpus (speaker s1, and one clip each of five others for evaluation)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .clip import Clip, read_audio, split_of
from .drive import CORNERS, Capture, lip_gap_mm, resting_face, to_our_order
from .envelope import speech_interval
from .filmed import filmed_clip
from .lips import LipResponse
from .phones import read_word_table

ASPECT = 360 / 288
LANDMARK_SCALE = 20000.0
MOST_MISSING = 0.25  # share of frames without a face beyond which a clip is rejected
SILENCE_WORDS = ("sil", "sp")
BILABIAL_WORDS = {"bin", "blue", "by", "place", "please", "b", "p", "m"}


def read_captures(path: Path) -> dict[str, Capture]:
    """MediaPipe's measurements by clip name."""
    with np.load(path, allow_pickle=False) as file:
        offset, names = file["offset"], [str(x) for x in file["blendshape_names"]]
        scores = to_our_order(file["blendshapes"].astype(np.float64), names)
        gap = lip_gap_mm(file["landmarks"] / LANDMARK_SCALE, file["landmark_index"], ASPECT)
        width = lip_gap_mm(file["landmarks"] / LANDMARK_SCALE, file["landmark_index"], ASPECT, between=CORNERS)
        detected, fps, clips = file["detected"].astype(bool), file["fps"], file["clip"]
    return {
        str(clip): Capture(scores[a:b], gap[a:b], detected[a:b], float(rate), width[a:b])
        for clip, a, b, rate in zip(clips, offset[:-1], offset[1:], fps)
    }


def silent_frames(capture: Capture, speech: tuple[float, float]) -> np.ndarray:
    """(T,) bool: at least .15 s away from speech; the tenth with the most closed lips where there is no silence."""
    t = np.arange(len(capture.detected)) / capture.fps
    silent = (t < speech[0] - 0.15) | (t > speech[1] + 0.15)
    if (silent & capture.detected).sum() < 5:
        silent = capture.gap_mm <= np.nanpercentile(capture.gap_mm, 10)
    return silent


def grid_clips(data: Path, lips: LipResponse, rejected: list[str]) -> Iterator[Clip]:
    """All clips of s1 (split by :func:`split_of` in the order of their names), then the five other speakers (``test_others``)."""
    captures, words = read_captures(data / "grid_s1_motion.npz"), read_word_table(data / "grid_s1_words.tsv")
    speech = {clip: speech_of_words(rows) for clip, rows in words.items() if clip in captures}
    rest = resting_face([captures[c] for c in speech], [silent_frames(captures[c], speech[c]) for c in speech])
    for i, name in enumerate(sorted(captures)):
        audio = data / "grid_s1_audio" / f"{name}.ogg"
        split = split_of(i)
        clip = _clip(f"grid_s1_{name}", audio, captures[name], rest, words.get(name), "s1", split, lips, rejected)
        if clip:
            yield clip
    for name, capture in sorted(read_captures(data / "grid_others_motion.npz").items()):
        audio = data / "grid_others_audio" / f"{name}.ogg"
        samples, rate = read_audio(audio)
        rest = resting_face([capture], [silent_frames(capture, speech_interval(samples, rate))])
        clip = _clip(f"grid_other_{name}", audio, capture, rest, None, f"other_{name}", "test_others", lips, rejected)
        if clip:
            yield clip


def speech_of_words(words: list[tuple[float, float, str]]) -> tuple[float, float]:
    """Start of the first and end of the last word."""
    spoken = [w for w in words if w[2] not in SILENCE_WORDS]
    return spoken[0][0], spoken[-1][1]


def _clip(identity, audio, capture, rest, words, speaker, split, lips, rejected) -> Clip | None:
    missing = 1 - capture.detected.mean()
    if missing > MOST_MISSING:
        rejected.append(f"{identity}: no face in {missing:.0%} of the frames")
        return None
    samples, rate = read_audio(audio)
    return filmed_clip(
        capture,
        rest,
        lips,
        samples=samples,
        sample_rate=rate,
        speech=speech_of_words(words) if words else speech_interval(samples, rate),
        identity=identity,
        source="grid",
        split=split,
        speaker=speaker,
        style="grid_" + speaker,
        words=[(s, e, w) for s, e, w in words or [] if w not in SILENCE_WORDS],
    )
