"""Training items drawn from a corpus."""

from collections import Counter

import numpy as np
import pytest
import torch

from emoface.animation import EMOTIONS
from tests.toy_corpus import write_corpus
from train.corpus.channels import vector
from train.corpus.emotion import INTENSITY, PROTOTYPES
from train.data import DEFAULT_STYLE, KINDS, EmotionFeatures, Sampler


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    for clip in corpus.clips:
        if clip["source"] == "ravdess":
            clip.update(style="s9", text="kids are talking by the door")
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
    assert torch.equal(one.content_hidden, other.content_hidden) and torch.equal(one.style, other.style)
    assert torch.equal(one.motions[1].weights, other.motions[1].weights)
    assert not torch.equal(one.motions[1].weights[:1, :20], sampler(corpus, seed=3).batch(6).motions[1].weights[:1, :20])


def test_batches_know_what_was_measured_and_whose_style_is_asked_for(corpus):
    items = sampler(corpus)
    rng, styles = np.random.default_rng(0), Counter()
    for _ in range(800):
        item = items._item(rng, 60)
        clip = corpus.clips[item["speech"][0]]
        if clip["style"] != items.styles[0]:
            styles[items.styles[item["style"]] == clip["style"]] += 1
    assert styles[False] / sum(styles.values()) == pytest.approx(DEFAULT_STYLE, abs=0.06)
    only = lambda kind: sampler(corpus, kinds={kind: 1.0}).batch(0).real
    assert only("grid").all() and not only("ravdess").any()


def test_partners_of_a_sentence_feel_otherwise(corpus):
    """The paper's pairs: one speaker, one sentence, two emotions; an item is never its own partner."""
    items, clips = sampler(corpus, kinds={"ravdess": 1.0}), corpus.clips
    rng = np.random.default_rng(0)
    drawn = [items._item(rng, 1) for _ in range(2000)]  # single clips
    feelings = [[(clips[i]["emotion"], clips[i]["level"]) for i in (item["speech"][0], item["sources"][1])] for item in drawn]
    by_chance = 1 / len(items.by_emotion)
    assert np.mean([a == b for a, b in feelings]) < 0.75 * by_chance  # half of the partners are drawn from all emotions


def test_a_name_brings_its_own_features_and_the_full_prototype(corpus):
    names = {(emotion, level): np.full(4, 10.0 * EMOTIONS.index(emotion) + level) for emotion in EMOTIONS for level in range(2)}
    items = sampler(corpus, kinds={"grid_cross": 1.0}, named=0.5)
    items.emotion_features = EmotionFeatures(np.zeros((int(corpus.offset[-1]), 4)), np.full((len(corpus), 4), -1.0), names)
    asked = Counter()
    for step in range(3):
        batch = items.batch(step)
        for which in range(2):
            for row, (emotion, level) in enumerate(zip(batch.emotions[which].tolist(), batch.levels[which].tolist())):
                heard = batch.emotion_features[which][row, 0]
                wanted = names[EMOTIONS[emotion], level]
                asked[bool(heard[0] >= 0)] += 1
                if heard[0] >= 0:
                    assert (heard.numpy() == wanted).all()
                    clip = int(batch.spoken[row, 0])
                    full = corpus.weights(
                        clip,
                        items.by_emotion[EMOTIONS[emotion], min(level, EMOTIONS[emotion] != "neutral")][0],
                        level=level,
                        target=vector(PROTOTYPES[EMOTIONS[emotion]]) * INTENSITY[level],
                    )
                    count = min(len(full), batch.motions[which].weights.shape[1])
                    assert np.allclose(batch.motions[which].weights[row, :count].numpy(), full[:count], atol=1e-6)
    assert 0.3 < asked[True] / sum(asked.values()) < 0.7
