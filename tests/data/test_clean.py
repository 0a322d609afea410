"""Cleaning: what teachers say decides about each label, person by person.

The person here faces the viewer and has a torso of 50 pixels, so two positions
are the same within 10 pixels.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.clean import agreement, clean_samples
from tinypose.data.sample import Sample, labelled_box
from tinypose.data.stick_people import stick_people
from tinypose.data.teachers import Teacher
from tinypose.skeletons import LSP, Skeleton

PERSON = {
    "right_ankle": (35, 140),
    "right_knee": (36, 115),
    "right_hip": (35, 90),
    "left_hip": (65, 90),
    "left_knee": (64, 115),
    "left_ankle": (65, 140),
    "right_wrist": (20, 92),
    "right_elbow": (22, 70),
    "right_shoulder": (35, 50),
    "left_shoulder": (65, 50),
    "left_elbow": (78, 70),
    "left_wrist": (80, 92),
    "neck": (50, 45),
    "head_top": (50, 20),
}
TRUTH = np.array([PERSON[name] for name in LSP.names], np.float64)
WRIST = LSP.index("left_wrist")
NAN = float("nan")


def person(keypoints_xy=TRUTH, visible=None, **fields) -> Sample:
    keypoints_xy = np.array(keypoints_xy, np.float64)
    visible = np.full(len(keypoints_xy), 2) if visible is None else visible
    visible = np.asarray(visible, np.uint8)
    fields = {
        "skeleton": LSP,
        "box_xywh": labelled_box(keypoints_xy, visible),
        **fields,
    }
    return Sample(
        sample_id="p",
        picture=Path("p.png"),
        keypoints_xy=keypoints_xy,
        visible=visible,
        **fields,
    )


def moved(offset, which=slice(None), start=TRUTH) -> np.ndarray:
    """Return keypoints of which some are moved to the right; nan is nowhere."""
    keypoints_xy = np.array(start)
    keypoints_xy[which, 0] += offset
    return keypoints_xy


def clean(sample: Sample, *said: np.ndarray, **options):
    teachers = [
        Teacher(name=f"t{i}", keypoints_xy=keypoints_xy[None])
        for i, keypoints_xy in enumerate(said)
    ]
    (cleaned,) = clean_samples([sample], teachers, **options)
    return cleaned


@pytest.mark.parametrize(
    ("said", "mean", "spread"),
    [
        pytest.param([0, 4], 2, 4, id="two agree"),
        pytest.param([0, 6], NAN, NAN, id="two differ"),
        pytest.param([0, NAN], NAN, NAN, id="one is silent"),
        pytest.param([3], NAN, NAN, id="one"),
        pytest.param([0, 3, 100], 1.5, 3, id="two of three"),
        # The closest two are 0 and 3: 6 is within 5 of their middle, 7 is not.
        pytest.param([0, 3, 6], 3, 3, id="the third joins in"),
        pytest.param([0, 3, 7], 1.5, 3, id="the third does not"),
        pytest.param([0, 4, 7], 5.5, 3, id="the closest decide"),
        pytest.param([NAN, 2, 4], 3, 2, id="two of two"),
    ],
)
def test_agreement(said, mean, spread) -> None:
    said_xy = np.zeros((len(said), 1, 2))
    said_xy[:, 0, 0] = said
    said_xy[np.isnan(said_xy).any(axis=-1)] = NAN
    found_xy, found_spread = agreement(said_xy, 5.0)
    np.testing.assert_allclose(found_xy, [[mean, 0 if np.isfinite(mean) else NAN]])
    np.testing.assert_allclose(found_spread, [spread])


def test_keypoints_are_agreed_on_one_by_one() -> None:
    said = np.array([[[0, 0], [9, 9], [5, 5]], [[0, 4], [9, 99], [5, 5]]], np.float64)
    mean, spread = agreement(said, 5.0)
    np.testing.assert_allclose(mean, [[0, 2], [NAN, NAN], [5, 5]])
    np.testing.assert_allclose(spread, [4, NAN, 0])


# The label of one wrist and what teachers say about it, as distances from where
# it is; what happens to it, where it is then, and its weight.
CASES = {
    "all agree": (5, (0, 0), "confirmed", 5, 1.0),
    "two of three agree": (5, (0, 0, 60), "confirmed", 5, 1.0),
    "one teacher shares it": (2, (0, 30), "kept", 2, 1.0),
    "one teacher only": (0, (NAN, 40), "kept", 0, 1.0),
    "no teacher": (0, (NAN, NAN), "kept", 0, 1.0),
    "no teacher shares it": (0, (30, -30), "doubted", 0, 0.5),
    "outlier": (30, (0, 0), "replaced", 0, 1.0),
    # Teachers that are 4 of 10 pixels apart: 1 - 0.5 * 0.4.
    "outlier, less sure": (30, (-2, 2), "replaced", 0, 0.8),
    "outlier of three": (30, (0, 0, -30), "replaced", 0, 1.0),
    # The label and the teacher who shares it are as many as those who do not.
    "a draw": (30, (0, 0, 30), "kept", 30, 1.0),
    "outvoted": (30, (0, 0, 0, 30), "replaced", 0, 1.0),
    "gap": (None, (0, 0), "filled", 0, 1.0),
    "gap, less sure": (None, (-4, 4), "filled", 0, 0.6),
    "gap, one teacher": (None, (NAN, 1), "filled_alone", 1, 0.5),
    "gap, no teacher": (None, (NAN, NAN), "empty", None, None),
    "gap, no agreement": (None, (30, -30), "empty", None, None),
}


def test_sides_stay_where_they_are_the_same_place() -> None:
    """Seen from the side, pairs nearly coincide: teachers err about which is which."""
    (sample,) = stick_people([3])
    order = sample.skeleton.flip_indices
    middle = (sample.keypoints_xy + sample.keypoints_xy[order]) / 2
    for apart, swapped in ((0.05, False), (1.0, True)):
        keypoints_xy = middle + apart * (sample.keypoints_xy - middle)
        labelled = replace(
            sample, keypoints_xy=keypoints_xy, visible=np.full(14, 2, np.uint8)
        )
        other = keypoints_xy[order]
        assert clean(labelled, other, other).swapped == swapped


@pytest.mark.parametrize(
    ("label", "said", "action", "place", "weight"), CASES.values(), ids=CASES
)
def test_one_keypoint(label, said, action, place, weight) -> None:
    visible = np.full(14, 1)
    visible[WRIST] = 0 if label is None else 1
    sample = person(moved(-500 if label is None else label, WRIST), visible)
    cleaned = clean(sample, *(moved(offset, WRIST) for offset in said))
    assert cleaned.actions[WRIST] == action
    assert set(np.delete(cleaned.actions, WRIST)) == {"confirmed"}
    assert cleaned.before is sample
    after = cleaned.after
    if place is None:
        assert after.visible[WRIST] == 0
    else:
        # What teachers see counts as visible; a label's flag stays.
        seen = 2 if action.startswith(("replaced", "filled")) else 1
        assert after.visible[WRIST] == seen
        np.testing.assert_allclose(after.keypoints_xy[WRIST], TRUTH[WRIST] + [place, 0])
        assert after.weights[WRIST] == pytest.approx(weight)
    others = np.arange(14) != WRIST
    assert (after.weights[others] == 1).all() and (after.visible[others] == 1).all()
    np.testing.assert_array_equal(after.keypoints_xy[others], TRUTH[others])


def test_the_tolerance_counts_in_torso_lengths() -> None:
    sample = person(moved(12, WRIST))
    assert clean(sample, TRUTH, TRUTH).actions[WRIST] == "replaced"
    larger = clean(sample, TRUTH, TRUTH, tolerance=0.25)  # 12.5 pixels
    assert larger.actions[WRIST] == "confirmed"


def test_a_teacher_who_sees_somebody_else_fills_nothing_alone() -> None:
    silent, elsewhere = moved(NAN, WRIST), moved(40)
    visible = np.where(np.arange(14) == WRIST, 0, 2)
    cleaned = clean(person(visible=visible), silent, silent, elsewhere)
    assert cleaned.actions[WRIST] == "empty"
    trusted = clean(person(visible=visible), silent, silent, TRUTH)
    assert trusted.actions[WRIST] == "filled_alone"


def test_weights_fall_with_the_distance_of_the_teachers() -> None:
    sample = person(moved(40, WRIST))
    found = [
        clean(sample, moved(-d / 2, WRIST), moved(d / 2, WRIST)).after.weights[WRIST]
        for d in (0, 5, 8)
    ]
    assert found == pytest.approx([1.0, 0.75, 0.6])


def test_what_the_data_set_trusts_less_stays_so() -> None:
    weights = np.linspace(0.3, 0.9, 14)
    sample = person(weights=weights)
    kept = clean(sample, TRUTH, TRUTH).after.weights
    np.testing.assert_array_equal(kept, weights)
    doubted = clean(sample, moved(30, WRIST), moved(-30, WRIST)).after.weights
    assert doubted[WRIST] == weights[WRIST] / 2
    # An outlier's weight goes with it.
    outlier = replace(sample, keypoints_xy=moved(30, WRIST))
    assert clean(outlier, TRUTH, TRUTH).after.weights[WRIST] == 1.0


def test_left_and_right_that_are_swapped_are_swapped_back() -> None:
    order = LSP.flip_indices
    visible, weights = np.full(14, 2), np.full(14, 1.0)
    visible[LSP.index("left_knee")] = 1
    visible[WRIST] = 0
    weights[LSP.index("left_ankle")] = 0.3
    sample = person(TRUTH[order], visible[order], weights=weights[order])
    cleaned = clean(sample, TRUTH, TRUTH)
    assert cleaned.swapped
    assert cleaned.actions[WRIST] == "filled"
    assert set(np.delete(cleaned.actions, WRIST)) == {"confirmed"}
    np.testing.assert_array_equal(cleaned.after.keypoints_xy, TRUTH)
    expected = np.where(np.arange(14) == WRIST, 2, visible)
    assert cleaned.after.visible.tolist() == expected.tolist()
    np.testing.assert_array_equal(cleaned.after.weights, weights)


def test_labels_that_are_right_are_not_swapped() -> None:
    assert not clean(person(), TRUTH, TRUTH).swapped
    assert not clean(person(), moved(4), moved(6)).swapped


def test_too_few_keypoints_say_nothing_about_sides() -> None:
    ankles = [LSP.index("left_ankle"), LSP.index("right_ankle")]
    silent = np.setdiff1d(np.arange(14), ankles)
    said = moved(NAN, silent)
    sample = person(TRUTH[LSP.flip_indices])
    cleaned = clean(sample, said, said)
    assert not cleaned.swapped
    # Both are far from where the teachers agree, so they count as disputed.
    assert cleaned.actions[ankles[0]] == "doubted"


def test_disputed_people_keep_their_labels_at_half_weight() -> None:
    off = np.arange(14) < 8
    sample = person(moved(40, off))
    cleaned = clean(sample, TRUTH, TRUTH)
    expected = np.where(off, "doubted", "confirmed")
    assert cleaned.actions == tuple(expected)
    np.testing.assert_array_equal(cleaned.after.keypoints_xy, sample.keypoints_xy)
    np.testing.assert_array_equal(cleaned.after.weights, np.where(off, 0.5, 1.0))
    assert (cleaned.after.box_xywh == sample.box_xywh).all()


def test_half_of_the_labels_is_not_yet_disputed() -> None:
    off = np.arange(14) < 7
    cleaned = clean(person(moved(40, off)), TRUTH, TRUTH)
    assert cleaned.actions == ("replaced",) * 7 + ("confirmed",) * 7
    np.testing.assert_array_equal(cleaned.after.keypoints_xy, TRUTH)


def test_gaps_of_disputed_people_are_not_filled() -> None:
    visible = np.full(14, 2)
    visible[[0, 13]] = 0
    sample = person(moved(40, np.arange(14) < 9), visible)
    cleaned = clean(sample, TRUTH, moved(NAN, 13))
    # Both agree on the ankle, one alone names the head top.
    assert (cleaned.actions[0], cleaned.actions[13]) == ("empty", "empty")


def test_teachers_who_say_nothing_change_nothing() -> None:
    visible = np.where(np.arange(14) == WRIST, 0, 2)
    sample = person(visible=visible)
    silent = moved(NAN)
    silent[:] = NAN
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cleaned = clean(sample, silent, silent)
    assert cleaned.actions[WRIST] == "empty"
    assert set(np.delete(cleaned.actions, WRIST)) == {"kept"}
    np.testing.assert_array_equal(cleaned.after.keypoints_xy, sample.keypoints_xy)
    assert (cleaned.after.weights == 1).all()


def test_one_teacher_alone_decides_nothing() -> None:
    visible = np.where(np.arange(14) == WRIST, 0, 2)
    cleaned = clean(person(moved(30, 3), visible), TRUTH)
    assert cleaned.actions[WRIST] == "empty"
    assert cleaned.actions[3] == "kept"


def test_people_without_labels_get_those_of_the_teachers() -> None:
    box = np.array([10.0, 10, 80, 140])
    sample = person(np.zeros((14, 2)), np.zeros(14), box_xywh=box)
    cleaned = clean(sample, TRUTH, moved(2))
    assert cleaned.actions == ("filled",) * 14
    np.testing.assert_allclose(cleaned.after.keypoints_xy, moved(1))
    np.testing.assert_allclose(cleaned.after.weights, 0.9)
    np.testing.assert_array_equal(cleaned.after.box_xywh, box)


HAND = Skeleton(name="hand", names=("wrist", "thumb", "left_edge", "right_edge"))
HAND_XY = np.array([[50, 100], [90, 60], [20, 40], [70, 0]], np.float64)


def test_without_a_torso_the_box_is_the_measure() -> None:
    # Of 100 pixels a fifth, of which a fifth: 4 pixels.
    for offset, action in ((3, "confirmed"), (6, "replaced")):
        sample = person(moved(offset, 1, HAND_XY), skeleton=HAND)
        cleaned = clean(sample, HAND_XY, HAND_XY)
        assert cleaned.actions == ("confirmed", action, "confirmed", "confirmed")


def test_a_foreshortened_torso_does_not_make_all_distances_large() -> None:
    flat = TRUTH.copy()
    flat[[LSP.index("left_shoulder"), LSP.index("right_hip")]] = (50, 90)
    # A box of 120 pixels: at least 24 count as the torso, 4.8 as the same.
    sample = person(moved(4, WRIST, flat))
    assert clean(sample, flat, flat).actions[WRIST] == "confirmed"


@pytest.mark.parametrize(
    ("box", "follows"),
    [
        pytest.param(lambda tight: tight, True, id="tight"),
        pytest.param(lambda tight: tight.round(2) + 0.01, True, id="as files have it"),
        pytest.param(
            lambda tight: tight + np.array([-1, -1, 2, 2]), False, id="larger"
        ),
    ],
)
def test_the_box_follows_if_it_was_that_of_the_labels(box, follows) -> None:
    labels_xy = moved(300.123, WRIST)
    tight = labelled_box(labels_xy, np.full(14, 2))
    sample = person(labels_xy, box_xywh=box(tight))
    cleaned = clean(sample, TRUTH, TRUTH)
    assert cleaned.actions[WRIST] == "replaced"
    expected = labelled_box(TRUTH, np.full(14, 2)) if follows else sample.box_xywh
    np.testing.assert_array_equal(cleaned.after.box_xywh, expected)


def test_the_box_stays_where_no_label_changes() -> None:
    tight = labelled_box(TRUTH, np.full(14, 2))
    sample = person(box_xywh=tight + 0.01)
    cleaned = clean(sample, moved(1), moved(1))
    np.testing.assert_array_equal(cleaned.after.box_xywh, tight + 0.01)


def test_samples_and_teachers_stay_as_they_were() -> None:
    sample = person(moved(30, WRIST), weights=np.full(14, 0.5))
    said = moved(0)
    clean(sample, said, said)
    np.testing.assert_array_equal(sample.keypoints_xy, moved(30, WRIST))
    assert (sample.weights == 0.5).all()
    np.testing.assert_array_equal(said, TRUTH)


def test_everybody_has_a_row_and_progress_is_told() -> None:
    teacher = Teacher(name="pp", keypoints_xy=np.stack([TRUTH, moved(30)]))
    done = []
    people = [person(), person(moved(30))]
    cleaned = clean_samples(people, [teacher, teacher], progress=done.append)
    assert done == [1, 2]
    assert {action for one in cleaned for action in one.actions} == {"confirmed"}
    with pytest.raises(ValueError, match="expected 1 rows of pp, received 2"):
        clean_samples(people[:1], [teacher])
