"""A filmed recording as a clip of our head: GRID's and those of any other video."""

from __future__ import annotations

import numpy as np

from emoface.clock import frame_count

from .channels import FPS
from .clip import Clip
from .drive import Capture, Rest, drive, measured_closure
from .envelope import accent_track, emotion_envelope, loudness_track, speech_activity
from .lips import LipResponse


def filmed_clip(
    capture: Capture, rest: Rest, lips: LipResponse, *, samples: np.ndarray, sample_rate: int, speech: tuple[float, float], **labels
) -> Clip:
    """The clip whose motion was measured in a video.

    Args:
        capture: what was measured in it.
        rest: the speaker's resting face.
        lips: how the lips of the head answer to its shapes.
        samples: (N,) the sound.
        sample_rate: its samples in a second.
        speech: start and end of what is said, seconds.
        labels: the clip's other fields: ``identity``, ``source``, ``speaker``, ``style``, ``split`` and what else is known.
    """
    count = frame_count(len(samples), 30, sample_rate=sample_rate)
    motion = drive(capture, rest, np.arange(count) / FPS, lips)
    activity, loudness = speech_activity(count, speech), loudness_track(samples, sample_rate, count, speech)
    return Clip(
        motion="real",
        samples=samples,
        sample_rate=sample_rate,
        content=motion.weights,
        loudness=loudness,
        envelope=emotion_envelope(loudness, speech),
        activity=activity,
        accent=accent_track(samples, sample_rate, count),
        closure=measured_closure(motion.sealed, activity),
        measured=motion.measured,
        measured_raw=motion.measured_raw,
        width=motion.width,
        width_raw=motion.width_raw,
        speech=speech,
        **labels,
    )
