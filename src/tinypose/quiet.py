"""Silence the chatter of native libraries."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what native code writes to standard error off the terminal.

    TensorFlow, LiteRT and OpenCV write to the file descriptor itself, past
    every logging setting; what they say there is no error of the user's.
    Exceptions pass through as ever.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):
        # A process without a standard error needs no silence.
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
