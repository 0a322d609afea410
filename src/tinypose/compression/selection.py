"""Decide which channels go first: the least important per saved cost."""

import heapq
import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinypose.compression.channels import ChannelGraph, ChannelGroup, find_channels
from tinypose.compression.costs import Places, PruningCosts
from tinypose.errors import UsageError, did_you_mean

MIN_CHANNELS = 4
DIVISOR = 4
"""Kept channels are a multiple of it: kernels in eight bits run faster so."""

GENTLE_SHARE = 0.5
"""Channels of a group that stay while other groups still have more of theirs.

Scores do not add up: without half of its channels, a layer needs the others more
than they say.
"""

Keep = dict[str, NDArray[np.int64]]
"""For each group, which of its channels stay (num_kept,), ascending, from 0."""


class Removal(NamedTuple):
    """Channels that go together.

    Args:
        group: Name of their group.
        channels: Which of the group's they are (num_channels,), from 0.
        cost: What the network costs once they and all before them are gone.
    """

    group: str
    channels: NDArray[np.int64]
    cost: float


def removal_order(
    net: keras.Model,
    scores: Mapping[str, ArrayLike],
    *,
    cost: str = "macs",
    min_channels: int = MIN_CHANNELS,
    divisor: int = DIVISOR,
) -> list[Removal]:
    """Return all channels that can go, in the order in which they should.

    At each step those go whose scores are the least of all groups' for what the
    network saves by them, given all that is gone already. No group goes below
    ``GENTLE_SHARE`` of its channels before all groups are down to that.

    Args:
        net: The network.
        scores: Of each group's channels (size,), as ``score_channels`` gives
            them. Groups without scores are not pruned.
        cost: What is to be saved: ``macs`` or ``parameters``.
        min_channels: Channels that a group keeps at least.
        divisor: A pruned group keeps a multiple of it.

    Raises:
        UsageError: scores or numbers do not fit.
    """
    for name, number in (("min_channels", min_channels), ("divisor", divisor)):
        if number < 1:
            raise UsageError(f"{name}: expected at least 1, found {number}")
    graph = find_channels(net)
    by_name = {key: np.asarray(value, float) for key, value in scores.items()}
    for name, values in by_name.items():
        _check_scores(require_prunable(graph, name), values)
    costs = PruningCosts(net, graph, cost)
    chunks = {
        name: _chunks(values, min_channels, divisor) for name, values in by_name.items()
    }
    places: dict[str, Places] = {}
    left = {name: len(values) for name, values in by_name.items()}
    order: list[Removal] = []

    def may_go(name: str, share: float) -> bool:
        if not chunks[name]:
            return False
        return left[name] - len(chunks[name][-1]) >= share * len(by_name[name])

    for share in (GENTLE_SHARE, 0.0):
        heap = [(0.0, name) for name in chunks if may_go(name, share)]
        heapq.heapify(heap)
        while heap:
            _, name = heapq.heappop(heap)
            chunk = chunks[name][-1]
            if name not in places:
                places[name] = costs.places(graph.groups[name].channels[chunk])
            saved = costs.saved(places[name])
            value = float(by_name[name][chunk].sum()) / saved if saved else math.inf
            # What a removal saves only falls while others are made, so values
            # only rise: one that is still below the others' last ones is the least.
            if heap and (value, name) > heap[0]:
                heapq.heappush(heap, (value, name))
                continue
            costs.remove(places.pop(name))
            order.append(Removal(name, np.sort(chunks[name].pop()), costs.total))
            left[name] -= len(chunk)
            if may_go(name, share):
                heapq.heappush(heap, (0.0, name))
    return order


def kept_after(scores: Mapping[str, ArrayLike], removals: list[Removal]) -> Keep:
    """Return which channels stay in the groups that lose some.

    Args:
        scores: What ``removal_order`` was given.
        removals: The first of those that it returned.
    """
    keep: Keep = {}
    for group, channels, _ in removals:
        kept = keep.get(group, np.arange(np.size(scores[group])))
        keep[group] = np.setdiff1d(kept, channels)
    return keep


def require_prunable(graph: ChannelGraph, name: str) -> ChannelGroup:
    """Return a group by name.

    Raises:
        UsageError: there is none, or none of its channels can be removed.
    """
    group = graph.groups.get(name)
    if group is None:
        hint = did_you_mean(name, graph.prunable)
        raise UsageError(f"expected a channel group, found {name!r}{hint}")
    if group.fixed:
        raise UsageError(
            f"channel group {name!r}: expected one that can be pruned, found that "
            f"it {group.fixed}"
        )
    return group


def _check_scores(group: ChannelGroup, scores: NDArray[np.float64]) -> None:
    if scores.shape == (group.size,) and (scores >= 0).all():
        return
    fits = scores.shape == (group.size,)
    found = "some below 0 or not a number" if fits else f"shape {scores.shape}"
    raise UsageError(
        f"channel group {group.name!r}: expected {group.size} scores of 0 or more, "
        f"found {found}; score the network that is to be pruned"
    )


def _chunks(
    scores: NDArray[np.float64], min_channels: int, divisor: int
) -> list[NDArray[np.int64]]:
    """Return what goes together, the least important last, where ``pop`` finds it."""
    ranked = np.argsort(scores, kind="stable")
    ends = [0]
    for kept in range(len(scores) - 1, min_channels - 1, -1):
        if kept % divisor == 0:
            ends.append(len(scores) - kept)
    chunks = [ranked[start:stop] for start, stop in itertools.pairwise(ends)]
    return chunks[::-1]
