"""Films keep the recording's own sound, have the size and rate that are asked for, and can be transparent."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from emoface.cli import main
from emoface.cli.animate import add_parser
from emoface.errors import EmoFaceError
from emoface.export import save
from emoface.export.between import picture_times, poses_at
from emoface.export.render import Renderer
from emoface.export.video import save_video

av = pytest.importorskip("av")


def test_the_film_has_the_recordings_own_sound(tmp_path, talking):
    """A tone of 11 kHz on the left only: nothing of it would survive 16 kHz mono."""
    time = np.arange(round(talking.duration * 44100)) / 44100
    soundfile.write(tmp_path / "a.wav", np.stack([0.4 * np.sin(2 * np.pi * 11000 * time), 0.1 * np.sin(2 * np.pi * 300 * time)], 1), 44100)
    save(talking, tmp_path / "a.npz")
    assert (
        main(["render", str(tmp_path / "a.npz"), "--audio", str(tmp_path / "a.wav"), "-o", str(tmp_path / "a.mp4"), "--size", "48", "--quiet"]) == 0
    )
    with av.open(str(tmp_path / "a.mp4")) as film:
        stream = film.streams.audio[0]
        assert stream.codec_context.layout.nb_channels == 2 and stream.rate == 44100
        left, right = np.concatenate([frame.to_ndarray() for frame in film.decode(stream)], 1)
    assert np.sqrt(np.square(left).mean()) > 0.15 and np.abs(right).max() < 0.2


@pytest.mark.parametrize("captions", [None, ["ours", "theirs"]])
def test_the_size_is_that_of_the_film(tmp_path, talking, captions):
    path = save_video([talking, talking], tmp_path / "a.mp4", size=(200, 120), captions=captions, detail="coarse")
    with av.open(str(path)) as film:
        assert (film.streams.video[0].width, film.streams.video[0].height) == (200, 120)
    with pytest.raises(EmoFaceError, match="no room"):
        save_video([talking] * 4, tmp_path / "b.mp4", size=(64, 48), captions=["a"] * 4)


@pytest.mark.parametrize("fps", [24, 60])
def test_pictures_a_second(tmp_path, talking, fps):
    path = save_video(talking, tmp_path / "a.mp4", size=48, fps=fps, detail="coarse")
    with av.open(str(path)) as film:
        pictures = [frame.to_ndarray(format="gray").astype(int) for frame in film.decode(video=0)]
        assert film.streams.video[0].average_rate == fps and len(pictures) == np.ceil(talking.duration * fps - 1e-6)
    if fps == 60:
        assert np.abs(pictures[5] - pictures[4]).max() > 2, "poses in between are drawn, not repeated"


def test_alpha_puts_the_head_on_any_paper(talking):
    options = {"size": 64, "regions": talking.regions, "template": talking.template}
    clear = Renderer(talking.faces, talking.colors, background="transparent", **options).render(talking.vertices[3]).astype(float)
    assert clear.shape == (64, 64, 4) and clear[0, 0, 3] == 0 and clear[32, 32, 3] == 255
    green = Renderer(talking.faces, talking.colors, background=(0, 200, 0), **options).render(talking.vertices[3]).astype(float)
    inside = clear[..., 3] == 255
    assert np.abs(clear[inside, :3] - green[inside]).max() <= 2


@pytest.mark.parametrize("name, pixels", [("a.webm", "yuva420p"), ("a.mov", "yuva444p12le")])
def test_films_keep_transparency(tmp_path, talking, name, pixels):
    path = save_video(talking, tmp_path / name, size=64, background="transparent", detail="coarse")
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        if name == "a.webm":  # FFmpeg's own VP9 decoder leaves alpha out
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frame = next(picture for packet in film.demux(stream) for picture in decoder.decode(packet))
        else:
            frame = next(film.decode(stream))
        assert frame.format.name == pixels
        alpha = frame.to_ndarray(format="rgba")[..., 3]
    assert alpha[0, 0] < 5 and alpha[32, 32] > 250
    with pytest.raises(EmoFaceError, match="keeps no transparency"):
        save_video(talking, tmp_path / "b.mp4", size=64, background="transparent", detail="coarse")


def test_pictures_in_a_zip(tmp_path, talking):
    path = save(talking, tmp_path / "a.zip", mesh="png", size=48, detail="coarse")
    with zipfile.ZipFile(path) as file:
        about = json.loads(file.read("clip.json"))
        picture = np.asarray(Image.open(io.BytesIO(file.read("frames/000011.png"))))
    assert about == {"fps": 30.0, "frames": 12, "alpha": "straight"} and picture.shape == (48, 48, 4)
    assert picture[0, 0, 3] == 0 and picture[24, 24, 3] == 255


def test_pictures_at_another_rate_are_drawn_in_between(tmp_path, talking):
    for fps in (24, 25, 60):
        with zipfile.ZipFile(save(talking, tmp_path / "a.zip", mesh="png", size=32, detail="coarse", fps=fps)) as file:
            about, names = json.loads(file.read("clip.json")), file.namelist()
        count = -(-12 * fps // 30)
        assert about["fps"] == fps and about["frames"] == count == len([name for name in names if name.endswith(".png")])
    jaw = replace(talking, vertices=np.stack([talking.template, talking.template + np.float32([0, 0.02, 0])]), blendshapes=talking.blendshapes[:2])
    between, _ = poses_at(jaw, picture_times(jaw.duration, 60))
    assert np.allclose((between - jaw.template)[:, :, 1], [[0], [0.01], [0.02], [0.02]], atol=1e-6)
    with pytest.raises(EmoFaceError, match="Frames per second"):
        save(talking, tmp_path / "b.zip", mesh="png", fps=1000)


def test_animate_makes_the_film_that_is_asked_for(tmp_path, capsys):
    import argparse

    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    words = "animate a.wav -o a.mp4 --size 640x360 --camera mouth --background 1,2,3 --fps 25 --caption hello --heat effect".split()
    chosen = parser.parse_args(words)
    assert chosen.size == (640, 360) and chosen.fps == 25 and chosen.background == (1, 2, 3) and chosen.caption == ["hello"]
    assert main(["animate", "missing.wav", "-o", str(tmp_path / "a.json"), "--size", "64"]) == 2
    assert "no option size" in capsys.readouterr().err, "options that a format does not have are refused before the work"
