"""Device, precision and threads; what needs a GPU is in the other tests, skipped without one."""

import pytest
import torch

from emoface import device
from emoface.errors import EmoFaceError


def test_auto_is_what_there_is_and_cuda_must_exist(monkeypatch):
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
        assert device.pick_device().type == ("cuda" if there else "cpu") and device.pick_device("cpu").type == "cpu"
    assert device.pick_device("cuda:0") == torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EmoFaceError, match="--device cpu"):
        device.pick_device("cuda")


def test_encoders_are_halved_on_a_gpu_only():
    assert device.encoder_precision(torch.device("cpu")) == torch.float32
    assert device.encoder_precision(torch.device("cuda", 0)) == torch.float16


@pytest.mark.parametrize(
    "files,quota",
    [
        ({"cpu.max": "200000 100000\n"}, 2), ({"cpu.max": "150000 100000\n"}, 2), ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None), ({}, None),
    ],
    ids=str,
)  # fmt: skip
def test_threads_stay_within_a_containers_quota(files, quota, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(device, "_CGROUP", tmp_path)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    for running in (32, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda: running)
        device.limit_threads()
    assert device.usable_cores() == (quota or 16)
    assert chosen == [quota or 16], "32 threads come down, 1 stays"
