"""A model's answers for cached recordings, with and without a neutral recording of the same voice."""

from __future__ import annotations

import numpy as np
import torch

from emoface.animation import EMOTIONS
from emoface.modeling import EmoFaceModel

from .cache import Features
from .recordings import POSSIBLE, Recording
from .scores import answers, mean_recall


def references_of(recordings: list[Recording], *, among: list[Recording] | None = None, seed: int = 0) -> list[Recording | None]:
    """For every recording another one of the same voice that is neutral, drawn at random from ``among`` (None: from ``recordings``); None
    where there is none."""
    rng = np.random.default_rng(seed)
    neutral: dict[str, list[Recording]] = {}
    for r in recordings if among is None else among:
        if r.emotion == "neutral":
            neutral.setdefault(r.speaker, []).append(r)
    out: list[Recording | None] = []
    for r in recordings:
        others = [n for n in neutral.get(r.speaker, []) if n.identity != r.identity]
        out.append(others[rng.integers(len(others))] if others else None)
    return out


@torch.inference_mode()
def logits(model: EmoFaceModel, recordings: list[Recording], features: Features, *, view: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, 8) without, and with, a reference (:func:`references_of`; where there is none, without)."""

    def frames(r: Recording) -> torch.Tensor:
        return model.emotion_frames(torch.from_numpy(np.asarray(features[view, r.identity], np.float32))[None])

    rests: dict[str, torch.Tensor] = {}
    without, given = [], []
    for r, reference in zip(recordings, references_of(recordings)):
        x = frames(r)
        without.append(model.classifier(model.emotion_vector(x))[0, 0])
        if reference is None:
            given.append(without[-1])
            continue
        if reference.identity not in rests:
            rests[reference.identity] = model.voice_rest(frames(reference))
        given.append(model.classifier(model.emotion_vector(x, rest=rests[reference.identity]))[0, 0])
    return torch.stack(without).numpy(), torch.stack(given).numpy()


def recall_table(model: EmoFaceModel, recordings: list[Recording], features: Features) -> dict[str, dict[str, float]]:
    """Mean recall per corpus and split: 8 labels to choose from, and only the corpus' own; without and with a reference."""
    table = {}
    for corpus, split in sorted({(r.corpus, r.split) for r in recordings}, reverse=True):
        chosen = [r for r in recordings if (r.corpus, r.split) == (corpus, split) and (0, r.identity) in features]
        labels = np.array([r.label for r in chosen])
        row = {}
        for name, values in zip(("", " with reference"), logits(model, chosen, features)):
            row[f"8{name}"] = mean_recall(labels, answers(values - values.min() + 1, EMOTIONS))
            row[f"own{name}"] = mean_recall(labels, answers(values - values.min() + 1, POSSIBLE[corpus]))
        table[f"{corpus} {split}"] = row
    return table
