"""Bootstrap: how sure a PCK is, given how few people it was measured on.

References:
    Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 13
    (percentile intervals).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.data.sample import Sample
from tinypose.evaluation.pck import FloatArray, percent

DRAWS = 1000
LEVEL = 0.95

_CHUNK = 100
"""Draws made at once: bounds the memory to _CHUNK x num_pictures numbers."""


def picture_groups(samples: Sequence[Sample]) -> NDArray[np.intp]:
    """Return the number (num_people,) of each person's picture.

    A picture that is drawn, not read, is of one person.
    """
    numbers: dict[Any, int] = {}
    return np.array(
        [
            numbers.setdefault(
                sample.picture if isinstance(sample.picture, Path) else index,
                len(numbers),
            )
            for index, sample in enumerate(samples)
        ],
        np.intp,
    )


def resample_pck(
    errors: ArrayLike,
    threshold: float = 0.2,
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> FloatArray:
    """Return the PCK of many sets of people, drawn with replacement.

    Whole pictures are drawn, because the keypoints of one person are right or
    wrong together, and so are the people of one picture. People without a single
    finite or infinite error are not drawn.

    Args:
        errors: (num_people, num_keypoints), from ``normalised_errors``.
        threshold: Largest error that is correct, in reference lengths.
        groups: (num_people,) of each person's picture, from ``picture_groups``;
            None where each is in one of their own.
        draws: Number of sets.
        seed: The same seed gives the same sets.

    Returns:
        (draws, num_keypoints) percent; nan where a set has no label, and where all
        people are in one picture.
    """
    errors = np.asarray(errors, np.float64)
    is_scored = ~np.isnan(errors).all(axis=1)
    scored = errors[is_scored]
    result = np.full((draws, errors.shape[1]), np.nan)
    if not len(scored):
        return result
    places = np.arange(len(errors)) if groups is None else np.asarray(groups, np.intp)
    _, places = np.unique(places[is_scored], return_inverse=True)
    num_groups = int(places.max()) + 1
    if num_groups == 1 < len(scored):
        return result  # one picture says nothing of how pictures differ
    right, labelled = (
        _sums(values, places, num_groups)
        for values in (scored <= threshold, ~np.isnan(scored))
    )
    rng = np.random.default_rng(seed)
    chances = np.full(num_groups, 1 / num_groups)
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        # How often each picture is in each set: (size, num_groups).
        times = rng.multinomial(num_groups, chances, size=size).astype(np.float64)
        result[start : start + size] = percent(times @ right, times @ labelled)
    return result


def _sums(
    values: NDArray[np.bool_], places: NDArray[np.intp], num_groups: int
) -> FloatArray:
    """Return how many are true, by group and keypoint."""
    sums = np.zeros((num_groups, values.shape[1]))
    np.add.at(sums, places, values)
    return sums


def mean_of_draws(
    samples: FloatArray, keypoints: ArrayLike | None = None
) -> FloatArray:
    """Return the mean over keypoints of each draw.

    Args:
        samples: (draws, num_keypoints) percent, from ``resample_pck``.
        keypoints: Positions to average over; None means all.

    Returns:
        (draws,) percent; nan where none of the keypoints has a value.
    """
    if keypoints is not None:
        samples = samples[:, np.asarray(keypoints, np.intp)]
    known = ~np.isnan(samples)
    sums = np.where(known, samples, 0.0).sum(axis=1)
    return percent(sums / 100, known.sum(axis=1))


def percentile_interval(samples: ArrayLike, level: float = LEVEL) -> FloatArray:
    """Return the percentile interval of bootstrap draws.

    Args:
        samples: (draws, ...) values; nan is left out.
        level: Share of the draws that the interval holds.

    Returns:
        (2, ...) lower and upper end; nan where there is no value at all.
    """
    values = np.asarray(samples, np.float64)
    ends = [50 * (1 - level), 50 * (1 + level)]
    flat = values.reshape(len(values), -1)
    result = np.full((2, flat.shape[1]), np.nan)
    for column in range(flat.shape[1]):
        known = flat[~np.isnan(flat[:, column]), column]
        if known.size:
            result[:, column] = np.percentile(known, ends)
    return result.reshape(2, *values.shape[1:])
