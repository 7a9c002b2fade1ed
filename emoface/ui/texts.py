"""The page's texts in other languages than English: one YAML file for each in ``emoface/ui/texts``.

The program holds the English texts; a file maps each to its translation, and ``translate.js`` puts it in place in the browser, whoever made
the text: this page, a chart, an answer of the server or a script. So what is sent and kept never depends on the language. A language is
added by a file; a test compares the files, and another looks for English that is left.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).with_name("texts")
LANGUAGES = tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))
"""Two letters each, beside English."""
ROUTE = "/emoface/texts/{language}.json"


@lru_cache
def load_texts(language: str) -> dict[str, str]:
    """English text -> its translation into one of ``LANGUAGES``."""
    return yaml.safe_load((FOLDER / f"{language}.yaml").read_text("utf-8"))


def about(language: str) -> str:
    """Markdown of the tab About in English (``en``) or one of ``LANGUAGES``."""
    return (FOLDER / f"about.{language}.md").read_text("utf-8")


def language_css() -> str:
    """Of a text that stands in all languages only the page's own is shown."""
    return "".join(f"html:not(:lang({language})) .ef-in-{language} {{ display: none !important; }}\n" for language in ("en", *LANGUAGES))


def texts_route() -> Any:
    """Where the browser finds a language's file."""
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    def answer(request):
        language = request.path_params["language"]
        return JSONResponse(load_texts(language)) if language in LANGUAGES else PlainTextResponse("There is no such language.", 404)

    return Route(ROUTE, answer)


def translate_script() -> str:
    """The script element that does it, for the head of the page."""
    source = Path(__file__).with_name("translate.js").read_text("utf-8")
    return f"<script>{source.replace('...LANGUAGES', f'...{json.dumps(LANGUAGES)}')}</script>"
