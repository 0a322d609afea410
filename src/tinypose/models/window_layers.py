"""Layers of the families that look again, at a window around each keypoint."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import keras
import numpy as np
from keras import ops

LEAST_SHARE = 0.01
"""Of a peak; a neighbour that is lower counts as this much."""


@keras.saving.register_keras_serializable(package="tinypose")
class Centres(keras.layers.Layer):
    """Pass coordinates on; know how wrong they usually are.

    A stage that looks again around a first answer must have seen such answers
    in training, right ones and wrong ones. A person has one first answer; the
    errors of the stage before are measured once (``set_errors``) and imitated
    around the truth (``imitate``), another one each time the person is seen.

    Args:
        seed: Of the imitated errors.

    Reference:
        Toshev & Szegedy, "DeepPose: human pose estimation via deep neural
        networks", CVPR 2014, https://arxiv.org/abs/1312.4659, section 3.2: a
        normal distribution of each keypoint's displacement.
    """

    def __init__(self, seed: int = 0, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Create the statistics: no errors yet."""
        count = input_shape[1]
        self.mean = self.add_weight(
            name="mean", shape=(count, 2), initializer="zeros", trainable=False
        )
        self.factor = self.add_weight(
            name="factor", shape=(count, 2, 2), initializer="zeros", trainable=False
        )

    def call(self, inputs: Any) -> Any:
        """Return the coordinates (batch, num_keypoints, 2) as they are."""
        return inputs * 1.0  # an output of its own, where the graph can be cut

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the same shape."""
        return input_shape

    def set_errors(self, errors: Any) -> None:
        """Learn the distribution of errors.

        Args:
            errors: (num_people, num_keypoints, 2), found minus true, in the
                coordinates' units; nan where a keypoint is not labelled.
        """
        errors = np.asarray(errors, np.float64)
        mean, factor = (
            np.array(ops.convert_to_numpy(weight))
            for weight in (self.mean, self.factor)
        )
        for index in range(errors.shape[1]):
            known = errors[:, index][np.isfinite(errors[:, index]).all(axis=-1)]
            if len(known) < 3:
                continue
            mean[index] = known.mean(axis=0)
            spread = np.cov(known.T) + 1e-10 * np.eye(2)
            factor[index] = np.linalg.cholesky(spread)
        self.mean.assign(mean)
        self.factor.assign(factor)

    def restart(self) -> None:
        """Imitate the same errors again, from the first one on."""
        self.generator.state.assign(keras.random.SeedGenerator(self.seed).state)

    def imitate(self, truth: Any) -> Any:
        """Return true coordinates (batch, num_keypoints, 2) plus random errors."""
        shape = ops.shape(truth)
        noise = keras.random.normal(shape, dtype=self.dtype, seed=self.generator)
        errors = ops.sum(self.factor * noise[:, :, None, :], axis=-1)
        return truth + self.mean + errors

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="tinypose")
class CropAround(keras.layers.Layer):
    """Cut a window around each keypoint out of a picture or feature map.

    Coordinates are relative to the picture: 0 is its centre, -1/2 and 1/2 are
    its edges. Values between cells are interpolated linearly; beyond the edge
    the last row or column is repeated.

    Args:
        size_hw: Height and width of a window, in cells.
        fraction: Side of a window, as a fraction of the picture's.
    """

    def __init__(
        self, size_hw: tuple[int, int], fraction: float, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.size_hw = (int(size_hw[0]), int(size_hw[1]))
        self.fraction = fraction

    def build(self, input_shape: Any) -> None:
        """Note how many windows a picture gives."""
        self.batch_factor = Fraction(input_shape[1][1])

    def call(self, inputs: Any) -> Any:
        """Return the windows (batch * num_keypoints, height, width, channels).

        Args:
            inputs: The map (batch, H, W, channels), and the centres (batch,
                num_keypoints, 2) as x, y.
        """
        maps, centres = inputs
        height, width, channels = maps.shape[1:]
        x = self._positions(centres[..., 0], width, self.size_hw[1])  # (B, K, w)
        y = self._positions(centres[..., 1], height, self.size_hw[0])  # (B, K, h)
        left, top = ops.floor(x), ops.floor(y)
        # Position of each corner in the list of all cells of all pictures.
        picture = ops.cumsum(ops.ones_like(centres[:, :1, :1], "int32"), axis=0) - 1
        first = picture[..., None] * (height * width)  # (B, 1, 1, 1)
        columns = [ops.cast(left, "int32")]
        columns.append(ops.minimum(columns[0] + 1, width - 1))
        rows = [ops.cast(top, "int32")]
        rows.append(ops.minimum(rows[0] + 1, height - 1))
        cells = ops.reshape(maps, (-1, channels))
        windows: Any = 0.0
        shares_y, shares_x = (1 - (y - top), y - top), (1 - (x - left), x - left)
        for row, share_y in zip(rows, shares_y, strict=True):
            for column, share_x in zip(columns, shares_x, strict=True):
                index = first + row[..., :, None] * width + column[..., None, :]
                share = share_y[..., :, None] * share_x[..., None, :]
                windows += share[..., None] * ops.take(cells, index, axis=0)
        shape = (-1, *self.size_hw, channels)
        return ops.reshape(windows, shape)

    def _positions(self, centres: Any, size: int, count: int) -> Any:
        """Return where the cells of a window lie along an axis of the map."""
        offsets = (np.arange(count) + 0.5) / count - 0.5
        steps = (offsets * self.fraction).astype("float32")
        positions = (centres[..., None] + 0.5 + steps) * size - 0.5
        return ops.clip(positions, 0.0, size - 1.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the windows, all in one batch."""
        return (None, *self.size_hw, input_shape[0][-1])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"size_hw": self.size_hw, "fraction": self.fraction}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="tinypose")
class OwnKeypoint(keras.layers.Layer):
    """Keep, of what is said about all keypoints in each window, its own.

    Args:
        num_keypoints: Windows of a picture, one after the other in the batch.
    """

    def __init__(self, num_keypoints: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.num_keypoints = num_keypoints
        self.batch_factor = Fraction(1, num_keypoints)

    def call(self, inputs: Any) -> Any:
        """Return what each window says about the keypoint that it was cut around.

        Args:
            inputs: (batch * num_keypoints, ..., num_keypoints).

        Returns:
            (batch, ..., num_keypoints).
        """
        count = self.num_keypoints
        inner = inputs.shape[1:-1]
        own = ops.reshape(inputs, (-1, count, *inner, count))
        mask = np.eye(count, dtype="float32").reshape(
            (1, count, *([1] * len(inner)), count)
        )
        return ops.sum(own * mask, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with the pictures' batch."""
        return (None, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "num_keypoints": self.num_keypoints}


@keras.saving.register_keras_serializable(package="tinypose")
class PeakCoordinates(keras.layers.Layer):
    """Find each map's highest cell, and the top of a Gaussian through it.

    Along each axis the logarithm of a Gaussian is a parabola, and three cells
    say where its top is. Of cells as high, the first in reading order counts; at
    the border, where a neighbour is missing, the cell's centre does. Not for
    training: the maps themselves are supervised.
    """

    def call(self, inputs: Any) -> Any:
        """Return (batch, num_keypoints, 2), relative to the map's extent.

        Args:
            inputs: (batch, height, width, num_keypoints).
        """
        height, width = inputs.shape[1:3]
        x = np.arange(width, dtype="float32")[None, None, :, None]
        y = np.arange(height, dtype="float32")[None, :, None, None]
        highest = _over_map(ops.max, inputs)
        # TFLite has no operation for keras.ops.argmax.
        number = y * width + x
        first = _over_map(ops.min, ops.where(inputs >= highest, number, number.size))
        at_peak = ops.cast(ops.equal(number, first), inputs.dtype)
        peak_x = _over_map(ops.sum, at_peak * x)
        peak_y = _over_map(ops.sum, at_peak * y)
        floor = ops.maximum(LEAST_SHARE * highest, 1e-6)
        centre = ops.log(ops.maximum(highest, floor))

        def log_at(step_x: float, step_y: float) -> Any:
            there = ops.equal(x, peak_x + step_x) & ops.equal(y, peak_y + step_y)
            value = _over_map(ops.sum, inputs * ops.cast(there, inputs.dtype))
            return ops.log(ops.maximum(value, floor))

        found = []
        for peak, count, before, after in (
            (peak_x, width, log_at(-1, 0), log_at(1, 0)),
            (peak_y, height, log_at(0, -1), log_at(0, 1)),
        ):
            bend = ops.maximum(2 * centre - before - after, 1e-6)
            inner = ops.cast((peak > 0) & (peak < count - 1), inputs.dtype)
            cells = peak + 0.5 * inner * (after - before) / bend
            found.append(((cells + 0.5) / count - 0.5)[:, 0, 0, :])
        return ops.stop_gradient(ops.stack(found, axis=-1))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, num_keypoints, 2)."""
        return (input_shape[0], input_shape[-1], 2)


def _over_map(reduce: Callable[..., Any], maps: Any) -> Any:
    """Reduce maps (batch, height, width, num_keypoints) to one value each."""
    return reduce(maps, axis=(1, 2), keepdims=True)
