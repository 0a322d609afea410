"""Boxes, the crop affine and its inverse, flips (NumPy, float64).

Conventions, used throughout tinypose:

- Coordinates are (x, y). Integer coordinates are pixel centres, so a picture
  of width W covers x from -0.5 to W - 0.5.
- A box is (x, y, width, height) in the same coordinates: its corners are
  (x, y) and (x + width, y + height).
- Mirroring a picture of width W maps x to W - 1 - x.
- An affine is a (2, 3) matrix named for what it maps: ``image_to_crop``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

BOX_PADDING = 1.25
"""How much larger than the person's tight box the crop is."""

MIN_BOX_SIDE = 8.0
"""Smallest side of a crop, in picture pixels: a smaller box shows nothing."""

BOX_AREA_FACTOR = 0.53
"""Usual share of its box that a person fills, where no area is labelled."""


def image_box(image_hw: tuple[int, int]) -> FloatArray:
    """Return the box (4,) that covers a whole picture of (height, width)."""
    height, width = image_hw
    return np.array([-0.5, -0.5, width, height], np.float64)


def keypoints_box(keypoints_xy: ArrayLike, visible: ArrayLike) -> FloatArray:
    """Return the tight box (4,) of the labelled keypoints.

    Args:
        keypoints_xy: (num_keypoints, 2), (x, y) in pixels.
        visible: (num_keypoints,), 0 where a keypoint is not labelled.

    Raises:
        ValueError: no keypoint is labelled.
    """
    points = np.asarray(keypoints_xy, np.float64)[np.asarray(visible) > 0]
    if len(points) == 0:
        raise ValueError("expected at least one labelled keypoint, received none")
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low, high - low])


def usual_area(box_xywh: ArrayLike) -> FloatArray:
    """Return the area (...) that a person usually fills of a box (..., 4).

    In square pixels, one at least: the box of a single labelled keypoint is
    empty, and OKS divides by the area.
    """
    sides = np.asarray(box_xywh, np.float64)[..., 2:]
    area: FloatArray = np.maximum(BOX_AREA_FACTOR * sides.prod(axis=-1), 1.0)
    return area


def crop_affine(
    box_xywh: ArrayLike,
    output_hw: tuple[int, int],
    *,
    padding: float = BOX_PADDING,
    scale: float = 1.0,
    rotation: float = 0.0,
    shift_xy: tuple[float, float] = (0.0, 0.0),
    flip: bool = False,
) -> FloatArray:
    """Return the affine ``image_to_crop`` (2, 3) that crops around a box.

    The box is padded, widened to the aspect ratio of the output and mapped so
    that its edges fall on the edges of the output.

    Args:
        box_xywh: (4,) tight box of the person, picture pixels.
        output_hw: Height and width of the crop.
        padding: Factor by which the crop is larger than the box.
        scale: The person appears ``scale`` times as large as without it.
        rotation: Turns the person clockwise on the screen, in radians, about
            the box centre.
        shift_xy: Moves the person right and down, as a fraction of the crop.
        flip: Mirrors the crop left to right, last of all.
    """
    x, y, width, height = np.asarray(box_xywh, np.float64)
    output_height, output_width = output_hw
    aspect = output_width / output_height
    side_x = max(width, height * aspect, MIN_BOX_SIDE) * padding
    zoom = output_width / side_x * scale
    cos, sin = np.cos(rotation) * zoom, np.sin(rotation) * zoom
    linear = np.array([[cos, -sin], [sin, cos]])
    centre = np.array([x + width / 2, y + height / 2])
    target = np.array(
        [
            output_width * (0.5 + shift_xy[0]) - 0.5,
            output_height * (0.5 + shift_xy[1]) - 0.5,
        ]
    )
    affine = np.column_stack([linear, target - linear @ centre])
    if flip:
        affine[0] = -affine[0]
        affine[0, 2] += output_width - 1
    return affine


def invert_affine(affine: ArrayLike) -> FloatArray:
    """Return the inverse (2, 3) of an affine (2, 3)."""
    matrix = np.asarray(affine, np.float64)
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def compose_affines(second: ArrayLike, first: ArrayLike) -> FloatArray:
    """Return the affine (2, 3) that applies ``first``, then ``second``."""
    second = np.asarray(second, np.float64)
    first = np.asarray(first, np.float64)
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def transform_points(affine: ArrayLike, points_xy: ArrayLike) -> FloatArray:
    """Apply an affine (2, 3) to points (..., 2); returns the same shape."""
    matrix = np.asarray(affine, np.float64)
    return np.asarray(points_xy, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def flip_points(
    points_xy: ArrayLike, width: int, flip_indices: ArrayLike
) -> FloatArray:
    """Mirror keypoints (..., num_keypoints, 2) in a picture of ``width``.

    ``flip_indices`` (num_keypoints,) swaps left and right, so the result stays
    person-centric. Applying it twice gives the input back.
    """
    points = np.array(points_xy, np.float64)
    points[..., 0] = width - 1 - points[..., 0]
    return points[..., np.asarray(flip_indices), :]
