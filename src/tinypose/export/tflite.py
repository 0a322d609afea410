"""Write a trained network as a ``.tflite`` file that stands alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinypose import __version__
from tinypose.codecs.codec import codec_of
from tinypose.errors import TinyposeError, UsageError
from tinypose.export.litert import require_tflite_path, run_tflite
from tinypose.export.splice import join_models
from tinypose.export.wrapper import (
    GraphFunction,
    check_net,
    decode_function,
    keypoint_function,
    network_function,
    raw_function,
)
from tinypose.files import atomic_path
from tinypose.metadata import Metadata, write_metadata
from tinypose.models.cost import count_macs, count_parameters
from tinypose.models.layers import normalize_images
from tinypose.models.window_layers import CropAround
from tinypose.quiet import quiet_stderr

MAX_BATCH = 1024


def export_tflite(
    net: keras.Model,
    metadata: Metadata,
    path: str | Path,
    *,
    heads: bool = False,
    batch: int = 1,
    calibration: NDArray[np.uint8] | None = None,
    check: Callable[[Path], None] | None = None,
) -> Metadata:
    """Export a network as a ``.tflite`` file with its metadata inside.

    The file takes pictures ``images`` (batch, height, width, 3) uint8 RGB and
    gives ``keypoints`` (batch, num_keypoints, 3) float32: x, y in input pixels
    (integers are pixel centres) and the score. It is run once before it takes
    its name; when anything fails, nothing is left behind.

    Args:
        net: The network, as ``tinypose.models`` builds it.
        metadata: What is known about it; decides the decoding.
        path: The file to write, ending in ``.tflite``.
        heads: Export the network's raw output instead of keypoints: ``heatmaps``
            (batch, height, width, num_keypoints) or ``coordinates`` (batch,
            num_keypoints, 2), float32.
        batch: Pictures per run; fixed, for browsers refuse an open size.
        calibration: Crops (num_crops, height, width, 3) uint8 RGB like those
            the file will see. With them the network computes in eight bits,
            weights per channel; the decoding stays in full precision.
        check: Called with the finished file, under a temporary name; what it
            raises stops the export.

    Returns:
        The metadata as written: with the output, the cost and the version.

    Raises:
        UsageError: ``path`` or ``batch`` do not fit.
        TinyposeError: the network does not fit its metadata, does not convert,
            gives no finite numbers, or the file cannot be written.
    """
    path = require_tflite_path(path)
    if not 1 <= batch <= MAX_BATCH:
        raise UsageError(f"expected a batch of 1 to {MAX_BATCH}, found {batch}")
    check_net(net, metadata)
    if calibration is not None and any(
        isinstance(layer, CropAround) for layer in net.layers
    ):
        raise UsageError(
            f"model {metadata.name!r}: expected a network without windows to "
            f"quantise, found one of {metadata.family}, whose windows' places do "
            "not fit into eight bits; export it in float32"
        )
    metadata = replace(
        metadata,
        output=metadata.raw_output if heads else "keypoints",
        precision="float32" if calibration is None else "int8",
        num_parameters=count_parameters(net),
        macs=count_macs(net),
        version=__version__,
    )
    data = _convert(net, metadata, batch, calibration)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        write_metadata(temporary, metadata)
        _run_once(temporary, metadata, batch)
        if check is not None:
            check(temporary)
    return metadata


def _convert(
    net: keras.Model,
    metadata: Metadata,
    batch: int,
    calibration: NDArray[np.uint8] | None,
) -> bytes:
    """Return the converted model, with a static batch size."""
    if keras.backend.backend() != "tensorflow":
        raise TinyposeError(
            "export to TensorFlow Lite needs Keras on TensorFlow, found Keras on "
            f"{keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
        )
    codec, hw = codec_of(metadata), metadata.input_hw
    heads = metadata.output != "keypoints"
    try:
        with quiet_stderr():
            if calibration is None:
                function = (
                    raw_function(net, codec.output)
                    if heads
                    else keypoint_function(net, codec, metadata.refinement)
                )
                return bytes(_converter(function, (batch, *hw, 3), tf.uint8).convert())
            network = _quantised_network(
                net, codec.output, (batch, *hw, 3), calibration
            )
            if heads:
                return network
            raw = codec.output_shape(metadata.skeleton.num_keypoints)
            decode = decode_function(codec, metadata.refinement)
            decoder = _converter(decode, (batch, *raw), tf.float32, "raw").convert()
            return join_models(network, bytes(decoder))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise TinyposeError(
            f"model {metadata.name!r}: cannot be converted to TensorFlow Lite "
            f"({type(error).__name__}: {reason})"
        ) from error


def _converter(
    function: GraphFunction,
    shape: tuple[int, ...],
    dtype: tf.DType,
    name: str = "images",
) -> tf.lite.TFLiteConverter:
    spec = tf.TensorSpec(shape, dtype, name=name)
    traced = tf.function(function, input_signature=[spec], autograph=False)
    # The empty module stands for the variables: there are none.
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [traced.get_concrete_function()], tf.Module()
    )


def _quantised_network(
    net: keras.Model,
    output: str,
    shape: tuple[int, ...],
    calibration: NDArray[np.uint8],
) -> bytes:
    """Return the network in eight bits: bytes in, its raw output as float32 out."""
    converter = _converter(network_function(net, output), shape, tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    batch = shape[0]

    def crops() -> Iterator[list[tf.Tensor]]:
        # The whole range of the input, so that a step is a pixel value.
        ramp = np.linspace(0, 255, int(np.prod(shape))).round().reshape(shape)
        yield [normalize_images(ramp.astype(np.uint8))]
        for start in range(0, len(calibration) - batch + 1, batch):
            yield [normalize_images(calibration[start : start + batch])]

    converter.representative_dataset = crops
    return bytes(converter.convert())


def _run_once(path: Path, metadata: Metadata, batch: int) -> None:
    """Run the written file on noise and check what comes out."""
    shape = (batch, *metadata.input_hw, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    try:
        output = run_tflite(path, noise)
    except (RuntimeError, ValueError) as error:
        raise TinyposeError(
            f"model {metadata.name!r}: the exported file does not run "
            f"({' '.join(str(error).split())[:300]})"
        ) from error
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
