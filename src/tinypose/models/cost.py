"""Count what a network costs: parameters and multiply-accumulate operations."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import keras
from keras import layers

Shape = tuple[int, ...]


def count_parameters(net: keras.Model) -> int:
    """Return the number of parameters, batch norm statistics included."""
    return int(net.count_params())


def count_macs(net: keras.Model) -> int:
    """Return the multiply-accumulate operations for one picture.

    Convolutions, transposed, separable and depthwise ones included, and dense
    layers count, each as often as it is called; nested models count with what
    they hold. Everything else (batch norm, pooling, resizing, activations) does
    not: that is how papers count.

    Args:
        net: A functional or sequential model with a fixed input size, channels
            last.

    Raises:
        ValueError: a size that decides the cost is open (None).
    """
    total = 0
    # How often a picture's tensor stands in the batch: several times where
    # windows were cut out of it.
    times: dict[str, Fraction] = {}
    for layer, input_shape, source in _calls(net):
        before = times.get(source, Fraction(1))
        times[layer.name] = before * getattr(layer, "batch_factor", 1)
        total += int(before * _layer_macs(layer, input_shape))
    return total


def _calls(net: keras.Model) -> Iterator[tuple[layers.Layer, Shape, str]]:
    """Yield every call of a layer with its input's shape and origin, in order."""
    if isinstance(net, keras.Sequential):
        shape, source = net.input_shape, ""
        for layer in net.layers:
            yield layer, shape, source
            shape, source = layer.compute_output_shape(shape), layer.name
        return
    # A layer object does not say how often it is called; the config does. It
    # also lists bare operations such as additions, which are no layers.
    layers_by_name = {layer.name: layer for layer in net.layers}
    for entry in net.get_config()["layers"]:
        for node in entry["inbound_nodes"] if entry["name"] in layers_by_name else ():
            shape, source = _first_tensor(node)
            yield layers_by_name[entry["name"]], shape, source


def _first_tensor(node: Any) -> tuple[Shape, str]:
    """Return the first tensor's shape and layer in a call's serialised arguments."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            config = node["config"]
            return tuple(config["shape"]), str(config["keras_history"][0])
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for item in node:
            shape, source = _first_tensor(item)
            if shape:
                return shape, source
    return (), ""


def _layer_macs(layer: layers.Layer, input_shape: Shape) -> int:
    """Return the multiply-accumulates of one call of a layer for one sample."""
    if isinstance(layer, keras.Model):
        return count_macs(layer)
    if not isinstance(layer, _COUNTED):
        return 0
    # Every weight of a kernel meets every position once: of the output, but of
    # the input where the layer spreads it. A dense layer's positions are the
    # axes between batch and features.
    spreads = isinstance(layer, _TRANSPOSED)
    shape = input_shape if spreads else layer.compute_output_shape(input_shape)
    kernels = [w for w in layer.weights if w.name.endswith("kernel")]
    weights: int = sum(math.prod(kernel.shape) for kernel in kernels)
    return _num_positions(shape, layer) * weights


def _num_positions(shape: Shape, layer: layers.Layer) -> int:
    positions = shape[1:-1]
    if None in positions:
        raise ValueError(
            f"expected a fixed input size to count the cost of layer "
            f"{layer.name!r}, received {tuple(shape)}"
        )
    return math.prod(positions)


_TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)
_COUNTED = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    layers.Dense,
    *_TRANSPOSED,
)
