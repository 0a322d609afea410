"""Run a cut network: in TensorFlow Lite Micro, and in LiteRT to compare."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from tinypose.errors import TinyposeError
from tinypose.quiet import quiet_stderr

PACKAGE = "tflite-micro"
ROOM = 64 * 1024**2
"""Arena in which a model is measured: more than any microcontroller has."""

_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


@dataclass(frozen=True, eq=False)
class MicroRun:
    """What TensorFlow Lite Micro made of a model.

    Args:
        outputs: (num_crops, height, width, num_keypoints) int8 heatmaps.
        arena_bytes: Smallest arena in which the model was seen to run.
        version: Of the package that ran it.
    """

    outputs: NDArray[np.int8]
    arena_bytes: int
    version: str


def input_values(crops: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return the bytes of crops as the values that a cut network takes."""
    return (crops.astype(np.int16) - 128).astype(np.int8)


def run_micro(
    data: bytes, values: NDArray[np.int8], source: str = "the model"
) -> MicroRun | None:
    """Run a model in TensorFlow Lite Micro's interpreter for Python.

    Args:
        data: The model, int8 in and out.
        values: (num_crops, height, width, 3) int8 pictures, one or more.
        source: What to call it in messages.

    Returns:
        None where the package ``tflite-micro`` is not installed.

    Raises:
        TinyposeError: the interpreter refuses the model.
    """
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    with _heard_stderr() as heard:
        try:
            measured = runtime.Interpreter.from_bytes(data, arena_size=ROOM)
            _invoke(measured, values[0])
            measured.print_allocations()
            arena_bytes = _arena_bytes(heard())
            # The figure proves itself: the crops are run in no more than that.
            interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena_bytes)
            outputs = [_invoke(interpreter, value) for value in values]
        except (RuntimeError, ValueError) as error:
            reason = " ".join(heard().split()) or " ".join(str(error).split())
            raise TinyposeError(
                f"{source}: expected a model that TensorFlow Lite Micro runs, found "
                f"one that its interpreter refuses ({reason[:300]})"
            ) from error
    return MicroRun(np.concatenate(outputs), arena_bytes, version(PACKAGE))


def run_reference(data: bytes, values: NDArray[np.int8]) -> NDArray[np.int8]:
    """Run a model in LiteRT, with its reference kernels.

    They round as TensorFlow Lite Micro does. The fast kernels round some
    products the other way, which adds up to a few steps at the end of a network.

    Args:
        data: The model, int8 in and out.
        values: (num_crops, height, width, 3) int8 pictures.
    """
    with quiet_stderr():
        interpreter = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
    (taken,), (given,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    outputs = []
    for value in values:
        interpreter.set_tensor(taken["index"], value[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(given["index"]))
    return np.concatenate(outputs)


def _invoke(interpreter: Any, value: NDArray[np.int8]) -> NDArray[np.int8]:
    interpreter.set_input(value[None], 0)
    interpreter.invoke()
    output: NDArray[np.int8] = interpreter.get_output(0)
    return output


def _arena_bytes(text: str) -> int:
    found = _TOTAL.search(text)
    if found is None:
        raise ValueError(f"expected its allocations, found {text[:100]!r}")
    return int(found[1])


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
