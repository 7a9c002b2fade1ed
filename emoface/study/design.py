"""The design of a user study, read from a YAML file and checked before anything is rendered.

The terms are those of ITU-T P.800, P.808 and P.910: absolute category rating (ACR) on five labelled categories,
training items, attention (trapping) items and gold items whose answer is known.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, with_config

from ..animation import EMOTIONS, LEVELS
from ..errors import EmoFaceError
from ..validation import STRICT, Count, Flag, Share, Whole, checked

SOURCES = ("model", "animations", "videos")
SCALE = (1, 2, 3, 4, 5)
SOFT_HYPHEN = "\u00ad"
LABELS = {
    "en": ("Bad", "Poor", "Fair", "Good", "Excellent"),
    "de": ("Schlecht", "Dürftig", "Ordent\u00adlich", "Gut", "Ausge\u00adzeich\u00adnet"),
}

Text = dict[str, str]
"""A text in several languages, by language code."""


def _usable(name: str) -> str:
    if not name or not name[0].isalnum() or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{name!r} is not a usable name; use letters, digits, - and _ only.")
    return name


Name = Annotated[str, AfterValidator(_usable)]
Words = str | Text
"""One text for all languages, or one for each."""
Layout = Literal["single", "pair", "all"]
Player = Literal["video", "3d"]
Emotion = Literal[EMOTIONS]  # type: ignore[valid-type]
Level = Literal[LEVELS]  # type: ignore[valid-type]
Answer = Annotated[int, Field(strict=True, ge=SCALE[0], le=SCALE[-1])]
Degradation = Literal["frozen", "late_audio", "none"]


@dataclass(frozen=True)
class Method:
    """Something that animates a face: a model, a folder of animation files, or a folder of videos."""

    name: str
    source: str
    """One of ``SOURCES``."""
    location: str
    """Model id or folder; for animations and videos a path pattern with ``{item}``."""
    settings: dict = field(default_factory=dict)
    """Keyword arguments of the pipeline's call, for models."""
    label: str = ""
    """Name printed in the report."""


@with_config(STRICT)
@dataclass(frozen=True)
class Item:
    """One utterance with one emotion at one level; every method animates it."""

    id: Name
    speech: str
    emotion: Emotion
    level: Level = "normal"
    emotion_speech: str | None = None
    """Audio that models take the emotion from, or ``speech`` for the speech's own; without it they get the name."""


@dataclass(frozen=True)
class Aspect:
    """One thing that every clip is rated for."""

    id: str
    name: Text
    question: Text


@dataclass(frozen=True)
class Training:
    """An item that raters see before their answers count."""

    item: str
    methods: tuple[str, ...]


@with_config(STRICT)
@dataclass(frozen=True)
class Attention:
    """A clip that ends with the request to choose ``answer``."""

    item: str
    method: str
    answer: Answer


@with_config(STRICT)
@dataclass(frozen=True)
class Gold:
    """A clip whose quality is known, for example with frozen face or late audio."""

    item: str
    method: str
    aspect: str
    degrade: Degradation = "none"
    amount: Annotated[float, Field(strict=True, ge=0, le=2)] = 0.5
    at_least: Answer = SCALE[0]
    at_most: Answer = SCALE[-1]


@with_config(STRICT)
@dataclass(frozen=True)
class Exclusion:
    """Rules that decide which raters count; a rater who breaks one is left out and listed."""

    attention_failures: Whole = 1
    """Most attention items that may be answered wrongly."""
    gold_failures: Whole = 1
    """Most gold items that may be answered wrongly."""
    completed: Share = 1.0
    """Least share of the rating pages that must be answered."""
    identical_answers: Share = 0.95
    """Largest share of answers that may be one and the same category."""
    seconds_per_answer: Annotated[float, Field(strict=True, ge=0, le=60)] = 0.4
    """Least median time per answer, counted from the end of the clip's first playback."""
    playback_check: Flag = True
    """Whether the playback check must have been passed."""


@dataclass(frozen=True)
class Design:
    """A checked design file, with its defaults filled in."""

    title: Text
    languages: tuple[str, ...]
    layout: str
    seed: int
    methods: tuple[Method, ...]
    items: tuple[Item, ...]
    aspects: tuple[Aspect, ...]
    labels: dict[str, tuple[str, ...]]
    raters_per_item: int
    items_per_rater: int
    reference: str | None
    training: tuple[Training, ...]
    attention: tuple[Attention, ...]
    gold: tuple[Gold, ...]
    exclusion: Exclusion
    player: str
    """``video``, or ``3d``: drawn by the rater's browser, with video where that is too slow."""
    size: int
    """Width and height of every clip in pixels."""
    folder: Path
    """Folder of the design file; relative paths start there."""

    @property
    def method_names(self) -> tuple[str, ...]:
        """In the order of the file."""
        return tuple(method.name for method in self.methods)

    @property
    def rater_count(self) -> int:
        """Raters needed so that every item is rated ``raters_per_item`` times."""
        return -(-self.raters_per_item * len(self.items) // self.items_per_rater)

    def item(self, name: str) -> Item:
        """The item of this id. Raises StopIteration where there is none; ids in a checked design exist."""
        return next(item for item in self.items if item.id == name)

    def method(self, name: str) -> Method:
        """The method of this name. Raises StopIteration where there is none; names in a checked design exist."""
        return next(method for method in self.methods if method.name == name)


# --- the file -----------------------------------------------------------------------------------------------------


@with_config(STRICT)
@dataclass(frozen=True)
class MethodEntry:
    """A method of the file: one of ``model``, ``animations`` and ``videos``."""

    model: str | None = None
    animations: str | None = None
    videos: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    label: str | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class CrossedItems:
    """Every speech file with every emotion at every level."""

    speech: dict[Name, str]
    emotion: list[Emotion]
    level: list[Level] = field(default_factory=lambda: ["normal"])


@with_config(STRICT)
@dataclass(frozen=True)
class AspectEntry:
    """An aspect of the file, its words in each language."""

    id: Name
    name: Words
    question: Words


@with_config(STRICT)
@dataclass(frozen=True)
class TrainingEntry:
    """A training item of the file; without ``methods``, with all of them."""

    item: str
    methods: list[str] | None = None


@with_config(STRICT)
@dataclass(frozen=True)
class StudyFile:
    """What a design file may hold; ``assets/study/example.yaml`` has every key."""

    title: Words
    layout: Layout
    methods: dict[Name, MethodEntry]
    items: Any
    raters_per_item: Count
    languages: list[Annotated[str, Field(min_length=1)]] = field(default_factory=lambda: ["en"])
    seed: Whole = 0
    aspects: list[AspectEntry] | None = None
    labels: dict[str, list[str]] = field(default_factory=dict)
    items_per_rater: Count | None = None
    reference: str | None = None
    training: list[TrainingEntry] = field(default_factory=list)
    attention: list[Attention] = field(default_factory=list)
    gold: list[Gold] = field(default_factory=list)
    exclusion: Exclusion = field(default_factory=Exclusion)
    player: Player = "video"
    size: Annotated[int, Field(strict=True, ge=128, le=1080, multiple_of=2)] | None = None


def load_design(path: str | Path) -> Design:
    """Read and check a design file; raises EmoFaceError, one sentence on what is wrong with it."""
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmoFaceError(f"The study design {path} cannot be read ({error.strerror}); check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark else ""
        raise EmoFaceError(f"The study design {path} is not valid YAML{where}; correct it there.") from error
    return parse_design(raw, folder=path.resolve().parent)


def parse_design(raw: Any, *, folder: Path) -> Design:
    """Check a design given as plain dictionaries and lists. Types are :class:`StudyFile`'s; here is what depends on several keys."""
    file = checked(StudyFile, raw, "The study design")
    if not file.languages:
        raise EmoFaceError("'languages' needs at least one language code such as en; add one.")
    languages = tuple(file.languages)
    methods, items = _methods(file.methods), _items(file.items)
    aspects = default_aspects(languages) if file.aspects is None else _aspects(file.aspects, languages)
    names = {"methods": {method.name for method in methods}, "items": {item.id for item in items}, "aspects": {aspect.id for aspect in aspects}}
    if file.layout != "single" and len(methods) < 2:
        raise EmoFaceError(f"Layout '{file.layout}' compares methods, but only one is listed; add another or use 'single'.")
    if file.reference is not None:
        _known(file.reference, names, "reference", "methods")
        if file.layout != "pair":
            raise EmoFaceError("'reference' only has a meaning in layout 'pair'; remove it or change the layout.")
    items_per_rater = len(items) if file.items_per_rater is None else file.items_per_rater
    if items_per_rater > len(items):
        raise EmoFaceError(f"'items_per_rater' is {items_per_rater}, but there are only {len(items)} items; lower it.")
    videos = [method.name for method in methods if method.source == "videos"]
    if file.player == "3d" and videos:
        raise EmoFaceError(f"Method '{videos[0]}' only has videos, which the 3D player cannot show; use player: video.")
    for what, entries in (("training", file.training), ("attention", file.attention), ("gold", file.gold)):
        for entry in entries:
            _known(entry.item, names, what, "items")
    for what, entries in (("attention", file.attention), ("gold", file.gold)):
        for entry in entries:
            _known(entry.method, names, what, "methods")
    return Design(
        title=_text(file.title, languages, "title"),
        languages=languages,
        layout=file.layout,
        seed=file.seed,
        methods=methods,
        items=items,
        aspects=aspects,
        labels=_labels(file.labels, languages),
        raters_per_item=file.raters_per_item,
        items_per_rater=items_per_rater,
        reference=file.reference,
        training=tuple(_training(entry, file.layout, methods, names) for entry in file.training),
        attention=tuple(file.attention),
        gold=tuple(_gold(entry, names) for entry in file.gold),
        exclusion=file.exclusion,
        player=file.player,
        size=file.size or (512 if file.layout == "single" else 384),
        folder=Path(folder),
    )


def default_aspects(languages: tuple[str, ...]) -> tuple[Aspect, ...]:
    """The paper's four aspects, worded in the languages that ship with the package."""
    from .texts import load_texts

    texts = {language: load_texts(language)["aspects"] for language in languages}
    ids = ("realism", "lip_sync", "eyes", "emotion")
    return tuple(
        Aspect(
            id=name,
            name={lang: texts[lang][name]["name"] for lang in languages},
            question={lang: texts[lang][name]["question"] for lang in languages},
        )
        for name in ids
    )


# --- sections -----------------------------------------------------------------------------------------------------


def _methods(entries: dict[str, MethodEntry]) -> tuple[Method, ...]:
    if not entries:
        raise EmoFaceError("'methods' is empty; list at least one model, animation folder or video folder.")
    return tuple(_method(name, entry) for name, entry in entries.items())


def _method(name: str, entry: MethodEntry) -> Method:
    given = {source: location for source in SOURCES if (location := getattr(entry, source)) is not None}
    if len(given) != 1:
        raise EmoFaceError(f"Method '{name}' needs exactly one of {', '.join(SOURCES)}; it has {len(given)}.")
    ((source, location),) = given.items()
    if source != "model" and "{item}" not in location:
        raise EmoFaceError(
            f"The path of method '{name}' has no {{item}} in it; write for example {source}: "
            f"{name}/{{item}}.{'npz' if source == 'animations' else 'mp4'}."
        )
    if entry.settings and source != "model":
        raise EmoFaceError(f"Method '{name}' has 'settings', which only models take; remove them.")
    return Method(name=name, source=source, location=location, settings=entry.settings, label=name if entry.label is None else entry.label)


def _items(raw: Any) -> tuple[Item, ...]:
    """A list of items, or a mapping that crosses speech, emotions and levels."""
    items = _crossed(checked(CrossedItems, raw, "items")) if isinstance(raw, dict) else checked(list[Item], raw, "items")
    if not items:
        raise EmoFaceError("'items' is empty; list at least one.")
    ids = [item.id for item in items]
    for name in ids:
        if ids.count(name) > 1:
            raise EmoFaceError(f"Two items are called '{name}'; give every item its own id.")
    return tuple(items)


def _crossed(raw: CrossedItems) -> list[Item]:
    return [
        Item(id=f"{name}-{emotion}-{level}", speech=path, emotion=emotion, level=level)
        for (name, path), emotion, level in itertools.product(raw.speech.items(), raw.emotion, raw.level)
    ]


def _aspects(entries: list[AspectEntry], languages: tuple[str, ...]) -> tuple[Aspect, ...]:
    aspects = tuple(
        Aspect(
            id=entry.id,
            name=_text(entry.name, languages, f"name of aspect '{entry.id}'"),
            question=_text(entry.question, languages, f"question of aspect '{entry.id}'"),
        )
        for entry in entries
    )
    if not aspects or len({aspect.id for aspect in aspects}) < len(aspects):
        raise EmoFaceError("'aspects' needs at least one entry and no id twice; correct the list.")
    return aspects


def _labels(given: dict[str, list[str]], languages: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    labels = {**LABELS, **given}
    for language in languages:
        if len(labels.get(language, ())) != len(SCALE):
            raise EmoFaceError(f"'labels' needs the {len(SCALE)} category names of the scale in '{language}', from worst to best; add them.")
    return {language: tuple(labels[language]) for language in languages}


def _training(entry: TrainingEntry, layout: str, methods: tuple[Method, ...], names: dict[str, set[str]]) -> Training:
    chosen = tuple(method.name for method in methods)[: 2 if layout == "pair" else None] if entry.methods is None else tuple(entry.methods)
    for name in chosen:
        _known(name, names, "training", "methods")
    return Training(item=entry.item, methods=chosen)


def _gold(gold: Gold, names: dict[str, set[str]]) -> Gold:
    _known(gold.aspect, names, "gold", "aspects")
    if (gold.at_least, gold.at_most) == (SCALE[0], SCALE[-1]) or gold.at_least > gold.at_most:
        raise EmoFaceError(f"The gold item on '{gold.item}' accepts every answer or none; set at_least or at_most.")
    return gold


# --- values -------------------------------------------------------------------------------------------------------


def _text(words: Words, languages: tuple[str, ...], what: str) -> Text:
    texts = dict.fromkeys(languages, words) if isinstance(words, str) else words
    if not all(texts.get(language, "").strip() for language in languages):
        raise EmoFaceError(f"The {what} needs a text in each of these languages: {', '.join(languages)}.")
    return {language: texts[language] for language in languages}


def _known(name: str, names: dict[str, set[str]], what: str, where: str) -> None:
    if name not in names[where]:
        raise EmoFaceError(f"'{what}' names '{name}', which is not in '{where}'; use one of {', '.join(sorted(names[where]))}.")
