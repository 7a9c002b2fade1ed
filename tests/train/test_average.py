"""The mean of checkpoints."""

import torch

from train.average import average


def test_mean_of_floats_and_the_first_of_everything_else():
    a = {"w": torch.tensor([1.0, 3.0]), "n": torch.tensor([1, 2])}
    b = {"w": torch.tensor([2.0, 5.0]), "n": torch.tensor([7, 8])}
    mean = average([a, b])
    assert mean["w"].tolist() == [1.5, 4.0] and mean["n"].tolist() == [1, 2] and a["w"].tolist() == [1.0, 3.0]
