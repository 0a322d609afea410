"""Teachers: what other models predict about the people of a data set.

They come as an ``.npz`` file: one array per teacher, (num_people,
num_keypoints, 2 or more), x and y in picture pixels first (integers are pixel
centres), nan where the teacher says nothing. ``names`` (num_people,), if it is there,
holds the pictures' file names, with folders where the names alone are not
distinct; without it the rows follow the records of the data set. ``box_xywh``
(num_people, 4) makes people of the rows where there are no labels at all.
Arrays of other shapes, such as scores, are left alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinypose.data.records import expect_picture_name, picture_path
from tinypose.data.sample import Sample, unlabelled_sample
from tinypose.errors import TinyposeError, UsageError, did_you_mean
from tinypose.files import require_file
from tinypose.geometry import FloatArray
from tinypose.skeletons import Skeleton

NAMES, BOXES = "names", "box_xywh"
MAX_BYTES = 2 * 1024**3


@dataclass(frozen=True, eq=False, kw_only=True)
class Teacher:
    """What one model says about every person.

    Args:
        name: Of the model.
        keypoints_xy: (num_people, num_keypoints, 2) float64 in picture pixels;
            nan where it says nothing.
    """

    name: str
    keypoints_xy: FloatArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """The contents of a file of predictions.

    Args:
        path: The file.
        teachers: One or more, of equally many rows.
        names: File name of each row's picture, if the file has them.
        boxes_xywh: (num_people, 4) in picture pixels, if the file has them.
    """

    path: Path
    teachers: tuple[Teacher, ...]
    names: tuple[str, ...] | None
    boxes_xywh: FloatArray | None

    @property
    def num_people(self) -> int:
        """Number of rows."""
        return len(self.teachers[0].keypoints_xy)


def read_predictions(path: str | Path, skeleton: Skeleton) -> Predictions:
    """Read a file of predictions in the order of ``skeleton``.

    Raises:
        TinyposeError: the file is missing, no ``.npz`` or not of this form.
    """
    path = Path(path)
    arrays = _load(path)
    names, boxes = (arrays.pop(key, None) for key in (NAMES, BOXES))
    predictions = Predictions(
        path=path,
        teachers=tuple(
            Teacher(name=key, keypoints_xy=_keypoints(path, key, array, skeleton))
            for key, array in arrays.items()
            if array.ndim == 3
        ),
        names=_names(path, names),
        boxes_xywh=_boxes(path, boxes),
    )
    if not predictions.teachers:
        raise TinyposeError(
            f"{path}: expected an array (num_people, {skeleton.num_keypoints}, 2 or "
            f"more) per teacher, found {', '.join(arrays) or 'none'}"
        )
    _check_rows(predictions)
    return predictions


def parse_ignored(
    entries: Iterable[str], names: Sequence[str], skeleton: Skeleton
) -> dict[str, list[int]]:
    """Return the positions of the keypoints that each teacher has no say in.

    Models differ in what they call a neck or a head top: a point that means
    something else must not vote.

    Args:
        entries: Each TEACHER:KEYPOINT.
        names: Of all teachers.
        skeleton: Of the labels.

    Raises:
        UsageError: no such teacher or keypoint.
    """
    ignored: dict[str, list[int]] = {name: [] for name in names}
    for entry in entries:
        name, _, keypoint = entry.partition(":")
        if name not in ignored:
            raise UsageError(
                f"--ignore {entry}: expected TEACHER:KEYPOINT with a teacher of "
                f"{', '.join(names)}{did_you_mean(name, names)}"
            )
        if keypoint not in skeleton.names:
            raise UsageError(
                f"--ignore {entry}: expected a keypoint of "
                f"{', '.join(skeleton.names)}{did_you_mean(keypoint, skeleton.names)}"
            )
        ignored[name].append(skeleton.index(keypoint))
    return ignored


def ignore_keypoints(
    teachers: Sequence[Teacher], ignored: Mapping[str, Sequence[int]]
) -> tuple[Teacher, ...]:
    """Return the teachers without what ``ignored`` takes from each by name."""
    left = []
    for teacher in teachers:
        keypoints_xy = teacher.keypoints_xy.copy()
        keypoints_xy[:, list(ignored.get(teacher.name, ()))] = np.nan
        left.append(replace(teacher, keypoints_xy=keypoints_xy))
    return tuple(left)


def match_rows(
    predictions: Predictions, samples: Sequence[Sample]
) -> tuple[Teacher, ...]:
    """Return the teachers with one row per sample, in the order of the samples.

    Raises:
        TinyposeError: rows without names are not one per sample, or a picture
            has no row or, with several people in it, more than one.
    """
    if predictions.names is None:
        if predictions.num_people != len(samples):
            raise TinyposeError(
                f"{predictions.path}: expected one row per record of the data set "
                f"({len(samples)}) or an array {NAMES!r} of file names, found "
                f"{predictions.num_people} rows; give the whole data set, and one "
                "only"
            )
        return predictions.teachers
    rows: dict[str, int] = {}
    for row, name in enumerate(predictions.names):
        if name in rows:
            raise TinyposeError(
                f"{predictions.path}: expected each picture once in {NAMES!r}, found "
                f"{name} twice"
            )
        rows[name] = row
    chosen: dict[str, int] = {}
    for sample in samples:
        own = _row_name(sample, rows)
        if own is None or own in chosen:
            found = f"only {own} for two" if own else f"none for {sample.sample_id}"
            raise TinyposeError(
                f"{predictions.path}: expected a row for each person, found {found}"
            )
        chosen[own] = rows[own]
    order = list(chosen.values())
    return tuple(
        replace(teacher, keypoints_xy=teacher.keypoints_xy[order])
        for teacher in predictions.teachers
    )


def unlabelled_samples(
    predictions: Predictions, folder: Path, skeleton: Skeleton
) -> list[Sample]:
    """Return people without any label, one per row, to be filled by teachers.

    Raises:
        TinyposeError: the file has no names or no boxes, or a name leads out of
            the folder.
    """
    path, names = predictions.path, predictions.names
    boxes_xywh = predictions.boxes_xywh
    if names is None or boxes_xywh is None:
        found = NAMES if names else BOXES if boxes_xywh is not None else "neither"
        raise TinyposeError(
            f"{path}: without labelled data, expected the arrays {NAMES!r} (file "
            f"names) and {BOXES!r} in it, found {found}"
        )
    for row, name in enumerate(names):
        expect_picture_name({NAMES: name}, NAMES, f"{path}: row {row}")
    return [
        unlabelled_sample(name, picture_path(folder, name), skeleton, box)
        for name, box in zip(names, boxes_xywh, strict=True)
    ]


def _load(path: Path) -> dict[str, NDArray[Any]]:
    require_file(path, "predictions (.npz)", max_bytes=MAX_BYTES)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # the reader raises whatever the bytes provoke
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise TinyposeError(
            f"{path}: expected predictions as an .npz file, found something that "
            f"does not load ({reason})"
        ) from error


def _check_rows(predictions: Predictions) -> None:
    counts = {
        teacher.name: len(teacher.keypoints_xy) for teacher in predictions.teachers
    }
    for key, value in ((NAMES, predictions.names), (BOXES, predictions.boxes_xywh)):
        if value is not None:
            counts[key] = len(value)
    if len(set(counts.values())) > 1 or not predictions.num_people:
        found = ", ".join(f"{key} {count}" for key, count in counts.items())
        raise TinyposeError(
            f"{predictions.path}: expected equally many rows and at least one, "
            f"found {found}"
        )


def _row_name(sample: Sample, rows: Mapping[str, int]) -> str | None:
    """Return which row's name is that of the picture, with folders if it has any."""
    if not isinstance(sample.picture, Path):
        return None
    parts = sample.picture.parts
    endings = ("/".join(parts[first:]) for first in range(len(parts)))
    return next((ending for ending in endings if ending in rows), None)


def _names(path: Path, array: NDArray[Any] | None) -> tuple[str, ...] | None:
    if array is None:
        return None
    if array.ndim != 1 or array.dtype.kind != "U":
        raise TinyposeError(
            f"{path}: expected texts as {NAMES!r} of shape (num_people,), found "
            f"{array.dtype} {array.shape}"
        )
    return tuple(map(str, array))


def _keypoints(
    path: Path, key: str, array: NDArray[Any], skeleton: Skeleton
) -> FloatArray:
    count = skeleton.num_keypoints
    if array.dtype.kind not in "fiu" or array.shape[1] != count or array.shape[2] < 2:
        raise TinyposeError(
            f"{path}: expected {key!r} of shape (num_people, {count}, 2 or more) in "
            f"the order of the skeleton {skeleton.name!r}, found "
            f"{array.dtype} {array.shape}"
        )
    keypoints_xy = np.array(array[..., :2], np.float64)
    keypoints_xy[~np.isfinite(keypoints_xy).all(axis=-1)] = np.nan
    return keypoints_xy


def _boxes(path: Path, array: NDArray[Any] | None) -> FloatArray | None:
    if array is None:
        return None
    valid = array.ndim == 2 and array.shape[1] == 4 and array.dtype.kind in "fiu"
    if not valid:
        raise TinyposeError(
            f"{path}: expected numbers as {BOXES!r} of shape (num_people, 4), found "
            f"{array.dtype} {array.shape}"
        )
    boxes_xywh = np.asarray(array, np.float64)
    usable = np.isfinite(boxes_xywh).all(axis=1) & (boxes_xywh[:, 2:] >= 0).all(axis=1)
    if not usable.all():
        row = int(np.argmin(usable))
        raise TinyposeError(
            f"{path}: expected finite x, y, width, height as {BOXES!r}, found "
            f"{boxes_xywh[row].tolist()} in row {row}"
        )
    return boxes_xywh
