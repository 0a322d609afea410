"""Draw poses, heatmaps and contact sheets: (height, width, 3) uint8 RGB.

Left limbs are blue, right limbs orange, the centre green; which is which
follows from the keypoints' names, so any skeleton can be drawn. No function
here changes its input.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.drawing.heatmaps import (
    body_sides,
    heatmap_grid,
    keypoint_colours,
    overlay_heatmaps,
)
from tinypose.drawing.sheets import Colour, contact_sheet, letterbox
from tinypose.images import Image
from tinypose.skeletons import Skeleton

__all__ = [
    "DEFAULT_STYLE",
    "TRUTH_STYLE",
    "DrawStyle",
    "contact_sheet",
    "draw_pose",
    "heatmap_grid",
    "keypoint_colours",
    "letterbox",
    "overlay_heatmaps",
]

FRACTION_BITS = 4
"""OpenCV takes coordinates as integers; these bits are their fraction."""

FAINT = ((0.1, 0.4), (0.25, 0.7))
"""(score above min_score up to which, opacity); solid from there on."""

FAR = 4.0
"""A keypoint this many picture sizes outside is not drawn."""


@dataclass(frozen=True, kw_only=True)
class DrawStyle:
    """Colours (RGB) and sizes of a drawn pose.

    Args:
        left: Limbs and keypoints of the person's left side.
        right: Limbs and keypoints of the person's right side.
        centre: Everything else.
        outline: Dark edge that sets the lines off from any background.
        width: Line width as a fraction of the person's larger side.
        dots: Whether the keypoints are marked.
    """

    left: Colour = (56, 150, 255)
    right: Colour = (255, 128, 24)
    centre: Colour = (72, 210, 96)
    outline: Colour = (18, 20, 26)
    width: float = 0.013
    dots: bool = True


DEFAULT_STYLE = DrawStyle()
TRUTH_STYLE = DrawStyle(
    left=(236, 240, 248), right=(236, 240, 248), centre=(236, 240, 248), width=0.007
)
"""For the labelled pose, beneath the predicted one."""


def draw_pose(
    image: Image,
    keypoints_xy: ArrayLike,
    skeleton: Skeleton,
    *,
    scores: ArrayLike | None = None,
    visible: ArrayLike | None = None,
    min_score: float = 0.2,
    style: DrawStyle = DEFAULT_STYLE,
    enlarge_to: int = 0,
) -> Image:
    """Return a copy of a picture with one person's skeleton drawn on it.

    Keypoints below ``min_score``, not labelled, not finite or far outside the
    picture are left out, with their limbs; a keypoint little above
    ``min_score`` is faint.

    Args:
        image: (height, width, 3) uint8 RGB.
        keypoints_xy: (num_keypoints, 2), (x, y) in picture pixels.
        skeleton: The order, names and edges of the keypoints.
        scores: (num_keypoints,), confidence; None means all certain.
        visible: (num_keypoints,), 0 where a keypoint is not labelled.
        min_score: The lowest score that is drawn.
        style: Colours and sizes.
        enlarge_to: The picture is enlarged by a whole factor until its longer
            side has at least this many pixels, so that tiny pictures are
            readable; 0 keeps the size.
    """
    points = np.asarray(keypoints_xy, np.float64).reshape(-1, 2)
    if len(points) != skeleton.num_keypoints:
        raise ValueError(
            f"expected {skeleton.num_keypoints} keypoints of skeleton "
            f"{skeleton.name!r}, received {len(points)}"
        )
    canvas, points = _enlarge(image, points, enlarge_to)
    opacity = _opacity(canvas, points, scores, visible, min_score)
    shown = opacity > 0
    if not shown.any():
        return canvas
    width = _line_width(canvas, points[shown], style)
    # Faint parts first, so that they lie beneath the certain ones.
    for level in sorted(set(opacity[shown].tolist())):
        layer = canvas if level == 1.0 else canvas.copy()
        _draw_level(layer, points, opacity, level, skeleton, style, width)
        if layer is not canvas:
            cv2.addWeighted(layer, level, canvas, 1 - level, 0, dst=canvas)
    return canvas


def _enlarge(
    image: Image, points: NDArray[np.float64], enlarge_to: int
) -> tuple[Image, NDArray[np.float64]]:
    """Return a fresh copy, enlarged if asked for, and the points on it."""
    longer = max(image.shape[:2])
    factor = -(-enlarge_to // longer)
    if factor <= 1:
        return np.array(image, np.uint8, order="C"), points
    size = (image.shape[1] * factor, image.shape[0] * factor)
    larger = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger, np.uint8), (points + 0.5) * factor - 0.5


def _opacity(
    image: Image,
    points: NDArray[np.float64],
    scores: ArrayLike | None,
    visible: ArrayLike | None,
    min_score: float,
) -> NDArray[np.float64]:
    """Return how solid each keypoint (num_keypoints,) is drawn, 0 for not."""
    opacity = np.ones(len(points))
    if scores is not None:
        values = np.asarray(scores, np.float64).reshape(-1)
        for margin, level in reversed(FAINT):
            opacity[values < min_score + margin] = level
        # "not >=" so that a NaN score is left out.
        opacity[~(values >= min_score)] = 0.0
    if visible is not None:
        opacity[~(np.asarray(visible).reshape(-1) > 0)] = 0.0
    reach = FAR * max(image.shape[:2])
    # NaN compares false, so it is left out too.
    opacity[~(np.abs(points) < reach).all(axis=1)] = 0.0
    return opacity


def _line_width(image: Image, points: NDArray[np.float64], style: DrawStyle) -> float:
    """Return the line width in pixels for a person of these keypoints."""
    limits = np.array([image.shape[1], image.shape[0]], np.float64)
    inside = np.clip(points, 0, limits)
    # One keypoint has no extent: a twentieth of the picture is the least.
    size = max(float(np.ptp(inside, axis=0).max()), 0.05 * float(limits.max()))
    return max(size * style.width, 1.0)


def _draw_level(
    layer: Image,
    points: NDArray[np.float64],
    opacity: NDArray[np.float64],
    level: float,
    skeleton: Skeleton,
    style: DrawStyle,
    width: float,
) -> None:
    """Draw, in place, the limbs and keypoints of one opacity."""
    sides = body_sides(skeleton)
    limbs = [
        (points[a], points[b], _colour(style, sides[a], sides[b]))
        for a, b in skeleton.edge_indices
        if min(opacity[a], opacity[b]) == level
    ]
    dots = [
        (points[index], _colour(style, sides[index]))
        for index in np.flatnonzero(opacity == level)
        if style.dots
    ]
    edge, radius = max(width * 0.35, 0.8), width * 1.15
    # All outlines first, so that limbs join without a seam.
    for start, end, _ in limbs:
        _line(layer, start, end, style.outline, width + 2 * edge)
    for point, _ in dots:
        _dot(layer, point, style.outline, radius + edge)
    for start, end, colour in limbs:
        _line(layer, start, end, colour, width)
    for point, colour in dots:
        _dot(layer, point, colour, radius)
        _dot(layer, point, _lighter(colour), radius * 0.5)


def _line(
    layer: Image,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    colour: Colour,
    width: float,
) -> None:
    cv2.line(
        layer,
        _fixed_point(start),
        _fixed_point(end),
        colour,
        max(round(width), 1),
        cv2.LINE_AA,
        FRACTION_BITS,
    )


def _dot(
    layer: Image, point: NDArray[np.float64], colour: Colour, radius: float
) -> None:
    fixed_radius = max(round(radius * 2**FRACTION_BITS), 2**FRACTION_BITS // 2)
    cv2.circle(
        layer,
        _fixed_point(point),
        fixed_radius,
        colour,
        cv2.FILLED,
        cv2.LINE_AA,
        FRACTION_BITS,
    )


def _fixed_point(point: NDArray[np.float64]) -> tuple[int, int]:
    x, y = np.rint(point * 2**FRACTION_BITS)
    return int(x), int(y)


def _colour(style: DrawStyle, *sides: str) -> Colour:
    """Return the colour of a keypoint, or of the limb between two."""
    # A limb from the centre to one side belongs to that side.
    lateral = set(sides) - {"centre"}
    colour: Colour = getattr(style, lateral.pop() if len(lateral) == 1 else "centre")
    return colour


def _lighter(colour: Colour) -> Colour:
    red, green, blue = (round(value + (255 - value) * 0.75) for value in colour)
    return red, green, blue
