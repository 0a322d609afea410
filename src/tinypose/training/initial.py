"""Start training from another model's weights, of the same size or smaller."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from tinypose.errors import TinyposeError
from tinypose.metadata import MEMBER, read_metadata
from tinypose.models.loading import load_net
from tinypose.models.weight_files import SUFFIX as WEIGHTS_SUFFIX
from tinypose.models.weight_files import read_weights
from tinypose.skeletons import Skeleton
from tinypose.training.keypoint_match import KeypointMatch
from tinypose.training.widening import Widening, can_widen


class Initialised(NamedTuple):
    """What starts from another model.

    Args:
        copied: Layers that start as they are there.
        widened: Layers that start wider than there.
        keypoints: Keypoints whose heads start from there.
    """

    copied: int
    widened: int
    keypoints: int


def load_initial_weights(
    net: keras.Model, path: str | Path, skeleton: Skeleton
) -> Initialised:
    """Copy the weights of layers of the same name into ``net``.

    A layer that has more channels than its source starts from each of the
    source's channels in turn (``Widening``), and the layers behind it share out
    what they take from the copies; a larger kernel starts as the smaller one, with
    zeros around it: up to a little noise, the wider network computes what the
    narrower one did. Residual blocks that the source lacks start as the identity.

    What gives or takes a heatmap per keypoint is matched by the keypoints'
    names; keypoints that the source lacks start fresh, and so do heads of
    another kind where the keypoints are not the same. A file without metadata
    is taken to have the same.

    Args:
        net: The network that is to be trained.
        path: A ``.keras`` file, or an ``.npz`` of weights alone.
        skeleton: The network's keypoints.

    Raises:
        TinyposeError: the file does not load or no layer fits.

    Reference:
        Chen, Goodfellow & Shlens, "Net2Net: accelerating learning via
        knowledge transfer", ICLR 2016, https://arxiv.org/abs/1511.05641,
        sections 2.2 and 2.3.
    """
    source = _source(Path(path))
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
    if copied + widened == 0:
        raise TinyposeError(
            f"{path}: expected layers that fit the network, found none of the same "
            "name and shapes; is it of another family or size?"
        )
    _silence_new_blocks(net, source)
    return Initialised(copied, widened, keypoints)


def _source(path: Path) -> dict[str, list[NDArray[Any]]]:
    """Return the weights of each layer of a file by name."""
    if path.suffix.lower() == WEIGHTS_SUFFIX:
        return read_weights(path)
    return {layer.name: layer.get_weights() for layer in load_net(path).layers}


def _skeleton(path: Path) -> Skeleton | None:
    """Return the keypoints of a file; None if it does not tell."""
    with zipfile.ZipFile(path) as archive:
        tells = MEMBER in archive.namelist()
    return read_metadata(path).skeleton if tells else None


def _silence_new_blocks(net: keras.Model, source: dict[str, Any]) -> None:
    """Make residual blocks that the source lacks add nothing at first."""
    names = {layer.name for layer in net.layers}
    for layer in net.layers:
        last = layer.name.removesuffix("_add") + "_2_norm"
        is_sum = isinstance(layer, keras.layers.Add)
        if is_sum and last in names and last not in source:
            norm = net.get_layer(last)
            norm.gamma.assign(np.zeros(norm.gamma.shape))
