"""The plain convolutions that show how far lips can be followed."""

import numpy as np

from tests.toy_corpus import write_corpus
from train.evaluation.ceiling import score, train


def test_probe_learns_what_the_features_hold_and_nothing_else(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    rng = np.random.default_rng(0)
    aperture = np.concatenate([corpus.weights(i)[:, 0] * 0 + corpus.track(i, "loudness") for i in range(len(corpus.clips))])
    noise = rng.standard_normal((len(aperture), 2, 8)).astype(np.float16)
    heard = noise.copy()
    heard[:, 0, 0] = 3 * (aperture - aperture.mean()) / aperture.std()
    scores = {}
    for name, features, blocks in (("heard", heard, 2), ("noise", noise, 2), ("last block alone", heard, 1)):
        probe, style = train(corpus, features, {"grid": 1.0}, blocks=blocks, steps=40)
        scores[name] = score(probe, style, corpus, features, "val")
    r = {name: float(text.split("aperture r ")[1].split(" ")[0]) for name, text in scores.items()}
    assert "GRID val, 2 clips" in scores["heard"] and r["heard"] > 0.85 and max(abs(r["noise"]), abs(r["last block alone"])) < 0.4, scores
