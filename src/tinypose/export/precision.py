"""Convert a network to TensorFlow Lite in the numbers that it shall compute in.

``float32``
    As trained.
``float16``
    Weights of half the size; they are widened when the file is loaded, and a
    phone's graphics processor computes with them as they are.
``dynamic``
    Weights in eight bits. Activations are float32 between operators, and rounded to
    eight bits inside convolutions and dense layers, each with its range of the
    moment: a quarter of the size, and nothing has to be calibrated.
``int8``
    Weights, one scale per output channel, and activations in eight bits: the
    fastest on CPUs with instructions for it, and all that microcontrollers take.
``int8_per_tensor``
    One scale per weight tensor: for accelerators that know no other.
"""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinypose.export.wrapper import GraphFunction, network_function, raw_function
from tinypose.metadata import CALIBRATED
from tinypose.models.layers import normalize_images


def convert_network(
    net: keras.Model,
    output: str,
    shape: tuple[int, ...],
    precision: str,
    calibration: NDArray[np.uint8] | None = None,
) -> bytes:
    """Return a network as TensorFlow Lite: bytes in, its raw output as float32.

    Args:
        net: A network of ``tinypose.models``; its last output is exported.
        output: What that is called, such as ``heatmaps``.
        shape: (batch, height, width, 3) of the pictures.
        precision: One of ``PRECISIONS``.
        calibration: Crops (num_crops, height, width, 3) uint8 RGB, for those
            of ``CALIBRATED``.
    """
    if precision in CALIBRATED:
        if calibration is None:
            raise ValueError(f"expected crops to calibrate {precision}, received None")
        converter = quantising_converter(net, output, shape, precision, calibration)
        converter.inference_input_type = tf.uint8
    else:
        converter = make_converter(raw_function(net, output), shape, tf.uint8)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def quantising_converter(
    net: keras.Model,
    output: str,
    shape: tuple[int, ...],
    precision: str,
    calibration: NDArray[np.uint8],
) -> tf.lite.TFLiteConverter:
    """Return a converter to eight bits; its ends are float32 unless told otherwise.

    The arguments are those of ``convert_network``.
    """
    converter = make_converter(network_function(net, output), shape, tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = calibration_batches(calibration, shape)
    converter._experimental_disable_per_channel = precision == "int8_per_tensor"
    return converter


def calibration_batches(
    crops: NDArray[np.uint8], shape: tuple[int, ...]
) -> Callable[[], Iterator[list[tf.Tensor]]]:
    """Return a function that yields normalised batches of ``shape``.

    The last one is filled up with crops of the first, so that each is seen.
    """
    batch = shape[0]

    def batches() -> Iterator[list[tf.Tensor]]:
        # The whole range of the input, so that a step is a pixel value.
        ramp = np.linspace(0, 255, int(np.prod(shape))).round().reshape(shape)
        yield [normalize_images(ramp.astype(np.uint8))]
        for start in range(0, len(crops), batch):
            indices = np.arange(start, start + batch) % len(crops)
            yield [normalize_images(crops[indices])]

    return batches


def make_converter(
    function: GraphFunction,
    shape: tuple[int, ...],
    dtype: tf.DType,
    name: str = "images",
) -> tf.lite.TFLiteConverter:
    """Return a converter of a function of one tensor of a fixed shape."""
    spec = tf.TensorSpec(shape, dtype, name=name)
    traced = tf.function(function, input_signature=[spec], autograph=False)
    # The empty module stands for the variables: there are none.
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [traced.get_concrete_function()], tf.Module()
    )
