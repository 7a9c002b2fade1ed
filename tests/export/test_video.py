"""Films decoded back: sync of flash and click, colours, layout, and files that are whole or absent."""

import numpy as np
import pytest

from emoface.errors import Cancelled, EmoFaceError
from emoface.export.encode import write_video
from emoface.export.heatmap import GREY, colormap, effect_scale, heatmap
from emoface.export.video import save_video

av = pytest.importorskip("av")


def decode(path, rate=48000):
    """(T, H, W, 3) pictures, their times, (n,) sound and the time of its first sample, by the file's timestamps."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
        times = np.array([float(frame.pts * frame.time_base) for frame in frames])
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return pictures, times, None, None
        frames = list(container.decode(audio=0))
        assert {frame.sample_rate for frame in frames} == {rate}
        # The first frame's timestamp says where the decoder, which drops the priming samples, begins.
        return (pictures, times, np.concatenate([frame.to_ndarray()[0] for frame in frames]), float(frames[0].pts * frames[0].time_base))


@pytest.mark.parametrize(
    "name, codec, given, rate",
    [
        ("a.mp4", "h264", 16000, 48000),
        ("a.webm", "vp9", 16000, 48000),
        ("b.webm", "av1", 16000, 48000),
        ("a.mp4", "h264", 44100, 44100),
        ("a.mov", "prores", 22050, 22050),
    ],
)
def test_flash_and_click_meet(tmp_path, name, codec, given, rate):
    pictures = np.full((75, 64, 96, 3), 20, np.uint8)
    pictures[[30, 60]] = 230
    sound = np.zeros(75 * given // 30, np.float32)
    for second in (1, 2):
        sound[second * given : second * given + given // 500] = 0.8
    path = tmp_path / name
    write_video(path, iter(pictures), fps=30, frame_count=75, audio=sound, sample_rate=given, codec=codec)
    seen, times, heard, start = decode(path, rate)
    assert len(seen) == 75 and np.abs(times - np.arange(75) / 30).max() < 0.001
    flashes = np.flatnonzero(seen.mean((1, 2, 3)) > 120)
    assert flashes.tolist() == [30, 60]
    for second in (1, 2):
        window = slice(round((second - 0.2 - start) * rate), round((second + 0.2 - start) * rate))
        peak = np.flatnonzero(np.abs(heard[window]) > 0.3)[0]
        assert abs(peak / rate - 0.2) < 0.003, "the click is within 3 ms of its flash"


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_speech_is_not_shifted(tmp_path, talking, suffix):
    path = save_video(talking, tmp_path / f"a{suffix}", size=64)
    _, _, heard, start = decode(path)
    time = start + np.arange(len(heard)) / 48000
    original = np.interp(time, np.arange(len(talking.audio)) / 16000, talking.audio, right=0)
    size = 2 * len(time)
    correlation = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(original, size)))
    lag = int(correlation.argmax())
    assert abs(lag if lag < size / 2 else lag - size) <= 24, "within half a millisecond"


def test_mp4_can_be_streamed_and_says_its_colours(tmp_path, talking):
    path = save_video(talking, tmp_path / "a.mp4", size=(130, 97), background=(200, 60, 40))
    data = path.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat"), "faststart: the index comes first"
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.height) == (130, 98), "sides are rounded up to even numbers"
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert not context.has_b_frames
    corner = decode(path)[0][:, :12, :12].mean((0, 1, 2))
    assert np.abs(corner - [200, 60, 40]).max() < 4


def test_panels_captions_and_heat(tmp_path, talking):
    path = save_video([talking, talking], tmp_path / "a.mp4", size=128, captions=["one", "two"], heat=[None, "effect"])
    pictures, _, _, _ = decode(path)
    band, foot = 20, 40
    assert pictures.shape[1:3] == (band + 128 + foot, 256)
    assert pictures[0, :band].min() < 100, "captions are dark on light"
    assert np.ptp(pictures[0, -foot:, :128], axis=(0, 1)).max() < 30, "no colour bar under the plain panel"
    assert np.ptp(pictures[0, -foot:, 128:], axis=(0, 1)).min() > 60
    left, right = (pictures[-1, band : band + 128, side : side + 128].astype(int) for side in (0, 128))
    assert np.abs(left - right).mean() > 5, "the heat map shows on its own panel"
    plain = decode(save_video(talking, tmp_path / "b.mp4", size=128))[0][-1].astype(int)
    assert np.abs(plain - left).mean() < 3, "and only there"


def test_heat_map_fades_where_emotion_does_nothing(talking):
    heat, effect = heatmap(talking, "importance"), talking.emotion_effect_mm
    skin = heat.colors[:, : talking.skin_count]
    assert (skin[effect < 0.1] == GREY.astype(np.uint8)).all() and (effect < 0.1).any()
    strong = effect > 0.61
    assert np.abs(skin[strong] - colormap(talking.emotion_importance)[strong]).max() <= 1
    assert np.array_equal(heat.colors[0, talking.skin_count :], talking.colors[talking.skin_count :])
    wider = heatmap(talking, "effect", scale_mm=50.0)
    assert wider.high == "50.0 mm" and heatmap(talking, "effect").high == f"{effect_scale(talking):.1f} mm"
    still, full = effect == 0, effect > 0.15 * 50
    assert (wider.colors[:, : talking.skin_count][still] == GREY.astype(np.uint8)).all() and still.any()
    assert np.abs(wider.colors[:, : talking.skin_count][full] - colormap(effect / 50)[full]).max() <= 1 and full.any()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_previews_do_not_drift(tmp_path, talking, suffix):
    from PIL import Image

    path = save_video(talking, tmp_path / f"a{suffix}", size=64)
    total = 0
    with Image.open(path) as image:
        assert image.n_frames == 6 and image.size == (64, 64)
        for frame in range(image.n_frames):
            image.seek(frame)
            image.load()
            total += image.info["duration"]
    assert abs(total / 1000 - talking.duration) < 0.07


def test_flame_sized_meshes(tmp_path, flame):
    pictures, _, sound, _ = decode(save_video(flame, tmp_path / "a.mp4", size=96, camera="three_quarter"))
    assert sound is None and len(pictures) == flame.frame_count
    assert np.ptp(pictures[0].mean(2)) > 60
    with pytest.raises(EmoFaceError, match="no emotion maps"):
        save_video(flame, tmp_path / "b.mp4", heat="importance")


def test_whole_or_absent(tmp_path, talking):
    target = tmp_path / "a.mp4"
    target.write_bytes(b"before")
    calls, progress = iter([False] * 4 + [True]), []
    with pytest.raises(Cancelled):
        save_video(talking, target, size=64, cancel=lambda: next(calls), progress=lambda *step: progress.append(step))
    assert target.read_bytes() == b"before" and [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert progress == [("Drawing frames", k / 12) for k in range(1, 5)]
    wrong = (({"captions": ["a", "b"]}, "captions"), ({"codec": "vp9"}, "h264"), ({"sound": 4}, "sound"))
    for options, message in wrong:
        with pytest.raises(EmoFaceError, match=message):
            save_video(talking, target, size=64, **options)
    with pytest.raises(EmoFaceError, match=".mp4 .webm"):
        save_video(talking, tmp_path / "a.avi")
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
