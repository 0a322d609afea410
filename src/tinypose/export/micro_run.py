"""Run a cut network: in TensorFlow Lite Micro, and in LiteRT to compare."""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from tinypose.micro_interpreter import MicroInterpreter, is_installed
from tinypose.quiet import quiet_stderr


@dataclass(frozen=True, eq=False)
class MicroRun:
    """What TensorFlow Lite Micro made of a model.

    Args:
        outputs: (num_crops, height, width, num_keypoints) int8 heatmaps.
        arena_bytes: Smallest arena in which the model was seen to run.
        runtime: What ran it, with its version.
    """

    outputs: NDArray[np.int8]
    arena_bytes: int
    runtime: str


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
    if not is_installed():
        return None
    arena_bytes = MicroInterpreter(data, source=source).arena_bytes(values[0])
    # The figure proves itself: the crops are run in no more than that.
    interpreter = MicroInterpreter(data, arena_bytes, source)
    return MicroRun(interpreter(values), arena_bytes, interpreter.runtime)


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
