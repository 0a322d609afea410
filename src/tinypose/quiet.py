"""Silence the chatter of native libraries."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_silencers = 0
_saved = -1
"""The standard error of before, while anybody silences it."""


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what native code writes to standard error off the terminal.

    TensorFlow, LiteRT and OpenCV write to the file descriptor itself, past
    every logging setting; what they say there is no error of the user's.
    Exceptions pass through as ever. Blocks may lie within each other and in
    several threads; the last to end brings standard error back.
    """
    silenced = _silence()
    try:
        yield
    finally:
        if silenced:
            _restore()


def _silence() -> bool:
    """Turn standard error off; False where the process has none."""
    global _silencers, _saved
    with _lock:
        if _silencers == 0:
            try:
                sys.stderr.flush()
                _saved = os.dup(2)
            except (OSError, ValueError, AttributeError):
                return False
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        _silencers += 1
    return True


def _restore() -> None:
    global _silencers
    with _lock:
        _silencers -= 1
        if _silencers == 0:
            os.dup2(_saved, 2)
            os.close(_saved)
