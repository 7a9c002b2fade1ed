"""The table of clients: what is not there is no pass, what fails is said, and a wrong file is seen."""

from dataclasses import replace

import numpy as np
import pytest

from emoface.head import load_head
from tests.export.conftest import animate, talking_weights
from train.tools import clients


@pytest.fixture
def clip(tmp_path):
    head = load_head(0)
    animation = animate(head, talking_weights(head, 12))
    return clients.Clip(animation, animation.vertices, tmp_path)


def test_what_is_not_there_is_no_pass_and_what_fails_is_said(clip, monkeypatch, capsys):
    def absent(_):
        clients.python_package("no-such-client-of-emoface")

    def broken(_):
        raise ValueError("first line\nthe reason")

    monkeypatch.setattr(clients, "CHECKS", [(".x", "absent", absent), (".y", "broken", broken), (".zip", "trimesh", clients.obj_frames)])
    rows = clients.table(clip.animation).splitlines()[2:]
    assert rows[0] == "| `.x` | absent | not run here |" and rows[1] == "| `.y` | broken | **failed**: ValueError |"
    assert "the reason" in capsys.readouterr().err
    assert "| `.zip` | trimesh " in rows[2] and "+0 frames" in rows[2]


def test_a_file_that_is_not_what_was_meant_shows_in_the_numbers(clip):
    assert "positions 0.0" in clients.obj_frames(clip)[1]
    moved = replace(clip, animation=replace(clip.animation, vertices=clip.animation.vertices + np.float32(0.001)))
    meant = clients.Clip(clip.animation, clip.shapes, clip.folder)
    path = moved.file(".zip")
    object.__setattr__(meant, "file", lambda suffix: path)
    assert "positions 1.7321 mm" in clients.obj_frames(meant)[1]
    pytest.importorskip("unityparser", reason="needs unityparser")
    assert "52 curves, 0.0000" in clients.unity(clip)[1]


def test_the_table_takes_the_place_of_the_old_one():
    page = "a\n" + clients.BEGIN + "old\n" + clients.END + "b\n"
    assert clients.with_table(page, "new\n") == page.replace("old", "new")
    assert clients.BEGIN in clients.PAGE.read_text("utf-8")
