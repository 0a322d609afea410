import numpy as np
import pytest

from tinypose.evaluation.pcp import pcp
from tinypose.skeletons import LSP, Skeleton

CHAIN = Skeleton(
    name="chain",
    names=("a", "b", "c"),
    edges=(("a", "b"), ("b", "c"), ("a", "c")),
    limbs=(("a", "b"), ("b", "c")),
)
# Limb a-b is 10 long (limit 5), limb b-c is 4 long (limit 2).
TRUE = np.array([[[0, 0], [10, 0], [10, 4]]], np.float64)


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        pytest.param([[0, 0], [0, 0], [0, 0]], [100, 100], id="exact"),
        pytest.param([[5, 0], [0, 0], [0, 0]], [100, 100], id="exactly-half"),
        pytest.param([[5.1, 0], [0, 0], [0, 0]], [0, 100], id="one-end-off"),
        # 3 is within 5 of the long limb, not within 2 of the short one. The
        # mean of both ends would be 1.5: only the strict form says wrong.
        pytest.param([[0, 0], [3, 0], [0, 0]], [100, 0], id="strict"),
        pytest.param([[0, 0], [0, 0], [np.nan, 0]], [100, 0], id="not-predicted"),
    ],
)
def test_pcp_hand_worked(offsets, expected):
    result = pcp(TRUE + np.array([offsets]), TRUE, [[2, 1, 2]], CHAIN)
    np.testing.assert_allclose(result.per_limb, expected)
    assert result.limbs == CHAIN.limbs
    assert result.mean == pytest.approx(np.mean(expected))


def test_limbs_with_an_absent_or_coinciding_end_do_not_count():
    true = np.repeat(TRUE, 4, axis=0)
    visible = np.full((4, 3), 2)
    visible[0, 2] = 0  # b-c of the first person
    true[1, 1] = true[1, 0]  # a-b has no length
    predicted = true.copy()
    predicted[3, 0] += 100
    before = predicted.copy(), true.copy(), visible.copy()
    result = pcp(predicted, true, visible, CHAIN)
    # a-b: people 0, 2, 3 count, 3 is wrong; b-c: people 1, 2, 3, all right.
    np.testing.assert_allclose(result.per_limb, [200 / 3, 100])
    np.testing.assert_array_equal(result.counts, [3, 3])
    for array, copy in zip((predicted, true, visible), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_limb_never_labelled_is_unknown():
    result = pcp(TRUE, TRUE, [[2, 2, 0]], CHAIN)
    np.testing.assert_array_equal(result.per_limb, [100, np.nan])
    assert result.mean == 100


def test_limbs_are_those_of_the_skeleton():
    points = np.random.default_rng(0).uniform(0, 99, (2, 14, 2))
    result = pcp(points, points, np.ones((2, 14)), LSP)
    assert ("left_elbow", "left_wrist") in result.limbs
    assert len(result.limbs) == 9  # eight of arms and legs, and the head
