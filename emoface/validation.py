"""Settings from a file against a dataclass, by pydantic; what is wrong with them becomes one plain sentence.

Only user studies and training import this module: pydantic comes with Gradio, and with the extras ``study`` and ``train``.
"""

from __future__ import annotations

import inspect
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from .errors import EmoFaceError

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid")
"""For ``pydantic.with_config`` on a dataclass: unknown keys are errors."""
Whole = Annotated[int, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
_MISSING = ("missing", "missing_argument")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def checked(kind: type[T], raw: Any, what: str) -> T:
    """``raw`` (from YAML) as a ``kind``.

    Args:
        kind: a dataclass or any other type that pydantic knows.
        raw: plain dictionaries and lists.
        what: where ``raw`` comes from, for the sentence: a name such as "The study design", or the key it stands at, such as "items".

    Raises:
        EmoFaceError: it does not fit.
    """
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        raise EmoFaceError(_sentence(error, kind, what)) from None


def settings_of(function: Any) -> type:
    """A type of dictionaries that hold some of a function's or a dataclass's arguments, each of its own type."""
    function = function.__init__ if inspect.isclass(function) else function
    hints = get_type_hints(function)
    return with_config(STRICT)(TypedDict(function.__qualname__, {name: hints[name] for name in hints if name != "return"}, total=False))  # type: ignore[operator]


def _sentence(error: ValidationError, kind: Any, what: str) -> str:
    """What is wrong first, where, and what to do about it."""
    first = error.errors(include_url=False)[0]
    path = [str(part + 1) if isinstance(part, int) else part for part in first["loc"]]
    path = [part for part in path if not part.startswith("dict[")]  # which of several types was tried
    if first["type"] == "string_type" and path[-1:] == ["str"]:
        path.pop()
    path = path if " " in what else [what, *path]
    place, whole = f"'{'.'.join(path)}'", f"'{'.'.join(path[:-1])}'" if path[:-1] else what
    wrong = repr(first["input"])
    wrong = wrong if len(wrong) <= 60 else wrong[:57] + "..."
    if first["type"] in _MISSING:
        return f"{whole} has no '{path[-1]}'; add it."
    if first["type"] in _UNKNOWN:
        known = list(getattr(kind, "__annotations__", ())) if len(first["loc"]) == 1 else []
        return f"{whole} has an unknown key '{path[-1]}'; " + (f"use one of {', '.join(known)}." if known else "correct or remove it.")
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "literal_error":
        return f"{place} must be {first['ctx']['expected']}, not {wrong}; correct it."
    if first["type"].startswith("dataclass") or first["type"] == "dict_type":
        return f"{place if path else what} must be a list of 'key: value' lines, not {wrong}; correct it."
    return f"{place} {first['msg'].replace('Input should', 'must')}, not {wrong}; correct it."
