"""Run a ``.keras`` file with Keras."""

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import MissingDependencyError
from tinypose.images import Image
from tinypose.inference.shapes import check_shape, no_output, output_shape
from tinypose.metadata import read_metadata
from tinypose.quiet import quiet_stderr


class KerasBackend:
    """A ``.keras`` file run by Keras.

    The file is opened in Keras' safe mode: code inside it is not run.

    Args:
        path: The file; its network takes normalised pictures.
    """

    def __init__(self, path: str | Path) -> None:
        self.metadata = read_metadata(path)
        self.fixed_batch = 1
        try:
            # TensorFlow reports what it finds on the machine.
            with quiet_stderr():
                import keras

                from tinypose.models.layers import normalize_images
                from tinypose.models.loading import load_net

                network = load_net(path)
        except ImportError as error:
            raise MissingDependencyError("keras", f"opening {path}") from error
        self.runtime = f"Keras {keras.version()} on {keras.backend.backend()}"
        picture_shape = (*self.metadata.input_hw, 3)
        check_shape(path, "an input", network.input_shape, picture_shape)
        pictures = keras.Input(picture_shape, dtype="uint8")
        outputs = network(normalize_images(pictures), training=False)
        # The last key is the prediction; the others supervise the training.
        prediction = (
            outputs[list(outputs)[-1]] if isinstance(outputs, dict) else outputs
        )
        check_shape(path, "an output", prediction.shape, output_shape(self.metadata))
        self._model = keras.Model(pictures, prediction)
        self._lock = threading.Lock()

    def __call__(self, crops: Image) -> NDArray[np.float32]:
        """Return the model's output for crops (batch, height, width, 3)."""
        if len(crops) == 0:
            return no_output(self.metadata)
        # The first call builds the function that all others use.
        with self._lock:
            return np.asarray(self._model.predict_on_batch(crops), np.float32)
