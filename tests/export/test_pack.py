"""The player's binary file, read back by a decoder that shares nothing with the encoder."""

import gzip
import json
import struct

import numpy as np
import pytest

from emoface.errors import EmoFaceError
from emoface.export.pack import Layer, Panel, Track, View, pack, write_pack

FACES = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4]], np.int32)
ONE = [View("Face", [Panel(0, "a <b>caption</b> ${1}")])]


def moving(frames=9, vertices=5, seed=0):
    random = np.random.default_rng(seed)
    return (random.uniform(-0.1, 0.1, (1, vertices, 3)) + random.normal(0, 0.004, (frames, vertices, 3))).astype(np.float32)


def decode(data):
    """Follows the layout in ``emoface.export.pack`` one number at a time."""
    raw = gzip.decompress(data)
    assert raw[:4] == b"EFP1"
    (length,) = struct.unpack("<I", raw[4:8])
    header = json.loads(raw[8 : 8 + length])
    offset = 8 + length
    assert offset % 4 == 0

    def section(count):
        nonlocal offset
        part = raw[offset : offset + count]
        offset += count + (-count) % 4
        return part

    vertices, frames = header["vertices"], header["frames"]
    index = section(3 * header["triangles"] * header["index_bytes"])
    faces = struct.unpack("<" + {2: "H", 4: "I"}[header["index_bytes"]] * (3 * header["triangles"]), index)
    colors = section(3 * vertices)
    tracks = []
    for description in header["tracks"]:
        size = 3 * vertices
        part = section(2 * frames * size)
        low, high = part[: frames * size], part[frames * size :]
        state, positions = [0] * size, []
        for t in range(frames):
            for i in range(size):
                step = low[t * size + i] + 256 * high[t * size + i]
                state[i] = (state[i] + step + 32768) % 65536 - 32768
            positions.append([[header["centre"][axis] + header["step"] * state[axis * vertices + v] for axis in range(3)] for v in range(vertices)])
        heat = {}
        for name, skin in description["layers"].items():
            part, now, rows = section(frames * skin), [0] * skin, []
            for t in range(frames):
                now = [(now[i] + part[t * skin + i]) % 256 for i in range(skin)]
                rows.append(now)
            heat[name] = np.array(rows)
        tracks.append((np.array(positions), heat))
    assert offset == len(raw)
    return header, np.array(faces).reshape(-1, 3), np.frombuffer(colors, np.uint8).reshape(-1, 3), tracks


def test_positions_faces_and_colours_come_back():
    first, second = moving(), moving(seed=1)
    colors = np.random.default_rng(2).integers(0, 256, (5, 3))
    data = pack([Track(first), Track(second)], [View("Two", [Panel(0), Panel(1)])], faces=FACES, fps=30, colors=colors)
    header, faces, back, tracks = decode(data)
    assert header["frames"] == 9 and header["fps"] == 30
    np.testing.assert_array_equal(faces, FACES)
    np.testing.assert_array_equal(back, colors)
    for wanted, (positions, _) in zip((first, second), tracks):
        np.testing.assert_allclose(positions, wanted, atol=0.51 * header["step"] + 1e-8)
    assert header["step"] == 2e-5  # metres


def test_large_movements_still_fit_in_sixteen_bits():
    far = moving() * 40
    header, _, _, [(positions, _)] = decode(pack([Track(far)], ONE, faces=FACES, fps=30))
    assert header["step"] > 2e-5
    np.testing.assert_allclose(positions, far, atol=0.51 * header["step"] + 1e-6)


def test_heat_keeps_values_and_marks_what_is_not_shown():
    values = np.array([[0.0, 0.1, 0.2], [np.nan, 2.54, 9.0], [0.2, np.nan, -3.0]])
    layer = Layer("effect", "Effect", "mm", 0, 2.54)  # code 1 + 100 * value
    data = pack([Track(moving(3), {"effect": values})], ONE, faces=FACES, fps=30, layers=[layer])
    header, _, _, [(_, heat)] = decode(data)
    np.testing.assert_array_equal(heat["effect"], [[1, 11, 21], [0, 255, 255], [21, 0, 1]])
    assert header["layers"] == [{"id": "effect", "label": "Effect", "unit": "mm", "low": 0, "high": 2.54, "note": ""}]


def test_tracks_are_cut_to_the_shortest_and_captions_are_plain_data():
    data = pack([Track(moving(7)), Track(moving(5))], ONE, faces=FACES, fps=30)
    header, *_ = decode(data)
    assert header["frames"] == 5
    assert header["views"][0]["panels"][0]["caption"] == "a <b>caption</b> ${1}"


def test_many_vertices_use_wide_indices():
    vertices = np.zeros((1, 70_000, 3), np.float32)
    vertices[0, :, 0] = np.linspace(-1, 1, 70_000)
    data = pack([Track(vertices)], ONE, faces=np.array([[0, 69_999, 5]]), fps=30)
    raw = gzip.decompress(data)
    (length,) = struct.unpack("<I", raw[4:8])
    assert json.loads(raw[8 : 8 + length])["index_bytes"] == 4
    assert struct.unpack("<III", raw[8 + length : 20 + length]) == (0, 69_999, 5)


def test_still_faces_cost_almost_nothing():
    still = np.repeat(moving(1, 2000), 300, axis=0)
    assert len(pack([Track(still)], ONE, faces=FACES, fps=30)) < 40_000


@pytest.mark.parametrize(
    "tracks, views, words",
    [
        ([], ONE, "no animation"),
        ([Track(moving(0))], ONE, "no animation"),
        ([Track(moving()), Track(moving(vertices=6))], ONE, "different topologies"),
        ([Track(np.full((2, 5, 3), np.nan, np.float32))], ONE, "not numbers"),
        ([Track(moving())], [View("x", [Panel(3)])], "head 4"),
        ([Track(moving())], [View("x", [Panel(0, layer="weight")])], "weight"),
        ([Track(moving(), {"effect": np.zeros((9, 5))})], ONE, "effect"),
    ],
)
def test_wrong_input_is_named(tracks, views, words):
    with pytest.raises(EmoFaceError, match=words):
        pack(tracks, views, faces=FACES, fps=30)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(EmoFaceError):
        write_pack(tmp_path / "x.bin", [], ONE, faces=FACES, fps=30)
    assert list(tmp_path.iterdir()) == []
    assert write_pack(tmp_path / "x.bin", [Track(moving())], ONE, faces=FACES, fps=30).read_bytes()[:2] == b"\x1f\x8b"
