"""``python -m train.recognition cache`` once, then ``python -m train.recognition train``: the emotion recogniser, before the face is trained.

``cache`` puts every labelled recording and its altered copies through the frozen encoder; ``train`` learns from that in minutes on one core,
sets the temperature of the probabilities on the validation voices, prints the recall per corpus and writes ``OUT/recognition.pt``,
which ``train.train`` takes as ``recognition`` in its settings. Both continue where they stopped. ``figure`` draws how far its probabilities
can be believed in unseen voices. ``certainty`` needs no cache: it asks the finished model (``--model``) about the validation voices, and prints
from which probability on the page may say *probably* and *clearly*.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from emoface.encoders import SpeechEncoder
from emoface.files import atomic_path

from ..checkpoint import load_checkpoint
from .batches import Balanced
from .cache import Features, cache
from .recordings import Recording, all_recordings, some
from .references import logits, recall_table
from .scores import calibration_error, fit_temperature
from .trainer import PARTS, RecognitionTrainer, read_recognition_config, recognition_model

LAYERS = 4


def cache_all(recordings: list[Recording], folder: Path, *, copies: int, per_voice: int | None) -> None:
    encoder = SpeechEncoder.from_pretrained().freeze()
    trained = [r for r in recordings if r.split == "train"]
    voices = some(trained, 6)
    for view in range(copies + 1):
        chosen = recordings if view == 0 else some(trained, per_voice) if per_voice else trained
        cache(chosen, folder, view, encoder=encoder, layers=LAYERS, voices=voices)


def train(recordings: list[Recording], folder: Path, config_path: Path, out: Path) -> None:
    config = read_recognition_config(config_path)
    model = recognition_model(config, layers=LAYERS, width=SpeechEncoder.from_pretrained().width)
    features = Features(folder, config.copies + 1, layers=LAYERS, width=model.config.feature_size)
    data = Balanced([r for r in recordings if r.split == "train"], features, **config.sampling())
    trainer = RecognitionTrainer(config, data, model, out)
    trainer.resume()
    best = trainer.run()
    validation = [r for r in recordings if r.split == "validate"]
    answers = np.concatenate(logits(best, validation, features))
    labels = np.tile([r.label for r in validation], 2)
    temperature = fit_temperature(labels, answers)
    with torch.no_grad():  # calibrated probabilities are the softmax of logits over the temperature: it goes into the classifier
        best.classifier.weight /= temperature
        best.classifier.bias /= temperature
    table = recall_table(best, [r for r in recordings if r.split != "train"], features)
    report = dict(temperature=temperature, calibration_error=_errors(labels, answers, temperature), recall=table)
    with atomic_path(out / "recognition.pt") as path:
        torch.save(dict(ema={key: value for key, value in best.state_dict().items() if key.split(".")[0] in PARTS}, config=asdict(config)), path)
    with atomic_path(out / "report.json") as path:
        path.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


def figure(recordings: list[Recording], folder: Path, config_path: Path, out: Path, picture: Path) -> None:
    from .figure import reliability_figure

    config = read_recognition_config(config_path)
    model = recognition_model(config, layers=LAYERS, width=SpeechEncoder.from_pretrained().width)
    model.load_state_dict(load_checkpoint(out / "recognition.pt")["ema"], strict=False)
    features = Features(folder, 1, layers=LAYERS, width=model.config.feature_size)
    print(json.dumps(reliability_figure(model.eval(), recordings, features, picture), indent=1))


def certainty(recordings: list[Recording], model: str | None) -> None:
    from .certainty import certainty_report

    print(json.dumps(certainty_report(recordings, model), indent=1))


def _errors(labels: np.ndarray, answers: np.ndarray, temperature: float) -> dict[str, float]:
    """Expected calibration error on the validation voices before and after."""
    softmax = lambda x: np.exp(x - x.max(-1, keepdims=True)) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
    return {"before": calibration_error(labels, softmax(answers)), "after": calibration_error(labels, softmax(answers / temperature))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m train.recognition", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cache", "train", "figure", "certainty"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("data/recognition"))
    parser.add_argument("--copies", type=int, default=2, help="for cache: altered copies per training clip")
    parser.add_argument("--per-voice", type=int, help="for cache: copies only of so many clips per voice and emotion (default: all)")
    parser.add_argument("--config", type=Path, default=Path("train/configs/recognition.yaml"))
    parser.add_argument("--out", type=Path, default=Path("runs/recognition"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/recognition_reliability.png"), help="for figure")
    parser.add_argument("--model", help="for certainty: a model's folder or Hub id (default: the embedded one)")
    options = parser.parse_args()
    recordings = all_recordings(options.data)
    if not recordings:
        parser.error(f"There are no recordings in {options.data}; give the folder with --data (see docs/training.md).")
    if options.what == "cache":
        cache_all(recordings, options.cache, copies=options.copies, per_voice=options.per_voice)
    elif options.what == "certainty":
        certainty(recordings, options.model)
    elif options.what == "figure":
        figure(recordings, options.cache, options.config, options.out, options.picture)
    else:
        train(recordings, options.cache, options.config, options.out)


if __name__ == "__main__":
    main()
