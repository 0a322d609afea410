"""``tinypose predict`` on small pictures and videos of coloured dots."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tinypose.cli import predict_job
from tinypose.cli.main import main
from tinypose.errors import TinyposeError
from tinypose.images import read_image, write_image
from tinypose.inference.predictor import Predictor
from tinypose.inference.threads import usable_threads
from tinypose.metadata import read_metadata, replace_metadata

DOTS = [(78.3, 40.7, "red"), (31.2, 60.1, "red"), (52.6, 99.4, "green")]
BOX = "20,25,70,85"


@pytest.fixture
def tinypose(capfd, tmp_path, monkeypatch):
    """Run a command in an empty folder: exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capfd.readouterr()  # what was written before, by other libraries
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return stop.value.code, *capfd.readouterr()

    return run


@pytest.fixture
def photo(tmp_path, paint_dots):
    path = tmp_path / "photo.png"
    write_image(path, paint_dots((150, 110), DOTS))
    return path


@pytest.fixture
def heads(dot_models):
    return dot_models("heads")


def write_video(path, pictures, fps=10.0):
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height)
    )
    for picture in pictures:
        writer.write(picture[..., ::-1])
    writer.release()


def count_frames(path):
    reader = cv2.VideoCapture(str(path))
    count = 0
    while reader.read()[0]:
        count += 1
    return count


@pytest.fixture
def video(tmp_path, paint_dots):
    path = tmp_path / "walk.mp4"
    moved = [[(x + 2 * i, y, c) for x, y, c in DOTS] for i in range(8)]
    write_video(path, [paint_dots((150, 130), dots) for dots in moved])
    return path


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_picture_alone_prints_a_table(tinypose, photo, heads, tmp_path):
    code, out, err = tinypose("predict", photo, "--model", heads, "--box", BOX)
    lines = out.splitlines()
    assert code == 0 and err == ""
    assert lines[0].startswith(f"{photo}: 3 of 3 keypoints score 0.2 or more, 0.")
    assert lines[1].split() == ["keypoint", "x", "y", "score"]
    name, x, y, score = lines[2].split()
    assert name == "left_hand" and 0.5 < float(score) <= 1
    assert (float(x), float(y)) == pytest.approx(DOTS[0][:2], abs=0.5)
    assert lines[5] == f"to see them:  tinypose predict {photo} --save out"
    assert files(tmp_path) == ["photo.png"]


def test_save_writes_a_drawn_copy(tinypose, photo, heads, tmp_path):
    before = photo.read_bytes()
    code, out, _ = tinypose("predict", photo, "--model", heads, "--save", "out")
    assert code == 0 and "wrote out/photo_pose.jpg" in out
    assert files(tmp_path / "out") == ["photo_pose.jpg"]
    drawn = read_image(tmp_path / "out" / "photo_pose.jpg")
    # A picture of 150 pixels is enlarged three times.
    assert drawn.shape == (450, 330, 3)
    original = cv2.resize(read_image(photo), (330, 450))
    assert np.abs(drawn.astype(int) - original).max() > 150
    assert photo.read_bytes() == before


def test_json_and_csv_files_agree(tinypose, photo, heads, tmp_path):
    arguments = ("--model", heads, "--box", BOX, "--json", "a/p.json", "--csv", "p.csv")
    code, out, _ = tinypose("predict", photo, *arguments)
    assert code == 0 and "wrote a/p.json" in out and "wrote p.csv" in out
    value = json.loads((tmp_path / "a" / "p.json").read_text())
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    keypoints = value["results"][0]["keypoints"]
    assert value["failures"] == [] and value["results"][0]["image_hw"] == [150, 110]
    assert [row["keypoint"] for row in rows] == [k["name"] for k in keypoints]
    for row, keypoint, (x, y, _) in zip(rows, keypoints, DOTS, strict=True):
        assert (keypoint["x"], keypoint["y"]) == pytest.approx((x, y), abs=0.5)
        assert float(row["x"]) == keypoint["x"] and float(row["y"]) == keypoint["y"]


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_standard_output_holds_the_data_only(tinypose, photo, heads, option):
    arguments = ("--model", heads, "--save", "out", option, "-")
    code, out, err = tinypose("predict", photo, *arguments)
    assert code == 0 and "wrote out/photo_pose.jpg" in err
    if option == "--json":
        assert len(json.loads(out)["results"]) == 1
    else:
        assert len(list(csv.reader(io.StringIO(out)))) == 1 + 3


def test_stray_bytes_in_a_name_cost_nothing(tinypose, photo, heads, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in (b"a.png", b"b\xe9.png"):
        (folder / os.fsdecode(name)).write_bytes(photo.read_bytes())
    # OpenCV crashes over such a name.
    (folder / os.fsdecode(b"f\xeate.mp4")).write_bytes(b"x")
    arguments = ("--model", heads, "--json", "p.json", "--csv", "p.csv")
    code, out, err = tinypose("predict", folder, *arguments)
    assert code == 1 and "wrote p.json" in out and "wrote p.csv" in out
    (line,) = err.splitlines()
    assert r"f\udceate.mp4: expected a video of a name in UTF-8" in line
    value = json.loads((tmp_path / "p.json").read_text())
    names = [result["source"] for result in value["results"]]
    assert names == [f"{folder}/a.png", rf"{folder}/b\udce9.png"]
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert [row["source"] for row in rows[::3]] == names


@pytest.mark.parametrize("error", [RuntimeError("odd"), KeyboardInterrupt()], ids=repr)
def test_whatever_ends_the_work_what_was_found_is_written(
    tinypose, photo, heads, monkeypatch, tmp_path, error
):
    (tmp_path / "photo_2.png").write_bytes(photo.read_bytes())
    calls = []

    def break_later(*_):
        calls.append(1)
        if len(calls) == 2:
            raise error
        return []

    monkeypatch.setattr(predict_job.PredictJob, "_summary", lambda *_: "")
    monkeypatch.setattr(predict_job.PredictJob, "_save_picture", break_later)
    arguments = ("photo.png", "photo_2.png", "--save", "out", "--csv", "p.csv")
    arguments += ("--json", "p.json", "--model", heads)
    code, _, err = tinypose("predict", *arguments)
    assert code == (1 if isinstance(error, RuntimeError) else 130)
    assert len(err.splitlines()) == 1
    value = json.loads((tmp_path / "p.json").read_text())
    assert len(value["results"]) == 2 and (tmp_path / "p.csv").stat().st_size > 100
    assert [f["error"] for f in value["failures"]] == (["odd"] if code == 1 else [])


def test_an_output_that_fails_does_not_cost_the_other(
    tinypose, photo, heads, monkeypatch, tmp_path
):
    def fail(self):
        raise TinyposeError("cannot write p.json: the disk is full")

    monkeypatch.setattr(predict_job.Results, "json_pieces", fail)
    arguments = ("--model", heads, "--json", "p.json", "--csv", "p.csv")
    code, out, err = tinypose("predict", photo, *arguments)
    assert code == 1 and "disk is full" in err and "wrote p.csv" in out
    assert files(tmp_path) == ["p.csv", "photo.png"]


def test_full_disk_ends_the_work_in_one_line(
    tinypose, photo, video, heads, monkeypatch, tmp_path
):
    class Full(predict_job.Results):
        def add(self, *arguments, **options):
            if self.num_poses == 3:
                raise predict_job.SpoolError("cannot keep results in .: no room")
            super().add(*arguments, **options)

    monkeypatch.setattr("tinypose.inference.outputs.Results", Full)
    arguments = ("walk.mp4", "photo.png", "--model", heads, "--save", "out")
    code, out, err = tinypose("predict", *arguments, "--json", "p.json")
    # To go on with the photo would be in vain.
    assert (code, err) == (1, "tinypose: error: cannot keep results in .: no room\n")
    assert "photo" not in out and "wrote p.json" in out
    value = json.loads((tmp_path / "p.json").read_text())
    assert len(value["results"]) == 3 and value["failures"][0]["source"] == "walk.mp4"
    assert files(tmp_path / "out") == ["walk_pose.mp4"]


def test_a_pipe_and_a_link_take_the_results(tinypose, photo, heads, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    read = []
    reader = threading.Thread(
        target=lambda: read.append((tmp_path / "pipe").read_text())
    )
    reader.start()
    arguments = ("--model", heads, "--json", "pipe", "--csv", "link.csv")
    code, *_ = tinypose("predict", photo, *arguments)
    reader.join(timeout=10)
    assert code == 0 and len(json.loads(read[0])["results"]) == 1
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link.csv").is_symlink()
    assert len((tmp_path / "real.csv").read_text().splitlines()) == 4


def test_standard_output_by_its_device_name(tinypose, photo, heads):
    arguments = ("--model", heads, "--json", "/dev/stdout")
    code, out, err = tinypose("predict", photo, *arguments)
    assert code == 0 and len(json.loads(out)["results"]) == 1 and "photo.png" in err


def test_poses_are_kept_only_for_an_output(tinypose, photo, heads, monkeypatch):
    kept = []
    run = predict_job.PredictJob.run

    def look(self, found):
        try:
            return run(self, found)
        finally:
            kept.append(self.results.num_poses)

    monkeypatch.setattr(predict_job.PredictJob, "run", look)
    for options in ([], ["--csv", "p.csv"]):
        assert tinypose("predict", photo, "--model", heads, *options)[0] == 0
    assert kept == [0, 1]


def test_damaged_picture_does_not_stop_the_others(
    tinypose, photo, heads, tmp_path, monkeypatch
):
    folder = tmp_path / "photos"
    folder.mkdir()
    data = photo.read_bytes()
    (folder / "a.png").write_bytes(data)
    (folder / "b.png").write_bytes(data[: len(data) // 2])
    (folder / "c.png").write_bytes(data)
    arguments = ("--model", heads, "--save", "out", "--json", "p.json")
    code, _, err = tinypose("predict", folder, *arguments)
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("tinypose: error: ") and "b.png: expected a picture" in line
    assert files(tmp_path / "out") == ["a_pose.jpg", "c_pose.jpg"]
    value = json.loads((tmp_path / "p.json").read_text())
    assert len(value["results"]) == 2
    assert [failure["source"][-5:] for failure in value["failures"]] == ["b.png"]
    # Where lines have scrolled away by then, the last one says it.
    with monkeypatch.context() as patch:
        patch.setattr("tinypose.cli.predict.FEW_SOURCES", 2)
        _, _, err = tinypose("predict", folder, "--model", heads)
    last = err.splitlines()[-1]
    assert last.startswith("1 of 3 sources failed, such as ") and "b.png: " in last


def test_sources_of_one_name_get_files_of_their_own(tinypose, photo, heads, tmp_path):
    write_image(tmp_path / "photo.bmp", read_image(photo))
    arguments = ("photo.png", "photo.bmp", "--model", heads, "--save", ".")
    code, *_ = tinypose("predict", *arguments)
    assert code == 0
    drawn = ["photo_pose.jpg", "photo_pose_2.jpg"]
    assert files(tmp_path) == ["photo.bmp", "photo.png", *drawn]
    # Again, over the folder that now holds pictures of that name: these are
    # sources now, and stay as they are.
    before = [(tmp_path / name).read_bytes() for name in drawn]
    code, _, err = tinypose("predict", ".", "--model", heads, "--save", ".")
    assert code == 0 and "warning: . is read and drawn into: the next time" in err
    assert [(tmp_path / name).read_bytes() for name in drawn] == before


@pytest.fixture
def crowd(tmp_path, paint_dots):
    """A picture of two people, one of nobody, and the boxes that a detector gives."""
    left = [(x, y + 20, colour) for x, y, colour in DOTS]
    right = [(x + 110, y, colour) for x, y, colour in DOTS]
    folder = tmp_path / "photos"
    folder.mkdir()
    write_image(folder / "two.png", paint_dots((150, 220), [*left, *right]))
    write_image(folder / "none.png", paint_dots((50, 40), []))
    images = [{"id": i, "file_name": f"{n}.png"} for i, n in enumerate(["two", "none"])]
    boxes = [[20.5, 45.5, 70, 85], [130.5, 25.5, 70, 85]]
    annotations = [{"image_id": 0, "bbox": box, "score": 0.9} for box in boxes]
    content = {"images": images, "annotations": annotations}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return [left, right]


def test_all_people_whose_boxes_are_given_are_found(tinypose, crowd, heads, tmp_path):
    options = ("--save", "out", "--json", "p.json", "--csv", "p.csv", "--heatmaps")
    arguments = ("photos", "--boxes", "boxes.json", "--model", heads, *options)
    code, out, err = tinypose("predict", *arguments)
    assert (code, err) == (0, "")
    assert "photos/none.png: nobody" in out and "photos/two.png, person 1: 3 of" in out
    results = json.loads((tmp_path / "p.json").read_text())["results"]
    assert [result["person"] for result in results] == [0, 1]
    assert all(result["found"] for result in results)
    for result, dots in zip(results, crowd, strict=True):
        for keypoint, (x, y, _) in zip(result["keypoints"], dots, strict=True):
            assert (keypoint["x"], keypoint["y"]) == pytest.approx((x, y), abs=0.7)
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert [row["person"] for row in rows] == ["0"] * 3 + ["1"] * 3
    drawn = ["none_pose.jpg", "two_heatmaps.jpg", "two_heatmaps_2.jpg", "two_pose.jpg"]
    assert files(tmp_path / "out") == drawn
    # Enlarged twice; limbs, from hand to head, are drawn on both people.
    picture = read_image(tmp_path / "out" / "two_pose.jpg")
    assert picture.shape == (300, 440, 3)
    for dots in crowd:
        middle = (np.array(dots[0][:2]) + dots[2][:2] + 1).astype(int)
        assert picture[middle[1] - 3 : middle[1] + 3, middle[0]].max() > 80


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["photos", "--box", BOX], "only one of --box and --boxes"),
        (["photos", "walk.mp4"], "--boxes: expected pictures only, found walk.mp4"),
        (["photos", "--json", "boxes.json"], "found the source boxes.json"),
    ],
    ids=["box", "video", "over_boxes"],
)
def test_boxes_are_for_pictures_and_alone(
    tinypose, crowd, video, heads, arguments, message
):
    options = ("--boxes", "boxes.json", "--model", heads)
    code, _, err = tinypose("predict", *arguments, *options)
    assert code == 2 and message in err and len(err.splitlines()) == 1


def test_unsure_boxes_are_told(tinypose, crowd, heads):
    arguments = ("photos", "--boxes", "boxes.json", "--model", heads, "--json", "-")
    code, out, err = tinypose("predict", *arguments, "--min-box-score", 0.95)
    assert code == 0 and json.loads(out)["results"] == []
    assert "boxes.json: 2 boxes of a score below 0.95 left out" in err
    for alone in (["--min-box-score", 0.5], ["--box-category", "horse"]):
        code, _, err = tinypose("predict", "photos", *alone)
        assert code == 2 and f"expected --boxes with {alone[0]}" in err


def test_a_picture_without_boxes_fails_alone(tinypose, crowd, photo, heads, tmp_path):
    arguments = ("photo.png", "photos", "--boxes", "boxes.json", "--json", "p.json")
    code, _, err = tinypose("predict", *arguments, "--model", heads)
    assert code == 1 and "in boxes.json for photo.png, found none" in err
    value = json.loads((tmp_path / "p.json").read_text())
    assert len(value["results"]) == 2 and len(value["failures"]) == 1


def test_video_is_annotated_frame_by_frame(tinypose, video, heads, tmp_path):
    arguments = ("--model", heads, "--save", "out", "--json", "p.json", "--no-smooth")
    code, out, err = tinypose("predict", video, *arguments)
    assert (code, err) == (0, "")
    assert f"{video}: 8 frames, a person in 8 of them" in out
    assert files(tmp_path / "out") == ["walk_pose.mp4"]
    assert count_frames(tmp_path / "out" / "walk_pose.mp4") == 8
    results = json.loads((tmp_path / "p.json").read_text())["results"]
    assert [result["frame"] for result in results] == list(range(8))
    assert all(result["found"] for result in results)
    assert results[5]["time_s"] == pytest.approx(0.5)
    # The head moves 2 pixels per frame.
    heads_x = [result["keypoints"][2]["x"] for result in results]
    assert heads_x == pytest.approx([52.6 + 2 * i for i in range(8)], abs=1.5)


def test_empty_frames_stay_as_they_are(tinypose, heads, tmp_path):
    write_video(tmp_path / "dark.mp4", [np.zeros((64, 48, 3), np.uint8)] * 3)
    arguments = ("dark.mp4", "--model", heads, "--save", "out", "--json", "p.json")
    code, out, _ = tinypose("predict", *arguments)
    assert code == 0 and "3 frames, a person in 0 of them" in out
    results = json.loads((tmp_path / "p.json").read_text())["results"]
    assert [result["found"] for result in results] == [False] * 3
    _, frame = cv2.VideoCapture(str(tmp_path / "out" / "dark_pose.mp4")).read()
    assert frame.max() < 10


def test_a_box_says_whom_to_follow_in_a_video(tinypose, heads, tmp_path, paint_dots):
    people = [[(x + right, y, colour) for x, y, colour in DOTS] for right in (0, 110)]
    picture = paint_dots((150, 220), [*people[0], *people[1]])
    write_video(tmp_path / "two.mp4", [picture] * 4)
    for right, dots in zip((0, 110), people, strict=True):
        arguments = ["--box", f"{20 + right},25,70,85", "--no-smooth", "--json", "-"]
        code, out, _ = tinypose("predict", "two.mp4", "--model", heads, *arguments)
        results = json.loads(out)["results"]
        assert code == 0 and len(results) == 4
        for result in results:
            found = result["keypoints"][2]
            assert (found["x"], found["y"]) == pytest.approx(dots[2][:2], abs=1.5)


def test_limit_frames_ends_a_video_early(tinypose, video, heads, tmp_path):
    arguments = ("--model", heads, "--save", "out", "--limit-frames", 3)
    code, out, _ = tinypose("predict", video, *arguments)
    assert code == 0 and "3 frames" in out
    assert count_frames(tmp_path / "out" / "walk_pose.mp4") == 3


def test_smoothing_changes_videos_and_can_be_turned_off(tinypose, video, heads):
    found = []
    for option in ("--smooth", "--no-smooth"):
        _, out, _ = tinypose("predict", video, "--model", heads, option, "--json", "-")
        result = json.loads(out)["results"][-1]
        found.append(result["keypoints"][2]["x"])
    # A moving point lags a little when it is smoothed.
    assert found[0] < found[1]


def test_heatmaps_are_drawn_beside(tinypose, photo, heads, tmp_path):
    arguments = ("--model", heads, "--save", "out", "--heatmaps")
    code, out, _ = tinypose("predict", photo, *arguments)
    assert code == 0 and "wrote out/photo_heatmaps.jpg" in out
    grid = read_image(tmp_path / "out" / "photo_heatmaps.jpg")
    assert grid.shape[1] > 3 * 100 and grid.max() > 200


def test_min_score_counts_and_draws(tinypose, photo, heads, tmp_path):
    arguments = ("--model", heads, "--box", BOX, "--min-score", 1, "--save", "out")
    code, out, _ = tinypose("predict", photo, *arguments)
    assert code == 0 and "0 of 3 keypoints score 1 or more" in out
    drawn = read_image(tmp_path / "out" / "photo_pose.jpg")
    original = cv2.resize(read_image(photo), (330, 450), interpolation=cv2.INTER_CUBIC)
    assert np.abs(drawn.astype(int) - original).max() < 60  # JPEG only


@pytest.mark.parametrize(
    ("options", "flip", "threads"),
    [((), False, usable_threads()), (("--flip", "--threads", 7), True, 7)],
    ids=["neither", "both"],
)
def test_flip_and_threads_are_passed_on(
    tinypose, photo, heads, monkeypatch, options, flip, threads
):
    flips, used = [], []

    class Spy(Predictor):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            flips.append(self.flip_test)

    def interpreter(**named):
        used.append(named["num_threads"])
        return Interpreter(**named)

    monkeypatch.setattr("tinypose.inference.predictor.Predictor", Spy)
    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", interpreter)
    arguments = ("--model", heads, "--box", BOX, *options)
    assert tinypose("predict", photo, *arguments)[0] == 0
    assert (flips, used) == ([flip], [threads])


@pytest.mark.parametrize(
    "arguments, message",
    [
        pytest.param(["--box", "1,2,3"], "--box as x,y,width,height", id="three"),
        pytest.param(["--box", "a,b,c,d"], "found 'a,b,c,d'", id="letters"),
        pytest.param(["--box", "1,2,nan,4"], "--box as x,y,width,height", id="nan"),
        pytest.param(["--box", "1,2,0,4"], "positive width and height", id="no_width"),
        pytest.param(["--heatmaps"], "--save DIR with --heatmaps", id="heatmaps"),
        pytest.param(["--json", "-", "--csv", "-"], "only one of", id="two_outputs"),
        pytest.param(
            ["--json", "a.txt", "--csv", "./a.txt"], "found a.txt for both", id="same"
        ),
        pytest.param(["--json", "photo.png"], "found the source", id="over_source"),
        pytest.param(["--csv", "."], "found folder", id="csv_folder"),
        pytest.param(
            ["--save", "photo.png"], "found the file photo.png", id="save_file"
        ),
        pytest.param(["--min-score", "2"], "min-score", id="min_score"),
        pytest.param(["--limit-frames", "0"], "limit-frames", id="limit"),
        pytest.param(["--threads", "0"], "threads", id="threads"),
        pytest.param(["--sav", "out"], "--save", id="unknown_option"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    tinypose, photo, heads, tmp_path, arguments, message
):
    before = photo.read_bytes()
    code, out, err = tinypose("predict", "photo.png", "--model", heads, *arguments)
    assert (code, out) == (2, "")
    assert message in err and len(err.splitlines()) == 1
    assert files(tmp_path) == ["photo.png"] and photo.read_bytes() == before


def test_no_source_is_wrong_usage(tinypose):
    code, _, err = tinypose("predict")
    assert code == 2 and "SOURCE" in err


@pytest.mark.parametrize(
    "source, options, message",
    [
        pytest.param("none.jpg", [], "found no such file", id="missing"),
        pytest.param("*.gif", [], "found no match", id="pattern"),
        pytest.param("notes.txt", [], "found '.txt'", id="suffix"),
        pytest.param("photo.png", ["--model", "tinny"], "found no such", id="model"),
        pytest.param("photo.png", ["--model", "notes.txt"], ".tflite", id="no_model"),
        pytest.param(
            "photo.png",
            ["--box", "500,1,9,9"],
            "photo.png: expected a box that overlaps",
            id="box_beside",
        ),
    ],
)
def test_failures_are_one_line_and_code_1(
    tinypose, photo, heads, tmp_path, source, options, message
):
    (tmp_path / "notes.txt").write_text("x")
    model = [] if "--model" in options else ["--model", heads]
    code, _, err = tinypose("predict", source, *model, *options, "--json", "p.json")
    assert code == 1 and message in err
    assert len(err.splitlines()) == 1 and err.startswith("tinypose: error: ")


def test_heatmaps_of_a_complete_file_are_refused_before_the_work(
    tinypose, photo, dot_models, tmp_path
):
    arguments = ("--model", dot_models("complete"), "--save", "out", "--heatmaps")
    code, _, err = tinypose("predict", photo, *arguments)
    assert code == 1 and "--heads" in err
    assert files(tmp_path / "out") == []


def test_picture_that_cannot_be_written_fails_alone(
    tinypose, photo, video, heads, monkeypatch, tmp_path
):
    def full(path, image):
        raise TinyposeError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr(predict_job, "write_image", full)
    arguments = (photo, video, "--model", heads, "--save", "out")
    code, _, err = tinypose("predict", *arguments)
    assert code == 1 and "the disk is full" in err and len(err.splitlines()) == 1
    assert files(tmp_path / "out") == ["walk_pose.mp4"]


def test_truncated_video_keeps_its_frames(tinypose, heads, tmp_path):
    # In an AVI the frames lie one after the other, so that half a file plays.
    path = tmp_path / "cut.avi"
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (110, 150))
    for _ in range(40):
        writer.write(rng.integers(0, 255, (150, 110, 3), np.uint8))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    arguments = ("--model", heads, "--save", "out", "--json", "p.json")
    code, _, err = tinypose("predict", path, *arguments)
    value = json.loads((tmp_path / "p.json").read_text())
    kept = len(value["results"])
    assert 0 < kept < 40 and count_frames(tmp_path / "out" / "cut_pose.mp4") == kept
    assert code == 1 and "is it truncated" in err and value["failures"]


def test_ctrl_c_keeps_what_was_found(heads, tmp_path, paint_dots):
    dotted = paint_dots((150, 110), DOTS)
    write_video(tmp_path / "long.mp4", [dotted] * 6000)
    command = [sys.executable, "-m", "tinypose", "predict", tmp_path / "long.mp4"]
    command += ["--model", heads, "--save", tmp_path / "out"]
    command += ["--json", tmp_path / "p.json"]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    # The video lies under a temporary name while it is written.
    while not list(tmp_path.glob("out/.long_pose-*")) and running.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == "tinypose: error: interrupted\n"
    results = json.loads((tmp_path / "p.json").read_text())["results"]
    assert 0 < len(results) < 6000 and f"{len(results)} frames" in out
    assert files(tmp_path / "out") == ["long_pose.mp4"]
    assert count_frames(tmp_path / "out" / "long_pose.mp4") == len(results)


def test_progress_appears_on_a_terminal_only(tinypose, video, heads, monkeypatch):
    _, _, err = tinypose("predict", video, "--model", heads)
    assert err == ""
    monkeypatch.setattr(predict_job.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    _, _, err = tinypose("predict", video, "--model", heads)
    assert "walk.mp4" in err and "8/8" in err


def test_help_loads_no_library_of_the_work():
    code = (
        "import sys; from tinypose.cli.main import main\n"
        "try: main(['predict', '--help'])\n"
        "finally: print([m for m in ('cv2', 'numpy', 'keras', 'rich.progress') "
        "if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "--limit-frames" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_named(tinypose, photo, heads, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    code, _, err = tinypose("predict", photo, "--model", heads, "--save", locked)
    assert code == 1 and "no permission" in err and len(err.splitlines()) == 1


def test_what_scores_too_little_is_perhaps_nobody(tinypose, photo, heads, tmp_path):
    path = tmp_path / "sure.tflite"
    path.write_bytes(heads.read_bytes())
    # The dots score less than 1: for a model that is surer, that is nobody.
    metadata = read_metadata(path)
    for usual, box, nobody in [
        (0.5, [], False),
        (2.0, [], True),
        (2.0, ["--box", BOX], False),
    ]:
        replace_metadata(path, replace(metadata, usual_score=usual))
        command = ["predict", photo, "--model", path, "--json", "out.json", *box]
        code, out, _ = tinypose(*command)
        assert code == 0
        assert ("perhaps nobody" in out) is nobody
        (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
        assert result["found"] is not nobody
