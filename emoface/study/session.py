"""The study's server side, without any web framework: every request of the form is checked and answered here.

All state is in the storage, so a restarted server goes on where the old one stopped. A request is a dictionary with an
``action``; the reply is a dictionary for the form, or a `Refused` error with the name of a text under ``errors``.
"""

from __future__ import annotations

import base64
import csv
import hmac
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import EmoFaceError
from .design import SCALE
from .limits import RateLimit
from .storage import Answer, Rater, Storage
from .texts import load_texts

ABOUT = ("age", "experience", "vision")
CHECK_TRIES = 2
RATERS_PER_PLAN = 20
_TOLERANCE = 0.95
"""Share of a clip's length that must pass before its end is believed: clocks and players differ a little."""


class Refused(EmoFaceError):
    """A request that is not accepted; ``reason`` is a key of the texts under ``errors``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The request was refused ({reason}).")
        self.reason = reason


class StudySession:
    """Answers the form's requests for one study folder."""

    def __init__(self, folder: str | Path, storage: Storage, *, token: str | None = None, clock: Callable[[], float] = time.time) -> None:
        path = Path(folder) / "study.json"
        self.study = _read_study(path)
        missing = [name for name in self.study["clips"] if not (Path(folder) / "clips" / f"{name}.mp4").is_file()]
        if missing:
            raise EmoFaceError(f"{len(missing)} clips are missing in {Path(folder) / 'clips'}; run study make again.")
        self._storage, self._token, self._clock = storage, token, clock
        self._aspects = [aspect["id"] for aspect in self.study["aspects"]]
        self._arrivals = RateLimit(burst=60, per_second=0.5)
        self._requests = RateLimit(burst=60, per_second=4.0)
        self._actions = {
            "open": self._open,
            "begin": self._begin,
            "resume": self._resume,
            "check": self._check,
            "ended": self._ended,
            "back": self._back,
            "answer": self._answer,
            "export": self._export,
        }

    def __call__(self, request: Any, *, client: str) -> dict:
        """Answer one request. ``client`` distinguishes senders for the rate limits and is not stored."""
        try:
            action = request.get("action") if isinstance(request, dict) else None
            if not isinstance(action, str) or action not in self._actions:
                raise Refused("invalid")
            return self._actions[action](request, client)
        except Refused as error:
            return {"error": error.reason}

    # --- actions ---

    def _open(self, request: dict, client: str) -> dict:
        """Everything that is the same for all raters."""
        languages = self.study["languages"]
        return {
            "study": self.study["study"],
            "title": self.study["title"],
            "languages": languages,
            "texts": {language: load_texts(language) for language in languages},
            "labels": self.study["labels"],
            "aspects": self.study["aspects"],
            "minutes": self.study["minutes"],
            "export": self._token is not None,
            "practice": sum(page["practice"] for page in self.study["plans"][0]),
        }

    def _begin(self, request: dict, client: str) -> dict:
        if request.get("consent") is not True:
            raise Refused("consent")
        language, about = request.get("language"), request.get("about", {})
        if language not in self.study["languages"] or not isinstance(about, dict) or not set(about) <= set(ABOUT):
            raise Refused("invalid")
        texts = load_texts(language)["about"]
        for key, choice in about.items():
            if type(choice) is not int or not 0 <= choice < len(texts[f"{key}_options"]):
                raise Refused("invalid")
        self._limit(self._arrivals, client)
        plans = len(self.study["plans"])
        try:
            rater = self._storage.add_rater(self.study["study"], plans=plans, language=language, about=about, limit=plans * RATERS_PER_PLAN)
        except EmoFaceError as error:
            raise Refused("full") from error
        return {"code": rater.code, **self._screen(rater)}

    def _resume(self, request: dict, client: str) -> dict:
        self._limit(self._arrivals, client)
        rater = self._storage.rater(self.study["study"], str(request.get("code", "")))
        if rater is None:
            raise Refused("unknown_code")
        return {"code": rater.code, "language": rater.language, **self._screen(rater)}

    def _check(self, request: dict, client: str) -> dict:
        """The playback check: two tries, then the session goes on with the failure on record."""
        rater = self._rater(request)
        tries = self._storage.playback_tries(rater.code)
        if rater.playback_passed or tries >= CHECK_TRIES:
            return self._screen(rater)
        if type(request.get("page")) is int and request["page"] != -1 - tries:  # sent again because the reply was lost
            return {**self._screen(rater), "notice": "wrong"}
        expected = self._check_clip(rater, tries)
        self._believe_played(rater, -1 - tries, [expected["clip"]])
        passed = all(type(request.get(name)) is int and request[name] == expected[name] for name in ("beeps", "number"))
        self._storage.set_playback(rater.code, passed=passed, tries=tries + 1, player="video")
        screen = self._screen(self._rater(request))
        if not passed:
            screen["notice"] = "wrong" if tries + 1 < CHECK_TRIES else "failed"
        return screen

    def _ended(self, request: dict, client: str) -> dict:
        """A clip played to its end; believed only after its length has passed since the page was shown."""
        rater, clip = self._rater(request), request.get("clip")
        page = self._current(rater)
        number, clips = (
            (-1 - self._storage.playback_tries(rater.code), [self._check_clip(rater)["clip"]])
            if page is None or not self._checked(rater)
            else (page, self._plan(rater)[page]["clips"])
        )
        if request.get("page") != number or clip not in clips:
            raise Refused("invalid")
        shown = self._storage.playback(rater.code, number)
        if shown is None or self._too_soon(shown[0], self.study["clips"][clip]):
            raise Refused("too_fast")
        self._storage.end_playback(rater.code, number, clip)
        return {"ended": clip}

    def _back(self, request: dict, client: str) -> dict:
        """A page that was answered before, with its answers, to be looked at or changed."""
        rater = self._rater(request)
        page, current = request.get("page"), self._current(rater)
        if type(page) is not int or current is None or not 0 <= page < current or not self._checked(rater):
            raise Refused("invalid")
        return self._page(rater, page)

    def _answer(self, request: dict, client: str) -> dict:
        """All answers of a page; stored durably before the reply, which is the next page. ``revise``: the rater went back to it."""
        rater = self._rater(request)
        page, current = request.get("page"), self._current(rater)
        if type(page) is not int or not self._checked(rater):
            raise Refused("invalid")
        revise = request.get("revise") is True and current is not None and 0 <= page < current
        if (current is None or page < current) and not revise:  # sent again because the reply was lost
            return self._screen(rater)
        if page != current and not revise:
            raise Refused("invalid")
        clips = self._plan(rater)[page]["clips"]
        answers = request.get("answers")
        if not isinstance(answers, dict) or set(answers) != set(clips):
            raise Refused("invalid")
        for given in answers.values():
            if (
                not isinstance(given, dict)
                or set(given) != set(self._aspects)
                or not all(type(value) is int and value in SCALE for value in given.values())
            ):
                raise Refused("invalid")
        ended = self._believe_played(rater, page, clips)
        seconds = max(0.0, self._clock() - ended)
        self._storage.store(
            rater.code,
            [
                Answer(
                    page=page,
                    stimulus=clip,
                    aspect=aspect,
                    value=answers[clip][aspect],
                    position=position,
                    plays=_plays(request, clip),
                    seconds=round(seconds, 3),
                    player=self._player(request, clip),
                    smoothness=_smoothness(request, clip),
                )
                for position, clip in enumerate(clips)
                for aspect in self._aspects
            ],
            revise=revise,
        )
        return self._page(rater, page + 1) if revise and page + 1 < current else self._screen(rater)

    def _export(self, request: dict, client: str) -> dict:
        """A zip of raters.csv, answers.csv and the database, for whoever has the admin token."""
        self._limit(self._arrivals, client)
        given = str(request.get("token", ""))
        if self._token is None or not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token.encode()):
            raise Refused("token")
        raters, answers = self._storage.export(self.study["study"])
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, tempfile.TemporaryDirectory() as folder:
            archive.writestr("raters.csv", _csv(raters))
            archive.writestr("answers.csv", _csv(answers))
            copy = Path(folder) / "answers.sqlite3"
            self._storage.backup(copy)
            archive.write(copy, copy.name)
        return {"zip": base64.b64encode(packed.getvalue()).decode(), "raters": len(raters), "answers": len(answers)}

    # --- screens ---

    def _screen(self, rater: Rater) -> dict:
        """What the rater sees next: playback check, a page, or the end."""
        if not self._checked(rater):
            number = -1 - self._storage.playback_tries(rater.code)
            return {"screen": "check", "page": number, **self._clips(rater, number, [self._check_clip(rater)["clip"]])}
        plan, page = self._plan(rater), self._current(rater)
        if page is None:
            self._storage.finish(rater.code)
            return {"screen": "done", "page": len(plan), "pages": len(plan)}
        return self._page(rater, page)

    def _page(self, rater: Rater, number: int) -> dict:
        """One page of the plan; ``given`` are its answers, where it has been answered."""
        plan, answered = self._plan(rater), self._storage.answered(rater.code)
        page = plan[number]
        given = {clip: {aspect: answered[clip, aspect] for aspect in self._aspects if (clip, aspect) in answered} for clip in page["clips"]}
        shown = {"screen": "page", "page": number, "pages": len(plan), "practice": page["practice"], **self._clips(rater, number, page["clips"])}
        return {**shown, "given": given} if all(given.values()) else shown

    def _clips(self, rater: Rater, number: int, clips: list[str]) -> dict:
        self._storage.show_page(rater.code, number)
        _, ended = self._storage.playback(rater.code, number)
        return {
            "clips": clips,
            "scenes": [clip for clip in clips if clip in self.study["scenes"]],
            "ended": [clip for clip in clips if clip in ended],
        }

    def _plan(self, rater: Rater) -> list[dict]:
        return self.study["plans"][rater.number]

    def _current(self, rater: Rater) -> int | None:
        """The first page with an answer missing, or None at the end."""
        answered = self._storage.answered(rater.code)
        return next(
            (
                number
                for number, page in enumerate(self._plan(rater))
                for clip in page["clips"]
                for aspect in self._aspects
                if (clip, aspect) not in answered
            ),
            None,
        )

    def _checked(self, rater: Rater) -> bool:
        return bool(rater.playback_passed) or self._storage.playback_tries(rater.code) >= CHECK_TRIES

    def _check_clip(self, rater: Rater, tries: int | None = None) -> dict:
        """Another clip at every try, and for neighbouring raters."""
        tries = self._storage.playback_tries(rater.code) if tries is None else tries
        return self.study["checks"][(rater.number + tries) % len(self.study["checks"])]

    def _player(self, request: dict, clip: str) -> str:
        """The player that the form reports to have shown the clip with."""
        given = request.get("players")
        return "3d" if clip in self.study["scenes"] and isinstance(given, dict) and given.get(clip) == "3d" else "video"

    def _believe_played(self, rater: Rater, number: int, clips: list[str]) -> float:
        """When the last clip first ended; refused if a clip was not played or the time was too short for all."""
        playback = self._storage.playback(rater.code, number)
        if playback is None or not set(clips) <= set(playback[1]):
            raise Refused("too_fast")
        shown, ended = playback
        if self._too_soon(shown, sum(self.study["clips"][clip] for clip in clips)):
            raise Refused("too_fast")
        return max(ended[clip] for clip in clips)

    def _too_soon(self, shown: float, seconds: float) -> bool:
        """Whether clips of so many seconds cannot have played since; a server clock that was set back is not the rater's fault."""
        return 0 <= self._clock() - shown < _TOLERANCE * seconds

    def _rater(self, request: dict) -> Rater:
        code = str(request.get("code", ""))
        self._limit(self._requests, code)
        rater = self._storage.rater(self.study["study"], code)
        if rater is None:
            raise Refused("unknown_code")
        return rater

    def _limit(self, limit: RateLimit, key: str) -> None:
        if not limit.allow(key):
            raise Refused("busy")


def _read_study(path: Path) -> dict:
    """study.json with all that is asked of it here.

    Raises:
        EmoFaceError: missing, or damaged.
    """
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmoFaceError(
            f"{path.parent} is not a study folder (no study.json); make one with python -m emoface study make DESIGN.yaml -o DIR."
        ) from error
    except ValueError:
        study = None
    kinds = {
        "study": str,
        "title": dict,
        "languages": list,
        "labels": dict,
        "aspects": list,
        "minutes": (int, float),
        "clips": dict,
        "checks": list,
        "plans": list,
        "scenes": list,
    }
    if not isinstance(study, dict) or not all(isinstance(study.get(key), kind) for key, kind in kinds.items()) or not study["plans"]:
        raise EmoFaceError(f"{path} is damaged: make the study anew, or take the file from a backup.")
    return study


def admin_token() -> str | None:
    """The token that opens the export: EMOFACE_STUDY_TOKEN; without it nothing can be exported over the web."""
    return os.environ.get("EMOFACE_STUDY_TOKEN") or None


def _plays(request: dict, clip: str) -> int:
    """How often the clip was played, as the form reports; only for the record, so nonsense counts as once."""
    plays = request.get("plays")
    value = plays.get(clip) if isinstance(plays, dict) else None
    return min(value, 1000) if type(value) is int and value > 0 else 1


def _smoothness(request: dict, clip: str) -> float | None:
    """Share of frames that were shown, as the form reports; None if it reports none."""
    given = request.get("smoothness")
    value = given.get(clip) if isinstance(given, dict) else None
    return round(float(value), 3) if type(value) in (int, float) and 0 <= value <= 1 else None


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()
