"""The numbers in docs/head.md, docs/corpus.md, docs/training.md (pairs) and docs/export.md: ``python -m train.tools.measure head|corpus|pairs|export``.

What a model says is measured by ``train.evaluate``; this measures what it is built on.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from emoface import EmoFacePipeline, metrics
from emoface.animation import EMOTIONS, LEVELS
from emoface.encoders import SpeechEncoder
from emoface.export.basis import find_basis
from emoface.export.render import Renderer
from emoface.head import HEAD_COUNT, lip_aperture_mm, load_head
from emoface.look import load_look

from ..corpus.channels import vector
from ..corpus.coarticulation import Phone
from ..corpus.compose import compose
from ..corpus.emotion import PROTOTYPES
from ..corpus.lips import average_head_lips
from ..corpus.phones import Aligner
from ..corpus.reader import Corpus
from ..corpus.speech import animate
from ..evaluation.clips import GRID, aligned_words, corpus_clips, word_closures
from ..head.gaps import lid_gaps_mm, lip_gaps_mm
from ..head.poses import VISEMES
from ..meshes import cepstra
from ..prepare.pairs import FEATURE_RATE, feature_map

PER_SOURCE = 40


def measure_head() -> None:
    poses = np.stack([vector(p) for p in ({}, VISEMES["PP"], {"jawOpen": 0.4}, {"eyeBlink": 1}, PROTOTYPES["happy"])])
    smiling = []
    print("head | aperture at rest | in PP | at jawOpen 0.4 | slit in PP | lids open | blink")
    for index in range(HEAD_COUNT):
        head = load_head(index)
        posed = head.pose(poses)
        skins = posed[:, : head.skin_count]
        shown = load_look(index).settled(posed[4])[: head.skin_count]
        smiling.append([lid_gaps_mm(head, skin).max() / lid_gaps_mm(head, skins[0]).max() for skin in (skins[4], shown)])
        rest, pressed, opened = lip_aperture_mm(skins[:3], head)
        blink = lid_gaps_mm(head, skins[3])
        print(
            f"{index} {head.name} | {rest:.2f} | {pressed:.2f} | {opened:.1f} | {lip_gaps_mm(head, skins[1]).max():.2f} | "
            f"{lid_gaps_mm(head, skins[0]).max():.1f} | {blink.min():.1f} .. {blink.max():.2f}"
        )
    print("lids in a strong smile, share of open ones, mean of all heads: {:.2f} as shapes add up, {:.2f} as shown".format(*np.mean(smiling, axis=0)))


def measure_corpus(folder: Path) -> None:
    corpus, lips = Corpus(folder), average_head_lips()
    print("GRID targets against the unfiltered video | n | mean abs. error mm | r | p95 ratio | closed at b/p/m % (raw) | silence closed % (raw)")
    for split in ("train", "val", "test", "test_others"):
        rows = [_against_video(corpus, i, lips) for i in corpus.select(source="grid", split=split, copy_of=None)]
        error, r, ratio = np.mean([row[:3] for row in rows], axis=0)
        closed = [np.concatenate(parts) for parts in zip(*(row[3:] for row in rows))]
        shares = [f"{100 * part.mean():.1f}" if len(part) else "-" for part in closed]
        print(f"{split} | {len(rows)} | {error:.2f} | {r:.3f} | {ratio:.3f} | {shares[0]} ({shares[1]}) | {shares[2]} ({shares[3]})")
    _phone_shapes(corpus)
    _combinations(corpus, lips)


def _against_video(corpus: Corpus, i: int, lips) -> tuple:
    """Error, r, p95 ratio of a GRID target; closures caught and silence closed of target and video."""
    target, video = lips.aperture(corpus.weights(i)), corpus.track(i, "measured_aperture_raw")
    intervals = word_closures(corpus.times(i)["words"], corpus.clips[i]["seconds"])
    t, speech = np.arange(len(target)) / 30, corpus.clips[i]["speech"]
    silent = (t < speech[0] - 0.3) | (t > speech[1] + 0.3)
    return (
        metrics.mean_absolute_error(target, video),
        metrics.pearson(target, video),
        metrics.amplitude_ratio(target, video),
        metrics.closures_caught(target, intervals),
        metrics.closures_caught(video, intervals),
        target[silent] <= 1,
        video[silent] <= 1,
    )


def _phone_shapes(corpus: Corpus) -> None:
    """The coarticulation model on GRID clips that its phone shapes were not fitted to."""
    lips, aligner, rows, modelled, real = average_head_lips(), Aligner(), [], [], []
    for i, clip in zip(corpus.select(source="grid", split="test"), corpus_clips(corpus, {})[GRID]):
        phones = aligned_words(corpus, i, clip.samples, corpus.times(i)["words"], aligner)
        if phones:
            made = animate(clip.samples, clip.rate, phones, lips)
            aperture, speech = lips.aperture(made["content"]), made["activity"] > 0.9
            rows.append(metrics.pearson(aperture, clip.measured_mm))
            modelled.append(aperture[speech])
            real.append(clip.measured_mm[speech])
    modelled, real = np.concatenate(modelled), np.concatenate(real)
    print(
        f"modelled motion against the video, {len(rows)} held-out clips: r {np.mean(rows):.3f}, mean abs. error in speech "
        f"{np.abs(modelled - real).mean():.2f} mm, p95 {np.percentile(modelled, 95):.1f} mm (real {np.percentile(real, 95):.1f})"
    )


def _combinations(corpus: Corpus, lips) -> None:
    """Every emotion and level over clips of every source."""
    rng = np.random.default_rng(0)
    lenders = corpus.select(source="ravdess", split="train", copy_of=None)
    print("combinations | sealed at P/B/M % | widest mm | lip timing r | closed in silence % | p99 step mm")
    for source in ("grid", "ravdess", "ljspeech", "tts"):
        contents = rng.permutation(corpus.select(source=source, split="train", copy_of=None))[:PER_SOURCE]
        results = []
        for emotion in EMOTIONS:
            for level in range(len(LEVELS)):
                targets = [j for j in lenders if (corpus.clips[j]["emotion"], corpus.clips[j]["level"]) == (emotion, level)]
                if targets:
                    results.append(_combination(corpus, contents, rng.choice(targets, len(contents)), emotion, level, lips))
        sealed, widest, timing, silent, step = zip(*results)
        print(
            f"{source}, {len(results)} emotions x levels | {100 * min(sealed):.1f} | {max(widest):.1f} | {min(timing):.3f} .. {max(timing):.3f} | "
            f"{_range(silent)} | {max(step):.1f}"
        )


def _range(flags: tuple[np.ndarray, ...]) -> str:
    """Least and largest share; the synthetic voices have no silence."""
    shares = [100 * f.mean() for f in flags if len(f)]
    return f"{min(shares):.1f} .. {max(shares):.1f}" if shares else "-"


def _combination(corpus: Corpus, contents, lenders, emotion: str, level: int, lips) -> tuple:
    """One emotion at one level over some clips: shares and extremes of the lip aperture."""
    sealed, apertures, timing, silent, steps = [], [], [], [], []
    for i, j in zip(contents, lenders):
        track = {name: corpus.track(i, name) for name in ("content", "envelope", "closure", "activity")}
        aperture = lips.aperture(compose(**track, target=corpus.targets[j], emotion=emotion, level=level, lips=lips))
        apertures.append(aperture)
        timing.append(metrics.pearson(aperture, lips.aperture(track["content"])))
        sealed.append(aperture[track["closure"] > 0.99] <= 0.3)
        silent.append(aperture[track["activity"] < 0.01] <= 1)
        steps.append(np.abs(np.diff(aperture)))
    return (
        np.concatenate(sealed).mean(),
        np.concatenate(apertures).max(),
        np.mean(timing),
        np.concatenate(silent),
        np.percentile(np.concatenate(steps), 99),
    )


def measure_pairs(folder: Path, *, count: int = 60) -> None:
    """How far dynamic time warping lands from aligned phones: RAVDESS, a neutral clip and an emotional one of the same actor and words."""
    corpus, rng = Corpus(folder), np.random.default_rng(0)
    encoder = SpeechEncoder.from_pretrained().freeze()
    phones = {i: [Phone(*row) for row in corpus.times(i)["phones"]] for i in corpus.select(source="ravdess", copy_of=None)}

    def said(i: int) -> tuple:
        return corpus.clips[i]["speaker"], [p.name for p in phones[i] if p.name != "SIL"]

    neutral, distances = [i for i in phones if corpus.clips[i]["emotion"] == "neutral"], {"MFCCs": [], "Whisper block 3": []}
    for a in rng.permutation(neutral)[:count]:
        b = rng.choice([i for i in phones if corpus.clips[i]["emotion"] != "neutral" and said(i) == said(a)] or [a])
        starts = [np.array([p.start for p in phones[i] if p.name != "SIL"]) for i in (a, b)]
        sounds = [soundfile.read(corpus.audio_path(i), dtype="float32")[0] for i in (a, b)]
        heard = [encoder.hidden_states(torch.from_numpy(s))[3].numpy() for s in sounds]
        for name, pair in (("MFCCs", [cepstra(s) for s in sounds]), ("Whisper block 3", heard)):
            whole = [(0.0, (len(f) - 1) / FEATURE_RATE) for f in pair]
            if a != b:
                distances[name].append(1e3 * np.abs(feature_map(*pair, *whole)(starts[0]) - starts[1]))
    for name, of in distances.items():
        far = np.mean([d.max() > 150 for d in of])
        print(f"{name}: {np.mean([d.mean() for d in of]):.1f} ms from the aligned phones, over 150 ms somewhere in {far:.0%} of {len(of)} pairs")


def measure_export(examples: Path) -> None:
    pipe = EmoFacePipeline.from_pretrained("embedded")
    animations = [pipe(examples / "narrator.wav", emotion=e, level="strong", head=h) for e, h in (("happy", 0), ("angry", 3))]
    print("shapes instead of vertices | shapes | mean over the skin mm | largest mm")
    for animation in animations:
        for kind in ("arkit", "pca"):
            basis = find_basis(animation, kind)
            print(
                f"{animation.settings['emotion']}, head {animation.settings['head']}, {kind} | {len(basis.names)} | "
                f"{basis.mean_error_mm:.3f} | {basis.max_error_mm:.2f}"
            )
    animation = animations[0]
    for backend, count in (("numba", 30), ("numpy", 4)):
        renderer = Renderer.of(animation, backend=backend)
        renderer.render(animation.vertices[0])  # compile, ambient occlusion
        cpu, wall = time.process_time(), time.monotonic()
        list(renderer.frames(animation.vertices[:count], threads=2))
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        print(f"render 512 x 512, {backend}: {1e3 * cpu / count:.0f} ms CPU a picture, {count / wall:.0f} pictures a second on two threads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("head", "corpus", "pairs", "export"))
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--examples", type=Path, default=Path("assets/examples"))
    options = parser.parse_args()
    if options.what == "head":
        measure_head()
    elif options.what == "corpus":
        measure_corpus(options.corpus)
    elif options.what == "pairs":
        measure_pairs(options.corpus)
    else:
        measure_export(options.examples)


if __name__ == "__main__":
    main()
