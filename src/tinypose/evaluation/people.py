"""Predict labelled people, each in the true box."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from tinypose.data.sample import Sample
from tinypose.data.teachers import Teacher
from tinypose.errors import TinyposeError, UsageError
from tinypose.evaluation.pck import MIN_REFERENCE
from tinypose.geometry import FloatArray
from tinypose.images import Image
from tinypose.inference.pose import Pose
from tinypose.inference.search import LEAST_SCORE
from tinypose.metadata import Metadata
from tinypose.skeletons import Skeleton


class PosePredictor(Protocol):
    """What ``evaluate`` needs of a predictor."""

    flip_test: bool

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def metadata(self) -> Metadata:
        """What the model file says about itself."""

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that the model predicts."""

    def predict_batch(
        self, images: Sequence[Image], boxes_xywh: Sequence[FloatArray]
    ) -> list[Pose]:
        """Return one pose per picture and box."""


def predict_people(
    predictor: PosePredictor, samples: Sequence[Sample], images: Sequence[Image]
) -> list[Pose]:
    """Return one pose per person, each in the true box.

    Args:
        predictor: The model.
        samples: The people.
        images: Their pictures, (height, width, 3) uint8 RGB each.

    Raises:
        TinyposeError: a box is not finite or beside its picture.
    """
    # The box of a single labelled keypoint is empty, which no crop can be.
    sides = [np.maximum(sample.box_xywh[2:], MIN_REFERENCE) for sample in samples]
    boxes = [
        np.concatenate([sample.box_xywh[:2], side])
        for sample, side in zip(samples, sides, strict=True)
    ]
    try:
        return predictor.predict_batch(images, boxes)
    except UsageError as error:
        # The wrong box is the data set's, not the user's option.
        names = ", ".join(sample.sample_id for sample in samples)
        raise TinyposeError(
            f"{names}: {error}; look at the labels with  tinypose data check"
        ) from error


def predict_each(
    predictor: PosePredictor, samples: Sequence[Sample], images: dict[int, Image]
) -> tuple[dict[int, Pose], list[tuple[int, str]]]:
    """Return the pose of each person, and who has a box of no use.

    Args:
        predictor: The model.
        samples: Everyone.
        images: The pictures, by the person's index in ``samples``.

    Returns:
        The poses by the same index, and the index and reason of the others.
    """
    if not images:
        return {}, []
    try:
        people = [samples[index] for index in images]
        poses = predict_people(predictor, people, list(images.values()))
        return dict(zip(images, poses, strict=True)), []
    except TinyposeError as error:
        if len(images) == 1:
            return {}, [(index, str(error)) for index in images]
    parts = [
        predict_each(predictor, samples, {index: image})
        for index, image in images.items()
    ]
    found = {index: pose for poses, _ in parts for index, pose in poses.items()}
    return found, [failure for _, failures in parts for failure in failures]


def judge_people(
    predictor: PosePredictor,
    samples: Sequence[Sample],
    *,
    name: str,
    progress: Callable[[int], None] | None = None,
) -> Teacher:
    """Return what a model says about people, as a teacher of their labels.

    Keypoints are matched by name. About people whose picture or box is of no
    use it says nothing.

    Args:
        predictor: The model.
        samples: The people, all of one skeleton.
        name: Of the teacher.
        progress: Called with the number of people done so far.

    Raises:
        TinyposeError: the model and the people have no keypoint in common.
    """
    skeleton = samples[0].skeleton
    positions = predictor.skeleton.mapping_to(skeleton)
    known = positions >= 0
    if not known.any():
        raise TinyposeError(
            f"{name}: expected a model with keypoints of {skeleton.name!r} "
            f"({', '.join(skeleton.names)}), found only "
            f"{', '.join(predictor.skeleton.names)}"
        )
    said = np.full((len(samples), skeleton.num_keypoints, 2), np.nan)
    for row, sample in enumerate(samples):
        try:
            (pose,) = predict_people(predictor, [sample], [sample.load_image()])
        except TinyposeError:
            pass  # of no use to training either; data check names it
        else:
            # What it hardly sees it does not say.
            seen = pose.scores[positions[known]] >= LEAST_SCORE
            said[row, known] = np.where(
                seen[:, None], pose.keypoints_xy[positions[known]], np.nan
            )
        if progress:
            progress(row + 1)
    return Teacher(name=name, keypoints_xy=said)
