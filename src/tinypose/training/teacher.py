"""Open a trained network whose heatmaps another one is to learn from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinypose.codecs.codec import Codec, codec_of
from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.config import Config
from tinypose.errors import TinyposeError, UsageError
from tinypose.metadata import Metadata, read_metadata
from tinypose.models import FAMILIES
from tinypose.models.loading import load_net
from tinypose.models.weight_files import SUFFIX as WEIGHTS_SUFFIX
from tinypose.models.weight_files import read_weights
from tinypose.skeletons import Skeleton
from tinypose.training.pruned import layer_weights


class Teacher(NamedTuple):
    """What a student learns from.

    Args:
        net: From (batch, height, width, 3), normalised, to heatmaps (batch,
            height, width, num_keypoints) in the order of the student's keypoints.
            It is not trainable.
        known: (num_keypoints,) float32, 0 for those that the teacher does not
            know and whose maps mean nothing.
    """

    net: keras.Model
    known: NDArray[np.float32]


def is_taught(codec: Codec) -> bool:
    """Return whether an output can learn from a teacher: from heatmaps of the crop.

    Others may have the same shape: masks are logits, windows have their own places.
    """
    return type(codec) is HeatmapCodec


def load_teacher(path: Path, student: Config, skeleton: Skeleton) -> Teacher:
    """Return a network that gives heatmaps as the student's targets are.

    Keypoints are matched by name, in any spelling.

    Args:
        path: A ``.keras`` file, or an ``.npz`` of weights alone.
        student: The configuration of the network that is to learn; its input
            size becomes the teacher's.
        skeleton: The student's keypoints.

    Raises:
        TinyposeError: the file does not load.
        UsageError: none of its keypoints is the student's, or its heatmaps are
            of another size or kind.
    """
    metadata = check_teacher(path, student, skeleton)
    places = metadata.skeleton.mapping_to(skeleton)
    net = _at_size(path, metadata, student.model.input_hw)
    name = list(net.output)[-1]
    maps = ops.take(net.output[name], np.maximum(places, 0), axis=-1)
    teacher = keras.Model(net.input, maps, name="teacher")
    teacher.trainable = False
    return Teacher(teacher, np.asarray(places >= 0, np.float32))


def check_at_all_sizes(
    path: Path,
    student: Config,
    skeleton: Skeleton,
    check: Callable[[Path, Config, Skeleton], Any] = load_teacher,
) -> None:
    """Say what does not fit at any of a training's sizes of pictures.

    Args:
        path: See ``load_teacher``.
        student: Likewise; of the whole run.
        skeleton: Likewise.
        check: ``load_teacher``, or ``check_teacher`` where no network may be built.

    Raises:
        TinyposeError: what ``check`` raises.
    """
    sizes: dict[tuple[int, int], Config] = {}
    for epoch in range(student.training.epochs):
        config = student.at_epoch(epoch)
        sizes.setdefault(config.model.input_hw, config)
    for config in sizes.values():
        check(path, config, skeleton)


def check_teacher(path: Path, student: Config, skeleton: Skeleton) -> Metadata:
    """Return a teacher's metadata if they fit a student; no network is built.

    Args:
        path: See ``load_teacher``.
        student: Likewise.
        skeleton: Likewise.

    Raises:
        TinyposeError: the file has no metadata.
        UsageError: none of its keypoints is the student's, or its heatmaps are
            of another size or kind.
    """
    metadata = read_metadata(path)
    if (metadata.skeleton.mapping_to(skeleton) < 0).all():
        raise UsageError(
            f"--teacher {path}: expected some of the keypoints "
            f"{', '.join(skeleton.names)}, found "
            f"{', '.join(metadata.skeleton.names)}"
        )
    codecs = FAMILIES[student.family].codecs(student.model).values()
    wanted = next((codec for codec in codecs if is_taught(codec)), None)
    given = codec_of(metadata)
    found = _describe(given, student.model.input_hw)
    expected = _describe(wanted, student.model.input_hw)
    if wanted is None or found != expected:
        raise UsageError(
            f"--teacher {path}: expected heatmaps like the student's, "
            f"{'which has none' if wanted is None else expected}, found {found}"
            f"{_hint(given, wanted)}"
        )
    return metadata


def _hint(given: Codec, wanted: Codec | None) -> str:
    """Return what to do where only the widths of the Gaussians differ."""
    if not isinstance(given, HeatmapCodec) or not isinstance(wanted, HeatmapCodec):
        return ""
    if given.stride_xy != wanted.stride_xy:
        return ""
    return f"; set model.sigma_cells={given.sigma_cells} where the student is new"


def _describe(codec: Codec | None, input_hw: tuple[int, int]) -> str:
    """Return what must be the same of a student's and a teacher's output.

    Args:
        codec: Of the output.
        input_hw: Of the pictures that it is to be for.
    """
    if not isinstance(codec, HeatmapCodec):
        return "coordinates"
    # A cell covers the same pixels, whatever the size of the pictures.
    stride_x, stride_y = codec.stride_xy
    hw = input_hw[0] / stride_y, input_hw[1] / stride_x
    return f"{hw[0]:g}x{hw[1]:g} of {codec.sigma_cells} cells"


def _at_size(path: Path, metadata: Metadata, input_hw: tuple[int, int]) -> keras.Model:
    """Return the file's network, for pictures of the given size."""
    if path.suffix.lower() == WEIGHTS_SUFFIX:
        weights = read_weights(path)
    else:
        net = load_net(path)
        if tuple(net.input_shape[1:3]) == tuple(input_hw):
            return net
        weights = layer_weights(net)
    config = Config.from_dict(metadata.config, str(path))
    try:
        net = FAMILIES[config.family].build(replace(config.model, input_hw=input_hw))
        for layer in net.layers:
            layer.set_weights(weights.get(layer.name, []))
    except ValueError as error:
        raise TinyposeError(
            f"{path}: expected a network that takes pictures of "
            f"{input_hw[0]}x{input_hw[1]}, found {config.family} for "
            f"{metadata.input_hw[0]}x{metadata.input_hw[1]}, which cannot; train the "
            f"student at that size ({' '.join(str(error).split())[:200]})"
        ) from error
    return net
