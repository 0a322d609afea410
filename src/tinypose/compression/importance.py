"""Score channels: what a network would lose without each of them."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinypose.compression.channel_rules import NORMS
from tinypose.compression.channels import ChannelGraph, find_channels
from tinypose.errors import TinyposeError, UsageError

METHODS = ("taylor", "magnitude", "batch_norm")
"""Only ``taylor`` asks the loss; the others need no data and are baselines."""

Scores = dict[str, NDArray[np.float64]]
"""For each group that can be pruned, a score per channel (size,), 0 or more."""

Loss = Callable[[Any, Any], Any]
"""Gives the loss, a scalar, of the network's outputs for a batch."""


def score_channels(
    net: keras.Model,
    method: str = "taylor",
    *,
    loss: Loss | None = None,
    batches: Iterable[Any] | None = None,
) -> Scores:
    """Score the channels of every group that can be pruned.

    Args:
        net: The network, trained.
        method: ``taylor``, what the loss gains by the channel; ``magnitude``,
            the size of the kernels that make it; ``batch_norm``, the size of
            the scales that follow.
        loss: For ``taylor``; see ``score_by_taylor``.
        batches: For ``taylor``; see ``score_by_taylor``.

    Raises:
        UsageError: no such method, or it lacks the loss or the batches.
        TinyposeError: the method does not fit the network.
    """
    if method == "magnitude":
        return score_by_magnitude(net)
    if method == "batch_norm":
        return score_by_batch_norm(net)
    if method != "taylor":
        raise UsageError(
            f"expected a method of scoring ({', '.join(METHODS)}), found {method!r}"
        )
    if loss is None or batches is None:
        raise UsageError(
            "expected a loss and batches to score by taylor, found none; give them, "
            "or score by magnitude"
        )
    return score_by_taylor(net, loss, batches)


def score_by_magnitude(net: keras.Model) -> Scores:
    """Score channels by the L2 norm of the kernel slices that make them.

    Reference:
        Li, Kadav, Durdanovic, Samet & Graf, "Pruning filters for efficient
        ConvNets", ICLR 2017, https://arxiv.org/abs/1608.08710, section 3.1; by
        the L2 norm instead of the sum of sizes.
    """
    graph = find_channels(net)
    total = np.zeros(graph.num_channels)
    for name, layer in _members(net, graph):
        if not isinstance(layer, NORMS):
            slices = _slices(_numpy(layer.kernel), graph.outputs[name])
            _add(total, graph, name, np.sqrt(np.square(slices).sum(axis=0)))
    return _by_group(graph, total)


def score_by_batch_norm(net: keras.Model) -> Scores:
    """Score channels by the size of the batch norms' scales.

    Raises:
        TinyposeError: a group has no batch norm with a scale.

    Reference:
        Liu, Li, Shen, Huang, Yan & Zhang, "Learning efficient convolutional
        networks through network slimming", ICCV 2017,
        https://arxiv.org/abs/1708.06519, section 3; it trains with a penalty on
        the scales first.
    """
    graph = find_channels(net)
    total = np.zeros(graph.num_channels)
    scaled: set[str] = set()
    for name, layer in _members(net, graph):
        if isinstance(layer, NORMS) and layer.scale:
            scaled.add(name)
            _add(total, graph, name, np.abs(_numpy(layer.gamma)))
    for group in graph.prunable.values():
        if not scaled & set(group.layers):
            raise TinyposeError(
                f"expected batch norm behind every convolution, found none in the "
                f"channel group {group.name!r}; score by magnitude or taylor"
            )
    return _by_group(graph, total)


def score_by_taylor(
    net: keras.Model,
    loss: Loss,
    batches: Iterable[Any],
    images_of: Callable[[Any], Any] | None = None,
) -> Scores:
    """Score channels by how much the loss would change without them.

    To first order: a gate on each channel, open at 1, is closed; the change is
    the gate's gradient. On a batch norm it is gamma * dL/dgamma + beta *
    dL/dbeta; on a convolution or dense layer that no batch norm follows, the
    same sum over the weights that make the channel. The score is its square,
    averaged over the batches and summed over the group's gates: after training the
    changes themselves cancel out. The network is used as after training and is
    not changed.

    Args:
        net: The network.
        loss: Called with the network's outputs and the batch; gives a scalar.
        batches: What the loss needs: pairs of the network's input and anything,
            or dicts with the input as ``images``. A few hundred pictures do; in
            small batches, for in large ones changes cancel out, too.
        images_of: Finds the input in a batch, where it lies elsewhere.

    Raises:
        TinyposeError: there are no batches, the loss is not finite, or Keras
            does not run on TensorFlow.

    Reference:
        Molchanov, Mallya, Tyree, Frosio & Kautz, "Importance estimation for
        neural network pruning", CVPR 2019, https://arxiv.org/abs/1906.10771,
        section 3.1, equation 8.
    """
    graph = find_channels(net)
    gates = _gates(net, graph)
    total = np.zeros(graph.num_channels)
    count = 0
    variables = [variable for weights in gates.values() for variable in weights]
    for batch in batches:
        count += 1
        images = (images_of or _images_of)(batch)
        gradients = iter(_gradients(net, loss, images, batch, variables))
        for name, weights in gates.items():
            change = sum(
                _slices(_numpy(weight) * next(gradients), graph.outputs[name]).sum(0)
                for weight in weights
            )
            _add(total, graph, name, np.square(change))
    if not count:
        raise TinyposeError("expected batches to score channels on, found none")
    return _by_group(graph, total / count)


def _gates(net: keras.Model, graph: ChannelGraph) -> dict[str, list[Any]]:
    """Return the weights of each layer that stands for a gate."""
    consumers: dict[str, list[Any]] = {}
    for call in graph.graph.calls:
        for tensor in call.inputs:
            consumers.setdefault(tensor.key[0], []).append(call.layer)
    outputs = {key[0] for key in graph.graph.outputs}
    gates = {}
    for name, layer in _members(net, graph):
        behind = [] if name in outputs else consumers.get(name, [])
        followed = all(_is_gate(other) for other in behind) and bool(behind)
        if isinstance(layer, NORMS):
            weights = [getattr(layer, kind, None) for kind in ("gamma", "beta")]
        else:
            weights = [] if followed else [layer.kernel, layer.bias]
        gates[name] = [weight for weight in weights if weight is not None]
    return {name: weights for name, weights in gates.items() if weights}


def _is_gate(layer: Any) -> bool:
    return isinstance(layer, NORMS) and (layer.scale or layer.center)


def _gradients(
    net: keras.Model, loss: Loss, images: Any, batch: Any, variables: list[Any]
) -> list[NDArray[np.float64]]:
    """Return the loss' gradients, each of its variable's shape."""
    if keras.backend.backend() != "tensorflow":
        raise TinyposeError(
            "scoring by taylor needs Keras on TensorFlow, found Keras on "
            f"{keras.backend.backend()}; set KERAS_BACKEND=tensorflow, or score by "
            "magnitude"
        )
    import tensorflow as tf

    values = [variable.value for variable in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        value = loss(net(images, training=False), batch)
    if not math.isfinite(float(value)):
        raise TinyposeError(
            f"expected a finite loss to score channels by, found {float(value)}; did "
            "the training diverge?"
        )
    gradients = tape.gradient(value, values, unconnected_gradients="zero")
    return [_numpy(gradient) for gradient in gradients]


def _images_of(batch: Any) -> Any:
    if isinstance(batch, Mapping) and "images" in batch:
        return batch["images"]
    if isinstance(batch, (tuple, list)) and batch:
        return batch[0]
    raise UsageError(
        "expected batches that are pairs with the network's input first or dicts "
        f"with 'images', found {type(batch).__name__}; pass images_of"
    )


def _members(net: keras.Model, graph: ChannelGraph) -> list[tuple[str, Any]]:
    """Return the layers of all groups that can be pruned, in order."""
    names = {name for group in graph.prunable.values() for name in group.layers}
    return [(name, net.get_layer(name)) for name in graph.outputs if name in names]


def _slices(
    weight: NDArray[np.float64], outputs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return a weight as (weights of an output, num_outputs)."""
    return weight.reshape(-1, len(outputs))


def _numpy(value: Any) -> NDArray[np.float64]:
    return np.asarray(ops.convert_to_numpy(value), np.float64)


def _add(
    total: NDArray[np.float64],
    graph: ChannelGraph,
    name: str,
    scores: NDArray[np.float64],
) -> None:
    np.add.at(total, graph.outputs[name], scores)


def _by_group(graph: ChannelGraph, total: NDArray[np.float64]) -> Scores:
    return {name: total[group.channels] for name, group in graph.prunable.items()}
