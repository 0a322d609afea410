"""Boxes, affines, flips: forward and inverse agree."""

import numpy as np
import pytest

from tinypose import geometry
from tinypose.skeletons import LSP

BOX = np.array([30.0, 12.0, 40.0, 90.0])
HW = (64, 48)


def test_keypoints_box_ignores_unlabelled() -> None:
    points = np.array([[3.0, 4.0], [10.0, 24.0], [999.0, -999.0]])
    box = geometry.keypoints_box(points, [1, 2, 0])
    np.testing.assert_array_equal(box, [3, 4, 7, 20])


def test_keypoints_box_of_nobody_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one labelled keypoint"):
        geometry.keypoints_box(np.zeros((3, 2)), np.zeros(3))


def test_crop_maps_box_edges_to_crop_edges() -> None:
    # A box of 40 x 90 in a crop of 48 x 64 (width x height) is limited by its
    # height: the crop shows 90 * 1.25 = 112.5 pixels, 64 / 112.5 crop pixels each.
    affine = geometry.crop_affine(BOX, HW, padding=1.25)
    zoom = 64 / 112.5
    top = geometry.transform_points(affine, [50.0, 12.0])
    assert top[0] == pytest.approx(48 / 2 - 0.5)
    assert top[1] == pytest.approx(64 / 2 - 0.5 - 45 * zoom)


def test_whole_picture_of_the_crop_size_is_the_identity() -> None:
    affine = geometry.crop_affine(geometry.image_box(HW), HW, padding=1.0)
    np.testing.assert_allclose(affine, [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_flip_mirrors_about_the_crop() -> None:
    plain = geometry.crop_affine(BOX, HW)
    mirrored = geometry.crop_affine(BOX, HW, flip=True)
    point = np.array([41.0, 33.0])
    x, y = geometry.transform_points(plain, point)
    np.testing.assert_allclose(
        geometry.transform_points(mirrored, point), [HW[1] - 1 - x, y]
    )


def test_rotation_is_clockwise_on_the_screen() -> None:
    affine = geometry.crop_affine(BOX, HW, rotation=np.pi / 2)
    centre = np.array([50.0, 57.0])
    right = geometry.transform_points(affine, centre + np.array([10, 0]))
    middle = geometry.transform_points(affine, centre)
    # What was to the right comes to lie below.
    assert right[0] == pytest.approx(middle[0])
    assert right[1] > middle[1]


def test_scale_and_shift() -> None:
    plain = geometry.crop_affine(BOX, HW)
    changed = geometry.crop_affine(BOX, HW, scale=2.0, shift_xy=(0.25, -0.5))
    centre = [50.0, 57.0]
    np.testing.assert_allclose(
        geometry.transform_points(changed, centre)
        - geometry.transform_points(plain, centre),
        [0.25 * 48, -0.5 * 64],
    )
    assert changed[0, 0] == pytest.approx(2 * plain[0, 0])


def test_inverse_and_composition() -> None:
    generator = np.random.default_rng(3)
    affine = geometry.crop_affine(
        BOX, HW, rotation=0.7, scale=1.3, shift_xy=(0.1, 0.2), flip=True
    )
    points = generator.uniform(-200, 200, size=(5, 7, 2))
    there = geometry.transform_points(affine, points)
    back = geometry.transform_points(geometry.invert_affine(affine), there)
    np.testing.assert_allclose(back, points, atol=1e-9)
    both = geometry.compose_affines(geometry.invert_affine(affine), affine)
    np.testing.assert_allclose(both, [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_flip_points_twice_is_the_identity() -> None:
    points = np.random.default_rng(0).uniform(0, 90, size=(3, 14, 2))
    once = geometry.flip_points(points, 97, LSP.flip_indices)
    twice = geometry.flip_points(once, 97, LSP.flip_indices)
    np.testing.assert_allclose(twice, points)
    left, right = LSP.index("left_wrist"), LSP.index("right_wrist")
    np.testing.assert_allclose(once[:, left, 0], 96 - points[:, right, 0])


def test_a_tiny_box_is_enlarged() -> None:
    affine = geometry.crop_affine([5, 5, 0, 0], HW)
    assert np.isfinite(affine).all()
    assert geometry.invert_affine(affine)[0, 0] * HW[1] == pytest.approx(8 * 1.25)
