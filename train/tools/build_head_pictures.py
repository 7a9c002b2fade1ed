"""Pictures of the 24 heads for the app's head chooser: one WebP, a column per head.

python -m train.tools.build_head_pictures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from emoface.export.render import Camera, Renderer
from emoface.head import HEAD_COUNT, load_head
from emoface.look import load_look

SIZE = 112


def picture(index: int) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8 of one head at rest, a little from the side."""
    head = load_head(index)
    renderer = Renderer(head.faces, size=2 * SIZE, camera=Camera(yaw=18, pitch=3), template=head.template, look=load_look(index))
    return np.asarray(Image.fromarray(renderer.render(head.template)).resize((SIZE, SIZE), Image.LANCZOS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("assets/heads/heads.webp"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    strip = np.concatenate([picture(index) for index in range(HEAD_COUNT)], axis=1)
    Image.fromarray(strip).save(options.output, quality=82, method=6)
    print(f"{options.output}: {HEAD_COUNT} heads, {options.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
