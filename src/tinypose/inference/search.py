"""Find the person in a picture when nobody says where: whole, closer, windows.

A single-person model is sure of itself only when the person fills the crop as
in training. So the mean score of its keypoints tells how good a crop is, and
the confident keypoints tell where the next crop should be.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinypose.geometry import FloatArray, image_box, keypoints_box

SURE_SCORE = 0.5
"""With this mean score a pose is believed without looking elsewhere."""

CONFIDENT_SHARE = 0.7
"""A keypoint of this share of the mean score tells where the person is.

Scores differ from model to model, so they are compared within a pose.
"""

LEAST_SCORE = 0.08
"""Below this no keypoint is confident, however low the others are."""

MIN_CONFIDENT = 3
"""Fewer confident keypoints than this do not make a box."""

MAX_PASSES = 3
"""Passes that refine a box, at most."""

SAME_BOX = 0.9
"""Two boxes that overlap this much are the same: the refinement ends."""

WINDOW_SIDES = (0.75, 0.5, 0.33)
"""Sides of the searched windows, as fractions of the longer picture side."""

WINDOW_STEP = 0.4
"""Distance between neighbouring windows, as a fraction of their side."""

CLEARLY_BETTER = 1.07
"""A window must score this many times as much as the whole picture did."""

NUM_REFINED = 3
"""How many of the best windows are looked at closer."""

PredictBoxes = Callable[[FloatArray], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Predicts one picture's boxes (n, 4): keypoints_xy (n, num_keypoints, 2) in
picture pixels and scores (n, num_keypoints)."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """What the model said about one box of the picture.

    Args:
        box_xywh: (4,), before padding, picture pixels.
        keypoints_xy: (num_keypoints, 2), picture pixels.
        scores: (num_keypoints,).
    """

    box_xywh: FloatArray
    keypoints_xy: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def score(self) -> float:
        """Mean confidence of the keypoints."""
        return float(self.scores.mean())


def find_person(
    predict: PredictBoxes,
    image_hw: tuple[int, int],
    *,
    padding: float,
    graded: bool = True,
) -> Candidate:
    """Return the best pose found anywhere in a picture.

    First the whole picture, letterboxed; then closer and closer on the box of
    the confident keypoints. When that is not sure of itself, overlapping
    windows of several sizes are tried and the best of them refined.

    Args:
        predict: Runs the model on boxes of this picture.
        image_hw: Height and width of the picture.
        padding: How much larger than a box the model's crop is.
        graded: Whether scores say how sure the model is; see ``refine``.
    """
    whole = _candidates(predict, whole_picture_box(image_hw, padding)[None])
    best = refine(predict, whole[0], graded=graded)
    if best.score >= SURE_SCORE:
        return best
    windows = _candidates(predict, window_boxes(image_hw, padding))
    windows.sort(key=lambda candidate: -candidate.score)
    refined = [
        refine(predict, window, graded=graded) for window in windows[:NUM_REFINED]
    ]
    found = max(refined, key=lambda candidate: candidate.score)
    return found if found.score > CLEARLY_BETTER * best.score else best


def refine(
    predict: PredictBoxes, start: Candidate, *, graded: bool = True
) -> Candidate:
    """Look closer, pass by pass; return the pose with the best mean score.

    Ends when the box hardly changes, when too few keypoints are confident or
    after ``MAX_PASSES``. Where scores are not ``graded``, only 1 for keypoints
    within the crop and 0 for others, they do not tell a close look from one from
    afar: the last pass counts, unless it is of ``SURE_SCORE`` no more.
    """
    best = latest = start
    for _ in range(MAX_PASSES):
        box = person_box(latest.keypoints_xy, latest.scores)
        if box is None or overlap(box, latest.box_xywh) >= SAME_BOX:
            break
        latest = _candidates(predict, box[None])[0]
        if latest.score > best.score or (not graded and latest.score >= SURE_SCORE):
            best = latest
    return best


def person_box(
    keypoints_xy: NDArray[np.float32], scores: NDArray[np.float32]
) -> FloatArray | None:
    """Return the box (4,) of a pose's confident keypoints, or None if too few.

    The box is enlarged for the keypoints that are not confident: they may lie
    outside it.
    """
    confident = scores >= max(CONFIDENT_SHARE * float(scores.mean()), LEAST_SCORE)
    if confident.sum() < min(MIN_CONFIDENT, len(scores)):
        return None
    box = keypoints_box(keypoints_xy, confident)
    side = float(box[2:].max())
    if not side > 0:
        return None
    return enlarge_box(box, 0.5 * side * float(1 - confident.mean()))


def enlarge_box(box_xywh: FloatArray, margin: float) -> FloatArray:
    """Return a box (4,) that is ``margin`` pixels larger, half on each side."""
    x, y, width, height = box_xywh
    return np.array(
        [x - margin / 2, y - margin / 2, width + margin, height + margin], np.float64
    )


def whole_picture_box(image_hw: tuple[int, int], padding: float) -> FloatArray:
    """Return the box (4,) whose padded crop is the whole picture, letterboxed."""
    x, y, width, height = image_box(image_hw)
    inner = np.array([width, height]) / padding
    centre = np.array([x + width / 2, y + height / 2])
    return np.concatenate([centre - inner / 2, inner])


def window_boxes(image_hw: tuple[int, int], padding: float) -> FloatArray:
    """Return boxes (n, 4) whose padded crops cover the picture, overlapping.

    The windows are square; those of each size lie on an even grid that
    reaches from edge to edge of the picture.
    """
    boxes = []
    height, width = image_hw
    for fraction in WINDOW_SIDES:
        side = fraction * max(image_hw)
        inner = side / padding
        for y in _centres(height, side):
            for x in _centres(width, side):
                boxes.append([x - inner / 2, y - inner / 2, inner, inner])
    return np.array(boxes, np.float64)


def overlap(first_xywh: FloatArray, second_xywh: FloatArray) -> float:
    """Return the intersection over union of two boxes (4,)."""
    low = np.maximum(first_xywh[:2], second_xywh[:2])
    high = np.minimum(
        first_xywh[:2] + first_xywh[2:], second_xywh[:2] + second_xywh[2:]
    )
    common = float(np.prod(np.maximum(high - low, 0)))
    areas = float(np.prod(first_xywh[2:]) + np.prod(second_xywh[2:]))
    return common / (areas - common) if areas > common else 0.0


def _centres(length: int, side: float) -> FloatArray:
    """Return the centres of windows along an axis of ``length`` pixels."""
    if side >= length:
        return np.array([(length - 1) / 2])
    count = int(np.ceil((length - side) / (WINDOW_STEP * side))) + 1
    return np.linspace(side / 2 - 0.5, length - side / 2 - 0.5, count)


def _candidates(predict: PredictBoxes, boxes: FloatArray) -> list[Candidate]:
    keypoints_xy, scores = predict(boxes)
    return [
        Candidate(box, points, values)
        for box, points, values in zip(boxes, keypoints_xy, scores, strict=True)
    ]
