"""A page of labelled pictures, to look at many frames at once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import EmoFaceError
from ..files import atomic_path


def contact_sheet(images, labels, columns: int, path: str | os.PathLike, *, font_size: int = 15) -> Path:
    """Writes (H, W, 3) uint8 pictures of one size as a grid with a line of text above each; PNG or JPEG by suffix."""
    from PIL import Image, ImageDraw, ImageFont

    images, labels = [np.asarray(image) for image in images], [str(label) for label in labels]
    if not images or len(images) != len(labels):
        raise EmoFaceError(f"A contact sheet needs one label per picture: got {len(images)} and {len(labels)}.")
    height, width = images[0].shape[:2]
    if any(image.shape != images[0].shape for image in images):
        raise EmoFaceError("The pictures of a contact sheet must have one size.")
    columns = max(1, min(columns, len(images)))
    line = round(font_size * 1.6)
    page = Image.new("RGB", (columns * width, -(-len(images) // columns) * (height + line)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=font_size)
    for index, (image, label) in enumerate(zip(images, labels)):
        x, y = index % columns * width, index // columns * (height + line)
        draw.text((x + 5, y + line // 2), label, fill=(30, 30, 35), font=font, anchor="lm")
        page.paste(Image.fromarray(image), (x, y + line))
    path = Path(path)
    with atomic_path(path) as temporary:
        page.save(temporary, **({"quality": 92} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    return path
