"""Part masks: discs of ones, and what hidden keypoints weigh."""

import keras
import numpy as np
import pytest

from tinypose.codecs.part_masks import PartMaskCodec
from tinypose.training.losses import part_mask_loss

CODEC = PartMaskCodec(
    input_hw=(96, 64), mask_hw=(24, 16), radius_cells=2.0, occluded_weight=0.25
)


def encode(points, visible):
    masks, weights = CODEC.encode(np.array(points), np.array(visible))
    return keras.ops.convert_to_numpy(masks), np.asarray(weights)


def test_a_hand_worked_disc() -> None:
    # Input pixel 4 c + 1.5 is the centre of cell c: (21.5, 41.5) is cell (5, 10).
    masks, _ = encode([[[21.5, 41.5]]], [[2]])
    rows = ["..#..", ".###.", "#####", ".###.", "..#.."]
    expected = [[cell == "#" for cell in row] for row in rows]
    np.testing.assert_array_equal(masks[0, 8:13, 3:8, 0], expected)
    assert masks.sum() == 13


def test_weights_tell_seen_hidden_and_unlabelled_apart() -> None:
    _, weights = encode([[[1.0, 1.0]] * 3], [[2, 1, 0]])
    assert weights.tolist() == [[1.0, 0.25, 0.0]]


def test_loss_worked_by_hand() -> None:
    target = np.zeros((1, 2, 2, 2), "float32")
    target[0, 0, 0] = 1
    logits = np.zeros((1, 2, 2, 2), "float32")
    # Four cells at log 2 each, over discs of one cell; the mean of both maps.
    loss = float(part_mask_loss(target, logits, np.ones((1, 2), "float32")))
    assert loss == pytest.approx(4 * np.log(2), rel=1e-5)
    logits[..., 1] = 100
    only_first = float(part_mask_loss(target, logits, np.array([[1.0, 0]], "float32")))
    assert only_first == pytest.approx(4 * np.log(2), rel=1e-5)
    logits[..., 0] = np.where(target[..., 0], 50, -50)
    right = float(part_mask_loss(target, logits, np.array([[1.0, 0]], "float32")))
    assert right == pytest.approx(0, abs=1e-5)
