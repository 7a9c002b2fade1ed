"""From which probability on an answer deserves which words on the page (``emoface/ui/words.py``): read off the validation voices.

The words are a promise to somebody who reads them: *unsure* below the probability at which half of the answers are right, *clearly* from
that on at which four in five are. How often answers are right at a probability is the isotonic regression of right answers on it
(Zadrozny and Elkan 2002), which takes nothing for granted but that more probable answers are not less often right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from emoface.pipeline import EmoFacePipeline

from .recordings import Recording
from .scores import reaches, reliability

CORPORA = ("ravdess", "nemo")
"""Acted voices: plain reading asks for one answer only."""
HALF, MOST = 0.5, 0.8


def certainty_report(recordings: list[Recording], model: str | Path | None = None) -> dict:
    """What the model, with its own probabilities, answers to the validation voices; both corpora count the same.

    Returns ``unsure`` and ``clear``, the two probabilities, ``reliability`` per corpus as in :func:`scores.reliability`, and ``right``: the
    share of right answers among those that are called unsure, probable and clear, per corpus.
    """
    pipeline = EmoFacePipeline.from_pretrained(model)
    tables, confidence, right, weight = {}, [], [], []
    for corpus in CORPORA:
        chosen = [r for r in recordings if (r.corpus, r.split) == (corpus, "validate")]
        if not chosen:
            raise SystemExit(f"There are no validation recordings of {corpus}: give the folder with --data (see docs/training.md).")
        probabilities = np.stack([pipeline.recognise(r.path) for r in tqdm(chosen, desc=corpus, unit="clip", mininterval=10)])
        labels = np.array([r.label for r in chosen])
        tables[corpus] = reliability(labels, probabilities)
        confidence.append(probabilities.max(-1))
        right.append(probabilities.argmax(-1) == labels)
        weight.append(np.full(len(chosen), 1 / len(chosen)))
    together = np.concatenate(confidence), np.concatenate(right), np.concatenate(weight)
    unsure, clear = (reaches(*together, share=share) for share in (HALF, MOST))
    ranges = (0.0, unsure), (unsure, clear), (clear, 1.0)
    called = {
        corpus: [_share(good[(sure >= low) & (sure < max(high, 1e-9))]) if high < 1 else _share(good[sure >= low]) for low, high in ranges]
        for corpus, sure, good in zip(CORPORA, confidence, right)
    }
    return dict(unsure=unsure, clear=clear, reliability=tables, right=called)


def _share(right: np.ndarray) -> tuple[float, int]:
    return float(right.mean()) if len(right) else float("nan"), len(right)
