"""Talking-face videos -> training folder: ``python -m train.prepare video --source DIR --out DIR [--landmarker PATH]``.

No gated asset is needed: MediaPipe's Face Landmarker (IMAGE mode: no lag) gives ARKit scores and landmarks, which
become motion of the embedded head as in ``train.corpus.drive``. RAVDESS's own file names are understood; any other
video counts as neutral speech of the speaker its folder is named after. ``train.corpus.reader.Corpus`` reads it.
"""

from __future__ import annotations

import hashlib
import urllib.request
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emoface.audio import load_audio
from emoface.clock import interpolate
from emoface.errors import EmoFaceError
from emoface.files import atomic_path
from train.corpus.drive import CORNERS, INNER_LIPS, Capture, Rest, lip_gap_mm, resting_face, to_our_order
from train.corpus.emotion import RAVDESS_NAME, parse_ravdess_name, silent_doubles
from train.corpus.envelope import speech_interval
from train.corpus.filmed import filmed_clip
from train.corpus.grid import silent_frames
from train.corpus.lips import average_head_lips
from train.corpus.speech import RAVDESS_TEXT
from train.corpus.store import merge, write_part

from .vertices import aligned

LANDMARKER_URL = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
SUFFIXES = (".mp4", ".mov", ".mpg", ".mpeg", ".avi", ".mkv", ".webm", ".flv", ".m4v")
LANDMARKS = (13, 14, 33, 263, *CORNERS)  # inner lips, outer eye corners, lip corners
MOST_MISSING, WIDEST_YAW_DEGREES = 0.25, 25.0


def prepare(source: Path, out: Path, *, landmarker: Path | None = None, processes: int = 2, max_seconds: float = 120) -> dict:
    """Write the training folder; returns its report. Videos measured by an earlier run are not measured again."""
    videos = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not videos:
        raise EmoFaceError(f"There is no video in {source}; known kinds are {', '.join(SUFFIXES)}.")
    model = find_landmarker(landmarker, out)
    for folder in ("captures", "audio", "parts"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    jobs = {identity_of(path, source): path for path in videos}
    twice = silent_doubles(path.stem for path in videos)
    reasons = _measure_all({name: path for name, path in jobs.items() if path.stem not in twice}, out, model, processes)
    reasons |= {name: "the same take with sound (01-...) is there too" for name, path in jobs.items() if path.stem in twice}
    captures = {name: read_capture(_capture_path(out, name)) for name in jobs if name not in reasons}
    rests = _resting_faces(jobs, captures, max_seconds, reasons)
    done = [name for name in captures if name not in reasons]
    labels = _labels(jobs)
    with ProcessPoolExecutor(processes) as pool:
        running = [
            pool.submit(_write, out, name, jobs[name], captures[name], rests[speaker_of(jobs[name])], labels[name], max_seconds) for name in done
        ]
        for future in tqdm(running, desc="driving the head", unit="clip"):
            future.result()
    if not done:
        raise EmoFaceError("No video was usable: " + "; ".join(_sentences(reasons)[:5]) + ".")
    return merge(out, done, _sentences(reasons))


def _sentences(reasons: dict[str, str]) -> list[str]:
    return [f"{name}: {reason}" for name, reason in sorted(reasons.items())]


def identity_of(path: Path, source: Path) -> str:
    """A name for the clip that is unique in the folder."""
    return "_".join(path.relative_to(source).with_suffix("").parts).replace(" ", "_")


def speaker_of(path: Path) -> str:
    return f"ravdess_{path.stem[-2:]}" if RAVDESS_NAME.fullmatch(path.stem) else path.parent.name


def find_landmarker(path: Path | None, out: Path) -> Path:
    """The given model file, or the official one, downloaded once; checked by its sha256 in both cases."""
    target = path or out / "face_landmarker.task"
    if path is None and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with urllib.request.urlopen(LANDMARKER_URL, timeout=60) as answer, atomic_path(target) as temporary:
                temporary.write_bytes(answer.read())
        except OSError as error:
            raise EmoFaceError(f"MediaPipe's model could not be downloaded ({error}); pass {LANDMARKER_URL} with --landmarker.") from error
    if not target.exists():
        raise EmoFaceError(f"There is no file {target}; download {LANDMARKER_URL}.")
    if hashlib.sha256(target.read_bytes()).hexdigest() != LANDMARKER_SHA256:
        raise EmoFaceError(f"{target} is not the Face Landmarker that is known here; download {LANDMARKER_URL}.")
    return target


def _capture_path(out: Path, name: str) -> Path:
    return out / "captures" / f"{name}.npz"


def _measure_all(jobs: dict[str, Path], out: Path, model: Path, processes: int) -> dict[str, str]:
    """Run MediaPipe over all videos that have no capture yet; returns why some were rejected."""
    todo = {name: path for name, path in jobs.items() if not _capture_path(out, name).exists()}
    reasons: dict[str, str] = {}
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(measure, path, _capture_path(out, name), model): name for name, path in todo.items()}
        for future in tqdm(as_completed(running), total=len(running), desc="finding faces", unit="video"):
            if future.exception() is not None:
                if not isinstance(future.exception(), EmoFaceError):
                    raise future.exception()
                reasons[running[future]] = str(future.exception())
    for name in jobs:
        if name not in reasons and (reason := _reason_to_reject(_capture_path(out, name))):
            reasons[name] = reason
    return reasons


@lru_cache(maxsize=1)
def _landmarker(model: str):
    """One landmarker per process."""
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except (ImportError, OSError) as error:
        raise EmoFaceError(
            f"MediaPipe cannot be used ({error}): pip install -r train/requirements.txt, and on a bare Debian apt-get install libgles2 libegl1."
        ) from error
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=model),
            running_mode=vision.RunningMode.IMAGE,
            num_faces=1,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
    )


def measure(video: Path, target: Path, model: Path) -> None:
    """Scores, lip gap and head pose of every frame of a video, on an even clock, to ``target``."""
    scores, points, poses, times, size = [], [], [], [], (1, 1)
    for seconds, image in read_frames(video):
        size = image.shape[1::-1]
        found = _detect(image, str(model))
        times.append(seconds)
        scores.append(found[0])
        points.append(found[1])
        poses.append(found[2])
    if len(times) < 2:
        raise EmoFaceError(f"{video.name} holds no moving picture")
    times = np.array(times) - times[0]
    detected = np.array([s is not None for s in scores])
    fps = float(1 / np.median(np.diff(times)))
    blank = (np.zeros(52), np.full((len(LANDMARKS), 3), np.nan), np.eye(4))
    rows = [np.stack([x if x is not None else b for x in column]) for column, b in zip((scores, points, poses), blank)]
    gap, width = (lip_gap_mm(rows[1], np.array(LANDMARKS), size[0] / size[1], between=pair) for pair in (INNER_LIPS, CORNERS))
    # Variable frame rates: put everything on an even clock; a frame counts as seen if its nearest one is.
    even = np.arange(int(round(times[-1] * fps)) + 1) / fps
    nearest = np.abs(times[None] - even[:, None]).argmin(axis=1) if len(times) < 20000 else np.searchsorted(times, even)
    with atomic_path(target) as path:
        np.savez(
            path,
            scores=interpolate(even, times, rows[0])[:, :] * detected[nearest, None],
            gap_mm=gap[nearest],
            width_mm=width[nearest],
            detected=detected[nearest],
            pose=rows[2][nearest],
            fps=fps,
        )


def read_frames(video: Path):
    """Yield (seconds, (H, W, 3) uint8 RGB) of all frames."""
    import av

    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 25)
            for i, frame in enumerate(container.decode(stream)):
                seconds = float(frame.time) if frame.time is not None else i / rate
                yield seconds, np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, IndexError) as error:
        raise EmoFaceError(f"{video.name} cannot be decoded ({error})") from error


def _detect(image: np.ndarray, model: str) -> tuple:
    """(52,) scores, (4, 3) landmarks and (4, 4) pose; (None, None, None) without a face."""
    import mediapipe

    result = _landmarker(model).detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
    if not result.face_blendshapes:
        return None, None, None
    shapes = result.face_blendshapes[0]
    scores = to_our_order(np.array([[s.score for s in shapes]]), [s.category_name for s in shapes])[0]
    points = np.array([[p.x, p.y, p.z] for p in (result.face_landmarks[0][k] for k in LANDMARKS)])
    return scores, points, np.asarray(result.facial_transformation_matrixes[0], float)


def read_capture(path: Path) -> Capture:
    with np.load(path, allow_pickle=False) as file:
        return Capture(file["scores"], file["gap_mm"], file["detected"], float(file["fps"]), file["width_mm"])


def _reason_to_reject(path: Path) -> str | None:
    with np.load(path, allow_pickle=False) as file:
        detected, pose = file["detected"], file["pose"]
    missing = 1 - detected.mean()
    if missing > MOST_MISSING:
        return f"no face in {missing:.0%} of the frames"
    yaw = np.degrees(np.arctan2(pose[detected, 0, 2], pose[detected, 2, 2]))
    if np.median(np.abs(yaw)) > WIDEST_YAW_DEGREES:
        return f"the head is turned by {np.median(np.abs(yaw)):.0f} degrees"
    return None


def _resting_faces(jobs: dict[str, Path], captures: dict[str, Capture], max_seconds: float, reasons: dict[str, str]) -> dict[str, Rest]:
    """Resting face by speaker, from neutral clips only: the rest of an emotional clip contains the emotion."""
    grouped: dict[str, list] = {}
    labels = _labels(jobs)
    for name, capture in captures.items():
        try:
            audio = load_audio(jobs[name], max_seconds=max_seconds)
        except EmoFaceError as error:
            reasons[name] = f"its sound cannot be used: {error}"
            continue
        if labels[name]["emotion"] == "neutral":
            silent = silent_frames(capture, speech_interval(audio.samples, audio.sample_rate))
            grouped.setdefault(speaker_of(jobs[name]), []).append((capture, silent))
    for name in captures:
        if name not in reasons and speaker_of(jobs[name]) not in grouped:
            reasons[name] = "its speaker has no neutral clip, so the resting face is unknown"
    return {speaker: resting_face(*map(list, zip(*pairs))) for speaker, pairs in grouped.items()}


def _labels(jobs: dict[str, Path]) -> dict[str, dict]:
    """What is known of each clip: RAVDESS's names tell it; of other videos about every tenth, and at least one of several, is ``val``.

    A clip's name decides, so it stays where it is when others are added, unless it was ``val`` for want of another.
    """
    draw = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32 for name in jobs}
    others = [name for name, path in jobs.items() if not RAVDESS_NAME.fullmatch(path.stem)]
    held_out = {name for name in others if draw[name] < 0.1}
    if len(others) > 1 and not held_out:
        held_out = {min(others, key=draw.get)}
    labels = {}
    for name, path in sorted(jobs.items()):
        if RAVDESS_NAME.fullmatch(path.stem):
            fields = parse_ravdess_name(path.stem)
            split = "train" if fields["actor"] <= 20 else "val" if fields["actor"] <= 22 else "test"
            labels[name] = dict(emotion=fields["emotion"], level=fields["level"], text=RAVDESS_TEXT[fields["statement"]], split=split)
        else:
            labels[name] = dict(emotion="neutral", level=0, text="", split="val" if name in held_out else "train")
    return labels


def _write(out: Path, name: str, video: Path, capture: Capture, rest: Rest, label: dict, max_seconds: float) -> None:
    """Drive the head with a video's measurements and store the clip."""
    audio = load_audio(video, max_seconds=max_seconds)
    samples, rate = np.asarray(audio.samples, np.float32), audio.sample_rate
    speaker = speaker_of(video)
    clip = filmed_clip(
        capture,
        rest,
        average_head_lips(),
        samples=samples,
        sample_rate=rate,
        speech=speech_interval(samples, rate),
        identity=name,
        source="video",
        speaker=speaker,
        style=speaker,
        phones=aligned(samples, label["text"], out / "alignments" / f"{name}.json"),
        **label,
    )
    write_part(clip, out)
