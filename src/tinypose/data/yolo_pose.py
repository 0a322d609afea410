"""Read labels in the layout of Ultralytics' YOLO-pose: a text file per picture.

The format is told at https://docs.ultralytics.com/datasets/pose.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinypose.data.coco import UNLABELLED
from tinypose.data.parallel import ordered_map
from tinypose.data.records import brief
from tinypose.data.sample import NOT_LABELLED, VISIBLE, Sample, labelled_box
from tinypose.data.upright_size import upright_hw
from tinypose.data.yolo_yaml import YoloData, label_path, read_yolo_yaml
from tinypose.errors import TinyposeError
from tinypose.files import read_lines

NO_LABEL_FILE = "pictures without a label file"
_UNKNOWN_HW = (1000, 1000)
_SHARES = (-0.5, 1.5)
"""What lies beside a picture may be labelled, but not this far."""


def read_yolo_pose(path: Path, split: str = "train") -> list[Sample]:
    """Read the labelled people of one split of a YOLO-pose data set.

    Labels are shares of the picture's width and height, counted from its
    corner and as the picture is shown, turned by its EXIF, which is how
    Ultralytics reads it, too: share r is r * width - 0.5. A keypoint's v is 0, 1
    or 2 as in COCO. Without v, the documentation has nothing for a keypoint that
    is not labelled; 0 0, which tools write, and a negative place, which Ultralytics
    masks, mean it here.

    People without a labelled keypoint are left out, and pictures without a
    label file show nobody: ``count_skipped`` says how many. A person with a box of
    no size gets the tight box of the labelled keypoints. Where a picture does not
    read, the labels are those of one of 1000 x 1000 pixels.

    Args:
        path: The data set's YAML.
        split: ``train``, ``val`` or ``test``.

    Returns:
        One sample per person, named after the picture and the line.

    Raises:
        TinyposeError: a file is missing or not of this format; names the line.
    """
    data = read_yolo_yaml(Path(path), split)
    people = [person for person in _people(data) if person.visible.any()]
    if not people:
        raise TinyposeError(_nobody(data, split))
    pictures = list(dict.fromkeys(person.picture for person in people))
    sizes = dict(zip(pictures, ordered_map(upright_hw, pictures), strict=True))
    return [_sample(data, person, sizes[person.picture]) for person in people]


def count_skipped(path: Path, split: str = "train") -> dict[str, int]:
    """Return how many people ``read_yolo_pose`` leaves out, by reason.

    Raises:
        TinyposeError: a file is missing or not of this format; names the line.
    """
    data = read_yolo_yaml(Path(path), split)
    labels = map(label_path, data.pictures)
    return {
        UNLABELLED: sum(not person.visible.any() for person in _people(data)),
        NO_LABEL_FILE: sum(not os.path.isfile(file) for file in labels),
    }


class _Person(NamedTuple):
    """One line; box (4,) and keypoints (num_keypoints, 2) in shares."""

    picture: Path
    line: int
    box_cxcywh: NDArray[np.float64]
    keypoints_xy: NDArray[np.float64]
    visible: NDArray[np.uint8]


def _people(data: YoloData) -> Iterator[_Person]:
    """Yield all people, those without a label as well."""
    for picture in data.pictures:
        file = label_path(picture)
        for number, line in enumerate(_lines(file), 1):
            fields = line.split()
            if fields:
                values = _values(fields, data, f"{file}:{number}")
                yield _person(values, data, picture, number, f"{file}:{number}")


def _lines(file: Path) -> list[str]:
    if not os.path.isfile(file):
        return []  # nobody is in the picture
    return read_lines(file, "lines of numbers")


def _values(fields: list[str], data: YoloData, where: str) -> NDArray[np.float64]:
    """Return the numbers (5 + num_keypoints * num_values,) of a line."""
    count, size = data.skeleton.num_keypoints, data.num_values
    if len(fields) != 5 + count * size:
        raise TinyposeError(
            f"{where}: expected {5 + count * size} values, class, cx cy w h and "
            f"{count} times {'x y v' if size == 3 else 'x y'}, found {len(fields)}"
            f"{_explain(len(fields), data)}"
        )
    values = []
    for field in fields:
        try:
            values.append(float(field))
        except ValueError as error:
            raise TinyposeError(
                f"{where}: expected numbers, found {brief(field)}"
            ) from error
    numbers = np.array(values, np.float64)
    if not np.isfinite(numbers).all():
        found = fields[int(np.argmin(np.isfinite(numbers)))]
        raise TinyposeError(f"{where}: expected finite numbers, found {found}")
    known = data.classes
    if numbers[0] % 1 or numbers[0] < 0 or (known and int(numbers[0]) not in known):
        named = ", ".join(map(str, sorted(known))) if known else "0 or more"
        raise TinyposeError(
            f"{where}: expected a class of the YAML's 'names' ({named}) as the first "
            f"value, found {fields[0]}"
        )
    return numbers


def _explain(found: int, data: YoloData) -> str:
    """Return the end of a message on the wrong number of values in a line."""
    count, other = data.skeleton.num_keypoints, 5 - data.num_values
    if found == 5:
        return "; a box alone is a label for detection: export the labels for pose"
    if found == 5 + count * other:
        return f"; is 'kpt_shape' [{count}, {other}]?"
    return (
        "; has 'kpt_shape' the right number of keypoints, and are these labels for "
        "pose, not polygons for segmentation?"
    )


def _person(
    values: NDArray[np.float64], data: YoloData, picture: Path, line: int, where: str
) -> _Person:
    table = values[5:].reshape(data.skeleton.num_keypoints, data.num_values)
    if data.num_values == 3:
        if not np.isin(table[:, 2], (0, 1, 2)).all():
            raise TinyposeError(
                f"{where}: expected v 0, 1 or 2 as every third value of the "
                f"keypoints, found {brief(table[:, 2].tolist())}"
            )
        visible = table[:, 2].astype(np.uint8)
    else:
        unlabelled = (table == 0).all(axis=1) | (table < 0).any(axis=1)
        visible = np.where(unlabelled, NOT_LABELLED, VISIBLE).astype(np.uint8)
    _expect_shares(np.append(values[1:5], table[visible > 0, :2]), where)
    if (values[3:5] < 0).any():
        raise TinyposeError(
            f"{where}: expected a box as cx, cy, w, h, found a negative size in "
            f"{brief(values[1:5].tolist())}"
        )
    return _Person(picture, line, values[1:5], table[:, :2], visible)


def _expect_shares(shares: NDArray[np.float64], where: str) -> None:
    beyond = (shares < _SHARES[0]) | (shares > _SHARES[1])
    if beyond.any():
        raise TinyposeError(
            f"{where}: expected shares of the picture's width and height, from 0 to 1, "
            f"found {shares[beyond][0]:g}; are these pixels? Divide each x by the "
            "width and each y by the height"
        )


def _nobody(data: YoloData, split: str) -> str:
    """Return the message that a split has no labelled person."""
    files = [label_path(picture) for picture in data.pictures]
    found = sum(map(os.path.isfile, files))
    number = f"{len(files)} pictures of the split {split!r}"
    if not found:
        return (
            f"{data.path}: expected a label file for the {number}, found none, such "
            f"as {files[0]}; labels lie in a folder 'labels' in place of 'images', "
            "or beside the pictures where no folder is called that"
        )
    return (
        f"{data.path}: expected people with labelled keypoints, found none in the "
        f"{found} label files of the {number}"
    )


def _sample(data: YoloData, person: _Person, hw: tuple[int, int] | None) -> Sample:
    # Where the picture does not read, whoever looks at it will say so.
    height, width = hw or _UNKNOWN_HW
    scale = np.array([width, height], np.float64)
    # Unlabelled places mean nothing, however far off they are.
    places = np.where(person.visible[:, None] > 0, person.keypoints_xy, 0.0)
    middle, size = person.box_cxcywh[:2] * scale, person.box_cxcywh[2:] * scale
    folder = data.root
    picture = person.picture
    name = picture.relative_to(folder) if picture.is_relative_to(folder) else picture
    sample = Sample(
        sample_id=f"{name.as_posix()}#{person.line}",
        picture=picture,
        skeleton=data.skeleton,
        keypoints_xy=places * scale - 0.5,
        visible=person.visible,
        box_xywh=np.concatenate([middle - size / 2 - 0.5, size]),
        labelled_hw=None if hw else _UNKNOWN_HW,
    )
    if size.all():
        return sample
    return replace(sample, box_xywh=labelled_box(sample.keypoints_xy, sample.visible))
