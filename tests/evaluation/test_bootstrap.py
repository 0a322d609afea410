from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinypose.data.stick_people import stick_people
from tinypose.evaluation.bootstrap import (
    mean_of_draws,
    percentile_interval,
    picture_groups,
    resample_pck,
)


def _bernoulli(num_people, share, seed, num_keypoints=1):
    """Return errors that are right (0) with the probability ``share``."""
    rng = np.random.default_rng(seed)
    return np.where(rng.uniform(size=(num_people, num_keypoints)) < share, 0.0, 1.0)


def test_interval_of_a_bernoulli_trial():
    errors = _bernoulli(400, 0.7, seed=1)
    low, high = percentile_interval(resample_pck(errors))[:, 0]
    assert low < 70 < high
    # Normal approximation: 2 * 1.96 * 100 * sqrt(0.7 * 0.3 / 400) = 8.98.
    assert high - low == pytest.approx(8.98, rel=0.1)


def test_intervals_hold_the_truth_about_95_times_of_100():
    inside = 0
    for seed in range(100):
        draws = resample_pck(_bernoulli(200, 0.6, seed), draws=300, seed=seed)
        low, high = percentile_interval(draws)[:, 0]
        inside += low <= 60 <= high
    assert 88 <= inside <= 99


def test_same_seed_same_interval():
    errors = _bernoulli(50, 0.5, seed=3, num_keypoints=4)
    first = resample_pck(errors, seed=7)
    np.testing.assert_array_equal(first, resample_pck(errors, seed=7))
    assert (first != resample_pck(errors, seed=8)).any()
    assert first.shape == (1000, 4)


def test_whole_people_are_drawn():
    # Five copies of one keypoint carry no more information than one of it: a
    # bootstrap over single keypoints would give an interval sqrt(5) narrower.
    one = _bernoulli(300, 0.5, seed=2)
    five = np.repeat(one, 5, axis=1)
    single = percentile_interval(mean_of_draws(resample_pck(one)))
    np.testing.assert_allclose(
        percentile_interval(mean_of_draws(resample_pck(five))), single
    )


def test_people_of_one_picture_are_drawn_together():
    # Five people of each picture who fare alike say no more than one of them.
    one = _bernoulli(300, 0.5, seed=2)
    five = np.repeat(one, 5, axis=0)
    single = percentile_interval(resample_pck(one))
    groups = np.repeat(np.arange(300), 5)
    np.testing.assert_allclose(
        percentile_interval(resample_pck(five, groups=groups)), single
    )
    apart = percentile_interval(resample_pck(five))
    assert np.ptp(apart) < 0.6 * np.ptp(single)
    # One in each picture, as if nothing were said.
    same = resample_pck(one, groups=np.arange(300)[::-1] + 7)
    assert np.ptp(percentile_interval(same)) == pytest.approx(np.ptp(single), rel=0.15)
    np.testing.assert_array_equal(
        resample_pck(one, groups=np.arange(300)), resample_pck(one)
    )


def test_one_picture_says_nothing_of_others():
    errors = _bernoulli(30, 0.7, seed=2)
    assert np.isnan(resample_pck(errors, groups=np.zeros(30, int))).all()
    assert np.isfinite(resample_pck(errors[:1], groups=[0])).all()


def test_pictures_are_told_by_their_files():
    drawn = stick_people(range(3))
    files = [Path("a.jpg"), Path("b.jpg"), Path("a.jpg")]
    read = [replace(p, picture=f) for p, f in zip(drawn, files, strict=True)]
    assert picture_groups([*read, *drawn]).tolist() == [0, 1, 0, 2, 3, 4]


def test_people_and_keypoints_that_are_not_labelled():
    errors = np.array([[0.0, np.nan, 9.0], [0.0, np.nan, np.inf], [np.nan] * 3])
    draws = resample_pck(errors)
    # The third person is never drawn, the second keypoint is never known.
    np.testing.assert_array_equal(draws[:, 0], 100)
    assert np.isnan(draws[:, 1]).all()
    np.testing.assert_array_equal(draws[:, 2], 0)
    np.testing.assert_array_equal(mean_of_draws(draws), 50)
    np.testing.assert_array_equal(mean_of_draws(draws, [0]), 100)
    np.testing.assert_array_equal(
        percentile_interval(draws), [[100, np.nan, 0], [100, np.nan, 0]]
    )


def test_nobody_gives_nan(recwarn):
    draws = resample_pck(np.full((4, 2), np.nan))
    assert np.isnan(draws).all()
    assert np.isnan(percentile_interval(mean_of_draws(draws))).all()
    assert not recwarn.list


def test_percentiles_hand_worked():
    # Of 0 .. 100, the central 90 % runs from 5 to 95.
    np.testing.assert_allclose(percentile_interval(np.arange(101.0), 0.9), [5, 95])
