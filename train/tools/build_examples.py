"""The animations that the app shows when it opens, made with the shipped weights so that nobody waits for them.

    python -m train.tools.build_examples [--model FOLDER]

Writes, for each tab, ``assets/examples/TAB.efp`` (the player's file) and ``TAB.json`` (its sounds and charts).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from emoface import EmoFacePipeline
from emoface.animation import EMOTIONS
from emoface.ui import animate, cross, importance, plots, scenes


def write(
    folder: Path, name: str, *, sounds: dict[str, str], echo: str = "", felt: str = "", compared: str = "", made: dict | None = None, **charts
) -> None:
    description = {
        "sounds": sounds,
        "echo": echo,
        "felt": felt,
        "compared": compared,
        "made": made,
        "autoplay": "muted",
        "charts": {key: asdict(chart) for key, chart in charts.items() if chart},
    }
    (folder / f"{name}.json").write_text(json.dumps(description, separators=(",", ":")), "utf-8")
    print(f"{name}: {sum((folder / file).stat().st_size for file in (f'{name}.efp', f'{name}.json')) / 1000:.0f} kB")


def opening_face(pipe: EmoFacePipeline, folder: Path, *, emotion: str, level: str) -> None:
    face = pipe(folder / "narrator.wav", emotion=emotion, level=level, idle=True, head_motion=1.0)
    scenes.single(folder / "animate.efp", face)
    felt, bars, timeline = animate.feeling_shown(face)
    made = dict(
        speech=None,
        source="named",
        other=None,
        emotion=emotion,
        mix=1,
        intensity=1,
        level=level,
        style=face.settings["style"],
        head=0,
        idle=True,
        nods=True,
    )
    write(folder, "animate", sounds={"Sound": "narrator.wav"}, echo=animate.echo_of(face), felt=felt, made=made, bars=bars, timeline=timeline)


def opening_grid(pipe: EmoFacePipeline, folder: Path, *, emotion: str, level: str) -> None:
    rows = pipe.cross_reconstruct(folder / "sad.wav", folder / "angry.wav", level=level)
    sounds = cross.show(rows, folder / "cross.efp", [folder / "cross_a.wav", folder / "cross_b.wav"])["audio"]
    write(
        folder,
        "cross",
        sounds={label: Path(path).name for label, path in sounds.items()},
        plot=plots.column_displacement(rows),
        echo="A is a sad voice, B an angry one, both saying the same sentence. Use Hear to switch between them.",
    )


def opening_maps(pipe: EmoFacePipeline, folder: Path, *, emotion: str, level: str) -> None:
    runs = {output: pipe(folder / "angry.wav", output=output, level=level) for output in ("content", "emotion", "fused")}
    scenes.branches(folder / "importance.efp", **runs)
    compared = pipe.batch([(folder / "angry.wav", name) for name in EMOTIONS], level=level)
    write(
        folder,
        "importance",
        sounds={"Sound": "angry.wav"},
        timeline=plots.region_time(runs["fused"], follows=importance.PLAYER),
        bars=plots.region_bars(runs["fused"]),
        comparison=plots.emotion_comparison(dict(zip(EMOTIONS, compared))),
        felt=animate.feeling_shown(runs["fused"])[0],
        compared=f"Compared on {compared[0].settings['speech']}, {level} level.",
    )


TABS = {"animate": opening_face, "cross": opening_grid, "importance": opening_maps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model folder or Hub id (default: embedded)")
    parser.add_argument("--folder", type=Path, default=Path("assets/examples"))
    parser.add_argument("--tab", choices=TABS, action="append", help="only this one; may be given again")
    parser.add_argument("--emotion", default="happy", help="emotion of the first face")
    parser.add_argument("--level", default="strong")
    options = parser.parse_args()
    pipe = EmoFacePipeline.from_pretrained(options.model or "embedded")
    for tab in options.tab or TABS:
        TABS[tab](pipe, options.folder, emotion=options.emotion, level=options.level)


if __name__ == "__main__":
    main()
