"""YOLO-pose: pictures, labels and names are found and read as their owners mean."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tinypose.cli.main import main
from tinypose.data.coco import UNLABELLED
from tinypose.data.sources import load_data
from tinypose.data.yolo_pose import NO_LABEL_FILE, count_skipped, read_yolo_pose
from tinypose.errors import TinyposeError
from tinypose.images import write_image
from tinypose.skeletons import COCO

HAND = {
    "path": ".",
    "train": "images/train",
    "val": "images/val",
    "kpt_shape": [3, 3],
    "flip_idx": [0, 2, 1],
    "names": {0: "hand", 1: "glove"},
    "kpt_names": {0: ["Wrist", "Left-Edge", "Right-Edge"]},
}
BOX = "0.5 0.5 0.25 0.5"
LINE = f"0 {BOX} 0.5 0.25 2 0.75 0.5 1 0 0 0"
FLIPS = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def write(folder: Path, labels: dict[str, str | None], changes=None) -> Path:
    """Write pictures of 40 x 20, their labels and the YAML."""
    for name, text in labels.items():
        write_image(folder / "images" / name, np.full((20, 40, 3), 90, np.uint8))
        if text is not None:
            file = (folder / "labels" / name).with_suffix(".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    content = {**copy.deepcopy(HAND), **(changes or {})}
    content = {key: value for key, value in content.items() if value != "drop"}
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_people_are_read_as_labelled(tmp_path):
    path = write(
        tmp_path,
        {
            "train/b.png": f"1 {BOX} 1 1 2 0.5 0.5 2 0.5 0.5 0\n\n{LINE}\n",
            "train/a.png": "0 0.5 0.5 0 0 0.25 0.5 2 0.5 0.75 1 9999 -7 0",
            "val/c.png": LINE,
        },
    )
    first, second, third = read_yolo_pose(path)
    # Pictures in the order of their names, people in that of the lines.
    assert first.sample_id == "images/train/a.png#1"
    assert second.sample_id == "images/train/b.png#1"
    assert third.sample_id == "images/train/b.png#3"
    assert third.picture == tmp_path / "images/train/b.png"
    assert third.visible.tolist() == [2, 1, 0]
    # Share r of 40 x 20 pixels is r * 40 - 0.5 and r * 20 - 0.5.
    assert third.keypoints_xy[:2].tolist() == [[19.5, 4.5], [29.5, 9.5]]
    # The box: 10 x 10 around (20, 10) from the corner.
    assert third.box_xywh.tolist() == [14.5, 4.5, 10, 10]
    # A box of no size: the tight one of the labels.
    assert first.box_xywh.tolist() == [9.5, 9.5, 10, 5]
    assert np.isfinite(first.keypoints_xy).all()
    assert third.area is None and third.labelled_hw is None
    assert [s.sample_id for s in read_yolo_pose(path, "val")] == ["images/val/c.png#1"]


def test_names_and_flips_are_those_of_the_yaml(tmp_path):
    path = write(tmp_path, {"train/a.png": LINE})
    skeleton = read_yolo_pose(path)[0].skeleton
    assert skeleton.names == ("wrist", "left_edge", "right_edge")
    assert skeleton.flip_pairs == (("left_edge", "right_edge"),)
    assert skeleton.name == "data"


@pytest.mark.parametrize(
    ("flip", "pairs"),
    [
        ("drop", (("left_edge", "right_edge"),)),
        ([0, 1, 2], ()),
        ([2, 1, 0], (("wrist", "right_edge"),)),
    ],
    ids=["by the names", "none", "others"],
)
def test_flips(tmp_path, flip, pairs):
    path = write(tmp_path, {"train/a.png": LINE}, {"flip_idx": flip})
    skeleton = read_yolo_pose(path)[0].skeleton
    assert skeleton.flip_pairs == pairs
    assert skeleton.declares_pairs == (flip != "drop")


@pytest.mark.parametrize("flip", ["drop", FLIPS], ids=["no flips", "flips"])
@pytest.mark.parametrize("names", ["drop", {0: list(COCO.names)}], ids=["17", "named"])
def test_coco_keypoints(tmp_path, flip, names):
    changes = {"kpt_shape": [17, 3], "flip_idx": flip, "kpt_names": names}
    line = f"0 {BOX} " + "0.5 0.5 2 " * 17
    path = write(tmp_path, {"train/a.png": line}, changes)
    assert read_yolo_pose(path)[0].skeleton is COCO


def test_17_keypoints_of_something_else(tmp_path):
    """AP-10K has 17 keypoints of animals, which flip otherwise."""
    flip = [1, 0, *range(2, 17)]
    changes = {"kpt_shape": [17, 3], "flip_idx": flip, "kpt_names": "drop"}
    path = write(tmp_path, {"train/a.png": ""}, changes)
    with pytest.raises(TinyposeError, match=r"kpt_names.*not that of COCO's 17"):
        read_yolo_pose(path)


def test_keypoints_without_v(tmp_path):
    line = f"0 {BOX} 0.5 0.25 0 0 -1 0.5"
    path = write(tmp_path, {"train/a.png": line}, {"kpt_shape": [3, 2]})
    (person,) = read_yolo_pose(path)
    assert person.visible.tolist() == [2, 0, 0]
    assert person.keypoints_xy[0].tolist() == [19.5, 4.5]


def test_shares_are_of_the_picture_as_it_is_shown(tmp_path):
    path = write(tmp_path, {"train/a.jpg": LINE})
    picture = tmp_path / "images/train/a.jpg"
    jpeg = picture.read_bytes()
    # EXIF with nothing but the orientation: 6, turned right.
    block = bytes.fromhex("ffe1 0022 457869660000 49492a00 08000000 0100")
    block += bytes.fromhex("1201 0300 01000000 06000000 00000000")
    picture.write_bytes(jpeg[:2] + block + jpeg[2:])
    (person,) = read_yolo_pose(path)
    assert person.load_image().shape == (40, 20, 3)
    assert person.keypoints_xy[0].tolist() == [9.5, 9.5]


def test_people_left_out_are_counted(tmp_path):
    nobody = f"0 {BOX} " + "0 0 0 " * 3
    labels = {"train/a.png": f"{LINE}\n{nobody}", "train/b.png": None}
    path = write(tmp_path, {**labels, "train/c.png": ""})
    assert len(read_yolo_pose(path)) == 1
    assert count_skipped(path) == {UNLABELLED: 1, NO_LABEL_FILE: 1}


@pytest.mark.parametrize("root", [".", "drop", "../datasets/gone", "/content/gone", ""])
@pytest.mark.parametrize(
    "train",
    ["images/train", "../images/train", r"images\train", ["images/train"], "list.txt"],
)
def test_where_pictures_are_found(tmp_path, monkeypatch, root, train):
    path = write(tmp_path, {"train/a.png": LINE}, {"path": root, "train": train})
    (tmp_path / "list.txt").write_text("./images/train/a.png\n\n")
    (person,) = read_yolo_pose(path)
    assert person.picture == tmp_path / "images/train/a.png"
    monkeypatch.chdir(tmp_path)
    assert read_yolo_pose(Path("data.yaml"))[0].picture == person.picture


def test_yaml_apart_from_its_data(tmp_path):
    path = write(tmp_path / "set", {"train/deep/a.png": LINE})
    (tmp_path / "set/images/train/._a.png").write_text("of a Mac")
    content = yaml.safe_load(path.read_text()) | {"path": "../set"}
    (tmp_path / "other").mkdir()
    path = tmp_path / "other/hand.yaml"
    path.write_text(yaml.safe_dump(content))
    (person,) = read_yolo_pose(path)
    assert person.sample_id == "images/train/deep/a.png#1"
    # A file elsewhere keeps its whole name.
    path.write_text(yaml.safe_dump(content | {"path": ".", "train": "../set/images"}))
    assert read_yolo_pose(path)[0].sample_id == f"{person.picture}#1"


def test_lists_of_pictures(tmp_path):
    labels = {f"{name}.png": LINE for name in ("a", "b", "c")}
    path = write(tmp_path, labels, {"train": ["lists/first.txt", "lists/second.txt"]})
    (tmp_path / "lists").mkdir()
    first = f"images/c.png\n{tmp_path}/images/a.png\nimages\\a.png\n"
    (tmp_path / "lists/first.txt").write_text(first)
    (tmp_path / "lists/second.txt").write_text("../images/b.png\nimages/gone.png\n")
    names = [person.picture.name for person in read_yolo_pose(path)]
    assert names == ["c.png", "a.png", "b.png"]


def test_the_last_folder_of_images_counts(tmp_path):
    folder = tmp_path / "images"
    path = write(folder, {"a.png": LINE}, {"train": "images"})
    assert len(read_yolo_pose(path)) == 1


def test_labels_beside_the_pictures(tmp_path):
    path = write(tmp_path, {}, {"train": "photos"})
    write_image(tmp_path / "photos/a.b.png", np.zeros((20, 40, 3), np.uint8))
    (tmp_path / "photos/a.b.txt").write_text(LINE)
    assert read_yolo_pose(path)[0].sample_id == "photos/a.b.png#1"


def _drop(key):
    return {key: "drop"}


BAD_YAML = {
    "no kpt_shape": (_drop("kpt_shape"), "data.yaml: .*'kpt_shape'.*found None"),
    "4 values": ({"kpt_shape": [3, 4]}, "'kpt_shape'"),
    "kpt_shape a text": ({"kpt_shape": "3, 3"}, "'kpt_shape'"),
    "no names": (_drop("kpt_names"), r"kpt_names: \{0: \[nose, left_wrist"),
    "2 names": ({"kpt_names": {0: ["a", "b"]}}, "3 names, .*found 2"),
    "names of 2 kinds": (
        {"kpt_names": {0: ["a", "b", "c"], 1: ["a", "b", "d"]}},
        "same keypoints for all classes, found 2 lists in classes 0, 1",
    ),
    "a name twice": ({"kpt_names": {0: ["a", "b", "b"]}}, "distinct"),
    "names no texts": ({"kpt_names": {0: [1, 2, 3]}}, "list of names"),
    "flips no involution": ({"flip_idx": [1, 2, 0]}, "'flip_idx'.*each other's"),
    "2 flips": ({"flip_idx": [1, 0]}, "0 to 2 once"),
    "flips a text": ({"flip_idx": "0, 2, 1"}, "'flip_idx'"),
    "classes a text": ({"names": "hand"}, "classes under 'names'"),
    "no such split": (_drop("train"), "split 'train'.*the YAML has val"),
    "split a number": ({"train": 3}, "split 'train', found 3"),
    "no such folder": ({"train": "pics"}, "nothing at .*/pics; correct"),
    "no such picture": ({"train": "gone.txt"}, "none that is there of 1, .*/x.png"),
    "empty list": ({"train": "empty.txt"}, "an empty file"),
    "not a list": ({"train": "data.yaml"}, "another file"),
    "no pictures": ({"train": "labels"}, "in labels, found none"),
    "path a number": ({"path": 3}, "folder as 'path'"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_YAML.values(), ids=BAD_YAML)
def test_bad_yaml(tmp_path, changes, message):
    path = write(tmp_path, {"train/a.png": LINE}, changes)
    (tmp_path / "gone.txt").write_text("images/x.png")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(TinyposeError, match=message) as caught:
        read_yolo_pose(path)
    assert "\n" not in str(caught.value)


BAD_LABELS = {
    "5 values": (f"0 {BOX}", r"a\.txt:1: .*14 values.*found 5; a box alone"),
    "without v": (f"0 {BOX} " + ".5 " * 6, r"14 values.*found 11; is .*\[3, 2\]"),
    "polygon": (f"{LINE}\n0 " + ".5 " * 8, r"a\.txt:2: .*14 .*found 9.*polygons"),
    "no number": (LINE.replace("0.75", "x"), r"a\.txt:1: expected numbers, found 'x'"),
    "nan": (LINE.replace("0.75", "nan"), "finite numbers, found nan"),
    "infinite": (LINE.replace("0.75", "inf"), "finite numbers, found inf"),
    "pixels": (LINE.replace("0.75", "30"), "shares .*found 30; are these pixels"),
    "box in pixels": (LINE.replace("0.25 0.5", "10 5"), "found 10; are these pixels"),
    "negative box": (LINE.replace("0.25 0.5", "-0.25 0.5"), "negative size"),
    "v 3": (LINE.replace(" 2 ", " 3 "), "v 0, 1 or 2"),
    "class 2": (f"2{LINE[1:]}", r"class of .*\(0, 1\).*found 2"),
    "half a class": (f"0.5{LINE[1:]}", "class of"),
    "no label": (f"0 {BOX} " + "0 0 0 " * 3, "labelled keypoints, found none in the 1"),
    "empty": ("", "labelled keypoints, found none in the 1 label files of the 1"),
    "no file": (None, r"label file for the 1 pictures.*such as .*/labels/train/a\.txt"),
}


@pytest.mark.parametrize(("text", "message"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_labels(tmp_path, text, message):
    path = write(tmp_path, {"train/a.png": text})
    with pytest.raises(TinyposeError, match=message) as caught:
        read_yolo_pose(path)
    assert "\n" not in str(caught.value)


def test_labels_that_are_no_text(tmp_path):
    path = write(tmp_path, {"train/a.png": LINE})
    (tmp_path / "labels/train/a.txt").write_bytes(b"\xff\xfe0 \0")
    with pytest.raises(TinyposeError, match="lines of numbers, found other bytes"):
        read_yolo_pose(path)


def test_folders_that_may_not_be_looked_into(tmp_path, monkeypatch):
    """Path's methods raise there; the tests may be run by root, whom nobody forbids."""
    path = write(tmp_path, {"train/a.png": LINE, "train/b.png": None})
    content = yaml.safe_load(path.read_text())

    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("tinypose.data.yolo_yaml.read_yaml", lambda *_: content)
    for name in ("exists", "is_file", "is_dir"):
        monkeypatch.setattr(Path, name, forbidden)
    assert len(load_data([f"yolo_pose={path}"])) == 1
    assert count_skipped(path)[NO_LABEL_FILE] == 1
    (tmp_path / "labels/train/a.txt").unlink()
    with pytest.raises(TinyposeError, match="label file for the 2 pictures"):
        load_data([f"yolo_pose={path}"])


def test_the_folder_in_place_of_the_yaml(tmp_path):
    write(tmp_path, {"train/a.png": LINE})
    with pytest.raises(TinyposeError, match=r"data\.yaml\), found a folder"):
        read_yolo_pose(tmp_path)
    with pytest.raises(TinyposeError, match="no such file"):
        read_yolo_pose(tmp_path / "gone.yaml")


def test_splits_join_and_ranges_count_people(tmp_path):
    labels = {"train/a.png": f"{LINE}\n{LINE}", "train/b.png": LINE, "val/c.png": LINE}
    path = write(tmp_path, labels)
    samples = load_data([f"yolo_pose={path}:2-3", f"yolo_pose={path},split=val:1-1"])
    assert [s.sample_id for s in samples] == [
        "yolo_pose/images/train/a.png#2",
        "yolo_pose/images/train/b.png#1",
        "yolo_pose/images/val/c.png#1",
    ]


def _run(*arguments) -> int:
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments)])
    return caught.value.code or 0


def test_check_counts_and_names_pictures_that_do_not_read(tmp_path, capsys):
    labels = {f"train/{name}.png": LINE for name in "abc"} | {"train/d.png": None}
    path = write(tmp_path, labels)
    (tmp_path / "images/train/b.png").write_bytes(b"cut off")
    (tmp_path / "images/train/c.png").unlink()
    assert _run("data", "check", f"yolo_pose={path}", "--out", tmp_path / "out") == 1
    found = json.loads((tmp_path / "out/check.json").read_text())
    assert found["num_samples"] == 2
    assert found["counts"]["damaged_picture"] == 1
    assert found["skipped"] == {UNLABELLED: 0, NO_LABEL_FILE: 1}
    assert "1 of 2 people do not read" in " ".join(capsys.readouterr().err.split())


def test_split_writes_what_was_read(tmp_path):
    path = write(tmp_path, {f"train/{name}.png": LINE for name in "abcde"})
    files = tmp_path / "train.json", tmp_path / "val.json"
    spec = f"yolo_pose={path}"
    code = _run("data", "split", spec, "--out-train", files[0], "--out-val", files[1])
    assert code == 0
    before = {s.picture: s for s in load_data([spec])}
    after = load_data([f"coco={file}" for file in files])
    assert len(after) == 5
    for person in after:
        same = before[person.picture]
        assert person.skeleton.names == same.skeleton.names
        assert person.visible.tolist() == same.visible.tolist()
        assert person.box_xywh.tolist() == same.box_xywh.tolist()
        labelled = same.visible > 0
        found = person.keypoints_xy[labelled]
        assert found.tolist() == same.keypoints_xy[labelled].tolist()
