"""Where the picture is taken from: a portrait lens that frames the head by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import EmoFaceError
from ..head import MASK_GROUPS


@dataclass(frozen=True)
class Camera:
    """A perspective camera on a circle round the head, which looks along +z at rest (y up)."""

    yaw: float = 0.0
    """Degrees; positive walks toward the head's left side (+x)."""
    pitch: float = 0.0
    """Degrees; positive looks down from above."""
    field_of_view: float = 18.0
    """Vertical angle in degrees; small as with a portrait lens, so that the nose does not grow."""
    zoom: float = 1.0
    """2 shows half as much."""
    center: tuple[float, float, float] | None = None
    """Point in the middle of the picture, in the units of the vertices; None = frame the head."""
    region: str | None = None
    """Region or group of regions (``emoface.head.MASK_GROUPS``) in the middle of the picture; None = the head."""
    height: float | None = None
    """How much of the world the picture is high at ``center``, in the units of the vertices; None = frame the head."""

    def rotation(self) -> np.ndarray:
        """(3, 3) float32, world to camera axes (x right, y up, z toward the viewer)."""
        yaw, pitch = np.radians([self.yaw, self.pitch])
        turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        tilt = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        return (tilt @ turn).astype(np.float32)

    def framed(self, vertices: np.ndarray, *, aspect: float = 1.0, regions: np.ndarray | None = None, dressed: bool = False) -> Camera:
        """This camera with ``center`` and ``height`` filled in for a head (V, 3).

        ``regions`` (V,) are needed by cameras that aim at one; EmoFaceError where a mesh has no such region. There is air above the head, and the lower edge of the picture cuts the neck rather than showing its end.
        ``aspect`` is width / height of the picture; ``dressed`` leaves room for hair and shoulders round the head.
        """
        if self.center is not None and self.height is not None:
            return self
        vertices = np.asarray(vertices, np.float32)
        middle = (vertices.min(0) + vertices.max(0)) / 2
        seen = (vertices - middle) @ self.rotation().T
        low, high = seen.min(0), seen.max(0)
        cut, air, beside = (0.02, 0.15, 1.45) if dressed else (0.10, 0.07, 1.16)
        bottom, top = low[1] + cut * (high[1] - low[1]), high[1] + air * (high[1] - low[1])
        height = max(top - bottom, beside * (high[0] - low[0]) / aspect)
        if self.region is not None:
            seen_region = seen[self._aimed_at(regions)]
            aim = (seen_region.min(0) + seen_region.max(0)) / 2
            low[0], high[0], top = aim[0], aim[0], aim[1] + height / 2
        center = np.array([(low[0] + high[0]) / 2, top - height / 2, 0]) @ self.rotation() + middle
        return replace(
            self,
            center=tuple(float(x) for x in center) if self.center is None else self.center,
            height=float(height) if self.height is None else self.height,
        )

    def _aimed_at(self, regions: np.ndarray | None) -> np.ndarray:
        found = np.zeros(0, bool) if regions is None else np.isin(regions, MASK_GROUPS.get(self.region, (self.region,)))
        if not found.any():
            raise EmoFaceError(f"This mesh has no region named {self.region!r}, so no camera can aim at it; use front, three_quarter or profile.")
        return found

    def project(self, vertices: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """(V, 3) world -> (V, 3) camera space and (V, 3) screen: x, y in pixels (y down) and 1 / distance.

        The camera must be ``framed``. Vertices behind the lens are pulled in front of it.
        """
        seen = (vertices - np.asarray(self.center, np.float32)) @ self.rotation().T
        visible = self.height / self.zoom
        distance = self.height / (2 * np.tan(np.radians(self.field_of_view) / 2))
        inverse = 1 / np.maximum(distance - seen[:, 2], 0.05 * distance)
        scale = distance * height / visible * inverse
        screen = np.stack([width / 2 + seen[:, 0] * scale, height / 2 - seen[:, 1] * scale, inverse * distance], 1)
        return np.ascontiguousarray(seen, np.float32), np.ascontiguousarray(screen, np.float32)


CAMERAS = {"front": Camera(), "three_quarter": Camera(yaw=35, pitch=3), "profile": Camera(yaw=90), "mouth": Camera(zoom=2.6, region="mouth")}


def find_camera(camera: Camera | str) -> Camera:
    """A camera, or one of ``CAMERAS`` by name."""
    if isinstance(camera, Camera):
        return camera
    if camera in CAMERAS:
        return CAMERAS[camera]
    raise EmoFaceError(f"There is no camera {camera!r}; choose one of {', '.join(CAMERAS)} or pass a Camera.")
