"""Write a trained network as a ``.tflite`` file that stands alone."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinypose.codecs.codec import codec_of
from tinypose.errors import TinyposeError, UsageError
from tinypose.export.backend import require_tensorflow
from tinypose.export.litert import require_tflite_path, run_tflite
from tinypose.export.precision import convert_network, make_converter
from tinypose.export.splice import join_models, shorten_names
from tinypose.export.wrapper import (
    check_batch,
    check_net,
    check_output,
    decode_function,
    exported_metadata,
    noise_crops,
)
from tinypose.files import atomic_path
from tinypose.metadata import CALIBRATED, PRECISIONS, Metadata, write_metadata
from tinypose.models.window_layers import CropAround
from tinypose.quiet import quiet_stderr


def export_tflite(
    net: keras.Model,
    metadata: Metadata,
    path: str | Path,
    *,
    heads: bool = False,
    batch: int = 1,
    precision: str = "float32",
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
        precision: What the network computes in, one of ``PRECISIONS``; the
            decoding stays in full precision.
        calibration: Crops (num_crops, height, width, 3) uint8 RGB like those
            the file will see, for the precisions in ``CALIBRATED``.
        check: Called with the finished file, under a temporary name; what it
            raises stops the export.

    Returns:
        The metadata as written: with the output, the cost and the version.

    Raises:
        UsageError: ``path``, ``batch`` or ``precision`` do not fit.
        TinyposeError: Keras does not run on TensorFlow, the network does not fit
            its metadata, does not convert, gives no finite numbers, or the file
            cannot be written.
    """
    path = require_tflite_path(path)
    require_tensorflow()
    check_batch(batch)
    check_net(net, metadata)
    _check_precision(net, metadata, precision, calibration)
    metadata = exported_metadata(net, metadata, heads=heads, precision=precision)
    data = _convert(net, metadata, batch, calibration)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        write_metadata(temporary, metadata)
        _run_once(temporary, metadata, batch)
        if check is not None:
            check(temporary)
    return metadata


def small_precision(net: keras.Model) -> str:
    """Return the precision in which a network's file is small and fast.

    Eight bits throughout, where the network can be computed so.
    """
    return "dynamic" if _has_windows(net) else "int8"


def _has_windows(net: keras.Model) -> bool:
    return any(isinstance(layer, CropAround) for layer in net.layers)


def _convert(
    net: keras.Model,
    metadata: Metadata,
    batch: int,
    calibration: NDArray[np.uint8] | None,
) -> bytes:
    """Return the converted model, with a static batch size."""
    codec = codec_of(metadata)
    shape = (batch, *metadata.input_hw, 3)
    try:
        with quiet_stderr():
            network = convert_network(
                net, codec.output, shape, metadata.precision, calibration
            )
            if metadata.output != "keypoints":
                return shorten_names(network)
            raw = codec.output_shape(metadata.skeleton.num_keypoints)
            decode = decode_function(codec, metadata.refinement)
            decoder = make_converter(decode, (batch, *raw), tf.float32, "raw")
            return shorten_names(join_models(network, bytes(decoder.convert())))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise TinyposeError(
            f"model {metadata.name!r}: cannot be converted to TensorFlow Lite "
            f"({type(error).__name__}: {reason})"
        ) from error


def _check_precision(
    net: keras.Model,
    metadata: Metadata,
    precision: str,
    calibration: NDArray[np.uint8] | None,
) -> None:
    if precision not in PRECISIONS:
        raise UsageError(
            f"expected a precision of {', '.join(PRECISIONS)}, found {precision!r}"
        )
    if (precision in CALIBRATED) != (calibration is not None):
        raise UsageError(
            f"expected crops to calibrate with for {' and '.join(CALIBRATED)}, and "
            f"only for these, found {'none' if calibration is None else 'some'} "
            f"for {precision}"
        )
    if precision in CALIBRATED and _has_windows(net):
        raise UsageError(
            f"model {metadata.name!r}: expected a network without windows to "
            f"quantise, found one of {metadata.family}, whose windows' places do "
            "not fit into eight bits; export it in float32, float16 or dynamic"
        )


def _run_once(path: Path, metadata: Metadata, batch: int) -> None:
    """Run the written file on noise and check what comes out."""
    noise = noise_crops(metadata, batch)
    try:
        output = run_tflite(path, noise)
    except (RuntimeError, ValueError) as error:
        raise TinyposeError(
            f"model {metadata.name!r}: the exported file does not run "
            f"({' '.join(str(error).split())[:300]})"
        ) from error
    check_output(output, metadata, batch)
