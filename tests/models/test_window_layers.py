"""Layers that look again around a keypoint, each against a loop in NumPy."""

import keras
import numpy as np
import pytest

from tinypose.models.phases import Phase, phase_ends
from tinypose.models.window_layers import (
    Centres,
    CropAround,
    OwnKeypoint,
    PeakCoordinates,
)


def sample(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the value at a position in pixels, edges repeated."""
    height, width = image.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    top = (1 - (x - x0)) * image[y0, x0] + (x - x0) * image[y0, x1]
    bottom = (1 - (x - x0)) * image[y1, x0] + (x - x0) * image[y1, x1]
    return (1 - (y - y0)) * top + (y - y0) * bottom


def test_windows_equal_a_loop() -> None:
    generator = np.random.default_rng(0)
    maps = generator.normal(size=(2, 12, 10, 3)).astype("float32")
    centres = generator.uniform(-0.7, 0.7, (2, 5, 2)).astype("float32")
    windows = np.asarray(CropAround((6, 4), 0.4)([maps, centres]))
    assert windows.shape == (10, 6, 4, 3)
    for picture in range(2):
        for keypoint in range(5):
            for row in range(6):
                for column in range(4):
                    along_x = centres[picture, keypoint, 0] + 0.5
                    along_y = centres[picture, keypoint, 1] + 0.5
                    along_x += ((column + 0.5) / 4 - 0.5) * 0.4
                    along_y += ((row + 0.5) / 6 - 0.5) * 0.4
                    expected = sample(
                        maps[picture], along_x * 10 - 0.5, along_y * 12 - 0.5
                    )
                    found = windows[5 * picture + keypoint, row, column]
                    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_window_of_the_whole_picture_is_the_picture() -> None:
    maps = np.random.default_rng(0).normal(size=(1, 8, 6, 2)).astype("float32")
    windows = CropAround((8, 6), 1.0)([maps, np.zeros((1, 1, 2), "float32")])
    np.testing.assert_allclose(windows, maps, atol=1e-5)


def test_windows_pass_gradients_to_the_map() -> None:
    import tensorflow as tf

    maps = tf.constant(np.random.default_rng(0).normal(size=(1, 8, 8, 2)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        windows = CropAround((4, 4), 0.5)([maps, tf.zeros((1, 3, 2))])
        total = tf.reduce_sum(windows)
    # Each of 3 windows of 4 x 4 cells hands out one unit per channel and cell.
    gradient = tape.gradient(total, maps)
    assert float(tf.reduce_sum(gradient)) == pytest.approx(3 * 16 * 2, rel=1e-5)


def test_each_window_keeps_its_own_keypoint() -> None:
    inputs = np.random.default_rng(0).normal(size=(6, 4, 3)).astype("float32")
    kept = np.asarray(OwnKeypoint(3)(inputs))
    assert kept.shape == (2, 4, 3)
    for picture in range(2):
        for keypoint in range(3):
            np.testing.assert_array_equal(
                kept[picture, :, keypoint], inputs[3 * picture + keypoint, :, keypoint]
            )


@pytest.mark.parametrize("step", [(0.45, -0.3), (-0.25, 0.0), (0.1, 0.49)])
def test_a_peak_between_cells_is_found(step: tuple[float, float]) -> None:
    column, row = 11 + step[0], 4 + step[1]
    squares = (np.arange(20)[None, :] - column) ** 2
    squares = squares + (np.arange(16)[:, None] - row) ** 2
    maps = np.exp(-squares / (2 * 1.5**2))[None, :, :, None].astype("float32")
    found = np.asarray(PeakCoordinates()(maps))
    assert found.shape == (1, 1, 2)
    expected = [(column + 0.5) / 20 - 0.5, (row + 0.5) / 16 - 0.5]
    np.testing.assert_allclose(found[0, 0], expected, atol=0.001)


def test_of_two_equal_peaks_the_first_counts_and_a_border_keeps_its_cell() -> None:
    maps = np.zeros((1, 8, 8, 1), "float32")
    maps[0, 2, 0, 0] = maps[0, 6, 6, 0] = 1.0
    maps[0, 2, 1, 0] = 0.8
    found = np.asarray(PeakCoordinates()(maps))[0, 0]
    np.testing.assert_allclose(found, [0.5 / 8 - 0.5, 2.5 / 8 - 0.5], atol=1e-6)


def test_a_peak_below_zero_is_a_peak() -> None:
    maps = np.full((1, 4, 4, 1), -2.0, "float32")
    maps[0, 1, 3, 0] = -1.0
    found = np.asarray(PeakCoordinates()(maps))[0, 0]
    np.testing.assert_allclose(found, [3.5 / 4 - 0.5, 1.5 / 4 - 0.5], atol=1e-5)


def test_imitated_errors_are_distributed_as_the_measured_ones() -> None:
    generator = np.random.default_rng(0)
    mixing = np.array([[0.02, 0.0], [0.015, 0.01]])
    errors = generator.normal(size=(4000, 3, 2)) @ mixing.T + [0.01, -0.02]
    errors[:50, 0] = np.nan  # not labelled
    layer = Centres()
    layer(np.zeros((1, 3, 2), "float32"))
    layer.set_errors(errors)
    keras.utils.set_random_seed(0)
    truth = np.full((4000, 3, 2), 0.25, "float32")
    imitated = np.asarray(layer.imitate(truth)) - truth
    np.testing.assert_allclose(imitated.mean((0, 1)), [0.01, -0.02], atol=1e-3)
    spread = np.cov(imitated.reshape(-1, 2).T)
    np.testing.assert_allclose(spread, mixing @ mixing.T, rtol=0.1)
    # Passed on as they are, when nothing is imitated.
    np.testing.assert_array_equal(layer(truth), truth)


@pytest.mark.parametrize(
    ("shares", "epochs", "ends"),
    [
        ((1.0,), 7, [7]),
        ((2.0, 1.0, 1.0), 8, [4, 6, 8]),
        ((0.6, 0.2, 0.2), 3, [1, 2, 3]),
        ((0.98, 0.01, 0.01), 10, [8, 9, 10]),
        ((0.01, 0.01, 0.98), 10, [1, 2, 10]),
    ],
)
def test_phases_share_the_epochs(shares, epochs, ends) -> None:
    phases = [Phase(name=str(share), share=share) for share in shares]
    assert phase_ends(phases, epochs) == ends


def test_too_few_epochs_for_the_phases() -> None:
    phases = [Phase(name="coarse"), Phase(name="fine")]
    with pytest.raises(ValueError, match="at least 2 epochs, one for each of coarse"):
        phase_ends(phases, 1)
