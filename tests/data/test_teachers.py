"""Teachers' predictions: read, matched with people, refused in one line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.sample import Sample
from tinypose.data.stick_people import stick_people
from tinypose.data.teachers import (
    ignore_keypoints,
    match_rows,
    parse_ignored,
    read_predictions,
    unlabelled_samples,
)
from tinypose.errors import TinyposeError, UsageError
from tinypose.skeletons import LSP

PEOPLE = 3
SAID = np.random.default_rng(0).uniform(0, 90, (PEOPLE, 14, 4)).astype(np.float32)
NAMES = np.array(["a.png", "b.png", "c.png"])
BOXES = np.array([[1, 2, 30, 40]] * PEOPLE, np.float32)


def write(folder: Path, **arrays) -> Path:
    path = folder / "teachers.npz"
    np.savez(path, **arrays)
    return path


def read(folder: Path, **arrays):
    return read_predictions(write(folder, **arrays), LSP)


def samples(*pictures: str) -> list[Sample]:
    people = stick_people(range(len(pictures)))
    return [
        replace(person, sample_id=f"id{i}", picture=Path(picture))
        for i, (person, picture) in enumerate(zip(people, pictures, strict=True))
    ]


def test_every_teacher_is_read(tmp_path: Path) -> None:
    scores = np.ones((PEOPLE, 14))
    found = read(
        tmp_path, pp=SAID, thunder=SAID[..., :2] + 1, scores=scores, names=NAMES
    )
    assert [teacher.name for teacher in found.teachers] == ["pp", "thunder"]
    assert found.num_people == PEOPLE
    assert found.names == ("a.png", "b.png", "c.png")
    assert found.boxes_xywh is None
    first, second = (teacher.keypoints_xy for teacher in found.teachers)
    assert first.dtype == np.float64
    np.testing.assert_array_equal(first, SAID[..., :2])
    np.testing.assert_array_equal(second, SAID[..., :2] + 1)


def test_what_is_not_finite_is_not_said(tmp_path: Path) -> None:
    said = SAID.copy()
    said[0, 3, 0] = np.nan
    said[1, 4, 1] = np.inf
    said[2, 5, 2] = np.nan  # a score
    (teacher,) = read(tmp_path, pp=said).teachers
    silent = np.isnan(teacher.keypoints_xy)
    assert silent[0, 3].all() and silent[1, 4].all()
    assert silent.sum() == 4


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "caught")], object)
    path = write(tmp_path, pp=trap)
    with pytest.raises(TinyposeError, match="does not load") as caught:
        read_predictions(path, LSP)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "caught").exists()


ONE_LESS = SAID[1:]
INFINITE = np.where(np.arange(4) == 3, np.inf, BOXES)
NEGATIVE = np.where(np.arange(4) == 2, -1, BOXES)

WRONG = {
    "other keypoints": ({"pp": SAID[:, :13]}, r"'pp'.*14, 2 or more.*\(3, 13, 4\)"),
    "one coordinate": ({"pp": SAID[..., :1]}, r"2 or more.*\(3, 14, 1\)"),
    "texts": ({"pp": SAID.astype(str)}, "'pp'.*<U"),
    "truths": ({"pp": SAID > 3}, "'pp'.*bool"),
    "no arrays": ({}, "per teacher, found none"),
    "no teacher": ({"scores": SAID[0], "names": NAMES}, "found scores"),
    "rows differ": ({"pp": SAID, "b": ONE_LESS}, "equally many rows.*pp 3, b 2"),
    "a name too many": ({"pp": ONE_LESS, "names": NAMES}, "pp 2, names 3"),
    "a box too few": ({"pp": SAID, "box_xywh": BOXES[1:]}, "pp 3, box_xywh 2"),
    "no rows": ({"pp": SAID[:0]}, "at least one, found pp 0"),
    "one name": ({"pp": SAID, "names": np.array("a.png")}, r"texts as 'names'.*\(\)"),
    "numbered names": ({"pp": SAID, "names": np.arange(3)}, "texts as 'names'.*int64"),
    "one box": ({"pp": SAID, "box_xywh": np.array(3.0)}, r"'box_xywh'.*\(\)"),
    "boxes of corners": ({"pp": SAID, "box_xywh": BOXES[:, :2]}, r"\(3, 2\)"),
    "infinite box": ({"pp": SAID, "box_xywh": INFINITE}, "finite.*inf.* in row 0"),
    "nan box": ({"pp": SAID, "box_xywh": BOXES * np.nan}, "finite.*nan.* in row 0"),
    "negative box": ({"pp": SAID, "box_xywh": NEGATIVE}, "finite.*-1.0, 40.0"),
}


@pytest.mark.parametrize(("arrays", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arrays_are_refused_in_one_line(arrays, message, tmp_path) -> None:
    path = write(tmp_path, **arrays)
    with pytest.raises(TinyposeError, match=message) as caught:
        read_predictions(path, LSP)
    assert str(caught.value).startswith(f"{path}: expected")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"keypoints: 3\nnone\n", "does not load", id="text"),
        pytest.param(b"", "empty file", id="empty"),
        pytest.param(b"PK\x03\x04" + bytes(60), "does not load", id="broken zip"),
        pytest.param(None, "no such file", id="missing"),
    ],
)
def test_files_of_another_kind(content, message, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TinyposeError, match=message) as caught:
        read_predictions(path, LSP)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_one_array_without_a_name_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", SAID)
    with pytest.raises(TinyposeError, match=r"expected predictions as an \.npz"):
        read_predictions(tmp_path / "x.npy", LSP)


def test_ignored_keypoints_do_not_vote(tmp_path: Path) -> None:
    said = read(tmp_path, pp=SAID, thunder=SAID, names=NAMES)
    entries = ["pp:neck", "pp:head_top", "thunder:neck"]
    ignored = parse_ignored(entries, ["pp", "thunder", "small"], LSP)
    left = ignore_keypoints(said.teachers, ignored)
    neck, head = LSP.index("neck"), LSP.index("head_top")
    silent = [np.isnan(t.keypoints_xy).all(axis=(0, 2)) for t in left]
    assert np.flatnonzero(silent[0]).tolist() == [neck, head]
    assert np.flatnonzero(silent[1]).tolist() == [neck]
    assert [teacher.name for teacher in left] == ["pp", "thunder"]
    assert not np.isnan(said.teachers[0].keypoints_xy).any()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("thundr:neck", "a teacher of pp, thunder; did you mean 'thunder'"),
        ("pp:neckk", "a keypoint of .*; did you mean 'neck'"),
        ("neck", "expected TEACHER:KEYPOINT"),
        ("pp", "expected a keypoint of right_ankle"),
        ("", "expected TEACHER:KEYPOINT"),
    ],
)
def test_unknown_names_to_ignore(entry, message) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_ignored([entry], ["pp", "thunder"], LSP)
    assert str(caught.value).startswith(f"--ignore {entry}: ")
    assert "\n" not in str(caught.value)


def test_without_names_rows_follow_the_records(tmp_path: Path) -> None:
    said = read(tmp_path, pp=SAID)
    (teacher,) = match_rows(said, samples("c.png", "a.png", "b.png"))
    np.testing.assert_array_equal(teacher.keypoints_xy, SAID[..., :2])
    with pytest.raises(TinyposeError, match=r"per record .*\(2\).*found 3 rows"):
        match_rows(said, samples("a.png", "b.png"))


def test_names_find_the_rows(tmp_path: Path) -> None:
    said = read(tmp_path, pp=SAID, thunder=SAID + 1, names=NAMES)
    # Some people are left out, and the order is another.
    teachers = match_rows(said, samples("x/c.png", "x/y/a.png"))
    assert [teacher.name for teacher in teachers] == ["pp", "thunder"]
    for teacher, start in zip(teachers, (SAID, SAID + 1), strict=True):
        np.testing.assert_array_equal(teacher.keypoints_xy, start[[2, 0], :, :2])


def test_names_with_folders_tell_equal_names_apart(tmp_path: Path) -> None:
    names = np.array(["one/a.png", "two/a.png", "a.png"])
    said = read(tmp_path, pp=SAID, names=names)
    found = match_rows(said, samples("/x/two/a.png", "/x/three/a.png", "/x/one/a.png"))
    np.testing.assert_array_equal(found[0].keypoints_xy, SAID[[1, 2, 0], :, :2])


@pytest.mark.parametrize(
    ("names", "pictures", "message"),
    [
        (["a", "b", "a"], ["a", "b"], "each picture once in 'names', found a twice"),
        (["a", "b", "c"], ["a", "d"], "row for each person, found none for id1"),
        (["a", "b", "c"], ["x/a", "y/a"], "for each person, found only a for two"),
    ],
    ids=["twice", "none", "two people"],
)
def test_rows_that_do_not_match(names, pictures, message, tmp_path: Path) -> None:
    said = read(tmp_path, pp=SAID, names=np.array(names))
    with pytest.raises(TinyposeError, match=message) as caught:
        match_rows(said, samples(*pictures))
    assert "\n" not in str(caught.value)


def test_drawn_people_have_no_name(tmp_path: Path) -> None:
    said = read(tmp_path, pp=SAID, names=NAMES)
    with pytest.raises(TinyposeError, match="found none for stick_people/0/1"):
        match_rows(said, stick_people([1]))


def test_people_without_labels(tmp_path: Path) -> None:
    names = np.array(["a.png", "sub/b.png", "sub/a.png"])
    boxes = BOXES + np.arange(PEOPLE)[:, None]
    said = read(tmp_path, pp=SAID, names=names, box_xywh=boxes)
    people = unlabelled_samples(said, tmp_path, LSP)
    assert [person.picture for person in people] == [tmp_path / n for n in names]
    assert all((person.visible == 0).all() for person in people)
    np.testing.assert_array_equal([person.box_xywh for person in people], boxes)
    # They are matched with the rows that they come from.
    (teacher,) = match_rows(said, people)
    np.testing.assert_array_equal(teacher.keypoints_xy, SAID[..., :2])


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({}, "neither"),
        ({"names": NAMES}, "names"),
        ({"box_xywh": BOXES}, "box_xywh"),
    ],
    ids=["neither", "names alone", "boxes alone"],
)
def test_people_without_labels_need_names_and_boxes(arrays, found, tmp_path) -> None:
    said = read(tmp_path, pp=SAID, **arrays)
    with pytest.raises(TinyposeError, match=rf"'names'.*'box_xywh'.*found {found}$"):
        unlabelled_samples(said, tmp_path, LSP)


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "C:\\a.png", ""])
def test_names_that_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    names = np.array(["a.png", name, "b.png"])
    said = read(tmp_path, pp=SAID, names=names, box_xywh=BOXES)
    with pytest.raises(TinyposeError, match=r"row 1: expected .*'names', found"):
        unlabelled_samples(said, tmp_path, LSP)
