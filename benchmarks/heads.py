"""Other ways than heatmaps to say where a keypoint is, for the ablation.

Two families that are no part of the package: the network of ``conv_hourglass``
whose last layer gives something else, from which a layer inside the network makes
coordinates. They train and are evaluated by the same code as every family;
importing this module makes them known.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops

from tinypose.codecs.coordinates import CoordinateCodec
from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.models import FAMILIES, Family
from tinypose.models.conv_hourglass import (
    ConvHourglassConfig,
    build_conv_hourglass,
    conv_hourglass_codecs,
)
from tinypose.models.phases import Phase
from tinypose.training.losses import LOSSES

BINS_PER_PIXEL = 2
SIMCC_SIGMA = 4.0
"""Standard deviation of the target distributions, in bins: half a heatmap cell's."""

OFFSET_RADIUS = 2.0
"""How far from a keypoint cells learn where it is, in cells."""

Arrays = Any


@dataclass(frozen=True, kw_only=True)
class SimccCodec:
    """Encode keypoints as a distribution along x and one along y; targets only.

    Args:
        input_hw: Height and width of the model's input, a square, in pixels.

    Reference:
        Li et al., "SimCC: a simple coordinate classification perspective for
        human pose estimation", ECCV 2022, https://arxiv.org/abs/2107.03332,
        section 3: bins finer than pixels, smoothed labels.
    """

    input_hw: tuple[int, int]

    @property
    def num_bins(self) -> int:
        """Bins along each axis."""
        return BINS_PER_PIXEL * self.input_hw[0]

    def encode(self, keypoints_xy: Arrays, visible: Arrays) -> tuple[Arrays, Arrays]:
        """Return distributions (batch, num_keypoints, 2, num_bins) and weights.

        A keypoint outside the crop has no bin and no weight.
        """
        places = (ops.cast(keypoints_xy, "float32") + 0.5) * BINS_PER_PIXEL - 0.5
        steps = ops.arange(self.num_bins, dtype="float32") - places[..., None]
        masses = ops.exp(-0.5 * (steps / SIMCC_SIGMA) ** 2)
        inside = ops.all((places > -0.5) & (places < self.num_bins - 0.5), axis=-1)
        known = (ops.cast(visible, "float32") > 0) & inside
        total = ops.maximum(ops.sum(masses, axis=-1, keepdims=True), 1e-6)
        return masses / total, ops.cast(known, "float32")


@dataclass(frozen=True, kw_only=True)
class OffsetCodec:
    """Encode keypoints as the way from each cell near them; targets only.

    Args:
        input_hw: Height and width of the model's input, in pixels.
        heatmap_hw: Height and width of the maps, in cells.
    """

    input_hw: tuple[int, int]
    heatmap_hw: tuple[int, int]

    def encode(self, keypoints_xy: Arrays, visible: Arrays) -> tuple[Arrays, Arrays]:
        """Return (batch, height, width, num_keypoints, 3) and weights.

        The last axis is the way along x and y, in cells, and whether the cell is
        near enough to learn it.
        """
        height, width = self.heatmap_hw
        stride = (self.input_hw[1] / width, self.input_hw[0] / height)
        cells = (ops.cast(keypoints_xy, "float32") + 0.5) / ops.array(stride) - 0.5
        shape = (ops.shape(cells)[0], height, width, ops.shape(cells)[1])
        x = cells[:, None, None, :, 0] - np.arange(width, dtype="float32")[:, None]
        rows = np.arange(height, dtype="float32")[:, None, None]
        y = cells[:, None, None, :, 1] - rows
        x, y = ops.broadcast_to(x, shape), ops.broadcast_to(y, shape)
        near = ops.cast(x**2 + y**2 <= OFFSET_RADIUS**2, "float32")
        known = ops.cast(ops.cast(visible, "float32") > 0, "float32")
        return ops.stack([x, y, near], axis=-1), known


def simcc_loss(target: Arrays, predicted: Arrays, weights: Arrays) -> Arrays:
    """Return the cross-entropy of both axes, averaged over labelled keypoints."""
    entropy = -ops.sum(target * ops.log_softmax(predicted, axis=-1), axis=(-2, -1))
    return ops.sum(entropy * weights) / ops.maximum(ops.sum(weights), 1.0)


def offset_loss(target: Arrays, predicted: Arrays, weights: Arrays) -> Arrays:
    """Return the distance along both axes, averaged over the cells that count."""
    predicted = ops.reshape(predicted, (*ops.shape(target)[:-1], 2))
    errors = ops.sum(ops.abs(predicted - target[..., :2]), axis=-1)
    counted = target[..., 2] * weights[:, None, None, :]
    return ops.sum(errors * counted) / ops.maximum(ops.sum(counted), 1.0)


@keras.saving.register_keras_serializable(package="tinypose_benchmarks")
class SimccCoordinates(layers.Layer):
    """Find the likeliest bin along each axis."""

    def call(self, inputs: Arrays) -> Arrays:
        """Return (batch, num_keypoints, 2), relative to the crop.

        Args:
            inputs: (batch, num_keypoints, 2, num_bins).
        """
        highest = ops.cast(ops.argmax(inputs, axis=-1), "float32")
        return ops.stop_gradient((highest + 0.5) / inputs.shape[-1] - 0.5)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, num_keypoints, 2)."""
        return input_shape[:-1]


@keras.saving.register_keras_serializable(package="tinypose_benchmarks")
class OffsetCoordinates(layers.Layer):
    """Find the highest cell and go where it points.

    Reference:
        The decoding of MoveNet, as its model card of 2021 describes it.
    """

    def call(self, inputs: Arrays) -> Arrays:
        """Return (batch, num_keypoints, 2), relative to the crop.

        Args:
            inputs: Heatmaps (batch, height, width, num_keypoints), and offsets
                (batch, height, width, 2 * num_keypoints).
        """
        heatmaps, offsets = inputs
        height, width, count = heatmaps.shape[1:]
        flat = ops.reshape(heatmaps, (-1, height * width, count))
        index = ops.argmax(flat, axis=1)  # (B, K)
        steps = ops.reshape(offsets, (-1, height * width, count, 2))
        places = ops.cast(index, "int32")[:, None, :, None]
        step = ops.take_along_axis(steps, places, axis=1)[:, 0]  # (B, K, 2)
        cells = ops.stack([index % width, index // width], axis=-1)
        found = ops.cast(cells, "float32") + 0.5 + step
        size = np.array([width, height], np.float32)
        return ops.stop_gradient(found / size - 0.5)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, num_keypoints, 2)."""
        return (input_shape[0][0], input_shape[0][-1], 2)


@dataclass(frozen=True, kw_only=True)
class HeadConfig(ConvHourglassConfig):
    """``conv_hourglass`` with another head; the picture is a square."""


def build_simcc(config: HeadConfig) -> keras.Model:
    """Build the network with two distributions per keypoint."""
    net = build_conv_hourglass(config)
    count, codec = config.num_keypoints, SimccCodec(input_hw=config.input_hw)
    x = layers.Conv2D(count, 1, use_bias=False, name="simcc_maps")(_features(net))
    height, width = config.heatmap_hw
    x = layers.Reshape((height * width, count), name="simcc_flat")(x)
    x = layers.Permute((2, 1), name="simcc_keypoints")(x)  # (B, K, h * w)
    x = layers.Dense(2 * codec.num_bins, name="simcc_bins")(x)
    bins = layers.Reshape((count, 2, codec.num_bins), name="simcc_1")(x)
    coordinates = SimccCoordinates(name="coordinates_1")(bins)
    outputs = {"simcc_1": bins, "coordinates_1": coordinates}
    return keras.Model(net.input, outputs, name="conv_simcc")


def simcc_codecs(config: HeadConfig) -> dict[str, Any]:
    """Return the codec of each output."""
    return {
        "simcc_1": SimccCodec(input_hw=config.input_hw),
        "coordinates_1": CoordinateCodec(input_hw=config.input_hw),
    }


def build_offsets(config: HeadConfig) -> keras.Model:
    """Build the network with heatmaps and, for each cell, the way from it."""
    net = build_conv_hourglass(config)
    features, heatmaps = _features(net), net.output["heatmaps_1"]
    offsets = layers.Conv2D(
        2 * config.num_keypoints,
        1,
        kernel_initializer=initializers.RandomNormal(stddev=0.001),
        name="offsets_1",
    )(features)
    coordinates = OffsetCoordinates(name="coordinates_1")([heatmaps, offsets])
    outputs = {
        "heatmaps_1": heatmaps,
        "offsets_1": offsets,
        "coordinates_1": coordinates,
    }
    return keras.Model(net.input, outputs, name="conv_offsets")


def offset_codecs(config: HeadConfig) -> dict[str, Any]:
    """Return the codec of each output."""
    heatmaps: HeatmapCodec = conv_hourglass_codecs(config)["heatmaps_1"]
    return {
        "heatmaps_1": heatmaps,
        "offsets_1": OffsetCodec(
            input_hw=config.input_hw, heatmap_hw=config.heatmap_hw
        ),
        "coordinates_1": CoordinateCodec(input_hw=config.input_hw),
    }


def _features(net: keras.Model) -> Any:
    """Return what the last layer of ``conv_hourglass`` sees."""
    return net.get_layer("heatmaps_1_conv").input


def _supervising(**weights: float) -> Any:
    return lambda config: (Phase(name="all", outputs=weights),)


LOSSES[SimccCodec] = simcc_loss
LOSSES[OffsetCodec] = offset_loss
FAMILIES["conv_simcc"] = Family(
    config_class=HeadConfig,
    build=build_simcc,
    codecs=simcc_codecs,
    phases=_supervising(simcc_1=1.0),
)
FAMILIES["conv_offsets"] = Family(
    config_class=HeadConfig,
    build=build_offsets,
    codecs=offset_codecs,
    phases=_supervising(heatmaps_1=1.0, offsets_1=1.0),
)
