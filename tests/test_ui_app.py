"""The page without a browser: endpoints, visitors, errors, charts and scenes."""

import gzip
import json
import os
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import pytest
import soundfile

from emoface.animation import EMOTIONS
from emoface.audio import load_audio
from emoface.errors import Cancelled, EmoFaceError
from emoface.ui import plots, scenes
from emoface.ui.animate import echo_of
from emoface.ui.sessions import IDLE_SECONDS, Sessions
from tests.puppet import Puppeteer, puppet


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for index in range(6):
        time_ = np.arange(int((0.5 + 0.1 * index) * 16000)) / 16000
        soundfile.write(folder / f"{index}.wav", 0.5 * np.sin(2 * np.pi * 300 * time_), 16000)
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "long.wav", 0.1 * np.sin(np.arange(31 * 8000)), 8000)
    soundfile.write(folder / "nan.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    soundfile.write(folder / "tiny.wav", np.full(100, 0.5), 16000)
    soundfile.write(folder / "hour.wav", np.zeros(3600 * 4000, np.int8).astype(np.int16), 4000, subtype="PCM_U8")
    (folder / "cut.wav").write_bytes((folder / "0.wav").read_bytes()[:20])
    (folder / "text.wav").write_text("not sound")
    (folder / "empty.wav").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def puppeteer():
    return Puppeteer()


@pytest.fixture(scope="module")
def page(puppeteer):
    from emoface.ui.app import build_app, launch_options

    page = build_app(pipeline=lambda: puppeteer, opening=False)
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(page), "mcp_server": False})
    yield page
    page.close()


@pytest.fixture(scope="module")
def client(page):
    from gradio_client import Client

    return Client(page.local_url, verbose=False, httpx_kwargs={"timeout": 900})


def header(path) -> dict:
    raw = gzip.decompress(Path(path).read_bytes())
    return json.loads(raw[8 : 8 + struct.unpack("<I", raw[4:8])[0]])


def test_animate_endpoint_returns_a_file_and_a_summary(client, sounds):
    from gradio_client import handle_file

    file, summary = client.predict(
        speech=handle_file(sounds / "3.wav"),
        emotion="angry",
        emotion_speech=None,
        mix=0.5,
        level="strong",
        style="s2",
        head=2,
        idle=False,
        format="npz",
        api_name="/animate",
    )
    with np.load(file, allow_pickle=False) as saved:
        assert saved["vertices"].shape[0] == summary["frames"] == 24
    assert summary["settings"]["emotion"] == "angry" and summary["settings"]["head"] == 2 and summary["emotion"] == "angry"
    assert sum(summary["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_the_animate_endpoint_turns_the_head_when_asked(client, sounds):
    from gradio_client import handle_file

    for amount, turns in ((0.5, True), (0, False)):
        file, summary = client.predict(speech=handle_file(sounds / "3.wav"), head_motion=amount, format="npz", api_name="/animate")
        with np.load(file, allow_pickle=False) as saved:
            assert ("head_angles" in saved and bool(saved["head_angles"].any())) == turns
        assert summary["settings"]["head_motion"] == amount


def test_the_animate_endpoint_directs_a_feeling_over_time(client, sounds):
    from gradio_client import handle_file

    curve = [[0, {"happy": 1}], [0.4, {"sad": 0.5}]]
    _, summary = client.predict(speech=handle_file(sounds / "3.wav"), emotion_curve=curve, intensity=0.5, api_name="/animate")
    assert (
        summary["settings"]["emotion"] == [[0, {"happy": 1, "sad": 0}], [0.4, {"happy": 0, "sad": 0.5}]] and summary["settings"]["intensity"] == 0.5
    )


def test_unusable_model_is_replaced_and_the_page_says_so(tmp_path):
    from emoface.ui.app import build_app

    folder = tmp_path / "<b>mine"
    folder.mkdir()
    page = build_app(model=str(folder), opening=False)
    head = page.config["components"][0]["props"]["value"]
    assert 'role="alert"' in head and "has no config.json" in head and "Until then the embedded model is used." in head
    assert "<b>mine" not in head and "&lt;b&gt;mine" in head
    assert page.emoface.engine.pipeline.name == "emoface-mini"


def test_another_model_does_not_carry_the_embedded_weights_licence(tmp_path):
    from emoface.ui.app import build_app
    from tests.tiny_model import save_tiny_model

    head = build_app(model=str(save_tiny_model(tmp_path / "own")), opening=False).config["components"][0]["props"]["value"]
    assert "emoface-tiny" in head and "CC BY" not in head and "alert" not in head


def test_a_model_of_ones_own_is_loaded_once(tmp_path, monkeypatch):
    from emoface import loading
    from emoface.ui.app import build_app
    from tests.tiny_model import save_tiny_model

    loads, load_folder = [], loading.load_folder
    monkeypatch.setattr(loading, "load_folder", lambda folder: loads.append(folder) or load_folder(folder))
    own = save_tiny_model(tmp_path / "own")
    page = build_app(model=str(own), opening=False)
    assert page.emoface.engine.pipeline.name == "emoface-tiny" and loads == [own]


def test_only_emotions_that_the_model_has_are_offered(tmp_path):
    from safetensors.numpy import load_file, save_file

    from emoface.ui.app import build_app
    from tests.tiny_model import save_tiny_model

    weights = save_tiny_model(tmp_path / "neutral") / "model.safetensors"
    state = load_file(weights)
    state["emotion_prototypes"][[1, 2, 4, 5, 6, 7]] = 0
    save_file(state, weights)
    page = build_app(model=str(weights.parent), opening=False)
    offered = [c["props"]["choices"] for c in page.config["components"] if "choices" in c["props"]]
    assert offered.count([("Neutral", "neutral"), ("Sad", "sad")]) == 4 and [("speech", "speech"), ("neutral", "neutral"), ("sad", "sad")] in offered
    assert page.emoface.engine.pipeline.emotions == ["neutral", "sad"] and "happy" not in str(offered)


def test_a_link_to_the_embedded_model_is_the_embedded_model(tmp_path):
    from emoface.hub import EMBEDDED_MODEL
    from emoface.ui.app import build_app

    (tmp_path / "mine").symlink_to(EMBEDDED_MODEL)
    assert "CC BY-NC-SA" in build_app(model=str(tmp_path / "mine"), opening=False).config["components"][0]["props"]["value"]


def test_cross_and_importance_endpoints(client, sounds):
    from gradio_client import handle_file

    a, b = handle_file(sounds / "1.wav"), handle_file(sounds / "2.wav")
    files, summary = client.predict(a=a, b=b, level="normal", style="s1", head=0, api_name="/cross_reconstruct")
    assert [Path(file).stem for file in files] == [f"words_{c}_emotion_{e}" for c in "AB" for e in "AB"]
    assert summary["difference_mm"]["Words of A"]["Brows"] > 0.5
    _, summary = client.predict(speech=a, emotion="angry", level="normal", head=0, api_name="/importance")
    assert summary["effect_mm"]["Brows"] > summary["effect_mm"]["Scalp"]
    assert summary["distance_from_fused_mm"]["content"] > 0


def test_only_the_three_endpoints_are_public_and_documented(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/animate", "/cross_reconstruct", "/importance"}


def test_tools_for_agents_have_descriptions(page):
    for function in page.fns.values():
        if function.api_visibility == "public":
            assert len(function.fn.__doc__) > 200 and "Args:" in function.fn.__doc__


@pytest.mark.parametrize(
    "file, words",
    [
        ("text.wav", "text.wav is not audio"),
        ("empty.wav", "is empty"),
        ("silent.wav", "is silent"),
        ("nan.wav", "not numbers"),
        ("tiny.wav", "only 0.01 s"),
        ("hour.wav", "longer than the limit of 120 s"),
        ("cut.wav", "cut.wav is not audio"),
    ],
)
def test_bad_recordings_are_refused_in_a_sentence(client, sounds, file, words):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match=words):
        client.predict(speech=handle_file(sounds / file), api_name="/animate")


def test_too_long_recordings_are_refused_before_the_work(client, sounds, puppeteer):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    made = puppeteer.finished
    with pytest.raises(AppError, match="30"):
        client.predict(speech=handle_file(sounds / "long.wav"), api_name="/importance")
    assert puppeteer.finished == made


@pytest.mark.parametrize("path", ["/etc/passwd", "app.py", os.path.relpath("/etc/hostname")])
def test_files_of_the_server_cannot_be_named(client, path):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError) as caught:
        client.predict(speech={"path": path, "meta": {"_type": "gradio.FileData"}}, api_name="/animate")
    assert "root:" not in str(caught.value) and "import" not in str(caught.value)


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", str(Path(__file__))])
def test_files_of_the_server_cannot_be_downloaded(page, path):
    answer = httpx.get(f"{page.local_url}gradio_api/file={path}", timeout=900)
    assert answer.status_code in (403, 404) and "root:" not in answer.text and "def test" not in answer.text


def test_a_recording_named_like_a_template_is_evaluated_nowhere(client, sounds, tmp_path):
    """Gradio leaves out the signs of a template on the way; what a name would do in the page, tests/browser sees."""
    from gradio_client import handle_file

    path = tmp_path / "${1 + 1} {{value}}.wav"
    path.write_bytes((sounds / "0.wav").read_bytes())
    _, summary = client.predict(speech=handle_file(path), api_name="/animate")
    assert "1 + 1" in summary["settings"]["speech"] and "value" in summary["settings"]["speech"]


def test_many_visitors_get_their_own_results(page, sounds):
    from gradio_client import Client, handle_file

    def visit(index):
        visitor = Client(page.local_url, verbose=False, httpx_kwargs={"timeout": 900})
        _, summary = visitor.predict(speech=handle_file(sounds / f"{index % 6}.wav"), emotion=EMOTIONS[index % 8], api_name="/animate")
        return index, summary

    with ThreadPoolExecutor(8) as pool:
        for index, summary in pool.map(visit, range(8)):
            assert summary["frames"] == int(np.ceil(30 * (0.5 + 0.1 * (index % 6)) - 1e-6))
            assert summary["settings"]["speech"] == f"{index % 6}.wav" and summary["settings"]["emotion"] == EMOTIONS[index % 8]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the visitors' files of a program of its own lie."""
    folder = tmp_path / "emoface-page-x"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


def uploaded(folder, name, size=1, age=0.0):
    path = folder / f"{name:0>64}" / f"{name}.wav"
    path.parent.mkdir()
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age,) * 2)
    return path


def files_of(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_a_visitor_made_is_deleted_when_the_session_ends(folder, monkeypatch):
    sessions, outside = Sessions(), folder.parent / "outside.wav"
    upload, shared = uploaded(folder, "up"), uploaded(folder, "both")
    outside.write_bytes(b"x")
    stop = sessions.start("one", "animate", str(upload), str(shared), str(outside))
    sessions.start("two", "animate", str(shared))
    result = sessions.result("one", ".efp")
    result.write_bytes(b"x")
    sessions.end("one")
    sessions.sweep()
    assert stop.is_set() and not result.exists() and upload.exists()  # for a job in the queue
    for late in (lambda: sessions.result("one", ".efp"), lambda: sessions.named_result("one", "a.npz"), lambda: sessions.keep("one", None)):
        with pytest.raises(Cancelled, match="page was closed"):  # what a job makes after its page was closed would stay for ever
            late()
    monkeypatch.setattr("emoface.ui.sessions.GRACE_SECONDS", 0.0)
    sessions.sweep()
    assert not upload.parent.exists()
    assert shared.exists() and outside.exists()
    with pytest.raises(EmoFaceError, match="no animation of yours"):
        sessions.kept("one")
    sessions.end("two")
    sessions.sweep()
    assert not shared.exists() and outside.exists()


def test_an_ended_visit_does_not_begin_again(folder):
    sessions = Sessions()
    sessions.arrive("one")
    sessions.end("one")
    sessions.arrive("one")
    for again in (lambda: sessions.start("one", "animate"), lambda: sessions.use("one", None), lambda: sessions.stop("one", "animate")):
        with pytest.raises(Cancelled, match="reload"):
            again()
    assert list(folder.iterdir()) == []  # and a visit without a result leaves no folder


def test_idle_visits_end_and_those_with_a_live_page_later(folder, monkeypatch, sounds):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("emoface.ui.sessions.time", SimpleNamespace(monotonic=lambda: clock.now, time=time.time, sleep=time.sleep))
    sessions, animation = Sessions(), puppet(load_audio(sounds / "0.wav"))
    sessions.arrive("page")
    for visit in ("page", "call"):
        sessions.start(visit, "animate", str(uploaded(folder, visit)))
        sessions.keep(visit, animation)
        sessions.result(visit, f".{visit}").write_bytes(b"x")
    sessions.sweep()
    assert len(files_of(folder)) == 4
    clock.now = IDLE_SECONDS + 1
    sessions.sweep()
    assert len(files_of(folder)) == 3 and sessions.kept("page") is animation
    with pytest.raises(EmoFaceError):
        sessions.kept("call")


def test_uploads_that_nobody_used_go(folder, monkeypatch):
    sessions = Sessions()
    for name, age in (("old", 7200), ("new", 5), ("used", 7200)):
        uploaded(folder, name, age=age)
    (folder / "clips-study").mkdir()
    (folder / "clips-study" / "clip.mp4").write_bytes(b"x")
    os.utime(folder / "clips-study" / "clip.mp4", (0, 0))
    sessions.start("one", "animate", str(folder / f"{'used':0>64}" / "used.wav"))
    sessions.sweep()
    assert files_of(folder) == ["clip.mp4", "new.wav", "used.wav"]
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder.parent / "shared"))  # perhaps with other programs: nothing unknown is touched
    other = uploaded(folder.parent / "shared", "theirs", age=7200) if (folder.parent / "shared").mkdir() is None else None
    sessions.sweep()
    assert other.exists()


def test_all_visitors_together_stay_below_a_size(folder, monkeypatch):
    monkeypatch.setattr("emoface.ui.sessions.MAX_BYTES", 2500)
    sessions = Sessions()
    sessions.arrive("page")
    for visit in ("page", "call", "second"):
        sessions.start(visit, "api", str(uploaded(folder, visit, size=500)))
        sessions.result(visit, f".{visit}").write_bytes(b"x" * 500)
    uploaded(folder, "stray", size=100)
    sessions.sweep()  # 3100: the stray and the older call go, though the page has been idle for longest
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) == 2000
    assert [path.name for path in folder.rglob("page.wav")] and not list(folder.rglob("call.wav"))


def test_one_thread_looks_after_any_number_of_visits(folder):
    import threading

    before, sessions = threading.active_count(), Sessions()
    for visit in range(50):
        sessions.start(str(visit), "animate")
        sessions.end(str(visit))
    assert threading.active_count() <= before + 1


def test_results_survive_a_cleaner_that_removes_folders(folder):
    import shutil

    sessions = Sessions()
    sessions.start("agent", "api")
    sessions.named_result("agent", "a.npz").write_bytes(b"x")
    shutil.rmtree(folder)
    sessions.named_result("agent", "b.npz").write_bytes(b"x")
    assert files_of(folder) == ["b.npz"]


def test_calls_without_a_visit_share_nothing(page, sounds):
    """``/run`` needs no session hash: what one such caller made, another could download."""
    from emoface.ui.sessions import visitor

    one, two = (type("Request", (), {"session_hash": None})() for _ in range(2))
    assert visitor(one) != visitor(two) and visitor(one) == one.session_hash


def test_an_endpoint_call_is_a_visit_of_its_own(page, client, sounds):
    from gradio_client import handle_file

    before = set(page.emoface.sessions._sessions)
    for _ in range(2):
        client.predict(speech=handle_file(sounds / "0.wav"), api_name="/animate")
    new = set(page.emoface.sessions._sessions) - before
    assert len([name for name in new if name.startswith("call-")]) == 2


def test_a_foreign_name_is_not_answered(page):
    port = page.local_url.split(":")[-1].strip("/")
    for host, status in (
        (f"127.0.0.1:{port}", 200),
        (f"localhost:{port}", 200),
        ("[::1]:7860", 200),
        ("attacker.example", 403),
        (f"attacker.example:{port}", 403),
        ("", 403),
        ("127.0.0.1.attacker.example", 403),
    ):
        assert httpx.get(page.local_url + "config", headers={"Host": host}, timeout=900).status_code == status, host


def test_what_gradio_copies_for_every_visit_is_plain_data(page):
    """An event bound to the page in it would be copied with the whole page, which took most of the time until a browser had its first byte."""

    def leaves(value, path):
        if isinstance(value, (dict, list, tuple)):
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                yield from leaves(part, f"{path}.{key}")
        else:
            yield path, value

    shown = [part for part in page.config["components"] if part["type"] != "state"]
    bound = [path for path, value in leaves(shown, "components") if callable(value)]
    assert not bound


def test_the_monitor_is_closed(page):
    for path in ("monitoring", "monitoring/summary", "gradio_api/monitoring"):
        answer = httpx.get(page.local_url + path, timeout=900)
        assert answer.status_code >= 400 and "dataframe" not in answer.text


def test_a_full_disk_and_secret_folders_are_told_in_words(folder):
    import errno

    import gradio as gr

    from emoface.ui.engine import plain_errors

    with pytest.raises(gr.Error, match="disk is full"), plain_errors():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(gr.Error) as caught, plain_errors():
        raise EmoFaceError(f"{folder}/emoface-1234/a.mp4 could not be written: try again.")
    assert str(caught.value.message) == "a.mp4 could not be written: try again."


def test_nothing_of_the_app_lies_where_visitors_files_are_deleted(tmp_path, monkeypatch):
    """Gradio would copy what a page begins with, and the examples, into its cache, under the name that an equal upload has."""
    from gradio.processing_utils import move_files_to_cache

    from emoface.ui.app import build_app
    from emoface.ui.context import SPEECH_EXAMPLES
    from tests.puppet import Puppeteer

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build_app(pipeline=Puppeteer, opening=True)
    assert [path for block in page.blocks.values() for path in block.keep_in_cache if tmp_path in Path(path).parents] == []
    field = next(block for block in page.blocks.values() if block.get_block_name() == "audio")
    for example in SPEECH_EXAMPLES:
        clicked = move_files_to_cache(field.postprocess(example.path).model_dump(), field, postprocess=True)
        assert clicked["path"] == example.path
    assert list(tmp_path.rglob("*.*")) == []


def test_the_swap_button_brings_the_voices_that_it_names():
    from emoface.ui.app import build_app
    from tests.puppet import Puppeteer

    page = build_app(pipeline=Puppeteer)
    button = next(block for block in page.blocks.values() if getattr(block, "elem_id", None) == "cross-example")
    paths = next(fn.fn() for fn in page.fns.values() if (button._id, "click") in fn.targets)
    assert all(Path(path).exists() and Path(path).stem in button.value for path in paths) and len(set(paths)) == 2


def test_stop_ends_the_jobs_of_its_own_tab(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    sessions = Sessions()
    running, elsewhere, other = sessions.start("one", "animate"), sessions.start("one", "cross"), sessions.start("two", "animate")
    sessions.stop("one", "animate")
    next_one = sessions.start("one", "animate")
    assert running.is_set() and not any(stop.is_set() for stop in (elsewhere, other, next_one))


def test_files_for_download_do_not_pile_up(folder):
    """A page may stay open for days."""
    sessions = Sessions()
    sessions.start("page", "api")
    old, young = sessions.named_result("page", "old.npz"), sessions.named_result("page", "young.npz")
    for path in (old, young):
        path.write_bytes(b"x")
    os.utime(old.parent, (0, 0))
    sessions.sweep()
    assert young.exists() and not old.exists()


def test_kept_animations_are_bounded(monkeypatch, tmp_path, sounds):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("emoface.ui.sessions.KEPT_BYTES", 1)
    sessions, animation = Sessions(), puppet(load_audio(sounds / "0.wav"))
    for visitor in ("one", "two"):
        sessions.start(visitor, "animate")
        sessions.keep(visitor, animation)
    assert sessions.kept("two") is animation
    with pytest.raises(EmoFaceError):
        sessions.kept("one")


# ---- charts and scenes ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def angry(sounds):
    return puppet(load_audio(sounds / "5.wav"), emotion="angry", level="strong")


def test_regions_join_sides_and_leave_out_what_cannot_be_seen(angry):
    members = plots.region_members(angry)
    assert list(members)[:3] == ["Forehead", "Brows", "Eyelids"] and "Mouth cavity" not in members and "Eye socket left" not in members
    every = np.concatenate(list(members.values()))
    assert len(every) == len(set(every)) and every.max() < angry.skin_count


def test_charts_name_the_region_that_moves_and_the_emotion_heard(angry):
    assert plots.region_bars(angry).summary.startswith(("Brows", "Nose"))
    assert plots.emotion_bars(angry).summary.startswith("Most probable: angry 65 percent")
    timeline = plots.emotion_timeline(angry, follows="x")
    assert sum(area["y"][0] for area in timeline.data) == pytest.approx(1, abs=0.01)


def test_charts_of_long_animations_stay_small(angry):
    long = type(angry)(**{**vars(angry), "emotion_track": np.repeat(angry.emotion_track[:1], 3600, axis=0)})
    chart = plots.emotion_timeline(long, follows="x")
    assert all(len(area["x"]) <= plots.COLUMNS for area in chart.data)
    assert len(json.dumps(chart.data)) < 100_000


def test_thinning_keeps_the_mean():
    values = np.random.default_rng(0).normal(size=(1000, 3))
    seconds, thin = plots.thin(values, 30.0, columns=100)
    np.testing.assert_allclose(thin.mean(axis=0), values.mean(axis=0), atol=1e-12)
    assert seconds[0] == pytest.approx(10 / 60, abs=1e-3) and len(seconds) == 100


def test_still_points_are_grey_and_scales_cover_the_moving_ones(angry):
    heat = scenes.heat(angry)
    np.testing.assert_array_equal(np.isnan(heat["weight"]), angry.emotion_effect_mm < plots.MOVING_MM)
    weight, effect = scenes.layers([angry])
    assert effect.unit == "mm" and effect.low == 0 and weight.low < weight.high <= 1


def test_rows_of_the_grid_share_one_clock(tmp_path, sounds):
    short, long = (puppet(load_audio(sounds / name)) for name in ("0.wav", "4.wav"))
    path = scenes.grid(tmp_path / "grid.efp", [[short, short], [long, long]])
    described = header(path)
    assert described["frames"] == long.frame_count
    assert [panel["sound"] for panel in described["views"][0]["panels"]] == [0, 0, 1, 1]


def test_the_trio_and_the_heat_maps_are_one_file(tmp_path, sounds):
    audio = load_audio(sounds / "0.wav")
    runs = {output: puppet(audio, emotion="sad", output=output) for output in ("content", "emotion", "fused")}
    described = header(scenes.branches(tmp_path / "x.efp", **runs))
    assert [view["label"] for view in described["views"]] == ["Heat maps", "Branches"]
    assert [panel["layer"] for panel in described["views"][0]["panels"]] == ["weight", "effect"]


def test_the_echo_names_every_setting(angry):
    words = echo_of(angry)
    for part in ("angry", "100 %", "strong", "average head", "no blinks", "puppet"):
        assert part in words


def test_the_page_starts_behind_a_proxy(monkeypatch):
    import gradio as gr

    from emoface.cli.serve import _reach_itself

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("NO_PROXY", "example.org")
    _reach_itself()
    assert os.environ["no_proxy"].split(",")[0] == "example.org"
    with gr.Blocks() as page:
        gr.Markdown("here")
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False)  # raises where it cannot reach itself
    page.close()


def test_words_of_certainty_hold_for_unseen_voices():
    """Right answers among those that are called unsure, probable and clear, in the recordings of docs/results.json."""
    from emoface.ui.words import CLEAR, UNSURE

    results = json.loads((Path(__file__).parent.parent / "docs" / "results.json").read_text("utf-8"))
    rows = np.array([row for name, part in results.items() if name.startswith("heard, ") for row in part["reliability"]])
    assert rows[:, 2].sum() > 500

    def right(low, high):
        inside = rows[(rows[:, 0] >= low) & (rows[:, 0] < high)]
        return np.average(inside[:, 1], weights=inside[:, 2])

    assert right(0, UNSURE) < 0.5 < right(UNSURE, CLEAR) < right(CLEAR, 1)


def test_a_voice_that_is_hardly_told_is_called_unsure(sounds):
    from dataclasses import replace

    from emoface.ui import words

    spoken = puppet(load_audio(sounds / "3.wav"))

    def said(share):
        rest = (1 - share) / 2
        return words.recognised(replace(spoken, emotion_probabilities=np.array([share, rest, rest, *[0] * 5])))

    assert said(0.4) == "The voice: unsure, perhaps neutral (40 %) or calm (30 %)."
    assert said(0.5).startswith("The voice probably sounds neutral (50 %") and said(0.9).startswith("The voice clearly sounds neutral")


def as_visitor(**query):
    """A request as Gradio gives it to the page's functions."""
    return SimpleNamespace(session_hash="someone", query_params=query)


@pytest.fixture
def context():
    from emoface.ui.context import Context
    from emoface.ui.engine import Engine

    return Context(engine=Engine(Puppeteer), styles=["s1"], heads=True, opening=False)


def test_a_link_holds_the_feeling_drawn_over_time(context, sounds):
    from emoface.ui.animate import _direct, _restore

    keys = [[0.0, {"speech": 1.0, "happy": 0.0}], [0.5, {"speech": 0.0, "happy": 0.7}]]
    *settings, curve, says = _restore(context)(as_visitor(source="named", emotion="sad", curve=json.dumps(keys)))
    assert curve == keys and settings[0] == "named" and "press Direct this face" in says
    shown, director, directing, *_ = _direct(context)(
        str(sounds / "3.wav"), "named", None, "sad", 1, 1, "normal", "s1", 0, False, False, None, curve, as_visitor()
    )
    assert shown["keys"] == keys == director["value"]["keys"] and directing["speech"] == str(sounds / "3.wav")
    context.sessions.end("someone")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "7",
        "{",
        "null",
        '[[0, {"bored": 1}]]',
        '[[0, {"happy": 99}]]',
        json.dumps([[t, {"happy": 1}] for t in range(201)]),
        "[" * 100_000,
    ],
)
def test_a_curve_in_a_link_that_is_none_is_left_out(context, text):
    from emoface.ui.animate import _restore

    assert _restore(context)(as_visitor(source="speech", **({} if text is None else {"curve": text})))[-2:] == (None, "")


def test_films_have_the_size_that_was_chosen(context, sounds, monkeypatch):
    from emoface import export
    from emoface.ui.downloads import FILM_SIZES, exporter

    asked = []
    monkeypatch.setattr(export, "save", lambda animation, path, **options: asked.append((path.suffix, options.get("size"))))
    context.sessions.start("someone", "animate")
    context.sessions.keep("someone", puppet(load_audio(sounds / "3.wav")))
    for _, size in FILM_SIZES:
        exporter(context, ".mp4")(size, ".vrma", as_visitor())
    exporter(context, ".mp4")("999999x999999", ".vrma", as_visitor())  # not one of the page's
    exporter(context, ".glb")("1920x1080", ".vrma", as_visitor())
    assert asked == [(".mp4", size) for size in ((512, 512), (1080, 1080), (1920, 1080), (1080, 1920), (512, 512))] + [(".glb", None)]
    context.sessions.end("someone")


def test_every_format_of_the_list_can_be_taken(context, sounds):
    from emoface.ui.downloads import OTHER_FORMATS, exporter

    animation = puppet(load_audio(sounds / "0.wav"))
    context.sessions.start("someone", "animate")
    context.sessions.keep("someone", animation)
    for _, suffix in OTHER_FORMATS:
        made = Path(exporter(context)("512x512", suffix, as_visitor())["value"])
        assert made.name == f"emoface-{animation.emotion}{suffix}" and made.stat().st_size > 0
    context.sessions.end("someone")


def test_a_visitor_returns_to_an_earlier_animation_and_compares_two(context, sounds, tmp_path, monkeypatch):
    from emoface.ui import animate, history, sessions

    def make(sound, emotion, head=0):
        *outputs, listed, _ = animate._animate(context)(
            str(sounds / sound), "named", None, emotion, 1, 1, "normal", "s1", head, False, False, None, as_visitor()
        )
        return outputs, listed

    first, _ = make("1.wav", "happy")
    _, listed = make("3.wav", "sad")
    assert [item["label"] for item in listed["items"]] == ["Sad, 3.wav", "Happy, 1.wav"]
    sad, happy = (item["name"] for item in listed["items"])
    assert listed["shown"] == sad and context.sessions.kept("someone").emotion == "sad"

    back = history.back_to(context)
    *outputs, listed = back([happy], as_visitor())
    assert outputs[0] == first[0] and outputs[0]["made"]["emotion"] == "happy" and listed["shown"] == happy
    assert context.sessions.kept("someone").emotion == "happy"  # downloads take what is shown

    shown, *others, listed = back([sad, happy], as_visitor())
    about = header(shown["animation"])
    assert [panel["caption"] for panel in about["views"][0]["panels"]] == ["Sad, 3.wav", "Happy, 1.wav"] and about["frames"] == 24
    assert len({soundfile.info(path).frames for path in shown["audio"].values()}) == 1 and len(shown["audio"]) == 2

    _, listed = make("1.wav", "happy", head=3)
    with pytest.raises(gr.Error, match="different heads"):
        back([listed["items"][0]["name"], happy], as_visitor())
    with pytest.raises(gr.Error, match="press Animate to make it again"):
        back(["of somebody else"], as_visitor())

    monkeypatch.setattr(sessions, "MOST_RESULTS", 2)
    file = context.sessions.results("someone")[0].files[0]
    _, listed = make("2.wav", "angry")
    assert len(listed["items"]) == 2 and not file.exists()  # the oldest went, with what it took
    context.sessions.end("someone")
    with pytest.raises(EmoFaceError):
        context.sessions.kept("someone", sad)


def test_a_directed_face_is_kept_and_drawn_on(context, sounds):
    from emoface.ui import animate, history

    controls = (str(sounds / "3.wav"), "speech", None, None, 1, 1, "normal", "s1", 2, False, False, None)
    shown, _, directing, *_ = animate._direct(context)(*controls, None, as_visitor())
    assert context.sessions.results("someone") == [], "what is being drawn is not kept yet"
    keys = [[0.0, {"speech": 1.0, "happy": 0.0}], [0.4, {"speech": 0.0, "happy": 1.0}]]
    *outputs, listed, says = animate._keep_directed(context)(keys, directing, as_visitor())
    assert [item["label"] for item in listed["items"]] == ["Directed, 3.wav"] and listed["shown"] == listed["items"][0]["name"] and "Kept" in says
    made = outputs[0]["made"]
    assert made["curve"] == keys == outputs[-1] and made["head"] == 2  # a link holds it, and *Direct this face* starts with it
    assert context.sessions.kept("someone").settings["emotion"] == keys
    again, *_ = animate._direct(context)(*controls, outputs[-1], as_visitor())
    assert again["keys"] == keys
    *_, linked, listed, _ = animate._animate(context)(*controls, as_visitor())
    assert linked == gr.skip(), "a feeling that a link brought waits until it is drawn"
    *outputs, _ = history.back_to(context)([listed["items"][0]["name"]], as_visitor())
    assert outputs[-1] is None and outputs[0]["made"]["curve"] is None  # the other one has none
    with pytest.raises(gr.Error, match="no directed face"):
        animate._keep_directed(context)(keys, None, as_visitor())
    context.sessions.end("someone")


def test_several_recordings_become_one_zip_and_a_bad_one_stops_none(context, sounds):
    import zipfile

    from emoface.ui import animate, several

    made = several.animate_all(context, job="animate", suffixes={"NPZ data": ".npz"}, options=animate._options, keep=animate._keeper(context))
    settings = ("named", None, "happy", 1, 1, "normal", "s1", 0, False, False, None)
    files = [str(sounds / name) for name in ("1.wav", "text.wav", "2.wav")]
    steps = list(made(files, "NPZ data", *settings, as_visitor()))
    assert [step[0].splitlines()[-1] for step in steps] == ["2 to go.", "1 to go.", "0 to go.", "2 of 3 done."]
    lines = steps[-1][0].splitlines()
    assert lines[0] == "1.wav: done" and lines[1].startswith("text.wav: left out. ") and str(sounds) not in lines[1]
    assert [item["label"] for item in steps[2][1]["items"]] == ["Happy, 2.wav", "Happy, 1.wav"]  # each can be seen at once
    with zipfile.ZipFile(steps[-1][2]["value"]) as archive:
        assert archive.namelist() == ["01-1.npz", "03-2.npz"]
        with np.load(archive.open("03-2.npz"), allow_pickle=False) as saved:
            assert len(saved["vertices"]) == 21
    for wrong in ([], None, files * 7):
        with pytest.raises(gr.Error, match="1 to 20 recordings"):
            list(made(wrong, "NPZ data", *settings, as_visitor()))
    context.sessions.end("someone")


def test_several_recordings_are_stopped(context, sounds):
    from emoface.ui import animate, several

    made = several.animate_all(context, job="animate", suffixes={"NPZ data": ".npz"}, options=animate._options, keep=animate._keeper(context))
    steps = made(
        [str(sounds / "1.wav"), str(sounds / "2.wav")], "NPZ data", "speech", None, None, 1, 1, "normal", "s1", 0, False, False, None, as_visitor()
    )
    next(steps)
    context.sessions.stop("someone", "animate")
    with pytest.raises(gr.Error, match="Stopped"):
        next(steps)
    context.sessions.end("someone")


def test_a_recording_that_is_too_long_says_how_to_cut_it(sounds):
    from emoface.ui.inputs import check

    assert (
        check(str(sounds / "long.wav"), limit=30)
        == "long.wav is longer than the limit of 30 s: cut it into shorter pieces. The scissors under the waveform cut a part out."
    )
    assert "scissors" not in check(str(sounds / "long.wav"), limit=60)


def test_films_and_page_paint_numbers_with_the_same_colours(sounds):
    from emoface.export import heatmap
    from emoface.ui.player import script

    angry = puppet(load_audio(sounds / "3.wav"), emotion="angry")
    _, effect = scenes.layers([angry, puppet(load_audio(sounds / "3.wav"))])
    assert heatmap.heatmap(angry, "effect").high == f"{effect.high:.1f} mm" == f"{effect.high} mm" and "and more, at most" in effect.note
    stops = heatmap.PLASMA.astype(int).tolist()
    assert json.dumps(stops) in script("player") and [plots.PLASMA[0][1], plots.PLASMA[-1][1]] == ["#0d0887", "#f0f921"]
    for color in plots.PLASMA:
        assert color[1] in (Path(plots.__file__).parent / "player.css").read_text("utf-8")  # the bar on the stage
