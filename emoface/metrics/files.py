"""``python -m emoface.metrics``: the vertex errors of any model's ``.npy`` files, under one definition."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from .. import flame, metrics
from ..errors import EmoFaceError
from ..files import atomic_path
from ..reading import read_npy, read_npz

DESCRIPTION = """LVE, EVE, FDD, MVE and LVD of predicted against true vertices (metres, same frame rate, same mesh).
PRED and TRUTH are .npy files, (frames, vertices*3) or (frames, vertices, 3), or folders of them. In folders a
prediction belongs to the truth of the same name, or of the name before "_condition_" (FaceFormer and its heirs write
one prediction per training speaker: the measures of all conditions are averaged)."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m emoface.metrics", description=DESCRIPTION)
    parser.add_argument("prediction", type=Path, metavar="PRED")
    parser.add_argument("truth", type=Path, metavar="TRUTH")
    add = parser.add_argument
    add("--mask", type=Path, required=True, help="your FLAME_masks.pkl, or an .npz with 'lips' and 'upper'")
    add("--templates", type=Path, help="neutral face, .npy (V,3) or VOCASET's templates.pkl: adds FDD and a static row")
    add("--truth-stride", type=int, default=1, help="take every n-th true frame (2: VOCASET's 60 to 30 fps)")
    add("--json", type=Path, help="write the values here as well")
    options = parser.parse_args(arguments)
    try:
        rows = measure(options)
        if options.json:
            with atomic_path(options.json) as path:
                path.write_text(json.dumps(rows, indent=2) + "\n")
    except EmoFaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    return 0


def measure(options: argparse.Namespace) -> list[dict]:
    """One row for the prediction and, where there is a template, one for the face that never moves."""
    lips, upper = read_masks(options.mask)
    rows: dict[str, list[dict]] = {}
    for truth_path, prediction_paths in match(options.prediction, options.truth):
        truth = metrics.as_motion(read_npy(truth_path))[:: options.truth_stride]
        template = read_template(options.templates, truth_path.stem) if options.templates else None
        conditions = [clip_measures(read_npy(path), truth, template, lips, upper) for path in prediction_paths]
        mean = {key: float(np.mean([values[key] for values in conditions])) for key in conditions[0]}
        rows.setdefault("prediction", []).append(mean)
        if template is not None:
            static = np.broadcast_to(template, truth.shape)
            rows.setdefault("static template", []).append(clip_measures(static, truth, template, lips, upper))
    return [pool(name, clips) for name, clips in rows.items()]


def clip_measures(prediction, truth, template, lips, upper) -> dict:
    """Measures of one clip, and its frames, the weight with which :func:`pool` pools them over frames."""
    values = {
        "lve": metrics.lve(prediction, truth, lips),
        "eve": metrics.eve(prediction, truth, upper),
        "mve": metrics.mve(prediction, truth),
        "lvd": metrics.lvd(prediction, truth, lips),
        "frames": min(len(prediction), len(truth)),
    }
    if template is not None:
        values["fdd"] = metrics.fdd(prediction, truth, template, upper)
    return values


def pool(name: str, clips: list[dict]) -> dict:
    """LVE, EVE, MVE, LVD pooled over frames, FDD (signed and absolute) over clips, with 95 % intervals over clips."""
    frames = np.array([clip["frames"] for clip in clips], float)
    row = {"row": name, "clips": len(clips), "frames": int(frames.sum())}
    for key in ("lve", "eve", "mve", "lvd", "fdd"):
        if key in clips[0]:
            values = np.array([clip[key] for clip in clips])
            estimate = metrics.bootstrap(values, None if key == "fdd" else frames)
            row[key] = {"value": estimate.value, "interval": [estimate.low, estimate.high]}
            if key == "fdd":
                row["fdd_absolute"] = {"value": float(np.abs(values).mean())}
    return row


def match(prediction: Path, truth: Path) -> list[tuple[Path, list[Path]]]:
    """Each true file with its predictions; in folders every truth needs one (no choosing among the clips)."""
    for path in (prediction, truth):
        if not path.exists():
            raise EmoFaceError(f"{path} does not exist.")
    if prediction.is_dir() != truth.is_dir():
        raise EmoFaceError("Give two files or two folders, not one of each.")
    if not truth.is_dir():
        return [(truth, [prediction])]
    truths = {path.stem: path for path in sorted(truth.glob("*.npy"))}
    predictions: dict[str, list[Path]] = {}
    for path in sorted(prediction.glob("*.npy")):
        predictions.setdefault(path.stem.split("_condition_")[0], []).append(path)
    missing = sorted(set(truths) - set(predictions))
    if not truths or missing:
        example = f" (for example {missing[0]}.npy)" if missing else ""
        raise EmoFaceError(f"{len(missing)} of the {len(truths)} .npy files in {truth} have no prediction{example}.")
    return [(path, predictions[stem]) for stem, path in truths.items()]


def read_masks(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(lips, upper face) vertex indices from FLAME's pickle or from an ``.npz`` with ``lips`` and ``upper``."""
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if not {"lips", "upper"} <= set(arrays):
            raise EmoFaceError(f"{path} must hold two arrays, 'lips' and 'upper'.")
        return arrays["lips"], arrays["upper"]
    masks = flame.load_masks(path)
    if not {"lips", "eye_region", "forehead"} <= set(masks):
        raise EmoFaceError(f"{path} lacks the masks 'lips', 'eye_region' or 'forehead'; use FLAME's FLAME_masks.pkl.")
    return masks["lips"], flame.upper_face(masks)


def read_template(path: Path, clip: str) -> np.ndarray:
    """(V, 3) neutral face of a clip: the file's only one, or the one whose name the clip's name starts with."""
    if path.suffix == ".npy":
        return read_npy(path).reshape(-1, 3)
    templates = flame.load_pickle(path)
    names = [name for name in templates if clip.startswith(name)] if isinstance(templates, dict) else []
    if not names:
        raise EmoFaceError(f"{path} has no template whose name begins the clip's name {clip}.")
    return np.asarray(templates[max(names, key=len)], float).reshape(-1, 3)


def table(rows: list[dict]) -> str:
    """The rows as text: squared measures x1e-5 m2 with their root in mm, distances in mm, FDD x1e-5 m2."""
    lines = [
        (
            "LVE, EVE: squared maximum over the mask, mean over pooled frames; MVE, LVD: not squared; FDD: signed, mean"
            " over clips; in [ ]: 95 % interval over clips."
        ),
        (f"{'':16}{'LVE 1e-5 m2 (mm)':>34}{'EVE 1e-5 m2 (mm)':>34}{'MVE mm':>9}{'LVD mm':>9}{'FDD 1e-5 (abs)':>22}{'clips':>7}{'frames':>9}"),
    ]
    for row in rows:
        cells = [f"{row['row']:16}"]
        for key in ("lve", "eve"):
            low, high = (metrics.times_1e5(bound) for bound in row[key]["interval"])
            value = row[key]["value"]
            text = f"{metrics.times_1e5(value):.4f} [{low:.4f}, {high:.4f}] ({metrics.root_mm(value):.2f})"
            cells.append(f"{text:>34}")
        cells += [f"{row[key]['value'] * 1e3:9.3f}" for key in ("mve", "lvd")]
        fdd = f"{row['fdd']['value'] * 1e5:+.4f} ({row['fdd_absolute']['value'] * 1e5:.4f})" if "fdd" in row else "-"
        lines.append("".join(cells) + f"{fdd:>22}{row['clips']:7}{row['frames']:9}")
    return "\n".join(lines)
