"""Heatmaps: what encode draws, decode finds again."""

import keras
import numpy as np
import pytest

from tinypose.codecs.heatmap import HeatmapCodec, WindowHeatmapCodec
from tinypose.training.losses import heatmap_loss

CODEC = HeatmapCodec(input_hw=(96, 64), heatmap_hw=(24, 16), sigma_cells=1.5)


def encode(codec: HeatmapCodec, keypoints_xy: np.ndarray, visible: np.ndarray):
    maps, weights = codec.encode(keypoints_xy, visible)
    return keras.ops.convert_to_numpy(maps), keras.ops.convert_to_numpy(weights)


def test_a_hand_worked_map() -> None:
    # Input pixel 4 c + 1.5 is the centre of cell c: (21.5, 41.5) is cell (5, 10).
    maps, weights = encode(CODEC, np.array([[[21.5, 41.5]]]), np.array([[2]]))
    assert maps.shape == (1, 24, 16, 1)
    assert maps[0, 10, 5, 0] == pytest.approx(1.0)
    # One cell to the right: exp(-1 / (2 * 1.5^2)).
    assert maps[0, 10, 6, 0] == pytest.approx(np.exp(-1 / 4.5), rel=1e-5)
    assert maps[0, 12, 6, 0] == pytest.approx(np.exp(-5 / 4.5), rel=1e-5)
    assert weights.tolist() == [[1.0]]


def test_weights_follow_the_labels_not_the_visibility() -> None:
    _, weights = encode(CODEC, np.zeros((1, 3, 2)), np.array([[0, 1, 2]]))
    assert weights.tolist() == [[0.0, 1.0, 1.0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("around", [False, True], ids=["crop", "windows"])
def test_what_is_not_labelled_may_lie_anywhere(value: float, around: bool) -> None:
    points = np.array([[[21.5, 41.5], [value, value]]], np.float32)
    visible = np.array([[2, 0]])
    codec, given = CODEC, (points, visible)
    encode = codec.encode
    if around:
        codec = WindowHeatmapCodec(
            **vars(CODEC), picture_hw=(192, 128), centres="centres"
        )
        encode, given = codec.encode_around, (*given, np.zeros((1, 2, 2), np.float32))
    maps, weights = encode(*given)
    assert np.isfinite(maps).all()
    assert np.asarray(weights).tolist() == [[1, 0]]
    nothing = np.zeros((1, 24, 16, 2), np.float32)
    assert np.isfinite(heatmap_loss(maps, nothing, weights))


def test_a_keypoint_far_outside_has_an_empty_map() -> None:
    maps, weights = encode(CODEC, np.array([[[-60.0, 20.0]]]), np.array([[2]]))
    assert maps.max() < 1e-6
    assert weights[0, 0] == 1


@pytest.mark.parametrize(
    ("refinement", "limit"),
    # Without refinement half a cell, 2 px, per axis; the Gaussian fit is exact.
    [("none", 2.0), ("quarter", 1.0), ("dark", 0.01)],
)
def test_decode_is_the_inverse_of_encode(refinement: str, limit: float) -> None:
    generator = np.random.default_rng(0)
    # Away from the border, where the peak's neighbours lie outside the map.
    points = generator.uniform([8, 8], [55, 87], size=(5, 7, 2))
    maps, _ = encode(CODEC, points, np.ones((5, 7)))
    found, scores = CODEC.decode(maps, refinement)
    assert np.abs(found - points).max() <= limit
    assert (scores > 0.7).all()


def test_each_keypoint_has_its_own_map() -> None:
    points = np.array([[[10.0, 20.0], [50.0, 70.0], [30.0, 12.0]]])
    maps, _ = encode(CODEC, points, np.ones((1, 3)))
    found, _ = CODEC.decode(maps[..., ::-1])
    np.testing.assert_allclose(found, points[:, ::-1], atol=0.01)


def test_encode_in_a_traced_function_equals_eager() -> None:
    import tensorflow as tf

    points = np.random.default_rng(1).uniform(0, 60, size=(2, 3, 2)).astype("float32")
    visible = np.ones((2, 3), np.uint8)
    eager, _ = encode(CODEC, points, visible)
    traced, _ = tf.function(CODEC.encode)(points, visible)
    np.testing.assert_allclose(eager, traced, atol=1e-6)
