"""A study folder with simulated raters: what ``study make`` writes (without clips) plus answers."""

import json
from pathlib import Path

import numpy as np
import yaml

from emoface.study.design import parse_design
from emoface.study.plan import all_stimuli, plan_rater
from emoface.study.storage import Answer, Storage, default_path

QUALITY = {"alpha": 4.2, "beta": 3.0, "gamma": 2.0}


def answered_study(folder: Path, raw: dict, *, raters: int = 12, seed: int = 0, spoil=None) -> Path:
    """``spoil(rater, stimulus, aspect, value)`` may change an answer; None leaves it out."""
    design = parse_design(raw, folder=folder)
    private = folder / "private"
    private.mkdir(parents=True)
    (private / "design.yaml").write_text(yaml.safe_dump(raw))
    ids = {stimulus: f"clip{index}" for index, stimulus in enumerate(all_stimuli(design))}
    key = {ids[s]: {**vars(s), "emotion": design.item(s.item).emotion, "level": design.item(s.item).level} for s in ids}
    (private / "key.json").write_text(json.dumps({"study": "test", "stimuli": key}))
    rng = np.random.default_rng(seed)
    storage = Storage(default_path(folder))
    for number in range(raters):
        code = storage.add_rater("test", plans=design.rater_count, language="en", about={}).code
        storage.set_playback(code, passed=True, tries=1, player="video")
        strictness = rng.normal(0, 0.4)
        for place, page in enumerate(plan_rater(design, number % design.rater_count)):
            for position, stimulus in enumerate(page.stimuli):
                for aspect in design.aspects:
                    value = int(np.clip(np.rint(QUALITY[stimulus.method] + strictness + rng.normal(0, 0.7)), 1, 5))
                    value = {"attention": stimulus.answer, "gold": 1}.get(stimulus.kind, value)
                    value = spoil(number, stimulus, aspect.id, value) if spoil else value
                    if value is not None:
                        storage.store(code, [Answer(place, ids[stimulus], aspect.id, value, position, 1, 6.0, "video", 1.0)])
        storage.finish(code)
    storage.close()
    return folder
