"""Training items from the corpus: one content, two emotions (self and cross), composed on the fly.

An item takes speech from one or several clips of a speaker and lays two emotions over it: ``e1``, most often its own, and ``e2``, of
another recording that differs in words, speaker and length (or says the same sentence: the paper's pairs). So any lips meet any
emotion, and no target has to be stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from emoface.animation import EMOTIONS

from .corpus.channels import vector
from .corpus.emotion import INTENSITY, PROTOTYPES
from .corpus.reader import Corpus
from .motion import BasisMotion, Motion


@dataclass
class Batch:
    """B items padded to T frames (contents) and U frames (the emotion sources)."""

    content_hidden: Tensor
    """(B, T, L, C) encoder frames of the speech."""
    mask: Tensor
    """(B, T) true inside the clip."""
    source_hidden: tuple[Tensor, Tensor]
    """(B, U, L, C) encoder frames of the emotion sources e1 and e2."""
    source_masks: tuple[Tensor, Tensor]
    pooled: tuple[Tensor, Tensor]
    """(B,) true where the source gives one vector for the whole clip (another recording), false where it is the speech itself."""
    emotions: tuple[Tensor, Tensor]
    """(B,) labels; -1 where the classifier's loss leaves the row out."""
    levels: tuple[Tensor, Tensor]
    """(B,)"""
    style: Tensor
    """(B,)"""
    real: Tensor
    """(B,) true where the speech motion was measured, not modelled."""
    motions: tuple[Motion, Motion]
    """Targets M_{c,e1} and M_{c,e2}."""
    emotion_features: tuple[Tensor, Tensor] | None = None
    """(B, T, C) F_e of both sources on the content's clock, where recognition is frozen and F_e was computed before; ``source_hidden`` is empty then."""
    plain: Tensor | None = None
    """(B,) true where e1 is neutral."""
    prosody: Tensor | None = None
    """(B, T, 3) of the content, see ``emoface.prosody``."""
    spoken: Tensor | None = None
    """(B, n) the corpus' clips whose speech it is, one after the other; -1 where there are fewer."""
    letters: Tensor | None = None
    """(B, n) the letters of the text, 1-based in ``train.baselines.letters.ALPHABET``; 0 behind the end. Only for methods with a lip reader."""

    def to(self, device) -> Batch:
        def move(value):
            return tuple(map(move, value)) if isinstance(value, tuple) else value if value is None else value.to(device)

        return Batch(**{f.name: move(getattr(self, f.name)) for f in fields(self)})


def pad(rows: list[np.ndarray], dtype=np.float32) -> Tensor:
    """(n_i, ...) arrays -> (B, max n, ...) zero-padded."""
    out = np.zeros((len(rows), max(len(r) for r in rows), *rows[0].shape[1:]), dtype)
    for target, row in zip(out, rows):
        target[: len(row)] = row
    return torch.from_numpy(out)


def mask_of(rows: list[np.ndarray]) -> Tensor:
    lengths = torch.tensor([len(r) for r in rows])
    return torch.arange(int(lengths.max()))[None] < lengths[:, None]


KINDS = {"grid": 0.36, "grid_cross": 0.14, "ravdess": 0.28, "read": 0.22}
"""Share of each kind of item; "cross" items have two foreign emotions on one speech."""
OWN_NEUTRAL = 0.2
DEFAULT_STYLE = 0.4
"""How often other people's words are spoken in the default style: that is what most users will do."""


@dataclass(frozen=True)
class EmotionFeatures:
    """F_e of every clip of a corpus, computed once because the parts that compute it are frozen."""

    track: np.ndarray
    """(F, C) frame by frame, clips as in the corpus."""
    vector: np.ndarray
    """(N, C) of whole clips."""
    named: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    """(C,) of a named emotion and level."""


class Sampler:
    """Draws batches for ever; the same seed and step give the same batch, so training can resume exactly."""

    def __init__(
        self,
        corpus: Corpus,
        *,
        styles: list[str],
        basis: Tensor,
        split: str = "train",
        frames: int = 1200,
        seed: int = 0,
        longest: int | None = None,
        kinds: dict[str, float] = KINDS,
        named: float = 0.0,
    ):
        """``styles``: names in one-hot order; ``basis`` (52, S, 3) metres; ``frames``: mesh frames per batch, about; ``longest``:
        frames of the longest item (None: 16 s); ``kinds``: as :data:`KINDS`; ``named``: share of the emotion sources that are a name, not a
        recording's: features :attr:`EmotionFeatures.named`, target the full prototype at the level."""
        if kinds.keys() - KINDS.keys():
            raise ValueError(f"kinds may hold {', '.join(KINDS)}, not {', '.join(sorted(kinds.keys() - KINDS.keys()))}.")
        self.corpus, self.styles, self.basis, self.budget, self.seed, self.longest = corpus, styles, basis, frames, seed, longest
        self.named = named
        self.features = np.load(corpus.folder / "features.npy", mmap_mode="r")
        prosody = corpus.folder / "prosody.npy"
        self.prosody = np.load(prosody, mmap_mode="r") if prosody.exists() else None
        self.emotion_features: EmotionFeatures | None = None
        """Set where recognition is frozen: batches then hold F_e instead of the hidden states it is computed from."""
        clips = corpus.clips
        usable = [i for i, c in enumerate(clips) if c["split"] == split]
        # The recordings as they were count as much as their two altered copies together.
        self.grid = [i for i in usable if clips[i]["source"] == "grid" for _ in range(1 if clips[i]["copy_of"] else 2)]
        self.ravdess = [i for i in usable if clips[i]["source"] == "ravdess"]
        # The one human reader counts as much as all synthetic voices together.
        self.read = [i for i in usable if clips[i]["source"] in ("ljspeech", "tts") for _ in range(2 if clips[i]["source"] == "ljspeech" else 1)]
        self.same_feeling: dict[tuple, list[int]] = {}
        self.by_emotion: dict[tuple, list[int]] = {}
        self.same_sentence: dict[tuple, list[int]] = {}
        for i in self.ravdess:
            c = clips[i]
            self.same_feeling.setdefault((c["speaker"], c["emotion"], c["level"]), []).append(i)
            self.by_emotion.setdefault((c["emotion"], c["level"]), []).append(i)
            self.same_sentence.setdefault((c["speaker"], c.get("text", "")), []).append(i)
        if not self.ravdess:
            raise ValueError(
                f"{corpus.folder} has no RAVDESS clips to train on, and every item takes an emotion from one: build the corpus with them."
            )
        speakers: dict[str, list[int]] = {}
        for i in self.read:
            speakers.setdefault(clips[i]["speaker"], []).append(i)
        self.read_speakers = speakers
        self.kinds = {k: p for k, p in kinds.items() if self._pool(k)}

    def _pool(self, kind: str) -> list[int]:
        return {"grid": self.grid, "grid_cross": self.grid, "ravdess": self.ravdess, "read": self.read}[kind]

    def hidden(self, clip: int) -> np.ndarray:
        """Encoder frames (T, L, C) of a clip."""
        return self.features[self.corpus.offset[clip] : self.corpus.offset[clip + 1]]

    def _emotion(self, rng: np.random.Generator) -> int:
        """A RAVDESS clip, all emotions and levels alike."""
        keys = list(self.by_emotion)
        return int(rng.choice(self.by_emotion[keys[rng.integers(len(keys))]]))

    def _neutral(self, rng: np.random.Generator) -> int | None:
        """The emotion source of neutral speech: mostly a neutral RAVDESS clip, seldom (None) the speech itself.

        If every GRID and read clip were its own neutral source, the branch would learn that anything that does not sound
        like RAVDESS's studio is neutral, and find no emotion in other recordings.
        """
        neutrals = self.by_emotion.get(("neutral", 0), [])
        return int(rng.choice(neutrals)) if neutrals and rng.random() > OWN_NEUTRAL else None

    def _fill(self, rng: np.random.Generator, first: int, pool: list[int], frames: int) -> list[int]:
        """Clips of ``pool`` after ``first`` until ``frames`` are reached."""
        speech, clips = [first], self.corpus.clips
        total = clips[first]["frames"]
        while total < frames:
            speech.append(int(rng.choice(pool)))
            total += clips[speech[-1]]["frames"]
        return speech

    def _item(self, rng: np.random.Generator, frames: int) -> dict:
        kinds = list(self.kinds)
        share = np.array([self.kinds[k] for k in kinds])
        kind = kinds[rng.choice(len(kinds), p=share / share.sum())]
        clips = self.corpus.clips
        if kind == "ravdess":
            first = self._emotion(rng)
            key = (clips[first]["speaker"], clips[first]["emotion"], clips[first]["level"])
            speech = self._fill(rng, first, self.same_feeling[key], frames)
            e1 = None
            sentence = self.same_sentence[(clips[first]["speaker"], clips[first].get("text", ""))]
            partners = [i for i in sentence if (clips[i]["emotion"], clips[i]["level"]) != key[1:]]
            e2 = int(rng.choice(partners)) if partners and len(speech) == 1 and rng.random() < 0.5 else self._emotion(rng)
        else:
            pool = self._pool(kind)
            first = int(rng.choice(pool))
            if kind == "read":
                pool = self.read_speakers[clips[first]["speaker"]]
            speech = self._fill(rng, first, pool, frames)
            e1 = self._emotion(rng) if kind == "grid_cross" else self._neutral(rng)
            e2 = self._emotion(rng)
        style = clips[first]["style"] if len(self.styles) > 1 else self.styles[0]
        if style != self.styles[0] and rng.random() < DEFAULT_STYLE:
            style = self.styles[0]
        # Neutral is the first emotion of half of all items; the classifier must not take that for its frequency.
        counts = (kind in ("ravdess", "grid_cross") or rng.random() < 0.15, True)
        named = tuple(source is not None and self.named > 0 and rng.random() < self.named for source in (e1, e2))
        return dict(speech=speech, sources=(e1, e2), named=named, style=self.styles.index(style), counts=counts)

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        # Mostly single clips; now and then 8 or 16 s, so that free running learns to hold. Tails beyond that are cut.
        frames = int(rng.choice([100, 240, 480], p=[0.65, 0.2, 0.15]))
        frames = min(frames, self.longest or frames)
        size = max(self.budget // frames, 2)
        items = [self._item(rng, frames) for _ in range(size)]
        corpus, clips = self.corpus, self.corpus.clips
        content = [np.concatenate([self.hidden(i) for i in item["speech"]])[:frames] for item in items]
        sources, masks, pooled, emotions, levels, motions, features = [], [], [], [], [], [], []
        for which in range(2):
            hidden, own, weights, chosen_levels = [], [], [], []
            label = [item["sources"][which] if item["sources"][which] is not None else item["speech"][0] for item in items]
            for item, speech, source_clip in zip(items, content, label):
                source = item["sources"][which]
                own.append(source is None)
                hidden.append(speech if source is None else self.hidden(source))
                level = self._level(rng, source_clip)
                chosen_levels.append(level)
                target = vector(PROTOTYPES[clips[source_clip]["emotion"]]) * INTENSITY[level] if item["named"][which] else None
                weights.append(np.concatenate([corpus.weights(i, source, level=level, target=target) for i in item["speech"]])[:frames])
            # A quarter of the self items get one vector, too, so that both kinds of input are trained on every recording.
            pooled.append(torch.tensor([not o or rng.random() < 0.25 for o in own]))
            if self.emotion_features is None:
                sources.append(pad(hidden))
                masks.append(mask_of(hidden))
            else:
                features.append(
                    pad(
                        [
                            self._emotion_features(
                                item, source_clip, whole, len(speech), name=(clips[source_clip]["emotion"], level) if item["named"][which] else None
                            )
                            for item, source_clip, whole, speech, level in zip(items, label, pooled[-1].tolist(), content, chosen_levels)
                        ]
                    )
                )
            known = [item["counts"][which] for item in items]
            emotions.append(torch.tensor([EMOTIONS.index(clips[i]["emotion"]) if k else -1 for i, k in zip(label, known)]))
            levels.append(torch.tensor(chosen_levels))
            motions.append(BasisMotion(pad(weights), self.basis))
        return Batch(
            content_hidden=pad(content),
            mask=mask_of(content),
            source_hidden=tuple(sources),
            source_masks=tuple(masks),
            pooled=tuple(pooled),
            emotions=tuple(emotions),
            levels=tuple(levels),
            style=torch.tensor([item["style"] for item in items]),
            real=torch.tensor([clips[item["speech"][0]]["motion"] == "real" for item in items]),
            motions=tuple(motions),
            emotion_features=tuple(features) or None,
            plain=torch.tensor(
                [clips[item["speech"][0] if item["sources"][0] is None else item["sources"][0]]["emotion"] == "neutral" for item in items]
            ),
            prosody=None if self.prosody is None else pad([self._rows(self.prosody, item["speech"])[:frames] for item in items]),
            spoken=pad([np.array(item["speech"]) + 1 for item in items], np.int64) - 1,
        )

    def _rows(self, array: np.ndarray, speech: list[int]) -> np.ndarray:
        """Frames of several clips one after the other."""
        return np.concatenate([array[self.corpus.offset[i] : self.corpus.offset[i + 1]] for i in speech])

    def _emotion_features(self, item: dict, source: int, whole: bool, frames: int, *, name: tuple[str, int] | None) -> np.ndarray:
        """(frames, C): the track of the speech itself, or one vector, of the emotion source or of a name."""
        if name is not None:
            return np.repeat(self.emotion_features.named[name][None], frames, axis=0)
        if whole:
            return np.repeat(self.emotion_features.vector[source][None], frames, axis=0)
        return self._rows(self.emotion_features.track, item["speech"])[:frames]

    def _level(self, rng: np.random.Generator, source: int) -> int:
        """Half of the time the clip's own level, half of the time any: the given level must count, whatever the voice sounds like."""
        own = self.corpus.clips[source]["level"]
        return own if rng.random() < 0.5 or self.corpus.clips[source]["emotion"] == "neutral" else int(rng.integers(2))
