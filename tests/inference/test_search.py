"""The search for a person, with a made-up model that knows where they are."""

import numpy as np
import pytest

from tinypose.geometry import crop_affine, image_box, transform_points
from tinypose.inference import search
from tinypose.inference.search import (
    Candidate,
    enlarge_box,
    find_person,
    overlap,
    person_box,
    refine,
    whole_picture_box,
    window_boxes,
)

PADDING = 1.25
# A person of 4 keypoints, 100 pixels tall and 40 wide, from (0, 0).
SHAPE = np.array([[20.0, 0.0], [0.0, 45.0], [40.0, 55.0], [20.0, 100.0]])


class FakeModel:
    """Sees a person well when they are whole in the crop and fill it."""

    def __init__(self, person_xy):
        self.person_xy = np.asarray(person_xy, np.float64)
        self.boxes = []

    def __call__(self, boxes):
        self.boxes += list(boxes)
        results = [self._see(box) for box in boxes]
        return (
            np.array([points for points, _ in results], np.float32),
            np.array([scores for _, scores in results], np.float32),
        )

    def _see(self, box):
        affine = crop_affine(box, (100, 100), padding=PADDING)
        crop_xy = transform_points(affine, self.person_xy)
        inside = ((crop_xy >= 0) & (crop_xy <= 99)).all(axis=1)
        size = np.ptp(crop_xy, axis=0).max() / 80  # 1 when it fits exactly
        fit = float(np.clip(1.2 - abs(np.log2(size)) * 0.4, 0, 1))
        # The smaller the person in the crop, the worse the place.
        error = (1 - fit) * 0.2 * np.ptp(self.person_xy, axis=0).max()
        return self.person_xy + error, np.where(inside, 0.9 * fit, 0.05)


def placed(x, y, factor=1.0):
    return SHAPE * factor + np.array([x, y])


@pytest.mark.parametrize(
    "image_hw, person_xy",
    [
        pytest.param((120, 60), placed(8, 10), id="fills_the_picture"),
        pytest.param((200, 320), placed(250, 60), id="at_the_right_edge"),
        pytest.param((480, 270), placed(30, 350), id="small_at_the_bottom"),
        pytest.param((600, 900), placed(700, 40), id="sixth_of_the_height"),
        pytest.param((1000, 400), placed(100, 600, 1.5), id="tall_picture"),
    ],
)
def test_person_is_found_anywhere(image_hw, person_xy):
    model = FakeModel(person_xy)
    found = find_person(model, image_hw, padding=PADDING)
    assert found.score > search.SURE_SCORE
    assert np.abs(found.keypoints_xy - person_xy).max() < 4


def test_one_pass_and_one_look_closer_suffice_when_the_person_fills_the_picture():
    model = FakeModel(placed(8, 10))
    find_person(model, (120, 60), padding=PADDING)
    assert len(model.boxes) <= 1 + search.MAX_PASSES
    # The first pass shows the whole picture, letterboxed and not cropped.
    affine = crop_affine(model.boxes[0], (100, 100), padding=PADDING)
    corners = transform_points(affine, [[-0.5, -0.5], [59.5, 119.5]])
    assert corners[:, 1] == pytest.approx([-0.5, 99.5])
    assert corners[:, 0] == pytest.approx([24.5, 74.5])


def test_nobody_there_costs_a_bounded_number_of_looks():
    model = FakeModel(placed(5000, 5000))
    found = find_person(model, (480, 640), padding=PADDING)
    assert found.score < 0.1
    windows = len(window_boxes((480, 640), PADDING))
    limit = 1 + windows + (1 + search.NUM_REFINED) * search.MAX_PASSES
    assert windows <= len(model.boxes) <= limit < 80


def test_refinement_keeps_the_best_of_its_passes():
    scores = iter([0.9, 0.4, 0.6])

    def predict(boxes):
        # Every pass moves the person by 30, and the later ones are worse.
        points = boxes[:, None, :2] + SHAPE + 30
        values = np.full(points.shape[:2], next(scores))
        return points.astype(np.float32), values.astype(np.float32)

    start = Candidate(
        np.array([0.0, 0, 50, 50]), np.float32(SHAPE), np.full(4, 0.5, np.float32)
    )
    assert refine(predict, start).score == pytest.approx(0.9)
    assert next(scores, None) is None


@pytest.mark.parametrize(
    "share, expected",
    [pytest.param(1.0, 90, id="all_inside"), pytest.param(0.25, 0, id="most_outside")],
)
def test_without_graded_scores_the_last_pass_counts(share, expected):
    # A regression gives 1 for what is within the crop, however far away.
    def predict(boxes):
        points = boxes[:, None, :2] + SHAPE + 30
        values = np.arange(len(SHAPE)) < share * len(SHAPE)
        return points.astype(np.float32), np.float32(values)[None]

    start = Candidate(np.array([0.0, 0, 50, 50]), np.float32(SHAPE), np.ones(4))
    moved = refine(predict, start, graded=False).keypoints_xy - SHAPE
    assert moved == pytest.approx(np.full((4, 2), expected))
    assert refine(predict, start).keypoints_xy == pytest.approx(SHAPE)


def test_refinement_stops_when_the_box_stays():
    calls = []

    def predict(boxes):
        calls.append(boxes)
        return np.float32(SHAPE)[None], np.full((1, 4), 0.8, np.float32)

    box = person_box(np.float32(SHAPE), np.full(4, 0.8, np.float32))
    refine(predict, Candidate(box, np.float32(SHAPE), np.full(4, 0.8, np.float32)))
    assert calls == []


@pytest.mark.parametrize(
    "scores, expected",
    [
        pytest.param([0.9, 0.9, 0.9, 0.9], [0, 0, 40, 100], id="all"),
        # Three of four confident, in a box of 40 x 55: the margin is half of
        # the larger side times the share that is missing, 55 / 2 / 4 = 6.875.
        pytest.param(
            [0.9, 0.9, 0.9, 0.1], [-3.4375, -3.4375, 46.875, 61.875], id="three"
        ),
        pytest.param([0.9, 0.9, 0.1, 0.1], None, id="two"),
        pytest.param([0.0, 0.0, 0.0, 0.0], None, id="none"),
    ],
)
def test_box_of_the_confident_keypoints(scores, expected):
    box = person_box(np.float32(SHAPE), np.array(scores, np.float32))
    if expected is None:
        assert box is None
    else:
        assert box == pytest.approx(expected)


def test_keypoints_in_one_place_make_no_box():
    assert person_box(np.ones((5, 2), np.float32), np.ones(5, np.float32)) is None


def test_skeleton_of_two_keypoints_can_make_a_box():
    points = np.array([[10, 20], [30, 60]], np.float32)
    assert person_box(points, np.ones(2, np.float32)) == pytest.approx([10, 20, 20, 40])


@pytest.mark.parametrize("image_hw", [(480, 640), (640, 360), (100, 2000), (7, 5)])
def test_windows_cover_the_picture_and_stay_in_it(image_hw):
    boxes = window_boxes(image_hw, PADDING)
    assert np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()
    height, width = image_hw
    sides = boxes[:, 2] * PADDING
    for fraction in search.WINDOW_SIDES:
        side = fraction * max(image_hw)
        of_size = boxes[np.isclose(sides, side)]
        low = of_size[:, :2] + of_size[:, 2:] / 2 - side / 2
        for axis, length in ((0, width), (1, height)):
            starts = np.unique(low[:, axis].round(6))
            if side >= length:
                assert len(starts) == 1
                continue
            assert starts[0] == pytest.approx(-0.5)
            assert starts[-1] + side == pytest.approx(length - 0.5)
            assert np.diff(starts).max() <= search.WINDOW_STEP * side + 1e-6


def test_whole_picture_box_is_the_picture_without_padding():
    box = whole_picture_box((100, 60), PADDING)
    whole = image_box((100, 60))
    assert box[2:] * PADDING == pytest.approx(whole[2:])
    assert box[:2] + box[2:] / 2 == pytest.approx(whole[:2] + whole[2:] / 2)


@pytest.mark.parametrize(
    "first, second, expected",
    [
        pytest.param([0, 0, 4, 4], [0, 0, 4, 4], 1.0, id="same"),
        # 2 x 4 shared of 16 + 16 - 8.
        pytest.param([0, 0, 4, 4], [2, 0, 4, 4], 8 / 24, id="half"),
        pytest.param([0, 0, 4, 4], [1, 1, 2, 2], 4 / 16, id="inside"),
        pytest.param([0, 0, 4, 4], [4, 0, 4, 4], 0.0, id="touching"),
        pytest.param([0, 0, 4, 4], [9, 9, 1, 1], 0.0, id="apart"),
        pytest.param([0, 0, 0, 0], [0, 0, 0, 0], 0.0, id="empty"),
    ],
)
def test_overlap(first, second, expected):
    boxes = np.array(first, float), np.array(second, float)
    assert overlap(*boxes) == pytest.approx(expected)
    assert overlap(*boxes[::-1]) == pytest.approx(expected)


def test_enlarged_box_keeps_its_centre():
    box = enlarge_box(np.array([10.0, 20, 30, 40]), 6)
    assert box == pytest.approx([7, 17, 36, 46])
