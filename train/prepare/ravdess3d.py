"""3D-RAVDESS as in the paper: ``python -m train.prepare ravdess3d --source CODES --audio DIR --flame NPZ --out DIR``.

``CODES`` is the output folder of EMOCA's ``test_emoca_on_video.py --save_codes True`` or of inferno's face
reconstruction: ``.../<video>/results/<model>/<frame>_<face>/{shape,exp,pose}.npy`` (or ``jawpose`` and ``globalpose``).
The videos must have been converted to 30 fps before. Frames without a face are interpolated, a second face is ignored,
codes are smoothed by a Kalman/RTS smoother, and the shape is one per actor, because the smoother does not remove its
flicker.

The paper fixes "the last three of the pose parameters". Read literally that freezes the jaw; what it is meant for, a
smooth frontal view, needs the global rotation, the first three, to be zero. ``--fix global`` (default), ``jaw`` or
``none``.
"""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emoface.audio import load_audio
from emoface.clock import frame_count, interpolate
from emoface.errors import EmoFaceError
from train.corpus.emotion import RAVDESS_NAME, parse_ravdess_name, silent_doubles
from train.corpus.smoothing import fill_gaps, rts_smooth
from train.corpus.speech import RAVDESS_TEXT

from .flame_model import EXPRESSION_COUNT, SHAPE_COUNT, Flame
from .vertices import aligned, stored_clip, to_16k, write_clip, write_index

FPS = 30.0
FRAME_FOLDER = re.compile(r"(\d+)_(\d+)")
MOUTH_RATIO, EXPRESSION_RATIO = 10.0, 3.0
JAW_FOLLOWS_HEAD = 0.5  # correlation above which the jaw is an echo of the head's turning (a known EMOCA v2 flaw)
MOST_MISSING = 0.25
SOUND_SUFFIXES = (".wav", ".mp4", ".mov", ".flac", ".ogg", ".avi", ".mkv", ".webm")


@dataclass(frozen=True)
class Codes:
    """FLAME codes of one video, (T, n) each; ``seen`` (T,) tells the frames that had a face."""

    shape: np.ndarray
    expression: np.ndarray
    global_rotation: np.ndarray
    jaw: np.ndarray
    seen: np.ndarray


def prepare(source: Path, out: Path, *, flame: Path, audio: Path, fix: str = "global", fps: float = FPS, processes: int = 2) -> dict:
    """Write the training folder; returns its report."""
    if fix not in ("global", "jaw", "none"):
        raise EmoFaceError(f"--fix is {fix!r}; choose global, jaw or none.")
    videos = find_videos(source)
    model, rejected = _flame(flame), []
    for name in sorted(silent_doubles(videos)):
        del videos[name]
        rejected.append(f"{name}: the same take is there as 01{name[2:]}")
    sounds = {p.stem: p for p in sorted(audio.rglob("*")) if p.suffix.lower() in SOUND_SUFFIXES}
    codes: dict[str, Codes] = {}
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(_read_or_reason, videos.values())
        for name, found in tqdm(zip(videos, results), total=len(videos), desc="reading codes", unit="video"):
            if isinstance(found, str):
                rejected.append(f"{name}: {found}")
            elif _sound_of(name, sounds) is None:
                rejected.append(f"{name}: no sound named so in {audio}")
            else:
                codes[name] = found
    shapes = _shape_of_actors(codes)
    templates = {s: model.vertices(v, np.zeros((1, EXPRESSION_COUNT)), np.zeros((1, 3)))[0] for s, v in shapes.items()}
    entries = []
    with ProcessPoolExecutor(processes) as pool:
        running = [
            pool.submit(_write, out, name, shapes[_fields(name)["speaker"]], code, flame, _sound_of(name, sounds), fix, fps)
            for name, code in codes.items()
        ]
        for name, future in tqdm(zip(codes, running), total=len(running), desc="vertices", unit="video"):
            if isinstance(future.exception(), EmoFaceError):  # e.g. a sound that cannot be decoded
                rejected.append(f"{name}: {future.exception()}")
            else:
                entries.append(future.result())
    if not entries:
        raise EmoFaceError("No video was usable: " + "; ".join(rejected[:5]) + ".")
    return write_index(out, entries, templates, rejected)


def _write(out: Path, name: str, shape: np.ndarray, code: Codes, flame: Path, sound: Path, fix: str, fps: float) -> dict:
    """Animate and store one video; returns its entry. An earlier run's is kept."""
    identity, fields = f"{name}.fix_{fix}", _fields(name)
    if (entry := stored_clip(out, identity)) is not None:
        return entry
    audio = load_audio(sound)
    samples = to_16k(audio.samples, audio.sample_rate)
    vertices = animate(_flame(flame), shape, code, fix=fix, fps=fps)
    frames = min(len(vertices), frame_count(len(samples), 30, sample_rate=16000))
    fields["phones"] = aligned(samples, fields["text"], out / "alignments" / f"{name}.json")
    return write_clip(out, dict(id=identity, **fields), vertices[:frames], samples)


_flame = lru_cache(maxsize=1)(Flame.load)  # one model per process


def find_videos(source: Path) -> dict[str, Path]:
    """Folder of the frames of each video, by the video's name."""
    frames = {p.parent.parent for p in source.rglob("exp.npy")}
    if not frames:
        raise EmoFaceError(
            f"There are no codes (exp.npy per frame) in {source}; run EMOCA's test_emoca_on_video.py with "
            "--save_codes True, or inferno's face reconstruction, on videos at 30 fps."
        )
    videos: dict[str, Path] = {}
    for folder in sorted(frames):
        name = folder.parent.parent.name if folder.parent.name == "results" else folder.name
        if name in videos:
            raise EmoFaceError(f"{source} holds two results for {name}; keep one model's.")
        videos[name] = folder
    return videos


def read_codes(folder: Path) -> Codes:
    """All frames of one video; frames without a face are filled by interpolation."""
    found: dict[int, tuple[int, Path]] = {}
    for path in folder.iterdir():
        match = FRAME_FOLDER.fullmatch(path.name)
        if match and (path / "exp.npy").exists():
            frame, face = int(match[1]), int(match[2])
            if frame not in found or face < found[frame][0]:
                found[frame] = (face, path)
    if not found:
        raise EmoFaceError("no frame with a face")
    first, count = min(found), max(found) - min(found) + 1
    seen = np.isin(np.arange(count) + first, list(found))
    if 1 - seen.mean() > MOST_MISSING:
        raise EmoFaceError(f"no face in {1 - seen.mean():.0%} of the frames")
    rows = np.zeros((count, SHAPE_COUNT + EXPRESSION_COUNT + 6))
    for frame, (_, path) in found.items():
        rows[frame - first] = np.concatenate(_frame_codes(path))
    rows = fill_gaps(rows, seen)
    shape, expression, turn, jaw = np.split(rows, np.cumsum([SHAPE_COUNT, EXPRESSION_COUNT, 3]), axis=1)
    return Codes(shape, expression, turn, jaw, seen)


def _frame_codes(path: Path) -> list[np.ndarray]:
    """Shape, expression, global rotation, jaw of one frame. EMOCA's ``pose`` is global first, then jaw."""

    def read(name: str) -> np.ndarray:
        return np.load(path / f"{name}.npy", allow_pickle=False).astype(np.float64).reshape(-1)

    if (path / "pose.npy").exists():
        pose = read("pose")
    else:
        pose = np.concatenate([read("globalpose"), read("jawpose")])
    shape, expression = read("shape"), read("exp")
    sizes, expected = (len(shape), len(expression), len(pose)), (SHAPE_COUNT, EXPRESSION_COUNT, 6)
    if sizes != expected:
        raise EmoFaceError(f"shape, expression and pose have {sizes} numbers; EMOCA's have {expected}")
    return [shape, expression, pose[:3], pose[3:]]


def _read_or_reason(folder: Path) -> Codes | str:
    try:
        return read_codes(folder)
    except (EmoFaceError, OSError, ValueError) as error:
        return str(error)


def animate(model: Flame, shape: np.ndarray, codes: Codes, *, fix: str = "global", fps: float = FPS) -> np.ndarray:
    """(T, V, 3) vertices at 30 fps: codes smoothed, part of the pose fixed."""
    expression = rts_smooth(codes.expression, EXPRESSION_RATIO)
    turn, jaw = rts_smooth(codes.global_rotation, MOUTH_RATIO), rts_smooth(codes.jaw, MOUTH_RATIO)
    if fix == "global":
        jaw, turn = without_head_echo(jaw, turn), np.zeros_like(turn)
    elif fix == "jaw":
        jaw = np.zeros_like(jaw)
    source = np.arange(len(expression)) / fps
    times = np.arange(int(np.floor(round(source[-1] * FPS, 6))) + 1) / FPS
    expression, turn, jaw = (interpolate(times, source, x) for x in (expression, turn, jaw))
    return model.vertices(shape, expression, jaw, turn)


def without_head_echo(jaw: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Take out of the jaw's opening what only repeats the head's nodding, if they are strongly correlated."""
    nod, opening = turn[:, 0] - turn[:, 0].mean(), jaw[:, 0] - jaw[:, 0].mean()
    power = np.sqrt(np.sum(nod**2) * np.sum(opening**2))
    if power < 1e-12 or abs(np.sum(nod * opening)) / power < JAW_FOLLOWS_HEAD:
        return jaw
    out = jaw.copy()
    out[:, 0] -= nod * np.sum(nod * opening) / np.sum(nod**2)
    return out


def _shape_of_actors(codes: dict[str, Codes]) -> dict[str, np.ndarray]:
    grouped: dict[str, list] = {}
    for name, code in codes.items():
        grouped.setdefault(_fields(name)["speaker"], []).append(code.shape[code.seen])
    return {speaker: np.median(np.concatenate(rows), axis=0) for speaker, rows in grouped.items()}


def _sound_of(name: str, sounds: dict[str, Path]) -> Path | None:
    """The sound of a video; RAVDESS calls the same take 01-... (video) and 03-... (audio only)."""
    return sounds.get(name) or sounds.get("03" + name[2:]) or sounds.get("01" + name[2:])


def _fields(name: str) -> dict:
    """What RAVDESS's file names tell: actors 1-20 train, 21-22 validate, 23-24 test. Other names: one speaker."""
    common = dict(motion="real", source="ravdess3d")
    if not RAVDESS_NAME.fullmatch(name):
        return dict(common, split="train", speaker="speaker", style="speaker", emotion="neutral", level=0, text="")
    fields = parse_ravdess_name(name)
    actor = fields["actor"]
    return dict(
        common,
        split="train" if actor <= 20 else "val" if actor <= 22 else "test",
        speaker=f"ravdess_{actor:02d}",
        style=f"ravdess_{actor:02d}",
        emotion=fields["emotion"],
        level=fields["level"],
        text=RAVDESS_TEXT[fields["statement"]],
    )
