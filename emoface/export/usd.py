"""USD with UsdSkel blend shapes; needs the optional package usd-core."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..animation import Animation
from ..errors import EmoFaceError
from ..files import atomic_path
from ..head_motion import angles_of, quaternions
from ..reading import MAX_BYTES, check_bytes, one_sentence
from .basis import Basis, find_basis, rebuild
from .materials import CLAY
from .shading import to_linear, vertex_normals
from .topology import find_neck


def save_usd(animation: Animation, path: str | os.PathLike, *, basis: str = "auto") -> Path:
    """Writes .usd, .usdc or .usda in metres, y up: a mesh with normals and a UsdPreviewSurface of its vertex colours, sparse blend
    shapes and their curves at the clip's rate. Where the animation has head angles the one joint turns the mesh as one piece, shoulders included.

    Raises EmoFaceError without usd-core (``pip install usd-core``). See ``find_basis`` for ``basis``.
    """
    try:
        from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, UsdSkel, Vt
    except ImportError:
        raise EmoFaceError("USD files need the package usd-core: pip install usd-core.") from None

    shapes = find_basis(animation, basis)
    with atomic_path(path) as temporary:
        temporary.unlink()  # USD creates its own file
        stage = Usd.Stage.CreateNew(str(temporary))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetTimeCodesPerSecond(animation.fps)
        stage.SetFramesPerSecond(animation.fps)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(animation.frame_count - 1)
        root = UsdSkel.Root.Define(stage, "/Head")
        stage.SetDefaultPrim(root.GetPrim())
        mesh = UsdGeom.Mesh.Define(stage, "/Head/Mesh")
        mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(animation.template, np.float32)))
        mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(animation.faces), 3, np.int32)))
        mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(animation.faces, np.int32).ravel()))
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        low, high = animation.vertices.min((0, 1)), animation.vertices.max((0, 1))
        mesh.CreateExtentAttr(Vt.Vec3fArray([Gf.Vec3f(*map(float, low)), Gf.Vec3f(*map(float, high))]))
        if animation.colors is not None:
            color = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
            color.Set(Vt.Vec3fArray.FromNumpy(to_linear(animation.colors / np.float32(255))))
        normals = vertex_normals(np.asarray(animation.template, np.float32), animation.faces)
        mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(normals))
        mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
        material = UsdShade.Material.Define(stage, "/Head/Material")
        surface = UsdShade.Shader.Define(stage, "/Head/Material/Surface")
        surface.CreateIdAttr("UsdPreviewSurface")
        surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.55)
        diffuse = surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
        if animation.colors is None:
            diffuse.Set(Gf.Vec3f(*map(float, to_linear(np.array(CLAY, np.float32) / 255))))
        else:
            reader = UsdShade.Shader.Define(stage, "/Head/Material/VertexColors")
            reader.CreateIdAttr("UsdPrimvarReader_float3")
            reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
            diffuse.ConnectToSource(reader.CreateOutput("result", Sdf.ValueTypeNames.Float3))
        material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", Sdf.ValueTypeNames.Token))
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
        # UsdSkel animates shapes through a skeleton, so the head hangs on one joint: where it turns, or where nothing does.
        neck = find_neck(animation)
        pivot = (0.0, 0.0, 0.0) if neck is None else neck.pivot
        skeleton, still = UsdSkel.Skeleton.Define(stage, "/Head/Skeleton"), Vt.Matrix4dArray([Gf.Matrix4d(1).SetTranslate(Gf.Vec3d(*pivot))])
        skeleton.CreateJointsAttr(["root"])
        skeleton.CreateBindTransformsAttr(still)
        skeleton.CreateRestTransformsAttr(still)
        clip = UsdSkel.Animation.Define(stage, "/Head/Skeleton/Speech")
        clip.CreateJointsAttr(["root"])
        clip.CreateTranslationsAttr([Gf.Vec3f(*pivot)])
        rotation = clip.CreateRotationsAttr([Gf.Quatf(1)])
        for frame, (x, y, z, w) in enumerate([] if neck is None else quaternions(animation.head_angles).tolist()):
            rotation.Set(Vt.QuatfArray([Gf.Quatf(w, x, y, z)]), frame)
        clip.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1)]))
        clip.CreateBlendShapesAttr(list(shapes.names))
        curve = clip.CreateBlendShapeWeightsAttr()
        for frame, weights in enumerate(shapes.weights):
            curve.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(weights, np.float32)), frame)
        UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([clip.GetPath()])
        binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        binding.CreateJointIndicesPrimvar(True, 1).Set(Vt.IntArray([0]))
        binding.CreateJointWeightsPrimvar(True, 1).Set(Vt.FloatArray([1.0]))
        targets = []
        for name, delta in zip(shapes.names, shapes.deltas):
            turned = vertex_normals((animation.template + delta).astype(np.float32), animation.faces) - normals
            moving = np.flatnonzero((np.abs(delta).max(1) > 1e-6) | (np.abs(turned).max(1) > 2e-3))
            shape = UsdSkel.BlendShape.Define(stage, f"/Head/Mesh/{name}")
            shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(delta[moving], np.float32)))
            shape.CreateNormalOffsetsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(turned[moving], np.float32)))
            shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moving.astype(np.int32)))
            targets.append(shape.GetPath())
        binding.CreateBlendShapesAttr(list(shapes.names))
        binding.CreateBlendShapeTargetsRel().SetTargets([Sdf.Path(str(target)) for target in targets])
        stage.GetRootLayer().Save()
        del stage
    return Path(path)


def load_usd(path: str | os.PathLike) -> Animation:
    """The animation in a USD file that ``save_usd`` wrote (without sound and emotion maps). EmoFaceError for any other."""
    try:
        from pxr import Sdf, Usd, UsdGeom, UsdSkel
    except ImportError:
        raise EmoFaceError("USD files need the package usd-core: pip install usd-core.") from None
    from .importing import animation_from_vertices

    name = Path(path).name
    with one_sentence(name, "a USD file written by EmoFace"):
        if Path(path).stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        layer = Sdf.Layer.OpenAsAnonymous(str(path))
        if layer.GetCompositionAssetDependencies():
            raise ValueError("it names other files")  # which a stranger could point anywhere
        stage = Usd.Stage.Open(layer)
        mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Mesh"))
        clip = UsdSkel.Animation(stage.GetPrimAtPath("/Head/Skeleton/Speech"))
        template = np.array(mesh.GetPointsAttr().Get(), np.float32)
        faces = np.array(mesh.GetFaceVertexIndicesAttr().Get(), np.int32).reshape(-1, 3)
        names, curve = tuple(clip.GetBlendShapesAttr().Get()), clip.GetBlendShapeWeightsAttr()
        times = curve.GetTimeSamples()
        check_bytes((len(names) + len(times)) * template.nbytes, name)
        weights = np.array([curve.Get(time) for time in times], np.float32).reshape(len(times), len(names))
        deltas = np.zeros((len(names), *template.shape), np.float32)
        for delta, each in zip(deltas, names):
            shape = UsdSkel.BlendShape(stage.GetPrimAtPath(f"/Head/Mesh/{each}"))
            delta[np.array(shape.GetPointIndicesAttr().Get(), np.int64)] = np.array(shape.GetOffsetsAttr().Get(), np.float32)
        arkit = len(names) == 52 and "jawOpen" in names
        animation = animation_from_vertices(
            rebuild(template, Basis(names, deltas, weights, 0, 0)),
            template,
            faces,
            fps=stage.GetTimeCodesPerSecond(),
            blendshapes=weights if arkit else None,
            blendshape_names=names if arkit else (),
        )
        rotation = clip.GetRotationsAttr()
        if not rotation.GetTimeSamples():
            return animation
        turned = np.array([[*turn.GetImaginary(), turn.GetReal()] for turn in (rotation.Get(time)[0] for time in times)], float)
        return replace(animation, head_angles=angles_of(turned))
