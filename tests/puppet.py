"""A stand-in for the pipeline in tests of the page: loudness opens the jaw, an emotion is one fixed pose. Needs no weights."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np

from emoface.animation import EMOTIONS, Animation
from emoface.audio import Audio, load_audio
from emoface.configuration import EmoFaceConfig
from emoface.curve import EmotionCurve
from emoface.errors import Cancelled, EmoFaceError
from emoface.head import load_head

POSES = {
    "happy": ("mouthSmileLeft", "mouthSmileRight"),
    "sad": ("browInnerUp", "mouthFrownLeft", "mouthFrownRight"),
    "angry": ("browDownLeft", "browDownRight", "noseSneerLeft", "noseSneerRight"),
    "surprised": ("browInnerUp", "eyeWideLeft", "eyeWideRight"),
}


def loudness(samples: np.ndarray, rate: int, frames: int) -> np.ndarray:
    """Root mean square of each frame's own 1/30 s, relative to the loudest."""
    pieces = [samples[int(t * rate / 30) : int((t + 1) * rate / 30)] for t in range(frames)]
    values = np.array([np.sqrt(np.mean(piece**2)) if len(piece) else 0.0 for piece in pieces])
    return values / max(values.max(), 1e-9)


def turning(frames: int, amount: float) -> np.ndarray:
    """A head that goes from one side to the other."""
    return np.float32(amount) * np.outer(np.linspace(-0.1, 0.1, frames), [1, 0, 0]).astype(np.float32)


def puppet(
    audio: Audio,
    *,
    emotion="speech",
    mix=1.0,
    level="normal",
    style=None,
    head=0,
    output="fused",
    idle=False,
    head_motion=0.0,
    reference=None,
    intensity=1.0,
) -> Animation:
    """An Animation whose jaw follows the loudness of ``audio``."""
    shown, frames = load_head(head), int(np.ceil(30 * len(audio.samples) / audio.sample_rate))
    names = list(shown.blendshape_names)
    talk, feel = np.zeros((frames, 52), np.float32), np.zeros((frames, 52), np.float32)
    talk[:, names.index("jawOpen")] = 0.5 * loudness(audio.samples, audio.sample_rate, frames)
    curve = EmotionCurve.of(
        emotion if isinstance(emotion, list) else [(0, {str(emotion) if str(emotion) in POSES else "speech": 1.0})], ["speech", *EMOTIONS]
    )
    for felt, share in zip(curve.names, curve.at(np.arange(frames) / 30).T):
        for name in POSES.get(felt, ()):
            feel[:, names.index(name)] = share * mix * intensity * (0.9 if level == "strong" else 0.6)
    weights = {"content": talk, "emotion": feel, "fused": talk + feel}[output]
    skin = shown.skin_count
    effect = 1e3 * np.linalg.norm(shown.pose(talk + feel)[:, :skin] - shown.pose(talk)[:, :skin], axis=2)
    probabilities = np.full(8, 0.05, np.float32)
    probabilities[EMOTIONS.index(emotion) if emotion in list(EMOTIONS) else 0] = 0.65
    return Animation(
        vertices=shown.pose(weights).astype(np.float32),
        template=shown.template,
        faces=shown.faces,
        fps=30.0,
        skin_count=skin,
        regions=shown.regions,
        blendshapes=weights,
        blendshape_names=shown.blendshape_names,
        emotion_importance=(0.2 + 0.6 * effect / max(effect.max(), 1)).astype(np.float32),
        emotion_effect_mm=effect.astype(np.float32),
        emotion_probabilities=probabilities,
        emotion_track=np.repeat(probabilities[None], frames, axis=0),
        colors=shown.colors,
        audio=audio.samples,
        sample_rate=audio.sample_rate,
        head_angles=turning(frames, head_motion) if head_motion else None,
        settings=dict(
            model="puppet",
            speech=audio.name,
            emotion=curve.keys() if isinstance(emotion, list) else str(emotion),
            mix=mix,
            level=level,
            style=style,
            head=head,
            output=output,
            idle=idle,
            head_motion=head_motion,
            intensity=intensity,
        ),
    )


class Puppeteer:
    """Has the parts of EmoFacePipeline that the page uses. ``delay`` seconds per job make room to press Stop."""

    model = SimpleNamespace(config=EmoFaceConfig(style_names=["s1", "s2"], default_style="s1", name="puppet"))
    emotions = list(EMOTIONS)

    def __init__(self, delay: float = 0.0):
        self.delay, self.finished = delay, 0

    def __call__(self, speech, *, emotion="speech", **options):
        return self.batch([(speech, emotion)], **options)[0]

    def batch(self, jobs, *, progress=None, cancel=None, **options):
        made = []
        for speech, emotion in jobs:
            for part in range(10):
                if progress is not None:
                    progress("Moving the face", part / 10)
                self._work(self.delay / 10, cancel)
            if options.get("style") not in (None, "s1", "s2"):
                raise EmoFaceError(f"There is no speaking style called {options['style']!r}: choose one of s1, s2.")
            made.append(puppet(load_audio(speech), emotion=emotion, **options))
            self.finished += 1
        return made

    @staticmethod
    def _work(seconds: float, cancel) -> None:
        """Take some time; like the pipeline, notice soon that nobody waits any more."""
        end = time.monotonic() + seconds
        while True:
            if cancel is not None and cancel():
                raise Cancelled("Stopped, as you asked.")
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.05))

    def branches(self, speech, *, emotion="speech", **options):
        return {output: self.batch([(speech, emotion)], output=output, **options)[0] for output in ("fused", "content", "emotion")}

    def cross_reconstruct(self, a, b, **options):
        made = self.batch([(a, "sad"), (a, "angry"), (b, "sad"), (b, "angry")], **options)
        return [made[:2], made[2:]]
