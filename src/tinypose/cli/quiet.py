"""Load TensorFlow without its start-up chatter."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def load_keras() -> None:
    """Import Keras and its backend, showing only what goes wrong.

    TensorFlow's native code writes about missing GPU drivers to standard
    error, past every logging setting; a user would take it for a failure.

    Raises:
        MissingDependencyError: the training extra is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hushed():
        import tinypose.models

        if tinypose.models.keras.backend.backend() == "tensorflow":
            import tensorflow

            # The first look for GPUs writes, too.
            tensorflow.config.list_physical_devices("GPU")


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back what native code writes to standard error in the block.

    Nothing is lost: when the block fails, what was written is shown.
    """
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # replaced, as in tests
        yield
        return
    sys.stderr.flush()
    saved = os.dup(number)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), number)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, number)
            os.close(saved)
            if failed:
                held.seek(0)
                os.write(number, held.read())
