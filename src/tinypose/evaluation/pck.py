"""PCK and PCKh: the percentage of correct keypoints.

A keypoint is correct when its error is at most ``threshold`` times a
reference length of the person: the torso for PCK, the head for PCKh. Keypoints
that are not labelled never count; occluded but labelled ones do.

References:
    PCK: Yang & Ramanan, "Articulated human detection with flexible mixtures of
    parts", TPAMI 2013; the torso as reference: Sapp & Taskar, "MODEC", CVPR 2013.
    PCKh: Andriluka et al., "2D human pose estimation: new benchmark and state
    of the art analysis", CVPR 2014.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.skeletons import MPII, Skeleton

FloatArray = NDArray[np.float64]

MIN_REFERENCE = 1.0
"""Shortest reference length, in pixels: below it the label is degenerate."""

MPII_LEFT_OUT = ("pelvis", "thorax")
"""Keypoints of MPII that its evaluation does not count in the mean PCKh."""


@dataclass(frozen=True, eq=False)
class PCK:
    """The percentage of correct keypoints at one threshold.

    Args:
        threshold: Largest error that is correct, in reference lengths.
        per_keypoint: (num_keypoints,) percent; nan where never labelled.
        counts: (num_keypoints,) number of labelled keypoints behind it.
        weights: (num_keypoints,) of each keypoint in the mean; None counts all
            alike.
    """

    threshold: float
    per_keypoint: FloatArray
    counts: NDArray[np.int64]
    weights: NDArray[np.int64] | None = None

    @property
    def mean(self) -> float:
        """Mean over the keypoints that were ever labelled; nan for none."""
        return mean_known(self.per_keypoint, self.weights)


def torso_sizes(
    true_xy: ArrayLike, visible: ArrayLike, skeleton: Skeleton
) -> FloatArray:
    """Return the true length of each person's torso, the reference of PCK.

    Args:
        true_xy: (num_people, num_keypoints, 2), (x, y) in pixels.
        visible: (num_people, num_keypoints), 0 where not labelled.
        skeleton: Its ``torso`` pair is measured.

    Returns:
        (num_people,) pixels; nan where the pair is not labelled, is shorter
        than ``MIN_REFERENCE``, or the skeleton has none.
    """
    return _pair_lengths(true_xy, visible, skeleton, skeleton.torso)


def head_sizes(
    true_xy: ArrayLike, visible: ArrayLike, skeleton: Skeleton
) -> FloatArray:
    """Return the true length of each person's head, the reference of PCKh.

    The arguments and the result are those of ``torso_sizes``, with the pair
    ``skeleton.head``.
    """
    return _pair_lengths(true_xy, visible, skeleton, skeleton.head)


def normalised_errors(
    predicted_xy: ArrayLike,
    true_xy: ArrayLike,
    visible: ArrayLike,
    reference: ArrayLike,
) -> FloatArray:
    """Return the distance between prediction and truth in reference lengths.

    Args:
        predicted_xy: (num_people, num_keypoints, 2), (x, y) in pixels; NaN
            where nothing was predicted.
        true_xy: (num_people, num_keypoints, 2), (x, y) in pixels.
        visible: (num_people, num_keypoints), 0 where not labelled.
        reference: (num_people,) pixels; nan leaves a person out.

    Returns:
        (num_people, num_keypoints); nan where not labelled or left out, inf
        where labelled but not predicted.

    Raises:
        ValueError: the shapes do not fit together.
    """
    predicted = np.asarray(predicted_xy, np.float64)
    true = np.asarray(true_xy, np.float64)
    lengths = np.asarray(reference, np.float64)
    labelled = np.asarray(visible) > 0
    _check_shapes(predicted, true, labelled, lengths)
    offset = predicted - np.where(labelled[..., None], true, 0.0)
    distance = np.hypot(offset[..., 0], offset[..., 1])
    distance = np.where(np.isfinite(distance), distance, np.inf)
    usable = labelled & (lengths > 0)[:, None]
    errors = np.full(distance.shape, np.nan)
    np.divide(distance, lengths[:, None], out=errors, where=usable)
    return errors


def pck(
    predicted_xy: ArrayLike,
    true_xy: ArrayLike,
    visible: ArrayLike,
    reference: ArrayLike,
    threshold: float = 0.2,
) -> PCK:
    """Return the percentage of correct keypoints.

    Args:
        predicted_xy: (num_people, num_keypoints, 2), (x, y) in pixels; NaN
            where nothing was predicted, which is wrong.
        true_xy: (num_people, num_keypoints, 2), (x, y) in pixels.
        visible: (num_people, num_keypoints), 0 where not labelled.
        reference: (num_people,) pixels, as from ``torso_sizes``; nan leaves a
            person out.
        threshold: Largest error that is correct, in reference lengths.

    Raises:
        ValueError: the shapes do not fit together.
    """
    return pck_of_errors(
        normalised_errors(predicted_xy, true_xy, visible, reference), threshold
    )


def pck_of_errors(errors: FloatArray, threshold: float = 0.2) -> PCK:
    """Return the PCK of ``normalised_errors`` (num_people, num_keypoints)."""
    right = (errors <= threshold).sum(axis=0)
    counts = np.isfinite(errors).sum(axis=0) + np.isposinf(errors).sum(axis=0)
    return PCK(threshold, percent(right, counts), counts.astype(np.int64))


def pckh_of_errors(
    errors: FloatArray, skeleton: Skeleton, threshold: float = 0.5
) -> PCK:
    """Return the PCKh of errors in head lengths (num_people, num_keypoints).

    With the keypoints of MPII its mean is the one that MPII's own evaluation
    and the papers state: pelvis and thorax are left out, and each other keypoint
    counts as often as it is labelled.
    """
    value = pck_of_errors(errors, threshold)
    if skeleton.names != MPII.names:
        return value
    counted = [name not in MPII_LEFT_OUT for name in skeleton.names]
    return replace(value, weights=value.counts * counted)


def pck_curve(errors: FloatArray, thresholds: Sequence[float]) -> FloatArray:
    """Return PCK at many thresholds.

    Args:
        errors: (num_people, num_keypoints), from ``normalised_errors``.
        thresholds: Largest errors that are correct, in reference lengths.

    Returns:
        (num_thresholds, num_keypoints) percent; nan where never labelled.
    """
    rows = [pck_of_errors(errors, threshold).per_keypoint for threshold in thresholds]
    return np.array(rows, np.float64).reshape(len(rows), errors.shape[1])


def percent(right: ArrayLike, counts: ArrayLike) -> FloatArray:
    """Return 100 * right / counts; nan where the count is 0."""
    right, counts = np.asarray(right, np.float64), np.asarray(counts, np.float64)
    result = np.full(np.broadcast_shapes(right.shape, counts.shape), np.nan)
    np.divide(100 * right, counts, out=result, where=counts > 0)
    return result


def mean_known(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the mean of the values that are not nan; nan when all are.

    Args:
        values: Any numbers.
        weights: Of the same shape; None weighs all alike.
    """
    numbers = np.asarray(values, np.float64)
    shares = np.ones(numbers.shape) if weights is None else np.asarray(weights)
    known = ~np.isnan(numbers) & (shares > 0)
    if not known.any():
        return float("nan")
    return float(np.average(numbers[known], weights=shares[known]))


def _pair_lengths(
    true_xy: ArrayLike,
    visible: ArrayLike,
    skeleton: Skeleton,
    pair: tuple[str, str] | None,
) -> FloatArray:
    points = np.asarray(true_xy, np.float64)
    labelled = np.asarray(visible) > 0
    if pair is None:
        return np.full(len(points), np.nan)
    first, second = skeleton.index(pair[0]), skeleton.index(pair[1])
    lengths = np.linalg.norm(points[:, first] - points[:, second], axis=1)
    usable = labelled[:, first] & labelled[:, second] & (lengths >= MIN_REFERENCE)
    return np.where(usable, lengths, np.nan)


def _check_shapes(
    predicted: FloatArray,
    true: FloatArray,
    labelled: NDArray[np.bool_],
    reference: FloatArray,
) -> None:
    if true.ndim != 3 or true.shape[2] != 2:
        raise ValueError(
            "expected true_xy of shape (num_people, num_keypoints, 2), "
            f"received {true.shape}"
        )
    for name, found, expected in [
        ("predicted_xy", predicted.shape, true.shape),
        ("visible", labelled.shape, true.shape[:2]),
        ("reference", reference.shape, true.shape[:1]),
    ]:
        if found != expected:
            raise ValueError(f"expected {name} of shape {expected}, received {found}")
