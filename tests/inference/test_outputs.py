"""What predictions leave behind: names, JSON, CSV and whole videos."""

import contextlib
import csv
import errno
import io
import json
import os
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.inference import outputs
from tinypose.inference.outputs import (
    OutputNames,
    Results,
    SpoolError,
    video_writer,
    write_pieces,
)
from tinypose.inference.pose import Pose
from tinypose.inference.sources import Frame, Source


def source(path):
    return Source(name=str(path), kind="picture", path=Path(path))


def read_video(path):
    reader = cv2.VideoCapture(str(path))
    frames = []
    while True:
        done, frame = reader.read()
        if not done:
            return frames, reader.get(cv2.CAP_PROP_FPS)
        frames.append(frame[..., ::-1])


def test_names_of_equal_stems_differ(tmp_path):
    sources = [source(tmp_path / name) for name in ("a/x.jpg", "b/x.png", "b/X.bmp")]
    names = OutputNames(tmp_path / "out", sources)
    found = [names(one, "_pose.jpg").name for one in sources]
    assert found[:2] == ["x_pose.jpg", "x_pose_2.jpg"]
    # Names that differ in case only are the same file on some systems.
    assert found[2] == "X_pose_3.jpg"


def test_no_source_is_ever_named(tmp_path):
    sources = [source(tmp_path / "x.jpg"), source(tmp_path / "x_pose.jpg")]
    names = OutputNames(tmp_path, sources)
    assert names(sources[0], "_pose.jpg") == tmp_path / "x_pose_2.jpg"
    assert names(sources[1], "_pose.jpg") == tmp_path / "x_pose_pose.jpg"


def test_source_behind_a_link_is_not_named(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    sources = [source(tmp_path / "real" / "x_pose.jpg"), source("x.jpg")]
    names = OutputNames(tmp_path / "link", sources)
    assert names(sources[1], "_pose.jpg").name == "x_pose_2.jpg"


@pytest.fixture
def pose(dot_metadata):
    return Pose(
        keypoints_xy=np.array([[1.234, 2], [3, 4.567], [5, 6]], np.float32),
        scores=np.array([0.5, 0.25, 1], np.float32),
        skeleton=dot_metadata.skeleton,
        box_xywh=np.array([1.0, 2, 3, 4]),
    )


@pytest.fixture
def empty(dot_metadata, tmp_path):
    results = Results(dot_metadata, folder=tmp_path)
    yield results
    results.close()


@pytest.fixture
def results(empty, pose):
    frame = Frame(np.zeros((48, 64, 3), np.uint8), 3, 0.125)
    empty.add(source("ä, b.mp4"), frame, pose)
    empty.fail(source("c.jpg"), TinyposeError("c.jpg: no"))
    return empty


def as_json(results):
    return json.loads("".join(results.json_pieces()))


def test_json_says_everything(results):
    value = as_json(results)
    assert value["model"] == "dots"
    assert value["skeleton"]["keypoints"] == ["left_hand", "right_hand", "head"]
    (result,) = value["results"]
    assert result["source"] == "ä, b.mp4" and result["image_hw"] == [48, 64]
    assert (result["frame"], result["time_s"]) == (3, 0.125)
    assert result["found"] is True
    assert result["box_xywh"] == [1, 2, 3, 4]
    assert result["score"] == pytest.approx(1.75 / 3, abs=1e-4)
    assert result["keypoints"][0] == {
        "name": "left_hand",
        "x": 1.23,
        "y": 2.0,
        "score": 0.5,
    }
    assert value["failures"] == [{"source": "c.jpg", "error": "c.jpg: no"}]


def test_json_has_a_line_per_result(results, pose):
    results.add(source("d.jpg"), Frame(np.zeros((4, 6, 3), np.uint8)), pose)
    first, *middle, last = "".join(results.json_pieces()).splitlines()
    assert (first, last) == ("{", "}")
    assert middle[0] == ' "model": "dots",' and middle[1].endswith("},")
    assert middle[2] == ' "results": ['
    assert middle[3].startswith('  {"source": "ä, b.mp4", "frame": 3, "time_s": 0.125,')
    assert middle[4].startswith('  {"source": "d.jpg", "frame": 0, "time_s": 0.0,')
    assert middle[3].endswith("]},") and middle[4].endswith("]}")
    assert middle[5:] == [
        " ],",
        ' "failures": [',
        '  {"source": "c.jpg", "error": "c.jpg: no"}',
        " ]",
    ]


def test_csv_has_a_line_per_keypoint(results):
    text = "".join(results.csv_pieces())
    assert text.splitlines()[1] == '"ä, b.mp4",3,0.125,left_hand,1.23,2.0,0.5,true,0'
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["keypoint"] for row in rows] == ["left_hand", "right_hand", "head"]
    assert rows[1] == {
        "source": "ä, b.mp4",
        "frame": "3",
        "time_s": "0.125",
        "keypoint": "right_hand",
        "x": "3.0",
        "y": "4.57",
        "score": "0.25",
        "found": "true",
        "person": "0",
    }


def test_no_results_are_still_json_and_csv(empty, dot_metadata):
    unused = Results(dot_metadata, keep_poses=False)
    for results in (empty, unused):
        value = as_json(results)
        assert value["results"] == value["failures"] == []
        text = "".join(results.json_pieces())
        assert text.endswith('\n "results": [],\n "failures": []\n}\n')
        assert "".join(results.csv_pieces()) == ",".join(outputs.CSV_HEADER) + "\n"


def test_results_wait_on_disk_and_are_written_in_pieces(empty, pose, tmp_path):
    image = np.zeros((480, 640, 3), np.uint8)
    tracemalloc.start()
    try:
        for index in range(3000):
            empty.add(source("a.mp4"), Frame(image, index, index / 30), pose)
        write_pieces(tmp_path / "p.json", empty.json_pieces())
        write_pieces(tmp_path / "p.csv", empty.csv_pieces())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The file of 0.9 MB was never whole in memory.
    assert (tmp_path / "p.json").stat().st_size > 800_000 > 2 * most
    value = json.loads((tmp_path / "p.json").read_text())
    assert [r["frame"] for r in value["results"]] == list(range(3000))
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + 3 * 3000
    # What they wait in has no name.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.csv", "p.json"]


def test_results_can_be_read_before_the_last_is_added(empty, pose):
    frame = Frame(np.zeros((4, 6, 3), np.uint8))
    for count in range(1, 4):
        empty.add(source("a.jpg"), frame, pose)
        pieces = empty.json_pieces()
        for _ in range(4):
            next(pieces)  # and not to the end
        pieces.close()
        assert len(as_json(empty)["results"]) == count


class FullDisk:
    """A file that takes so many bytes, some at a time."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        count = min(len(data), self._room, 100)
        if count == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._room -= count
        return self._file.write(data[:count])

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_full_disk_ends_the_results_after_a_whole_one(results, pose, tmp_path):
    results._spool = FullDisk(results._spool, 500)
    frame = Frame(np.zeros((4, 6, 3), np.uint8))
    message = f"cannot keep results in {tmp_path}: the disk is full"
    with pytest.raises(SpoolError, match=message):
        for _ in range(10):
            results.add(source("d.jpg"), frame, pose)
    names = [result["source"] for result in as_json(results)["results"]]
    assert names == ["ä, b.mp4", "d.jpg"]


def test_folder_that_takes_no_results_is_named(dot_metadata, tmp_path):
    with pytest.raises(TinyposeError, match=r"cannot write into .*gone: no such"):
        Results(dot_metadata, folder=tmp_path / "gone")


def solid(value, hw=(48, 64)):
    return np.full((*hw, 3), value, np.uint8)


def test_video_reads_back(tmp_path):
    path = tmp_path / "out" / "v.mp4"
    with video_writer(path, 10.0) as write:
        for index in range(5):
            write(solid((200, 40 * index, 0)), index / 10)
        assert not path.exists()
    frames, fps = read_video(path)
    assert len(frames) == 5 and fps == pytest.approx(10)
    assert frames[0].shape == (48, 64, 3)
    red, green, blue = frames[4].reshape(-1, 3).mean(axis=0)
    assert (red, green, blue) == pytest.approx((200, 160, 0), abs=12)
    assert [p.name for p in path.parent.iterdir()] == ["v.mp4"]


def test_video_of_any_name_and_speed_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # To FFmpeg, what stands before a colon is a protocol; a frame per hour is
    # slower than its codec writes.
    with video_writer(Path("cam1:front.mp4"), 1 / 3600) as write:
        write(solid(180), 0.0)
        write(solid(180), 100.0)
    assert len(read_video(tmp_path / "cam1:front.mp4")[0]) == 2


@pytest.mark.parametrize(
    "fps, written",
    [(29.97, 29.97), (66.1234, 66.12), (119.8274, 119.83), (999.99, 1000), (1e5, 1000)],
)
def test_rates_that_the_codec_does_not_hold_are_rounded(tmp_path, fps, written):
    with video_writer(tmp_path / "v.mp4", fps) as write:
        for index in range(3):
            write(solid(180), index / min(fps, 1000))
    frames, read = read_video(tmp_path / "v.mp4")
    assert len(frames) == 3 and read == pytest.approx(written, rel=1e-4)


def test_video_of_a_name_over_which_opencv_crashes_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"b\xe9.mp4")
    with pytest.raises(
        TinyposeError, match=r"b.udce9\.mp4: expected a video of a name"
    ):
        with video_writer(path, 10.0):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hw", [(47, 63), (2, 3), (48, 63)], ids=str)
def test_odd_sides_are_made_even(tmp_path, hw):
    with video_writer(tmp_path / "v.mp4", 10.0) as write:
        write(solid(180, hw), 0.0)
    frames, _ = read_video(tmp_path / "v.mp4")
    assert frames[0].shape[:2] == ((hw[0] + 1) // 2 * 2, (hw[1] + 1) // 2 * 2)
    # The added row repeats the last one: no dark edge.
    assert frames[0].min() > 160


def test_pictures_of_other_sizes_are_letterboxed(tmp_path):
    with video_writer(tmp_path / "v.mp4", 10.0) as write:
        write(solid(180), 0.0)
        write(solid(180, (96, 64)), 0.1)
    frames, _ = read_video(tmp_path / "v.mp4")
    assert frames[1].shape == (48, 64, 3)
    assert frames[1][24, 32].min() > 160 and frames[1][24, 4].max() < 60


def test_frames_are_repeated_and_left_out_to_keep_the_time(tmp_path):
    with video_writer(tmp_path / "v.mp4", 10.0) as write:
        for time_s in (0.0, 0.5, 0.51, 0.6):
            write(solid(int(time_s * 200)), time_s)
    frames, _ = read_video(tmp_path / "v.mp4")
    # At 10 frames/s: frame 0, then 0.5 s for frames 1 to 5, 0.6 s for 6.
    assert [round(frame.mean() / 20) for frame in frames] == [0, 5, 5, 5, 5, 5, 6]


@pytest.mark.parametrize("error", [TinyposeError("x"), KeyboardInterrupt()], ids=repr)
def test_failure_leaves_no_video(tmp_path, error):
    (tmp_path / "v.mp4").write_bytes(b"before")
    with pytest.raises(type(error)):
        with video_writer(tmp_path / "v.mp4", 10.0) as write:
            write(solid(1), 0.0)
            raise error
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]
    assert (tmp_path / "v.mp4").read_bytes() == b"before"


def test_video_cut_short_by_the_disk_is_noticed(tmp_path, monkeypatch):
    class Lossy:
        def __init__(self, *arguments):
            pass

        def isOpened(self):
            return True

        def write(self, picture):
            pass

        def release(self):
            pass

    monkeypatch.setattr(outputs.cv2, "VideoWriter", Lossy)
    Lossy.fourcc = staticmethod(lambda *letters: 0)
    with pytest.raises(TinyposeError, match="incomplete; is the disk full"):
        with video_writer(tmp_path / "v.mp4", 10.0) as write:
            write(solid(1), 0.0)
    assert list(tmp_path.iterdir()) == []


def test_video_that_cannot_be_opened_is_explained(tmp_path, monkeypatch):
    class Closed:
        fourcc = staticmethod(lambda *letters: 0)

        def __init__(self, *arguments):
            pass

        def isOpened(self):
            return False

        def release(self):
            pass

    monkeypatch.setattr(outputs.cv2, "VideoWriter", Closed)
    with pytest.raises(TinyposeError, match="no MPEG-4 video of 64 x 48 pixels at 10"):
        with video_writer(tmp_path / "v.mp4", 10.0) as write:
            write(solid(1), 0.0)
    # Neither is it called incomplete where the caller goes on.
    with pytest.raises(TinyposeError, match="no MPEG-4 video of 64 x 48 pixels at 10"):
        with video_writer(tmp_path / "v.mp4", 10.0) as write:
            with contextlib.suppress(TinyposeError):
                write(solid(1), 0.0)
    assert list(tmp_path.iterdir()) == []
