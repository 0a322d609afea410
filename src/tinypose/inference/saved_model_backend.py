"""Run a TensorFlow SavedModel."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import MissingDependencyError, TinyposeError
from tinypose.images import Image
from tinypose.inference.shapes import check_shape, no_output, output_shape
from tinypose.metadata import read_metadata
from tinypose.quiet import quiet_stderr

SIGNATURE = "serving_default"


class SavedModelBackend:
    """A SavedModel, as servers run it.

    Args:
        path: Its folder; any number of pictures in, keypoints or raw output out.
    """

    def __init__(self, path: str | Path) -> None:
        self.metadata = read_metadata(path)
        self.fixed_batch = 1
        try:
            with quiet_stderr():
                import tensorflow as tf
        except ImportError as error:
            raise MissingDependencyError("tensorflow", f"opening {path}") from error
        self.runtime = f"TensorFlow {tf.__version__}"
        try:
            with quiet_stderr():
                # What it holds is used as long as the function is.
                self._model = tf.saved_model.load(str(path))
                self._function = self._model.signatures[SIGNATURE]
            (source,) = self._function.structured_input_signature[1].values()
            (target,) = self._function.structured_outputs.values()
        except Exception as error:  # TensorFlow raises many kinds
            reason = " ".join(str(error).split())[:200]
            raise TinyposeError(
                f"{path}: expected a SavedModel with the signature {SIGNATURE}, found "
                f"one that does not load ({reason}); is it complete?"
            ) from error
        check_shape(path, "an input", source.shape, (*self.metadata.input_hw, 3))
        check_shape(path, "an output", target.shape, output_shape(self.metadata))

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        if len(crops) == 0:
            return no_output(self.metadata)
        (output,) = self._function(images=crops).values()
        return np.asarray(output, np.float32)
