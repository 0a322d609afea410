"""Remove channels: a smaller network with the same inputs and outputs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.compression.channel_rules import WEIGHT_AXES
from tinypose.compression.channels import (
    PRODUCERS,
    ChannelGraph,
    ChannelGroup,
    find_channels,
)
from tinypose.compression.costs import COSTS
from tinypose.compression.selection import (
    DIVISOR,
    MIN_CHANNELS,
    Keep,
    kept_after,
    removal_order,
    require_prunable,
)
from tinypose.errors import TinyposeError, UsageError


class Shrunk(NamedTuple):
    """A pruned network.

    Args:
        net: The network.
        keep: The channels of the original that it has, where it lost some.
        value: What was measured of it.
    """

    net: keras.Model
    keep: Keep
    value: float


def prune_channels(net: keras.Model, keep: Mapping[str, ArrayLike]) -> keras.Model:
    """Return a network without some channels; the given one stays as it is.

    All layers keep their names, the outputs their names and shapes. Where the
    layers behind the removed channels got zeros from them, the outputs stay what
    they were.

    Args:
        net: The network.
        keep: For each group (see ``find_channels``) that loses channels, which
            stay (num_kept,), from 0.

    Raises:
        UsageError: there is no such group or channel, the group is fixed, or
            nothing of it would stay.
        TinyposeError: the network is no graph of layers.
    """
    graph = find_channels(net)
    kept = np.ones(graph.num_channels, bool)
    for name, channels in keep.items():
        group = require_prunable(graph, name)
        kept[group.channels] = _mask(group, np.asarray(channels))
    originals = {layer.name: layer for layer in net.layers}
    config = net.get_config()
    for entry in config["layers"]:
        name = entry["name"]
        # Built for the old shapes; the calls build it for the new ones. What is
        # not followed keeps its shapes and may know more than those.
        if name in graph.followed:
            entry.pop("build_config", None)
        if name in graph.outputs and isinstance(originals[name], PRODUCERS):
            size = "units" if "units" in entry["config"] else "filters"
            entry["config"][size] = int(kept[graph.outputs[name]].sum())
    pruned = net.__class__.from_config(config)
    for layer in pruned.layers:
        layer.set_weights(_slice(originals[layer.name], graph, kept))
    return pruned


def choose_channels(
    net: keras.Model,
    scores: Mapping[str, ArrayLike],
    *,
    target: float | None = None,
    fraction: float | None = None,
    cost: str = "macs",
    min_channels: int = MIN_CHANNELS,
    divisor: int = DIVISOR,
) -> Keep:
    """Choose the channels to keep, so that the network costs at most a target.

    Args:
        net: The network.
        scores: See ``selection.removal_order``, as for all arguments below.
        target: What the pruned network may cost, in the unit of ``cost``.
        fraction: Instead of ``target``, the share of the cost that is to go,
            0 to 1.
        cost: What is to be saved: ``macs`` or ``parameters``.
        min_channels: Channels that a group keeps at least.
        divisor: A pruned group keeps a multiple of it.

    Returns:
        For ``prune_channels``.

    Raises:
        UsageError: the arguments do not fit.
        TinyposeError: the target cannot be reached.
    """
    if (target is None) == (fraction is None):
        raise UsageError("expected either a target or a fraction, found both or none")
    order = removal_order(
        net, scores, cost=cost, min_channels=min_channels, divisor=divisor
    )
    whole = float(COSTS[cost](net))
    most = (1.0 - _share(fraction)) * whole if target is None else target
    costs = [whole, *(removal.cost for removal in order)]
    for count, value in enumerate(costs):
        if value <= most:
            return kept_after(scores, order[:count])
    raise TinyposeError(_out_of_reach(most, costs[-1], (min_channels, divisor)))


def require_reachable(
    net: keras.Model,
    measure: Callable[[keras.Model], float],
    target: float,
    *,
    cost: str = "macs",
    min_channels: int = MIN_CHANNELS,
    divisor: int = DIVISOR,
) -> None:
    """Check that ``shrink_to`` can bring a network to a target, whatever the scores.

    Raises:
        TinyposeError: with the fewest channels that may stay it costs more.
    """
    groups = find_channels(net).prunable
    scores = {name: np.ones(group.size) for name, group in groups.items()}
    order = removal_order(
        net, scores, cost=cost, min_channels=min_channels, divisor=divisor
    )
    least = float(measure(prune_channels(net, kept_after(scores, order))))
    if not least <= target:
        raise TinyposeError(_out_of_reach(target, least, (min_channels, divisor)))


def shrink_to(
    net: keras.Model,
    scores: Mapping[str, ArrayLike],
    measure: Callable[[keras.Model], float],
    target: float,
    *,
    cost: str = "macs",
    min_channels: int = MIN_CHANNELS,
    divisor: int = DIVISOR,
) -> Shrunk:
    """Prune a network by as little as brings a measured value to a target.

    How much is removed, in the order of ``removal_order``, is found by
    bisection: about a dozen networks are built and measured.

    Args:
        net: The network.
        scores: See ``selection.removal_order``.
        measure: Gives what counts: multiply-accumulates, parameters, the size
            of the exported file, a time. It should not grow as channels go.
        target: What ``measure`` may give.
        cost: What decides which channels go first: ``macs`` or ``parameters``.
        min_channels: Channels that a group keeps at least.
        divisor: A pruned group keeps a multiple of it.

    Raises:
        UsageError: the arguments do not fit.
        TinyposeError: the target cannot be reached.
    """
    order = removal_order(
        net, scores, cost=cost, min_channels=min_channels, divisor=divisor
    )

    def shrink(count: int) -> Shrunk:
        keep = kept_after(scores, order[:count])
        pruned = prune_channels(net, keep)
        return Shrunk(pruned, keep, float(measure(pruned)))

    best = shrink(0)
    if best.value <= target:
        return best
    too_few, enough = 0, len(order)
    best = shrink(enough)
    if not best.value <= target:
        floors = (min_channels, divisor)
        raise TinyposeError(_out_of_reach(target, best.value, floors))
    while enough - too_few > 1:
        count = (too_few + enough) // 2
        tried = shrink(count)
        if tried.value <= target:
            best, enough = tried, count
        else:
            too_few = count
    return best


def _share(fraction: float | None) -> float:
    if fraction is None or not 0 <= fraction <= 1:
        raise UsageError(f"fraction: expected 0 to 1, found {fraction}")
    return fraction


def _out_of_reach(target: float, least: float, floors: tuple[int, int]) -> str:
    least_text, found = (
        f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
        for value in (least, target)
    )
    return (
        f"expected a target that pruning can reach, at least {least_text}, found "
        f"{found}: a pruned group keeps at least {floors[0]} channels and a multiple "
        f"of {floors[1]}; raise the target or train a smaller configuration"
    )


def _mask(group: ChannelGroup, channels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which channels of a group stay (size,)."""
    fits = channels.ndim == 1 and channels.size and channels.dtype.kind in "iu"
    if not fits or not 0 <= channels.min() <= channels.max() < group.size:
        raise UsageError(
            f"channel group {group.name!r}: expected which of its channels stay, "
            f"numbers from 0 to {group.size - 1}, at least one, found "
            f"{channels.tolist()}"
        )
    return np.isin(np.arange(group.size), channels)


def _slice(layer: Any, graph: ChannelGraph, kept: NDArray[np.bool_]) -> list[Any]:
    """Return a layer's weights without what belongs to removed channels."""
    values = layer.get_weights()
    if layer.name not in graph.outputs:
        return list(values)
    lies = {"inputs": graph.inputs, "outputs": graph.outputs}
    sliced = []
    for weight, value in zip(layer.weights, values, strict=True):
        for axis, along in WEIGHT_AXES[type(layer)][weight.name].items():
            stays = kept[lies[along][layer.name]]
            value = value.compress(stays, axis=axis)
        sliced.append(value)
    return sliced
