"""What tells the 24 people apart besides their shape: hair, its colour, eyes, brows, beard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLACK, DARK, BROWN, CHESTNUT = (42, 36, 35), (62, 45, 36), (92, 64, 45), (116, 74, 48)
AUBURN, DARK_BLOND, BLOND, GREY, SALT = (140, 74, 44), (150, 116, 78), (192, 156, 106), (150, 146, 142), (92, 86, 82)
IRIS_DARK, IRIS_BROWN, IRIS_AMBER = (48, 30, 20), (92, 58, 34), (126, 86, 44)
IRIS_HAZEL, IRIS_GREEN, IRIS_BLUE, IRIS_GREY = (112, 100, 58), (96, 120, 84), (92, 132, 164), (122, 138, 148)


@dataclass(frozen=True)
class Style:
    """Colours are sRGB."""

    hair: str
    hair_color: tuple[int, int, int]
    iris: tuple[int, int, int]
    brow: float = 1.0
    """Thickness of the brows."""
    arch: float = 0.0
    """How much higher the outer half of the brows is, mm."""
    beard: float = 0.0
    """Shadow of a beard, 0..1."""
    freckles: float = 0.0
    lips: float = 0.5
    """Redness of the lips, 0..1."""
    shirt: tuple[int, int, int] = (96, 108, 122)
    brow_color: tuple[int, int, int] | None = None

    @property
    def brows(self) -> np.ndarray:
        """Colour of the brows: the hair's, never too light to be seen."""
        if self.brow_color:
            return np.array(self.brow_color, float)
        color = np.array(self.hair_color, float)
        return color * min(1.0, 78 / color.mean())


PEOPLE: tuple[Style, ...] = (
    Style("short", (84, 60, 45), IRIS_BROWN, 0.92, 0.3, 0.0, lips=0.45),
    Style("curly", BLACK, IRIS_DARK, 0.8, 1.0, lips=0.55, shirt=(150, 84, 66)),
    Style("side_part", BLACK, IRIS_DARK, 1.05, 0.0, 0.15, shirt=(66, 74, 88)),
    Style("bun", BLACK, IRIS_DARK, 0.8, 0.8, lips=0.6, shirt=(120, 98, 126)),
    Style("short", BROWN, IRIS_BLUE, 1.1, 0.0, 0.5, shirt=(84, 96, 84)),
    Style("bob", DARK_BLOND, IRIS_GREEN, 0.8, 0.8, freckles=0.6, lips=0.5, shirt=(96, 122, 140)),
    Style("buzz", (52, 46, 44), IRIS_DARK, 1.1, 0.0, 0.55, shirt=(108, 112, 116)),
    Style("bob", (74, 54, 44), IRIS_BROWN, 0.85, 0.5, lips=0.6, shirt=(138, 110, 92)),
    Style("short", BLACK, IRIS_DARK, 1.1, 0.2, 0.2, shirt=(70, 86, 108)),
    Style("long", BLACK, IRIS_BROWN, 0.85, 0.6, lips=0.6, shirt=(164, 150, 132)),
    Style("side_part", BLOND, IRIS_BLUE, 1.0, 0.0, 0.25, shirt=(74, 78, 92)),
    Style("curly", CHESTNUT, IRIS_HAZEL, 0.85, 0.7, freckles=0.3, lips=0.5, shirt=(88, 116, 108)),
    Style("coils", BLACK, IRIS_DARK, 1.1, 0.0, 0.45, shirt=(126, 122, 112)),
    Style("bun", (78, 70, 67), IRIS_DARK, 0.8, 0.5, lips=0.6, shirt=(132, 70, 78)),
    Style("buzz", (40, 36, 35), IRIS_DARK, 1.0, 0.0, 0.35, shirt=(92, 98, 112)),
    Style("curly", DARK, IRIS_BROWN, 0.85, 0.6, lips=0.55, shirt=(110, 120, 96)),
    Style("bald", SALT, IRIS_GREY, 1.15, 0.0, 0.75, shirt=(80, 84, 92), brow_color=(72, 62, 56)),
    Style("bun", AUBURN, IRIS_GREEN, 0.8, 0.8, freckles=0.9, lips=0.5, shirt=(98, 106, 132)),
    Style("bald", BLACK, IRIS_DARK, 1.1, 0.0, 0.6, shirt=(120, 86, 70)),
    Style("bob", BLACK, IRIS_DARK, 0.8, 0.9, lips=0.55, shirt=(146, 128, 140)),
    Style("short", SALT, IRIS_BROWN, 1.05, 0.0, 0.25, shirt=(72, 80, 96), brow_color=(50, 45, 43)),
    Style("bob", (48, 40, 38), IRIS_DARK, 0.75, 0.7, lips=0.6, shirt=(118, 134, 150)),
    Style("side_part", GREY, IRIS_GREY, 1.1, 0.0, 0.4, shirt=(86, 90, 100), brow_color=(84, 76, 70)),
    Style("long", CHESTNUT, IRIS_AMBER, 0.8, 0.8, lips=0.55, shirt=(152, 120, 104)),
)
"""By the number of the head. Odd numbers are women, even ones men; 0 is the average of all."""
