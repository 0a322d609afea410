"""Write a TensorFlow Lite model in as few bytes as it can be run from."""

from typing import Any

import flatbuffers
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Of weights in the file, in bytes: the kernels of some cores load such blocks."""


def strip(model: Any) -> None:
    """Remove what nothing reads in a run: names, signatures, spare tensors.

    Args:
        model: A ``ModelT`` of one graph, whose inputs, outputs and operators
            are those that shall stay; it is changed.
    """
    graph = model.subgraphs[0]
    model.subgraphs = [graph]
    model.description = model.metadata = model.metadataBuffer = None
    model.signatureDefs = graph.name = None
    for tensor in graph.tensors:
        tensor.name = tensor.shapeSignature = None
    _renumber_tensors(graph)
    _renumber_buffers(model, graph)
    codes = sorted({operator.opcodeIndex for operator in graph.operators})
    model.operatorCodes = [model.operatorCodes[code] for code in codes]
    for operator in graph.operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)


def shorten(model: Any) -> None:
    """Remove what LiteRT insists on, but TensorFlow Lite Micro does not read.

    It is a fifth of a small model. Zero points of weights: all are 0, and one
    stands for the rest (tensorflow/tflite-micro, pull request 813). The scales
    of a convolution's bias: they are those of its input times its weights.
    """
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        values = tensor.quantization
        if values is None or values.zeroPoint is None or len(values.zeroPoint) < 2:
            continue
        if not any(values.zeroPoint):
            values.zeroPoint = values.zeroPoint[:1]
    for operator in graph.operators:
        name = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            for index in operator.inputs[2:]:
                graph.tensors[index].quantization = None


def pack(model: Any) -> bytes:
    """Return a model as a flatbuffer with its weights aligned."""
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    """Write vectors of bytes where the file format wants them.

    The schema demands the alignment, but the Python writer ignores it.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        """Start a vector; the signature is the library's."""
        if elemSize == 1:
            alignment = ALIGNMENT
        return int(super().StartVector(elemSize, numElems, alignment))


def _renumber_tensors(graph: Any) -> None:
    lists = [graph.inputs, graph.outputs]
    for operator in graph.operators:
        lists += [operator.inputs, operator.outputs]
    used = sorted({int(index) for indices in lists for index in indices} - {-1})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}  # -1: left out
    for part in [graph, *graph.operators]:
        part.inputs = [place[int(index)] for index in part.inputs]
        part.outputs = [place[int(index)] for index in part.outputs]
    graph.tensors = [graph.tensors[index] for index in used]


def _renumber_buffers(model: Any, graph: Any) -> None:
    # The first buffer is empty; what has no values before a run shares it.
    buffers = [schema.BufferT()]
    place: dict[int, int] = {}
    for tensor in graph.tensors:
        buffer = model.buffers[tensor.buffer]
        if buffer.data is None or not len(buffer.data):
            tensor.buffer = 0
            continue
        if tensor.buffer not in place:
            place[tensor.buffer] = len(buffers)
            buffers.append(buffer)
        tensor.buffer = place[tensor.buffer]
    model.buffers = buffers
