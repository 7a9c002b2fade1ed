"""Small faults that a test of their own module must find: ``python -m tests.mutations [NUMBER ...]``.

Each is put into a copy of the source, and the test that is named for it is run there; it must fail. Prints the table of CONTRIBUTING.md; ends
with 1 if a fault survives. Takes some minutes, so it is not part of the suite: run it when one of these tests or places is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Mutation(NamedTuple):
    what: str
    file: str
    code: str
    fault: str
    test: str


OPTIONS, TRAIN = "tests/test_pipeline_options.py::", "tests/train/test_train.py::"
MUTATIONS = (
    Mutation(
        "level ignored",
        "emoface/pipeline.py",
        "level=torch.cat([row.level for row in rows]),",
        'level=self.model.conditions(style=style, level=config.level_names[0], rows=count)["level"],',
        OPTIONS + "test_level_reaches_the_decoder_and_the_named_emotion",
    ),
    Mutation(
        "cancel not passed to decoding",
        "emoface/pipeline.py",
        "            chunk=max(64 // count, 16),\n            cancel=cancel,",
        "            chunk=max(64 // count, 16),",
        OPTIONS + "test_cancel_reaches_the_decoding",
    ),
    Mutation(
        "mix squared",
        "emoface/pipeline.py",
        "track = torch.lerp(model.emotion_track(own, rest=own_rest), track, mix)",
        "track = torch.lerp(model.emotion_track(own, rest=own_rest), track, mix**2)",
        OPTIONS + "test_mix_is_linear_in_the_features_of_the_emotion_branch",
    ),
    Mutation(
        "probabilities ignore mix",
        "emoface/pipeline.py",
        "vector = torch.lerp(model.emotion_vector(own, rest=own_rest), vector, mix)",
        "pass",
        OPTIONS + "test_mix_is_linear_in_the_features_of_the_emotion_branch",
    ),
    Mutation(
        'effect in metres for fusion="add"',
        "emoface/pipeline.py",
        "vector_norm(part.emotion_offsets, dim=-1) * 1e3",
        "vector_norm(part.emotion_offsets, dim=-1)",
        OPTIONS + "test_effect_is_in_millimetres_also_where_branches_are_added",
    ),
    Mutation(
        "temporal smoothness off in the ARKit fit",
        "emoface/head.py",
        "step * np.float32(smoothness)\n",
        "np.float32(0)\n",
        "tests/test_head.py::test_fit_is_calm_under_noise_and_does_not_lag",
    ),
    Mutation(
        "lip_seal left out of the total",
        "train/train.py",
        "* value for name, value in terms.items())",
        '* value for name, value in terms.items() if name != "lip_seal")',
        TRAIN + "test_every_lip_term_counts_in_the_total_with_its_own_weight",
    ),
    Mutation(
        "lip_seal taken on the middle instead of the line",
        "train/train.py",
        "losses.lip_seal(fused, truth, pairs.line, batch.mask)",
        "losses.lip_seal(fused, truth, pairs.middle, batch.mask)",
        TRAIN + "test_lips_are_sealed_along_the_whole_line",
    ),
    Mutation(
        "content branch pulled towards the cross emotion",
        "train/train.py",
        '        if name == "self":\n            alone.append(',
        "        if name:\n            alone.append(",
        TRAIN + "test_the_content_branch_alone_is_compared_with_its_own_words_only",
    ),
    Mutation(
        "attention_rate ignored",
        "train/train.py",
        "scale=config.attention_rate",
        "scale=1.0",
        TRAIN + "test_attention_rate_scales_the_step_of_mesh_attention_alone",
    ),
    Mutation(
        "style ignored",
        "emoface/pipeline.py",
        'styles = self.model.conditions(style=style, level=config.level_names[0], rows=count)["style"]',
        'styles = self.model.conditions(style=config.style_names[0], level=config.level_names[0], rows=count)["style"]',
        OPTIONS + "test_style_reaches_the_decoder",
    ),
    Mutation(
        "initial_offset ignored",
        "emoface/pipeline.py",
        "start = None if initial_offset is None else self._initial(initial_offset)",
        "start = None",
        OPTIONS + "test_initial_offset_reaches_both_branches",
    ),
)


def found(mutation: Mutation, copy: Path) -> bool:
    """Whether the test fails where the fault is."""
    path = copy / mutation.file
    source = path.read_text("utf-8")
    if source.count(mutation.code) != 1:
        raise SystemExit(f"{mutation.file} has {source.count(mutation.code)} places like {mutation.code!r}: write {mutation.what!r} anew.")
    path.write_text(source.replace(mutation.code, mutation.fault), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", mutation.test]
    done = subprocess.run(command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True)
    path.write_text(source, "utf-8")
    if done.returncode not in (0, 1) or " error" in done.stdout.splitlines()[-1]:
        raise SystemExit(f"{mutation.test} did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 1


def main() -> None:
    chosen = [MUTATIONS[int(number) - 1] for number in sys.argv[1:]] or MUTATIONS
    survived = 0
    print("| Fault | File | Test that fails |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("emoface", "train", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("assets", "docs", "pyproject.toml"):
            (copy / name).symlink_to(ROOT / name)
        for mutation in chosen:
            caught = found(mutation, copy)
            survived += not caught
            print(f"| {mutation.what} | `{mutation.file}` | " + (f"`{mutation.test}` |" if caught else "**none** |"), flush=True)
    raise SystemExit(bool(survived))


if __name__ == "__main__":
    main()
