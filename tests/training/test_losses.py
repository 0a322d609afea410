"""Losses: masked, and worked by hand."""

import numpy as np
import pytest

from tinypose.training.losses import heatmap_loss


def test_worked_by_hand() -> None:
    target = np.zeros((2, 2, 3, 2), "float32")
    predicted = np.zeros((2, 2, 3, 2), "float32")
    predicted[0, 1, 2, 0] = 3.0  # 9
    predicted[1, 0, 0, 0] = 1.0  # 1
    predicted[1, 0, 1, 0] = 2.0  # + 4
    weights = np.array([[1, 1], [1, 0]], "float32")
    # (9 + 0 + 5) / 3 labelled keypoints.
    loss = float(heatmap_loss(target, predicted, weights))
    assert loss == pytest.approx(14 / 3)


def test_what_is_not_labelled_does_not_count() -> None:
    generator = np.random.default_rng(0)
    target = generator.uniform(size=(2, 4, 3, 5)).astype("float32")
    predicted = generator.uniform(size=(2, 4, 3, 5)).astype("float32")
    weights = np.array([[1, 0, 1, 0, 1], [0, 0, 1, 1, 0]], "float32")
    before = float(heatmap_loss(target, predicted, weights))
    predicted += 100 * (1 - weights)[:, None, None, :]
    assert float(heatmap_loss(target, predicted, weights)) == pytest.approx(before)


def test_nobody_labelled_costs_nothing() -> None:
    ones = np.ones((1, 2, 3, 4), "float32")
    assert float(heatmap_loss(ones, 0 * ones, np.zeros((1, 4), "float32"))) == 0
