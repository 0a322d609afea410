"""Run a ``.tflite`` file with LiteRT."""

import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors
from tinypose.images import Image
from tinypose.inference.shapes import check_shape, in_batches, output_shape
from tinypose.inference.threads import usable_threads
from tinypose.metadata import TFLITE_IDENTIFIER, read_metadata
from tinypose.quiet import quiet_stderr


class LiteRTBackend:
    """A ``.tflite`` file run by LiteRT.

    Args:
        path: The file, complete or with raw heatmaps, float or quantised.
        num_threads: See ``open_backend``.
    """

    def __init__(self, path: str | Path, *, num_threads: int | None = None) -> None:
        self.metadata = read_metadata(path)
        content = _read_flatbuffer(Path(path))
        make_interpreter, self.runtime = _interpreter_class()
        try:
            # The runtime reports on standard error what it is going to use,
            # and what is wrong with a damaged file.
            with quiet_stderr():
                self._interpreter = make_interpreter(
                    model_content=content, num_threads=num_threads or usable_threads()
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, TypeError) as error:
            raise TinyposeError(
                f"{path}: expected a TensorFlow Lite model, found one that does "
                f"not load ({_one_line(error)}); is the file damaged?"
            ) from error
        self._input, self._output = self._checked_tensors(path)
        self.fixed_batch = int(self._input["shape"][0])
        self._levels = _quantised_levels(self._input, path)
        self._lock = threading.Lock()

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        return in_batches(self._run, crops, self.fixed_batch, self.metadata)

    def _run(self, crops: Image) -> NDArray[np.float32]:
        """Return the output for as many crops as the file's batch."""
        values = crops if self._levels is None else self._levels[crops]
        # Input and output lie in the interpreter: one thread after the other.
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], values)
            self._interpreter.invoke()
            output = self._interpreter.get_tensor(self._output["index"])
        return _dequantise(output, self._output)

    def _checked_tensors(self, path: str | Path) -> tuple[Any, Any]:
        """Return input and output of the file, if they are as it says."""
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise TinyposeError(
                f"{path}: expected one input and one output, found "
                f"{len(inputs)} and {len(outputs)}"
            )
        check_shape(path, "an input", inputs[0]["shape"], (*self.metadata.input_hw, 3))
        expected = output_shape(self.metadata)
        check_shape(path, "an output", outputs[0]["shape"], expected)
        for what, tensor, kinds in [
            ("input", inputs[0], (np.uint8, np.int8)),
            ("output", outputs[0], (np.float32, np.uint8, np.int8)),
        ]:
            if tensor["dtype"] not in kinds:
                raise TinyposeError(
                    f"{path}: expected an {what} of "
                    f"{' or '.join(kind.__name__ for kind in kinds)}, "
                    f"found {np.dtype(tensor['dtype']).name}"
                )
        return inputs[0], outputs[0]


def _read_flatbuffer(path: Path) -> bytes:
    with explain_os_errors(path, "read"):
        content = path.read_bytes()
    if content[4:8] != TFLITE_IDENTIFIER:
        raise TinyposeError(
            f"{path}: expected a TensorFlow Lite model (its bytes 4 to 7 are "
            f"'TFL3'), found {content[4:8]!r}"
        )
    return content


def _interpreter_class() -> tuple[Any, str]:
    """Return the interpreter's class and what it is, with its version."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            import tensorflow
        except ImportError as error:
            raise TinyposeError(
                "running a .tflite model needs the package 'ai-edge-litert', which "
                "is not installed: run  pip install ai-edge-litert"
            ) from error
        runtime = f"TensorFlow Lite {tensorflow.__version__}"
        return tensorflow.lite.Interpreter, runtime
    return Interpreter, f"LiteRT {version('ai-edge-litert')}"


def _quantised_levels(tensor: Any, path: str | Path) -> NDArray[Any] | None:
    """Return the input value (256,) for each picture value; None for the same.

    A quantised input stands for pixels 0..255 or for normalised -1..1; the
    size of its step tells which.
    """
    step, zero = tensor["quantization"]
    dtype = np.dtype(tensor["dtype"])
    if not step:
        if dtype == np.uint8:
            return None
        raise TinyposeError(f"{path}: expected a quantisation of the int8 input")
    pixels = np.arange(256, dtype=np.float64)
    real = pixels if step > 0.1 else pixels / 127.5 - 1
    limits = np.iinfo(dtype)
    levels = np.clip(np.rint(real / step) + zero, limits.min, limits.max)
    # Where the steps are those of the pixels, half a step decides how they are
    # rounded: bytes go in as they are, as every other program would put them in.
    plain = pixels + limits.min
    if np.abs(levels - plain).max() <= 1:
        levels = plain
    if dtype == np.uint8 and np.array_equal(levels, pixels):
        return None
    table: NDArray[Any] = levels.astype(dtype)
    return table


def _dequantise(output: NDArray[Any], tensor: Any) -> NDArray[np.float32]:
    if output.dtype == np.float32:
        return np.array(output)
    step, zero = tensor["quantization"]
    real = (output.astype(np.float32) - np.float32(zero)) * np.float32(step or 1)
    return np.asarray(real, np.float32)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
