"""What engines receive, read by other programs' readers, from the command line to the socket."""

import json
import queue
import socket
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from emoface.audio import load_audio
from emoface.cli import main
from emoface.errors import EmoFaceError
from emoface.export.engines import NAMES, LiveLinkFace, sender, vrm_expressions
from tests.test_encoders import speechlike
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    soundfile.write(folder / "speech.wav", speechlike(1.5).numpy(), 16000)
    return str(save_tiny_model(folder / "model")), str(folder / "speech.wav")


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(60)
        yield listening


def received(listening) -> list[bytes]:
    """All packets that have arrived."""
    packets = []
    listening.setblocking(False)
    while True:
        try:
            packets.append(listening.recv(65536))
        except BlockingIOError:
            return packets


def weights_of(**given) -> np.ndarray:
    return np.array([given.get(name, 0.0) for name in NAMES], np.float32)


def test_live_link_face_is_read_by_its_python_reader(udp):
    from pylivelinkface import FaceBlendShape, PyLiveLinkFace

    shown = {"jawOpen": 0.5, "eyeBlinkLeft": 0.25, "mouthSmileRight": 0.75, "tongueOut": 1.0, "mouthLeft": 0.125, "mouthRight": 0.0625}
    one = sender(f"livelink://127.0.0.1:{udp.getsockname()[1]}", fps=30, name="Ada")
    one.send(weights_of(**shown), {}, seconds=2.1)
    found, face = PyLiveLinkFace.decode(udp.recv(4096))
    assert found and face.name == "Ada" and face.fps == 30 and face._frames == 63
    values = {shape.name: face.get_blendshape(shape) for shape in FaceBlendShape}
    assert len(values) == 61
    assert {name[0].lower() + name[1:]: value for name, value in values.items() if value} == shown
    one.send(weights_of(), {}, seconds=0, angles=(0.25, -0.125, 0.5))
    _, turned = PyLiveLinkFace.decode(udp.recv(4096))
    told = {shape.name: turned.get_blendshape(shape) for shape in FaceBlendShape}
    assert {name: value for name, value in told.items() if value} == {"HeadYaw": 0.25, "HeadPitch": -0.125, "HeadRoll": 0.5}
    packet = LiveLinkFace("127.0.0.1", 1).packet(weights_of(), 0.0)
    assert len(packet) == 4 + 37 + 4 + len("EmoFace") + 16 + 1 + 61 * 4


def osc(packet: bytes) -> list[tuple]:
    from pythonosc.osc_packet import OscPacket

    return [(timed.message.address, *timed.message.params) for timed in OscPacket(packet).messages]


def test_vmc_is_read_by_python_osc(udp):
    address = f"osc://127.0.0.1:{udp.getsockname()[1]}"
    sender(address + "?shapes=arkit").send(weights_of(jawOpen=0.5), {}, seconds=1.5)
    messages = osc(udp.recv(65536))
    values = {message[1]: message[2] for message in messages if message[0] == "/VMC/Ext/Blend/Val"}
    assert len(values) == 52 and values["JawOpen"] == 0.5 and sum(values.values()) == 0.5
    assert messages[0] == ("/VMC/Ext/OK", 1) and messages[1] == ("/VMC/Ext/T", 1.5) and messages[-1] == ("/VMC/Ext/Blend/Apply",)
    sender(address).send(weights_of(jawOpen=0.5, eyeBlinkLeft=1.0), {"happy": 0.75, "fearful": 0.5}, seconds=0)
    values = {message[1]: message[2] for message in osc(udp.recv(65536)) if message[0] == "/VMC/Ext/Blend/Val"}
    assert values["aa"] == 1 and values["blinkLeft"] == 1 and values["happy"] == 0.75 and values["sad"] == 0.5 and values["blinkRight"] == 0
    with pytest.raises(EmoFaceError, match="vrm or arkit"):
        sender(address + "?shapes=live2d")


@pytest.mark.parametrize(
    "shape, expected",
    [
        ({"jawOpen": 0.5}, "aa"),
        ({"mouthPucker": 0.8}, "ou"),
        ({"mouthFunnel": 0.9, "jawOpen": 0.3}, "oh"),
        ({"mouthStretchLeft": 0.7, "mouthStretchRight": 0.7, "jawOpen": 0.3}, "ee"),
    ],
)
def test_mouth_shapes_become_the_vowel_they_look_like(shape, expected):
    vowels = {name: value for name, value in vrm_expressions(weights_of(**shape), {}).items() if name in ("aa", "ih", "ou", "ee", "oh")}
    assert max(vowels, key=vowels.get) == expected and 0 < vowels[expected] <= 1


def test_a_recording_reaches_three_engines_at_the_pace_of_speech(files, udp, capsys):
    """From the command line; the JSON goes to a real WebSocket server."""
    from pylivelinkface import FaceBlendShape, PyLiveLinkFace
    from websockets.sync.server import serve

    model, speech = files
    told = []
    with serve(lambda connection: told.extend(json.loads(message) for message in connection), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        web = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/face"
        begin = time.monotonic()
        assert (
            main(
                [
                    "live",
                    speech,
                    "--model",
                    model,
                    "--to",
                    f"livelink://127.0.0.1:{udp.getsockname()[1]}",
                    "--to",
                    web,
                    "--emotion",
                    "happy",
                    "--mix",
                    "0.5",
                    "--head-motion",
                    "1",
                    "--quiet",
                ]
            )
            == 0
        )
        assert time.monotonic() - begin > 1.5, "not faster than it is spoken"
        server.shutdown()
    faces = [PyLiveLinkFace.decode(packet) for packet in received(udp)]
    assert len(faces) == 45 and all(found for found, _ in faces) and [face._frames for _, face in faces] == list(range(45))
    assert told[0]["names"] == list(NAMES) and len(told) == 46
    frames = told[1:]
    assert [frame["time"] for frame in frames] == [round(t / 30, 4) for t in range(45)]
    assert np.ptp([frame["weights"] for frame in frames], axis=0).max() > 0.01, "it moves"
    turned = np.array([[face.get_blendshape(shape) for shape in FaceBlendShape if shape.name.startswith("Head")] for _, face in faces])
    assert turned.shape == (45, 3) and np.ptp(turned, axis=0).max() > 1e-3
    np.testing.assert_allclose([frame["head"] for frame in frames], turned, atol=6e-5)
    assert frames[-1]["emotions"]["happy"] >= 0 and set(frames[-1]["emotions"]) >= {"happy", "sad"}
    assert "45 frames sent" in capsys.readouterr().out


def test_the_command_computes_on_one_core_while_it_speaks(files, udp, monkeypatch):
    from emoface.live import LiveSession

    model, speech = files
    original, seen, before = LiveSession.feed, set(), torch.get_num_threads()
    monkeypatch.setattr(LiveSession, "feed", lambda self, samples, **options: seen.add(torch.get_num_threads()) or original(self, samples, **options))
    torch.set_num_threads(2)
    try:
        assert main(["live", speech, "--model", model, "--to", f"livelink://127.0.0.1:{udp.getsockname()[1]}", "--seconds", "0.3", "--quiet"]) == 0
        assert seen == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_cannot_be_sent_or_heard_is_one_sentence(files, capsys, monkeypatch):
    model, speech = files

    def refused(*arguments: str) -> str:
        assert main(["live", *arguments, "--quiet"]) == 2
        answer = capsys.readouterr().err
        assert answer.count("\n") == 1
        return answer

    to = ["--to", "livelink://127.0.0.1:1"]
    assert "livelink://" in refused(speech, "--to", "http://127.0.0.1:1")
    assert "start it first" in refused(speech, "--to", "ws://127.0.0.1:1")
    assert "either" in refused(*to) and "either" in refused(speech, "--microphone", *to)
    assert "mix" in refused(speech, "--mix", "2", *to) and "head motion" in refused(speech, "--head-motion", "2", *to)
    assert "bored" in refused(speech, "--emotion", "bored", "--model", model, *to)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert "emoface[live]" in refused("--microphone", *to)
    monkeypatch.setitem(sys.modules, "pythonosc", None)
    assert "emoface[live]" in refused(speech, "--to", "osc://127.0.0.1:1")


def test_blocks_that_wait_are_heard_together():
    from emoface.cli.live import _all_that_came

    heard = queue.Queue()
    for number in range(5):
        heard.put(np.full(2, number, np.float32))
    taken = _all_that_came(heard, most=3)
    np.testing.assert_array_equal(next(taken), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(next(taken), [3, 3, 4, 4])


def test_a_recording_keeps_its_pace_where_the_computation_is_slow(files, monkeypatch):
    """What was spoken meanwhile comes as one block, and nothing twice."""
    from emoface.cli import live

    clock = SimpleNamespace(now=100.0)
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.sleep))
    rate, blocks = live._recording(files[1])
    first = next(blocks)
    clock.now += 0.3
    late = next(blocks)
    assert len(first) == pytest.approx(live.BLOCK_SECONDS * rate, abs=1) and len(late) == pytest.approx(0.3 * rate, abs=1)
    np.testing.assert_array_equal(np.concatenate([first, late, *blocks]), load_audio(files[1]).samples)
