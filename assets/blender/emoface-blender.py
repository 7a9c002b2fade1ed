# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# Copyright the EmoFace authors. An add-on for Blender is used together with Blender, which is under the GPL: take this file under either licence.
"""EmoFace for Blender, one file: import an animated GLB in step with its sound, or put the curves onto a rig of your own.

Edit > Preferences > Add-ons > Install from Disk, then File > Import > EmoFace (.glb), and Object > EmoFace curves onto shape keys.
Tried with Blender 5.0; written for 4.2 and later.
"""

import csv
import json
import os
import struct

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

bl_info = {
    "name": "EmoFace",
    "author": "EmoFace",
    "version": (1, 0, 0),
    "blender": (4, 2, 0),
    "category": "Import-Export",
    "location": "File > Import, Object menu",
    "description": "Speech-driven faces: GLB with sound, ARKit curves onto any rig",
}
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
LINEAR = 1  # of a key's interpolation, as foreach_set wants it


def read_glb(path):
    """The document of a GLB, and its data."""
    with open(path, "rb") as file:
        content = file.read()
    if content[:4] != b"glTF":
        raise ValueError("this is no GLB")
    length = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def glb_curves(path):
    """(names, rows of weights, frames per second) of a GLB that EmoFace wrote."""
    document, data = read_glb(path)
    extras = document["meshes"][0]["extras"]
    names, sampler = extras["targetNames"], document["animations"][0]["samplers"][0]
    accessor = document["accessors"][sampler["output"]]
    start = document["bufferViews"][accessor["bufferView"]].get("byteOffset", 0) + accessor.get("byteOffset", 0)
    values = struct.unpack_from(f"<{accessor['count']}f", data, start)
    return names, [values[at : at + len(names)] for at in range(0, len(values), len(names))], extras["emoface"]["fps"]


def json_curves(path):
    """The same of EmoFace's .json, or of one that Audio2Face or `.a2f.json` wrote."""
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    if "facsNames" in told:
        return told["facsNames"], told["weightMat"], told["exportFps"]
    return told["names"], [frame["weights"] for frame in told["frames"]], told["metadata"]["fps"]


def rate_of(timecodes):
    """Frames a second of ``HH:MM:SS:FF.mmm`` timecodes: one more than the last frame of the seconds; 60 if no second is full.

    Rows are not counted, because phones drop some.
    """
    seconds = {timecode.rpartition(":")[0] for timecode in timecodes}
    whole_second = len(seconds) > 2 or (len(seconds) > 1 and timecodes[0].endswith(":00.000"))
    return 1.0 + max(float(timecode.rpartition(":")[2]) // 1 for timecode in timecodes) if whole_second else 60.0


def csv_curves(path):
    """The same of a Live Link Face CSV, at the rate of its timecodes; where the phone dropped frames there is a straight line."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row]
    rows = [row for row in rows if len(row) == len(header)]
    rate = rate_of([row[0] for row in rows])
    frames, before = [], None
    for row in rows:
        hours, minutes, seconds, inside = map(float, row[0].split(":"))
        at = ((hours * 60 + minutes) * 60 + seconds) * rate + inside
        frames.append(0.0 if before is None else frames[-1] + (at - before) % (86400 * rate))  # takes may run over midnight
        before = at
    return header[2:], without_gaps([[float(value) for value in row[2:]] for row in rows], frames, longest=60 * rate), rate


def without_gaps(rows, frames, *, longest):
    """Rows that lie at ``frames``, at every whole frame; as they are where none is missing, or the numbers are no clock."""
    steps = [after - before for before, after in zip(frames, frames[1:])]
    if not steps or max(steps) < 1.5 or max(steps) > longest or min(steps) <= 0:
        return rows
    even, number = [], 0
    for frame in range(round(frames[-1]) + 1):
        while number < len(frames) - 2 and frames[number + 1] <= frame:
            number += 1
        share = min(max((frame - frames[number]) / steps[number], 0.0), 1.0)
        even.append([a + share * (b - a) for a, b in zip(rows[number], rows[number + 1])])
    return even


def plain(name: str) -> str:
    """A shape's name without what rigs write differently: ``Face.eyeBlink_L``, ``EyeBlinkLeft`` and ``eyeblinkleft`` are one."""
    for end, side in (("_L", "left"), ("_R", "right"), (".L", "left"), (".R", "right")):
        if name.endswith(end):
            name = name[: -len(end)] + side
    return name.rsplit(".", 1)[-1].lower().replace("_", "").replace(" ", "")


def fcurves_of(action):
    """Blender 5 keeps curves in layers, earlier ones in the action."""
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    return [curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags for curve in bag.fcurves]


def put_curves(mesh_object, names, rows, fps, scene, start):
    """Keys the shape keys of an object that have an ARKit name; returns how many."""
    keys = mesh_object.data.shape_keys
    if keys is None:
        return 0
    column = {plain(name): number for number, name in enumerate(names)}
    found = [(block, column[plain(block.name)]) for block in keys.key_blocks[1:] if plain(block.name) in column]
    step = scene.render.fps / scene.render.fps_base / fps
    for block, _ in found:
        block.slider_min, block.slider_max = min(block.slider_min, 0.0), max(block.slider_max, 1.0)
        block.keyframe_insert("value", frame=start)
    if not found:
        return 0
    curves = {curve.data_path: curve for curve in fcurves_of(keys.animation_data.action)}
    for block, number in found:
        curve = curves[block.path_from_id("value")]
        while len(curve.keyframe_points):
            curve.keyframe_points.remove(curve.keyframe_points[-1], fast=True)
        curve.keyframe_points.add(len(rows))
        curve.keyframe_points.foreach_set("co", [value for frame, row in enumerate(rows) for value in (start + frame * step, row[number])])
        curve.keyframe_points.foreach_set("interpolation", [LINEAR] * len(rows))
        curve.update()
    return len(found)


def place_sound(scene, path, frame):
    """A strip of the sound in the sequencer, and a timeline that keeps to it."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    scene.sync_mode = "AUDIO_SYNC"
    return strips.new_sound(os.path.basename(path), path, 1, frame)


def sound_beside(path):
    """The recording of the same name, if there is one."""
    stem = os.path.splitext(path)[0]
    return next((stem + end for end in SOUNDS if os.path.isfile(stem + end)), None)


class EMOFACE_OT_import(bpy.types.Operator, ImportHelper):
    """Import an EmoFace GLB at its own rate, with the recording of the same name beside it at the first frame"""

    bl_idname, bl_label, bl_options = "import_scene.emoface", "Import EmoFace", {"REGISTER", "UNDO"}
    filename_ext = ".glb"
    filter_glob: StringProperty(default="*.glb", options={"HIDDEN"})
    sound: StringProperty(name="Sound", description="The recording; empty: the file of the same name beside the GLB", subtype="FILE_PATH")

    def execute(self, context):
        try:
            names, rows, fps = glb_curves(self.filepath)
        except (OSError, ValueError, KeyError, IndexError, struct.error):
            self.report({"ERROR"}, "This is no GLB that EmoFace wrote: import it with File > Import > glTF")
            return {"CANCELLED"}
        scene = context.scene
        # The importer turns seconds into frames with the scene's rate, so that is set first.
        scene.render.fps, scene.render.fps_base = (round(fps), 1.0) if abs(fps - round(fps)) < 1e-3 else (round(fps * 1.001), 1.001)
        before = set(bpy.data.objects)
        bpy.ops.import_scene.gltf(filepath=self.filepath)
        new = [thing for thing in bpy.data.objects if thing not in before and thing.type == "MESH"]
        starts = [
            curve.keyframe_points[0].co[0]
            for thing in new
            if thing.data.shape_keys and thing.data.shape_keys.animation_data
            for curve in fcurves_of(thing.data.shape_keys.animation_data.action)
        ]
        first = round(min(starts, default=0))
        scene.frame_start, scene.frame_end = first, first + len(rows) - 1
        scene.frame_set(first)
        sound = self.sound or sound_beside(self.filepath)
        if sound:
            place_sound(scene, bpy.path.abspath(sound), first)
        self.report(
            {"INFO"},
            f"{len(rows)} frames at {fps:g} per second, {os.path.basename(sound) if sound else 'without sound: none of this name lies beside it'}",
        )
        return {"FINISHED"}


class EMOFACE_OT_curves(bpy.types.Operator, ImportHelper):
    """Put the curves of an EmoFace .json, .csv or .glb, or of a Live Link Face take, onto the ARKit shape keys of the selected objects"""

    bl_idname, bl_label, bl_options = "object.emoface_curves", "EmoFace curves onto shape keys", {"REGISTER", "UNDO"}
    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json;*.csv;*.glb", options={"HIDDEN"})
    with_sound: BoolProperty(name="Sound beside it", default=True, description="Place the recording of the same name in the sequencer")

    def execute(self, context):
        reader = {".json": json_curves, ".csv": csv_curves, ".glb": glb_curves}.get(os.path.splitext(self.filepath)[1].lower())
        try:
            names, rows, fps = reader(self.filepath)
        except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error):
            self.report({"ERROR"}, "No ARKit curves in this file: give a .json, .csv or .glb of EmoFace, or a Live Link Face take")
            return {"CANCELLED"}
        scene, start = context.scene, context.scene.frame_start
        done = {thing.name: put_curves(thing, names, rows, fps, scene, start) for thing in context.selected_objects if thing.type == "MESH"}
        if not any(done.values()):
            self.report({"ERROR"}, "The selected objects have no shape keys with ARKit names: select the head's mesh")
            return {"CANCELLED"}
        scene.frame_end = max(scene.frame_end, start + round((len(rows) - 1) * scene.render.fps / scene.render.fps_base / fps))
        sound = sound_beside(self.filepath) if self.with_sound else None
        if sound:
            place_sound(scene, sound, start)
        self.report({"INFO"}, ", ".join(f"{name}: {count} shapes" for name, count in done.items()))
        return {"FINISHED"}


CLASSES = (EMOFACE_OT_import, EMOFACE_OT_curves)


def import_menu(self, context):
    self.layout.operator(EMOFACE_OT_import.bl_idname, text="EmoFace (.glb)")


def object_menu(self, context):
    self.layout.operator(EMOFACE_OT_curves.bl_idname)


def register():
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.TOPBAR_MT_file_import.append(import_menu)
    bpy.types.VIEW3D_MT_object.append(object_menu)


def unregister():
    bpy.types.VIEW3D_MT_object.remove(object_menu)
    bpy.types.TOPBAR_MT_file_import.remove(import_menu)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)


if __name__ == "__main__":
    register()
