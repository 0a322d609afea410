import numpy as np
import pytest

from tinypose.evaluation.pck import (
    head_sizes,
    normalised_errors,
    pck,
    pck_curve,
    torso_sizes,
)
from tinypose.skeletons import LSP, Skeleton

FAR = np.array([500.0, 500.0])


def _people():
    """Two people of three keypoints, references 10 and 20."""
    true = np.array(
        [[[0, 0], [10, 0], [20, 5]], [[100, 0], [50, 50], [-7, 3]]], np.float64
    )
    # Errors: 2, 2.1, 0 of reference 10; 3-4-5 and 4, 30 of reference 20.
    offsets = np.array([[[2, 0], [0, 2.1], [0, 0]], [[3, 4], [0, -4], [30, 0]]])
    return true + offsets, true, np.full((2, 3), 2), np.array([10.0, 20.0])


def test_pck_hand_worked():
    predicted, true, visible, reference = _people()
    # Normalised: 0.2, 0.21, 0 and 0.25, 0.2, 1.5. At 0.2 the first keypoint is
    # right once of two (0.2 counts, 0.25 not), so are the second and third.
    result = pck(predicted, true, visible, reference, threshold=0.2)
    np.testing.assert_allclose(result.per_keypoint, [50, 50, 50])
    np.testing.assert_array_equal(result.counts, [2, 2, 2])
    assert result.mean == 50
    # At 0.22 the second keypoint is right twice: (50 + 100 + 50) / 3.
    assert pck(predicted, true, visible, reference, 0.22).mean == pytest.approx(200 / 3)


def test_error_of_exactly_the_threshold_is_right():
    # In floats 0.1 * 3 is not 0.3, nor 0.05 * 7 the 0.35 of the label.
    for threshold, reference in [(0.1, 3), (0.2, 30), (0.3, 10), (0.7, 10), (0.05, 7)]:
        error = float(f"{threshold * reference:.6g}")
        predicted = np.array([[[error, 0.0]]])
        result = pck(predicted, np.zeros((1, 1, 2)), [[1]], [reference], threshold)
        assert result.mean == 100, threshold


def test_absent_keypoints_do_not_count():
    predicted, true, visible, reference = _people()
    visible[0, 0] = 0  # leaves 0.25, which is wrong
    visible[:, 2] = 0  # never labelled
    visible[1, 1] = 1  # occluded counts
    true[0, 0] = np.nan  # coordinates without a label mean nothing
    result = pck(predicted, true, visible, reference)
    np.testing.assert_allclose(result.per_keypoint, [0, 50, np.nan])
    np.testing.assert_array_equal(result.counts, [1, 2, 0])
    assert result.mean == 25


def test_missing_prediction_is_wrong_and_counts():
    predicted, true, visible, reference = _people()
    predicted[0, 2] = np.nan
    errors = normalised_errors(predicted, true, visible, reference)
    assert errors[0, 2] == np.inf
    result = pck(predicted, true, visible, reference, threshold=10)
    np.testing.assert_allclose(result.per_keypoint, [100, 100, 50])
    np.testing.assert_array_equal(result.counts, [2, 2, 2])


def test_person_without_reference_is_left_out():
    predicted, true, visible, reference = _people()
    reference[1] = np.nan
    result = pck(predicted, true, visible, reference)
    np.testing.assert_allclose(result.per_keypoint, [100, 0, 100])
    np.testing.assert_array_equal(result.counts, [1, 1, 1])


def test_nobody_known_gives_nan_without_warning(recwarn):
    predicted, true, visible, _ = _people()
    result = pck(predicted, true, visible, np.full(2, np.nan))
    assert np.isnan(result.per_keypoint).all()
    assert np.isnan(result.mean)
    assert not recwarn.list


def test_inputs_are_not_changed():
    arrays = _people()
    arrays[0][0, 0] = np.nan
    copies = [np.array(a) for a in arrays]
    pck(*arrays)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_curve_equals_pck_at_each_threshold_and_rises():
    predicted, true, visible, reference = _people()
    errors = normalised_errors(predicted, true, visible, reference)
    thresholds = [0.0, 0.1, 0.2, 0.25, 2.0]
    curve = pck_curve(errors, thresholds)
    assert curve.shape == (5, 3)
    for row, threshold in zip(curve, thresholds, strict=True):
        expected = pck(predicted, true, visible, reference, threshold)
        np.testing.assert_array_equal(row, expected.per_keypoint)
    assert (np.diff(curve, axis=0) >= 0).all()
    np.testing.assert_array_equal(curve[-1], [100, 100, 100])


@pytest.mark.parametrize(
    ("argument", "index", "value"),
    [
        pytest.param("predicted_xy", 0, np.zeros((2, 4, 2)), id="predicted"),
        pytest.param("true_xy", 1, np.zeros((2, 3)), id="true"),
        pytest.param("visible", 2, np.ones((3, 2)), id="visible"),
        pytest.param("reference", 3, np.ones(3), id="reference"),
    ],
)
def test_wrong_shape_names_the_argument(argument, index, value):
    arrays = list(_people())
    arrays[index] = value
    with pytest.raises(ValueError, match=rf"{argument}.*received"):
        pck(*arrays)


def test_torso_and_head_sizes():
    true = np.zeros((4, 14, 2))
    visible = np.full((4, 14), 2, np.uint8)
    shoulder, hip = LSP.index("left_shoulder"), LSP.index("right_hip")
    top, neck = LSP.index("head_top"), LSP.index("neck")
    true[:, shoulder] = [6, 8]  # 6-8-10 triangle to the hip at 0, 0
    true[:, top] = [0, -5]
    visible[1, hip] = 0
    visible[2, shoulder] = 1  # occluded is labelled
    true[3, shoulder] = [0.5, 0.5]  # shorter than a pixel
    np.testing.assert_allclose(
        torso_sizes(true, visible, LSP), [10, np.nan, 10, np.nan]
    )
    visible[0, neck] = 0
    np.testing.assert_allclose(head_sizes(true, visible, LSP), [np.nan, 5, 5, 5])


def test_skeleton_without_torso_has_no_torso_size():
    skeleton = Skeleton(name="two", names=("a", "b"))
    sizes = torso_sizes(np.ones((3, 2, 2)), np.ones((3, 2)), skeleton)
    np.testing.assert_array_equal(sizes, [np.nan] * 3)
