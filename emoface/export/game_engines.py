"""The 52 curves as animation clips of game engines: Unity's .anim and Godot 4's .tres, both text."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import write_text
from ..head_motion import quaternions
from .engines import NAMES
from .topology import arkit_weights

_SKINNED_MESH_RENDERER, _ANIMATOR = 137, 95  # Unity's numbers of the components that have the blend shapes, and the muscles
_MUSCLES = ("Head Turn Left-Right", "Head Nod Down-Up", "Head Tilt Left-Right")  # of a humanoid avatar; -1 and 1 are ...
_MUSCLE_RANGE = np.radians(40.0)  # ... this far, unless the avatar was set up otherwise
_LINEAR = 69  # tangent mode of a key whose two sides are straight lines
_UNITY_HEADER = """%YAML 1.1
%TAG !u! tag:unity3d.com,2011:
--- !u!74 &7400000
AnimationClip:
  m_ObjectHideFlags: 0
  m_CorrespondingSourceObject: {{fileID: 0}}
  m_PrefabInstance: {{fileID: 0}}
  m_PrefabAsset: {{fileID: 0}}
  m_Name: {name}
  serializedVersion: 6
  m_Legacy: 0
  m_Compressed: 0
  m_UseHighQualityCurve: 1
  m_RotationCurves:{rotations}
  m_CompressedRotationCurves: []
  m_EulerCurves: []
  m_PositionCurves: []
  m_ScaleCurves: []
  m_FloatCurves:
"""
_UNITY_CURVE = """  - curve:
      serializedVersion: 2
      m_Curve:
{keys}
      m_PreInfinity: 2
      m_PostInfinity: 2
      m_RotationOrder: 4
"""
_UNITY_FLOAT = (
    _UNITY_CURVE
    + """    attribute: {attribute}
    path: {path}
    classID: {kind}
    script: {{fileID: 0}}
"""
)
_UNITY_KEY = """      - serializedVersion: 3
        time: {time:.6g}
        value: {value:.5g}
        inSlope: {before:.5g}
        outSlope: {after:.5g}
        tangentMode: {mode}
        weightedMode: 0
        inWeight: 0
        outWeight: 0"""
_UNITY_ROTATION = "\n" + _UNITY_CURVE + "    path: {path}"
_UNITY_ROTATION_KEY = """      - serializedVersion: 3
        time: {time:.6g}
        value: {value}
        inSlope: {before}
        outSlope: {after}
        tangentMode: 0
        weightedMode: 0
        inWeight: {{x: 0, y: 0, z: 0, w: 0}}
        outWeight: {{x: 0, y: 0, z: 0, w: 0}}"""
_UNITY_FOOTER = """  m_PPtrCurves: []
  m_SampleRate: {fps:g}
  m_WrapMode: 0
  m_Bounds:
    m_Center: {{x: 0, y: 0, z: 0}}
    m_Extent: {{x: 0, y: 0, z: 0}}
  m_ClipBindingConstant:
    genericBindings: []
    pptrCurveMapping: []
  m_AnimationClipSettings:
    serializedVersion: 2
    m_AdditiveReferencePoseClip: {{fileID: 0}}
    m_AdditiveReferencePoseTime: 0
    m_StartTime: 0
    m_StopTime: {end:.6g}
    m_OrientationOffsetY: 0
    m_Level: 0
    m_CycleOffset: 0
    m_HasAdditiveReferencePose: 0
    m_LoopTime: 0
    m_LoopBlend: 0
    m_LoopBlendOrientation: 0
    m_LoopBlendPositionY: 0
    m_LoopBlendPositionXZ: 0
    m_KeepOriginalOrientation: 0
    m_KeepOriginalPositionY: 1
    m_KeepOriginalPositionXZ: 0
    m_HeightFromFeet: 0
    m_Mirror: 0
  m_EditorCurves: []
  m_EulerEditorCurves: []
  m_HasGenericRootTransform: 0
  m_HasMotionFloatState: 0
  m_Events: []
"""


def save_anim(animation: Animation, path: str | os.PathLike, *, target: str = "head", bone: str | None = None) -> Path:
    """Writes a Unity AnimationClip: ``blendShape.NAME`` of the SkinnedMeshRenderer at ``target``, 0 to 100, and the head's angles where there are any.

    ``target`` is the path of that object below the one with the Animator ("" is the same object). ``bone`` is the path of a Transform that turns the head and is not turned at rest,
    as the node ``neck`` of our GLB; None turns the head of a humanoid avatar by its muscles. Raises EmoFaceError for meshes without ARKit shapes.
    """
    curves, times = _curves(animation, target)
    floats = [
        _unity_curve(f"blendShape.{shape}", times[at], values, path=target, kind=_SKINNED_MESH_RENDERER) for shape, (at, values) in curves.items()
    ]
    rotations = " []"
    if animation.head_angles is not None and bone is None:
        muscles = -animation.head_angles.astype(float) / _MUSCLE_RANGE  # ours go to the person's left, down, left
        floats += [_unity_curve(name, times, values, path="", kind=_ANIMATOR) for name, values in zip(_MUSCLES, muscles.T)]
    elif animation.head_angles is not None:
        rotations = _unity_rotation(quaternions(animation.head_angles), times, path=_checked_path(str(bone)))
    return write_text(
        path,
        "".join(
            [
                _UNITY_HEADER.format(name=json.dumps(Path(path).stem), rotations=rotations),
                *floats,
                _UNITY_FOOTER.format(fps=animation.fps, end=times[-1]),
            ]
        ),
    )


def _unity_curve(attribute: str, times: np.ndarray, values: np.ndarray, *, path: str, kind: int) -> str:
    """Straight lines between keys."""
    slopes = np.diff(values) / np.diff(times) if len(times) > 1 else np.zeros(0)
    keys = [
        _UNITY_KEY.format(time=time, value=value, before=before, after=after, mode=_LINEAR)
        for time, value, before, after in zip(times, values, np.r_[0, slopes], np.r_[slopes, 0])
    ]
    return _UNITY_FLOAT.format(keys="\n".join(keys), attribute=attribute, path=json.dumps(path), kind=kind)


def _unity_rotation(turned: np.ndarray, times: np.ndarray, *, path: str) -> str:
    """Quaternions (T, 4) of glTF's space; Unity's is its mirror image, x the other way."""
    mirrored = turned.astype(float) * [1, -1, -1, 1]
    slopes = np.diff(mirrored, axis=0) / np.diff(times)[:, None]
    still = np.zeros((1, 4))
    keys = [
        _UNITY_ROTATION_KEY.format(time=time, value=_xyzw(value), before=_xyzw(before), after=_xyzw(after))
        for time, value, before, after in zip(times, mirrored, np.concatenate([still, slopes]), np.concatenate([slopes, still]))
    ]
    return _UNITY_ROTATION.format(keys="\n".join(keys), path=json.dumps(path))


def _xyzw(values: np.ndarray) -> str:
    return "{" + ", ".join(f"{name}: {value:.6g}" for name, value in zip("xyzw", values)) + "}"


def save_tres(animation: Animation, path: str | os.PathLike, *, target: str = "head", bone: str = "neck") -> Path:
    """Writes a Godot 4 Animation resource: one blend shape track for each ARKit shape of the node ``target``, seen from the AnimationPlayer's root node, and where the animation has
    head angles a rotation track of ``bone`` (a Node3D as the ``neck`` of our GLB, or ``Skeleton3D:Head``; one that is not turned at rest).

    Raises EmoFaceError for meshes without ARKit shapes.
    """
    node, _, joint = bone.partition(":")
    for part in (node, joint):
        _checked_path(part)
    curves, times = _curves(animation, target)
    tracks = []
    for shape, (at, values) in curves.items():
        tracks.append(("blend_shape", f"{target}:{shape}", [f"{times[frame]:.6g}, 1, {value / 100:.5g}" for frame, value in zip(at, values)]))
    if animation.head_angles is not None:
        turned = [", ".join(f"{value:.6g}" for value in row) for row in quaternions(animation.head_angles)]
        tracks.append(("rotation_3d", ":".join(filter(None, (node, joint))), [f"{time:.6g}, 1, {row}" for time, row in zip(times, turned)]))
    lines = [
        '[gd_resource type="Animation" format=3]',
        "",
        "[resource]",
        f"resource_name = {json.dumps(Path(path).stem)}",
        f"length = {animation.duration:.6g}",
        f"step = {1 / animation.fps:.6g}",
    ]
    for number, (kind, place, keys) in enumerate(tracks):
        track = {
            "type": f'"{kind}"',
            "imported": "false",
            "enabled": "true",
            "path": f"NodePath({json.dumps(place)})",
            "interp": "1",
            "loop_wrap": "false",
            "keys": f"PackedFloat32Array({', '.join(keys)})",
        }
        lines += [f"tracks/{number}/{name} = {value}" for name, value in track.items()]
    return write_text(path, "\n".join(lines) + "\n")


def _checked_path(path: str) -> str:
    """The path of an object in a scene, as given. Raises EmoFaceError."""
    if not path.isprintable() or ":" in path:
        raise EmoFaceError(f"{path!r} is no path of an object in a scene: give names with / between them.")
    return path


def _curves(animation: Animation, target: str) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Shape -> (frames of its keys, values 0 to 100), and the times of all frames. A curve that does not move has a key at either end."""
    _checked_path(target)
    weights = 100 * arkit_weights(animation).astype(float)
    every, ends = np.arange(len(weights)), np.unique([0, len(weights) - 1])
    frames = [every if np.ptp(column) > 1e-3 else ends for column in weights.T]
    return {name: (at, weights[at, i]) for i, (name, at) in enumerate(zip(NAMES, frames))}, every / animation.fps
