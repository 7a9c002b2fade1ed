"""Which measures of ``train.compare`` agree with people: ``python -m train.choices write``, and, when somebody has answered, ``score``.

``write`` draws pairs of rows of faces, of two answers to the same strong clip, without saying whose they are (``OUT/01.png`` ...), and lays the key
apart (``OUT/key.json``). Whoever is asked writes ``{"01": "A", ...}``: the row that speaks the sentence better with the feeling that ``OUT/questions.txt``
names. ``score`` counts how often each measure prefers the chosen row, into ``RUNS/agreement.json``, from where ``train.compare`` takes it.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from emoface.files import write_text
from emoface.metrics import bootstrap

from .comparison.corpus import Harness, Plan
from .comparison.measures import MEASURES, RAVDESS
from .evaluation.readability import Portrait

SIZE, GAP = 240, 24
LESS = ("lve", "eve", "fdd", "mtm", "torn")
"""Measures of which less is better; of ``upper`` the one nearer to 1, of the others more."""
OF_CLIPS = ("lve", "eve", "fdd", "upper", "aperture_r", "mtm", "torn", "readable")


def goodness(measure: str, value: float) -> float:
    """A measure's value so that more is better."""
    return -value if measure in LESS else -abs(np.log(max(value, 1e-6))) if measure == "upper" else value


def draw_pairs(answers: list[str], clips: list[str], *, count: int, seed: int) -> list[tuple[str, str, str]]:
    """(clip, A, B): every pair of answers about equally often, and clips as well."""
    rng = np.random.default_rng(seed)
    pairs = [list(pair) for pair in combinations(answers, 2)]
    order = [pair for _ in range(-(-count // len(pairs))) for pair in rng.permutation(pairs).tolist()][:count]
    return [(clips[k % len(clips)], *rng.permutation(pair).tolist()) for k, pair in enumerate(order)]


def write(runs: Path, corpus: Path, out: Path, *, count: int, seed: int) -> None:
    stored = {path.parent.name.removesuffix("-0"): path for path in sorted(runs.glob("*-0/faces.npz"))}
    if len(stored) < 2:
        raise SystemExit(f"{runs} holds faces of fewer than two methods: run train.compare first.")
    settings = json.loads((next(iter(stored.values())).parent / "measured.json").read_text())["settings"]
    harness = Harness(corpus, Plan(**{name: settings[name] for name in Plan.__dataclass_fields__}))
    faces = {name: dict(np.load(path)) for name, path in stored.items()}
    fixed = harness.fixed()
    faces |= {name: harness.faces(fixed[name]) for name in ("label mean", "target")}
    head, out = harness.face.head, Path(out)
    portrait, feelings = Portrait(head, size=SIZE), {info["id"]: info["emotion"] for info in harness.corpus.clips}
    out.mkdir(parents=True, exist_ok=True)

    def row(name: str, clip: str) -> np.ndarray:
        offsets = faces[name][clip].astype(np.float32)
        return np.concatenate([portrait(frame) for frame in head.assemble(offsets, harness.face.read_back(offsets))], axis=1)

    key, questions = {}, []
    for number, (clip, a, b) in enumerate(draw_pairs(sorted(faces), list(faces["target"]), count=count, seed=seed), 1):
        name, upper, lower = f"{number:02d}", row(a, clip), row(b, clip)
        Image.fromarray(np.concatenate([upper, np.full((GAP, *upper.shape[1:]), 255, upper.dtype), lower])).save(out / f"{name}.png")
        key[name] = dict(clip=clip, A=a, B=b)
        questions.append(f"{name}: a person speaks a sentence strongly {feelings[clip]}")
    (out / "questions.txt").write_text("\n".join(questions) + "\n")
    (out / "key.json").write_text(json.dumps(key, indent=1))
    print(f"{len(key)} pictures in {out} (upper row A, lower row B); the key is beside them: keep it from those who answer.")


def agreement(key: dict, answers: dict[str, str], values: dict[str, dict[str, dict]]) -> list[dict]:
    """Per measure: how often it prefers the chosen row. ``values``: answer -> clip -> row of measures. Pairs without a value, or equal ones, count not."""
    rows = []
    for measure in OF_CLIPS:
        gaps, picks = [], []
        for name, pair in key.items():
            pair_values = [values[pair[side]][pair["clip"]].get(measure) for side in "AB"]
            if answers.get(name) not in ("A", "B") or None in pair_values or pair_values[0] == pair_values[1]:
                continue
            gaps.append(goodness(measure, pair_values[0]) - goodness(measure, pair_values[1]))
            picks.append(1.0 if answers[name] == "A" else -1.0)
        if len(gaps) > 2:
            share = bootstrap([float(gap * pick > 0) for gap, pick in zip(gaps, picks)])
            rows.append(
                dict(
                    measure=measure,
                    agrees=share.value,
                    low=share.low,
                    high=share.high,
                    r=float(spearmanr(gaps, picks)[0]) if np.std(picks) and np.std(gaps) else 0.0,
                    pairs=len(gaps),
                )
            )
    return sorted(rows, key=lambda row: -row["agrees"])


def score(runs: Path, out: Path, answers: Path) -> None:
    key, given = json.loads((out / "key.json").read_text()), json.loads(answers.read_text())
    if unknown := [name for name in given if name not in key]:
        raise SystemExit(f"{answers} answers {unknown[0]!r}, of which there is no picture.")
    files = {name: runs / f"{name}-0" / "measured.json" for pair in key.values() for name in (pair["A"], pair["B"])}
    files |= {name: runs / f"{name.replace(' ', '_')}.json" for name in files if name in ("label mean", "target")}
    values = {name: {row["id"]: row for row in json.loads(path.read_text())["clips"][RAVDESS]} for name, path in files.items()}
    rows = agreement(key, given, values)
    write_text(runs / "agreement.json", json.dumps(rows, indent=1))
    wins: dict[str, list[bool]] = {}
    for name, pick in given.items():
        for side in "AB":
            wins.setdefault(key[name][side], []).append(pick == side)
    for name, of in sorted(wins.items(), key=lambda item: -np.mean(item[1])):
        print(f"{name}: chosen in {sum(of)} of {len(of)}")
    for row in rows:
        print(
            f"{MEASURES[row['measure']].title}: agrees in {row['agrees']:.0%} [{row['low']:.0%}, {row['high']:.0%}], r {row['r']:+.2f}, {row['pairs']} pairs"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train.choices", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("write", "score"))
    parser.add_argument("--runs", type=Path, default=Path("runs/compare"))
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/choices"))
    parser.add_argument("--count", type=int, default=45)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--answers", type=Path, help="of score: {picture: A or B} as JSON")
    options = parser.parse_args()
    if options.job == "write":
        write(options.runs, options.corpus, options.out, count=options.count, seed=options.seed)
    elif options.answers is None:
        parser.error("score needs --answers.")
    else:
        score(options.runs, options.out, options.answers)


if __name__ == "__main__":
    main()
