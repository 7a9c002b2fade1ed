"""Measure a model: ``python -m train.evaluate MODEL --corpus data/corpus --out docs/results.json``.

Prints one table per measure and writes ``OUT`` and, beside it, the same as Markdown. Definitions: ``train/evaluation``
and ``emoface.metrics``. ``--quick`` measures a fifth of the clips, ``--recognition`` only how well emotions are
recognised. With ``--dense DIR`` a model is measured on a data set
of ``train.prepare`` instead: VOCASET or 3D-RAVDESS (with ``--mask FLAME_masks.pkl``), or videos.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emoface.animation import EMOTIONS
from emoface.errors import EmoFaceError
from emoface.files import atomic_path
from emoface.metrics.files import read_masks
from train.corpus.reader import Corpus
from train.evaluation import bounds, dense, drift, emotion, lips, recognition, report, showing
from train.evaluation import clips as sets
from train.evaluation.clips import EvalClip
from train.evaluation.face import Face
from train.evaluation.measures import MEASURES, Row
from train.evaluation.reading import Observer, Pipeline, Reading
from train.meshes import HeadFolder, open_folder

CONDITIONS = (
    'The model is asked as a user asks it: `emotion="speech"`, default style, and the level "normal" but for RAVDESS, '
    "where the actor's own level is given (it is an input of the network)."
)
RECOGNITION_CONDITIONS = "The model only recognises emotions (`EmoFacePipeline.recognise`); no face is made."
DENSE_CONDITIONS = {
    "flame": "Offsets from each speaker's own template; FLAME's lips, and eye region with forehead, as masks.",
    "head": "Offsets from the head's template, over its visible skin; its lips, and eyelids, brows and forehead, as masks.",
}


REAL = (sets.GRID, sets.GRID_OTHERS)


class Evaluation:
    """All measures of one pipeline on one corpus."""

    def __init__(
        self,
        pipeline: Pipeline,
        corpus: Corpus,
        *,
        emodb: list[EvalClip] = (),
        action_units: dict[str, np.ndarray] | None = None,
        quick: bool = False,
    ):
        self.corpus, self.quick, self.action_units = corpus, quick, action_units or {}
        self.observer = Observer(Face(), pipeline)
        every = 5 if quick else 1
        self.sets = sets.corpus_clips(corpus, self.action_units, every=every)
        self.emodb = list(emodb)[::every]
        self.rows: list[Row] = []
        self.extra: dict = {}
        self.own = {
            data: [
                (clip, self.observer.run(clip, regions=data == sets.RAVDESS, shown=data in (*REAL, sets.RAVDESS)))
                for clip in tqdm(of, desc=data, unit="clip")
            ]
            for data, of in self.sets.items()
        }
        """The model's answer to every clip under its own emotion."""
        self.true = {data: [(clip, self.observer.of_weights(clip.weights, clip)) for clip in of] for data, of in self.sets.items()}

    def run(self) -> Evaluation:
        self.motion()
        self.closures()
        self.silence()
        self.emotions()
        self.showing()
        if sets.RAVDESS in self.sets and sets.GRID in self.sets:
            self.swaps()
            self.combinations()
        if sets.GRID in self.sets:
            self.drift()
        self.rows = [row for row in self.rows if row.estimate.n]  # e.g. synthetic voices have no silence
        return self

    def motion(self) -> None:
        """Aperture, vertex errors and jitter of the model, the speaker, and answers that do not depend on the speech."""
        for data, own in self.own.items():
            emotional = data == sets.RAVDESS
            who_true = "speaker" if own[0][0].motion == "real" else "target"
            answers = {"model": own, who_true: self.true[data], **self._fixed_answers(data)}
            for who, readings in answers.items():
                if who != "target":  # a modelled target is its own truth
                    self.rows += lips.aperture_rows(who, readings)
                if who != who_true:
                    self.rows += lips.error_rows(who, readings, emotional=emotional)
                if who in ("model", who_true):
                    self.rows += lips.jitter_rows(who, readings)
            self.rows.append(lips.reduction_row("model", own, answers["static template"]))
            if data == sets.GRID_OTHERS:
                for item, true in zip(own, self.true[data]):
                    name = item[0].identity.removeprefix("grid_other_")
                    self.rows += lips.aperture_rows(f"model, {name}", [item])
                    self.rows += lips.aperture_rows(f"speaker, {name}", [true])

    def _fixed_answers(self, data: str) -> dict[str, lips.Readings]:
        """One expression held through a clip: the template, the mean of training, the mean of this label."""
        source = self.corpus.clips[self.corpus.index[self.sets[data][0].identity]]["source"]
        training = [i for i in self.corpus.select(source=source, split="train") if not self.corpus.clips[i]["copy_of"]]
        poses: dict[tuple[str, int], list[np.ndarray]] = {}
        for i in training:
            entry = self.corpus.clips[i]
            poses.setdefault((entry["emotion"], entry["level"]), []).append(self.corpus.weights(i))
        if not poses:
            raise EmoFaceError(f"The corpus has no training clips of {source}: the mean-motion row needs them.")
        by_label = {label: np.concatenate(of).mean(axis=0) for label, of in poses.items()}
        overall = np.concatenate([weights for of in poses.values() for weights in of]).mean(axis=0)
        answers = {
            "static template": lambda clip: np.zeros_like(overall),
            "mean motion": lambda clip: overall,
        }
        if data == sets.RAVDESS:
            answers["label mean"] = lambda clip: by_label[clip.emotion, clip.level]
        return {who: [(clip, self.observer.of_pose(pose(clip), clip)) for clip in self.sets[data]] for who, pose in answers.items()}

    def closures(self) -> None:
        for data, own in self.own.items():
            if data == sets.GRID_OTHERS:  # their words are not known
                continue
            who = "speaker" if own[0][0].motion == "real" else "target"
            self.rows += lips.closure_rows("model", own) + lips.closure_rows(who, self.true[data])
            if data == sets.GRID:
                self.rows += lips.closure_rows("speaker, video", lips.measured(own))
                for name, readings in (("model", own), (who, self.true[data])):
                    self.rows += lips.closure_rows(f"{name}, vowels open in the video", lips.open_vowels(readings))[1:]
        if self.emodb:
            clips = [(clip, self.observer.run(clip)) for clip in tqdm(self.emodb, desc=sets.EMODB, unit="clip")]
            self.own[sets.EMODB] = clips
            self.rows += lips.closure_rows("model", clips)

    def silence(self) -> None:
        for data, own in self.own.items():
            if data == sets.EMODB:  # cut at the first and last sound
                continue
            self.rows.append(lips.silence_row("model", own))
            who = "speaker" if own[0][0].motion == "real" else "target"
            self.rows.append(lips.silence_row(who, self.true[data]))
            if own[0][0].motion == "real":
                self.rows.append(lips.silence_row("speaker, video", lips.measured(own)))
        for data in (sets.GRID, sets.RAVDESS, sets.LJSPEECH):
            if data in self.sets:
                clips = self.sets[data][:: 1 if self.quick else 3]
                self.rows.append(lips.noise_row("model", tqdm(clips, desc=f"{data} in noise"), self.observer.run))

    def emotions(self) -> None:
        for data in (sets.RAVDESS, sets.EMODB):
            if data in self.own:
                rows, confusion = emotion.accuracy_rows(self.own[data])
                self.rows += rows
                self.extra[f"confusion, {data}"] = {"labels": list(EMOTIONS), "label x answer": confusion.tolist()}
        if sets.RAVDESS in self.own and self.action_units:
            own, true = self.own[sets.RAVDESS], self.true[sets.RAVDESS]
            self.rows.append(emotion.expression_row("model", own, emotion.shown_units(own)))
            self.rows.append(emotion.expression_row("target", true, emotion.shown_units(true)))
            self.rows.append(emotion.expression_row("label mean of the measured units", own, self._label_units(own)))
        if sets.RAVDESS in self.own:
            self.rows += emotion.importance_rows(self.own[sets.RAVDESS])

    def showing(self) -> None:
        """How strongly, how lively, how whole: own speech, and the named emotions over the same words."""
        own = [(clip, reading.shown) for data in (*REAL, sets.RAVDESS) for clip, reading in self.own.get(data, ())]
        self.rows += showing.torn_rows("own speech", "none", "model", [shown for _, shown in own])
        for data in REAL:
            if data in self.own:
                pairs = [(reading.shown.width_mm, clip.measured_width_mm) for clip, reading in self.own[data]]
                self.rows.append(showing.width_row(data, "model", pairs))
                face = self.observer.shown_face
                target = [(face.of_weights(clip.weights).width_mm, clip.measured_width_mm) for clip, _ in self.own[data]]
                self.rows.append(showing.width_row(data, "speaker", target))
        if sets.RAVDESS in self.own:
            felt: dict = {}
            for clip, reading in self.own[sets.RAVDESS]:
                felt.setdefault((clip.emotion, clip.level), []).append((reading.shown, self.observer.shown_face.readable(clip.weights)))
            self.rows += showing.gain_rows("model, own speech", "modelled", felt)
            self._life()
            self._named()

    def _life(self) -> None:
        clips = [clip for clip, _ in self.own[sets.RAVDESS]]
        index = [self.corpus.index[clip.identity] for clip in clips]
        speech, accents = ([self.corpus.track(i, name) for i in index] for name in ("activity", "accent"))
        speech = [track > 0.5 for track in speech]
        face = self.observer.shown_face
        for who, shown in (
            ("model", [reading.shown for _, reading in self.own[sets.RAVDESS]]),
            ("target", [face.of_weights(clip.weights) for clip in clips]),
        ):
            self.rows += showing.life_rows(sets.RAVDESS, "modelled", who, shown, speech, accents)

    def _named(self) -> None:
        words = [clip for clip in self.sets[sets.RAVDESS] if clip.emotion == "neutral"][: 2 if self.quick else 6]
        shown: dict = {}
        for name in EMOTIONS[1:]:
            for level in range(2):
                shown[name, level] = [self.observer.run(clip, emotion=name, level=level, shown=True).shown for clip in words]
        targets = {key: [showing.named_target(self.corpus, clip, *key) for clip in words] for key in shown}
        face = self.observer.shown_face
        self.rows += showing.gain_rows("model, by name", "modelled", {key: list(zip(shown[key], map(face.readable, targets[key]))) for key in shown})
        self.rows += showing.level_rows("model", shown)
        self.rows += showing.level_rows("target", {key: [face.of_weights(w) for w in of] for key, of in targets.items()})
        self.rows += showing.torn_rows("named, strong", "none", "model", [s for (_, level), of in shown.items() if level for s in of])

    def _label_units(self, readings: lips.Readings) -> np.ndarray:
        """What the true label alone gives: the training actors' mean measured units of that emotion and level."""
        grouped: dict[tuple[str, int], list[np.ndarray]] = {}
        for i in self.corpus.select(source="ravdess", split="train"):
            entry = self.corpus.clips[i]
            if not entry["copy_of"]:
                units = self.action_units[entry["id"].removeprefix("ravdess_")]
                grouped.setdefault((entry["emotion"], entry["level"]), []).append(units)
        return np.stack([np.mean(grouped[clip.emotion, clip.level], axis=0) for clip, _ in readings])

    def swaps(self) -> None:
        observer, own_words = self.observer, self._centroids("ravdess")
        for who, animate, readings in (
            ("model", lambda words, source: observer.run(words, emotion=source, level=source.level), self.own),
            ("target", self._composed, self.true),
        ):
            self.rows += emotion.swap_rows(
                who,
                animate,
                readings[sets.GRID],
                readings[sets.RAVDESS],
                own_words,
                self._centroids("grid"),
                per_class=1 if self.quick else 4,
            )

    @lru_cache
    def _centroids(self, source: str) -> emotion.Centroids:
        return emotion.centroids(self.corpus, self.observer, source=source, per_class=5 if self.quick else 40)

    def _composed(self, words: EvalClip, source: EvalClip) -> Reading:
        """The target that training would use: the source's emotion over these words."""
        corpus = self.corpus
        return self.observer.of_weights(corpus.weights(corpus.index[words.identity], corpus.index[source.identity]))

    def combinations(self) -> None:
        observer, shapes = self.observer, self._centroids("grid")
        clips = self.sets[sets.GRID][: 4 if self.quick else 12]
        rng = np.random.default_rng(0)

        def composed_named(clip: EvalClip, name: str, level: int):
            """The target of a named emotion: that of a random unseen recording with this label."""
            fitting = [c for c in self.sets[sets.RAVDESS] if c.emotion == name and c.level == level]
            fitting = fitting or [c for c in self.sets[sets.RAVDESS] if c.emotion == name]  # neutral has no strong level
            return self._composed(clip, fitting[rng.integers(len(fitting))])

        self.rows += emotion.combination_rows("model", lambda clip, name, level: observer.run(clip, emotion=name, level=level), clips, shapes)
        self.rows += emotion.combination_rows("target", composed_named, clips, shapes)

    def drift(self) -> None:
        rows, change = drift.drift_rows(self.observer, self.sets[sets.GRID], seconds=60 if self.quick else 120)
        self.rows += rows
        self.extra["drift"] = change


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="folder or Hub id; the embedded model if left out")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--out", type=Path, help="default: docs/results.json; --quick and --dense only print")
    parser.add_argument("--quick", action="store_true", help="a fifth of the clips, a minute or two")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--recognition", action="store_true", help="only how well emotions are recognised: recordings alone, no corpus, no face")
    parser.add_argument("--dense", type=Path, help="a folder of train.prepare: measure on it instead")
    parser.add_argument("--mask", type=Path, help="for --dense, but not videos: your FLAME_masks.pkl, or an .npz with 'lips' and 'upper'")
    parser.add_argument("--split", default="test", help="for --dense: which clips")
    parser.add_argument("--all-styles", action="store_true", help="for --dense: average over all speaking styles")
    options = parser.parse_args(arguments)
    if not (options.out or options.quick or options.dense or options.recognition):
        options.out = Path("docs/results.json")
    try:
        results = evaluate(options, sys.argv[1:] if arguments is None else arguments)
    except EmoFaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.out:
        print(f"\nWritten to {options.out} and {options.out.with_suffix('.md')} in {results['seconds']:.0f} s.")
    return 0


def evaluate(options: argparse.Namespace, arguments: list[str]) -> dict:
    from emoface import EmoFacePipeline

    begin = time.perf_counter()
    pipeline = EmoFacePipeline.from_pretrained(options.model or "embedded", device=options.device)
    if options.dense:
        data = open_folder(options.dense)
        on_head = isinstance(data, HeadFolder)
        if not on_head and not options.mask:
            raise EmoFaceError("--dense needs --mask, your FLAME_masks.pkl, unless the folder was made from videos.")
        rows = dense.dense_rows(
            pipeline,
            data,
            Face().errors if on_head else dense.masked_errors(*read_masks(options.mask)),
            split=options.split,
            styles=pipeline.styles if options.all_styles else None,
            every=5 if options.quick else 1,
        )
        clips, extra, conditions = {str(options.dense): rows[0].estimate.n}, {}, DENSE_CONDITIONS["head" if on_head else "flame"]
    elif options.recognition:
        rows, extra = recognition.recognition_rows(pipeline, options.data, references=pipeline.model.config.voice_rest, quick=options.quick)
        clips, conditions = {row.data: row.estimate.n for row in rows if row.measure == "emotion_recall"}, RECOGNITION_CONDITIONS
    else:
        evaluation = Evaluation(
            pipeline,
            Corpus(options.corpus),
            emodb=sets.emodb_clips(options.data),
            action_units=sets.read_action_units(options.data),
            quick=options.quick,
        ).run()
        recognised, details = recognition.recognition_rows(pipeline, options.data, references=pipeline.model.config.voice_rest, quick=options.quick)
        rows, extra, conditions = evaluation.rows + recognised, {**evaluation.extra, **details}, CONDITIONS
        clips = {data: len(of) for data, of in evaluation.own.items()}
    print("\n" + report.text(rows))
    results = {
        "model": options.model or "the embedded model",
        "command": "python -m train.evaluate " + " ".join(arguments),
        "date": date.today().isoformat(),
        "conditions": conditions,
        "seconds": round(time.perf_counter() - begin, 1),
        "clips": clips,
        "bounds": bounds.check(rows, extra.get("drift", {})),
        "definitions": {key: vars(measure) for key, measure in MEASURES.items()},
        "rows": [report.as_json(row) for row in rows],
        **extra,
    }
    if options.out:
        write(results, rows, options.out)
    return results


def write(results: dict, rows: list[Row], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_path(out.with_suffix(".md")) as path:
        path.write_text(report.markdown(results, rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
