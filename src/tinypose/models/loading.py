"""Open network files from anywhere, safely."""

from pathlib import Path

import keras

from tinypose.errors import TinyposeError
from tinypose.files import require_file
from tinypose.models import layers  # noqa: F401  (registers them for loading)

MAX_FILE_BYTES = 1024**3


def load_net(path: str | Path) -> keras.Model:
    """Return the network of a ``.keras`` file.

    The file is opened in Keras' safe mode: code inside it is not run.

    Raises:
        TinyposeError: no such file, or it does not load.
    """
    file = require_file(path, "a .keras model file", max_bytes=MAX_FILE_BYTES)
    try:
        return keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras lets errors of many kinds through
        reason = " ".join(str(error).split())[:300]
        raise TinyposeError(
            f"{path}: expected a Keras model, found one that does not load "
            f"({type(error).__name__}: {reason}); is the file damaged?"
        ) from error
