"""Cut a network in eight bits out of a ``.tflite`` file, for microcontrollers.

An int8 file that tinypose wrote takes a picture's bytes and gives floats: a
QUANTIZE operator at its start and a DEQUANTIZE at the end of its network, in a
complete file followed by the decoder. What lies between the two is all that a
microcontroller runs: int8 in, int8 out, the same numbers as in the whole file.
"""

from dataclasses import dataclass
from typing import Any

from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from tinypose.errors import TinyposeError
from tinypose.export.micro_pack import IDENTIFIER, pack, shorten, strip

# fmt: off
SUPPORTED = (
    "Abs", "Add", "AddN", "ArgMax", "ArgMin", "AveragePool2D", "BatchToSpaceNd",
    "BroadcastArgs", "BroadcastTo", "Cast", "Ceil", "Concatenation", "Conv2D", "Cos",
    "CumSum", "DepthToSpace", "DepthwiseConv2D", "Dequantize", "Div", "Elu", "Equal",
    "Exp", "ExpandDims", "Fill", "Floor", "FloorDiv", "FloorMod", "FullyConnected",
    "Gather", "GatherNd", "Greater", "GreaterEqual", "HardSwish", "L2Normalization",
    "L2Pool2D", "LeakyRelu", "Less", "LessEqual", "Log", "LogSoftmax", "LogicalAnd",
    "LogicalNot", "LogicalOr", "Logistic", "MaxPool2D", "Maximum", "Mean", "Minimum",
    "MirrorPad", "Mul", "Neg", "NotEqual", "Pack", "Pad", "PadV2", "Prelu", "Quantize",
    "ReduceMax", "Relu", "Relu6", "Reshape", "ResizeBilinear",
    "ResizeNearestNeighbor", "Round", "Rsqrt", "SelectV2", "Shape", "Sin", "Slice",
    "Softmax", "SpaceToBatchNd", "SpaceToDepth", "Split", "SplitV", "Sqrt", "Square",
    "SquaredDifference", "Squeeze", "StridedSlice", "Sub", "Sum", "Tanh",
    "Transpose", "TransposeConv", "Unpack", "ZerosLike",
)
"""Operators that TensorFlow Lite Micro runs, as its resolver names them.

From tensorflow/tflite-micro, python/tflite_micro/python_ops_resolver.cc (which
took over from all_ops_resolver.cc), without those that need state, control flow
or audio. ``Conv2D`` is added by ``MicroMutableOpResolver::AddConv2D``.
"""
# fmt: on

_METHODS = {name.lower(): name for name in SUPPORTED}


@dataclass(frozen=True)
class Quantisation:
    """What an int8 value means: (value - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class MicroModel:
    """A network that takes int8 and gives int8.

    Args:
        data: The model for TensorFlow Lite Micro, as short as that takes it.
        file: The same for LiteRT, which wants some redundant entries.
        operators: Those that it uses, as the file format names them, sorted.
        input: Of the picture (1, height, width, 3).
        output: Of the heatmaps (1, height, width, num_keypoints).
    """

    data: bytes
    file: bytes
    operators: tuple[str, ...]
    input: Quantisation
    output: Quantisation


def cut_network(data: bytes, source: str, output_shape: tuple[int, ...]) -> MicroModel:
    """Return the part of a file that computes in eight bits.

    Args:
        data: A ``.tflite`` file in int8 for one picture, heads or complete.
        source: What to call it in messages.
        output_shape: Shape of the heatmaps, without the batch.

    Raises:
        TinyposeError: the file is none such, or has operators that TensorFlow
            Lite Micro lacks.
    """
    if data[4:8] != IDENTIFIER:
        raise TinyposeError(
            f"{source}: expected a TensorFlow Lite model, found {data[4:8]!r} in "
            f"place of {IDENTIFIER!r}; is the file damaged?"
        )
    try:
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
        graph = model.subgraphs[0]
    except Exception as error:  # what is damaged can fail in any way
        raise TinyposeError(
            f"{source}: expected a TensorFlow Lite model, found one that does not "
            f"parse ({type(error).__name__}: {error}); is the file damaged?"
        ) from error
    start = _start(model, graph, source)
    end = _end(model, graph, source, (1, *output_shape))
    graph.operators = _operators_between(graph, start, end)
    graph.inputs, graph.outputs = [start], [end]
    _require_supported(model, graph, source)
    ends = [_quantisation(graph.tensors[index]) for index in (start, end)]
    names = {_name(model, operator) for operator in graph.operators}
    strip(model)
    file = pack(model)
    shorten(model)
    return MicroModel(pack(model), file, tuple(sorted(names)), *ends)


def resolver_method(operator: str) -> str | None:
    """Return what the resolver calls ``CONV_2D`` (``Conv2D``); None if unknown."""
    return _METHODS.get(operator.replace("_", "").lower())


def _start(model: Any, graph: Any, source: str) -> int:
    """Return the tensor that holds the picture in int8."""
    first = int(graph.inputs[0])
    tensor = graph.tensors[first]
    if tensor.shape[0] != 1:
        raise TinyposeError(
            f"{source}: expected a model for one picture at a time, found a batch of "
            f"{tensor.shape[0]}; export it with a batch of 1"
        )
    if tensor.type == schema.TensorType.INT8:
        return first
    for operator in graph.operators:
        if _name(model, operator) == "QUANTIZE" and operator.inputs[0] == first:
            start = int(operator.outputs[0])
            given = _quantisation(tensor)
            taken = _quantisation(graph.tensors[start])
            # Then q = byte - 128 is all that the operator did.
            if given == Quantisation(taken.scale, taken.zero_point + 128):
                return start
    raise _no_int8(source, "the picture's bytes are not turned into int8 at its start")


def _end(model: Any, graph: Any, source: str, shape: tuple[int, ...]) -> int:
    """Return the tensor that holds the heatmaps in int8."""
    last = int(graph.outputs[0])
    places = [last] + [
        int(operator.inputs[0])
        for operator in graph.operators
        if _name(model, operator) == "DEQUANTIZE"
    ]
    found = [
        index
        for index in dict.fromkeys(places)
        if graph.tensors[index].type == schema.TensorType.INT8
        and tuple(graph.tensors[index].shape) == shape
    ]
    if len(found) != 1:
        raise _no_int8(source, f"{len(found)} int8 tensors of shape {shape} at its end")
    return found[0]


def _no_int8(source: str, found: str) -> TinyposeError:
    return TinyposeError(
        f"{source}: expected a model that tinypose exported in int8, found another "
        f"({found}); export it with the precision int8"
    )


def _operators_between(graph: Any, start: int, end: int) -> list[Any]:
    """Return the operators that lead from one tensor to another, in order."""
    wanted, chosen = {end}, []
    for operator in reversed(graph.operators):
        if wanted & {int(index) for index in operator.outputs}:
            chosen.append(operator)
            # What comes before the start is not wanted.
            wanted |= {int(index) for index in operator.inputs} - {start}
    return chosen[::-1]


def _require_supported(model: Any, graph: Any, source: str) -> None:
    """Check the operators.

    Raises:
        TinyposeError: TensorFlow Lite Micro lacks some; the message says where.
    """
    missing: dict[str, str] = {}
    for operator in graph.operators:
        name = _name(model, operator)
        if resolver_method(name) is None:
            tensor = graph.tensors[operator.outputs[0]].name or b"a nameless tensor"
            missing.setdefault(name, tensor.decode(errors="replace"))
    if missing:
        places = "; ".join(
            f"{name}, which computes {missing[name]}" for name in missing
        )
        raise TinyposeError(
            f"{source}: expected operators that TensorFlow Lite Micro has, found "
            f"{places}; build the network without them (the family conv_hourglass "
            "has none)"
        )


def _name(model: Any, operator: Any) -> str:
    return str(flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex))


def _quantisation(tensor: Any) -> Quantisation:
    """Return a tensor's quantisation; a scale of 0 if it has none."""
    values = tensor.quantization
    if values is None or values.scale is None or len(values.scale) != 1:
        return Quantisation(0.0, 0)
    return Quantisation(float(values.scale[0]), int(values.zeroPoint[0]))
