"""Start training from another model's weights, of the same size or smaller."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError
from tinypose.metadata import carries_metadata, read_metadata
from tinypose.models.loading import load_net
from tinypose.models.weight_files import SUFFIX as WEIGHTS_SUFFIX
from tinypose.models.weight_files import read_weights
from tinypose.origin import Origin, join_origins
from tinypose.skeletons import Skeleton
from tinypose.training.keypoint_match import KeypointMatch
from tinypose.training.pruned import is_pruned, layer_weights
from tinypose.training.widening import Widening, can_widen

LEAST_SHARE = 0.25
"""Where fewer layers fit, of the network's and of the file's, they do by accident."""


class Initialised(NamedTuple):
    """What starts from another model.

    Args:
        copied: Layers that start as they are there.
        widened: Layers that start wider than there.
        keypoints: Keypoints whose heads start from there.
        layers: All that have weights.
    """

    copied: int
    widened: int
    keypoints: int
    layers: int


def load_initial_weights(
    net: keras.Model, path: str | Path, skeleton: Skeleton
) -> Initialised:
    """Copy the weights of layers of the same name into ``net``.

    A layer that has more channels than its source starts from each of the
    source's channels in turn (``Widening``), and the layers behind it share out
    what they take from the copies; a larger kernel starts as the smaller one, with
    zeros around it: up to a little noise, the wider network computes what the
    narrower one did. Residual blocks of ``conv_hourglass`` that the source lacks
    start as the identity.

    What gives or takes a heatmap per keypoint is matched by the keypoints'
    names; keypoints that the source lacks start fresh, and so do heads of
    another kind where the keypoints are not the same. A file without metadata
    is taken to have the same. Convolutions that are separable on one side alone
    start fresh, too.

    Args:
        net: The network that is to be trained.
        path: A ``.keras`` file, or an ``.npz`` of weights alone.
        skeleton: The network's keypoints.

    Raises:
        TinyposeError: the file does not load, hardly a layer fits, or channels that
            were pruned would grow back.

    Reference:
        Chen, Goodfellow & Shlens, "Net2Net: accelerating learning via
        knowledge transfer", ICLR 2016, https://arxiv.org/abs/1511.05641,
        sections 2.2 and 2.3.
    """
    source = _source(Path(path))
    for name in _other_kinds(net, source):
        source.pop(name, None)
    match = KeypointMatch(net, _skeleton(Path(path)), skeleton)
    widening = Widening(net, source, match.heads)
    copied = widened = keypoints = 0
    for layer in net.layers:
        weights = match.arrange(layer.name, source.get(layer.name, []))
        own = layer.get_weights()
        shapes = [value.shape for value in own]
        is_head = layer.name in match.heads
        if not weights:
            continue
        if [value.shape for value in weights] == shapes:
            copied += 1
        elif can_widen(layer, weights) and not (
            is_head and weights[0].shape[-1] != shapes[0][-1]
        ):
            weights = widening.widen(layer, weights)
            widened += 1
        else:
            continue
        layer.set_weights(match.keep_new(layer.name, weights, own))
        if is_head:
            keypoints = match.num_shared
    fitting, layers = copied + widened, sum(bool(x.weights) for x in net.layers)
    most = min(layers, sum(map(bool, source.values())))
    if fitting < max(LEAST_SHARE * most, 1):
        raise TinyposeError(
            f"{path}: expected layers that fit the network, found {fitting or 'none'} "
            f"of its {layers} of the same name and shapes; is it of another family or "
            "size?"
        )
    if widened and carries_metadata(path) and is_pruned(source, read_metadata(path)):
        raise TinyposeError(
            f"{path}: expected a network as its metadata describe, found a pruned one, "
            "whose channels would grow back; name its run folder, and leave its "
            "keypoints and model.* as they are"
        )
    _silence_new_blocks(net, source)
    return Initialised(copied, widened, keypoints, layers)


def read_origins(paths: Iterable[Path]) -> tuple[Origin, ...]:
    """Return the origins of a network that is made from the models of files.

    Args:
        paths: Model files; one without metadata is known by its name alone.

    Raises:
        TinyposeError: the metadata of a file are damaged.
    """
    found: list[Origin] = []
    for path in paths:
        if carries_metadata(path):
            found += read_metadata(path).as_origins()
        else:
            found.append(Origin(name=path.name))
    return join_origins(found)


def _source(path: Path) -> dict[str, list[NDArray[Any]]]:
    """Return the weights of each layer of a file by name."""
    if path.suffix.lower() == WEIGHTS_SUFFIX:
        return read_weights(path)
    return layer_weights(load_net(path))


def _skeleton(path: Path) -> Skeleton | None:
    """Return the keypoints of a file; None if it does not tell."""
    return read_metadata(path).skeleton if carries_metadata(path) else None


def _other_kinds(net: keras.Model, source: dict[str, Any]) -> set[str]:
    """Return the layers of convolutions that are separable on one side alone.

    Both sides have a layer of the name: the 1x1 half, or the whole.
    """
    depthwise = "_depthwise"
    own = {layer.name for layer in net.layers}
    names = [name for name in (*own, *source) if name.endswith(depthwise)]
    bases = {name.removesuffix(depthwise) for name in names}
    changed = {
        base
        for base in bases
        if (base + depthwise in own) != (base + depthwise in source)
    }
    return {base + end for base in changed for end in ("_conv", "_norm")}


def _silence_new_blocks(net: keras.Model, source: dict[str, Any]) -> None:
    """Make residual blocks that the source lacks add nothing at first."""
    names = {layer.name for layer in net.layers}
    for layer in net.layers:
        last = layer.name.removesuffix("_add") + "_2_norm"
        is_sum = isinstance(layer, keras.layers.Add)
        if is_sum and last in names and last not in source:
            norm = net.get_layer(last)
            norm.gamma.assign(np.zeros(norm.gamma.shape))
