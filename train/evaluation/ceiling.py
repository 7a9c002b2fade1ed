"""How closely any model can follow the lips from these features: ``python -m train.evaluation.ceiling --corpus data/corpus``.

Three plain convolutions read the encoder's last block, or all of its blocks side by side, and predict the lip aperture alone, with squared
error: no branches, no history, no emotion, no mesh. What they score on the held-out GRID clips is what the features, the recordings' sync and
the amount of data allow; the full model is to be judged against it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from emoface import metrics

from ..corpus.lips import average_head_lips
from ..corpus.reader import Corpus
from .lips import shifted_pearson

FRAMES, BATCH, HIDDEN, RATE = 90, 12, 192, 1e-3
SHARES = {"grid": 0.48, "ravdess": 0.32, "ljspeech": 0.1, "tts": 0.1}


class Probe(nn.Module):
    """The last ``blocks`` of features (B, T, L, C) and speaking style (B,) -> aperture (B, T) in mm."""

    def __init__(self, *, blocks: int, size: int, styles: int):
        super().__init__()
        self.blocks, self.norm = blocks, nn.LayerNorm(size, elementwise_affine=False)
        self.style = nn.Embedding(styles, HIDDEN)
        self.first, self.second = nn.Conv1d(blocks * size, HIDDEN, 5, padding=2), nn.Conv1d(HIDDEN, HIDDEN, 5, padding=2)
        self.last = nn.Conv1d(HIDDEN, 1, 5, padding=2)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        x = F.dropout(self.norm(features[:, :, -self.blocks :]).flatten(2), 0.1, self.training).transpose(1, 2)
        x = F.dropout(F.gelu(self.first(x) + self.style(style)[..., None]), 0.2, self.training)
        return self.last(F.dropout(F.gelu(self.second(x)), 0.2, self.training))[:, 0]


def train(corpus: Corpus, features: np.ndarray, shares: dict[str, float], *, blocks: int, steps: int, seed: int = 0) -> tuple[Probe, int]:
    """A probe trained on sources in the given shares, and the number of GRID's style."""
    torch.manual_seed(seed)
    rng, lips = np.random.default_rng(seed), average_head_lips()
    clips = {source: corpus.select(source=source, split="train") for source in shares}
    styles = sorted({corpus.clips[i]["style"] for of in clips.values() for i in of})
    probe = Probe(blocks=blocks, size=features.shape[-1], styles=len(styles))
    optimizer = torch.optim.AdamW(probe.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    names, share = list(shares), np.array(list(shares.values())) / sum(shares.values())
    for _ in tqdm(range(steps), desc=" + ".join(names), unit="step"):
        hidden, wanted, inside = torch.zeros(BATCH, FRAMES, *features.shape[1:]), torch.zeros(BATCH, FRAMES), torch.zeros(BATCH, FRAMES)
        chosen = [int(rng.choice(clips[names[rng.choice(len(names), p=share)]])) for _ in range(BATCH)]
        for row, i in enumerate(chosen):
            begin = int(corpus.offset[i] + rng.integers(0, max(corpus.clips[i]["frames"] - FRAMES, 0) + 1))
            end = min(begin + FRAMES, int(corpus.offset[i + 1]))
            hidden[row, : end - begin] = torch.from_numpy(np.asarray(features[begin:end], np.float32))
            aperture = lips.aperture(corpus.weights(i)[begin - corpus.offset[i] : end - corpus.offset[i]])
            wanted[row, : end - begin], inside[row, : end - begin] = torch.from_numpy(aperture), 1
        style = torch.tensor([styles.index(corpus.clips[i]["style"]) for i in chosen])
        loss = ((probe(hidden, style) - wanted).square() * inside).sum() / inside.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return probe.eval(), styles.index(corpus.clips[clips["grid"][0]]["style"])


@torch.inference_mode()
def score(probe: Probe, style: int, corpus: Corpus, features: np.ndarray, split: str) -> str:
    rows = []
    for i in corpus.select(source="grid", split=split, copy_of=None):
        hidden = torch.from_numpy(np.asarray(features[corpus.offset[i] : corpus.offset[i + 1]], np.float32))[None]
        aperture, video = probe(hidden, torch.tensor([style]))[0].numpy(), corpus.track(i, "measured_aperture_raw")
        rows.append((metrics.pearson(aperture, video), shifted_pearson(aperture, video), metrics.mean_absolute_error(aperture, video)))
    r, shifted, error = np.mean(rows, axis=0)
    return f"GRID {split}, {len(rows)} clips: aperture r {r:.3f} (at the best shift {shifted:.3f}), error {error:.2f} mm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"))
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    corpus, features = Corpus(options.corpus), np.load(options.corpus / "features.npy", mmap_mode="r")
    for blocks in (1, features.shape[1]):
        for shares in ({"grid": 1.0}, SHARES):
            probe, style = train(corpus, features, shares, blocks=blocks, steps=options.steps)
            for split in ("val", "test_others"):
                print(f"last {blocks} block(s), trained on {' + '.join(shares)}: {score(probe, style, corpus, features, split)}", flush=True)


if __name__ == "__main__":
    main()
