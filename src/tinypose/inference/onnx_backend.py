"""Run an ``.onnx`` file with ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import MissingDependencyError, TinyposeError
from tinypose.files import require_file
from tinypose.images import Image
from tinypose.inference.shapes import check_shape, in_batches, output_shape
from tinypose.inference.threads import usable_threads
from tinypose.metadata import MAX_MODEL_BYTES, ONNX_KEY, Metadata, metadata_from_json
from tinypose.quiet import quiet_stderr

OPEN_BATCH = 16
"""Pictures per run of a file that takes any number: more take memory, not less time."""


class OnnxBackend:
    """An ``.onnx`` file run by ONNX Runtime on the CPU.

    Args:
        path: The file, complete or with raw output; bytes in, float32 out. Its
            batch is fixed, as ``export_onnx`` writes it, or open.
        num_threads: See ``open_backend``.
    """

    def __init__(self, path: str | Path, *, num_threads: int | None = None) -> None:
        path = require_file(path, "a model file", max_bytes=MAX_MODEL_BYTES)
        self._path = path
        self._session = _open_session(path, num_threads or usable_threads())
        self.metadata = _metadata_of(self._session, path)
        self.runtime = f"ONNX Runtime {_onnxruntime(path).__version__}"
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise TinyposeError(
                f"{path}: expected one input and one output, found "
                f"{len(inputs)} and {len(outputs)}"
            )
        (source,), (target,) = inputs, outputs
        check_shape(path, "an input", source.shape, (*self.metadata.input_hw, 3))
        check_shape(path, "an output", target.shape, output_shape(self.metadata))
        if (source.type, target.type) != ("tensor(uint8)", "tensor(float)"):
            raise TinyposeError(
                f"{path}: expected bytes in and float32 out, found {source.type} "
                f"and {target.type}"
            )
        self._input = source.name
        # An open size has a name there, or None.
        size = source.shape[0]
        self._fixed = isinstance(size, int) and size > 0
        self.fixed_batch = size if self._fixed else 1

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3).

        Raises:
            TinyposeError: its batch was opened, and inside it is fixed still.
        """
        batch = self.fixed_batch if self._fixed else OPEN_BATCH
        return in_batches(self._run, crops, batch, self.metadata, fill=self._fixed)

    def _run(self, crops: Image) -> NDArray[np.float32]:
        try:
            (output,) = self._session.run(None, {self._input: crops})
        except Exception as error:  # as above: no common class of its own
            raise self._refusal(crops, _one_line(error)) from error
        if len(output) != len(crops):
            raise self._refusal(crops, f"it gives {len(output)} results")
        return np.asarray(output, np.float32)

    def _refusal(self, crops: Image, reason: str) -> TinyposeError:
        return TinyposeError(
            f"{self._path}: expected a model that runs with {len(crops)} pictures at "
            f"once, found one that does not ({reason}); was its batch changed after "
            "the export? Export it with --batch"
        )


def _onnxruntime(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "onnxruntime", f"opening {path}", "onnx"
        ) from error
    return onnxruntime


def _open_session(path: Path, num_threads: int) -> Any:
    runtime = _onnxruntime(path)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4
    try:
        with quiet_stderr():
            return runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
    except Exception as error:  # each kind of damage has a class of its own
        raise TinyposeError(
            f"{path}: expected an ONNX model, found one that does not load "
            f"({_one_line(error)}); is the file damaged?"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _metadata_of(session: Any, path: Path) -> Metadata:
    properties = session.get_modelmeta().custom_metadata_map
    if ONNX_KEY not in properties:
        raise TinyposeError(
            f"{path}: expected a model that tinypose wrote, found a file without its "
            "metadata; is it exported by tinypose?"
        )
    return metadata_from_json(properties[ONNX_KEY], str(path))
