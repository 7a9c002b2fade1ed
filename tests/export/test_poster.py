"""The one picture that stands for an animation."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from emoface.errors import EmoFaceError
from emoface.export import save
from emoface.export.poster import expressive_frame, save_poster


def test_the_first_expressive_frame_is_pictured(talking, tmp_path):
    effect = np.zeros_like(talking.emotion_effect_mm)
    effect[:, 0] = [0, 1, 2, 8.9, 9.2, 10, 9.5, 3, 0, 0, 0, 0]
    strong = replace(talking, emotion_effect_mm=effect)
    assert expressive_frame(strong) == 4
    assert expressive_frame(replace(talking, emotion_effect_mm=np.zeros_like(effect))) > 0, "without an emotion, the frame that is far from rest"
    path = save_poster(strong, tmp_path / "a.png", size=(96, 64))
    assert Image.open(path).size == (96, 64)
    other = save_poster(replace(strong, emotion_effect_mm=effect[::-1].copy()), tmp_path / "b.png", size=(96, 64))
    assert np.abs(np.asarray(Image.open(path), float) - np.asarray(Image.open(other), float)).max() > 20, "another moment is another picture"


def test_a_poster_is_png_or_webp_and_may_be_transparent(talking, tmp_path):
    assert Image.open(save(talking, tmp_path / "a.png", size=48)).format == "PNG"
    assert Image.open(save_poster(talking, tmp_path / "a.webp", size=48)).format == "WEBP"
    clear = np.asarray(Image.open(save(talking, tmp_path / "c.png", size=48, background="transparent")))
    assert clear.shape[2] == 4 and clear[0, 0, 3] == 0 and clear[24, 24, 3] == 255
    still = replace(talking, vertices=talking.vertices[:0], emotion_effect_mm=talking.emotion_effect_mm[:0])
    with pytest.raises(EmoFaceError, match="no motion"):
        save_poster(still, tmp_path / "d.png")
