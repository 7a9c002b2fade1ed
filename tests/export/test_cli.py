"""``python -m emoface render`` and ``view``: files of ours and of peers, messages, exit codes."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emoface.cli import main
from emoface.export import FORMATS, load, save
from emoface.export.curves import animation_from_weights
from emoface.head_motion import rotations
from tests.browser.faces import hold, until, wait_for_face


@pytest.fixture(scope="module")
def files(tmp_path_factory, talking, flame):
    folder = tmp_path_factory.mktemp("cli")
    save(talking, folder / "ours.npz", audio=True)
    save(talking, folder / "ours.glb")
    save(flame, folder / "peer.npy")
    trimesh = pytest.importorskip("trimesh")
    trimesh.Trimesh(flame.template, flame.faces, process=False).export(folder / "flame.ply")
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_render_a_film_and_convert(files, tmp_path, capsys, talking):
    av = pytest.importorskip("av")
    code, out, err = run(
        capsys, "render", files / "ours.npz", "-o", tmp_path / "a.mp4", "--size", "96x64", "--camera", "three_quarter", "--background", "0,0,0"
    )
    assert code == 0 and "12 frames, 0.40 s" in out and "Drawing frames" in err
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert (film.streams.video[0].width, film.streams.video[0].height, len(film.streams.audio)) == (96, 64, 1)
    code, out, _ = run(capsys, "render", files / "ours.glb", "-o", tmp_path / "a.csv", "--curve-fps", "30", "--quiet")
    assert code == 0 and len((tmp_path / "a.csv").read_text().splitlines()) == 13
    assert run(capsys, "render", files / "ours.glb", "-o", tmp_path / "b.npz", "--quiet")[0] == 0
    assert np.abs(load(tmp_path / "b.npz").vertices - talking.vertices)[:, : talking.skin_count].max() < 2e-5


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if not suffix.startswith(".usd")])
def test_one_command_per_format(files, tmp_path, capsys, suffix):
    size = ("--size", "48") if FORMATS[suffix][0] in ("video", "poster") else ()
    code, out, _ = run(capsys, "render", files / "ours.npz", "-o", tmp_path / f"a{suffix}", "--quiet", *size)
    assert (
        code == 0 and f"a{suffix}: 12 frames" in out and (tmp_path / f"a{suffix}").stat().st_size > (5 if FORMATS[suffix][0] == "visemes" else 1000)
    )


def test_a_peer_beside_us(files, tmp_path, capsys):
    pytest.importorskip("av")
    code, out, err = run(
        capsys,
        "render",
        files / "ours.npz",
        files / "peer.npy",
        "--template",
        files / "flame.ply",
        "-o",
        tmp_path / "a.webm",
        "--size",
        "64",
        "--quiet",
        "--caption",
        "ours",
        "--caption",
        "peer",
    )
    assert code == 0 and not err, err
    code, _, err = run(capsys, "render", files / "peer.npy", "-o", tmp_path / "b.mp4", "--quiet")
    assert code == 2 and "--template" in err and err.count("\n") == 1
    code, _, err = run(capsys, "render", files / "ours.npz", files / "ours.glb", "-o", tmp_path / "c.glb", "--quiet")
    assert code == 2 and "Only films" in err
    code, _, err = run(capsys, "render", files / "ours.npz", "-o", tmp_path / "c.npz", "--camera", "front", "--quiet")
    assert code == 2 and "no option camera" in err
    assert {file.name for file in tmp_path.iterdir()} == {"a.webm"}


def test_what_the_player_is_given(files, tmp_path, talking, flame):
    pytest.importorskip("gradio")
    soundfile = pytest.importorskip("soundfile")
    from emoface.ui.viewer import build_viewer, write_scene

    value = write_scene([load(files / "ours.npz"), load(files / "ours.glb")], ["a", "b"], tmp_path / "scene")
    sound, rate = soundfile.read(value["audio"])
    assert rate == 16000 and len(sound) == 6400 and np.abs(sound - talking.audio.clip(-1, 1)).max() < 1e-3
    assert Path(value["animation"]).stat().st_size > 10000
    peer = load(files / "peer.npy", files / "flame.ply")
    silent, _ = soundfile.read(write_scene([peer], ["peer"], tmp_path / "peer")["audio"])
    assert len(silent) == round(flame.duration * 16000) and not silent.any()
    page = build_viewer([talking, peer], ["ours", "peer"], tmp_path)
    players = [block for block in page.blocks.values() if type(block).__name__ == "FacePlayer"]
    assert len(players) == 2, "heads of different topology have their own players"
    other = animation_from_weights(talking.blendshapes, fps=30, head=5)
    page = build_viewer([talking, other, talking], ["ours", "another person", "ours"], tmp_path)
    players = [block for block in page.blocks.values() if type(block).__name__ == "FacePlayer"]
    assert len(players) == 2, "and so have two people: the hair of one does not fit the other"
    turning = replace(talking, head_angles=np.full((talking.frame_count, 3), 0.1, np.float32))
    packed = gzip.decompress(Path(write_scene([talking, turning], ["a", "b"], tmp_path / "turning", seconds=1.0)["animation"]).read_bytes())
    told = json.loads(packed[8 : 8 + int.from_bytes(packed[4:8], "little")])
    assert told["neck"] and told["tracks"][0]["turns"] is None
    assert np.allclose(told["tracks"][1]["turns"], rotations(np.full((30, 3), 0.1)).reshape(30, 9), atol=1e-5), "held as long as the longest"


def test_ours_and_a_peer_are_viewed_in_step(files, tmp_path, talking, chromium):
    pytest.importorskip("gradio")
    from emoface.ui.theme import CSS, theme
    from emoface.ui.viewer import build_viewer

    page = build_viewer([talking, load(files / "peer.npy", files / "flame.ply")], ["ours.npz", "peer.npy"], tmp_path)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[str(tmp_path)], theme=theme(), css=CSS)
    try:
        tab = chromium.new_page(viewport={"width": 700, "height": 700})
        tab.goto(address)
        for player in ("view-0", "view-1"):
            wait_for_face(tab, player)
            until(lambda: len(tab.locator(f"#{player}").screenshot()) > 5000, page=tab)
        assert "ours.npz" in tab.locator("#view-0").inner_text() and "peer.npy" in tab.locator("#view-1").inner_text()
        tab.evaluate(
            "() => { const p = emoface.players['view-1']; for (const event of ['play', 'pause']) p.audio.addEventListener(event, () => (window.followed ??= []).push(event)); }"
        )
        hold(tab, "view-0", 0.3)
        at = "() => Math.abs(emoface.players['view-1'].audio.currentTime - emoface.players['view-0'].audio.currentTime)"
        until(lambda: tab.evaluate(at) < 0.1, page=tab)  # a seek in one is a seek in both
        tab.locator("#view-0 .efp-play").click()
        until(lambda: "play" in tab.evaluate("() => window.followed ?? []"), page=tab)
        tab.evaluate("() => emoface.players['view-0'].audio.pause()")
        until(lambda: tab.evaluate("() => emoface.players['view-1'].audio.paused"), page=tab)
        tab.close()
    finally:
        page.close(verbose=False)


def test_a_film_without_sound_says_so(files, tmp_path, capsys, talking):
    save(talking, tmp_path / "mute.npz")
    code, _, err = run(capsys, "render", tmp_path / "mute.npz", "-o", tmp_path / "a.mp4", "--size", "48", "--quiet")
    assert code == 0 and "no sound" in err and "--audio" in err and err.count("\n") == 1
    code, _, err = run(capsys, "render", files / "ours.npz", "-o", tmp_path / "a.mp4", "--size", "48", "--quiet")
    assert code == 0 and not err
    code, _, err = run(capsys, "render", tmp_path / "mute.npz", "-o", tmp_path / "a.gif", "--size", "48", "--quiet")
    assert code == 0 and not err, "nobody expects sound of a gif"


@pytest.mark.parametrize("rate", ["nan", "inf", "-inf", "-1", "0", "1e300", "1e-300", "1e9"])
@pytest.mark.parametrize("suffix", [".csv", ".mp4"])
def test_rates_that_no_file_has(files, tmp_path, capsys, suffix, rate):
    """Of what is written, and of the takes that are read: one sentence, and no file of a billion rows."""
    code, _, err = run(capsys, "render", files / "ours.npz", "-o", tmp_path / f"a{suffix}", "--quiet", f"--output-fps={rate}")
    assert code == 2 and err.startswith("emoface: ") and "Frames per second" in err and not (tmp_path / f"a{suffix}").exists()
    save(load(files / "ours.npz"), tmp_path / "take.csv")
    code, _, err = run(capsys, "render", tmp_path / "take.csv", "-o", tmp_path / "a.npz", "--quiet", f"--fps={rate}")
    assert code == 2 and err.startswith("emoface: ") and not (tmp_path / "a.npz").exists()
