"""Training items drawn from a corpus."""

from collections import Counter

import numpy as np
import pytest
import torch

from tests.toy_corpus import write_corpus
from train.data import KINDS, Sampler


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    frames = int(corpus.offset[-1])
    np.save(corpus.folder / "features.npy", np.zeros((frames, 2, 4), np.float16))
    return corpus


def sampler(corpus, **settings):
    styles = sorted({c["style"] for c in corpus.clips})
    return Sampler(corpus, styles=styles, basis=torch.zeros(52, 3, 3), frames=400, **settings)


def drawn(sampler, count=600):
    """Share of items by the source of their speech."""
    rng, found = np.random.default_rng(0), Counter()
    for _ in range(count):
        found[sampler.corpus.clips[sampler._item(rng, 60)["speech"][0]]["source"]] += 1
    return {source: n / count for source, n in found.items()}


def test_kinds_set_how_often_each_source_speaks(corpus):
    usual = drawn(sampler(corpus))
    assert usual["grid"] / usual["ravdess"] == pytest.approx((KINDS["grid"] + KINDS["grid_cross"]) / KINDS["ravdess"], rel=0.3)
    mostly_real = drawn(sampler(corpus, kinds={"grid": 0.7, "grid_cross": 0.2, "ravdess": 0.1}))
    assert mostly_real["grid"] == pytest.approx(0.9, abs=0.04) and mostly_real.keys() == {"grid", "ravdess"}


def test_unknown_kinds_are_refused(corpus):
    with pytest.raises(ValueError, match="kinds may hold grid, grid_cross, ravdess, read, not songs"):
        sampler(corpus, kinds={"songs": 1.0})


def test_a_batch_is_a_function_of_seed_and_step(corpus):
    one, other = sampler(corpus, seed=3).batch(5), sampler(corpus, seed=3).batch(5)
    assert torch.equal(one.content, other.content) and torch.equal(one.style, other.style)
    assert torch.equal(one.motions[1].weights, other.motions[1].weights)
    assert not torch.equal(one.motions[1].weights[:1, :20], sampler(corpus, seed=3).batch(6).motions[1].weights[:1, :20])
