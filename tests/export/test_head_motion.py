"""The head turns and nods with the speech, as one piece, where it is shown; no vertex of an animation moves."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emoface.errors import EmoFaceError
from emoface.export import load, save
from emoface.export.render import Renderer
from emoface.export.topology import find_neck
from emoface.head import load_head
from emoface.head_motion import MOST, Neck, head_angles, quaternions, rotations
from emoface.head_stream import HeadStream
from emoface.look import load_look
from tests.export.conftest import animate, talking_weights
from tests.export.test_clips import read_vrma, validator_issues
from tests.export.test_glb import header

FPS = 30


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Prosody of syllables, five a second, every third one stressed, with pauses."""
    time = np.arange(int(seconds * FPS)) / FPS
    energy = np.where(time % 4 < 3, 0.5 + 0.4 * np.sin(2 * np.pi * 5 * time), 0.0)
    accent = np.where(time % 4 < 3, np.exp(-0.5 * (((time % 0.6) - 0.3) / 0.06) ** 2), 0.0)
    return np.stack([accent, np.clip(energy, 0, 1), 0.3 * np.sin(2 * np.pi * 0.4 * time)], 1)


def test_the_head_moves_as_far_and_as_fast_as_peoples():
    angles = np.degrees(np.concatenate([head_angles(speech(40), seed=seed) for seed in range(5)]))
    spread, speed = angles.std(0), np.abs(np.diff(angles, axis=0)) * FPS
    assert (spread > [0.8, 0.6, 0.3]).all() and (spread < [4, 3, 2]).all(), spread  # read sentences (GRID): .4, .6, .2; talk: a few degrees
    assert np.abs(angles).max() < 10
    assert np.percentile(speed, 99) < 25, "no jerks"
    jerk = np.abs(np.diff(angles[: 40 * FPS], n=2, axis=0)).max()
    assert jerk < 0.4, "smooth from frame to frame"


def streamed(said: np.ndarray, cuts=(7,), **options) -> np.ndarray:
    """Angles of prosody that comes in pieces of so many frames."""
    stream, start, number, out = HeadStream(FPS, **options), 0, 0, []
    talking = said[:, 1] > 0
    while start < len(said):
        end = start + cuts[number % len(cuts)]
        out.append(stream.feed(said[start:end], talking[start:end]))
        start, number = end, number + 1
    return np.concatenate(out)


def test_a_stream_moves_as_a_recording_does_and_knows_only_the_past():
    said = speech(40)
    angles = np.degrees(np.concatenate([streamed(said, seed=seed) for seed in range(5)]))
    whole = np.degrees(np.concatenate([head_angles(said, seed=seed) for seed in range(5)]))
    assert (angles.std(0) > 0.6 * whole.std(0)).all() and (angles.std(0) < 1.6 * whole.std(0)).all(), (angles.std(0), whole.std(0))
    assert np.abs(angles).max() < 10 and np.percentile(np.abs(np.diff(angles[: 40 * FPS], axis=0)) * FPS, 99) < 25
    assert np.abs(np.diff(angles[: 40 * FPS], n=2, axis=0)).max() < 0.4, "smooth from frame to frame"
    assert np.array_equal(streamed(said), streamed(said, (1, 30, 4))), "any cut gives the same"
    other = np.concatenate([said[:300], speech(30, seed=1)[::-1]])
    assert np.array_equal(streamed(said)[:300], streamed(other)[:300]) and not np.array_equal(streamed(said)[300:600], streamed(other)[300:600])


def test_a_streams_nods_follow_stress_and_its_silence_is_almost_still():
    said = speech(40)
    nods = np.degrees(np.mean([streamed(said, seed=seed)[:, 1] - streamed(said * [0, 1, 1], seed=seed)[:, 1] for seed in range(10)], axis=0))
    late = round(0.25 * FPS) + 1  # the stress is known a frame later
    stressed = np.roll(said[:, 0] > 0.8, late)
    assert nods[stressed].mean() > nods[~stressed].mean() + 0.3
    quiet = np.degrees(streamed(np.ones((1200, 3)) * [0, 0, 0], seed=1))
    assert quiet.std(0).max() < 1.2 and np.abs(quiet[0]).max() < 0.1, "and begins at rest"
    noisy = HeadStream(FPS, seed=1).feed(speech(40), np.zeros(1200, bool))
    assert np.array_equal(np.degrees(noisy), quiet), "what is no speech turns no head"


def test_nods_go_down_with_stressed_syllables():
    still = speech(40)
    with_stress = np.mean([head_angles(still, seed=seed)[:, 1] for seed in range(20)], axis=0)
    no_stress = still * [0, 1, 1]
    without = np.mean([head_angles(no_stress, seed=seed)[:, 1] for seed in range(20)], axis=0)
    nods = np.degrees(with_stress - without)
    stressed = still[:, 0] > 0.8
    assert nods[stressed].mean() > nods[~stressed].mean() + 0.3


def test_silence_is_almost_still_and_a_phrase_is_not():
    quiet = np.degrees(head_angles(np.zeros((1200, 3)), seed=1))
    assert quiet.std(0).max() < 1.2 and np.degrees(head_angles(speech(40), seed=1)).std(0)[0] > 1.3 * quiet.std(0)[0]


def test_same_seed_same_motion_and_the_amount_scales_it():
    said = speech(10)
    assert np.array_equal(head_angles(said, seed=4), head_angles(said, seed=4)) and not np.array_equal(
        head_angles(said, seed=4), head_angles(said, seed=5)
    )
    assert not head_angles(said, amount=0).any() and head_angles(np.zeros((0, 3))).shape == (0, 3) and head_angles(said[:1]).shape == (1, 3)
    small, large = np.abs(head_angles(said, seed=4, amount=0.5)).max(), np.abs(head_angles(said, seed=4, amount=MOST)).max()
    assert 2 < large / small < 3.1
    for wrong in (-0.1, MOST + 0.1, float("nan")):
        with pytest.raises(EmoFaceError, match="amount"):
            head_angles(said, amount=wrong)
    with pytest.raises(EmoFaceError):
        head_angles(said[:, :2])


def test_signs():
    turn, nod, tilt = rotations(np.eye(3) * 0.1)
    assert (turn @ [0, 0, 1])[0] > 0.09 and (nod @ [0, 0, 1])[1] < -0.09 and (tilt @ [0, 1, 0])[0] > 0.09
    assert np.allclose(rotations(np.zeros((1, 3)))[0], np.eye(3)) and np.allclose(
        np.linalg.det(rotations(np.random.default_rng(0).normal(size=(9, 3)))), 1
    )


@pytest.mark.parametrize("index", [0, 7, 16])
def test_the_skull_is_one_piece_and_the_shoulders_stay(index):
    head, look = load_head(index), load_look(index)
    neck, rotation = Neck.of(head), rotations(np.array([[0.15, 0.12, 0.08]]))[0]
    open_mouth = head.pose(talking_weights(head, 12))[7]
    shares = neck.shares(head.template)
    moving = ~np.isin(head.regions, ("neck", "neck_base", "mouth_cavity"))
    assert (shares[moving] == 1).all(), "no lip moves against the skull"
    assert (shares[head.mask("neck_base")] < 1e-4).all()
    turned = neck.turned(open_mouth, shares, rotation)
    pivot = np.array(neck.pivot)
    assert np.allclose(turned[moving], (open_mouth[moving] - pivot) @ rotation.T + pivot, atol=1e-6)
    rest = look.vertices(head.template)
    shown = neck.shares(rest)
    assert (shown[look.regions == "shirt"] == 0).all() and (shown[np.char.startswith(look.regions, "lips")] == 1).all()


@pytest.fixture(scope="module")
def nodding(head):
    frames = 12
    return animate(head, talking_weights(head, frames), head_angles=np.outer(np.linspace(0, 0.15, frames), [1, -0.5, 0.3]).astype(np.float32))


def test_vertices_files_and_metrics_are_those_of_a_still_head(nodding, talking, tmp_path):
    assert np.array_equal(nodding.vertices, talking.vertices)
    back = load(save(nodding, tmp_path / "a.npz"))
    assert np.array_equal(back.head_angles, nodding.head_angles) and np.array_equal(back.vertices, talking.vertices)
    assert load(save(talking, tmp_path / "b.npz")).head_angles is None
    assert (tmp_path / "a.npy").exists() is False and np.array_equal(
        np.load(save(nodding, tmp_path / "a.npy")), np.load(save(talking, tmp_path / "b.npy"))
    )
    with pytest.raises(EmoFaceError, match="angles"):
        load(save(replace(nodding, head_angles=nodding.head_angles[:-1]), tmp_path / "c.npz"))


def test_live_link_columns(nodding, talking, tmp_path):
    with open(save(nodding, tmp_path / "a.csv", fps=30), newline="") as file:
        rows = list(csv.DictReader(file))
    told = np.array([[float(row[name]) for name in ("HeadYaw", "HeadPitch", "HeadRoll")] for row in rows])
    assert np.allclose(told, nodding.head_angles, atol=1e-6) and {row["BlendshapeCount"] for row in rows} == {"61"}
    assert not any(float(row["LeftEyeYaw"]) for row in rows)
    back = load(tmp_path / "a.csv")
    assert np.allclose(back.head_angles, nodding.head_angles, atol=1e-6) and load(save(talking, tmp_path / "b.csv")).head_angles is None
    assert find_neck(back) is not None, "and films turn it"


def test_a_glb_node_turns_the_head(nodding, talking, tmp_path):
    import trimesh

    path = save(nodding, tmp_path / "a.glb")
    document = header(path)
    channel = next(one for one in document["animations"][0]["channels"] if one["target"]["path"] == "rotation")
    node = document["nodes"][channel["target"]["node"]]
    assert node["name"] == "neck" and document["scenes"][0]["nodes"] == [channel["target"]["node"]]
    assert np.allclose(np.add(node["translation"], document["nodes"][0]["translation"]), 0), "at rest the head is where it was"
    scene = trimesh.load(path)
    bounds = trimesh.load(save(talking, tmp_path / "b.glb")).bounds
    assert np.allclose(scene.bounds, bounds, atol=1e-5)
    back = load(path)
    assert np.abs(back.vertices - load(tmp_path / "b.glb").vertices).max() == 0 and np.allclose(back.head_angles, nodding.head_angles, atol=1e-5)
    assert "neck" not in json.dumps(header(tmp_path / "b.glb")["nodes"])


def test_quaternions_are_those_rotations():
    angles = np.random.default_rng(1).normal(0, 0.1, (5, 3))
    x, y, z, w = quaternions(angles).astype(float).T
    matrix = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    assert np.allclose(matrix, rotations(angles), atol=1e-6)


def test_films_show_the_turned_head(nodding, talking, tmp_path):
    neck = Neck.of(load_head(0))
    options = dict(size=96, regions=nodding.regions, template=nodding.template, look=load_look(0), neck=neck, backend="numpy")
    renderer = Renderer(nodding.faces, nodding.colors, **options)
    turns = rotations(np.array([[0.0, 0, 0], [0.15, 0, 0]]))
    front, side = renderer.frames(talking.vertices[:2], rotations=turns, order=[0, 1])
    (still,) = renderer.frames(talking.vertices[:1])
    assert np.array_equal(front, still)
    moved = np.abs(front.astype(int) - side).max(2) > 12
    assert moved[:70].mean() > 0.02, "the face is elsewhere"
    assert moved[88:].mean() < 0.02, "the shirt is where it was"


def test_the_players_file_says_how_the_head_turns(nodding, talking, tmp_path):
    import gzip
    import struct

    from emoface.ui import scenes

    def told(animation) -> dict:
        raw = gzip.decompress(Path(scenes.single(tmp_path / "a.efp", animation)).read_bytes())
        return json.loads(raw[8 : 8 + struct.unpack("<I", raw[4:8])[0]])

    turned, still = told(nodding), told(talking)
    assert turned["neck"] == vars(Neck.of(load_head(0))) | {"pivot": list(Neck.of(load_head(0)).pivot)}
    assert np.allclose(np.reshape(turned["tracks"][0]["turns"], (-1, 3, 3)), rotations(nodding.head_angles), atol=1e-5)
    assert still["neck"] is None and still["tracks"][0]["turns"] is None


def turns_of(quaternions_) -> np.ndarray:
    """(T, 3, 3) of quaternions x, y, z, w."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(np.asarray(quaternions_, float)).as_matrix()


@pytest.mark.parametrize("shapes", ["vrm", "arkit"])
def test_vrm_avatars_turn_the_bone_head(nodding, talking, tmp_path, shapes):
    told = read_vrma(save(nodding, tmp_path / "a.vrma", shapes=shapes), tmp_path)
    assert list(told["bones"]) == ["head"]
    turned = turns_of(np.reshape(told["bones"]["head"], (-1, 4)))
    assert np.allclose(turned, rotations(nodding.head_angles), atol=1e-5)
    assert (
        told["preset" if shapes == "vrm" else "custom"]
        == read_vrma(save(talking, tmp_path / "b.vrma", shapes=shapes), tmp_path)["preset" if shapes == "vrm" else "custom"]
    )
    assert "humanoid" not in header(tmp_path / "b.vrma")["extensions"]["VRMC_vrm_animation"]
    assert validator_issues(tmp_path / "a.vrma") <= {"UNSUPPORTED_EXTENSION", "NODE_EMPTY"}


def test_unity_turns_a_humanoid_by_its_muscles_or_a_transform(nodding, talking, tmp_path):
    UnityDocument = pytest.importorskip("unityparser").UnityDocument

    def clip(animation, **options):
        return UnityDocument.load_yaml(str(save(animation, tmp_path / "a.anim", **options))).get(class_name="AnimationClip")

    def muscles(of) -> dict:
        return {
            curve["attribute"]: np.array([float(key["value"]) for key in curve["curve"]["m_Curve"]])
            for curve in of.m_FloatCurves
            if int(curve["classID"]) == 95
        }

    found = muscles(clip(nodding))
    yaw, pitch, roll = np.degrees(nodding.head_angles).T / -40
    assert set(found) == {"Head Turn Left-Right", "Head Nod Down-Up", "Head Tilt Left-Right"}
    assert (
        np.allclose(found["Head Turn Left-Right"], yaw, atol=1e-4)
        and np.allclose(found["Head Nod Down-Up"], pitch, atol=1e-4)
        and np.allclose(found["Head Tilt Left-Right"], roll, atol=1e-4)
    )
    assert not muscles(clip(talking)) and not list(clip(talking).m_RotationCurves)
    by_bone = clip(nodding, bone="Body/neck")
    (curve,) = by_bone.m_RotationCurves
    assert curve["path"] == "Body/neck" and not muscles(by_bone)
    mirror = np.diag([-1.0, 1, 1])  # Unity's x goes the other way
    turned = turns_of([[float(key["value"][axis]) for axis in "xyzw"] for key in curve["curve"]["m_Curve"]])
    assert np.allclose(mirror @ turned @ mirror, rotations(nodding.head_angles), atol=1e-5)
    with pytest.raises(EmoFaceError, match="path"):
        clip(nodding, bone="a:b")
    with pytest.raises(EmoFaceError, match="path"):
        clip(nodding, bone="a\0b")


def test_godot_turns_a_node_or_a_bone(nodding, talking, tmp_path):
    read = pytest.importorskip("godot_parser").load

    def turning(animation, **options):
        (resource,) = read(str(save(animation, tmp_path / "a.tres", **options))).get_sections("resource")
        return [
            (resource[key.replace("type", "path")].args[0], np.array(resource[key.replace("type", "keys")].args, float).reshape(-1, 6))
            for key, value in resource.properties.items()
            if value == "rotation_3d"
        ]

    ((path, keys),) = turning(nodding)
    assert path == "neck" and np.allclose(keys[:, 0], np.arange(12) / FPS, atol=1e-5) and (keys[:, 1] == 1).all()
    assert np.allclose(turns_of(keys[:, 2:]), rotations(nodding.head_angles), atol=1e-5)
    assert turning(nodding, bone="Skeleton3D:Head")[0][0] == "Skeleton3D:Head" and turning(talking) == []
    for bone in ("a\0b", "Skeleton3D:a\nb", "a:b:c"):
        with pytest.raises(EmoFaceError, match="path"):
            turning(nodding, bone=bone)


def test_a_usd_joint_turns_the_head(nodding, talking, tmp_path):
    pytest.importorskip("pxr", reason="needs usd-core")
    from pxr import Usd, UsdGeom, UsdSkel

    def baked(path):
        stage = Usd.Stage.Open(str(path))
        assert UsdSkel.BakeSkinning(stage.Traverse())
        mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Mesh"))  # on one joint: baked into the shapes' points and one transform of the whole
        placed = [np.array(mesh.ComputeLocalToWorldTransform(frame)) for frame in range(12)]
        return np.array([np.array(mesh.GetPointsAttr().Get(frame)) @ place[:3, :3] + place[3, :3] for frame, place in enumerate(placed)])

    turned, still = (baked(save(animation, tmp_path / f"{name}.usdc")) for name, animation in (("a", nodding), ("b", talking)))
    pivot = np.array(Neck.of(load_head(0)).pivot)
    wanted = np.einsum("tij,tvj->tvi", rotations(nodding.head_angles), still - pivot) + pivot
    assert np.abs(turned - wanted).max() < 1e-5 and np.abs(turned - still).max() > 5e-3
    back = load(tmp_path / "a.usdc")
    assert np.allclose(back.head_angles, nodding.head_angles, atol=1e-5) and load(tmp_path / "b.usdc").head_angles is None
