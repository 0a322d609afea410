import copy
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.coco import count_skipped, read_coco
from tinypose.errors import TinyposeError
from tinypose.images import write_image
from tinypose.skeletons import AI_CHALLENGER, COCO, Skeleton

NAMES = ["Head Top", "neck", "Left Hand", "Right-Hand"]


def _content():
    """Return three people of four keypoints in two pictures."""
    return {
        "images": [
            {"id": 4, "file_name": "a.png", "height": 30, "width": 40},
            {"id": 9, "file_name": "sub/b.png", "height": 30, "width": 40},
        ],
        "categories": [
            {"id": 1, "keypoints": NAMES, "skeleton": [[1, 2], [2, 3], [2, 4]]},
            {"id": 2, "name": "ball"},
        ],
        "annotations": [
            {
                "id": 70,
                "image_id": 4,
                "category_id": 1,
                "keypoints": [5, 2, 2, 6.5, 8, 1, 0, 0, 0, 12, 9, 2],
                "bbox": [4, 1, 10, 12],
                "area": 60.5,
                "iscrowd": 0,
            },
            {
                "id": 71,
                "image_id": 9,
                "category_id": 1,
                "keypoints": [3, 4, 2, 0, 0, 0, 7, 10, 1, 0, 0, 0],
            },
            {"id": 72, "image_id": 9, "category_id": 1, "keypoints": [0] * 12},
            {
                "id": 73,
                "image_id": 9,
                "category_id": 1,
                "keypoints": [1, 1, 2] * 4,
                "iscrowd": 1,
            },
            {"id": 74, "image_id": 9, "category_id": 2, "bbox": [0, 0, 3, 3]},
        ],
    }


def _write(folder, content, images="images"):
    for name in ("a.png", "sub/b.png"):
        write_image(folder / images / name, np.zeros((30, 40, 3), np.uint8))
    path = folder / "labels" / "people.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_people_are_read_as_labelled(tmp_path):
    path = _write(tmp_path, _content())
    first, second = read_coco(path)
    assert first.sample_id == "a.png#70"
    assert first.skeleton.names == ("head_top", "neck", "left_hand", "right_hand")
    assert first.visible.tolist() == [2, 1, 0, 2]
    # Keypoints are pixel indices; the box counts from the picture's corner.
    assert first.keypoints_xy[1].tolist() == [6.5, 8.0]
    assert first.box_xywh.tolist() == [3.5, 0.5, 10.0, 12.0]
    assert first.area == 60.5
    # Without a box: the tight one of the two labelled keypoints.
    assert second.box_xywh.tolist() == [3.0, 4.0, 4.0, 6.0]
    assert second.area is None
    assert second.picture == tmp_path / "images" / "sub" / "b.png"
    assert second.load_image().shape == (30, 40, 3)


def test_ids_as_tables_write_them(tmp_path):
    content = _content()
    before = read_coco(_write(tmp_path, content))
    for records in content.values():
        for record in records:
            record |= {k: float(v) for k, v in record.items() if k.endswith("id")}
    found = read_coco(_write(tmp_path, content))
    assert [one.picture for one in found] == [one.picture for one in before]
    content["images"][0]["id"] = 1.5
    with pytest.raises(TinyposeError, match="a whole number or text under 'id'"):
        read_coco(_write(tmp_path, content))


def test_weights_are_read(tmp_path):
    content = _content()
    content["annotations"][0]["keypoint_weights"] = [1, 0.25, 0, 0.5]
    first, second = read_coco(_write(tmp_path, content))
    assert first.weights.tolist() == [1.0, 0.25, 0.0, 0.5]
    assert second.weights is None


def test_weights_follow_their_keypoints_to_another_skeleton(tmp_path):
    content = _content()
    content["annotations"][0]["keypoint_weights"] = [0.9, 0.25, 0.1, 0.5]
    first, second = read_coco(_write(tmp_path, content))
    target = Skeleton(name="t", names=("neck", "nose", "right_hand"))
    assert first.with_skeleton(target).weights.tolist() == [0.25, 0.0, 0.5]
    assert second.with_skeleton(target).weights is None


def test_skeleton_is_made_from_the_category(tmp_path):
    skeleton = read_coco(_write(tmp_path, _content()))[0].skeleton
    assert skeleton.edges == (
        ("head_top", "neck"),
        ("neck", "left_hand"),
        ("neck", "right_hand"),
    )
    assert skeleton.flip_pairs == (("left_hand", "right_hand"),)
    assert skeleton.head == ("head_top", "neck")
    assert skeleton.torso is None


@pytest.mark.parametrize(
    ("stated", "pairs"),
    [
        (None, (("left_hand", "right_hand"),)),
        ([], ()),
        ([[1, 3]], (("head_top", "left_hand"),)),
    ],
)
def test_pairs_are_those_of_the_category(tmp_path, stated, pairs):
    content = _content()
    content["categories"][0]["flip_pairs"] = stated
    skeleton = read_coco(_write(tmp_path, content))[0].skeleton
    assert skeleton.flip_pairs == pairs
    assert skeleton.declares_pairs == (stated is not None)


@pytest.mark.parametrize(
    "stated", [[[0, 1]], [[4, 5]], [[1, 2], [2, 3]], [[1, 1]], [[1, 2, 3]], [1, 2], "x"]
)
def test_pairs_that_do_not_fit_are_refused(tmp_path, stated):
    content = _content()
    content["categories"][0]["flip_pairs"] = stated
    with pytest.raises(TinyposeError, match=r"'flip_pairs': expected pairs of .* to 4"):
        read_coco(_write(tmp_path, content))


@pytest.mark.parametrize("built_in", [COCO, AI_CHALLENGER], ids=lambda s: s.name)
def test_known_names_give_the_built_in_skeleton(tmp_path, built_in):
    content = _content()
    category = content["categories"][0]
    category["keypoints"] = [name.replace("_", " ").title() for name in built_in.names]
    count = built_in.num_keypoints
    content["annotations"] = [
        {"id": 1, "image_id": 4, "category_id": 1, "keypoints": [1, 2, 2] * count}
    ]
    (sample,) = read_coco(_write(tmp_path, content))
    assert sample.skeleton is built_in


def test_edges_of_another_skeleton_are_replaced(tmp_path):
    """CrowdPose lists the edges of COCO's 17 keypoints for its own 14."""
    content = _content()
    content["categories"][0] |= {
        "keypoints": ["head", "neck", "left_shoulder", "right_shoulder"],
        "skeleton": [[16, 14], [1, 2]],
    }
    skeleton = read_coco(_write(tmp_path, content))[0].skeleton
    assert skeleton.names[0] == "head_top"
    assert set(skeleton.edges) == {
        ("head_top", "neck"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("left_shoulder", "right_shoulder"),
    }
    # Its evaluation takes COCO's sigmas, and this one for the two that COCO lacks.
    assert skeleton.oks_sigmas == (0.079, 0.079, 0.079, 0.079)


@pytest.mark.parametrize("box", [None, [], [0, 0, 0, 0], [3, 4, 0, 0]])
def test_a_box_of_no_size_is_none(tmp_path, box):
    content = _content()
    content["annotations"][0]["bbox"] = box
    person = read_coco(_write(tmp_path, content))[0]
    np.testing.assert_array_equal(person.box_xywh, [5, 2, 7, 7])


@pytest.mark.parametrize("keypoints", [None, [], "gone"])
def test_people_whom_nobody_has_labelled_yet(tmp_path, keypoints):
    content = _content()
    content["annotations"][1]["keypoints"] = keypoints
    if keypoints == "gone":
        del content["annotations"][1]["keypoints"]
    path = _write(tmp_path, content)
    assert [person.sample_id for person in read_coco(path)] == ["a.png#70"]
    assert count_skipped(path)["people without a labelled keypoint"] == 2


@pytest.mark.parametrize("width", [40, None, "40", 0])
def test_the_size_of_the_labelled_picture(tmp_path, width):
    content = _content()
    content["images"][0]["width"] = width
    person = read_coco(_write(tmp_path, content))[0]
    assert person.labelled_hw == ((30, 40) if width == 40 else None)


def test_people_left_out_are_counted(tmp_path):
    path = _write(tmp_path, _content())
    assert count_skipped(path) == {
        "crowds": 1,
        "people without a labelled keypoint": 1,
    }


@pytest.mark.parametrize("folder", ["images", "val2017", "labels", "labels/images"])
def test_pictures_are_found_near_the_file(tmp_path, folder):
    path = _write(tmp_path, _content(), images=folder)
    assert read_coco(path)[0].picture == tmp_path / folder / "a.png"


def _pictures(folder, numbers):
    for number in numbers:
        write_image(folder / f"{number}.png", np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("file", "folders", "chosen"),
    [
        # Each split counts from 0: the one named like the file, or with more.
        ("val.json", {"train": 9, "val": 4}, "val"),
        ("person_val2017.json", {"train2017": 9, "val2017": 4, "val": 4}, "val2017"),
        ("people.json", {"a": 2, "b": 4}, "b"),
        ("people.json", {"images": 4, "thumbnails": 4}, "images"),
        ("people.json", {"a": 4, "b": 4}, None),
    ],
)
def test_pictures_of_several_splits(tmp_path, file, folders, chosen):
    content = _content()
    content["images"] = [{"id": i, "file_name": f"{i}.png"} for i in range(4)]
    person = content["annotations"][0]
    content["annotations"] = [{**person, "id": i, "image_id": i} for i in range(4)]
    for folder, count in folders.items():
        _pictures(tmp_path / folder, range(count))
    path = tmp_path / "labels" / file
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    if chosen is None:
        with pytest.raises(TinyposeError, match=r"one folder .*/a and .*/b, .*images="):
            read_coco(path)
    else:
        people = read_coco(path)
        assert {person.picture.parent for person in people} == {tmp_path / chosen}


def test_named_folder_of_pictures_is_used_as_it_is(tmp_path):
    path = _write(tmp_path, _content())
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    assert read_coco(path, empty)[0].picture == empty / "a.png"
    with pytest.raises(TinyposeError, match="no such folder"):
        read_coco(path, tmp_path / "gone")


def test_pictures_beside_the_folder_that_one_works_in(tmp_path, monkeypatch):
    path = _write(tmp_path, _content())
    monkeypatch.chdir(path.parent)
    assert read_coco(Path(path.name))[0].picture == tmp_path / "images" / "a.png"


def test_a_folder_above_that_may_not_be_looked_into(tmp_path, monkeypatch):
    path = _write(tmp_path, _content(), images="labels")
    listed = Path.iterdir

    def iterdir(folder):
        if folder == tmp_path:
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert read_coco(path)[0].picture == tmp_path / "labels" / "a.png"


@pytest.mark.parametrize("literal", [False, True])
def test_folders_as_windows_writes_them(tmp_path, literal):
    content = _content()
    content["images"][1]["file_name"] = "sub\\b.png"
    path = _write(tmp_path, content)
    expected = tmp_path / "images" / "sub" / "b.png"
    if literal:
        expected = tmp_path / "images" / "sub\\b.png"
        write_image(expected, np.zeros((30, 40, 3), np.uint8))
    _, second = read_coco(path)
    assert second.picture == expected
    assert second.sample_id == "sub\\b.png#71"


def test_two_entries_of_one_picture(tmp_path):
    content = _content()
    content["images"].append({"id": 4, "file_name": "a.png"})
    assert len(read_coco(_write(tmp_path, content))) == 2


@pytest.mark.parametrize("flag", ["0", "", False, None, 0.0])
def test_flags_that_mean_no_crowd(tmp_path, flag):
    content = _content()
    content["annotations"][0]["iscrowd"] = flag
    path = _write(tmp_path, content)
    assert len(read_coco(path)) == 2
    assert count_skipped(path)["crowds"] == 1


def test_the_head_size_is_read(tmp_path):
    content = _content()
    content["annotations"][0]["head_size"] = 7.5
    first, second = read_coco(_write(tmp_path, content))
    assert (first.head_size, second.head_size) == (7.5, None)


def test_pictures_that_are_nowhere(tmp_path):
    # A level down: folders beside the labels' folder are searched, too.
    path = tmp_path / "labels" / "people.json"
    path.parent.mkdir()
    path.write_text(json.dumps(_content()))
    hint = f"  coco={re.escape(str(path))},images=FOLDER"
    with pytest.raises(TinyposeError, match=rf"found no a\.png.*{hint}"):
        read_coco(path)


@pytest.mark.parametrize("labels", ["annotations", "."])
def test_pictures_where_cvat_puts_them(tmp_path, labels):
    content = _content()
    names = [image["file_name"] for image in content["images"]]
    for subset in ("default", "validation"):
        for name in names:
            picture = tmp_path / "images" / subset / name
            write_image(picture, np.zeros((30, 40, 3), np.uint8))
    path = tmp_path / labels / "person_keypoints_validation.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    (first, *_) = read_coco(path)
    assert first.picture == tmp_path / "images" / "validation" / first.picture.name


def test_names_that_lead_elsewhere(tmp_path):
    content = _content()
    # As Label Studio writes them without the pictures.
    content["images"][0]["file_name"] = "../../media/upload/1/x.jpg"
    with pytest.raises(TinyposeError, match=r"1/x\.jpg.*; export the labels together"):
        read_coco(_write(tmp_path, content))


def _set(*keys_and_value):
    """Return a change: put the last argument where the keys lead."""
    *keys, last, value = keys_and_value

    def change(content):
        for key in keys:
            content = content[key]
        content[last] = value

    return change


def _drop(key):
    return lambda content: content.pop(key)


PERSON = ("annotations", 0)

MALFORMED = {
    "no annotations": (_drop("annotations"), "the keys images, categories"),
    "annotations no list": (_set("annotations", {}), "list of people"),
    "annotations empty": (_set("annotations", []), "empty list"),
    "person no mapping": (_set(*PERSON, 5), r"annotations\[0\].*found 5"),
    "images empty": (_set("images", []), "at least one of pictures"),
    "image without name": (_set("images", 0, {"id": 4}), r"images\[0\].*file_name"),
    "image id a list": (_set("images", 0, "id", []), r"images\[0\].*'id'"),
    "unknown image": (_set(*PERSON, "image_id", 5), r"annotations\[0\].*'image_id'"),
    "image id missing": (_set(*PERSON, "image_id", None), "image_id"),
    "too few numbers": (_set(*PERSON, "keypoints", [1] * 9), "12 numbers.*9 values"),
    "keypoints no list": (_set(*PERSON, "keypoints", "x"), "12 numbers.*'x'"),
    "keypoint a text": (_set(*PERSON, "keypoints", 3, "7"), "finite.*'7'"),
    "keypoint null": (_set(*PERSON, "keypoints", 3, None), "finite.*None"),
    "keypoint NaN": (_set(*PERSON, "keypoints", 3, float("nan")), "finite.*nan"),
    "keypoint infinite": (_set(*PERSON, "keypoints", 3, 1e999), "finite.*inf"),
    "keypoint huge": (_set(*PERSON, "keypoints", 3, 10**400), "finite"),
    "keypoint a truth": (_set(*PERSON, "keypoints", 3, True), "finite.*True"),
    "visibility 3": (_set(*PERSON, "keypoints", 2, 3), "visibility 0, 1 or 2"),
    "box too short": (_set(*PERSON, "bbox", [1, 2, 3]), "4 numbers as 'bbox'"),
    "box negative": (_set(*PERSON, "bbox", [1, 2, 3, -4]), "negative size"),
    "area huge": (_set(*PERSON, "area", 10**400), "'area'"),
    "an image id twice": (
        _set("images", 1, "id", 4),
        r"images\[1\].*sub/b.png, found 4, which images\[0\] has for a.png",
    ),
    "category ids of another type": (
        lambda content: content.update(
            annotations=[
                {**person, "category_id": str(person["category_id"])}
                for person in content["annotations"]
            ]
        ),
        "found none in 5 annotations; expected the 'category_id' 1 .*found '1', '2'",
    ),
    "area a text": (_set(*PERSON, "area", "big"), "'area'"),
    "weights too short": (
        _set(*PERSON, "keypoint_weights", [1, 1, 1]),
        r"annotations\[0\].*4 numbers as 'keypoint_weights', found 3 values",
    ),
    "weights too large": (
        _set(*PERSON, "keypoint_weights", [1, 1.5, 1, 0]),
        r"annotations\[0\].*'keypoint_weights' from 0 to 1, found \[1.0, 1.5",
    ),
    "weights negative": (
        _set(*PERSON, "keypoint_weights", [1, -0.1, 1, 0]),
        "'keypoint_weights' from 0 to 1",
    ),
    "weights no list": (
        _set(*PERSON, "keypoint_weights", 1),
        "4 numbers as 'keypoint_weights', found 1",
    ),
    "weight null": (
        _set(*PERSON, "keypoint_weights", [1, None, 1, 1]),
        "finite numbers as 'keypoint_weights', found None",
    ),
    "absolute picture": (_set("images", 0, "file_name", "/a.png"), "inside"),
    "picture outside": (_set("images", 0, "file_name", "x/../../a.png"), "inside"),
    "windows path": (_set("images", 0, "file_name", "C:\\a.png"), "inside"),
    "one name of two sizes": (
        lambda content: content["images"].append(
            {"id": 5, "file_name": "a.png", "height": 40, "width": 30}
        ),
        "expected one size for a.png, found 30x40 and 40x30",
    ),
    "no keypoint names": (_set("categories", [{"id": 1}]), "found none in 1"),
    "names no texts": (_set("categories", 0, "keypoints", [1, 2]), "list of names"),
    "a name twice": (_set("categories", 0, "keypoints", ["a", "A", "b", "c"]), "twice"),
    "two sets of names": (
        _set("categories", 1, {"id": 2, "keypoints": ["nose"]}),
        "one set of keypoint names, found 2",
    ),
    "nobody labelled": (
        lambda content: content["annotations"].__delitem__(slice(0, 2)),
        "found none in 3 annotations",
    ),
}


@pytest.mark.parametrize(("change", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused_in_one_line(tmp_path, change, message):
    content = copy.deepcopy(_content())
    change(content)
    path = _write(tmp_path, content)
    with pytest.raises(TinyposeError, match=message) as caught:
        read_coco(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[]", "found a list", id="a list"),
        pytest.param("7", "found 7", id="a number"),
        pytest.param('{"images": [', "does not parse", id="truncated"),
        pytest.param("", "empty file", id="empty"),
    ],
)
def test_files_of_another_kind(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(TinyposeError, match=message):
        read_coco(path)


def test_missing_file(tmp_path):
    with pytest.raises(TinyposeError, match="no such file"):
        read_coco(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("name", "people", "left_out", "keypoints"),
    [
        pytest.param("coco/test_coco.json", 12, 2, 17, id="coco"),
        pytest.param("coco/test_coco_wholebody.json", 12, 2, 17, id="wholebody"),
        pytest.param("crowdpose/test_crowdpose.json", 4, 1, 14, id="crowdpose"),
        pytest.param("mpii/test_mpii_trb.json", 5, 0, 40, id="mpii-trb"),
    ],
)
def test_real_files(name, people, left_out, keypoints):
    path = _real_samples() / name
    samples = read_coco(path)
    assert len(samples) == people
    assert sum(count_skipped(path).values()) == left_out
    for sample in samples:
        height, width = sample.load_image().shape[:2]
        inside = sample.keypoints_xy[sample.visible > 0]
        assert sample.skeleton.num_keypoints == keypoints
        assert len(sample.skeleton.flip_pairs) >= 6
        assert (inside >= 0).all() and (inside < (width, height)).all()


def _real_samples():
    if "TINYPOSE_DATA" not in os.environ:
        pytest.skip("TINYPOSE_DATA does not name the real data")
    return Path(os.environ["TINYPOSE_DATA"]) / "samples"
