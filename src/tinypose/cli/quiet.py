"""Load TensorFlow without its start-up chatter."""

import importlib
import os
from typing import Any

from tinypose.quiet import quiet_stderr


def load_keras() -> None:
    """Import Keras and its backend in silence.

    TensorFlow's native code writes about missing GPU drivers, and a user would
    take it for a failure.

    Raises:
        MissingDependencyError: the training extra is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        # It sets Keras up, and says so where it is missing.
        importlib.import_module("tinypose.models")
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow

            # The first look for GPUs writes, too.
            tensorflow.config.list_physical_devices("GPU")


def load_keras_on(device: str) -> Any:
    """Load Keras and choose the device, which cannot be done once it is in use.

    Args:
        device: See ``choose_device``.

    Returns:
        What that gives: a strategy to train with, or None.
    """
    load_keras()
    from tinypose.training.device import choose_device

    return choose_device(device)
