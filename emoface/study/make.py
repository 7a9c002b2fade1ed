"""``study make``: render all clips of a design under names that reveal nothing.

The study folder::

    study.json          what the form needs: texts, plans and opaque clip names, no method or item
    clips/ID.mp4        the only files that raters' browsers can fetch (for the 3D player also ID.efp and ID.wav)
    private/key.json    what each clip shows; only the report needs it, so it may stay off the server
    private/design.yaml the design, for the report
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..animation import Animation
from ..audio import load_audio
from ..errors import EmoFaceError
from ..files import write_text
from .design import SCALE, SOFT_HYPHEN, Design, Item, Method, load_design
from .films import Film, add_card, check_film, delay_sound, film_animation, film_video, freeze, shift, write_film, write_scene
from .plan import Page, Stimulus, all_stimuli, plan_rater
from .texts import load_texts

CHECKS = 3
_SECONDS_PER_ANSWER = 4.0
FILE_TIME = 1_000_000_000
"""Modification time of all clips, so that the order of making does not show in HTTP headers."""

Progress = Callable[[str, float], None]


def make_study(
    design_path: str | Path, output: str | Path, *, progress: Progress | None = None, load_pipeline: Callable[[str | None], Any] | None = None
) -> Path:
    """Render the study of ``design_path`` into the folder ``output``.

    Clips that are already there are kept, so an interrupted run continues. ``load_pipeline`` (for tests) replaces
    ``EmoFacePipeline.from_pretrained``. Errors: `EmoFaceError` for anything wrong with the design or its files, found
    before rendering where possible, and for a folder that holds another study.
    """
    design_path, output = Path(design_path), Path(output)
    design = load_design(design_path)
    check_files(design)
    (output / "clips").mkdir(parents=True, exist_ok=True)
    private = output / "private"
    private.mkdir(mode=0o700, exist_ok=True)
    stimuli = all_stimuli(design)
    key = _key(design, stimuli, private / "key.json", design_path.read_text(encoding="utf-8"))
    ids = {stimulus: name for name, stimulus in zip(key["stimuli"], stimuli)}
    seconds = _render(design, ids, key["checks"], output / "clips", progress, load_pipeline or _load_pipeline)
    write_text(output / ".gitignore", "private/\n")
    write_text(private / "design.yaml", key["design"])
    write_text(output / "study.json", json.dumps(_public(design, key, ids, seconds), indent=1, ensure_ascii=False))
    return output


def check_files(design: Design) -> None:
    """Complain about missing speech, animations and videos before anything is rendered."""
    for item in design.items:
        for sound in {item.speech, item.emotion_speech} - {None, "speech"}:
            if not (design.folder / sound).is_file():
                raise EmoFaceError(f"The recording {sound} of item '{item.id}' does not exist; correct its path.")
    for stimulus in all_stimuli(design):
        method = design.method(stimulus.method)
        if method.source != "model" and not _file(design, method, stimulus.item).is_file():
            raise EmoFaceError(
                f"The file {_file(design, method, stimulus.item)} of method '{method.name}' does not exist; make it or correct the path."
            )


# --- key and public description -----------------------------------------------------------------------------------


def _key(design: Design, stimuli: list[Stimulus], path: Path, text: str) -> dict:
    """The private key: read again if it is of the same design, else drawn."""
    if path.is_file():
        key = json.loads(path.read_text(encoding="utf-8"))
        if key["design"] != text:
            raise EmoFaceError(f"The folder {path.parent.parent} holds the study of another design; choose a new one.")
        return key
    draw = secrets.SystemRandom()
    order = [secrets.token_hex(8) for _ in stimuli]
    key = {
        "study": secrets.token_hex(8),
        "design": text,
        "stimuli": {
            name: {**vars(stimulus), "emotion": design.item(stimulus.item).emotion, "level": design.item(stimulus.item).level}
            for name, stimulus in zip(order, stimuli)
        },
        "checks": {secrets.token_hex(8): {"beeps": draw.randint(2, 5), "number": draw.randint(11, 99)} for _ in range(CHECKS)},
    }
    write_text(path, json.dumps(key, indent=1))
    os.chmod(path, 0o600)
    return key


def _public(design: Design, key: dict, ids: dict[Stimulus, str], seconds: dict[str, float]) -> dict:
    """Everything the form needs, without a word about methods, items or which pages are checks."""
    plans = [[_public_page(page, ids) for page in plan_rater(design, number)] for number in range(design.rater_count)]
    longest = max(sum(_page_seconds(page, seconds, len(design.aspects)) for page in plan) for plan in plans)
    return {
        "study": key["study"],
        "title": design.title,
        "languages": list(design.languages),
        "layout": design.layout,
        "player": design.player,
        "scenes": [name for stimulus, name in ids.items() if design.player == "3d" and stimulus.answer is None],
        "aspects": [{"id": aspect.id, "name": aspect.name, "question": aspect.question} for aspect in design.aspects],
        "labels": {language: list(labels) for language, labels in design.labels.items()},
        "minutes": max(2, round(longest / 60 + 2)),
        "clips": {name: round(value, 3) for name, value in seconds.items()},
        "checks": [{"clip": name, **answer} for name, answer in key["checks"].items()],
        "plans": plans,
    }


def _public_page(page: Page, ids: dict[Stimulus, str]) -> dict:
    return {"practice": page.kind == "training", "clips": [ids[stimulus] for stimulus in page.stimuli]}


def _page_seconds(page: dict, seconds: dict[str, float], aspects: int) -> float:
    return sum(1.2 * seconds[clip] + aspects * _SECONDS_PER_ANSWER for clip in page["clips"])


# --- rendering ----------------------------------------------------------------------------------------------------


def _render(
    design: Design,
    ids: dict[Stimulus, str],
    checks: dict[str, dict],
    folder: Path,
    progress: Progress | None,
    load_pipeline: Callable[[str | None], Any],
) -> dict[str, float]:
    """Render what is missing; returns the length of every clip in seconds."""
    animator = _Animator(design, load_pipeline)
    jobs: list[tuple[str, Callable[[], Film]]] = [
        (name, lambda stimulus=stimulus: _film(design, stimulus, animator)) for stimulus, name in ids.items()
    ]
    jobs += [(name, lambda answer=answer: check_film(**answer, size=design.size)) for name, answer in checks.items()]
    for done, (name, make) in enumerate(jobs):
        path = folder / f"{name}.mp4"
        if progress is not None:
            progress(f"Clip {done + 1} of {len(jobs)}", done / len(jobs))
        if not path.is_file():
            write_film(make(), path)
            _hide_age(path)
    for stimulus, name in ids.items() if design.player == "3d" else ():
        if stimulus.answer is None and not (folder / f"{name}.wav").is_file():
            for path in write_scene(_scene(design, stimulus, animator), folder / name):
                _hide_age(path)
    return {name: clip_seconds(folder / f"{name}.mp4") for name, _ in jobs}


def _hide_age(path: Path) -> None:
    os.chmod(path, 0o644)
    os.utime(path, (FILE_TIME, FILE_TIME))


def _scene(design: Design, stimulus: Stimulus, animator: _Animator) -> Animation:
    """What the 3D player shows: as the film, but for cards, which only films have."""
    item = design.item(stimulus.item)
    animation = animator(design.method(stimulus.method), item)
    audio = load_audio((animation.audio, animation.sample_rate) if animation.audio is not None else design.folder / item.speech)
    animation = animation.with_audio(audio.samples, audio.sample_rate)
    if stimulus.degrade == "frozen":
        return replace(animation, vertices=np.repeat(animation.vertices[:1], animation.frame_count, axis=0))
    if stimulus.degrade == "late_audio":
        return animation.with_audio(shift(audio.samples, stimulus.amount), audio.sample_rate)
    return animation


def _film(design: Design, stimulus: Stimulus, animator: _Animator) -> Film:
    item, method = design.item(stimulus.item), design.method(stimulus.method)
    speech = design.folder / item.speech
    if method.source == "videos":
        film = film_video(_file(design, method, item.id), size=design.size, speech=speech)
    else:
        film = film_animation(animator(method, item), size=design.size, speech=speech)
    if stimulus.degrade == "frozen":
        film = freeze(film)
    elif stimulus.degrade == "late_audio":
        film = delay_sound(film, stimulus.amount)
    if stimulus.answer is not None:
        film = add_card(film, [_request(design, language, stimulus.answer) for language in design.languages], size=design.size)
    return film


def _request(design: Design, language: str, answer: int) -> str:
    label = design.labels[language][SCALE.index(answer)].replace(SOFT_HYPHEN, "")
    return load_texts(language)["attention"].format(label=label)


class _Animator:
    """Animations by method and item; keeps one model loaded and the last animation."""

    def __init__(self, design: Design, load_pipeline: Callable[[str | None], Any]) -> None:
        self._design, self._load_pipeline = design, load_pipeline
        self._location: str | None = None
        self._pipeline: Any = None
        self._last: tuple[tuple[str, str], Animation] | None = None

    def __call__(self, method: Method, item: Item) -> Animation:
        if self._last is None or self._last[0] != (method.name, item.id):
            self._last = (method.name, item.id), self._animate(method, item)
        return self._last[1]

    def _animate(self, method: Method, item: Item) -> Animation:
        if method.source == "animations":
            from ..export import load

            return load(_file(self._design, method, item.id))
        if self._pipeline is None or self._location != method.location:
            local = self._design.folder / method.location
            self._location = method.location
            self._pipeline = self._load_pipeline(None if method.location == "default" else str(local) if local.is_dir() else method.location)
        emotion = (
            item.emotion
            if item.emotion_speech is None
            else ("speech" if item.emotion_speech == "speech" else str(self._design.folder / item.emotion_speech))
        )
        return self._pipeline(str(self._design.folder / item.speech), **{"emotion": emotion, "level": item.level, **method.settings})


def _load_pipeline(location: str | None) -> Any:
    from ..pipeline import EmoFacePipeline

    return EmoFacePipeline.from_pretrained(location)


def _file(design: Design, method: Method, item: str) -> Path:
    return design.folder / method.location.replace("{item}", item)


def clip_seconds(path: Path) -> float:
    """Length of a clip."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return float(stream.duration * stream.time_base)
