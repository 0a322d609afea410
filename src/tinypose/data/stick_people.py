"""stick_people: drawn people in varied poses, the data set that is built in.

Each picture shows one articulated, clothed 3D figure from any side, before a
busy background, now and then behind an object. The labels are the projected
joints themselves, so they are exact. Nothing is stored: sample ``i`` depends
on the seed and ``i`` alone.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tinypose.data.figure_clothes import draw_clothes, draw_colours, dress
from tinypose.data.figure_shapes import Part, Shape, View
from tinypose.data.figures import Figure, draw_figure, draw_view
from tinypose.data.sample import NOT_LABELLED, OCCLUDED, VISIBLE, Sample, labelled_box
from tinypose.geometry import FloatArray
from tinypose.images import Image
from tinypose.skeletons import AI_CHALLENGER

IMAGE_HW = (160, 160)

MIN_LABELLED = 8
"""A figure that leaves the picture keeps at least this many keypoints in it."""

_SUPERSAMPLING = 2
_SHIFT = 5  # fraction bits of the coordinates that OpenCV fills
_OBJECT = 255


class _Scene(NamedTuple):
    figure: Figure
    keypoints_xy: FloatArray
    parts: list[Part]
    objects: list[Shape]


def stick_people(
    indices: Iterable[int], seed: int = 0, image_hw: tuple[int, int] = IMAGE_HW
) -> list[Sample]:
    """Return drawn people with exact labels; pictures are rendered on demand.

    Args:
        indices: Which samples, 0 or more; there is no last one.
        seed: Another seed gives other people.
        image_hw: Height and width of the pictures.

    Returns:
        One sample per index, with the skeleton ``AI_CHALLENGER``. A keypoint
        is visible (2), hidden by an object or a nearer body part (1) or
        outside the picture and therefore not labelled (0).

    Raises:
        ValueError: a negative index or seed, or a picture below 16 pixels.
    """
    if min(image_hw) < 16:
        raise ValueError(
            f"expected pictures of at least 16 pixels, received {image_hw}"
        )
    return [_sample(index, seed, image_hw) for index in indices]


def _sample(index: int, seed: int, image_hw: tuple[int, int]) -> Sample:
    scene = _draw_scene(_generator(seed, index), image_hw)
    owners = _owner_map(scene, image_hw)
    visible = _visibility(scene, owners)
    body_pixels = int(((owners > 0) & (owners < _OBJECT)).sum())
    return Sample(
        sample_id=f"stick_people/{seed}/{index}",
        picture=partial(_render, index, seed, image_hw),
        skeleton=AI_CHALLENGER,
        keypoints_xy=scene.keypoints_xy,
        visible=visible,
        box_xywh=labelled_box(scene.keypoints_xy, visible),
        area=float(max(body_pixels, 1)),
    )


def _generator(seed: int, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, index])


def _draw_scene(rng: np.random.Generator, image_hw: tuple[int, int]) -> _Scene:
    figure = draw_figure(rng).rotated(draw_view(rng))
    keypoints = np.stack([figure.points[name] for name in AI_CHALLENGER.names])
    view = _place(rng, keypoints, image_hw)
    keypoints_xy = view.project(keypoints)
    parts = dress(figure, draw_clothes(rng), view)
    return _Scene(figure, keypoints_xy, parts, _draw_objects(rng, keypoints_xy))


def _place(
    rng: np.random.Generator, keypoints: FloatArray, image_hw: tuple[int, int]
) -> View:
    """Return a view in which most or all of the figure is in the picture."""
    distance = float(rng.uniform(2.5, 8.0))
    nearness = distance / (distance - keypoints[:, 2:])
    flat = keypoints[:, :2] * nearness * np.array([1.0, -1.0])
    low, high = flat.min(axis=0), flat.max(axis=0)
    picture = np.array(image_hw[::-1], np.float64)
    # The head and the feet reach beyond their keypoints.
    extent = high - low + 0.1
    fill = rng.uniform(0.45, 0.97)
    zoom = float(fill * (picture / extent).min())
    slack = (picture - extent * zoom) / 2
    if rng.random() < 0.12:
        slack = slack + 0.22 * extent * zoom  # cut off at the border
    centre = (picture - 1) / 2 + slack * rng.uniform(-1, 1, 2)
    offset = centre - zoom * (low + high) / 2
    inside = ((flat * zoom + offset > 0) & (flat * zoom + offset < picture - 1)).all(1)
    if inside.sum() < MIN_LABELLED:
        offset = (picture - 1) / 2 - zoom * (low + high) / 2
    return View(distance=distance, zoom=zoom, offset_xy=offset)


def _draw_objects(rng: np.random.Generator, keypoints_xy: FloatArray) -> list[Shape]:
    """Return objects that stand before the figure; mostly none."""
    if rng.random() > 0.3:
        return []
    low, high = keypoints_xy.min(axis=0), keypoints_xy.max(axis=0)
    size = float((high - low).max())
    shapes = []
    for _ in range(int(rng.integers(1, 3))):
        middle = low + rng.uniform(0, 1, 2) * (high - low)
        half = size * rng.uniform(0.04, 0.2, 2)
        if rng.random() < 0.3:
            half[rng.integers(2)] *= 4  # a post or a bar
        angle = rng.uniform(-0.5, 0.5)
        count = int(rng.choice([4, 5, 24]))
        around = np.arange(count) * (2 * np.pi / count) + np.pi / 4
        outline = np.stack([np.cos(around), np.sin(around)], axis=1) * half
        cos, sin = np.cos(angle), np.sin(angle)
        outline = outline @ np.array([[cos, sin], [-sin, cos]]) + middle
        (colour,) = draw_colours(rng, 1)
        shapes.append(Shape(outline, colour * 0.8))
        shapes.append(Shape(middle + 0.85 * (outline - middle), colour))
    return shapes


def _owner_map(scene: _Scene, image_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return which part is seen at each pixel: 1 + its position, 255 an object."""
    owners = np.zeros(image_hw, np.uint8)
    shapes = [shape for part in scene.parts for shape in part.shapes]
    values = [i + 1 for i, part in enumerate(scene.parts) for _ in part.shapes]
    values += [_OBJECT] * len(scene.objects)
    _fill(owners, [*shapes, *scene.objects], values)
    return owners


_OWN_PARTS = {
    "shoulder": ("upper_arm",),
    "elbow": ("upper_arm", "forearm"),
    "wrist": ("forearm",),
    "hip": ("thigh",),
    "knee": ("thigh", "shin"),
    "ankle": ("shin",),
}
_TRUNK_PARTS = ("chest", "pelvis", "throat")


def _visibility(scene: _Scene, owners: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = owners.shape
    visible = np.zeros(AI_CHALLENGER.num_keypoints, np.uint8)
    for k, name in enumerate(AI_CHALLENGER.names):
        x, y = np.floor(scene.keypoints_xy[k] + 0.5).astype(int)
        if not (0 <= x < width and 0 <= y < height):
            visible[k] = NOT_LABELLED
        elif owners[y, x] == _OBJECT:
            visible[k] = OCCLUDED
        elif owners[y, x] == 0:  # the half pixel next to a thin part
            visible[k] = VISIBLE
        else:
            part = scene.parts[owners[y, x] - 1].name
            visible[k] = VISIBLE if _shows(scene.figure, name, part) else OCCLUDED
    return visible


def _shows(figure: Figure, keypoint: str, part: str) -> bool:
    """Return whether a keypoint is seen where ``part`` is drawn over it."""
    if keypoint == "head_top":
        return part == "head"
    if keypoint == "neck":
        return part in _TRUNK_PARTS
    side, joint = keypoint.split("_")
    if part in {f"{side}_{own}" for own in _OWN_PARTS[joint]}:
        return True
    if joint not in ("shoulder", "hip") or part not in _TRUNK_PARTS:
        return False
    # The trunk covers its own joint unless that is on its far side.
    other = "right" if side == "left" else "left"
    ends = figure.points[keypoint], figure.points[f"{other}_{joint}"]
    return bool(ends[0][2] - ends[1][2] > -0.6 * np.linalg.norm(ends[0] - ends[1]))


def _render(index: int, seed: int, image_hw: tuple[int, int]) -> Image:
    rng = _generator(seed, index)
    scene = _draw_scene(rng, image_hw)
    background = _draw_background(rng, image_hw)
    canvas = _resize(background, _SUPERSAMPLING, cv2.INTER_LINEAR)
    shapes = [shape for part in scene.parts for shape in part.shapes] + scene.objects
    colours = np.array([shape.colour for shape in shapes]).clip(0, 255)
    _fill(canvas, shapes, colours.tolist(), _SUPERSAMPLING)
    return _spoil(rng, _resize(canvas, 1 / _SUPERSAMPLING, cv2.INTER_AREA))


def _resize(picture: Image, factor: float, interpolation: int) -> Image:
    resized = cv2.resize(
        picture, None, fx=factor, fy=factor, interpolation=interpolation
    )
    return np.asarray(resized, np.uint8)


def _fill(
    canvas: NDArray[np.uint8], shapes: list[Shape], values: list[Any], factor: int = 1
) -> None:
    """Fill the shapes in order on a canvas ``factor`` times the picture's size."""
    outlines = np.concatenate([shape.outline for shape in shapes])
    # Edges stay edges: x' + 1/2 = factor (x + 1/2).
    pixels = (outlines + 0.5) * factor - 0.5
    points = np.rint(pixels * (1 << _SHIFT)).astype(np.int32)
    start = 0
    for shape, value in zip(shapes, values, strict=True):
        stop = start + len(shape.outline)
        cv2.fillPoly(canvas, [points[start:stop]], value, cv2.LINE_8, _SHIFT)
        start = stop


def _draw_background(rng: np.random.Generator, image_hw: tuple[int, int]) -> Image:
    """Return a gradient, clouds or blocks, with clutter drawn over it."""
    height, width = image_hw
    kind = rng.random()
    if kind < 0.4:  # a gradient between four corners
        corners = draw_colours(rng, 4).reshape(2, 2, 3)
    elif kind < 0.75:  # clouds: coarse noise
        size = rng.integers(3, 24, 2)
        spread = rng.uniform(10, 90)
        light = rng.normal(0, spread, (*size, 1))
        tint = rng.normal(0, spread / 3, (*size, 3))
        corners = draw_colours(rng, 1) + light + tint
    else:  # a wall and a floor
        corners = np.repeat(draw_colours(rng, 2)[:, None], [7, 3], axis=0)
        corners = np.repeat(np.roll(corners, rng.integers(-3, 2), axis=0), 2, axis=1)
    corners = corners.clip(0, 255).astype(np.uint8)
    canvas = np.asarray(cv2.resize(corners, (width, height)), np.uint8)
    for _ in range(int(rng.integers(0, 14))):
        _add_clutter(rng, canvas)
    return canvas


def _add_clutter(rng: np.random.Generator, canvas: Image) -> None:
    """Draw a bar, as thick as a limb, or a flat shape."""
    height, width = canvas.shape[:2]
    size = float(max(height, width))
    (colour,) = draw_colours(rng, 1).tolist()
    start = rng.uniform(0, 1, 2) * (width, height)
    length = size * rng.uniform(0.05, 0.4)
    angle = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        first, last = np.rint([start, end]).astype(int).tolist()
        thickness = max(1, int(size * rng.uniform(0.01, 0.06)))
        cv2.line(canvas, first, last, colour, thickness, cv2.LINE_AA)
        return
    corners = (3, 4, 24)[rng.integers(3)]
    around = np.arange(corners) * (2 * np.pi / corners) + angle
    half = 0.5 * length * np.array([1.0, rng.uniform(0.2, 1)])
    outline = start + half * np.stack([np.cos(around), np.sin(around)], axis=1)
    cv2.fillPoly(canvas, [np.rint(outline).astype(np.int32)], colour)


def _spoil(rng: np.random.Generator, picture: Image) -> Image:
    """Return the picture as a camera might give it: light, blur and noise."""
    gain, offset = rng.uniform(0.65, 1.15), rng.uniform(-20, 25)
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
        picture = np.asarray(blurred, np.uint8)
    strength = rng.uniform(0, 0.14) * rng.random()
    noise = rng.integers(0, 256, picture.shape, np.uint8)
    # The noise is 128 on average; the offset takes that out again.
    spoilt = cv2.addWeighted(picture, gain, noise, strength, offset - 128 * strength)
    return np.asarray(spoilt, np.uint8)
