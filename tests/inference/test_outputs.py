"""What predictions leave behind: names, JSON, CSV and whole videos."""

import csv
import io
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.inference import outputs
from tinypose.inference.outputs import OutputNames, Results, video_writer
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
def results(dot_metadata):
    pose = Pose(
        keypoints_xy=np.array([[1.234, 2], [3, 4.567], [5, 6]], np.float32),
        scores=np.array([0.5, 0.25, 1], np.float32),
        skeleton=dot_metadata.skeleton,
        box_xywh=np.array([1.0, 2, 3, 4]),
    )
    results = Results(dot_metadata)
    frame = Frame(np.zeros((48, 64, 3), np.uint8), 3, 0.125)
    results.add(source("ä, b.mp4"), frame, pose)
    results.fail(source("c.jpg"), TinyposeError("c.jpg: no"))
    return results


def test_json_says_everything(results):
    value = json.loads(results.to_json())
    assert value == results.to_dict()
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


def test_json_has_a_line_per_result(results):
    lines = results.to_json().splitlines()
    assert sum('"keypoints": [{' in line for line in lines) == 1


def test_csv_has_a_line_per_keypoint(results):
    rows = list(csv.DictReader(io.StringIO(results.to_csv())))
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


def test_no_results_are_still_json_and_csv(dot_metadata):
    empty = Results(dot_metadata)
    assert json.loads(empty.to_json())["results"] == []
    assert empty.to_csv() == ",".join(outputs.CSV_HEADER) + "\n"


def test_results_do_not_hold_the_pictures(results, dot_metadata):
    image = np.zeros((2000, 3000, 3), np.uint8)
    many = Results(dot_metadata)
    pose = results._poses[0][2]
    many.add(source("a.jpg"), Frame(image), pose)
    assert many._poses[0][1].image.base is not image
    assert many._poses[0][1].image.strides == (0, 0, 0)


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
    with pytest.raises(TinyposeError, match="no MPEG-4 video of 64 x 48"):
        with video_writer(tmp_path / "v.mp4", 10.0) as write:
            write(solid(1), 0.0)
    assert list(tmp_path.iterdir()) == []
