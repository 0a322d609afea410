"""What a model says about labelled people, as a teacher of their labels."""

from dataclasses import replace

import numpy as np
import pytest

from tinypose.errors import TinyposeError
from tinypose.evaluation.people import judge_people
from tinypose.skeletons import Skeleton


def test_a_judge_speaks_of_the_keypoints_it_knows(make_person, make_predictor, arm_xy):
    hand = Skeleton(name="hand", names=("left_wrist", "thumb", "left_elbow"))
    said = np.array([[1.0, 2], [3, 4], [5, 6]])
    predictor = make_predictor([said, said + 10], skeleton=hand)
    done = []
    people = [make_person(), make_person()]
    teacher = judge_people(predictor, people, name="mine", progress=done.append)
    assert teacher.name == "mine"
    expected = np.full((2, 4, 2), np.nan)
    expected[:, 2], expected[:, 3] = [[5, 6], [15, 16]], [[1, 2], [11, 12]]
    np.testing.assert_array_equal(teacher.keypoints_xy, expected)
    assert done == [1, 2]


def test_a_judge_is_silent_about_damaged_pictures(make_person, make_predictor, arm_xy):
    def damaged():
        raise TinyposeError("no picture")

    people = [replace(make_person(), picture=damaged), make_person()]
    predictor = make_predictor([arm_xy])
    teacher = judge_people(predictor, people, name="mine")
    assert np.isnan(teacher.keypoints_xy[0]).all()
    np.testing.assert_array_equal(teacher.keypoints_xy[1], arm_xy)


def test_a_judge_of_other_keypoints_is_an_error(make_person, make_predictor):
    legs = Skeleton(name="legs", names=("left_knee", "right_knee"))
    predictor = make_predictor([np.zeros((2, 2))], skeleton=legs)
    message = "mine: expected a model with keypoints of 'arm' .*found only left_knee"
    with pytest.raises(TinyposeError, match=message):
        judge_people(predictor, [make_person()], name="mine")


def test_a_judge_says_nothing_of_what_it_hardly_sees(
    make_person, make_predictor, arm_xy
):
    predictor = make_predictor([arm_xy] * 2, scores=[0.9, 0.05])
    said = judge_people(predictor, [make_person()] * 2, name="judge").keypoints_xy
    np.testing.assert_allclose(said[0], arm_xy, atol=1e-4)
    assert np.isnan(said[1]).all()
