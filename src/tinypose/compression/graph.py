"""Read a functional network as a list of calls of its layers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import keras

from tinypose.errors import TinyposeError

Key = tuple[str, int, int]
"""A tensor: the layer that makes it, which of its calls, which of the outputs."""


class Tensor(NamedTuple):
    """A tensor between two layers; its shape is (batch, ..., channels)."""

    key: Key
    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Call:
    """One call of a layer.

    Args:
        name: Of the layer.
        layer: The layer; None for a bare operation, such as an addition of two
            tensors.
        number: Which of the layer's calls, as tensors' keys count them.
        inputs: The tensors that it takes.
        plain: Whether all of them are in the first argument.
        times: How often a picture's tensor stands in the batch: several times
            where windows were cut out of it.
    """

    name: str
    layer: Any
    number: int
    inputs: tuple[Tensor, ...]
    plain: bool
    times: Fraction = Fraction(1)


class Graph(NamedTuple):
    """A network's calls, each after those whose results it takes, and outputs."""

    calls: tuple[Call, ...]
    outputs: tuple[Key, ...]


def read_graph(net: keras.Model) -> Graph:
    """Return the calls and the outputs of a functional network.

    Raises:
        TinyposeError: the network is no graph of layers.
    """
    _require_functional(net)
    # A layer object does not say how often it is called; the config does.
    config = net.get_config()
    layers = {layer.name: layer for layer in net.layers}
    waiting = [
        call
        for entry in config["layers"]
        for call in _calls(entry, layers.get(entry["name"]))
    ]
    outputs = tuple(_keys(config["output_layers"]))
    return Graph(calls=tuple(_in_order(waiting)), outputs=outputs)


def _require_functional(net: keras.Model) -> None:
    """Raise a TinyposeError unless a network is a graph of layers."""
    if not hasattr(net, "operations") or isinstance(net, keras.Sequential):
        raise TinyposeError(
            "expected a functional network, as keras.Model(inputs, outputs) and "
            f"tinypose.models give, found {type(net).__name__} {net.name!r}"
        )


def _calls(entry: dict[str, Any], layer: Any) -> Iterator[Call]:
    """Yield the calls of a layer as its config lists them."""
    if not entry["inbound_nodes"]:  # an input
        yield Call(name=entry["name"], layer=layer, number=0, inputs=(), plain=True)
    for number, node in enumerate(entry["inbound_nodes"]):
        tensors = tuple(_tensors([node["args"], node["kwargs"]]))
        argument = node["args"][0] if node["args"] else node["kwargs"].get("inputs")
        yield Call(
            name=entry["name"],
            layer=layer,
            number=number,
            inputs=tensors,
            plain=len(tuple(_tensors(argument))) == len(tensors),
        )


def _in_order(waiting: list[Call]) -> Iterator[Call]:
    """Yield each call after those whose results it takes, with its ``times``."""
    done: set[tuple[str, int]] = set()
    times: dict[str, Fraction] = {}
    while waiting:
        later = []
        for call in waiting:
            if not all(tensor.key[:2] in done for tensor in call.inputs):
                later.append(call)
                continue
            done.add((call.name, call.number))
            sources = [tensor.key[0] for tensor in call.inputs[:1]]
            before = times[sources[0]] if sources else Fraction(1)
            times[call.name] = before * getattr(call.layer, "batch_factor", 1)
            yield replace(call, times=before)
        if len(later) == len(waiting):
            raise TinyposeError(
                "expected layers whose inputs are made by other layers, found that "
                f"nothing makes those of {later[0].name!r}"
            )
        waiting = later


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a call's serialised arguments."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, number, index = value["config"]["keras_history"]
            yield Tensor((name, number, index), tuple(value["config"]["shape"]))
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _keys(value: Any) -> Iterator[Key]:
    """Yield the tensors in a config's nested outputs."""
    if isinstance(value, dict):
        value = list(value.values())
    if len(value) == 3 and isinstance(value[0], str):
        yield value[0], value[1], value[2]
        return
    for item in value:
        yield from _keys(item)
