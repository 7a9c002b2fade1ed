"""FLAME's vertex masks, from the file each user gets at https://flame.is.tue.mpg.de (it may not be passed on).

Those files, like VOCASET's, are pickles, and a pickle can run any code when it is loaded. :func:`load_pickle` therefore
builds arrays, numbers, text, lists and dictionaries only, and refuses everything else.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import EmoFaceError
from .reading import read_bytes

VERTEX_COUNT = 5023


def load_masks(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """``FLAME_masks.pkl`` -> {name: unique vertex indices}: ``lips`` (250), ``eye_region``, ``forehead``, ..."""
    masks = load_pickle(path)
    if not isinstance(masks, dict) or not all(isinstance(item, (np.ndarray, list)) for item in masks.values()):
        raise EmoFaceError(f"{path} holds no vertex masks; use FLAME's own FLAME_masks.pkl.")
    return {str(name): np.unique(np.asarray(item, int)) for name, item in masks.items()}


def upper_face(masks: dict[str, np.ndarray]) -> np.ndarray:
    """Vertices that EVE and FDD look at: ``eye_region`` and ``forehead``, 827 vertices, without the eyeballs."""
    return np.union1d(masks["eye_region"], masks["forehead"])


def load_pickle(path: str | os.PathLike) -> Any:
    """Read a pickle of arrays and plain containers (Python 2 ones too); anything else in it is refused unread."""
    try:
        content = read_bytes(path)
        for code, number, _ in pickletools.genops(content):
            if "PUT" in code.name and isinstance(number, int) and number > len(content):
                raise ValueError("a number of an object far beyond the file")  # pickle's table of objects would grow up to it
        return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except OSError as error:
        raise EmoFaceError(f"{path} cannot be read: {error.strerror or error}.") from error
    except EmoFaceError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise EmoFaceError(f"{path} is damaged or not a pickle file; download it again.") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Knows only what numpy arrays are made of."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise EmoFaceError(f"The file asks for {module}.{name}, which is not data: refused. Use the official file.")


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """What Python 3 writes into old-protocol pickles for bytes; no other codec is needed."""
    if encoding not in ("latin1", "latin-1"):
        raise EmoFaceError(f"The file uses the codec {encoding}, which is not data; it was refused.")
    return text.encode("latin1")


def _empty(rebuild: Callable) -> Callable:
    """What numpy's own pickles begin an array with: an empty one. Another shape would take memory before there is any data."""

    def array(_: Any, shape: tuple, kind: bytes) -> np.ndarray:
        if shape != (0,):
            raise ValueError("an array without data")
        return rebuild(np.ndarray, shape, kind)

    return array


def _allowed() -> dict[tuple[str, str], Any]:
    rebuild, _, _ = np.empty(0).__reduce__()
    scalar, _ = np.float64(0).__reduce__()
    frombuffer = np.empty(0).__reduce_ex__(5)[0]
    return {
        ("numpy.core.multiarray", "_reconstruct"): _empty(rebuild),
        ("numpy.core.multiarray", "scalar"): scalar,
        ("numpy.core.numeric", "_frombuffer"): frombuffer,
        ("numpy", "ndarray"): "ndarray",  # named as an argument, never called
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }


_ALLOWED = _allowed()
