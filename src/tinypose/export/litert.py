"""Name and run exported ``.tflite`` files; works without TensorFlow."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from tinypose.errors import TinyposeError, UsageError
from tinypose.quiet import quiet_stderr

SUFFIX = ".tflite"


def require_tflite_path(path: str | Path) -> Path:
    """Return ``path`` as a Path after checking that it ends in ``.tflite``.

    Raises:
        UsageError: it ends in something else.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise UsageError(
            f"{path}: expected a file name ending in {SUFFIX}, found "
            f"{path.suffix or 'none'!r}"
        )
    return path


def batch_of(path: str | Path) -> int:
    """Return how many pictures an exported file takes at once.

    Raises:
        TinyposeError: it is damaged.
    """
    try:
        with quiet_stderr():
            (source,) = Interpreter(model_path=str(path)).get_input_details()
    except (ValueError, RuntimeError) as error:
        raise TinyposeError(
            f"{path}: expected a TensorFlow Lite model, found one that does not load; "
            "is the file damaged?"
        ) from error
    return int(source["shape"][0])


def run_tflite(path: str | Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run an exported file on pictures with LiteRT.

    Args:
        path: The file.
        images: (num_images, height, width, 3) uint8 RGB; any number.

    Returns:
        The file's output for each picture, (num_images, ...).
    """
    with quiet_stderr():
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    batch = int(source["shape"][0])
    outputs = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        # The size is fixed: the last run is filled up with black.
        filled = np.zeros(source["shape"], np.uint8)
        filled[: len(part)] = part
        interpreter.set_tensor(source["index"], filled)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[: len(part)])
    return np.concatenate(outputs)
