"""How deep lips, teeth, gums and tongue pass through one another, in millimetres.

    python -m train.head.penetration [--clips ../shared/data] [--heads 0 1 2]

A vertex is through a surface if the nearest point of the surface has it on its inner side; the depth is the distance to that point.
The gums' roots sit in flesh on purpose: of teeth and gums what the lips can uncover is asked (``CROWN_MM`` from the biting edge).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoface.head import Head, load_head
from train.corpus.channels import FPS
from train.corpus.drive import drive, resting_face
from train.corpus.grid import read_captures, silent_frames, speech_of_words
from train.corpus.lips import average_head_lips
from train.corpus.phones import read_word_table

from .poses import EMOTIONS, assembled, pose_weights
from .registration import closest_points, normals

JAWS = np.linspace(0, 0.5, 6)
LIMIT_MM = 0.2
CROWN_MM = 8.5


def border(faces: np.ndarray, count: int) -> np.ndarray:
    """(count,) whether a vertex lies on the open border of triangles."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, uses = np.unique(edges, axis=0, return_counts=True)
    out = np.zeros(count, bool)
    out[unique[uses == 1]] = True
    return out


def winding(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(n,) how often a surface goes round each point: 1 inside, 0 outside, 2 where it overlaps itself (van Oosterom & Strackee 1983)."""
    a, b, c = (vertices[faces[:, k]][None] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    volume = (a * np.cross(b, c)).sum(axis=2)
    rest = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    return np.arctan2(volume, rest).sum(axis=1) / (2 * np.pi)


@dataclass(frozen=True)
class Pair:
    """Vertices that must not get behind the surface of triangles."""

    points: np.ndarray
    faces: np.ndarray
    solid: np.ndarray
    """Triangles of the whole body that ``faces`` are a part of."""
    layers: int
    """How often ``solid`` may go round a point: 1 for lips, whose points lie on it, else 0."""

    def depth_mm(self, vertices: np.ndarray) -> float:
        """Deepest of the points (0 if none is inside) for the whole head's vertices (V, 3)."""
        vertices = vertices.astype(float)
        at = vertices[self.points]
        used, faces = np.unique(self.faces, return_inverse=True)
        surface, faces = vertices[used], faces.reshape(-1, 3)
        triangle, weights, near = closest_points(at, surface, faces)
        normal = (weights[..., None] * normals(surface, faces)[faces[triangle]]).sum(axis=1)
        away = at - near
        height, distance = (away * normal).sum(axis=1), np.linalg.norm(away, axis=1)
        on_border = (weights * border(faces, len(surface))[faces[triangle]]).sum(axis=1) > 0.95
        inside = (height < -0.7 * distance) & ~on_border & (1e3 * distance > LIMIT_MM / 4)
        if inside.any():  # seen from near by only; the whole surface decides
            chosen = np.flatnonzero(inside)
            under = at[chosen] - self.layers * 1e-4 * normals(vertices, self.solid)[self.points[chosen]]
            inside[chosen] = winding(under, vertices, self.solid) > self.layers + 0.5
        return float(1e3 * distance[inside].max(initial=0))


def mouth_pairs(head: Head) -> dict[str, Pair]:
    """What is asked, by name."""
    count, skin, at = head.skin_count, head.skin_faces, head.template
    ring = head.lip_rings[0].astype(int)
    lower_ring = head.regions[ring] == "lips_lower"
    cavity = np.flatnonzero(head.mask("mouth_cavity"))
    nearest = np.linalg.norm(at[cavity, None] - at[ring][None], axis=2)
    lining = cavity[nearest.min(axis=1) < 8e-3]  # the inside of the lips
    line = np.interp(at[lining, 0], *at[ring[~lower_ring]][np.argsort(at[ring[~lower_ring], 0]), :2].T)
    sides = {}
    for name, below in (("lower", True), ("upper", False)):
        chosen = np.zeros(count, bool)
        chosen[lining[(at[lining, 1] < line) == below]] = True
        chosen[:count] |= head.regions[:count] == f"lips_{name}"
        sides[name] = chosen

    def faces_of(mask: np.ndarray) -> np.ndarray:
        return head.faces[mask[head.faces].all(axis=1)]

    inside = np.zeros(len(at), bool)
    inside[:count] = head.mask("lips")[:count] | head.mask("mouth_cavity")[:count]
    front = at[:, 2] > at[ring, 2].min() - 0.012  # what lips can uncover, as far back as behind the corners
    tips = {name: np.flatnonzero(head.mask(name) & front) for name in ("teeth_upper", "teeth_lower", "tongue")}
    for name, edge in (("teeth_upper", np.min), ("teeth_lower", np.max)):
        height = at[tips[name], 1]
        tips[name] = tips[name][np.abs(height - edge(height)) < CROWN_MM / 1e3]
    corner = np.abs(at[:, 0]) > 0.9 * np.abs(at[ring, 0]).max()  # at the corners the lips are one skin
    contact = {"upper": head.lip_rings[:3][:, ~lower_ring].ravel(), "lower": head.lip_rings[:3][:, lower_ring].ravel()}
    contact = {name: points[~corner[points]].astype(int) for name, points in contact.items()}
    teeth = {name: faces_of(head.mask(name)) for name in ("teeth_upper", "teeth_lower")}

    def lip(points: np.ndarray, side: str) -> Pair:
        return Pair(points, skin[sides[side][skin].all(axis=1)], skin, 1)

    return {
        "upper lip in lower": lip(contact["upper"], "lower"),
        "lower lip in upper": lip(contact["lower"], "upper"),
        "upper teeth in lips": Pair(tips["teeth_upper"], faces_of(inside), skin, 0),
        "lower teeth in lips": Pair(tips["teeth_lower"], faces_of(inside), skin, 0),
        "tongue in lips": Pair(tips["tongue"], faces_of(inside), skin, 0),
        "lower lip in tongue": Pair(contact["lower"], faces_of(head.mask("tongue")), faces_of(head.mask("tongue")), 0),
        "tongue in upper teeth": Pair(tips["tongue"], teeth["teeth_upper"], teeth["teeth_upper"], 0),
        "tongue in lower teeth": Pair(tips["tongue"], teeth["teeth_lower"], teeth["teeth_lower"], 0),
        "teeth in teeth": Pair(tips["teeth_upper"], teeth["teeth_lower"], teeth["teeth_lower"], 0),
    }


def single_poses(names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Every shape at 1; those that mean nothing alone with their companion."""
    poses = {name: {name: 1.0} for name in names}
    return poses | {"mouthClose": {"mouthClose": 0.5, "jawOpen": 0.5}, "tongueOut": {"tongueOut": 1.0, "jawOpen": 0.3}}


def expression_poses() -> dict[str, dict[str, float]]:
    """The eight expressions at every opening of the jaw."""
    return {f"{name}, jaw {jaw:.1f}": pose | {"jawOpen": jaw} for name, pose in EMOTIONS.items() for jaw in JAWS}


def captured_clips(folder: Path, count: int = 20, step: int = 3) -> dict[str, np.ndarray]:
    """ARKit weights (T, 52), every ``step``-th frame, of ``count`` captured clips, spread over speaker s1 of GRID, as targets have them."""
    captures, words = read_captures(folder / "grid_s1_motion.npz"), read_word_table(folder / "grid_s1_words.tsv")
    names = sorted(name for name in captures if name in words)
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, count).astype(int)]
    silent = [silent_frames(captures[name], speech_of_words(words[name])) for name in chosen]
    rest = resting_face([captures[name] for name in chosen], silent)
    out = {}
    for name in chosen:
        times = np.arange(0, len(captures[name].detected) / captures[name].fps, step / FPS)
        out[name] = drive(captures[name], rest, times, average_head_lips()).weights.astype(np.float32)
    return out


def deepest(head: Head, pairs: dict[str, Pair], weights: np.ndarray) -> dict[str, tuple[float, int]]:
    """Deepest millimetres and its row, by pair, over poses (T, 52)."""
    vertices = assembled(head, weights)
    out = {}
    for name, pair in pairs.items():
        depths = [pair.depth_mm(v) for v in vertices]
        out[name] = (max(depths), int(np.argmax(depths)))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="also 20 captured clips of the training data in this folder")
    parser.add_argument("--heads", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    clips = captured_clips(options.clips) if options.clips else {}
    for index in options.heads:
        print("\n".join(table(load_head(index), clips)))


def table(head: Head, clips: dict[str, np.ndarray]) -> list[str]:
    """Lines of a Markdown table of one head: deepest millimetres, and where, for shapes, expressions and clips (T, 52)."""
    pairs, columns = mouth_pairs(head), {}
    for title, poses in (("52 shapes", single_poses(head.blendshape_names)), ("8 expressions x jaw 0-0.5", expression_poses())):
        weights = np.stack([pose_weights(pose, head.blendshape_names) for pose in poses.values()])
        found = deepest(head, pairs, weights)
        columns[title] = {name: (depth, list(poses)[row]) for name, (depth, row) in found.items()}
    if clips:
        found = {name: deepest(head, pairs, weights) for name, weights in clips.items()}
        columns[f"{len(clips)} clips"] = {p: max((found[name][p][0], name) for name in clips) for p in pairs}
    lines = [f"| head {head.index}: {head.name} | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name in pairs:
        cells = [f"{depth:.2f}" + (f" ({where})" if depth > LIMIT_MM else "") for depth, where in (c[name] for c in columns.values())]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
