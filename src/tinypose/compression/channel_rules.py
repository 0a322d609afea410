"""What each kind of layer does to channels: the rules of ``find_channels``."""

import math
from collections.abc import Callable

import keras
import numpy as np
from keras import activations, layers
from numpy.typing import NDArray

from tinypose.compression.graph import Call, Key, Tensor
from tinypose.models.layers import (
    BatchNormalization,
    CentreMap,
    LocalContrastNormalization,
    NearestUpsampling,
)
from tinypose.models.window_layers import CropAround

Ids = NDArray[np.int64]
"""Which channel each place of an axis belongs to (length,)."""

Rule = Callable[["Tracks", Call, list[Ids]], Ids | None]
"""Gives the channels of a call's output; None where they cannot be followed."""

_VECTOR = {0: "outputs"}
_NORM = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), _VECTOR)
WEIGHT_AXES: dict[type, dict[str, dict[int, str]]] = {
    layers.Conv2D: {"kernel": {2: "inputs", 3: "outputs"}, "bias": _VECTOR},
    layers.Dense: {"kernel": {0: "inputs", 1: "outputs"}, "bias": _VECTOR},
    layers.DepthwiseConv2D: {"kernel": {2: "inputs"}, "bias": _VECTOR},
    layers.BatchNormalization: _NORM,
    BatchNormalization: _NORM,
}
"""The axes of each weight that run along a layer's channels."""

NORMS = (layers.BatchNormalization,)
"""Layers that scale and shift each channel, ours included."""

ELEMENTWISE = (
    activations.linear,
    activations.relu,
    activations.relu6,
    activations.leaky_relu,
    activations.elu,
    activations.selu,
    activations.gelu,
    activations.silu,
    activations.hard_silu,
    activations.sigmoid,
    activations.hard_sigmoid,
    activations.softplus,
    activations.tanh,
)
"""Activations that look at one value at a time, as softmax does not."""


class Tracks:
    """Where each channel has been seen, while the rules follow them.

    Channels that turn out to be one are united: ``parents`` leads from each to
    the one that stands for all (``find``).
    """

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.reasons: dict[int, str] = {}
        self.tensors: dict[Key, Ids] = {}
        self.inputs: dict[str, Ids] = {}
        self.outputs: dict[str, Ids] = {}

    def new(self, count: int) -> Ids:
        """Return ``count`` new channels."""
        start = len(self.parents)
        self.parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def read(self, tensor: Tensor) -> Ids:
        """Return a tensor's channels: fixed ones where its layer is unknown."""
        if tensor.key not in self.tensors:
            count = tensor.shape[-1] if tensor.shape else 0
            ids = self.new(count or 0)
            self.fix(ids, f"comes from the layer {tensor.key[0]!r}")
            self.tensors[tensor.key] = ids
        return self.tensors[tensor.key]

    def find(self, channel: int) -> int:
        """Return the channel that stands for all that were united with one."""
        root = channel
        while self.parents[root] != root:
            root = self.parents[root]
        while self.parents[channel] != root:
            self.parents[channel], channel = root, self.parents[channel]
        return root

    def unite(self, first: Ids, second: Ids) -> None:
        """Make channels of the same place one."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((self.find(one), self.find(other)))
            self.parents[high] = low

    def fix(self, ids: Ids, reason: str) -> None:
        """Note why channels cannot be removed."""
        for channel in ids.tolist():
            self.reasons.setdefault(channel, reason)

    def attach(self, axes: dict[str, Ids], name: str, ids: Ids) -> Ids:
        """Lay channels along the weights of a layer; return what lies there.

        A layer that is called again has the same weights for other channels:
        they become one.
        """
        if name in axes:
            self.unite(axes[name], ids)
        return axes.setdefault(name, ids)


def is_known(layer: keras.layers.Layer) -> bool:
    """Return whether there is a rule for a layer and its options."""
    kind = type(layer)  # a subclass may do anything
    if kind not in RULES:
        return False
    # Such as those of LoRA or of quantised layers.
    strange = {weight.name for weight in layer.weights} - set(WEIGHT_AXES.get(kind, ()))
    activation = getattr(layer, "activation", activations.linear)
    return (
        not strange
        and activation in ELEMENTWISE
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        and getattr(layer, "groups", 1) == 1
        and getattr(layer, "noise_shape", None) is None
    )


def _source(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids:
    ids = tracks.new(call.layer.batch_shape[-1] or 0)
    tracks.fix(ids, f"comes from the input {call.name!r}")
    return ids


def _keep(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids:
    return inputs[0]


def _rescale(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids | None:
    one_each = np.ndim(call.layer.scale) or np.ndim(call.layer.offset)
    return None if one_each else inputs[0]


def _merge(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids | None:
    ranks = {len(tensor.shape) for tensor in call.inputs}
    if len(ranks) != 1 or len({len(ids) for ids in inputs}) != 1:
        return None  # one is spread over the other's channels
    for ids in inputs[1:]:
        tracks.unite(inputs[0], ids)
    return inputs[0]


def _concatenate(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids | None:
    rank = len(call.inputs[0].shape)
    if call.layer.axis % rank != rank - 1:
        return _merge(tracks, call, inputs)
    return np.concatenate(inputs)


def _flatten(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids | None:
    positions = call.inputs[0].shape[1:-1]
    if None in positions or len(call.inputs[0].shape) < 2:
        return None
    return np.tile(inputs[0], math.prod(side or 0 for side in positions))


def _produce(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids:
    tracks.attach(tracks.inputs, call.name, inputs[0])
    if call.name not in tracks.outputs:
        tracks.outputs[call.name] = tracks.new(call.layer.kernel.shape[-1])
    return tracks.outputs[call.name]


def _depthwise(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids:
    tracks.attach(tracks.inputs, call.name, inputs[0])
    each = np.repeat(inputs[0], call.layer.depth_multiplier)
    return tracks.attach(tracks.outputs, call.name, each)


def _normalise(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids | None:
    rank = len(call.inputs[0].shape)
    if call.layer.axis % rank != rank - 1:
        return None
    return tracks.attach(tracks.outputs, call.name, inputs[0])


def _crop(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids:
    maps, centres = inputs
    tracks.fix(centres, f"gives places to the layer {call.name!r}")
    return maps


def _append_map(tracks: Tracks, call: Call, inputs: list[Ids]) -> Ids:
    centre = tracks.new(1)
    tracks.fix(centre, f"comes from the layer {call.name!r}")
    return np.concatenate([inputs[0], centre])


RULES: dict[type, Rule] = {
    layers.InputLayer: _source,
    layers.Conv2D: _produce,
    layers.Dense: _produce,
    layers.DepthwiseConv2D: _depthwise,
    layers.BatchNormalization: _normalise,
    BatchNormalization: _normalise,
    layers.Concatenate: _concatenate,
    layers.Flatten: _flatten,
    layers.Rescaling: _rescale,
    # The picture's windows have its channels, whatever they are.
    CropAround: _crop,
    CentreMap: _append_map,
    **dict.fromkeys(
        (
            layers.Add,
            layers.Subtract,
            layers.Multiply,
            layers.Average,
            layers.Maximum,
            layers.Minimum,
        ),
        _merge,
    ),
    **dict.fromkeys(
        (
            layers.Activation,
            layers.ReLU,
            layers.LeakyReLU,
            layers.ELU,
            layers.Identity,
            layers.Dropout,
            layers.SpatialDropout2D,
            layers.GaussianNoise,
            layers.GaussianDropout,
            layers.MaxPooling2D,
            layers.AveragePooling2D,
            layers.GlobalAveragePooling2D,
            layers.GlobalMaxPooling2D,
            layers.UpSampling2D,
            layers.ZeroPadding2D,
            layers.Cropping2D,
            NearestUpsampling,
            LocalContrastNormalization,
        ),
        _keep,
    ),
}
"""By exact type: a subclass may do anything."""
