"""Find which channels of a network stand and fall together.

A channel is followed from the convolution or dense layer that makes it through
everything that treats channels one by one. Where two tensors are added, their
channels become one; where they are concatenated, they stay themselves. What a
layer does that is not in the table of rules is not known, so its channels stay.
"""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.compression.channel_rules import RULES, Ids, Tracks, is_known
from tinypose.compression.graph import Call, Graph, read_graph

PRODUCERS = (keras.layers.Conv2D, keras.layers.Dense)
"""Layers whose outputs are channels of their own."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelGroup:
    """Channels that some layers make together.

    Args:
        name: Of the first layer that makes them.
        channels: Numbers of the channels (size,), ascending.
        layers: Layers that make or scale them: convolutions, dense layers,
            depthwise convolutions, batch norms.
        consumers: Convolutions and dense layers that take them.
        fixed: Why none of them can be removed; empty where some can.
    """

    name: str
    channels: Ids
    layers: tuple[str, ...]
    consumers: tuple[str, ...]
    fixed: str = ""

    @property
    def size(self) -> int:
        """Number of channels."""
        return len(self.channels)


@dataclass(frozen=True, eq=False, kw_only=True)
class ChannelGraph:
    """A network's channels, numbered.

    Args:
        groups: By name, in the network's order.
        inputs: For each layer with weights along its inputs' channels, which
            channel each of them is (num_inputs,). Behind a ``Flatten``, a channel
            comes once per position.
        outputs: Likewise of the outputs (num_outputs,).
        num_channels: Number of channels, those of no group included.
        followed: Names of the layers through which channels were followed.
        graph: The network's calls.
    """

    groups: dict[str, ChannelGroup]
    inputs: dict[str, Ids]
    outputs: dict[str, Ids]
    num_channels: int
    followed: frozenset[str]
    graph: Graph

    @property
    def prunable(self) -> dict[str, ChannelGroup]:
        """The groups from which channels can be removed."""
        return {name: group for name, group in self.groups.items() if not group.fixed}


def find_channels(net: keras.Model) -> ChannelGraph:
    """Find a network's channel groups.

    Groups that come from the network's input, reach an output, or pass a layer
    that is not understood are fixed. Such layers are those that mix channels
    (``LocalResponseNormalization``: its neighbours would be others), that give
    the channels' axis a meaning (``Reshape``, ``Permute``, ``OwnKeypoint``,
    ``PeakCoordinates``, ``Centres``, softmax), and all whose exact class is not
    in ``channel_rules.RULES``: a subclass may do anything.

    Raises:
        TinyposeError: the network is no graph of layers.
    """
    graph = read_graph(net)
    tracks = Tracks()
    irregular = {call.name for call in graph.calls if not _is_regular(call)}
    for call in graph.calls:
        if call.name in irregular or not _follow(tracks, call):
            irregular.add(call.name)
            _stop(tracks, call)
    for key in graph.outputs:
        if key in tracks.tensors:
            tracks.fix(tracks.tensors[key], f"reaches the output {key[0]!r}")
    return _number(tracks, graph, irregular)


def _is_regular(call: Call) -> bool:
    return call.plain and call.layer is not None and is_known(call.layer)


def _follow(tracks: Tracks, call: Call) -> bool:
    """Follow the channels of a call's inputs to its output, where possible."""
    inputs = [tracks.read(tensor) for tensor in call.inputs]
    output = RULES[type(call.layer)](tracks, call, inputs)
    if output is not None:
        tracks.tensors[call.name, call.number, 0] = output
    return output is not None


def _stop(tracks: Tracks, call: Call) -> None:
    kind = "operation" if call.layer is None else type(call.layer).__name__
    for tensor in call.inputs:
        tracks.fix(tracks.read(tensor), f"reaches the layer {call.name!r} ({kind})")


def _number(tracks: Tracks, graph: Graph, irregular: set[str]) -> ChannelGraph:
    """Number the channels that are left after all were united."""
    count = len(tracks.parents)
    roots = np.array([tracks.find(channel) for channel in range(count)], np.int64)
    distinct, numbers = np.unique(roots, return_inverse=True)
    inputs = {name: numbers[ids] for name, ids in tracks.inputs.items()}
    outputs = {name: numbers[ids] for name, ids in tracks.outputs.items()}
    reasons: dict[int, str] = {}
    for channel, reason in tracks.reasons.items():
        reasons.setdefault(int(numbers[channel]), reason)
    kinds = {call.name: type(call.layer) for call in graph.calls}
    producers = [name for name in outputs if kinds[name] in PRODUCERS]
    return ChannelGraph(
        groups=_group(inputs, outputs, producers, len(distinct), reasons),
        inputs=inputs,
        outputs=outputs,
        num_channels=len(distinct),
        followed=frozenset(kinds.keys() - irregular),
        graph=graph,
    )


def _group(
    inputs: dict[str, Ids],
    outputs: dict[str, Ids],
    producers: list[str],
    num_channels: int,
    reasons: dict[int, str],
) -> dict[str, ChannelGroup]:
    """Put the channels of a layer, and of all layers that share some, together."""
    labels: NDArray[np.int64] = np.arange(num_channels)
    for name in producers:
        own = np.unique(labels[outputs[name]])
        labels[np.isin(labels, own)] = own[0]
    groups: dict[str, ChannelGroup] = {}
    seen: set[int] = set()
    for name in producers:
        label = int(labels[outputs[name][0]])
        if label in seen:
            continue
        seen.add(label)
        channels = np.flatnonzero(labels == label)
        fixed = [reasons[c] for c in channels.tolist() if c in reasons]
        groups[name] = ChannelGroup(
            name=name,
            channels=channels,
            layers=tuple(n for n, ids in outputs.items() if label in labels[ids]),
            consumers=tuple(
                n for n in producers if n in inputs and label in labels[inputs[n]]
            ),
            fixed=fixed[0] if fixed else "",
        )
    return groups
