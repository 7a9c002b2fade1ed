"""The 52 curves as animation clips of game engines: Unity's .anim and Godot 4's .tres, both text."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import atomic_path
from .engines import NAMES
from .topology import arkit_weights

_SKINNED_MESH_RENDERER = 137  # Unity's number of the component that has the blend shapes
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
  m_RotationCurves: []
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
    attribute: blendShape.{shape}
    path: {path}
    classID: {kind}
    script: {{fileID: 0}}
"""
_UNITY_KEY = """      - serializedVersion: 3
        time: {time:.6g}
        value: {value:.5g}
        inSlope: {before:.5g}
        outSlope: {after:.5g}
        tangentMode: {mode}
        weightedMode: 0
        inWeight: 0
        outWeight: 0"""
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


def save_anim(animation: Animation, path: str | os.PathLike, *, target: str = "head") -> Path:
    """Writes a Unity AnimationClip: ``blendShape.NAME`` of the SkinnedMeshRenderer at ``target``, 0 to 100.

    ``target`` is the path of that object below the one with the Animator ("" is the same object). Raises EmoFaceError for meshes without ARKit shapes.
    """
    curves, times = _curves(animation, target)
    parts = [_UNITY_HEADER.format(name=json.dumps(Path(path).stem))]
    for shape, (at, values) in curves.items():
        slopes = np.diff(values) / np.diff(times[at]) if len(at) > 1 else np.zeros(0)
        keys = [_UNITY_KEY.format(time=times[frame], value=value, before=before, after=after, mode=_LINEAR)
                for frame, value, before, after in zip(at, values, np.r_[0, slopes], np.r_[slopes, 0])]
        parts.append(_UNITY_CURVE.format(keys="\n".join(keys), shape=shape, path=json.dumps(target), kind=_SKINNED_MESH_RENDERER))
    parts.append(_UNITY_FOOTER.format(fps=animation.fps, end=times[-1]))
    return _write(path, "".join(parts))


def save_tres(animation: Animation, path: str | os.PathLike, *, target: str = "head") -> Path:
    """Writes a Godot 4 Animation resource: one blend shape track for each ARKit shape of the node ``target``, seen from the AnimationPlayer's root node.

    Raises EmoFaceError for meshes without ARKit shapes.
    """
    curves, times = _curves(animation, target)
    lines = ['[gd_resource type="Animation" format=3]', "", "[resource]", f"resource_name = {json.dumps(Path(path).stem)}", f"length = {animation.duration:.6g}",
             f"step = {1 / animation.fps:.6g}"]
    for number, (shape, (at, values)) in enumerate(curves.items()):
        keys = ", ".join(f"{times[frame]:.6g}, 1, {value / 100:.5g}" for frame, value in zip(at, values))
        track = {"type": '"blend_shape"', "imported": "false", "enabled": "true", "path": f"NodePath({json.dumps(f'{target}:{shape}')})", "interp": "1",
                 "loop_wrap": "false", "keys": f"PackedFloat32Array({keys})"}
        lines += [f"tracks/{number}/{name} = {value}" for name, value in track.items()]
    return _write(path, "\n".join(lines) + "\n")


def _curves(animation: Animation, target: str) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Shape -> (frames of its keys, values 0 to 100), and the times of all frames. A curve that does not move has a key at either end."""
    if not target.isprintable() or ":" in target:
        raise EmoFaceError(f"{target!r} is no path of an object in a scene: give names with / between them.")
    weights = 100 * arkit_weights(animation).astype(float)
    every, ends = np.arange(len(weights)), np.unique([0, len(weights) - 1])
    frames = [every if np.ptp(column) > 1e-3 else ends for column in weights.T]
    return {name: (at, weights[at, i]) for i, (name, at) in enumerate(zip(NAMES, frames))}, every / animation.fps


def _write(path: str | os.PathLike, text: str) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)
