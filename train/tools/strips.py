"""Rendered strips of every emotion, to be judged by eye: ``python -m train.tools.strips --out docs/images``.

One speech (an example recording, in no training or test set) under each named emotion at both levels, six moments of it side by
side; and the examples with the emotion of their own voice.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from emoface import Animation, EmoFacePipeline
from emoface.export.render import Renderer
from emoface.export.sheet import contact_sheet
from emoface.head import lip_aperture_mm, load_head

MOMENTS = 6


def moments(animation: Animation, count: int = MOMENTS) -> list[int]:
    """Frames that show most: before the speech, then closed and open lips in turn, spread over the clip."""
    aperture = lip_aperture_mm(animation.vertices, load_head(0))
    parts = np.array_split(np.arange(len(aperture)), count - 1)
    picks = [int(part[np.argmax(aperture[part]) if i % 2 == 0 else np.argmin(aperture[part])]) for i, part in enumerate(parts)]
    return [0, *picks]


def strip(animation: Animation, frames: list[int], *, size: int) -> list[np.ndarray]:
    renderer = Renderer.of(animation, size=size)
    return [renderer.render(animation.vertices[t]) for t in frames]


def hero(pipe: EmoFacePipeline, speech: Path, path: Path) -> Path:
    """Six emotions, six heads, one moment of one recording."""
    images, labels, frame = [], [], None
    for head, emotion in enumerate(("happy", "sad", "angry", "fearful", "disgust", "surprised")):
        animation = pipe(speech, emotion=emotion, level="strong", head=3 * head)
        if frame is None:
            aperture = lip_aperture_mm(animation.vertices, load_head(0))
            frame = int(np.argsort(aperture)[int(0.8 * len(aperture))])
        images += strip(animation, [frame], size=300)
        labels.append(emotion)
    return contact_sheet(images, labels, 6, path, font_size=15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--speech", type=Path, default=Path("assets/examples/narrator.wav"))
    parser.add_argument(
        "--own", type=Path, nargs="*", default=[Path("assets/examples") / f"{n}.wav" for n in ("angry", "fearful", "happy", "narrator", "sad")]
    )
    parser.add_argument("--size", type=int, default=170)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pipe = EmoFacePipeline.from_pretrained(args.model or "embedded")

    images, labels, frames = [], [], None
    for emotion in pipe.emotions:
        for level in ("normal", "strong"):
            animation = pipe(args.speech, emotion=emotion, level=level)
            frames = frames or moments(animation)
            images += strip(animation, frames, size=args.size)
            labels += [f"{emotion}, {level}" if i == 0 else f"{t / animation.fps:.2f} s" for i, t in enumerate(frames)]
    print(contact_sheet(images, labels, 2 * MOMENTS, args.out / "emotions.jpg", font_size=12))

    images, labels = [], []
    for path in args.own:
        animation = pipe(path)
        frames = moments(animation)
        images += strip(animation, frames, size=args.size)
        heard = f"{animation.emotion} {animation.emotion_probabilities.max():.0%}"
        labels += [f"{path.stem}: heard {heard}" if i == 0 else f"{t / animation.fps:.2f} s" for i, t in enumerate(frames)]
    print(contact_sheet(images, labels, MOMENTS, args.out / "own_emotion.jpg", font_size=12))
    print(hero(pipe, args.speech, args.out / "hero.jpg"))


if __name__ == "__main__":
    main()
