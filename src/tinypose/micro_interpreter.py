"""Run a model in TensorFlow Lite Micro, the runtime of microcontrollers.

Its interpreter for Python, the package ``tflite-micro``, has the reference
kernels: it computes what a board computes, and says nothing about its speed.
"""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError

PACKAGE = "tflite-micro"
ROOM = 64 * 1024**2
"""Arena for a model whose need is not known: more than any microcontroller has."""

_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


class MicroInterpreter:
    """A model, int8 in and out, in TensorFlow Lite Micro's interpreter.

    Args:
        data: The model.
        arena_bytes: Memory that it may use.
        source: What to call it in messages.

    Raises:
        TinyposeError: the package ``tflite-micro`` is not installed, or the
            interpreter refuses the model.
    """

    def __init__(
        self, data: bytes, arena_bytes: int = ROOM, source: str = "the model"
    ) -> None:
        require_installed(source)
        from tflite_micro import runtime

        self._source = source
        self.runtime = f"TensorFlow Lite Micro {version(PACKAGE)}"
        with self._refusals():
            self._interpreter: Any = runtime.Interpreter.from_bytes(
                data, arena_size=arena_bytes
            )

    def __call__(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return (num_crops, height, width, num_keypoints) int8 heatmaps.

        Args:
            values: (num_crops, height, width, 3) int8 pictures, one or more.

        Raises:
            TinyposeError: the interpreter refuses them.
        """
        with self._refusals():
            return np.concatenate([self._invoke(value[None]) for value in values])

    def arena_bytes(self, value: NDArray[np.int8]) -> int:
        """Return the memory that the model takes for a picture.

        Args:
            value: (height, width, 3) int8.
        """
        with self._refusals() as heard:
            self._invoke(value[None])
            self._interpreter.print_allocations()
            text = heard()
            found = _TOTAL.search(text)
            if found is None:
                raise ValueError(f"expected its allocations, found {text[:100]!r}")
        return int(found[1])

    def _invoke(self, value: NDArray[np.int8]) -> NDArray[np.int8]:
        self._interpreter.set_input(value, 0)
        self._interpreter.invoke()
        output: NDArray[np.int8] = self._interpreter.get_output(0)
        return output

    @contextmanager
    def _refusals(self) -> Iterator[Callable[[], str]]:
        """Turn what the interpreter raises into one line with its reason."""
        with _heard_stderr() as heard:
            try:
                yield heard
            except (RuntimeError, ValueError) as error:
                reason = " ".join(heard().split()) or " ".join(str(error).split())
                raise TinyposeError(
                    f"{self._source}: expected a model that TensorFlow Lite Micro "
                    f"runs, found one that its interpreter refuses ({reason[:300]})"
                ) from error


def is_installed() -> bool:
    """Return whether the package ``tflite-micro`` is there."""
    try:
        import tflite_micro  # noqa: F401
    except ImportError:
        return False
    return True


def require_installed(source: str) -> None:
    """Check that models can be run.

    Raises:
        TinyposeError: the package ``tflite-micro`` is missing; names ``source``.
    """
    if not is_installed():
        raise TinyposeError(
            f"{source}: running it as a microcontroller does needs the package "
            f"{PACKAGE!r}, which is not installed: run  pip install {PACKAGE}  "
            "(Linux on x86-64 only)"
        )


def input_values(crops: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return the bytes of crops as the values that a network in int8 takes."""
    return (crops.astype(np.int16) - 128).astype(np.int8)


@contextmanager
def _heard_stderr() -> Iterator[Callable[[], str]]:
    """Yield a function that returns what was written to standard error so far.

    The interpreter gives its reasons and its allocations there alone, past
    Python: see ``quiet_stderr``.
    """
    with tempfile.TemporaryFile() as file:

        def heard() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            saved = os.dup(2)
        except OSError:
            saved = -1  # a process without a standard error
        os.dup2(file.fileno(), 2)
        try:
            yield heard
        finally:
            if saved >= 0:
                os.dup2(saved, 2)
                os.close(saved)
            elif file.fileno() != 2:
                os.close(2)
