"""Speech as it comes in, face frames as soon as they are known (from the features of :mod:`emoface.front_end`).

With ``emotion="speech"`` the emotion is recognised from the past only (the pipeline weighs about 2 s on both sides).
:mod:`emoface.live` is the stream for a person who speaks right now: less delay, and a feeling that may be changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .animation import Animation
from .audio import SAMPLE_RATE
from .front_end import FrontEnd, StreamFeatures, Windows
from .modeling import Generation
from .motion import Motion, Recognised
from .pipeline import EmoFacePipeline, Sound, is_name


class EmoFaceStreamer:
    """Animate speech while it is being spoken.

    >>> stream = EmoFaceStreamer(pipe, emotion="happy")
    >>> for block in microphone:                       # float samples, any block size
    ...     if (piece := stream.feed(block)) is not None:
    ...         show(piece)                            # an Animation of the next frames
    >>> rest = stream.finish()

    Args:
        pipe: a loaded pipeline.
        emotion: the emotion source, as for calling the pipeline; a recording is encoded here, once.
        mix: as for calling the pipeline, like the options that follow.
        level: as there.
        style: as there.
        head: as there.
        output: as there.
        reference: as there.
        sample_rate: of the samples that will be fed, Hz.
        windows: of samples, for the encoder.

    Attributes:
        look_ahead: seconds of speech after a frame that must have arrived before it is known.
        delay: the longest wait for a frame, ``look_ahead + hop``, without the computation.

    Raises:
        EmoFaceError: as for the pipeline.
    """

    def __init__(
        self,
        pipe: EmoFacePipeline,
        *,
        emotion: Sound = "speech",
        mix: float = 1.0,
        level: str = "normal",
        style: str | None = None,
        head: int = 0,
        output: str = "fused",
        reference: Sound | None = None,
        sample_rate: int = SAMPLE_RATE,
        windows: Windows | None = None,
    ):
        style = pipe.check_options(mix=mix, level=level, style=style, output=output)
        self._pipe, self._output, self._head = pipe, output, pipe.head_at(head)
        neutral = pipe.load_reference(reference)
        rest = None if neutral is None else pipe.rest_of(neutral)
        self._chosen, name = self._chosen_emotion(emotion, level, rest)
        other_voice = self._chosen is not None and not is_name(emotion, pipe.emotions)
        self._mix = 0.0 if self._chosen is None else float(mix)
        self._settings = pipe.describe("stream", name, mix=mix, level=level, style=style, head=head, output=output, idle=False)
        if neutral is not None:
            self._settings["reference"] = neutral.name
        self._front_end = FrontEnd(
            pipe, sample_rate=sample_rate, windows=windows or Windows(), own=self._mix < 1.0, rest=None if other_voice else rest
        )
        self._level = pipe.level_condition(emotion, level, mix=self._mix)
        self._generation = Generation(pipe.model, style=pipe.model.conditions(style=style, level=level)["style"], level=self._level)
        self.look_ahead, self.delay = self._front_end.look_ahead, self._front_end.delay

    def feed(self, samples: np.ndarray) -> Animation | None:
        """Take (n,) mono samples in [-1, 1]; return the frames that became known, or None.

        Pieces follow each other without gap or overlap; ``animation.settings["start"]`` is a piece's first frame.

        Raises:
            AudioError: not one channel of finite numbers. EmoFaceError: the stream is finished.
        """
        return self._joined(self._front_end.feed(samples))

    def finish(self) -> Animation | None:
        """The remaining frames: in total ``ceil(fps * seconds)``, as from the pipeline. The stream is then closed."""
        return self._joined(self._front_end.finish())

    def _chosen_emotion(self, emotion: Sound, level: str, rest: Tensor | None) -> tuple[Tensor | None, str]:
        """Features of the chosen emotion (None: the speech's own) and its name."""
        pipe = self._pipe
        if isinstance(emotion, str) and emotion == "speech":
            return None, "speech"
        with torch.inference_mode():
            if is_name(emotion, pipe.emotions):
                return pipe.chosen_emotion(emotion, None, level=level), str(emotion)
            audio = pipe.load(emotion)
            return pipe.chosen_emotion(audio, pipe.model.emotion_frames(pipe.encode(audio)[1]), level=level, rest=rest), audio.name

    def _joined(self, hops: Iterable[StreamFeatures]) -> Animation | None:
        pieces = [self._animate(features) for features in hops]
        return join(pieces) if pieces else None

    @torch.inference_mode()
    def _animate(self, features: StreamFeatures) -> Animation:
        model = self._pipe.model
        if features.own_emotion is None:
            emotion = self._chosen.expand(-1, features.content.shape[1], -1)
        else:
            emotion = features.own_emotion if self._chosen is None else torch.lerp(features.own_emotion, self._chosen, self._mix)
        part = self._generation.feed(features.content, model.with_prosody(model.committed(emotion, self._level), features.prosody))
        motion = Motion.of_tensors(part.offsets(self._output)[0], part.weight[0], self._pipe.effect_mm(part)[0])
        track = model.classifier(emotion)[0].softmax(-1)
        settings = {**self._settings, "start": features.start}
        return self._pipe.assemble(features.audio, motion, Recognised(track.mean(0), track), self._head, settings=settings)


def join(pieces: list[Animation]) -> Animation:
    """Consecutive animations as one."""
    if len(pieces) == 1:
        return pieces[0]

    def together(name: str) -> np.ndarray:
        return np.concatenate([getattr(piece, name) for piece in pieces])

    track = together("emotion_track")
    moving = ["vertices", "blendshapes", "emotion_importance", "emotion_effect_mm", "audio"]
    if pieces[0].head_angles is not None:
        moving.append("head_angles")
    return replace(pieces[0], **{name: together(name) for name in moving}, emotion_track=track, emotion_probabilities=track.mean(0))
