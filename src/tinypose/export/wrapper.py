"""Wrap a network so that the exported graph starts at the picture.

The network's weights are written into the graph as constants. The TFLite
converter keeps variables as they are, batch norm and all: with constants it
folds every batch norm that directly follows a convolution, and the file runs
about four times as fast.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.errors import TinyposeError
from tinypose.export.decode import decode_heatmaps
from tinypose.metadata import Metadata, read_metadata
from tinypose.models import loading
from tinypose.models.layers import normalize_images

GraphFunction = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def heatmap_function(net: keras.Model) -> GraphFunction:
    """Return a function from pictures to the net's heatmaps.

    Args:
        net: A network of ``tinypose.models``; its last output is exported.

    Returns:
        A function to trace: ``images`` (batch, height, width, 3) uint8 RGB to
        ``{"heatmaps": (batch, height, width, num_keypoints) float32}``.
    """
    network = network_function(net)

    def heatmaps(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(normalize_images(images))

    return heatmaps


def network_function(net: keras.Model) -> GraphFunction:
    """Return a function from normalised pictures to the net's heatmaps.

    Like ``heatmap_function``, but its ``images`` are float32 of -1 to 1: a
    quantised file takes bytes in their place, without any arithmetic.
    """
    trainable = [variable.numpy() for variable in net.trainable_variables]
    fixed = [variable.numpy() for variable in net.non_trainable_variables]

    def heatmaps(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs, _ = net.stateless_call(
            [tf.constant(value) for value in trainable],
            [tf.constant(value) for value in fixed],
            images,
            training=False,
        )
        return {"heatmaps": prediction(outputs)}

    return heatmaps


def keypoint_function(
    net: keras.Model, codec: HeatmapCodec, refinement: str
) -> GraphFunction:
    """Return a function from pictures to keypoints.

    Args:
        net: A network of ``tinypose.models``; its last output is decoded.
        codec: The codec of that output.
        refinement: How peaks are refined; see ``HeatmapCodec.decode``.

    Returns:
        A function to trace: ``images`` (batch, height, width, 3) uint8 RGB to
        ``{"keypoints": (batch, num_keypoints, 3) float32}``, x and y in input
        pixels and the score.
    """
    heatmaps, decode = heatmap_function(net), decode_function(codec, refinement)

    def keypoints(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return decode(heatmaps(images)["heatmaps"])

    return keypoints


def decode_function(codec: HeatmapCodec, refinement: str) -> GraphFunction:
    """Return a function from heatmaps to keypoints, as ``keypoint_function`` has."""

    def keypoints(heatmaps: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"keypoints": decode_heatmaps(heatmaps, codec, refinement)}

    return keypoints


def prediction(outputs: Any) -> Any:
    """Return the last of a network's outputs, the one that is its prediction."""
    return list(outputs.values())[-1] if isinstance(outputs, dict) else outputs


def metadata_codec(metadata: Metadata) -> HeatmapCodec:
    """Return the codec of the heatmaps that the metadata describes."""
    return HeatmapCodec(
        input_hw=metadata.input_hw,
        heatmap_hw=metadata.heatmap_hw,
        sigma_cells=metadata.sigma_cells,
    )


def check_net(net: keras.Model, metadata: Metadata) -> None:
    """Check that a network has the shapes that its metadata says.

    Raises:
        TinyposeError: it has not; the message names both shapes.
    """
    for what, found, expected in [
        ("input", net.input_shape, (*metadata.input_hw, 3)),
        (
            "heatmaps",
            prediction(net.output).shape,
            (*metadata.heatmap_hw, metadata.skeleton.num_keypoints),
        ),
    ]:
        if tuple(found[1:]) != expected:
            raise TinyposeError(
                f"model {metadata.name!r}: its metadata says {what} of "
                f"{expected}, found {tuple(found[1:])} in the network"
            )


def load_net(path: str | Path) -> tuple[keras.Model, Metadata]:
    """Read a network and its metadata from a ``.keras`` file.

    The file may come from a stranger: nothing in it is executed.

    Raises:
        TinyposeError: no such file, or not a model that tinypose trained.
    """
    metadata = read_metadata(path)
    net = loading.load_net(path)
    check_net(net, metadata)
    return net, metadata
