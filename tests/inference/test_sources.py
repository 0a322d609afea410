"""Where frames come from, and what is said when none come."""

import itertools
import re
import struct

import cv2
import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.images import write_image
from tinypose.inference import sources
from tinypose.inference.sources import Source, find_sources, open_source, overlooked


def picture(value=100, hw=(48, 64)):
    return np.full((*hw, 3), value, np.uint8)


def write_video(path, num_frames=7, fps=20.0, hw=(48, 64)):
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (hw[1], hw[0])
    )
    for index in range(num_frames):
        writer.write(picture(30 * index, hw))
    writer.release()


@pytest.fixture
def folder(tmp_path):
    """Pictures 1, 2, 10, a video, and what must not be taken for them."""
    for name in ("shot_10.jpg", "shot_2.JPG", "shot_1.png"):
        write_image((tmp_path / name).with_suffix(".png"), picture())
        (tmp_path / name).with_suffix(".png").rename(tmp_path / name)
    write_video(tmp_path / "walk.mp4")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.jpg").write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    return tmp_path


def names(found):
    return [source.path.name for source in found]


def test_folder_gives_pictures_and_videos_in_natural_order(folder):
    found = find_sources([str(folder)])
    assert names(found) == ["shot_1.png", "shot_2.JPG", "shot_10.jpg", "walk.mp4"]
    assert [source.kind for source in found] == ["picture"] * 3 + ["video"]
    assert found[0].name == str(folder / "shot_1.png") and found[0].stem == "shot_1"


def test_what_a_folder_is_not_read_for_is_told(tmp_path):
    for name in ("a.HEIC", "b.heic", "c.avif", "d.jpg", ".hidden.heic", "notes.txt"):
        (tmp_path / name).touch()
    assert "left out 2 .heic files and 1 .avif files; export it as" in overlooked(
        str(tmp_path)
    )
    (tmp_path / "sub").mkdir()
    text = overlooked(str(tmp_path))
    assert "1 folders in it" in text and "/**/*.jpg'" in text
    for nothing in (tmp_path / "sub", tmp_path / "d.jpg", "0", tmp_path / "*.jpg"):
        assert overlooked(str(nothing)) == ""


def test_pattern_gives_what_matches(folder):
    assert names(find_sources([str(folder / "shot_1*")])) == [
        "shot_1.png",
        "shot_10.jpg",
    ]
    (folder / "deep" / "er").mkdir(parents=True)
    write_image(folder / "deep" / "er" / "a.jpg", picture())
    assert names(find_sources([str(folder / "**" / "a.jpg")])) == ["a.jpg"]


def test_file_whose_name_looks_like_a_pattern_is_itself(folder):
    (folder / "shot_1.png").rename(folder / "shot[1].png")
    assert names(find_sources([str(folder / "shot[1].png")])) == ["shot[1].png"]


def test_order_of_the_words_is_kept(folder):
    words = [str(folder / "walk.mp4"), "1", str(folder / "shot_1.png")]
    found = find_sources(words)
    assert [source.kind for source in found] == ["video", "webcam", "picture"]
    assert found[1].device == 1 and found[1].name == "webcam 1"
    assert found[1].stem == "webcam_1"


def test_digits_are_a_file_if_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "3").mkdir()
    write_image(tmp_path / "3" / "a.png", picture())
    assert names(find_sources(["3"])) == ["a.png"]


@pytest.mark.parametrize(
    "word, message",
    [
        pytest.param("none.jpg", "found no such file", id="missing"),
        pytest.param("none/a.jpg", "found no such file", id="missing_folder"),
        pytest.param("empty", "found none in it", id="empty_folder"),
        pytest.param("*.jpg", "found no match", id="no_match"),
        pytest.param("*.txt", "found only other files", id="other_files"),
        pytest.param("notes.txt", r"a video \(.*\), found '\.txt'", id="suffix"),
        pytest.param("README", "found 'no ending'", id="no_suffix"),
        pytest.param("IMG_1.HEIC", r"'\.HEIC'; export it as JPEG", id="phone"),
        pytest.param("a.avif", r"'\.avif'; convert it to PNG", id="avif"),
        pytest.param("a" * 300 + ".jpg", "the name is too long", id="long_name"),
        pytest.param("notes.txt/a.jpg", "found no such file|not a folder", id="nested"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(tmp_path, word, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "README").write_text("x")
    (tmp_path / "IMG_1.HEIC").write_text("x")
    (tmp_path / "a.avif").write_text("x")
    with pytest.raises(TinyposeError, match=message) as info:
        find_sources([str(tmp_path / word)])
    assert "\n" not in str(info.value)


def test_picture_is_one_frame(folder):
    (source,) = find_sources([str(folder / "shot_1.png")])
    with open_source(source) as frames:
        (frame,) = frames
        assert frames.num_frames == 1
    assert np.array_equal(frame.image, picture()) and frame.index == 0


def test_video_gives_rgb_frames_with_their_times(tmp_path):
    path = tmp_path / "red.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 20.0, (64, 48))
    for _ in range(3):
        writer.write(np.full((48, 64, 3), (0, 0, 200), np.uint8))  # BGR
    writer.release()
    (source,) = find_sources([str(path)])
    with open_source(source) as frames:
        assert (frames.fps, frames.num_frames) == (20.0, 3)
        read = list(frames)
    assert [frame.index for frame in read] == [0, 1, 2]
    assert [frame.time_s for frame in read] == pytest.approx([0.0, 0.05, 0.1])
    red, green, blue = read[0].image.reshape(-1, 3).mean(axis=0)
    assert red > 180 and green < 20 and blue < 20


def write_gif(path, delays):
    """Write a GIF of 1 x 1 frames, black and white, by hand; delays in 1/100 s."""
    data = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
    for index, delay in enumerate(delays):
        data += b"\x21\xf9\4\0" + delay.to_bytes(2, "little") + b"\0\0"
        data += b",\0\0\0\0\1\0\1\0\0\2\2" + (b"\x44", b"\x4c")[index % 2] + b"\1\0"
    path.write_bytes(data + b";")


@pytest.mark.parametrize(
    "delays, fps",
    [([10, 50, 20, 100, 10], 10), ([200] * 3, 0.5)],
    ids=["uneven", "slow"],
)
def test_frames_come_when_the_file_says(tmp_path, delays, fps):
    path = tmp_path / "uneven.gif"
    write_gif(path, delays)
    with open_source(find_sources([str(path)])[0]) as opened:
        times = [frame.time_s for frame in opened]
        # At the mean rate the short frames would be left out of a copy.
        assert opened.fps == pytest.approx(fps)
    assert times == pytest.approx(np.cumsum([0, *delays[:-1]]) / 100)


def write_uneven_webm(path, times_ms, duration_ms):
    """Write a WebM without a frame rate, as browsers record; frames of grey."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 25, (64, 48))
    for index in range(len(times_ms)):
        writer.write(picture(10 * index))
    writer.release()
    data = path.read_bytes()
    # DefaultDuration becomes Void; then Duration, and the time of each SimpleBlock.
    rate = data.index(b"\x23\xe3\x83\x84")
    data = data[:rate] + b"\xec\x86" + bytes(6) + data[rate + 8 :]
    duration = data.index(b"\x44\x89\x88") + 3
    data = data[:duration] + struct.pack(">d", duration_ms) + data[duration + 8 :]
    times = (struct.pack(">h", time_ms) for time_ms in times_ms)
    block = re.compile(rb"(\xa3.\x81)..(?=[\x00\x80][\x10-\xff])", re.DOTALL)
    path.write_bytes(block.sub(lambda found: found[1] + next(times), data))
    assert next(times, None) is None


UNEVEN_MS = [0, 43, 73, 114, 152, 177, 209, 251, 287, 312, 352, 391, 432, 460, 486]


@pytest.mark.parametrize("last_ms", [528, 5000], ids=["short", "still_end"])
def test_webm_without_a_frame_rate_is_whole(tmp_path, last_ms):
    times_ms = [*UNEVEN_MS, last_ms]
    write_uneven_webm(tmp_path / "w.webm", times_ms, last_ms + 40)
    with open_source(find_sources([str(tmp_path / "w.webm")])[0]) as opened:
        # OpenCV says 1000 frames per second, and as many frames as milliseconds.
        assert opened.fps == pytest.approx(1000 / np.median(np.diff(times_ms)))
        assert opened.num_frames == round(opened.fps * (last_ms + 40) / 1000)
        times_s = [frame.time_s for frame in opened]
    assert times_s == pytest.approx(np.array(times_ms) / 1000)


def test_webm_that_ends_early_is_truncated(tmp_path):
    write_uneven_webm(tmp_path / "w.webm", UNEVEN_MS, 2000)
    message = r"a video of 2\.0 s, found 0\.5 s in 15 frames; is it truncated"
    with open_source(find_sources([str(tmp_path / "w.webm")])[0]) as opened:
        with pytest.raises(TinyposeError, match=message):
            list(opened)


def test_slow_video_keeps_its_times(tmp_path):
    write_video(tmp_path / "slow.mp4", num_frames=3, fps=0.5)
    with open_source(find_sources([str(tmp_path / "slow.mp4")])[0]) as opened:
        assert opened.fps == 0.5
        assert [frame.time_s for frame in opened] == pytest.approx([0, 2, 4])


def test_a_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "cam1:front.mp4", num_frames=3)
    with open_source(find_sources(["cam1:front.mp4"])[0]) as opened:
        assert opened.name == "cam1:front.mp4" and len(list(opened)) == 3


def test_gif_is_a_video(tmp_path):
    path = tmp_path / "blink.gif"
    write_gif(path, [10, 10])
    (source,) = find_sources([str(path)])
    assert source.kind == "video"
    with open_source(source) as opened:
        values = [int(frame.image.mean()) for frame in opened]
    assert values == [0, 255]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"not a video", id="text"),
        pytest.param(b"\0\0\0\x18ftypmp42" + bytes(200), id="header_only"),
    ],
)
def test_damaged_video_is_refused(tmp_path, content, capfd):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    (source,) = find_sources([str(path)])
    with pytest.raises(TinyposeError, match="expected a video, found") as info:
        with open_source(source) as frames:
            list(frames)
    assert "bad.mp4" in str(info.value) and "\n" not in str(info.value)


def test_empty_file_is_named(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (source,) = find_sources([str(tmp_path / "empty.mp4")])
    with pytest.raises(TinyposeError, match="found an empty file"):
        with open_source(source):
            pass


class FakeCapture:
    """A reader with a given number of readable frames."""

    def __init__(self, announced, readable, fps=10.0, side=8, times_ms=()):
        self.values = {
            cv2.CAP_PROP_FRAME_COUNT: announced,
            cv2.CAP_PROP_FPS: fps,
            cv2.CAP_PROP_FRAME_WIDTH: side,
            cv2.CAP_PROP_FRAME_HEIGHT: side,
        }
        self.left = readable
        self.times_ms = list(times_ms)
        self.released = False

    def isOpened(self):
        return True

    def get(self, key):
        if key == cv2.CAP_PROP_POS_MSEC:
            return self.times_ms.pop(0) if self.times_ms else 0.0
        return self.values[key]

    def grab(self):
        self.left -= 1
        return self.left >= 0

    def read(self):
        return self.grab(), np.zeros((8, 8, 3), np.uint8)

    def release(self):
        self.released = True


@pytest.fixture
def capture(monkeypatch, tmp_path):
    """Return a function that makes OpenCV open fake readers; it gives the first."""

    def use(**settings):
        fake = FakeCapture(**settings)
        others = (FakeCapture(**settings) for _ in itertools.count())
        opened = itertools.chain([fake], others)
        monkeypatch.setattr(sources.cv2, "VideoCapture", lambda _: next(opened))
        path = tmp_path / "v.mp4"
        path.write_bytes(b"x")
        return fake, Source(name="v.mp4", kind="video", path=path)

    return use


def test_video_without_frames_is_refused(capture):
    fake, source = capture(announced=5, readable=0)
    with pytest.raises(TinyposeError, match="found no frame in it"):
        with open_source(source) as frames:
            list(frames)
    assert fake.released


def test_truncated_video_gives_its_frames_first(capture):
    _, source = capture(announced=100, readable=40)
    read = []
    message = r"expected a video of 10\.0 s, found 4\.0 s in 40 frames"
    with pytest.raises(TinyposeError, match=message):
        with open_source(source) as frames:
            read.extend(frames)
    assert len(read) == 40


@pytest.mark.parametrize("announced", [0, -1, 44, 1e18], ids=str)
def test_announced_length_may_be_unknown_or_rough(capture, announced):
    _, source = capture(announced=announced, readable=40)
    with open_source(source) as frames:
        assert len(list(frames)) == 40


@pytest.mark.parametrize(
    "fps, times_ms, expected",
    [
        pytest.param(480.0, [0, 2, 4, 6, 8], 500.0, id="high_speed"),
        pytest.param(480.0, [], 480.0, id="high_speed_without_times"),
        pytest.param(1000.0, [0, 40, 80, 85, 1000], 25.0, id="clock"),
        pytest.param(240.0, [0, 40, 80, 120, 160], 240.0, id="plausible"),
    ],
)
def test_implausible_frame_rate_is_taken_from_the_times(
    capture, fps, times_ms, expected
):
    _, source = capture(announced=5, readable=5, fps=fps, times_ms=times_ms)
    with open_source(source) as frames:
        assert frames.fps == pytest.approx(expected)


def test_frames_that_are_missing_in_between_do_not_shorten_a_video(capture):
    times_ms = [0, 100, 200, 1900]
    _, source = capture(announced=20, readable=4, times_ms=times_ms)
    with open_source(source) as frames:
        assert len(list(frames)) == 4


@pytest.mark.parametrize("fps", [0.0, -5.0, 1e6, float("nan")], ids=str)
def test_senseless_frame_rate_is_replaced(capture, fps):
    _, source = capture(announced=3, readable=3, fps=fps)
    with open_source(source) as frames:
        assert frames.fps == sources.DEFAULT_FPS
        assert [frame.time_s for frame in frames] == pytest.approx([0, 0.04, 0.08])


@pytest.mark.parametrize(
    "times_ms, times_s",
    [
        pytest.param([0, 90, 260], [0, 0.09, 0.26], id="stated"),
        pytest.param([500, 600, 800], [0, 0.1, 0.3], id="late_start"),
        pytest.param([0, 0, 0], [0, 0.1, 0.2], id="none"),
        pytest.param([0, 150, 150], [0, 0.15, 0.25], id="stands_still"),
        pytest.param([0, float("nan"), -5], [0, 0.1, 0.2], id="senseless"),
        pytest.param([0, 1e9, 150], [0, 0.1, 0.15], id="damaged"),
    ],
)
def test_times_grow_whatever_the_file_says(capture, times_ms, times_s):
    _, source = capture(announced=3, readable=3, times_ms=times_ms)
    with open_source(source) as frames:
        assert [frame.time_s for frame in frames] == pytest.approx(times_s)


def test_huge_frames_are_refused_before_they_are_read(capture):
    _, source = capture(announced=3, readable=3, side=50_000)
    with pytest.raises(TinyposeError, match="at most 100 megapixels, found 50000"):
        with open_source(source):
            pass


def test_webcam_that_is_not_there_is_explained(monkeypatch):
    class Closed(FakeCapture):
        def isOpened(self):
            return False

    monkeypatch.setattr(sources.cv2, "VideoCapture", lambda _: Closed(0, 0))
    with pytest.raises(TinyposeError, match="webcam of index 7, found none"):
        with open_source(find_sources(["7"])[0]):
            pass


def test_webcam_frames_carry_their_own_times(capture, monkeypatch):
    capture(announced=0, readable=3)
    clock = iter([100.0, 100.4, 101.4])
    monkeypatch.setattr(sources.time, "monotonic", lambda: next(clock))
    with open_source(find_sources(["0"])[0]) as frames:
        # The time that the camera took to begin does not count.
        assert [f.time_s for f in frames] == pytest.approx([0.0, 0.4, 1.4])
