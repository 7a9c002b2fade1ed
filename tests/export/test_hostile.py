"""Animation files as strangers and broken disks make them: one sentence, soon, in little memory (see ``reader.py``)."""

import gzip
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emoface import flame
from emoface.audio import Audio
from emoface.errors import EmoFaceError
from emoface.export.arkit import ARKIT_NAMES, HEADER
from emoface.metrics.files import main as measure
from tests.export.reader import Reader
from tests.puppet import puppet


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two frames of a face in each format that can be read."""
    folder = tmp_path_factory.mktemp("good")
    animation = puppet(Audio(np.sin(np.arange(1000) / 8).astype(np.float32)))
    return {suffix: animation.save(folder / f"a.{suffix}").read_bytes() for suffix in ("npz", "glb", "npy", "csv", "json", "zip")}


@pytest.fixture(scope="module")
def fields(files):
    with np.load(io.BytesIO(files["npz"])) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture
def refused(reader, tmp_path):
    """Writes a file that cannot be, and gives the sentence that refuses it."""

    def refused(name: str, content: bytes, template: bytes | None = None, suffix: str = "obj") -> str:
        path, mesh = tmp_path / name, tmp_path / f"template.{suffix}"
        path.write_bytes(content)
        if template is not None:
            mesh.write_bytes(template)
        answer = reader.open(path, mesh if template is not None else None)
        assert answer != "ok" and ("a." in answer or "template." in answer or "Frames per second" in answer)
        return answer

    return refused


def npz(values) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: np.asarray(value) for name, value in values.items()})
    return file.getvalue()


def test_good_files_are_read(reader, files, tmp_path):
    for suffix, content in files.items():
        (tmp_path / f"a.{suffix}").write_bytes(content)
        assert reader.open(tmp_path / f"a.{suffix}") == "ok"


@pytest.mark.parametrize("name, value", [
    ("fps", 0.0), ("fps", np.nan), ("fps", np.inf), ("fps", -30.0), ("fps", 1e9), ("fps", "x"), ("fps", [30.0, 30.0]), ("skin_count", -1), ("skin_count", 10**9),
    ("skin_count", 0), ("sample_rate", 0), ("settings", "{"), ("settings", "[]"), ("settings", "[" * 50_000), ("settings", b"\xff"), ("regions", ["skin"]),
    ("regions", []), ("blendshape_names", ["a"]), ("blendshapes", np.zeros((1, 52))), ("template", np.zeros((4, 3))), ("template", np.zeros(3)),
    ("vertices", np.zeros((0, 4, 3))), ("vertices", np.zeros(5)), ("vertices", np.array("x")), ("faces", np.zeros((4, 3))), ("faces", np.full((4, 3), -1)),
    ("faces", np.full((4, 3), 10**6)), ("faces", np.zeros((4, 4), int)), ("emotion_names", []), ("emotion_track", np.zeros((1, 1))), ("colors", np.zeros((2, 3))),
    ("emotion_probabilities", np.full(8, np.nan)), ("emotion_importance", np.zeros((1, 7))), ("audio", np.zeros((2, 2))), ("audio", np.array(["x"])),
    ("format_version", 99), ("format_version", -1.5),
], ids=lambda value: str(value)[:20])  # fmt: skip
def test_fields_that_cannot_be(fields, refused, name, value):
    refused("a.npz", npz({**fields, name: value}))


def lying(shape, kind: str = "<f4") -> bytes:
    """An npy whose header promises far more than there is."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + b"\0" * 64


@pytest.mark.parametrize("shape, kind", [((10**12,), "<f4"), ((10**6, 10**6), "<f4"), ((2**62, 4), "<f4"), ((10**9,), "<U0"), ((10**9, 0), "<f4"), ((10**9,), "|V0")],
                         ids=str)  # fmt: skip
def test_lying_headers_take_no_memory(fields, refused, shape, kind):
    refused("a.npy", lying(shape, kind))
    file = io.BytesIO(npz({name: value for name, value in fields.items() if name != "emotion_names"}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("emotion_names.npy", lying(shape, kind))
    refused("a.npz", file.getvalue())


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    "member", [{"vertices.npy": lying((20_000_000,)) + bytes(80_000_000)}, {"a.npy": lying((1,)), "b.txt": bytes(80_000_000)}], ids=list
)
def test_zip_bombs_are_not_unpacked(refused, member):
    content = packed(member)
    assert len(content) < 200_000
    refused("a.npz", content)


def test_a_zip_of_meshes_is_no_bomb(refused):
    """Sixteen million vertices in 250 kB, and a packing whose ratio has no bound."""
    about = b'{"fps": 30, "frames": 1}'
    refused("a.zip", packed({"clip.json": about, "template.obj": b"v 0 0 0\n" * 12_000_000, "frames/000000.obj": b"v 0 0 0\n"}))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused("a.zip", packed({"clip.json": about, "template.obj": MESH.encode() + b"f 1 2 3\n", "frames/000000.obj": MESH.encode()}, method))


def test_members_that_share_their_bytes(files, refused):
    """The zip bomb of overlapping files: a thousand entries of the directory show the same member."""
    content = packed({"vertices.npy": np.random.default_rng(0).bytes(100_000)}, zipfile.ZIP_STORED)
    end = content.rindex(b"PK\5\6")
    start = struct.unpack_from("<I", content, end + 16)[0]
    entry, count = content[start:end], 900
    tail = bytearray(content[end:])
    struct.pack_into("<HHI", tail, 8, count, count, count * len(entry))
    refused("a.npz", content[:start] + entry * count + bytes(tail))


@pytest.mark.parametrize("about", ['{"fps": 30, "frames": 1000000000}', '{"fps": 30, "frames": -1}', '{"fps": 0, "frames": 1}', '{"fps": null, "frames": 1}',
                                   "[" * 100_000, '{"fps": 30, "frames": 1, "settings": [1]}'], ids=lambda text: text[:40])  # fmt: skip
def test_zips_that_cannot_be(files, refused, about):
    with zipfile.ZipFile(io.BytesIO(files["zip"])) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if not name.startswith("frames/")}
    mesh = members["template.obj"]
    refused("a.zip", packed({**members, "frames/000000.obj": mesh, "clip.json": about.encode()}))


def changed(content: bytes, change) -> bytes:
    """A GLB with another document."""
    size, _ = struct.unpack_from("<I4s", content, 12)
    document = json.loads(content[20 : 20 + size])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + size :]
    return struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest)) + struct.pack("<I4s", len(text), b"JSON") + text + rest


def about(document) -> dict:
    return document["meshes"][0]["extras"]["emoface"]


def first(document) -> dict:
    return document["meshes"][0]["primitives"][0]


@pytest.mark.parametrize("change", [
    lambda d: d["accessors"][0].update(count=10**12), lambda d: d["accessors"][0].update(count=-1), lambda d: d["accessors"][0].update(count="x"),
    lambda d: about(d).update(fps=0), lambda d: about(d).update(fps=None), lambda d: about(d).update(skin_count=10**9),
    lambda d: about(d).update(settings=["x"]), lambda d: about(d).update(regions=[]), lambda d: about(d).update(regions=["x" * 10**6]),
    lambda d: about(d).update(regions=[[["x"]]]), lambda d: d.update(accessors=[]), lambda d: d.update(bufferViews={}), lambda d: d.update(animations=None),
    lambda d: first(d).update(targets=first(d)["targets"] * 5000), lambda d: d["meshes"][0]["extras"].update(targetNames=["a"] * 10**5),
    lambda d: d["meshes"][0].update(primitives=[first(d)] * 60), lambda d: d["accessors"].__setitem__(slice(None), [{**a, "count": 10**8} for a in d["accessors"]]),
    # Points and shapes without a view, which need no byte in the file.
    lambda d: d["accessors"][first(d)["attributes"]["POSITION"]].clear() or d["accessors"][first(d)["attributes"]["POSITION"]].update(
        componentType=5126, type="VEC3", count=10**8),
    lambda d: d["accessors"][first(d)["targets"][0]["POSITION"]].clear() or d["accessors"][first(d)["targets"][0]["POSITION"]].update(
        componentType=5126, type="VEC3", count=10**9),
    lambda d: [a.pop("sparse", None) or a.pop("bufferView", None) or a.update(count=5 * 10**7) for a in d["accessors"]],
])  # fmt: skip
def test_glb_documents_that_cannot_be(files, refused, change):
    refused("a.glb", changed(files["glb"], change))


def row(clock: str) -> str:
    return f"{clock},61," + ",".join(["0"] * (HEADER.count(",") - 1))


@pytest.mark.parametrize("rows", [
    ["00:00:00:00.0", "00:00:01:999999999.0", "00:00:02:00.0"], ["00:00:00:00.0", "00:00:01:nan", "00:00:02:00.0"],
    ["00:00:00:00.0", "00:00:01:900.0", *[f"{s // 60:02d}:{s % 60:02d}:00:00.0" for s in range(1, 1000)]],
], ids=["rate", "nan", "gaps"])  # fmt: skip
def test_takes_that_cannot_be(refused, rows):
    refused("a.csv", "\n".join([HEADER, *map(row, rows)]).encode())


@pytest.mark.parametrize("content", [b"[" * 10**6, b'{"names": ' + json.dumps(ARKIT_NAMES).encode() + b', "frames": [{"weights": [' + b"9" * 5000 + b"]}]}",
                                     b"[" + b"{}," * 10**5 + b"{}]"], ids=["deep", "long", "wide"])  # fmt: skip
def test_json_that_cannot_be(refused, content):
    refused("a.json", content)


def test_curves_that_are_few_bytes_and_many_faces(refused):
    """104 bytes of a frame's weights are 98 kB of its vertices."""
    frame = b'{"weights": [' + b",".join([b"0"] * 52) + b"]}"
    content = b'{"names": ' + json.dumps(ARKIT_NAMES).encode() + b', "metadata": {"fps": 30}, "frames": [' + b",".join([frame] * 20_000) + b"]}"
    assert "memory" in refused("a.json", content)


MESH = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
PLY = "ply\nformat {} 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\nelement face {}\nproperty list uchar int vertex_indices\nend_header\n"


@pytest.mark.parametrize("suffix, template", [
    ("obj", MESH + "f 1 2 2000000000\n"), ("obj", MESH + "f -9 -8 -7\n"), ("obj", MESH), ("obj", "f " * 10**6), ("obj", "\n" * 3_000_000), ("obj", ""),
    ("ply", PLY.format("ascii", 10**12, 10**12)), ("ply", PLY.format("binary_little_endian", 10**12, 1)), ("ply", PLY.format("ascii", 3, 1) + "0 0 0\n" * 3 + "3 0 1 99\n"),
    ("ply", PLY.format("binary_little_endian", 1, 10**9) + "\0" * 12 + "\xff\xff"), ("ply", "ply\n"),
], ids=lambda text: text[:20])  # fmt: skip
def test_templates_that_cannot_be(refused, files, suffix, template):
    refused("a.npy", files["npy"], template.encode("latin1"), suffix)


def test_masks_and_motion_of_others(tmp_path, capsys):
    """The same of the files that the measures read, and of pickles: no memory before there is data for it."""
    (tmp_path / "a.npy").write_bytes(lying((10**12,)))
    (tmp_path / "mask.npz").write_bytes(packed({"lips.npy": lying((10**12,)), "upper.npy": lying((4,))}))
    assert measure([str(tmp_path / "a.npy"), str(tmp_path / "a.npy"), "--mask", str(tmp_path / "mask.npz")]) == 2
    assert "mask.npz is damaged" in capsys.readouterr().err
    stored = pickle.dumps(np.arange(3), protocol=2)
    begun = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(L1000000000000L\ntS'b'\ntR."
    for content in (begun, b"(r" + struct.pack("<I", 2**31) + b".", stored.replace(b"q\x00", b"r\xff\xff\xff\x7f", 1)):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(EmoFaceError, match="damaged or not a pickle"):
            flame.load_pickle(tmp_path / "a.pkl")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"n": 123456789, "a": np.arange(3)}))
    assert flame.load_pickle(tmp_path / "a.pkl")["n"] == 123456789


def test_usd_that_names_other_files(refused):
    pytest.importorskip("pxr")
    refused("a.usda", b"#usda 1.0\n(\n    subLayers = [@/etc/passwd@]\n)\n")
    refused("a.usdc", b"PXR-USDC" + bytes(100))
    refused("a.usda", gzip.compress(b"x"))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_a_sentence_or_a_sound_animation(reader, files, tmp_path, data):
    """Bytes changed or cut off; half of the changes are digits, where headers have their sizes."""
    suffix = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[suffix])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            place = data.draw(st.integers(0, min(len(content), 4000) - 1))
            content[place] = data.draw(st.sampled_from(b"0123456789e-") | st.integers(0, 255))
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    assert reader.open(path)
