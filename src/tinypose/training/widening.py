"""Weights of a narrower network for the layers of a wider one."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.compression.channel_rules import WEIGHT_AXES, Ids
from tinypose.compression.channels import PRODUCERS, find_channels

NOISE = 0.05
"""Of a copied channel's weights, relative to their size: two channels that are
equal learn the same and stay equal."""

_SEED = 0


class Widening:
    """Spread a network's weights over a wider one's layers.

    Each layer's channels start as the source's in turn. Where channels of several
    layers are concatenated, each part of them does so by itself.

    Args:
        net: The wider network.
        source: The weights of each of the narrower one's layers.
        heads: Layers whose channels are not copied: they are the keypoints, and
            matched by name.
    """

    def __init__(
        self,
        net: keras.Model,
        source: Mapping[str, list[NDArray[Any]]],
        heads: Collection[str],
    ) -> None:
        self._generator = np.random.default_rng(_SEED)
        channels = find_channels(net)
        self._ids = {"inputs": channels.inputs, "outputs": channels.outputs}
        # The channel that each is a copy of: itself, if it is none.
        self._first = np.arange(channels.num_channels)
        made = np.zeros(channels.num_channels, bool)
        had = np.zeros(channels.num_channels, bool)
        for layer in net.layers:
            ids = channels.outputs.get(layer.name)
            if ids is None or not isinstance(layer, PRODUCERS):
                continue
            made[ids] = True
            if source.get(layer.name):
                had[ids] = True
                count = source[layer.name][0].shape[-1]
                if layer.name not in heads:
                    self._first[ids] = ids[np.arange(len(ids)) % count]
        self._missing = made & ~had

    def widen(
        self, layer: keras.layers.Layer, weights: Sequence[NDArray[Any]]
    ) -> list[NDArray[Any]]:
        """Return a layer's weights, made of those that it has in the source."""
        axes = WEIGHT_AXES[type(layer)]
        summed = isinstance(layer, PRODUCERS)
        widened = []
        for own, value in zip(layer.weights, weights, strict=True):
            wide, is_new = value, np.zeros([1] * value.ndim, bool)
            for axis, side in axes[own.name].items():
                ids = self._ids[side].get(layer.name)
                places = self._places(ids, own.shape[axis], value.shape[axis])
                share = _shares(places) if summed and side == "inputs" else places >= 0
                shape = [-1 if number == axis else 1 for number in range(value.ndim)]
                wide = wide.take(np.maximum(places, 0), axis) * share.reshape(shape)
                is_new = is_new | _is_repeated(places).reshape(shape)
            if value.ndim == 4:  # a kernel (height, width, in, out)
                noise = self._generator.normal(0, NOISE * wide.std(), wide.shape)
                # The first of the copies stay as they are.
                wide = wide + np.where(is_new, noise, 0)
                around = [(own.shape[side] - value.shape[side]) // 2 for side in (0, 1)]
                wide = np.pad(wide, [(size, size) for size in (*around, 0, 0)])
            widened.append(wide.astype(value.dtype))
        return widened

    def _places(self, ids: Ids | None, length: int, count: int) -> Ids:
        """Return which of the source's places each place of an axis starts as.

        Args:
            ids: The axis' channels (length,); None where they are not known.
            length: Of the axis.
            count: The source's places.

        Returns:
            (length,), -1 where the source has nothing of the kind.
        """
        places: list[int] = []
        latest: dict[int, int] = {}
        begin = 0
        for channel in [] if ids is None else ids.tolist():
            first = int(self._first[channel])
            if self._missing[channel]:
                places.append(-1)
                continue
            if first == channel:
                latest[channel] = begin
                begin += 1
            places.append(latest.get(first, -1))
        # Behind a layer that nobody knows, they are taken in turn.
        return np.array(places) if begin == count else np.arange(length) % count


def can_widen(layer: keras.layers.Layer, weights: Sequence[NDArray[Any]]) -> bool:
    """Return whether a layer of a kind that we know only grew, evenly around."""
    kind = type(layer)
    shapes = [weight.shape for weight in layer.weights]
    if kind not in WEIGHT_AXES or kind is keras.layers.Dense:
        return False
    if [value.ndim for value in weights] != [len(shape) for shape in shapes]:
        return False
    for own, value in zip(layer.weights, weights, strict=True):
        grown = [new - old for old, new in zip(value.shape, own.shape, strict=True)]
        # A border of one would move what the kernel sees.
        sides = grown[:-2]
        if min(grown) < 0 or any(size % 2 for size in sides):
            return False
        # Several depthwise kernels for a channel are not copied.
        along = [*range(len(sides)), *WEIGHT_AXES[kind][own.name]]
        if any(size for axis, size in enumerate(grown) if axis not in along):
            return False
    return True


def _shares(places: Ids) -> NDArray[np.float64]:
    """Return what each copy of an input gives of the sum that is taken of all."""
    counts = np.bincount(places[places >= 0])
    return np.where(places >= 0, 1 / counts[places], 0.0)


def _is_repeated(places: Ids) -> NDArray[np.bool_]:
    """Return which places are no first copy, or none at all."""
    repeated = np.ones(len(places), bool)
    repeated[np.unique(places, return_index=True)[1]] = False
    return repeated | (places < 0)
