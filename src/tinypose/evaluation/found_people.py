"""Label pictures that nobody has labelled: one person each, as models find them.

Every model searches by itself, as ``tinypose predict`` does without a box. Where
they find the same person, they agree on the keypoints; the others are left out.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinypose.data.clean import CleanedSample
from tinypose.data.sample import Sample, labelled_box, unlabelled_sample
from tinypose.data.teachers import Teacher
from tinypose.errors import TinyposeError
from tinypose.geometry import FloatArray
from tinypose.images import Image
from tinypose.inference.pose import Pose
from tinypose.inference.predictor import Predictor
from tinypose.inference.sources import find_sources
from tinypose.metadata import Metadata
from tinypose.skeletons import Skeleton

AGREED_SHARE = 0.5
"""Of the keypoints that two models or more give: so many must lie together, or it
may not be one and the same person whom they see."""


class SearchingPredictor:
    """A predictor that finds the person by itself, whatever box it is given.

    Args:
        predictor: The model.
        must_find: Whether to refuse pictures in which there is hardly anybody, or to
            answer as well as it can.
    """

    def __init__(self, predictor: Predictor, *, must_find: bool = True) -> None:
        self._predictor = predictor
        self._must_find = must_find
        self.flip_test = predictor.flip_test

    @property
    def name(self) -> str:
        """The model's name."""
        return self._predictor.name

    @property
    def metadata(self) -> Metadata:
        """What the model file says about itself."""
        return self._predictor.metadata

    @property
    def skeleton(self) -> Skeleton:
        """The keypoints that the model predicts."""
        return self._predictor.skeleton

    def predict_batch(
        self, images: Sequence[Image], boxes_xywh: Sequence[FloatArray]
    ) -> list[Pose]:
        """Return the pose of whoever is found in each picture.

        Raises:
            TinyposeError: there is hardly anybody in one of them, and must be.
        """
        poses = self._predictor.predict_batch(images)
        if self._must_find and any(
            pose.score < self._predictor.least_score for pose in poses
        ):
            raise TinyposeError("expected a person in the picture, found hardly any")
        return poses


def picture_samples(folder: Path, skeleton: Skeleton) -> list[Sample]:
    """Return a person without label and box for each picture in a folder.

    Raises:
        TinyposeError: there is no picture in it.
    """
    sources = [source for source in find_sources([str(folder)]) if source.is_picture]
    if not sources:
        raise TinyposeError(f"{folder}: expected pictures, found videos alone")
    return [
        unlabelled_sample(source.path.name, source.path, skeleton)
        for source in sources
        if source.path
    ]


def found_boxes(samples: Sequence[Sample], teachers: Sequence[Teacher]) -> list[Sample]:
    """Return the people, each in the box in which the first teacher sees them."""
    boxed = []
    for row, sample in enumerate(samples):
        for teacher in teachers:
            known = np.isfinite(teacher.keypoints_xy[row]).all(axis=-1)
            if known.any():
                points = np.where(known[:, None], teacher.keypoints_xy[row], 0.0)
                box = labelled_box(points, known.astype(np.uint8))
                sample = replace(sample, box_xywh=box)
                break
        boxed.append(sample)
    return boxed


def keep_agreed(
    cleaned: Sequence[CleanedSample], teachers: Sequence[Teacher]
) -> list[CleanedSample]:
    """Return the people on whom teachers agree, in the box of their labels.

    Args:
        cleaned: What was made of ``found_boxes``.
        teachers: One row per person each.

    Raises:
        TinyposeError: they agree on nobody.
    """
    kept = []
    for row, person in enumerate(cleaned):
        said = np.stack([teacher.keypoints_xy[row] for teacher in teachers])
        num_given = (np.isfinite(said).all(axis=-1).sum(axis=0) > 1).sum()
        num_agreed = person.actions.count("filled")
        if num_agreed and num_agreed >= AGREED_SHARE * num_given:
            after = person.after
            box = labelled_box(after.keypoints_xy, after.visible)
            kept.append(replace(person, after=replace(after, box_xywh=box)))
    if not kept:
        raise TinyposeError(
            f"expected a person in one of {len(cleaned)} pictures on whom the judges "
            "agree, found none; give the people boxes with --predictions, or label "
            "some pictures and train a judge of your own"
        )
    return kept
