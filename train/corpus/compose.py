"""Any emotion over any content: the one place where speech and expression are put together.

Everything is a function of ARKit weights at 30 fps, and the head's lip aperture is linear in them, so the rules that
people notice (lips sealed at P, B, M; mouth closed in silence; lips that keep their timing) are solved in millimetres.
"""

from __future__ import annotations

import numpy as np

from .channels import COUNT, INDEX, columns, vector
from .emotion import EMOTIONS
from .lips import LipResponse, average_head_lips

# Articulation relative to neutral (normal, strong): angry and surprised speech opens wider, sad speech less.
AMPLITUDE = {
    "neutral": (1.0, 1.0),
    "calm": (0.92, 0.95),
    "happy": (1.10, 1.20),
    "sad": (0.80, 0.92),
    "angry": (1.12, 1.32),
    "fearful": (1.05, 1.20),
    "disgust": (0.95, 1.08),
    "surprised": (1.10, 1.28),
}
SEAL_MM = -1.0  # aperture at a closure: lips slightly pressed
OVERLAP_MM = -1.3  # lips never overlap more
REST_MM = 0.2  # aperture allowed to an emotion in silence
WIDE_MM, WIDEST_MM = 15.0, 20.0  # openings are compressed softly from the first to the second
EYE_CLOSED = 0.40  # eyeBlink + .4 eyeSquint never above this: sadness must not shut the eyes

# What a stressed syllable adds at level normal (strong: a third more; people move the inner brow about .5 within a sentence), and how
# far the expression above the mouth sinks between stresses and rises on them. Modelled: no data set here has measured brows with emotion.
ACCENTS = {
    name: vector(shapes)
    for name, shapes in dict(
        neutral=dict(browInnerUp=0.30, browOuterUp=0.22),
        calm=dict(browInnerUp=0.22, browOuterUp=0.15),
        happy=dict(browInnerUp=0.18, browOuterUp=0.32, cheekSquint=0.12),
        sad=dict(browInnerUp=0.18, browDown=0.10),
        angry=dict(browDown=0.18, noseSneer=0.20, eyeWide=0.15),
        fearful=dict(browInnerUp=0.12, browOuterUp=0.22, eyeWide=0.20),
        disgust=dict(noseSneer=0.22, browDown=0.16),
        surprised=dict(browInnerUp=0.18, browOuterUp=0.18, eyeWide=0.18),
    ).items()
}
ACCENT_LEVEL = (1.0, 4 / 3)
BETWEEN_ACCENTS, ON_ACCENTS = 0.78, 1.12

PRESSED_LIPS = vector(dict(mouthPress=0.35, mouthRollLower=0.22, mouthRollUpper=0.15))

_ARTICULATORS = [i for n, i in INDEX.items() if n.startswith(("jaw", "mouth"))]
_JAW, _CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]
_ROUND = columns("mouthFunnel", "mouthPucker")
_PRESS = columns("mouthPress", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthClose")
_BARE = columns("mouthUpperUp", "mouthLowerDown")
_OPENERS = columns("mouthUpperUp", "mouthLowerDown", "jawOpen", "mouthFunnel", "mouthShrugUpper")
_CORNERS = columns("mouthSmile", "mouthStretch", "mouthFrown", "mouthDimple")
_UPPER = columns("browDown", "browInnerUp", "browOuterUp", "cheekSquint", "eyeSquint", "eyeWide", "noseSneer")
_SMILE, _STRETCH = columns("mouthSmile"), columns("mouthStretch")
_BLINK, _SQUINT = columns("eyeBlink"), columns("eyeSquint")


def shift_aperture(weights: np.ndarray, delta_mm: np.ndarray, lips: LipResponse) -> None:
    """Open (+) or close (-) the lips by ``delta_mm`` (T,), in place: by the jaw; by ``mouthClose`` once it is up."""
    jaw = weights[:, _JAW] + delta_mm / lips.jaw_mm
    weights[:, _JAW] = np.clip(jaw, 0, 1)
    weights[:, _CLOSE] = np.clip(weights[:, _CLOSE] - np.minimum(jaw, 0) * lips.jaw_mm / lips.close_mm, 0, 1)


def seal(weights: np.ndarray, closure: np.ndarray, lips: LipResponse) -> None:
    """Close the lips, in place, where ``closure`` (T,) in [0, 1] asks for it, whatever emotion or vowel is around."""
    c = closure[:, None]
    wanted = (1 - closure) * lips.aperture(weights) + closure * SEAL_MM
    weights[:, _OPENERS] *= 1 - c
    weights[:, _CORNERS] *= 1 - 0.25 * c
    weights += c * (np.maximum(weights, PRESSED_LIPS) - weights)
    touched = closure > 0
    shift_aperture(weights, np.where(touched, wanted - lips.aperture(weights), 0.0), lips)
    shift_aperture(weights, np.maximum(OVERLAP_MM - lips.aperture(weights), 0), lips)


def compose(
    content: np.ndarray,
    envelope: np.ndarray,
    closure: np.ndarray,
    target: np.ndarray,
    emotion: str | int,
    level: int,
    *,
    activity: np.ndarray,
    accent: np.ndarray | None = None,
    lips: LipResponse | None = None,
) -> np.ndarray:
    """ARKit weights (T, 52), float32, of speech ``content`` said with an emotion.

    ``content`` (T, 52) is speech without emotion; ``envelope`` (T,) how much of the emotion shows; ``closure`` (T,) the
    strength of P/B/M; ``activity`` (T,) 1 in speech, 0 in silence; ``target`` (52,) the expression; ``level`` 0 normal,
    1 strong; ``accent`` (T,) the voice's stress, which brows, lids and nose follow (None: they hold still). A neutral target changes
    nothing else. Pure: no argument is modified.
    """
    name = EMOTIONS[emotion] if isinstance(emotion, (int, np.integer)) else emotion
    content, target = np.asarray(content, np.float64), np.asarray(target, np.float64)
    if content.ndim != 2 or content.shape[1] != COUNT or target.shape != (COUNT,):
        raise ValueError(f"content must be (T, {COUNT}) and target ({COUNT},); got {content.shape} and {target.shape}.")
    factor = AMPLITUDE[name][level]
    if not target.any() and factor == 1.0:
        stressed = 0.0 if accent is None else ACCENT_LEVEL[level] * np.asarray(accent, np.float64)[:, None] * ACCENTS[name]
        return np.clip(np.maximum(content, stressed), 0, 1).astype(np.float32)
    lips = lips or average_head_lips()

    said = content.copy()
    said[:, _ARTICULATORS] *= factor
    said_aperture = lips.aperture(said)
    felt = np.asarray(envelope, np.float64)[:, None] * target
    if accent is not None:
        stress = np.asarray(accent, np.float64)[:, None]
        felt[:, _UPPER] *= BETWEEN_ACCENTS + (ON_ACCENTS - BETWEEN_ACCENTS) * stress
        felt += ACCENT_LEVEL[level] * stress * ACCENTS[name]
    felt = _conflicts(said, felt, np.asarray(activity, np.float64), name)
    spread = felt[:, _SMILE].mean(1) + 0.6 * felt[:, _STRETCH].mean(1)
    said[:, _ROUND] *= 1 - 0.45 * np.clip(spread, 0, 1)[:, None]

    # Both want the same shape: nearly the larger one, not the sum. Only the jaw adds up.
    weights = np.maximum(said, felt) + 0.4 * np.minimum(said, felt)
    weights[:, _JAW] = said[:, _JAW] + felt[:, _JAW]
    np.clip(weights, 0, 1, out=weights)

    _hold_aperture(weights, said_aperture, activity, closure, lips)
    seal(weights, closure, lips)
    blink_limit = np.maximum(EYE_CLOSED - 0.4 * weights[:, _SQUINT], 0)
    weights[:, _BLINK] = np.minimum(weights[:, _BLINK], blink_limit)
    return np.clip(weights, 0, 1).astype(np.float32)


def _conflicts(said: np.ndarray, felt: np.ndarray, activity: np.ndarray, emotion: str) -> np.ndarray:
    """Emotion (T, 52) that gives way where it would fight with the articulation."""
    opening = np.clip(said[:, _JAW] / 0.25, 0, 1)
    rounding = np.clip(said[:, _ROUND].sum(1), 0, 1)
    felt[:, _PRESS] *= (1 - 0.85 * opening * activity)[:, None]
    felt[:, _JAW] *= 1 - 0.5 * activity
    felt[:, _OPENERS] *= (0.4 + 0.6 * activity)[:, None]
    if emotion == "angry":  # bared teeth only while the mouth is open; pressed lips otherwise
        felt[:, _BARE] *= (activity * np.clip(0.3 + opening, 0, 1))[:, None]
    felt[:, _CORNERS] *= ((1 - 0.05 * activity) * (1 - 0.3 * rounding))[:, None]
    return felt


def _hold_aperture(weights: np.ndarray, said_mm: np.ndarray, activity: np.ndarray, closure: np.ndarray, lips: LipResponse) -> None:
    """Keep the lips' timing under the emotion, in place.

    In speech the emotion may not close more than a quarter of what the content opens; in silence it may not open the
    mouth; nothing opens beyond a natural width.
    """
    aperture = lips.aperture(weights)
    silent_limit = np.maximum(said_mm, REST_MM)
    wanted = np.minimum(aperture, activity * aperture + (1 - activity) * silent_limit)
    span = WIDEST_MM - WIDE_MM
    wanted = np.where(wanted > WIDE_MM, WIDE_MM + span * np.tanh((wanted - WIDE_MM) / span), wanted)
    least = np.where(said_mm > 0, 0.75 * said_mm, np.maximum(said_mm, OVERLAP_MM))
    wanted = np.where(closure < 1, np.maximum(wanted, np.minimum(least, WIDEST_MM)), wanted)
    shift_aperture(weights, wanted - aperture, lips)
