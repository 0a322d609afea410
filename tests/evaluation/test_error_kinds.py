"""Kinds of error: hand-worked places of wrong keypoints."""

import numpy as np
import pytest

from tinypose.evaluation.error_kinds import KINDS, error_kinds
from tinypose.skeletons import Skeleton

HANDS = Skeleton(
    name="hands",
    names=("left_hand", "right_hand", "nose"),
    flip_pairs=(("left_hand", "right_hand"),),
)
TRUE = np.array([[0.0, 0.0], [100.0, 0.0], [50.0, 50.0]])
# Of a reference of 50, 0.2 is 10 pixels and twice that is 20.
REFERENCE = [50.0]
SWAP, OTHER, JITTER, MISS = range(len(KINDS))


def kinds_of(predicted, visible=(2, 2, 2), skeleton=HANDS, reference=REFERENCE):
    found = error_kinds([predicted], [TRUE], [visible], reference, skeleton)
    return found.counts.tolist()


def wrong(kind, keypoint):
    """Return the counts of a single wrong keypoint."""
    counts = np.zeros((len(KINDS), len(TRUE)), int)
    counts[kind, keypoint] = 1
    return counts.tolist()


@pytest.mark.parametrize(
    ("keypoint", "place", "kind"),
    [
        pytest.param(0, (100, 10), SWAP, id="on the partner"),
        pytest.param(0, (100, 10.1), MISS, id="beside the partner"),
        pytest.param(0, (50, 41), OTHER, id="on another"),
        pytest.param(0, (0, 20), JITTER, id="near"),
        pytest.param(0, (0, 20.1), MISS, id="not so near"),
        pytest.param(0, (np.nan, 0), MISS, id="not predicted"),
        # It has no partner: the hands are others.
        pytest.param(2, (0, 3), OTHER, id="nose on a hand"),
    ],
)
def test_a_wrong_keypoint_is_of_one_kind(keypoint, place, kind):
    predicted = TRUE.copy()
    predicted[keypoint] = place
    assert kinds_of(predicted) == wrong(kind, keypoint)


def test_right_keypoints_are_of_no_kind():
    assert not np.any(kinds_of(TRUE + np.array([0, 10])))


def test_right_ones_near_others_are_of_no_kind():
    """Ten pixels between the hands: each is on the other's place, too."""
    true = np.array([[[0.0, 0], [10, 0], [50, 50]]])
    found = error_kinds(true, true, [[2, 2, 2]], REFERENCE, HANDS)
    assert not found.wrong.any()


def test_the_partner_goes_before_what_is_near():
    """The right hand is 15 pixels off: nearer than twice the threshold."""
    true = np.array([[[0.0, 0], [15, 0], [50, 50]]])
    predicted = np.array([[[12.0, 0], [15, 0], [50, 50]]])
    found = error_kinds(predicted, true, [[2, 2, 2]], REFERENCE, HANDS)
    assert found.counts.tolist() == wrong(SWAP, 0)


def test_places_without_a_label_are_unknown():
    predicted = TRUE.copy()
    predicted[0] = TRUE[1]
    # The label that is missing can be neither the place nor wrong.
    assert kinds_of(predicted, visible=(2, 0, 2)) == wrong(MISS, 0)
    assert not np.any(kinds_of(predicted, visible=(0, 2, 2)))


def test_people_whom_pck_leaves_out_do_not_count():
    assert not np.any(kinds_of(TRUE + 500, reference=[np.nan]))


def test_shares_are_of_the_wrong_ones():
    predicted = np.tile(TRUE, (4, 1, 1))
    predicted[:, 0] = [(100, 0), (100, 0), (0, 15), (0, 0)]
    predicted[0, 2] = 500
    true, visible = np.tile(TRUE, (4, 1, 1)), np.full((4, 3), 2)
    found = error_kinds(predicted, true, visible, np.full(4, 50.0), HANDS)
    assert found.wrong.tolist() == [3, 0, 1]
    np.testing.assert_allclose(found.shares[:, 0], [200 / 3, 0, 100 / 3, 0])
    assert np.isnan(found.shares[:, 1]).all()
    np.testing.assert_allclose(found.total_shares, [50, 0, 25, 25])
    value = found.to_dict(HANDS.names)
    assert (value["threshold"], value["jitter_up_to"]) == (0.2, 0.4)
    shares = {"swap": 50.0, "other": 0.0, "jitter": 25.0, "miss": 25.0}
    assert value["all"] == {"wrong": 4, **shares}
    assert value["per_keypoint"]["left_hand"]["swap"] == 66.6667
    assert value["per_keypoint"]["right_hand"] == {"wrong": 0} | dict.fromkeys(KINDS)
