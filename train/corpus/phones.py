"""Phones in time: the RAVDESS table, and forced alignment with pocketsphinx where only a text is known."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from emoface.errors import EmoFaceError
from emoface.files import atomic_path

from .coarticulation import VISEME_OF_PHONE, Phone

# Phone names of flite and of pocketsphinx's noise words, in the dictionary's own set.
_SAME_AS = {
    "PAU": "SIL",
    "+SPN+": "SIL",
    "+NSN+": "SIL",
    "+BREATH+": "SIL",
    "+COUGH+": "SIL",
    "AX": "AH",
    "AXR": "ER",
    "IX": "IH",
    "EN": "N",
    "EL": "L",
    "EM": "M",
    "DX": "D",
    "HV": "HH",
}


def arpabet(name: str) -> str:
    """Upper-case ARPAbet without stress marks, variants folded together."""
    name = re.sub(r"\d", "", name).upper()
    name = _SAME_AS.get(name, name)
    if name not in VISEME_OF_PHONE:
        raise ValueError(f"Unknown phone {name!r}; add it to train/corpus/phones.py.")
    return name


def read_phone_table(path: Path) -> dict[str, list[Phone]]:
    """``clip start_s end_s phone word`` with a header line, tab-separated."""
    out: dict[str, list[Phone]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            phone = Phone(arpabet(row["phone"]), float(row["start_s"]), float(row["end_s"]), row["word"])
            out.setdefault(row["clip"], []).append(phone)
    return out


def read_word_table(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """``clip start_s end_s word``; ``sil`` and ``sp`` mark silence."""
    out: dict[str, list] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            out.setdefault(row["clip"], []).append((float(row["start_s"]), float(row["end_s"]), row["word"]))
    return out


def letter_to_sound(word: str) -> str | None:
    """Phones of a word by flite's letter-to-sound rules, e.g. ``JH EH N S AH N``; None without flite."""
    if shutil.which("flite") is None:
        return None
    command = ["flite", "-voice", "slt", "-ps", "-t", word, "none"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return " ".join(p for p in (arpabet(token) for token in printed.split()) if p != "SIL") or None


class Aligner:
    """Forced alignment with the US-English model inside the pocketsphinx package (10 ms phones)."""

    def __init__(self, *, tries: int = 6):
        self.tries = tries
        self._decoder = None
        self._spelt: dict[str, str | None] = {}

    def align(self, samples: np.ndarray, text: str) -> list[Phone] | None:
        """Phones of 16 kHz mono ``samples``, or None when no try succeeds.

        The second pass fails now and then for no visible reason; silence and faint noise around the clip, with a fresh
        decoder, cure that.
        """
        words = self.known_words(text)
        if words is None:
            return None
        level = samples * (0.6 / max(float(np.abs(samples).max()), 1e-4))
        for attempt in range(self.tries):
            self.known_words(text)  # a fresh decoder has forgotten the added words
            pad = 1600 * attempt
            noise = np.random.default_rng(attempt).standard_normal(len(level) + 2 * pad) * 3e-4 * min(attempt, 1)
            try:
                found = self._align_once(np.pad(level, pad) + noise, words)
            except RuntimeError:
                found = None
            if found:
                shift = pad / 16000
                return [Phone(p.name, max(p.start - shift, 0.0), p.end - shift, p.word) for p in found if p.end > shift]
            self._decoder = None
        return None

    def known_words(self, text: str) -> str | None:
        """Lower-case words of ``text``; words that the dictionary lacks are spelt out by flite, if it is installed."""
        words = re.sub(r"[^a-z' ]", " ", text.lower().replace("’", "'").replace("-", " ")).split()
        words = [word if self._get().lookup_word(word) else word.strip("'") for word in words]
        for word in {w for w in words if self._get().lookup_word(w) is None}:
            self._spelt[word] = self._spelt.get(word) or letter_to_sound(word)
            if self._spelt[word] is None:
                return None
            self._get().add_word(word, self._spelt[word], True)
        return " ".join(words) or None

    def _get(self):
        if self._decoder is None:
            try:
                from pocketsphinx import Config, Decoder, get_model_path
            except ImportError as error:
                raise EmoFaceError("Aligning phones needs pocketsphinx: pip install -r train/requirements.txt") from error

            model = os.path.join(get_model_path(), "en-us")
            self._decoder = Decoder(
                Config(
                    hmm=os.path.join(model, "en-us"),
                    dict=os.path.join(model, "cmudict-en-us.dict"),
                    lm=None,
                    loglevel="FATAL",
                )
            )
        return self._decoder

    def _decode(self, raw: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(raw, full_utt=True)
        self._decoder.end_utt()

    def _align_once(self, samples: np.ndarray, words: str) -> list[Phone] | None:
        decoder = self._get()
        raw = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        decoder.set_align_text(words)
        self._decode(raw)
        if decoder.hyp() is None:
            return None
        decoder.set_alignment()
        self._decode(raw)  # the second pass refines words to phones; asking it for hyp() would crash
        phones = []
        alignment = decoder.get_alignment()  # its words and phones are views: it must outlive them
        for word in alignment:
            for phone in word:
                end = (phone.start + phone.duration) / 100
                phones.append(Phone(arpabet(phone.name), phone.start / 100, end, word.name))
        return phones


def align_cached(samples: np.ndarray, text: str, cache: Path, aligner: Aligner) -> list[Phone] | None:
    """``Aligner.align`` remembered in a JSON file (failures too)."""
    if cache.exists():
        stored = json.loads(cache.read_text())
        return None if stored is None else [Phone(*row) for row in stored]
    phones = aligner.align(samples, text)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(cache) as path:
        path.write_text(json.dumps(phones))
    return phones
