"""Open network files from anywhere, safely."""

import zipfile
from pathlib import Path

import keras

from tinypose.errors import TinyposeError
from tinypose.files import explain_os_errors, require_file
from tinypose.metadata import MAX_MODEL_BYTES
from tinypose.models import layers  # noqa: F401  (registers them for loading)

MAX_UNPACKED_BYTES = MAX_MODEL_BYTES


def load_net(path: str | Path) -> keras.Model:
    """Return the network of a ``.keras`` file.

    The file is opened in Keras' safe mode: code inside it is not run.

    Raises:
        TinyposeError: no such file, or it does not load.
    """
    file = require_file(path, "a .keras model file", max_bytes=MAX_MODEL_BYTES)
    try:
        _check_unpacked_size(file)
        return keras.models.load_model(file, compile=False, safe_mode=True)
    except TinyposeError:
        raise
    except Exception as error:  # Keras lets errors of many kinds through
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise TinyposeError(
            f"{path}: expected a Keras model, found one that does not load "
            f"({reason}); was it written by another version, or damaged?"
        ) from error


def _check_unpacked_size(file: Path) -> None:
    with explain_os_errors(file, "read"), zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_UNPACKED_BYTES:
        raise TinyposeError(
            f"{file}: expected a model of at most {MAX_UNPACKED_BYTES:,} bytes when "
            f"unpacked, found {size:,}"
        )
