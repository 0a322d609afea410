"""Data sets by name: splits, limits, joining by keypoint name."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.sources import (
    absolute_spec,
    describe_spec,
    load_data,
    parse_spec,
    undistinct_id,
)
from tinypose.errors import TinyposeError, UsageError
from tinypose.skeletons import COCO, LSP, Skeleton


@pytest.mark.parametrize(
    ("spec", "name", "path", "images", "ranges"),
    [
        ("lsp=a/b", "lsp", "a/b", None, ()),
        ("lsp=a/b:1-700", "lsp", "a/b", None, ((1, 700),)),
        ("lsp=a:1-3,7-9", "lsp", "a", None, ((1, 3), (7, 9))),
        ("coco=x.json,images=pics:2-5", "coco", "x.json", "pics", ((2, 5),)),
        (r"coco=C:\data\x.json", "coco", r"C:\data\x.json", None, ()),
        (r"coco=C:\data\x.json:1-2", "coco", r"C:\data\x.json", None, ((1, 2),)),
        ("stick_people", "stick_people", None, None, ()),
        ("stick_people:5-9", "stick_people", None, None, ((5, 9),)),
    ],
)
def test_parse(spec, name, path, images, ranges) -> None:
    parsed = parse_spec(spec)
    assert parsed.name == name
    assert parsed.path == (Path(path) if path else None)
    assert parsed.images == (Path(images) if images else None)
    assert parsed.ranges == ranges


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "expected a data set as"),
        ("lps=a", "did you mean 'lsp'"),
        ("lsp", "expected a path, as in lsp=PATH"),
        ("lsp=a:5-2", "FIRST-LAST from 1 up"),
        ("lsp=a:0-2", "FIRST-LAST from 1 up"),
        ("stick_people=here", "takes no path"),
        ("yolo_pose=a.yaml,split=vall", "split=train, val, test.*mean 'val'"),
        ("yolo_pose=a.yaml,split=", "found ''"),
        ("yolo_pose=a.yaml,images=b", "expected no images="),
        ("yolo_pose=a.yaml,split=val,images=x", "no images=.*found 'x'"),
        ("coco=a.json,split=val,images=x", "expected no split=, found 'val';"),
        ("coco=a.json,split=val", "expected no split=.*yolo_pose has splits"),
    ],
)
def test_wrong_specs(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_spec(spec)


@pytest.mark.parametrize(
    ("spec", "split", "ranges"),
    [
        ("yolo_pose=a.yaml", "train", ()),
        ("yolo_pose=a.yaml:1-9", "train", ((1, 9),)),
        ("yolo_pose=a.yaml,split=val", "val", ()),
        ("yolo_pose=a.yaml,split=test:2-5", "test", ((2, 5),)),
    ],
)
def test_parse_split(spec, split, ranges) -> None:
    parsed = parse_spec(spec)
    assert (parsed.path, parsed.split, parsed.ranges) == (Path("a.yaml"), split, ranges)
    assert parse_spec("coco=a.json").split is None


def test_an_absolute_spec_names_the_same_from_anywhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = absolute_spec("coco=x.json,images=pics:2-5,7-8")
    assert spec == f"coco={tmp_path}/x.json,images={tmp_path}/pics:2-5,7-8"
    assert absolute_spec(spec) == spec
    assert absolute_spec("stick_people:1-3") == "stick_people:1-3"
    spec = absolute_spec("yolo_pose=a.yaml,split=val:1-2")
    assert spec == f"yolo_pose={tmp_path}/a.yaml,split=val:1-2"
    assert absolute_spec(spec) == spec
    assert describe_spec(spec) == "yolo_pose val 1-2"
    assert describe_spec("lsp=a:1-7") == "lsp 1-7"


def test_no_spec_at_all() -> None:
    with pytest.raises(UsageError, match=r"at least one data set.*,split=SPLIT"):
        load_data([])


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(TinyposeError, match="found nothing there"):
        load_data([f"lsp={tmp_path / 'none'}"])


def test_splits_count_from_one_and_drop_repeats() -> None:
    whole = load_data(["stick_people:1-9"])
    part = load_data(["stick_people:3-4,4-6"])
    assert [s.sample_id for s in part] == [s.sample_id for s in whole[2:6]]
    np.testing.assert_array_equal(part[0].keypoints_xy, whole[2].keypoints_xy)


def test_limit_is_spread_over_all_sets() -> None:
    samples = load_data(["stick_people:1-50", "stick_people:101-150"], limit=5)
    numbers = [int("".join(filter(str.isdigit, s.sample_id))) for s in samples]
    assert len(numbers) == 5
    assert min(numbers) <= 1 + 1 and max(numbers) >= 149
    with pytest.raises(UsageError, match="--limit"):
        load_data(["stick_people:1-5"], limit=0)


def write_coco(folder: Path, names: list[str]) -> Path:
    import cv2

    cv2.imwrite(str(folder / "a.png"), np.zeros((40, 30, 3), np.uint8))
    numbers = [v for i in range(len(names)) for v in (3 + i, 5 + i, 2)]
    file = folder / "labels.json"
    file.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.png", "width": 30, "height": 40}],
                "categories": [{"id": 1, "name": "person", "keypoints": names}],
                "annotations": [
                    {
                        "id": 1,
                        "image_id": 1,
                        "category_id": 1,
                        "bbox": [1, 2, 20, 30],
                        "keypoints": numbers,
                        "num_keypoints": len(names),
                    }
                ],
            }
        )
    )
    return file


def test_sets_of_other_skeletons_join_by_name(tmp_path: Path) -> None:
    file = write_coco(tmp_path, list(COCO.names))
    samples = load_data([f"coco={file}", "stick_people:1-2"], LSP)
    assert {s.skeleton.name for s in samples} == {"lsp"}
    person = samples[0]
    wrist = person.keypoints_xy[LSP.index("left_wrist")]
    i = COCO.index("left_wrist")
    assert wrist.tolist() == [3 + i, 5 + i]
    assert person.visible[LSP.index("neck")] == 0
    assert person.visible[LSP.index("left_wrist")] == 2


def test_sets_join_however_their_keypoints_are_spelt(tmp_path: Path) -> None:
    file = write_coco(tmp_path, ["Wrist", "Thumb Tip"])
    own = Skeleton(name="own", names=("ThumbTip", "WRIST"))
    (person,) = load_data([f"coco={file}"], own)
    assert person.keypoints_xy.tolist() == [[4, 6], [3, 5]]


def test_home_is_found_in_paths(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    parsed = parse_spec("coco=~/x.json,images=~/pics")
    assert (parsed.path, parsed.images) == (tmp_path / "x.json", tmp_path / "pics")


def test_people_of_two_sets_never_share_a_name(tmp_path: Path) -> None:
    files = []
    for name in "abc":
        (tmp_path / name).mkdir()
        files.append(write_coco(tmp_path / name, list(COCO.names)))
    specs = [f"coco={file},images={file.parent}" for file in files]
    # The same set again is the same people again.
    names = [person.sample_id for person in load_data([*specs, specs[1]])]
    assert names == ["coco/a.png#1", "coco2/a.png#1", "coco3/a.png#1", "coco2/a.png#1"]
    assert load_data(specs[1:2])[0].sample_id == "coco/a.png#1"
    assert list(map(undistinct_id, names)) == ["coco/a.png#1"] * 4
    assert undistinct_id("lsp/coco2/1.jpg") == "lsp/coco2/1.jpg"


def test_a_set_is_one_however_its_file_is_named(tmp_path: Path, monkeypatch) -> None:
    file = write_coco(tmp_path, list(COCO.names))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.json").symlink_to(file)
    specs = ["coco=labels.json", f"coco={file}", f"coco=link.json,images={tmp_path}"]
    assert {person.sample_id for person in load_data(specs)} == {"coco/a.png#1"}


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    file = write_coco(tmp_path, list(COCO.names))
    hand = Skeleton(name="hand", names=("palm", "thumb"))
    with pytest.raises(TinyposeError, match="shares no keypoint name"):
        load_data([f"coco={file}"], hand)


def test_a_range_beyond_the_set(tmp_path: Path) -> None:
    file = write_coco(tmp_path, list(COCO.names))
    with pytest.raises(UsageError, match="expected a range within 1-1, found 3"):
        load_data([f"coco={file}:2-3"])
