"""The socket of the tab Live on a real server: frames and takes are each visitor's own, a lost connection goes on, strangers are refused."""

import json
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from emoface import EmoFacePipeline
from emoface.errors import EmoFaceError
from emoface.export.pack import STEP
from emoface.head_motion import rotations
from emoface.live import LiveSession
from emoface.ui.live_socket import _Turns
from emoface.ui.rooms import Room, Rooms, places, steps
from emoface.whisper_stream import WhisperStream

from .test_encoders import speechlike
from .tiny_model import save_tiny_model

RATE = 16000
MANY_THREADS = 1e-6
"""Metres. The server computes a visitor's face on one thread, a test on all: sums in another order round otherwise."""
HELLO = {"rate": RATE, "feeling": {"happy": 1.0}, "head": 0, "idle": False, "level": "normal", "style": None, "resume": None}


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    return EmoFacePipeline.from_pretrained(save_tiny_model(tmp_path_factory.mktemp("model")), device="cpu")


@pytest.fixture(scope="module")
def page(pipe):
    from emoface.ui.app import build_app, launch_options

    page = build_app(pipeline=lambda: pipe, opening=False)
    page.emoface.rooms.count = 2
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **{**launch_options(page), "mcp_server": False, "root_path": "/behind/a/proxy"})
    yield page
    page.close()


@pytest.fixture
def speak(page, monkeypatch):
    """Opens a socket and says hello; returns it and the answer. A busy machine may be silent or away for long."""
    monkeypatch.setattr("emoface.ui.live_socket._SILENT_SECONDS", 600.0)
    monkeypatch.setattr("emoface.ui.rooms.AWAY_SECONDS", 600.0)
    monkeypatch.setattr("emoface.ui.rooms.TAKE_SECONDS", 600.0)
    opened = []

    def speak(origin=None, **changes):
        socket = connect(f"ws://127.0.0.1:{page.server_port}/emoface/live", origin=origin, proxy=None)
        opened.append(socket)
        socket.__enter__()
        socket.send(json.dumps({**HELLO, **changes}))
        return socket, json.loads(socket.recv(timeout=300))

    yield speak
    for socket in opened:
        socket.close()
    page.emoface.rooms._rooms.clear()


def blocks(samples: np.ndarray) -> list[bytes]:
    whole = (samples * 32767).astype("<i2")
    return [whole[i : i + 320].tobytes() for i in range(0, len(whole), 320)]


def answers(socket) -> tuple[list, dict]:
    """Frames and the last message of a session that was told to stop."""
    frames = []
    while True:
        message = socket.recv(timeout=300)
        if isinstance(message, bytes):
            frames.append(message)
        elif (told := json.loads(message))["type"] != "heard":
            return frames, told


def unpacked(messages: list[bytes], template: np.ndarray) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Numbers of the frames, their vertices and the rotations of the head (T, 3, 3), read as live.js does."""
    numbers, frames, turns, last = [], [], [], steps(template[None], template)[0]
    for message in messages:
        start, count, fresh = struct.unpack("<III", message[:12])
        assert fresh == (not frames)
        turns.append(np.frombuffer(message[12 : 12 + 36 * count], "<f4").reshape(count, 3, 3))
        raw = np.frombuffer(zlib.decompress(message[12 + 36 * count :]), np.uint8).reshape(2, count, *last.shape).astype(np.int32)
        numbers += range(start, start + count)
        frames.append((0 if fresh else last) + np.cumsum((raw[0] | raw[1] << 8).astype(np.int16), axis=0).astype(np.int16))
        last = frames[-1][-1]
    middle = (template.min(axis=0) + template.max(axis=0)) / 2
    return numbers, np.concatenate(frames).transpose(0, 2, 1) * STEP + middle, np.concatenate(turns)


@pytest.fixture
def never_late(monkeypatch):
    """The test sends faster than anybody speaks; frames are the same numbers for any cut only while nobody hurries."""
    original = LiveSession.feed
    monkeypatch.setattr(LiveSession, "feed", lambda self, samples, hurry=False: original(self, samples))


def alone(pipe, samples, **options):
    """The take of a session of its own."""
    session = LiveSession(pipe, sample_rate=RATE, idle=False, **{"feeling": {"happy": 1.0}, **options})
    for block in blocks(samples):
        session.feed(np.frombuffer(block, "<i2").astype(np.float32) / 32768)
    session.finish()
    return session.take()


def test_two_visitors_are_not_mixed_and_a_third_is_told_so(page, pipe, speak, never_late):
    one, two = speechlike(1.0).numpy(), speechlike(1.2, seed=5).numpy() * 0.5
    (a, ready), (b, _) = speak(), speak(feeling={"sad": 1.5}, head=3, nods=False)
    assert ready["type"] == "ready" and ready["received"] == 0 and ready["limit"] > 0
    _, sorry = speak()
    assert sorry["type"] == "sorry" and "places are taken" in sorry["message"]
    for pair in zip(blocks(one), blocks(two)):
        a.send(pair[0]), b.send(pair[1])
    for block in blocks(two)[len(blocks(one)) :]:
        b.send(block)
    for socket, samples, options in ((a, one, dict(head_motion=1.0)), (b, two, dict(feeling={"sad": 1.5}, head=3))):
        socket.send(json.dumps({"stop": True}))
        frames, done = answers(socket)
        expected = alone(pipe, samples, **options)
        numbers, shown, turns = unpacked(frames, expected.template)
        assert numbers == list(range(expected.frame_count))
        np.testing.assert_allclose(shown, expected.vertices, atol=1.1 * STEP)
        angles = np.zeros((len(turns), 3)) if expected.head_angles is None else expected.head_angles
        np.testing.assert_allclose(turns, rotations(angles), atol=1e-6)
        assert done["type"] == "done"
        take = page.emoface.rooms.fetch(done["name"])
        np.testing.assert_allclose(take.vertices, expected.vertices, atol=MANY_THREADS)
        np.testing.assert_allclose(take.audio, samples, atol=1e-4)
        with pytest.raises(EmoFaceError, match="speak again"):
            page.emoface.rooms.fetch(done["name"])
    speak()  # there is room again


def test_a_lost_connection_goes_on_where_it_broke(page, pipe, speak, never_late):
    samples = speechlike(1.2).numpy()
    sent = blocks(samples)
    first, ready = speak()
    for block in sent[:25]:
        first.send(block)
    first.close()
    again, told = speak(resume=ready["name"])
    assert told["name"] == ready["name"] and 0 < told["received"] <= 25 * 320 and told["received"] % 320 == 0
    for block in sent[told["received"] // 320 :]:
        again.send(block)
    again.send(json.dumps({"stop": True}))
    _, done = answers(again)
    np.testing.assert_allclose(page.emoface.rooms.fetch(done["name"]).vertices, alone(pipe, samples).vertices, atol=MANY_THREADS)
    _, sorry = speak(resume="nobody's")
    assert "lost for too long" in sorry["message"]


def test_what_the_first_frames_need_is_there_before_anybody_speaks(page, speak, monkeypatch):
    page.emoface.rooms.warm.clear()  # as in a process in which nobody has spoken
    original, rehearsed = LiveSession.feed, []
    monkeypatch.setattr(LiveSession, "feed", lambda self, samples, **options: rehearsed.append((self, original(self, samples, **options))))
    assert speak()[1]["type"] == "ready"
    (rehearsing, frames), room = rehearsed[0], next(iter(page.emoface.rooms._rooms.values()))
    assert frames.frame_count > 0 and room.session is not rehearsing and room.session.seconds == 0


def test_what_waits_while_the_server_is_slow_is_heard_in_a_few_windows(page, speak, monkeypatch):
    """All the rest has come before the first window is done: hop by hop that would be 36 windows more."""
    original, encoded = WhisperStream.encode, []
    sent = blocks(speechlike(3.0).numpy())

    def slow(self, samples, begin, lead, kept):
        (room,) = page.emoface.rooms._rooms.values()
        while not encoded and room.received < 320 * len(sent):
            time.sleep(0.01)
        encoded.append(kept.stop - kept.start)
        return original(self, samples, begin, lead, kept)

    monkeypatch.setattr(WhisperStream, "encode", slow)
    socket, _ = speak()
    for block in sent:
        socket.send(block)
    socket.send(json.dumps({"stop": True}))
    frames, done = answers(socket)
    assert page.emoface.rooms.fetch(done["name"]).frame_count == 90, "nothing is left out of the take"
    assert len(encoded) < 20 and max(encoded) >= 50, encoded
    assert len(frames) < 20


def test_the_feeling_changes_while_speaking_and_the_length_has_an_end(page, speak, monkeypatch):
    monkeypatch.setattr("emoface.ui.live_socket.MAX_SECONDS", 1.0)
    socket, _ = speak()
    for number, block in enumerate(blocks(speechlike(1.5).numpy())):
        if number == 20:
            socket.send(json.dumps({"feeling": {"angry": 0.5, "speech": 0.5}}))
        try:
            socket.send(block)
        except ConnectionClosed:
            break
    _, done = answers(socket)
    take = page.emoface.rooms.fetch(done["name"])
    assert 1.0 <= take.duration < 1.3
    assert take.settings["emotion"][-1][1] == {"speech": 0.5, "happy": 0.0, "angry": 0.5}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"feeling": {"bored": 1}}, "bored"),
        ({"feeling": {"happy": 9}}, "1.5"),
        ({"rate": 1}, "unusual"),
        ({"head": 99}, "no head"),
        ({"feeling": {"happy": float("nan")}}, "reload"),
        ({"feeling": 3}, "reload"),
        ({"rate": "much"}, "reload"),
        ({"rate": float("inf")}, "reload"),
        ({"head": 1e999}, "reload"),
        ({"feeling": {"happy": 10**400}}, "reload"),
    ],
)
def test_nonsense_is_answered_with_a_sentence(speak, changes, words):
    socket, told = speak(**changes)
    if told["type"] == "ready":  # found when the first block is heard
        socket.send(blocks(np.zeros(3200, np.float32))[0])
        told = answers(socket)[1]
    assert told["type"] == "sorry" and words in told["message"]


def test_other_pages_are_refused_and_blocks_have_a_size(page, speak):
    with pytest.raises(InvalidHandshake):
        speak(origin="https://elsewhere.example")
    assert speak(origin=f"http://127.0.0.1:{page.server_port}")[1]["type"] == "ready"
    socket, _ = speak()
    socket.send(bytes(1 << 19))
    with pytest.raises(ConnectionClosed):
        answers(socket)


@pytest.mark.parametrize(
    "message",
    ["[" * 4000, '{"feeling": {"happy": 1' + 400 * "0" + "}}", '{"feeling": 3}', "null", "\ud800", b"", b"\x00"],
    ids=["brackets", "huge number", "no feeling", "null", "surrogate", "empty", "half a sample"],
)
def test_nonsense_while_speaking_ends_the_visit_and_frees_the_place(page, speak, message):
    socket, ready = speak()
    socket.send(message if isinstance(message, bytes) else message.encode("utf-8", "replace").decode())
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=30)
    deadline = time.monotonic() + 30
    while page.emoface.rooms._rooms[ready["name"]].here is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert page.emoface.rooms._rooms[ready["name"]].here is None


def test_a_fault_while_the_session_is_made_frees_the_place(page, speak, monkeypatch):
    def fail(self):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("emoface.ui.rooms.Room.open", fail)
    with pytest.raises(ConnectionClosed):
        speak()
    assert page.emoface.rooms._rooms == {}


def test_a_place_is_not_held_without_sound(page, speak, monkeypatch):
    monkeypatch.setattr("emoface.ui.live_socket._SILENT_SECONDS", 1.0)
    socket, _ = speak()
    with pytest.raises(ConnectionClosed):
        for _ in range(100):
            socket.send('{"feeling": {"happy": 1}}')
            time.sleep(0.1)


def test_few_bytes_are_not_many_blocks():
    """Blocks of one sample cost more than their sound."""
    turns = _Turns(SimpleNamespace(rooms=None), None, Room(lambda: None, rate=RATE, limit=120.0, warm=threading.Event()))
    for _ in range(10_000):
        turns._take_block(b"\x00\x00")
    with pytest.raises(ValueError, match="too many"):
        turns._take_block(b"\x00\x00")


def test_who_stays_away_makes_room_and_takes_do_not_stay(monkeypatch):
    rooms = Rooms(1)
    room = rooms.enter(lambda: None, rate=RATE, limit=1.0)
    with pytest.raises(EmoFaceError, match="taken"):
        rooms.enter(lambda: None, rate=RATE, limit=1.0)
    begin = time.monotonic()
    monkeypatch.setattr("emoface.ui.rooms.time", SimpleNamespace(monotonic=lambda: begin + 16))
    other = rooms.enter(lambda: None, rate=RATE, limit=1.0)
    with pytest.raises(EmoFaceError, match="too long"):
        rooms.again(room.name)
    rooms.leave(other, "take")
    monkeypatch.setattr("emoface.ui.rooms.time", SimpleNamespace(monotonic=lambda: begin + 200))
    with pytest.raises(EmoFaceError, match="speak again"):
        rooms.fetch(other.name)
    monkeypatch.setenv("EMOFACE_LIVE", "many")
    with pytest.raises(EmoFaceError, match="EMOFACE_LIVE"):
        places()


def test_live_computes_on_one_core_and_others_as_before():
    before, count = torch.get_num_threads(), lambda: torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pool = Rooms(1).pool
        assert pool.submit(count).result() == 1
        with ThreadPoolExecutor(1) as other:
            assert other.submit(count).result() == 2
        assert torch.get_num_threads() == 2
        pool.shutdown()
    finally:
        torch.set_num_threads(before)


def test_where_live_is_off_the_page_says_why(page, monkeypatch):
    from emoface.ui.live import why_off
    from emoface.ui.rooms import ZERO_GPU

    context = page.emoface
    assert why_off(context) == ""
    assert "neutral" in why_off(replace(context, emotions=["happy"]))
    assert "EMOFACE_LIVE" in why_off(replace(context, rooms=Rooms(0)))
    monkeypatch.setattr(context.engine, "_on_zero_gpu", lambda *_: None)
    assert why_off(context) == ZERO_GPU
