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

NOISE = 0.05
"""Of a copied channel's weights, relative to their size: two channels that are
equal learn the same and stay equal."""

_SEED = 0


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
    source's channels in turn, and the layers behind it share out what they
    take from the copies; a larger kernel starts as the smaller one, with zeros
    around it: up to a little noise, the wider network computes what the
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
    generator = np.random.default_rng(_SEED)
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
        elif _can_widen(layer, weights, shapes) and not (
            is_head and weights[0].shape[-1] != shapes[0][-1]
        ):
            weights = _widen(layer, weights, shapes, generator)
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


def _can_widen(
    layer: keras.layers.Layer,
    weights: list[NDArray[Any]],
    shapes: list[tuple[int, ...]],
) -> bool:
    """Return whether a layer of a kind that we know only grew, evenly around."""
    kinds = (
        keras.layers.Conv2D,
        keras.layers.DepthwiseConv2D,
        keras.layers.BatchNormalization,
    )
    if not isinstance(layer, kinds) or len(weights) != len(shapes):
        return False
    for value, shape in zip(weights, shapes, strict=True):
        if value.ndim != len(shape):
            return False
        if any(old > new for old, new in zip(value.shape, shape, strict=True)):
            return False
        # A border of one would move what the kernel sees.
        sides = zip(value.shape[:-2], shape[:-2], strict=True)
        if any((new - old) % 2 for old, new in sides):
            return False
    return True


def _widen(
    layer: keras.layers.Layer,
    weights: list[NDArray[Any]],
    shapes: list[tuple[int, ...]],
    generator: np.random.Generator,
) -> list[NDArray[Any]]:
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    widened = []
    for value, shape in zip(weights, shapes, strict=True):
        wide = value[..., np.arange(shape[-1]) % value.shape[-1]]
        if value.ndim == 4:  # a kernel (height, width, in, out)
            origin = np.arange(shape[2]) % value.shape[2]
            wide = wide[:, :, origin]
            if not depthwise:  # whose channels are not summed
                wide = wide / np.bincount(origin)[origin][:, None]
            # The first of the copies stay as they are.
            new = np.zeros(wide.shape, bool)
            new[..., value.shape[3] :] = True
            new[:, :, value.shape[2] :] = True
            noise = generator.normal(0, NOISE * wide.std(), wide.shape)
            wide = wide + np.where(new, noise, 0)
            around = [(shape[axis] - value.shape[axis]) // 2 for axis in (0, 1)]
            wide = np.pad(wide, [(size, size) for size in (*around, 0, 0)])
        widened.append(wide.astype(value.dtype))
    return widened


def _silence_new_blocks(net: keras.Model, source: dict[str, Any]) -> None:
    """Make residual blocks that the source lacks add nothing at first."""
    names = {layer.name for layer in net.layers}
    for layer in net.layers:
        last = layer.name.removesuffix("_add") + "_2_norm"
        is_sum = isinstance(layer, keras.layers.Add)
        if is_sum and last in names and last not in source:
            norm = net.get_layer(last)
            norm.gamma.assign(np.zeros(norm.gamma.shape))
