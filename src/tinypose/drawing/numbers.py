"""Number keypoints in a picture, and list beside it which number is which."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.drawing.heatmaps import body_sides
from tinypose.drawing.sheets import BACKGROUND, TEXT, Colour
from tinypose.drawing.skeletons import DEFAULT_STYLE
from tinypose.images import Image
from tinypose.skeletons import Skeleton

SIDES = "own left blue, right orange, rest green"

LINE_HEIGHT = 22
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_NUMBER_SCALE = 0.45
_LIST_SCALE = 0.5
_GAP = 8  # pixels between the columns and around the list

_PAD = 2  # pixels between a number and the border of its box
_STEP = 6.0  # width in pixels of what is kept free around a limb

_RADII = (11, 13, 16, 22, 30, 40, 54, 70)
"""How far from its keypoint a number may be, in pixels; the nearest free place."""

_NEAR = 16
"""From further away, in pixels, a line leads from the number to its keypoint."""


def number_keypoints(
    image: Image, keypoints_xy: ArrayLike, skeleton: Skeleton, visible: ArrayLike
) -> Image:
    """Return a copy of a picture with the number of each keypoint beside it.

    Numbers count from 1 and overlap neither each other nor the limbs; where there
    is no room, a keypoint stays without. Those outside the picture have none.

    Args:
        image: (height, width, 3) uint8 RGB.
        keypoints_xy: (num_keypoints, 2), (x, y) in pixels of ``image``.
        skeleton: The order and names of the keypoints.
        visible: (num_keypoints,), 0 where a keypoint is not labelled.
    """
    canvas = np.array(image, np.uint8, order="C")
    points = np.asarray(keypoints_xy, np.float64).reshape(-1, 2)
    inside = ((points >= 0) & (points < canvas.shape[1::-1])).all(axis=1)
    shown = np.flatnonzero(inside & (np.asarray(visible).reshape(-1) > 0))
    if len(shown):
        limits = np.array(canvas.shape[1::-1])
        boxes = _place_numbers(points, shown, skeleton, limits)
        shades = [_shade(side) for side in body_sides(skeleton)]
        # Numbers lie above the lines that lead to others.
        for index, box in boxes.items():
            _draw_lead(canvas, box, points[index], shades[index])
        for index, box in boxes.items():
            _write_number(canvas, index + 1, box, shades[index])
    return canvas


def keypoint_list(skeletons: Sequence[Skeleton], width: int) -> Image:
    """Return what the numbers and colours mean, as a strip (height, width, 3).

    Args:
        skeletons: Each has its keypoints listed, below its name if there are
            several.
        width: Of the strip, in pixels.
    """
    lines: list[tuple[int, list[tuple[str, Colour]]]] = []  # and width of a column
    for skeleton in skeletons:
        if len(skeletons) > 1:
            lines.append((width, [(f"{skeleton.name}:", TEXT)]))
        entries = [
            (f"{number} {_ascii(name)}", _colour(side))
            for number, (name, side) in enumerate(
                zip(skeleton.names, body_sides(skeleton), strict=True), 1
            )
        ]
        widest = max(_text_width(text) for text, _ in entries)
        columns = max((width - _GAP) // (widest + 2 * _GAP), 1)
        step = (width - _GAP) // min(columns, len(entries))
        for first in range(0, len(entries), columns):
            lines.append((step, entries[first : first + columns]))
    lines.append((width, [(SIDES, TEXT)]))
    strip = np.full((len(lines) * LINE_HEIGHT + _GAP, width, 3), BACKGROUND, np.uint8)
    for row, (step, line) in enumerate(lines):
        for column, (text, colour) in enumerate(line):
            place = (_GAP + column * step, row * LINE_HEIGHT + LINE_HEIGHT * 2 // 3)
            # A narrow sheet still holds the longest line.
            room = (width - 2 * _GAP) / max(_text_width(text), 1)
            scale = _LIST_SCALE * min(room, 1.0)
            cv2.putText(strip, text, place, _FONT, scale, colour, 1, cv2.LINE_AA)
    return strip


def _place_numbers(
    points: NDArray[np.float64],
    shown: NDArray[np.int64],
    skeleton: Skeleton,
    limits: NDArray[np.int64],
) -> dict[int, NDArray[np.float64]]:
    """Return left, top, right and bottom of the number of each keypoint by index.

    Args:
        points: (num_keypoints, 2), in pixels of the picture.
        shown: The indices of those that are to have one.
        skeleton: The limbs.
        limits: Width and height of the picture.
    """
    taken, centre = _taken(points, shown, skeleton), points[shown].mean(axis=0)
    boxes: dict[int, NDArray[np.float64]] = {}
    # First those that find a place nearby, whom others could take it away from.
    for radius in _RADII:
        for index in shown.tolist():
            if index in boxes:
                continue
            point, size = points[index], _size(str(index + 1))
            box = _free_box(point, point - centre, radius, size, taken, limits)
            if box is not None:
                boxes[index] = box
                taken = np.concatenate([taken, box[None]])
    return boxes


def _taken(
    points: NDArray[np.float64], shown: NDArray[np.int64], skeleton: Skeleton
) -> NDArray[np.float64]:
    """Return left, top, right and bottom (n, 4) of what no number may cover."""
    places = [points[shown]]
    for start, end in skeleton.edge_indices:
        if start in shown and end in shown:
            steps = max(np.hypot(*(points[end] - points[start])) // _STEP, 1)
            shares = np.linspace(0, 1, int(steps) + 1)[:, None]
            places.append(points[start] + shares * (points[end] - points[start]))
    middles = np.concatenate(places)
    return np.concatenate([middles - _STEP / 2, middles + _STEP / 2], axis=1)


def _free_box(
    point: NDArray[np.float64],
    outwards: NDArray[np.float64],
    radius: int,
    size: NDArray[np.float64],
    taken: NDArray[np.float64],
    limits: NDArray[np.int64],
) -> NDArray[np.float64] | None:
    """Return where a number may stand: left, top, right, bottom; None for nowhere.

    Args:
        point: (2,), its keypoint.
        outwards: (2,), where it had better stand from there.
        radius: How far from there.
        size: (2,), width and height of the number.
        taken: (n, 4), what it must not cover.
        limits: Width and height of the picture.
    """
    first = np.arctan2(outwards[1], outwards[0])
    # The places beside the best one come before those opposite to it.
    turns = sorted(np.arange(-8, 8) * np.pi / 8, key=abs)
    for turn in turns:
        way = np.array([np.cos(first + turn), np.sin(first + turn)])
        middle = point + radius * way
        box = np.concatenate([middle - size / 2, middle + size / 2])
        apart = (box[:2] > taken[:, 2:]) | (box[2:] < taken[:, :2])
        is_inside = (box[:2] >= 0).all() and (box[2:] < limits).all()
        if is_inside and apart.any(axis=1).all():
            return box
    return None


def _draw_lead(
    canvas: Image, box: NDArray[np.float64], point: NDArray[np.float64], shade: Colour
) -> None:
    """Draw the line, in place, from a keypoint to a number that is not near."""
    middle = (box[:2] + box[2:]) / 2
    if np.hypot(*(middle - point)) > _NEAR:
        start, end = (tuple(map(round, place.tolist())) for place in (point, middle))
        cv2.line(canvas, start, end, shade, 1, cv2.LINE_AA)


def _write_number(
    canvas: Image, number: int, box: NDArray[np.float64], shade: Colour
) -> None:
    """Write a number in its dark box, in place."""
    left, top, right, bottom = np.rint(box).astype(int).tolist()
    dark = DEFAULT_STYLE.outline
    cv2.rectangle(canvas, (left, top), (right, bottom), dark, cv2.FILLED)
    place, scale = (left + _PAD, bottom - _PAD), _NUMBER_SCALE
    cv2.putText(canvas, str(number), place, _FONT, scale, shade, 1, cv2.LINE_AA)


def _size(text: str) -> NDArray[np.float64]:
    """Return the width and height of a number's box."""
    (width, height), _ = cv2.getTextSize(text, _FONT, _NUMBER_SCALE, 1)
    return np.array([width, height], np.float64) + 2 * _PAD


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _LIST_SCALE, 1)[0][0])


def _ascii(text: str) -> str:
    # OpenCV's built-in font covers ASCII only.
    return text.encode("ascii", "replace").decode()


def _colour(side: str) -> Colour:
    colour: Colour = getattr(DEFAULT_STYLE, side)
    return colour


def _shade(side: str) -> Colour:
    """Return the colour of a side, lighter, for letters on a dark ground."""
    red, green, blue = (round(value + (255 - value) * 0.6) for value in _colour(side))
    return red, green, blue
