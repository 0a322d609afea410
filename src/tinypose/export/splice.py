"""Change finished TensorFlow Lite models: join two, shorten names.

A quantised network followed by a decoder in full precision cannot be converted
in one piece: the converter would quantise coordinates, too, and a pixel is
less than their step. Both are converted by themselves and joined here.
"""

import re
from typing import Any

from tensorflow.lite.tools import flatbuffer_utils

from tinypose.errors import TinyposeError


def join_models(first: bytes, second: bytes) -> bytes:
    """Return the model that runs ``first`` and ``second`` one after the other.

    Args:
        first: A ``.tflite`` file of one graph, with one input and one output.
        second: Likewise; its input has the shape and type of that output.

    Raises:
        TinyposeError: the two do not fit each other.
    """
    whole = flatbuffer_utils.read_model_from_bytearray(bytearray(first))
    added = flatbuffer_utils.read_model_from_bytearray(bytearray(second))
    graph, tail = whole.subgraphs[0], added.subgraphs[0]
    _require_fit(graph, tail)
    (joint,) = graph.outputs
    first_tensor, first_buffer = len(graph.tensors), len(whole.buffers)
    first_code = len(whole.operatorCodes)

    def place(index: int) -> int:
        if index == tail.inputs[0]:
            return int(joint)
        return int(index) + first_tensor if index >= 0 else -1  # -1: left out

    for tensor in tail.tensors:
        tensor.buffer += first_buffer
    for operator in tail.operators:
        operator.opcodeIndex += first_code
        operator.inputs = [place(index) for index in operator.inputs]
        operator.outputs = [place(index) for index in operator.outputs]
    whole.buffers += added.buffers
    whole.operatorCodes += added.operatorCodes
    graph.tensors += tail.tensors
    graph.operators += tail.operators
    graph.outputs = [place(index) for index in tail.outputs]
    for signature, other in zip(
        whole.signatureDefs or [], added.signatureDefs or [], strict=True
    ):
        signature.outputs = other.outputs
        for entry in signature.outputs:
            entry.tensorIndex = place(entry.tensorIndex)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(whole))


def shorten_names(data: bytes) -> bytes:
    """Return a model with short names of tensors: they are a tenth of a tiny file.

    The converter joins the names of all that it fused; a layer's name is kept,
    the last one's. Constants, which belong to an operation, need none. Inputs
    and outputs keep theirs.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for graph in model.subgraphs:
        ends = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                constant = model.buffers[tensor.buffer].data is not None
                name = (tensor.name or b"").decode(errors="replace")
                tensor.name = "" if constant else re.split("[;/]", name)[0]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _require_fit(graph: Any, tail: Any) -> None:
    if len(graph.outputs) != 1 or len(tail.inputs) != 1:
        raise TinyposeError(
            "expected models of one output and one input to join, found "
            f"{len(graph.outputs)} and {len(tail.inputs)}"
        )
    given, taken = graph.tensors[graph.outputs[0]], tail.tensors[tail.inputs[0]]
    found = [(list(tensor.shape), tensor.type) for tensor in (given, taken)]
    if found[0] != found[1]:
        raise TinyposeError(
            f"expected an input of shape and type {found[0]} to join, found {found[1]}"
        )
