"""The benchmark's own arithmetic, and one very short real run.

* inner stages are not counted twice; watched functions are restored
* the stand-in for FLAME's topology is a proper surface of the right size
* FaceFormer's way of decoding gives the motion that ours gives
"""

import numpy as np
import pytest

from train.tools import benchmark


class Work:
    """Moves a clock of its own."""

    time = 0.0

    def outer(self):
        self.time += 2
        self.inner()
        return "done"

    def inner(self):
        self.time += 5


def test_stages_are_exclusive_and_functions_restored():
    work = Work()
    clock = benchmark.StageClock(now=lambda: work.time)
    with clock.watch(Work, "inner", "heads"), clock.watch(work, "outer", "decoders"), clock.stage("rest"):
        work.time += 1
        assert work.outer() == "done"
    assert (clock.seconds["heads"], clock.seconds["decoders"], clock.seconds["rest"]) == (5, 2, 1)
    assert "outer" not in vars(work) and Work.inner.__qualname__ == "Work.inner"


def test_tube_is_a_closed_oriented_surface_but_for_its_neck():
    vertices, faces = benchmark.tube()
    assert vertices.shape == (5023, 3) and set(faces.ravel()) == set(range(5023))
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # every edge once in each direction
    directed = {tuple(edge) for edge in edges.tolist()}
    assert sum((b, a) not in directed for a, b in directed) == 81
    normal = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    centre = vertices[faces].mean(axis=1) - [0, 0.1, 0]
    assert (np.einsum("ij,ij->i", normal, centre) > 0).all()


@pytest.mark.parametrize("seconds", [0.5])
def test_short_run(seconds):
    result = benchmark.measure("mini", seconds, threads=1, device="cpu", repeats=1)
    assert result["frames"] == 15 and result["factor"] > 0 and result["decoding_difference_m"] < 1e-5
    assert result["decoding_ms"] > 0 and result["fusion_ms"] > 0 and result["answer_mb"] > 0.5
    assert result["stages"]["encoder"] > 0 and result["stages"]["heads"] > 0 and result["stages"]["fusion"] > 0
    row = benchmark.table([result]).splitlines()[-1]
    assert row.startswith("| mini | 0.5 s |") and row.count("|") == benchmark.table([result]).splitlines()[0].count("|")
    report = {"command": "c", "date": "d", "machine": "m", "results": [result]}
    assert row in benchmark.page(report)


def test_goals_are_judged_by_what_was_measured():
    def case(model, seconds, **numbers):
        return {"model": model, "seconds": seconds, **numbers}

    memory = {"memory_loaded_mb": 100.0, "memory_peak_mb": 400.0, "answer_mb": 200.0}
    results = [
        case("mini", 10, factor=0.07), case("base", 10, over_floor_processor=1.4, decoding_ms=0.5, fusion_ms=0.9),
        case("mini", 60, processor_factor=0.05, **memory), case("mini", 600, processor_factor=0.06, **memory),
        case("mini", 120, factor=0.01, cpu_factor=0.05, cpu_difference_mm=0.02, cpu_difference_float32_mm=0.001),
    ]  # fmt: skip
    lines = benchmark.goals(results).splitlines()
    assert len(lines) == 8
    assert "**0.07**" in lines[0] and "reached" in lines[0]
    assert "**1.4**" in lines[1] and "missed" in lines[1]
    assert "**1.2**" in lines[4] and "missed" in lines[4] and "300 MB" in lines[5] and "200 MB" in lines[5]
    assert "**0.2**" in lines[6] and "reached" in lines[6] and "0.02 mm; 0.001 mm with float32" in lines[7]
    assert benchmark.goals(results[:1]).count("*") == 5


def test_distance_from_the_cpus_answer(tmp_path):
    """Two pipelines with the same weights, one with float16 encoders, as on a GPU."""
    import soundfile
    import torch

    soundfile.write(tmp_path / "speech.wav", benchmark.speech_like(0.5), 16000)
    halved = benchmark.build("mini", "cpu")
    halved.content_encoder.to(torch.float16)
    result = benchmark._against_cpu(halved, benchmark.build("mini", "cpu"), tmp_path / "speech.wav", 0.5)
    assert result["cpu_factor"] > 0 and 0 < result["cpu_difference_mm"] < 0.1 and result["cpu_difference_float32_mm"] < 1e-3
