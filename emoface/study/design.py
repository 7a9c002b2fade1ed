"""The design of a user study, read from a YAML file and checked before anything is rendered.

The terms are those of ITU-T P.800, P.808 and P.910: absolute category rating (ACR) on five labelled categories,
training items, attention (trapping) items and gold items whose answer is known.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..animation import EMOTIONS, LEVELS
from ..errors import EmoFaceError

LAYOUTS = ("single", "pair", "all")
PLAYERS = ("video", "3d")
SOURCES = ("model", "animations", "videos")
DEGRADATIONS = ("frozen", "late_audio", "none")
SCALE = (1, 2, 3, 4, 5)
SOFT_HYPHEN = "\u00ad"
LABELS = {
    "en": ("Bad", "Poor", "Fair", "Good", "Excellent"),
    "de": ("Schlecht", "Dürftig", "Ordent\u00adlich", "Gut", "Ausge\u00adzeich\u00adnet"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Text = dict[str, str]
"""A text in several languages, by language code."""


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


@dataclass(frozen=True)
class Item:
    """One utterance with one emotion at one level; every method animates it."""

    id: str
    speech: str
    emotion: str
    level: str
    emotion_speech: str | None = None
    """Audio that models take the emotion from, or ``speech`` for the speech's own; without it they get the name."""


@dataclass(frozen=True)
class Aspect:
    id: str
    name: Text
    question: Text


@dataclass(frozen=True)
class Training:
    item: str
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Attention:
    """A clip that ends with the request to choose ``answer``."""

    item: str
    method: str
    answer: int


@dataclass(frozen=True)
class Gold:
    """A clip whose quality is known, for example with frozen face or late audio."""

    item: str
    method: str
    aspect: str
    degrade: str
    amount: float
    at_least: int
    at_most: int


@dataclass(frozen=True)
class Exclusion:
    """Rules that decide which raters count; a rater who breaks one is left out and listed."""

    attention_failures: int = 1
    """Most attention items that may be answered wrongly."""
    gold_failures: int = 1
    """Most gold items that may be answered wrongly."""
    completed: float = 1.0
    """Least share of the rating pages that must be answered."""
    identical_answers: float = 0.95
    """Largest share of answers that may be one and the same category."""
    seconds_per_answer: float = 0.4
    """Least median time per answer, counted from the end of the clip's first playback."""
    playback_check: bool = True
    """Whether the playback check must have been passed."""


@dataclass(frozen=True)
class Design:
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
        return tuple(method.name for method in self.methods)

    @property
    def rater_count(self) -> int:
        """Raters needed so that every item is rated ``raters_per_item`` times."""
        return -(-self.raters_per_item * len(self.items) // self.items_per_rater)

    def item(self, name: str) -> Item:
        return next(item for item in self.items if item.id == name)

    def method(self, name: str) -> Method:
        return next(method for method in self.methods if method.name == name)


def load_design(path: str | Path) -> Design:
    """Read and check a design file; an ``EmoFaceError`` says in one sentence what is wrong with it."""
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
    """Check a design given as plain dictionaries and lists; see ``assets/study/example.yaml`` for every key."""
    raw = _mapping(
        raw,
        "The study design",
        required=("title", "layout", "methods", "items", "raters_per_item"),
        optional=(
            "languages",
            "seed",
            "aspects",
            "labels",
            "items_per_rater",
            "reference",
            "training",
            "attention",
            "gold",
            "exclusion",
            "player",
            "size",
        ),
    )
    languages = tuple(_list(raw.get("languages", ["en"]), "languages"))
    if not languages or not all(isinstance(language, str) and language for language in languages):
        raise EmoFaceError("'languages' needs at least one language code such as en; add one.")
    layout = _choice(raw["layout"], LAYOUTS, "layout")
    methods = _methods(raw["methods"])
    items = _items(raw["items"])
    aspects = _aspects(raw["aspects"], languages) if "aspects" in raw else default_aspects(languages)
    names = {method.name for method in methods}
    item_ids = {item.id for item in items}
    if layout != "single" and len(methods) < 2:
        raise EmoFaceError(f"Layout '{layout}' compares methods, but only one is listed; add another or use 'single'.")
    reference = raw.get("reference")
    if reference is not None:
        _known(reference, names, "reference", "methods")
        if layout != "pair":
            raise EmoFaceError("'reference' only has a meaning in layout 'pair'; remove it or change the layout.")
    items_per_rater = _integer(raw.get("items_per_rater", len(items)), "items_per_rater", least=1)
    if items_per_rater > len(items):
        raise EmoFaceError(f"'items_per_rater' is {items_per_rater}, but there are only {len(items)} items; lower it.")
    player = _choice(raw.get("player", "video"), PLAYERS, "player")
    videos = [method.name for method in methods if method.source == "videos"]
    if player == "3d" and videos:
        raise EmoFaceError(f"Method '{videos[0]}' only has videos, which the 3D player cannot show; use player: video.")
    size = _integer(raw.get("size", 512 if layout == "single" else 384), "size", least=128)
    if size > 1080 or size % 2:
        raise EmoFaceError(f"'size' must be an even number of pixels from 128 to 1080; it is {size}.")
    return Design(
        title=_text(raw["title"], languages, "title"),
        languages=languages,
        layout=layout,
        seed=_integer(raw.get("seed", 0), "seed", least=0),
        methods=methods,
        items=items,
        aspects=aspects,
        labels=_labels(raw.get("labels", {}), languages),
        raters_per_item=_integer(raw["raters_per_item"], "raters_per_item", least=1),
        items_per_rater=items_per_rater,
        reference=reference,
        training=_training(raw.get("training", []), layout, methods, item_ids),
        attention=_attention(raw.get("attention", []), names, item_ids),
        gold=_gold(raw.get("gold", []), names, item_ids, {aspect.id for aspect in aspects}),
        exclusion=_exclusion(raw.get("exclusion", {})),
        player=player,
        size=size,
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


def _methods(raw: Any) -> tuple[Method, ...]:
    raw = _mapping(raw, "'methods'")
    if not raw:
        raise EmoFaceError("'methods' is empty; list at least one model, animation folder or video folder.")
    return tuple(_method(_name(name, "methods"), value) for name, value in raw.items())


def _method(name: str, raw: Any) -> Method:
    raw = _mapping(raw, f"Method '{name}'", optional=(*SOURCES, "settings", "label"))
    sources = [source for source in SOURCES if source in raw]
    if len(sources) != 1:
        raise EmoFaceError(f"Method '{name}' needs exactly one of {', '.join(SOURCES)}; it has {len(sources)}.")
    source, location = sources[0], str(raw[sources[0]])
    if source != "model" and "{item}" not in location:
        raise EmoFaceError(
            f"The path of method '{name}' has no {{item}} in it; write for example {source}: "
            f"{name}/{{item}}.{'npz' if source == 'animations' else 'mp4'}."
        )
    settings = _mapping(raw.get("settings", {}), f"'settings' of method '{name}'")
    if settings and source != "model":
        raise EmoFaceError(f"Method '{name}' has 'settings', which only models take; remove them.")
    return Method(name=name, source=source, location=location, settings=settings, label=str(raw.get("label", name)))


def _items(raw: Any) -> tuple[Item, ...]:
    items = _crossed_items(raw) if isinstance(raw, dict) else [_item(value, i) for i, value in enumerate(_list(raw, "items"))]
    if not items:
        raise EmoFaceError("'items' is empty; list at least one.")
    ids = [item.id for item in items]
    for name in ids:
        if ids.count(name) > 1:
            raise EmoFaceError(f"Two items are called '{name}'; give every item its own id.")
    return tuple(items)


def _crossed_items(raw: dict) -> list[Item]:
    """Every speech file with every emotion at every level."""
    raw = _mapping(raw, "'items'", required=("speech", "emotion"), optional=("level",))
    speech = {_name(name, "items.speech"): str(path) for name, path in _mapping(raw["speech"], "'items.speech'").items()}
    emotions = [_choice(value, EMOTIONS, "items.emotion") for value in _list(raw["emotion"], "items.emotion")]
    levels = [_choice(value, LEVELS, "items.level") for value in _list(raw.get("level", ["normal"]), "items.level")]
    return [
        Item(id=f"{name}-{emotion}-{level}", speech=path, emotion=emotion, level=level)
        for (name, path), emotion, level in itertools.product(speech.items(), emotions, levels)
    ]


def _item(raw: Any, index: int) -> Item:
    raw = _mapping(raw, f"Item {index + 1}", required=("id", "speech", "emotion"), optional=("level", "emotion_speech"))
    return Item(
        id=_name(raw["id"], "items"),
        speech=str(raw["speech"]),
        emotion=_choice(raw["emotion"], EMOTIONS, "emotion"),
        level=_choice(raw.get("level", "normal"), LEVELS, "level"),
        emotion_speech=raw.get("emotion_speech"),
    )


def _aspects(raw: Any, languages: tuple[str, ...]) -> tuple[Aspect, ...]:
    aspects = []
    for value in _list(raw, "aspects"):
        value = _mapping(value, "An aspect", required=("id", "name", "question"))
        name = _name(value["id"], "aspects")
        aspects.append(
            Aspect(
                id=name,
                name=_text(value["name"], languages, f"name of aspect '{name}'"),
                question=_text(value["question"], languages, f"question of aspect '{name}'"),
            )
        )
    if not aspects or len({aspect.id for aspect in aspects}) < len(aspects):
        raise EmoFaceError("'aspects' needs at least one entry and no id twice; correct the list.")
    return tuple(aspects)


def _labels(raw: Any, languages: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    raw = {**LABELS, **_mapping(raw, "'labels'")}
    for language in languages:
        if len(raw.get(language, ())) != len(SCALE):
            raise EmoFaceError(f"'labels' needs the {len(SCALE)} category names of the scale in '{language}', from worst to best; add them.")
    return {language: tuple(str(label) for label in raw[language]) for language in languages}


def _training(raw: Any, layout: str, methods: tuple[Method, ...], items: set[str]) -> tuple[Training, ...]:
    names = tuple(method.name for method in methods)
    default = names[:2] if layout == "pair" else names
    found = []
    for value in _list(raw, "training"):
        value = _mapping(value, "A training item", required=("item",), optional=("methods",))
        chosen = tuple(_list(value.get("methods", list(default)), "methods of a training item"))
        for name in chosen:
            _known(name, set(names), "training", "methods")
        found.append(Training(item=_known(value["item"], items, "training", "items"), methods=chosen))
    return tuple(found)


def _attention(raw: Any, methods: set[str], items: set[str]) -> tuple[Attention, ...]:
    found = []
    for value in _list(raw, "attention"):
        value = _mapping(value, "An attention item", required=("item", "method", "answer"))
        found.append(
            Attention(
                item=_known(value["item"], items, "attention", "items"),
                method=_known(value["method"], methods, "attention", "methods"),
                answer=_choice(value["answer"], SCALE, "answer of an attention item"),
            )
        )
    return tuple(found)


def _gold(raw: Any, methods: set[str], items: set[str], aspects: set[str]) -> tuple[Gold, ...]:
    found = []
    for value in _list(raw, "gold"):
        value = _mapping(value, "A gold item", required=("item", "method", "aspect"), optional=("degrade", "amount", "at_least", "at_most"))
        gold = Gold(
            item=_known(value["item"], items, "gold", "items"),
            method=_known(value["method"], methods, "gold", "methods"),
            aspect=_known(value["aspect"], aspects, "gold", "aspects"),
            degrade=_choice(value.get("degrade", "none"), DEGRADATIONS, "degrade"),
            amount=_number(value.get("amount", 0.5), "amount of a gold item", least=0.0, most=2.0),
            at_least=_choice(value.get("at_least", SCALE[0]), SCALE, "at_least"),
            at_most=_choice(value.get("at_most", SCALE[-1]), SCALE, "at_most"),
        )
        if (gold.at_least, gold.at_most) == (SCALE[0], SCALE[-1]) or gold.at_least > gold.at_most:
            raise EmoFaceError(f"The gold item on '{gold.item}' accepts every answer or none; set at_least or at_most.")
        found.append(gold)
    return tuple(found)


def _exclusion(raw: Any) -> Exclusion:
    raw = _mapping(raw, "'exclusion'", optional=tuple(Exclusion.__dataclass_fields__))
    for key, value in raw.items():
        if key == "playback_check":
            if not isinstance(value, bool):
                raise EmoFaceError("'playback_check' must be true or false; correct it.")
        elif key.endswith("_failures"):
            _integer(value, key, least=0)
        else:
            _number(value, key, least=0.0, most=60.0 if key == "seconds_per_answer" else 1.0)
    return Exclusion(**raw)


# --- values -------------------------------------------------------------------------------------------------------


def _mapping(raw: Any, what: str, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> dict:
    """``raw`` if it is a mapping with these keys; with no keys named, any mapping."""
    if not isinstance(raw, dict):
        raise EmoFaceError(f"{what} must be a list of 'key: value' lines; it is {_kind(raw)}.")
    for key in required:
        if key not in raw:
            raise EmoFaceError(f"{what} has no '{key}'; add it.")
    allowed = (*required, *optional)
    for key in raw if allowed else ():
        if key not in allowed:
            raise EmoFaceError(f"{what} has an unknown key '{key}'; use one of {', '.join(allowed)}.")
    return raw


def _list(raw: Any, what: str) -> list:
    if not isinstance(raw, list):
        raise EmoFaceError(f"'{what}' must be a list; it is {_kind(raw)}.")
    return raw


def _text(raw: Any, languages: tuple[str, ...], what: str) -> Text:
    """One text for all languages, or one for each."""
    if isinstance(raw, str) and raw.strip():
        return dict.fromkeys(languages, raw)
    if isinstance(raw, dict) and all(isinstance(raw.get(language), str) and raw[language].strip() for language in languages):
        return {language: raw[language] for language in languages}
    raise EmoFaceError(f"The {what} needs a text in each of these languages: {', '.join(languages)}.")


def _name(raw: Any, what: str) -> str:
    if not isinstance(raw, str) or not _NAME.fullmatch(raw):
        raise EmoFaceError(f"'{raw}' in '{what}' is not a usable name; use letters, digits, - and _ only.")
    return raw


def _choice(raw: Any, allowed: tuple, what: str) -> Any:
    if isinstance(raw, bool) or raw not in allowed:
        raise EmoFaceError(f"'{raw}' is not a possible value of '{what}'; use one of {', '.join(map(str, allowed))}.")
    return raw


def _known(raw: Any, names: set[str], what: str, where: str) -> str:
    if raw not in names:
        raise EmoFaceError(f"'{what}' names '{raw}', which is not in '{where}'; use one of {', '.join(sorted(names))}.")
    return raw


def _integer(raw: Any, what: str, *, least: int) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < least:
        raise EmoFaceError(f"'{what}' must be a whole number of at least {least}; it is {raw!r}.")
    return raw


def _number(raw: Any, what: str, *, least: float, most: float) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not least <= raw <= most:
        raise EmoFaceError(f"'{what}' must be a number from {least:g} to {most:g}; it is {raw!r}.")
    return float(raw)


def _kind(raw: Any) -> str:
    return {type(None): "empty", list: "a list", str: "a text", dict: "a mapping"}.get(type(raw), "a number")
