"""FLAME 2020 without chumpy: one restricted conversion to npz, and the model in numpy.

``generic_model.pkl`` is a Python 2 pickle of chumpy objects and sparse matrices; the converter builds arrays only.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emoface import flame as safe
from emoface.errors import EmoFaceError
from emoface.files import atomic_path

SHAPE_COUNT, EXPRESSION_START, EXPRESSION_COUNT = 100, 300, 50  # EMOCA's codes; FLAME has 300 + 100
JOINTS = ("root", "neck", "jaw", "eye_left", "eye_right")
WHERE = "Register at https://flame.is.tue.mpg.de and download 'FLAME 2020'; the file is generic_model.pkl"


class _Stub:
    """Stands for a class that is not to be run; keeps the state that the pickle gives it."""

    def __init__(self, *arguments, **_):
        self.arguments, self.state = arguments, {}

    def __setstate__(self, state):
        self.state = state if isinstance(state, dict) else {"state": state}


class _FlameUnpickler(safe._ArrayUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy" or module.startswith("scipy.sparse"):
            return _Stub
        if (module, name) == ("copy_reg", "_reconstructor") or (module, name) == ("copyreg", "_reconstructor"):
            return lambda cls, base, state: _Stub()
        if module in ("__builtin__", "builtins") and name == "object":
            return object
        return super().find_class(module, name)


def _array(value: Any) -> np.ndarray:
    """Array of a plain, chumpy or sparse value."""
    if not isinstance(value, _Stub):
        return np.asarray(value)
    state = value.state
    if "x" in state:  # chumpy.Ch keeps its value there
        return _array(state["x"])
    if {"data", "indices", "indptr"} <= set(state):
        return _dense(state)
    raise EmoFaceError("FLAME's file holds an unknown kind of array; use generic_model.pkl of FLAME 2020.")


def _dense(state: dict) -> np.ndarray:
    """Compressed sparse columns or rows (the shape tells which)."""
    shape = tuple(int(x) for x in state.get("_shape", state.get("shape")))
    out, indptr = np.zeros(shape), np.asarray(state["indptr"])
    major = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    minor, data = np.asarray(state["indices"]), np.asarray(state["data"])
    by_column = len(indptr) == shape[1] + 1 and (shape[0] != shape[1])
    rows, columns = (minor, major) if by_column else (major, minor)
    out[rows, columns] = data
    return out


def convert(source: Path, out: Path) -> dict:
    """``generic_model.pkl`` -> npz of v_template, f, shapedirs, posedirs, J_regressor, parents, weights."""
    try:
        with open(source, "rb") as file:
            model = _FlameUnpickler(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, KeyError) as error:
        raise EmoFaceError(f"{source} is no FLAME model ({error}). {WHERE}.") from error
    needed = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")
    if not isinstance(model, dict) or any(name not in model for name in needed):
        raise EmoFaceError(f"{source} lacks parts of a FLAME model. {WHERE}.")
    arrays = {name: _array(model[name]) for name in needed}
    if len(arrays["weights"][0]) != len(JOINTS):
        raise EmoFaceError(f"{source} has no jaw joint; EMOCA's codes need FLAME 2020, not 'FLAME 2023 no jaw'.")
    parents = arrays.pop("kintree_table")[0].astype(np.int64)
    parents[0] = -1
    arrays = {name: a.astype(np.int32 if name == "f" else np.float32) for name, a in arrays.items()}
    with atomic_path(out) as path:
        np.savez(path, parents=parents, **arrays)
    return dict(written=str(out), vertices=int(len(arrays["v_template"])))


@dataclass(frozen=True)
class Flame:
    """Linear blend skinning with FLAME's bases (Li et al. 2017)."""

    v_template: np.ndarray
    f: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    J_regressor: np.ndarray
    parents: np.ndarray
    weights: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Flame:
        if not path.exists() or path.suffix != ".npz":
            raise EmoFaceError(f"{path} is no converted FLAME: python -m train.prepare flame --source PKL --out NPZ")
        with np.load(path, allow_pickle=False) as file:
            return cls(**{name: file[name] for name in cls.__dataclass_fields__})

    def vertices(self, shape: np.ndarray, expression: np.ndarray, jaw: np.ndarray, global_rotation: np.ndarray | None = None) -> np.ndarray:
        """(T, V, 3) metres for a shape (100,), expressions (T, 50), axis-angles (T, 3) of jaw and root."""
        count, joints = len(expression), len(self.parents)
        shape_basis = self.shapedirs[:, :, : len(shape)]
        start = min(EXPRESSION_START, self.shapedirs.shape[2] - expression.shape[1])
        expression_basis = self.shapedirs[:, :, start : start + expression.shape[1]]
        rest = self.v_template + shape_basis @ shape + np.einsum("vck,tk->tvc", expression_basis, expression)
        places = np.einsum("jv,tvc->tjc", self.J_regressor, rest)
        rotations = np.tile(np.eye(3), (count, joints, 1, 1))
        rotations[:, JOINTS.index("jaw")] = rotation_matrices(jaw)
        if global_rotation is not None:
            rotations[:, 0] = rotation_matrices(global_rotation)
        features = (rotations[:, 1:] - np.eye(3)).reshape(count, -1)
        posed = rest + np.einsum("vck,tk->tvc", self.posedirs, features)
        return self._skin(posed, places, rotations)

    def _skin(self, posed: np.ndarray, places: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        turns, shifts = [rotations[:, 0]], [places[:, 0]]
        for j in range(1, len(self.parents)):
            parent = int(self.parents[j])
            offset = (places[:, j] - places[:, parent])[..., None]
            shifts.append((turns[parent] @ offset)[..., 0] + shifts[parent])
            turns.append(turns[parent] @ rotations[:, j])
        out = np.zeros_like(posed)
        for j, (turn, shift) in enumerate(zip(turns, shifts)):
            moved = (posed - places[:, j][:, None]) @ turn.transpose(0, 2, 1) + shift[:, None]
            out += self.weights[:, j][None, :, None] * moved
        return out.astype(np.float32)


def rotation_matrices(axis_angles: np.ndarray) -> np.ndarray:
    """(T, 3) axis-angles -> (T, 3, 3), Rodrigues."""
    angle = np.linalg.norm(axis_angles, axis=1)[:, None, None]
    x, y, z = (axis_angles / np.maximum(angle[:, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
