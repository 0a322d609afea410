"""Open a trained network whose heatmaps another one is to learn from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinypose.codecs.codec import Codec, codec_of
from tinypose.codecs.heatmap import HeatmapCodec
from tinypose.config import Config
from tinypose.errors import UsageError
from tinypose.metadata import Metadata, read_metadata
from tinypose.models import FAMILIES
from tinypose.models.loading import load_net
from tinypose.models.weight_files import SUFFIX as WEIGHTS_SUFFIX
from tinypose.models.weight_files import read_weights
from tinypose.skeletons import Skeleton
from tinypose.training.teacher_view import TeacherView

USUAL_ZOOM = 0.7, 1.5
"""Within these, networks find people of other sizes than they were trained on."""


class Teacher(NamedTuple):
    """What a student learns from.

    Args:
        net: From (batch, height, width, 3), normalised, to heatmaps (batch,
            height, width, num_keypoints) in the order of the student's keypoints.
            It is not trainable.
        known: (num_keypoints,) float32, 0 for those that the teacher does not
            know and whose maps mean nothing.
        view: How it sees the student's crops; None where that is as the student
            does.
        zoom: How many times as large people were in the crops that it learned from.
    """

    net: keras.Model
    known: NDArray[np.float32]
    view: TeacherView | None = None
    zoom: float = 1.0

    def heatmaps(self, images: Any) -> Any:
        """Return what it teaches.

        Args:
            images: (batch, height, width, 3), normalised; of the student's size.

        Returns:
            (batch, height, width, num_keypoints) float32, as the student's are.
        """
        if self.view is None:
            return ops.cast(self.net(images, training=False), "float32")
        maps = self.net(self.view.pictures(images), training=False)
        return self.view.heatmaps(ops.cast(maps, "float32"))


def teacher_advice(teacher: Teacher, names: Sequence[str]) -> list[str]:
    """Return what the user should know of a teacher: what it cannot teach.

    Args:
        teacher: What a student learns from.
        names: The student's keypoints.
    """
    texts = []
    unknown = np.array(names)[teacher.known == 0]
    if len(unknown):
        texts.append(
            f"the teacher does not know {', '.join(unknown)}: labels alone teach these"
        )
    least, most = USUAL_ZOOM
    if not least < teacher.zoom < most:
        kind = "large" if teacher.zoom > 1 else "small"
        texts.append(
            f"warning: in these crops people are {1 / teacher.zoom:.2f} times as "
            f"large as where the teacher learned; padding is {kind} here"
        )
    return texts


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
        student: The configuration of the network that is to learn. The teacher
            sees the same crops at its own size.
        skeleton: The student's keypoints.

    Raises:
        TinyposeError: the file does not load.
        UsageError: none of its keypoints is the student's, or it has no heatmaps,
            or less sharp ones.
    """
    metadata = check_teacher(path, student, skeleton)
    places = metadata.skeleton.mapping_to(skeleton)
    net = _network(path, metadata)
    name = list(net.output)[-1]
    maps = ops.take(net.output[name], np.maximum(places, 0), axis=-1)
    teacher = keras.Model(net.input, maps, name="teacher")
    teacher.trainable = False
    view = _view(metadata, student)
    assert view is not None  # see check_teacher
    zoom = student.padding / metadata.padding
    zoom *= metadata.input_hw[0] / view.resized_hw[0]
    return Teacher(teacher, np.asarray(places >= 0, np.float32), view, zoom)


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
        UsageError: none of its keypoints is the student's, or it has no heatmaps,
            or less sharp ones.
    """
    metadata = read_metadata(path)
    if (metadata.skeleton.mapping_to(skeleton) < 0).all():
        raise UsageError(
            f"--teacher {path}: expected some of the keypoints "
            f"{', '.join(skeleton.names)}, found "
            f"{', '.join(metadata.skeleton.names)}"
        )
    view = _view(metadata, student)
    if view is None:
        raise UsageError(
            f"--teacher {path}: expected heatmaps like the student's, found "
            f"{_describe(codec_of(metadata))} for {_describe(_taught_codec(student))}"
        )
    if not view.fits:
        least = np.ceil(100 * view.least_sigma_cells) / 100
        raise UsageError(
            f"--teacher {path}: expected heatmaps as sharp as the student's, of "
            f"{view.student.sigma_cells:g} cells, found what are {least:g} of them; "
            f"set model.sigma_cells={least:g} where the student is new"
        )
    return metadata


def _taught_codec(student: Config) -> Codec | None:
    """Return the codec of the student's output that learns; None if none can."""
    codecs = FAMILIES[student.family].codecs(student.model).values()
    return next((codec for codec in codecs if is_taught(codec)), None)


def _view(metadata: Metadata, student: Config) -> TeacherView | None:
    """Return how a teacher sees a student's crops; None if one has no heatmaps."""
    given, wanted = codec_of(metadata), _taught_codec(student)
    if not isinstance(given, HeatmapCodec) or not isinstance(wanted, HeatmapCodec):
        return None
    return TeacherView(given, wanted)


def _describe(codec: Codec | None) -> str:
    """Return what an output is, for whom it does not fit."""
    if codec is None:
        return "a student without heatmaps"
    return "heatmaps" if isinstance(codec, HeatmapCodec) else "coordinates"


def _network(path: Path, metadata: Metadata) -> keras.Model:
    """Return the file's network."""
    if path.suffix.lower() != WEIGHTS_SUFFIX:
        return load_net(path)
    weights = read_weights(path)
    config = Config.from_dict(metadata.config, str(path))
    net = FAMILIES[config.family].build(config.model)
    for layer in net.layers:
        layer.set_weights(weights.get(layer.name, []))
    return net
