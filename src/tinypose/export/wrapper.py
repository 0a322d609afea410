"""Wrap a network so that the exported graph starts at the picture.

The network's weights are written into the graph as constants. The TFLite
converter keeps variables as they are, batch norm and all: with constants it
folds every batch norm that directly follows a convolution, and the file runs
about four times as fast.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinypose import __version__
from tinypose.codecs.codec import Codec, codec_of
from tinypose.errors import TinyposeError, UsageError
from tinypose.export.decode import DECODERS
from tinypose.metadata import Metadata, read_metadata
from tinypose.models import loading
from tinypose.models.cost import count_macs, count_parameters
from tinypose.models.layers import normalize_images

MAX_BATCH = 1024

_CHUNK = 16

GraphFunction = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def raw_function(net: keras.Model, output: str) -> GraphFunction:
    """Return a function from pictures to the net's raw output.

    Args:
        net: A network of ``tinypose.models``; its last output is exported.
        output: What that is called, such as ``heatmaps``.

    Returns:
        A function to trace: ``images`` (batch, height, width, 3) uint8 RGB to
        ``{output: float32}``, such as heatmaps (batch, height, width,
        num_keypoints).
    """
    network = network_function(net, output)

    def raw(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(normalize_images(images))

    return raw


def network_function(net: keras.Model, output: str) -> GraphFunction:
    """Return a function from normalised pictures to the net's raw output.

    Like ``raw_function``, but its ``images`` are float32 of -1 to 1: a
    quantised file takes bytes in their place, without any arithmetic.
    """
    trainable = [variable.numpy() for variable in net.trainable_variables]
    fixed = [variable.numpy() for variable in net.non_trainable_variables]

    def raw(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs, _ = net.stateless_call(
            [tf.constant(value) for value in trainable],
            [tf.constant(value) for value in fixed],
            images,
            training=False,
        )
        return {output: prediction(outputs)}

    return raw


def keypoint_function(net: keras.Model, codec: Codec, refinement: str) -> GraphFunction:
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
    raw, decode = raw_function(net, codec.output), decode_function(codec, refinement)

    def keypoints(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return decode(raw(images)[codec.output])

    return keypoints


def complete_function(net: keras.Model, metadata: Metadata) -> GraphFunction:
    """Return a function from pictures to what ``metadata.output`` says."""
    codec = codec_of(metadata)
    if metadata.output == "keypoints":
        return keypoint_function(net, codec, metadata.refinement)
    return raw_function(net, codec.output)


def decode_function(codec: Codec, refinement: str) -> GraphFunction:
    """Return a function from the raw output to what ``keypoint_function`` gives."""
    decode: Any = DECODERS[type(codec)]

    def keypoints(raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"keypoints": decode(raw, codec, refinement)}

    return keypoints


def prediction(outputs: Any) -> Any:
    """Return the last of a network's outputs, the one that is its prediction."""
    return list(outputs.values())[-1] if isinstance(outputs, dict) else outputs


def predict_crops(net: keras.Model, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the network's prediction for crops, computed operation by operation.

    Args:
        net: The network.
        crops: (num_crops, height, width, 3) uint8 RGB.
    """
    chunks = [
        prediction(net(normalize_images(crops[start : start + _CHUNK]), training=False))
        for start in range(0, len(crops), _CHUNK)
    ]
    return np.concatenate([keras.ops.convert_to_numpy(chunk) for chunk in chunks])


def check_net(net: keras.Model, metadata: Metadata) -> None:
    """Check that a network has the shapes that its metadata says.

    Raises:
        TinyposeError: it has not; the message names both shapes.
    """
    for what, found, expected in [
        ("input", net.input_shape, (*metadata.input_hw, 3)),
        (
            metadata.raw_output,
            prediction(net.output).shape,
            codec_of(metadata).output_shape(metadata.skeleton.num_keypoints),
        ),
    ]:
        if tuple(found[1:]) != expected:
            raise TinyposeError(
                f"model {metadata.name!r}: its metadata says {what} of "
                f"{expected}, found {tuple(found[1:])} in the network"
            )


def check_batch(batch: int) -> None:
    """Raise a UsageError unless so many pictures per run are possible."""
    if not 1 <= batch <= MAX_BATCH:
        raise UsageError(f"expected a batch of 1 to {MAX_BATCH}, found {batch}")


def exported_metadata(
    net: keras.Model, metadata: Metadata, *, heads: bool, precision: str = "float32"
) -> Metadata:
    """Return what an exported file says about itself.

    The network's accuracy is the file's where it computes the same; what was
    measured of another file never is.

    Args:
        net: The network.
        metadata: What is known about it.
        heads: Whether the file gives the raw output instead of keypoints.
        precision: What the file computes in.
    """
    return replace(
        metadata,
        output=metadata.raw_output if heads else "keypoints",
        precision=precision,
        accuracy=metadata.accuracy if precision == "float32" else {},
        receipt={},
        num_parameters=count_parameters(net),
        macs=count_macs(net),
        version=__version__,
    )


def noise_crops(metadata: Metadata, batch: int) -> NDArray[np.uint8]:
    """Return crops (batch, height, width, 3) of noise, always the same."""
    shape = (batch, *metadata.input_hw, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def check_output(output: NDArray[Any], metadata: Metadata, batch: int) -> None:
    """Check what an exported file gives for ``noise_crops``.

    Raises:
        TinyposeError: another shape than its metadata say, or no numbers.
    """
    count = metadata.skeleton.num_keypoints
    raw = codec_of(metadata).output_shape(count)
    expected = (count, 3) if metadata.output == "keypoints" else raw
    if output.shape != (batch, *expected):
        raise TinyposeError(
            f"model {metadata.name!r}: expected an exported output of "
            f"{(batch, *expected)}, found {output.shape}"
        )
    if not np.isfinite(output).all():
        raise TinyposeError(
            f"model {metadata.name!r}: expected finite outputs, found some that "
            "are infinite or not a number; did the training diverge?"
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
