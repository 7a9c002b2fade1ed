"""A face for somebody who speaks right now: little delay, a feeling that may be changed meanwhile, rest in silence.

    >>> session = LiveSession(pipe, sample_rate=48000, feeling={"speech": 1.0})
    >>> for block in microphone:
    ...     if (piece := session.feed(block)) is not None:
    ...         show(piece)                                # an Animation of the next frames
    >>> session.feel({"speech": 0.5, "happy": 0.8})        # at any time
    >>> session.finish(); take = session.take()            # all frames, with their sound

The feeling is what a key of an emotion curve says (:mod:`emoface.curve`): weights of the voice's own emotion (``"speech"``) and of named ones.
All emotions are decoded side by side from the start, so a change fades from one face to another that has spoken the same words:
``words x neutral + feel x sum of weight x (expression - neutral)``, where ``words`` and ``feel`` go to 0 in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .animation import Animation
from .audio import SAMPLE_RATE
from .curve import EmotionCurve
from .errors import EmoFaceError
from .front_end import FrontEnd, StreamFeatures, Windows
from .head_stream import HeadStream
from .modeling import Frames, Generation
from .motion import Motion, Recognised
from .pipeline import EmoFacePipeline, Sound
from .streaming import join

LIVE = Windows(past=2.0, hop=0.08, ahead=0.04, held=3, fresh=0.4, tail=0.5)
"""Chosen by the table of delay x lip r in docs/streaming.md."""
FADE = 0.3
"""Seconds in which one feeling goes over into another."""
_MOOD = 0.7  # time constant of the voice's emotion, seconds of speech; F_e is already a mean over about 2 s
_LEAD = 0.3  # by how much another emotion must be more likely than the one last named
_WORDS_IN, _WORDS_OUT = 0.06, 0.25  # seconds in which the mouth leaves and reaches its rest
_FEELING_IN, _FEELING_OUT = 0.3, 1.5
_IDLE_SECONDS = 600


class Mood:
    """The emotion of a voice over time, without flicker: a slow mean of F_e, updated only while somebody speaks."""

    def __init__(self, rest: Tensor, fps: int):
        """``rest`` (1, 1, C): the neutral emotion, where it starts."""
        self._now, self._share = rest[0, 0], 1 - float(np.exp(-1 / (_MOOD * fps)))

    def feed(self, own: Tensor, talking: np.ndarray) -> Tensor:
        """F_e (1, n, C), whether somebody speaks (n,) -> (1, n, C)."""
        out = torch.empty_like(own)
        for i, talks in enumerate(talking):
            if talks:
                self._now = torch.lerp(self._now, own[0, i], self._share)
            out[0, i] = self._now
        return out


class Label:
    """The name of the emotion, which changes only when another one is clearly more likely."""

    def __init__(self, first: int):
        self.index = first

    def feed(self, track: np.ndarray) -> None:
        """(n, 8) probabilities of the next frames."""
        for row in track:
            best = int(row.argmax())
            if row[best] > row[self.index] + _LEAD:
                self.index = best


class Fade:
    """A weight that rises while somebody speaks and falls while nobody does."""

    def __init__(self, fps: int, *, rise: float, fall: float):
        self._rise, self._fall, self._now = 1 / (rise * fps), 1 / (fall * fps), 0.0

    def feed(self, talking: np.ndarray) -> np.ndarray:
        """(n,) bool -> (n,) float32 in [0, 1]."""
        out = np.empty(len(talking), np.float32)
        for i, talks in enumerate(talking):
            self._now = min(max(self._now + (self._rise if talks else -self._fall), 0.0), 1.0)
            out[i] = self._now
        return out


class Course:
    """An emotion curve that is written while it is played."""

    def __init__(self, names: tuple[str, ...], weights: Mapping[str, float]):
        self.names = names
        self._seconds, self._rows = [0.0], [self._row(weights)]

    def _row(self, weights: Mapping[str, float]) -> np.ndarray:
        """Checked as one key of a curve."""
        curve = EmotionCurve.of([(0.0, dict(weights))], self.names)
        return np.array([dict(zip(curve.names, curve.weights[0])).get(name, 0.0) for name in self.names])

    def go(self, weights: Mapping[str, float], seconds: float) -> None:
        """From ``seconds`` on towards other weights."""
        row = self._row(weights)
        if np.array_equal(row, self._rows[-1]):
            return
        now = self.at(np.array([seconds]))[0]
        while self._seconds and self._seconds[-1] >= seconds:
            self._seconds.pop(), self._rows.pop()
        self._seconds += [seconds, seconds + FADE]
        self._rows += [now, row]

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """(n,) -> (n, N) weights."""
        return np.stack([np.interp(seconds, self._seconds, column) for column in np.transpose(self._rows)], axis=1)

    def keys(self) -> list:
        """As :mod:`emoface.curve` takes them."""
        used = np.any(self._rows, axis=0)
        used[0] |= not used.any()
        return [[float(t), {n: float(w) for n, w, on in zip(self.names, row, used) if on}] for t, row in zip(self._seconds, self._rows)]


@lru_cache(maxsize=2)
def _idle_part(number: int, length: int, fps: int) -> np.ndarray:
    """Blinks and gaze (length, 52) of one part of a session, the same in all sessions."""
    from .idle import idle_weights

    return idle_weights(length, fps, seed=number)


class LiveSession:
    """See the module.

    Args:
        pipe: a loaded pipeline that knows a neutral face.
        sample_rate: of the samples that will be fed, Hz.
        feeling: weights from 0 that add up to 1.5 at most; default ``{"speech": 1.0}``.
        level: as for calling the pipeline, like the three options that follow.
        style: as there.
        head: as there.
        reference: as there.
        idle: add blinks and gaze.
        head_motion: how much the head turns and nods (``Animation.head_angles``), as for calling the pipeline.
        windows: of samples, for the encoder.
        keep: keep all frames, for :meth:`take`.

    Attributes:
        look_ahead: as of :class:`FrontEnd`.
        delay: as of :class:`FrontEnd`.
        names: of the weights that :meth:`feel` takes.
        shown: how much of each emotion is in the newest frame; the voice's own is divided by its probabilities.

    Raises:
        EmoFaceError: as for the pipeline.
    """

    def __init__(
        self,
        pipe: EmoFacePipeline,
        *,
        sample_rate: int = SAMPLE_RATE,
        feeling: Mapping[str, float] | None = None,
        level: str = "normal",
        style: str | None = None,
        head: int = 0,
        idle: bool = True,
        head_motion: float = 0.0,
        reference: Sound | None = None,
        windows: Windows = LIVE,
        keep: bool = True,
    ):
        model, fps = pipe.model, pipe.model.config.fps
        if "neutral" not in pipe.emotions:
            raise EmoFaceError("This model does not know a neutral face, which a live face rests in: choose another model.")
        style = pipe.check_options(mix=1.0, level=level, style=style, output="fused")
        neutral = pipe.load_reference(reference)
        self.names = ("speech", *(name for name in pipe.emotions if name != "neutral"))
        self._course = Course(self.names, feeling if feeling is not None else {"speech": 1.0})
        self._pipe, self._head = pipe, pipe.head_at(head)
        self._wants_idle = idle and self._head is not None
        self._turning = HeadStream(fps, amount=head_motion) if head_motion and self._head is not None else None
        self._front_end = FrontEnd(
            pipe,
            sample_rate=sample_rate,
            windows=windows,
            own=True,
            rest=None if neutral is None else pipe.rest_of(neutral),
            quality="LQ",
            prosody=self._turning is not None,
        )
        self.look_ahead, self.delay = self._front_end.look_ahead, self._front_end.delay
        # One row per face: neutral, the voice's own emotion, and every named one, whose features do not change.
        rows = ("neutral", *self.names)
        levels = [pipe.level_condition(name, level) for name in rows]
        self._level = levels[rows.index("speech")]
        named = [pipe.chosen_emotion(name, None, level=level) for name in ("neutral", *self.names[1:])]
        with torch.inference_mode():
            self._named = [model.committed(features, level_row) for features, level_row in zip(named, (levels[0], *levels[2:]))]
        styles = model.conditions(style=style, level=level, rows=len(rows))["style"]
        self._generation = Generation(model, style=styles, level=torch.cat(levels))
        self._mood, self._label = Mood(named[0], fps), Label(list(model.config.emotion_names).index("neutral"))
        self._words = Fade(fps, rise=_WORDS_IN, fall=_WORDS_OUT)
        self._feeling = Fade(fps, rise=_FEELING_IN, fall=_FEELING_OUT)
        self._settings = pipe.describe(
            "live",
            "speech",
            mix=1.0,
            level=level,
            style=style,
            head=head,
            output="fused",
            idle=self._wants_idle,
            head_motion=head_motion if self._turning else 0.0,
        )
        if neutral is not None:
            self._settings["reference"] = neutral.name
        self._frame, self._pieces = 0, [] if keep else None
        self.shown: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Length of the speech so far."""
        return self._front_end.seconds

    @property
    def recognised(self) -> str:
        """The voice's emotion; "neutral" until another one is clear."""
        return self._pipe.model.config.emotion_names[self._label.index]

    def feel(self, weights: Mapping[str, float]) -> None:
        """Another feeling from the next frame on, faded in. Raises EmoFaceError for unknown names and wrong weights."""
        self._course.go(weights, self._frame / self._pipe.model.config.fps)

    def feed(self, samples: np.ndarray, *, hurry: bool = False) -> Animation | None:
        """Take (n,) mono samples in [-1, 1]; return the frames that became known, or None. ``settings["start"]`` is the first of them.

        Args:
            hurry: the samples came late: several hops are encoded and decoded as one longer one, so that a session that has fallen behind catches
                up. Without it the frames do not depend on how the samples are cut.

        Raises:
            AudioError: not one channel of finite numbers. EmoFaceError: the session is finished.
        """
        return self._joined(self._front_end.feed(samples, hurry=hurry))

    def finish(self) -> Animation | None:
        """The remaining frames. The session is then closed."""
        return self._joined(self._front_end.finish())

    def take(self) -> Animation:
        """All frames so far with their sound; ``settings["emotion"]`` are the keys of the feeling. Raises EmoFaceError when there are none."""
        if not self._pieces:
            raise EmoFaceError("Nothing was said yet: speak first.")
        self._pieces = [join(self._pieces)]
        whole = self._pieces[0]
        whole.settings.update(emotion=self._course.keys())
        whole.settings.pop("start", None)
        return whole

    def _joined(self, hops: Iterable[StreamFeatures]) -> Animation | None:
        pieces = [self._animate(features) for features in hops]
        if self._pieces is not None:
            self._pieces += pieces
        return join(pieces) if pieces else None

    @torch.inference_mode()
    def _animate(self, features: StreamFeatures) -> Animation:
        model, start, count = self._pipe.model, features.start, features.content.shape[1]
        own = self._mood.feed(features.own_emotion, features.talking)
        rows = [self._named[0], model.committed(own, self._level), *self._named[1:]]
        emotion = model.with_prosody(torch.cat([row.expand(-1, count, -1) for row in rows]), features.prosody)
        weights = self._course.at((start + np.arange(count)) / model.config.fps).astype(np.float32)
        weights *= self._feeling.feed(features.talking)[:, None]
        used = np.flatnonzero(weights.any(axis=0))
        part = self._generation.feed(features.content.expand(len(rows), -1, -1), emotion, rows=[0, *(used + 1)])
        motion = self._blended(part, weights[:, used], self._words.feed(features.talking))
        track = model.classifier(own)[0].softmax(-1)
        self._label.feed(track.cpu().numpy())
        now = dict(zip(self.names, map(float, weights[-1])))
        own_share = now.pop("speech")
        probabilities = zip(model.config.emotion_names, track[-1].tolist())
        self.shown = {name: now.get(name, 0.0) + own_share * share for name, share in probabilities if name != "neutral"}
        self._frame = start + count
        animation = self._pipe.assemble(
            features.audio,
            motion,
            Recognised(track[-1], track),
            self._head,
            idle=self._idle_of(start, count),
            settings={**self._settings, "start": start},
        )
        if self._turning is None:
            return animation
        return replace(animation, head_angles=self._turning.feed(features.prosody[0].cpu().numpy(), features.talking))

    def _blended(self, part: Frames, weights: np.ndarray, words: np.ndarray) -> Motion:
        """Row 0 of ``part`` is the neutral face, the others are weighed by ``weights`` (n, N); ``words`` (n,)."""
        neutral, expressive = part.fused_offsets[0], part.fused_offsets[1:]
        share = torch.from_numpy(weights.T).to(neutral.device)
        offsets = torch.from_numpy(words).to(neutral.device)[:, None, None] * neutral + (share[:, :, None, None] * (expressive - neutral)).sum(0)
        effect = (share[:, :, None] * self._pipe.effect_mm(part)[1:]).sum(0)
        total = share.sum(0)[:, None] + 1e-6
        attention = ((share[:, :, None] * part.weight[1:]).sum(0) + 1e-6 * part.weight[0]) / total
        return Motion.of_tensors(offsets, attention, effect)

    def _idle_of(self, start: int, count: int) -> np.ndarray | None:
        """Blinks and gaze of these frames, made for ten minutes at a time."""
        if not self._wants_idle:
            return None
        fps = self._pipe.model.config.fps
        length, rows, at = _IDLE_SECONDS * fps, [], start
        while at < start + count:
            number = at // length
            end = min(start + count, (number + 1) * length)
            rows.append(_idle_part(number, length, fps)[at - number * length : end - number * length])
            at = end
        return np.concatenate(rows)
