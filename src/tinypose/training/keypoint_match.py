"""Whose weights are a keypoint's own, and where they stand in another network."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.compression.channel_rules import WEIGHT_AXES, Ids
from tinypose.compression.channels import find_channels
from tinypose.compression.graph import read_graph
from tinypose.skeletons import Skeleton

Axes = dict[tuple[int, int], Ids]
"""Of some weights (which of the layer's, which axis): the number of the keypoint
that each place belongs to (length,); -1 where it is none's."""


class KeypointMatch:
    """Match the keypoints in two networks' weights by name.

    Args:
        net: The network that is to get weights.
        source: The keypoints of the network that they come from; None where
            they are not known, and taken for the same.
        target: The keypoints of ``net``.
    """

    def __init__(
        self, net: keras.Model, source: Skeleton | None, target: Skeleton
    ) -> None:
        self.heads = find_heads(net)
        source = source or target
        self._same = source.names == target.names
        self._mapping = source.mapping_to(target)
        self._num_source = source.num_keypoints
        self._axes = {}
        if not self._same:
            self._axes = keypoint_axes(net, self.heads, target.num_keypoints)

    @property
    def num_shared(self) -> int:
        """How many keypoints of the target the source has."""
        return int((self._mapping >= 0).sum())

    def arrange(self, name: str, weights: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the source's weights of a layer, keypoints in the target's places.

        What stands in the place of a keypoint that the source lacks means
        nothing; see ``keep_new``. Empty where the layer is to start fresh: it
        gives keypoints in another way than one channel each, or none is shared.
        """
        if self._same or not weights:
            return weights
        if name not in self._axes:
            return [] if name in self.heads else weights
        weights = list(weights)
        for (number, axis), places in self._axes[name].items():
            origin, length = self._origin(places)
            shape = weights[number].shape if number < len(weights) else ()
            if shape[axis : axis + 1] != (length,) or (origin < 0).all():
                return []
            weights[number] = weights[number].take(np.maximum(origin, 0), axis)
        return weights

    def keep_new(
        self, name: str, weights: list[NDArray[Any]], own: list[NDArray[Any]]
    ) -> list[NDArray[Any]]:
        """Return ``weights``, but a layer's ``own`` of keypoints the source lacks."""
        weights = list(weights)
        for (number, axis), places in self._axes.get(name, {}).items():
            shape = [1] * own[number].ndim
            shape[axis] = -1
            is_new = (self._origin(places)[0] < 0).reshape(shape)
            weights[number] = np.where(is_new, own[number], weights[number])
        return weights

    def _origin(self, places: Ids) -> tuple[Ids, int]:
        """Return where each place of an axis stands in the source's; its length.

        The keypoints' places follow one another, before and behind them may be
        others, as many as in the source. -1 where the source lacks a keypoint.
        """
        origin, begin = [], 0
        for keypoint in places.tolist():
            if keypoint < 0:
                origin.append(begin)
                begin += 1
                continue
            found = self._mapping[keypoint]
            origin.append(begin + found if found >= 0 else -1)
            if keypoint == len(self._mapping) - 1:
                begin += self._num_source
        return np.array(origin, np.int64), begin


def find_heads(net: keras.Model) -> frozenset[str]:
    """Return the names of the last layers with weights before the outputs."""
    graph = read_graph(net)
    calls = {(call.name, call.number): call for call in graph.calls}
    waiting = [key[:2] for key in graph.outputs]
    heads = set()
    while waiting:
        call = calls[waiting.pop()]
        if call.layer is not None and call.layer.weights:
            heads.add(call.name)
        else:
            waiting += [tensor.key[:2] for tensor in call.inputs]
    return frozenset(heads)


def keypoint_axes(
    net: keras.Model, heads: frozenset[str], num_keypoints: int
) -> dict[str, Axes]:
    """Return where the weights of each layer run along keypoints.

    Those are the heads of one channel per keypoint, and the layers that take
    what these say: a later stack's, for one.

    Args:
        net: The network.
        heads: Names of its last layers.
        num_keypoints: Number of its keypoints.
    """
    channels = find_channels(net)
    keypoints = np.full(channels.num_channels, -1)
    for name in heads:
        made = channels.outputs.get(name)
        if made is not None and len(made) == num_keypoints:
            keypoints[made] = np.arange(num_keypoints)
    found: dict[str, Axes] = {}
    for layer in net.layers:
        along = {"inputs": channels.inputs, "outputs": channels.outputs}
        for number, weight in enumerate(layer.weights):
            sides = WEIGHT_AXES.get(type(layer), {}).get(weight.name, {})
            for axis, side in sides.items():
                ids = along[side].get(layer.name)
                if ids is not None and (keypoints[ids] >= 0).any():
                    found.setdefault(layer.name, {})[number, axis] = keypoints[ids]
    return found
