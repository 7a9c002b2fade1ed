"""Pictures for people who do not know what they should see: ``python -m train.evaluation.blind MODEL --out runs/blind``.

Every picture is a strip of one head at six moments of one clip, without label; classes are uneven, heads differ, the order is shuffled. The
answers lie apart, in ``OUT/key.json``, and ``--score ANSWERS.json`` (picture number -> emotion) counts. Strips are of strong own
speech of actors that nothing was trained or chosen on (``own_*``), and of neutral clips under named emotions (``normal_*``, ``strong_*``).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from emoface import EmoFacePipeline
from emoface.files import atomic_path
from emoface.head import lip_aperture_mm, load_head
from emoface.metrics import bootstrap
from train.corpus.reader import Corpus

from .readability import Portrait

EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
MOMENTS, SIZE = 6, 260


def strip(animation) -> np.ndarray:
    """Six moments side by side: open and closed lips in turn, spread over the middle of the clip."""
    aperture = lip_aperture_mm(animation.vertices, load_head(0))
    inside = np.arange(int(0.15 * len(aperture)), int(0.85 * len(aperture)))
    parts = np.array_split(inside, MOMENTS)
    picks = [part[np.argmax(aperture[part]) if i % 2 else np.argmin(aperture[part])] for i, part in enumerate(parts)]
    portrait = Portrait(animation, size=SIZE)
    return np.concatenate([portrait(animation.vertices[t]) for t in picks], axis=1)


def draw_labels(rng: np.random.Generator, count: int) -> list[str]:
    """Uneven: nobody can name the last ones by what is left over."""
    share = rng.dirichlet(np.full(len(EMOTIONS), 3.0))
    return [str(x) for x in rng.choice(EMOTIONS, size=count, p=share)]


def make(pipe: EmoFacePipeline, corpus: Corpus, out: Path, *, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = corpus.select(source="ravdess", split="test")
    neutral = [i for i in clips if corpus.clips[i]["emotion"] == "neutral"]
    key: dict[str, dict] = {}
    for kind in ("own", "normal", "strong"):
        heads = rng.permutation(24)
        for k, emotion in enumerate(draw_labels(rng, count)):
            if kind == "own":
                fitting = [i for i in clips if corpus.clips[i]["emotion"] == emotion and (corpus.clips[i]["level"] == 1 or emotion == "neutral")]
                chosen, asked = int(rng.choice(fitting)), "speech"
            else:
                chosen, asked = int(rng.choice(neutral)), emotion
            animation = pipe(
                soundfile.read(corpus.audio_path(chosen), dtype="float32"),
                emotion=asked,
                head=int(heads[k % 24]),
                level="normal" if kind == "normal" else "strong",
            )
            name = f"{kind}_{k:02d}"
            out.mkdir(parents=True, exist_ok=True)
            Image.fromarray(strip(animation)).save(out / f"{name}.png")
            key[name] = dict(emotion=emotion, clip=corpus.clips[chosen]["id"], head=int(heads[k % 24]), heard=animation.emotion)
    with atomic_path(out / "key.json") as path:
        path.write_text(json.dumps(key, indent=1))
    print(f"{len(key)} pictures in {out}; the key is beside them: keep it from those who answer.")


def score(out: Path, answers: Path) -> None:
    key, given = json.loads((out / "key.json").read_text()), json.loads(answers.read_text())
    for kind in ("own", "normal", "strong"):
        names = [name for name in key if name.startswith(kind) and name in given]
        if names:
            right = bootstrap([float(given[name] == key[name]["emotion"]) for name in names])
            heard = np.mean([key[name]["heard"] == key[name]["emotion"] for name in names])
            print(
                f"{kind}: {right.value:.0%} [{right.low:.0%}, {right.high:.0%}] of {len(names)} named right; the model itself heard {heard:.0%} of them right"
            )
            for name in names:
                if given[name] != key[name]["emotion"]:
                    print(f"  {name}: {key[name]['emotion']} was named {given[name]} (heard {key[name]['heard']})")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m train.evaluation.blind", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="embedded")
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/blind"))
    parser.add_argument("--count", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--score", type=Path)
    options = parser.parse_args()
    if options.score:
        score(options.out, options.score)
    else:
        make(EmoFacePipeline.from_pretrained(options.model), Corpus(options.corpus), options.out, count=options.count, seed=options.seed)


if __name__ == "__main__":
    main()
