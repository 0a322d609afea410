"""Run a model file on crops: LiteRT for ``.tflite``, Keras for ``.keras``.

A backend takes crops (batch, height, width, 3) uint8 RGB and returns what its
``metadata.output`` says, as float32: ``keypoints`` (batch, num_keypoints, 3) of
x, y in crop pixels and score, ``heatmaps`` (batch, map_height, map_width,
num_keypoints) or ``coordinates`` (batch, num_keypoints, 2), relative to the crop.
"""

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinypose.codecs.codec import codec_of
from tinypose.errors import MissingDependencyError, TinyposeError
from tinypose.files import explain_os_errors
from tinypose.images import Image
from tinypose.metadata import Metadata, read_metadata
from tinypose.quiet import quiet_stderr

MODEL_SUFFIXES = (".tflite", ".keras")
MAX_THREADS = 4
"""More threads than this slow such small networks down."""

_TFLITE_IDENTIFIER = b"TFL3"


class Backend(Protocol):
    """A loaded model; see the module's text for what goes in and out."""

    metadata: Metadata

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        ...


def open_backend(path: str | Path, *, num_threads: int | None = None) -> Backend:
    """Load a model file; its suffix decides how.

    Args:
        path: A ``.tflite`` or ``.keras`` file that tinypose wrote.
        num_threads: Threads that LiteRT may use; None for the machine's
            cores, at most ``MAX_THREADS``.

    Raises:
        TinyposeError: missing, damaged, foreign, or not what its metadata say.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.exists() and suffix not in MODEL_SUFFIXES:
        raise TinyposeError(
            f"{path}: expected a model file ending in {' or '.join(MODEL_SUFFIXES)}, "
            f"found {path.suffix or 'no suffix'!r}"
        )
    if suffix == ".keras":
        return KerasBackend(path)
    return LiteRTBackend(path, num_threads=num_threads)


class LiteRTBackend:
    """A ``.tflite`` file run by LiteRT.

    Args:
        path: The file, complete or with raw heatmaps, float or quantised.
        num_threads: See ``open_backend``.
    """

    def __init__(self, path: str | Path, *, num_threads: int | None = None) -> None:
        self.metadata = read_metadata(path)
        content = _read_flatbuffer(Path(path))
        make_interpreter = _interpreter_class()
        try:
            # The runtime reports on standard error what it is going to use,
            # and what is wrong with a damaged file.
            with quiet_stderr():
                self._interpreter = make_interpreter(
                    model_content=content, num_threads=num_threads or _cores()
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, TypeError) as error:
            raise TinyposeError(
                f"{path}: expected a TensorFlow Lite model, found one that does "
                f"not load ({_one_line(error)}); is the file damaged?"
            ) from error
        self._input, self._output = self._checked_tensors(path)
        self._batch = int(self._input["shape"][0])
        self._levels = _quantised_levels(self._input, path)

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        outputs = [
            self._run(crops[start : start + self._batch])
            for start in range(0, len(crops), self._batch)
        ]
        return np.concatenate(outputs) if outputs else _nothing(self.metadata)

    def _run(self, crops: Image) -> NDArray[np.float32]:
        """Return the output for at most as many crops as the file's batch."""
        count = len(crops)
        if count < self._batch:
            room = ((0, self._batch - count), (0, 0), (0, 0), (0, 0))
            crops = np.pad(crops, room)
        values = crops if self._levels is None else self._levels[crops]
        self._interpreter.set_tensor(self._input["index"], values)
        self._interpreter.invoke()
        output = self._interpreter.get_tensor(self._output["index"])[:count]
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
        _check_shape(path, "an input", inputs[0]["shape"], (*self.metadata.input_hw, 3))
        expected = output_shape(self.metadata)
        _check_shape(path, "an output", outputs[0]["shape"], expected)
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


class KerasBackend:
    """A ``.keras`` file run by Keras.

    The file is opened in Keras' safe mode: code inside it is not run.

    Args:
        path: The file; its network takes normalised pictures.
    """

    def __init__(self, path: str | Path) -> None:
        self.metadata = read_metadata(path)
        try:
            # TensorFlow reports what it finds on the machine.
            with quiet_stderr():
                import keras

                from tinypose.models.layers import normalize_images
                from tinypose.models.loading import load_net

                network = load_net(path)
        except ImportError as error:
            raise MissingDependencyError("keras", f"opening {path}") from error
        picture_shape = (*self.metadata.input_hw, 3)
        _check_shape(path, "an input", network.input_shape, picture_shape)
        pictures = keras.Input(picture_shape, dtype="uint8")
        outputs = network(normalize_images(pictures), training=False)
        # The last key is the prediction; the others supervise the training.
        prediction = (
            outputs[list(outputs)[-1]] if isinstance(outputs, dict) else outputs
        )
        _check_shape(path, "an output", prediction.shape, output_shape(self.metadata))
        self._model = keras.Model(pictures, prediction)

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        if len(crops) == 0:
            return _nothing(self.metadata)
        return np.asarray(self._model.predict_on_batch(crops), np.float32)


def output_shape(metadata: Metadata) -> tuple[int, ...]:
    """Return the output shape, batch excluded, of a model of these metadata."""
    count = metadata.skeleton.num_keypoints
    if metadata.output == "keypoints":
        return count, 3
    return codec_of(metadata).output_shape(count)


def _nothing(metadata: Metadata) -> NDArray[np.float32]:
    return np.zeros((0, *output_shape(metadata)), np.float32)


def _check_shape(
    path: str | Path, what: str, found: Any, expected: tuple[int, ...]
) -> None:
    """Compare a shape, batch included, with the expected one, batch excluded."""
    if tuple(found)[1:] != expected:
        raise TinyposeError(
            f"{path}: expected {what} of shape (batch, "
            f"{', '.join(map(str, expected))}), as its metadata say, found "
            f"{tuple(found)}; was the file changed after the export?"
        )


def _read_flatbuffer(path: Path) -> bytes:
    with explain_os_errors(path, "read"):
        content = path.read_bytes()
    if content[4:8] != _TFLITE_IDENTIFIER:
        raise TinyposeError(
            f"{path}: expected a TensorFlow Lite model (its bytes 4 to 7 are "
            f"'TFL3'), found {content[4:8]!r}"
        )
    return content


def _interpreter_class() -> Any:
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
        Interpreter = tensorflow.lite.Interpreter
    return Interpreter


def _cores() -> int:
    # Containers and taskset give fewer cores than the machine has.
    usable = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    return min(usable, MAX_THREADS)


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
