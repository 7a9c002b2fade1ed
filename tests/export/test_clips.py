"""The 52 curves in the formats of other programs, read by what other people wrote where there is something."""

import csv
import json
import subprocess

import numpy as np
import pytest

from emoface.cli import main
from emoface.errors import EmoFaceError
from emoface.export import FORMATS, save, suffix_of
from emoface.export.arkit import ARKIT_NAMES
from emoface.export.visemes import HIDDEN, VISEMES, viseme_cues, viseme_weights
from tests.export.conftest import animate
from tests.export.test_glb import header, node_package

FPS = 30


def shapes(head, **values) -> np.ndarray:
    return np.array([next((v for base, v in values.items() if name in (base, base + "Left", base + "Right")), 0.0) for name in head.blendshape_names])


@pytest.fixture(scope="module")
def spoken(head):
    """Four tenths of a second each of: rest, aa, p, ou, f, rest; smiling all the time."""
    poses = [VISEMES[name] for name in ("sil", "aa", "PP", "ou", "FF", "sil")]
    rows = [np.minimum(shapes(head, **pose) + shapes(head, mouthSmile=0.2), 1) for pose in poses]
    return animate(head, np.repeat(rows, 12, axis=0), settings={"speech": "a.wav", "emotion": "happy"})


def test_visemes_are_those_of_the_lips_and_a_smile_is_none(spoken):
    weights = viseme_weights(spoken)
    assert weights.shape == (72, 15) and np.allclose(weights.sum(1), 1, atol=1e-5) and weights.min() >= -1e-6
    for start, name in zip(range(0, 72, 12), ("sil", "aa", "PP", "ou", "FF", "sil")):
        assert weights[start + 6, list(VISEMES).index(name)] > 0.8, name
    assert not weights[:, [list(VISEMES).index(name) for name in HIDDEN]].any()
    cues = viseme_cues(spoken)
    assert [cue.value for cue in cues] == ["sil", "aa", "PP", "ou", "FF", "sil"]
    assert [cue.start for cue in cues] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2.0]) and cues[-1].end == pytest.approx(2.4)


def test_lips_at_rest_between_two_vowels_say_p(head):
    rows = [VISEMES["aa"]] * 10 + [{}] * 4 + [VISEMES["aa"]] * 10 + [{}] * 12
    cues = viseme_cues(animate(head, np.array([shapes(head, **row) for row in rows])))
    assert [cue.value for cue in cues] == ["aa", "PP", "aa", "sil"]


def test_a_flicker_of_one_frame_is_no_cue(head):
    rows = [VISEMES["aa"]] * 10 + [VISEMES["E"]] + [VISEMES["aa"]] * 10
    assert [cue.value for cue in viseme_cues(animate(head, np.array([shapes(head, **row) for row in rows])))] == ["aa"]


def test_cues_as_rhubarb_writes_them(spoken, tmp_path):
    told = json.loads(save(spoken, tmp_path / "a.rhubarb.json").read_text())
    assert told["metadata"] == {"soundFile": "a.wav", "duration": 2.4}
    assert [cue["value"] for cue in told["mouthCues"]] == list("XDAFGX")
    assert all(one["end"] == other["start"] for one, other in zip(told["mouthCues"], told["mouthCues"][1:]))
    with open(save(spoken, tmp_path / "a.tsv"), newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows == [[f"{cue['start']:.2f}", cue["value"]] for cue in told["mouthCues"]] + [["2.40", "X"]]


def test_subtitles_are_read_by_srt(spoken, tmp_path):
    srt = pytest.importorskip("srt")
    found = list(srt.parse(save(spoken, tmp_path / "a.srt").read_text()))
    assert [line.content for line in found] == ["aa", "PP", "ou", "FF"]
    assert found[1].start.total_seconds() == pytest.approx(0.8) and found[1].end.total_seconds() == pytest.approx(1.2)


def test_oculus_weights_and_cues_agree(spoken, tmp_path):
    told = json.loads(save(spoken, tmp_path / "a.visemes.json").read_text())
    assert told["names"] == "sil PP FF TH DD kk CH SS nn RR aa E ih oh ou".split() and told["fps"] == FPS and len(told["frames"]) == 72
    for cue in told["cues"]:
        middle = told["frames"][round((cue["start"] + cue["end"]) / 2 * FPS)]
        assert told["names"][int(np.argmax(middle))] == cue["value"]


def test_audio2face_json(talking, tmp_path):
    told = json.loads(save(talking, tmp_path / "a.a2f.json").read_text())
    weights = np.array(told["weightMat"])
    assert weights.shape == (told["numFrames"], told["numPoses"]) == (12, 52) and told["exportFps"] == FPS
    order = [talking.blendshape_names.index(name) for name in told["facsNames"]]
    assert sorted(told["facsNames"]) == list(ARKIT_NAMES) and np.allclose(weights, talking.blendshapes[:, order], atol=1e-5)


def test_unity_clip_is_read_by_unityparser(talking, tmp_path):
    UnityDocument = pytest.importorskip("unityparser").UnityDocument
    clip = UnityDocument.load_yaml(str(save(talking, tmp_path / "a.anim", target="Body/Face"))).get(class_name="AnimationClip")
    assert float(clip.m_SampleRate) == FPS and clip.m_Name == "a"
    curves = {curve["attribute"]: curve for curve in clip.m_FloatCurves}
    assert set(curves) == {f"blendShape.{name}" for name in talking.blendshape_names}
    jaw = curves["blendShape.jawOpen"]
    assert jaw["path"] == "Body/Face" and int(jaw["classID"]) == 137
    keys = jaw["curve"]["m_Curve"]
    values, times = np.array([float(key["value"]) for key in keys]), np.array([float(key["time"]) for key in keys])
    assert np.allclose(values, 100 * talking.blendshapes[:, talking.blendshape_names.index("jawOpen")], atol=1e-2)
    assert np.allclose(times, np.arange(12) / FPS, atol=1e-5)
    assert np.allclose([float(key["outSlope"]) for key in keys[:-1]], np.diff(values) / np.diff(times), rtol=1e-2, atol=1)
    assert len(curves["blendShape.cheekPuff"]["curve"]["m_Curve"]) == 2, "a curve that rests has a key at either end"


def test_godot_resource_is_read_by_godot_parser(talking, tmp_path):
    load = pytest.importorskip("godot_parser").load
    file = load(str(save(talking, tmp_path / "a.tres", target="Head/Mesh")))
    track, resource = {}, next(section for section in file.get_sections("resource"))
    for key, value in resource.properties.items():
        if key.startswith("tracks/"):
            _, number, name = key.split("/")
            track.setdefault(int(number), {})[name] = value
    assert resource["length"] == pytest.approx(talking.duration) and len(track) == 52
    assert {one["type"] for one in track.values()} == {"blend_shape"}
    jaw = next(one for one in track.values() if one["path"].args[0] == "Head/Mesh:jawOpen")
    keys = np.array(jaw["keys"].args, float).reshape(-1, 3)
    assert np.allclose(keys[:, 0], np.arange(12) / FPS, atol=1e-5) and (keys[:, 1] == 1).all()
    assert np.allclose(keys[:, 2], talking.blendshapes[:, talking.blendshape_names.index("jawOpen")], atol=1e-4)


_READ_VRMA = """
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { VRMAnimationLoaderPlugin } from '@pixiv/three-vrm-animation';
import { readFileSync } from 'node:fs';
globalThis.self = globalThis;
const loader = new GLTFLoader();
loader.register(parser => new VRMAnimationLoaderPlugin(parser));
const bytes = readFileSync(process.argv[2]);
const gltf = await loader.parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), '');
const [{ duration, expressionTracks, humanoidTracks }] = gltf.userData.vrmAnimations;
const told = tracks => Object.fromEntries([...tracks].map(([name, track]) => [name, Array.from(track.values)]));
console.log(JSON.stringify({ duration, preset: told(expressionTracks.preset), custom: told(expressionTracks.custom), bones: told(humanoidTracks.rotation) }));
"""


def read_vrma(path, folder) -> dict:
    modules = node_package("three").parent
    node_package("@pixiv/three-vrm-animation")
    script = folder / "read.mjs"
    script.write_text(_READ_VRMA)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(modules)
    done = subprocess.run(["node", str(script), str(path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_vrm_animation_is_read_by_pixivs_loader(talking, tmp_path):
    told = read_vrma(save(talking, tmp_path / "a.vrma"), tmp_path)
    assert told["duration"] == pytest.approx(11 / FPS, abs=1e-4) and told["custom"] == {}
    assert {"aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight", "happy", "angry", "sad", "relaxed", "surprised"} == set(told["preset"])
    opened = talking.blendshapes[:, talking.blendshape_names.index("jawOpen")]
    assert np.corrcoef(told["preset"]["aa"], opened)[0, 1] > 0.95
    assert np.allclose(told["preset"]["blinkRight"], talking.blendshapes[:, talking.blendshape_names.index("eyeBlinkRight")], atol=1e-5)
    arkit = read_vrma(save(talking, tmp_path / "b.vrma", shapes="arkit"), tmp_path)
    assert arkit["preset"] == {} and np.allclose(arkit["custom"]["jawOpen"], opened, atol=1e-5) and len(arkit["custom"]) == 52


def validator_issues(path) -> set[str]:
    """Codes of what Khronos' validator says; errors fail here."""
    package = node_package("gltf-validator")
    code = (
        "const v = require(process.argv[1]), fs = require('fs'); v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[2])))"
        ".then(report => console.log(JSON.stringify(report.issues)))"
    )
    issues = json.loads(subprocess.run(["node", "-e", code, str(package), str(path)], capture_output=True, text=True, check=True, timeout=900).stdout)
    assert issues["numErrors"] == 0, issues
    return {message["code"] for message in issues["messages"]}


def test_khronos_validator_finds_nothing_in_a_vrma(talking, tmp_path):
    path = save(talking, tmp_path / "a.vrma")
    assert validator_issues(path) <= {"UNSUPPORTED_EXTENSION", "NODE_EMPTY"}
    assert header(path)["extensions"]["VRMC_vrm_animation"]["specVersion"] == "1.0"


def test_a_face_made_elsewhere_shows_no_emotion_in_a_vrma(talking, tmp_path):
    from dataclasses import replace

    unknown = replace(talking, emotion_importance=np.zeros((12, 0), np.float32), emotion_effect_mm=np.zeros((12, 0), np.float32))
    told = read_vrma(save(unknown, tmp_path / "a.vrma"), tmp_path)
    assert not any(told["preset"]["happy"]) and any(told["preset"]["aa"])


@pytest.mark.parametrize("suffix", [".vrma", ".anim", ".tres", ".a2f.json", ".visemes.json", ".rhubarb.json", ".tsv", ".srt"])
def test_a_mesh_without_arkit_shapes_is_refused(suffix, flame, tmp_path):
    with pytest.raises(EmoFaceError, match="ARKit"):
        save(flame, tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


def test_of_two_suffixes_the_longer_one_counts(talking, tmp_path):
    assert suffix_of("x/Clip.A2F.json") == ".a2f.json" and suffix_of("a2f.json") == ".json" and suffix_of(".json") not in FORMATS
    assert "facsNames" in json.loads(save(talking, tmp_path / "Clip.A2F.JSON").read_text())
    assert "names" in json.loads(save(talking, tmp_path / "clip.json").read_text())


def test_options_that_are_wrong_end_in_one_sentence(talking, tmp_path):
    for name, options in (("a.vrma", {"shapes": "vrc"}), ("a.anim", {"target": "a:b"}), ("a.tres", {"target": "a\nb"}), ("a.srt", {"target": "a"})):
        with pytest.raises(EmoFaceError):
            save(talking, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_help_and_formats_list_every_format(capsys):
    assert main(["formats"]) == 0
    table = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert table.strip() in capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines()] == list(FORMATS)


def test_the_table_in_the_docs_is_what_the_code_writes():
    from train.tools.format_table import PAGE, with_table

    page = PAGE.read_text("utf-8")
    assert with_table(page) == page, "run: python -m train.tools.format_table"
