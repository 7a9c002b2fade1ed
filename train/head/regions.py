"""Names every skin vertex. Rules use the symmetric average head in millimetres, so both sides are mirror images."""

from __future__ import annotations

import numpy as np

from .lips import Opening
from .makehuman import target
from .topology import QuadMesh

SKIN_REGIONS = (
    "lips_upper",
    "lips_lower",
    "mouth_ring",
    "mouth_cavity",
    "jaw",
    "chin",
    "cheek_left",
    "cheek_right",
    "nose",
    "eyelid_left",
    "eyelid_right",
    "eye_socket_left",
    "eye_socket_right",
    "brow_left",
    "brow_right",
    "forehead",
    "ear_left",
    "ear_right",
    "scalp",
    "neck",
)
_FREE = ("mouth_ring", "jaw", "chin", "cheek", "nose", "brow", "forehead", "scalp", "neck")


def _moved_by(names: list[str], source: np.ndarray) -> np.ndarray:
    """(S,) how much modelling targets move each vertex, relative to their maximum."""
    size = [np.linalg.norm(target(n)[source], axis=1) for n in names]
    return np.max([s / s.max() for s in size], axis=0)


def name_regions(
    skin: np.ndarray,
    source: np.ndarray,
    mesh: QuadMesh,
    deltas: dict[str, np.ndarray],
    lips: Opening,
    lids: dict[str, Opening],
) -> np.ndarray:
    """(S,) region names; ``source`` are the vertices' base.obj indices."""
    x, y, z = np.abs(skin[:, 0]) * 1e3, skin[:, 1] * 1e3, skin[:, 2] * 1e3
    names = np.full(len(skin), "", dtype="<U16")

    def put(name: str, where: np.ndarray) -> None:
        names[(names == "") & where] = name

    def among(vertices: np.ndarray) -> np.ndarray:
        return np.isin(np.arange(len(skin)), vertices)

    put("mouth_cavity", among(lips.hidden))
    for side, lid in lids.items():
        put(f"eye_socket_{side}", among(lid.hidden))
    corners = lips.outer[:, lips.lower[[0, -1]]]
    put("lips_lower", among(lips.outer[:, lips.lower[1:-1]]))
    put("lips_upper", among(lips.outer[:, lips.upper]) | among(corners))
    put("ear", _moved_by([f"ears/{s}-ear-wing-incr" for s in "lr"], source) > 0.03)

    ex, ey = 1e3 * skin[lids["left"].outer[0], :2].mean(axis=0)
    put("eyelid", ((x - ex) / 21) ** 2 + ((y - ey) / 11.5) ** 2 < 1)
    names[(names == "eyelid") & (z < 20)] = ""
    nose = _moved_by([f"nose/nose-{t}-incr" for t in ("scale-horiz", "volume", "scale-depth")], source)
    put("nose", (nose > 0.35) & (y < 30) & (y > -35) & (x < 24))
    put("nose", (x < 11 - (y - 8) * 0.06) & (y > 8) & (y <= 30) & (z > 40))
    above, below = y > 31 - np.clip(x - 35, 0, 20) * 0.25, y < 48.5 - (x / 55) ** 2 * 5
    put("brow", (x > 4) & (x < 55) & (z > 30) & above & below)
    put("forehead", (y > 28) & (y < 100) & (x < 62 - np.clip(y - 60, 0, 40) * 0.35) & (z > 18))
    put("mouth_ring", (x / 38) ** 2 + ((y + 44) / 23) ** 2 < 1)
    names[(names == "mouth_ring") & (z < 30)] = ""
    put("chin", (y < -58) & (x < 30) & (z > 25))
    put("cheek", (z > 4 + np.clip(-y - 30, 0, 40) * 0.3) & (y > -48) & (y <= 30) & (x > 8))
    drop = -deltas["jawOpen"][:, 1] * 1e3
    put("jaw", (drop > 3) & (y < -22) & (y > -88 + 0.35 * np.clip(45 - z, 0, 60)))
    put("neck", y < -45 - z * 0.15)
    put("scalp", names == "")
    names = _smooth(names, mesh)
    sided = np.isin(names, ("ear", "eyelid", "brow", "cheek"))
    names[sided] = np.char.add(names[sided], np.where(skin[sided, 0] > 0, "_left", "_right"))
    return names


def _smooth(names: np.ndarray, mesh: QuadMesh, rounds: int = 4) -> np.ndarray:
    """Straighten ragged borders: a vertex takes the name that three quarters of its neighbours share."""
    for _ in range(rounds):
        new = names.copy()
        for v in np.flatnonzero(np.isin(names, _FREE)):
            around, counts = np.unique(names[list(mesh.neighbors[v])], return_counts=True)
            best = around[counts.argmax()]
            if counts.max() >= 0.7 * counts.sum() and best in _FREE:
                new[v] = best
        names = new
    return names
