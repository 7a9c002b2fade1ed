"""The letters that are said in a stretch of a corpus' clips, for lip reading."""

from __future__ import annotations

import re

from ..corpus.grid import SILENCE_WORDS
from ..corpus.reader import Corpus

ALPHABET = "abcdefghijklmnopqrstuvwxyz' "
_FPS = 30


def words_of(corpus: Corpus, clip: int) -> list[tuple[float, str]]:
    """(end in seconds, word) of the words of a clip that were aligned; empty where only phones are known."""
    times = corpus.times(clip)
    if times["words"]:
        return [(end, word) for _, end, word in times["words"] if word not in SILENCE_WORDS]
    words: list[tuple[float, str]] = []
    previous = None
    for _, _, end, word in times["phones"]:
        word = "" if word.startswith("<") else re.sub(r"\(\d+\)$", "", word)  # "<sil>"; "are(2)" is the second pronunciation
        if word and word == previous:
            words[-1] = (end, word)
        elif word:
            words.append((end, word))
        previous = word
    return words


def spell(corpus: Corpus, clips: list[int], frames: int) -> list[int]:
    """Letters, 1-based, of the words that end within the first ``frames`` of the clips played one after the other."""
    words, start = [], 0
    for clip in clips:
        words += [word for end, word in words_of(corpus, clip) if start + end * _FPS <= frames]
        start += corpus.clips[clip]["frames"]
    return [1 + ALPHABET.index(letter) for letter in " ".join(words) if letter in ALPHABET]
