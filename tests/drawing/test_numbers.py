"""Numbered keypoints: which is which, without one covering another."""

import numpy as np
import pytest

from tinypose.drawing.heatmaps import body_sides
from tinypose.drawing.numbers import (
    LINE_HEIGHT,
    _place_numbers,
    keypoint_list,
    number_keypoints,
)
from tinypose.drawing.sheets import letterbox, letterbox_affine
from tinypose.geometry import transform_points
from tinypose.skeletons import COCO, Skeleton

PAW = Skeleton(name="paw", names=("wrist", "tip", "thumb"), edges=(("wrist", "tip"),))
GREY = np.full((90, 120, 3), 128, np.uint8)


def test_numbers_cover_neither_each_other_nor_the_limbs() -> None:
    generator = np.random.default_rng(1)
    # A person of 60 pixels in a cell of 320.
    points = generator.uniform(100, 160, (COCO.num_keypoints, 2))
    shown = np.arange(COCO.num_keypoints)
    placed = _place_numbers(points, shown, COCO, np.array([320, 320]))
    boxes = list(placed.values())
    assert len(boxes) == COCO.num_keypoints
    for number, box in enumerate(boxes):
        assert (box >= 0).all() and (box < 320).all()
        for other in boxes[:number]:
            assert (box[:2] > other[2:]).any() or (box[2:] < other[:2]).any()
        for start, end in COCO.edge_indices:
            shares = np.linspace(0, 1, 100)[:, None]
            limb = points[start] + shares * (points[end] - points[start])
            assert not ((limb > box[:2]) & (limb < box[2:])).all(axis=1).any()


def test_swapped_labels_look_different_without_left_and_right() -> None:
    points = np.array([[20.0, 20.0], [90.0, 50.0], [30.0, 70.0]])
    visible = np.full(3, 2)
    first = number_keypoints(GREY, points, PAW, visible)
    swapped = number_keypoints(GREY, points[[1, 0, 2]], PAW, visible)
    assert not np.array_equal(first, swapped)
    assert not np.array_equal(first, GREY) and (GREY == 128).all()
    # What is not labelled or not in the picture has no number.
    points[1] = 200
    only = number_keypoints(GREY, points, PAW, np.array([0, 2, 0]))
    assert np.array_equal(only, GREY)


def test_the_list_names_each_keypoint_and_the_sides() -> None:
    # In one line if there is room, else below each other; the sides come last.
    wide, narrow = keypoint_list([PAW], 600), keypoint_list([PAW], 120)
    assert wide.shape[0] < 3 * LINE_HEIGHT < 4 * LINE_HEIGHT < narrow.shape[0]
    assert narrow.shape[1:] == (120, 3)
    several = keypoint_list([PAW, COCO], 600)
    # Each skeleton has its own columns.
    alone = keypoint_list([PAW], 600)[:LINE_HEIGHT]
    assert np.array_equal(several[LINE_HEIGHT : 2 * LINE_HEIGHT], alone)
    assert several.shape[0] > wide.shape[0] + keypoint_list([COCO], 600).shape[0]


def test_points_go_where_their_pixels_go() -> None:
    for image_hw in ((40, 60), (300, 500)):
        image = np.zeros((*image_hw, 3), np.uint8)
        top, left = image_hw[0] // 4, image_hw[1] // 2
        size = image_hw[0] // 10
        image[top : top + size, left : left + size] = 255
        boxed = letterbox(image, (128, 96))
        rows, columns = np.nonzero(boxed[..., 0] > 127)
        affine = letterbox_affine(image_hw, (128, 96))
        middle = np.array([left, top]) + (size - 1) / 2
        expected = [columns.mean(), rows.mean()]
        assert np.allclose(transform_points(affine, middle), expected, atol=0.6)


@pytest.mark.parametrize("left", ["LShoulder", "l_shoulder", "Left Shoulder"])
def test_sides_are_seen_in_any_spelling(left: str) -> None:
    right = left.replace("L", "R").replace("l_", "r_").replace("Reft", "Right")
    skeleton = Skeleton(name="own", names=(right, left, "tail"))
    assert body_sides(skeleton) == ["right", "left", "centre"]
