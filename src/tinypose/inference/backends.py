"""Run a model file on crops; what the file is decides the runtime.

A backend takes crops (batch, height, width, 3) uint8 RGB and returns what its
``metadata.output`` says, as float32: ``keypoints`` (batch, num_keypoints, 3) of
x, y in crop pixels and score, ``heatmaps`` (batch, map_height, map_width,
num_keypoints) or ``coordinates`` (batch, num_keypoints, 2), relative to the crop.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError
from tinypose.images import Image
from tinypose.inference.keras_backend import KerasBackend
from tinypose.inference.litert_backend import LiteRTBackend
from tinypose.inference.micro_backend import MicroBackend
from tinypose.inference.onnx_backend import OnnxBackend
from tinypose.inference.saved_model_backend import SavedModelBackend
from tinypose.metadata import Metadata, is_saved_model
from tinypose.micro_folder import read_micro_folder

MODEL_SUFFIXES = (".tflite", ".keras", ".onnx")


class Backend(Protocol):
    """A loaded model; see the module's text for what goes in and out.

    ``fixed_batch`` is how many crops one run takes; 1 where it takes any number.
    """

    metadata: Metadata
    runtime: str
    fixed_batch: int

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        ...


def open_backend(path: str | Path, *, num_threads: int | None = None) -> Backend:
    """Load a model file; its suffix decides how.

    Args:
        path: A ``.tflite``, ``.onnx`` or ``.keras`` file, a SavedModel's folder
            or one for microcontrollers, that tinypose wrote.
        num_threads: Threads that LiteRT and ONNX Runtime may use; None for the
            machine's cores, at most four.

    Raises:
        TinyposeError: missing, damaged, foreign, or not what its metadata say.
        MissingDependencyError: the runtime is not installed.
    """
    path = Path(path)
    if is_saved_model(path):
        return SavedModelBackend(path)
    if read_micro_folder(path) is not None:
        return MicroBackend(path)
    suffix = path.suffix.lower()
    if path.exists() and suffix not in MODEL_SUFFIXES:
        raise TinyposeError(
            f"{path}: expected a model file ending in {', '.join(MODEL_SUFFIXES)}, "
            f"found {path.suffix or 'no suffix'!r}"
        )
    if suffix == ".keras":
        return KerasBackend(path)
    if suffix == ".onnx":
        return OnnxBackend(path, num_threads=num_threads)
    return LiteRTBackend(path, num_threads=num_threads)
