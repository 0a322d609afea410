"""Read MPII Human Pose from the list-of-people JSON."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinypose.data.coco import UNLABELLED
from tinypose.data.records import (
    brief,
    expect_mapping,
    expect_numbers,
    expect_picture_name,
    expect_records,
    find_pictures,
    picture_path,
)
from tinypose.data.sample import VISIBLE, Sample, labelled_box
from tinypose.errors import TinyposeError
from tinypose.files import read_json
from tinypose.skeletons import MPII

HEAD_FACTOR = 0.6
"""PCKh takes this much of the head box's diagonal as the head's length."""

_HEAD_BOX_KEYS = ("head_box", "headbox")


def read_mpii(path: Path, images: Path | None = None) -> list[Sample]:
    """Read the labelled people of an MPII list-of-people JSON.

    Each record has ``image``, ``joints`` (16 pairs), ``joints_vis`` (1 where
    labelled) and usually ``center`` and ``scale``. The coordinates are those
    of the MATLAB file, counted from 1, and are moved to count from 0. MPII
    tells nothing of occlusion here, so every labelled keypoint is visible. The
    box is the tight box of the labelled keypoints. People without a labelled
    keypoint (the test set) are left out: ``count_skipped`` says how many.

    Args:
        path: The JSON file.
        images: The folder with the pictures; without it the folders near the
            file are searched.

    Returns:
        One sample per person; ``head_size`` where a record has a ``head_box``
        (x1, y1, x2, y2).

    Raises:
        TinyposeError: the file is not of this format; names the record.
    """
    path = Path(path)
    people = [p for p in _people(path) if (p.visible > 0).any()]
    if not people:
        raise TinyposeError(
            f"{path}: expected people with labelled keypoints, found none; the test "
            "set of MPII has no labels"
        )
    folder = find_pictures(
        "mpii", path, [person.file_name for person in people], images
    )
    return [
        Sample(
            sample_id=person.name,
            picture=picture_path(folder, person.file_name),
            skeleton=MPII,
            keypoints_xy=person.keypoints_xy,
            visible=person.visible,
            box_xywh=labelled_box(person.keypoints_xy, person.visible),
            head_size=person.head_size,
        )
        for person in people
    ]


def count_skipped(path: Path) -> dict[str, int]:
    """Return how many people ``read_mpii`` leaves out, by reason.

    Raises:
        TinyposeError: the file is not of this format; names the record.
    """
    people = _people(Path(path))
    return {UNLABELLED: sum(not (person.visible > 0).any() for person in people)}


class _Person(NamedTuple):
    where: str
    name: str
    file_name: str
    keypoints_xy: NDArray[np.float64]
    visible: NDArray[np.uint8]
    head_size: float | None


def _people(path: Path) -> Iterator[_Person]:
    content = read_json(path, "MPII annotations")
    if isinstance(content, dict):
        raise TinyposeError(
            f"{path}: expected a list of people with 'image', 'joints' and "
            "'joints_vis', found keys and values; a COCO-style file is read with "
            "coco=FILE"
        )
    for number, record in enumerate(expect_records(content, str(path), "people")):
        where = f"{path}: [{number}]"
        expect_mapping(record, where)
        file_name = expect_picture_name(record, "image", where)
        keypoints_xy, visible = _keypoints(record, f"{where} {file_name}")
        yield _Person(
            where=f"{where} {file_name}",
            name=f"{file_name}#{number}",
            file_name=file_name,
            keypoints_xy=keypoints_xy,
            visible=visible,
            head_size=_head_size(record, f"{where} {file_name}"),
        )


def _keypoints(
    record: Mapping[str, Any], where: str
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    count = MPII.num_keypoints
    if "joints" not in record:  # MPII's test set
        return np.zeros((count, 2)), np.zeros(count, np.uint8)
    joints = record["joints"]
    if not isinstance(joints, list) or len(joints) != count:
        found = f"{len(joints)}" if isinstance(joints, list) else brief(joints)
        raise TinyposeError(
            f"{where}: expected {count} pairs as 'joints', found {found}"
        )
    rows = [expect_numbers(pair, 2, where, "a pair of 'joints'") for pair in joints]
    labelled = expect_numbers(record.get("joints_vis"), count, where, "'joints_vis'")
    visible = np.where(labelled > 0, VISIBLE, 0).astype(np.uint8)
    return np.stack(rows) - 1.0, visible


def _head_size(record: Mapping[str, Any], where: str) -> float | None:
    key = next((key for key in _HEAD_BOX_KEYS if record.get(key) is not None), None)
    if key is None:
        return None
    x1, y1, x2, y2 = expect_numbers(record[key], 4, where, repr(key))
    return HEAD_FACTOR * float(np.hypot(x2 - x1, y2 - y1)) or None
