"""Boxes of many pictures' people: which picture has which, and what is refused."""

import json
from pathlib import Path

import pytest

from tinypose.errors import TinyposeError, UsageError
from tinypose.inference.person_boxes import PersonBoxes

HW = (48, 64)


def write(folder, **changes):
    """Write the boxes of three pictures: two people, nobody, one person."""
    content = {
        "images": [
            {"id": 7, "file_name": "a/x.jpg", "height": 48, "width": 64},
            {"id": 8, "file_name": "b/x.jpg"},
            {"id": "nine", "file_name": "y.jpg"},
        ],
        "annotations": [
            {"image_id": 7, "bbox": [1, 2, 30, 40], "score": 0.9},
            {"image_id": "nine", "bbox": [0, 0, 5, 5]},
            {"image_id": 7, "bbox": [20.5, 3, 10, 20]},
        ],
    }
    path = folder / "boxes.json"
    path.write_text(json.dumps(content | changes))
    return path


def looked_up(boxes, *names):
    return [[box.tolist() for box in boxes(Path(name), HW)] for name in names]


def test_each_picture_has_its_people_in_order(tmp_path):
    boxes = PersonBoxes(write(tmp_path))
    # COCO counts from the corner of the picture, we from the first pixel's centre.
    assert looked_up(boxes, "photos/a/x.jpg", "/data/b/x.jpg", "y.jpg") == [
        [[0.5, 1.5, 30, 40], [20, 2.5, 10, 20]],
        [],
        [[-0.5, -0.5, 5, 5]],
    ]


@pytest.mark.parametrize(
    "name",
    ["../pictures/p.jpg", "pictures\\p.jpg", "./p.jpg", "/data/pictures/p.jpg"],
)
def test_names_are_compared_from_their_end(tmp_path, name):
    path = write(
        tmp_path,
        images=[{"id": 1, "file_name": name}],
        annotations=[{"image_id": 1, "bbox": [0, 0, 5, 5]}],
    )
    assert len(PersonBoxes(path)(Path("/data/pictures/p.jpg"), HW)) == 1


def test_ids_may_be_written_as_tables_write_them(tmp_path):
    path = write(
        tmp_path,
        images=[{"id": 1.0, "file_name": "x.jpg"}],
        annotations=[{"image_id": 1, "bbox": [0, 0, 5, 5], "category_id": 3}],
        categories=[{"id": 3.0, "name": "person"}],
    )
    assert len(PersonBoxes(path)(Path("x.jpg"), HW)) == 1


@pytest.mark.parametrize(
    ("crowd", "count"), [(0, 1), ("0", 1), ("", 1), (None, 1), (1, 0), ("1", 0)]
)
def test_crowds_are_left_out(tmp_path, crowd, count):
    box = {"image_id": 8, "bbox": [0, 0, 5, 5], "iscrowd": crowd}
    boxes = PersonBoxes(write(tmp_path, annotations=[box]))
    assert len(boxes(Path("b/x.jpg"), HW)) == count


def test_only_people_count_where_categories_say_so(tmp_path):
    annotations = [
        {"image_id": 8, "bbox": [0, 0, 1, 1], "category_id": 2},
        {"image_id": 8, "bbox": [0, 0, 2, 2], "category_id": 1},
        {"image_id": 8, "bbox": [0, 0, 3, 3], "category_id": 1, "iscrowd": 1},
        {"image_id": 8, "bbox": [0, 0, 4, 4]},
    ]
    people = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
    capital = [{"id": 1, "name": "Person"}, {"id": 2, "name": "Dog"}, {"name": "Car"}]
    text = [{"id": "1", "name": "person"}, {"id": "2", "name": "dog"}]
    hand = [{"id": 1, "name": "hand"}]
    for categories in (people, capital, text):
        path = write(tmp_path, annotations=annotations, categories=categories)
        boxes = PersonBoxes(path)
        assert [box[2] for box in boxes(Path("b/x.jpg"), HW)] == [2, 4]
        assert boxes.num_others == 1
    path = write(tmp_path, annotations=annotations[1:], categories=hand)
    assert [box[2] for box in PersonBoxes(path)(Path("b/x.jpg"), HW)] == [2, 4]
    # What is left out is of no kind, and 1.0 is 1.
    plain = [{"image_id": 8, "bbox": [0, 0, 2, 2], "category_id": c} for c in (1, 1.0)]
    unsure = {"image_id": 8, "bbox": [0, 0, 3, 3], "category_id": 3, "score": 0.01}
    path = write(tmp_path, annotations=[*plain, unsure])
    assert len(PersonBoxes(path)(Path("b/x.jpg"), HW)) == 2
    for nothing in ([], None):
        with pytest.raises(TinyposeError, match="expected 'categories' that name"):
            PersonBoxes(write(tmp_path, annotations=annotations, categories=nothing))


def test_other_categories_count_where_they_are_asked_for(tmp_path):
    annotations = [
        {"image_id": 8, "bbox": [0, 0, n, n], "category_id": n} for n in (1, 2, 3)
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "Horse"}]
    categories += [{"id": 3, "name": "dog"}]
    path = write(tmp_path, annotations=annotations, categories=categories)
    for wanted, sides in ((["horse"], [2]), (["dog", "horse"], [2, 3]), ([], [1])):
        boxes = PersonBoxes(path, categories=wanted)
        assert [box[2] for box in boxes(Path("b/x.jpg"), HW)] == sides
        assert boxes.num_others == 3 - len(sides)
    with pytest.raises(UsageError, match="found 'cow'; there are Horse, dog, person"):
        PersonBoxes(path, categories=["cow"])
    # A skeleton of people is not for all that was labelled.
    path = write(tmp_path, annotations=annotations[1:], categories=categories[1:])
    with pytest.raises(TinyposeError, match="found Horse, dog; say which count with"):
        PersonBoxes(path)


def test_what_a_detector_is_not_sure_of_is_left_out(tmp_path):
    scores = [0.9, 0.012, 0.3, None, 0]
    annotations = [
        {"image_id": 8, "bbox": [0, 0, n, 4], "score": score, "category_id": 1}
        for n, score in enumerate(scores, 1)
    ]
    annotations.append({"image_id": 8, "bbox": [5, 5, 0, 0], "score": 0.9})
    path = write(tmp_path, annotations=annotations)
    for least, widths in ((0.3, [1, 3, 4]), (0.0, [1, 2, 3, 4, 5]), (0.95, [4])):
        boxes = PersonBoxes(path, least)
        assert [box[2] for box in boxes(Path("b/x.jpg"), HW)] == widths
        assert boxes.num_unsure == 5 - len(widths)


@pytest.mark.parametrize("sides", [(0, 0), ("64", "48"), (64, None), (True, True)])
def test_sizes_that_tell_nothing_are_no_sizes(tmp_path, sides):
    width, height = sides
    image = {"id": 7, "file_name": "x.jpg", "width": width, "height": height}
    annotations = [{"image_id": 7, "bbox": [0, 0, 5, 5]}]
    boxes = PersonBoxes(write(tmp_path, images=[image], annotations=annotations))
    assert len(boxes(Path("x.jpg"), HW)) == 1


@pytest.mark.parametrize(
    "name, hw, message",
    [
        pytest.param("z.jpg", HW, "expected an entry of 'images'", id="unknown"),
        # Which x.jpg that is, nobody knows.
        pytest.param("x.jpg", HW, "expected an entry of 'images'", id="no_folder"),
        pytest.param(
            "a/x.jpg", (64, 48), "of 64 x 48 pixels.*found 48 x 64", id="size"
        ),
        pytest.param("c/y.jpg", HW, "expected one picture for each entry", id="twice"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path, name, hw, message):
    boxes = PersonBoxes(write(tmp_path))
    boxes(Path("y.jpg"), HW)
    boxes(Path("y.jpg"), HW)  # the same one again is no other one
    with pytest.raises(TinyposeError, match=message):
        boxes(Path(name), hw)


@pytest.mark.parametrize(
    "changes, message",
    [
        pytest.param({"images": None}, "found no list 'images'", id="no_images"),
        pytest.param({"annotations": {}}, "found no list 'annotations'", id="no_list"),
        pytest.param({"images": [1]}, r"images\[0\]: expected keys", id="no_mapping"),
        pytest.param({"images": [{"id": 1}]}, "under 'file_name'", id="no_name"),
        pytest.param({"images": [{"file_name": "x"}]}, "under 'id'", id="no_id"),
        pytest.param(
            {"images": [{"id": 7, "file_name": n} for n in ("x.jpg", "z.jpg")]},
            r"images\[1\]: expected an 'id' of its own, found 7",
            id="id_twice",
        ),
        pytest.param(
            {"annotations": [{"image_id": 99}]},
            "as 'image_id', found 99",
            id="no_picture",
        ),
        pytest.param(
            {"annotations": [{"image_id": [], "bbox": [0, 0, 1, 1]}]},
            "whole number or text under 'image_id'",
            id="odd_id",
        ),
        pytest.param({"annotations": [{"image_id": 7}]}, "'bbox': expected", id="none"),
        pytest.param({"categories": 5}, "found no list 'categories'", id="categories"),
        pytest.param({"categories": [1]}, r"categories\[0\]: expected", id="category"),
        pytest.param(
            {"annotations": [{"image_id": 7, "bbox": [1, 2, 0, -3]}]},
            r"annotations\[0\]: 'bbox': expected a box of positive",
            id="negative",
        ),
        pytest.param(
            {"annotations": [{"image_id": 7, "bbox": [1, 2, 3, 4], "score": "high"}]},
            r"annotations\[0\]: expected a number under 'score', found 'high'",
            id="score",
        ),
        pytest.param(
            {
                "annotations": [
                    {"image_id": 7, "bbox": [1, 2, 3, 4], "category_id": number}
                    for number in (1, 3)
                ]
            },
            "expected 'categories' that name the person, .* 'category_id' 1, 3;",
            id="kinds",
        ),
    ],
)
def test_files_of_another_form_are_one_line(tmp_path, changes, message):
    with pytest.raises(TinyposeError, match=message) as info:
        PersonBoxes(write(tmp_path, **changes))
    assert "boxes.json" in str(info.value) and "\n" not in str(info.value)


@pytest.mark.parametrize("results", [[], [{"image_id": 7, "bbox": [1, 2, 3, 4]}]])
def test_a_list_of_results_is_told_what_it_lacks(tmp_path, results):
    (tmp_path / "boxes.json").write_text(json.dumps(results))
    with pytest.raises(TinyposeError, match="expected COCO-style JSON") as info:
        PersonBoxes(tmp_path / "boxes.json")
    assert "put a detector's results under 'annotations'" in str(info.value)
