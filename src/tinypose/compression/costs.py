"""What a network costs while channels are removed from it."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.compression.channel_rules import WEIGHT_AXES
from tinypose.compression.channels import ChannelGraph
from tinypose.errors import UsageError
from tinypose.models.cost import count_macs, count_parameters

COSTS = {"macs": count_macs, "parameters": count_parameters}

Places = dict[str, dict[str, int]]
"""By layer and axis (``inputs``, ``outputs``), how many places channels take."""


class PruningCosts:
    """Count what each removal saves, without building the network.

    Args:
        net: The network.
        graph: Its channels.
        cost: ``macs`` or ``parameters``, as ``tinypose.models.cost`` counts them.

    Attributes:
        total: What the network costs without what was removed so far.
    """

    def __init__(self, net: keras.Model, graph: ChannelGraph, cost: str) -> None:
        if cost not in COSTS:
            raise UsageError(
                f"expected a cost to save ({', '.join(COSTS)}), found {cost!r}"
            )
        self.total = float(COSTS[cost](net))
        self._axes = {"inputs": graph.inputs, "outputs": graph.outputs}
        self._left: Places = {name: {} for name in graph.outputs}
        self._users: list[set[str]] = [set() for _ in range(graph.num_channels)]
        for axis, by_layer in self._axes.items():
            for name, ids in by_layer.items():
                self._left[name][axis] = len(ids)
                for channel in np.unique(ids).tolist():
                    self._users[channel].add(name)
        times = _positions(graph) if cost == "macs" else None
        self._terms = {
            name: _terms(net.get_layer(name), times) for name in graph.outputs
        }

    def places(self, channels: NDArray[np.int64]) -> Places:
        """Return where channels, given by their numbers, lie."""
        users = set().union(*(self._users[c] for c in channels.tolist()))
        return {
            name: {
                axis: int(np.isin(by_layer[name], channels).sum())
                for axis, by_layer in self._axes.items()
                if name in by_layer
            }
            for name in users
        }

    def saved(self, places: Places) -> float:
        """Return what would go with the channels that lie there."""
        return sum(
            self._cost(name, {}) - self._cost(name, gone)
            for name, gone in places.items()
        )

    def remove(self, places: Places) -> None:
        """Do without the channels that lie there from here on."""
        self.total -= self.saved(places)
        for name, gone in places.items():
            for axis, count in gone.items():
                self._left[name][axis] -= count

    def _cost(self, name: str, gone: dict[str, int]) -> float:
        left = self._left[name]
        return sum(
            factor * math.prod(left[axis] - gone.get(axis, 0) for axis in axes)
            for factor, axes in self._terms[name]
        )


def _positions(graph: ChannelGraph) -> dict[str, float]:
    """Return how often each layer's kernel is applied to a picture."""
    times: dict[str, float] = {}
    for call in graph.graph.calls:
        if call.name in graph.inputs:
            shape = call.layer.compute_output_shape(call.inputs[0].shape)
            here = float(call.times) * math.prod(shape[1:-1])
            times[call.name] = times.get(call.name, 0.0) + here
    return times


def _terms(
    layer: Any, times: dict[str, float] | None
) -> list[tuple[float, tuple[str, ...]]]:
    """Return each weight's cost as a factor, and the axes that multiply it.

    Args:
        layer: The layer.
        times: How often its kernel is applied; None to count parameters.
    """
    terms = []
    for weight in layer.weights:
        if times is not None and weight.name != "kernel":
            continue
        axes = WEIGHT_AXES[type(layer)][weight.name]
        others = (side for axis, side in enumerate(weight.shape) if axis not in axes)
        factor = math.prod(others) * (1.0 if times is None else times[layer.name])
        terms.append((factor, tuple(axes.values())))
    return terms
