"""The collected answers, joined with the private key: which method each clip shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import EmoFaceError
from .design import Design, load_design
from .storage import Storage, default_path

ANSWER_COLUMNS = (
    "rater",
    "kind",
    "method",
    "item",
    "emotion",
    "level",
    "aspect",
    "value",
    "page",
    "position",
    "plays",
    "seconds",
    "player",
    "smoothness",
    "stimulus",
)


@dataclass(frozen=True)
class Results:
    """All that a study collected."""

    design: Design
    raters: pd.DataFrame
    """One row per rater: rater, number, language, about, playback, finished, ..."""
    answers: pd.DataFrame
    """One row per answer with ``ANSWER_COLUMNS``; clips of kind training, rating, attention and gold."""
    key: dict[str, dict]
    """What each stimulus id stands for."""

    @property
    def ratings(self) -> pd.DataFrame:
        """Only the answers that count."""
        return self.answers[self.answers["kind"] == "rating"]


def load_results(folder: str | Path, *, database: str | Path | None = None) -> Results:
    """Read a study folder made by ``study make`` and its answers.

    ``folder/private`` (key and design) must be there; ``database`` is another place of the answers, for example a
    copy downloaded from the Hub.
    """
    folder = Path(folder)
    private = folder / "private"
    try:
        key = json.loads((private / "key.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise EmoFaceError(
            f"{private / 'key.json'} is missing; the report needs the private folder that 'study make' wrote beside the clips."
        ) from error
    path = Path(database) if database else default_path(folder)
    if not path.is_file():
        raise EmoFaceError(f"There are no answers at {path} yet; collect some or name another place with --answers.")
    storage = Storage(path, read_only=True)
    try:
        raters, answers = storage.export(key["study"])
    finally:
        storage.close()
    if not answers:
        raise EmoFaceError(f"The answers at {path} hold none for this study; collect some first.")
    return Results(
        design=load_design(private / "design.yaml"),
        raters=pd.DataFrame(raters),
        answers=join_key(pd.DataFrame(answers), key["stimuli"]),
        key=key["stimuli"],
    )


def join_key(answers: pd.DataFrame, key: dict[str, dict]) -> pd.DataFrame:
    """Add kind, method, item, emotion and level of the clip to every answer."""
    unknown = set(answers["stimulus"]) - set(key)
    if unknown:
        raise EmoFaceError(f"{len(unknown)} rated clips are not in key.json; use the private folder that belongs to these answers.")
    for name in ("kind", "method", "item", "emotion", "level"):
        answers[name] = [key[stimulus][name] for stimulus in answers["stimulus"]]
    return answers[list(ANSWER_COLUMNS)]
