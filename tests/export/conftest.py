"""Small animations for the export tests: the embedded head, and a FLAME-sized mesh without parts or shapes."""

import numpy as np
import pytest

from emoface.animation import Animation
from emoface.head import load_head

FPS = 30.0


def speech_like(seconds: float, sample_rate: int = 16000) -> np.ndarray:
    """Noise in syllables: has a sharp cross-correlation, so that a shift shows."""
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * sample_rate))
    time = np.arange(len(samples)) / sample_rate
    return (samples * (0.2 + np.clip(np.sin(2 * np.pi * 4 * time), 0, 1))).astype(np.float32)


def animate(head, weights: np.ndarray, **fields) -> Animation:
    """An Animation of the embedded head from (T, 52) ARKit weights."""
    weights = np.asarray(weights, np.float32)
    vertices = head.pose(weights)
    moved = 1000 * np.linalg.norm(vertices[:, : head.skin_count] - head.skin_template, axis=2)
    track = np.full((len(weights), 8), 0.125, np.float32)
    values = {"audio": speech_like(len(weights) / FPS), "colors": head.colors, "settings": {"emotion": "happy"}}
    return Animation(
        vertices,
        head.template,
        head.faces,
        FPS,
        head.skin_count,
        head.regions,
        weights,
        head.blendshape_names,
        (moved / (1 + moved)).astype(np.float32),
        moved.astype(np.float32),
        track[0],
        track,
        **{**values, **fields},
    )


def talking_weights(head, frames: int) -> np.ndarray:
    time = np.arange(frames) / FPS
    weights = np.zeros((frames, 52), np.float32)
    for name, value in {
        "jawOpen": 0.2 - 0.2 * np.cos(2 * np.pi * 2 * time),
        "mouthSmileLeft": 0.5 * time,
        "mouthSmileRight": 0.5 * time,
        "browInnerUp": 0.5 * np.sin(3 * time) ** 2,
        "eyeLookInLeft": 0.5 * time,
        "eyeBlinkRight": (time > 0.2) * 0.7,
        "tongueOut": 0.3 * (time > 0.3),
    }.items():
        weights[:, head.blendshape_names.index(name)] = value
    return np.clip(weights, 0, 1)


@pytest.fixture(scope="session")
def head():
    return load_head(0)


@pytest.fixture(scope="session")
def talking(head):
    """Twelve frames with parts, colours, sound and all maps."""
    return animate(head, talking_weights(head, 12))


@pytest.fixture(scope="session")
def flame():
    """5023 vertices without parts, colours or ARKit shapes, like results of FaceFormer and its kin."""
    rings, segments = 5023 // 49, 49
    turn = 2 * np.pi * np.arange(segments) / segments
    grid = [[np.sin(p) * np.sin(t), 1.3 * np.cos(p), np.sin(p) * np.cos(t)] for p in np.linspace(0.05, np.pi - 0.3, rings) for t in turn]
    template = 0.1 * np.array([*grid, *[grid[-1]] * (5023 - len(grid))], np.float32)
    r, s = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    a, b = (r * segments + s).ravel(), (r * segments + (s + 1) % segments).ravel()
    faces = np.concatenate([np.stack([a, a + segments, b], 1), np.stack([b, a + segments, b + segments], 1)])
    frames, count = 9, len(template)
    random = np.random.default_rng(1)
    bumps = random.normal(size=(2, 3))
    wave = np.sin(np.arange(frames) / 2)[:, None] * [1, 0.3] + [[0, 0.2]]
    motion = np.einsum("tk,vk,kd->tvd", wave, np.exp(-(((template[:, :2] + 0.05) / 0.03) ** 2)), 0.004 * bumps)
    return Animation(
        (template + motion).astype(np.float32),
        template,
        faces.astype(np.int32),
        FPS,
        count,
        np.full(count, "skin"),
        np.zeros((frames, 0), np.float32),
        (),
        np.zeros((frames, 0), np.float32),
        np.zeros((frames, 0), np.float32),
        np.full(8, 0.125, np.float32),
        np.full((frames, 8), 0.125, np.float32),
    )
