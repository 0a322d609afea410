"""Keypoints' names: spellings, and which are left and right of each other."""

import pytest

from tinypose.keypoint_names import infer_flip_pairs, plain_names


@pytest.mark.parametrize(
    ("left", "right", "plain"),
    [
        ("LShoulder", "RShoulder", "left_shoulder"),
        ("L Knee", "RIGHT knee", "left_knee"),
        ("EarL", "EarR", "ear_left"),
        ("lwrist", "rwrist", "left_wrist"),
        ("LEYE", "REYE", "left_eye"),
        ("lefteye", "righteye", "left_eye"),
        ("inner_lefteye", "inner_righteye", "inner_left_eye"),
        ("wristl", "wristr", "wrist_left"),
        ("rl", "rr", "r_left"),
        ("LEFT_EYE", "RIGHT_EYE", "left_eye"),
        ("l", "r", "l"),
    ],
)
def test_sides_in_any_spelling(left, right, plain) -> None:
    names = (right, "nose", left, "tail")
    assert infer_flip_pairs(names) == ((left, right),)
    assert plain_names(names)[1:] == ("nose", plain, "tail")


def test_sides_are_no_sides_without_the_other_one() -> None:
    # Words that begin or end with l or r.
    names = ("ear", "rear", "tail", "heel", "lip", "LEG", "lhand")
    assert infer_flip_pairs(names) == ()
    assert plain_names(names)[-3:] == ("lip", "leg", "lhand")


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        ("ul ur ll lr", [("ul", "ur"), ("ll", "lr")]),
        ("UL UR LL LR", [("UL", "UR"), ("LL", "LR")]),
        ("fl fr rl rr", [("fl", "fr"), ("rl", "rr")]),
        ("left right light", [("left", "right")]),
        # Both sides of both eyes turn around.
        ("right_a_left left_a_left left_a_right right_a_right",
         [("left_a_left", "right_a_right"), ("left_a_right", "right_a_left")]),
    ],
)  # fmt: skip
def test_names_with_several_sides(names, pairs) -> None:
    found = tuple(names.split())
    assert list(infer_flip_pairs(found)) == pairs
    assert len(set(plain_names(found))) == len(found)


def test_light_is_no_side_beside_right() -> None:
    names = ("left", "right", "light", "left_lip", "left_rip")
    assert plain_names(names) == names
