"""Write a trained network as an ONNX file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinypose.errors import MissingDependencyError, TinyposeError
from tinypose.export.backend import require_tensorflow
from tinypose.export.wrapper import (
    check_batch,
    check_net,
    check_output,
    complete_function,
    exported_metadata,
    noise_crops,
)
from tinypose.files import atomic_path
from tinypose.metadata import ONNX_KEY, Metadata
from tinypose.quiet import quiet_stderr

OPSET = 17
"""Of 2022: every runtime in use reads it, ONNX Runtime for the web included."""


def export_onnx(
    net: keras.Model,
    metadata: Metadata,
    path: str | Path,
    *,
    heads: bool = False,
    batch: int = 1,
    check: Callable[[Path], None] | None = None,
) -> Metadata:
    """Export a network as an ``.onnx`` file with its metadata inside.

    Input, output and arguments are those of ``export_tflite``; weights and
    arithmetic are float32.

    Returns:
        The metadata as written.

    Raises:
        UsageError: ``batch`` does not fit.
        MissingDependencyError: tf2onnx or ONNX Runtime is not installed.
        TinyposeError: Keras does not run on TensorFlow, the network does not fit
            its metadata, does not convert, gives no finite numbers, or the file
            cannot be written.
    """
    path = Path(path)
    require_tensorflow()
    check_batch(batch)
    check_net(net, metadata)
    metadata = exported_metadata(net, metadata, heads=heads)
    model = _convert(net, metadata, batch)
    entry = model.metadata_props.add()
    entry.key = ONNX_KEY
    entry.value = metadata.to_json()
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        _run_once(temporary, metadata, batch)
        if check is not None:
            check(temporary)
    return metadata


def replace_onnx_metadata(path: str | Path, metadata: Metadata) -> None:
    """Give a finished ``.onnx`` file other metadata, atomically."""
    import onnx

    model = onnx.load(str(path))
    (entry,) = [entry for entry in model.metadata_props if entry.key == ONNX_KEY]
    entry.value = metadata.to_json()
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _convert(net: keras.Model, metadata: Metadata, batch: int) -> Any:
    """Return the ONNX model, a protocol buffer."""
    try:
        with quiet_stderr():
            import onnxruntime  # noqa: F401  (the file is run before it is kept)
            from tf2onnx import convert
    except ImportError as error:
        raise MissingDependencyError(
            error.name or "tf2onnx", "export to ONNX", "onnx"
        ) from error
    function = complete_function(net, metadata)
    spec = tf.TensorSpec((batch, *metadata.input_hw, 3), tf.uint8, name="images")
    try:
        with quiet_stderr():
            traced = tf.function(function, input_signature=[spec], autograph=False)
            model, _ = convert.from_function(
                traced, input_signature=[spec], opset=OPSET
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise TinyposeError(
            f"model {metadata.name!r}: cannot be converted to ONNX "
            f"({type(error).__name__}: {reason})"
        ) from error
    _modernise_resizing(model.graph)
    return model


def _modernise_resizing(graph: Any) -> None:
    """Say "repeat each cell" as ONNX says it since opset 13.

    tf2onnx writes nearest neighbours with a coordinate mode that is deprecated
    and that runtimes for the web refuse. By whole factors all modes agree.
    """
    for node in graph.node:
        if node.op_type != "Resize":
            continue
        for attribute in node.attribute:
            if attribute.s == b"tf_half_pixel_for_nn":
                attribute.s = b"asymmetric"
            elif attribute.name == "nearest_mode":
                attribute.s = b"floor"


def _run_once(path: Path, metadata: Metadata, batch: int) -> None:
    """Run the written file on noise and check what comes out."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        with quiet_stderr():
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            (output,) = session.run(None, {"images": noise_crops(metadata, batch)})
    except Exception as error:
        raise TinyposeError(
            f"model {metadata.name!r}: the exported file does not run "
            f"({' '.join(str(error).split())[:300]})"
        ) from error
    check_output(np.asarray(output), metadata, batch)
