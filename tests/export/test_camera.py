"""Cameras that aim at a region have it in the middle of the picture."""

import numpy as np
import pytest

from emoface.errors import EmoFaceError
from emoface.export.camera import CAMERAS
from emoface.export.render import Renderer
from emoface.head import load_head


@pytest.mark.parametrize("index", [0, 7, 19])
def test_the_mouth_camera_films_the_mouth(index):
    head = load_head(index)
    colors = np.where(head.mask("lips")[:, None], [255, 0, 0], [0, 0, 255]).astype(np.uint8)
    picture = Renderer(head.faces, colors, regions=head.regions, size=96, camera="mouth", template=head.template).render(head.template)
    y, x = np.nonzero((picture[..., 0] > 90) & (picture[..., 2] < 80))
    assert len(x) > 200, "the lips are large"
    assert abs((x.min() + x.max()) / 2 - 48) < 8 and abs((y.min() + y.max()) / 2 - 48) < 8, (x.min(), x.max(), y.min(), y.max())
    eyes = CAMERAS["mouth"].framed(head.template, regions=head.regions).project(head.template, 96, 96)[1][head.mask("eyes"), 1]
    assert eyes.max() < 0, "the eyes are above the picture"


def test_a_mesh_without_a_mouth_says_so(flame):
    with pytest.raises(EmoFaceError, match="no region named 'mouth'"):
        Renderer(flame.faces, regions=flame.regions, camera="mouth", template=flame.template, size=32)
