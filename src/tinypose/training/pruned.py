"""Train a pruned network on: it keeps the channels that it has."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.config import Config
from tinypose.errors import UsageError
from tinypose.metadata import Metadata, read_metadata
from tinypose.models import FAMILIES
from tinypose.models.loading import load_net
from tinypose.skeletons import Skeleton
from tinypose.training.run_dir import RunDir


def is_pruned(
    weights: Mapping[str, Sequence[NDArray[Any]]], metadata: Metadata
) -> bool:
    """Return whether layers are of other shapes than a network's metadata describe.

    Args:
        weights: Of each layer by name.
        metadata: Of the network; without a configuration nobody can tell.

    Raises:
        UsageError: the configuration is none of this version's.
    """
    if not metadata.config:
        return False
    config = Config.from_dict(metadata.config, metadata.name)
    net = FAMILIES[config.family].build(config.model)
    return any(
        [tuple(weight.shape) for weight in layer.weights]
        != [value.shape for value in weights[layer.name]]
        for layer in net.layers
        if layer.name in weights
    )


def layer_weights(net: keras.Model) -> dict[str, list[NDArray[Any]]]:
    """Return the weights of each layer of a network by name."""
    return {layer.name: layer.get_weights() for layer in net.layers}


def pruned_network(
    path: Path, config: Config, skeleton: Skeleton, *, may_build: bool
) -> Path | None:
    """Return the file whose network a run is to train on; None for a new network.

    It is that of a run that trains a network of its own, as ``tinypose prune``
    makes them: its channels, which no configuration describes, stay as they are.

    Args:
        path: The model file that the run is to begin with.
        config: Of the run.
        skeleton: Its keypoints.
        may_build: Whether networks may be built to look at them.

    Raises:
        TinyposeError: the file is damaged.
        UsageError: channels were removed, and the run is to have another network.
    """
    files = RunDir(path.parent)
    if path != files.best or not files.network.exists():
        return None
    metadata = read_metadata(path)
    difference = _difference(metadata, config, skeleton)
    if not difference:
        return path
    # Of single weights that became zero, nothing is left to keep.
    if may_build and is_pruned(layer_weights(load_net(path)), metadata):
        raise UsageError(
            f"--init {path.parent}: a pruned network is trained on as it is: "
            f"{difference}"
        )
    return None


def _difference(metadata: Metadata, config: Config, skeleton: Skeleton) -> str:
    """Return what of a run is not as its first network has it; empty for nothing."""
    before = Config.from_dict(metadata.config, metadata.name)
    if config.family != before.family:
        return f"expected family {before.family}, found {config.family}"
    names = metadata.skeleton.names
    order = metadata.skeleton.mapping_to(skeleton)
    if not np.array_equal(order, np.arange(len(names))):
        return (
            f"expected its keypoints, {', '.join(names)}, found "
            f"{', '.join(skeleton.names)}"
        )
    for each in fields(config.model):
        own, given = getattr(before.model, each.name), getattr(config.model, each.name)
        if own != given:
            return f"expected model.{each.name} {_text(own)}, found {_text(given)}"
    if config.training.first_sizes:
        found = [list(size) for size in config.training.first_sizes]
        return f"expected no training.first_sizes, found {found}"
    return ""


def _text(value: Any) -> str:
    return f"{list(value) if isinstance(value, tuple) else value}"
