"""Run a folder for microcontrollers as a microcontroller does."""

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors
from tinypose.images import Image
from tinypose.inference.litert_backend import LiteRTBackend
from tinypose.inference.shapes import in_batches
from tinypose.micro_folder import read_micro_folder
from tinypose.micro_interpreter import ROOM, MicroInterpreter, input_values

_LOCK = threading.Lock()
"""Of all interpreters: each hears what the process says on standard error."""


class MicroBackend:
    """The network of a folder for microcontrollers in TensorFlow Lite Micro.

    The heatmaps are those of the board; they are decoded by NumPy in the way of
    the C decoder, quarter offsets, which rounds to 1/256 pixel.

    Args:
        path: A folder that ``tinypose export --target micro`` wrote.
    """

    def __init__(self, path: str | Path) -> None:
        folder = read_micro_folder(path)
        if folder is None:
            raise TinyposeError(
                f"{path}: expected a folder of  tinypose export --target micro, found "
                "another"
            )
        # TensorFlow Lite Micro trusts what it is given; LiteRT refuses what is
        # damaged or not as its metadata say.
        self.metadata = LiteRTBackend(folder.file, num_threads=1).metadata
        with explain_os_errors(folder.file, "read"):
            data = folder.file.read_bytes()
        self._interpreter = MicroInterpreter(
            data, folder.arena_bytes or ROOM, str(path)
        )
        self.runtime = self._interpreter.runtime
        self.fixed_batch = 1
        self._folder = folder

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        return in_batches(self._run, crops, 1, self.metadata)

    def _run(self, crops: Image) -> NDArray[np.float32]:
        with _LOCK:
            steps = self._interpreter(input_values(crops)).astype(np.float32)
        real = (steps - self._folder.zero_point) * np.float32(self._folder.scale)
        return np.asarray(real, np.float32)
