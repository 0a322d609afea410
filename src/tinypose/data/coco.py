"""Read COCO keypoint annotations, with whichever keypoints they have.

The file's own keypoint names decide the skeleton, so AI Challenger, CrowdPose
and one's own labels in COCO's format are read as well.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinypose.coco_format import identifier, is_crowd
from tinypose.data.coco_skeleton import category_skeleton
from tinypose.data.records import (
    brief,
    expect_mapping,
    expect_numbers,
    expect_picture_name,
    expect_positive,
    expect_records,
    find_pictures,
    picture_path,
)
from tinypose.data.sample import VISIBLE, Sample, labelled_box
from tinypose.errors import TinyposeError
from tinypose.files import read_json
from tinypose.skeletons import Skeleton


def read_coco(path: Path, images: Path | None = None) -> list[Sample]:
    """Read the labelled people of a COCO keypoint JSON.

    Keypoint coordinates count from the centre of the first pixel, as ours do;
    a COCO box counts from the picture's corner and is moved by half a pixel.
    A person without a box, or with one of no size, gets the tight box of the
    labelled keypoints.
    ``keypoint_weights``, one number of 0 to 1 per keypoint, is what
    ``tinypose data clean`` adds to COCO's format: how far to trust each label; and
    so is ``head_size``, the length that normalises PCKh.
    Crowds and people without a labelled keypoint are left out:
    ``count_skipped`` says how many.

    Args:
        path: The JSON file, with images, annotations and categories.
        images: The folder with the pictures; without it the folders near the
            file are searched.

    Returns:
        One sample per person; ``area`` is the annotation's.

    Raises:
        TinyposeError: the file is not of this format; names the record.
    """
    path = Path(path)
    return samples_from_coco(path, read_json(path, "COCO annotations"), images)


def samples_from_coco(path: Path, content: Any, images: Path | None) -> list[Sample]:
    """Return the samples of an already parsed file, as ``read_coco`` does."""
    coco = _parse(path, content)
    people = [person for person in _people(coco) if not person.skip]
    if not people:
        raise TinyposeError(
            f"{path}: expected people with labelled keypoints, found none in "
            f"{len(coco.annotations)} annotations{_other_categories(coco)}"
        )
    folder = find_pictures(
        "coco", path, [person.file_name for person in people], images
    )
    return [_sample(coco, person, folder) for person in people]


def count_skipped(path: Path) -> dict[str, int]:
    """Return how many people ``read_coco`` leaves out, by reason.

    Raises:
        TinyposeError: the file is not of this format; names the record.
    """
    path = Path(path)
    return skipped_in_coco(path, read_json(path, "COCO annotations"))


def skipped_in_coco(path: Path, content: Any) -> dict[str, int]:
    """Return the counts of an already parsed file, as ``count_skipped`` does."""
    counts = dict.fromkeys(SKIP_REASONS, 0)
    for person in _people(_parse(path, content)):
        if person.skip:
            counts[person.skip] += 1
    return counts


WEIGHTS = "keypoint_weights"
HEAD_SIZE = "head_size"
CROWD, UNLABELLED = "crowds", "people without a labelled keypoint"
SKIP_REASONS = (CROWD, UNLABELLED)


class _Picture(NamedTuple):
    file_name: str
    hw: tuple[int, int] | None
    where: str


class _Coco(NamedTuple):
    path: Path
    skeleton: Skeleton
    categories: set[Any]
    pictures: Mapping[Any, _Picture]
    annotations: list[Any]


class _Person(NamedTuple):
    where: str
    name: str
    file_name: str
    labelled_hw: tuple[int, int] | None
    record: Mapping[str, Any]
    keypoints_xy: NDArray[np.float64]
    visible: NDArray[np.uint8]
    skip: str | None


def _parse(path: Path, content: Any) -> _Coco:
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(key not in content for key in keys):
        found = "a list" if isinstance(content, list) else brief(content)
        if isinstance(content, dict):
            found = f"the keys {', '.join(map(str, list(content)[:8])) or '(none)'}"
        raise TinyposeError(
            f"{path}: expected COCO keypoint annotations with the keys "
            f"{', '.join(keys)}, found {found}; a list of people is read with "
            "mpii=FILE or ai_challenger=FILE"
        )
    skeleton, categories = category_skeleton(path, content["categories"])
    pictures: dict[Any, _Picture] = {}
    by_name: dict[str, _Picture] = {}
    records = expect_records(content["images"], f"{path}: 'images'", "pictures")
    for number, record in enumerate(records):
        where = f"{path}: images[{number}]"
        expect_mapping(record, where)
        name = expect_picture_name(record, "file_name", where)
        hw = record.get("height"), record.get("width")
        known = all(type(side) is int and side > 0 for side in hw)
        image_id = _identifier(record, "id", where)
        earlier = pictures.get(image_id)
        if earlier is not None and earlier.file_name != name:
            raise TinyposeError(
                f"{where}: expected an 'id' of its own for {name}, found "
                f"{brief(image_id)}, which {earlier.where} has for "
                f"{earlier.file_name}; number the pictures of joined files anew"
            )
        picture = _Picture(name, hw if known else None, f"images[{number}]")
        same = by_name.setdefault(name, picture)
        if same.hw and picture.hw and same.hw != picture.hw:
            raise TinyposeError(
                f"{where}: expected one size for {name}, found "
                f"{picture.hw[1]}x{picture.hw[0]} and {same.hw[1]}x{same.hw[0]} in "
                f"{same.where}; where files were joined, give pictures of one name "
                "folders of their own"
            )
        pictures[image_id] = picture
    annotations = expect_records(
        content["annotations"], f"{path}: 'annotations'", "people"
    )
    return _Coco(path, skeleton, categories, pictures, list(annotations))


def _people(coco: _Coco) -> Iterator[_Person]:
    """Yield all people, those to be skipped as well."""
    count = coco.skeleton.num_keypoints
    for number, record in enumerate(coco.annotations):
        where = f"{coco.path}: annotations[{number}]"
        expect_mapping(record, where)
        # Compared one by one: a hostile id need not be hashable.
        category = record.get("category_id")
        if category is not None and category not in list(coco.categories):
            continue  # a thing, not a person
        image_id = _identifier(record, "image_id", where)
        if image_id not in coco.pictures:
            raise TinyposeError(
                f"{where}: expected the 'id' of an entry of 'images' as "
                f"'image_id', found {brief(image_id)}"
            )
        # Tools write null or nothing for people that nobody has labelled yet.
        keypoints = record.get("keypoints") or [0] * (3 * count)
        table = expect_numbers(keypoints, 3 * count, where, "'keypoints'")
        table = table.reshape(count, 3)
        if not np.isin(table[:, 2], (0, 1, 2)).all():
            raise TinyposeError(
                f"{where}: expected visibility 0, 1 or 2 as every third value of "
                f"'keypoints', found {brief(table[:, 2].tolist())}"
            )
        visible = table[:, 2].astype(np.uint8)
        skip = None if visible.any() else UNLABELLED
        if is_crowd(record):
            skip = CROWD
        picture = coco.pictures[image_id]
        name = f"{picture.file_name}#{record.get('id', number)}"
        yield _Person(
            where=where,
            name=name,
            file_name=picture.file_name,
            labelled_hw=picture.hw,
            record=record,
            keypoints_xy=table[:, :2],
            visible=visible,
            skip=skip,
        )


def _other_categories(coco: _Coco) -> str:
    """Return the end of a message that says that no annotation is of a person."""
    found = [record.get("category_id") for record in coco.annotations]
    known = list(coco.categories)
    if any(category is None or category in known for category in found):
        return ""
    distinct = list(dict.fromkeys(map(brief, found)))[:5]
    return (
        f"; expected the 'category_id' {' or '.join(map(brief, known))} of the "
        f"category with keypoints, found {', '.join(distinct)}"
    )


def _sample(coco: _Coco, person: _Person, folder: Path) -> Sample:
    box_xywh = _labelled_bbox(person)
    if box_xywh is None:
        box_xywh = labelled_box(person.keypoints_xy, person.visible)
    weights = person.record.get(WEIGHTS)
    if weights is not None:
        count = coco.skeleton.num_keypoints
        weights = expect_numbers(weights, count, person.where, f"{WEIGHTS!r}")
        if (weights < 0).any() or (weights > 1).any():
            raise TinyposeError(
                f"{person.where}: expected {WEIGHTS!r} from 0 to 1, found "
                f"{brief(weights.tolist())}"
            )
    return Sample(
        sample_id=person.name,
        picture=picture_path(folder, person.file_name),
        skeleton=coco.skeleton,
        keypoints_xy=person.keypoints_xy,
        visible=np.minimum(person.visible, VISIBLE).astype(np.uint8),
        box_xywh=box_xywh,
        area=expect_positive(person.record.get("area"), person.where, "'area'"),
        head_size=expect_positive(
            person.record.get(HEAD_SIZE), person.where, f"{HEAD_SIZE!r}"
        ),
        weights=weights,
        labelled_hw=person.labelled_hw,
    )


def _labelled_bbox(person: _Person) -> NDArray[np.float64] | None:
    """Return the person's box (4,) in our pixels; None for none or an empty one."""
    box = person.record.get("bbox")
    if box is None or box == []:
        return None
    box_xywh = expect_numbers(box, 4, person.where, "'bbox'")
    if (box_xywh[2:] < 0).any():
        raise TinyposeError(
            f"{person.where}: expected 'bbox' as x, y, width, height, found "
            f"a negative size in {brief(box)}"
        )
    if not box_xywh[2:].any():
        return None
    return box_xywh - [0.5, 0.5, 0.0, 0.0]


def _identifier(record: Mapping[str, Any], key: str, where: str) -> int | str:
    value = identifier(record.get(key))
    if value is None:
        raise TinyposeError(
            f"{where}: expected a whole number or text under {key!r}, found "
            f"{brief(record.get(key))}"
        )
    return value
