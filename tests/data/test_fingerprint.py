"""A fingerprint changes with everything that training sees of the labels."""

import os
from dataclasses import replace

import numpy as np
import pytest

from tinypose.data.fingerprint import fingerprint, training_fingerprint
from tinypose.data.stick_people import stick_people

PEOPLE = stick_people([1, 2])
HALF = np.full(14, 0.5)

CHANGES = {
    "name": {"sample_id": "another"},
    "keypoints": {"keypoints_xy": PEOPLE[0].keypoints_xy + 0.01},
    "visible": {"visible": np.full(14, 1, np.uint8)},
    "box": {"box_xywh": PEOPLE[0].box_xywh + 0.01},
    "weights": {"weights": HALF},
}


@pytest.mark.parametrize("fields", CHANGES.values(), ids=CHANGES)
def test_it_changes_with(fields) -> None:
    changed = [replace(PEOPLE[0], **fields), PEOPLE[1]]
    assert fingerprint(changed) != fingerprint(PEOPLE)
    assert fingerprint(changed) == fingerprint(list(changed))
    assert training_fingerprint(changed) != training_fingerprint(PEOPLE)


def test_other_weights_are_other_labels() -> None:
    first, second = (
        fingerprint([replace(PEOPLE[0], weights=weights)])
        for weights in (HALF, np.where(np.arange(14) == 3, 0.25, HALF))
    )
    assert first != second


def test_coordinates_of_missing_labels_mean_nothing() -> None:
    visible = np.where(np.arange(14) == 3, 0, 2).astype(np.uint8)
    moved = PEOPLE[0].keypoints_xy + 50.0 * (np.arange(14) == 3)[:, None]
    first, second = (
        fingerprint([replace(PEOPLE[0], visible=visible, keypoints_xy=keypoints_xy)])
        for keypoints_xy in (PEOPLE[0].keypoints_xy, moved)
    )
    assert first == second


def test_names_of_files_need_not_be_utf_8() -> None:
    names = [os.fsdecode(b"a\xe9.png"), os.fsdecode(b"a\xe8.png")]
    people = [replace(PEOPLE[0], sample_id=name) for name in names]
    first, second = (training_fingerprint([person]) for person in people)
    assert first != second


def test_the_order_counts() -> None:
    assert fingerprint(PEOPLE[::-1]) != fingerprint(PEOPLE)


@pytest.mark.parametrize(
    ("fields", "learned"),
    [
        ({"edges": (("neck", "left_wrist"),)}, False),
        ({"limbs": ()}, False),
        ({"flip_pairs": ()}, True),
        ({"torso": ("neck", "left_hip")}, True),
        ({"names": PEOPLE[0].skeleton.names[::-1], "oks_sigmas": ()}, True),
    ],
    ids=["edges", "limbs", "flip_pairs", "torso", "names"],
)
def test_training_sees_a_part_of_the_skeleton(fields, learned) -> None:
    skeleton = replace(PEOPLE[0].skeleton, **fields)
    changed = [replace(sample, skeleton=skeleton) for sample in PEOPLE]
    assert (training_fingerprint(changed) != training_fingerprint(PEOPLE)) == learned
    assert fingerprint(changed) != fingerprint(PEOPLE)
