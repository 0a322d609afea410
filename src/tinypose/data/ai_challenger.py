"""Read AI Challenger keypoints: the original list or the COCO-style JSON."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinypose.data.coco import UNLABELLED, samples_from_coco, skipped_in_coco
from tinypose.data.records import (
    brief,
    expect_mapping,
    expect_numbers,
    expect_picture_name,
    expect_records,
    find_pictures,
    picture_path,
)
from tinypose.data.sample import (
    NOT_LABELLED,
    OCCLUDED,
    VISIBLE,
    Sample,
    labelled_box,
)
from tinypose.errors import TinyposeError
from tinypose.files import read_json
from tinypose.skeletons import AI_CHALLENGER

_VISIBILITY = {1: VISIBLE, 2: OCCLUDED, 3: NOT_LABELLED}


def read_ai_challenger(path: Path, images: Path | None = None) -> list[Sample]:
    """Read the labelled people of an AI Challenger keypoint JSON.

    The original format is a list of pictures with the keys ``image_id``,
    ``keypoint_annotations`` and ``human_annotations``; a COCO-style file is
    told apart by its keys. The area is that of the box, as in AI Challenger's
    own evaluation. People without a labelled keypoint are left out:
    ``count_skipped`` says how many.

    Args:
        path: The JSON file.
        images: The folder with the pictures; without it the folders near the
            file are searched.

    Raises:
        TinyposeError: the file is not of this format; names the record.
    """
    path = Path(path)
    content = read_json(path, "AI Challenger annotations")
    if isinstance(content, dict):
        return [_with_area(s) for s in samples_from_coco(path, content, images)]
    people = [p for p in _people(path, content) if (p.visible > 0).any()]
    if not people:
        raise TinyposeError(
            f"{path}: expected people with labelled keypoints, found none"
        )
    folder = find_pictures(
        "ai_challenger", path, [person.file_name for person in people], images
    )
    return [_sample(person, folder) for person in people]


def count_skipped(path: Path) -> dict[str, int]:
    """Return how many people ``read_ai_challenger`` leaves out, by reason.

    Raises:
        TinyposeError: the file is not of this format; names the record.
    """
    path = Path(path)
    content = read_json(path, "AI Challenger annotations")
    if isinstance(content, dict):
        return skipped_in_coco(path, content)
    empty = [p for p in _people(path, content) if not (p.visible > 0).any()]
    return {UNLABELLED: len(empty)}


class _Person(NamedTuple):
    where: str
    name: str
    file_name: str
    box: Any
    keypoints_xy: NDArray[np.float64]
    visible: NDArray[np.uint8]


def _people(path: Path, content: Any) -> Iterator[_Person]:
    count = AI_CHALLENGER.num_keypoints
    for number, record in enumerate(expect_records(content, str(path), "pictures")):
        where = f"{path}: [{number}]"
        expect_mapping(record, where)
        image_id = expect_picture_name(record, "image_id", where)
        boxes = expect_mapping(record.get("human_annotations", {}), where)
        keypoints = record.get("keypoint_annotations")
        expect_mapping(keypoints, f"{where} 'keypoint_annotations'")
        for human, values in keypoints.items():
            at = f"{where} {image_id} {human}"
            table = expect_numbers(values, 3 * count, at, "keypoints").reshape(-1, 3)
            yield _Person(
                where=at,
                name=f"{image_id}#{human}",
                file_name=f"{image_id}.jpg",
                box=boxes.get(human),
                keypoints_xy=table[:, :2],
                visible=_visible(table[:, 2], at),
            )


def _visible(codes: NDArray[np.float64], where: str) -> NDArray[np.uint8]:
    """Return our visibility (num_keypoints,) for AI Challenger's codes."""
    if not np.isin(codes, list(_VISIBILITY)).all():
        raise TinyposeError(
            f"{where}: expected visibility 1 (visible), 2 (occluded) or 3 (not "
            f"labelled) as every third value, found {brief(codes.tolist())}"
        )
    return np.array([_VISIBILITY[int(code)] for code in codes], np.uint8)


def _sample(person: _Person, folder: Path) -> Sample:
    if person.box is None:
        box_xywh = labelled_box(person.keypoints_xy, person.visible)
    else:
        corners = expect_numbers(person.box, 4, person.where, "'human_annotations'")
        size = corners[2:] - corners[:2] + 1
        if (size < 0).any():
            raise TinyposeError(
                f"{person.where}: expected a box as x1, y1, x2, y2, found "
                f"{brief(person.box)}"
            )
        # The corners are the first and the last pixel of the person.
        box_xywh = np.concatenate([corners[:2] - 0.5, size])
    sample = Sample(
        sample_id=person.name,
        picture=picture_path(folder, person.file_name),
        skeleton=AI_CHALLENGER,
        keypoints_xy=person.keypoints_xy,
        visible=person.visible,
        box_xywh=box_xywh,
    )
    return _with_area(sample)


def _with_area(sample: Sample) -> Sample:
    if sample.area is not None:
        return sample
    return replace(sample, area=float(sample.box_xywh[2:].prod()) or None)
