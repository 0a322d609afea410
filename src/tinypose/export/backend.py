"""Refuse to export what Keras computes on another backend than TensorFlow."""

import keras

from tinypose.errors import MissingDependencyError, TinyposeError


def require_tensorflow() -> None:
    """Check that networks can be traced as TensorFlow graphs.

    Raises:
        TinyposeError: Keras runs on another backend.
        MissingDependencyError: TensorFlow is not installed.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise TinyposeError(
            f"export needs Keras on TensorFlow, found Keras on {backend}; set "
            "KERAS_BACKEND=tensorflow"
        )
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("tensorflow", "export") from error
